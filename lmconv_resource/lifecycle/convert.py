"""The lifecycle of a LicenseConversion, which starts a conversion and follows it to its end."""

from __future__ import annotations

import logging
from typing import ClassVar

from lmconv_resource.errors import LicenseConversionError, TaskNotFoundError, WaitError
from lmconv_resource.lifecycle.controller import Controller, seen_state, select_replacing
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, ConversionInputs, Property, find_unknown
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
from lmconv_resource.lifecycle.start import StartResult, start_or_adopt
from lmconv_resource.lifecycle.state import ConversionState, TaskState
from lmconv_resource.models import ConversionTask
from lmconv_resource.text import to_failure_reason
from lmconv_resource.usage_operations import find_warning

log = logging.getLogger(__name__)

_ASKED = tuple(entry.name for entry in CONVERSION_PROPERTIES if entry.required)
"""The inputs that say what is converted."""


class ConversionController(Controller[ConversionInputs, ConversionState]):
    """Starts a license conversion, once, and tracks its task."""

    properties: ClassVar[tuple[Property, ...]] = CONVERSION_PROPERTIES
    failed_remedy = "Mend the cause; the next `pulumi up` starts a new conversion"

    def parse_inputs(self, properties: Properties) -> ConversionInputs:
        """Return inputs that have been checked, as a value."""
        return ConversionInputs.parse(properties)

    def parse_state(self, properties: Properties) -> ConversionState:
        """Return what a stack has stored, of any version, as a value."""
        return ConversionState.parse(properties)

    def to_properties(self, state: ConversionState) -> dict[str, object]:
        """Return what a stack stores."""
        return state.to_properties()

    def _validate(self, op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
        """Return what is wrong with the inputs, and warn of what AWS does not convert."""
        failures = super()._validate(op, olds, checked)
        if failures or find_unknown(checked, _ASKED):
            return failures
        request = self.parse_inputs(checked).request
        if request.is_noop:
            name = "destination_license_context"
            reason = f"{name} is the same as source_license_context: there is nothing to convert"
            return [CheckFailure(name, reason)]
        warning = find_warning(request.source.usage_operation, request.destination.usage_operation)
        if warning and not (olds and self.parse_inputs(olds).request == request):
            op.log(warning, "WARNING")
        return []

    def diff(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> Diff:
        """Return what the program asks for, and what AWS says of a running task, that the state does not have.

        Another resource, other contexts or another region replace the conversion by a new one; so does a FAILED one,
        unless it is ignored. Asks AWS only of a task recorded as running.
        """
        asked = state.request
        recorded = {
            "resource_arn": asked.resource_arn or None,
            "source_license_context": asked.source,
            "destination_license_context": asked.destination,
            "region": state.task.region,
        }
        replaces = select_replacing(self.properties, inputs, vars(inputs), recorded)
        if replaces:
            if not inputs.unknown.intersection(_ASKED) and inputs.request.reverts(asked):
                op.log("The contexts are reversed: a conversion back will be started.")
            return Diff(replaces=replaces)
        # Looked up where a wait would do it again, too: a FAILED one has to be replaced, which no update can.
        task = None
        seen = state.task
        if not seen.is_finished:
            task = self._connect(op, state.task.region, task_id).get_recent_task(task_id)
            seen = TaskState.of(task)
        if seen.has_failed and not inputs.ignore_failure:
            why = to_failure_reason(seen.status_message).rstrip(".")
            op.log(f"{task_id} FAILED: {why}. A new conversion will be started.", "WARNING")
            return Diff(replaces=("status",))
        if state.task.must_await(wait_for_completion=inputs.wait_for_completion, ignore_failure=inputs.ignore_failure):
            return Diff(changed=("wait_for_completion",))
        return Diff() if task is None else self._diff_running(op, task_id, state.task, task)

    def create(self, op: Operation, inputs: ConversionInputs) -> Created[ConversionState]:
        """Start the conversion, unless a task does or has done it already, and wait for its end if asked to."""
        aws = self._connect(op, inputs.region)
        op.host.starts.add_urn(op.urn)
        start = start_or_adopt(op, aws, inputs.request, preflight=inputs.preflight)
        try:
            task = self._follow_new(op, aws, inputs, start)
        except LicenseConversionError as error:
            request = inputs.request
            started = ConversionTask(
                start.task_id, aws.region, request.resource_arn, request.source, request.destination
            )
            seen = ConversionState(seen_state(error, started), start.adopted, None, inputs.asked)
            return Created(start.task_id, seen, error)
        state = ConversionState(TaskState.of(task), start.adopted, self._verify(aws, task), inputs.asked)
        return Created(start.task_id, state)

    def read(
        self, op: Operation, task_id: str, state: ConversionState | None, inputs: ConversionInputs
    ) -> Refreshed[ConversionState]:
        """Look the task up again, and EC2's view of the instance."""
        region = state.task.region if state else inputs.region
        found = self._refresh(op, task_id, state.task if state else None, region)
        if state is not None and found is state.task:
            return Refreshed(state)
        verified = self._verify(self._connect(op, found.region or region, task_id), found)
        if state is None:
            return Refreshed(ConversionState(found, False, verified), {"region": found.region})
        return Refreshed(ConversionState(found, state.adopted, verified, state.asked))

    def update(
        self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs
    ) -> Updated[ConversionState]:
        """Look the task up again, or follow it to its end."""
        if state.task.is_settled_for(inputs.wait_for_completion, inputs.ignore_failure):
            return Updated(state)
        aws = self._connect(op, inputs.region or state.task.region, task_id)
        try:
            task = self._await_or_get(op, aws, inputs, task_id)
        except WaitError as error:
            seen = state.task if error.task is None else state.task.merged_with(TaskState.of(error.task))
            return Updated(ConversionState(seen, state.adopted, state.verified_usage_operation, state.asked), error)
        merged = self._merge(op, state.task, task)
        return Updated(ConversionState(merged, state.adopted, self._verify(aws, task), state.asked))

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
        for number in range(0 if start.adopted else policy.new_task_checks):
            try:
                return self._await_or_get(op, aws, inputs, start.task_id)
            except TaskNotFoundError as error:
                log.info("%s was just started: %s", start.task_id, error)
                op.cancellation.wait(policy.new_task_seconds * 2**number)
        return self._await_or_get(op, aws, inputs, start.task_id)

    def _verify(self, aws: Aws, task: ConversionTask | TaskState) -> str | None:
        """Return the usage operation that EC2 reports; None where it does not say, for want of the right too."""
        is_complete = task.is_complete if isinstance(task, ConversionTask) else task.is_finished
        arn = task.resource_arn if isinstance(task, ConversionTask) else task.outputs.get("resource_arn")
        if not is_complete or not isinstance(arn, str):
            return None
        try:
            instance = aws.ec2.get_instance(arn)
        except LicenseConversionError as error:
            # The conversion is what was asked for; this is a second opinion, for those who allow it.
            log.info("verified_usage_operation is not known: %s", error)
            return None
        return instance.usage_operation if instance else None
