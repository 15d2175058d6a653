"""Who calls: the session of one `Settings`, with its credentials, whose they are, and clients that sign with them.

To be imported where AWS is called only: a stack whose tasks have all ended needs no botocore.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConfigParseError, NoCredentialsError, ProfileNotFound

from lmconv_resource import errors
from lmconv_resource.aws.access.botocore_session import SettingsSession, SharedClients
from lmconv_resource.aws.access.call_log import log_connection
from lmconv_resource.aws.access.files import to_reason
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.error_mapping import SOURCE_ERRORS, from_botocore
from lmconv_resource.errors import Subject
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.text import fill, key, on_settings

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

_SOURCES = {
    None: ("nothing", "Supply credentials in any way the AWS CLI supports"),
    "env": ("AWS_ACCESS_KEY_ID", "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again"),
    "iam-role": ("this EC2 instance's role", "Check the role of this EC2 instance"),
    "container-role": ("this container's role", "Check the role of this container"),
}
"""By botocore's name for where credentials come from: what it is, and what gives new ones. All else is a profile's."""

_SETTINGS_REMEDIES: dict[type[Exception], str] = {
    ProfileNotFound: "Check the resource's profile, {aws:}profile (`pulumi config`) and AWS_PROFILE",
    ConfigParseError: "Correct the file, or name another in {aws:}sharedConfigFiles or {aws:}sharedCredentialsFiles "
    "(`pulumi config`)",
    Exception: "Check the stack's {aws:} settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL",
}
"""By what botocore raises for settings that can't be used, the first that fits."""

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
        self._subject = Subject(errors.CONNECT_ACTION, region=settings.region)
        self._lock = runtime.lock()
        """Guards botocore's session and what is found with it, which may call what gives the credentials."""
        self._core: SettingsSession | None = None
        self._clients: dict[str, Any] = {}
        self._working: set[str] = set()
        self._renewed_at = float("-inf")
        self._asking = runtime.lock()
        """Held by who asks STS for the account, and wanted only by those who can't go on without the answer."""
        self._answer: tuple[int, float, str | errors.LicenseConversionError] = (-1, 0.0, "")
        """The generation that STS was asked about, when, and its account, or why STS did not say it."""
        self._first_account: str | None = None
        """That of the first credentials: others are not to take their place unseen."""

    def client(self, service: str) -> Any:
        """Return the client of a service (`license-manager`, `ec2`, `sts`, `ssm`). The first costs 50 to 100 ms of CPU.

        Raise a SettingsError for settings or an account that can't be used, and STS's error where that is not known.
        """
        while True:
            generation = self.generation
            if service != "sts":  # which says whose they are
                self._check_account()
            client = self.unchecked_client(service)
            if self.generation == generation:  # otherwise it may sign with credentials whose account was not checked
                return client

    def check_credentials(self) -> None:
        """Raise the error of `client` early, and a CredentialsError where there are none. Only STS is called."""
        with self._botocore() as core:
            if core.credentials is None:
                raise from_botocore(NoCredentialsError(), self._subject)
        self._check_account()

    def call(self, service: str, method: str, members: Mapping[str, Any], subject: Subject) -> Any:
        """Return the answer of one call of boto3's (`get_caller_identity`); what it raises becomes our error.

        Credentials that have ended are read again, once: a rotated file, a renewed sign-in or a new token may be there.
        """
        generation = self.generation
        try:
            return self._send(service, method, members, subject)
        except errors.ExpiredCredentialsError as expired:
            if not self.renew(generation):
                raise
            log.info("the credentials were read again: %s", expired)
            return self._send(service, method, members, subject)

    def _send(self, service: str, method: str, members: Mapping[str, Any], subject: Subject) -> Any:
        try:
            client = self.client(service)
        except errors.ExpiredCredentialsError as expired:  # STS said so, which is asked first
            raise errors.ExpiredCredentialsError(subject, expired.reason, expired.remedy) from expired
        try:
            answer = getattr(client, method)(**members)
        except Exception as cause:
            raise self.explain(cause, subject, service) from cause
        self._working.add(service)
        return answer

    def renew(self, generation: int) -> bool:
        """Forget the credentials of this generation, so that files and environment are read again; one does it for all.

        Return whether there is something else to try: not where those of a moment ago were refused too.
        """
        with self._lock:
            if generation == self.generation:
                now = self._runtime.now()
                if now - self._renewed_at < _RENEWAL_SECONDS:
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

    def account(self, unreachable_seconds: float = 0.0) -> str:
        """Return the id of the credentials' account. STS is asked once for all that want to know.

        That STS could not be reached counts for `unreachable_seconds`.
        """
        before = self._answer
        with self._asking:
            generation, asked_at, account = self._answer
            serves = generation == self.generation
            if isinstance(account, errors.LicenseConversionError):
                age = self._runtime.now() - asked_at
                is_lasting = isinstance(account, errors.EndpointUnreachableError) and age < unreachable_seconds
                serves = is_lasting or self._answer is not before
            if not serves:
                self._answer = self._ask_account()
                account = self._answer[2]
            if isinstance(account, errors.LicenseConversionError):
                raise copy.copy(account) from account  # the caller may add to it
            self._first_account = self._first_account or account
            return account

    def _ask_account(self) -> tuple[int, float, str | errors.LicenseConversionError]:
        while True:
            generation = self.generation
            try:
                account = str(self._send("sts", "get_caller_identity", {}, self._subject)["Account"])
            except errors.LicenseConversionError as error:
                if isinstance(error, errors.ExpiredCredentialsError) and self.renew(generation):
                    continue
                return generation, self._runtime.now(), error
            if self.generation == generation:
                log.debug("the credentials belong to account %s", account)
                return generation, self._runtime.now(), account

    def _check_account(self) -> None:
        """Raise a SettingsError when the account is not allowed, or not that of the credentials that were renewed."""
        first, settings = self._first_account, self.settings
        allowed, forbidden = settings.allowed_account_ids, settings.forbidden_account_ids
        if not (allowed or forbidden or first):
            return
        account = self.account()
        wrong = None
        if allowed and account not in allowed:
            wrong = key("allowedAccountIds"), f"allows {', '.join(allowed)} only", "an allowed"
        elif account in forbidden:
            wrong = key("forbiddenAccountIds"), f"forbids {', '.join(forbidden)}", "another"
        if wrong:
            setting, told, other = wrong
            reason = f"the credentials belong to account {account} ({self.origin}), and {setting} {told}"
            remedy = f"Use credentials of {other} account, or change {setting}"
            raise errors.SettingsError(self._subject, reason, remedy)
        if first not in (None, account):
            reason = f"the reloaded credentials belong to account {account}, the earlier ones to {first}"
            remedy = f"Use credentials of account {first}, then run `pulumi up` again"
            raise errors.SettingsError(self._subject, reason, remedy)

    @property
    def origin(self) -> str:
        """What the credentials come from, in the user's words: a role, a profile, a setting or a variable."""
        if self.settings.assume_roles:
            return f"the role {self.settings.assume_roles[-1].role_arn}"
        with self._botocore() as core:
            return self._describe_source(core)[0]

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones, for the kind of credentials in use."""
        with self._lock:
            try:
                return self._describe_source(self._open_core())[1]
            except (BotoCoreError, errors.LicenseConversionError):  # a file that can no longer be read
                return _SOURCES[None][1]

    def explain(self, cause: Exception, subject: Subject, service: str) -> errors.LicenseConversionError:
        """Return the error that stands for what a call raised, with a remedy for the kind of credentials in use."""
        error = from_botocore(cause, subject, were_accepted=service in self._working, decode=self._decode_denial)
        is_general = isinstance(error, errors.CredentialsError) and error.remedy == fill(type(error).remedy)
        # With no credentials at all there is no kind of them.
        if is_general and not isinstance(cause, NoCredentialsError):
            error.remedy = self.sign_in_hint() or error.remedy
        return error

    def _decode_denial(self, message: str) -> str | None:
        try:
            answer = self.client("sts").decode_authorization_message(EncodedMessage=message)
        except (BotoCoreError, ClientError, errors.LicenseConversionError) as error:
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
            except OSError as cause:  # a credential_process that can't be run
                hint = self._describe_source(self._open_core(), is_found=False)[1]
                raise errors.CredentialsError(self._subject, str(cause), hint) from cause
            except SOURCE_ERRORS as cause:
                error = from_botocore(cause, self._subject)
                error.remedy = self._describe_source(self._open_core(), is_found=False)[1]
                raise error from cause
            except (BotoCoreError, ValueError) as cause:
                remedy = next(each for kind, each in _SETTINGS_REMEDIES.items() if isinstance(cause, kind))
                wrong = errors.SettingsError(self._subject, to_reason(cause), on_settings(fill(remedy)))
                # botocore's ValueError repeats an endpoint without a scheme, with a name and a password in it.
                raise wrong from cause if isinstance(cause, BotoCoreError) else None

    def _describe_source(self, core: SettingsSession, *, is_found: bool = True) -> tuple[str, str]:
        """Return what the source of the credentials is, and what gives new ones.

        Credentials that could not be found are not looked for again: the profile says more.
        """
        identity = self.settings.assume_role_with_web_identity
        if self.settings.access_key:
            keys = ", ".join(map(key, ("accessKey", "secretKey", "token")))
            hint = on_settings(f"Set new ones with `pulumi config set --secret` ({keys})", f"Set a new {keys}")
            return key("accessKey"), hint
        if identity is not None:
            member = "webIdentityTokenFile" if identity.web_identity_token_file else "webIdentityToken"
            name = key("assumeRoleWithWebIdentity")
            return name, f"Renew the token in {member} of {name}"
        method: str | None = "profile"
        if is_found:
            with suppress(BotoCoreError, errors.LicenseConversionError):  # what can't be loaded: the profile says more
                method = core.source.method if core.source else None
        if method in _SOURCES:
            return _SOURCES[method]
        name, content = [("default", {}), *core.profile_chain.items()][-1]
        hint = _PROFILE_HINTS[next((member for member in _PROFILE_HINTS if member in content), "")].format(name)
        if method == "assume-role-with-web-identity" and "web_identity_token_file" not in content:
            hint = "Renew the web identity's token in the file of AWS_WEB_IDENTITY_TOKEN_FILE"
        return f"the profile {core.profile_in_use}", hint
