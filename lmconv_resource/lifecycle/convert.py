"""The lifecycle of a LicenseConversion, which starts a conversion and follows it to its end."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from lmconv_resource.errors import (
    WAIT_ACTION,
    ConversionFailedError,
    LicenseConversionError,
    Subject,
    TaskNotFoundError,
)
from lmconv_resource.lifecycle.controller import Controller, seen_state, select_replacing
from lmconv_resource.lifecycle.conversion_checks import find_failures
from lmconv_resource.lifecycle.decision import StartResult
from lmconv_resource.lifecycle.drift import report_drift
from lmconv_resource.lifecycle.inputs import (
    CONVERSION_PROPERTIES,
    CONVERTED,
    ConversionInputs,
    Property,
    validate_options,
)
from lmconv_resource.lifecycle.limits import check_failures, take_turn
from lmconv_resource.lifecycle.operation import (
    Aws,
    CheckFailure,
    Created,
    Diff,
    Operation,
    Properties,
    Refreshed,
    Updated,
)
from lmconv_resource.lifecycle.preflight import check_ready
from lmconv_resource.lifecycle.restart import Restart, is_marked
from lmconv_resource.lifecycle.start import Prepare, StartTerms, start_or_adopt
from lmconv_resource.lifecycle.state import ConversionState, TaskState
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext
from lmconv_resource.text import parse_duration, to_failure_reason

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Instance

log = logging.getLogger(__name__)

_SOURCE = "source_license_context"


class ConversionController(Controller[ConversionInputs, ConversionState]):
    """Starts a license conversion, once, and tracks its task."""

    properties: ClassVar[tuple[Property, ...]] = CONVERSION_PROPERTIES
    failed_remedy = "Fix the cause; the next `pulumi up` starts a new conversion"

    def parse_inputs(self, properties: Properties) -> ConversionInputs:
        """Return inputs that have been checked, as a value."""
        return ConversionInputs.parse(properties)

    def parse_state(self, properties: Properties) -> ConversionState:
        """Return what a stack has stored, of any version, as a value."""
        return ConversionState.parse(properties)

    def to_properties(self, state: ConversionState) -> dict[str, object]:
        """Return what a stack stores."""
        return state.to_properties()

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        return super()._validate(checked) or validate_options(checked)

    def _validate_in_aws(self, op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
        return find_failures(op, olds, checked, lambda inputs: self._connect(op, inputs))

    def diff(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> Diff:
        """Return what the program asks for, and what AWS says of a running task, that the state does not have.

        Another resource, another destination or another region replace the conversion by a new one; so do a FAILED one,
        unless it is ignored, and drift that is to be corrected. What the source is matters no more once the conversion
        is under way or done. Asks AWS only of a task recorded as running, and whether an instance is to be started.
        """
        asked = state.request
        replaces = self._select_replacing(state, inputs)
        if replaces:
            if not inputs.unknown.intersection(CONVERTED) and inputs.request.reverts(asked):
                op.log("The contexts are reversed: a conversion back will be started.")
            return Diff(replaces=replaces)
        if unknown_way := self._find_unknown_way(inputs):
            return Diff(changed=unknown_way)
        # Looked up where a wait would do it again, too: a FAILED one has to be replaced, which no update can.
        task = None
        seen = state.task
        if not seen.is_finished:
            task = self._connect(op, inputs, task_id, state.task.region).get_recent_task(task_id)
            seen = TaskState.of(task)
        if seen.has_failed and not inputs.ignore_failure:
            why = to_failure_reason(seen.status_message).rstrip(".")
            op.log(f"{task_id} FAILED: {why}. A new conversion will be started.", "WARNING")
            return Diff(replaces=("status",))
        if inputs.correct_drift and state.has_drifted:
            op.log("EC2 bills the instance otherwise by now: a new conversion will be started.", "WARNING")
            return Diff(replaces=("verified_usage_operation",))
        if state.task.must_await(wait_for_completion=inputs.wait_for_completion, ignore_failure=inputs.ignore_failure):
            return Diff(changed=("wait_for_completion",))
        arn = asked.resource_arn
        if inputs.stop_and_restart and is_marked(op, self._connect(op, inputs, task_id, state.task.region), arn):
            op.log("The instance is still to be started again, after an earlier `pulumi up` that was ended.")
            return Diff(changed=("stop_and_restart",))
        return Diff() if task is None else self._diff_running(op, task_id, state.task, task)

    def _select_replacing(self, state: ConversionState, inputs: ConversionInputs) -> tuple[str, ...]:
        asked = state.request
        is_same = inputs.destination_license_context.is_satisfied_by(asked.destination)
        recorded = {
            "resource_arn": asked.resource_arn or None,
            _SOURCE: asked.source,
            "destination_license_context": inputs.destination_license_context if is_same else asked.destination,
            "region": state.task.region,
        }
        # Of a FAILED one that is ignored, another source asks for another try.
        matters = state.task.has_failed and not inputs.source_license_context.is_empty
        properties = [entry for entry in self.properties if entry.name != _SOURCE or matters]
        return select_replacing(properties, inputs, vars(inputs), recorded)

    def create(self, op: Operation, inputs: ConversionInputs) -> Created[ConversionState]:
        """Start the conversion, unless it is under way or done already, and wait for its end if asked to."""
        aws = self._connect(op, inputs)
        op.host.starts.add_urn(op.urn)
        request = inputs.request
        with take_turn(op, aws, request.resource_arn):
            restart = _make_restart(op, aws, inputs, request.resource_arn)
            terms = StartTerms(
                _make_preparation(op, aws, inputs, restart),
                must_know_instance=inputs.preflight or inputs.stop_and_restart,
                correct_drift=inputs.correct_drift,
                retry_failed=inputs.retry_failed,
            )
            try:
                start = start_or_adopt(op, aws, request, terms)
            except LicenseConversionError as error:
                raise restart.after_failure(error) from error.__cause__
            started = ConversionTask(
                start.task_id, aws.region, request.resource_arn, request.source, request.destination
            )
            seen = TaskState.of(started)
            try:
                task = start.present or self._follow_new(op, aws, inputs, start)
                seen = TaskState.of(task) if start.present is None else TaskState.of_instance(task)
                verified = self._end(aws, restart, seen)
            except Exception as cause:  # noqa: BLE001 -- whatever ends a create, what it has started is recorded
                failure = cause if isinstance(cause, LicenseConversionError) else _to_bug(cause, started)
                if not seen.is_finished:
                    seen = seen_state(failure, started)
                    failure = restart.after_failure(failure)
                if isinstance(failure, ConversionFailedError):
                    op.host.fleet.note_failure()
                return Created(start.task_id, ConversionState(seen, start.adopted, None, inputs.asked), failure)
            if seen.has_failed:
                op.host.fleet.note_failure()
        return Created(start.task_id, ConversionState(seen, start.adopted, verified, inputs.asked))

    def read(
        self, op: Operation, task_id: str, state: ConversionState | None, inputs: ConversionInputs
    ) -> Refreshed[ConversionState]:
        """Look the task up again, and EC2's view of the instance, with a warning where the two differ."""
        if state is not None and state.task.is_of_instance:
            found = state.task
        else:
            found = self._refresh(op, task_id, state.task if state else None, inputs)
        aws = self._connect(op, inputs, task_id, found.region)
        instance = self._get_instance(aws, found)
        if state is None:
            verified = instance.license_context if instance else None
            return Refreshed(ConversionState(found, False, verified), {"region": found.region})
        refreshed = replace(state, task=found)
        if instance is not None and not instance.license_context.is_empty:
            refreshed = replace(refreshed, verified=instance.license_context)
            report_drift(op, aws, state, refreshed)
        return Refreshed(refreshed)

    def update(
        self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs
    ) -> Updated[ConversionState]:
        """Look the task up again, or follow it to its end; and start an instance that is still to be started."""
        is_settled = state.task.is_settled_for(inputs.wait_for_completion, inputs.ignore_failure)
        if is_settled and not inputs.stop_and_restart:
            return Updated(state)
        aws = self._connect(op, inputs, task_id, inputs.region or state.task.region)
        restart = _make_restart(op, aws, inputs, state.request.resource_arn)
        try:
            if not is_settled:
                task = self._await_or_get(op, aws, inputs, task_id, may_be_recent=True)
                state = replace(state, task=self._merge(op, state.task, task))
            verified = self._end(aws, restart, state.task)
        except LicenseConversionError as error:
            if state.task.is_finished:  # the conversion is, and the instance is not started
                return Updated(state, error)
            merged = state.task if error.task is None else state.task.merged_with(TaskState.of(error.task))
            return Updated(replace(state, task=merged), restart.after_failure(error))
        return Updated(replace(state, verified=verified or state.verified))

    def delete(self, op: Operation, task_id: str, state: ConversionState) -> None:
        """Forget the conversion, with a warning: the license stays as it is, and AWS has no call to undo it.

        The old half of a replacement is forgotten silently: there the new conversion is what counts.
        """
        if op.host.starts.has_urn(op.urn):
            return
        arn = state.task.outputs.get("resource_arn")
        # What it is licensed as now is not asked, so nothing is said of it.
        if state.task.is_finished:
            text = f"{task_id} is only removed from the state: the license of {arn} is not changed by that."
        else:
            continues = f"{task_id} continues in AWS, which cannot cancel a license conversion"
            text = f"{continues}: it is only removed from the state."
        op.log(text, "WARNING")

    def _follow_new(self, op: Operation, aws: Aws, inputs: ConversionInputs, start: StartResult) -> ConversionTask:
        """Follow a task that AWS, right after its start, may not show everywhere yet."""
        policy = op.host.start_policy
        is_patient = start.adopted or inputs.wait_for_completion  # a wait looks for a hidden task by itself
        for number in range(0 if is_patient else policy.new_task_checks):
            try:
                return self._await_or_get(op, aws, inputs, start.task_id)
            except TaskNotFoundError as error:
                log.info("%s was just started: %s", start.task_id, error)
                op.cancellation.wait(policy.new_task_seconds * 2**number)
        return self._await_or_get(op, aws, inputs, start.task_id)

    def _end(self, aws: Aws, restart: Restart, seen: TaskState) -> LicenseContext | None:
        """Start the instance again where its conversion has ended, and return what EC2 bills it as."""
        if not seen.is_finished:
            return None
        instance = self._get_instance(aws, seen)
        restart.finish(instance)
        return None if instance is None or instance.license_context.is_empty else instance.license_context

    def _get_instance(self, aws: Aws, task: TaskState) -> Instance | None:
        """Return the instance of a task that has ended; None where EC2 does not say, for want of the right too."""
        arn = task.outputs.get("resource_arn")
        if not task.is_finished or not isinstance(arn, str):
            return None
        try:
            return aws.ec2.get_instance(arn)
        except LicenseConversionError as error:
            # The conversion is what was asked for; this is a second opinion, for those who allow it.
            log.info("what the instance is billed as is not known: %s", error)
            return None


def _to_bug(cause: Exception, task: ConversionTask) -> LicenseConversionError:
    """Return an error that nobody foresaw as a line; the log has where it comes from."""
    log.error("an error that is a bug", exc_info=cause)
    error = LicenseConversionError(
        Subject(WAIT_ACTION, task.task_id, task.region),
        f"{type(cause).__name__}: {cause}",
        "This is a bug of lmconv-resource: report it with what LMCONV_LOG=DEBUG shows. The task is not lost: the next "
        "`pulumi up` continues with it",
    )
    error.__cause__ = cause
    return error


def _make_restart(op: Operation, aws: Aws, inputs: ConversionInputs, resource_arn: str) -> Restart:
    force_after = parse_duration(inputs.force_stop_after) if inputs.force_stop_after else None
    return Restart(op, aws, resource_arn, inputs.stop_and_restart, force_after)


def _make_preparation(op: Operation, aws: Aws, inputs: ConversionInputs, restart: Restart) -> Prepare:
    """Return what precedes a start: see that it may be begun, check the instance, stop it."""

    def prepare(request: ConversionRequest, instance: Instance | None) -> None:
        check_failures(op, aws, request.resource_arn)
        if inputs.preflight:
            check_ready(op, aws, request, instance, stops=inputs.stop_and_restart)
        restart.stop(request, instance)

    return prepare
