"""One row of a fleet: its job, what is planned for it, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lmconv_resource import errors
from lmconv_resource.aws.ec2 import Ec2, Instance, InstanceType, Tag
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.remedies import remedy_for, to_failed_error
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.report import Action, Outcome, PlanLine, Result
from lmconv_resource.lifecycle.fleet.shared import EVER, Pace
from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.job import Act, Job, Problem, Step
from lmconv_resource.lifecycle.operation import Host, Operation
from lmconv_resource.marks import RESTART_TAG, to_places
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus, to_id
from lmconv_resource.text import to_failure_reason, to_one_line, to_rfc3339

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

log = logging.getLogger(__name__)

_UP = ("running", "pending")

_RETRY_REMEDY = "Fix the cause, and run `pulumi up` again once the first of them is 24 hours old"

_BUG = "This is a bug of lmconv-resource: report it with LMCONV_LOG=DEBUG's lines."

FRESH_SECONDS = 3.0
"""How old what an act rests on may be: as old as a call of this job's own that takes its time."""

_RUNNING_SECONDS = 30.0
"""How old the tasks of an instance that runs may be: License Manager converts none that runs."""

_INTERFACE_SECONDS = 300.0
"""How old the tags of a network interface may be that differ from those of its instance, which is read again."""

_BEGIN_SECONDS = 1.0
"""How old what a mark rests on may be, before which others may have marked."""


class RowHost:
    """The host of an operation, for one row of it: what is said is kept, but with the row's name a warning is left."""

    def __init__(self, host: Host, name: str = "") -> None:
        self._host, self._name = host, name
        self.kept: list[tuple[Severity, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        """Leave a warning in the diagnostics; a fleet has one line for what else becomes of a row."""
        if severity == "WARNING" and self._name:
            self._host.log(severity, urn, f"{self._name}: {message}")
        else:
            log.debug("%s: %s", self._name, message)
            self.kept.append((severity, message))

    def log_status(self, urn: str | None, message: str) -> None:
        """Note how it goes, which the fleet's one row has no room for."""
        log.debug("%s: %s", self._name, message)


class _RowEc2(Ec2):
    """EC2 for one row, as it was shown to all rows of its connection."""

    def __init__(self, row: RowJob, calls: Calls) -> None:
        super().__init__(calls)
        self._row, self._shown = row, row.gathering

    def get_instance(self, resource_arn: str) -> Instance | None:
        row, way = self._row, self._row.way
        instance = self._shown.instances.ask(row.id, row.instance_since)
        if way is not None and instance is not None and instance.state == way.to:
            seen = self._shown.instances.find(row.id)
            way.pace.note(max(0.0, seen.before - way.began), seen.asked_at - way.began)
        return instance

    def list_tags(
        self, keys: Sequence[str], resource_ids: Sequence[str] = (), resource_arn: str = "instances"
    ) -> list[Tag]:
        """Return the tags with these names, of these resources.

        Where the instance that was just shown has a mark itself, nothing more is asked: what its network interface has
        says the same, and whoever reads adds the instance's own tags.
        """
        row, instance = self._row, self._shown.instances.find(self._row.id).answer
        shows_mark = instance is not None and any(tag.key == keys[0] for tag in instance.tags)
        if row.job.facts.memory.is_released or (row.is_begun and shows_mark):
            return []
        since = row.since(FRESH_SECONDS if row.is_begun else _INTERFACE_SECONDS)
        return self._shown.tags.ask(tuple(resource_ids), since) or []

    def check_may(
        self, action: str, resource_arns: Sequence[str], tags: Mapping[str, str], resource_ids: Sequence[str]
    ) -> None:
        (arn,) = resource_arns
        self._shown.checks.ask((action, arn, tuple(tags.items()), tuple(resource_ids)), self._shown.turn.began)

    def has_stop_protection(self, resource_arn: str) -> bool:
        instance = self._shown.instances.find(self._row.id).answer
        is_refused = self._row.is_begun  # for which this may be why
        asks = instance is None or instance.state not in _UP or self._shown.asks_protection or is_refused
        return asks and super().has_stop_protection(resource_arn)

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        return self._shown.images.ask(image_id)

    def list_elastic(self, public_ips: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        return {each: True for each in public_ips if self._shown.addresses.ask(each)}

    def list_managed(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        return {each: True for each in instance_ids if self._shown.managed.ask(each)}

    def get_type(self, name: str, resource_arn: str) -> InstanceType:
        return self._shown.types.ask(name) or InstanceType()


class _RowManager(LicenseManager):
    """License Manager for one row, as it was shown to all rows of its connection."""

    def __init__(self, row: RowJob, calls: Calls) -> None:
        super().__init__(calls)
        self._row = row

    def list_tasks(self, *resource_arns: str, **_: Any) -> list[ConversionTask]:
        row, (arn,) = self._row, resource_arns
        instance = row.gathering.instances.find(row.id).answer
        is_running = row.up_at or (instance and instance.state == "running")
        since = row.now() - (_RUNNING_SECONDS if is_running else FRESH_SECONDS)
        return row.gathering.tasks.ask(arn, since) or []


class Way(NamedTuple):
    """When an instance was sent on its way, how long it takes, and to which state it leads."""

    began: float
    pace: Pace
    to: str


class RowJob:
    """The job of a row, and when it is to go on. With `ends`, it only brings to its end what was begun."""

    def __init__(self, op: Operation, row: Row, gathering: Gathering, name: str = "", **known: Any) -> None:
        self.row, self.id, self.gathering = row, to_id(row.arn), gathering
        self.host = RowHost(op.host, name)
        self.now, self.wall = op.host.runtime.now, op.host.runtime.wall
        self.began = self.wall()
        self.up_at: datetime | None = None
        """When the instance was seen to run again."""
        self.at = self.earliest = self.now()
        """When it goes on, at the latest and at the earliest; at infinity, it waits for its slot."""
        self.acted_at = EVER
        """When something was sent last: what was asked for before that says nothing of it."""
        self.followed_at = 0.0
        """Since when the list of tasks follows its task."""
        self.is_following = False
        self.withdrawn: str | None = None
        """Why it is to have no slot, though it may be marked."""
        self.end: Step | Exception | None = None
        """The step with which its job is done, or the error in which it ended."""
        # The guard against endless retries holds for a fleet in any case: each `up` may try once more. What a row that
        # is forgotten has begun is not waited for.
        inputs = replace(row.conversion, retry_failed=False, wait_for_completion=not known.get("ends"))
        aws = gathering.connection.until(op.cancellation)
        aws.ec2, aws.license_manager = _RowEc2(self, aws.calls), _RowManager(self, aws.calls)
        known |= {"make_mark": gathering.make_mark, "retry_remedy": _RETRY_REMEDY}
        self.job = Job(replace(op, host=cast(Host, self.host)), aws, inputs, **known)

    def since(self, seconds: float) -> float:
        """Return since when something may have been asked for, so many seconds ago at most."""
        return max(self.now() - seconds, self.acted_at)

    @property
    def is_begun(self) -> bool:
        """Whether something was sent, be it a mark only."""
        return any(sent.tries for sent in self.job.facts.memory.sent.values())

    @property
    def has_changed(self) -> bool:
        """Whether the instance was stopped, or its conversion asked for."""
        return self.job.of(Act.STOP).accepted > 0 or self.job.of(Act.CREATE).tries > 0

    @property
    def way(self) -> Way | None:
        """How the instance is on its way."""
        instance, start, stop = self.job.facts.instance, self.job.of(Act.START), self.job.of(Act.STOP)
        state, learned = instance.state if instance else None, self.gathering.learned
        if start.last_at:
            return Way(start.last_at, learned.starts, "running") if state in ("stopped", "pending") else None
        is_stopping = stop.last_at and state in ("running", "stopping")
        return Way(stop.last_at or 0.0, learned.stops, "stopped") if is_stopping else None

    @property
    def has_moved(self) -> bool:
        """Whether the instance was shown in another state since it was sent on its way."""
        way, seen, known = self.way, self.gathering.instances.find(self.id), self.job.facts.instance
        is_new = way is not None and seen.asked_at > way.began
        return is_new and bool(seen.answer and known and seen.answer.state != known.state)

    @property
    def instance_since(self) -> float:
        """Since when the instance may have been asked for; one on its way, in this turn."""
        if self.way is not None and not self.has_moved:
            return self.gathering.turn.began
        return self.since(FRESH_SECONDS if self.is_begun else _BEGIN_SECONDS)

    def may_be_marked(self) -> bool:
        """Return whether the instance runs and has no mark yet: the job stops one that an earlier `up` has marked."""
        if self.is_begun:
            return False
        try:
            instance = self.gathering.instances.ask(self.id, self.instance_since)
        except errors.LicenseConversionError:  # the job is told the same
            return False
        if instance is None or instance.state != "running":
            return False
        tags = (*instance.tags, *(self.gathering.tags.find(to_places(instance)).answer or ()))
        return not any(tag.key == RESTART_TAG for tag in tags)


@dataclass(frozen=True, kw_only=True)
class Planned(PlanLine):
    """What is planned for a row.

    `gathering` is None where AWS can't be reached for it; `error` has all that keeps it from being converted;
    `problems` is what the checks have found, without what they warn of, which is in the notes. `ran` says whether the
    instance ran, or is to run again in the end; `is_marked` whether it has the fleet's mark, of an operation that was
    interrupted.
    """

    row: Row
    gathering: Gathering | None
    error: errors.LicenseConversionError | None = None
    problems: tuple[Problem, ...] | None = None
    held_id: str | None = None
    ran: bool = False
    is_marked: bool = False

    def begin(self, op: Operation) -> RowJob:
        """Return the row's job, for a crew."""
        if self.gathering is None:
            raise ValueError(f"{self.row.name} can't be run: AWS can't be reached for it")
        found = {"held_id": self.held_id, "problems": self.problems, "is_stop_checked": self.ran}
        return RowJob(op, self.row, self.gathering, self.row.name, **found)

    def to_result(self, outcome: Outcome, reason: str | None = None, **found: Any) -> Result:
        """Return what is recorded of a row that comes to this, with what was found of it."""
        known = {"source_usage_operation": self.source, "destination_usage_operation": self.destination, **found}
        return Result(self.number, self.row.arn, outcome, reason, **known)


def plan_row(op: Operation, row: Row, gathering: Gathering, held_id: str | None) -> Planned:
    """Return what a job of this row would do first. Nothing is done."""
    planning = RowJob(op, row, gathering, held_id=held_id)
    job = planning.job
    try:
        step = job.plan()
    except errors.LicenseConversionError as error:
        return refuse(row, gathering, error, is_marked=job.is_marked)
    facts, is_marked = job.facts, job.is_marked
    state, problems = facts.instance.state if facts.instance else None, facts.problems
    found: dict[str, Any] = {
        "source": facts.present.usage_operation,
        "problems": problems and tuple(each for each in problems if not each.is_warning),
        "held_id": held_id,
        "ran": state in _UP or is_marked,
        "is_marked": is_marked,
    }
    if step.errors:
        reason, remedies = "; ".join(each.reason for each in step.errors), (each.remedy for each in step.errors)
        joined = errors.LicenseConversionError(step.errors[0].subject, reason, ". ".join(dict.fromkeys(remedies)))
        return refuse(row, gathering, job.left(joined), **found)
    action, text = _to_action(step, state, is_marked=is_marked, is_held=held_id is not None)
    if action in (Action.RESTART, Action.CONVERT):
        said = [message for severity, message in planning.host.kept if severity == "WARNING"]
        found["notes"] = (*said, *(f"{each}." for each in problems or () if each.is_warning))
    return _plan(row, gathering, action, text, **found)


def _to_action(step: Step, state: str | None, *, is_marked: bool, is_held: bool) -> tuple[Action, str]:
    if step.rule.then is Act.DONE:
        return Action.DONE, "done already"
    if step.rule.then in (Act.FOLLOW, Act.ADOPT) or is_held:
        return Action.GO_ON, step.text
    if step.fault:
        return Action.UNKNOWN, f"not known yet: {step.fault.explanation}"
    if is_marked and state != "running":
        text = "an earlier `pulumi up` was interrupted, and this one continues it"
        return Action.GO_ON, f"{state or 'not shown'}: {text}"
    if state in _UP:
        text = "runs: will be stopped and started" if state == "running" else "is starting: will be stopped again"
        return Action.RESTART, text
    return Action.CONVERT, state or "EC2 does not show it yet"


def refuse(row: Row, gathering: Gathering | None, error: errors.LicenseConversionError, **found: Any) -> Planned:
    """Return the plan of a row of which AWS could not be asked, or that can't be converted."""
    return _plan(row, gathering, Action.REFUSED, f"can't: {error.explanation}", error=error, **found)


def _plan(row: Row, gathering: Gathering | None, action: Action, text: str, **found: Any) -> Planned:
    to, source = row.conversion.destination_license_context.usage_operation, found.pop("source", None)
    return Planned(row.number, row.name, source, to, action, text, row=row, gathering=gathering, **found)


@dataclass(frozen=True)
class Ended:
    """What became of a row."""

    result: Result
    counts: bool = False
    """Whether it counts for `stop_after_failures`."""
    is_down: bool = False
    """Whether its instance ran before and does not run now."""
    is_begun: bool = False
    """Whether this operation has stopped its instance, or had it converted where none had stopped it before."""


def to_ended(planned: Planned, row: RowJob, *, is_over: bool = False) -> Ended:
    """Return what became of a row whose job has come to its end; `is_over` says whether the operation was to end."""
    found = row.end
    if row.withdrawn is not None:
        if isinstance(found, Exception) and (row.is_begun or planned.is_marked):
            log.info("%s is still marked: %s", row.row.name, found)
            return Ended(planned.to_result(Outcome.IN_PROGRESS, row.withdrawn), is_down=True)
        state = "running" if planned.ran else "stopped"
        return Ended(planned.to_result(Outcome.NOT_BEGUN, row.withdrawn, instance_state=state))
    if isinstance(found, Step):
        return _to_ended(planned, row, found.task, found.verified)
    if isinstance(found, errors.LicenseConversionError):
        return _to_ended(planned, row, found, is_over=is_over)
    reason = to_one_line(f"{type(found).__name__}: {found}. {_BUG}")
    return Ended(planned.to_result(Outcome.IN_PROGRESS, reason), True, planned.ran)


def to_known_end(planned: Planned, row: RowJob) -> Ended | None:
    """Return what a row is going to come to, as far as its conversion tells; None where that is not known yet."""
    task, refusal = row.job.facts.held, row.job.facts.memory.refusal
    if refusal is not None or (task is not None and task.is_complete):
        error = to_failed_error(task) if task and task.status is TaskStatus.FAILED else None
        return _to_ended(planned, row, refusal or error or task)
    return None


def _to_ended(
    planned: Planned,
    row: RowJob,
    found: ConversionTask | errors.LicenseConversionError | None,
    verified: LicenseContext | None = None,
    *,
    is_over: bool = False,
) -> Ended:
    """Return what a row comes to, with what was seen of its instance, and whether a mark is left."""
    memory, task = row.job.facts.memory, row.job.facts.held
    state = "running" if row.up_at else memory.last_seen.state if memory.last_seen else None
    task_times = (task.start_time, task.end_time) if task else (None, None)
    # The times of one that was there already are its own.
    times = (row.began, row.up_at or row.wall()) if row.has_changed else task_times
    start, end = (to_rfc3339(each.replace(microsecond=0)) if each else None for each in times)
    seen: dict[str, Any] = {"instance_state": state, "start_time": start, "end_time": end}
    # A mark that is left says that it ran, and is still to be started, however it was seen last.
    is_left = row.end is not None and row.job.is_marked
    is_down = is_left or ((row.is_begun or planned.is_marked) and planned.ran and state != "running")
    # A mark of an earlier operation, on one that did not run, can be one that the plan could not see.
    is_begun = row.has_changed and bool(planned.ran or row.job.of(Act.MARK).tries or not memory.is_marked)
    if isinstance(found, errors.LicenseConversionError):
        outcome, reason, counts = _to_failed(row, found, is_over=is_over)
        outcome = Outcome.IN_PROGRESS if is_down and outcome in (Outcome.REFUSED, Outcome.NOT_BEGUN) else outcome
        result = planned.to_result(outcome, reason, license_conversion_task_id=row.job.held_id, **seen)
        return Ended(result, counts and row.has_changed, is_down, is_begun)
    if found is not None:
        source = found.source_license_context.usage_operation or planned.source
        seen |= {"license_conversion_task_id": found.task_id, "source_usage_operation": source}
    outcome = Outcome.ALREADY_DONE if found is None else Outcome.SUCCEEDED
    seen |= {"verified_usage_operation": verified.usage_operation if verified else None}
    return Ended(planned.to_result(outcome, **seen), False, is_down, is_begun)


def _to_failed(row: RowJob, error: errors.LicenseConversionError, *, is_over: bool) -> tuple[Outcome, str, bool]:
    """Return what an error makes of a row, why, and whether that counts as a failure."""
    job, task = row.job, row.job.facts.held or error.task
    is_running = job.held_id is not None and (task is None or not task.is_complete)
    is_interrupted = isinstance(error, errors.CancelledError) or (isinstance(error, errors.WaitError) and task is None)
    reason = error.explanation
    if isinstance(error, errors.ConversionFailedError):
        message = task.status_message if task else None
        reason = ". ".join(filter(None, (to_failure_reason(message).rstrip("."), remedy_for(message or "")))) + "."
        outcome = Outcome.FAILED
    elif is_running or (is_interrupted and row.is_begun) or (task is not None and task.status is TaskStatus.SUCCEEDED):
        outcome = Outcome.IN_PROGRESS
    elif is_interrupted or (is_over and not row.has_changed and not isinstance(error, errors.RequestRefusedError)):
        outcome = Outcome.NOT_BEGUN
    else:
        outcome = Outcome.REFUSED
    more = (text for severity, text in row.host.kept if severity == "ERROR")
    return outcome, " ".join([reason, *more]), not (is_interrupted or is_over)
