"""What following license conversion tasks costs, measured beside how people do it without: `python -m benchmarks`."""
