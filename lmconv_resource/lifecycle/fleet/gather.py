"""AWS for the rows of a fleet: what many rows ask of one connection is asked in one call.

A row's job gets services with the same methods as any other job's, and knows nothing of it. A read is good for others
for as long as it says enough for what they are about to do, and asks along for rows that will want it soon. What takes
one instance only is the conversion itself, and an instance's stop protection.
"""

from __future__ import annotations

import copy
import logging
import statistics
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

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
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.ssm import Ssm
from lmconv_resource.errors import (
    WAIT_ACTION,
    LicenseConversionError,
    RequestRefusedError,
    Subject,
    TransientError,
    WaitError,
)
from lmconv_resource.lifecycle.job import CHECKS, make_value
from lmconv_resource.models import ConversionRequest, ConversionTask, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.poller import Poller

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")

WINDOW_SECONDS = 0.25
"""How long a call waits for others that go with it."""

FRESH_SECONDS = 3.0
"""How old what an act rests on may be: as old as a call of this job's own that takes its time."""

RUNNING_SECONDS = 30.0
"""How old the tasks of an instance that runs may be: License Manager converts none that runs."""

INTERFACE_SECONDS = 300.0
"""How old the tags of a network interface may be that differ from those of its instance, which is read again."""

TIDY_SECONDS = 300.0
"""How long what is left waits for other calls, at most, once an instance runs again: it takes no slot."""

_TIDY_SECONDS_A_ROW = 10.0

_EARLY_SECONDS = 5.0
"""How long a mark waits for others that is set before there is a slot."""

_OLDEST_SECONDS = 30.0
"""After that an instance on its way is described in any case."""

_POLL_SHARE, _SHORTEST_POLL, _LONGEST_POLL = 0.11, 2.0, 30.0
"""Of the mean time that conversions have taken so far: how long after one list of tasks the next one comes."""

_FOLLOW_SECONDS, _UNLISTED_SECONDS = 3600.0, 60.0
"""How long the list of tasks follows one, and for how long a new one may be missing there; then it is asked for."""

_MOST_INSTANCES = 100
"""Of one call of EC2's: its filters take 200 values."""

_MOST_LISTED = 50
"""Of one list of tasks, whose filter's limit AWS does not publish, and of one call of Systems Manager's."""

_MARKED_TOGETHER = 32
_MARK_MARGIN = timedelta(minutes=30)
"""How much later than the first of them may the last of those begin that share the value of a mark."""

ALWAYS = float("inf")


class _Ticket(Generic[Answer]):
    """What threads wait for."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.is_open = True
        self.asked_at = self.before = float("-inf")
        """When this was asked for, and when the time before."""

    def open(self) -> Answer | None:
        if isinstance(self.error, LicenseConversionError):
            raise copy.copy(self.error) from self.error.__cause__
        if self.error is not None:
            raise self.error
        return self.answer


class Crew:
    """The rows of a connection that are under way, and how they wait for each other.

    Args:
        cancellation: ends each wait; its runtime is used.
    """

    def __init__(self, cancellation: Cancellation) -> None:
        self.runtime = cancellation.runtime
        self.changed = self.runtime.condition()
        self.active = 0
        """How many rows are under way."""
        self.is_planning = False
        """Whether what was read once is good for all that ask."""
        self._lazy = 0
        self._cancellation = cancellation
        cancellation.subscribe(self.wake)

    def wake(self) -> None:
        """Let all that wait look again."""
        with self.changed:
            self.changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is waited for."""
        return self._cancellation.is_set

    def wait_for(self, is_over: Callable[[], bool]) -> None:
        """Wait until something is over, of which `wake` tells."""
        with self.changed:
            while not (is_over() or self.is_over):
                self.wait(_OLDEST_SECONDS, is_over)

    def wait(self, seconds: float, is_over: Callable[[], bool], *, is_lazy: bool = False) -> None:
        """Wait until something is over; a lazy wait ends too when all rows wait so. Holds `changed`."""
        until = self.runtime.now() + seconds
        self._lazy += is_lazy
        if is_lazy and self._lazy >= self.active:
            self.changed.notify_all()
        try:
            while not (is_over() or self._cancellation.is_set or (is_lazy and self._lazy >= self.active)):
                left = until - self.runtime.now()
                if left <= 0:
                    return
                self.changed.wait(left)
        finally:
            self._lazy -= is_lazy


class Shared(Generic[Item, Answer]):
    """One operation of AWS's, called for all rows that ask within a moment. Safe to share between threads.

    Args:
        crew: the rows.
        send: asks for some items at once, and returns the answers by item; what is absent is answered with None.
        most: how many go together.
        along: returns what else is asked for, because it will be wanted soon.
        alone: whether a refusal of several is tried again one by one, so that each gets an answer of its own.
    """

    def __init__(
        self,
        crew: Crew,
        send: Callable[[list[Item]], Mapping[Item, Answer]],
        most: int,
        *,
        along: Callable[[], Iterable[Item]] = tuple,
        alone: bool = False,
    ) -> None:
        self._crew = crew
        self._send = send
        self._most = most
        self._along = along
        self._alone = alone
        self._waiting: dict[Item, _Ticket[Answer]] = {}
        self._answers: dict[Item, _Ticket[Answer]] = {}

    def ask(self, item: Item, max_age: float = 0.0, *, lazily: float | None = None) -> Answer | None:
        """Return the answer for one item.

        Args:
            item: the item.
            max_age: how many seconds old it may be. An error is only good where its age does not matter.
            lazily: for how many seconds others may come first whose call this can go with.

        Raises:
            LicenseConversionError: the call failed.
        """
        crew = self._crew
        with crew.changed:
            known = self._answers.get(item)
            if known is not None and crew.runtime.now() - known.asked_at <= (max_age if known.error is None else 0):
                return known.open()
            is_lasting = known is not None and (crew.is_planning or not isinstance(known.error, TransientError))
            if known is not None and is_lasting and max_age == ALWAYS:
                return known.open()
            ticket = self._waiting.setdefault(item, _Ticket())
            seconds = WINDOW_SECONDS if lazily is None else lazily
            crew.wait(seconds, lambda: self._waiting.get(item) is not ticket, is_lazy=lazily is not None)
            leads = self._waiting.get(item) is ticket
            tickets = self._waiting if leads else {}
            if leads:
                self._waiting = {}
                room = max(0, self._most - len(tickets))
                others = [each for each in self._along() if each not in tickets][:room]
        if leads:
            self._answer({**tickets, **{each: _Ticket() for each in others}})
        with crew.changed:
            while ticket.is_open:
                crew.changed.wait()
        return ticket.open()

    def await_new(
        self, item: Item, seconds: float, is_new: Callable[[_Ticket[Answer]], bool]
    ) -> _Ticket[Answer] | None:
        """Return what somebody's call has shown of an item when it is new; None where that takes longer than so."""
        with self._crew.changed:
            self._crew.wait(seconds, lambda: item in self._answers and is_new(self._answers[item]))
            known = self._answers.get(item)
        return known if known is not None and is_new(known) else None

    def read(self, items: Iterable[Item]) -> None:
        """Ask for many at once, for those who ask later and do not mind its age: an error is an answer too."""
        self._answer({item: _Ticket() for item in items})

    def find(self, item: Item) -> _Ticket[Answer]:
        """Return what was shown of an item last; of one that was never asked for, nothing."""
        return self._answers.get(item) or _Ticket()

    def _answer(self, tickets: Mapping[Item, _Ticket[Answer]]) -> None:
        items = list(tickets)
        try:
            for at in range(0, len(items), self._most):
                self._answer_some({item: tickets[item] for item in items[at : at + self._most]})
        except BaseException as bug:  # a missing answer must not count as one
            for ticket in tickets.values():
                ticket.error = bug if ticket.is_open else ticket.error
            raise
        finally:
            with self._crew.changed:
                for ticket in tickets.values():
                    ticket.is_open = False
                for item, ticket in tickets.items():
                    ticket.before = self.find(item).asked_at
                    self._answers[item] = ticket
                self._crew.changed.notify_all()

    def _answer_some(self, tickets: Mapping[Item, _Ticket[Answer]]) -> None:
        asked_at = self._crew.runtime.now()
        answers: Mapping[Item, Answer] = {}
        error: LicenseConversionError | None = None
        try:
            answers = self._send(list(tickets))
        except LicenseConversionError as refusal:
            if self._alone and len(tickets) > 1 and not isinstance(refusal, TransientError):
                log.info("each is asked for by itself: %s", refusal)
                for item, ticket in tickets.items():
                    self._answer_some({item: ticket})
                return
            error = refusal
        for item, ticket in tickets.items():
            ticket.answer, ticket.error, ticket.asked_at = answers.get(item), error, asked_at
            ticket.is_open = False


class Pace:
    """How long instances take to stop, or to start, by what was seen of the last ones."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=30)

    def note(self, shortest: float, longest: float) -> None:
        """Note that one took longer than `shortest` seconds, and no longer than `longest`."""
        self._seen.append((shortest, longest))

    def next_pause(self, age: float) -> float:
        """Return after how many seconds one is asked for that began so many seconds ago."""
        low = max((each[0] for each in self._seen), default=0.0)
        high = statistics.median(each[1] for each in self._seen) if self._seen else 0.0
        expected = (low + high) / 2 if low + 1.5 < high else high
        return expected - age if age < expected else max(1.5, 0.25 * (age - expected))


Check = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""A dry run: its action, the instance's ARN, tags and the ids that are tagged."""

_Tags = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
"""Tags, and the ids of what has them."""


class Gathering:
    """What the rows of a fleet share that one connection serves.

    Args:
        connection: the connection.
        cancellation: ends the calls that are shared.
    """

    def __init__(self, connection: Connection, cancellation: Cancellation) -> None:
        self.connection = connection = connection.until(cancellation)
        self.crew = crew = Crew(cancellation)
        self.asks_protection = True
        """Whether it is asked of each instance that runs whether it may be stopped, a call each; EC2 refuses a stop."""
        self.stops_pace, self.starts_pace = Pace(), Pace()
        self._tag_keys: tuple[str, ...] = ()
        self._lists_alone = False
        self._places: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, None] = {}
        self._running: dict[str, None] = {}
        self._following: dict[str, float] = {}
        self._mark: tuple[str, frozenset[str], datetime] | None = None
        ec2, manager, ssm = connection.ec2, connection.license_manager, connection.ssm

        def shared(
            send: Callable[[list[Item]], Mapping[Item, Answer]], most: int = _MOST_INSTANCES, **options: Any
        ) -> Shared[Item, Answer]:
            return Shared(crew, send, most, **options)

        def list_tags(places: list[tuple[str, ...]]) -> dict[tuple[str, ...], list[Tag]]:
            tags = ec2.list_tags(self._tag_keys, [each for place in places for each in place])
            return {place: [tag for tag in tags if tag.resource_id in place] for place in places}

        def list_tasks(arns: list[str]) -> dict[str, list[ConversionTask]]:
            if len(arns) > 1 and not self._lists_alone:
                try:
                    tasks = manager.list_tasks(resource_arn=arns, keeps_unreadable=True)
                except RequestRefusedError as refusal:  # AWS publishes only that the filter's values are a list
                    log.info("the tasks of each instance are listed by themselves: %s", refusal)
                    self._lists_alone = True
                else:
                    # An entry that can't be read may be any row's, and counts as unfinished: it spoils only its own.
                    if all(task.resource_arn for task in tasks):
                        return {arn: [task for task in tasks if task.resource_arn == arn] for arn in arns}
            return {arn: manager.list_tasks(resource_arn=arn, keeps_unreadable=True) for arn in arns}

        def stop(asked: list[tuple[str, bool]]) -> dict[tuple[str, bool], bool]:
            for force in {force for _, force in asked}:
                ec2.stop(*(arn for arn, forced in asked if forced is force), force=force)
            return {}

        def start(arns: list[str]) -> dict[str, bool]:
            ec2.start(*arns)
            return {}

        def tag(send: Callable[[str, Mapping[str, str], Sequence[str]], None]) -> Callable[[list[_Tags]], Any]:
            def send_all(asked: list[_Tags]) -> dict[_Tags, bool]:
                for tags in dict.fromkeys(each for each, _ in asked):
                    send("instances", dict(tags), [place for each, places in asked if each == tags for place in places])
                return {}

            return send_all

        def check(checks: list[Check]) -> dict[Check, bool]:
            for action, tags in dict.fromkeys((each[0], each[2]) for each in checks):
                those = [each for each in checks if (each[0], each[2]) == (action, tags)]
                places = [place for each in those for place in each[3]]
                ec2.check_may(action, [each[1] for each in those], dict(tags), places)
            return {}

        self.instances: Shared[str, Instance] = shared(
            lambda ids: {each.instance_id: each for each in ec2.list_instances(ids)},
            along=lambda: [to_id(arn) for arn in self._soon()],
        )
        self.tags: Shared[tuple[str, ...], list[Tag]] = shared(
            list_tags, along=lambda: [self._places[arn] for arn in self._next() if arn in self._places]
        )
        self.tasks: Shared[str, list[ConversionTask]] = shared(list_tasks, _MOST_LISTED, along=self._soon)
        self.stops: Shared[tuple[str, bool], bool] = shared(stop, alone=True)
        self.starts: Shared[str, bool] = shared(start, alone=True)
        self.marks: Shared[_Tags, bool] = shared(tag(ec2.set_tags), alone=True)
        self.unmarks: Shared[_Tags, bool] = shared(tag(ec2.delete_tags), alone=True)
        self.checks: Shared[Check, bool] = shared(check, alone=True)
        self.managed: Shared[str, bool] = shared(ssm.list_managed, _MOST_LISTED)
        self.images: Shared[str, bool | None] = shared(
            lambda ids: {each: ec2.is_amazon_image(each, "instances") for each in ids}, 1
        )
        self.types: Shared[str, InstanceType] = shared(
            lambda names: {each: ec2.get_type(each, "instances") for each in names}, 1
        )
        self.addresses: Shared[str, bool] = shared(ec2.list_elastic)

    # -- which rows there are ------------------------------------------------------------------------------------------

    def expect(self, arns: Iterable[str]) -> None:
        """Take note of the rows that are to be begun, in their order; from now on each read is as old as it is."""
        self._waiting = dict.fromkeys(arns)
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
                crew.active -= 1
                crew.changed.notify_all()

    def _next(self) -> list[str]:
        return [arn for arn, _ in zip(self._waiting, range(_MOST_LISTED // 2), strict=False)]

    def _soon(self) -> list[str]:
        return [*self._running, *self._next()]

    @property
    def tidy_seconds(self) -> float:
        """How long what is left of a row waits for other calls: few rows have little to share."""
        return min(TIDY_SECONDS, _TIDY_SECONDS_A_ROW * (len(self._running) + len(self._waiting)))

    # -- what they share -----------------------------------------------------------------------------------------------

    def survey(self, arns: Sequence[str], keys: Sequence[str], *, stops: bool, checks: bool) -> None:
        """Read what the jobs of these instances will ask for, in as few calls as it takes, and keep it for them.

        Args:
            arns: the instances.
            keys: the names of the tags that are a job's.
            stops: whether those that run are stopped, so that they may be.
            checks: whether AWS's prerequisites are checked.
        """
        self._tag_keys, self.crew.is_planning = tuple(keys), True
        ids = [to_id(arn) for arn in arns]
        self.instances.read(ids)
        self.tasks.read(arns)
        seen = {arn: instance for arn in arns if (instance := self.instances.find(to_id(arn)).answer)}
        self._places = {arn: to_places(instance) for arn, instance in seen.items()}
        self.tags.read(self._places.values())
        running = [arn for arn, each in seen.items() if each.state in ("running", "pending")] if stops else []
        shown = [address for arn in running if (address := seen[arn].answer.get("PublicIpAddress"))]
        if shown:
            self.addresses.read(dict.fromkeys(shown))
        tag = ((keys[0], "check"),)
        for action in (STOP_ACTION, START_ACTION, TAG_ACTION, UNTAG_ACTION) if running else ():
            self.checks.read([(action, arn, tag, self._places[arn]) for arn in running])
        if checks:
            self.managed.read(ids)

    def list_tags(self, keys: Sequence[str], places: tuple[str, ...], max_age: float) -> list[Tag]:
        """Return the tags with these names, which are the same for all rows."""
        self._tag_keys = tuple(keys)
        return self.tags.ask(places, max_age) or []

    def make_mark(self, urn: str | None, instance_id: str, since: datetime, until: datetime) -> str:
        """Return the value of a mark, which the next rows share, so that one call can write and remove it for many."""
        with self.crew.changed:
            if self._mark is None or instance_id not in self._mark[1] or until > self._mark[2]:
                ids = [instance_id, *map(to_id, self._waiting)][:_MARKED_TOGETHER]
                last = until + _MARK_MARGIN
                value = make_value(urn, ids if len(ids) > 1 else instance_id, since, last)
                self._mark = value, frozenset(ids), last
            return self._mark[0]

    def follow(self, arn: str, task_id: str, seconds: float) -> ConversionTask | None:
        """Return a task of a row when it has ended, by the list of tasks; None where that does not tell."""
        runtime = self.crew.runtime
        self._following[arn] = began = runtime.now()

        def find(ticket: _Ticket[list[ConversionTask]]) -> ConversionTask | None:
            return next((task for task in ticket.answer or () if task.task_id == task_id), None)

        def has_ended(ticket: _Ticket[list[ConversionTask]]) -> bool:
            task = find(ticket)
            return task is not None and task.is_complete

        try:
            while (now := runtime.now()) - began < min(seconds, _FOLLOW_SECONDS):
                ages = [now - each for each in list(self._following.values())]
                pause = min(_LONGEST_POLL, max(_SHORTEST_POLL, _POLL_SHARE * statistics.fmean(ages)))
                left = max(self.tasks.find(arn).asked_at, began) + pause - now
                if (found := self.tasks.await_new(arn, max(0.0, left), has_ended)) is not None:
                    return find(found)
                if self.crew.is_over:
                    return None
                if left <= 0:
                    self.tasks.ask(arn)
                    task = find(self.tasks.find(arn))
                    is_odd = task.status is None if task else runtime.now() - began > _UNLISTED_SECONDS
                    if is_odd:
                        return None
        except LicenseConversionError as error:  # whose tasks can't be listed: each is asked for by itself
            log.info("%s is followed by itself: %s", task_id, error)
        finally:
            del self._following[arn]
        return None


def to_id(resource_arn: str) -> str:
    """Return the id of an instance from its ARN."""
    return resource_arn.rpartition("/")[2]


def to_places(instance: Instance) -> tuple[str, ...]:
    """Return the ids of what a mark is written to."""
    return (instance.instance_id, *([instance.interface_id] if instance.interface_id else []))


@dataclass
class Watch:
    """What the services of a row have seen of it.

    Args:
        now: returns the present.
        on_act: called before each act with a word for it, and with `running` when the instance runs again.
        has_slot: returns whether more may be done than to mark an instance that runs.
    """

    now: Callable[[], float]
    on_act: Callable[[str], None] = lambda _: None
    has_slot: Callable[[], bool] = lambda: True
    begun: bool = False
    """Whether something was sent, be it a mark only."""
    has_changed: bool = False
    """Whether the instance was stopped, or its conversion asked for."""
    acted_at: float = float("-inf")
    """When something was sent last: what was read before that says nothing of it."""
    stop_at: float | None = None
    start_at: float | None = None
    """When the instance was stopped, and started again, last."""
    is_up: bool = False
    """Whether it was seen to run since."""
    is_released: bool = False
    """Whether the mark is gone."""
    shown: Instance | None = None
    """The instance as it was shown last."""

    @property
    def sent_at(self) -> float | None:
        """When the instance was last sent on the way on which it still is."""
        state = self.shown.state if self.shown else None
        if self.start_at is not None:
            return self.start_at if state in ("stopped", "pending") else None
        return self.stop_at if state in ("running", "stopping") else None

    def limit_age(self, seconds: float) -> float:
        """Return how old a read may be, at most so many seconds: not as old as what was sent last."""
        return min(seconds, self.now() - self.acted_at)

    def see(self, instance: Instance | None) -> None:
        """Note what EC2 shows of the instance."""
        self.shown = instance
        if self.start_at is not None and instance is not None and instance.state == "running":
            self.run_again()

    def run_again(self) -> None:
        """Note that the instance runs again: what is left takes no slot."""
        if not self.is_up:
            self.is_up = True
            self.on_act("running")

    def act(self, word: str) -> None:
        """Note that something is about to be done."""
        self.begun = True
        self.on_act(word)


class RowEc2(Ec2):
    """EC2 for one row."""

    def __init__(self, calls: Calls, gathering: Gathering, watch: Watch) -> None:
        super().__init__(calls)
        self._gathering, self._watch = gathering, watch
        self._now = watch.now

    def get_instance(self, resource_arn: str) -> Instance | None:
        """Return an instance as DescribeInstances shows it; None where EC2 shows none."""
        gathering, watch, instance_id = self._gathering, self._watch, to_id(resource_arn)
        if gathering.crew.is_planning:
            instance = gathering.instances.ask(instance_id, ALWAYS)
        elif watch.is_up:
            instance = gathering.instances.ask(
                instance_id, watch.limit_age(FRESH_SECONDS), lazily=gathering.tidy_seconds
            )
        elif watch.sent_at is not None:
            instance = self._await_change(instance_id, watch.sent_at)
        else:
            if watch.begun:
                gathering.crew.wait_for(watch.has_slot)
            instance = gathering.instances.ask(instance_id, watch.limit_age(FRESH_SECONDS))
            if not watch.has_slot() and (instance is None or instance.state != "running"):
                gathering.crew.wait_for(watch.has_slot)
                instance = gathering.instances.ask(instance_id, watch.limit_age(FRESH_SECONDS))
        watch.see(instance)
        return instance

    def _await_change(self, instance_id: str, sent_at: float) -> Instance | None:
        """Return the instance when it is shown in another state than before, or when it is to be asked for again."""
        watch, instances = self._watch, self._gathering.instances
        is_starting = watch.start_at is not None
        pace = self._gathering.starts_pace if is_starting else self._gathering.stops_pace
        old = watch.shown.state if watch.shown else None
        due = self._now() + pace.next_pause(self._now() - sent_at)

        def is_new(ticket: _Ticket[Instance]) -> bool:
            return ticket.asked_at > sent_at and ticket.answer is not None and ticket.answer.state != old

        while not self._gathering.crew.is_over:
            oldest = max(instances.find(instance_id).asked_at, sent_at) + _OLDEST_SECONDS
            left = min(due, oldest) - self._now()
            if instances.await_new(instance_id, max(0.0, left), is_new) is not None:
                break
            if left <= 0:
                instances.ask(instance_id)
                break
        found = instances.find(instance_id)
        if found.answer is not None and found.answer.state == ("running" if is_starting else "stopped"):
            pace.note(max(0.0, found.before - sent_at), found.asked_at - sent_at)
        return found.answer

    def list_tags(
        self, keys: Sequence[str], resource_ids: Sequence[str] = (), resource_arn: str = "instances"
    ) -> list[Tag]:
        """Return the tags with these names, of these resources.

        Where the instance that was just shown has a mark itself, nothing more is asked: what its network interface has
        says the same, and whoever reads adds the instance's own tags.
        """
        watch = self._watch
        shows_mark = watch.shown is not None and any(tag.key == keys[0] for tag in watch.shown.tags)
        if watch.is_released or (watch.begun and shows_mark):
            return []
        age = watch.limit_age(FRESH_SECONDS if watch.begun else INTERFACE_SECONDS)
        return self._gathering.list_tags(keys, tuple(resource_ids), ALWAYS if self._gathering.crew.is_planning else age)

    def stop(self, *resource_arns: str, force: bool = False) -> None:
        """Have the instance stopped."""
        self._watch.act("stopping")
        for arn in resource_arns:
            try:
                self._gathering.stops.ask((arn, force))
            except RequestRefusedError as refusal:
                if refusal.code != "OperationNotPermitted" or not super().has_stop_protection(arn):
                    raise
                reason, remedy = CHECKS["protected"].reason, CHECKS["protected"].remedy.format(instance=to_id(arn))
                raise RequestRefusedError(refusal.subject, reason, remedy, code=refusal.code) from None
        self._watch.has_changed = True
        self._watch.stop_at = self._watch.acted_at = self._now()

    def start(self, *resource_arns: str) -> None:
        """Have the instance started."""
        self._watch.act("starting")
        for arn in resource_arns:
            self._gathering.starts.ask(arn)
        self._watch.start_at = self._watch.acted_at = self._now()

    def check_may(
        self, action: str, resource_arn: str | Sequence[str], tags: Mapping[str, str], resource_ids: Sequence[str]
    ) -> None:
        """Raise the error of an act that is not allowed; nothing is done."""
        (arn,) = [resource_arn] if isinstance(resource_arn, str) else resource_arn
        age = ALWAYS if self._gathering.crew.is_planning else 0.0
        self._gathering.checks.ask((action, arn, tuple(tags.items()), tuple(resource_ids)), age)

    def set_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Set tags of the instance and of what belongs to it."""
        self._watch.act("marking")
        lazily = None if self._watch.has_slot() else _EARLY_SECONDS
        self._gathering.marks.ask((tuple(tags.items()), tuple(resource_ids)), lazily=lazily)
        self._watch.acted_at = self._now()

    def delete_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Remove tags that have just these values: the instance runs again."""
        self._watch.run_again()
        asked = tuple(tags.items()), tuple(resource_ids)
        self._gathering.unmarks.ask(asked, lazily=self._gathering.tidy_seconds)
        self._watch.is_released, self._watch.acted_at = True, self._now()

    def has_stop_protection(self, resource_arn: str) -> bool:
        """Return whether the instance's `disableApiStop` is set, as far as that is asked before a stop."""
        is_running = self._watch.shown is not None and self._watch.shown.state in ("running", "pending")
        asks = not is_running or self._gathering.asks_protection
        return asks and super().has_stop_protection(resource_arn)

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        """Return whether Amazon owns an image."""
        return self._gathering.images.ask(image_id, ALWAYS)

    def is_elastic(self, public_ip: str, resource_arn: str) -> bool:
        """Return whether a public address is an Elastic IP address of the account, which a stop leaves as it is."""
        return bool(self._gathering.addresses.ask(public_ip, ALWAYS))

    def get_type(self, name: str, resource_arn: str) -> InstanceType:
        """Return what EC2 says of an instance type."""
        return self._gathering.types.ask(name, ALWAYS) or InstanceType()


class RowManager(LicenseManager):
    """License Manager for one row."""

    def __init__(self, calls: Calls, gathering: Gathering, watch: Watch) -> None:
        super().__init__(calls)
        self._gathering, self._watch = gathering, watch

    def list_tasks(
        self,
        *,
        resource_arn: str | Sequence[str] | None = None,
        status: TaskStatus | None = None,
        keeps_unreadable: bool = False,
    ) -> list[ConversionTask]:
        """Return the tasks of the row's instance."""
        gathering, watch, arn = self._gathering, self._watch, str(resource_arn)
        if watch.is_up:
            return gathering.tasks.ask(arn, RUNNING_SECONDS, lazily=gathering.tidy_seconds) or []
        is_running = watch.shown is not None and watch.shown.state == "running"
        age = ALWAYS if gathering.crew.is_planning else RUNNING_SECONDS if is_running else FRESH_SECONDS
        return gathering.tasks.ask(arn, age) or []

    def create_task(self, request: ConversionRequest) -> str:
        """Start a conversion, and return the new task's id."""
        self._watch.act("converting")
        self._watch.has_changed = True
        return super().create_task(request)


class RowSsm(Ssm):
    """Systems Manager for one row."""

    def __init__(self, calls: Calls, gathering: Gathering) -> None:
        super().__init__(calls)
        self._managed = gathering.managed

    def is_managed(self, instance_id: str, resource_arn: str) -> bool:
        """Return whether Systems Manager knows the instance."""
        return bool(self._managed.ask(instance_id, ALWAYS))


class RowPoller:
    """The wait for one row's task: by the list that all rows share, and where that does not tell, by the poller."""

    def __init__(self, aws: Connection, resource_arn: str, gathering: Gathering) -> None:
        self._runtime, self._poller = aws.cancellation.runtime, aws.poller
        self._resource_arn, self._gathering = resource_arn, gathering

    def wait_for_task(self, task_id: str, region: str, *, timeout_seconds: float, **options: Any) -> ConversionTask:
        """Block until the task has ended, and return it as it was last seen, as `Poller.wait_for_task` does."""
        until = self._runtime.now() + timeout_seconds
        ended = self._gathering.follow(self._resource_arn, task_id, timeout_seconds)
        reason = options["cancellation"].reason
        listed = self._gathering.tasks.find(self._resource_arn).answer or ()
        task = next((each for each in listed if each.task_id == task_id), None)
        if ended is None and reason:
            seen = f" (last seen {task.status_text})" if task else ""
            raise WaitError(Subject(WAIT_ACTION, task_id, region), f"{reason}{seen}", task=task)
        left = max(0.0, until - self._runtime.now())
        return ended or self._poller.wait_for_task(task_id, region, timeout_seconds=left, **options)


def connect_row(gathering: Gathering, watch: Watch, resource_arn: str, cancellation: Cancellation) -> Connection:
    """Return AWS for one row."""
    aws = gathering.connection.until(cancellation)
    aws.ec2 = RowEc2(aws.calls("ec2"), gathering, watch)
    aws.license_manager = RowManager(aws.calls("license-manager"), gathering, watch)
    aws.ssm = RowSsm(aws.calls("ssm"), gathering)
    aws.poller = cast("Poller", RowPoller(aws, resource_arn, gathering))
    return aws
