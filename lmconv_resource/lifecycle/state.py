"""What a stack stores of a task, and how two records compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmconv_resource.lifecycle.inputs import URN
from lmconv_resource.models import FINISHED_STATUSES, OUTPUTS, TaskStatus

_FINISHED = frozenset(status.value for status in FINISHED_STATUSES)


def is_finished(record: Mapping[str, Any]) -> bool:
    """Tell whether the record shows a task that has ended: it never changes again, so nobody needs to be asked."""
    return record.get("status") in _FINISHED


def has_failed(record: Mapping[str, Any]) -> bool:
    """Tell whether the record shows a task that ended FAILED."""
    return record.get("status") == TaskStatus.FAILED.value


def wants_wait(record: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Tell whether the program wants an end, or a success, that the record does not show."""
    if not inputs.get("wait_for_completion"):
        return False
    return not is_finished(record) or (has_failed(record) and not inputs.get("ignore_failure"))


def differs(record: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether any output of the task has changed."""
    return any(_known(record.get(name)) != _known(found.get(name)) for name in OUTPUTS)


def _known(value: Any) -> Any:
    """Give the value without what is None, at any depth: a state may have lost that on its way through the engine."""
    if isinstance(value, Mapping):
        return {name: _known(entry) for name, entry in value.items() if entry is not None}
    return [_known(entry) for entry in value] if isinstance(value, list) else value


def to_record(props: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is stored: the outputs, and the URN under which a later refresh says its lines."""
    return {**{name: outputs.get(name) for name in OUTPUTS}, URN: props.get(URN)}


def takes_back(record: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether AWS now says something else of a task that the record shows as ended."""
    return is_finished(record) and found["status"] != record["status"]


def merge(record: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was found, completed by the record of a finished task, which is never overwritten by less."""
    if not is_finished(record):
        return dict(found)
    if takes_back(record, found):
        return {name: record.get(name) for name in OUTPUTS}
    return {name: record.get(name) if found[name] is None else found[name] for name in OUTPUTS}
