"""What several tests share: stand-ins for what is outside this project."""
