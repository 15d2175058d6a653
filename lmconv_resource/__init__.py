"""A Pulumi resource for license type conversions."""
