"""AWS for tests: settings, clients that are made once, time that passes at no cost, and a session that takes notes."""

import functools
import random
import threading
from collections.abc import Callable
from typing import Any

from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.ec2 import Ec2
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.polling.policy import PollingPolicy, RateLimiter
from lmconv_resource.polling.runtime import Cancellation, Runtime

REGION, ACCOUNT = "eu-west-1", "123456789012"
GET, LIST, CREATE = (
    "GetLicenseConversionTask",
    "ListLicenseConversionTasks",
    "CreateLicenseConversionTaskForResource",
)

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


UNPACED = PollingPolicy(fastest_gap_seconds=0.0, first_slow_gap_seconds=0.0)
"""Calls that wait for no turn, not even after one was throttled."""

shared_client = functools.cache(make_client)
"""Makes a client, the slow part of many tests, once. Not for tests whose environment differs."""


def to_settings(region: str = REGION, **config: Any) -> Settings:
    """Return the settings of a stack whose configuration is `config`, in the `aws` namespace."""
    return Settings.from_config({f"aws:{name}": value for name, value in config.items()}.get, region)


def refuse(code: str, message: str | None = "Because.", **more: Any) -> dict[str, Any]:
    """Return the body of a refusal as AWS sends it."""
    return {"__type": code, **({} if message is None else {"message": message}), **more}


class Clock:
    """A clock that only a sleep moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Pauses(Cancellation):
    """A cancellation whose pauses take no time; it notes how long they would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.is_set


class TimelessAws:
    """The services of one connection, whose turns and pauses take no time.

    Args:
        settings: the settings; by default three tries a call.
        make_client: makes the clients.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        make_client: MakeClient = shared_client,
    ) -> None:
        self.settings = settings or to_settings(maxRetries="2")
        self.pauses = Pauses()
        self.clock = Clock()
        rng = random.Random(1)  # noqa: S311 -- jitter, not cryptography
        self.limiter = RateLimiter(runtime=Runtime(now=self.clock, sleep=self.clock.sleep, rng=rng))
        self._make_client = make_client

    def client(self, service: str = "license-manager") -> Any:
        """Return the client of a service, the same each time if `make_client` makes it so."""
        return self._make_client(service, self.settings)

    def calls(self) -> Calls:
        clients = MadeClients(self.settings, self._make_client)
        return Calls(clients, dict.fromkeys(("license-manager", "ec2"), self.limiter), self.pauses)

    @property
    def license_manager(self) -> LicenseManager:
        return LicenseManager(self.calls())

    @property
    def ec2(self) -> Ec2:
        return Ec2(self.calls())
