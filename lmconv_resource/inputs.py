"""Checking what a program gives: each failure names the property, the value and the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmconv_resource.models import TASK_ID_MAX_LENGTH, TASK_ID_PATTERN, to_plain_text
from lmconv_resource.rhythm import DEFAULT_DEADLINE_SECONDS

URN = "__urn"
"""The resource's own URN, for lines on its row. Names that begin with `__` are shown in no diff."""

TIMEOUTS = "__timeouts"
"""`opts.custom_timeouts`, which Pulumi does not hand on to dynamic providers."""

LONGEST_POLL_SECONDS = 300

_REGION_PATTERN = re.compile(r"[a-z]{2,8}(-[a-z]{2,16})+-[0-9]{1,2}")
_DURATION_PATTERN = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


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
            name = " ".join(to_plain_text(str(operation)).split())
            return f'{name}={_shown(text)} is not a duration: give one such as "90s", "45m" or "1h30m"'
    return None


_RULES = (
    ("license_conversion_task_id", "license_conversion_task_id", _task_id_failure),
    ("wait_for_completion", "wait_for_completion", _flag_failure),
    ("ignore_failure", "ignore_failure", _flag_failure),
    ("region", "region", _region_failure),
    ("poll_interval_seconds", "poll_interval_seconds", _poll_failure),
    (TIMEOUTS, "custom_timeouts", _timeouts_failure),
)


def find_failures(inputs: Mapping[str, Any]) -> list[Failure]:
    """Give what is wrong with the inputs, defaults filled in; values that a preview can't know yet pass."""
    failures = []
    for name, shown_as, rule in _RULES:
        value = inputs.get(name)
        reason = None if is_unknown(value) else rule(value)
        if reason:
            failures.append(Failure(shown_as, f"{shown_as} {reason}"))
    return failures


def find_deadline_seconds(inputs: Mapping[str, Any], operation: str) -> float:
    """Give how long `create` or `update` may wait, in seconds."""
    text = (inputs.get(TIMEOUTS) or {}).get(operation)
    return (parse_duration(text) if text else None) or DEFAULT_DEADLINE_SECONDS
