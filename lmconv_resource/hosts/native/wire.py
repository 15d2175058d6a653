"""Messages of Pulumi's engine, read against the schema: plain values, what is secret, and what has another form.

On the wire they are a protobuf `Struct` with names in camelCase, where an object with a signature stands for a secret
and certain texts for what a preview can't know yet. The lifecycle has plain values, names in snake_case, and `UNKNOWN`.
The engine checks neither names nor types, and not every language does. What has another form is one sentence that
names it, in the names of this host.

Source: https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go
"""

import json
from collections.abc import Callable, Collection, Mapping, MutableSequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from lmconv_resource.hosts.native import SCHEMA_PATH
from lmconv_resource.lifecycle.operation import UNKNOWN, ByName, CheckFailure, leaves
from lmconv_resource.text import to_camel, to_known, to_plain_text, to_shown, to_snake

Spec = Mapping[str, Any]
"""A part of the schema."""

SCHEMA: Mapping[str, Mapping[str, Spec]] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
"""The schema of the package."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The member of an object that says what the object stands for."""
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a signature

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

_FORMS = {
    "string": ("string_value", "a string"),
    "boolean": ("bool_value", "true or false"),
    "number": ("number_value", "a number"),
    "integer": ("number_value", "a whole number"),
    "array": ("list_value", "a list"),
    "object": ("struct_value", "an object"),
}
"""By the schema's types: a value's kind on the wire, and the type in words."""


class MalformedError(Exception):
    """A message of a form that Pulumi's engine does not send: one line that names it."""


@dataclass
class Bag:
    """Properties that came over the wire, secrets unwrapped."""

    values: dict[str, object] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    """The names of those that are a secret or hold one."""
    secret_texts: set[str] = field(default_factory=set)
    """Every text in a secret, which no message may show."""
    misnamed: list[CheckFailure] = field(default_factory=list)
    """Each that is not known, or has a member that is not, by the names that the program writes."""
    misshapen: str = ""
    """What is wrong with the type of the first that has another one; empty if none has."""


def spec_of(section: str, token: str) -> Spec:
    """Return what the schema says of one of its `resources` or `functions`; raise where there is none of that name."""
    known = SCHEMA[section]
    if token not in known:
        raise MalformedError(f"The plugin was asked for {to_shown(token)}, {to_known(token, known)}.")
    return known[token]


def read(struct: Struct, properties: Spec, spell: Callable[[str], str] = to_snake) -> Bag:
    """Return the properties of a message; `spell` returns what a name on the wire is in the bag."""
    bag = Bag()
    for name, value in struct.fields.items():
        reading = _Reading(spell)
        plain = bag.values[spell(name)] = reading.to_plain(value, properties.get(name, {}))
        if reading.hidden:
            bag.secrets.add(spell(name))
        # What a fleet says of its rows tells secrets, and is none: the inputs have these.
        if name != "report" and not isinstance(plain, ByName):
            bag.secret_texts.update(text for text in leaves(reading.hidden) if isinstance(text, str))
        if name not in properties and not name.startswith("__"):
            bag.misnamed.append(CheckFailure("", f"there is {to_shown(name)}, {to_known(name, properties)}"))
        elif reading.misnamed:
            bag.misnamed.append(CheckFailure(spell(name), f"{name} {reading.misnamed}"))
        if reading.misshapen and not bag.misshapen:
            bag.misshapen = f"{to_plain_text(name)} {reading.misshapen}"
    return bag


class _Reading:
    """Reads one property, and keeps what is secret in it and what of it has another name or form first."""

    def __init__(self, spell: Callable[[str], str]) -> None:
        self._spell = spell
        self.hidden: list[object] = []
        self.misnamed = self.misshapen = ""

    def to_plain(self, value: Value, spec: Spec, at: str = "") -> object:
        """Return a plain value; `at` leads from the property to it, in words."""
        kind, known, fields = value.WhichOneof("kind"), _resolve(spec), value.struct_value.fields
        if _signature_of(value) == _SECRET:
            plain = self.to_plain(fields["value"], spec, at)
            self.hidden.append(plain)
            return plain
        if kind is None or kind == "null_value":
            return None
        if value.string_value in _UNKNOWN_TEXTS:
            return UNKNOWN
        right_kind, form = _FORMS.get(known.get("type", ""), (kind, ""))
        if kind != right_kind and not self.misshapen:
            self.misshapen = f"{at}{to_shown(_Reading(str).to_plain(value, {}))} is not {form}"
        if kind == "list_value":
            return [self.to_plain(entry, known.get("items", {}), at) for entry in value.list_value.values]
        return self._to_members(fields, known, at) if kind == "struct_value" else getattr(value, kind)

    def _to_members(self, fields: Mapping[str, Value], known: Spec, at: str) -> dict[str, object]:
        of_each = known.get("additionalProperties")  # said where the names are the user's own
        members: Spec = known.get("properties", {}) if of_each is None else dict.fromkeys(fields, of_each)
        unknown = [name for name in fields if name not in members] if members else []
        if unknown and not self.misnamed:
            self.misnamed = f"has the member {to_shown(unknown[0])}, {to_known(unknown[0], members)}"
        read = {
            name: self.to_plain(entry, members.get(name, {}), f"{at}has the member {to_plain_text(name)} ")
            for name, entry in fields.items()
        }
        return {self._spell(name): plain for name, plain in read.items()} if of_each is None else ByName(read)


def write(properties: Mapping[str, object], secrets: Collection[str] = ()) -> Struct:
    """Return properties as a message, those that `secrets` names as secrets."""
    hidden = {name: {_SIGNATURE: _SECRET, "value": properties[name]} for name in properties if name in secrets}
    struct = Struct()
    struct.update(_to_json({**properties, **hidden}))
    return struct


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        keeps_names = isinstance(value, ByName)
        return {name if keeps_names else to_camel(name): _to_json(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(entry) for entry in value]
    return _UNKNOWN_TEXT if value is UNKNOWN else value


def with_secrets(struct: Struct, properties: Spec) -> Struct:
    """Return properties with those marked secret that are so by the schema, members at any depth too."""
    inputs = Struct()
    inputs.CopyFrom(struct)
    _mark_parts(inputs.fields, {"properties": properties})
    return inputs


def _mark_parts(values: Any, known: Spec) -> None:
    for value, spec in _parts(values, known):
        if spec.get("secret") or _has_secret(parse_json(value.string_value), spec):
            if _signature_of(value) != _SECRET:
                secret = Struct(fields={_SIGNATURE: Value(string_value=_SECRET), "value": value})
                value.struct_value.CopyFrom(secret)
        else:
            _mark_parts(value.list_value.values or value.struct_value.fields, _resolve(spec))


def _has_secret(value: object, spec: Spec) -> bool:
    """Return whether there is a secret in what JSON text stands for, of which a part can't be marked."""
    return any(part.get("secret") or _has_secret(entry, part) for entry, part in _parts(value, _resolve(spec)))


def parse_json(text: str) -> Any:
    """Return what JSON text stands for, and any other text as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _signature_of(value: Value) -> str | None:
    fields = value.struct_value.fields
    return fields[_SIGNATURE].string_value if _SIGNATURE in fields else None


def _resolve(spec: Spec) -> Spec:
    """Return a type without references; where it can be one of several, the first."""
    if "oneOf" in spec:
        return _resolve(spec["oneOf"][0])
    reference = spec.get("$ref", "")
    return SCHEMA["types"].get(reference.removeprefix("#/types/"), {}) if reference else spec


def _parts(value: Any, known: Spec) -> list[tuple[Any, Spec]]:
    """Return the members of an object, or the entries of a list, of which a type says something, each with its own."""
    if isinstance(value, Mapping):
        members = known.get("properties", {})
        return [(entry, members[name]) for name, entry in value.items() if name in members]
    entries = value if isinstance(value, MutableSequence) and "items" in known else ()
    return [(entry, known["items"]) for entry in entries]
