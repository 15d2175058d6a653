"""The roles to call as: assumed with other credentials, or with a token of a web identity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource.aws.access.settings_reader import Entry, SettingsReader
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject

_SESSION_NAME = "lmconv-resource"
_ROLE_KEYS = (
    "roleArn",
    "sessionName",
    "externalId",
    "duration",
    "policy",
    "policyArns",
    "tags",
    "transitiveTagKeys",
    "sourceIdentity",
)
_WEB_IDENTITY_KEYS = (
    "roleArn",
    "webIdentityToken",
    "webIdentityTokenFile",
    "sessionName",
    "duration",
    "policy",
    "policyArns",
)
_ROLES_FORM = 'a list of roles ([{"roleArn": "arn:aws:iam::ACCOUNT:role/NAME"}])'
_WEB_IDENTITY_FORM = 'an object ({"roleArn": "arn:aws:iam::ACCOUNT:role/NAME", "webIdentityTokenFile": "PATH"})'


def _to_snake_case(key: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key)


def _to_policy_members(policy: str | None, policy_arns: tuple[str, ...]) -> dict[str, Any]:
    return {"Policy": policy, "PolicyArns": [{"arn": arn} for arn in policy_arns]}


def _without_empty(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, [])}


@dataclass(frozen=True)
class AssumedRole:
    """A role to assume before calling: an entry of `aws:assumeRoles`, or a resource's own."""

    role_arn: str
    session_name: str = _SESSION_NAME
    external_id: str | None = field(default=None, repr=False)
    duration_seconds: int | None = None
    policy: str | None = field(default=None, repr=False)
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, Any], place: str = "assume_role") -> AssumedRole:
        """Return a resource's role, whose members are written `role_arn`, `external_id`, ….

        Raises:
            SettingsError: a member is not known or has another form; it names `place` and the member.
        """
        return _read_role(Entry(place, inputs, "Correct it in the program"), camel_case=False)

    @property
    def members(self) -> dict[str, Any]:
        """The members of sts:AssumeRole, without RoleArn."""
        return _without_empty(
            {
                "RoleSessionName": self.session_name,
                "ExternalId": self.external_id,
                "DurationSeconds": self.duration_seconds,
                **_to_policy_members(self.policy, self.policy_arns),
                "Tags": [{"Key": key, "Value": value} for key, value in self.tags],
                "TransitiveTagKeys": list(self.transitive_tag_keys),
                "SourceIdentity": self.source_identity,
            }
        )


@dataclass(frozen=True)
class WebIdentity:
    """The setting `aws:assumeRoleWithWebIdentity`: a role to assume with a token instead of credentials."""

    role_arn: str
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    """Is read each time that credentials are asked for, as the token in it is replaced from time to time."""
    session_name: str = _SESSION_NAME
    duration_seconds: int | None = None
    policy: str | None = field(default=None, repr=False)
    policy_arns: tuple[str, ...] = ()

    @property
    def members(self) -> dict[str, Any]:
        """The members of sts:AssumeRoleWithWebIdentity, without RoleArn and the token."""
        return _without_empty(
            {
                "RoleSessionName": self.session_name,
                "DurationSeconds": self.duration_seconds,
                **_to_policy_members(self.policy, self.policy_arns),
            }
        )


def parse_roles(value: Any, name: str = "assume_role", *, camel_case: bool = False) -> tuple[AssumedRole, ...]:
    """Return the roles of a resource: none, one, or a list that is a chain.

    Args:
        value: what the resource was given.
        name: the input's name, for errors.
        camel_case: whether members are written as in the stack's configuration (`roleArn`) instead of `role_arn`.

    Raises:
        SettingsError: it is none of these, or a member is wrong; it names the entry and the member.
    """
    remedy = "Correct it in the program"
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return (_read_role(Entry(name, value, remedy), camel_case=camel_case),)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, Mapping) for item in value):
        raise SettingsError(Subject(CONNECT_ACTION), f"{name} is neither a role nor a list of roles", remedy)
    return tuple(
        _read_role(Entry(f"entry {number} of {name}", item, remedy), camel_case=camel_case)
        for number, item in enumerate(value, 1)
    )


def read_stack_roles(reader: SettingsReader) -> tuple[AssumedRole, ...]:
    """Return the roles of the stack, under whichever of its two names they stand."""
    many, single = reader.entries("assumeRoles", _ROLES_FORM), reader.entries("assumeRole", _ROLES_FORM)
    if many and single:
        raise reader.refused(
            f"{reader.name('assumeRoles')} and {reader.name('assumeRole')} are both set, and they are two names of one "
            "setting",
            f"Keep the roles in {reader.name('assumeRoles')} only",
        )
    return tuple(_read_role(entry, camel_case=True) for entry in many or single)


def _read_role(entry: Entry, *, camel_case: bool) -> AssumedRole:
    known = _ROLE_KEYS if camel_case else tuple(_to_snake_case(key) for key in _ROLE_KEYS)
    arn, session, external, duration, policy, policy_arns, tags, transitive, source = known
    entry.check_keys(known)
    return AssumedRole(
        role_arn=entry.role_arn(arn),
        session_name=entry.session_text(session) or _SESSION_NAME,
        external_id=entry.text(external, "2 to 1224 letters, digits and _+=,.@:/-", r"[A-Za-z0-9_+=,.@:/-]{2,1224}"),
        duration_seconds=entry.duration_seconds(duration),
        policy=entry.policy(policy),
        policy_arns=entry.texts(policy_arns),
        tags=entry.pairs(tags),
        transitive_tag_keys=entry.texts(transitive),
        source_identity=entry.session_text(source),
    )


def read_web_identity(reader: SettingsReader) -> WebIdentity | None:
    """Return the stack's web identity, None when it has none."""
    key = "assumeRoleWithWebIdentity"
    entries = reader.entries(key, _WEB_IDENTITY_FORM)
    if not entries:
        return None
    if len(entries) > 1:
        raise reader.wrong(key, _WEB_IDENTITY_FORM)
    (entry,) = entries
    entry.check_keys(_WEB_IDENTITY_KEYS)
    token, token_file = entry.text("webIdentityToken", "a token", r"\S{4,}"), entry.text("webIdentityTokenFile")
    if (token is None) == (token_file is None):
        both = "webIdentityToken and webIdentityTokenFile"
        reason = f"needs one of {both}" if token is None else f"has both {both}: leave one of them out"
        raise reader.refused(f"{entry.place} {reason}", reader.remedy(key))
    if token_file is not None:
        token_file = reader.existing_file(f"webIdentityTokenFile of {entry.place}", token_file, reader.remedy(key))
    return WebIdentity(
        role_arn=entry.role_arn("roleArn"),
        token=token,
        token_file=token_file,
        session_name=entry.session_text("sessionName") or _SESSION_NAME,
        duration_seconds=entry.duration_seconds("duration"),
        policy=entry.policy("policy"),
        policy_arns=entry.texts("policyArns"),
    )
