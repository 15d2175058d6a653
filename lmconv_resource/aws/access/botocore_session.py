"""A botocore session that honours `Settings`, by botocore's own means and without touching the environment.

A profile's own settings (FIPS, CA bundle, endpoints) stay in force whichever credentials the calls are signed with.
"""

from __future__ import annotations

import inspect
import ipaddress
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    ConfigProvider,
    Credentials,
    DeferredRefreshableCredentials,
    create_credential_resolver,
)
from botocore.loaders import create_loader
from botocore.utils import FileWebIdentityTokenLoader

from lmconv_resource.aws.access.call_log import log_calls
from lmconv_resource.aws.access.kinds import AssumedRole, WebIdentity
from lmconv_resource.aws.access.regions import Regions
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.access.shared_files import SharedFilesSession
from lmconv_resource.errors import CONNECT_ACTION, CredentialsError, SettingsError, Subject
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.text import to_shown

TIMEOUT_SECONDS = 10
"""For connecting and for reading. botocore's 60 s would outlast every deadline a user notices."""

_WITH_PORT = re.compile(r"([^:]*|\[.*\]):([0-9]{1,5})")
"""An entry of `no_proxy` with a port; an IPv6 address has more colons, and stands in brackets then."""

_STATIC_KEYS = ("aws_access_key_id", "aws_secret_access_key")
_CREDENTIAL_KEYS = (*_STATIC_KEYS, "role_arn", "sso_account_id", "sso_role_name", "login_session", "credential_process")
"""What makes a profile one that says who calls."""


_signer: ContextVar[Any] = ContextVar("signer", default=None)
"""The credentials that this thread's call is signed with, None for none."""


class _Signer:
    """What botocore takes for the credentials of a shared client: those of whoever calls at the moment."""

    method = "shared"

    def get_frozen_credentials(self) -> Any:
        """Return the credentials of the call, renewed where they are near their end."""
        credentials = _signer.get()
        return None if credentials is None else credentials.get_frozen_credentials()

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return what gives a property of the credentials."""
        return lambda: getattr(self.get_frozen_credentials(), name, None)


class SigningClient:
    """A shared client whose calls are signed with these credentials."""

    def __init__(self, client: Any, credentials: Any) -> None:
        self._client = client
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        return self._sign(member) if inspect.ismethod(member) else member

    def _sign(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **members: Any) -> Any:
            token = _signer.set(self._credentials)
            try:
                return method(*args, **members)
            finally:
                _signer.reset(token)

        return call


class SharedClients:
    """What sessions in one environment share: botocore's data, and each client that differs in its credentials only.

    A client of its own for each account would cost 30 MB of models and connections.
    """

    def __init__(self, runtime: Runtime = RUNTIME, on_words: Callable[[Iterable[str]], None] | None = None) -> None:
        self.on_words = on_words
        """Told what AWS says in its own words: of errors, and in members of that name."""
        self._lock = runtime.lock()
        """Held while a client is made, which calls nothing: at once, threads would load the same models twice."""
        self._loaders: dict[str | None, Any] = {}
        self._clients: dict[tuple[Settings, str], Any] = {}
        self.regions = Regions()

    def loader(self, data_path: str | None) -> Any:
        """Return the loader of botocore's data, and of what the user has beside it."""
        if data_path not in self._loaders:
            self._loaders[data_path] = create_loader(data_path)
        return self._loaders[data_path]

    def client(self, settings: Settings, service: str, make: Callable[[], Any]) -> Any:
        """Return the client of a service; the first caller makes it."""
        key = settings.without_caller, service
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make()
            return self._clients[key]


class SettingsSession(SharedFilesSession):
    """A botocore session with the settings in force. Its credentials are looked for when they are first needed.

    Not thread-safe, as botocore's sessions are not.
    """

    def __init__(self, settings: Settings, shared: SharedClients) -> None:
        super().__init__(settings.profile, settings.shared_config_files, settings.shared_credentials_files)
        self.settings = settings
        self._shared = shared
        variables = {
            "region": settings.region,
            "ca_bundle": settings.custom_ca_bundle,
            "use_fips_endpoint": settings.use_fips_endpoint,
            "use_dualstack_endpoint": settings.use_dualstack_endpoint,
            "ec2_metadata_service_endpoint": settings.ec2_metadata_service_endpoint,
            "ec2_metadata_service_endpoint_mode": settings.ec2_metadata_service_endpoint_mode,
        }
        for name, value in variables.items():
            if value is not None:
                self.set_config_variable(name, value)
        shared.regions.check(settings)
        _check_ca_bundle(settings)
        self.set_default_client_config(_make_config(settings))
        self.register_component("credential_provider", self)
        self.register_component("data_loader", shared.loader(self.get_config_variable("data_path")))

    def load_credentials(self) -> _Signer:
        """Return what stands for the credentials of each call, for botocore."""
        return _Signer()

    def make_signing_client(self, service: str) -> SigningClient:
        """Return the client of a service that signs with this session's credentials."""
        return SigningClient(self._find_client(service), self.credentials)

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """Return a client for botocore itself, which assumes a profile's role with it, or asks SSO."""
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        if service_name == "sts" and not args and {*kwargs} <= {*names, "region_name"} and kwargs.get(names[0]):
            keys: Any = [kwargs.get(name) for name in names]
            return SigningClient(self._find_client("sts"), Credentials(*keys))
        return self._make_client(service_name, *args, **kwargs)

    def _find_client(self, service: str) -> Any:
        return self._shared.client(self.settings, service, lambda: self._make_client(service))

    def _make_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """Return a new client with the settings' endpoint, region of STS and proxies."""
        if service_name == "sts" and self.settings.sts_region:
            kwargs["region_name"] = self.settings.sts_region
        if not kwargs.get("endpoint_url"):
            kwargs["endpoint_url"] = self.settings.endpoint_urls.get(service_name)
        client: Any = super().create_client(service_name, *args, **kwargs)
        proxies = client.meta.config.proxies
        if proxies and _goes_past_proxies(client.meta.endpoint_url, proxies.get("no", "")):
            direct, config = Config(proxies={}), kwargs.get("config")
            kwargs["config"] = direct if config is None else config.merge(direct)
            client = super().create_client(service_name, *args, **kwargs)
        log_calls(client)
        if self._shared.on_words is not None:
            tell = self._shared.on_words
            client.meta.events.register("after-call", lambda parsed, **_: tell(_find_words(parsed)))
        return client

    @cached_property
    def source(self) -> Any:
        """The credentials that roles are assumed with: keys, a web identity, or what botocore finds; None if nothing.

        Raises:
            CredentialsError: they need a code of an MFA device, for which nobody can be asked here.
        """
        settings = self.settings
        if settings.access_key and settings.secret_key:
            return Credentials(settings.access_key, settings.secret_key, settings.token, method="explicit")
        if settings.web_identity is not None:
            return self._assume_with_web_identity(settings.web_identity)
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
        for role in self.settings.assumed_roles:
            if credentials is None:
                raise SettingsError(
                    Subject(CONNECT_ACTION, region=self.settings.region),
                    f"no credentials were found to assume {role.role_arn} with",
                    f"Set them with `pulumi config set {self.settings.prefix}profile NAME`, or in any way the AWS CLI "
                    "supports",
                )
            credentials = self._assume(role, credentials)
        return credentials

    @property
    def profile_in_use(self) -> str:
        """The name of the profile in use."""
        return self.get_config_variable("profile") or "default"

    @property
    def profile_chain(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The profile in use with what stands in it, and after it those that its role is assumed with."""
        profiles = self.full_config["profiles"]
        name: str | None = self.profile_in_use
        chain: list[tuple[str, Mapping[str, Any]]] = []
        while name is not None and name in profiles and name not in [seen for seen, _ in chain]:
            content = profiles[name]
            if chain and any(key in content for key in _STATIC_KEYS):  # botocore then takes these, and not the role
                content = {key: value for key, value in content.items() if key in _STATIC_KEYS}
            chain.append((name, content))
            # A token file goes before a role's source.
            name = content.get("source_profile") if _assumes_role(content) else None
        return chain

    def _prefer_the_stacks_files(self) -> None:
        """Let credentials in the stack's own files win over the environment's, as all that the stack says does."""
        settings = self.settings
        if settings.profile or not (settings.shared_config_files or settings.shared_credentials_files):
            return
        name = self.profile_in_use
        content = self.full_config["profiles"].get(name, {})
        if any(key in content for key in _CREDENTIAL_KEYS):
            self.set_config_variable("profile", name)
        elif settings.shared_credentials_files:
            key = f"{settings.prefix}sharedCredentialsFiles"
            files = "file" if len(settings.shared_credentials_files) == 1 else "files"
            verb = "has" if files == "file" else "have"
            raise SettingsError(
                Subject(CONNECT_ACTION, region=settings.region),
                f"the {files} of {key} {verb} no credentials of the profile {name}",
                f"Name another profile with `pulumi config set {settings.prefix}profile NAME`, or another file",
            )

    def _refuse_mfa(self) -> None:
        """Raise a CredentialsError where botocore would ask the terminal for a code: nobody sees it, nor ends it."""
        for name, content in self.profile_chain:
            if _assumes_role(content) and "mfa_serial" in content:
                raise CredentialsError(
                    Subject(CONNECT_ACTION, region=self.settings.region),
                    f"the profile {name} has mfa_serial, and there is no prompt for its code here",
                    "Use a profile with temporary credentials (`aws sts get-session-token`, `aws sso login`) or with a "
                    "credential_process",
                )

    def _assume(self, role: AssumedRole, source: Any) -> DeferredRefreshableCredentials:
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=self.create_client,
            source_credentials=source,
            role_arn=role.role_arn,
            extra_args=role.members,
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")

    def _assume_with_web_identity(self, identity: WebIdentity) -> DeferredRefreshableCredentials:
        token = identity.token or ""
        fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
            client_creator=self.create_client,
            web_identity_token_loader=(
                FileWebIdentityTokenLoader(identity.token_file) if identity.token_file else lambda: token
            ),
            role_arn=identity.role_arn,
            extra_args=identity.members,
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role-with-web-identity")


def _check_ca_bundle(settings: Settings) -> None:
    """Raise a SettingsError when the stack's file holds no certificate, which botocore would say of each try."""
    if settings.custom_ca_bundle:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(settings.custom_ca_bundle)
        except (OSError, ssl.SSLError) as cause:
            key = f"{settings.prefix}customCaBundle"
            raise SettingsError(
                Subject(CONNECT_ACTION, region=settings.region),
                f"{key} names {to_shown(settings.custom_ca_bundle)}, which holds no certificates in PEM form",
                f"Check it with `pulumi config get {key}`",
            ) from cause


def _assumes_role(profile: Mapping[str, Any]) -> bool:
    return "role_arn" in profile and "web_identity_token_file" not in profile


def _make_config(settings: Settings) -> Config:
    return Config(
        # One try a call: the callers do the retrying, because they know the pace and can be told to stop, and because
        # botocore does not count RateLimitExceededException as throttling.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        max_pool_connections=50,
        user_agent_extra=" ".join((f"lmconv-resource/{_find_version()}", *settings.user_agents)),
        proxies=_find_proxies(settings),
    )


def _find_words(answer: object) -> Iterator[str]:
    """Yield what stands in an answer as a message of AWS's."""
    if isinstance(answer, list):
        for each in answer:
            yield from _find_words(each)
    elif isinstance(answer, dict):
        for name, value in answer.items():
            if isinstance(value, str) and name in ("Message", "StatusMessage"):
                yield value
            elif isinstance(value, (dict, list)):
                yield from _find_words(value)


def _find_version() -> str:
    try:
        return metadata.version("lmconv-resource")
    except metadata.PackageNotFoundError:  # the folder was copied beside a program instead of being installed
        return "unknown"


def _find_proxies(settings: Settings) -> dict[str, str] | None:
    """Return the proxies by scheme, with the hosts that need none under `no`; None leaves it all to botocore.

    botocore takes either its own, which it reads from the environment, or what it is given: so both are put together.
    """
    given = {"http": settings.http_proxy, "https": settings.https_proxy, "no": settings.no_proxy}
    if not any(given.values()):
        return None
    return {**getproxies(), **{name: value for name, value in given.items() if value is not None}}


def _goes_past_proxies(url: str, no_proxy: str) -> bool:
    """Return whether `no_proxy` holds the host of the URL: its name, its domain, its address or a network.

    An entry with a port (`HOST:8080`) is about that port only.
    """
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return any(_holds(entry.strip().lower(), parts.hostname or "", port) for entry in no_proxy.split(","))


def _holds(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name_and_port = _WITH_PORT.fullmatch(entry)
    if name_and_port:
        entry = name_and_port[1].strip("[]")
        if int(name_and_port[2]) != port:
            return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # one of them is a name
        name = entry.lstrip("*.")
        return bool(name) and (host == name or host.endswith(f".{name}"))
