"""The host for Pulumi's Python dynamic providers."""
