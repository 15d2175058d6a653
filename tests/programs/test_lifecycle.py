"""The contract with users: what `pulumi up`, `preview`, `refresh` and `destroy` do, the same on both engines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.stacks import ON_BOTH_ENGINES, RECORDED, LocalStack, RealStack, Stack

from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, licensemanager_backends

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    """A stack of the program in `support.stacks`, once on each engine."""
    made: Stack = LocalStack(tmp_path / "stack") if request.param == "local" else RealStack(tmp_path)
    made.config["aws:region"] = REGION
    return made


def add(aws: LicenseManagerBackend, **settings: Any) -> str:
    return aws.add_task(
        resource_arn=ARN, source="RunInstances:0800", destination="RunInstances:0002", **settings
    ).task_id


def test_a_finished_task_is_recorded_and_then_left_alone(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`up` records every field that AWS gives; a second `up` changes nothing and asks AWS nothing."""
    task_id = add(aws, seconds=0, message="all went well")
    stack.config["followed:taskId"] = task_id

    first = stack.up()
    calls = aws.calls.total()
    second = stack.up()

    assert first.ok
    assert first.outputs["status"] == "SUCCEEDED"
    assert first.outputs["usage_operation"] == "RunInstances:0002"
    recorded = stack.resources()["task"]
    assert recorded["id"] == task_id
    task = aws.tasks[task_id]
    assert {name: value for name, value in recorded["outputs"].items() if not name.startswith("__")} == {
        "license_conversion_task_id": task_id,
        "region": REGION,
        "resource_arn": ARN,
        "source_license_context": {"usage_operation": "RunInstances:0800", "product_codes": []},
        "destination_license_context": {"usage_operation": "RunInstances:0002", "product_codes": []},
        "status": "SUCCEEDED",
        "status_message": "all went well",
        "start_time": task.start_time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "license_conversion_time": task.start_time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "end_time": task.start_time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "is_complete": True,
        "duration_seconds": 0,
    }
    assert second.ok
    assert set(second.changes) == {"same"}
    assert aws.calls.total() == calls


@pytest.mark.proof
def test_lines_go_to_the_row_of_the_resource_that_they_are_about(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The URN that the provider is given is the resource's own; the child of a component does not wait for itself."""
    stack.config |= {"followed:taskId": add(aws, seconds=0), "followed:child": add(aws, seconds=0)}

    assert stack.up().ok

    resources = stack.resources()
    for name in ("task", "child", "rooted"):
        assert resources[name]["outputs"]["__urn"] == resources[name]["urn"]
    assert "tests:index:Group$pulumi-python:dynamic/lmconv:LicenseConversionTask" in resources["child"]["urn"]


@pytest.mark.proof
def test_a_running_task_is_recorded_and_its_end_is_a_change(stack: Stack, aws: LicenseManagerBackend) -> None:
    """Without the wait option `up` records IN_PROGRESS; once AWS says SUCCEEDED the next `up` updates and says so."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config["followed:taskId"] = task_id

    first = stack.up()
    assert first.ok
    assert first.outputs["status"] == "IN_PROGRESS"
    assert set(stack.up().changes) == {"same"}
    aws.finish_task(task_id)
    changed = stack.up()

    assert changed.changes["update"] >= 1
    assert changed.outputs["status"] == "SUCCEEDED"
    said = {line for line in changed.lines("task", "info") if "→" in line}
    assert len(said) == 1
    assert re.fullmatch(rf"{task_id} IN_PROGRESS → SUCCEEDED after \d+s", said.pop())


def test_the_wait_option_blocks_until_the_end(stack: Stack, aws: LicenseManagerBackend) -> None:
    """With the wait option the dependent resource sees the end, and the row has shown the progress live only."""
    task_id = add(aws, looks=2, message="done")
    stack.config |= {"followed:taskId": task_id, "followed:wait": "true"}

    outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs["status"] == "SUCCEEDED"
    assert stack.resources()["converted"]["outputs"]["output"]["at"] is not None
    shown = [text for name, text in outcome.shown if name == "task"]
    assert re.fullmatch(rf"0s IN_PROGRESS · {task_id}", shown[0])
    assert re.fullmatch(rf"SUCCEEDED after \d+s · {task_id}", shown[-1])
    assert not outcome.lines("task", "info")


def test_a_failed_task_under_wait_is_one_line_and_blocks_what_depends_on_it(
    stack: Stack, aws: LicenseManagerBackend
) -> None:
    """FAILED is an error with AWS's message; the task is recorded, and the dependent is not made."""
    task_id = add(aws, seconds=0, status="FAILED", message="SSM inventory is missing.")
    stack.config |= {"followed:taskId": task_id, "followed:wait": "true"}

    outcome = stack.up()

    assert not outcome.ok
    assert outcome.errors("task") == [
        f"{RECORDED}Waiting for license conversion task {task_id} in eu-west-1: it FAILED: SSM inventory is missing. "
        "Fix the cause and start a new conversion, or set ignore_failure=True to record this one as it is."
    ]
    resources = stack.resources()
    assert resources["task"]["outputs"]["status"] == "FAILED"
    assert "converted" not in resources


@pytest.mark.proof
def test_ignore_failure_records_a_failed_task_with_a_warning(stack: Stack, aws: LicenseManagerBackend) -> None:
    """With `ignore_failure` a FAILED task is an output and a warning; the next `up` has nothing to do."""
    task_id = add(aws, seconds=0, status="FAILED", message="SSM inventory is missing.")
    stack.config |= {"followed:taskId": task_id, "followed:wait": "true", "followed:ignore": "true"}

    outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs["status"] == "FAILED"
    assert outcome.lines("task", "warning") == [f"{task_id} FAILED: SSM inventory is missing."]
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_turning_the_wait_on_waits_and_other_settings_change_nothing(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The wait flag on a running task is an update that waits; flags on a finished task are no change."""
    task_id = add(aws, looks=3)
    stack.config["followed:taskId"] = task_id
    assert stack.up().outputs["status"] == "IN_PROGRESS"

    stack.config["followed:wait"] = "true"
    waited = stack.up()
    stack.config["followed:ignore"] = "true"
    stack.config["followed:poll"] = "5"
    stack.config["followed:timeout"] = "3h"
    unchanged = stack.up()

    assert waited.outputs["status"] == "SUCCEEDED"
    assert waited.changes["update"] >= 1
    assert set(unchanged.changes) == {"same"}


@pytest.mark.proof
def test_turning_the_wait_on_for_a_failed_task_fails_and_keeps_the_record(
    stack: Stack, aws: LicenseManagerBackend
) -> None:
    """The wait flag on a task recorded as FAILED is an error at each `up`, and the record stays."""
    task_id = add(aws, seconds=0, status="FAILED", message="no")
    stack.config["followed:taskId"] = task_id
    recorded = stack.up()
    assert recorded.lines("task", "warning") == [f"{task_id} FAILED: no"]

    stack.config["followed:wait"] = "true"
    outcome = stack.up()

    assert not outcome.ok
    assert "it FAILED: no." in outcome.errors("task")[0]
    assert stack.resources()["task"]["outputs"]["status"] == "FAILED"


@pytest.mark.proof
def test_another_task_id_replaces_the_resource(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A new id is a replacement, and the state holds the new task only."""
    first, second = add(aws, seconds=0), add(aws, seconds=0)
    stack.config["followed:taskId"] = first
    stack.up()

    stack.config["followed:taskId"] = second
    preview = stack.preview()
    outcome = stack.up()

    assert preview.changes["replace"] == 1
    assert outcome.changes["replace"] == 1
    assert stack.resources()["task"]["id"] == second


@pytest.mark.proof
def test_another_region_replaces_the_resource(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The region on the resource wins over the stack's, and a new one is a replacement."""
    task_id = add(aws, seconds=0)
    other = licensemanager_backends["123456789012"]["us-east-1"]
    other.add_task(task_id=task_id, resource_arn=ARN, source="RunInstances", destination="RunInstances:0g00", seconds=0)
    stack.config["followed:taskId"] = task_id
    stack.up()

    stack.config["followed:region"] = "us-east-1"
    outcome = stack.up()

    assert outcome.changes["replace"] == 1
    assert outcome.outputs["usage_operation"] == "RunInstances:0g00"
    assert stack.resources()["task"]["outputs"]["region"] == "us-east-1"


@pytest.mark.proof
def test_refresh_records_what_became_of_a_running_task(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`refresh` brings the end of a task into the state, says so once, and leaves the recorded inputs as they were."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config["followed:taskId"] = task_id
    stack.up()
    inputs = stack.resources()["task"]["inputs"]
    aws.finish_task(task_id, "FAILED", "the instance was started")

    outcome = stack.refresh()

    assert outcome.ok
    assert stack.resources()["task"]["outputs"]["status"] == "FAILED"
    assert stack.resources()["task"]["inputs"] == inputs
    (warning,) = outcome.lines("task", "warning")
    assert re.fullmatch(rf"{task_id} IN_PROGRESS → FAILED after \d+s: the instance was started", warning)
    calls = aws.calls.total()
    assert stack.up().changes["update"] == 1  # what depends on the task
    assert aws.calls.total() == calls


@pytest.mark.proof
def test_refresh_keeps_a_finished_task_that_aws_no_longer_knows(stack: Stack, aws: LicenseManagerBackend) -> None:
    """AWS forgetting a finished task is a warning, and its record stays whole."""
    task_id = add(aws, seconds=0)
    stack.config["followed:taskId"] = task_id
    stack.up()
    before = stack.resources()["task"]["outputs"]
    del aws.tasks[task_id]

    outcome = stack.refresh()

    assert outcome.ok
    assert stack.resources()["task"]["outputs"] == before
    (warning,) = outcome.lines("task", "warning")
    assert warning.startswith("The record of the finished task is kept as it was.")


@pytest.mark.proof
def test_refresh_of_a_running_task_that_aws_does_not_know_is_an_error_and_drops_nothing(
    stack: Stack, aws: LicenseManagerBackend
) -> None:
    """An id that AWS does not know may as well be a wrong region or account: an error, and the record stays."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config["followed:taskId"] = task_id
    stack.up()
    before = stack.resources()["task"]["outputs"]
    del aws.tasks[task_id]

    outcome = stack.refresh()

    assert not outcome.ok
    (error,) = outcome.errors("task")
    assert error.startswith(
        f"Looking up license conversion task {task_id} in eu-west-1: AWS does not know it there "
        "(InvalidParameterValueException: "
    )
    assert error.endswith(
        "Check the id, the region (set `region` or run `pulumi config set aws:region REGION`) "
        "and that the credentials belong to the task's account."
    )
    assert stack.resources()["task"]["outputs"] == before


@pytest.mark.proof
def test_get_reads_a_task_without_managing_it(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`get` looks a task up at each `up`, and `destroy` leaves it alone."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config["followed:get"] = task_id

    assert stack.up().outputs["seen"] == "IN_PROGRESS"
    aws.finish_task(task_id)
    assert stack.up().outputs["seen"] == "SUCCEEDED"
    assert stack.resources()["seen"]["id"] == task_id
    assert stack.destroy().ok


@pytest.mark.proof
def test_get_of_an_unknown_task_is_one_line(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`get` of an id that AWS does not know fails with what to check."""
    stack.config["followed:get"] = "lct-doesnotexist"

    outcome = stack.up()

    assert not outcome.ok
    assert any("lct-doesnotexist in eu-west-1: AWS does not know it there" in text for _, _, text in outcome.said)


def test_preview_with_an_unknown_task_id(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A task id that is another resource's output passes through a preview, which asks AWS nothing."""
    stack.config |= {"followed:taskId": add(aws, seconds=0), "followed:unknown": "true"}

    preview = stack.preview()

    assert preview.ok
    assert preview.changes["create"] >= 3
    assert aws.calls.total() == 0
    assert stack.up().outputs["status"] == "SUCCEEDED"


def test_destroy_forgets_the_task_and_asks_aws_nothing(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`destroy` empties the state; AWS has nothing to undo."""
    stack.config["followed:taskId"] = add(aws, status="IN_PROGRESS")
    stack.up()
    calls = aws.calls.total()

    assert stack.destroy().ok
    assert "task" not in stack.resources()
    assert aws.calls.total() == calls


def test_bad_inputs_are_refused_by_name(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A malformed id fails before anything is asked of AWS, in one line that names property, value and remedy."""
    stack.config["followed:taskId"] = "task-1"

    outcome = stack.up()

    assert not outcome.ok
    assert any(
        "license_conversion_task_id 'task-1' is not the id of a license conversion task: use lct- followed by letters "
        "and digits, at most 50 characters in all" in text
        for _, _, text in outcome.said
    )
    assert aws.calls.total() == 0


@pytest.mark.proof
def test_the_deadline_is_one_line_and_the_next_up_goes_on(stack: Stack, aws: LicenseManagerBackend) -> None:
    """When `custom_timeouts` is over the wait ends with what to do, and a later `up` finishes the job."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config |= {"followed:taskId": task_id, "followed:wait": "true", "followed:timeout": "3s"}

    late = stack.up()
    recorded = stack.resources()["task"]
    del stack.config["followed:timeout"]
    aws.finish_task(task_id)
    done = stack.up()

    assert not late.ok
    (error,) = late.errors("task")
    within = re.search(r"within (\d+s)", error)  # a slow machine takes a second to import boto3
    assert error == (
        f"{RECORDED}Waiting for license conversion task {task_id} in eu-west-1: it did not end within "
        f"{within and within[1]} (last seen IN_PROGRESS). The conversion continues in AWS, and the next `pulumi up` "
        "picks it up; custom_timeouts sets how long to wait."
    )
    assert (recorded["id"], recorded["outputs"]["status"]) == (task_id, "IN_PROGRESS")
    assert done.ok
    assert done.changes["update"] == 1
    assert done.outputs["status"] == "SUCCEEDED"


@pytest.mark.proof
def test_members_that_aws_leaves_out_are_no_change(stack: Stack, aws: LicenseManagerBackend) -> None:
    """Optional members that AWS leaves out are no difference at the next `up`."""
    task = aws.add_task(
        resource_arn=ARN, source=LicenseContext(), destination=LicenseContext("RunInstances:0002"), status="IN_PROGRESS"
    )
    stack.config["followed:taskId"] = task.task_id
    stack.up()

    assert set(stack.up().changes) == {"same"}
