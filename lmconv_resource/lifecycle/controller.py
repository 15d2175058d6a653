"""What both resources share: how an operation reaches AWS, follows a task to its end, and reads it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from typing_extensions import Self

from lmconv_resource.aws.remedies import find_remedy
from lmconv_resource.errors import (
    CONNECT_ACTION,
    WAIT_ACTION,
    ConversionFailedError,
    SettingsError,
    Subject,
    TaskNotFoundError,
)
from lmconv_resource.lifecycle.inputs import GET_PROPERTIES, Inputs, Property, find_unknown, validate
from lmconv_resource.lifecycle.operation import (
    Aws,
    Checked,
    CheckFailure,
    Created,
    Diff,
    Operation,
    Properties,
    Refreshed,
    Updated,
    Way,
)
from lmconv_resource.lifecycle.place import default_region, validate_caller, validate_place
from lmconv_resource.lifecycle.state import find_changed, is_reopened, merge, to_change_text
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.polling.wait import Wait, to_wait_text
from lmconv_resource.text import to_failure_reason


class Recorded(Protocol):
    """What a stack stores of a resource, as a value."""

    @classmethod
    def from_outputs(cls, outputs: Properties) -> Self:
        """Read what a stack has stored, of any version."""

    def to_outputs(self) -> dict[str, Any]:
        """Return what a stack stores."""


InputsT = TypeVar("InputsT", bound=Inputs)
StateT = TypeVar("StateT", bound=Recorded)


class Controller(ABC, Generic[InputsT, StateT]):
    """The lifecycle of a resource. Holds nothing: one object serves all resources from many threads at once."""

    inputs: type[InputsT]
    """What a program gives, and the table of it."""
    state: type[StateT]
    """What a stack stores, of any version."""

    def parse_certain(self, properties: Properties) -> InputsT:
        """Return inputs for what can't be undone, which a host may ask for without a check.

        Raises:
            SettingsError: a check would refuse them, or a value is not known.
        """
        given = {**properties, **self._find_defaults(properties)}
        unknown = sorted(find_unknown(given, (entry.name for entry in self.inputs.properties)))
        failures = [f"{name} is not known" for name in unknown] or [each.reason for each in self._validate(given)]
        if failures:
            raise SettingsError(Subject(CONNECT_ACTION), failures[0], "Correct it in the program")
        return self.inputs.parse(given)

    def check(self, op: Operation, olds: Properties | None, news: Properties) -> Checked:
        """Return the values of what the program left out, and what is wrong with the inputs."""
        defaults = self._find_defaults(news)
        try:
            if news.get("region") in (None, ""):  # what else is empty is no region, and a failure
                defaults["region"] = default_region(op, olds, news)
        except SettingsError as error:
            return Checked({}, (CheckFailure("region", str(error)),))
        checked = {**news, **defaults}
        failures = (
            self._validate(checked)
            or validate_place(op, olds, checked)
            or validate_caller(op, olds, checked)
            or self._validate_in_aws(op, olds, checked)
        )
        return Checked(defaults, tuple(failures))

    def _find_defaults(self, given: Properties) -> dict[str, object]:
        return {
            entry.name: entry.default
            for entry in self.inputs.properties
            if entry.default is not None and given.get(entry.name) is None
        }

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        """Return what is wrong with the inputs themselves."""
        return validate(checked, self.inputs.properties)

    def _validate_in_aws(self, op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
        """Return what AWS has against the inputs."""
        return []

    @abstractmethod
    def diff(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> Diff:
        """Return what the program asks for, and what AWS says, that the state does not have."""

    def preview(self, op: Operation, state: StateT | None, inputs: InputsT) -> None:
        """Say what an update would do, where a check has not said it, with the state of a resource that has one."""

    @abstractmethod
    def create(self, op: Operation, inputs: InputsT) -> Created[StateT]:
        """Return the new resource's state once it is as asked for."""

    @abstractmethod
    def read(self, op: Operation, task_id: str, state: StateT | None, inputs: InputsT) -> Refreshed[StateT]:
        """Return the resource as it is now. `state` is None where it is read for the first time, by its id."""

    @abstractmethod
    def update(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> Updated[StateT]:
        """Return the changed resource's state once it is as asked for."""

    @abstractmethod
    def delete(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> None:
        """Forget the task. AWS has no call that undoes or cancels a conversion, so nothing happens there."""

    # -- steps that both resources take --------------------------------------------------------------------------------

    failed_remedy: ClassVar[str] = ConversionFailedError.remedy
    """What to do about a task that ended FAILED."""

    def _connect(self, op: Operation, inputs: InputsT, task_id: str | None = None, region: str | None = None) -> Aws:
        """Return AWS by the way that inputs say, in this region, else in theirs or in that of the settings."""
        try:
            resolved = op.host.resolve_region(region or inputs.region, inputs.profile)
            if resolved is not None:
                return op.connect(Way(resolved, inputs.profile, inputs.assume_roles))
        except SettingsError as error:
            raise error.about(task_id=task_id) from error.__cause__
        remedy = f"Run `pulumi config set {op.host.setting_prefix}region REGION`"
        raise SettingsError(Subject(CONNECT_ACTION, task_id), "no region is set", remedy)

    @staticmethod
    def _find_unknown_way(inputs: InputsT) -> tuple[str, ...]:
        """Return which inputs a preview would have to know to ask AWS the way that they say."""
        return tuple(sorted(inputs.unknown.intersection(("profile", "assume_role"))))

    def _await_or_get(
        self,
        op: Operation,
        aws: Aws,
        inputs: InputsT,
        task_id: str,
        *,
        may_be_recent: bool = False,
        is_known: bool = True,
    ) -> ConversionTask:
        """Return the task as it is now, or, with the wait option, as it ended; a FAILED one that counts is an error.

        Where it may be recent, what the diff has just seen is not asked for again. Of one that is not known there is
        only the id that the program gives.
        """
        if not inputs.wait_for_completion:
            task = aws.get_recent_task(task_id) if may_be_recent else aws.license_manager.get_task(task_id)
        else:
            task = self._await(op, aws, inputs, task_id, is_known=is_known)
            if task.status is TaskStatus.FAILED and not inputs.ignore_failure:
                reason = f"it FAILED: {to_failure_reason(task.status_message).rstrip('.')}"
                subject = Subject(WAIT_ACTION, task.task_id, task.region)
                known = find_remedy(task.status_message or "")
                remedy = f"{known}. {self.failed_remedy}" if known else self.failed_remedy
                raise ConversionFailedError(subject, reason, remedy, task=task)
        if task.status is TaskStatus.FAILED:
            op.log(f"{task.task_id} FAILED: {to_failure_reason(task.status_message)}", "WARNING")
        return task

    def _await(self, op: Operation, aws: Aws, inputs: InputsT, task_id: str, *, is_known: bool) -> ConversionTask:
        def report(wait: Wait, now: float) -> None:
            op.log_status(to_wait_text(wait, now))

        return aws.poller.wait_for_task(
            task_id,
            aws.region,
            cancellation=op.cancellation,
            report=report,
            timeout_seconds=op.remaining_seconds(),
            poll_interval_seconds=inputs.poll_interval_seconds,
            report_seconds=op.host.report_seconds,
            is_known=is_known,
            on_notice=op.log,
        )

    def _diff_running(self, op: Operation, recorded: ConversionTask, found: ConversionTask) -> Diff:
        """Return whether a task recorded as running has changed, and say so if it has."""
        change = to_change_text(recorded, found)
        if change:
            op.log(change)
        return Diff(changed=find_changed(recorded, found))

    def _refresh(self, op: Operation, task_id: str, recorded: ConversionTask | None, inputs: InputsT) -> ConversionTask:
        """Return the task as it is now; the record of a finished one that AWS does not know any more, as it was."""
        region = recorded.region if recorded else inputs.region
        place = {"license_conversion_task_id": task_id, "region": op.host.resolve_region(region, inputs.profile)}
        failures = validate(place, GET_PROPERTIES)  # a read comes without a check
        if failures:
            raise SettingsError(Subject(CONNECT_ACTION, task_id), failures[0].reason, "Correct it in the program")
        if recorded is None:
            op.host.check_setting_names()
        try:
            aws = self._connect(op, inputs, task_id, region)
            # Of a record that shows an end, only AWS's present word counts.
            is_running = recorded is not None and not recorded.is_complete
            task = aws.get_recent_task(task_id) if is_running else aws.license_manager.get_task(task_id)
        except TaskNotFoundError as error:
            if recorded is None or not recorded.is_complete:
                raise
            op.log(f"The record of the finished task is kept as it was. {error}", "WARNING")
            return recorded
        if recorded is None:
            return task
        merged = self._merge(op, recorded, task)
        change = to_change_text(recorded, merged)
        if change:
            op.log(change, "WARNING" if task.status is TaskStatus.FAILED else "INFO")
        return merged

    def _merge(self, op: Operation, recorded: ConversionTask, found: ConversionTask) -> ConversionTask:
        """Return what is to be recorded, with a warning where AWS takes the end of a task back."""
        if is_reopened(recorded, found):
            op.log(
                f"{found.task_id} is recorded as {recorded.status_text} and AWS now reports {found.status_text}. "
                "The record is kept; check the task in the AWS console.",
                "WARNING",
            )
        return merge(recorded, found)


def select_replacing(
    properties: Iterable[Property], inputs: Inputs, wanted: Properties, recorded: Properties
) -> tuple[str, ...]:
    """Return the names of the inputs for which the resource is replaced: those whose value is another or unknown."""
    return tuple(
        entry.name
        for entry in properties
        if entry.replaces
        and (entry.name in inputs.unknown or _is_other(wanted.get(entry.name), recorded.get(entry.name)))
    )


def _is_other(wanted: object, recorded: object) -> bool:
    if wanted is None or recorded is None:  # the id where the resource is named, and the other way round
        return False
    return not wanted.is_same(recorded) if isinstance(wanted, LicenseContext) else wanted != recorded  # type: ignore[arg-type]
