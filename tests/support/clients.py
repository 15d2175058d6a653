"""Where a connection's clients come from in tests that bring their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.rate_limiter import RateLimiter

MakeClient = Callable[[str, Settings], Any]


def make_client(service: str, settings: Settings) -> Any:
    """Return a client of a session of its own."""
    return AccessSession(settings).client(service)


class MadeClients(AccessSession):
    """A session whose clients come of a function of the service and the settings, each made once."""

    def __init__(self, settings: Settings, make: MakeClient = make_client) -> None:
        super().__init__(settings)
        self._make = make
        self._made: dict[tuple[int, str], Any] = {}
        self._making = threading.Lock()

    def unchecked_client(self, service: str) -> Any:
        with self._making:
            key = self.generation, service
            if key not in self._made:
                self._made[key] = self._make(service, self.settings)
            return self._made[key]

    def check_credentials(self) -> None:
        """There are none to look for."""

    def sign_in_hint(self) -> str:
        return ""


def made_by(make: MakeClient) -> Callable[[Settings], MadeClients]:
    """Give what a session takes as `open_session`."""
    return lambda settings: MadeClients(settings, make)


def make_calls(
    settings: Settings,
    *,
    service: str = "license-manager",
    make: MakeClient = make_client,
    limiter: RateLimiter | None = None,
    cancellation: Cancellation | None = None,
) -> Calls:
    """Give how a service is called, without a pace unless one is given."""
    pace = limiter or RateLimiter(PollingPolicy(fastest_gap_seconds=0.0))
    return Calls(MadeClients(settings, make), service, pace, cancellation or Cancellation())


def make_license_manager(settings: Settings, **given: Any) -> LicenseManager:
    """Give License Manager with these settings."""
    return LicenseManager(make_calls(settings, **given))
