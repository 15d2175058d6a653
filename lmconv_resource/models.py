"""The values: a license conversion task, its two license contexts and its status.

`ConversionTask.from_answer` reads what AWS's API answers; `to_outputs` and `from_outputs` lead to what a stack stores
and back. Nothing here knows boto3 or Pulumi.

Source of the shapes: GetLicenseConversionTask in the AWS License Manager API reference
(https://docs.aws.amazon.com/license-manager/latest/APIReference/API_GetLicenseConversionTask.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple

from lmconv_resource.text import parse_rfc3339, to_plain_text, to_rfc3339

TASK_ID_PATTERN = re.compile(r"lct-[a-zA-Z0-9]+")
"""What a task id looks like. AWS's own pattern also lets a bare `lct-` through, which no task has."""

TASK_ID_MAX_LENGTH = 50
"""AWS's limit, in characters."""

PRODUCT_CODE_TYPE = "marketplace"
"""The one type of product codes that AWS knows."""


class InstanceArn(NamedTuple):
    """The ARN of an EC2 instance, in its parts."""

    partition: str
    region: str
    account: str
    instance_id: str

    @classmethod
    def parse(cls, value: object) -> InstanceArn | None:
        """Return the parts of an instance's ARN; None for anything else."""
        match = _INSTANCE_ARN.fullmatch(value) if isinstance(value, str) else None
        return cls(*match.groups()) if match else None


def to_id(resource_arn: str) -> str:
    """Return the id at the end of an instance's ARN."""
    return resource_arn.rpartition("/")[2]


class TaskStatus(str, Enum):
    """The status of a license conversion task, in AWS's words."""

    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


_INSTANCE_ARN = re.compile(r"arn:(aws[a-zA-Z-]*):ec2:([a-z0-9-]{1,63}):([0-9]{12}):instance/(i-[a-zA-Z0-9]{1,1013})")
"""Of a region AWS allows 63 characters, and 1024 of what is behind the account."""

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_JUST_NOW = datetime.max.replace(tzinfo=timezone.utc)


class AnswerError(ValueError):
    """An answer of AWS's that can't be read as a task. Its text says why."""


def _plain(text: str | None) -> str | None:
    return None if text is None else to_plain_text(text)


def _to_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(timezone.utc)


def _to_status(word: str | None) -> dict[str, Any]:
    """Return a status, one that AWS publishes or another, as members of a task."""
    try:
        return {"status": None if word is None else TaskStatus(word)}
    except ValueError:
        return {"unknown_status": word}


class ProductCode(NamedTuple):
    """A product code of a license context. AWS knows one type so far, `marketplace`."""

    product_code_id: str | None
    product_code_type: str | None


class LicenseContext(NamedTuple):
    """What a resource is licensed as: its usage operation (`RunInstances:0002`) and its product codes."""

    usage_operation: str | None = None
    product_codes: tuple[ProductCode, ...] = ()

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> LicenseContext:
        """Read a `LicenseConversionContext` of AWS's API."""
        return cls(
            usage_operation=_plain(answer.get("UsageOperation")),
            product_codes=tuple(
                ProductCode(_plain(code.get("ProductCodeId")), _plain(code.get("ProductCodeType")))
                for code in answer.get("ProductCodes") or ()
            ),
        )

    @classmethod
    def from_inputs(
        cls, inputs: Mapping[str, Any] | None, default_type: str | None = PRODUCT_CODE_TYPE
    ) -> LicenseContext:
        """Read a context as a program gives it and a stack stores it; what is none of it there counts as left out.

        Product codes without a type get the default: a program may leave it out, and the call that starts needs it.
        Without a default, an empty type stays as it is.
        """
        given = inputs if isinstance(inputs, Mapping) else {}
        codes = given.get("product_codes")
        return cls(
            usage_operation=given.get("usage_operation"),
            product_codes=tuple(
                ProductCode(code.get("product_code_id"), type or default_type or type)
                for code in (codes if isinstance(codes, (list, tuple)) else ())
                if isinstance(code, Mapping)
                for type in [code.get("product_code_type")]
            ),
        )

    def is_same(self, other: LicenseContext) -> bool:
        """Return whether two contexts say the same; neither the order of product codes nor their one type counts."""
        return self._key == other._key

    @property
    def _key(self) -> object:
        codes = {(code.product_code_id, code.product_code_type or PRODUCT_CODE_TYPE) for code in self.product_codes}
        return self.usage_operation, frozenset(codes)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing: a program left it out, or AWS did."""
        return self.usage_operation is None and not self.product_codes

    def is_satisfied_by(self, present: LicenseContext) -> bool:
        """Return whether a license is what this asks for. What this does not name may be anything: AWS fills codes in.

        An empty context asks for nothing that could be met.
        """
        if self.is_empty or self.usage_operation not in (None, present.usage_operation):
            return False
        return {code.product_code_id for code in self.product_codes} <= {
            code.product_code_id for code in present.product_codes
        }

    def to_request(self) -> Any:
        """Return the context as AWS's API takes it; what is not set is left out."""
        request: dict[str, Any] = {}
        if self.usage_operation:
            request["UsageOperation"] = self.usage_operation
        if self.product_codes:
            request["ProductCodes"] = [
                {"ProductCodeId": code.product_code_id, "ProductCodeType": code.product_code_type}
                for code in self.product_codes
            ]
        return request

    def to_outputs(self) -> dict[str, Any]:
        """Return the context as a stack stores it."""
        return {
            "usage_operation": self.usage_operation,
            "product_codes": [code._asdict() for code in self.product_codes],
        }


class ConversionTask(NamedTuple):
    """A license conversion task as AWS showed it at one moment. What AWS left out is None."""

    task_id: str
    """Empty in the record of a conversion that no task of AWS's stands for."""
    region: str
    resource_arn: str | None = None
    source_license_context: LicenseContext = LicenseContext()
    destination_license_context: LicenseContext = LicenseContext()
    status: TaskStatus | None = None
    status_message: str | None = None
    start_time: datetime | None = None
    license_conversion_time: datetime | None = None
    end_time: datetime | None = None
    unknown_status: str | None = None
    """A status that AWS's published model does not have, as it is; `status` is None then."""

    @property
    def status_text(self) -> str | None:
        """The status as AWS gave it, a known one or not; None where there is none."""
        return self.unknown_status if self.status is None else self.status.value

    @property
    def is_complete(self) -> bool:
        """True once the task has ended, in success or in failure."""
        return self.status in (TaskStatus.SUCCEEDED, TaskStatus.FAILED)

    @property
    def is_unfinished(self) -> bool:
        """Whether it may be under way: a word that AWS does not publish counts so, unless an end time is shown."""
        return not self.is_complete and (self.status is not None or self.end_time is None)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from start to end by AWS's clock; None until the task has ended."""
        if not self.is_complete or self.start_time is None or self.end_time is None:
            return None
        return (self.end_time - self.start_time).total_seconds()

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any], *, task_id: str, region: str) -> ConversionTask:
        """Read an answer of GetLicenseConversionTask, or one entry of ListLicenseConversionTasks.

        Raises:
            AnswerError: the answer is about another task than the one asked for, it has no status or no ARN, a member
                has not the documented type, or a time in it lies outside the years 1 to 9999 in UTC.
        """
        try:
            answered_id = answer.get("LicenseConversionTaskId") or task_id
            status = answer.get("Status")
            times: dict[str, Any] = {name: _to_utc(answer.get(key)) for name, key in _TIMES.items()}
            task = cls(
                task_id=task_id,
                region=region,
                resource_arn=_plain(answer.get("ResourceArn")),
                # One that AWS leaves out is an empty one, so that a program can always read its members.
                source_license_context=LicenseContext.from_answer(answer.get("SourceLicenseContext") or {}),
                destination_license_context=LicenseContext.from_answer(answer.get("DestinationLicenseContext") or {}),
                status_message=_plain(answer.get("StatusMessage")),
                **times,
                **_to_status(None if status is None else to_plain_text(str(status))),
            )
        except (AttributeError, TypeError) as cause:
            raise AnswerError("a member of the answer does not have the type that AWS documents") from cause
        except OverflowError as cause:
            raise AnswerError("a time in the answer is outside the years 1 to 9999") from cause
        if answered_id != task_id:
            raise AnswerError(f"the answer is about another task, {to_plain_text(str(answered_id))}")
        missing = [word for word, value in (("status", task.status_text), ("ARN", task.resource_arn)) if not value]
        if missing:
            raise AnswerError(f"the answer has no {' and no '.join(missing)}")
        return task

    @classmethod
    def started(cls, task_id: str, region: str, request: ConversionRequest) -> ConversionTask:
        """Return what is known of a task that was started just now and that AWS has not shown yet."""
        return cls(task_id, region, request.resource_arn, request.source, request.destination)

    def to_outputs(self) -> dict[str, Any]:
        """Return the task as a stack stores it: one entry for each output of the resource."""
        return {
            "license_conversion_task_id": self.task_id or None,
            "region": self.region or None,
            "resource_arn": self.resource_arn,
            "source_license_context": self.source_license_context.to_outputs(),
            "destination_license_context": self.destination_license_context.to_outputs(),
            "status": self.status_text,
            "status_message": self.status_message,
            **{name: moment and to_rfc3339(moment) for name in _TIMES for moment in [getattr(self, name)]},
            "is_complete": self.is_complete,
            "duration_seconds": self.duration_seconds,
        }

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> ConversionTask:
        """Read a task as a stack of any version stores it; what got lost on the way through Pulumi's engine is None."""
        times: dict[str, Any] = {name: _parse_time(outputs.get(name)) for name in _TIMES}
        return cls(
            task_id=outputs.get("license_conversion_task_id") or "",
            region=outputs.get("region") or "",
            resource_arn=outputs.get("resource_arn"),
            source_license_context=LicenseContext.from_inputs(outputs.get("source_license_context"), None),
            destination_license_context=LicenseContext.from_inputs(outputs.get("destination_license_context"), None),
            status_message=outputs.get("status_message"),
            **times,
            **_to_status(outputs.get("status")),
        )


_TIMES = {"start_time": "StartTime", "license_conversion_time": "LicenseConversionTime", "end_time": "EndTime"}
"""The times of a task, each with AWS's name."""


def _parse_time(text: object) -> datetime | None:
    try:
        return _to_utc(parse_rfc3339(text)) if isinstance(text, str) else None
    except ValueError:  # of a record that was edited by hand
        return None


OUTPUTS = tuple(ConversionTask(task_id="", region="").to_outputs())
"""The names of the resource's outputs."""


class ConversionRequest(NamedTuple):
    """A conversion that a program declares. An empty source is whatever the resource is licensed as."""

    resource_arn: str
    source: LicenseContext
    destination: LicenseContext

    def matches(self, task: ConversionTask) -> bool:
        """Return whether a task converts to the same, and from the same where a source is declared.

        A source that is the destination was read from a resource that is converted already, so any other will do.
        """
        if not self.destination.is_satisfied_by(task.destination_license_context):
            return False
        return self.source.is_empty or self.is_noop or self.source.is_satisfied_by(task.source_license_context)

    def is_done(self, present: LicenseContext) -> bool:
        """Return whether a license is what this leads to. One that is its source too is not, unless both are one."""
        starts_there = self.source.is_satisfied_by(present) and self.destination.is_satisfied_by(self.source)
        return self.destination.is_satisfied_by(present) and (self.is_noop or not starts_there)

    def reverts(self, other: ConversionRequest) -> bool:
        """Return whether this undoes another conversion of the same resource."""
        return (
            self.resource_arn == other.resource_arn
            and self.source.is_satisfied_by(other.destination)
            and self.destination.is_satisfied_by(other.source)
        )

    @property
    def is_noop(self) -> bool:
        """Whether both contexts are the same, so that there is nothing to convert."""
        return self.source.is_same(self.destination)


def sort_newest_first(tasks: Iterable[ConversionTask]) -> list[ConversionTask]:
    """Return the tasks, the one that started last first.

    One in progress without a start time has just started, and one that ended without is the oldest. Of those with the
    same start time the one in progress is the newest, or else the one that ended last.
    """

    def rank(task: ConversionTask) -> tuple[datetime, bool, datetime, str]:
        start = task.start_time or (_LONG_AGO if task.is_complete else _JUST_NOW)
        return start, not task.is_complete, task.end_time or _LONG_AGO, task.task_id

    return sorted(tasks, key=rank, reverse=True)


def select_newest(tasks: Iterable[ConversionTask]) -> ConversionTask | None:
    """Return the task that started last, None where there is none."""
    return next(iter(sort_newest_first(tasks)), None)
