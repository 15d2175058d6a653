"""The form of what arrives, held against the schema: names and types, at every depth.

The engine checks neither, and not every language does. What has another form is one sentence that names it, in the
names of this host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableSequence
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from lmconv_resource.hosts.native import SCHEMA_PATH
from lmconv_resource.hosts.native.properties import to_secret
from lmconv_resource.lifecycle.operation import UNKNOWN, CheckFailure
from lmconv_resource.text import to_known, to_plain_text, to_shown, to_snake

Spec = Mapping[str, Any]
"""A part of the schema."""


class MalformedError(Exception):
    """A message of a form that Pulumi's engine does not send: one line that names it."""


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a string"),
    "boolean": (bool, "true or false"),
    "number": ((int, float), "a number"),
    "integer": ((int, float), "a whole number"),
    "array": (list, "a list"),
    "object": (Mapping, "an object"),
}


SCHEMA: Spec = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
"""The schema of the package."""


def spec_of(section: str, token: str) -> Spec:
    """Return what the schema says of one of its `resources` or `functions`; raise where there is none of that name."""
    known: Spec = SCHEMA[section]
    if token not in known:
        raise MalformedError(f"The plugin was asked for {to_shown(token)}, {to_known(token, known)}.")
    spec: Spec = known[token]
    return spec


def check_names(values: Mapping[str, object], properties: Spec) -> Iterator[CheckFailure]:
    """Yield each property that is not known, or has a member that is not, by the names that the program writes."""
    for name, value in values.items():
        if name.startswith("__"):
            continue
        if name not in properties:
            yield CheckFailure("", f"there is {to_shown(name)}, {to_known(name, properties)}")
        elif reason := _misnamed_member(value, properties[name]):
            yield CheckFailure(to_snake(name), f"{name} {reason}")


def _misnamed_member(value: object, spec: Spec) -> str | None:
    kind = _resolve(spec)
    members = kind.get("properties")
    if isinstance(value, Mapping) and members is not None:
        for name in value:
            if name not in members:
                return f"has the member {to_shown(name)}, {to_known(name, members)}"
    return next((reason for part in _parts(value, kind) if (reason := _misnamed_member(*part))), None)


def shape_problem(values: Mapping[str, object], properties: Spec) -> str | None:
    """Return what is wrong with the types of properties, those that are not known passed over; None if nothing is."""
    for name, value in values.items():
        if name in properties:
            reason = _check_type(value, properties[name])
            if reason:
                return f"{to_plain_text(name)} {reason}"
    return None


def _check_type(value: object, spec: Spec) -> str | None:
    kind = _resolve(spec)
    if value is None or value is UNKNOWN or "type" not in kind:
        return None
    accepted, form = _TYPES[kind["type"]]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind["type"] != "boolean"):
        return f"{to_shown(value)} is not {form}"
    if isinstance(value, list):
        return next((reason for entry in value if (reason := _check_type(entry, kind["items"]))), None)
    if isinstance(value, Mapping):
        members = kind.get("properties") or dict.fromkeys(value, kind.get("additionalProperties", {}))
        reason = shape_problem(value, members)
        return reason and f"has the member {reason}"
    return None


def with_secrets(struct: Struct, properties: Spec) -> Struct:
    """Return properties with those marked secret that are so by the schema, members at any depth too."""
    inputs = Struct()
    inputs.CopyFrom(struct)
    for name, value in inputs.fields.items():
        if name in properties:
            _mark(value, properties[name])
    return inputs


def _mark(value: Value, spec: Spec) -> None:
    if spec.get("secret") or (value.HasField("string_value") and _has_secret(_parse(value.string_value), spec)):
        value.CopyFrom(to_secret(value))
        return
    inner = value.list_value.values if value.HasField("list_value") else value.struct_value.fields
    for entry, part in _parts(inner, _resolve(spec)):
        _mark(entry, part)


def _has_secret(value: object, spec: Spec) -> bool:
    """Return whether there is a secret in what JSON text stands for, of which a part can't be marked."""
    return any(part.get("secret") or _has_secret(entry, part) for entry, part in _parts(value, _resolve(spec)))


def _parse(text: str) -> object:
    try:
        return json.loads(text) if text[:1] in ("[", "{") else text
    except (ValueError, RecursionError):
        return text


def _resolve(spec: Spec) -> Spec:
    """Return a type without references; where it can be one of several, the first."""
    if "oneOf" in spec:
        return _resolve(spec["oneOf"][0])
    reference = spec.get("$ref", "")
    resolved: Spec = SCHEMA["types"].get(reference.removeprefix("#/types/"), {}) if reference else spec
    return resolved


def _parts(value: Any, kind: Spec) -> list[tuple[Any, Spec]]:
    """Return the members of an object that the schema knows, or the entries of a list, each with its type."""
    if isinstance(value, Mapping):
        members = kind.get("properties", {})
        return [(entry, members[name]) for name, entry in value.items() if name in members]
    return [(entry, kind.get("items", {})) for entry in value] if isinstance(value, MutableSequence) else []
