"""From settings to botocore's clients: one session for each `Settings`, its credentials, and whose they are.

To be imported where AWS is called only: a stack whose tasks have all ended needs no botocore.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    LoginError,
    MetadataRetrievalError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from lmconv_resource.aws.botocore_session import SettingsSession
from lmconv_resource.aws.call_log import log_connection
from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.aws.settings import Settings
from lmconv_resource.aws.shared_files import to_parse_reason
from lmconv_resource.errors import CONNECT_ACTION, CredentialsError, LicenseConversionError, SettingsError, Subject
from lmconv_resource.text import without_credentials, without_endpoint_credentials

log = logging.getLogger(__name__)

_PROFILE_HINTS = {
    "sso_session": "Run `aws sso login --profile {}`",
    "sso_start_url": "Run `aws sso login --profile {}`",
    "login_session": "Run `aws login --profile {}`",
    "web_identity_token_file": "Renew the token in web_identity_token_file of the profile {}",
    "credential_source": "Check the credential_source of the profile {}",
    "credential_process": "Let the credential_process of the profile {} give new ones",
    "": "Put new keys into the profile {}",
}
"""By the key of a profile that says where its credentials come from."""


_ANY_CREDENTIALS = "Give credentials in any way that the AWS CLI knows"

_SIGN_IN_ERRORS = (SSOError, LoginError, TokenRetrievalError, CredentialRetrievalError, MetadataRetrievalError)
"""What botocore raises where the settings are right, and who is to give the credentials does not."""

_RENEWAL_SECONDS = 10.0
"""Credentials that were read anew and refused are not read again within this time, however many waits notice it."""


class AwsSession:
    """All clients of one `Settings`, which share one cache of credentials. Threads may share it.

    `generation` counts how often it was renewed; `lock` is held where botocore's session is used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.generation = 0
        self._accepted: set[str] = set()
        self._renewed_at: float | None = None
        self.lock = threading.Lock()
        self._core: SettingsSession | None = None
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the client of a service (`license-manager`, `ec2`, `sts`, `ssm`). The first costs 50 to 100 ms of CPU.

        Raises:
            SettingsError: a profile, endpoint, file or region that can't be used.
            CredentialsError: the profile's role needs a code of an MFA device.
        """
        # One lock for all: more threads at once would only stretch the work, and botocore's sessions are not theirs.
        with self.lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def were_accepted(self, service: str) -> bool:
        """Return whether a service has taken credentials of this session."""
        return service in self._accepted

    def accept(self, service: str) -> None:
        """Note that a service has taken the credentials."""
        self._accepted.add(service)

    def renew(self, generation: int) -> bool:
        """Forget all credentials and clients, so that the next ones are made of what files and environment hold then.

        Args:
            generation: the one whose credentials have expired. Of many waits that notice it, one renews for all.

        Returns:
            Whether there is something else to try: not where those of a moment ago were refused too.
        """
        with self.lock:
            if generation == self.generation:
                now = time.monotonic()
                if self._renewed_at is not None and now - self._renewed_at < _RENEWAL_SECONDS:
                    return False
                self._core, self._clients, self._renewed_at = None, {}, now
                self.generation += 1
            return True

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones, for the kind of credentials in use."""
        return sign_in_hint(self)

    def decode_denial(self, message: str) -> str | None:
        """Return what an encoded authorization message of AWS's says; None where it may not be decoded."""
        try:
            answer = self.client("sts").decode_authorization_message(EncodedMessage=message)
        except (BotoCoreError, ClientError, LicenseConversionError) as error:
            log.info("AWS's encoded reason can't be decoded: %s", type(error).__name__)
            return None
        return str(answer["DecodedMessage"])

    def find_core(self) -> SettingsSession:
        """Return botocore's session, made when it is first asked for. Hold `lock` while you use it."""
        if self._core is None:
            self._core = SettingsSession(self.settings, _find_version())
        return self._core

    def find_credentials(self) -> None:
        """Look for the credentials, and refuse those that can't be used; `client` is then quicker.

        Raises:
            SettingsError: a profile, file or role that can't be used.
            CredentialsError: they need a code of an MFA device.
        """
        with self.lock, self._plain_errors():
            self.find_core().get_credentials()

    def _make_client(self, service: str) -> Any:
        with self._plain_errors():
            core = self.find_core()
            client = core.create_client(service)
            log_connection(service, client, core, core.source, self.settings.assumed_roles)
            return client

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except LicenseConversionError:
            raise
        except _SIGN_IN_ERRORS as cause:
            error = from_botocore(cause, Subject(CONNECT_ACTION, region=self.settings.region))
            error.remedy = _to_hint(self.find_core(), self.settings, is_found=False)
            raise error from cause
        except OSError as cause:  # a credential_process that can't be run
            remedy = _to_hint(self.find_core(), self.settings, is_found=False)
            raise CredentialsError(Subject(CONNECT_ACTION, region=self.settings.region), str(cause), remedy) from cause
        except BotoCoreError as cause:
            raise _wrong_settings(cause, without_credentials(str(cause)), self.settings) from cause
        # botocore says this of an endpoint without a scheme, whether it is ours or the environment's.
        except ValueError as cause:
            # It repeats the endpoint, and a name and a password in it.
            raise _wrong_settings(cause, without_endpoint_credentials(str(cause)), self.settings) from None


def open_session(settings: Settings) -> AwsSession:
    """Return a new session with these settings. Nothing is looked for or sent before its first client is made."""
    return AwsSession(settings)


def _wrong_settings(cause: Exception, reason: str, settings: Settings) -> SettingsError:
    prefix = settings.prefix
    if isinstance(cause, ConfigParseError):
        reason = to_parse_reason(cause)
    if isinstance(cause, ProfileNotFound):
        remedy = f"Check the resource's profile, {prefix}profile (`pulumi config`) and AWS_PROFILE"
    elif isinstance(cause, ConfigParseError):
        remedy = (
            f"Correct the file, or name another in {prefix}sharedConfigFiles or {prefix}sharedCredentialsFiles "
            "(`pulumi config`)"
        )
    else:
        remedy = f"Check the stack's {prefix} settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL"
    return SettingsError(Subject(CONNECT_ACTION, region=settings.region), reason.rstrip("."), remedy)


def sign_in_hint(session: AwsSession) -> str:
    """Return what gives new credentials in place of expired ones, for the kind of credentials in use."""
    with session.lock:
        try:
            return _to_hint(session.find_core(), session.settings)
        except (BotoCoreError, LicenseConversionError):  # a file that can't be read, by now
            return _ANY_CREDENTIALS


def _to_hint(core: SettingsSession, settings: Settings, *, is_found: bool = True) -> str:
    """Return the hint. Credentials that could not be found are not looked for again: the profile says what they are."""
    if settings.access_key:
        keys = ", ".join(f"{settings.prefix}{key}" for key in ("accessKey", "secretKey", "token"))
        return f"Set new ones with `pulumi config set --secret` ({keys})"
    if settings.web_identity is not None:
        member = "webIdentityTokenFile" if settings.web_identity.token_file else "webIdentityToken"
        return f"Renew the token in {member} of {settings.prefix}assumeRoleWithWebIdentity"
    chain = core.profile_chain
    try:
        method = "profile" if not is_found else None if core.source is None else core.source.method
    except (BotoCoreError, LicenseConversionError):  # what there is can't be loaded: then the profile says more
        method = "profile"
    fixed = {
        None: _ANY_CREDENTIALS,
        "env": "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew",
        "iam-role": "Check the role of this EC2 instance",
        "container-role": "Check the role of this container",
    }
    if method in fixed:
        return fixed[method]
    name, content = chain[-1] if chain else ("default", {})
    if method == "assume-role-with-web-identity" and "web_identity_token_file" not in content:
        return "Renew the web identity's token in the file of AWS_WEB_IDENTITY_TOKEN_FILE"
    return _PROFILE_HINTS[next((key for key in _PROFILE_HINTS if key in content), "")].format(name)


def _find_version() -> str:
    try:
        return metadata.version("lmconv-resource")
    except metadata.PackageNotFoundError:  # the folder was copied beside a program instead of being installed
        return "unknown"
