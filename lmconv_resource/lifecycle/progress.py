"""What is said of a task while it is followed: one line each, for the resource's own row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmconv_resource.models import TaskStatus
from lmconv_resource.text import to_duration_text, to_one_line


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
