"""The lifecycle of a LicenseConversion, which starts a conversion and follows it to its end.

What to do about an instance is decided in `job.rules` alone; here an operation of Pulumi's becomes a wish, and its
outcome a record.
"""

import logging
from contextlib import suppress
from dataclasses import replace

from lmconv_resource import errors
from lmconv_resource.errors import LicenseConversionError, TransientError
from lmconv_resource.lifecycle.controller import Controller, select_replacing
from lmconv_resource.lifecycle.inputs import CONVERTED, ConversionInputs, unknown_names, validate_options
from lmconv_resource.lifecycle.job import Act, Job, still_stopped_text
from lmconv_resource.lifecycle.operation import PLAN_SECONDS, CheckFailure, Diff, Operation, Properties, Stored
from lmconv_resource.lifecycle.state import ConversionState, is_settled, merge, must_await, report_drift
from lmconv_resource.marks import RESTART_TAG, TAGS, has_mark, read_marks
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus, to_id
from lmconv_resource.polling.runtime import Cancellation
from lmconv_resource.text import setting, to_failure_reason
from lmconv_resource.usage_operations import unknown_code_warning

log = logging.getLogger(__name__)

_PLANNED_FROM = (*CONVERTED, "region", "profile", "assume_role", "preflight", "stop_and_restart")
_NEXT_PLAN_SECONDS = 2.0


class ConversionController(Controller[ConversionInputs, ConversionState]):
    """Starts a license conversion, once, and tracks its task."""

    inputs = ConversionInputs
    state = ConversionState

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        return super()._validate(checked) or validate_options(checked)

    def _validate_in_aws(self, op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
        """Return what AWS has against the inputs, where nothing is recorded: of what is, its diff asks.

        The native host is not told here whether it is in a preview, and plans in its create.
        """
        if olds or unknown_names(checked, CONVERTED):
            return []
        inputs = ConversionInputs.parse(checked)
        contexts = (inputs.source_license_context, inputs.destination_license_context)
        codes = dict.fromkeys(each.usage_operation for each in contexts)
        for warning in filter(None, map(unknown_code_warning, codes)):
            op.log(warning, "WARNING")
        return [CheckFailure("", str(error)) for error in (self._plan(op, inputs) if op.is_preview else ())]

    def preview(self, op: Operation, state: ConversionState | None, inputs: ConversionInputs) -> None:
        """Say what an `up` will do where nothing is recorded; raise what nothing in the program can change."""
        refusals = [] if state else self._plan(op, inputs)
        for error in refusals[1:]:
            op.log(str(error), "ERROR")
        if refusals:
            raise refusals[0]

    def _plan(self, op: Operation, inputs: ConversionInputs) -> list[LicenseConversionError]:
        """Say in a line what an `up` will do, and return what nothing in the program can change before that."""
        if inputs.unknown.intersection(_PLANNED_FROM):
            return []
        seconds = _NEXT_PLAN_SECONDS if op.host.started_here.has_no_plan else PLAN_SECONDS
        with Cancellation(op.cancellation, op.host.runtime.now() + seconds) as limit:
            try:
                limited = replace(op, cancellation=limit)
                job = Job(limited, limited.connect(inputs), inputs)
                step = job.plan(awaits_instance=False)
                if step.fault:
                    raise step.fault
            except LicenseConversionError as error:  # the update asks again, and fails if it has to
                op.host.started_here.has_no_plan |= isinstance(error, TransientError)
                op.log(f"What `pulumi up` will do is not known. {error}", "WARNING")
                return []
        problems = [problem for problem in job.facts.problems or () if step.rule.then is not Act.DONE]
        for problem in problems:
            if problem.is_warning or problem.may_pass:
                op.log(f"{problem}.", "WARNING")
        is_refused = step.rule.then in (Act.REFUSE, Act.LEAVE)
        if not is_refused or step.rule.then is Act.LEAVE or step.rule.name in _PASSING:
            # The last line is the one that the resource's row shows.
            op.log(job.to_plan_text(step), "WARNING" if is_refused else "INFO")
            return []
        passing = {problem.reason for problem in problems if problem.may_pass}
        return [error for error in step.errors if error.reason not in passing]

    def diff(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> Diff:
        """Return what the program asks for, and what AWS says of a running task, that the state does not have.

        Another resource, another destination or another region replace the conversion by a new one; so do a FAILED one,
        unless it is ignored, and drift that is to be corrected. What the source is matters no more once the conversion
        is under way or done. Asks AWS only of a task recorded as running, of drift that is to be corrected, and, once
        for all of a process, which instances are to be started again.
        """
        asked = state.request
        replaces = self._select_replacing(state, inputs)
        if replaces:
            if not inputs.unknown.intersection(CONVERTED) and inputs.request.reverts(asked):
                op.log("The contexts are reversed: a conversion back will be started.")
            return Diff(replaces=replaces)
        if inputs.unknown_access:
            return Diff(changed=inputs.unknown_access)
        if state.is_begun:
            op.log(f"{asked.resource_arn} was prepared by an earlier `pulumi up` that was interrupted: it continues.")
            return Diff(replaces=("status",))
        # Looked up where a wait would do it again, too: a FAILED one has to be replaced, which no update can.
        seen = state.task
        if not seen.is_complete:
            seen = self._running_task(op, op.connect(inputs, task_id, state.task.region), state.task)
        if seen.status is TaskStatus.FAILED and not inputs.ignore_failure:
            why = to_failure_reason(seen.status_message).rstrip(".")
            op.log(f"{task_id} FAILED: {why}. A new conversion will be started.", "WARNING")
            return Diff(replaces=("status",))
        if inputs.correct_drift and state.has_drifted:
            return self._diff_drift(op, task_id, state, inputs)
        if must_await(state.task, inputs):
            return Diff(changed=("wait_for_completion",))
        if inputs.stop_and_restart and self._is_marked(op, task_id, state, inputs):
            op.log(f"{asked.resource_arn} still has to be started: an earlier `pulumi up` ended before that.")
            return Diff(changed=("stop_and_restart",))
        return self._diff_running(op, state.task, seen)

    def _diff_drift(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> Diff:
        """Return whether the drift that is recorded is there still, by EC2's present word."""
        aws = op.connect(inputs, task_id, state.task.region)
        try:
            instance = aws.ec2.get_instance(state.request.resource_arn)
        except TransientError as error:
            op.log(f"Whether its license still differs is not known, so it is not converted again. {error}", "WARNING")
            return Diff()
        if instance is None or instance.license_context.is_empty:
            return Diff()
        if state.request.destination.is_satisfied_by(instance.license_context):
            return Diff(changed=("verified_usage_operation",))
        op.log("EC2 now bills the instance as something else: a new conversion will be started.", "WARNING")
        return Diff(replaces=("verified_usage_operation",))

    def _is_marked(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> bool:
        """Return whether the instance has this resource's mark, and warn of old marks whose job does not continue."""
        aws, started = op.connect(inputs, task_id, state.task.region), op.host.started_here
        try:
            try:
                tags = started.marks.get(aws.session)
                if tags is None:
                    tags = started.marks[aws.session] = tuple(aws.ec2.list_tags(TAGS))
            # The latter by what stands in for EC2.
            except (errors.AccessDeniedError, errors.RequestRefusedError) as refusal:
                log.info("marks are read from the instance alone: %s", refusal)
                instance = aws.ec2.get_instance(state.request.resource_arn)
                tags = tuple(instance.tags) if instance else ()
        except LicenseConversionError as error:
            op.log(f"Whether the instance is to be started again is not known. {error}", "WARNING")
            return False
        own_id = to_id(state.request.resource_arn)
        now, is_own = op.host.runtime.wall(), False
        for mark, about in [(each, about) for each in read_marks(tags) for about in each.instance_ids]:
            is_mine = mark.is_owned_by(op.urn)
            is_own = is_own or (is_mine and about == own_id)
            is_stale = not (is_mine or mark.is_young(now) or (about, mark.value) in started.removed_marks)
            if is_stale and started.is_first_word(f"{about} {mark.value}"):
                op.host.log(
                    "WARNING",
                    None,
                    f"{about} has the mark {RESTART_TAG} of {mark.urn} {mark.age_text}, and no `pulumi up` seems to "
                    f"continue it. If it is stopped and no conversion is in progress, start it with `aws ec2 "
                    f"start-instances --instance-ids {about}`, then remove the tag.",
                )
        if is_own:  # EC2 shows one that is terminated for a while
            with suppress(LicenseConversionError):
                instance = aws.ec2.get_instance(state.request.resource_arn)
                is_own = instance is None or not instance.is_gone
        return is_own

    def _select_replacing(self, state: ConversionState, inputs: ConversionInputs) -> tuple[str, ...]:
        asked = state.request
        is_same = inputs.destination_license_context.is_satisfied_by(asked.destination)
        recorded = {
            "resource_arn": asked.resource_arn or None,
            "source_license_context": asked.source,
            "destination_license_context": inputs.destination_license_context if is_same else asked.destination,
            "region": state.task.region,
        }
        # Of a FAILED one that is ignored, another source asks for another try.
        matters = state.task.status is TaskStatus.FAILED and not inputs.source_license_context.is_empty
        properties = [entry for entry in self.inputs.properties if entry.name != "source_license_context" or matters]
        return select_replacing(properties, inputs, recorded)

    def create(self, op: Operation, inputs: ConversionInputs) -> Stored[ConversionState]:
        """Start the conversion, unless it is under way or done already, and wait for its end if asked to."""
        op.host.started_here.arns[op.urn] = inputs.resource_arn
        job, request = Job(op, op.connect(inputs), inputs), inputs.request
        region = job.facts.region
        try:
            done = job.run()
        except Exception as cause:
            known = cause if isinstance(cause, LicenseConversionError) else None
            if job.held_id is None:
                if not (job.is_marked and known):
                    raise
                # Recorded so that a destroy finds the instance that was stopped.
                begun = ConversionTask("", region, inputs.resource_arn)
                return Stored(ConversionState(begun, asked=inputs.asked), known, request.resource_arn)
            error = known or _to_bug(cause, job.held_id, region)
            task = error.task or job.facts.held or ConversionTask.started(job.held_id, region, request)
            return Stored(ConversionState(task, job.facts.memory.is_adopted, None, inputs.asked), error, job.held_id)
        verified = done.verified
        if done.task is None:  # no task of AWS's stands for it
            task = ConversionTask(
                "",
                region,
                request.resource_arn,
                destination_license_context=verified or LicenseContext(),
                status=TaskStatus.SUCCEEDED,
                status_message="EC2 already bills it as this; AWS shows no task that did it",
            )
        else:
            task = done.task
            verified = verified if task.is_complete else None
        state = ConversionState(task, done.is_adopted, verified, inputs.asked)
        return Stored(state, id=task.task_id or request.resource_arn)

    def read(
        self, op: Operation, task_id: str, state: ConversionState | None, inputs: ConversionInputs
    ) -> Stored[ConversionState]:
        """Look the task up again, and EC2's view of the instance, with a warning where the two differ."""
        if state is not None and state.is_begun:
            return Stored(state)
        if state is not None and not state.task.task_id:  # EC2 billed it as wanted, and no task led there
            found = state.task
        else:
            found = self._refresh(op, task_id, state.task if state else None, inputs)
        aws = op.connect(inputs, task_id, found.region)
        instance = None
        if found.is_complete and found.resource_arn:
            try:
                instance = aws.ec2.get_instance(found.resource_arn)
            except LicenseConversionError as error:
                # The conversion is what was asked for; this is a second opinion, for those who allow it.
                log.info("what the instance is billed as is not known: %s", error)
        if state is None:
            if found.status is TaskStatus.FAILED:
                why = to_failure_reason(found.status_message).rstrip(".")
                op.log(
                    f"{task_id} FAILED: {why}. The program that is imported says {setting('ignore_failure', True)}: "
                    "without it, the next `pulumi up` starts a new conversion.",
                    "WARNING",
                )
            verified = instance.license_context if instance else None
            return Stored(ConversionState(found, False, verified), inputs={"region": found.region})
        refreshed = state._replace(task=found)
        if instance is not None and not instance.license_context.is_empty:
            refreshed = refreshed._replace(verified=instance.license_context)
            report_drift(op, aws, state, refreshed)
        if instance is not None and instance.state == "stopped" and has_mark(op.urn, instance):
            op.log(f"{instance.instance_id} is stopped and still has to be started: run `pulumi up`.", "WARNING")
        return Stored(refreshed)

    def update(
        self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs
    ) -> Stored[ConversionState]:
        """Follow the task to its end, or look it up again; bring to its end what an interrupted `up` has begun."""
        # It may have replaced one whose record is still there, because its create failed halfway.
        op.host.started_here.arns[op.urn] = state.request.resource_arn
        settled = is_settled(state.task, inputs)
        if settled and not (inputs.stop_and_restart or state.has_drifted):
            return Stored(state)
        region = inputs.region or state.task.region
        if not settled and not inputs.wait_for_completion:
            task = self._running_task(op, op.connect(inputs, task_id, region), state.task)
            if task.is_unfinished:  # what the diff has just seen is not asked for again
                return Stored(state._replace(task=merge(op, state.task, task)))
        held_id = None if settled else task_id
        job = Job(op, op.connect(inputs, held_id, region), replace_request(inputs, state), held_id, ends=settled)
        try:
            done = job.run()
        except LicenseConversionError as error:
            seen = error.task or job.facts.held
            return Stored(state._replace(task=merge(op, state.task, seen)) if seen else state, error)
        if done.task is not None:
            state = state._replace(task=merge(op, state.task, done.task))
        updated = state._replace(verified=done.verified or state.verified)
        if settled and done.verified is not None:
            report_drift(op, op.connect(inputs, task_id, region), state, updated)
        return Stored(updated)

    def delete(self, op: Operation, task_id: str, state: ConversionState, inputs: ConversionInputs) -> None:
        """Forget the conversion, with a warning: the license stays as it is, and AWS has no call to undo it.

        An instance that this resource has stopped, and not started again, is started if nothing is in progress; else
        a warning names it. The old half of a replacement is forgotten silently: the new conversion counts, and brings
        the instance to its end if it is the same one.
        """
        arn, arns = state.request.resource_arn, op.host.started_here.arns
        is_replaced = op.urn is not None and op.urn in arns
        # What it is licensed as now is not asked, so nothing is said of it.
        if state.is_begun:
            text = f"No conversion of {arn} was started."
        elif state.task.is_complete:
            text = f"{task_id} is only removed from the state: the license of {arn} stays as it is."
        else:
            continues = f"{task_id} continues in AWS, which cannot cancel a license conversion"
            text = f"{continues}: it is only removed from the state."
        if not is_replaced:
            op.log(text, "WARNING")
        elif arn == arns[op.urn]:
            return
        if not (arn and state.asked and state.asked.get("stop_and_restart")):
            return
        inputs = replace(replace_request(inputs, state), stop_and_restart=True, wait_for_completion=False)
        try:
            if self._is_marked(op, task_id, state, inputs):
                held_id = None if state.task.is_complete or state.is_begun else task_id
                aws = op.connect(inputs, held_id, state.task.region)
                Job(op, aws, inputs, held_id, ends=True).run()
        except LicenseConversionError as error:
            op.log(still_stopped_text(arn, error), "WARNING")


_PASSING = frozenset({"not-stopped", "never-shown", "refuse-other", "foreign-mark", "may-not-look"})
"""Refusals that what precedes the conversion in the same program, or time, may end: a preview only warns of them."""


def replace_request(inputs: ConversionInputs, state: ConversionState) -> ConversionInputs:
    """Return inputs about what is recorded: a delete has no others, and an update changes nothing of it."""
    asked = state.request
    return replace(
        inputs,
        resource_arn=asked.resource_arn,
        source_license_context=asked.source,
        destination_license_context=asked.destination,
    )


def _to_bug(cause: Exception, task_id: str, region: str | None) -> LicenseConversionError:
    """Return an unforeseen error as a line; the log has its traceback."""
    log.error("an error that is a bug", exc_info=cause)
    error = LicenseConversionError(
        errors.Subject(errors.WAIT_ACTION, task_id, region),
        f"{type(cause).__name__}: {cause}",
        "This is a bug of lmconv-resource: report it with what LMCONV_LOG=DEBUG shows. The task is not lost: the next "
        "`pulumi up` continues with it",
    )
    error.__cause__ = cause
    return error
