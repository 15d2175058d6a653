"""What a stack stores, and how a record compares with what AWS says now.

Where EC2 bills an instance as something else than what it was converted to, that is drift. Records of every earlier
version, and records that lost their nulls on the way through the engine, are read as well.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.history import newest_task_to
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.text import setting, to_duration_text, to_one_line
from lmconv_resource.usage_operations import describe

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.lifecycle.inputs import Inputs
    from lmconv_resource.lifecycle.operation import Operation, Properties

log = logging.getLogger(__name__)

REQUEST = "__request"
"""What was asked for, in the state of a conversion. The outputs of the same names are AWS's words, which may differ."""

TABLE = "__table"
"""The rows as they were asked for, in the state of a fleet; the output `instances` has what became of them."""


def must_await(recorded: ConversionTask, inputs: Inputs) -> bool:
    """Return whether a program wants an end, or a success, that the record does not show."""
    is_failure = recorded.status is TaskStatus.FAILED and not inputs.ignore_failure
    return inputs.wait_for_completion and (not recorded.is_complete or is_failure)


def is_settled(recorded: ConversionTask, inputs: Inputs) -> bool:
    """Return whether a task has ended as the program wants it, so that an update has nothing to ask."""
    return recorded.is_complete and not must_await(recorded, inputs)


def merge(op: Operation, recorded: ConversionTask, found: ConversionTask) -> ConversionTask:
    """Return what is to be recorded. The record of a task that has ended never loses a value.

    Where AWS takes the end back, a warning says so.
    """
    if not recorded.is_complete:
        return found
    if found.status_text != recorded.status_text:
        op.log(
            f"{found.task_id} is recorded as {recorded.status_text} and AWS now reports {found.status_text}. "
            "The record is kept; check the task in the AWS console.",
            "WARNING",
        )
        return recorded
    said = found._asdict()
    return recorded._replace(**{name: value for name, value in said.items() if value not in (None, LicenseContext())})


def to_change_text(recorded: ConversionTask, found: ConversionTask) -> str | None:
    """Return what has become of a task: `lct-… IN_PROGRESS → SUCCEEDED after 42m10s`; None if nothing has."""
    message = to_one_line(found.status_message or "")
    if recorded.status_text != found.status_text:
        change = f"{found.task_id} {recorded.status_text or 'no status'} → {found.status_text or 'no status'}"
        if found.duration_seconds is not None:
            change = f"{change} after {to_duration_text(found.duration_seconds)}"
        return f"{change}: {message}" if found.status is TaskStatus.FAILED and message else change
    if recorded.status_message != found.status_message and message:
        return f"{found.task_id} {found.status_text}: {message}"
    return None


class ConversionState(NamedTuple):
    """What a stack stores of a conversion: its task, and what is known of its start and of EC2's view."""

    task: ConversionTask
    """With an empty id where no task of AWS's stands for it."""
    adopted: bool = False
    verified: LicenseContext | None = None
    """What EC2 bills the instance as, None where it was not asked or did not say."""
    asked: Properties | None = None

    @classmethod
    def from_outputs(cls, outputs: Properties) -> ConversionState:
        """Read what a stack has stored."""
        operation = outputs.get("verified_usage_operation")
        codes = outputs.get("verified_product_codes")
        if codes is None:  # a record of an older version says nothing of codes, and they are taken to be right
            destination = outputs.get("destination_license_context")
            codes = destination.get("product_codes") if operation and isinstance(destination, Mapping) else None
        verified = LicenseContext.from_inputs({"usage_operation": operation, "product_codes": codes})
        asked = outputs.get(REQUEST)
        return cls(
            ConversionTask.from_outputs(outputs),
            bool(outputs.get("adopted")),
            None if verified.is_empty else verified,
            asked if isinstance(asked, Mapping) else None,
        )

    def to_outputs(self) -> dict[str, Any]:
        """Return what a stack stores."""
        verified = self.verified.to_outputs() if self.verified else {"usage_operation": None, "product_codes": None}
        extras = {"adopted": self.adopted, **{f"verified_{name}": value for name, value in verified.items()}}
        return {**extras, **({REQUEST: self.asked} if self.asked else {}), **self.task.to_outputs()}

    @property
    def is_begun(self) -> bool:
        """Whether a conversion was begun and no task started: its instance was stopped, and the `up` ended."""
        return not self.task.task_id and self.task.status_text is None

    @property
    def request(self) -> ConversionRequest:
        """What was asked for; in states that do not say, what AWS showed."""
        asked: Mapping[str, Any] = {**self.task.to_outputs(), **(self.asked or {})}
        return ConversionRequest(
            asked.get("resource_arn") or "",
            LicenseContext.from_inputs(asked.get("source_license_context")),
            LicenseContext.from_inputs(asked.get("destination_license_context")),
        )

    @property
    def has_drifted(self) -> bool:
        """Whether EC2 bills the instance as something else than what it was converted to."""
        is_done = self.task.status is TaskStatus.SUCCEEDED
        return is_done and self.verified is not None and not self.request.destination.is_satisfied_by(self.verified)


def report_drift(op: Operation, aws: Connection, recorded: ConversionState, refreshed: ConversionState) -> None:
    """Warn when a refresh sees that the instance is no longer billed as what it was converted to.

    Where a later conversion has led there, as the second of two steps does, that is said once, and not as a warning.
    """
    if not refreshed.has_drifted or refreshed.verified is None:
        return
    arn, present = refreshed.request.resource_arn, refreshed.verified
    billed = f"EC2 bills {arn} as {describe(present.usage_operation or 'nothing that it shows')}"
    led_on = _find_later(aws, refreshed, present)
    if led_on is not None:
        if recorded.verified != present:
            op.log(f"{billed} since {led_on.task_id}, a later conversion.")
        return
    wanted = describe(refreshed.request.destination.usage_operation or "its destination")
    op.log(
        f"{billed}, and no longer as {wanted}. Set {setting('correct_drift', True)} to have the next "
        "`pulumi up` convert it again.",
        "WARNING",
    )


def _find_later(aws: Connection, state: ConversionState, present: LicenseContext) -> ConversionTask | None:
    """Return the conversion that has led on to what the instance is billed as, unless it led back."""
    if state.request.source.is_satisfied_by(present):
        return None
    try:
        tasks = aws.license_manager.list_tasks(state.request.resource_arn)
    except LicenseConversionError as error:
        log.info("whether a later conversion has led there is not known: %s", error)
        return None
    led_here = newest_task_to(present, tasks)
    began = state.task.start_time
    is_later = led_here is not None and led_here.start_time and began and led_here.start_time > began
    return led_here if is_later else None
