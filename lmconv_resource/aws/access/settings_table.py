"""Every setting of pulumi-aws, and what becomes of it here.

A setting that says who (credentials, roles, accounts) or where (region, endpoint, proxy, certificates) is honoured or
refused, never passed over in silence. `docs/settings.md` is written from this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import find_close, to_shown


class Treatment(Enum):
    """What becomes of a setting; the value is the documentation's word."""

    HONOURED = "honoured"
    REFUSED = "refused"
    OF_NO_CONCERN = "of no concern"


@dataclass(frozen=True)
class Setting:
    """One key in pulumi-aws's namespace, what becomes of it, and how or why."""

    key: str
    treatment: Treatment
    note: str


_HONOURED, _REFUSED, _OF_NO_CONCERN = Treatment

SETTINGS = (
    Setting("region", _HONOURED, "before `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile's region"),
    Setting(
        "profile",
        _HONOURED,
        "its credentials, and its own settings (FIPS, CA bundle, endpoints) also where `accessKey`, "
        "`assumeRoleWithWebIdentity` or a role takes the place of its credentials",
    ),
    Setting("accessKey", _HONOURED, "with `secretKey`, before a profile's and the environment's credentials"),
    Setting("secretKey", _HONOURED, "with `accessKey`; one without the other is refused"),
    Setting("token", _HONOURED, "the session token that belongs to `accessKey` and `secretKey`"),
    Setting(
        "assumeRoles",
        _HONOURED,
        "one after the other; members `roleArn`, `sessionName`, `externalId`, `duration`, `policy`, `policyArns`, "
        "`tags`, `transitiveTagKeys`, `sourceIdentity`",
    ),
    Setting("assumeRole", _HONOURED, "pulumi-aws 6's name for `assumeRoles`; both together are refused"),
    Setting(
        "assumeRoleWithWebIdentity",
        _HONOURED,
        "members `roleArn`, one of `webIdentityToken` and `webIdentityTokenFile` (read anew each time the credentials "
        "are renewed), `sessionName`, `duration`, `policy`, `policyArns`; refused beside `accessKey`",
    ),
    Setting(
        "sharedConfigFiles",
        _HONOURED,
        "instead of the default file; of several the last one wins, key by key",
    ),
    Setting(
        "sharedCredentialsFiles",
        _HONOURED,
        "instead of the default file and before the environment's keys; of several the last one wins, key by key",
    ),
    Setting(
        "allowedAccountIds",
        _HONOURED,
        "`sts:GetCallerIdentity` is asked before anything else; credentials of another account are refused",
    ),
    Setting("forbiddenAccountIds", _HONOURED, "likewise; credentials of these accounts are refused"),
    Setting(
        "endpoints",
        _HONOURED,
        "of the services that are called: `licensemanager`, `ec2`, `ssm`, `sts`, `sso`; others are not called, and a "
        "name that is like one of these is refused",
    ),
    Setting("stsRegion", _HONOURED, "the region in which roles are assumed and the account is asked for"),
    Setting("useFipsEndpoint", _HONOURED, "`false` too, before the environment and the profile"),
    Setting("useDualstackEndpoint", _HONOURED, "`false` too, before the environment and the profile"),
    Setting("customCaBundle", _HONOURED, "a file, before `AWS_CA_BUNDLE` and the profile's `ca_bundle`"),
    Setting("httpProxy", _HONOURED, "for endpoints that begin with `http:`, before `HTTP_PROXY`"),
    Setting("httpsProxy", _HONOURED, "for endpoints that begin with `https:`, before `HTTPS_PROXY`"),
    Setting("noProxy", _HONOURED, "host names, domains, addresses and networks with commas between, before `NO_PROXY`"),
    Setting("ec2MetadataServiceEndpoint", _HONOURED, "where the credentials of an EC2 instance come from"),
    Setting("ec2MetadataServiceEndpointMode", _HONOURED, "`IPv4` or `IPv6`"),
    Setting("skipMetadataApiCheck", _HONOURED, "`true`: credentials of an EC2 instance are not looked for"),
    Setting("userAgents", _HONOURED, "appended to the User-Agent of all calls"),
    Setting("maxRetries", _HONOURED, "how often a call is tried again after a fault that may pass; 7 by default"),
    Setting("insecure", _REFUSED, "`true`: TLS certificates are always verified; `customCaBundle` names your own"),
    Setting("defaultTags", _OF_NO_CONCERN, "a license conversion task has no tags"),
    Setting("ignoreTags", _OF_NO_CONCERN, "a license conversion task has no tags"),
    Setting("tagPolicyCompliance", _OF_NO_CONCERN, "a license conversion task has no tags"),
    Setting("retryMode", _OF_NO_CONCERN, "calls are tried again at a pace that all resources share"),
    Setting(
        "tokenBucketRateLimiterCapacity", _OF_NO_CONCERN, "calls are tried again at a pace that all resources share"
    ),
    Setting("s3UsEast1RegionalEndpoint", _OF_NO_CONCERN, "S3 is not called"),
    Setting("s3UsePathStyle", _OF_NO_CONCERN, "S3 is not called"),
    Setting("skipCredentialsValidation", _OF_NO_CONCERN, "credentials are checked by the first call that needs them"),
    Setting(
        "skipRegionValidation",
        _OF_NO_CONCERN,
        "a region is held against the patterns of AWS's partitions only, which new regions fit",
    ),
    Setting(
        "skipRequestingAccountId",
        _OF_NO_CONCERN,
        "the account is asked for where `allowedAccountIds`, `forbiddenAccountIds` or a start need it",
    ),
)


_PASSED = ("version", "pluginDownloadURL", "skipGetEc2Platforms", "s3ForcePathStyle")
"""Keys that Pulumi's engine takes in every provider's namespace, which say which plugin it runs, and two of an older
pulumi-aws that say nothing of who or where."""


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
        if key == name or key in known or key in _PASSED or key.startswith("__"):
            continue
        meant = find_close(key, known)
        if meant:
            raise SettingsError(
                Subject(CONNECT_ACTION),
                f"{to_shown(name)} is not a setting",
                f"Write {prefix}{meant}, or remove it with `pulumi config rm {to_shown(name)}`",
            )
        unknown.append(name)
    return unknown


def make_table() -> str:
    """Return the table in Markdown."""
    rows = [f"| `aws:{setting.key}` | {setting.treatment.value} | {setting.note} |" for setting in SETTINGS]
    return "\n".join(["| setting | is | how, or why |", "|---|---|---|", *rows])
