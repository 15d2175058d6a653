"""What a stack, a resource and the environment say about how to reach AWS, read into one value.

Least surprising first: the resource's own region, the stack's pulumi-aws settings (`aws:region`, `aws:profile`, …),
`AWS_REGION`, then all that boto3 reads by itself. boto3 is not imported here, except to look for a region in the shared
config.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import parse_duration

ConfigGet = Callable[[str], Any]
"""Gives a value of the stack's configuration by its full key, None where it is not set."""

_SERVICES = {"licensemanager": "license-manager", "ec2": "ec2", "sts": "sts"}
"""pulumi-aws's names of the services that are called, and boto3's."""

_LONGEST_ROLE_SECONDS = 12 * 3600
"""What STS allows a role's credentials at the most."""

_DEFAULT_RETRIES = 7
"""After the first try: with the backoff in `tasks` about 16 s of patience on average, 30 s at the most."""

_ENVIRONMENT = re.compile(
    r"AWS_.*|BOTO.*|(HTTP|HTTPS|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|SSL_CERT_(FILE|DIR)|HOME|USERPROFILE", re.IGNORECASE
)
"""The names of the environment variables that botocore, and what it is built on, read."""


@dataclass(frozen=True)
class AssumedRole:
    """A role to assume before calling, one entry of `aws:assumeRoles`."""

    role_arn: str
    session_name: str = "lmconv-resource"
    external_id: str | None = field(default=None, repr=False)
    duration_seconds: int | None = None
    policy: str | None = None
    source_identity: str | None = None


@dataclass(frozen=True)
class Settings:
    """All that makes one connection differ from another. Secrets stay out of its repr."""

    region: str
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assumed_roles: tuple[AssumedRole, ...] = ()
    endpoints: tuple[tuple[str, str], ...] = ()
    """Endpoint URLs by boto3's name of the service."""
    max_retries: int = _DEFAULT_RETRIES

    @property
    def endpoint_urls(self) -> dict[str, str]:
        """The endpoint URLs that replace AWS's own, by boto3's name of the service."""
        return dict(self.endpoints)

    @classmethod
    def from_config(cls, get: ConfigGet, region: str) -> Settings:
        """Read the stack's pulumi-aws settings.

        Raises:
            SettingsError: a setting has not the form that pulumi-aws gives it.
        """
        endpoints = _to_endpoints(get("aws:endpoints"))
        # botocore would sign with the half it has, or fail on the other as if the answer could not be read.
        if (get("aws:token") or get("aws:accessKey") or get("aws:secretKey")) and not (
            get("aws:accessKey") and get("aws:secretKey")
        ):
            raise SettingsError(
                Subject(CONNECT_ACTION, region=region),
                "of the stack's aws:accessKey and aws:secretKey only one is set, or aws:token without them",
                "Set both with `pulumi config set --secret`, or neither",
            )
        return cls(
            region=region,
            profile=get("aws:profile") or None,
            access_key=get("aws:accessKey") or None,
            secret_key=get("aws:secretKey") or None,
            token=get("aws:token") or None,
            assumed_roles=_to_roles(get("aws:assumeRoles")),
            endpoints=tuple((name, endpoints[key]) for key, name in _SERVICES.items() if endpoints.get(key)),
            max_retries=_to_retries(get("aws:maxRetries")),
        )


def find_region(get: ConfigGet, region: str | None = None) -> str | None:
    """Give the region to use: the resource's own, the stack's, the environment's or the shared config's; else None."""
    found = region or get("aws:region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return found or _find_shared_config_region(get("aws:profile") or None)


def _find_shared_config_region(profile: str | None) -> str | None:
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        region: str | None = botocore.session.Session(profile=profile).get_config_variable("region")
    except BotoCoreError as cause:  # no such profile, or a config file that can't be read
        raise SettingsError(
            Subject(CONNECT_ACTION),
            str(cause).rstrip("."),
            "Check aws:profile (`pulumi config`), AWS_PROFILE and the AWS config file",
        ) from cause
    return region


def _wrong(key: str, form: str) -> SettingsError:
    # Without the value: an endpoint or a role may carry what its owner calls a secret.
    return SettingsError(
        Subject(CONNECT_ACTION), f"the stack's {key} is not {form}", f"Look at it with `pulumi config get {key}`"
    )


def _to_list(key: str, value: Any, form: str) -> list[dict[str, Any]]:
    """Read a structured setting: Pulumi hands it on as JSON text."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as cause:
            raise _wrong(key, form) from cause
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _wrong(key, form)
    return value


def _to_endpoints(value: Any) -> dict[str, str]:
    form = 'a list of services and URLs ([{"licensemanager": "https://…"}])'
    merged: dict[str, str] = {}
    for entry in _to_list("aws:endpoints", value, form):
        merged.update(entry)
    if not all(isinstance(url, str) for url in merged.values()):
        raise _wrong("aws:endpoints", form)
    return merged


def _to_roles(value: Any) -> tuple[AssumedRole, ...]:
    form = 'a list of roles ([{"roleArn": "arn:aws:iam::…"}])'
    roles = []
    for entry in _to_list("aws:assumeRoles", value, form):
        texts = [entry.get(name) for name in ("sessionName", "externalId", "policy", "sourceIdentity")]
        if not isinstance(entry.get("roleArn"), str) or not all(isinstance(text, (str, type(None))) for text in texts):
            raise _wrong("aws:assumeRoles", form)
        roles.append(
            AssumedRole(
                role_arn=entry["roleArn"],
                session_name=entry.get("sessionName") or AssumedRole.session_name,
                external_id=entry.get("externalId"),
                duration_seconds=_to_seconds(entry.get("duration"), form),
                policy=entry.get("policy"),
                source_identity=entry.get("sourceIdentity"),
            )
        )
    return tuple(roles)


def _to_seconds(value: Any, form: str) -> int | None:
    if value is None:
        return None
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None or not 1 <= seconds <= _LONGEST_ROLE_SECONDS:
        raise _wrong("aws:assumeRoles", form)
    return int(seconds)


def _to_retries(value: Any) -> int:
    if value is None or value == "":
        return _DEFAULT_RETRIES
    try:
        retries = int(value)
    except (TypeError, ValueError) as cause:
        raise _wrong("aws:maxRetries", "a whole number") from cause
    if retries < 0:
        raise _wrong("aws:maxRetries", "a whole number of at least 0")
    return retries


def environment_key() -> str:
    """Return a fingerprint of the environment variables that botocore reads: another where one of them has changed."""
    found = sorted((name, value) for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    return hashlib.sha256(repr(found).encode("utf-8", "backslashreplace")).hexdigest()
