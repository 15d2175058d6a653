"""What Python programs write."""
