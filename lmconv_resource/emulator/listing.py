"""Filters and pages of ListLicenseConversionTasks."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from .exceptions import InvalidParameterValueException
from .task import FAILED, IN_PROGRESS, SUCCEEDED
from .validation import quote, value_problem


def read_filters(filters: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what the filters ask for: for a member of a task, the values of which it must have one.

    Raises:
        InvalidParameterValueException: a filter is not known, is given twice or without a value.

    """
    wanted: dict[str, list[str]] = {}
    members = {"ResourceArns": "ResourceArn", "Status": "Status"}
    for given in filters:
        name, values = given.get("Name"), given.get("Values") or []
        if name not in members:
            raise InvalidParameterValueException(f"Filters: {quote(name)} is not one of {', '.join(members)}")
        if not values or members[name] in wanted:
            raise InvalidParameterValueException(f"Filters: {name} is given once, with at least one value")
        unknown = [value for value in values if value not in (IN_PROGRESS, SUCCEEDED, FAILED)]
        if name == "Status" and unknown:
            why = value_problem("LicenseConversionTaskStatus", unknown[0])
            raise InvalidParameterValueException(f"Filters: Status: {why}")
        wanted[members[name]] = values
    return wanted


def make_token(position: int, wanted: dict[str, list[str]]) -> str:
    """Return the token of a page that begins at this position among all tasks."""
    return base64.urlsafe_b64encode(f"{position}:{_digest(wanted)}".encode()).decode()


def read_token(token: str, wanted: dict[str, list[str]], number_of_tasks: int) -> int:
    """Return the position of the page's first task. It stays right while tasks end between two pages: none is removed.

    Raises:
        InvalidParameterValueException: no answer gave this token, or one with other filters did.

    """
    try:
        position, digest = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").split(":")
        if digest == _digest(wanted) and 0 <= int(position) < number_of_tasks:
            return int(position)
    except ValueError:
        pass
    raise InvalidParameterValueException("NextToken: it is not a token of this list, or the filters are not the same")


def _digest(wanted: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
