"""One row of a fleet: its job, what is planned for it, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from lmconv_resource.aws.remedies import find_remedy
from lmconv_resource.errors import CancelledError, ConversionFailedError, LicenseConversionError, WaitError
from lmconv_resource.lifecycle.convert import to_wish
from lmconv_resource.lifecycle.fleet.gather import Gathering, RowAws, Watch, to_places
from lmconv_resource.lifecycle.fleet.plan import Action, PlanLine
from lmconv_resource.lifecycle.fleet.report import Outcome, Result
from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.lifecycle.job import TAGS, Act, Job, Problem, read_marks
from lmconv_resource.lifecycle.operation import Host, Operation, Severity
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.text import to_failure_reason, to_rfc3339

log = logging.getLogger(__name__)

_UP = ("running", "pending")

POLL_SECONDS = 15.0
"""Between two checks of a task, with many rows: one list serves all of a connection, and more come together so."""

_FEW_ROWS = 20
"""Rows of a connection up to which the end of a task is noticed as soon as that of any other conversion."""


class RowHost:
    """The host of an operation, for one row of it: what matters is said with the row's name in front.

    Args:
        host: the host.
        name: the row's name.
        keeps: whether warnings are kept for the plan, and not left in the diagnostics.
    """

    def __init__(self, host: Host, name: str, *, keeps: bool = False) -> None:
        self._host = host
        self._name = name
        self._keeps = keeps
        self.warnings: list[str] = []
        """What was kept."""
        self.errors: list[str] = []
        """What else is wrong, beside the error that the row ends with."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        """Leave a warning in the diagnostics; a fleet has one line for what else becomes of a row."""
        if severity == "ERROR":
            self.errors.append(message)
        elif severity == "WARNING" and self._keeps:
            self.warnings.append(message)
        elif severity == "WARNING":
            self._host.log(severity, urn, f"{self._name}: {message}")
        else:
            log.debug("%s: %s", self._name, message)

    def log_status(self, urn: str | None, message: str) -> None:
        """Note how it goes, which the fleet's one row has no room for."""
        log.debug("%s: %s", self._name, message)


@dataclass(frozen=True)
class Planned:
    """What is planned for a row.

    Args:
        row: the row.
        gathering: AWS, as the rows of its connection share it; None where it can't be reached.
        line: its line of the plan.
        error: what keeps it from being converted, by which all its reasons are said.
        problems: what the checks have found, so that nobody checks again.
        held_id: the task that is recorded.
        ran: whether the instance ran, or is to run again in the end.
    """

    row: Row
    gathering: Gathering | None
    line: PlanLine
    error: LicenseConversionError | None = None
    problems: tuple[Problem, ...] | None = None
    held_id: str | None = None
    ran: bool = False


def plan_row(op: Operation, row: Row, gathering: Gathering, held_id: str | None) -> Planned:
    """Return what a job of this row would do first. Nothing is done."""
    host = RowHost(op.host, row.name, keeps=True)
    row_op = replace(op, host=cast(Host, host))
    watch = Watch(lambda _: None, lambda: None)
    job = _make_job(row_op, RowAws(gathering.connection, op.cancellation, gathering, watch), row, held_id)
    try:
        step = job.plan()
    except LicenseConversionError as error:
        return refuse(row, gathering, error)
    facts = job.facts
    seen = facts.instance
    ran = bool(seen and seen.state in _UP) or any(mark.is_owned_by(op.urn) for mark in facts.marks)
    line = PlanLine(row.number, row.name, facts.present.usage_operation, _to_destination(row), Action.CONVERT, "")
    planned = Planned(row, gathering, line, None, facts.problems, held_id, ran)
    if step.act in (Act.REFUSE, Act.LEAVE):
        errors = [each for each in (step.error, *step.more) if each]
        reason = "; ".join(each.reason for each in errors) or step.text
        text = f"can't: {reason}"
        return replace(planned, line=replace(line, action=Action.REFUSED, text=text), error=_join(errors, reason))
    if step.act is Act.DONE:
        return replace(planned, line=replace(line, action=Action.DONE, text="done already"))
    if step.act in (Act.FOLLOW, Act.ADOPT) or held_id:
        return replace(planned, line=replace(line, action=Action.GO_ON, text=step.text))
    is_marked = any(mark.is_owned_by(op.urn) for mark in facts.marks)
    if is_marked:
        text = f"{seen.state if seen else 'not shown'}: an earlier `pulumi up` was interrupted, and this one goes on"
        return replace(planned, line=replace(line, action=Action.GO_ON, text=text))
    if seen and seen.state in _UP:
        text = "runs: will be stopped and started" if seen.state == "running" else "is starting: will be stopped again"
        return replace(planned, line=replace(line, action=Action.RESTART, text=text, notes=tuple(host.warnings)))
    text = seen.state if seen else "EC2 does not show it yet"
    return replace(planned, line=replace(line, text=text, notes=tuple(host.warnings)))


def _make_job(
    op: Operation,
    aws: RowAws,
    row: Row,
    held_id: str | None,
    problems: tuple[Problem, ...] | None = None,
    *,
    ends: bool = False,
) -> Job:
    # The guard against endless retries holds for a fleet in any case: each `up` may try once more.
    inputs = replace(row.known, retry_failed=False)
    poll_seconds = POLL_SECONDS if aws.gathering.rows > _FEW_ROWS else None
    return Job(op, aws, to_wish(op, inputs, held_id, ends=ends), poll_seconds, problems)


def _join(errors: list[LicenseConversionError], reason: str) -> LicenseConversionError | None:
    if not errors:
        return None
    remedies = dict.fromkeys(each.remedy for each in errors if each.remedy)
    return LicenseConversionError(errors[0].subject, reason, ". ".join(remedies))


def refuse(row: Row, gathering: Gathering | None, error: LicenseConversionError) -> Planned:
    """Return the plan of a row of which AWS could not be asked."""
    line = PlanLine(row.number, row.name, None, _to_destination(row), Action.REFUSED, f"can't: {error.reason}")
    return Planned(row, gathering, line, error)


def _to_destination(row: Row) -> str | None:
    return row.conversion.destination_license_context.usage_operation if row.conversion else None


@dataclass(frozen=True)
class Ended:
    """What became of a row.

    Args:
        result: what is recorded of it.
        counts: whether it counts for `stop_after_failures`.
        is_down: whether its instance ran before and does not run now.
        error: what it ended with.
    """

    result: Result
    counts: bool = False
    is_down: bool = False
    error: LicenseConversionError | None = None


def run_row(
    op: Operation, planned: Planned, on_act: Callable[[str], None], on_running: Callable[[bool], None]
) -> Ended:
    """Carry the job of a row out, to its end.

    Args:
        op: the fleet's operation.
        planned: what is planned for it.
        on_act: told of each act in a word, such as `stopping`.
        on_running: called when the instance runs again, before what is left is tidied up, with whether its conversion
            FAILED or was refused.
    """
    row, gathering = planned.row, planned.gathering
    if gathering is None:
        raise ValueError(f"{row.name} can't be run: AWS can't be reached for it")
    wall = op.host.runtime.wall
    began = wall()

    def free() -> None:
        held = job.task
        on_running(job.facts.memory.refusal is not None or (held is not None and held.status is TaskStatus.FAILED))

    host, watch = RowHost(op.host, row.name), Watch(on_act, free)
    aws = RowAws(gathering.connection, op.cancellation, gathering, watch)
    job = _make_job(replace(op, host=cast(Host, host)), aws, row, planned.held_id, planned.problems)
    result = Result(
        row.number,
        str(row.asked["resource_arn"]),
        Outcome.SUCCEEDED,
        source_usage_operation=planned.line.source,
        destination_usage_operation=planned.line.destination,
    )
    try:
        outcome = job.run()
    except LicenseConversionError as error:
        ended = _to_failed(job, watch, result, error, is_over=op.cancellation.is_set)
        if host.errors:
            reason = " ".join([ended.result.reason or "", *host.errors])
            ended = replace(ended, result=replace(ended.result, reason=reason))
    else:
        source = outcome.task.source_license_context.usage_operation if outcome.task else None
        verified = outcome.verified.usage_operation if outcome.verified else None
        ended = Ended(
            replace(
                result,
                outcome=Outcome.SUCCEEDED if outcome.task_id else Outcome.ALREADY_DONE,
                license_conversion_task_id=outcome.task_id,
                source_usage_operation=source or result.source_usage_operation,
                verified_usage_operation=verified,
            )
        )
    seen = job.facts.memory.last_seen
    state = seen.state if seen else None
    is_down = watch.begun and planned.ran and state not in _UP
    if is_down and ended.error is not None and ended.result.outcome is Outcome.REFUSED:
        ended = replace(ended, result=replace(ended.result, outcome=Outcome.IN_PROGRESS))
    times = (
        _to_times(job.task, began, wall())
        if not watch.begun
        else (to_rfc3339(_whole(began)), to_rfc3339(_whole(wall())))
    )
    return replace(
        ended,
        is_down=is_down,
        counts=ended.counts and watch.begun,
        result=replace(ended.result, instance_state=state, start_time=times[0], end_time=times[1]),
    )


def end_row(op: Operation, row: Row, gathering: Gathering, held_id: str | None) -> None:
    """Start the instance of a row again where it has the fleet's mark; convert nothing.

    Raises:
        LicenseConversionError: it is left as it is.
    """
    aws = RowAws(gathering.connection, op.cancellation, gathering, Watch(lambda _: None, lambda: None))
    instance = aws.ec2.get_instance(str(row.asked["resource_arn"]))
    tags = aws.ec2.list_tags(TAGS, to_places(instance)) if instance else []
    if instance is None or not any(mark.is_owned_by(op.urn) for mark in read_marks(tags, instance)):
        return
    host = RowHost(op.host, row.name)
    _make_job(replace(op, host=cast(Host, host)), aws, row, held_id, ends=True).run()


def _to_failed(job: Job, watch: Watch, result: Result, error: LicenseConversionError, *, is_over: bool) -> Ended:
    """Return what a row came to whose job ended in an error."""
    task = job.task or error.task
    is_running = job.held_id is not None and (task is None or not task.is_complete)
    is_interrupted = isinstance(error, CancelledError) or (isinstance(error, WaitError) and task is None)
    reason = f"{error.reason}. {error.remedy}."
    if isinstance(error, ConversionFailedError):
        message = task.status_message if task else None
        reason = ". ".join(filter(None, (to_failure_reason(message).rstrip("."), find_remedy(message or "")))) + "."
        outcome = Outcome.FAILED
    elif is_running or (is_interrupted and watch.begun) or (task is not None and task.status is TaskStatus.SUCCEEDED):
        outcome = Outcome.IN_PROGRESS
    elif is_interrupted or is_over:
        outcome = Outcome.NOT_BEGUN
    else:
        outcome = Outcome.REFUSED
    failed = replace(result, outcome=outcome, reason=reason, license_conversion_task_id=job.held_id)
    return Ended(failed, not (is_interrupted or is_over), error=error)


def _to_times(task: ConversionTask | None, began: datetime, ended: datetime) -> tuple[str | None, str | None]:
    """Return when a task that was there already ran."""
    if task is None or task.start_time is None:
        return None, None
    return to_rfc3339(task.start_time), to_rfc3339(task.end_time) if task.end_time else None


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
