"""From settings to boto3's clients: the session, its credentials, the roles it assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.settings import AssumedRole, Settings
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import without_endpoint_credentials

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

TIMEOUT_SECONDS = 10
"""For connecting and for reading. botocore's 60 s would outlast every deadline a user notices."""


def _make_config() -> Config:
    from botocore.config import Config

    return Config(
        # One try a call: tasks and waiter do the retrying, because they know the pace and can be told to stop, and
        # because botocore does not count RateLimitExceededException as throttling.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        max_pool_connections=50,
        user_agent_extra=f"lmconv-resource/{_find_version()}",
    )


def make_client(service: str, settings: Settings) -> Any:
    """Return a new client of `license-manager`, `ec2` or `sts`. Building one costs 50 to 100 ms of CPU.

    Raises:
        SettingsError: a profile, endpoint or region that can't be used.
    """
    from botocore.exceptions import BotoCoreError

    try:
        session: Any = _make_session(settings)
        return session.client(
            service,
            region_name=settings.region,
            endpoint_url=settings.endpoint_urls.get(service),
            config=_make_config(),
        )
    except BotoCoreError as cause:
        raise _wrong_settings(str(cause), settings) from cause
    # botocore says this of an endpoint without a scheme, whether it is ours or the environment's.
    except ValueError as cause:
        # It repeats the endpoint, and a name and a password in it.
        raise _wrong_settings(without_endpoint_credentials(str(cause)), settings) from None


def _wrong_settings(reason: str, settings: Settings) -> SettingsError:
    remedy = "Check the stack's aws: settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL"
    return SettingsError(Subject(CONNECT_ACTION, region=settings.region), reason.rstrip("."), remedy)


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
                "endpoint_url": settings.endpoint_urls.get("sts"),
                "config": _make_config(),
            },
        )

    source_credentials = source.get_credentials()
    if source_credentials is None:
        raise SettingsError(
            Subject(CONNECT_ACTION, region=settings.region),
            f"no credentials were found to assume {role.role_arn} with",
            "Give them by `pulumi config set aws:profile NAME`, or in any way that the AWS CLI knows",
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
