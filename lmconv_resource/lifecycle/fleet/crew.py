"""The rows of a fleet that one connection serves, carried out in turns.

In a turn, those that are due read, by calls that serve all of them, and decide; then what they have decided on is sent,
together where EC2 takes several instances in a call.
"""

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lmconv_resource.errors import LicenseConversionError, TransientError
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.row import FRESH_SECONDS, RowJob
from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.table import FleetInputs
from lmconv_resource.lifecycle.job import Act, Step

log = logging.getLogger(__name__)

WINDOW_SECONDS = 0.4
"""How long before it is due a row takes part in a turn of others."""

_OLDEST_SECONDS = 30.0
"""After that what is waited for is looked at in any case."""

_UNLISTED_SECONDS = 60.0
"""For how long a new task may be missing in the list; then it is asked for separately."""

_NEVER = float("inf")

_WORDS = {
    Act.START: "starting",
    Act.STOP: "stopping",
    Act.FORCE: "stopping",
    Act.MARK: "marking",
    Act.CREATE: "converting",
    Act.NOTE: "marking",
    Act.UNMARK: "",
}
"""What is sent, in this order, and the word for it."""


class Crew:
    """The rows of one connection that are under way.

    `tell` is told of each act in a word, such as `stopping`, before it is sent, and of `running` when an instance runs
    again. A row that has no slot in the `schedule` is marked and no more; without one, each has.
    """

    def __init__(
        self,
        gathering: Gathering,
        schedule: Schedule | None = None,
        tell: Callable[[RowJob, str], None] = lambda _, __: None,
    ) -> None:
        self.gathering, self._cancellation = gathering, gathering.connection.calls.cancellation
        self._schedule, self._tell = schedule or Schedule([], [], FleetInputs()), tell
        self._now = gathering.turn.now
        self._rows: list[RowJob] = []
        self._new: deque[RowJob] = deque()
        self.woken = self._cancellation.runtime.event()
        self._tidy_at = 0.0
        self._is_over = False

    def add(self, row: RowJob) -> None:
        """Have a row take part from the next turn on; from any thread."""
        self._new.append(row)
        self.woken.set()

    def run(self, is_over: Callable[[], bool] = lambda: True) -> Iterator[RowJob]:
        """Carry the rows out, and yield each as it comes to its end, until none is under way and it is over."""
        while not is_over() or self._rows or self._new:
            self.wait()
            yield from self.turn()

    def wait(self) -> None:
        """Wait until a row is due, or something was changed."""
        now = self._now()
        due = min((self._due_at(row, now) for row in self._rows), default=_NEVER)
        pause = max(0.0, min(due, self._list_at, now + 3600.0) - now)
        pause += WINDOW_SECONDS if pause else 0.0
        self.woken.wait(pause if self._cancellation.is_set else min(pause, self._cancellation.remaining(pause)))
        self.woken.clear()

    def turn(self) -> list[RowJob]:
        """Have the rows that are due go on, and return those that have come to their end."""
        now = self.gathering.turn.began = self._now()
        while self._new:
            self._rows.append(self._new.popleft())
            self.gathering.begin(self._rows[-1].row.arn)
        if self._cancellation.is_set and not self._is_over:
            self._is_over = True
            for row in self._rows:
                row.at = row.earliest = now
                row.is_following = False
        with self._ending(*self._rows):
            self._list_tasks(now)
            steps = []
            for row in [each for each in self._rows if self._due_at(each, now) <= now]:
                with self._ending(row):
                    if (step := self._advance(row)) is not None:
                        steps.append((row, step))
            for act in _WORDS:
                self._send(act, [each for each in steps if each[1].rule.then is act])
        ended = [row for row in self._rows if row.end is not None]
        self._rows = [row for row in self._rows if row.end is None]
        for row in ended:
            row.job.close()
            self.gathering.end(row.row.arn)
        return ended

    @contextmanager
    def _ending(self, *rows: RowJob) -> Iterator[None]:
        """Return a context in which an error is the end of these rows, and of no other."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, LicenseConversionError):
                log.exception("a row ended in a bug")
            for row in rows:
                row.end = row.end or error

    # -- when ----------------------------------------------------------------------------------------------------------

    def _due_at(self, row: RowJob, now: float) -> float:
        gathering = self.gathering
        if row.at == _NEVER:
            is_woken = self._has_slot(row) or self._is_over or self._schedule.stopped is not None
            return now if is_woken else _NEVER
        if not self._has_slot(row):
            return row.at
        if row.is_following:
            task = gathering.find_task(row.row.arn, row.job.held_id)
            return now if task is not None and task.is_complete else row.job.facts.deadline
        if (way := row.way) is not None:
            seen = gathering.instances.find(row.id)
            return now if row.has_moved else min(row.at, max(seen.asked_at, way.began) + _OLDEST_SECONDS)
        return row.earliest if row.up_at and all(each.up_at for each in self._rows) else row.at

    def _pause(self, row: RowJob, seconds: float) -> None:
        """Note for how long a row waits: one on its way as long as others took, and one that runs again for others."""
        now, gathering, way = self._now(), self.gathering, row.way
        row.at = row.earliest = now + seconds
        if way is not None and not self._is_over:
            row.at = now + way.pace.next_pause(now - way.began)
            if way.to == "running" and gathering.is_at_end:  # what starts has no slot that another row waits for
                row.at = max(row.at, way.began + _OLDEST_SECONDS)
        elif row.up_at and not (self._is_over or row.job.facts.memory.is_released):
            if self._tidy_at <= now:
                self._tidy_at = now + gathering.tidy_seconds
            row.at = max(row.earliest, self._tidy_at)

    @property
    def _list_at(self) -> float:
        followed = {row.row.arn: row.followed_at for row in self._rows if row.is_following}
        return self.gathering.next_list(followed) if followed else _NEVER

    def _list_tasks(self, now: float) -> None:
        """List the tasks that are followed when it is time, and have the rows go on of which the list does not tell."""
        if self._list_at > now:
            return
        self.gathering.list_again()
        for row in self._rows:
            task = self.gathering.find_task(row.row.arn, row.job.held_id)
            is_late = now - row.followed_at > _UNLISTED_SECONDS
            is_odd = is_late if task is None else task.status is None
            if row.is_following and (is_odd or self.gathering.tasks.find(row.row.arn).error):
                row.is_following, row.at = False, now

    # -- what ----------------------------------------------------------------------------------------------------------

    def _has_slot(self, row: RowJob) -> bool:
        return row.withdrawn is not None or self._schedule.has_slot(row.row)

    def _advance(self, row: RowJob) -> Step | None:
        """Have a row's job go on, and return what it has decided to send."""
        if not self._has_slot(row) and not self._is_over:
            if self._schedule.stopped is not None:
                row.withdrawn = self._schedule.stopped
                row.job.give_up()
            elif not row.may_be_marked():
                row.at = _NEVER
                return None
        row.is_following = False
        found = row.job.next()
        instance = row.job.facts.instance
        is_unmarking = isinstance(found, Step) and found.rule.then is Act.UNMARK
        has_run = row.job.of(Act.START).accepted > 0 and instance is not None and instance.state == "running"
        is_new = not row.up_at and (is_unmarking or has_run)
        if is_new:
            row.up_at = row.wall()
            self._tell(row, "running")
        if not isinstance(found, Step):
            self._pause(row, found)
        elif found.rule.then is Act.DONE:
            row.end = found
        elif is_new and not self._is_over:  # which is tidied up together with others
            self._pause(row, 0.0)
        elif found.rule.then is Act.FOLLOW:
            row.at = self._now()
            row.is_following, row.followed_at = True, row.followed_at or row.at
        else:
            row.at = self._now()
            return found
        return None

    def _send(self, act: Act, rows: Sequence[tuple[RowJob, Step]]) -> None:
        for row, _ in rows if _WORDS[act] else ():
            self._tell(row, _WORDS[act])
        is_fresh = all(self._is_fresh(row) for row, _ in rows)
        is_sent, error = is_fresh and len(rows) > 1 and act not in (Act.CREATE, Act.NOTE), None
        try:
            if is_sent:
                (first, step), *others = rows
                first.job.send(step, *((row.job, each) for row, each in others))
        except TransientError as fault:
            error = fault
        except LicenseConversionError as refusal:
            log.info("each is sent separately: %s", refusal)
            is_sent = False
        for row, step in rows:
            with self._ending(row):
                pause = 0.0
                if is_sent:
                    pause = row.job.sent(step, copy.copy(error))
                elif self._is_fresh(row):  # else the calls for others took long, and it decides again
                    pause = row.job.carry_out(step)
                row.acted_at = self._now()
                self._pause(row, pause)

    def _is_fresh(self, row: RowJob) -> bool:
        return self._now() - row.at <= FRESH_SECONDS
