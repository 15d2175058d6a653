"""One row of a fleet: its job, what is planned for it, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from lmconv_resource.aws.remedies import remedy_for, to_failed_error
from lmconv_resource.errors import (
    CancelledError,
    ConversionFailedError,
    LicenseConversionError,
    RequestRefusedError,
    WaitError,
)
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.report import Action, Outcome, PlanLine, Result
from lmconv_resource.lifecycle.fleet.services import Watch, connect_row
from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.job import Act, Job, Problem, Step
from lmconv_resource.lifecycle.operation import Host, Operation
from lmconv_resource.marks import TAGS, has_mark, to_places
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.text import to_failure_reason, to_rfc3339

log = logging.getLogger(__name__)

_UP = ("running", "pending")

_RETRY_REMEDY = "Fix the cause, and run `pulumi up` again once the first of them is 24 hours old"

_PAUSE_SECONDS = 0.25
"""Between two checks of an instance on its way, each of which waits itself until there is something new."""


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


@dataclass(frozen=True)
class Planned:
    """What is planned for a row.

    `gathering` is None where AWS can't be reached for it; `error` has all that keeps it from being converted;
    `problems` is what the checks have found, without what they warn of, which is in the line's notes. `ran` says
    whether the instance ran, or is to run again in the end; `is_marked` whether it has the fleet's mark, of an
    operation that was interrupted.
    """

    row: Row
    gathering: Gathering | None
    line: PlanLine
    error: LicenseConversionError | None = None
    problems: tuple[Problem, ...] | None = None
    held_id: str | None = None
    ran: bool = False
    is_marked: bool = False

    def to_result(self, outcome: Outcome, reason: str | None = None) -> Result:
        """Return what is recorded of a row that comes to this."""
        return Result(
            self.row.number,
            self.row.arn,
            outcome,
            reason,
            source_usage_operation=self.line.source,
            destination_usage_operation=self.line.destination,
        )


def plan_row(op: Operation, row: Row, gathering: Gathering, held_id: str | None) -> Planned:
    """Return what a job of this row would do first. Nothing is done."""
    host = RowHost(op.host)
    job = _make_job(op, host, gathering, row, Watch(op.host.runtime.now), held_id=held_id)
    try:
        step = job.plan()
    except LicenseConversionError as error:
        return replace(refuse(row, gathering, error), is_marked=job.is_marked)
    facts, is_marked, joined = job.facts, job.is_marked, None
    state = facts.instance.state if facts.instance else None
    if step.errors:
        reason, remedies = "; ".join(each.reason for each in step.errors), (each.remedy for each in step.errors)
        joined = job.left(LicenseConversionError(step.errors[0].subject, reason, ". ".join(dict.fromkeys(remedies))))
    action, text = Action.REFUSED, f"can't: {joined and joined.explanation}"
    if joined is None:
        action, text = _to_action(step, state, is_marked=is_marked, is_held=held_id is not None)
    notes: tuple[str, ...] = ()
    if action in (Action.RESTART, Action.CONVERT):
        warnings = [message for severity, message in host.kept if severity == "WARNING"]
        notes = (*warnings, *(f"{each}." for each in facts.problems or () if each.is_warning))
    line = PlanLine(row.number, row.name, facts.present.usage_operation, _to_destination(row), action, text, notes)
    problems = facts.problems and tuple(each for each in facts.problems if not each.is_warning)
    return Planned(row, gathering, line, joined, problems, held_id, state in _UP or is_marked, is_marked)


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


def _make_job(op: Operation, host: RowHost, gathering: Gathering, row: Row, watch: Watch, **known: Any) -> Job:
    # The guard against endless retries holds for a fleet in any case: each `up` may try once more. What a row that is
    # forgotten has begun is not waited for.
    waits = row.known.wait_for_completion and not known.get("ends")
    inputs = replace(row.known, retry_failed=False, wait_for_completion=waits)
    aws = connect_row(gathering, watch, row.arn, op.cancellation)
    known |= {"make_mark": gathering.make_mark, "longest_pause_seconds": _PAUSE_SECONDS, "retry_remedy": _RETRY_REMEDY}
    return Job(replace(op, host=cast(Host, host)), aws, inputs, **known)


def refuse(row: Row, gathering: Gathering | None, error: LicenseConversionError) -> Planned:
    """Return the plan of a row of which AWS could not be asked."""
    line = PlanLine(row.number, row.name, None, _to_destination(row), Action.REFUSED, f"can't: {error.explanation}")
    return Planned(row, gathering, line, error)


def _to_destination(row: Row) -> str | None:
    return row.conversion.destination_license_context.usage_operation if row.conversion else None


class NotBegunError(LicenseConversionError):
    """No further row is begun, so that one that waited for its slot is to have none."""


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


def run_row(
    op: Operation,
    planned: Planned,
    tell: Callable[[str, Ended | None], None] = lambda _, __: None,
    has_slot: Callable[[], bool] = lambda: True,
) -> Ended:
    """Carry the job of a row out, to its end.

    `tell` is told of each act in a word, such as `stopping`, and of `running` when the instance runs again, before what
    is left is tidied up; and what the row comes to, as soon as that is known. `has_slot` returns whether more may be
    done than to mark the instance, and raises NotBegunError where it never may.
    """
    row, gathering = planned.row, planned.gathering
    if gathering is None:
        raise ValueError(f"{row.name} can't be run: AWS can't be reached for it")
    wall = op.host.runtime.wall
    began, ended_at = wall(), None

    def on_act(word: str) -> None:
        nonlocal ended_at
        ended_at = wall() if word == "running" else None
        task, refusal = job.facts.held, job.facts.memory.refusal
        ended: Ended | None = None
        if refusal is not None or (task is not None and task.status is TaskStatus.FAILED):
            failed = _to_failed(job, watch, result, refusal or to_failed_error(cast(ConversionTask, task)))
            ended = finish(failed)
        elif task is not None and task.status is TaskStatus.SUCCEEDED:
            ended = finish(Ended(replace(result, license_conversion_task_id=task.task_id)))
        tell(word, ended)

    def finish(ended: Ended, *, is_marked: bool = False) -> Ended:
        """Return what a row came to with what was seen of its instance, and whether a mark is left."""
        seen = job.facts.memory.last_seen
        state = "running" if watch.is_up else seen.state if seen else None
        task = job.facts.held  # the times of one that was there already are its own
        task_times = (task.start_time, task.end_time) if task else (None, None)
        times = (began, ended_at or wall()) if watch.has_changed else task_times
        start, end = (to_rfc3339(each.replace(microsecond=0)) if each else None for each in times)
        outcome = ended.result.outcome
        # A mark that is left says that it ran, and is still to be started, however it was seen last.
        is_down = is_marked or ((watch.begun or planned.is_marked) and planned.ran and state != "running")
        if is_down and outcome in (Outcome.REFUSED, Outcome.NOT_BEGUN):
            outcome = Outcome.IN_PROGRESS
        result = replace(ended.result, outcome=outcome, instance_state=state, start_time=start, end_time=end)
        counts = ended.counts and watch.has_changed
        memory = job.facts.memory
        # A mark of an earlier operation, on one that did not run, can be one that the plan could not see.
        is_begun = watch.has_changed and bool(planned.ran or memory.of(Act.MARK).accepted or not memory.is_marked)
        return replace(ended, is_down=is_down, counts=counts, is_begun=is_begun, result=result)

    host, watch = RowHost(op.host, row.name), Watch(op.host.runtime.now, on_act, has_slot)
    found = {"held_id": planned.held_id, "problems": planned.problems, "is_stop_checked": planned.ran}
    job = _make_job(op, host, gathering, row, watch, **found)
    result = planned.to_result(Outcome.SUCCEEDED)
    try:
        with gathering.under_way(row.arn):
            outcome = job.run()
    except NotBegunError as withdrawn:
        return _withdraw(op, planned, gathering, withdrawn)
    except LicenseConversionError as error:
        ended = _to_failed(job, watch, result, error, is_over=op.cancellation.is_set)
        more = [text for severity, text in host.kept if severity == "ERROR"]
        if more:
            reason = " ".join([ended.result.reason or "", *more])
            ended = replace(ended, result=replace(ended.result, reason=reason))
        return finish(ended, is_marked=job.is_marked)
    source = outcome.task.source_license_context.usage_operation if outcome.task else None
    result = replace(
        result,
        outcome=Outcome.SUCCEEDED if outcome.task_id else Outcome.ALREADY_DONE,
        license_conversion_task_id=outcome.task_id,
        source_usage_operation=source or result.source_usage_operation,
        verified_usage_operation=outcome.verified.usage_operation if outcome.verified else None,
    )
    return finish(Ended(result), is_marked=job.is_marked)


def _withdraw(op: Operation, planned: Planned, gathering: Gathering, withdrawn: NotBegunError) -> Ended:
    """Remove the mark of a row that was marked before it had a slot, and is to have none."""
    try:
        end_row(op, planned.row, gathering, None)
    except LicenseConversionError as error:
        log.info("%s is still marked: %s", planned.row.name, error)
        return Ended(planned.to_result(Outcome.IN_PROGRESS, withdrawn.reason), is_down=True)
    result = planned.to_result(Outcome.NOT_BEGUN, withdrawn.reason)
    return Ended(replace(result, instance_state="running" if planned.ran else "stopped"))


def end_row(op: Operation, row: Row, gathering: Gathering, held_id: str | None) -> None:
    """Start the instance of a row again where it has the fleet's mark; convert nothing.

    Raises:
        LicenseConversionError: it is left as it is.
    """
    now = op.host.runtime.now
    watch = Watch(now, acted_at=now())
    aws = connect_row(gathering, watch, row.arn, op.cancellation)
    instance = aws.ec2.get_instance(row.arn)
    if instance is None or not has_mark(op.urn, instance, aws.ec2.list_tags(TAGS, to_places(instance))):
        return
    _make_job(op, RowHost(op.host, row.name), gathering, row, watch, held_id=held_id, ends=True).run()


def _to_failed(
    job: Job, watch: Watch, result: Result, error: LicenseConversionError, *, is_over: bool = False
) -> Ended:
    task = job.facts.held or error.task
    is_running = job.held_id is not None and (task is None or not task.is_complete)
    is_interrupted = isinstance(error, CancelledError) or (isinstance(error, WaitError) and task is None)
    reason = error.explanation
    if isinstance(error, ConversionFailedError):
        message = task.status_message if task else None
        reason = ". ".join(filter(None, (to_failure_reason(message).rstrip("."), remedy_for(message or "")))) + "."
        outcome = Outcome.FAILED
    elif is_running or (is_interrupted and watch.begun) or (task is not None and task.status is TaskStatus.SUCCEEDED):
        outcome = Outcome.IN_PROGRESS
    elif is_interrupted or (is_over and not watch.has_changed and not isinstance(error, RequestRefusedError)):
        outcome = Outcome.NOT_BEGUN
    else:
        outcome = Outcome.REFUSED
    failed = replace(result, outcome=outcome, reason=reason, license_conversion_task_id=job.held_id)
    return Ended(failed, not (is_interrupted or is_over))
