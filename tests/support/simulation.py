"""A License Manager and the threads that ask it, by a clock that only jumps: hours pass in milliseconds.

What runs here is the project's own `Dispatcher` and `RateLimiter`; AWS, the clock, the scheduling of the polling
threads and the thin layer that makes the calls are stood in for.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from lmconv_resource.emulator.faults import RateLimit, TokenBucket
from lmconv_resource.errors import LIST_ACTION, AccessDeniedError, Subject, ThrottledError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS, PollingPolicy
from lmconv_resource.polling.rate_limiter import RateLimiter
from lmconv_resource.polling.runtime import Runtime
from lmconv_resource.polling.wait import Wait

REGION = "eu-west-1"
POLICY = PollingPolicy()
LOOP_SECONDS = 15.0
"""The pause of the loop that everything is compared with: `until aws license-manager get-…; do sleep 15; done`."""

_Answer = TypeVar("_Answer")

Starts = Iterable[tuple[float, str]]
"""When each wait begins, and the id of its task."""


class Simulation:
    """A clock, and so many threads that pass time on it by sleeping, one of them running at a time.

    Args:
        threads: how many there are; with 0 what is submitted runs at once, and sleeping turns the clock.
    """

    def __init__(self, threads: int = 0) -> None:
        self.now = 0.0
        self.back = threading.Semaphore(0)
        self.running: _Thread | None = None
        self.bug: BaseException | None = None
        self._jobs: deque[Callable[[], None]] = deque()
        self._wakes: list[tuple[float, int, _Thread]] = []
        self._order = itertools.count()
        self._threads = [_Thread(self) for _ in range(threads)]
        self._idle = deque(self._threads)

    def clock(self) -> float:
        """Return the present."""
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
        """Return the moment at which a thread goes on; None while none wants to."""
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

    def wake_now(self, thread: _Thread) -> None:
        """Let a thread that rests go on at this moment."""
        self._wake(thread, self.now)

    def _wake(self, thread: _Thread, moment: float) -> None:
        heapq.heappush(self._wakes, (moment, next(self._order), thread))


class _Thread:
    def __init__(self, simulation: Simulation) -> None:
        self.go = threading.Semaphore(0)
        self._simulation = simulation
        threading.Thread(target=self._run, daemon=True).start()

    def rest(self) -> None:
        """Let others run until `go`."""
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
    """A lock for the threads of a simulation, first come, first served."""

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


class _QueuedLimiter(RateLimiter):
    """The rate limiter, with its queue where the simulation sees it: a thread in a lock of its own would hang."""

    def __init__(self, simulation: Simulation, rng: random.Random) -> None:
        super().__init__(POLICY, Runtime(now=simulation.clock, sleep=simulation.sleep, rng=rng))
        self._head = _Lock(simulation)

    def acquire(self, cancellation: Cancellation | None = None) -> None:
        with self._head:
            super().acquire(cancellation)


class Service:
    """A License Manager by the simulation's clock.

    Args:
        simulation: whose clock it goes by.
        page_size: the most tasks in one answer of the list. AWS does not say how many its own has.
        limit: the rate above which calls are throttled.
        may_list: False refuses the list for want of the right.
    """

    def __init__(
        self, simulation: Simulation, *, page_size: int = 50, limit: RateLimit | None = None, may_list: bool = True
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.throttled = 0
        self.ends: dict[str, float] = {}
        self._simulation = simulation
        self._page_size = page_size
        self._bucket = TokenBucket(limit, simulation.clock) if limit else None
        self._may_list = may_list

    def admit(self, operation: str) -> bool:
        """Count a call, and return whether there are not too many."""
        self.calls[operation] += 1
        if self._bucket and not self._bucket.take():
            self.throttled += 1
            return False
        return True

    def get(self, task_id: str) -> ConversionTask:
        """Return a task as it was when the call began, the worst case."""
        seen = self._see(task_id)
        self._answer("get")
        return seen

    def list_page(self, position: int, is_running: bool) -> tuple[dict[str, ConversionTask], int | None]:
        """Return the page of running or ended tasks that begins at a position, and where the next one begins."""
        page: dict[str, ConversionTask] = {}
        following = None
        for number, task_id in enumerate(itertools.islice(self.ends, position, None), position):
            if self.is_running(task_id) is is_running:
                if len(page) == self._page_size:
                    following = number
                    break
                page[task_id] = self._see(task_id)
        self._answer("list")
        return page, following

    def is_running(self, task_id: str) -> bool:
        """Return whether a task runs now."""
        return self._simulation.now < self.ends[task_id]

    def _see(self, task_id: str) -> ConversionTask:
        status = TaskStatus.IN_PROGRESS if self.is_running(task_id) else TaskStatus.SUCCEEDED
        return ConversionTask(task_id, REGION, status=status)

    def _answer(self, operation: str) -> None:
        try:
            if not self.admit(operation):
                raise ThrottledError(Subject(region=REGION), "AWS asks to slow down")
            if operation == "list" and not self._may_list:
                raise AccessDeniedError(Subject(LIST_ACTION, region=REGION), "no")
        finally:
            self._simulation.sleep(POLICY.answer_seconds)


class Waits:
    """Waits for tasks of the service, all by one dispatcher, and what became of them.

    Args:
        simulation: what they run on.
        service: what they ask.
        seed: of the jitter.
        policy: when to poll.
    """

    def __init__(self, simulation: Simulation, service: Service, seed: int = 0, policy: PollingPolicy = POLICY) -> None:
        rng = random.Random(seed)  # noqa: S311 -- jitter, not cryptography
        self._limiter = _QueuedLimiter(simulation, rng)
        self.dispatcher = Dispatcher(
            lambda task_id: self._call(lambda: service.get(task_id)),
            self._list_pages,
            acquire=self._limiter.acquire,
            policy=policy,
            on_note=lambda _: None,
            runtime=Runtime(now=simulation.clock, rng=rng),
        )
        self.late: dict[str, float] = {}
        """How long after the task's end each wait knew of it, for those that ended in success."""
        self._simulation = simulation
        self._service = service
        self._open: dict[str, Wait] = {}

    def _call(self, ask: Callable[[], _Answer]) -> _Answer:
        try:
            answer = ask()
        except ThrottledError:
            self._limiter.on_throttled()
            raise
        self._limiter.on_success()
        return answer

    def _list_pages(self, status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        position: int | None = 0
        tries = 1  # the dispatcher has acquired the first page's call
        while position is not None:
            try:
                page, position = self._call(
                    functools.partial(self._service.list_page, position, status is TaskStatus.IN_PROGRESS)
                )
            except ThrottledError:
                tries += 1
                if tries > 5:
                    raise
                self._limiter.acquire()
                continue
            yield page
            tries = 1
            if position is not None:
                self._limiter.acquire()

    def run(self, starts: Starts, until: float = float("inf")) -> None:
        """Begin each wait at its moment, and follow them all to their end, or to `until`."""
        coming = deque(sorted(starts))
        clock = self._simulation
        while coming or self._open:
            due, wake = self.dispatcher.next_poll(), clock.next_wake()
            begin = coming[0][0] if coming else None
            moments = [moment for moment in (due, wake, begin) if moment is not None]
            if not moments or min(moments) > until:
                break
            moment = min(moments)
            if moment == begin:
                clock.now = max(clock.now, moment)
                task_id = coming.popleft()[1]
                self._open[task_id] = self.dispatcher.add(task_id, REGION, timeout_seconds=DEFAULT_DEADLINE_SECONDS)
            elif moment == wake:
                clock.go_on()
                self._end()
            else:
                clock.now = max(clock.now, moment)
                self.dispatcher.dispatch(clock.submit)
                self._end()

    def _end(self) -> None:
        for task_id, wait in [each for each in self._open.items() if each[1].outcome is not None]:
            if isinstance(wait.outcome, ConversionTask):
                self.late[task_id] = self._simulation.now - self._service.ends[task_id]
            self.dispatcher.remove(self._open.pop(task_id))


def run_loops(simulation: Simulation, service: Service, starts: Starts, until: float = float("inf")) -> None:
    """Run a shell loop for each task. A throttled call is what it is to a shell: the loop sleeps and tries again."""
    polls = list(starts)
    heapq.heapify(polls)
    while polls and polls[0][0] <= until:
        simulation.now, task_id = heapq.heappop(polls)
        if not service.admit("get") or service.is_running(task_id):
            heapq.heappush(polls, (simulation.now + POLICY.answer_seconds + LOOP_SECONDS, task_id))
