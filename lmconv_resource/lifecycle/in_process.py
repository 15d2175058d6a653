"""What one process knows of its many conversions: whose turn it is, how many FAILED, what is to be started again."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.runtime import RUNTIME, Runtime

_REPORT_SECONDS = 30.0
"""Between two lines of one that waits for its turn: hundreds wait, and each turn that ends moves all of them on."""


class _Line:
    """Those that wait for their turn at one connection, by the order in which their operations began."""

    def __init__(self, runtime: Runtime) -> None:
        self.now = runtime.now
        self.changed = runtime.condition()
        self.waiting: list[tuple[int, int]] = []
        self.numbers = itertools.count()
        self.running = 0

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Fleet:
    """The conversions that this process has under way. Safe to share between threads.

    A `place` is whatever conversions share that are counted together: a connection.
    """

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self._runtime = runtime
        self._lock = runtime.lock()
        self._lines: dict[object, _Line] = {}
        self._marked: dict[object, frozenset[str]] = {}
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many conversions of this process ended FAILED."""
        return self._failures

    def note_failure(self) -> None:
        """Count a conversion that ended FAILED."""
        with self._lock:
            self._failures += 1

    @contextmanager
    def turn(
        self, place: object, most: int, cancellation: Cancellation, report: Callable[[str], None], arrival: int = 0
    ) -> Iterator[bool]:
        """Return a context in which no more conversions are under way than that, in the order of arrival.

        Args:
            place: what they share.
            most: how many may be under way at once.
            cancellation: ends the wait.
            report: told how the wait goes.
            arrival: who began earlier comes first; of those that began together, who asks first.

        Yields:
            False where it was cancelled: then the turn did not come.
        """
        with self._lock:
            line = self._lines.setdefault(place, _Line(self._runtime))
        if not _wait_for_turn(line, most, cancellation, report, arrival):
            yield False
            return
        try:
            yield True
        finally:
            with line.changed:
                line.running -= 1
                line.changed.notify_all()

    def find_marked(self, place: object, list_marked: Callable[[], Iterable[str]]) -> frozenset[str]:
        """Return the ids of the instances that are to be started again. One list serves a whole process."""
        with self._lock:
            marked = self._marked.get(place)
        if marked is None:  # asked without the lock, which all that take turns need
            marked = frozenset(list_marked())
            with self._lock:
                marked = self._marked.setdefault(place, marked)
        return marked


def _wait_for_turn(
    line: _Line, most: int, cancellation: Cancellation, report: Callable[[str], None], arrival: int
) -> bool:
    reported = float("-inf")
    unsubscribe = cancellation.subscribe(line.wake)
    with line.changed:
        ticket = (arrival, next(line.numbers))
        bisect.insort(line.waiting, ticket)
    try:
        while True:
            with line.changed:
                if cancellation.is_set:
                    return False
                if line.waiting[0] == ticket and line.running < most:
                    line.running += 1
                    return True
                pause = reported + _REPORT_SECONDS - line.now()
                if pause > 0:
                    line.changed.wait(cancellation.remaining(pause))
                    continue
                text = f"{line.running} of {most} are under way, {line.waiting.index(ticket)} before it"
            report(f"waits for its turn: {text}")  # without the lock: a busy engine takes its time
            reported = line.now()
    finally:
        unsubscribe()
        with line.changed:
            line.waiting.remove(ticket)
            line.changed.notify_all()
