"""A License Manager and the threads that ask it, by a clock that only jumps: hours pass in milliseconds.

What is measured here is the project's own `Watcher`, `Pacer` and `tasks` with their retries; only AWS, the clock and
the scheduling of the looking threads are stood in for.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from botocore.exceptions import ClientError

from lmconv_resource.aws import license_manager as tasks
from lmconv_resource.aws.client import Connection
from lmconv_resource.aws.settings import Settings
from lmconv_resource.emulator.limits import RateLimit, TokenBucket
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.poller import Watcher
from lmconv_resource.polling.rate_limiter import Pacer
from lmconv_resource.polling.wait import Wait

REGION = "eu-west-1"
LATENCY_SECONDS = 0.2
LOOKERS = 4
LOOP_SECONDS = 15.0
"""The pause of the loop that everything is compared with: `until aws license-manager get-…; do sleep 15; done`."""


class Simulation:
    """A clock, and so many threads that pass time on it by sleeping, one of them running at a time.

    Args:
        threads: how many there are; with 0 what is submitted runs at once, and sleeping turns the clock.
    """

    def __init__(self, threads: int = 0) -> None:
        self.now = 0.0
        self._jobs: deque[Callable[[], None]] = deque()
        self._wakes: list[tuple[float, int, _Thread]] = []
        self._order = itertools.count()
        self._threads = [_Thread(self) for _ in range(threads)]
        self._idle = deque(self._threads)
        self.back = threading.Semaphore(0)
        self.running: _Thread | None = None
        self.bug: BaseException | None = None

    def clock(self) -> float:
        """Give the present."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass for the caller."""
        if self.running is None:
            self.now += seconds
        else:
            self._wake(self.running, self.now + seconds)
            self.running.rest()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done by the next thread that is free."""
        if not self._threads:
            job()
            return
        self._jobs.append(job)
        if self._idle:
            self._wake(self._idle.popleft(), self.now)

    def next_wake(self) -> float | None:
        """Give the moment at which a thread goes on; None while none wants to."""
        return self._wakes[0][0] if self._wakes else None

    def go_on(self) -> None:
        """Turn the clock to the next thread's moment, and let it run until it sleeps or has nothing to do."""
        self.now, _, self.running = heapq.heappop(self._wakes)
        self.running.go.release()
        self.back.acquire()
        self.running = None
        if self.bug:
            raise self.bug

    def work(self, thread: _Thread) -> None:
        """Do jobs until none is left."""
        while self._jobs:
            self._jobs.popleft()()
        self._idle.append(thread)

    def _wake(self, thread: _Thread, moment: float) -> None:
        heapq.heappush(self._wakes, (moment, next(self._order), thread))

    def make_lock(self) -> _Lock:
        """Give a lock for these threads, first come, first served."""
        return _Lock(self)

    def wake_now(self, thread: _Thread) -> None:
        """Let a thread that rests go on at this moment."""
        self._wake(thread, self.now)


class _Thread:
    def __init__(self, simulation: Simulation) -> None:
        self.go = threading.Semaphore(0)
        self._simulation = simulation
        threading.Thread(target=self._run, daemon=True).start()

    def rest(self) -> None:
        """Give the run to others until `go`."""
        self._simulation.back.release()
        self.go.acquire()

    def _run(self) -> None:
        self.go.acquire()
        while True:
            try:
                self._simulation.work(self)
            except BaseException as bug:  # noqa: BLE001 -- raised again where the simulation is run
                self._simulation.bug = bug
            self.rest()


class _Lock:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._held = False
        self._queue: deque[_Thread] = deque()

    def __enter__(self) -> None:
        thread = self._simulation.running
        if self._held and thread is not None:
            self._queue.append(thread)
            thread.rest()
        self._held = True

    def __exit__(self, *_: object) -> None:
        # Stays held when it is handed on.
        self._held = bool(self._queue)
        if self._queue:
            self._simulation.wake_now(self._queue.popleft())


class _QueuedPacer(Pacer):
    """The pacer, with its queue where the simulation can see it: a thread blocked in a lock of its own would hang."""

    def __init__(self, simulation: Simulation, rng: random.Random) -> None:
        super().__init__(simulation.clock, simulation.sleep, rng)
        self._turn = simulation.make_lock()

    def wait_for_turn(self, stopped: threading.Event | None = None) -> None:
        with self._turn:
            super().wait_for_turn(stopped)


class Service:
    """A License Manager by the simulation's clock, in the shape of boto3's client.

    Args:
        simulation: whose clock it goes by.
        page_size: the most tasks in one answer of the list.
        limit: the rate above which calls are refused.
        may_list: False refuses the list for want of the right.
        latency_seconds: what each answer takes. It tells how things were when the call began, the worst case.
    """

    def __init__(
        self,
        simulation: Simulation,
        *,
        page_size: int = 50,
        limit: RateLimit | None = None,
        may_list: bool = True,
        latency_seconds: float = LATENCY_SECONDS,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self.ends: dict[str, float] = {}
        self._simulation = simulation
        self._page_size = page_size
        self._bucket = TokenBucket(limit, simulation.clock) if limit else None
        self._may_list = may_list
        self._latency = latency_seconds

    def admit(self, operation: str) -> None:
        """Count a call, and refuse it if there are too many.

        Raises:
            ClientError: there are.
        """
        self.calls[operation] += 1
        if self._bucket and not self._bucket.take():
            self.refused += 1
            raise _refusal("RateLimitExceededException", operation)

    def get_license_conversion_task(self, *, LicenseConversionTaskId: str) -> dict[str, Any]:  # noqa: N803 -- AWS's name
        """Answer as AWS does."""
        seen = self._to_answer(LicenseConversionTaskId)
        self._arrive("GetLicenseConversionTask")
        return seen

    def list_license_conversion_tasks(
        self,
        *,
        Filters: object,  # noqa: N803 -- AWS's name; the one filter that is ever asked for is IN_PROGRESS
        MaxResults: int,  # noqa: N803
        NextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        """Answer a page of the tasks in progress."""
        page: list[dict[str, Any]] = []
        following = {}
        for position, task_id in enumerate(itertools.islice(self.ends, int(NextToken), None), int(NextToken)):
            if not self.is_running(task_id):
                continue
            if len(page) == min(self._page_size, MaxResults):
                following = {"NextToken": str(position)}
                break
            page.append(self._to_answer(task_id))
        self._arrive("ListLicenseConversionTasks")
        return {"LicenseConversionTasks": page, **following}

    def is_running(self, task_id: str) -> bool:
        """Tell whether a task runs now."""
        return self._simulation.now < self.ends[task_id]

    def _to_answer(self, task_id: str) -> dict[str, Any]:
        status = "IN_PROGRESS" if self.is_running(task_id) else "SUCCEEDED"
        return {"LicenseConversionTaskId": task_id, "Status": status}

    def _arrive(self, operation: str) -> None:
        try:
            self.admit(operation)
            if not self._may_list and operation.startswith("List"):
                raise _refusal("AccessDeniedException", operation)
        finally:
            self._simulation.sleep(self._latency)


def _refusal(code: str, operation: str) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, operation)


class Waits:
    """Waits for tasks of the service, all by one watcher, and what became of them.

    Args:
        simulation: what they run on.
        service: what they ask.
        seed: of the jitter.
    """

    def __init__(self, simulation: Simulation, service: Service, seed: int = 0) -> None:
        rng = random.Random(seed)  # noqa: S311 -- jitter, not cryptography
        pacer = _QueuedPacer(simulation, rng)
        connection = Connection(cast(Any, service), Settings(REGION), pacer)
        self.watcher = Watcher(
            functools.partial(tasks.look_up_task, connection, in_turn=False),
            functools.partial(tasks.find_tasks_in_progress, connection, in_turn=False),
            wait_for_turn=pacer.wait_for_turn,
            on_note=lambda _: None,
            clock=simulation.clock,
            rng=rng,
        )
        self.late: dict[str, float] = {}
        """How long after the task's end each wait knew of it, for those that ended in success."""
        self._simulation = simulation
        self._service = service
        self._open: dict[str, Wait] = {}

    def run(self, starts: Iterable[tuple[float, str]], until: float) -> None:
        """Begin each wait at its moment, and follow them all to their end, or to `until`."""
        coming = deque(sorted(starts))
        clock = self._simulation
        while coming or self._open:
            due, wake = self.watcher.next_due(), clock.next_wake()
            begin = coming[0][0] if coming else None
            moments = [moment for moment in (due, wake, begin) if moment is not None]
            if not moments or min(moments) > until:
                break
            moment = min(moments)
            if moment == begin:
                clock.now = max(clock.now, moment)
                task_id = coming.popleft()[1]
                self._open[task_id] = self.watcher.add(task_id, REGION, timeout_seconds=12 * 3600.0)
            elif moment == wake:
                clock.go_on()
                self._end()
            else:
                clock.now = max(clock.now, moment)
                self.watcher.look(clock.submit)
                self._end()

    def _end(self) -> None:
        for task_id, wait in [each for each in self._open.items() if each[1].outcome is not None]:
            if isinstance(wait.outcome, ConversionTask):
                self.late[task_id] = self._simulation.now - self._service.ends[task_id]
            self.watcher.remove(self._open.pop(task_id))


def run_loops(
    simulation: Simulation, service: Service, starts: Iterable[tuple[float, str]], until: float
) -> dict[str, float]:
    """Run a shell loop for each task, and give how late each noticed the end of its task.

    A refused call is what it is to a shell: the loop sleeps and tries again.
    """
    late: dict[str, float] = {}
    looks = list(starts)
    heapq.heapify(looks)
    while looks and looks[0][0] <= until:
        simulation.now, task_id = heapq.heappop(looks)
        answered = simulation.now + LATENCY_SECONDS
        try:
            service.admit("GetLicenseConversionTask")
        except ClientError:
            heapq.heappush(looks, (answered + LOOP_SECONDS, task_id))
            continue
        if service.is_running(task_id):
            heapq.heappush(looks, (answered + LOOP_SECONDS, task_id))
        else:
            late[task_id] = answered - service.ends[task_id]
    return late
