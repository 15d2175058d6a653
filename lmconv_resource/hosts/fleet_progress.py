"""How far all the waits of one program are, in one line on the stack's row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmconv_resource.polling.runtime import RUNTIME, Runtime

DISPLAY_SECONDS = 1.0
"""Between two lines where a person watches: 60 waits that end together are one."""

LOG_SECONDS = 30.0
"""Between two lines where each one stays: in the log of a CI job."""


class FleetProgress:
    """Counts the operations that wait, and says how far they are where there is more than one. Threads may share it.

    It has no thread of its own: it says something when an operation begins, ends or shows how its own wait goes.

    Args:
        show: shows a line on the stack's row.
        count_running: returns how many tasks are being waited for at present.
        seconds: the least pause between two lines.
        runtime: clock and lock.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        count_running: Callable[[], int],
        seconds: float,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._show = show
        self._count_running = count_running
        self._seconds = seconds
        self._now = runtime.now
        self._lock = runtime.lock()
        self._begun = self._done = self._failed = 0
        self._shown_at = self._now()
        self._shown = ""

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count an operation that waits, as failed where it raises and as done where it does not."""
        with self._lock:
            self._begun += 1
        self.report()
        has_failed = True
        try:
            yield
            has_failed = False
        finally:
            with self._lock:
                self._failed += has_failed
                self._done += not has_failed
            self.report()

    def report(self) -> None:
        """Show how far the waits are, unless that was shown a moment ago or nothing has changed since."""
        running = self._count_running()
        with self._lock:
            now = self._now()
            text = self._to_text(running)
            is_due = now - self._shown_at >= self._seconds and (text != self._shown or self._seconds >= LOG_SECONDS)
            if self._begun < 2 or not is_due:
                return
            self._shown_at, self._shown = now, text
        self._show(text)

    def _to_text(self, running: int) -> str:
        parts = [f"{self._done} of {self._begun} done"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if running:
            parts.append(f"{running} running")
        return ", ".join(parts)
