"""The lifecycle of a tracked task: what each operation does, says, records and asks of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from moto import mock_aws
from support.aws import LIST, REGION
from support.lifecycle import ARN, BYOL, WINDOWS, OneResource, make_session

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import ConversionFailedError, LicenseConversionError, SettingsError, TaskNotFoundError
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
    """Return a resource that tracks the task that the inputs name."""
    return OneResource(TaskController(), inputs)


# -- by its id ---------------------------------------------------------------------------------------------------------


def test_the_end_of_a_running_task_is_a_change_by_name(aws: LicenseManagerBackend) -> None:
    """The diff of a task recorded as running names the outputs for which AWS says something new, and says so."""
    task_id = add(aws, status="IN_PROGRESS")
    task = track(license_conversion_task_id=task_id)
    task.up()
    assert (task.preview().step, task.preview().diff.changed) == ("same", ())

    aws.finish_task(task_id, message="done")
    preview = task.preview()

    assert preview.diff.changed == (
        "status",
        "status_message",
        "license_conversion_time",
        "end_time",
        "is_complete",
        "duration_seconds",
    )
    assert preview.diff.replaces == ()
    assert preview.lines("INFO")[0].startswith(f"{task_id} IN_PROGRESS → SUCCEEDED after ")
    assert (task.up().step, task.outputs["status"], task.up().step) == ("update", "SUCCEEDED", "same")


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"license_conversion_task_id": "lct-2"}, ("license_conversion_task_id",)),
        ({"license_conversion_task_id": UNKNOWN}, ("license_conversion_task_id",)),
        ({"region": "us-east-1"}, ("region",)),
        ({"license_conversion_task_id": "lct-2", "region": UNKNOWN}, ("license_conversion_task_id", "region")),
    ],
)
def test_what_replaces_is_told_by_name(
    aws: LicenseManagerBackend, change: dict[str, object], replaces: tuple[str, ...]
) -> None:
    """Another id or region, or one that is not known yet, replaces the resource, which asks nobody."""
    task = track(license_conversion_task_id=add(aws, status="IN_PROGRESS"))
    task.up()
    calls = aws.calls.total()

    task.inputs |= change

    assert task.preview().diff.replaces == replaces
    assert task.preview().diff.changed == ()
    assert aws.calls.total() == calls


def test_a_wait_that_is_wanted_now_is_a_change_by_name(aws: LicenseManagerBackend) -> None:
    """Turning the wait on changes a running task by that name, without a call; with its end nothing is left to do."""
    task_id = add(aws, status="IN_PROGRESS")
    task = track(license_conversion_task_id=task_id)
    task.up()
    calls = aws.calls.total()

    task.inputs["wait_for_completion"] = True
    preview = task.preview()

    assert (preview.diff.changed, preview.diff.replaces) == (("wait_for_completion",), ())
    assert aws.calls.total() == calls
    aws.finish_task(task_id)
    assert (task.up().step, task.outputs["status"], task.preview().step) == ("update", "SUCCEEDED", "same")


@pytest.mark.parametrize("name", ["ignore_failure", "poll_interval_seconds"])
def test_how_to_wait_changes_nothing_of_what_has_ended(aws: LicenseManagerBackend, name: str) -> None:
    task = track(license_conversion_task_id=add(aws))
    task.up()

    task.inputs[name] = {"ignore_failure": True, "poll_interval_seconds": 5}[name]

    assert task.preview().step == "same"


# -- what a wait ends in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "why"),
    [("step 1\n  of 2", "step 1 of 2"), ("it broke.", "it broke"), (None, "AWS gives no status message")],
)
def test_a_failure_is_an_error_that_holds_the_task(aws: LicenseManagerBackend, message: str | None, why: str) -> None:
    """A wait that ends FAILED returns the task as it was seen beside its error; nothing of it is recorded here."""
    task_id = add(aws, status="FAILED", message=message)
    session = make_session()
    controller = TaskController()

    with session.operation(None) as op:
        inputs = controller.inputs.parse({"license_conversion_task_id": task_id, "wait_for_completion": True})
        created = controller.create(op, inputs)

    assert isinstance(created.error, ConversionFailedError)
    assert str(created.error) == (
        f"Waiting for license conversion task {task_id} in {REGION}: it FAILED: {why}. Fix the cause and start a new "
        "conversion, or set ignore_failure=True to record this one as it is."
    )
    assert (created.id, created.state.status, created.state.status_message) == (task_id, "FAILED", message)


def test_a_wait_that_saw_nothing_has_nothing_to_record(aws: LicenseManagerBackend) -> None:
    """Where AWS denies access at the first poll there is no task to return: the error is raised."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no")))
    task = track(license_conversion_task_id=add(aws), wait_for_completion=True)

    outcome = task.up()

    assert "AWS denies access" in str(outcome.error)
    assert task.id is None


def test_an_ignored_failure_is_recorded_with_a_warning(aws: LicenseManagerBackend) -> None:
    task_id = add(aws, status="FAILED", message="no")
    task = track(license_conversion_task_id=task_id, wait_for_completion=True, ignore_failure=True)

    assert task.up().lines("WARNING") == [f"{task_id} FAILED: no"]
    assert task.preview().step == "same"


# -- reading and forgetting --------------------------------------------------------------------------------------------


def test_a_refresh_says_what_has_become_of_it(aws: LicenseManagerBackend) -> None:
    task_id = add(aws, status="IN_PROGRESS")
    task = track(license_conversion_task_id=task_id)
    task.up()
    aws.finish_task(task_id, "FAILED", "no")

    (line,) = task.refresh().lines("WARNING")

    assert line.startswith(f"{task_id} IN_PROGRESS → FAILED after ")
    assert task.outputs["status"] == "FAILED"


def test_a_running_task_that_aws_does_not_know_is_an_error(aws: LicenseManagerBackend) -> None:
    """It may be a wrong region or account, which nobody wants recorded."""
    controller = TaskController()
    state = controller.state.from_outputs({"license_conversion_task_id": "lct-unknown", "status": "IN_PROGRESS"})

    with make_session().operation(None) as op, pytest.raises(TaskNotFoundError):
        controller.read(op, "lct-unknown", state, controller.inputs.parse({}))


@pytest.mark.parametrize("task_id", ["lct-", "i-0123", "lct-" + "a" * 47, "lct-1\n"])
def test_a_first_read_refuses_a_malformed_id(task_id: str) -> None:
    """A read comes without a check, so it checks the id itself."""
    controller = TaskController()

    with (
        make_session().operation(None) as op,
        pytest.raises(SettingsError, match="is not the id of a license conversion task"),
    ):
        controller.read(op, task_id, None, controller.inputs.parse({}))


def test_a_first_read_supplies_the_inputs(aws: LicenseManagerBackend) -> None:
    """What is read by its id can be compared later: the read says the id and the region that was found."""
    task_id = add(aws)
    controller = TaskController()

    with make_session().operation(None) as op:
        read = controller.read(op, task_id, None, controller.inputs.parse({}))

    assert read.inputs == {"license_conversion_task_id": task_id, "region": REGION}
    assert read.state.status == "SUCCEEDED"


# -- as the newest of a resource ---------------------------------------------------------------------------------------


def test_the_newest_is_found_once(aws: LicenseManagerBackend) -> None:
    """The task that started last is tracked, FAILED or not; a newer one changes nothing."""
    newest = add(aws, 5, "FAILED")
    add(aws)
    add(aws, 9, resource_arn=f"{ARN}1")
    task = track(resource_arn=ARN)

    task.up()
    add(aws, 10)

    assert task.id == newest
    assert task.up().step == "same"
    task.refresh()
    assert task.id == newest


def test_a_finished_task_is_not_looked_for_again(aws: LicenseManagerBackend) -> None:
    """Without `follow_newest` the record of a task that has ended costs no call."""
    add(aws)
    task = track(resource_arn=ARN)
    task.up()
    aws.calls.clear()

    assert task.preview().step == "same"
    assert not aws.calls


def test_the_tasks_of_others_are_not_taken_for_newer(aws: LicenseManagerBackend) -> None:
    """Of an account's tasks only those of this resource count, when it is found and when it is followed."""
    own = add(aws)
    add(aws, 5, resource_arn=f"{ARN}1")
    task = track(resource_arn=ARN, follow_newest=True)

    task.up()

    assert task.id == own
    assert task.preview().step == "same"


@pytest.mark.parametrize("what_is_left", ["nothing", "an older task"])
def test_a_task_that_aws_lists_no_more_is_kept(aws: LicenseManagerBackend, what_is_left: str) -> None:
    """When AWS has ceased to list the tracked task, no older one is taken for newer, and it is no error."""
    add(aws, -10)
    newest = add(aws)
    task = track(resource_arn=ARN, follow_newest=True)
    task.up()
    assert task.id == newest
    del aws.tasks[newest]
    if what_is_left == "nothing":
        aws.tasks.clear()

    assert task.preview().step == "same"


def test_a_record_without_an_arn_is_not_replaced(aws: LicenseManagerBackend) -> None:
    """Where AWS leaves the ARN out of its answer, the record has none, which is no difference at every `up`."""
    add(aws)
    task = track(resource_arn=ARN)
    task.up()

    del task.outputs["resource_arn"]

    assert task.preview().step == "same"


def test_an_unknown_arn_passes_and_may_be_another(aws: LicenseManagerBackend) -> None:
    """In a preview an ARN that is not known yet passes, and shows as a replacement without a call."""
    add(aws)
    task = track(resource_arn=ARN)
    task.up()
    aws.calls.clear()
    task.inputs = {"resource_arn": UNKNOWN, "follow_newest": True}

    assert task.preview().diff.replaces == ("resource_arn", "region")
    assert not aws.calls


@pytest.mark.parametrize("flag", [False, None, UNKNOWN])
def test_a_flag_that_is_not_known_yet_follows_nothing(aws: LicenseManagerBackend, flag: object) -> None:
    """In a preview an unknown `follow_newest` is not taken for True."""
    add(aws)
    task = track(resource_arn=ARN)
    task.up()
    add(aws, 10)

    task.inputs["follow_newest"] = flag

    assert task.preview().step == "same"


def test_a_replacement_finds_the_newest_again(aws: LicenseManagerBackend) -> None:
    """What a replacement creates is the task that the diff has announced; then there is nothing to do."""
    first = add(aws)
    task = track(resource_arn=ARN, follow_newest=True)
    task.up()
    newer = add(aws, 10)
    line = f"{newer} is newer than {first} and is followed from now on"

    preview = task.preview()
    outcome = task.up()

    assert preview.diff.replaces == ("license_conversion_task_id",)
    assert preview.lines("INFO") == outcome.lines("INFO") == [line]
    assert (task.id, outcome.step, task.up().step) == (newer, "replace", "same")


def test_the_same_task_by_another_name_is_no_change(aws: LicenseManagerBackend) -> None:
    """From the id to the ARN of the same task, and back, nothing is replaced."""
    task_id = add(aws)
    add(aws, 10)
    task = track(license_conversion_task_id=task_id)
    task.up()

    task.inputs = {"resource_arn": ARN}
    assert task.up().step == "same"
    task.inputs = {"license_conversion_task_id": task_id}
    assert task.up().step == "same"
    task.inputs = {"resource_arn": f"{ARN}1"}
    assert task.preview().diff.replaces == ("resource_arn",)


def test_none_is_an_error_of_its_own(aws: LicenseManagerBackend) -> None:
    """A resource that was never converted is one line that says what to check, and whose subject programs can read."""
    add(aws, resource_arn=f"{ARN}1")

    error = track(resource_arn=ARN).up().error

    assert isinstance(error, LicenseConversionError)
    assert str(error) == (
        f"Listing the license conversions of {ARN} in {REGION}: AWS shows none. Check the ARN, the region (set "
        "`region` or run `pulumi config set aws:region REGION`) and the account of the credentials."
    )
    assert (error.subject.resource_arn, error.subject.region, error.subject.task_id) == (ARN, REGION, None)
    assert aws.calls == {LIST: 1}
