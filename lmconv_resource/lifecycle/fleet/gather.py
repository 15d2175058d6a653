"""AWS for the rows of a fleet: what many rows ask of one connection within a moment is asked in one call.

A row's job gets services with the same methods as any other job's, and knows nothing of it. What can't be shared are
the marks, whose values differ, and the calls that take one instance only.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
from lmconv_resource.errors import LicenseConversionError, RequestRefusedError, TransientError
from lmconv_resource.lifecycle.operation import Aws
from lmconv_resource.models import ConversionRequest, ConversionTask, InstanceArn, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")

READ_SECONDS = 0.5
"""How long a read waits for others to go with it."""

ACT_SECONDS = 1.0
"""How long a stop or a start does: an instance takes some half a minute for either."""

TIDY_SECONDS = 20.0
"""How long a read waits for others once the instance runs again: nobody waits for what is left, which takes no slot."""

FRESH_SECONDS = 2.0
"""How long what EC2 has shown of an instance is good for another read: as for any job."""

WAIT_SECONDS = 5.0
"""The same while a stop or a start is waited for, which takes longer."""

_INTEREST_SECONDS = 30.0
"""For how long an instance that was asked for is described with others that are."""

_MOST_INSTANCES = 100
"""Of one call of EC2's: its filters take 200 values."""

_MOST_ARNS = 50
"""Of one list of tasks: AWS publishes no limit of the filter's values."""

_MOST_MANAGED = 50
"""Of one call of Systems Manager's."""


class _Ticket(Generic[Answer]):
    """What one thread waits for."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.is_open = True


class Gatherer(Generic[Item, Answer]):
    """Makes one call of what several threads ask for within a moment. Safe to share between threads.

    The first one waits for the others, makes the call and hands the answers out: there is no thread for it.

    Args:
        send: asks for some items at once, and returns the answers by item; what is absent is answered with None.
        cancellation: ends the wait for others; its runtime is used.
        seconds: how long the first one waits.
        most: how many go together.
        alone: whether a refusal of several is tried again one by one, so that each gets an answer of its own.
        lasts: whether an answer is good for as long as a fleet is converted.
        fresh_seconds: how long an answer is good for another who asks; what was asked for lately is asked for too.
        is_last: returns whether nobody else is left who could ask, so that there is nothing to wait for.
    """

    def __init__(
        self,
        send: Callable[[list[Item]], Mapping[Item, Answer]],
        cancellation: Cancellation,
        seconds: float,
        most: int,
        *,
        alone: bool = False,
        lasts: bool = False,
        fresh_seconds: float = 0.0,
        is_last: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._fresh_seconds = fresh_seconds
        self._is_last = is_last
        self._asked: dict[Item, float] = {}
        self._answered: dict[Item, tuple[float, _Ticket[Answer]]] = {}
        self._lasts = lasts
        self._send = send
        self._cancellation = cancellation
        self._seconds = seconds
        self._most = most
        self._alone = alone
        self._changed = cancellation.runtime.condition()
        self._waiting: dict[Item, _Ticket[Answer]] = {}
        self._kept: dict[Item, _Ticket[Answer]] = {}

    def ask(self, item: Item, fresh_seconds: float | None = None) -> Answer | None:
        """Return the answer for one item.

        Args:
            item: the item.
            fresh_seconds: in place of the gatherer's.

        Raises:
            LicenseConversionError: the call failed.
        """
        with self._changed:
            kept = self._kept.get(item)
            if kept is None and self._fresh_seconds:
                now = self._cancellation.runtime.now()
                self._asked[item] = now
                at, last = self._answered.get(item, (float("-inf"), None))
                kept = last if last is not None and now - at < (fresh_seconds or self._fresh_seconds) else None
            if kept is not None:
                return _open(kept)
            ticket, leads = self._waiting.get(item), not self._waiting
            if ticket is None:
                ticket = self._waiting[item] = _Ticket()
        if leads:
            self._await_others()
            with self._changed:
                tickets, self._waiting = self._waiting, {}
            self._answer({**tickets, **self._find_along(tickets)})
            if self._lasts:
                with self._changed:
                    self._kept |= {each: one for each, one in tickets.items() if one.error is None}
        with self._changed:
            while ticket.is_open:
                self._changed.wait()
        return _open(ticket)

    def _await_others(self) -> None:
        runtime = self._cancellation.runtime
        end = runtime.now() + self._seconds
        while (left := end - runtime.now()) > 0 and not self._is_last(len(self._waiting)):
            if self._cancellation.wait(min(left, 1.0)):
                return

    def _find_along(self, tickets: Mapping[Item, object]) -> dict[Item, _Ticket[Answer]]:
        """Return tickets for what others have asked for lately, and may ask for again soon: they cost nothing."""
        if not self._fresh_seconds:
            return {}
        with self._changed:
            since = self._cancellation.runtime.now() - _INTEREST_SECONDS
            self._asked = {item: at for item, at in self._asked.items() if at >= since}
            along = [item for item in self._asked if item not in tickets][: max(0, self._most - len(tickets))]
        return {item: _Ticket() for item in along}

    def keep(self, items: Iterable[Item]) -> None:
        """Ask for many at once, and answer with that until `forget`; an error is an answer too."""
        tickets: dict[Item, _Ticket[Answer]] = {item: _Ticket() for item in items}
        self._answer(tickets)
        with self._changed:
            self._kept |= tickets

    def find_kept(self, item: Item) -> Answer | None:
        """Return what is kept of an item; None where there is none, or an error."""
        ticket = self._kept.get(item)
        return ticket.answer if ticket else None

    def forget(self) -> None:
        """Ask anew from now on."""
        with self._changed:
            self._kept = {}

    def _answer(self, tickets: Mapping[Item, _Ticket[Answer]]) -> None:
        items = list(tickets)
        try:
            for at in range(0, len(items), self._most):
                self._answer_some({item: tickets[item] for item in items[at : at + self._most]})
        except BaseException as bug:  # nobody may take the lack of an answer for one
            for ticket in tickets.values():
                ticket.error = bug if ticket.is_open else ticket.error
            raise
        finally:
            with self._changed:
                for ticket in tickets.values():
                    ticket.is_open = False
                self._changed.notify_all()

    def _answer_some(self, tickets: Mapping[Item, _Ticket[Answer]]) -> None:
        asked_at = self._cancellation.runtime.now()
        try:
            answers = self._send(list(tickets))
        except LicenseConversionError as error:
            if self._alone and len(tickets) > 1 and not isinstance(error, TransientError):
                log.info("each is asked for by itself: %s", error)
                for item, ticket in tickets.items():
                    self._answer_some({item: ticket})
                return
            for ticket in tickets.values():
                ticket.error = error
        else:
            for item, ticket in tickets.items():
                ticket.answer = answers.get(item)
            if self._fresh_seconds:
                with self._changed:
                    self._answered |= {item: (asked_at, ticket) for item, ticket in tickets.items()}
        for ticket in tickets.values():
            ticket.is_open = False


def _open(ticket: _Ticket[Answer]) -> Answer | None:
    if isinstance(ticket.error, LicenseConversionError):
        raise copy.copy(ticket.error) from ticket.error.__cause__
    if ticket.error is not None:
        raise ticket.error
    return ticket.answer


Check = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""A dry run: its action, the instance's ARN, tags and the ids that are tagged."""


class Gathering:
    """What the rows of a fleet share that one connection serves.

    Args:
        connection: the connection.
        cancellation: ends the calls that are shared.
    """

    def __init__(self, connection: Connection, cancellation: Cancellation) -> None:
        self.connection = connection
        self._tag_keys: tuple[str, ...] = ()
        self._lists_alone = False
        ec2, manager = connection.ec2(cancellation), connection.license_manager(cancellation)
        ssm = connection.ssm(cancellation)

        def gather(
            send: Callable[[list[Item]], Mapping[Item, Answer]], seconds: float, most: int, **options: Any
        ) -> Gatherer[Item, Answer]:
            return Gatherer(send, cancellation, seconds, most, **options)

        def list_instances(ids: list[str]) -> dict[str, Instance]:
            return {each.instance_id: each for each in ec2.list_instances(ids)}

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
            return dict.fromkeys(asked, True)

        def start(arns: list[str]) -> dict[str, bool]:
            ec2.start(*arns)
            return dict.fromkeys(arns, True)

        def check(checks: list[Check]) -> dict[Check, bool]:
            for action, tags in {(each[0], each[2]) for each in checks}:
                those = [each for each in checks if (each[0], each[2]) == (action, tags)]
                places = [place for each in those for place in each[3]]
                ec2.check_may(action, [each[1] for each in those], dict(tags), places)
            return dict.fromkeys(checks, True)

        def list_managed(ids: list[str]) -> dict[str, bool]:
            return ssm.list_managed(ids)

        self.rows = 0
        """How many rows the connection has."""
        self.active = 0
        """How many rows of the connection are under way."""
        self.instances = gather(list_instances, READ_SECONDS, _MOST_INSTANCES, fresh_seconds=FRESH_SECONDS)
        self.tags = gather(list_tags, READ_SECONDS, _MOST_INSTANCES)
        self.tasks = gather(list_tasks, READ_SECONDS, _MOST_ARNS)
        self.last_instances = gather(list_instances, TIDY_SECONDS, _MOST_INSTANCES, is_last=self._are_all)
        self.last_tags = gather(list_tags, TIDY_SECONDS, _MOST_INSTANCES, is_last=self._are_all)
        self.last_tasks = gather(list_tasks, TIDY_SECONDS, _MOST_ARNS, is_last=self._are_all)
        self.stops = gather(stop, ACT_SECONDS, _MOST_INSTANCES, alone=True)
        self.starts = gather(start, ACT_SECONDS, _MOST_INSTANCES, alone=True)
        self.checks = gather(check, READ_SECONDS, _MOST_INSTANCES, alone=True)
        self.managed = gather(list_managed, READ_SECONDS, _MOST_MANAGED)
        self.images = gather(
            lambda ids: {each: ec2.is_amazon_image(each, "instances") for each in ids}, 0.0, 1, lasts=True
        )
        self.types = gather(lambda names: {each: ec2.get_type(each, "instances") for each in names}, 0.0, 1, lasts=True)
        self.addresses = gather(ec2.list_elastic, 0.0, _MOST_INSTANCES, lasts=True)

    def _are_all(self, waiting: int) -> bool:
        return waiting >= self.active

    def list_tags(self, keys: Sequence[str], places: tuple[str, ...], *, is_up: bool) -> list[Tag]:
        """Return the tags with these names, which are the same for all rows."""
        self._tag_keys = tuple(keys)
        return (self.last_tags if is_up else self.tags).ask(places) or []

    def survey(self, arns: Sequence[str], keys: Sequence[str], *, stops: bool, checks: bool) -> None:
        """Read what the jobs of these instances will ask for, in as few calls as it takes, and keep it for them.

        Args:
            arns: the instances.
            keys: the names of the tags that are a job's.
            stops: whether those that run are stopped, so that they may be.
            checks: whether AWS's prerequisites are checked.
        """
        self._tag_keys = tuple(keys)
        self.rows = len(arns)
        ids = [arn.instance_id for arn in map(InstanceArn.parse, arns) if arn]
        self.instances.keep(ids)
        self.tasks.keep(arns)
        seen = [(arn, instance) for arn, i in zip(arns, ids, strict=True) if (instance := self.instances.find_kept(i))]
        places = {arn: to_places(instance) for arn, instance in seen}
        self.tags.keep(places.values())
        running = [arn for arn, instance in seen if instance.state in ("running", "pending")] if stops else []
        if running:
            shown = [instance.answer.get("PublicIpAddress") for arn, instance in seen if arn in set(running)]
            self.addresses.keep([address for address in shown if address])
        tag = ((keys[0], "check"),)
        for action in (STOP_ACTION, START_ACTION, TAG_ACTION, UNTAG_ACTION):
            self.checks.keep([(action, arn, tag, places[arn]) for arn in running])
        if checks:
            self.managed.keep(ids)

    def forget(self) -> None:
        """Read all anew from now on, but for what does not change while a fleet is converted: images and types."""
        for each in (self.instances, self.tags, self.tasks, self.checks, self.managed):
            each.forget()


def to_places(instance: Instance) -> tuple[str, ...]:
    """Return the ids of what a mark is written to."""
    return (instance.instance_id, *([instance.interface_id] if instance.interface_id else []))


@dataclass
class Watch:
    """What the services of a row have seen of it.

    Args:
        on_act: called before each act with a word for it.
        on_running: called when the instance runs again.
    """

    on_act: Callable[[str], None]
    on_running: Callable[[], None]
    begun: bool = field(default=False)
    """Whether something was sent that changes the instance or its license."""
    is_started: bool = field(default=False)
    """Whether the instance was started again."""
    is_up: bool = field(default=False)
    """Whether it was seen to run since."""
    shown: Instance | None = field(default=None)
    """The instance as it was shown last."""

    def see(self, instance: Instance | None) -> None:
        """Note what EC2 shows of the instance."""
        self.shown = instance
        if self.is_started and instance is not None and instance.state == "running":
            self.run_again()

    def run_again(self) -> None:
        """Note that the instance runs again: what is left takes no slot."""
        if not self.is_up:
            self.is_up = True
            self.on_running()

    def act(self, word: str) -> None:
        """Note that something is about to be done."""
        self.begun = True
        self.on_act(word)


class RowEc2(Ec2):
    """EC2 for one row."""

    def __init__(self, connection: Connection, cancellation: Cancellation, gathering: Gathering, watch: Watch) -> None:
        super().__init__(connection.calls("ec2", cancellation))
        self._gathering = gathering
        self._watch = watch

    def get_instance(self, resource_arn: str) -> Instance | None:
        """Return an instance as DescribeInstances shows it; None where EC2 shows none."""
        arn, gathering = InstanceArn.parse(resource_arn), self._gathering
        if arn is None:
            return None
        watch = self._watch
        is_waiting = watch.begun and watch.shown is not None and watch.shown.state in ("stopping", "pending")
        if watch.is_up:
            instance = gathering.last_instances.ask(arn.instance_id)
        else:
            instance = gathering.instances.ask(arn.instance_id, WAIT_SECONDS if is_waiting else None)
        watch.see(instance)
        return instance

    def list_tags(
        self, keys: Sequence[str], resource_ids: Sequence[str] = (), resource_arn: str = "instances"
    ) -> list[Tag]:
        """Return the tags with these names, of these resources.

        Where the instance that was just shown has a mark itself, nothing more is asked: what its network interface has
        says the same, and whoever reads adds the instance's own tags.
        """
        shown, is_up = self._watch.shown, self._watch.is_up
        if self._watch.begun and not is_up and shown is not None and any(tag.key == keys[0] for tag in shown.tags):
            return []
        return self._gathering.list_tags(keys, tuple(resource_ids), is_up=is_up)

    def stop(self, *resource_arns: str, force: bool = False) -> None:
        """Have the instance stopped."""
        self._watch.act("stopping")
        for arn in resource_arns:
            self._gathering.stops.ask((arn, force))

    def start(self, *resource_arns: str) -> None:
        """Have the instance started."""
        self._watch.act("starting")
        self._watch.is_started = True
        for arn in resource_arns:
            self._gathering.starts.ask(arn)

    def check_may(
        self, action: str, resource_arn: str | Sequence[str], tags: Mapping[str, str], resource_ids: Sequence[str]
    ) -> None:
        """Raise the error of an act that is not allowed; nothing is done."""
        (arn,) = [resource_arn] if isinstance(resource_arn, str) else resource_arn
        self._gathering.checks.ask((action, arn, tuple(tags.items()), tuple(resource_ids)))

    def set_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Set tags of the instance and of what belongs to it."""
        self._watch.act("marking")
        super().set_tags(resource_arn, tags, resource_ids)

    def delete_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Remove tags that have just these values: the instance runs again."""
        self._watch.run_again()
        super().delete_tags(resource_arn, tags, resource_ids)

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        """Return whether Amazon owns an image."""
        return self._gathering.images.ask(image_id)

    def is_elastic(self, public_ip: str, resource_arn: str) -> bool:
        """Return whether a public address is an Elastic IP address of the account, which a stop leaves as it is."""
        return bool(self._gathering.addresses.ask(public_ip))

    def get_type(self, name: str, resource_arn: str) -> InstanceType:
        """Return what EC2 says of an instance type."""
        return self._gathering.types.ask(name) or InstanceType()


class RowManager(LicenseManager):
    """License Manager for one row."""

    def __init__(self, connection: Connection, cancellation: Cancellation, gathering: Gathering, watch: Watch) -> None:
        super().__init__(connection.calls("license-manager", cancellation))
        self._gathering = gathering
        self._watch = watch

    def list_tasks(
        self,
        *,
        resource_arn: str | Sequence[str] | None = None,
        status: TaskStatus | None = None,
        keeps_unreadable: bool = False,
    ) -> list[ConversionTask]:
        """Return the tasks of the row's instance."""
        tasks = self._gathering.last_tasks if self._watch.is_up else self._gathering.tasks
        return tasks.ask(str(resource_arn)) or []

    def create_task(self, request: ConversionRequest) -> str:
        """Start a conversion, and return the new task's id."""
        self._watch.act("converting")
        return super().create_task(request)


class RowSsm(Ssm):
    """Systems Manager for one row."""

    def __init__(self, connection: Connection, cancellation: Cancellation, gathering: Gathering) -> None:
        super().__init__(connection.calls("ssm", cancellation))
        self._gathering = gathering

    def is_managed(self, instance_id: str, resource_arn: str) -> bool:
        """Return whether Systems Manager knows the instance."""
        return bool(self._gathering.managed.ask(instance_id))


@dataclass(frozen=True)
class RowAws(Aws):
    """AWS for one row."""

    gathering: Gathering
    watch: Watch

    @property
    def ec2(self) -> RowEc2:
        """EC2."""
        return RowEc2(self.connection, self.cancellation, self.gathering, self.watch)

    @property
    def license_manager(self) -> RowManager:
        """AWS License Manager."""
        return RowManager(self.connection, self.cancellation, self.gathering, self.watch)

    @property
    def ssm(self) -> RowSsm:
        """Systems Manager."""
        return RowSsm(self.connection, self.cancellation, self.gathering)
