"""What a stack, a resource and the environment say about how to reach AWS, read into one value.

Least surprising first: the resource's own region, the stack's pulumi-aws settings (`aws:region`, `aws:profile`, …),
`AWS_REGION`, then all that botocore reads by itself. `settings_table` says what becomes of each setting. botocore is
not imported here, except to look for a region in the shared config.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace

from lmconv_resource.aws.access.roles import AssumedRole, WebIdentity, parse_roles, read_stack_roles, read_web_identity
from lmconv_resource.aws.access.settings_reader import ConfigGet, Entry, SettingsReader, is_region, is_url
from lmconv_resource.aws.loading import load
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import find_close, to_shown

__all__ = [
    "AssumedRole",
    "ConfigGet",
    "Settings",
    "WebIdentity",
    "check_account",
    "configured_region",
    "environment_key",
    "find_region",
    "parse_roles",
]

_SERVICES = {"licensemanager": "license-manager", "ec2": "ec2", "ssm": "ssm", "sts": "sts", "sso": "sso"}
"""pulumi-aws's names of the services that are called, and boto3's. SSO is called for the credentials of a profile."""

_DEFAULT_RETRIES = 7
"""After the first try: with the backoff of `calls` about 16 s of patience on average, 30 s at the most."""

_ENVIRONMENT = re.compile(
    r"AWS_.*|BOTO.*|(HTTP|HTTPS|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|SSL_CERT_(FILE|DIR)|HOME|USERPROFILE", re.IGNORECASE
)
"""The names of the environment variables that botocore reads, and those that say where its files are."""


@dataclass(frozen=True)
class Settings:
    """All that makes one connection differ from another. Secrets stay out of its repr.

    A value of None leaves the matter to botocore, which asks the environment and the profile.
    """

    region: str
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    web_identity: WebIdentity | None = None
    assumed_roles: tuple[AssumedRole, ...] = ()
    """Each is assumed with the credentials of the one before it."""
    endpoints: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Endpoint URLs by boto3's name of the service."""
    max_retries: int = _DEFAULT_RETRIES
    shared_config_files: tuple[str, ...] = ()
    """Instead of the default one. The last one wins, key by key."""
    shared_credentials_files: tuple[str, ...] = ()
    allowed_account_ids: tuple[str, ...] = ()
    """Empty: every account is allowed."""
    forbidden_account_ids: tuple[str, ...] = ()
    use_fips_endpoint: bool | None = None
    use_dualstack_endpoint: bool | None = None
    custom_ca_bundle: str | None = None
    http_proxy: str | None = field(default=None, repr=False)
    https_proxy: str | None = field(default=None, repr=False)
    no_proxy: str | None = None
    sts_region: str | None = None
    ec2_metadata_service_endpoint: str | None = None
    ec2_metadata_service_endpoint_mode: str | None = None
    skip_metadata_api_check: bool = False
    user_agents: tuple[str, ...] = ()
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
        return replace(
            self,
            access_key=None,
            secret_key=None,
            token=None,
            web_identity=None,
            assumed_roles=(),
            allowed_account_ids=(),
            forbidden_account_ids=(),
            max_retries=_DEFAULT_RETRIES,
        )

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
        reader = SettingsReader(get, prefix)
        access_key, secret_key, token = _read_keys(reader)
        web_identity = read_web_identity(reader)
        stack_profile = reader.text("profile")
        if profile:
            stack_profile, access_key, secret_key, token, web_identity = profile, None, None, None, None
        elif access_key and web_identity:
            raise reader.refused(
                f"{reader.name('accessKey')} and {reader.name('assumeRoleWithWebIdentity')} are both set, and only one "
                "can say who calls",
                "Remove one of them with `pulumi config rm`",
            )
        if reader.flag("insecure"):
            raise reader.refused(
                f"{reader.name('insecure')} is true, and TLS certificates are always verified here",
                f"Remove it, and name your own certificates with `pulumi config set {reader.name('customCaBundle')} "
                "FILE`",
            )
        return cls(
            region=region,
            profile=stack_profile,
            access_key=access_key,
            secret_key=secret_key,
            token=token,
            web_identity=web_identity,
            assumed_roles=(*read_stack_roles(reader), *assume_roles),
            endpoints=_read_endpoints(reader),
            max_retries=reader.count("maxRetries", _DEFAULT_RETRIES),
            shared_config_files=reader.files("sharedConfigFiles"),
            shared_credentials_files=reader.files("sharedCredentialsFiles"),
            allowed_account_ids=reader.account_ids("allowedAccountIds"),
            forbidden_account_ids=reader.account_ids("forbiddenAccountIds"),
            use_fips_endpoint=reader.flag("useFipsEndpoint"),
            use_dualstack_endpoint=reader.flag("useDualstackEndpoint"),
            custom_ca_bundle=reader.file("customCaBundle"),
            http_proxy=reader.url("httpProxy"),
            https_proxy=reader.url("httpsProxy"),
            no_proxy=reader.text("noProxy", 'a text ("HOST,DOMAIN")'),
            sts_region=reader.text("stsRegion", "an AWS region (eu-west-1)", holds=is_region),
            ec2_metadata_service_endpoint=reader.url("ec2MetadataServiceEndpoint"),
            ec2_metadata_service_endpoint_mode=reader.text(
                "ec2MetadataServiceEndpointMode", "IPv4 or IPv6", holds=lambda text: text.lower() in ("ipv4", "ipv6")
            ),
            skip_metadata_api_check=bool(reader.flag("skipMetadataApiCheck")),
            user_agents=reader.texts(
                "userAgents",
                'a list of products (["NAME/VERSION"])',
                holds=lambda text: bool(text) and text.isascii() and text.isprintable(),
            ),
            prefix=prefix,
        )


def _read_keys(reader: SettingsReader) -> tuple[str | None, str | None, str | None]:
    access_key, secret_key, token = (reader.text(key) for key in ("accessKey", "secretKey", "token"))
    # botocore would sign with the half it has, or fail on the other as if the answer could not be read.
    if (token or access_key or secret_key) and not (access_key and secret_key):
        raise reader.refused(
            f"of the stack's {reader.name('accessKey')} and {reader.name('secretKey')} only one is set, or "
            f"{reader.name('token')} without them",
            "Set both with `pulumi config set --secret`, or neither",
        )
    return access_key, secret_key, token


def _read_endpoints(reader: SettingsReader) -> tuple[tuple[str, str], ...]:
    form = 'a list of services and URLs ([{"licensemanager": "https://HOST"}])'
    urls: dict[str, str] = {}
    for entry in reader.entries("endpoints", form):
        for key in entry.members:
            _check_service(key, entry)
            url = entry.text(key)
            if key in _SERVICES and url is not None:
                if not is_url(url):
                    raise entry.wrong(key, "a URL (https://HOST)")
                urls[_SERVICES[key]] = url
    return tuple(sorted(urls.items()))


def _check_service(key: str, entry: Entry) -> None:
    """Raise a SettingsError when a key is like the name of a service that is called, and may be meant for it."""
    if key in _SERVICES:
        return
    meant = find_close(key.replace("-", ""), _SERVICES)
    if meant:
        reason = f"{entry.place} has {to_shown(key)}, which pulumi-aws writes {meant}"
        raise SettingsError(Subject(CONNECT_ACTION), reason, entry.remedy)


def configured_region(get: ConfigGet, *, prefix: str = "aws:") -> str | None:
    """Return the region that the stack's settings name, and no shell: None where they name none."""
    return SettingsReader(get, prefix).text("region")


def find_region(
    get: ConfigGet, region: str | None = None, profile: str | None = None, *, prefix: str = "aws:"
) -> str | None:
    """Return the region to use: the resource's own, the stack's, the environment's or the profile's; else None.

    Raises:
        SettingsError: the shared config has to be asked, and there is no such profile or it can't be read.
    """
    found = (
        region
        or configured_region(get, prefix=prefix)
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
    )
    return found or _find_shared_config_region(SettingsReader(get, prefix), profile)


def _find_shared_config_region(reader: SettingsReader, profile: str | None) -> str | None:
    load()
    from botocore.exceptions import BotoCoreError, ConfigParseError

    from lmconv_resource.aws.access.shared_files import SharedFilesSession, to_parse_reason

    session = SharedFilesSession(
        profile or reader.text("profile"), reader.files("sharedConfigFiles"), reader.files("sharedCredentialsFiles")
    )
    try:
        region: str | None = session.get_config_variable("region")
    except BotoCoreError as cause:  # no such profile, or a config file that can't be read
        raise SettingsError(
            Subject(CONNECT_ACTION),
            to_parse_reason(cause) if isinstance(cause, ConfigParseError) else str(cause).rstrip("."),
            f"Check {reader.name('profile')} (`pulumi config`), AWS_PROFILE and the AWS config file",
        ) from cause
    return region


def check_account(settings: Settings, account_id: str, origin: str) -> None:
    """Raise a SettingsError when the stack's settings do not allow credentials of this account, and of this origin."""
    subject = Subject(CONNECT_ACTION, region=settings.region)
    allowed, forbidden = f"{settings.prefix}allowedAccountIds", f"{settings.prefix}forbiddenAccountIds"
    if settings.allowed_account_ids and account_id not in settings.allowed_account_ids:
        raise SettingsError(
            subject,
            f"the credentials belong to account {account_id} ({origin}), and {allowed} allows "
            f"{', '.join(settings.allowed_account_ids)} only",
            f"Use credentials of an allowed account, or change {allowed}",
        )
    if account_id in settings.forbidden_account_ids:
        raise SettingsError(
            subject,
            f"the credentials belong to account {account_id} ({origin}), and {forbidden} forbids "
            f"{', '.join(settings.forbidden_account_ids)}",
            f"Use credentials of another account, or change {forbidden}",
        )


def environment_key() -> str:
    """Return a fingerprint of the environment variables that botocore reads: another where one of them has changed."""
    found = sorted((name, value) for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    return hashlib.sha256(repr(found).encode("utf-8", "backslashreplace")).hexdigest()
