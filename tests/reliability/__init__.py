"""What the project promises under faults, kills and crowds."""
