"""AWS for the rows of a fleet: what many rows ask of one connection is asked in one call.

A row's job gets services with the same methods as any other job's, and knows nothing of it. A read is good for others
for as long as it says enough for what they are about to do, and asks along for rows that will want it soon. What takes
one instance only is the conversion itself, and an instance's stop protection.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.ec2 import (
    START_ACTION,
    STOP_ACTION,
    TAG_ACTION,
    UNTAG_ACTION,
    Ec2,
    Instance,
    InstanceType,
    Tag,
)
from lmconv_resource.errors import LicenseConversionError, RequestRefusedError
from lmconv_resource.lifecycle.fleet.shared import Answer, Crew, Item, Pace, Shared, Ticket
from lmconv_resource.marks import RESTART_TAG, TAGS, make_value, to_places
from lmconv_resource.models import ConversionTask, to_id
from lmconv_resource.polling.runtime import Cancellation

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)


TIDY_SECONDS = 300.0
"""How long what is left waits for other calls, at most, once an instance runs again: it takes no slot."""

_TIDY_SECONDS_A_ROW = 10.0

_SHORTEST_POLL, _SHORTEST_CROWDED, _POLL, _RELAXED_POLL = 2.0, 5.0, (0.11, 30.0), (0.3, 60.0)
"""How long after one list of tasks the next one comes: a share of the mean time that conversions have taken so far, and
the most seconds. Relaxed is the end of a large fleet: no row waits for a slot, and the last ones would take half of all
lists."""

_FEW_ROWS, _FEW_UNDER_WAY = 10, 6

_FOLLOW_SECONDS, _UNLISTED_SECONDS = 3600.0, 60.0
"""How long the list of tasks follows one, and for how long a new one may be missing there; then it is asked for."""

_MOST_INSTANCES = 100
"""Of one call of EC2's: its filters take 200 values."""

_MOST_LISTED = 50
"""Of one list of tasks, whose filter's limit AWS does not publish, and of one call of Systems Manager's."""

_MARKED_TOGETHER = 32
_MARK_MARGIN = timedelta(minutes=30)
"""How much later than the first of them may the last of those begin that share the value of a mark."""

Check = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""A dry run: its action, the instance's ARN, tags and the ids that are tagged."""

_Tags = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
"""Tags, and the ids of what has them."""


class Learned:
    """What the connections of a fleet learn for each other: how long stops and starts take, and EC2's types."""

    def __init__(self) -> None:
        self.stops, self.starts = Pace(), Pace()
        self._types: dict[tuple[str, str], InstanceType] = {}

    def get_type(self, name: str, ec2: Ec2, region: str) -> InstanceType:
        """Return what EC2 says of an instance type, which is the same for all accounts."""
        if (region, name) not in self._types:
            self._types[region, name] = ec2.get_type(name, "instances")
        return self._types[region, name]


class Gathering:
    """What the rows of a fleet share that one connection serves. `cancellation` ends the calls that are shared."""

    def __init__(self, connection: Connection, cancellation: Cancellation, learned: Learned) -> None:
        self.connection = connection = connection.until(cancellation)
        self.crew = crew = Crew(cancellation)
        self.asks_protection = True
        """Whether it is asked of each instance that runs whether it may be stopped, a call each; EC2 refuses a stop."""
        self.learned = learned
        self._lists_alone = self._is_large = False
        self._places: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, None] = {}
        self._unmarked: dict[str, None] = {}
        self._running: dict[str, None] = {}
        self._following: dict[str, float] = {}
        self._mark: tuple[str, frozenset[str], datetime] | None = None
        ec2, manager = connection.ec2, connection.license_manager

        def shared(
            send: Callable[[list[Item]], Mapping[Item, Answer] | None], most: int = _MOST_INSTANCES, **options: Any
        ) -> Shared[Item, Answer]:
            return Shared(crew, send, most, **options)

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

        def stop(asked: list[tuple[str, bool]]) -> None:
            for force in {force for _, force in asked}:
                ec2.stop(*(arn for arn, forced in asked if forced is force), force=force)

        def tag(send: Callable[[str, Mapping[str, str], Sequence[str]], None], asked: list[_Tags]) -> None:
            for tags in dict.fromkeys(each for each, _ in asked):
                send("instances", dict(tags), [place for each, places in asked if each == tags for place in places])

        def check(checks: list[Check]) -> None:
            for action, tags in dict.fromkeys((each[0], each[2]) for each in checks):
                those = [each for each in checks if (each[0], each[2]) == (action, tags)]
                places = [place for each in those for place in each[3]]
                ec2.check_may(action, [each[1] for each in those], dict(tags), places)

        self.instances: Shared[str, Instance] = shared(
            lambda ids: {each.instance_id: each for each in ec2.list_instances(ids)},
            along=lambda: [to_id(arn) for arn in self._soon()],
        )
        self.tags: Shared[tuple[str, ...], list[Tag]] = shared(
            list_tags, along=lambda: [self._places[arn] for arn in self._next() if arn in self._places]
        )
        self.tasks: Shared[str, list[ConversionTask]] = shared(list_tasks, _MOST_LISTED, along=self._soon)
        self.stops: Shared[tuple[str, bool], bool] = shared(stop, alone=True)
        self.starts: Shared[str, bool] = shared(lambda arns: ec2.start(*arns), alone=True)
        self.marks: Shared[_Tags, bool] = shared(partial(tag, ec2.set_tags), alone=True)
        self.unmarks: Shared[_Tags, bool] = shared(partial(tag, ec2.delete_tags), alone=True)
        self.checks: Shared[Check, bool] = shared(check, alone=True)
        self.managed: Shared[str, bool] = shared(ec2.list_managed, _MOST_LISTED)
        self.images: Shared[str, bool | None] = shared(
            lambda ids: {each: ec2.is_amazon_image(each, "instances") for each in ids}, 1
        )
        self.types: Shared[str, InstanceType] = shared(
            lambda names: {each: learned.get_type(each, ec2, connection.region) for each in names}, 1
        )
        self.addresses: Shared[str, bool] = shared(ec2.list_elastic)

    # -- which rows there are ------------------------------------------------------------------------------------------

    def expect(self, arns: Iterable[str]) -> None:
        """Take note of the rows that are to be begun, in their order; from now on each read is as old as it is."""
        self._waiting = dict.fromkeys(arns)
        self._is_large = len(self._waiting) > _FEW_ROWS
        self._unmarked = dict.fromkeys(map(to_id, self._waiting))
        self.crew.is_planning = False

    @contextmanager
    def under_way(self, arn: str) -> Iterator[None]:
        """Return a context in which a row is under way."""
        crew = self.crew
        with crew.changed:
            self._waiting.pop(arn, None)
            self._running[arn] = None
            crew.active += 1
        try:
            yield
        finally:
            with crew.changed:
                self._running.pop(arn)
                self._unmarked.pop(to_id(arn), None)
                crew.active -= 1
                crew.changed.notify_all()

    def _next(self) -> list[str]:
        return [arn for arn, _ in zip(self._waiting, range(_MOST_LISTED // 2), strict=False)]

    def _soon(self) -> list[str]:
        return [*self._running, *self._next()]

    @property
    def is_at_end(self) -> bool:
        """Whether some rows of a large fleet are under way and none waits for a slot."""
        return self._is_large and not self._waiting and len(self._running) > _FEW_UNDER_WAY

    @property
    def tidy_seconds(self) -> float:
        """How long what is left of a row waits for other calls: few rows have little to share."""
        return min(TIDY_SECONDS, _TIDY_SECONDS_A_ROW * (len(self._running) + len(self._waiting)))

    # -- what they share -----------------------------------------------------------------------------------------------

    def look(self, arns: Sequence[str]) -> dict[str, Instance]:
        """Read these instances and the tags of their jobs, keep both, and return the instances that are shown."""
        self.crew.is_planning = True
        self.instances.read(map(to_id, arns))
        seen = {arn: instance for arn in arns if (instance := self.instances.find(to_id(arn)).answer)}
        self._places = {arn: to_places(instance) for arn, instance in seen.items()}
        self.tags.read(self._places.values())
        return seen

    def survey(self, arns: Sequence[str], *, stops: bool, checks: bool) -> None:
        """Read what the jobs of these instances will ask for, in as few calls as it takes, and keep it for them.

        `stops` says whether those that run are stopped, `checks` whether AWS's prerequisites are checked.
        """
        ids = [to_id(arn) for arn in arns]
        seen = self.look(arns)
        self.tasks.read(arns)
        running = [arn for arn, each in seen.items() if each.state in ("running", "pending")] if stops else []
        shown = [address for arn in running if (address := seen[arn].answer.get("PublicIpAddress"))]
        if shown:
            self.addresses.read(dict.fromkeys(shown))
        tag = ((RESTART_TAG, "check"),)
        for action in (STOP_ACTION, START_ACTION, TAG_ACTION, UNTAG_ACTION) if running else ():
            self.checks.read([(action, arn, tag, self._places[arn]) for arn in running])
        if checks:
            self.managed.read(ids)

    def make_mark(self, urn: str | None, instance_id: str, since: datetime, until: datetime) -> str:
        """Return the value of a mark, which the next rows share, so that one call can write and remove it for many."""
        with self.crew.changed:
            self._unmarked.pop(instance_id, None)
            if self._mark is None or instance_id not in self._mark[1] or until > self._mark[2]:
                ids = [instance_id, *self._unmarked][:_MARKED_TOGETHER]
                last = until + _MARK_MARGIN
                value = make_value(urn, ids if len(ids) > 1 else instance_id, since, last)
                self._mark = value, frozenset(ids), last
            return self._mark[0]

    def find_task(self, arn: str, task_id: str) -> ConversionTask | None:
        """Return a task of a row as it was listed last."""
        return next((task for task in self.tasks.find(arn).answer or () if task.task_id == task_id), None)

    def follow(self, arn: str, task_id: str, seconds: float) -> None:
        """Wait until the list of tasks shows that a task of a row has ended, or turns out not to tell."""
        runtime = self.crew.runtime
        self._following[arn] = began = runtime.now()

        def has_ended(_: Ticket[list[ConversionTask]]) -> bool:
            task = self.find_task(arn, task_id)
            return task is not None and task.is_complete

        try:
            while (now := runtime.now()) - began < min(seconds, _FOLLOW_SECONDS):
                ages = [now - each for each in list(self._following.values())]
                share, longest = _RELAXED_POLL if self.is_at_end else _POLL
                # The more rows wait for each slot, the more its next second is worth.
                is_crowded = self._is_large and len(self._waiting) <= 2 * len(ages)
                shortest = _SHORTEST_CROWDED if is_crowded else _SHORTEST_POLL
                pause = min(longest, max(shortest, share * statistics.fmean(ages)))
                left = max(self.tasks.find(arn).asked_at, began) + pause - now
                if self.tasks.await_new(arn, max(0.0, left), has_ended) or self.crew.is_over:
                    return
                if left <= 0:
                    self.tasks.ask(arn)
                    task = self.find_task(arn, task_id)
                    is_odd = task.status is None if task else runtime.now() - began > _UNLISTED_SECONDS
                    if is_odd:
                        return
        except LicenseConversionError as error:  # whose tasks can't be listed: each is asked for separately
            log.info("%s is polled separately: %s", task_id, error)
        finally:
            del self._following[arn]
