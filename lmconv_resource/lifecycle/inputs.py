"""What the resources and the look-ups take: one table each, and the typed value that a program's inputs become.

The tables are the one place for an input's name, type, default, rule, and whether another value replaces the resource:
defaults, validation, diffs, the SDK's signatures and the schema come from them. What an input means is said in the SDK.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from typing_extensions import Self

from lmconv_resource.aws.access import parse_roles
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.lifecycle.operation import UNKNOWN, Access, CheckFailure, Properties, has_unknown
from lmconv_resource.lifecycle.validation import (
    MISSING_TASK_ID,
    Rule,
    list_of,
    optional,
    validate_context,
    validate_duration,
    validate_flag,
    validate_instance_arn,
    validate_poll_interval,
    validate_region,
    validate_roles,
    validate_status,
    validate_task_id,
    validate_text,
)
from lmconv_resource.models import ConversionRequest, LicenseContext, ProductCode
from lmconv_resource.text import fill, to_known, to_shown, written


class Property(NamedTuple):
    """An input, under the name that Python programs write."""

    name: str
    type: str
    """`string`, `boolean`, `number`, `license_context` or `assume_role`; with `[]` behind it a list of these."""
    rule: Rule
    """What is wrong with a value, the default filled in."""
    default: object = None
    replaces: bool = False
    """Whether another value replaces the resource."""
    required: bool = False


ACCESS_INPUTS = (
    Property("region", "string", validate_region, replaces=True),
    Property("profile", "string", optional(validate_text)),
    Property("assume_role", "assume_role", optional(validate_roles)),
)
"""How AWS is reached, on top of the stack's settings."""


def _wait_properties(*, waits: bool) -> tuple[Property, ...]:
    return (
        Property("wait_for_completion", "boolean", validate_flag, default=waits),
        Property("ignore_failure", "boolean", validate_flag, default=False),
        *ACCESS_INPUTS,
        Property("poll_interval_seconds", "number", validate_poll_interval),
    )


TASK_PROPERTIES = (
    Property("license_conversion_task_id", "string", optional(validate_task_id), replaces=True),
    Property("resource_arn", "string", optional(validate_instance_arn), replaces=True),
    Property("follow_newest", "boolean", optional(validate_flag)),
    *_wait_properties(waits=False),
)
"""What a LicenseConversionTask takes."""

CONVERSION_PROPERTIES = (
    Property("resource_arn", "string", validate_instance_arn, replaces=True, required=True),
    Property("source_license_context", "license_context", optional(validate_context), replaces=True),
    Property("destination_license_context", "license_context", validate_context, replaces=True, required=True),
    Property("stop_and_restart", "boolean", optional(validate_flag), default=False),
    Property("force_stop_after", "string", optional(validate_duration)),
    Property("correct_drift", "boolean", optional(validate_flag), default=False),
    Property("retry_failed", "boolean", optional(validate_flag), default=False),
    Property("preflight", "boolean", optional(validate_flag)),
    Property("allow_unlisted_pair", "boolean", optional(validate_flag), default=False),
    Property("allow_instance_store_loss", "boolean", optional(validate_flag), default=False),
    *_wait_properties(waits=True),
)
"""What a LicenseConversion takes."""

CONVERTED = ("resource_arn", "source_license_context", "destination_license_context")
"""The inputs of a LicenseConversion that say what is converted."""

GET_PROPERTIES = (Property("license_conversion_task_id", "string", validate_task_id), *ACCESS_INPUTS)
"""What looking up one task takes."""

LIST_PROPERTIES = (
    Property("resource_arns", "string[]", list_of(validate_instance_arn, "a list of ARNs")),
    Property("statuses", "string[]", list_of(validate_status, "a list of statuses")),
    *ACCESS_INPUTS,
)
"""What listing tasks takes."""


MEMBERS = {"license_context": LicenseContext._fields, "product_codes": ProductCode._fields}
"""The members of nested values: of an input by its type, of a member by its name."""


def misnamed_member(value: object, type: str) -> str | None:
    """Return what is wrong with the names of the members of a value, at any depth, in words that follow its name.

    One that is misspelt would be left out of what AWS is asked to do. The type of a member is its name.
    """
    if isinstance(value, (list, tuple)):
        return next((reason for entry in value if (reason := misnamed_member(entry, type))), None)
    names = MEMBERS.get(type)
    if names is None or not isinstance(value, Mapping):
        return None
    for key, member in value.items():
        if key not in names:
            return f"has the member {to_shown(key)}, {to_known(str(key), [*map(written, names)])}"
        reason = misnamed_member(member, key)
        if reason:
            return reason
    return None


def unknown_names(properties: Properties, names: Iterable[str]) -> frozenset[str]:
    """Return which of these properties a preview can't know yet, wholly or in part."""
    return frozenset(name for name in names if has_unknown(properties.get(name)))


def validate(properties: Properties, table: Iterable[Property]) -> list[CheckFailure]:
    """Return what is wrong with the inputs, defaults filled in; values that a preview can't know yet pass."""
    failures = []
    for entry in table:
        value = properties.get(entry.name)
        reason = None if value is UNKNOWN else misnamed_member(value, entry.type) or entry.rule(value)
        if reason:
            failures.append(CheckFailure(entry.name, f"{written(entry.name)} {reason}"))
    return failures


def refuse_wrong(failures: Iterable[CheckFailure], task_id: str | None = None) -> None:
    """Raise a SettingsError for the first of these failures, whose reason says what to do."""
    for failure in failures:
        raise SettingsError(Subject(CONNECT_ACTION, task_id), failure.reason)


def validate_identity(properties: Properties) -> list[CheckFailure]:
    """Return what is wrong with how a LicenseConversionTask names its task."""
    names = ("license_conversion_task_id", "resource_arn")
    task_id, arn = map(written, names)
    given = [each for each in names if properties.get(each) is not None]
    failures = []
    if not given:
        failures.append(CheckFailure(names[0], f"{task_id} {MISSING_TASK_ID}, or the {arn} of what is converted"))
    elif len(given) > 1:
        reason = f"{to_shown(properties[names[1]])} is given together with {task_id}: leave one of the two out"
        failures.append(CheckFailure(names[1], f"{arn} {reason}"))
    if properties.get("follow_newest") is True and "resource_arn" not in given:
        reason = fill("{follow_newest} {True} needs a {resource_arn}: set that instead of the task's id")
        failures.append(CheckFailure("follow_newest", reason))
    return failures


def validate_options(properties: Properties) -> list[CheckFailure]:
    """Return what is wrong with how the options of a conversion, or of a fleet of them, go together."""
    failures = []
    if properties.get("stop_and_restart") is True and properties.get("wait_for_completion") is False:
        reason = fill("{stop_and_restart} {True} needs {wait_for_completion}: nothing would restart the instance")
        failures.append(CheckFailure("stop_and_restart", reason))
    if properties.get("force_stop_after") is not None and properties.get("stop_and_restart") in (None, False):
        reason = fill("{force_stop_after} needs {stop_and_restart=True}: nothing is stopped without it")
        failures.append(CheckFailure("force_stop_after", reason))
    return failures


_NO_CONTEXT = LicenseContext(None)


@dataclass(frozen=True, kw_only=True)
class Inputs(Access):
    """What all resources take. A property named in `unknown` has no value yet, in a preview."""

    wait_for_completion: bool = False
    ignore_failure: bool = False
    poll_interval_seconds: float | None = None
    unknown: frozenset[str] = frozenset()
    properties: ClassVar[tuple[Property, ...]] = ()
    """The table that they come from."""

    @property
    def unknown_access(self) -> tuple[str, ...]:
        """Which inputs a preview would have to know to reach AWS as they say."""
        return tuple(sorted(self.unknown.intersection(("profile", "assume_role"))))

    @classmethod
    def parse(cls, properties: Properties) -> Self:
        """Return the inputs of a program, once they are checked, or those in a stack's state of any version."""
        unknown = unknown_names(properties, [entry.name for entry in cls.properties])
        values: dict[str, Any] = {"unknown": unknown}
        for entry in cls.properties:
            value = properties.get(entry.name)
            if entry.name in unknown:
                # A wait that may be asked for is shown by the preview.
                value = True if entry.type == "boolean" else None
            if entry.type == "assume_role":
                values["assume_roles"] = () if value is None else parse_roles(value)
            elif entry.type == "license_context":
                values[entry.name] = LicenseContext.from_inputs(value if isinstance(value, Mapping) else None)
            else:
                is_flag = entry.type == "boolean" and entry.name != "preflight"
                values[entry.name] = bool(value) if is_flag else value
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class TaskInputs(Inputs):
    """What a LicenseConversionTask takes, checked."""

    license_conversion_task_id: str | None = None
    resource_arn: str | None = None
    follow_newest: bool = False
    properties = TASK_PROPERTIES


@dataclass(frozen=True, kw_only=True)
class ConversionInputs(Inputs):
    """What a LicenseConversion takes, checked."""

    resource_arn: str | None = None
    source_license_context: LicenseContext = _NO_CONTEXT
    destination_license_context: LicenseContext = _NO_CONTEXT
    stop_and_restart: bool = False
    force_stop_after: str | None = None
    correct_drift: bool = False
    retry_failed: bool = False
    preflight: bool | None = None
    allow_unlisted_pair: bool = False
    allow_instance_store_loss: bool = False
    asked: Properties | None = None
    """The properties that say what is converted, as the program wrote them."""
    properties = CONVERSION_PROPERTIES

    @classmethod
    def parse(cls, properties: Properties) -> Self:
        """Return the inputs of a program, once they are checked, or those in a stack's state of any version."""
        asked = {name: properties[name] for name in CONVERTED if properties.get(name) is not None}
        if properties.get("stop_and_restart") is True:
            asked["stop_and_restart"] = True
        return replace(super().parse(properties), asked=asked)

    @property
    def checks(self) -> bool:
        """Whether AWS's prerequisites are checked first."""
        return self.stop_and_restart if self.preflight is None else self.preflight

    @property
    def request(self) -> ConversionRequest:
        """The conversion that is asked for."""
        return ConversionRequest(self.resource_arn or "", self.source_license_context, self.destination_license_context)
