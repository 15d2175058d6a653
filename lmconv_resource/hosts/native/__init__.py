"""The host for a Pulumi plugin of our own: the package `lmconv`, for programs in every language of Pulumi."""

from pathlib import Path

PACKAGE = "lmconv"
"""The package's name: in type tokens, in `pulumi-resource-lmconv` and as the namespace of its settings."""

SETTING_PREFIX = f"{PACKAGE}:"
"""What the settings begin with. The engine hands a plugin its own namespace only, so that `aws:` is never seen."""

SCHEMA_PATH = Path(__file__).with_name("schema.json")
"""The package's schema, which `make tables` makes."""
