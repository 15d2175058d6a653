"""What waits, pauses and threads are made of, and how work in progress is told to end: by a reason, or by a deadline.

`Runtime` is the one seam at which time, threads and randomness can be replaced. A `Session` owns one and hands it down.
What takes part in an operation takes no clock, lock or thread from Python itself, so that a test can run it in virtual
time.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

# Python's own time.monotonic() stands still while Linux or macOS sleeps; on Windows it does not. On macOS this one goes
# on, unlike Linux's of the same name.
_CLOCK: int | None = getattr(
    time, {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "there is none"), None
)


def monotonic() -> float:
    """Return the present in seconds from a fixed point: it can't be set, and time asleep counts."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def _start_thread(target: Callable[[], None], name: str) -> None:
    threading.Thread(target=copy_context().run, args=(target,), name=name, daemon=True).start()


class _Pool(ThreadPoolExecutor):
    """Its threads say things in the words of who hands them work."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


@dataclass(frozen=True)
class Runtime:
    """Clock, pauses, locks, threads and randomness. Each is called when it is needed and never bound early.

    In the lifecycle it is `op.host.runtime`; what has a `Cancellation` takes it from there.
    """

    now: Callable[[], float] = monotonic
    """Returns the present in seconds from a fixed point: for pauses and deadlines."""
    wall: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    """Returns the present as AWS's times are compared with it, in UTC."""
    sleep: Callable[[float], object] = time.sleep
    """Sleeps for so many seconds. What is to end with an operation sleeps by `Cancellation.wait` instead."""
    lock: Callable[[], threading.Lock] = threading.Lock
    condition: Callable[[], threading.Condition] = threading.Condition
    """Returns a condition whose lock a thread may take again while it holds it."""
    event: Callable[[], threading.Event] = threading.Event
    spawn: Callable[[Callable[[], None], str], object] = _start_thread
    """Starts a thread of this name that does not keep the process alive."""
    pool: Callable[[int, str], Executor] = _Pool
    """Returns a pool of so many threads, whose names begin like this."""
    rng: random.Random = field(default_factory=random.Random)
    """The source of jitter."""


RUNTIME = Runtime()
"""The real one."""


class Cancellation:
    """Tells everything that works under it to end, once, with the reason. Safe to share between threads.

    One may have a parent, as a context of Go's has: it ends with its parent, and its parent goes on without it. One
    that has a parent is a context manager, so that a parent that outlives thousands of them forgets them. From its
    `deadline`, a moment by the runtime's `now`, it counts as set, without a reason. By default it has its parent's
    `runtime`.
    """

    def __init__(
        self, parent: Cancellation | None = None, deadline: float | None = None, runtime: Runtime | None = None
    ) -> None:
        self.runtime: Runtime = runtime or (parent.runtime if parent else RUNTIME)
        never = float("inf")
        self._deadline: float = min(never if deadline is None else deadline, parent._deadline if parent else never)
        self.reason: str | None = None
        """Why this was set; None while it is not, or where only a deadline has passed."""
        self._event = self.runtime.event()
        self._listeners: dict[object, Callable[[], None]] = {}
        self._lock = self.runtime.lock()
        self._unsubscribe = parent.subscribe(lambda: self.set(parent.reason or "")) if parent else lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unsubscribe()

    @property
    def is_set(self) -> bool:
        """Whether to end: this one or its parent was set, or a deadline has passed."""
        return self.reason is not None or self.runtime.now() >= self._deadline

    def remaining(self, default: float) -> float:
        """Return the seconds until the deadline, or the parent's if that is earlier; `default` where there is none."""
        return default if self._deadline == float("inf") else max(0.0, self._deadline - self.runtime.now())

    def set(self, reason: str) -> None:
        """Tell all listeners to end; the first reason stays."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            listeners = list(self._listeners.values())
        self._event.set()
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when this or a parent is set, at once if it is; return what ends the subscription.

        A deadline calls no listener: a waiting thread reads `remaining`.
        """
        key = object()
        with self._lock:
            self._listeners[key] = listener
            is_set_already = self.reason is not None
        if is_set_already:
            listener()

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return unsubscribe

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, less if this is set or its deadline passes meanwhile, and return whether it is."""
        self._event.wait(min(seconds, self.remaining(seconds)))
        return self.is_set


def doubled(first: float, longest: float, times: int) -> float:
    """Return the seconds `first`, doubled so many times, and at most `longest`."""
    return min(longest, first * 2.0 ** min(times, 30))
