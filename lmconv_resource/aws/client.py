"""From settings to connections: clients, pace and poller that all operations with the same settings share.

boto3 is imported only when a client is made: a stack whose tasks have all ended needs none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from lmconv_resource.aws.access import AccessSession, Settings, SharedClients
from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.ec2 import Ec2
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.recent_tasks import RecentTasks
from lmconv_resource.aws.ssm import Ssm
from lmconv_resource.errors import EndpointUnreachableError, ServiceFaultError, ThrottledError
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.rate_limiter import RateLimiter

OpenSession = Callable[[Settings], AccessSession]
"""Returns a session with these settings."""

_UNREACHABLE_SECONDS = 60.0
"""How long it counts that STS can't be reached: a network without a way to it costs a time-out for each asking."""


class Connection:
    """What all operations with the same settings share. Safe to share between threads; equal only to itself.

    Args:
        session: what its clients come from.
        cancellation: ends the calls of the poller, which serves more than one operation; its runtime is used.
        policy: the rhythm of polls and the pace of calls.
        on_note: told, once each, what the user should know of the connection's polling.
    """

    def __init__(
        self,
        session: AccessSession,
        cancellation: Cancellation,
        policy: PollingPolicy,
        on_note: Callable[[str], None],
    ) -> None:
        self.session = session
        self.settings = session.settings
        self._unreachable: tuple[float, EndpointUnreachableError] | None = None
        runtime = cancellation.runtime
        self._limiters = {service: RateLimiter(policy, runtime) for service in ("license-manager", "ec2", "ssm", "sts")}
        # Its lists serve more than one operation, and so end with none of them.
        self.recent_tasks = RecentTasks(self.license_manager(cancellation).pages, runtime)
        unpaced = self.license_manager(cancellation).unpaced()
        dispatcher = Dispatcher(
            lambda task_id: unpaced.get_task(task_id, retry=False),
            unpaced.pages,
            acquire=lambda: self._limiters["license-manager"].acquire(cancellation),
            policy=policy,
            on_note=on_note,
            runtime=runtime,
        )
        self.poller = Poller(dispatcher)

    @property
    def region(self) -> str:
        """The region, for the sentences of errors."""
        return self.settings.region

    def license_manager(self, cancellation: Cancellation) -> LicenseManager:
        """Return License Manager, whose pauses and retries end with `cancellation`."""
        return LicenseManager(self.calls("license-manager", cancellation))

    def ec2(self, cancellation: Cancellation) -> Ec2:
        """Return EC2, whose pauses and retries end with `cancellation`."""
        return Ec2(self.calls("ec2", cancellation))

    def calls(self, service: str, cancellation: Cancellation) -> Calls:
        """Return how a service is called, until `cancellation`."""
        return Calls(self.session, service, self._limiters[service], cancellation)

    def caller_account(self, cancellation: Cancellation) -> str:
        """Return the id of the account that the credentials belong to; faults of STS's own are tried again.

        Raises:
            LicenseConversionError: STS could not be asked; that it can't be reached counts for a minute.
        """
        runtime = cancellation.runtime
        if self._unreachable and runtime.now() - self._unreachable[0] < _UNREACHABLE_SECONDS:
            raise copy.copy(self._unreachable[1])  # whoever gets it may add to it
        try:
            return self.calls("sts", cancellation).retry(self.session.account, ThrottledError, ServiceFaultError)
        except EndpointUnreachableError as error:
            self._unreachable = runtime.now(), copy.copy(error)
            raise

    def ssm(self, cancellation: Cancellation) -> Ssm:
        """Return Systems Manager, whose pauses and retries end with `cancellation`."""
        return Ssm(self.calls("ssm", cancellation))


class Connections:
    """The connections of one process, one for each settings. The first caller builds one and the others get the same.

    Args:
        cancellation: ends all of their polling; its runtime is theirs.
        policy: the rhythm of polls and the pace of calls.
        on_note: told what the user should know of the connections' polling.
        open_session: returns the session of some settings; by default one of botocore's.
        on_words: told what AWS says in its own words.
    """

    def __init__(
        self,
        cancellation: Cancellation,
        *,
        policy: PollingPolicy | None = None,
        on_note: Callable[[str], None],
        open_session: OpenSession | None = None,
        on_words: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        self._cancellation = cancellation
        self._policy = policy or PollingPolicy()
        self._on_note = on_note
        self._open_session = open_session
        self._on_words = on_words
        self._lock = cancellation.runtime.lock()
        self._shared: dict[str, SharedClients] = {}
        self._connections: dict[tuple[Settings, str], Connection] = {}

    def get(self, settings: Settings, environment: str = "") -> Connection:
        """Return the one connection for these settings, and for this fingerprint of the environment."""
        key = (settings, environment)
        with self._lock:
            connection = self._connections.get(key)
            if connection is None:
                session = self._open_session(settings) if self._open_session else self._make_session(*key)
                connection = Connection(session, self._cancellation, self._policy, self._on_note)
                self._connections[key] = connection
            return connection

    def _make_session(self, settings: Settings, environment: str) -> AccessSession:
        runtime = self._cancellation.runtime
        shared = self._shared.setdefault(environment, SharedClients(runtime, self._on_words))
        return AccessSession(settings, shared, runtime)
