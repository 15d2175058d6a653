"""AWS for the rows of a fleet: what many rows ask of one connection is asked in one call.

What was shown is good for others for as long as it says enough for what they are about to do, and each call asks along
for rows that will want it soon. What takes one instance only is the conversion itself, and an instance's stop
protection.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lmconv_resource.aws.ec2 import ACTIONS, Ec2, Instance, InstanceType, Tag
from lmconv_resource.errors import RequestRefusedError
from lmconv_resource.lifecycle.fleet.shared import Pace, Shown, Turn
from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.marks import RESTART_TAG, TAGS, make_value, to_places
from lmconv_resource.models import ConversionTask, to_id

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)

_TIDY_SECONDS = 300.0
"""How long what is left waits for other calls, at most, once an instance runs again: it takes no slot."""

_TIDY_SECONDS_A_ROW = 30.0

_SHORTEST_POLL, _SHORTEST_CROWDED, _POLL, _RELAXED_POLL = 2.0, 5.0, (0.11, 30.0), (0.3, 60.0)
"""How long after one list of tasks the next one comes: a share of the mean time that conversions have taken so far, and
the most seconds. Relaxed is the end of a large fleet: no row waits for a slot, and the last ones would take half of all
lists."""

_FEW_ROWS, _FEW_UNDER_WAY = 10, 4

_MOST_LISTED = 50
"""Of one list of tasks, whose filter's limit AWS does not publish, and of one call of Systems Manager's."""

_MARKED_TOGETHER = 32
_MARK_MARGIN = timedelta(minutes=30)
"""How much later than the first of them may the last of those begin that share the value of a mark."""

Check = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""A dry run: its action, the instance's ARN, tags and the ids that are tagged."""


class Learned:
    """What the connections of a fleet learn for each other: how long stops and starts take, and EC2's types.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self.stops, self.starts = Pace(), Pace()
        self._types: dict[tuple[str, str], InstanceType] = {}

    def get_type(self, name: str, ec2: Ec2, region: str) -> InstanceType:
        """Return what EC2 says of an instance type, which is the same for all accounts."""
        if (region, name) not in self._types:
            self._types[region, name] = ec2.get_type(name, "instances")
        return self._types[region, name]


class Gathering:
    """What the rows of a fleet share that one connection serves, on one thread at a time."""

    def __init__(self, connection: Connection, learned: Learned) -> None:
        self.connection = connection
        self.turn = turn = Turn(connection.calls.cancellation.runtime.now)
        self.asks_protection = True
        """Whether it is asked of each instance that runs whether it may be stopped, a call each; EC2 refuses a stop."""
        self.learned = learned
        self._lists_alone = self._is_large = False
        self._places: dict[str, tuple[str, ...]] = {}
        self.waiting: dict[str, None] = {}
        """The ARNs of the rows that are still to be begun, in their order."""
        self._unmarked: dict[str, None] = {}
        self._running: dict[str, None] = {}
        self._mark: tuple[str, frozenset[str], datetime] | None = None
        ec2, manager = connection.ec2, connection.license_manager

        def list_tags(places: list[tuple[str, ...]]) -> dict[tuple[str, ...], list[Tag]]:
            tags = ec2.list_tags(TAGS, [each for place in places for each in place])
            return {place: [tag for tag in tags if tag.resource_id in place] for place in places}

        def list_tasks(arns: list[str]) -> dict[str, list[ConversionTask]]:
            if len(arns) > 1 and not self._lists_alone:
                try:
                    tasks = manager.list_tasks(*arns, keeps_unreadable=True)
                except RequestRefusedError as refusal:  # AWS publishes only that the filter's values are a list
                    log.info("the tasks of each instance are listed separately: %s", refusal)
                    self._lists_alone = True
                else:
                    # An entry that can't be read may be any row's, and counts as unfinished: it spoils only its own.
                    if all(task.resource_arn for task in tasks):
                        return {arn: [task for task in tasks if task.resource_arn == arn] for arn in arns}
            return {arn: manager.list_tasks(arn, keeps_unreadable=True) for arn in arns}

        def check(checks: list[Check]) -> None:
            for action, tags in dict.fromkeys((each[0], each[2]) for each in checks):
                those = [each for each in checks if (each[0], each[2]) == (action, tags)]
                places = [place for each in those for place in each[3]]
                ec2.check_may(action, [each[1] for each in those], dict(tags), places)

        self.instances: Shown[str, Instance] = Shown(
            turn,
            lambda ids: {each.instance_id: each for each in ec2.list_instances(ids)},
            along=lambda: [to_id(arn) for arn in self._soon()],
        )
        self.tags: Shown[tuple[str, ...], list[Tag]] = Shown(
            turn, list_tags, along=lambda: [self._places[arn] for arn in self._next() if arn in self._places]
        )
        self.tasks: Shown[str, list[ConversionTask]] = Shown(turn, list_tasks, _MOST_LISTED, along=self._soon)
        self.checks: Shown[Check, bool] = Shown(turn, check, alone=True)
        self.managed: Shown[str, bool] = Shown(turn, ec2.list_managed, _MOST_LISTED)
        self.images: Shown[str, bool | None] = Shown(
            turn, lambda ids: {each: ec2.is_amazon_image(each, "instances") for each in ids}, 1
        )
        self.types: Shown[str, InstanceType] = Shown(
            turn, lambda names: {each: learned.get_type(each, ec2, connection.region) for each in names}, 1
        )
        self.addresses: Shown[str, bool] = Shown(turn, ec2.list_elastic)

    # -- which rows there are ------------------------------------------------------------------------------------------

    def expect(self, arn: str) -> None:
        """Take note of a row that is to be begun after those before; from now on each read is as old as it is."""
        self.waiting[arn] = self._unmarked[to_id(arn)] = None
        self._is_large = len(self.waiting) > _FEW_ROWS
        self.turn.is_planning = False

    def begin(self, arn: str) -> None:
        """Take note that a row is under way."""
        self.waiting.pop(arn, None)
        self._running[arn] = None

    def end(self, arn: str) -> None:
        """Take note that a row has come to its end."""
        self._running.pop(arn, None)
        self._unmarked.pop(to_id(arn), None)

    def _next(self) -> list[str]:
        return [arn for arn, _ in zip(self.waiting, range(_MOST_LISTED // 2), strict=False)]

    def _soon(self) -> list[str]:
        return [*self._running, *self._next()]

    @property
    def is_at_end(self) -> bool:
        """Whether some rows of a large fleet are under way and none waits for a slot."""
        return self._is_large and not self.waiting and len(self._running) > _FEW_UNDER_WAY

    @property
    def tidy_seconds(self) -> float:
        """How long what is left of a row waits for other calls: few rows have little to share."""
        return min(_TIDY_SECONDS, _TIDY_SECONDS_A_ROW * (len(self._running) + len(self.waiting)))

    # -- what they share -----------------------------------------------------------------------------------------------

    def look(self, arns: Sequence[str]) -> dict[str, Instance]:
        """Read these instances and the tags of their jobs, keep both, and return the instances that are shown."""
        self.turn.is_planning = True
        self.instances.read(map(to_id, arns))
        seen = {arn: instance for arn in arns if (instance := self.instances.find(to_id(arn)).answer)}
        self._places = {arn: to_places(instance) for arn, instance in seen.items()}
        self.tags.read(self._places.values())
        return seen

    def survey(self, rows: Sequence[Row]) -> None:
        """Read what the jobs of these rows will ask for, in as few calls as it takes, and keep it for them."""
        arns, wish = [row.arn for row in rows], rows[0].conversion  # what is asked here, all rows of a fleet share
        seen = self.look(arns)
        self.tasks.read(arns)
        running = (
            [arn for arn, each in seen.items() if each.state in ("running", "pending")] if wish.stop_and_restart else []
        )
        self.addresses.read(address for arn in running if (address := seen[arn].answer.get("PublicIpAddress")))
        tag = ((RESTART_TAG, "check"),)
        for action in ACTIONS:
            self.checks.read([(action, arn, tag, self._places[arn]) for arn in running])
        if wish.checks:
            self.managed.read(map(to_id, arns))

    def make_mark(self, urn: str | None, instance_id: str, since: datetime, until: datetime) -> str:
        """Return the value of a mark, which the next rows share, so that one call can write and remove it for many."""
        self._unmarked.pop(instance_id, None)
        if self._mark is None or instance_id not in self._mark[1] or until > self._mark[2]:
            ids = [instance_id, *self._unmarked][:_MARKED_TOGETHER]
            last = until + _MARK_MARGIN
            value = make_value(urn, ids if len(ids) > 1 else instance_id, since, last)
            self._mark = value, frozenset(ids), last
        return self._mark[0]

    def next_list(self, followed: Mapping[str, float]) -> float:
        """Return when the tasks of these rows, by ARN each with since when it is followed, are listed again."""
        now = self.turn.now()
        share, longest = _RELAXED_POLL if self.is_at_end else _POLL
        # The more rows wait for each slot, the more its next second is worth.
        is_crowded = self._is_large and len(self.waiting) <= 2 * len(followed)
        shortest = _SHORTEST_CROWDED if is_crowded else _SHORTEST_POLL
        pause = min(longest, max(shortest, share * statistics.fmean(now - began for began in followed.values())))
        return min(max(self.tasks.find(arn).asked_at, began) for arn, began in followed.items()) + pause

    def find_task(self, arn: str, task_id: str | None) -> ConversionTask | None:
        """Return a task of a row as it was listed last."""
        return next((task for task in self.tasks.find(arn).answer or () if task.task_id == task_id), None)

    def list_again(self) -> None:
        """List the tasks of the rows that are under way, and of those that come next."""
        self.tasks.read(self._soon()[: max(_MOST_LISTED, len(self._running))])
