# ruff: noqa: RUF009 -- `row` returns a field
"""What a stack, a resource and the environment say about who calls AWS, and where: one table of pulumi-aws's settings.

A setting that says who (credentials, roles, accounts) or where (region, endpoint, proxy, certificates) is honoured or
refused, never passed over in silence. `docs/settings.md` and the schema are written from these rows.

Least surprising first: what the resource says itself, the stack's settings, `AWS_REGION`, then all that botocore reads.
botocore is not imported here, except to look for a region in the shared config.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from lmconv_resource.aws.access import kinds
from lmconv_resource.aws.access.kinds import AssumedRole, Kind, Member, Place, Roles, row
from lmconv_resource.errors import SettingsError
from lmconv_resource.text import fill, find_close, key, on_settings, to_camel, to_shown, to_snake, wording, written

ConfigGet = Callable[[str], Any]
"""Gives a value of the stack's configuration by its full key, in the host's namespace, None where it is not set."""


Treatment = Literal["honoured", "refused", "no effect"]
"""What becomes of a setting, in the documentation's word."""


@dataclass(frozen=True)
class Setting(Member):
    """One key in pulumi-aws's namespace, what it holds, how or why, and what becomes of it."""

    treatment: Treatment = "honoured"

    def read(self, get: ConfigGet) -> Any:
        """Return the setting's value, None where it is not set or empty, or raise a SettingsError about its form."""
        place = Place(key(self.key), on_settings(f"Check it with `pulumi config get {key(self.key)}`"), self.key)
        return self.kind.of(get(f"{wording().prefix}{self.key}"), place)


_LAST_WINS = "of several the last one wins, key by key"
_NOT_FALSE = "`false` too, before the environment and the profile"


def _members(kind: Kind) -> str:
    return ", ".join(f"`{member.key}`" for member in kind.members)


@dataclass(frozen=True, repr=False)
class Settings:
    """All that makes one connection differ from another. It has no repr, for it holds secrets.

    A value of None leaves the matter to botocore, which asks the environment and the profile.
    """

    region: str = row(kinds.TEXT, "before `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile's region", MISSING)
    profile: str | None = row(
        kinds.TEXT,
        "its credentials, and its own settings (FIPS, CA bundle, endpoints) also where `accessKey`, "
        "`assumeRoleWithWebIdentity` or a role takes the place of its credentials",
    )
    access_key: str | None = row(kinds.SECRET, "with `secretKey`, before a profile's and the environment's credentials")
    secret_key: str | None = row(kinds.SECRET, "with `accessKey`; one without the other is refused")
    token: str | None = row(kinds.SECRET, "the session token that belongs to `accessKey` and `secretKey`")
    assume_roles: Roles = row(kinds.ROLES, f"one after the other; members {_members(kinds.ROLES)}", ())
    assume_role_with_web_identity: AssumedRole | None = row(
        kinds.WEB_IDENTITY,
        "members `roleArn`, one of `webIdentityToken` and `webIdentityTokenFile` (read again each time the credentials "
        "are renewed), `sessionName`, `duration`, `policy`, `policyArns`; refused beside `accessKey`",
    )
    shared_config_files: tuple[str, ...] = row(kinds.FILES, f"instead of the default file; {_LAST_WINS}", ())
    shared_credentials_files: tuple[str, ...] = row(
        kinds.FILES, f"instead of the default file and before the environment's keys; {_LAST_WINS}", ()
    )
    allowed_account_ids: tuple[str, ...] = row(
        kinds.ACCOUNTS,
        "`sts:GetCallerIdentity` is asked before anything else; credentials of another account are refused",
        (),
    )
    forbidden_account_ids: tuple[str, ...] = row(
        kinds.ACCOUNTS, "likewise; credentials of these accounts are refused", ()
    )
    endpoints: tuple[tuple[str, str], ...] = row(
        kinds.ENDPOINTS,
        f"of the services that are called: {_members(kinds.ENDPOINTS)}; others are not called, and a name that is like "
        "one of these is refused",
        (),
    )
    """Pairs of boto3's name of the service and the URL that replaces AWS's own."""
    sts_region: str | None = row(kinds.REGION, "the region in which roles are assumed and the account is asked for")
    use_fips_endpoint: bool | None = row(kinds.FLAG, _NOT_FALSE)
    use_dualstack_endpoint: bool | None = row(kinds.FLAG, _NOT_FALSE)
    custom_ca_bundle: str | None = row(kinds.FILE, "a file, before `AWS_CA_BUNDLE` and the profile's `ca_bundle`")
    http_proxy: str | None = row(kinds.URL, "for endpoints that begin with `http:`, before `HTTP_PROXY`")
    https_proxy: str | None = row(kinds.URL, "for endpoints that begin with `https:`, before `HTTPS_PROXY`")
    no_proxy: str | None = row(
        kinds.NO_PROXY, "host names, domains, addresses and networks with commas between, before `NO_PROXY`"
    )
    ec2_metadata_service_endpoint: str | None = row(kinds.URL, "where the credentials of an EC2 instance come from")
    ec2_metadata_service_endpoint_mode: str | None = row(kinds.IP_MODE, "`IPv4` or `IPv6`")
    skip_metadata_api_check: bool = row(kinds.FLAG, "`true`: credentials of an EC2 instance are not used", False)
    user_agents: tuple[str, ...] = row(kinds.PRODUCTS, "appended to the User-Agent of all calls", ())
    max_retries: int = row(kinds.COUNT, "how often a call is retried after a transient fault; 7 by default", 7)
    """After the first try: with the backoff of `calls` about 16 s of patience on average, 30 s at the most."""

    @classmethod
    def from_config(
        cls, get: ConfigGet, region: str, *, profile: str | None = None, assume_roles: Roles = ()
    ) -> Settings:
        """Read the settings of a stack, and put a resource's own on top of them. Nothing is sent.

        A resource's profile replaces the stack's profile, keys and web identity; its roles come after the stack's. What
        has not the form that pulumi-aws gives it, or can't be honoured, is a SettingsError.
        """
        read = {name: row.read(get) for name, row in _ROWS.items() if name != "region"}
        given = {name: value for name, value in read.items() if value is not None}
        _check_together(given, has_own_profile=bool(profile))
        given.pop("insecure", None)
        if profile:
            for name in ("access_key", "secret_key", "token", "assume_role_with_web_identity"):
                given.pop(name, None)
            given["profile"] = profile
        single = given.pop("assume_role", ())
        given["assume_roles"] = (*(given.get("assume_roles") or single), *assume_roles)
        return cls(region=region, **given)


_NO_EFFECT = (
    *((name, kinds.ANY, "a license conversion task has no tags") for name in ("defaultTags", "ignoreTags")),
    ("tagPolicyCompliance", kinds.TEXT, "a license conversion task has no tags"),
    ("retryMode", kinds.TEXT, "calls are retried at a pace that all resources share"),
    ("tokenBucketRateLimiterCapacity", kinds.COUNT, "calls are retried at a pace that all resources share"),
    ("s3UsEast1RegionalEndpoint", kinds.TEXT, "S3 is not called"),
    ("s3UsePathStyle", kinds.FLAG, "S3 is not called"),
    ("skipCredentialsValidation", kinds.FLAG, "credentials are checked by the first call that needs them"),
    (
        "skipRegionValidation",
        kinds.FLAG,
        "a region is checked against the patterns of AWS's partitions only, which new regions match",
    ),
    (
        "skipRequestingAccountId",
        kinds.FLAG,
        "the account is asked for where `allowedAccountIds`, `forbiddenAccountIds` or a start need it",
    ),
)


def _make_settings() -> Iterator[Setting]:
    for each in fields(Settings):
        yield Setting(to_camel(each.name), **each.metadata)
        if each.name == "assume_roles":
            yield Setting("assumeRole", kinds.ROLES, "pulumi-aws 6's name for `assumeRoles`; both together are refused")
    note = "`true`: TLS certificates are always verified; `customCaBundle` names your own"
    yield Setting("insecure", kinds.FLAG, note, "refused")
    yield from (Setting(*row, "no effect") for row in _NO_EFFECT)


SETTINGS = tuple(_make_settings())
"""Every setting of pulumi-aws, and what becomes of it here."""

_ROWS = {to_snake(row.key): row for row in SETTINGS if row.treatment != "no effect"}
"""Those that are read, by the name that `Settings` has for them."""

_IGNORED = ("version", "pluginDownloadURL", "skipGetEc2Platforms", "s3ForcePathStyle")
"""Keys that Pulumi's engine takes in every provider's namespace, which say which plugin it runs, and two of an older
pulumi-aws that say nothing of who or where."""


def _refusal(at: str, reason: str, remedy: str, verb: str) -> SettingsError:
    return Place(at, on_settings(fill(remedy), verb), at).error(fill(reason))


def _check_together(given: dict[str, Any], *, has_own_profile: bool) -> None:
    """Raise a SettingsError where settings that are well-formed can't be honoured, or not together."""
    has_key, has_secret, has_token = (name in given for name in ("access_key", "secret_key", "token"))
    # botocore would sign with the half it has, or fail on the other as if the answer could not be read.
    if has_key != has_secret or (has_token and not has_key):
        reason = "of {the stack's }{aws:}accessKey and {aws:}secretKey only one is set, or {aws:}token without them"
        remedy = "Set both with `pulumi config set --secret`, or neither"
        raise _refusal("accessKey", reason, remedy, "Set both, or neither,")
    if has_key and "assume_role_with_web_identity" in given and not has_own_profile:
        both = "{aws:}accessKey and {aws:}assumeRoleWithWebIdentity are both set"
        reason, verb = f"{both}, and only one can supply the credentials", "Remove one of them"
        raise _refusal("accessKey", reason, f"{verb} with `pulumi config rm`", verb)
    if given.get("assume_roles") and given.get("assume_role"):
        reason = "{aws:}assumeRoles and {aws:}assumeRole are both set, and they are two names of one setting"
        raise _refusal("assumeRoles", reason, "Keep the roles in {aws:}assumeRoles only", "Keep assumeRoles only")
    if given.get("insecure"):
        reason = "{aws:}insecure is true, and TLS certificates are always verified here"
        remedy = "Remove it, and name your own certificates {with customCaBundle FILE}"
        raise _refusal("insecure", reason, remedy, "Remove it")


_OF_FLEETS = {"maxConcurrentConversions": "max_concurrent", "stopAfterFailures": "stop_after_failures"}
"""What were settings of the stack before there were fleets, and the inputs of a fleet that do it."""


def unknown_setting_names(names: Iterable[str], get: ConfigGet, *, prefix: str = "aws:") -> list[str]:
    """Return which of these settings, by their full names, no table has, and which `endpoints` are of other services.

    A newer pulumi-aws may know more of both. Raise a SettingsError for a name that is like a known one, and may be
    meant to say who or where, and for any under `lmconv:`, where nobody else has settings.
    """
    known = [setting.key for setting in SETTINGS]
    unknown = []
    for name in sorted(names):
        short = name.removeprefix(prefix)
        if name == f"{prefix}endpoints" and (others := kinds.other_services(get(name))):
            unknown.append(f"{name} ({', '.join(others)})")
        if short == name or short in (*known, *_IGNORED) or short.startswith("__"):
            continue
        meant, of_fleet = find_close(short, known), _OF_FLEETS.get(short) if prefix == "lmconv:" else None
        shown = name if of_fleet else to_shown(short if wording().provider else name)
        remove = f"`pulumi config rm {shown}`"
        if of_fleet:
            remedy = f"Give a ConversionFleet {written(of_fleet)}, then run {remove}"
        elif meant or prefix == "lmconv:":
            write = f"Write {prefix}{meant}, or remove" if meant else "Remove"
            remedy = on_settings(f"{write} it with {remove}", f"Write {meant}" if meant else "Remove it")
        else:
            unknown.append(name)
            continue
        raise Place(name, remedy, meant or short).error(f"{shown} is not a setting")
    return unknown


def resolve_region(
    get: ConfigGet, region: str | None = None, profile: str | None = None, recorded: str | None = None
) -> str | None:
    """Return the region: the resource's, the stack's, the recorded one, the environment's, the profile's, or None.

    The recorded one comes before the environment's, so that no shell replaces a resource. A profile that is needed and
    is not there, or can't be read, is a SettingsError.
    """
    found = region or _ROWS["region"].read(get) or recorded
    found = found or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if found:
        return str(found)
    stack_profile, *files = (
        _ROWS[name].read(get) or () for name in ("profile", "shared_config_files", "shared_credentials_files")
    )
    own: str | None = load("files").region_of_profile(profile or stack_profile or None, *files)
    return own


def load(module: str) -> Any:
    """Return a module of this package that brings botocore.

    `session` is always the first, where Python has other threads wait: urllib3's modules import each other, and of two
    threads that enter that circle at different places one can end with a `_DeadlockError`, which was seen once in a
    plugin's first calls.
    """
    importlib.import_module(f"{__package__}.session")
    return importlib.import_module(f"{__package__}.{module}")


_ENVIRONMENT = re.compile(
    r"AWS_.*|BOTO.*|(HTTP|HTTPS|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|SSL_CERT_(FILE|DIR)|HOME|USERPROFILE", re.IGNORECASE
)
"""The names of the environment variables that botocore reads, and those that say where its files are."""


def environment_key() -> str:
    """Return a fingerprint of the environment variables that botocore reads: another where one of them has changed."""
    found = sorted((name, value) for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    return hashlib.sha256(repr(found).encode("utf-8", "backslashreplace")).hexdigest()
