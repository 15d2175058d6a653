"""AWS for tests: settings, clients that are made once, time that passes at no cost, and a session that takes notes."""

from __future__ import annotations

import functools
from typing import Any

from lmconv_resource.aws.client import Connection, MakeClient
from lmconv_resource.aws.credentials import make_client
from lmconv_resource.aws.settings import Settings
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.operation import Severity
from lmconv_resource.lifecycle.start import StartPolicy
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy

REGION, ACCOUNT = "eu-west-1", "123456789012"
GET, LIST, CREATE = (
    "GetLicenseConversionTask",
    "ListLicenseConversionTasks",
    "CreateLicenseConversionTaskForResource",
)

UNPACED = PollingPolicy(fastest_gap_seconds=0.0, first_slow_gap_seconds=0.0)
"""Calls that wait for no turn, not even after one was throttled."""

shared_client = functools.cache(make_client)
"""Makes a client, the slow part of many tests, once. Not for tests whose environment differs."""


def to_settings(region: str = REGION, **config: Any) -> Settings:
    """Return the settings of a stack whose configuration is `config`, in the `aws` namespace."""
    return Settings.from_config({f"aws:{name}": value for name, value in config.items()}.get, region)


class Clock:
    """A clock that only a sleep moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += seconds


class Pauses(Cancellation):
    """A cancellation whose pauses take no time; it notes how long they would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Note a pause."""
        self.seconds.append(seconds)
        return self.is_set


class NotingSession(Session):
    """A session that keeps the lines that stay in the diagnostics, each after its severity."""

    def __init__(
        self, *, start_policy: StartPolicy | None = None, make_client: MakeClient = shared_client, **config: Any
    ) -> None:
        values = {f"aws:{name}": value for name, value in config.items()}
        super().__init__(values.get, policy=UNPACED, start_policy=start_policy, make_client=make_client)
        self.lines: list[str] = []

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        """Keep a line."""
        self.lines.append(f"{severity}: {message}")


def connect(session: Session | None = None) -> Connection:
    """Return a session's connection in the region of these tests."""
    return (session or NotingSession()).connect(REGION)
