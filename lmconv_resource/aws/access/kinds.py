# ruff: noqa: TRY004 -- a reader raises a ValueError for any other form
"""What a setting, or a member of one, may hold. A kind has its form in words, its reader and its type in a schema."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import find_close, parse_duration, to_shown

_TEXT_SCHEMA: Mapping[str, Any] = {"type": "string"}
_LIST_SCHEMA: Mapping[str, Any] = {"type": "array", "items": _TEXT_SCHEMA}

_REGION = r"[a-z]{2,8}(-[a-z]{2,16})+-[0-9]{1,2}"


@dataclass(frozen=True)
class Place:
    """Where a value stands. `name` is it in errors, which never show the value: it may be a secret."""

    name: str
    remedy: str
    key: str = ""
    """The setting's, without its namespace."""
    is_member: bool = False

    def error(self, reason: str, remedy: str | None = None) -> SettingsError:
        """Return an error about what stands here."""
        error = SettingsError(Subject(CONNECT_ACTION), reason, remedy or self.remedy)
        error.key = self.key
        return error

    def wrong(self, form: str, value: object = None) -> SettingsError:
        """Return the error of a value that has another form than this one."""
        is_number = self.is_member and isinstance(value, (int, float)) and not isinstance(value, bool)
        # YAML and `pulumi config set --path` turn texts into numbers.
        return self.error(f"{self.name} is not {form}" + (", but a number: write it in quotes" if is_number else ""))

    def member(self, key: str) -> Place:
        """Return the place of a member."""
        return replace(self, name=f"{key} of {self.name}", is_member=True)

    def entry(self, number: int) -> Place:
        """Return the place of an entry of a list."""
        return replace(self, name=f"entry {number} of {self.name}")


@dataclass(frozen=True)
class Kind:
    """A kind of value. `read` returns the value as it is used, and raises a ValueError for another form."""

    form: str
    read: Callable[[Any, Place], Any]
    schema: Mapping[str, Any] = field(default_factory=lambda: _TEXT_SCHEMA)
    is_structured: bool = False
    """Whether a setting may be JSON text, which is how Pulumi hands structured ones on."""
    default: Any = None

    def of(self, value: Any, place: Place) -> Any:
        """Return a value as it is used, None where it is not set or empty.

        Raises:
            SettingsError: it has another form; it names the place.
        """
        if value is None or value == "":
            return None
        try:
            if self.is_structured and isinstance(value, str) and not place.is_member:
                value = json.loads(value)
            return self.read(value, place)
        except (ValueError, RecursionError):
            raise place.wrong(self.form, value) from None


# -- readers -----------------------------------------------------------------------------------------------------------


def is_region(value: str) -> bool:
    """Return whether a text has the form of an AWS region."""
    return bool(re.fullmatch(_REGION, value))


def _text(pattern: str = r"(?s).+") -> Callable[[Any, Place], str]:
    def read(value: Any, _: Place) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return read


def _list_of(read_one: Callable[[Any, Place], Any]) -> Callable[[Any, Place], tuple[Any, ...]]:
    def read(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError
        return tuple(read_one(each, place) for each in value)

    return read


def _url(value: Any, place: Place) -> str:
    parts = urlsplit(_text()(value, place))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    return str(value)


def _flag(value: Any, _: Place) -> bool:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError
    return value in (True, "true")


def _count(value: Any, _: Place) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # Pulumi hands numbers on as floats
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _accounts(value: Any, place: Place) -> tuple[str, ...]:
    def read_one(one: Any, place: Place) -> str:  # YAML and `pulumi config set --path` turn them into numbers
        whole = int(one) if isinstance(one, float) and one.is_integer() else one
        text = str(whole) if isinstance(whole, int) and not isinstance(whole, bool) else whole
        return _text("[0-9]{12}")(text, place)

    return tuple(sorted(_list_of(read_one)(value, place)))


def _file(value: Any, place: Place) -> str:
    """Return the path without `~` and variables. botocore passes over a file that is not there in silence."""
    full = os.path.expanduser(os.path.expandvars(_text()(value, place)))
    if "\0" in full or not os.path.isfile(full):
        raise place.error(f"{place.name} names {to_shown(value)}, which is no file")
    return full


def _pairs(value: Any, place: Place) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError
    return tuple(sorted((_text()(name, place), text) for name, text in value.items()))


def _duration(value: Any, place: Place) -> int:
    seconds = parse_duration(_text()(value, place))
    if seconds is None or not 15 * 60 <= seconds <= 12 * 3600:  # what STS allows
        raise ValueError
    return int(seconds)


def _policy(value: Any, place: Place) -> str:
    if not isinstance(json.loads(_text()(value, place)), dict):
        raise ValueError
    return str(value)


def _entries(read_one: Callable[[Any, Place], Any]) -> Callable[[Any, Place], tuple[Any, ...]]:
    """Return what reads a list of objects, or a single one."""

    def read(value: Any, place: Place) -> tuple[Any, ...]:
        if isinstance(value, Mapping):
            return (read_one(value, place),)
        if not isinstance(value, (list, tuple)) or not all(isinstance(each, Mapping) for each in value):
            raise ValueError
        return tuple(read_one(each, place.entry(number)) for number, each in enumerate(value, 1))

    return read


TEXT = Kind("a text", _text())
NO_PROXY = Kind('a string ("HOST,DOMAIN")', _text())
URL = Kind("a URL (https://HOST)", _url)
PROXY = Kind(URL.form, _url)
REGION = Kind("an AWS region (eu-west-1)", _text(_REGION))
IP_MODE = Kind("IPv4 or IPv6", _text("(?i)ipv[46]"))
FLAG = Kind("true or false", _flag, {"type": "boolean"})
COUNT = Kind("a whole number of at least 0", _count, {"type": "integer"})
FILE = Kind("a text", _file)
FILES = Kind('a list of paths (["~/.aws/config"])', _list_of(_file), _LIST_SCHEMA, is_structured=True, default=())
PRODUCTS = replace(FILES, form='a list of products (["NAME/VERSION"])', read=_list_of(_text("[ -~]+")))
ACCOUNTS = replace(FILES, form='a list of account ids (["123456789012"])', read=_accounts)
ANY = Kind("anything", lambda value, _: value, {"$ref": "pulumi.json#/Any"})

_TEXTS = Kind("a list of strings", _list_of(_text()), _LIST_SCHEMA, default=())
_PAIRS_SCHEMA = {"type": "object", "additionalProperties": dict(_TEXT_SCHEMA)}
_PAIRS = Kind("an object of strings", _pairs, _PAIRS_SCHEMA, default=())
_ROLE_ARN = Kind("the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)", _text(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/\S+"))
_SESSION_NAME = Kind("2 to 64 letters, digits and _+=,.@-", _text(r"[A-Za-z0-9_+=,.@-]{2,64}"))
_EXTERNAL_ID = Kind("2 to 1224 letters, digits and _+=,.@:/-", _text(r"[A-Za-z0-9_+=,.@:/-]{2,1224}"))
_DURATION = Kind("a duration between 15m and 12h", _duration)
_POLICY = Kind("a policy as JSON text", _policy)
_TOKEN = Kind("a token", _text(r"\S{4,}"))


# -- objects -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member of an object: its key, kind, and words; and what it is to STS, if it is sent there."""

    key: str
    kind: Kind
    description: str
    sts: str = ""
    to_sts: Callable[[Any], Any] = lambda value: value
    is_secret: bool = False
    is_required: bool = False


def _member(key: str, kind: Kind, description: str, *, default: Any = None, **more: Any) -> Any:
    member = Member(key, kind, description, **more)
    if member.is_required:
        return field(metadata={"member": member})
    default, is_shown = default or kind.default, not (member.is_secret or kind is _POLICY)
    return field(default=default, repr=is_shown, metadata={"member": member})


@dataclass(frozen=True)
class _Session:
    """What a session of a role can have, whatever it is assumed with."""

    role_arn: str = _member("roleArn", _ROLE_ARN, "The role's ARN.", is_required=True)
    session_name: str = _member(
        "sessionName",
        _SESSION_NAME,
        "The session's name, for CloudTrail.",
        default="lmconv-resource",
        sts="RoleSessionName",
    )
    duration_seconds: int | None = _member(
        "duration", _DURATION, 'How long its credentials last, 15m to 12h: "1h30m".', sts="DurationSeconds"
    )
    policy: str | None = _member(
        "policy", _POLICY, "An IAM policy as JSON text that narrows the role's rights.", sts="Policy"
    )
    policy_arns: tuple[str, ...] = _member(
        "policyArns",
        _TEXTS,
        "ARNs of IAM policies that narrow the role's rights.",
        sts="PolicyArns",
        to_sts=lambda arns: [{"arn": arn} for arn in arns],
    )

    @property
    def members(self) -> dict[str, Any]:
        """What STS is sent, without RoleArn and a token."""
        given = [(each["member"], getattr(self, name)) for name, each in _metadata(type(self))]
        return {member.sts: member.to_sts(value) for member, value in given if member.sts and value}


@dataclass(frozen=True)
class AssumedRole(_Session):
    """A role to assume before AWS is called."""

    external_id: str | None = _member(
        "externalId", _EXTERNAL_ID, "The external id that the role requires.", sts="ExternalId", is_secret=True
    )
    tags: tuple[tuple[str, str], ...] = _member(
        "tags",
        _PAIRS,
        "Tags of the session.",
        sts="Tags",
        to_sts=lambda tags: [{"Key": key, "Value": value} for key, value in tags],
    )
    transitive_tag_keys: tuple[str, ...] = _member(
        "transitiveTagKeys",
        _TEXTS,
        "The keys of tags that further roles are given, too.",
        sts="TransitiveTagKeys",
        to_sts=list,
    )
    source_identity: str | None = _member(
        "sourceIdentity", _SESSION_NAME, "Who assumes the role, for CloudTrail.", sts="SourceIdentity"
    )


@dataclass(frozen=True)
class WebIdentity(_Session):
    """A role to assume with a token of an OpenID Connect provider."""

    token: str | None = _member("webIdentityToken", _TOKEN, "The token.", is_secret=True)
    token_file: str | None = _member(
        "webIdentityTokenFile", FILE, "The file that the token is read from, each time anew."
    )


SERVICES = {
    "licensemanager": ("license-manager", "AWS License Manager"),
    "ec2": ("ec2", "Amazon EC2"),
    "ssm": ("ssm", "AWS Systems Manager"),
    "sts": ("sts", "AWS STS"),
    "sso": ("sso", "AWS IAM Identity Center"),
}
"""By pulumi-aws's name of a service that is called: boto3's, and AWS's. SSO is called for a profile's credentials."""


def _metadata(kind: type) -> list[tuple[str, Mapping[str, Any]]]:
    return [(each.name, each.metadata) for each in fields(kind)]


def members_of(kind: type[_Session]) -> tuple[Member, ...]:
    """Return the members of a role or of a web identity."""
    return tuple(metadata["member"] for _, metadata in _metadata(kind))


def to_snake_case(key: str) -> str:
    """Return a key as Python programs write it."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key)


def read_object(kind: type[Any], value: Any, place: Place, write_key: Callable[[str], str] = str) -> Any:
    """Return an object, whose keys are written as `write_key` writes those of pulumi-aws.

    Raises:
        SettingsError: a member is not known or has another form; it names the member.
    """
    table = {write_key(metadata["member"].key): (name, metadata["member"]) for name, metadata in _metadata(kind)}
    for key in value:
        if key not in table:
            raise place.error(f"{place.name} has {to_shown(key)}, which is none of {', '.join(table)}")
    found = {}
    for key, (name, member) in table.items():
        read = member.kind.of(value.get(key), place.member(key))
        if read is not None:
            found[name] = read
        elif member.is_required:
            raise place.member(key).wrong(member.kind.form)
    return kind(**found)


def _web_identities(value: Any, place: Place) -> WebIdentity | None:
    if isinstance(value, (list, tuple)) and len(value) > 1:
        raise ValueError
    return next(iter(_entries(_web_identity)(value, place)), None)


def _web_identity(value: Any, place: Place) -> WebIdentity:
    both = ("webIdentityToken", "webIdentityTokenFile")
    if all(value.get(key) for key in both):
        raise place.error(f"{place.name} has both {' and '.join(both)}: leave one of them out")
    identity: WebIdentity = read_object(WebIdentity, value, place)
    if not (identity.token or identity.token_file):
        raise place.error(f"{place.name} needs one of {' and '.join(both)}")
    return identity


def _endpoints(value: Any, place: Place) -> tuple[tuple[str, str], ...]:
    urls: dict[str, str] = {}
    for entry in _entries(_endpoint)(value, place):
        urls |= entry
    return tuple(sorted(urls.items()))


def _endpoint(value: Any, place: Place) -> dict[str, str]:
    """Return the URLs of the services that are called. A key that is like one of them may be meant for it."""
    for key in value:
        meant = None if key in SERVICES else find_close(key.replace("-", ""), SERVICES)
        if meant:
            raise place.error(f"{place.name} has {to_shown(key)}, which pulumi-aws writes {meant}")
    urls = {name: URL.of(value.get(key), place.member(key)) for key, (name, _) in SERVICES.items()}
    return {name: url for name, url in urls.items() if url}


ROLES = Kind(
    'a list of roles ([{"roleArn": "arn:aws:iam::ACCOUNT:role/NAME"}])',
    _entries(lambda value, place: read_object(AssumedRole, value, place)),
    is_structured=True,
    default=(),
)
WEB_IDENTITY = Kind(
    'an object ({"roleArn": "arn:aws:iam::ACCOUNT:role/NAME", "webIdentityTokenFile": "PATH"})',
    _web_identities,
    is_structured=True,
)
ENDPOINTS = Kind(
    'a list of services and URLs ([{"licensemanager": "https://HOST"}])', _endpoints, is_structured=True, default=()
)


def parse_roles(value: Any, name: str = "assume_role") -> tuple[AssumedRole, ...]:
    """Return the roles of a resource: none, one, or a list that is a chain, with members as Python writes them.

    Raises:
        SettingsError: it is none of these, or a member is wrong; it names the entry and the member.
    """
    place = Place(name, "Correct it in the program")
    try:
        read = _entries(lambda each, place: read_object(AssumedRole, each, place, to_snake_case))
        return () if value is None else read(value, place)
    except ValueError:
        raise place.error(f"{name} is neither a role nor a list of roles") from None
