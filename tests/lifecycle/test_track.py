"""The lifecycle of a tracked task: what each operation decides, says, records and asks of AWS.

That no record loses a value and errors tell the truth, in any order of events, is in reliability/test_properties.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from moto import mock_aws
from support.aws import LIST, REGION
from support.job import BYOL, WINDOWS
from support.lifecycle import ARN, OneResource

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import ConversionFailedError, SettingsError, TaskNotFoundError
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.lifecycle.track import TaskController

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


def add(aws: LicenseManagerBackend, minutes: int = 0, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    started = NOON + timedelta(minutes=minutes)
    defaults = {"resource_arn": ARN, "source": BYOL, "destination": WINDOWS, "started": started, "status": status}
    return aws.add_task(**{**defaults, **seconds, **settings}).task_id


def track(**inputs: Any) -> OneResource:
    return OneResource(TaskController(), inputs)


@pytest.fixture
def running(aws: LicenseManagerBackend) -> OneResource:
    task = track(license_conversion_task_id=add(aws, status="IN_PROGRESS"))
    task.up()
    aws.calls.clear()
    return task


@pytest.fixture
def newest(aws: LicenseManagerBackend) -> OneResource:
    """The newest task of a resource, recorded as ended, beside an older one and another resource's."""
    add(aws, -5)
    add(aws, 5, resource_arn=f"{ARN}1")
    task_id = add(aws, status="FAILED")
    task = track(resource_arn=ARN)
    task.up()
    assert task.id == task_id
    aws.calls.clear()
    return task


def test_the_end_of_a_running_task_is_a_change_by_name(aws: LicenseManagerBackend, running: OneResource) -> None:
    """The diff of a task recorded as running names the outputs for which AWS says something new, and says so."""
    assert (running.preview().step, running.preview().diff.changed) == ("same", ())
    aws.finish_task(running.id or "", message="done")
    preview = running.preview()
    assert preview.diff.changed == (
        "status",
        "status_message",
        "license_conversion_time",
        "end_time",
        "is_complete",
        "duration_seconds",
    )
    assert preview.lines("INFO")[0].startswith(f"{running.id} IN_PROGRESS → SUCCEEDED after ")
    assert (running.up().step, running.outputs["status"], running.up().step) == ("update", "SUCCEEDED", "same")


@pytest.mark.parametrize(
    ("change", "replaces", "changed"),
    [
        ({"license_conversion_task_id": "lct-2"}, ("license_conversion_task_id",), ()),
        ({"license_conversion_task_id": UNKNOWN}, ("license_conversion_task_id",), ()),
        ({"region": "us-east-1"}, ("region",), ()),
        ({"license_conversion_task_id": "lct-2", "region": UNKNOWN}, ("license_conversion_task_id", "region"), ()),
        ({"wait_for_completion": True}, (), ("wait_for_completion",)),
    ],
)
def test_another_task_and_a_wait_are_changes_by_name(
    aws: LicenseManagerBackend,
    running: OneResource,
    change: dict[str, object],
    replaces: tuple[str, ...],
    changed: tuple[str, ...],
) -> None:
    """Another id or region, or one that is not known yet, replaces the resource; none of it takes a call."""
    running.inputs |= change
    diff = running.preview().diff
    assert (diff.replaces, diff.changed, aws.calls) == (replaces, changed, {})


@pytest.mark.parametrize(
    ("message", "why"),
    [("step 1\n  of 2", "step 1 of 2"), ("it broke.", "it broke"), (None, "AWS gives no status message")],
)
def test_a_failure_is_an_error_beside_the_record(aws: LicenseManagerBackend, message: str | None, why: str) -> None:
    """The task is recorded as it was seen; with `ignore_failure` that is all, and a warning."""
    task_id = add(aws, status="FAILED", message=message)
    task = track(license_conversion_task_id=task_id, wait_for_completion=True)
    outcome = task.up()
    assert isinstance(outcome.error, ConversionFailedError)
    assert outcome.why == (
        f"Waiting for license conversion task {task_id} in {REGION}: it FAILED: {why}. Fix the cause and start a new "
        "conversion, or set ignore_failure=True to record this one as it is."
    )
    assert (task.id, task.outputs["status"], task.outputs.get("status_message")) == (task_id, "FAILED", message)
    ignored = track(**task.inputs, ignore_failure=True)
    assert ignored.up().lines("WARNING")[0].startswith(f"{task_id} FAILED: {why}")
    assert ignored.preview().step == "same"


def test_a_wait_that_saw_nothing_has_nothing_to_record(aws: LicenseManagerBackend) -> None:
    """Where AWS denies access at the first poll there is no task to return: the error is raised."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no")))
    task = track(license_conversion_task_id=add(aws), wait_for_completion=True)
    assert "AWS denies access" in task.up().why
    assert task.id is None


def test_a_refresh_says_what_has_become_of_it(aws: LicenseManagerBackend, running: OneResource) -> None:
    """What AWS does not know may be of a wrong region or account, which nobody wants recorded."""
    aws.finish_task(running.id or "", "FAILED", "no")
    (line,) = running.refresh().lines("WARNING")
    assert line.startswith(f"{running.id} IN_PROGRESS → FAILED after ")
    running.outputs["status"] = "IN_PROGRESS"
    aws.tasks.clear()
    assert isinstance(running.refresh().error, TaskNotFoundError)


def test_a_first_read_supplies_the_inputs(aws: LicenseManagerBackend) -> None:
    """What is read by its id can be compared later: the read says the id, which it checks, and the region."""
    with pytest.raises(SettingsError, match="is not the id of a license conversion task"):
        track().get("lct-1\n")
    task_id = add(aws)
    read = track().get(task_id)
    assert read.inputs == {"license_conversion_task_id": task_id, "region": REGION}
    assert read.state.status == "SUCCEEDED"


def test_the_newest_is_found_once(aws: LicenseManagerBackend, newest: OneResource) -> None:
    """The task that started last is tracked, FAILED or not; a newer one changes nothing, and costs no call."""
    found = newest.id
    add(aws, 10)
    assert newest.up().step == "same"
    assert not aws.calls
    newest.refresh()
    assert newest.id == found


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"resource_arn": UNKNOWN, "follow_newest": True}, ("resource_arn", "region")),
        ({"resource_arn": f"{ARN}1"}, ("resource_arn",)),
        ({"follow_newest": None}, ()),
        ({"follow_newest": UNKNOWN}, ()),
    ],
)
def test_what_is_not_followed_asks_nobody(
    aws: LicenseManagerBackend, newest: OneResource, change: dict[str, object], replaces: tuple[str, ...]
) -> None:
    """An ARN that is not known yet may be another, and an unknown `follow_newest` is not taken for True."""
    add(aws, 10)
    newest.inputs |= change
    assert (newest.preview().diff.replaces, newest.preview().diff.changed, aws.calls) == (replaces, (), {})


@pytest.mark.parametrize("left", ["all", "older", "none"])
def test_no_older_task_is_taken_for_newer(aws: LicenseManagerBackend, newest: OneResource, left: str) -> None:
    """When AWS has ceased to list the tracked task, it is kept, and it is no error."""
    newest.inputs["follow_newest"] = True
    if left != "all":
        del aws.tasks[newest.id or ""]
    if left == "none":
        aws.tasks.clear()
    assert newest.preview().step == "same"


@pytest.mark.parametrize("wish", ["follow_newest", "wait_for_completion"])
def test_a_newer_one_replaces_it_where_it_is_followed(
    aws: LicenseManagerBackend, newest: OneResource, wish: str
) -> None:
    """What a replacement creates is the task that the diff has announced; then there is nothing to do.

    One that FAILED and is waited for is left by another conversion only.
    """
    newest.inputs[wish] = True
    assert newest.preview().diff.replaces == ()
    newer = add(aws, 10)
    line = f"{newer} is newer than {newest.id} and is followed from now on"
    preview, outcome = newest.preview(), newest.up()
    assert preview.diff.replaces == ("license_conversion_task_id",)
    assert preview.lines("INFO") == outcome.lines("INFO") == [line]
    assert (newest.id, outcome.step, newest.up().step) == (newer, "replace", "same")


def test_the_same_task_by_another_name_is_no_change(aws: LicenseManagerBackend, newest: OneResource) -> None:
    """From the ARN to the id of the same task, and back, nothing is replaced, nor where AWS leaves the ARN out."""
    add(aws, 10)
    for inputs in ({"license_conversion_task_id": newest.id}, {"resource_arn": ARN}):
        newest.inputs = inputs
        assert newest.up().step == "same"
    del newest.outputs["resource_arn"]
    assert newest.up().step == "same"


def test_none_is_an_error_of_its_own(aws: LicenseManagerBackend) -> None:
    """A resource that was never converted is one line that says what to check, and whose subject programs can read."""
    add(aws, resource_arn=f"{ARN}1")
    error = track(resource_arn=ARN).up().error
    assert str(error) == (
        f"Listing the license conversions of {ARN} in {REGION}: AWS shows none. Check the ARN, the region (set "
        "`region` or run `pulumi config set aws:region REGION`) and the account of the credentials."
    )
    assert error is not None
    assert (error.subject.resource_arn, error.subject.region, error.subject.task_id) == (ARN, REGION, None)
    assert aws.calls == {LIST: 1}
