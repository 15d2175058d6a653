"""A simulated world: whole histories of conversions in virtual time, one seed one history.

`kernel` runs the package's own threads one at a time on a clock that only jumps. `aws` is License Manager, EC2, Systems
Manager and STS with what goes wrong there, `clients` how a process calls them, `checks` what has to hold after each
event. `engine` plays Pulumi's part, and `history` draws what happens from a seed. From `tests/`,
`python -m simulation --help` plays as many seeds as you like.
"""
