"""Whose credentials a connection has: asked of STS before anything else, where somebody has to know."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.aws.settings import Settings, check_account
from lmconv_resource.errors import CONNECT_ACTION, ExpiredCredentialsError, LicenseConversionError, Subject

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import ClientSource


log = logging.getLogger(__name__)


class CheckedClients:
    """The clients of one connection, handed out once its account is known to be an allowed one. Threads may share it.

    Args:
        settings: the connection's settings, which may allow or forbid accounts.
        source: where the clients come from.
    """

    def __init__(self, settings: Settings, source: ClientSource) -> None:
        self._settings = settings
        self.source = source
        self._lock = threading.Lock()
        self._account: str | None = None
        self._failure: LicenseConversionError | None = None
        self._is_checked = not settings.restricts_accounts

    def client(self, service: str) -> Any:
        """Return the client of a service.

        Raises:
            SettingsError: the settings can't be used, or do not allow the account of the credentials.
            LicenseConversionError: they restrict accounts, and STS could not be asked for the caller's.
        """
        if not self._is_checked:
            self._failure = None
            check_account(self._settings, self.caller_account())
            self._is_checked = True
        return self.source.client(service)

    @property
    def generation(self) -> int:
        """Counts how often the credentials were renewed."""
        return self.source.generation

    def renew(self, generation: int) -> None:
        """Forget all credentials that are in use, unless another has done so since `generation`."""
        self.source.renew(generation)
        with self._lock:
            self._account = self._failure = None
        self._is_checked = not self._settings.restricts_accounts

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones; empty where that is not known."""
        return self.source.sign_in_hint()

    def caller_account(self) -> str:
        """Return the id of the account that the credentials belong to, asked of STS once.

        Raises:
            LicenseConversionError: STS could not be asked, now or the last time: a network without a way to it costs
                one time-out.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._account is None:
                client = self.source.client("sts")
                try:
                    self._account = str(client.get_caller_identity()["Account"])
                except Exception as cause:
                    error = from_botocore(cause, Subject(CONNECT_ACTION, region=self._settings.region))
                    if isinstance(error, ExpiredCredentialsError):
                        error.remedy = self.sign_in_hint() or error.remedy
                    self._failure = error
                    raise error from cause
                log.debug("the credentials belong to account %s", self._account)
            return self._account
