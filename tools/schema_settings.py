"""The settings in the schema: their types, which the table of settings does not have, and its words on each."""

from __future__ import annotations

from typing import Any

from lmconv_resource.aws.access.settings_table import SETTINGS, Setting, Treatment
from lmconv_resource.hosts.native import PACKAGE
from lmconv_resource.hosts.native.config import SECRET_KEYS

_ROLE = f"{PACKAGE}:index:ProviderAssumeRole"
_WEB_IDENTITY = f"{PACKAGE}:index:ProviderAssumeRoleWithWebIdentity"
_ENDPOINT = f"{PACKAGE}:index:ProviderEndpoint"

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}
_PAIRS = {"type": "object", "additionalProperties": _TEXT}
_ANY = {"$ref": "pulumi.json#/Any"}

_TYPES: dict[str, dict[str, Any]] = {
    "assumeRoles": {"type": "array", "items": {"$ref": f"#/types/{_ROLE}"}},
    "assumeRole": {"$ref": f"#/types/{_ROLE}"},
    "assumeRoleWithWebIdentity": {"$ref": f"#/types/{_WEB_IDENTITY}"},
    "endpoints": {"type": "array", "items": {"$ref": f"#/types/{_ENDPOINT}"}},
    "maxRetries": _COUNT,
    "tokenBucketRateLimiterCapacity": _COUNT,
    **dict.fromkeys(("defaultTags", "ignoreTags"), _ANY),
    **dict.fromkeys(
        ("allowedAccountIds", "forbiddenAccountIds", "sharedConfigFiles", "sharedCredentialsFiles", "userAgents"),
        _TEXTS,
    ),
    **dict.fromkeys(
        (
            "insecure",
            "useFipsEndpoint",
            "useDualstackEndpoint",
            "skipMetadataApiCheck",
            "s3UsePathStyle",
            "skipCredentialsValidation",
            "skipRegionValidation",
            "skipRequestingAccountId",
        ),
        _FLAG,
    ),
}
"""The types of the settings that are no texts."""

_SESSION = {
    "sessionName": {**_TEXT, "description": "The session's name, for CloudTrail."},
    "duration": {**_TEXT, "description": 'How long its credentials last, 15m to 12h: "1h30m".'},
    "policy": {**_TEXT, "description": "An IAM policy as JSON text that narrows the role's rights."},
    "policyArns": {**_TEXTS, "description": "ARNs of IAM policies that narrow the role's rights."},
}

SETTING_TYPES: dict[str, dict[str, Any]] = {
    _ROLE: {
        "type": "object",
        "description": "A role to assume before AWS is called.",
        "properties": {
            "roleArn": {**_TEXT, "description": "The role's ARN."},
            **_SESSION,
            "externalId": {**_TEXT, "description": "The external id that the role asks for.", "secret": True},
            "tags": {**_PAIRS, "description": "Tags of the session."},
            "transitiveTagKeys": {**_TEXTS, "description": "The keys of tags that further roles are given, too."},
            "sourceIdentity": {**_TEXT, "description": "Who assumes the role, for CloudTrail."},
        },
        "required": ["roleArn"],
    },
    _WEB_IDENTITY: {
        "type": "object",
        "description": "A role to assume with a token of an OpenID Connect provider.",
        "properties": {
            "roleArn": {**_TEXT, "description": "The role's ARN."},
            "webIdentityToken": {**_TEXT, "description": "The token.", "secret": True},
            "webIdentityTokenFile": {**_TEXT, "description": "The file that the token is read from, each time anew."},
            **_SESSION,
        },
        "required": ["roleArn"],
    },
    _ENDPOINT: {
        "type": "object",
        "description": "URLs that replace AWS's own, by service.",
        "properties": {
            name: {**_TEXT, "description": f"The URL of {title}."}
            for name, title in (
                ("licensemanager", "AWS License Manager"),
                ("ec2", "Amazon EC2"),
                ("ssm", "AWS Systems Manager"),
                ("sts", "AWS STS"),
                ("sso", "AWS IAM Identity Center"),
            )
        },
    },
}


def make_settings() -> dict[str, dict[str, Any]]:
    """Return every setting as a property."""
    return {setting.key: _make_setting(setting) for setting in SETTINGS}


def _make_setting(setting: Setting) -> dict[str, Any]:
    words = {Treatment.HONOURED: "", Treatment.REFUSED: "Refused: ", Treatment.OF_NO_CONCERN: "Has no effect: "}
    note = f"{words[setting.treatment]}{setting.note}."
    spec = {**_TYPES.get(setting.key, _TEXT), "description": note[0].upper() + note[1:]}
    if setting.treatment is not Treatment.HONOURED or setting.key == "assumeRole":
        spec["deprecationMessage"] = spec["description"]
    return {**spec, "secret": True} if setting.key in SECRET_KEYS else spec
