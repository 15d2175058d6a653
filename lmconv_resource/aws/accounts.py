"""Whose credentials a connection has: asked of STS before anything else, where somebody has to know."""

from __future__ import annotations

import copy
import logging
from typing import Any

from lmconv_resource.aws.calls import Calls, ClientSource
from lmconv_resource.aws.settings import Settings, check_account
from lmconv_resource.errors import (
    CONNECT_ACTION,
    LicenseConversionError,
    ServiceFaultError,
    SettingsError,
    Subject,
    ThrottledError,
)
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.rate_limiter import RateLimiter

log = logging.getLogger(__name__)

_FAILURE_SECONDS = 60.0
"""How long it counts that STS could not be asked: a network without a way to it costs a time-out for each asking."""


class CheckedClients:
    """The clients of one connection, handed out once its account is known to be an allowed one. Threads may share it.

    Args:
        settings: the connection's settings, which may allow or forbid accounts.
        source: where the clients come from.
        cancellation: ends the retries of asking for the account, which serves more than one operation.
    """

    def __init__(self, settings: Settings, source: ClientSource, cancellation: Cancellation) -> None:
        self._settings = settings
        self.source = source
        self._runtime = cancellation.runtime
        self._sts = Calls(source, "sts", settings, RateLimiter(runtime=self._runtime), cancellation)
        self._lock = self._runtime.lock()
        self._known: tuple[int, str] | None = None
        """The account, and the generation of credentials that it was asked for with."""
        self._first: str | None = None
        """The account of the first credentials: others are not to take their place unseen."""
        self._checked = -1
        """The generation whose account is known to be the right one."""
        self._failures: dict[str, tuple[LicenseConversionError, float]] = {}
        """What STS could not be asked for, and when, by purpose."""

    def client(self, service: str) -> Any:
        """Return the client of a service.

        Raises:
            SettingsError: the settings can't be used, or do not allow the account of the credentials.
            LicenseConversionError: they restrict accounts, and STS could not be asked for the caller's.
        """
        while True:
            generation = self.source.generation
            self._check_account(generation, "call")
            client = self.source.client(service)
            if self.source.generation == generation:  # otherwise it is of credentials that nobody has looked at
                return client

    def find_credentials(self) -> None:
        """Look for the credentials, and refuse those that can't be used. Only STS is called, and only for the account.

        Raises:
            SettingsError: the settings can't be used, or do not allow the account of the credentials.
            LicenseConversionError: they restrict accounts, and STS could not be asked for the caller's.
        """
        self.source.find_credentials()
        self._check_account(self.source.generation, "check")

    def _check_account(self, generation: int, purpose: str) -> None:
        """Raise a SettingsError when the account is not allowed, or not that of the credentials that were renewed."""
        is_needed = self._settings.restricts_accounts or self._first is not None
        if not is_needed or self._checked == generation:
            return
        account = self.caller_account(purpose)
        check_account(self._settings, account)
        if account != self._first:
            raise SettingsError(
                Subject(CONNECT_ACTION, region=self._settings.region),
                f"the credentials that were read again belong to account {account}, and those before to {self._first}",
                f"Use credentials of account {self._first}, then run `pulumi up` again",
            )
        self._checked = generation

    @property
    def generation(self) -> int:
        """Counts how often the credentials were renewed."""
        return self.source.generation

    def were_accepted(self, service: str) -> bool:
        """Return whether a service has taken credentials of these clients."""
        return self.source.were_accepted(service)

    def accept(self, service: str) -> None:
        """Note that a service has taken the credentials."""
        self.source.accept(service)

    def renew(self, generation: int) -> bool:
        """Forget all credentials that are in use, unless another has done so since `generation`.

        Whose account those are that take their place is asked where it was known, before anything else is sent.
        """
        return self.source.renew(generation)

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones; empty where that is not known."""
        return self.source.sign_in_hint()

    def decode_denial(self, message: str) -> str | None:
        """Return what an encoded authorization message of AWS's says; None where it may not be decoded."""
        return self.source.decode_denial(message)

    def caller_account(self, purpose: str = "start") -> str:
        """Return the id of the account that the credentials belong to, asked of STS once.

        Args:
            purpose: `check`, `start` or `call`. What STS itself answers is tried again, except for a call, which its
                caller does; a network without a way to STS is to cost one time-out.

        Raises:
            LicenseConversionError: STS could not be asked, now or a short time ago.
        """
        began = self._runtime.now()
        with self._lock:
            while self._known is None or self._known[0] != self.source.generation:
                failure, failed_at = self._failures.get(purpose, (None, 0.0))
                # A call is tried again by who makes it: there only those share a failure that have waited for it.
                counts_since = began if purpose == "call" else self._runtime.now() - _FAILURE_SECONDS
                if failure is not None and failed_at >= counts_since:
                    raise copy.copy(failure)  # whoever gets it may add to it
                generation = self.source.generation
                try:
                    account = (
                        self._ask_account()
                        if purpose == "call"
                        else self._sts.retry(self._ask_account, ThrottledError, ServiceFaultError)
                    )
                except LicenseConversionError as error:
                    self._failures[purpose] = copy.copy(error), self._runtime.now()
                    raise
                if self.source.generation == generation:  # otherwise they were renewed on the way
                    self._known = generation, account
                    self._first = self._first or account
                    log.debug("the credentials belong to account %s", account)
            return self._known[1]

    def _ask_account(self) -> str:
        subject = Subject(CONNECT_ACTION, region=self._settings.region)
        return str(self._sts.once(lambda client: client.get_caller_identity()["Account"], subject))
