"""Which row of a fleet is begun when: the table's order, slots of an account and region, canaries, and the limits."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row
from lmconv_resource.text import to_duration_text, written


class Schedule:
    """Decides, and does nothing: whoever drives it asks `next_rows`, begins these, and says what became of each.

    A row whose slot is about to get free hands it on early, so that the next one can be marked meanwhile: that one is
    begun, and stopped once it `has_slot`. Not safe to share between threads.

    Rows `going_on` were begun by an earlier operation: they go on at once, take slots, and are neither canaries nor
    counted by the limit of failures. Those `waiting` are to be begun, in this order.
    """

    def __init__(self, going_on: Iterable[Row], waiting: Iterable[Row], limits: FleetInputs) -> None:
        self._limits, self._going_on, rows = limits, list(going_on), list(waiting)
        self._begun_before = {row.name for row in self._going_on}
        self._canaries = {row.name for row in rows[: limits.canaries]}
        self._groups: dict[tuple[str, str], _Slots] = defaultdict(_Slots)
        for row in rows:
            self._groups[row.account_and_region].queue.append(row)
        for row in self._going_on:  # their slots are taken, whether there are so many or not
            self._groups[row.account_and_region].taken[row.name] = None
        self._failed: set[str] = set()
        self.stopped: str | None = None
        """Why no further row is begun; None while one may be."""

    @property
    def running(self) -> int:
        """How many have a slot: not those that were marked early, and not those whose instance runs again."""
        return sum(len(slots.taken) for slots in self._groups.values())

    def stop(self, reason: str) -> None:
        """Begin no further row. The first reason stays."""
        self.stopped = self.stopped or reason

    def next_rows(self, elapsed_seconds: float) -> list[Row]:
        """Return the rows to begin now, `elapsed_seconds` after the start of the operation."""
        limit, most = self._limits.begin_seconds, self._limits.max_concurrent
        if limit is not None and elapsed_seconds >= limit and self.waiting:
            self.stop(f"{written('begin_within')} is {to_duration_text(limit)}, and that time has passed")
        rows, self._going_on = self._going_on, []
        for slots in self._groups.values() if self.stopped is None else ():
            queue = slots.queue
            while queue and slots.free(most) > 0 and (not self._canaries or queue[0].name in self._canaries):
                rows.append(queue.popleft())
                slots.next[rows[-1].name] = None
                slots.hand_out(most)
        return sorted(rows, key=lambda row: row.number)

    def has_slot(self, row: Row) -> bool:
        """Return whether a row that was begun may be stopped."""
        return row.name not in self._groups[row.account_and_region].next

    @property
    def waiting(self) -> list[Row]:
        """The rows that are not begun yet, in the table's order."""
        rows = (row for slots in self._groups.values() for row in slots.queue)
        return sorted(rows, key=lambda row: row.number)

    def leave_slot(self, row: Row, *, failed: bool = False) -> None:
        """Take note that a row's instance is being started: the next one may be marked."""
        if failed and row.name not in self._begun_before:
            self._failed.add(row.name)
        limit = self._limits.stop_after_failures
        if limit is not None and len(self._failed) >= limit:
            self.stop(f"{len(self._failed)} have failed, and {written('stop_after_failures')} is {limit}")
        slots = self._groups[row.account_and_region]
        slots.leaving |= {row.name: None} if row.name in slots.taken else {}

    def free_slot(self, row: Row, *, failed: bool = False) -> None:
        """Give a row's slot to the next one: its instance runs again, though its conversion is not tidied up yet."""
        self.leave_slot(row, failed=failed)
        slots = self._groups[row.account_and_region]
        for names in (slots.taken, slots.leaving, slots.next):
            names.pop(row.name, None)
        if self.stopped is None:
            slots.hand_out(self._limits.max_concurrent)

    def end(self, row: Row, *, succeeded: bool, failed: bool, is_begun: bool = True) -> None:
        """Take note that a row has ended; `failed` says whether it counts for `stop_after_failures`.

        One that another operation has begun, or nobody, has shown nothing: the next row is a canary in its place.
        """
        if row.name in self._canaries:
            if not succeeded:
                self.stop(f"{row.name}, a canary, has not SUCCEEDED")
            self._canaries.discard(row.name)
            others = [each for each in self.waiting if each.name not in self._canaries]
            if not is_begun and others:
                self._canaries.add(others[0].name)
        self.free_slot(row, failed=failed)


@dataclass
class _Slots:
    """The slots of an account and region: names of rows, in the order in which they came."""

    queue: deque[Row] = field(default_factory=deque)
    """Rows that are not begun."""
    taken: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    """Those of them whose instance is being started."""
    next: dict[str, None] = field(default_factory=dict)
    """Rows that were begun and have no slot yet."""

    def free(self, most: int) -> int:
        return most - (len(self.taken) - len(self.leaving)) - len(self.next)

    def hand_out(self, most: int) -> None:
        while self.next and len(self.taken) < most:
            name = next(iter(self.next))
            self.taken[name] = self.next.pop(name)
