"""Which row of a fleet is begun when: the table's order, slots of an account and region, canaries, and the limits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.text import to_duration_text


@dataclass(frozen=True)
class Limits:
    """How a fleet is paced; the fields are those of `FleetInputs`."""

    max_concurrent: int = 20
    canaries: int = 0
    stop_after_failures: int | None = None
    begin_seconds: float | None = None


class Schedule:
    """Decides, and does nothing: whoever drives it asks `next_rows`, begins these, and says what became of each.

    Not safe to share between threads.

    Args:
        going_on: rows that were begun by an earlier operation. They go on at once, and are neither canaries nor
            counted by the limit of failures; they do take slots.
        waiting: rows to be begun, in the table's order.
        limits: how they are paced.
    """

    def __init__(self, going_on: Iterable[Row], waiting: Iterable[Row], limits: Limits) -> None:
        self._limits = limits
        self._going_on = list(going_on)
        self._waiting: dict[tuple[str, str], deque[Row]] = {}
        rows = list(waiting)
        for row in rows:
            self._waiting.setdefault(row.account_and_region, deque()).append(row)
        self._canaries = {row.name for row in rows[: limits.canaries]}
        self._slots: Counter[tuple[str, str]] = Counter()
        self._in_slot: set[str] = set()
        self._running: set[str] = set()
        self._failed: set[str] = set()
        self._stopped: str | None = None

    @property
    def running(self) -> int:
        """How many have been begun and have not ended."""
        return len(self._running)

    @property
    def stopped(self) -> str | None:
        """Why no further row is begun; None while one may be."""
        return self._stopped

    def stop(self, reason: str) -> None:
        """Begin no further row. The first reason stays."""
        self._stopped = self._stopped or reason

    def next_rows(self, elapsed_seconds: float) -> list[Row]:
        """Return the rows to begin now, `elapsed_seconds` after the start of the operation, which take their slots."""
        limit = self._limits.begin_seconds
        if limit is not None and elapsed_seconds >= limit and self.is_waiting:
            self.stop(f"begin_within is {to_duration_text(limit)}, and that time was over")
        rows, self._going_on = self._going_on, []
        for row in rows:  # their slots are taken, whether there are so many or not
            self._take_slot(row)
        for key, queue in self._waiting.items() if self._stopped is None else ():
            while queue and self._slots[key] < self._limits.max_concurrent and self._may_begin(queue[0]):
                self._take_slot(queue[0])
                rows.append(queue.popleft())
        return sorted(rows, key=lambda row: row.number)

    def _take_slot(self, row: Row) -> None:
        self._slots[row.account_and_region] += 1
        self._in_slot.add(row.name)
        self._running.add(row.name)

    def _may_begin(self, row: Row) -> bool:
        return not self._canaries or row.name in self._canaries

    @property
    def is_waiting(self) -> bool:
        """Whether a row has not been begun yet."""
        return any(self._waiting.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way, and nothing is to be begun any more."""
        return not self._running and not self._going_on and (self._stopped is not None or not self.is_waiting)

    def free_slot(self, row: Row, *, counts: bool = False) -> None:
        """Give a row's slot to the next one: its instance runs again, though its conversion is not tidied up yet.

        Args:
            row: the row.
            counts: whether it counts for `stop_after_failures`.
        """
        if counts:
            self._failed.add(row.name)
        limit = self._limits.stop_after_failures
        if limit is not None and len(self._failed) >= limit:
            self.stop(f"{len(self._failed)} have failed, and stop_after_failures is {limit}")
        if row.name in self._in_slot:
            self._in_slot.remove(row.name)
            self._slots[row.account_and_region] -= 1

    def end(self, row: Row, *, succeeded: bool, counts: bool) -> None:
        """Take note that a row has ended; `counts` says whether it counts for `stop_after_failures`."""
        if row.name in self._canaries:
            if not succeeded:
                self.stop(f"{row.name}, a canary, has not SUCCEEDED")
            self._canaries.discard(row.name)
        self.free_slot(row, counts=counts)
        self._running.discard(row.name)

    def take_waiting(self) -> list[Row]:
        """Return the rows that are not begun, in the table's order, and forget them."""
        rows = sorted((row for queue in self._waiting.values() for row in queue), key=lambda row: row.number)
        self._waiting.clear()
        return rows
