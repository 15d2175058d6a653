"""The settings in the schema: each row of their table as a property, and the objects that some of them hold."""

from __future__ import annotations

from typing import Any

from lmconv_resource.aws.access import kinds
from lmconv_resource.aws.access.settings import SETTINGS, Setting, Treatment
from lmconv_resource.hosts.native import PACKAGE

_ROLE = f"{PACKAGE}:index:ProviderAssumeRole"
_WEB_IDENTITY = f"{PACKAGE}:index:ProviderAssumeRoleWithWebIdentity"
_ENDPOINT = f"{PACKAGE}:index:ProviderEndpoint"

_TYPES: dict[str, dict[str, Any]] = {
    "assumeRoles": {"type": "array", "items": {"$ref": f"#/types/{_ROLE}"}},
    "assumeRole": {"$ref": f"#/types/{_ROLE}"},
    "assumeRoleWithWebIdentity": {"$ref": f"#/types/{_WEB_IDENTITY}"},
    "endpoints": {"type": "array", "items": {"$ref": f"#/types/{_ENDPOINT}"}},
}
"""The types of the settings that hold objects."""


def _make_object(description: str, members: tuple[kinds.Member, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {member.key: {**member.kind.schema, "description": member.description} for member in members},
        "required": [members[0].key],
    }


SETTING_TYPES: dict[str, dict[str, Any]] = {
    _ROLE: _make_object("A role to assume before AWS is called.", kinds.ROLE_MEMBERS),
    _WEB_IDENTITY: _make_object(
        "A role to assume with a token of an OpenID Connect provider.", kinds.WEB_IDENTITY_MEMBERS
    ),
    _ENDPOINT: {
        "type": "object",
        "description": "URLs that replace AWS's own, by service.",
        "properties": {
            name: {**kinds.URL.schema, "description": f"The URL of {title}."}
            for name, (_, title) in kinds.SERVICES.items()
        },
    },
}


def make_settings() -> dict[str, dict[str, Any]]:
    """Return every setting as a property."""
    return {setting.key: _make_setting(setting) for setting in SETTINGS}


def _make_setting(setting: Setting) -> dict[str, Any]:
    words = {Treatment.HONOURED: "", Treatment.REFUSED: "Refused: ", Treatment.NO_EFFECT: "Has no effect: "}
    note = f"{words[setting.treatment]}{setting.note}."
    spec = {**_TYPES.get(setting.key, setting.kind.schema), "description": note[0].upper() + note[1:]}
    if setting.treatment is not Treatment.HONOURED or setting.key == "assumeRole":
        spec["deprecationMessage"] = spec["description"]
    return spec
