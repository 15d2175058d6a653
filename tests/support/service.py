"""A License Manager for the tests of the polling, by a clock that is turned by hand."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import Runtime
from lmconv_resource.polling.wait import Wait

REGION = "eu-west-1"
START = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
FEW = PollingPolicy().few_waits


def make_task(status: str | None, message: str | None = None, seconds: float | None = None) -> ConversionTask:
    """Return the task `lct-1`, which has ended after so many seconds, if any."""
    end = None if seconds is None else START + timedelta(seconds=seconds)
    known = None if status is None else TaskStatus(status)
    return ConversionTask("lct-1", REGION, status=known, status_message=message, start_time=START, end_time=end)


@dataclass
class Service:
    """Tasks that end at a moment, and faults that are dealt out in order."""

    now: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)
    status: TaskStatus = TaskStatus.SUCCEEDED
    faults: list[Exception | None] = field(default_factory=list)
    list_faults: list[Exception | None] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Tasks that no list shows."""
    page_size: int = 100
    calls: Counter[str] = field(default_factory=Counter)
    listed: Counter[TaskStatus] = field(default_factory=Counter)
    polls: list[tuple[float, str]] = field(default_factory=list)
    page_seconds: float = 0.0
    """How long a page of a list takes, which shows what was when it was asked for."""
    on_call: Callable[[str], None] = lambda _: None
    """Is called with `get` or `list` before each call is answered, and may raise."""

    def get_task(self, task_id: str) -> ConversionTask:
        self.calls["get"] += 1
        self.polls.append((self.now, task_id))
        self.on_call("get")
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        return self.see(task_id)

    def list_pages(self, status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        running = [i for i in self.ends if self.see(i).status is status and i not in self.hidden]
        for start in range(0, max(1, len(running)), self.page_size):
            self.calls["list"] += 1
            self.listed[status] += 1
            self.on_call("list")
            fault = self.list_faults.pop(0) if self.list_faults else None
            if fault:
                raise fault
            page = {task_id: self.see(task_id) for task_id in running[start : start + self.page_size]}
            self.now += self.page_seconds
            yield page

    def see(self, task_id: str) -> ConversionTask:
        """Return one task without counting a call."""
        ended = self.now >= self.ends[task_id]
        return ConversionTask(
            task_id,
            REGION,
            status=self.status if ended else TaskStatus.IN_PROGRESS,
            start_time=datetime.fromtimestamp(0, timezone.utc),
        )

    def make_dispatcher(self, seed: int = 7, **options: Any) -> Dispatcher:
        """Return a dispatcher that asks this service, by this clock, with the same jitter in each run."""
        runtime = Runtime(now=lambda: self.now, rng=random.Random(seed))  # noqa: S311
        return Dispatcher(**{"get_task": self.get_task, "list_pages": self.list_pages, **options}, runtime=runtime)

    def begin(self, dispatcher: Dispatcher, task_id: str, seconds: float = 1e6, **members: Any) -> Wait:
        """Have a task waited for, for so many seconds."""
        wait = Wait(task_id, REGION, self.now, self.now + seconds, next_poll=self.now, **members)
        dispatcher.add(wait)
        return wait

    def run(self, dispatcher: Dispatcher, until: Callable[[], bool] | float) -> None:
        """Turn the clock from poll to poll until `until` holds, or to a moment."""
        for _ in range(100_000):
            due = dispatcher.next_poll()
            if due is None or (callable(until) and until()) or (not callable(until) and due > until):
                break
            self.now = max(self.now, due)
            dispatcher.dispatch(lambda call: call())
        if not callable(until):
            self.now = until
