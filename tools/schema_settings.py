"""The settings in the schema: each row of their table as a property, and the objects that some of them hold."""

from collections.abc import Mapping
from typing import Any

from lmconv_resource.aws.access.settings import SETTINGS, Setting
from lmconv_resource.hosts.native import PACKAGE

_OBJECTS = {
    "assumeRole": "A role to assume before AWS is called.",
    "assumeRoleWithWebIdentity": "A role to assume with a token of an OpenID Connect provider.",
    "endpoint": "URLs that replace AWS's own, by service.",
}
"""What the objects are that settings hold, one or a list of them."""


def _to_token(setting: Setting) -> str:
    name = setting.key.rstrip("s")
    return f"{PACKAGE}:index:Provider{name[0].upper()}{name[1:]}"


def _make_object(setting: Setting, of_roles: Mapping[str, str]) -> dict[str, Any]:
    members = setting.kind.members
    texts = {**of_roles, **{member.key: member.description for member in members if member.description}}
    required = [member.key for member in members if member.kind.is_required]
    return {
        "type": "object",
        "description": _OBJECTS[setting.key.rstrip("s")],
        "properties": {member.key: {**member.kind.schema, "description": texts[member.key]} for member in members},
        **({"required": required} if required else {}),
    }


def _make_property(setting: Setting) -> dict[str, Any]:
    words = {"honoured": "", "refused": "Refused: ", "no effect": "Has no effect: "}
    note = f"{words[setting.treatment]}{setting.description}."
    spec = dict(setting.kind.schema)
    if setting.kind.members:
        one = {"$ref": f"#/types/{_to_token(setting)}"}
        spec = {"type": "array", "items": one} if setting.key.endswith("s") else dict(one)
    spec["description"] = note[0].upper() + note[1:]
    if setting.treatment != "honoured" or setting.key == "assumeRole":
        spec["deprecationMessage"] = spec["description"]
    return spec


def make_setting_types(of_roles: Mapping[str, str]) -> dict[str, Any]:
    """Return the objects that settings hold; `of_roles` says what the members of a role are."""
    return {_to_token(setting): _make_object(setting, of_roles) for setting in SETTINGS if setting.kind.members}


SETTING_PROPERTIES = {setting.key: _make_property(setting) for setting in SETTINGS}
