"""What waits, pauses and threads are made of: the one seam at which time, threads and randomness can be replaced.

A `Session` owns one and hands it down. What takes part in an operation takes no clock, lock or thread from Python
itself, so that a test can run it in virtual time.
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
from typing import Any

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


def _now_in_utc() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Runtime:
    """Clock, pauses, locks, threads and randomness. Each is called when it is needed and never bound early.

    In the lifecycle it is `op.host.runtime`; what has a `Cancellation` takes it from there.
    """

    now: Callable[[], float] = monotonic
    """Returns the present in seconds from a fixed point: for pauses and deadlines."""
    wall: Callable[[], datetime] = _now_in_utc
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
