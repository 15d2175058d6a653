"""Botocore sessions that honour `Settings`, by botocore's own means and without touching the environment.

A profile's own settings (FIPS, CA bundle, endpoints) stay in force whichever credentials the calls are signed with.
What sessions of other credentials share are botocore's data, and clients whose calls are signed one by one.
"""

import inspect
import ipaddress
import os
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import cache, cached_property
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    ConfigProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
    create_credential_resolver,
)
from botocore.loaders import create_loader
from botocore.utils import FileWebIdentityTokenLoader

from lmconv_resource.aws.access.call_log import log_calls
from lmconv_resource.aws.access.files import STATIC_KEYS, FilesSession, assumes_role
from lmconv_resource.aws.access.kinds import AssumedRole
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.errors import CONNECT_ACTION, CredentialsError, SettingsError, Subject
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.text import fill, key, on_settings, to_shown

TIMEOUT_SECONDS = 10
"""For connecting and for reading. botocore's 60 s would outlast every deadline a user notices."""

_CREDENTIAL_KEYS = (*STATIC_KEYS, "role_arn", "sso_account_id", "sso_role_name", "login_session", "credential_process")
"""What makes a profile one that says who calls."""

_OF_CALLER = (
    *("access_key", "secret_key", "token", "assume_role_with_web_identity", "assume_roles"),
    *("max_retries", "allowed_account_ids", "forbidden_account_ids"),
)
"""Settings that say who calls and how often: what makes no difference to a client."""

_signing: ContextVar[Any] = ContextVar("signing", default=None)
"""The credentials that this thread's call is signed with, None for none."""


class Regions:
    """AWS's regions as this botocore lists them. No profile and no file of the user's is read for them."""

    @cached_property
    def _partitions(self) -> list[dict[str, Any]]:
        data = create_loader(os.environ.get("AWS_DATA_PATH")).load_data("partitions")
        return list(data["partitions"])

    def is_listed(self, region: str) -> bool:
        """Return whether this version of botocore lists the region; a newer region may be missing there."""
        return any(region in partition["regions"] for partition in self._partitions)

    def partition_of(self, region: str) -> str | None:
        """Return the partition of a region (`aws`, `aws-cn`), also of a new one that fits its pattern; else None."""
        for partition in self._partitions:
            if region in partition["regions"] or re.match(partition["regionRegex"], region):
                return str(partition["id"])
        return None

    def check(self, settings: Settings) -> None:
        """Raise a SettingsError when AWS has no such region; an endpoint of one's own may have regions of its own."""
        for service, region, places in (
            ("license-manager", settings.region, f"`region`, {key('region')} (`pulumi config`) and AWS_REGION"),
            ("sts", settings.sts_region, f"{key('stsRegion')} (`pulumi config`)"),
        ):
            if region and service not in dict(settings.endpoints) and self.partition_of(region) is None:
                reason, remedy = f"{region} is not an AWS region", on_settings(f"Check {places}")
                raise SettingsError(Subject(CONNECT_ACTION), reason, remedy)


def _sign(request: Any, **_: Any) -> None:
    """Have a call of a shared client signed with the credentials of the session that is calling."""
    request.context.setdefault("signing", {})["request_credentials"] = _signing.get()


class _SigningClient:
    """A shared client whose calls are signed with these credentials."""

    def __init__(self, client: Any, credentials: Any) -> None:
        self._client, self._credentials = client, credentials

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not inspect.ismethod(member):
            return member

        def call(*args: Any, **members: Any) -> Any:
            context = copy_context()
            context.run(_signing.set, self._credentials)
            return context.run(member, *args, **members)

        return call


class SharedClients:
    """What sessions in one environment share. A client of its own for each account would cost 30 MB."""

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self.regions = Regions()
        self._lock = runtime.lock()
        """Held while a client is made, which calls nothing: at once, threads would load the same models twice."""
        self.loader = cache(create_loader)
        """Returns the loader of botocore's data, and of what the user has beside it at a path."""
        self._clients: dict[tuple[Settings, str], Any] = {}

    def client(self, settings: Settings, service: str, make: Callable[[str], Any]) -> Any:
        """Return the client of a service; the first caller makes it."""
        unset: dict[str, Any] = dict.fromkeys(_OF_CALLER)
        made_by = replace(settings, **unset), service
        with self._lock:
            if made_by not in self._clients:
                client = self._clients[made_by] = make(service)
                client.meta.events.register("before-sign", _sign)
            return self._clients[made_by]


class SettingsSession(FilesSession):
    """A botocore session with the settings in force, which finds its credentials when they are needed; one thread's."""

    def __init__(self, settings: Settings, shared: SharedClients) -> None:
        super().__init__(settings.profile, settings.shared_config_files, settings.shared_credentials_files)
        self.settings = settings
        self._shared = shared
        self._subject = Subject(CONNECT_ACTION, region=settings.region)
        given = {
            "region": settings.region,
            "ca_bundle": settings.custom_ca_bundle,
            "use_fips_endpoint": settings.use_fips_endpoint,
            "use_dualstack_endpoint": settings.use_dualstack_endpoint,
            "ec2_metadata_service_endpoint": settings.ec2_metadata_service_endpoint,
            "ec2_metadata_service_endpoint_mode": settings.ec2_metadata_service_endpoint_mode,
        }
        for name, value in given.items():
            if value is not None:
                self.set_config_variable(name, value)
        shared.regions.check(settings)
        self._check_ca_bundle()
        self.set_default_client_config(_make_config(settings))
        self.register_component("credential_provider", CredentialResolver([]))  # a shared client has none of its own
        self.register_component("data_loader", shared.loader(self.get_config_variable("data_path")))

    def signing_client(self, service: str, credentials: Any) -> Any:
        """Return the client of a service that signs with these credentials."""
        return _SigningClient(self._shared.client(self.settings, service, self.create_client), credentials)

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """Return a new client with the settings' endpoint, region of STS and proxies; botocore itself makes some."""
        if service_name == "sts" and self.settings.sts_region:
            kwargs["region_name"] = self.settings.sts_region
        if not kwargs.get("endpoint_url"):
            kwargs["endpoint_url"] = dict(self.settings.endpoints).get(service_name)
        client: Any = super().create_client(service_name, *args, **kwargs)
        proxies = client.meta.config.proxies
        if proxies and _bypasses_proxies(client.meta.endpoint_url, proxies.get("no", "")):
            kwargs["config"] = (kwargs.get("config") or Config()).merge(Config(proxies={}))
            client = super().create_client(service_name, *args, **kwargs)
        log_calls(client)
        return client

    @cached_property
    def source(self) -> Any:
        """What roles are assumed with: keys, a web identity, or what botocore finds, None if nothing.

        A profile that needs the code of an MFA device raises a CredentialsError: there is no prompt here.
        """
        settings = self.settings
        if settings.access_key and settings.secret_key:
            return Credentials(settings.access_key, settings.secret_key, settings.token, method="explicit")
        if settings.assume_role_with_web_identity is not None:
            return self._assume(settings.assume_role_with_web_identity)
        self._prefer_the_stacks_files()
        resolver = create_credential_resolver(self, region_name=settings.region)
        if self.has_many_files:  # of which botocore's own providers of keys read one each
            keys = ConfigProvider("", self.profile_in_use, config_parser=lambda _: self.full_config)
            resolver.insert_before("shared-credentials-file", keys)
        if settings.skip_metadata_api_check:
            resolver.remove("iam-role")
        found = resolver.load_credentials()
        if found is not None and found.method == "assume-role":
            self._refuse_mfa()
        return found

    @cached_property
    def credentials(self) -> Any:
        """What calls are signed with: the source, or the last role of the chain; None if there is nothing."""
        credentials = self.source
        for role in self.settings.assume_roles:
            if credentials is None:
                reason = f"no credentials were found to assume {role.role_arn} with"
                remedy = fill("Set them {with profile NAME}, or in any way the AWS CLI supports")
                raise SettingsError(self._subject, reason, remedy)
            credentials = self._assume(role, credentials)
        return credentials

    def _assume(self, role: AssumedRole, source: Any = None) -> DeferredRefreshableCredentials:
        def make(service: str, **_: Any) -> Any:
            return self.signing_client(service, source)

        if source is not None:
            role_fetcher = AssumeRoleCredentialFetcher(make, source, role.role_arn, role.to_sts())
            return DeferredRefreshableCredentials(role_fetcher.fetch_credentials, "assume-role")
        file = role.web_identity_token_file
        load = FileWebIdentityTokenLoader(file) if file else lambda: str(role.web_identity_token)
        fetcher = AssumeRoleWithWebIdentityCredentialFetcher(make, load, role.role_arn, role.to_sts())
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role-with-web-identity")

    def _prefer_the_stacks_files(self) -> None:
        """Let credentials in the stack's own files win over the environment's, as all that the stack says does."""
        settings, name = self.settings, self.profile_in_use
        if settings.profile or not (settings.shared_config_files or settings.shared_credentials_files):
            return
        if any(key in self.full_config["profiles"].get(name, {}) for key in _CREDENTIAL_KEYS):
            self.set_config_variable("profile", name)
        elif settings.shared_credentials_files:
            one = len(settings.shared_credentials_files) == 1
            those = f"{'file' if one else 'files'} of {key('sharedCredentialsFiles')} {'has' if one else 'have'}"
            reason = f"the {those} no credentials of the profile {name}"
            remedy = fill("Name another profile {with profile NAME}, or another file")
            raise SettingsError(self._subject, reason, remedy)

    def _refuse_mfa(self) -> None:
        for name, content in self.profile_chain.items():
            if assumes_role(content) and "mfa_serial" in content:
                reason = f"the profile {name} has mfa_serial, and there is no prompt for its code here"
                temporary = "temporary credentials (`aws sts get-session-token`, `aws sso login`)"
                remedy = f"Use a profile with {temporary} or with a credential_process"
                raise CredentialsError(self._subject, reason, remedy)

    def _check_ca_bundle(self) -> None:
        """Raise a SettingsError when the stack's file holds no certificate, which botocore would say of each try."""
        bundle = self.settings.custom_ca_bundle
        try:
            if bundle:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
        except (OSError, ssl.SSLError) as cause:
            name = key("customCaBundle")
            reason = f"{name} names {to_shown(bundle)}, which holds no certificates in PEM form"
            remedy = on_settings(f"Check it with `pulumi config get {name}`")
            raise SettingsError(self._subject, reason, remedy) from cause


def _make_config(settings: Settings) -> Config:
    version = "unknown"
    with suppress(metadata.PackageNotFoundError):  # copied beside a program instead of being installed
        version = metadata.version("lmconv-resource")
    # botocore takes either its own proxies, which it reads from the environment, or what it is given: so both are put
    # together, where the stack has some.
    stack = {"http": settings.http_proxy, "https": settings.https_proxy, "no": settings.no_proxy}
    given = {name: value for name, value in stack.items() if value is not None}
    return Config(
        # One try a call: the callers do the retrying, because they know the pace and can be told to stop, and because
        # botocore does not count RateLimitExceededException as throttling.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        max_pool_connections=50,
        user_agent_extra=" ".join((f"lmconv-resource/{version}", *settings.user_agents)),
        proxies={**getproxies(), **given} if given else None,
    )


def _bypasses_proxies(url: str, no_proxy: str) -> bool:
    """Return whether `no_proxy` holds the host of the URL: its name, its domain, its address or a network."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    # An IPv6 address stands in brackets where a port follows.
    entries = [entry.strip("[ ").replace("]", "").removeprefix("*.") for entry in no_proxy.lower().split(",")]
    for entry in entries:
        with suppress(ValueError):  # one of them is a name
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return "*" in entries or bool(proxy_bypass_environment(f"{host}:{port}", {"no": ",".join(entries)}))
