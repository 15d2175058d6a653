"""How far many rows, or operations, are: their counts in one line."""

from __future__ import annotations

from collections.abc import Callable

from lmconv_resource.polling.runtime import RUNTIME, Runtime

DISPLAY_SECONDS = 1.0
"""Between two lines where a person watches."""

LOG_SECONDS = 30.0
"""Between two lines where each one stays: in the log of a CI job."""

_NARROW = 100
"""Columns of a terminal below which Pulumi leaves a row some 14 characters."""


class Progress:
    """Counts rows and shows how far they are. Safe to share between threads.

    Args:
        total: how many rows there are.
        show: shows a line on the resource's row.
        moves: whether the display moves, so that no line of it stays.
        terminal_columns: returns the width of the terminal, which may change; None where it is not known.
        runtime: clock and lock.
    """

    def __init__(
        self,
        total: int,
        show: Callable[[str], None],
        *,
        moves: bool,
        terminal_columns: Callable[[], int | None] = lambda: None,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._total = total
        self._show = show
        self.pause_seconds = DISPLAY_SECONDS if moves else LOG_SECONDS
        """Between two lines."""
        self._find_columns = terminal_columns
        self._now = runtime.now
        self._began = runtime.now()
        self._shown_at = self._began if not moves else float("-inf")
        self._lock = runtime.lock()
        self._done = self._failed = self._running = 0
        self._last = ""

    def add(self) -> None:
        """Count a row that is new, and under way from now on."""
        with self._lock:
            self._total += 1
            self._running += 1

    def begin(self, count: int = 1) -> None:
        """Count rows that are under way from now on."""
        with self._lock:
            self._running += count

    def end(self, *, done: bool, failed: bool, running: bool = True) -> None:
        """Count a row that has come to its end: it is done, it has failed, or neither."""
        with self._lock:
            self._done += done
            self._failed += failed
            self._running -= running

    def report(self, last: str = "") -> None:
        """Show how far they are, unless that was shown a moment ago; `last` has just happened: `web-3 stopping`."""
        with self._lock:
            now = self._now()
            self._last = last or self._last
            if now - self._shown_at < self.pause_seconds:
                return
            self._shown_at = now
            text = self._to_text(int(now - self._began), is_narrow=(self._find_columns() or _NARROW) < _NARROW)
        self._show(text)  # without the lock: a busy engine takes its time

    def _to_text(self, seconds: int, *, is_narrow: bool) -> str:
        # What matters most first: the display cuts what it has no room for.
        parts = [f"{self._done}/{self._total}" if is_narrow else f"{self._done} of {self._total} done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        parts += [f"{self._running} running"] if self._running else []
        parts += [f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"]
        return ", ".join(parts) + (f" · {self._last}" if self._last else "")
