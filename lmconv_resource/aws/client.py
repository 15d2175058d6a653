"""A connection: the clients, the pace and the poller that all operations with the same settings share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

from lmconv_resource.aws.access import AccessSession
from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.ec2 import Ec2
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.errors import ServiceFaultError, ThrottledError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import PollingPolicy, RateLimiter
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.recent_tasks import RecentTasks
from lmconv_resource.polling.runtime import Cancellation

_UNREACHABLE_SECONDS = 60.0
"""How long it counts that STS can't be reached: a network without a way to it costs a time-out for each asking."""


class Connection:
    """AWS with some settings: what all operations that have them share, and, after `until`, what one of them sees.

    Safe to share between threads. `on_note` is told, once each, what the user should know of the connection's polling.
    """

    def __init__(
        self, session: AccessSession, cancellation: Cancellation, policy: PollingPolicy, on_note: Callable[[str], None]
    ) -> None:
        self.session = session
        self.region = session.settings.region
        runtime = cancellation.runtime
        limiters = {service: RateLimiter(policy, runtime) for service in ("license-manager", "ec2", "ssm")}
        calls = Calls(session, limiters, cancellation)
        self._serve(calls)
        # What follows serves more than one operation, and so ends with none of them.
        self.recent_tasks = RecentTasks(self.license_manager.pages, runtime)

        def in_turn() -> LicenseManager:
            return LicenseManager(replace(calls, has_turn=True))

        self.running: dict[str | None, str] = {}
        """The task in progress that a list of the waits has shown last, by the resource's ARN."""

        def list_pages(status: TaskStatus) -> Iterator[dict[str, ConversionTask]]:
            for page in in_turn().pages(status):
                self.running |= {task.resource_arn: task.task_id for task in page.values() if task.is_unfinished}
                yield page

        dispatcher = Dispatcher(
            lambda task_id: in_turn().get_task(task_id, retry=False),
            list_pages,
            acquire=lambda: limiters["license-manager"].acquire(cancellation),
            policy=policy,
            on_note=on_note,
            runtime=runtime,
        )
        self.poller = Poller(dispatcher)
        """The one poller that all waits share."""

    def _serve(self, calls: Calls) -> None:
        self.calls = calls
        self.license_manager, self.ec2 = LicenseManager(calls), Ec2(calls)

    def until(self, cancellation: Cancellation, retry_seconds: float = float("inf")) -> Connection:
        """Return the same connection, whose pauses and retries end with this cancellation, and each after so long."""
        bound, least = copy.copy(self), min(retry_seconds, self.calls.retry_seconds)
        bound._serve(replace(self.calls, cancellation=cancellation, retry_seconds=least))
        return bound

    def get_recent_task(self, task_id: str) -> ConversionTask:
        """Return a task as it was within the last seconds, or its end; for what starts, replaces or fails nothing."""
        return self.recent_tasks.get(task_id, self.license_manager.get_task)

    def caller_account(self) -> str:
        """Return the id of the credentials' account. Faults of STS's own are tried again.

        That STS can't be reached is raised for a minute without another try.
        """
        return self.calls.retry(lambda: self.session.account(_UNREACHABLE_SECONDS), ThrottledError, ServiceFaultError)
