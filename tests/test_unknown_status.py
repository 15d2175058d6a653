"""A status that AWS's published model does not have."""

from __future__ import annotations

from lmconv_resource.models import ConversionTask, TaskStatus


def read(status: object) -> ConversionTask:
    return ConversionTask.from_answer({"Status": status, "ResourceArn": "arn"}, task_id="lct-1", region="eu-west-1")


def test_an_unknown_status_is_shown_as_it_is() -> None:
    """One task with a new word fails nothing: it has not ended, and its outputs show the word without what acts."""
    task = read("PAUSED\x1b")
    assert (task.status, task.unknown_status, task.status_text) == (None, "PAUSED\\x1b", "PAUSED\\x1b")
    assert not task.is_complete
    assert (task.to_outputs()["status"], task.to_outputs()["is_complete"]) == ("PAUSED\\x1b", False)


def test_known_statuses() -> None:
    """What AWS publishes is no unknown word."""
    for status in TaskStatus:
        task = read(status.value)
        assert (task.status, task.unknown_status, task.to_outputs()["status"]) == (status, None, status.value)


def test_an_unknown_status_that_is_no_text() -> None:
    """Whatever AWS says is shown as text."""
    assert read(7).status_text == "7"
