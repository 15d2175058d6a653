"""What one call of Pulumi's engine has, and what comes out of it; the same for every host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from lmconv_resource.aws.access import AssumedRole, ConfigGet, resolve_region
from lmconv_resource.errors import CONNECT_ACTION, LicenseConversionError, SettingsError, Subject
from lmconv_resource.lifecycle.in_process import Severity, StartedHere
from lmconv_resource.polling.runtime import Cancellation
from lmconv_resource.polling.wait import to_wait_text
from lmconv_resource.text import fill

if TYPE_CHECKING:
    from lmconv_resource.aws.access import Regions
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.models import ConversionTask
    from lmconv_resource.polling.runtime import Runtime

PLAN_SECONDS = 10.0
"""For how long a preview asks AWS again where it throttles the calls or has a fault; a fleet's for each call."""

Properties = Mapping[str, object]
"""Inputs or outputs by name, as a stack stores them. A value that a preview can't know yet is `UNKNOWN`."""


class ByName(dict[str, Any]):
    """An object whose members' names are the user's own, which no host may write in another way."""


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
"""Stands for a value that a preview can't know yet, at any depth of a property."""


def leaves(value: object) -> Iterator[object]:
    """Yield all that is no object and no list."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry)
    else:
        yield value


def has_unknown(value: object) -> bool:
    """Return whether a preview can't know a value yet, wholly or in part."""
    return value is UNKNOWN or (not isinstance(value, str) and any(leaf is UNKNOWN for leaf in leaves(value)))


@dataclass(frozen=True)
class Access:
    """What a resource says of how to reach AWS, on top of the stack's settings."""

    region: str | None = None
    profile: str | None = None
    assume_roles: tuple[AssumedRole, ...] = ()


class Host(Protocol):
    """What carries the lifecycle's decisions to Pulumi, and has what outlasts one operation."""

    get_config: ConfigGet
    """Returns a value of the stack's configuration by its full key."""
    started_here: StartedHere
    runtime: Runtime
    """The clock, the locks, the threads and the randomness of all that runs here."""

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        """Leave a line in the diagnostics under the resource, or on the stack's row without one."""

    def log_status(self, urn: str | None, message: str) -> None:
        """Show a line on the resource's row until the next one; nothing of it stays."""

    report_seconds: float | None
    """How often a wait is shown again while nothing changes; None for the default."""

    def terminal_columns(self) -> int | None:
        """Return the width of the terminal on which Pulumi shows its progress; None where that is not known."""

    def regions(self) -> Regions:
        """Return AWS's regions."""

    def check_setting_names(self) -> None:
        """Raise a SettingsError when the stack has an unknown setting: it might say who calls, or where."""

    def is_replaced_by_command(self, urn: str | None) -> bool | None:
        """Return whether the user's command has this resource replaced (`--replace URN`); None where that is not known.

        No engine tells: to a provider, such a replacement is a resource that the stack does not have yet.
        """

    def connect(self, region: str, access: Access) -> Connection:
        """Return the one connection for a region, the stack's settings and this access; or raise a SettingsError."""


@dataclass(frozen=True)
class Operation:
    """One call of the engine's about one resource. What the host does not know of it is None."""

    host: Host
    urn: str | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    """Set when the operation is to end; it has the deadline too."""
    timeout_seconds: float | None = None
    is_preview: bool | None = None

    def log(self, message: str, severity: Severity = "INFO") -> None:
        """Leave a line in the diagnostics under the resource."""
        self.host.log(severity, self.urn, message)

    def log_status(self, message: str) -> None:
        """Show a line on the resource's row until the next one."""
        self.host.log_status(self.urn, message)

    def connect(self, inputs: Access, task_id: str | None = None, region: str | None = None) -> Connection:
        """Return AWS as inputs say, in the region that is recorded or theirs, for as long as the operation lasts.

        A setting that can't be used, or no region, is a SettingsError, which names the task.
        """
        try:
            resolved = resolve_region(self.host.get_config, region or inputs.region, inputs.profile)
            if resolved is not None:
                return self.host.connect(resolved, inputs).until(self.cancellation)
        except SettingsError as error:
            raise error.about(task_id=task_id) from error.__cause__
        raise SettingsError(Subject(CONNECT_ACTION, task_id), "no region is set", fill("{Run region REGION}"))

    def follow(self, aws: Connection, task_id: str, **options: Any) -> ConversionTask:
        """Return a task as it ended, and show meanwhile how it goes: `Poller.wait_for_task` for this operation."""
        return aws.poller.wait_for_task(
            task_id,
            aws.region,
            cancellation=self.cancellation,
            report=lambda wait, now: self.log_status(to_wait_text(wait, now)),
            report_seconds=self.host.report_seconds,
            on_notice=self.log,
            limit_seconds=self.timeout_seconds,
            **options,
        )


class CheckFailure(NamedTuple):
    """An input that can't be used, and what to do about it."""

    property: str
    reason: str


class Checked(NamedTuple):
    """What a check found: the values of inputs that the program left out, and what is wrong."""

    defaults: Properties
    failures: tuple[CheckFailure, ...] = ()


class Diff(NamedTuple):
    """What an update would change, by name: of the inputs, or of the outputs where AWS says something new.

    `replaces` are those for which the resource is replaced.
    """

    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changed or self.replaces)


StateT = TypeVar("StateT")


@dataclass(frozen=True)
class Stored(Generic[StateT]):
    """What is to be stored after an operation."""

    state: StateT
    error: LicenseConversionError | None = None
    """With which it failed after there was something to record: the host stores `state` and shows the error."""
    id: str = ""
    """Of a new resource."""
    inputs: Properties | None = None
    """Those that a read itself supplies, for a resource that was not recorded before."""
