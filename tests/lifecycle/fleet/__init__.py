"""A fleet: its table, plan, schedule and report, and the whole of it."""
