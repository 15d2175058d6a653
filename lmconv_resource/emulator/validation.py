"""Checks of values against the constraints in AWS's own service model: type, required, length, pattern, enum."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model

from .exceptions import InvalidParameterValueException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import Shape

_PYTHON_TYPES: dict[str, type] = {"structure": dict, "list": list, "string": str, "integer": int}


def check_request(operation: str, request: object) -> dict[str, Any]:
    """Return the request's members, nulls left out, when it satisfies the model of `operation`.

    Raises:
        InvalidParameterValueException: names every member that does not, and why. AWS does not publish which of its
            codes it answers here; this is the one that all three calls have.

    """
    shape = get_service_model("license-manager").operation_model(operation).input_shape
    problems = [f"{place or 'The request'}: {why}" for place, why in value_problems(shape, request)]
    if problems or not isinstance(request, dict):
        raise InvalidParameterValueException("; ".join(problems))
    return {name: value for name, value in request.items() if value is not None}


def value_problem(shape_name: str, value: str) -> str | None:
    """Return why `value` is not a valid `shape_name` (such as `LicenseConversionTaskId`), or None when it is."""
    shape: Shape = get_service_model("license-manager").shape_for(shape_name)
    return next((why for _, why in value_problems(shape, value)), None)


def value_problems(shape: Any, value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield `(place, why)` for everything in `value` that the botocore shape does not allow."""
    expected = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, expected) or isinstance(value, bool):
        yield place, f"{quote(value)} is not a {shape.type_name}"
    elif isinstance(value, dict):
        yield from _member_problems(shape, value, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from value_problems(shape.member, item, f"{place}[{index}]")
    elif isinstance(value, str):
        why = _string_problem(shape, value)
        if why:
            yield place, why


def quote(value: object) -> str:
    """Return the value as JSON, for an error line; a long one is cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _member_problems(shape: Any, value: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    prefix = f"{place}." if place else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield prefix + name, "is required"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from value_problems(member, value[name], prefix + name)


def _string_problem(shape: Any, value: str) -> str | None:
    longest = shape.metadata.get("max")
    if longest is not None and len(value) > longest:
        return f"{quote(value)} is longer than {longest} characters"
    pattern = shape.metadata.get("pattern")
    # AWS writes the pattern of a task id without a closing $, and means the whole value.
    if pattern is not None and not re.fullmatch(pattern.removesuffix("$"), value):
        return f"{quote(value)} does not match {pattern}"
    if shape.enum and value not in shape.enum:
        return f"{quote(value)} is not one of {', '.join(shape.enum)}"
    return None
