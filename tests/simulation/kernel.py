"""One thread at a time, in virtual time: who goes on is drawn from the seed, and the clock jumps when nobody can."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, cast

import greenlet

from lmconv_resource.polling.runtime import Runtime

BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
"""When every history begins, by the clock on the wall."""


class KilledError(BaseException):
    """Ends the threads of a process that was killed: nothing that they do from now on has an effect."""


class EndlessError(Exception):
    """A history has taken more hand-overs than any that ends."""


@dataclass(eq=False)
class Process:
    """What is killed together. `rng` is its own randomness."""

    name: str
    rng: random.Random
    is_dead: bool = False
    threads: dict[Thread, None] = field(default_factory=dict)


class Thread(greenlet.greenlet):
    """One of the package's threads, on a greenlet."""

    def __init__(self, kernel: Kernel, run: Callable[[], None], process: Process | None, name: str) -> None:
        super().__init__(partial(kernel.run_thread, self, run), kernel.hub)
        self.process, self.name = process, name
        self.urn: str | None = getattr(kernel.current, "urn", None)
        self.is_blocked = False
        self.is_worker = False
        self.was_woken = False
        self.ticket = 0


class Kernel:
    """Runs threads.

    Args:
        seed: says who goes on.
        limit: the most hand-overs.
    """

    def __init__(self, seed: int, limit: int = 20_000) -> None:
        self._rng = random.Random(f"{seed} schedule")
        self._limit = limit
        self.hub = greenlet.getcurrent()
        self._runnable: list[Thread] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self.now = 0.0
        self.steps = 0
        self.current: Thread | None = None
        self.bugs: list[BaseException] = []
        """What ended a thread and was nobody's to handle."""

    def wall(self) -> datetime:
        """Return the present by the clock on the wall."""
        return BEGIN + timedelta(seconds=self.now)

    def spawn(self, run: Callable[[], None], name: str, process: Process | None = None) -> Thread:
        """Start a thread, of the same process by default."""
        if process is None and self.current is not None:
            process = self.current.process
        thread = Thread(self, run, process, name)
        if process is not None:
            process.threads[thread] = None
        self._runnable.append(thread)
        return thread

    def run_thread(self, thread: Thread, run: Callable[[], None]) -> None:
        """Run a thread to its end."""
        try:
            self._check_alive(thread)
            run()
        except KilledError:
            pass
        except Exception as bug:  # noqa: BLE001 -- shown by the history; a test's time-out ends it
            self.bugs.append(bug)
        finally:
            if thread.process is not None:
                thread.process.threads.pop(thread, None)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something when so many seconds have passed."""
        self._numbers += 1
        heapq.heappush(self._timers, (self.now + max(0.0, seconds), self._numbers, call))

    def run(self, main: Thread) -> None:
        """Go on until a thread has ended.

        Raises:
            EndlessError: that takes too many hand-overs, or nobody can go on any more.
        """
        while not main.dead:
            thread = self._draw_next()
            if thread is None:
                raise EndlessError(f"nobody can go on, or may, after {self.steps} hand-overs")
            thread.switch()
        self.current = None

    def _draw_next(self) -> Thread | None:
        """Return who goes on, and let time pass until somebody can; None where nobody ever will, or may."""
        self.current = None
        while self._timers and not self._runnable:
            moment, _, call = heapq.heappop(self._timers)
            self.now = max(self.now, moment)
            call()
        if self._runnable and self.steps < self._limit:
            self.steps += 1
            number = self._rng.randrange(len(self._runnable)) if len(self._runnable) > 1 else 0
            self.current = self._runnable.pop(number)
        return self.current

    def kill(self, process: Process) -> None:
        """End a process at once; its threads end at their next hand-over."""
        process.is_dead = True
        for thread in process.threads:
            self.wake(thread)

    def end(self, process: Process) -> list[str]:
        """End a process whose work is done, and return the names of threads that still waited for something."""
        waiting = [thread.name for thread in process.threads if not thread.is_worker and thread is not self.current]
        self.kill(process)
        return waiting

    # -- what threads wait by ------------------------------------------------------------------------------------------

    def pause(self, seconds: float = 0.0) -> None:
        """Let others go on, for at least so many seconds."""
        if seconds <= 0 and self.current is not None:
            self._runnable.append(self.current)
            self._hand_over(self.current)
        else:
            self.block(seconds)

    def block(self, timeout: float | None = None) -> bool:
        """Wait until somebody wakes this thread, and return whether that came before the time-out."""
        thread = self.current
        assert thread is not None, "only threads wait"
        if timeout is not None and not self._runnable and self.steps < self._limit:
            moment = self.now + max(0.0, timeout)
            if not self._timers or moment < self._timers[0][0]:  # nobody else does anything before
                self.now = moment
                self.steps += 1
                self._check_alive(thread)
                return False
        thread.is_blocked, thread.was_woken = True, False
        thread.ticket += 1
        if timeout is not None:
            self.after(timeout, partial(self._on_timeout, thread, thread.ticket))
        self._hand_over(thread)
        return thread.was_woken

    def wake(self, thread: Thread) -> None:
        """Let a thread that is blocked go on."""
        if thread.is_blocked:
            thread.is_blocked, thread.was_woken = False, True
            self._runnable.append(thread)

    def _on_timeout(self, thread: Thread, ticket: int) -> None:
        if thread.is_blocked and thread.ticket == ticket:
            thread.is_blocked = False
            self._runnable.append(thread)

    def _hand_over(self, thread: Thread) -> None:
        following = self._draw_next()
        if following is not thread:
            (self.hub if following is None else following).switch()
        self._check_alive(thread)

    @staticmethod
    def _check_alive(thread: Thread) -> None:
        if thread.process is not None and thread.process.is_dead:
            raise KilledError

    def runtime(self, process: Process) -> Runtime:
        """Return what the package's code of a process runs on."""
        return Runtime(
            now=lambda: self.now,
            wall=self.wall,
            sleep=self.pause,
            lock=cast(Any, partial(_Lock, self)),
            condition=cast(Any, partial(_Condition, self)),
            event=cast(Any, partial(_Event, self)),
            spawn=self.spawn,
            pool=cast(Any, partial(_Pool, self)),
            rng=process.rng,
        )


class _Lock:
    def __init__(self, kernel: Kernel, *, is_reentrant: bool = False) -> None:
        self._kernel, self._is_reentrant = kernel, is_reentrant
        self._owner: Thread | None = None
        self._depth = 0
        self._queue: deque[Thread] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1.0) -> bool:
        me, limit = self._kernel.current, None if timeout < 0 else self._kernel.now + timeout
        if me is None:  # outside the world, where nobody else runs
            return True
        while self._owner is not None and not (self._is_reentrant and self._owner is me):
            left = None if limit is None else limit - self._kernel.now
            if not blocking or (left is not None and left <= 0):
                return False
            self._queue.append(me)
            self._kernel.block(left)
            if me in self._queue:
                self._queue.remove(me)
        self._owner, self._depth = me, self._depth + 1
        return True

    def release(self, *_: object) -> None:
        self._depth -= 1
        if self._depth <= 0:
            self._owner, self._depth = None, 0
            while self._queue:
                thread = self._queue.popleft()
                if thread.is_blocked:
                    self._kernel.wake(thread)
                    break

    __enter__, __exit__ = acquire, release


class _Condition(_Lock):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, is_reentrant=True)
        self._waiting: deque[Thread] = deque()

    def wait(self, timeout: float | None = None) -> bool:
        me = self._kernel.current
        assert me is not None, "only threads wait"
        depth, self._depth = self._depth, 1
        self.release()
        self._waiting.append(me)
        try:
            return self._kernel.block(timeout)
        finally:
            if me in self._waiting:
                self._waiting.remove(me)
            self.acquire()
            self._depth = depth

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._waiting))):
            self._kernel.wake(self._waiting.popleft())


class _Event:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._is_set = False
        self._waiting: list[Thread] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for thread in self._waiting:
            self._kernel.wake(thread)
        self._waiting.clear()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        me = self._kernel.current
        if not self._is_set and me is not None:
            self._waiting.append(me)
            self._kernel.block(timeout)
            if me in self._waiting:
                self._waiting.remove(me)
        return self._is_set


class _Future:
    """What a task of a pool comes to."""

    def __init__(self, kernel: Kernel, run: Callable[[], object]) -> None:
        self._bugs, self._run = kernel.bugs, run
        self._done = _Event(kernel)
        self._result: object = None
        self._error: Exception | None = None

    def carry_out(self) -> None:
        try:
            self._result = self._run()
        except Exception as error:  # noqa: BLE001 -- a bug, unless somebody asks for the result
            self._error = error
            self._bugs.append(error)
        self._done.set()

    def result(self) -> object:
        self._done.wait()
        if self._error is not None:
            self._bugs.remove(self._error)
            raise self._error
        return self._result


class _Pool:
    def __init__(self, kernel: Kernel, threads: int, name: str) -> None:
        self._kernel, self._threads, self._name = kernel, threads, name
        self._tasks: deque[_Future] = deque()
        self._idle: list[Thread] = []
        self._started = 0
        self._is_shut = False

    def submit(self, run: Callable[..., object], *args: object) -> _Future:
        future = _Future(self._kernel, partial(run, *args))
        self._tasks.append(future)
        if self._idle:
            self._kernel.wake(self._idle.pop())
        elif self._started < self._threads:
            self._started += 1
            self._kernel.spawn(self._work, self._name).is_worker = True
        return future

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_shut = True
        for thread in self._idle:
            self._kernel.wake(thread)

    def _work(self) -> None:
        me = self._kernel.current
        assert me is not None, "started as a thread"
        while True:
            while self._tasks:
                self._tasks.popleft().carry_out()
            if self._is_shut:
                return
            self._idle.append(me)
            self._kernel.block()
