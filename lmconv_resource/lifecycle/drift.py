"""Drift: EC2 bills an instance as something else than what it was converted to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.history import newest_task_to
from lmconv_resource.lifecycle.operation import Operation
from lmconv_resource.lifecycle.state import ConversionState
from lmconv_resource.models import ConversionTask, LicenseContext
from lmconv_resource.usage_operations import describe
from lmconv_resource.wording import setting

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)


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
        tasks = aws.license_manager.list_tasks(resource_arn=state.request.resource_arn)
    except LicenseConversionError as error:
        log.info("whether a later conversion has led there is not known: %s", error)
        return None
    led_here = newest_task_to(present, tasks)
    began = state.task.start_time
    is_later = led_here is not None and led_here.start_time and began and led_here.start_time > began
    return led_here if is_later else None
