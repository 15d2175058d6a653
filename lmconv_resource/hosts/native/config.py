"""The provider's own inputs: the settings that say how to reach AWS, from the stack or from an explicit provider."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from google.protobuf.struct_pb2 import Struct

from lmconv_resource.aws.access import SETTINGS, ConfigGet, Settings, find_unknown_names
from lmconv_resource.errors import SettingsError
from lmconv_resource.hosts.native import PACKAGE, SETTING_PREFIX
from lmconv_resource.hosts.native.properties import from_wire, has_unknown, to_secret
from lmconv_resource.lifecycle.operation import CheckFailure, Diff
from lmconv_resource.lifecycle.validation import optional, validate_region

_SECRET_KEYS = tuple(setting.key for setting in SETTINGS if setting.is_secret)
"""Settings that are kept as ciphertext, however they were set."""


def to_config_get(args: Struct) -> ConfigGet:
    """Return the settings by their full names: what `Configure` was sent, secrets unwrapped.

    The stack's structured settings come as JSON text, those of an explicit provider as text or as values.
    """
    values = {f"{SETTING_PREFIX}{name}": from_wire(value, [], keep_names=True) for name, value in args.fields.items()}
    return values.get


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
        return [CheckFailure("region", f"{SETTING_PREFIX}region {reason}")]
    try:
        if os.environ.get("PULUMI_PROJECT") != PACKAGE:
            names = (f"{SETTING_PREFIX}{key}" for key in news.fields)
            on_unknown(find_unknown_names(names, prefix=SETTING_PREFIX))
        Settings.from_config(get, str(region or "us-east-1"), prefix=SETTING_PREFIX)
    except SettingsError as error:
        return [CheckFailure(error.key, str(error))]
    return []


def with_secrets(news: Struct) -> Struct:
    """Return the provider's inputs with those that are always secret marked so."""
    inputs = Struct()
    inputs.CopyFrom(news)
    for key in _SECRET_KEYS:
        if key in inputs.fields:
            inputs.fields[key].CopyFrom(to_secret(inputs.fields[key]))
    return inputs


def to_changes(olds: Struct, news: Struct) -> tuple[Diff, dict[str, object], dict[str, object]]:
    """Return which settings differ, with the old and the new ones."""
    old, new = _plain(olds), _plain(news)
    changed = tuple(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
    return Diff(changed), old, new


def _plain(struct: Struct) -> dict[str, object]:
    return {name: _norm(from_wire(value, [], keep_names=True)) for name, value in struct.fields.items()}


def _norm(value: Any) -> Any:
    """Return a value such that JSON text and what it stands for are the same."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
