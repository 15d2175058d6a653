"""What is decided before a conversion is started: whether it is done, what it starts from, whether to try once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmconv_resource.errors import CREATE_ACTION, LicenseConversionError, Subject
from lmconv_resource.lifecycle.history import find_done, find_leading_to, find_repeated_failures
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.text import to_failure_reason
from lmconv_resource.usage_operations import describe, find_unlisted_reason


@dataclass(frozen=True)
class StartResult:
    """The task that a declared conversion follows, and whether it was there already.

    Where EC2 bills the resource as the destination and AWS shows no task that led there, the id is the resource's ARN,
    and `present` stands for the task.
    """

    task_id: str
    adopted: bool
    present: ConversionTask | None = None


def adopt_done(
    op: Operation,
    aws: Aws,
    request: ConversionRequest,
    tasks: Sequence[ConversionTask],
    present: LicenseContext,
    *,
    correct_drift: bool,
) -> StartResult | None:
    """Return what has already done it, by EC2's word or by the history of the resource's tasks; None if nothing has."""
    if request.is_done(present):
        led_here = find_leading_to(request.destination, tasks)
        if led_here is not None:
            return adopt(op, led_here.task_id, "has already done it")
        op.log(f"EC2 bills {request.resource_arn} as {_to_text(present)} already; no conversion is started.")
        return StartResult(request.resource_arn, True, _to_present(aws, request, present))
    if correct_drift and not present.is_empty:
        return None
    done = find_done(request, tasks, None if present.is_empty else present)
    if done is None:
        return None
    if done.led_on_by is not None:
        if request.source.is_empty:  # it may be a step of several, or meant to be the end: nobody can tell
            op.log(
                "A later conversion has led on from what is declared. Unless that is a step of this program too, set "
                "correct_drift=True to have it converted back.",
                "WARNING",
            )
        led_on = f"has already done it, and {done.led_on_by.task_id} has led on from there, to "
        return adopt(op, done.task.task_id, led_on + _to_text(done.led_on_by.destination_license_context))
    result = adopt(op, done.task.task_id, "has already done it")
    if not present.is_empty:
        op.log(
            f"EC2 bills {request.resource_arn} as {_to_text(present)} nevertheless; set correct_drift=True to have it "
            "converted again.",
            "WARNING",
        )
    return result


def resolve(
    op: Operation, aws: Aws, request: ConversionRequest, present: LicenseContext, *, corrects: bool
) -> ConversionRequest:
    """Return the conversion with its source: what is declared, or else what EC2 shows."""
    subject = Subject(CREATE_ACTION, None, aws.region, request.resource_arn)
    if not present.is_empty and (request.source.is_empty or corrects):
        resolved = ConversionRequest(request.resource_arn, present, request.destination)
        warning = find_unlisted_reason(resolved.source, resolved.destination)
        if warning:
            op.log(warning, "WARNING")
        return resolved
    if request.source.is_empty:
        reason = "EC2 does not show what it is billed as"
        raise LicenseConversionError(subject, reason, "Check the ARN and the region, or give source_license_context")
    if request.is_noop:
        shown = f"EC2 bills it as {_to_text(present)}" if not present.is_empty else "EC2 does not say what it is"
        raise LicenseConversionError(
            subject,
            f"source_license_context is the same as the destination, and {shown}",
            "Leave source_license_context out, so that it is read from the instance",
        )
    return request


def check_failures(
    op: Operation, aws: Aws, request: ConversionRequest, tasks: Sequence[ConversionTask], *, retry_failed: bool
) -> None:
    """Raise an error when the last three tasks to the destination FAILED, unless somebody asks for one more."""
    failures = find_repeated_failures(request.destination, tasks, op.host.runtime.wall())
    if not failures or retry_failed:
        return
    is_forced = op.host.is_replaced_by_command(op.urn)
    if is_forced:
        return
    reasons = ", ".join(f"{task.task_id}: {to_failure_reason(task.status_message).rstrip('.')}" for task in failures)
    by_force = "" if is_forced is None else f" or run `pulumi up --replace '{op.urn}'`"
    raise LicenseConversionError(
        Subject(CREATE_ACTION, None, aws.region, request.resource_arn),
        f"the last {len(failures)} conversions FAILED within 24 hours, so that none is started unattended ({reasons})",
        f"Fix the cause, then set retry_failed=True{by_force} to start one",
    )


def adopt(op: Operation, task_id: str, done: str) -> StartResult:
    """Return a task that is there already as what is followed, and say so."""
    op.log(f"{task_id} {done} and is adopted; no conversion is started.")
    return StartResult(task_id, adopted=True)


def _to_text(context: LicenseContext) -> str:
    codes = ", ".join(code.product_code_id or "" for code in context.product_codes)
    operation = describe(context.usage_operation) if context.usage_operation else "no usage operation"
    return f"{operation} with the product codes {codes}" if codes else operation


def _to_present(aws: Aws, request: ConversionRequest, present: LicenseContext) -> ConversionTask:
    """Return what stands for a task where AWS shows none that led to what the instance is billed as."""
    return ConversionTask(
        request.resource_arn,
        aws.region,
        request.resource_arn,
        destination_license_context=present,
        status=TaskStatus.SUCCEEDED,
        status_message="EC2 bills it as this already; AWS shows no task that led there",
    )
