"""Where a connection's clients come from in tests that bring their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.credentials import open_session
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.settings import Settings
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.rate_limiter import RateLimiter

MakeClient = Callable[[str, Settings], Any]


def make_client(service: str, settings: Settings) -> Any:
    """Return a client of a session of its own."""
    return open_session(settings).client(service)


class MadeClients:
    """Clients by a function of the service and the settings, each made once."""

    def __init__(self, settings: Settings, make: MakeClient = make_client) -> None:
        self.generation = 0
        self._accepted: set[str] = set()
        self._settings, self._make = settings, make
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service, self._settings)
            return self._clients[service]

    def find_credentials(self) -> None:
        """There are none to look for."""

    def were_accepted(self, service: str) -> bool:
        return service in self._accepted

    def accept(self, service: str) -> None:
        self._accepted.add(service)

    def renew(self, generation: int) -> bool:
        with self._lock:
            if generation == self.generation:
                self.generation += 1
                self._clients = {}
            return True

    def sign_in_hint(self) -> str:
        return ""

    def decode_denial(self, message: str) -> str | None:
        return None


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
    return Calls(MadeClients(settings, make), service, settings, pace, cancellation or Cancellation())


def make_license_manager(settings: Settings, **given: Any) -> LicenseManager:
    """Give License Manager with these settings."""
    return LicenseManager(make_calls(settings, **given))
