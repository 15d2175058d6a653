"""From settings to connections: clients, pace and poller that all operations with the same settings share.

boto3 is imported only when a client is made: a stack whose tasks have all ended needs none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.credentials import make_client
from lmconv_resource.aws.ec2 import Ec2
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.recent_tasks import RecentTasks
from lmconv_resource.aws.settings import Settings
from lmconv_resource.aws.ssm import Ssm
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.rate_limiter import RateLimiter

MakeClient = Callable[[str, Settings], Any]
"""Returns a new client of a service, by boto3's name of it."""


class Connection:
    """What all operations with the same settings share. Safe to share between threads; equal only to itself.

    Args:
        settings: the settings.
        make_client: makes its clients.
        cancellation: ends the calls of the poller, which serves more than one operation.
        policy: the rhythm of polls and the pace of calls.
        on_note: told, once each, what the user should know of the connection's polling.
    """

    def __init__(
        self,
        settings: Settings,
        make_client: MakeClient,
        cancellation: Cancellation,
        policy: PollingPolicy,
        on_note: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._make_client = make_client
        # One lock for all services: building a client is 50 to 100 ms of CPU, which more threads would only stretch.
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self.recent_tasks = RecentTasks()
        self._limiters = {service: RateLimiter(policy) for service in ("license-manager", "ec2", "ssm")}
        unpaced = LicenseManager(self._calls("license-manager", cancellation), paced=False)
        self.poller = Poller(
            lambda task_id: unpaced.get_task(task_id, retry=False),
            unpaced.pages_in_progress,
            acquire=lambda: self._limiters["license-manager"].acquire(cancellation),
            policy=policy,
            on_note=on_note,
        )

    @property
    def region(self) -> str:
        """The region, for the sentences of errors."""
        return self.settings.region

    def license_manager(self, cancellation: Cancellation) -> LicenseManager:
        """Return License Manager, whose pauses and retries end with `cancellation`."""
        return LicenseManager(self._calls("license-manager", cancellation))

    def ec2(self, cancellation: Cancellation) -> Ec2:
        """Return EC2, whose pauses and retries end with `cancellation`."""
        return Ec2(self._calls("ec2", cancellation))

    def ssm(self, cancellation: Cancellation) -> Ssm:
        """Return Systems Manager, whose pauses and retries end with `cancellation`."""
        return Ssm(self._calls("ssm", cancellation))

    def _calls(self, service: str, cancellation: Cancellation) -> Calls:
        return Calls(lambda: self._get_client(service), self.settings, self._limiters[service], cancellation)

    def _get_client(self, service: str) -> Any:
        with self._lock:
            client = self._clients.get(service)
            if client is None:
                client = self._clients[service] = self._make_client(service, self.settings)
            return client


class Connections:
    """The connections of one process, one for each settings. The first caller builds one and the others get the same.

    Args:
        cancellation: ends all of their polling.
        policy: the rhythm of polls and the pace of calls.
        on_note: told what the user should know of the connections' polling.
        make_client: makes the clients.
    """

    def __init__(
        self,
        cancellation: Cancellation,
        *,
        policy: PollingPolicy | None = None,
        on_note: Callable[[str], None],
        make_client: MakeClient = make_client,
    ) -> None:
        self._cancellation = cancellation
        self._policy = policy or PollingPolicy()
        self._on_note = on_note
        self._make_client = make_client
        self._lock = threading.Lock()
        self._connections: dict[Settings, Connection] = {}

    def get(self, settings: Settings) -> Connection:
        """Return the one connection for these settings."""
        with self._lock:
            connection = self._connections.get(settings)
            if connection is None:
                connection = self._connections[settings] = Connection(
                    settings, self._make_client, self._cancellation, self._policy, self._on_note
                )
            return connection
