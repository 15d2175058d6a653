"""Names: `snake_case` as the lifecycle and Python programs write them, `camelCase` as Pulumi's packages do."""

from __future__ import annotations

import re

_HUMP = re.compile(r"[A-Z]")
_GAP = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def to_camel(name: str) -> str:
    """Return a name in camelCase. A leading `__`, which hides a property from the user, stays."""
    return _GAP.sub(lambda match: match[1].upper(), name)


def to_snake(name: str) -> str:
    """Return a name in snake_case: what `to_camel` was given."""
    return _HUMP.sub(lambda match: f"_{match[0].lower()}", name)
