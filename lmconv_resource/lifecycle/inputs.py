"""Checking what a program gives: each failure names the property, the value and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmconv_resource.errors import to_one_line
from lmconv_resource.models import TASK_ID_MAX_LENGTH, TASK_ID_PATTERN, TaskStatus, to_plain_text
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS

URN = "__urn"
"""The resource's own URN, for lines on its row. Names that begin with `__` are shown in no diff."""

TIMEOUTS = "__timeouts"
"""`opts.custom_timeouts`, which Pulumi does not hand on to dynamic providers."""

LONGEST_POLL_SECONDS = 300

_REGION_PATTERN = re.compile(r"[a-z]{2,8}(-[a-z]{2,16})+-[0-9]{1,2}")
_DURATION_PATTERN = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)")
_ARN_PATTERN = re.compile(
    r"arn:aws[a-zA-Z-]*:[A-Za-z0-9][A-Za-z0-9_/.-]{0,62}:[A-Za-z0-9_/.-]{0,63}:[A-Za-z0-9_/.-]{0,63}"
    r":[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,1023}"
)
"""AWS's own, from the API's model."""
_ARN_MAX_LENGTH = 2048
_OPERATION_MAX_LENGTH = 50
_CODE_PATTERN = re.compile("[A-Za-z0-9]{1,25}")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


Rule = Callable[[Any], "str | None"]
"""Says what is wrong with a value, in words that follow the property's name; None if nothing."""


@dataclass(frozen=True)
class Failure:
    """An input that can't be used, and what to do about it."""

    property: str
    reason: str


def is_unknown(value: Any) -> bool:
    """True for a value that a preview can't know yet."""
    from pulumi.output import Unknown
    from pulumi.runtime.rpc import UNKNOWN

    # The SDK hands on an object at the top and the text that stands for it on the wire elsewhere.
    return isinstance(value, Unknown) or bool(value == UNKNOWN)


def parse_duration(text: str) -> float | None:
    """Give the seconds of a duration as Pulumi and Go write it (`90s`, `1h30m`), None for any other text."""
    parts = _DURATION_PATTERN.findall(text)
    if not parts or "".join(parts) != text:
        return None
    seconds = 0.0
    for part in parts:
        number = part.rstrip("nuµμmsh")
        seconds += float(number) * _UNIT_SECONDS[part[len(number) :]]
    return seconds


def _shown(value: Any) -> str:
    text = to_plain_text(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _task_id_failure(value: Any) -> str | None:
    if value is None:
        return "is missing: give the id that AWS License Manager shows for the conversion (lct-…)"
    if not isinstance(value, str) or not TASK_ID_PATTERN.fullmatch(value) or len(value) > TASK_ID_MAX_LENGTH:
        return (
            f"{_shown(value)} is not the id of a license conversion task: give lct- followed by letters and digits, "
            f"at most {TASK_ID_MAX_LENGTH} characters in all"
        )
    return None


def _flag_failure(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"{_shown(value)} is not a boolean: give True or False"


def _region_failure(value: Any) -> str | None:
    if isinstance(value, str) and _REGION_PATTERN.fullmatch(value):
        return None
    if value is None:
        return "is not set: set it on the resource, or run `pulumi config set aws:region REGION`, or set AWS_REGION"
    return f"{_shown(value)} is not an AWS region: give one such as eu-west-1"


def _poll_failure(value: Any) -> str | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and 1 <= value <= LONGEST_POLL_SECONDS):
        return None
    return f"{_shown(value)} is not a number of seconds from 1 to {LONGEST_POLL_SECONDS}: give one, or leave it out"


def _timeouts_failure(value: Any) -> str | None:
    if not isinstance(value, (Mapping, type(None))):
        return f'{_shown(value)} is not CustomTimeouts: give durations by operation, such as create="45m"'
    for operation, text in (value or {}).items():
        seconds = parse_duration(text) if isinstance(text, str) else None
        if not seconds and not is_unknown(text):
            name = to_one_line(to_plain_text(str(operation)))
            return f'{name}={_shown(text)} is not a duration: give one such as "90s", "45m" or "1h30m"'
    return None


def _arn_failure(value: Any) -> str | None:
    if value is None:
        return "is missing: give the ARN of the resource to convert, such as an EC2 instance's `arn`"
    if isinstance(value, str) and len(value) <= _ARN_MAX_LENGTH and _ARN_PATTERN.fullmatch(value):
        return None
    return f"{_shown(value)} is not an ARN: give one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc"


def _context_failure(value: Any) -> str | None:
    if value is None:
        return 'is missing: give a LicenseContextArgs, such as LicenseContextArgs(usage_operation="RunInstances:0002")'
    if not isinstance(value, Mapping):
        return f"{_shown(value)} is not a LicenseContextArgs"
    operation, codes = value.get("usage_operation"), value.get("product_codes")
    if is_unknown(operation) or is_unknown(codes):
        return None
    if operation is None and not codes:
        return "has neither a usage_operation nor product_codes: give what AWS shows for the instance"
    if operation is not None and (not isinstance(operation, str) or not 0 < len(operation) <= _OPERATION_MAX_LENGTH):
        return (
            f"has the usage_operation {_shown(operation)}: give a text of at most {_OPERATION_MAX_LENGTH} characters, "
            "such as RunInstances:0002"
        )
    if codes is not None and not isinstance(codes, list):
        return f"has the product_codes {_shown(codes)}: give a list of ProductCodeArgs"
    for code in codes or ():
        if is_unknown(code):
            continue
        code_id = code.get("product_code_id") if isinstance(code, Mapping) else None
        if not is_unknown(code_id) and (not isinstance(code_id, str) or not _CODE_PATTERN.fullmatch(code_id)):
            return f"has the product code {_shown(code)}: give an id of at most 25 letters and digits"
    return None


def _optional(rule: Rule) -> Rule:
    return lambda value: None if value is None else rule(value)


_WAIT_RULES: dict[str, Rule] = {
    "wait_for_completion": _flag_failure,
    "ignore_failure": _flag_failure,
    "region": _region_failure,
    "poll_interval_seconds": _poll_failure,
    TIMEOUTS: _timeouts_failure,
}

TASK_RULES: dict[str, Rule] = {
    "license_conversion_task_id": _optional(_task_id_failure),
    "resource_arn": _optional(_arn_failure),
    "follow_newest": _optional(_flag_failure),
    **_WAIT_RULES,
}
"""What a LicenseConversionTask takes, by name."""

GET_RULES: dict[str, Rule] = {"license_conversion_task_id": _task_id_failure, "region": _region_failure}
"""What looking up one task takes."""


def _list_of(rule: Rule, form: str) -> Rule:
    def find(value: Any) -> str | None:
        if not isinstance(value, (list, tuple)):
            return f"{_shown(value)} is not a list: give {form}"
        return next((reason for entry in value if (reason := rule(entry))), None)

    return _optional(find)


def _status_failure(value: Any) -> str | None:
    if isinstance(value, str) and value in {status.value for status in TaskStatus}:
        return None
    return f"has {_shown(value)}, which is no status: give {', '.join(status.value for status in TaskStatus)}"


LIST_RULES: dict[str, Rule] = {
    "resource_arns": _list_of(_arn_failure, "a list of ARNs"),
    "statuses": _list_of(_status_failure, "a list of statuses"),
    "region": _region_failure,
}
"""What listing tasks takes."""

CONVERSION_RULES: dict[str, Rule] = {
    "resource_arn": _arn_failure,
    "source_license_context": _context_failure,
    "destination_license_context": _context_failure,
    "preflight": _optional(_flag_failure),
    **_WAIT_RULES,
}
"""What a LicenseConversion takes, by name."""


def find_failures(inputs: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[Failure]:
    """Give what is wrong with the inputs, defaults filled in; values that a preview can't know yet pass."""
    failures = []
    for name, rule in rules.items():
        value = inputs.get(name)
        reason = None if is_unknown(value) else rule(value)
        if reason:
            shown_as = "custom_timeouts" if name == TIMEOUTS else name
            failures.append(Failure(shown_as, f"{shown_as} {reason}"))
    return failures


def find_task_failures(inputs: Mapping[str, Any]) -> list[Failure]:
    """Give what is wrong with the inputs of a LicenseConversionTask."""
    failures = []
    given = [name for name in ("license_conversion_task_id", "resource_arn") if inputs.get(name) is not None]
    if not given:
        name = "license_conversion_task_id"
        reason = "is missing: give the id that AWS License Manager shows for the conversion (lct-…)"
        failures.append(Failure(name, f"{name} {reason}, or the resource_arn of what is converted"))
    elif len(given) > 1:
        name, value = "resource_arn", _shown(inputs["resource_arn"])
        reason = "is given together with license_conversion_task_id: leave one of the two out"
        failures.append(Failure(name, f"{name} {value} {reason}"))
    if inputs.get("follow_newest") is True and "resource_arn" not in given:
        name, reason = "follow_newest", "True needs a resource_arn: give that instead of the task's id"
        failures.append(Failure(name, f"{name} {reason}"))
    return failures + find_failures(inputs, TASK_RULES)


def find_deadline_seconds(inputs: Mapping[str, Any], operation: str) -> float:
    """Give how long `create` or `update` may wait, in seconds."""
    text = (inputs.get(TIMEOUTS) or {}).get(operation)
    return (parse_duration(text) if text else None) or DEFAULT_DEADLINE_SECONDS
