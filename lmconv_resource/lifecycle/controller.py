"""What the resources share: what a check asks, and how a task is read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from typing_extensions import Self

from lmconv_resource.aws.access import Settings, parse_roles, resolve_region
from lmconv_resource.errors import LicenseConversionError, SettingsError, TaskNotFoundError, TransientError
from lmconv_resource.lifecycle.inputs import GET_PROPERTIES, Inputs, Property, refuse_wrong, unknown_names, validate
from lmconv_resource.lifecycle.operation import (
    UNKNOWN,
    Access,
    Checked,
    CheckFailure,
    Diff,
    Operation,
    Properties,
    Stored,
    Unknown,
)
from lmconv_resource.lifecycle.state import merge, to_change_text
from lmconv_resource.lifecycle.validation import partition_problem
from lmconv_resource.models import OUTPUTS, ConversionTask, InstanceArn, LicenseContext, TaskStatus
from lmconv_resource.text import written

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection


class Recorded(Protocol):
    """What a stack stores of a resource, as a value."""

    @classmethod
    def from_outputs(cls, outputs: Properties) -> Self:
        """Read what a stack has stored, of any version."""


InputsT = TypeVar("InputsT", bound=Inputs)
StateT = TypeVar("StateT", bound=Recorded)


class Controller(ABC, Generic[InputsT, StateT]):
    """The lifecycle of a resource. Holds nothing: one object serves all resources from many threads at once."""

    inputs: type[InputsT]
    """What a program gives, and the table of it."""
    state: type[StateT]
    """What a stack stores, of any version."""

    def recorded_state(self, properties: Properties) -> StateT | None:
        """Return what a stack has stored; None of a resource that is read for the first time, which has inputs only."""
        is_record = any(name in properties for name in ("status", "is_complete", "report"))
        return self.state.from_outputs(properties) if is_record else None

    def parse_certain(self, properties: Properties) -> InputsT:
        """Return inputs for what can't be undone, which a host may ask for without a check; raise for wrong ones."""
        given = {**properties, **self._defaults(properties)}
        unknown = sorted(unknown_names(given, (entry.name for entry in self.inputs.properties)))
        failures = [CheckFailure(name, f"{written(name)} is not known") for name in unknown]
        refuse_wrong(failures or self._validate(given))
        return self.inputs.parse(given)

    def check(self, op: Operation, olds: Properties | None, news: Properties) -> Checked:
        """Return the values of what the program left out, and what is wrong with the inputs."""
        defaults = self._defaults(news)
        try:
            if news.get("region") in (None, ""):  # what else is empty is no region, and a failure
                defaults["region"] = _region_of(op, olds, news)
        except SettingsError as error:
            return Checked({}, (CheckFailure("region", str(error)),))
        checked = {**news, **defaults}
        failures = (
            self._validate(checked) or _validate_access(op, olds, checked) or self._validate_in_aws(op, olds, checked)
        )
        return Checked(defaults, tuple(failures))

    def _defaults(self, given: Properties) -> dict[str, object]:
        return {
            entry.name: entry.default
            for entry in self.inputs.properties
            if entry.default is not None and given.get(entry.name) is None
        }

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        return validate(checked, self.inputs.properties)

    def _validate_in_aws(self, op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
        return []

    @abstractmethod
    def diff(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> Diff:
        """Return what the program asks for, and what AWS says, that the state does not have."""

    def preview(self, op: Operation, state: StateT | None, inputs: InputsT) -> None:
        """Say what an update would do, where a check has not said it, with the state of a resource that has one."""

    @abstractmethod
    def create(self, op: Operation, inputs: InputsT) -> Stored[StateT]:
        """Return the new resource's state once it is as asked for."""

    @abstractmethod
    def read(self, op: Operation, task_id: str, state: StateT | None, inputs: InputsT) -> Stored[StateT]:
        """Return the resource as it is now. `state` is None where it is read for the first time, by its id."""

    @abstractmethod
    def update(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> Stored[StateT]:
        """Return the changed resource's state once it is as asked for."""

    def delete(self, op: Operation, task_id: str, state: StateT, inputs: InputsT) -> None:
        """Forget the task. AWS has no call that undoes or cancels a conversion, so nothing happens there."""

    # -- steps of the resources of one task ----------------------------------------------------------------------------

    def _diff_running(self, op: Operation, recorded: ConversionTask, found: ConversionTask) -> Diff:
        """Return whether a task has changed since it was recorded, and say so if it has."""
        change = to_change_text(recorded, found)
        if change:
            op.log(change)
        old, new = recorded.to_outputs(), found.to_outputs()
        return Diff(changed=tuple(name for name in OUTPUTS if old[name] != new[name]))

    def _refresh(self, op: Operation, task_id: str, recorded: ConversionTask | None, inputs: InputsT) -> ConversionTask:
        """Return the task as it is now; the record of a finished one that AWS no longer knows, as it was."""
        region = resolve_region(op.host.get_config, recorded.region if recorded else inputs.region, inputs.profile)
        place = {"license_conversion_task_id": task_id, "region": region}
        refuse_wrong(validate(place, GET_PROPERTIES), task_id)  # a read comes without a check
        if recorded is None:
            op.host.check_setting_names()
        try:
            aws = op.connect(inputs, task_id, region)
            # Of a record that shows an end, only AWS's present word counts.
            if recorded is not None and not recorded.is_complete:
                task = self._running_task(op, aws, recorded)
            else:
                task = aws.license_manager.get_task(task_id)
        except TaskNotFoundError as error:
            if recorded is None or not recorded.is_complete:
                raise
            op.log(f"The record of the finished task is kept as it was. {error}", "WARNING")
            return recorded
        if recorded is None:
            return task
        merged = merge(op, recorded, task)
        change = to_change_text(recorded, merged)
        if change:
            op.log(change, "WARNING" if task.status is TaskStatus.FAILED else "INFO")
        return merged

    def _running_task(self, op: Operation, aws: Connection, recorded: ConversionTask) -> ConversionTask:
        """Return a task recorded as running as it is now; as it is recorded where AWS has never shown it yet."""
        try:
            return aws.get_recent_task(recorded.task_id)
        except TaskNotFoundError as error:
            if recorded.status_text is not None or recorded.start_time is not None:
                raise
            op.log(f"{recorded.task_id} was started, and AWS has not shown it yet. {error}", "WARNING")
            return recorded


_ACCESS = ("region", "resource_arn", "license_conversion_task_id", "profile", "assume_role")
"""Inputs that say what AWS is asked of, and by whom."""


def _text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _region_of(op: Operation, olds: Properties | None, news: Properties) -> str | Unknown | None:
    """Return the region of a resource that names none: its ARN's, which may not be known yet, else the stack's."""
    if news.get("resource_arn") is UNKNOWN:
        return UNKNOWN
    arn, recorded = InstanceArn.parse(news.get("resource_arn")), (olds or {}).get("region")
    profile = _text_of(news.get("profile"))
    return resolve_region(op.host.get_config, arn.region if arn else None, profile, _text_of(recorded))


def _validate_access(op: Operation, olds: Properties | None, checked: Properties) -> list[CheckFailure]:
    """Return what in the inputs and the stack's settings can't be honoured together, and why no credentials are found.

    That is asked for only where something is not recorded yet, or is reached another way from now on. Sends nothing,
    except to STS where the stack allows or forbids accounts. What may pass is left to the update.
    """
    region, arn = _text_of(checked.get("region")), InstanceArn.parse(checked.get("resource_arn"))
    if arn is not None and region is not None and arn.region != region:
        reason = f"region {region} is not that of the instance, {arn.region}: leave region out, or correct one of them"
        return [CheckFailure("region", reason)]
    unknown = unknown_names(checked, ["profile", "assume_role"])
    roles = () if "assume_role" in unknown else parse_roles(checked.get("assume_role"))
    profile = _text_of(checked.get("profile"))
    try:
        op.host.check_setting_names()
        # Of one that a preview does not know yet, the other settings are looked at.
        known_region = region or "us-east-1"
        settings = Settings.from_config(op.host.get_config, known_region, profile=profile, assume_roles=roles)
        is_recorded = bool(olds) and all(olds.get(name) == checked.get(name) for name in _ACCESS)  # type: ignore[union-attr]
        if is_recorded or region is None:
            return []
        failures = _validate_region(op, settings, arn)  # loads AWS's list of regions
        if not failures and not unknown:
            op.host.connect(region, Access(region, profile, roles)).session.check_credentials()
    except TransientError:
        return []
    except LicenseConversionError as error:
        return [CheckFailure("", str(error))]
    else:
        return failures


def _validate_region(op: Operation, settings: Settings, arn: InstanceArn | None) -> list[CheckFailure]:
    regions = op.host.regions()
    reason = None if arn is None else partition_problem(arn, regions)
    if reason:
        return [CheckFailure("resource_arn", f"{written('resource_arn')} {reason}: use the ARN as AWS shows it")]
    is_own = "license-manager" in dict(settings.endpoints)
    if not is_own and regions.partition_of(settings.region) and not regions.is_listed(settings.region):
        op.log(f"{settings.region} is not in this botocore's list of regions: check it.", "WARNING")
    return []


def select_replacing(properties: Iterable[Property], inputs: Inputs, recorded: Properties) -> tuple[str, ...]:
    """Return the names of the inputs for which the resource is replaced: those whose value is another or unknown."""
    names = [entry.name for entry in properties if entry.replaces]
    return tuple(
        name for name in names if name in inputs.unknown or _is_other(getattr(inputs, name), recorded.get(name))
    )


def _is_other(wanted: object, recorded: object) -> bool:
    if wanted is None or recorded is None:  # the id where the resource is named, and the other way round
        return False
    return not wanted.is_same(recorded) if isinstance(wanted, LicenseContext) else wanted != recorded  # type: ignore[arg-type]
