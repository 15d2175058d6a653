"""A license conversion task and how it gets from IN_PROGRESS to its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from moto.moto_api import state_manager
from moto.moto_api._internal.managed_state_model import ManagedState

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

IN_PROGRESS, SUCCEEDED, FAILED = "IN_PROGRESS", "SUCCEEDED", "FAILED"

MODEL_NAME = "licensemanager::conversiontask"
"""The name to give moto's `state_manager.set_transition` for tasks that were added without seconds or polls."""


@dataclass(frozen=True)
class ProductCode:
    """A product code of the Marketplace."""

    product_code_id: str
    product_code_type: str = "marketplace"


@dataclass(frozen=True)
class LicenseContext:
    """A license type that a task converts from or to: a usage operation, product codes, or both."""

    usage_operation: str | None = None
    product_codes: tuple[ProductCode, ...] = ()

    @classmethod
    def from_wire(cls, context: dict[str, Any]) -> LicenseContext:
        """Return the context for AWS's `{"UsageOperation": ..., "ProductCodes": [...]}`."""
        codes = context.get("ProductCodes") or []
        return cls(
            usage_operation=context.get("UsageOperation"),
            product_codes=tuple(ProductCode(code["ProductCodeId"], code["ProductCodeType"]) for code in codes),
        )

    def __str__(self) -> str:
        """Return the usage operation and the ids of the product codes, in one line."""
        codes = ", ".join(code.product_code_id for code in self.product_codes)
        return " with ".join(part for part in (self.usage_operation, codes) if part)

    def to_wire(self) -> dict[str, Any]:
        """Return AWS's `{"UsageOperation": ..., "ProductCodes": [...]}`; what there is none of is absent."""
        wire: dict[str, Any] = {}
        if self.usage_operation is not None:
            wire["UsageOperation"] = self.usage_operation
        if self.product_codes:
            wire["ProductCodes"] = [
                {"ProductCodeId": code.product_code_id, "ProductCodeType": code.product_code_type}
                for code in self.product_codes
            ]
        return wire


@dataclass(frozen=True)
class Course:
    """When and how a task ends: after `seconds`, at the poll number `polls`, or, with neither, as moto is configured.

    moto's own setting for `licensemanager::conversiontask` is "immediate" unless a test sets another. A task whose
    status is IN_PROGRESS stays so until `finish_task`.
    """

    status: str = SUCCEEDED
    message: str | None = None
    seconds: float | None = None
    polls: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and self.polls is not None:
            raise ValueError("a task ends after seconds or after polls, not both")
        if (self.seconds or 0) < 0 or (self.polls or 0) < 0:
            raise ValueError("seconds and polls cannot be negative")
        if self.status == IN_PROGRESS and (self.seconds is not None or self.polls is not None):
            raise ValueError("a task that stays IN_PROGRESS has no seconds and no polls")

    def to_transition(self) -> dict[str, Any]:
        """Return the course in the words of moto's state manager."""
        if self.seconds is not None:
            return {"progression": "time", "seconds": self.seconds}
        if self.polls is not None:
            return {"progression": "manual", "times": self.polls}
        return state_manager.get_transition(MODEL_NAME)


class ConversionTask(ManagedState):
    """A license conversion task of one account and region, as License Manager would report it now."""

    def __init__(
        self,
        *,
        task_id: str,
        resource_arn: str,
        source: LicenseContext,
        destination: LicenseContext,
        course: Course,
        started: datetime | None,
        clock: Callable[[], float],
        lock: RLock,
        on_success: Callable[[datetime], None] | None = None,
    ) -> None:
        super().__init__(MODEL_NAME, transitions=[(IN_PROGRESS, course.status)])
        self.task_id = task_id
        self.resource_arn = resource_arn
        self.source = source
        self.destination = destination
        self._course = course
        self._message = course.message if course.status == IN_PROGRESS else None
        self._clock = clock
        self._lock = lock
        self._on_success = on_success
        self._added = clock()
        self.start_time = started or _to_datetime(self._added)
        self._license_conversion_time: datetime | None = None
        self._end_time: datetime | None = None

    @property
    def status(self) -> str:
        """IN_PROGRESS, SUCCEEDED, FAILED, or whatever the task was told to end with. Reading it is not a poll."""
        with self._lock:
            self._settle()
            return str(self._status)

    @status.setter
    def status(self, value: str) -> None:
        self.finish(value)

    @property
    def end_time(self) -> datetime | None:
        """When the task ended; None while it is IN_PROGRESS. In UTC."""
        with self._lock:
            self._settle()
            return self._end_time

    def finish(self, status: str, message: str | None = None) -> None:
        """End the task now, whatever its course was; a task that had ended gets the new end."""
        with self._lock:
            self._end(status, message, self._clock())

    def to_wire(self) -> dict[str, Any]:
        """Return the task in AWS's members, with aware datetimes; what it does not have yet is absent."""
        with self._lock:
            self._settle()
            members = {
                "LicenseConversionTaskId": self.task_id,
                "ResourceArn": self.resource_arn,
                "SourceLicenseContext": self.source.to_wire(),
                "DestinationLicenseContext": self.destination.to_wire(),
                "StatusMessage": self._message,
                "Status": self._status,
                "StartTime": self.start_time,
                "LicenseConversionTime": self._license_conversion_time,
                "EndTime": self._end_time,
            }
        return {name: value for name, value in members.items() if value is not None}

    def _settle(self) -> None:
        """Bring the task to its end when that is due."""
        if self._status != IN_PROGRESS or self._course.status == IN_PROGRESS:
            return
        transition, now = self._course.to_transition(), self._clock()
        progression = transition["progression"]
        if progression == "immediate":
            self._end(self._course.status, self._course.message, self._added)
        elif progression == "manual" and self._tick >= transition["times"]:
            self._end(self._course.status, self._course.message, now)
        elif progression == "time" and now >= self._added + transition["seconds"]:
            # The end is when it was due, not when it was read.
            self._end(self._course.status, self._course.message, self._added + transition["seconds"])

    def _end(self, status: str, message: str | None, moment: float) -> None:
        self._status, self._message = status, message
        self._end_time = _to_datetime(moment)
        self._license_conversion_time = self._end_time if status == SUCCEEDED else None
        if status == SUCCEEDED and self._on_success is not None:
            self._on_success(self._end_time)


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
