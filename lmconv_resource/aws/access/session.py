"""Who calls: the session of one `Settings`, with its credentials, whose they are, and clients that sign with them.

To be imported where AWS is called only: a stack whose tasks have all ended needs no botocore.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    LoginError,
    MetadataRetrievalError,
    NoCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from lmconv_resource.aws.access.botocore_session import SettingsSession
from lmconv_resource.aws.access.call_log import log_connection
from lmconv_resource.aws.access.files import to_parse_reason
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.access.shared_clients import SharedClients
from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.errors import (
    CONNECT_ACTION,
    CredentialsError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    LicenseConversionError,
    SettingsError,
    Subject,
)
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.text import without_credentials, without_endpoint_credentials
from lmconv_resource.wording import fill, key, on_settings

log = logging.getLogger(__name__)

_PROFILE_HINTS = {
    "sso_session": "Run `aws sso login --profile {}`",
    "sso_start_url": "Run `aws sso login --profile {}`",
    "login_session": "Run `aws login --profile {}`",
    "web_identity_token_file": "Renew the token in web_identity_token_file of the profile {}",
    "credential_source": "Check the credential_source of the profile {}",
    "credential_process": "Have the credential_process of the profile {} return new ones",
    "": "Put new keys into the profile {}",
}
"""By the key of a profile that says where its credentials come from."""

_ANY_CREDENTIALS = "Supply credentials in any way the AWS CLI supports"

_METHODS = {
    "env": ("AWS_ACCESS_KEY_ID", "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again"),
    "iam-role": ("this EC2 instance's role", "Check the role of this EC2 instance"),
    "container-role": ("this container's role", "Check the role of this container"),
}
"""By botocore's name for where credentials come from: what it is, and what gives new ones."""

_SIGN_IN_ERRORS = (SSOError, LoginError, TokenRetrievalError, CredentialRetrievalError, MetadataRetrievalError, OSError)
"""What is raised where the settings are right, and who is to give the credentials does not, or can't be run."""

_RENEWAL_SECONDS = 10.0
"""Credentials that were read again and refused are not read again within this time, however many waits notice it."""


class AccessSession:
    """All clients of one `Settings`, which sign with the same credentials. Safe to share between threads.

    Where the settings allow or forbid accounts, no client is handed out before the account is known to be allowed. By
    default nothing is `shared` with sessions of other credentials.
    """

    def __init__(self, settings: Settings, shared: SharedClients | None = None, runtime: Runtime = RUNTIME) -> None:
        self.settings = settings
        self.generation = 0
        """How often the credentials were read again."""
        self._shared = shared or SharedClients(runtime)
        self._runtime = runtime
        self._subject = Subject(CONNECT_ACTION, region=settings.region)
        self._lock = runtime.lock()
        """Guards botocore's session and what is found with it, which may call what gives the credentials."""
        self._core: SettingsSession | None = None
        self._clients: dict[str, Any] = {}
        self._working: set[str] = set()
        self._renewed_at: float | None = None
        self._asking = runtime.lock()
        """Held by who asks STS for the account, and wanted only by those who can't go on without the answer."""
        self._answers = 0
        self._failure: tuple[float, LicenseConversionError] | None = None
        self._account: tuple[int, str] | None = None
        """The generation that was asked for last, and its account."""
        self._first_account: str | None = None
        """That of the first credentials: others are not to take their place unseen."""
        self._checked = -1
        """The generation whose account is known to be the right one."""

    # -- clients -------------------------------------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """Return the client of a service (`license-manager`, `ec2`, `sts`, `ssm`). The first costs 50 to 100 ms of CPU.

        Raise a SettingsError for settings or an account that can't be used, and STS's error where that is not known.
        """
        while True:
            generation = self.generation
            self._check_account(generation)
            client = self.unchecked_client(service)
            if self.generation == generation:  # otherwise it may sign with credentials whose account was not checked
                return client

    def check_credentials(self) -> None:
        """Raise the error of `client` early, and a CredentialsError where there are none. Only STS is called."""
        with self._botocore() as core:
            if core.credentials is None:
                raise from_botocore(NoCredentialsError(), self._subject)
        self._check_account(self.generation)

    def mark_working(self, service: str) -> None:
        """Note that a service has taken the credentials."""
        self._working.add(service)

    def renew(self, generation: int) -> bool:
        """Forget the credentials of this generation, so that files and environment are read again; one does it for all.

        Return whether there is something else to try: not where those of a moment ago were refused too.
        """
        with self._lock:
            if generation == self.generation:
                now = self._runtime.now()
                if self._renewed_at is not None and now - self._renewed_at < _RENEWAL_SECONDS:
                    return False
                self._core, self._clients, self._renewed_at = None, {}, now
                self.generation += 1
            return True

    def unchecked_client(self, service: str) -> Any:
        """Return the client of a service, whichever account its credentials belong to."""
        with self._botocore() as core:
            if service not in self._clients:
                client = self._clients[service] = core.signing_client(service, core.credentials)
                log_connection(service, client, core, core.source, self.settings.assume_roles)
            return self._clients[service]

    # -- whose they are ------------------------------------------------------------------------------------------------

    def account(self, unreachable_seconds: float = 0.0) -> str:
        """Return the id of the credentials' account. STS is asked once for all that want to know.

        That STS could not be reached counts for `unreachable_seconds`.
        """
        answers = self._answers
        with self._asking:
            if self._account is not None and self._account[0] == self.generation:
                return self._account[1]
            if self._failure is not None:
                failed_at, failure = self._failure
                lasts = isinstance(failure, EndpointUnreachableError)
                if answers != self._answers or (lasts and self._runtime.now() - failed_at < unreachable_seconds):
                    raise copy.copy(failure)  # the caller may add to it
            try:
                self._account, self._failure = self._ask_account(), None
            except LicenseConversionError as error:
                self._failure = self._runtime.now(), copy.copy(error)
                raise
            finally:
                self._answers += 1
            self._first_account = self._first_account or self._account[1]
            log.debug("the credentials belong to account %s", self._account[1])
            return self._account[1]

    def _ask_account(self) -> tuple[int, str]:
        """Return a generation of credentials and their account, by STS; expired ones are read again, once."""
        while True:
            generation = self.generation
            client = self.unchecked_client("sts")
            try:
                account = str(client.get_caller_identity()["Account"])
            except Exception as cause:
                error = self.explain(cause, self._subject, "sts")
                if isinstance(error, ExpiredCredentialsError) and self.renew(generation):
                    continue
                raise error from cause
            self.mark_working("sts")
            if self.generation == generation:
                return generation, account

    def _check_account(self, generation: int) -> None:
        """Raise a SettingsError when the account is not allowed, or not that of the credentials that were renewed."""
        first, allowed, forbidden = (
            self._first_account,
            self.settings.allowed_account_ids,
            self.settings.forbidden_account_ids,
        )
        if not (allowed or forbidden or first) or self._checked == generation:
            return
        account = self.account()
        belong, name, told, use = f"the credentials belong to account {account} ({self.origin})", "", "", ""
        if allowed and account not in allowed:
            name, told, use = key("allowedAccountIds"), f"allows {', '.join(allowed)} only", "an allowed"
        elif account in forbidden:
            name, told, use = key("forbiddenAccountIds"), f"forbids {', '.join(forbidden)}", "another"
        if name:
            remedy = f"Use credentials of {use} account, or change {name}"
            raise SettingsError(self._subject, f"{belong}, and {name} {told}", remedy)
        if first not in (None, account):
            reason = f"the reloaded credentials belong to account {account}, the earlier ones to {first}"
            raise SettingsError(
                self._subject, reason, f"Use credentials of account {first}, then run `pulumi up` again"
            )
        self._checked = generation

    @property
    def origin(self) -> str:
        """What the credentials come from, in the user's words: a role, a profile, a setting or a variable."""
        settings = self.settings
        if settings.assume_roles:
            return f"the role {settings.assume_roles[-1].role_arn}"
        if settings.access_key:
            return key("accessKey")
        if settings.assume_role_with_web_identity is not None:
            return key("assumeRoleWithWebIdentity")
        with self._botocore() as core:
            method = core.source.method if core.source else None
            return _METHODS[method][0] if method in _METHODS else f"the profile {core.profile_in_use}"

    # -- what went wrong -----------------------------------------------------------------------------------------------

    def explain(self, cause: Exception, subject: Subject, service: str) -> LicenseConversionError:
        """Return the error that stands for what a call raised, with a remedy for the kind of credentials in use."""
        error = from_botocore(cause, subject, were_accepted=service in self._working, decode=self._decode_denial)
        is_general = isinstance(error, CredentialsError) and error.remedy == fill(type(error).remedy)
        # With no credentials at all there is no kind of them.
        if is_general and not isinstance(cause, NoCredentialsError):
            error.remedy = self.sign_in_hint() or error.remedy
        return error

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones, for the kind of credentials in use."""
        with self._lock:
            try:
                return self._to_hint(self._open_core())
            except (BotoCoreError, LicenseConversionError):  # a file that can no longer be read
                return _ANY_CREDENTIALS

    def _decode_denial(self, message: str) -> str | None:
        """Return what an encoded authorization message of AWS's says; None where it may not be decoded."""
        try:
            answer = self.unchecked_client("sts").decode_authorization_message(EncodedMessage=message)
        except (BotoCoreError, ClientError, LicenseConversionError) as error:
            log.info("AWS's encoded reason can't be decoded: %s", type(error).__name__)
            return None
        return str(answer["DecodedMessage"])

    def _open_core(self) -> SettingsSession:
        if self._core is None:
            self._core = SettingsSession(self.settings, self._shared)
        return self._core

    @contextmanager
    def _botocore(self) -> Iterator[SettingsSession]:
        """Return botocore's session, locked; what it raises of settings and credentials becomes our error."""
        with self._lock:
            try:
                yield self._open_core()
            except _SIGN_IN_ERRORS as cause:
                hint = self._to_hint(self._open_core(), is_found=False)
                if isinstance(cause, OSError):  # a credential_process that can't be run
                    raise CredentialsError(self._subject, str(cause), hint) from cause
                error = from_botocore(cause, self._subject)
                error.remedy = hint
                raise error from cause
            except BotoCoreError as cause:
                raise self._wrong_settings(cause, without_credentials(str(cause))) from cause
            # botocore says this of an endpoint without a scheme, whether it is ours or the environment's.
            except ValueError as cause:
                # It repeats the endpoint, and a name and a password in it.
                raise self._wrong_settings(cause, without_endpoint_credentials(str(cause))) from None

    def _wrong_settings(self, cause: Exception, reason: str) -> SettingsError:
        remedy = "Check the stack's {aws:} settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL"
        if isinstance(cause, ProfileNotFound):
            remedy = "Check the resource's profile, {aws:}profile (`pulumi config`) and AWS_PROFILE"
        elif isinstance(cause, ConfigParseError):
            reason = to_parse_reason(cause)
            files = "{aws:}sharedConfigFiles or {aws:}sharedCredentialsFiles"
            remedy = f"Correct the file, or name another in {files} (`pulumi config`)"
        return SettingsError(self._subject, reason.rstrip("."), on_settings(fill(remedy)))

    def _to_hint(self, core: SettingsSession, *, is_found: bool = True) -> str:
        """Return the hint. Credentials that could not be found are not looked for again: the profile says more."""
        identity = self.settings.assume_role_with_web_identity
        if self.settings.access_key:
            keys = ", ".join(map(key, ("accessKey", "secretKey", "token")))
            return on_settings(f"Set new ones with `pulumi config set --secret` ({keys})", f"Set a new {keys}")
        if identity is not None:
            member = "webIdentityTokenFile" if identity.web_identity_token_file else "webIdentityToken"
            return f"Renew the token in {member} of {key('assumeRoleWithWebIdentity')}"
        chain = core.profile_chain
        try:
            method = "profile" if not is_found else None if core.source is None else core.source.method
        except (BotoCoreError, LicenseConversionError):  # what there is can't be loaded: then the profile says more
            method = "profile"
        if method is None or method in _METHODS:
            return _METHODS[method][1] if method else _ANY_CREDENTIALS
        name, content = chain[-1] if chain else ("default", {})
        if method == "assume-role-with-web-identity" and "web_identity_token_file" not in content:
            return "Renew the web identity's token in the file of AWS_WEB_IDENTITY_TOKEN_FILE"
        return _PROFILE_HINTS[next((member for member in _PROFILE_HINTS if member in content), "")].format(name)
