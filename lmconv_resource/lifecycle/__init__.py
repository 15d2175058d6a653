"""What check, diff, create, read, update and delete decide. Knows no Pulumi."""
