"""What one process knows of its work: the conversions that it has begun, AWS's marks, and how far many of them are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.runtime import RUNTIME, Runtime

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Tag  # which a resource that starts nothing does not need

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
"""Pulumi's names for how much a line matters."""


class StartedHere:
    """The conversions that this process has begun. Safe to share between threads."""

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self._lock = runtime.lock()
        self.busy: dict[str, object] = {}
        """The job that is about an instance at present, by its ARN; no other one may be."""
        self._told: set[str] = set()
        self.marks: dict[object, tuple[Tag, ...]] = {}
        """All tags of jobs in an account and region, by a session there. One list serves a whole process."""
        self.is_answered = False
        """Whether AWS has answered any job's call."""
        self.has_no_plan = False
        """Whether a preview gave up on AWS: it asks one resource at a time, so the next ones wait less for it."""
        self.arns: dict[str | None, str | None] = {}
        """What resources were created or updated for here, by URN: what is deleted of one was replaced."""
        self.tasks: dict[str, tuple[str, ...]] = {}
        """The ids of tasks that were started here, by the instance's ARN: AWS may show one nowhere for a while."""
        self.ended: dict[str, ConversionTask] = {}
        """Tasks whose end was seen, by id."""
        self.removed_marks: set[tuple[str, str]] = set()
        """Marks that were removed here, which EC2 shows for a while: the resource's id and the tag's value."""

    def is_first_word(self, about: str) -> bool:
        """Return whether this has not been said before in this process."""
        with self._lock:
            is_new = about not in self._told
            self._told.add(about)
            return is_new


_NARROW = 100
"""Columns of a terminal below which Pulumi leaves a row some 14 characters."""


class Progress:
    """Counts rows and shows how far they are. Safe to share between threads.

    The display `moves` where no line of it stays. The width of the terminal may change; it is None where not known.
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
        self.total = total
        self._show = show
        self.pause_seconds = 1.0 if moves else 30.0
        """Between two lines: where a person watches, or where each one stays, in the log of a CI job."""
        self._terminal_columns = terminal_columns
        self._now = runtime.now
        self._began = runtime.now()
        self._shown_at = self._began if not moves else float("-inf")
        self._lock = runtime.lock()
        self._done = self._failed = self._running = 0
        self._last = ""

    def end(self, *, done: bool, failed: bool) -> None:
        """Count a row that has come to its end: it is done, it has failed, or neither."""
        with self._lock:
            self._done += done
            self._failed += failed

    def report(self, last: str = "", *, running: int | None = None) -> None:
        """Show how far they are, unless that was shown a moment ago.

        `last` is what has just happened (`web-3 stopping`), `running` how many are under way, by default as before.
        """
        with self._lock:
            now = self._now()
            self._last = last or self._last
            self._running = self._running if running is None else running
            if now - self._shown_at < self.pause_seconds:
                return
            self._shown_at = now
            seconds, is_narrow = int(now - self._began), (self._terminal_columns() or _NARROW) < _NARROW
            # What matters most first: the display cuts what it has no room for.
            parts = [f"{self._done}/{self.total}" if is_narrow else f"{self._done} of {self.total} done"]
            parts += [f"{self._failed} failed"] if self._failed else []
            parts += [f"{self._running} running"] if self._running else []
            parts += [f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"]
            text = ", ".join(parts) + (f" · {self._last}" if self._last else "")
        self._show(text)  # without the lock: a busy engine takes its time
