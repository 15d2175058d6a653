"""What is wrong with a value, in words that follow the property's name: what it is, and what to give instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.access import is_region, parse_roles
from lmconv_resource.errors import SettingsError
from lmconv_resource.lifecycle.operation import UNKNOWN, has_unknown
from lmconv_resource.models import PRODUCT_CODE_TYPE, TASK_ID_MAX_LENGTH, TASK_ID_PATTERN, InstanceArn, TaskStatus
from lmconv_resource.text import example, fill, parse_duration, to_shown, to_whole, wording, written
from lmconv_resource.usage_operations import code_problem

if TYPE_CHECKING:
    from lmconv_resource.aws.access import Regions

Rule = Callable[[object], "str | None"]
"""Returns what is wrong with a value, in words that follow the property's name; None if nothing."""

LONGEST_POLL_SECONDS = 300

_OPERATION_MAX_LENGTH = 50
_CODE_PATTERN = re.compile("[A-Za-z0-9]{1,25}")

_EXAMPLE_CONTEXT = ("LicenseContext", "usage_operation", "RunInstances:0002")
_EXAMPLE_CODE = ("ProductCode", "product_code_id", "abc123")

MISSING_TASK_ID = "is missing: set it to the id that AWS License Manager shows for the conversion (lct-…)"


def _rule(
    kind: type | tuple[type, ...], problem: str, is_good: Callable[[Any], object] = lambda _: True, *, missing: str = ""
) -> Rule:
    """Return a rule for good values of a kind. `problem` follows any other; `missing` is said where there is none."""

    def validate(value: object) -> str | None:
        if value is None and missing:
            return fill(missing)
        is_kind = isinstance(value, kind) and isinstance(value, bool) is (kind is bool)
        return None if is_kind and is_good(value) else f"{to_shown(value)} {fill(problem)}"

    return validate


def optional(rule: Rule) -> Rule:
    """Return a rule that lets None pass too."""
    return lambda value: None if value is None else rule(value)


validate_flag = _rule(bool, "is not a boolean: use {True} or {False}")
validate_text = _rule(str, "is not a string: use a name", bool)
validate_duration = _rule(str, 'is not a duration: use one such as "90s", "8m" or "1h30m"', parse_duration)
validate_region = _rule(
    str,
    "is not an AWS region: use one such as eu-west-1",
    is_region,
    missing="is not set: set it on the resource, or {run region REGION}, or set AWS_REGION",
)
validate_poll_interval = optional(
    _rule(
        (int, float),
        f"is not a number of seconds from 1 to {LONGEST_POLL_SECONDS}: use one, or leave it out",
        lambda seconds: 1 <= seconds <= LONGEST_POLL_SECONDS,
    )
)
validate_task_id = _rule(
    str,
    "is not the id of a license conversion task: use lct- followed by letters and digits, at most "
    f"{TASK_ID_MAX_LENGTH} characters in all",
    lambda task_id: len(task_id) <= TASK_ID_MAX_LENGTH and TASK_ID_PATTERN.fullmatch(task_id),
    missing=MISSING_TASK_ID,
)
validate_instance_arn = _rule(
    str,
    "is not the ARN of an EC2 instance: use one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
    InstanceArn.parse,
    missing="is missing: set it to the ARN of the resource to convert, such as an EC2 instance's `arn`",
)


def validate_whole(least: int) -> Rule:
    """Return a rule for a whole number of at least `least`."""
    return _rule(
        (int, float),
        f"is not a whole number of at least {least}",
        lambda number: number >= least and isinstance(to_whole(number), int),
    )


def validate_roles(value: object) -> str | None:
    """Return what is wrong with a role, or a chain of roles, to assume, as far as a preview knows it."""
    try:
        parse_roles(_with_stand_ins(value))
    except SettingsError as error:
        return f"can't be used: {error.reason}"
    return None


_ANY_ROLE = "arn:aws:iam::123456789012:role/unknown"


def _with_stand_ins(value: object) -> object:
    """Return roles in which nothing is unknown: a good ARN stands for one, and what may be left out is."""
    if isinstance(value, (list, tuple)):
        return [_with_stand_ins({"role_arn": _ANY_ROLE} if role is UNKNOWN else role) for role in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: (_ANY_ROLE if name == "role_arn" else None) if has_unknown(member) else member
        for name, member in value.items()
    }


def validate_context(value: object) -> str | None:
    """Return what is wrong with a license context, the names of its members apart."""
    if value is None:
        return f"is missing: set it to {example(*_EXAMPLE_CONTEXT)}"
    if not isinstance(value, Mapping):
        return f"{to_shown(value)} is not {example(*_EXAMPLE_CONTEXT)}"
    operation, codes = value.get("usage_operation"), value.get("product_codes")
    if operation is UNKNOWN or codes is UNKNOWN:
        return None
    if operation is None and not codes:
        return fill("has neither a {usage_operation} nor {product_codes}: set what AWS shows for the instance")
    if operation is not None and (not isinstance(operation, str) or not 0 < len(operation) <= _OPERATION_MAX_LENGTH):
        return (
            f"has the {written('usage_operation')} {to_shown(operation)}: use a string of at most "
            f"{_OPERATION_MAX_LENGTH} characters, such as RunInstances:0002"
        )
    problem = code_problem(operation) if operation is not None else None
    if problem:
        return f"has the {written('usage_operation')} {to_shown(operation)}, which is not a usage operation: {problem}"
    if codes is not None and not isinstance(codes, list):
        return f"has the {written('product_codes')} {to_shown(codes)}: use a list, each entry {example(*_EXAMPLE_CODE)}"
    return next((reason for code in codes or () if (reason := _validate_code(code))), None)


def _validate_code(code: object) -> str | None:
    if code is UNKNOWN:
        return None
    if not isinstance(code, Mapping):
        return f"has {to_shown(code)} among the {written('product_codes')}, which is not {example(*_EXAMPLE_CODE)}"
    code_id, code_type = code.get("product_code_id"), code.get("product_code_type")
    if code_id is not UNKNOWN and not (isinstance(code_id, str) and _CODE_PATTERN.fullmatch(code_id)):
        return f"has the {written('product_code_id')} {to_shown(code_id)}: use one of at most 25 letters and digits"
    if code_type not in (None, UNKNOWN, PRODUCT_CODE_TYPE):
        return f"has the {written('product_code_type')} {to_shown(code_type)}: use {PRODUCT_CODE_TYPE}, or leave it out"
    return None


def validate_status(value: object) -> str | None:
    """Return what is wrong with the status of a task."""
    if isinstance(value, str) and value in {status.value for status in TaskStatus}:
        return None
    return f"has {to_shown(value)}, which is not a status: use {', '.join(status.value for status in TaskStatus)}"


def list_of(rule: Rule, form: str) -> Rule:
    """Return a rule for an optional list, `form` in words, whose entries follow `rule`."""

    def validate(value: object) -> str | None:
        if not isinstance(value, (list, tuple)):
            return f"{to_shown(value)} is not a list: use {form}"
        return next((reason for entry in value if (reason := rule(entry))), None)

    return optional(validate)


def validate_table(value: object) -> str | None:
    """Return what is wrong with a table of instances, its rows aside."""
    if isinstance(value, (list, tuple)):
        return None
    form = "what read_instances returns, or a list of FleetInstanceArgs"
    objects = fill("objects with a {resource_arn} each")
    return f"{to_shown(value)} is not a list: use {form if wording().is_python else objects}"


def partition_problem(arn: InstanceArn, regions: Regions) -> str | None:
    """Return what is wrong with the partition of an ARN whose region is in another; None where that is not known."""
    partition = regions.partition_of(arn.region)
    if partition in (None, arn.partition):
        return None
    return f"has the partition {arn.partition}, and its region {arn.region} is one of {partition}"
