"""The provider's own inputs: the settings that say how to reach AWS, from the stack or from an explicit provider."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.protobuf.struct_pb2 import Struct

from lmconv_resource.aws.access import ConfigGet, Settings, unknown_setting_names
from lmconv_resource.errors import SettingsError
from lmconv_resource.hosts.native import PACKAGE, SETTING_PREFIX
from lmconv_resource.hosts.native.properties import from_wire, has_unknown
from lmconv_resource.hosts.native.shapes import SCHEMA, Spec
from lmconv_resource.lifecycle.operation import CheckFailure, Diff
from lmconv_resource.lifecycle.validation import optional, validate_region
from lmconv_resource.text import to_whole
from lmconv_resource.wording import key

SETTINGS_SCHEMA: Spec = SCHEMA["provider"]["inputProperties"]
"""What the schema says of the settings."""


def to_config_get(args: Struct) -> ConfigGet:
    """Return the settings by their full names: what `Configure` was sent, secrets unwrapped.

    The stack's structured settings come as JSON text, those of an explicit provider as text or as values.
    """
    return {f"{SETTING_PREFIX}{key}": value for key, value in _read(args).items()}.get


def check(news: Struct, on_unknown: Callable[[list[str]], None]) -> list[CheckFailure]:
    """Return what is wrong with the settings; nothing is asked of AWS.

    Names that are no settings pass in a project that is itself called `lmconv`: it keeps its own configuration there.

    Args:
        news: the settings.
        on_unknown: told which of them are not known, where they are no misspelt ones.
    """
    if any(has_unknown(value) for value in news.fields.values()):
        return []
    get = to_config_get(news)
    region = get(f"{SETTING_PREFIX}region") or None
    reason = optional(validate_region)(region)
    if reason:
        return [CheckFailure("region", f"{key('region')} {reason}")]
    try:
        if os.environ.get("PULUMI_PROJECT") != PACKAGE:
            names = (f"{SETTING_PREFIX}{key}" for key in news.fields)
            on_unknown(unknown_setting_names(names, prefix=SETTING_PREFIX))
        Settings.from_config(get, str(region or "us-east-1"), prefix=SETTING_PREFIX)
    except SettingsError as error:
        return [CheckFailure(error.key, str(error))]
    return []


def to_changes(olds: Struct, news: Struct) -> tuple[Diff, dict[str, object], dict[str, object]]:
    """Return which settings differ, with the old and the new ones."""
    old, new = _read(olds), _read(news)
    changed = tuple(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
    return Diff(changed), old, new


def _read(struct: Struct) -> dict[str, object]:
    """Return settings, each in the one form that stands for all in which the languages of Pulumi send it.

    What is no text comes as JSON text too, and a whole number from Java with a fraction: `"3.0"`.
    """
    return {key: _norm(key, from_wire(value, [], keep_names=True)) for key, value in struct.fields.items()}


def _norm(key: str, value: Any) -> Any:
    if isinstance(value, str) and SETTINGS_SCHEMA.get(key, {}).get("type") != "string":
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    return to_whole(value)


def explicit_name(urn: str) -> str | None:
    """Return the name of an explicit provider; None for the one that the engine makes of the stack's settings."""
    name = urn.rpartition("::")[2]
    return None if not name or re.fullmatch(r"default(_\d+)*", name) else name
