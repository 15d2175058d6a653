"""What a stack stores of a task, and how two states compare.

States of every earlier version, and states that lost their nulls on the way through the engine, are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from lmconv_resource.lifecycle.operation import Properties
from lmconv_resource.models import (
    FINISHED_STATUSES,
    OUTPUTS,
    ConversionRequest,
    ConversionTask,
    LicenseContext,
    TaskStatus,
)
from lmconv_resource.text import parse_rfc3339, to_duration_text, to_one_line

_FINISHED = frozenset(status.value for status in FINISHED_STATUSES)

STOPS = "stop_and_restart"

REQUEST = "__request"
"""What was asked for, in the state of a conversion. The outputs of the same names are AWS's words, which may differ."""


@dataclass(frozen=True)
class TaskState:
    """What a stack stores of a task: its outputs by name."""

    outputs: Properties

    @classmethod
    def of(cls, task: ConversionTask) -> TaskState:
        """Return the state that shows a task as it is now."""
        return cls(task.to_outputs())

    @classmethod
    def of_instance(cls, task: ConversionTask) -> TaskState:
        """Return the state of a conversion that no task of AWS's stands for: the instance is billed as wanted."""
        return cls({**task.to_outputs(), "license_conversion_task_id": None})

    @property
    def is_of_instance(self) -> bool:
        """Whether no task of AWS's stands for this, so that none can be looked up."""
        return self.outputs.get("license_conversion_task_id") is None and self.is_finished

    @property
    def is_begun(self) -> bool:
        """Whether a conversion was begun and no task started: its instance was stopped, and the `up` ended."""
        return self.outputs.get("license_conversion_task_id") is None and self.status is None

    @classmethod
    def parse(cls, properties: Properties) -> TaskState:
        """Return what a stack has stored."""
        return cls({name: properties.get(name) for name in OUTPUTS})

    def to_properties(self) -> dict[str, object]:
        """Return what a stack stores."""
        return {name: self.outputs.get(name) for name in OUTPUTS}

    @property
    def status(self) -> str | None:
        """The task's status."""
        return cast("str | None", self.outputs.get("status"))

    @property
    def status_message(self) -> str | None:
        """What AWS said of the status."""
        return cast("str | None", self.outputs.get("status_message"))

    @property
    def region(self) -> str | None:
        """The region that the task was looked up in."""
        return cast("str | None", self.outputs.get("region"))

    @property
    def start_time(self) -> datetime | None:
        """When the conversion started."""
        text = self.outputs.get("start_time")
        return parse_rfc3339(cast(str, text)) if text else None

    @property
    def is_finished(self) -> bool:
        """Whether the task has ended: it never changes again, so nobody needs to be asked."""
        return self.status in _FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether the task ended FAILED."""
        return self.status == TaskStatus.FAILED.value

    def must_await(self, *, wait_for_completion: bool, ignore_failure: bool) -> bool:
        """Return whether a program wants an end, or a success, that this does not show."""
        return wait_for_completion and (not self.is_finished or (self.has_failed and not ignore_failure))

    def is_settled_for(self, wait_for_completion: bool, ignore_failure: bool) -> bool:
        """Return whether the task has ended as the program wants it, so that an update has nothing to ask."""
        return self.is_finished and not self.must_await(
            wait_for_completion=wait_for_completion, ignore_failure=ignore_failure
        )

    def changed_outputs(self, found: TaskState) -> tuple[str, ...]:
        """Return the names of the outputs that differ, where null and absent are the same at any depth."""
        return tuple(name for name in OUTPUTS if _plain(self.outputs.get(name)) != _plain(found.outputs.get(name)))

    def is_reopened_by(self, found: TaskState) -> bool:
        """Return whether AWS now says something else of a task that this shows as ended."""
        return self.is_finished and found.status != self.status

    def merged_with(self, found: TaskState) -> TaskState:
        """Return what was found merged into this. The state of a task that has ended never loses a value."""
        if not self.is_finished:
            return found
        if self.is_reopened_by(found):
            return self
        said = {name: value for name, value in found.outputs.items() if _says_something(value)}
        return TaskState({name: said.get(name, self.outputs.get(name)) for name in OUTPUTS})

    def to_change_text(self, task_id: str, found: TaskState) -> str | None:
        """Return what has become of the task: `lct-… IN_PROGRESS → SUCCEEDED after 42m10s`; None if nothing has."""
        message = found.status_message
        if self.status != found.status:
            change = f"{task_id} {self.status or 'no status'} → {found.status or 'no status'}"
            seconds = cast("float | None", found.outputs["duration_seconds"])
            change = change if seconds is None else f"{change} after {to_duration_text(seconds)}"
            return f"{change}: {to_one_line(message)}" if found.has_failed and message else change
        if self.status_message != message and message:
            return f"{task_id} {found.status}: {to_one_line(message)}"
        return None


def _says_something(value: object) -> bool:
    return any(value.values()) if isinstance(value, Mapping) else value is not None


def _plain(value: Any) -> Any:
    """Return a value without nulls at any depth, and an empty context as none."""
    if isinstance(value, Mapping):
        kept = {name: _plain(entry) for name, entry in value.items() if entry is not None}
        return kept if any(kept.values()) else None
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class ConversionState:
    """What a stack stores of a conversion: its task, and what is known of its start and of EC2's view."""

    task: TaskState
    adopted: bool = False
    verified: LicenseContext | None = None
    """What EC2 bills the instance as, None where it was not asked or did not say."""
    asked: Properties | None = None

    @classmethod
    def parse(cls, properties: Properties) -> ConversionState:
        """Return what a stack has stored."""
        operation = cast("str | None", properties.get("verified_usage_operation"))
        codes = cast("list[Any] | None", properties.get("verified_product_codes"))
        if codes is None:  # a record of an older version says nothing of codes, and they are taken to be right
            destination = cast("Mapping[str, Any] | None", properties.get("destination_license_context")) or {}
            codes = destination.get("product_codes") if operation else None
        verified = LicenseContext.from_inputs({"usage_operation": operation, "product_codes": codes})
        return cls(
            TaskState.parse(properties),
            bool(properties.get("adopted")),
            None if verified.is_empty else verified,
            cast("Properties | None", properties.get(REQUEST)),
        )

    def to_properties(self) -> dict[str, object]:
        """Return what a stack stores."""
        verified = self.verified.to_outputs() if self.verified else {"usage_operation": None, "product_codes": None}
        extras = {"adopted": self.adopted, **{f"verified_{name}": value for name, value in verified.items()}}
        return {**extras, **({REQUEST: self.asked} if self.asked else {}), **self.task.to_properties()}

    @property
    def request(self) -> ConversionRequest:
        """What was asked for; in states that do not say, what AWS showed."""
        asked: Mapping[str, Any] = {**self.task.outputs, **(self.asked or {})}
        return ConversionRequest(
            asked.get("resource_arn") or "",
            LicenseContext.from_inputs(asked.get("source_license_context")),
            LicenseContext.from_inputs(asked.get("destination_license_context")),
        )

    @property
    def has_stopped(self) -> bool:
        """Whether its conversion was to stop the instance, so that it may still have to be started."""
        return bool((self.asked or {}).get(STOPS))

    @property
    def has_drifted(self) -> bool:
        """Whether EC2 bills the instance as something else than what it was converted to."""
        is_done = self.task.status == TaskStatus.SUCCEEDED.value
        return is_done and self.verified is not None and not self.request.destination.is_satisfied_by(self.verified)
