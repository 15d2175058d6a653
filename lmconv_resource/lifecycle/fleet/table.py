"""The table of a fleet: its rows, parsed and validated as one, with a single failure for all that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from lmconv_resource.lifecycle.inputs import (
    CONVERSION_PROPERTIES,
    CONVERTED,
    ConversionInputs,
    Inputs,
    Property,
    validate,
    validate_options,
)
from lmconv_resource.lifecycle.operation import UNKNOWN, Properties, has_unknown
from lmconv_resource.lifecycle.validation import (
    optional,
    validate_context,
    validate_duration,
    validate_flag,
    validate_table,
    validate_whole,
)
from lmconv_resource.models import InstanceArn, to_id
from lmconv_resource.text import find_close, parse_duration, to_one_line, to_plain_text, to_shown, to_whole, written
from lmconv_resource.usage_operations import describe

_OF_CONVERSION = {entry.name: entry for entry in CONVERSION_PROPERTIES}

ROW_MEMBERS = (*CONVERTED, "name", "profile", "assume_role", "retry_failed")
"""What a row may have, in the words of a LicenseConversion."""

_FOR_EACH = ("stop_and_restart", "force_stop_after", "preflight", "allow_unlisted_pair", "allow_instance_store_loss")
"""Inputs of a LicenseConversion that a fleet has one of, for all its rows."""

FLEET_PROPERTIES = (
    Property("instances", "fleet_instance[]", validate_table, required=True),
    Property("destination_license_context", "license_context", optional(validate_context)),
    Property("max_concurrent", "integer", validate_whole(1), default=20),
    Property("canaries", "integer", validate_whole(0), default=0),
    Property("stop_after_failures", "integer", optional(validate_whole(1))),
    Property("begin_within", "string", optional(validate_duration)),
    Property("fail_on_error", "boolean", optional(validate_flag), default=False),
    *(_OF_CONVERSION[name] for name in _FOR_EACH),
)
"""What a ConversionFleet takes."""


@dataclass(frozen=True)
class Row:
    """One instance of a table."""

    number: int
    name: str
    asked: Properties
    conversion: ConversionInputs

    @property
    def is_known(self) -> bool:
        """Whether a preview knows it all."""
        return bool(self.asked) and not has_unknown(self.asked)

    @property
    def arn(self) -> str:
        """The instance's ARN."""
        return str(self.asked.get("resource_arn"))

    @property
    def account_and_region(self) -> tuple[str, str]:
        """What the rows share that are counted together."""
        arn = InstanceArn.parse(self.arn)
        return (arn.account, arn.region) if arn else ("", "")

    @property
    def summary(self) -> str:
        """The row in a line, for a diff: `i-0abc → RunInstances:0002`."""
        context = self.conversion.destination_license_context
        codes = (context.usage_operation, *(code.product_code_id for code in context.product_codes))
        to = " ".join(describe(code) for code in codes if code)
        again = ", once more if it FAILED" if self.asked.get("retry_failed") is True else ""
        return f"{to_id(self.arn)} → {to}{again}"

    def is_same(self, asked: Properties) -> bool:
        """Return whether the same conversion was asked for, whoever calls AWS."""
        return self.conversion.request == ConversionInputs.parse(asked).request


@dataclass(frozen=True, kw_only=True)
class FleetInputs(Inputs):
    """What a ConversionFleet takes, checked. A limit that is None holds never."""

    rows: tuple[Row, ...] | None = ()
    """Those that are known, in the table's order; None where a preview does not know the table."""
    max_concurrent: int = 20
    canaries: int = 0
    stop_after_failures: int | None = None
    begin_seconds: float | None = None
    fail_on_error: bool = False
    properties = FLEET_PROPERTIES

    @classmethod
    def parse(cls, properties: Properties) -> Self:
        """Return the inputs of a program."""
        known: dict[str, Any] = {
            name: None if has_unknown(value) else to_whole(value) for name, value in properties.items()
        }
        table = properties.get("instances")
        return cls(
            rows=tuple(_parse_rows(table, properties)) if isinstance(table, (list, tuple)) else None,
            max_concurrent=known.get("max_concurrent") or 20,
            canaries=known.get("canaries") or 0,
            stop_after_failures=known.get("stop_after_failures"),
            begin_seconds=parse_duration(known.get("begin_within") or ""),
            fail_on_error=bool(known.get("fail_on_error")),
        )


def _parse_rows(table: list[object] | tuple[object, ...], properties: Properties) -> Iterator[Row]:
    for number, entry in enumerate(table, 1):
        asked = _to_asked(entry, properties) or {}
        conversion = ConversionInputs.parse(_to_conversion(asked, properties))
        yield Row(number, _to_name(asked) or f"row {number}", asked, conversion)


def _to_asked(entry: object, properties: Properties) -> dict[str, object] | None:
    """Return a row with the fleet's destination where it has none; None for one that is no object."""
    if not isinstance(entry, Mapping):
        return None
    asked = {name: value for name, value in entry.items() if value is not None}
    fallback = properties.get("destination_license_context")
    return asked if fallback is None else {"destination_license_context": fallback, **asked}


def _to_conversion(asked: Properties, properties: Properties) -> dict[str, object]:
    arn = InstanceArn.parse(str(asked.get("resource_arn")))
    return {
        **{entry.name: entry.default for entry in CONVERSION_PROPERTIES if entry.default is not None},
        **{name: properties[name] for name in _FOR_EACH if properties.get(name) is not None},
        **{name: value for name, value in asked.items() if name != "name"},
        "region": arn.region if arn else None,
    }


def _to_name(asked: Properties) -> str | None:
    """Return a row's name: its own, else the instance's id; None where it has neither, or none that is known."""
    name, arn = asked.get("name"), asked.get("resource_arn")
    if name is not None:
        return name if isinstance(name, str) else None
    return to_id(arn) if isinstance(arn, str) else None


def check_fleet(properties: Properties) -> str | None:
    """Return all that is wrong with a fleet's inputs, a line for each row and each limit; None if nothing is.

    It is one text that names no property: Pulumi would print the value of one that is named, the whole table, for each
    failure.
    """
    failures = validate(properties, FLEET_PROPERTIES) + validate_options(properties)
    lines = [failure.reason for failure in failures]
    table = properties.get("instances")
    if isinstance(table, (list, tuple)):
        lines += _check_rows(table, properties)
    if not lines:
        return None
    return lines[0] if len(lines) == 1 else "\n".join(["The fleet can't be used:", *(f"  {line}" for line in lines)])


def _check_rows(table: list[object] | tuple[object, ...], properties: Properties) -> Iterator[str]:
    names: dict[str, int] = {}
    arns: dict[object, int] = {}
    for number, entry in enumerate(table, 1):
        if entry is UNKNOWN:
            continue
        asked = _to_asked(entry, properties)
        if asked is None:
            yield f"instances, row {number}: {to_shown(entry)} is not an object with a {written('resource_arn')}"
            continue
        name = _to_name(asked)
        where = f"instances, row {number}" + (f" ({to_one_line(to_plain_text(name))})" if name else "")
        for reason in _check_members(asked, properties):
            yield f"{where}: {reason}"
        arn = asked.get("resource_arn")
        for what, value, seen in (("resource_arn", arn, arns), ("name", name, names)):
            if isinstance(value, str) and seen.setdefault(value, number) != number:
                if what == "name" and asked.get("name") is None:
                    continue  # the same instance, which has been said of its ARN
                yield f"{where}: its {written(what)} is that of row {seen[value]} too"


def _check_members(asked: Properties, properties: Properties) -> Iterator[str]:
    for member in asked:
        if member not in ROW_MEMBERS:
            meant = find_close(str(member), ROW_MEMBERS)
            known = ", ".join(map(written, [meant] if meant else ROW_MEMBERS))
            yield f"{to_shown(member)} is not a member: write {known}"
    name = asked.get("name")
    if name is not None and name is not UNKNOWN and not (isinstance(name, str) and name.strip()):
        yield f"name {to_shown(name)} is not a string: use a name, or leave it out for the instance's id"
    table = [_OF_CONVERSION[member] for member in ROW_MEMBERS if member in _OF_CONVERSION]
    conversion = _to_conversion(asked, properties)
    for failure in validate(conversion, table):
        if failure.property == "destination_license_context" and asked.get(failure.property) is None:
            yield f"it has no {written(failure.property)}, and the fleet has none for all"
        else:
            yield failure.reason
