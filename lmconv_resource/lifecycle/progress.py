"""What is said of a task while it is followed: one line each, for the resource's own row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import to_duration_text, to_one_line
from lmconv_resource.models import TaskStatus

if TYPE_CHECKING:
    from lmconv_resource.polling.wait import Wait


def to_wait_text(wait: Wait, now: float) -> str:
    """Say how a wait goes: `lct-… IN_PROGRESS for 3m20s, next look in 20s: <StatusMessage>`."""
    if wait.task and wait.task.status and wait.task.is_complete:
        took = wait.task.duration_seconds
        seconds = wait.waited(now) if took is None else took
        return f"{wait.task_id} {wait.task.status.value} after {to_duration_text(seconds)}"
    status = wait.task.status.value if wait.task and wait.task.status else "not seen yet"
    following = (
        "looking now" if wait.planned else f"next look in {to_duration_text(max(1, round(wait.next_look - now)))}"
    )
    text = f"{wait.task_id} {status} for {to_duration_text(wait.waited(now))}, {following}"
    if wait.fault is not None:
        since = "" if wait.faulty_since is None else f" (for {to_duration_text(now - wait.faulty_since)})"
        return f"{text}; the last look failed{since}: {wait.fault.reason}"
    message = wait.task.status_message if wait.task else None
    return f"{text}: {to_one_line(message)}" if message else text


def to_change_text(task_id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Say what has become of a recorded task: `lct-… IN_PROGRESS → SUCCEEDED after 42m10s`; None where nothing has."""
    if old.get("status") != new["status"]:
        change = f"{task_id} {old.get('status') or 'no status'} → {new['status'] or 'no status'}"
        seconds = new["duration_seconds"]
        change = change if seconds is None else f"{change} after {to_duration_text(seconds)}"
        failed = new["status"] == TaskStatus.FAILED.value and new["status_message"]
        return f"{change}: {to_one_line(new['status_message'])}" if failed else change
    if old.get("status_message") != new["status_message"] and new["status_message"]:
        return f"{task_id} {new['status']}: {to_one_line(new['status_message'])}"
    return None
