"""The services of one row: the same methods as any job's, answered by what the rows of its connection share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lmconv_resource.aws.ec2 import Ec2, Instance, InstanceType, Tag
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.errors import WAIT_ACTION, RequestRefusedError, Subject, WaitError
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.shared import ALWAYS, OLDEST_SECONDS, Ticket
from lmconv_resource.lifecycle.job import CHECKS
from lmconv_resource.marks import RESTART_TAG, to_places
from lmconv_resource.models import ConversionRequest, ConversionTask, to_id
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.runtime import Cancellation
from lmconv_resource.text import fill

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls
    from lmconv_resource.aws.client import Connection


FRESH_SECONDS = 3.0
"""How old what an act rests on may be: as old as a call of this job's own that takes its time."""

RUNNING_SECONDS = 30.0
"""How old the tasks of an instance that runs may be: License Manager converts none that runs."""

INTERFACE_SECONDS = 300.0
"""How old the tags of a network interface may be that differ from those of its instance, which is read again."""

_BEGIN_SECONDS = 1.0
"""How old what a mark rests on may be, before which others may have marked."""


@dataclass
class Watch:
    """What the services of a row have seen of it."""

    now: Callable[[], float]
    on_act: Callable[[str], None] = lambda _: None
    """Called before each act with a word for it, and with `running` when the instance runs again."""
    has_slot: Callable[[], bool] = lambda: True
    """Returns whether more may be done than to mark an instance that runs."""
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


class _RowEc2(Ec2):
    """EC2 for one row."""

    def __init__(self, calls: Calls, gathering: Gathering, watch: Watch) -> None:
        super().__init__(calls)
        self._gathering, self._watch = gathering, watch
        self._now = watch.now

    def get_instance(self, resource_arn: str) -> Instance | None:
        gathering, watch, instance_id = self._gathering, self._watch, to_id(resource_arn)
        if watch.is_up:
            age = watch.limit_age(FRESH_SECONDS)
            instance = gathering.instances.ask(instance_id, age, lazily=gathering.tidy_seconds)
        elif watch.sent_at is not None:
            instance = self._await_change(instance_id, watch.sent_at)
        else:
            if watch.begun:
                gathering.crew.wait_for(watch.has_slot)
            age = FRESH_SECONDS if watch.begun else _BEGIN_SECONDS
            instance = gathering.instances.ask(instance_id, watch.limit_age(age))
            if not watch.has_slot() and not self._may_be_marked(instance):
                gathering.crew.wait_for(watch.has_slot)
                instance = gathering.instances.ask(instance_id, watch.limit_age(FRESH_SECONDS))
        watch.see(instance)
        return instance

    def _may_be_marked(self, instance: Instance | None) -> bool:
        """Return whether an instance runs and has no mark yet: the job stops one that an earlier `up` has marked."""
        if instance is None or instance.state != "running":
            return False
        tags = (*instance.tags, *(self._gathering.tags.find(to_places(instance)).answer or ()))
        return not any(tag.key == RESTART_TAG for tag in tags)

    def _await_change(self, instance_id: str, sent_at: float) -> Instance | None:
        """Return the instance when it is shown in another state than before, or when it is to be asked for again."""
        watch, instances = self._watch, self._gathering.instances
        is_starting = watch.start_at is not None
        pace = self._gathering.learned.starts if is_starting else self._gathering.learned.stops
        old = watch.shown.state if watch.shown else None
        due = self._now() + pace.next_pause(self._now() - sent_at)
        if is_starting and self._gathering.is_at_end:  # what starts has no slot that another row waits for
            due = max(due, sent_at + OLDEST_SECONDS)

        def is_new(ticket: Ticket[Instance]) -> bool:
            return ticket.asked_at > sent_at and ticket.answer is not None and ticket.answer.state != old

        while not self._gathering.crew.is_over:
            oldest = max(instances.find(instance_id).asked_at, sent_at) + OLDEST_SECONDS
            left = min(due, oldest) - self._now()
            if instances.await_new(instance_id, max(0.0, left), is_new):
                break
            if left <= 0:
                instances.ask(instance_id)
                break
        else:  # what is left to do at the deadline rests on what is shown now
            instances.ask(instance_id, watch.limit_age(FRESH_SECONDS))
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
        return self._gathering.tags.ask(tuple(resource_ids), age) or []

    def stop(self, *resource_arns: str, force: bool = False) -> None:
        (arn,) = resource_arns
        self._watch.act("stopping")
        try:
            self._gathering.stops.ask((arn, force))
        except RequestRefusedError as refusal:
            if refusal.code != "OperationNotPermitted" or not super().has_stop_protection(arn):
                raise
            reason, remedy = CHECKS["protected"].reason, fill(CHECKS["protected"].remedy, {"instance": to_id(arn)})
            raise RequestRefusedError(refusal.subject, reason, remedy, code=refusal.code) from None
        self._watch.has_changed = True
        self._watch.stop_at = self._watch.acted_at = self._now()

    def start(self, *resource_arns: str) -> None:
        (arn,) = resource_arns
        self._watch.act("starting")
        self._gathering.starts.ask(arn)
        self._watch.start_at = self._watch.acted_at = self._now()

    def check_may(
        self, action: str, resource_arns: Sequence[str], tags: Mapping[str, str], resource_ids: Sequence[str]
    ) -> None:
        (arn,) = resource_arns
        self._gathering.checks.ask((action, arn, tuple(tags.items()), tuple(resource_ids)))

    def set_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        self._watch.act("marking")
        self._gathering.marks.ask((tuple(tags.items()), tuple(resource_ids)))
        self._watch.acted_at = self._now()

    def delete_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        self._watch.run_again()
        asked = tuple(tags.items()), tuple(resource_ids)
        self._gathering.unmarks.ask(asked, lazily=self._gathering.tidy_seconds)
        self._watch.is_released, self._watch.acted_at = True, self._now()

    def has_stop_protection(self, resource_arn: str) -> bool:
        is_running = self._watch.shown is not None and self._watch.shown.state in ("running", "pending")
        asks = not is_running or self._gathering.asks_protection
        return asks and super().has_stop_protection(resource_arn)

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        return self._gathering.images.ask(image_id, ALWAYS)

    def list_elastic(self, public_ips: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        return {each: True for each in public_ips if self._gathering.addresses.ask(each, ALWAYS)}

    def list_managed(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        return {each: True for each in instance_ids if self._gathering.managed.ask(each, ALWAYS)}

    def get_type(self, name: str, resource_arn: str) -> InstanceType:
        return self._gathering.types.ask(name, ALWAYS) or InstanceType()


class _RowManager(LicenseManager):
    """License Manager for one row."""

    def __init__(self, calls: Calls, gathering: Gathering, watch: Watch) -> None:
        super().__init__(calls)
        self._gathering, self._watch = gathering, watch

    def list_tasks(self, *resource_arns: str, **_: Any) -> list[ConversionTask]:
        gathering, watch, (arn,) = self._gathering, self._watch, resource_arns
        if watch.is_up:
            return gathering.tasks.ask(arn, RUNNING_SECONDS, lazily=gathering.tidy_seconds) or []
        is_running = watch.shown is not None and watch.shown.state == "running"
        return gathering.tasks.ask(arn, RUNNING_SECONDS if is_running else FRESH_SECONDS) or []

    def create_task(self, request: ConversionRequest) -> str:
        self._watch.act("converting")
        self._watch.has_changed = True
        return super().create_task(request)


class _RowPoller:
    """The wait for one row's task: by the list that all rows share, and where that does not tell, by the poller."""

    def __init__(self, aws: Connection, resource_arn: str, gathering: Gathering) -> None:
        self._runtime, self._poller = aws.cancellation.runtime, aws.poller
        self._resource_arn, self._gathering = resource_arn, gathering

    def wait_for_task(self, task_id: str, region: str, *, timeout_seconds: float, **options: Any) -> ConversionTask:
        until = self._runtime.now() + timeout_seconds
        self._gathering.follow(self._resource_arn, task_id, timeout_seconds)
        task, reason = self._gathering.find_task(self._resource_arn, task_id), options["cancellation"].reason
        if task is not None and task.is_complete:
            return task
        if reason:
            seen = f" (last seen {task.status_text})" if task else ""
            raise WaitError(Subject(WAIT_ACTION, task_id, region), f"{reason}{seen}", task=task)
        left = max(0.0, until - self._runtime.now())
        return self._poller.wait_for_task(task_id, region, timeout_seconds=left, **options)


def connect_row(gathering: Gathering, watch: Watch, resource_arn: str, cancellation: Cancellation) -> Connection:
    """Return AWS for one row."""
    aws = gathering.connection.until(cancellation)
    aws.ec2 = _RowEc2(aws.calls, gathering, watch)
    aws.license_manager = _RowManager(aws.calls, gathering, watch)
    aws.poller = cast("Poller", _RowPoller(aws, resource_arn, gathering))
    return aws
