"""Properties on Pulumi's wire and in the lifecycle.

On the wire they are a protobuf `Struct` with names in camelCase, where an object with a signature stands for a secret
and certain texts for what a preview can't know yet. The lifecycle has plain values, names in snake_case, and `UNKNOWN`.

Source: https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from lmconv_resource.lifecycle.operation import UNKNOWN, ByName, leaves
from lmconv_resource.text import to_camel, to_snake

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The member of an object that says what the object stands for."""

_BY_NAME = frozenset({"instances", "rows", "__table"})
"""Properties of a fleet that are objects by the names of its rows, which are the user's own."""

_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a signature
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

_UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_TEXTS = frozenset(
    {
        _UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)


@dataclass(frozen=True)
class Bag:
    """Properties that came over the wire, secrets unwrapped."""

    values: dict[str, object]
    secrets: frozenset[str]
    """The names of those that are a secret or hold one."""
    secret_texts: frozenset[str]
    """Every text in a secret, which no message may show."""


def read(struct: Struct) -> Bag:
    """Return the properties of a message."""
    values: dict[str, object] = {}
    secrets: set[str] = set()
    secret_texts: set[str] = set()
    for name, value in struct.fields.items():
        hidden: list[object] = []
        values[to_snake(name)] = from_wire(value, hidden, is_by_name=name in _BY_NAME)
        if hidden:
            secrets.add(to_snake(name))
        # What a fleet says of its rows tells secrets, and is none: the inputs have these.
        if name != "report" and not (name in _BY_NAME and isinstance(values[to_snake(name)], Mapping)):
            secret_texts.update(text for entry in hidden for text in leaves(entry) if isinstance(text, str))
    return Bag(values, frozenset(secrets), frozenset(secret_texts))


def write(properties: Mapping[str, object], secrets: Collection[str] = ()) -> Struct:
    """Return properties as a message, those that `secrets` names as secrets."""
    hidden = {name: {_SIGNATURE: _SECRET, "value": properties[name]} for name in properties if name in secrets}
    struct = Struct()
    struct.update(_to_json({**properties, **hidden}))
    return struct


def from_wire(value: Value, hidden: list[object], *, keep_names: bool = False, is_by_name: bool = False) -> object:
    """Return a plain value, and add to `hidden` what was secret in it.

    The names of members stay as they are, at any depth with `keep_names`, with `is_by_name` the value's own members'.
    """
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else None
        if signature in (_SECRET, _OUTPUT):
            inner = fields.get("value")
            options = {"keep_names": keep_names, "is_by_name": is_by_name}
            plain = UNKNOWN if inner is None else from_wire(inner, hidden, **options)
            if signature == _SECRET or ("secret" in fields and fields["secret"].bool_value):
                hidden.append(plain)
            return plain
        return {
            # The members of tags are the user's own names.
            name if keep_names or is_by_name else to_snake(name): from_wire(
                entry, hidden, keep_names=keep_names or name == "tags"
            )
            for name, entry in fields.items()
        }
    if kind == "list_value":
        return [from_wire(entry, hidden, keep_names=keep_names) for entry in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWN_TEXTS else value.string_value
    return None if kind in (None, "null_value") else getattr(value, kind)


def read_plain(struct: Struct) -> dict[str, object]:
    """Return the properties of a message under the names that they have there."""
    return {name: from_wire(value, [], keep_names=True) for name, value in struct.fields.items()}


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        keeps_names = isinstance(value, ByName)
        return {name if keeps_names else to_camel(name): _to_json(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(entry) for entry in value]
    return _UNKNOWN_TEXT if value is UNKNOWN else value


def to_secret(value: Value) -> Value:
    """Return a value as a secret; one that is a secret stays one."""
    fields = value.struct_value.fields
    if _SIGNATURE in fields and fields[_SIGNATURE].string_value == _SECRET:
        return value
    secret = Value()
    secret.struct_value.fields[_SIGNATURE].string_value = _SECRET
    secret.struct_value.fields["value"].CopyFrom(value)
    return secret
