"""What a stack, a resource and the environment say about who calls AWS, and where: one table of pulumi-aws's settings.

A setting that says who (credentials, roles, accounts) or where (region, endpoint, proxy, certificates) is honoured or
refused, never passed over in silence. `docs/settings.md` and the schema are written from these rows.

Least surprising first: what the resource says itself, the stack's settings, `AWS_REGION`, then all that botocore reads.
botocore is not imported here, except to look for a region in the shared config.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import Enum
from typing import Any

from lmconv_resource.aws.access import kinds
from lmconv_resource.aws.access.kinds import AssumedRole, Kind, Place, WebIdentity
from lmconv_resource.aws.access.loading import load
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import find_close, to_shown

ConfigGet = Callable[[str], Any]
"""Gives a value of the stack's configuration by its full key, None where it is not set."""


class Treatment(Enum):
    """What becomes of a setting; the value is the documentation's word."""

    HONOURED = "honoured"
    REFUSED = "refused"
    NO_EFFECT = "of no concern"


@dataclass(frozen=True)
class Setting:
    """One key in pulumi-aws's namespace, what it holds and what becomes of it, and how or why."""

    key: str
    kind: Kind
    note: str
    treatment: Treatment = Treatment.HONOURED
    is_secret: bool = False
    """Whether it is a secret however it was set."""

    def read(self, get: ConfigGet, prefix: str) -> Any:
        """Return the setting's value, None where it is not set or empty.

        Raises:
            SettingsError: it has another form.
        """
        name = f"{prefix}{self.key}"
        return self.kind.of(get(name), Place(name, f"Check it with `pulumi config get {name}`", self.key))


def _setting(key: str, kind: Kind, note: str, *, default: Any = None, is_secret: bool = False) -> Any:
    # A URL can hold a password.
    is_shown = not is_secret and kind is not kinds.PROXY and kind is not kinds.ENDPOINTS
    default = kind.default if default is None else default
    return field(default=default, repr=is_shown, metadata={"setting": Setting(key, kind, note, is_secret=is_secret)})


_DEFAULT_RETRIES = 7
"""After the first try: with the backoff of `calls` about 16 s of patience on average, 30 s at the most."""


def _members(kind: type[AssumedRole]) -> str:
    return ", ".join(f"`{member.key}`" for member in kinds.members_of(kind))


@dataclass(frozen=True)
class Settings:
    """All that makes one connection differ from another. Secrets stay out of its repr.

    A value of None leaves the matter to botocore, which asks the environment and the profile.
    """

    region: str = _setting(
        "region", kinds.TEXT, "before `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile's region", default=MISSING
    )
    profile: str | None = _setting(
        "profile",
        kinds.TEXT,
        "its credentials, and its own settings (FIPS, CA bundle, endpoints) also where `accessKey`, "
        "`assumeRoleWithWebIdentity` or a role takes the place of its credentials",
    )
    access_key: str | None = _setting(
        "accessKey",
        kinds.TEXT,
        "with `secretKey`, before a profile's and the environment's credentials",
        is_secret=True,
    )
    secret_key: str | None = _setting(
        "secretKey", kinds.TEXT, "with `accessKey`; one without the other is refused", is_secret=True
    )
    token: str | None = _setting(
        "token", kinds.TEXT, "the session token that belongs to `accessKey` and `secretKey`", is_secret=True
    )
    assumed_roles: tuple[AssumedRole, ...] = _setting(
        "assumeRoles", kinds.ROLES, f"one after the other; members {_members(AssumedRole)}"
    )
    """Each is assumed with the credentials of the one before it."""
    web_identity: WebIdentity | None = _setting(  # noqa: RUF009 -- a field
        "assumeRoleWithWebIdentity",
        kinds.WEB_IDENTITY,
        "members `roleArn`, one of `webIdentityToken` and `webIdentityTokenFile` (read anew each time the credentials "
        "are renewed), `sessionName`, `duration`, `policy`, `policyArns`; refused beside `accessKey`",
    )
    shared_config_files: tuple[str, ...] = _setting(
        "sharedConfigFiles",
        kinds.FILES,
        "instead of the default file; of several the last one wins, key by key",
    )
    shared_credentials_files: tuple[str, ...] = _setting(
        "sharedCredentialsFiles",
        kinds.FILES,
        "instead of the default file and before the environment's keys; of several the last one wins, key by key",
    )
    allowed_account_ids: tuple[str, ...] = _setting(
        "allowedAccountIds",
        kinds.ACCOUNTS,
        "`sts:GetCallerIdentity` is asked before anything else; credentials of another account are refused",
    )
    forbidden_account_ids: tuple[str, ...] = _setting(
        "forbiddenAccountIds", kinds.ACCOUNTS, "likewise; credentials of these accounts are refused"
    )
    endpoints: tuple[tuple[str, str], ...] = _setting(
        "endpoints",
        kinds.ENDPOINTS,
        f"of the services that are called: {', '.join(f'`{name}`' for name in kinds.SERVICES)}; others are not called, "
        "and a name that is like one of these is refused",
    )
    """URLs by boto3's name of the service."""
    sts_region: str | None = _setting(
        "stsRegion", kinds.REGION, "the region in which roles are assumed and the account is asked for"
    )
    use_fips_endpoint: bool | None = _setting(
        "useFipsEndpoint", kinds.FLAG, "`false` too, before the environment and the profile"
    )
    use_dualstack_endpoint: bool | None = _setting(
        "useDualstackEndpoint", kinds.FLAG, "`false` too, before the environment and the profile"
    )
    custom_ca_bundle: str | None = _setting(
        "customCaBundle", kinds.FILE, "a file, before `AWS_CA_BUNDLE` and the profile's `ca_bundle`"
    )
    http_proxy: str | None = _setting(
        "httpProxy", kinds.PROXY, "for endpoints that begin with `http:`, before `HTTP_PROXY`"
    )
    https_proxy: str | None = _setting(
        "httpsProxy", kinds.PROXY, "for endpoints that begin with `https:`, before `HTTPS_PROXY`"
    )
    no_proxy: str | None = _setting(
        "noProxy", kinds.NO_PROXY, "host names, domains, addresses and networks with commas between, before `NO_PROXY`"
    )
    ec2_metadata_service_endpoint: str | None = _setting(
        "ec2MetadataServiceEndpoint", kinds.URL, "where the credentials of an EC2 instance come from"
    )
    ec2_metadata_service_endpoint_mode: str | None = _setting(
        "ec2MetadataServiceEndpointMode", kinds.IP_MODE, "`IPv4` or `IPv6`"
    )
    skip_metadata_api_check: bool = _setting(
        "skipMetadataApiCheck",
        kinds.FLAG,
        "`true`: credentials of an EC2 instance are not used",
        default=False,
    )
    user_agents: tuple[str, ...] = _setting("userAgents", kinds.PRODUCTS, "appended to the User-Agent of all calls")
    max_retries: int = _setting(
        "maxRetries",
        kinds.COUNT,
        "how often a call is retried after a transient fault; 7 by default",
        default=_DEFAULT_RETRIES,
    )
    prefix: str = "aws:"
    """The namespace that the settings were read from, for the texts of errors."""

    @property
    def endpoint_urls(self) -> dict[str, str]:
        """The endpoint URLs that replace AWS's own, by boto3's name of the service."""
        return dict(self.endpoints)

    @property
    def restricts_accounts(self) -> bool:
        """Whether the caller's account has to be known before anything else is asked."""
        return bool(self.allowed_account_ids or self.forbidden_account_ids)

    @property
    def without_caller(self) -> Settings:
        """These settings without all that says who calls and how often: what makes one client differ from another."""
        mine = ("access_key", "secret_key", "token", "web_identity", "assumed_roles", "max_retries")
        accounts = ("allowed_account_ids", "forbidden_account_ids")
        unset: dict[str, Any] = {each.name: each.default for each in fields(self) if each.name in (*mine, *accounts)}
        return replace(self, **unset)

    @classmethod
    def from_config(
        cls,
        get: ConfigGet,
        region: str,
        *,
        profile: str | None = None,
        assume_roles: tuple[AssumedRole, ...] = (),
        prefix: str = "aws:",
    ) -> Settings:
        """Read the settings of a stack, and put a resource's own on top of them. Nothing is sent.

        Args:
            get: gives a setting by its full name, None where it is not set.
            region: the region to call.
            profile: the resource's own, which replaces the stack's profile, keys and web identity.
            assume_roles: the resource's own, assumed after the stack's roles.
            prefix: the namespace of the settings.

        Raises:
            SettingsError: a setting has not the form that pulumi-aws gives it, or can't be honoured.
        """
        read = {name: row.read(get, prefix) for name, row in _FIELDS.items() if name != "region"}
        given = {name: value for name, value in read.items() if value is not None}
        single = _ASSUME_ROLE.read(get, prefix)
        _check_together(given, single, prefix, is_insecure=_INSECURE.read(get, prefix), has_own_profile=bool(profile))
        if profile:
            for name in ("access_key", "secret_key", "token", "web_identity"):
                given.pop(name, None)
            given["profile"] = profile
        given["assumed_roles"] = (*(given.get("assumed_roles") or single or ()), *assume_roles)
        return cls(region=region, prefix=prefix, **given)


_FIELDS: dict[str, Setting] = {
    each.name: each.metadata["setting"] for each in fields(Settings) if "setting" in each.metadata
}
_ASSUME_ROLE = Setting("assumeRole", kinds.ROLES, "pulumi-aws 6's name for `assumeRoles`; both together are refused")
_INSECURE = Setting(
    "insecure",
    kinds.FLAG,
    "`true`: TLS certificates are always verified; `customCaBundle` names your own",
    Treatment.REFUSED,
)
_NO_TAGS = "a license conversion task has no tags"
_OWN_PACE = "calls are retried at a pace that all resources share"
_NO_EFFECT = (
    ("defaultTags", kinds.ANY, _NO_TAGS),
    ("ignoreTags", kinds.ANY, _NO_TAGS),
    ("tagPolicyCompliance", kinds.TEXT, _NO_TAGS),
    ("retryMode", kinds.TEXT, _OWN_PACE),
    ("tokenBucketRateLimiterCapacity", kinds.COUNT, _OWN_PACE),
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
_HONOURED = tuple(_FIELDS.values())
_AFTER_ROLES = _HONOURED.index(_FIELDS["assumed_roles"]) + 1

SETTINGS: tuple[Setting, ...] = (
    *_HONOURED[:_AFTER_ROLES],
    _ASSUME_ROLE,
    *_HONOURED[_AFTER_ROLES:],
    _INSECURE,
    *(Setting(key, kind, note, Treatment.NO_EFFECT) for key, kind, note in _NO_EFFECT),
)
"""Every setting of pulumi-aws, and what becomes of it here."""

_IGNORED = ("version", "pluginDownloadURL", "skipGetEc2Platforms", "s3ForcePathStyle")
"""Keys that Pulumi's engine takes in every provider's namespace, which say which plugin it runs, and two of an older
pulumi-aws that say nothing of who or where."""


def _check_together(
    given: dict[str, Any], single: object, prefix: str, *, is_insecure: bool | None, has_own_profile: bool
) -> None:
    """Raise a SettingsError where settings that are well-formed can't be honoured, or not together."""

    def refuse(key: str, reason: str, remedy: str) -> SettingsError:
        return Place(key, remedy, key).error(reason)

    has_key, has_secret, has_token = (name in given for name in ("access_key", "secret_key", "token"))
    # botocore would sign with the half it has, or fail on the other as if the answer could not be read.
    if has_key != has_secret or (has_token and not has_key):
        raise refuse(
            "accessKey",
            f"of the stack's {prefix}accessKey and {prefix}secretKey only one is set, or {prefix}token without them",
            "Set both with `pulumi config set --secret`, or neither",
        )
    if has_key and "web_identity" in given and not has_own_profile:
        raise refuse(
            "accessKey",
            f"{prefix}accessKey and {prefix}assumeRoleWithWebIdentity are both set, and only one can supply the "
            "credentials",
            "Remove one of them with `pulumi config rm`",
        )
    if given.get("assumed_roles") and single:
        raise refuse(
            "assumeRoles",
            f"{prefix}assumeRoles and {prefix}assumeRole are both set, and they are two names of one setting",
            f"Keep the roles in {prefix}assumeRoles only",
        )
    if is_insecure:
        raise refuse(
            "insecure",
            f"{prefix}insecure is true, and TLS certificates are always verified here",
            f"Remove it, and name your own certificates with `pulumi config set {prefix}customCaBundle FILE`",
        )


_OF_FLEETS = {"maxConcurrentConversions": "max_concurrent", "stopAfterFailures": "stop_after_failures"}
"""What were settings of the stack before there were fleets, and the inputs of a fleet that do it."""


def find_unknown_names(names: Iterable[str], *, prefix: str = "aws:", more: Iterable[str] = ()) -> list[str]:
    """Return which of a stack's settings are in the namespace and in no table: a newer pulumi-aws may know them.

    Args:
        names: full names, of other namespaces too.
        prefix: the namespace.
        more: keys that are settings beside those of the table.

    Raises:
        SettingsError: one is like a setting that is known, and may be meant to say who or where.
    """
    known = [*(setting.key for setting in SETTINGS), *more]
    unknown = []
    for name in sorted(names):
        key = name.removeprefix(prefix)
        if key == name or key in known or key in _IGNORED or key.startswith("__"):
            continue
        if prefix == "lmconv:" and key in _OF_FLEETS:
            remedy = f"Give a ConversionFleet {_OF_FLEETS[key]}, then run `pulumi config rm {name}`"
            raise Place(name, remedy, key).error(f"{name} is not a setting")
        meant = find_close(key, known)
        if meant:
            remedy = f"Write {prefix}{meant}, or remove it with `pulumi config rm {to_shown(name)}`"
            raise Place(name, remedy, meant).error(f"{to_shown(name)} is not a setting")
        unknown.append(name)
    return unknown


def find_region(
    get: ConfigGet,
    region: str | None = None,
    profile: str | None = None,
    *,
    recorded: str | None = None,
    prefix: str = "aws:",
) -> str | None:
    """Return the region to use: the resource's own, the stack's, the recorded one, the environment's or the profile's.

    The recorded one comes before the environment's, so that nobody's shell replaces a resource. None where none is set.

    Raises:
        SettingsError: the shared config has to be asked, and there is no such profile or it can't be read.
    """
    return (
        region
        or _FIELDS["region"].read(get, prefix)
        or recorded
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or _find_shared_config_region(get, profile, prefix)
    )


def _find_shared_config_region(get: ConfigGet, profile: str | None, prefix: str) -> str | None:
    load()
    from lmconv_resource.aws.access.shared_files import find_region_of_profile

    stack_profile, *files = (
        _FIELDS[name].read(get, prefix) or () for name in ("profile", "shared_config_files", "shared_credentials_files")
    )
    remedy = f"Check {prefix}profile (`pulumi config`), AWS_PROFILE and the AWS config file"
    return find_region_of_profile(profile or stack_profile or None, *files, remedy=remedy)


def check_account(settings: Settings, account_id: str, origin: str) -> None:
    """Raise a SettingsError when the stack's settings do not allow credentials of this account, and of this origin."""
    prefix, allowed, forbidden = settings.prefix, settings.allowed_account_ids, settings.forbidden_account_ids
    if allowed and account_id not in allowed:
        what, kind, key = f"allows {', '.join(allowed)} only", "an allowed", "allowedAccountIds"
    elif account_id in forbidden:
        what, kind, key = f"forbids {', '.join(forbidden)}", "another", "forbiddenAccountIds"
    else:
        return
    raise SettingsError(
        Subject(CONNECT_ACTION, region=settings.region),
        f"the credentials belong to account {account_id} ({origin}), and {prefix}{key} {what}",
        f"Use credentials of {kind} account, or change {prefix}{key}",
    )


_ENVIRONMENT = re.compile(
    r"AWS_.*|BOTO.*|(HTTP|HTTPS|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|SSL_CERT_(FILE|DIR)|HOME|USERPROFILE", re.IGNORECASE
)
"""The names of the environment variables that botocore reads, and those that say where its files are."""


def environment_key() -> str:
    """Return a fingerprint of the environment variables that botocore reads: another where one of them has changed."""
    found = sorted((name, value) for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    return hashlib.sha256(repr(found).encode("utf-8", "backslashreplace")).hexdigest()


def make_table() -> str:
    """Return the table in Markdown."""
    rows = [f"| `aws:{setting.key}` | {setting.treatment.value} | {setting.note} |" for setting in SETTINGS]
    return "\n".join(["| setting | is | how, or why |", "|---|---|---|", *rows])
