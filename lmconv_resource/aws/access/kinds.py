# ruff: noqa: TRY004 -- a reader raises a ValueError for any other form
"""What a setting, or a member of one, may hold. A kind has its form in words, its reader and its type in a schema."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import find_close, parse_duration, to_camel, to_shown, to_snake, to_whole, written

_TEXT_SCHEMA: Mapping[str, Any] = {"type": "string"}
_SECRET_SCHEMA: Mapping[str, Any] = {**_TEXT_SCHEMA, "secret": True}
_LIST_SCHEMA: Mapping[str, Any] = {"type": "array", "items": _TEXT_SCHEMA}

_REGION = r"[a-z]{2,8}(-[a-z]{2,16})+-[0-9]{1,2}"


class Place(NamedTuple):
    """Where a value stands. `name` is it in errors, which never show the value: it may be a secret."""

    name: str
    remedy: str
    key: str = ""
    """The setting's, without its namespace."""
    is_member: bool = False
    spell: Callable[[str], str] = str
    """Returns how the name of a member is written there."""

    def error(self, reason: str) -> SettingsError:
        """Return an error about what stands here."""
        error = SettingsError(Subject(CONNECT_ACTION), reason, self.remedy)
        error.key = self.key
        return error


Read = Callable[[Any, Place], Any]
"""Returns a value as it is used, and raises a ValueError for another form."""


class Kind(NamedTuple):
    """A kind of value. Of an object's members, a required one comes first."""

    form: str
    read: Read
    schema: Mapping[str, Any] = _TEXT_SCHEMA
    """Its type, and whether it is a secret however it was set."""
    members: tuple[Member, ...] = ()
    """What an object of this kind has."""
    is_required: bool = False

    def of(self, value: Any, place: Place) -> Any:
        """Return a value as it is used, None where it is not set; a SettingsError for another form names the place."""
        if (value is None or value == "") and not self.is_required:
            return None
        try:
            if isinstance(value, str) and not place.is_member and (self.members or self.schema is _LIST_SCHEMA):
                value = json.loads(value)  # which is how Pulumi hands structured ones on
            return self.read(value, place)
        except (ValueError, RecursionError):
            # YAML and `pulumi config set --path` turn texts into numbers.
            quotes = ", but a number: write it in quotes" if place.is_member and type(value) in (int, float) else ""
            raise place.error(f"{place.name} is not {self.form}{quotes}") from None


@dataclass(frozen=True)
class Member:
    """A member of an object, or a setting, as pulumi-aws writes it: what it may hold, and what it is."""

    key: str
    kind: Kind
    description: str


def row(kind: Kind, description: str = "", default: Any = None) -> Any:
    """Return a field with what a member or a setting of its name says; a required one has no default."""
    metadata = {"kind": kind, "description": description}
    return field(default=MISSING if kind.is_required else default, metadata=metadata)


def is_region(value: str) -> bool:
    """Return whether a text has the form of an AWS region."""
    return bool(re.fullmatch(_REGION, value))


def _text(pattern: str = r"(?s).+") -> Callable[[Any, Place], str]:
    def read(value: Any, _: Place) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return read


def _list(read_one: Read, value: Any, place: Place) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError
    return tuple(read_one(each, place) for each in value)


def _objects(read_one: Read, value: Any, place: Place) -> tuple[Any, ...]:
    if isinstance(value, Mapping):
        return (read_one(value, place),)
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError
    entries = (place._replace(name=f"entry {number} of {place.name}") for number in count(1))
    return tuple(map(read_one, value, entries))


def _url(value: Any, place: Place) -> str:
    parts = urlsplit(_text()(value, place))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    return str(value)


def _flag(value: Any, _: Place) -> bool:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError
    return value in (True, "true")


def _digits(value: Any, place: Place, pattern: str) -> str:
    value = to_whole(value)  # YAML and `pulumi config set --path` turn them into numbers
    return _text(pattern)(str(value) if type(value) is int else value, place)


def _count(value: Any, place: Place) -> int:
    return int(_digits(value, place, "[0-9]{1,9}"))


def _accounts(value: Any, place: Place) -> tuple[str, ...]:
    return tuple(sorted(_list(partial(_digits, pattern="[0-9]{12}"), value, place)))


def _file(value: Any, place: Place) -> str:
    """Return the path without `~` and variables. botocore passes over a file that is not there in silence."""
    full = os.path.expanduser(os.path.expandvars(_text()(value, place)))
    if "\0" in full or not os.path.isfile(full):
        raise place.error(f"{place.name} names {to_shown(value)}, which is not a file")
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


TEXT = Kind("a string", _text())
SECRET = Kind("a string", _text(), _SECRET_SCHEMA)
NO_PROXY = Kind('a string ("HOST,DOMAIN")', _text())
URL = Kind("a URL (https://HOST)", _url)
REGION = Kind("an AWS region (eu-west-1)", _text(_REGION))
IP_MODE = Kind("IPv4 or IPv6", _text("(?i)ipv[46]"))
FLAG = Kind("true or false", _flag, {"type": "boolean"})
COUNT = Kind("a whole number of at least 0", _count, {"type": "integer"})
FILE = Kind("a string", _file)
FILES = Kind('a list of paths (["~/.aws/config"])', partial(_list, _file), _LIST_SCHEMA)
PRODUCTS = FILES._replace(form='a list of products (["NAME/VERSION"])', read=partial(_list, _text("[ -~]+")))
ACCOUNTS = FILES._replace(form='a list of account ids (["123456789012"])', read=_accounts)
ANY = Kind("anything", lambda value, _: value, {"$ref": "pulumi.json#/Any"})

_TEXTS = Kind("a list of strings", partial(_list, _text()), _LIST_SCHEMA)
_PAIRS = Kind("an object of strings", _pairs, {"type": "object", "additionalProperties": _TEXT_SCHEMA})
_ROLE_ARN = Kind(
    "the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)",
    _text(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/\S+"),
    is_required=True,
)
_SESSION_NAME = Kind("2 to 64 letters, digits and _+=,.@-", _text(r"[A-Za-z0-9_+=,.@-]{2,64}"))
_EXTERNAL_ID = Kind("2 to 1224 letters, digits and _+=,.@:/-", _text(r"[A-Za-z0-9_+=,.@:/-]{2,1224}"), _SECRET_SCHEMA)
_DURATION = Kind("a duration between 15m and 12h", _duration)
_POLICY = Kind("a policy as JSON text", _policy)
_TOKEN = Kind("a token", _text(r"\S{4,}"), _SECRET_SCHEMA)

_SERVICES = (
    Member("licensemanager", URL, "The URL of AWS License Manager."),
    Member("ec2", URL, "The URL of Amazon EC2."),
    Member("ssm", URL, "The URL of AWS Systems Manager."),
    Member("sts", URL, "The URL of AWS STS."),
    Member("sso", URL, "The URL of AWS IAM Identity Center."),  # called for a profile's credentials
)
"""The services that are called."""


@dataclass(frozen=True, repr=False)
class AssumedRole:
    """A role to assume before AWS is called, with the credentials there are or with a web identity's token.

    The SDK's `AssumeRoleArgs` has the first nine members too, and says what they are.
    """

    role_arn: str = row(_ROLE_ARN)
    session_name: str = row(_SESSION_NAME, default="lmconv-resource")
    duration: int | None = row(_DURATION)
    """In seconds."""
    policy: str | None = row(_POLICY)
    policy_arns: tuple[str, ...] = row(_TEXTS, default=())
    external_id: str | None = row(_EXTERNAL_ID)
    tags: tuple[tuple[str, str], ...] = row(_PAIRS, default=())
    transitive_tag_keys: tuple[str, ...] = row(_TEXTS, default=())
    source_identity: str | None = row(_SESSION_NAME)
    web_identity_token: str | None = row(_TOKEN, "The token.")
    web_identity_token_file: str | None = row(FILE, "The file that the token is read from, each time again.")

    def to_sts(self) -> dict[str, Any]:
        """Return what STS is sent, without RoleArn and a token."""
        given = {
            "RoleSessionName": self.session_name,
            "DurationSeconds": self.duration,
            "Policy": self.policy,
            "PolicyArns": [{"arn": arn} for arn in self.policy_arns],
            "ExternalId": self.external_id,
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags],
            "TransitiveTagKeys": list(self.transitive_tag_keys),
            "SourceIdentity": self.source_identity,
        }
        return {name: value for name, value in given.items() if value}


Roles = tuple[AssumedRole, ...]
"""Each is assumed with the credentials of the one before it."""

_MEMBERS = tuple(Member(to_camel(each.name), **each.metadata) for each in fields(AssumedRole))
_ROLE_MEMBERS, _WEB_IDENTITY_MEMBERS = _MEMBERS[:9], (*_MEMBERS[:5], *_MEMBERS[9:])
"""Both kinds of role have the first five; the last two are a web identity's."""


def _read_members(value: Any, place: Place, members: tuple[Member, ...]) -> dict[str, Any]:
    """Return what is given of these members, by their names in snake_case."""
    found = {}
    for member in members:
        key = place.spell(member.key)
        at = place._replace(name=f"{written(key)} of {place.name}", is_member=True)
        found[to_snake(member.key)] = member.kind.of(value.get(key), at)
    return {name: each for name, each in found.items() if each is not None}


def _read_role(value: Any, place: Place, members: tuple[Member, ...] = _ROLE_MEMBERS) -> AssumedRole:
    keys = [place.spell(each.key) for each in members]
    for key in value:
        if key not in keys:
            raise place.error(f"{place.name} has {to_shown(key)}, which is not one of {', '.join(map(written, keys))}")
    return AssumedRole(**_read_members(value, place, members))


def _web_identity(value: Any, place: Place) -> AssumedRole | None:
    if isinstance(value, (list, tuple)):
        if not value:
            return None
        (value,) = value
    if not isinstance(value, Mapping):
        raise ValueError
    tokens = ("webIdentityToken", "webIdentityTokenFile")
    given = [name for name in tokens if value.get(name)]
    if len(given) > 1:
        raise place.error(f"{place.name} has both {' and '.join(tokens)}: leave one of them out")
    identity = _read_role(value, place, _WEB_IDENTITY_MEMBERS)
    if not given:
        raise place.error(f"{place.name} needs one of {' and '.join(tokens)}")
    return identity


def parse_roles(value: Any) -> Roles:
    """Return the roles of a resource: none, one, or a list that is a chain, with members as Python writes them.

    Raise a SettingsError for anything else; it names the entry and the member.
    """
    place = Place(written("assume_role"), "Correct it in the program", spell=to_snake)
    try:
        return _objects(_read_role, () if value is None else value, place)
    except ValueError:
        raise place.error(f"{place.name} is neither a role nor a list of roles") from None


def _endpoint(value: Any, place: Place) -> dict[str, str]:
    """Return the URLs of the services that are called. A key that is like one of them may be meant for it."""
    services = [each.key for each in _SERVICES]
    for key in value:
        meant = None if key in services else find_close(key.replace("-", ""), services)
        if meant:
            raise place.error(f"{place.name} has {to_shown(key)}, which pulumi-aws writes {meant}")
    return _read_members(value, place, _SERVICES)


def other_services(value: Any) -> list[str]:
    """Return the services in a value of `endpoints` that are not called."""
    with suppress(ValueError):
        value = json.loads(value) if isinstance(value, str) else value
    entries = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Mapping)]
    return sorted({str(key) for each in entries for key in each}.difference(each.key for each in _SERVICES))


def _endpoints(value: Any, place: Place) -> tuple[tuple[str, str], ...]:
    to_boto3 = {"licensemanager": "license-manager"}
    pairs = (pair for urls in _objects(_endpoint, value, place) for pair in urls.items())
    # Of a service that is named twice, the last one.
    return tuple(sorted({to_boto3.get(service, service): url for service, url in pairs}.items()))


_ROLE_FORM = '{"roleArn": "arn:aws:iam::ACCOUNT:role/NAME"'
ROLES = Kind(f"a list of roles ([{_ROLE_FORM}}}])", partial(_objects, _read_role), members=_ROLE_MEMBERS)
WEB_IDENTITY = Kind(
    f'an object ({_ROLE_FORM}, "webIdentityTokenFile": "PATH"}})', _web_identity, members=_WEB_IDENTITY_MEMBERS
)
ENDPOINTS = Kind('a list of services and URLs ([{"licensemanager": "https://HOST"}])', _endpoints, members=_SERVICES)
