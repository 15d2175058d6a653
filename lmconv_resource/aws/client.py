"""From settings to one shared client.

`connect` gives the one connection that a process has for these settings. boto3 is imported only when a connection is
made: a stack whose tasks have all ended needs none.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.settings import AssumedRole, Settings
from lmconv_resource.errors import SettingsError
from lmconv_resource.polling.rate_limiter import Pacer

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_license_manager import LicenseManagerClient

_TIMEOUT_SECONDS = 10
"""For connecting and for reading. botocore's 60 s would outlast every deadline a user notices."""


@dataclass(frozen=True, eq=False)
class Connection:
    """A client of License Manager, the region it speaks to and the pace that all its callers share."""

    client: LicenseManagerClient
    settings: Settings
    pacer: Pacer

    @property
    def region(self) -> str:
        """The region, for the sentences of errors."""
        return self.settings.region

    @property
    def ec2(self) -> EC2Client:
        """The client of EC2 with the same settings, made when it is first asked for."""
        return _find_ec2(self.settings)


_connections: dict[Settings, Connection] = {}
_connections_lock = threading.Lock()


def connect(settings: Settings) -> Connection:
    """Give the process's one connection for these settings; the first caller builds it and the others wait for it.

    Raises:
        SettingsError: a profile, endpoint or region that can't be used.
    """
    # One lock for all: building a client is 50 to 100 ms of CPU, which more threads at once would only stretch.
    with _connections_lock:
        connection = _connections.get(settings)
        if connection is None:
            client = _make_client("license-manager", settings, settings.endpoint_url)
            connection = Connection(client, settings, Pacer())
            _connections[settings] = connection
        return connection


def _make_config() -> Config:
    from botocore.config import Config

    return Config(
        # One try a call: tasks and waiter do the retrying, because they know the pace and can be told to stop, and
        # because botocore does not count RateLimitExceededException as throttling.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_TIMEOUT_SECONDS,
        read_timeout=_TIMEOUT_SECONDS,
        max_pool_connections=50,
        user_agent_extra=f"lmconv-resource/{_find_version()}",
    )


@lru_cache
def _find_ec2(settings: Settings) -> EC2Client:
    client: EC2Client = _make_client("ec2", settings, settings.ec2_endpoint_url)
    return client


def _make_client(service: str, settings: Settings, endpoint_url: str | None) -> Any:
    from botocore.exceptions import BotoCoreError

    try:
        session: Any = _make_session(settings)
        return session.client(service, region_name=settings.region, endpoint_url=endpoint_url, config=_make_config())
    except BotoCoreError as cause:
        raise _wrong_settings(str(cause), settings) from cause
    # botocore says this of an endpoint without a scheme, whether it is ours or the environment's.
    except ValueError as cause:
        # It repeats the endpoint, and a name and a password in it.
        raise _wrong_settings(re.sub(r": .*@", ": ", str(cause), flags=re.DOTALL), settings) from None


def _wrong_settings(reason: str, settings: Settings) -> SettingsError:
    remedy = "Check the stack's aws: settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL"
    return SettingsError(reason=reason.rstrip("."), remedy=remedy, region=settings.region)


def _make_session(settings: Settings) -> boto3.Session:
    import boto3

    session = boto3.Session(
        profile_name=settings.profile,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        aws_session_token=settings.token,
    )
    for role in settings.assumed_roles:
        session = _assume(role, session, settings)
    return session


def _assume(role: AssumedRole, source: boto3.Session, settings: Settings) -> boto3.Session:
    """Give a session that acts as the role, and renews its credentials for as long as a wait goes on."""
    import boto3
    import botocore.session
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    extra = {
        "RoleSessionName": role.session_name,
        "ExternalId": role.external_id,
        "DurationSeconds": role.duration_seconds,
        "Policy": role.policy,
        "SourceIdentity": role.source_identity,
    }

    def make_sts(*args: Any, **kwargs: Any) -> Any:
        return botocore.session.get_session().create_client(
            *args,
            **{
                **kwargs,
                "region_name": settings.region,
                "endpoint_url": settings.sts_endpoint_url,
                "config": _make_config(),
            },
        )

    source_credentials = source.get_credentials()
    if source_credentials is None:
        raise SettingsError(
            reason=f"no credentials were found to assume {role.role_arn} with",
            remedy="Give them by `pulumi config set aws:profile NAME`, or in any way that the AWS CLI knows",
            region=settings.region,
        )
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=make_sts,
        source_credentials=source_credentials,
        role_arn=role.role_arn,
        extra_args={name: value for name, value in extra.items() if value is not None},
    )
    core = botocore.session.get_session()
    # botocore has no public setter for refreshable credentials; this attribute is what set_credentials() fills, and
    # what the many tools that assume roles have used for ten years (https://github.com/boto/botocore/issues/761).
    credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    core._credentials = credentials  # type: ignore[attr-defined]
    return boto3.Session(botocore_session=core, region_name=settings.region)


def _find_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("lmconv-resource")
    except metadata.PackageNotFoundError:  # the folder was copied beside a program instead of being installed
        return "unknown"
