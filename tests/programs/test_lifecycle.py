"""A tracked task as whole programs meet it, one story an operation, the same on both engines.

What each operation decides, records and says is shown by tests/lifecycle/test_track.py.
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from support.stacks import ON_BOTH_ENGINES, RECORDED, Stack, make_stack

from lmconv_resource.emulator import LicenseManagerBackend

pytestmark = pytest.mark.timeout(400)  # a story has many commands of Pulumi's

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

PROGRAM = """
import pulumi
from lmconv_resource import LicenseConversionTask

config = pulumi.Config()
timeout = config.get("timeout")
opts = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout))
task_id = config.get("taskId")
if task_id:
    task = LicenseConversionTask(
        "task",
        license_conversion_task_id=task_id,
        wait_for_completion=config.get_bool("wait"),
        ignore_failure=config.get_bool("ignore"),
        poll_interval_seconds=config.get_float("poll"),
        opts=opts,
    )
    pulumi.export("status", task.status)
    pulumi.export("usage_operation", task.destination_license_context.usage_operation)
    pulumi.Stash("converted", input={"at": task.end_time})
if config.get("child"):
    parents = {
        "child": pulumi.ComponentResource("tests:index:Group", "the::group"),
        "rooted": pulumi.runtime.get_root_resource(),
    }
    for name, parent in parents.items():
        LicenseConversionTask(
            name, license_conversion_task_id=config.require("child"), opts=pulumi.ResourceOptions(parent=parent)
        )
if config.get("get"):
    seen = LicenseConversionTask.get("seen", config.require("get"))
    pulumi.export("seen", seen.status)
"""


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    """A stack of the program above, once on each engine."""
    made = make_stack(request.param, tmp_path, PROGRAM)
    made.config["aws:region"] = REGION
    return made


def add(aws: LicenseManagerBackend, **settings: Any) -> str:
    defaults = {"resource_arn": ARN, "source": "RunInstances:0800", "destination": "RunInstances:0002"}
    return aws.add_task(**{**defaults, **settings}).task_id


def test_up_records_a_task_and_then_leaves_it_alone(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A task that has ended is recorded whole; a second `up` changes nothing and asks AWS nothing; so `destroy`.

    The URN that the provider is given is the resource's own; the child of a component does not wait for itself.
    """
    aws.clock = NOON.timestamp
    task_id = add(aws, seconds=0, message="all went well")
    stack.config |= {"followed:taskId": task_id, "followed:child": add(aws, seconds=0)}

    first = stack.up()
    calls = aws.calls.total()
    second = stack.up()

    assert first.ok
    assert (first.outputs["status"], first.outputs["usage_operation"]) == ("SUCCEEDED", "RunInstances:0002")
    recorded = stack.resources()["task"]
    assert recorded["id"] == task_id
    assert {name: value for name, value in recorded["outputs"].items() if not name.startswith("__")} == {
        "license_conversion_task_id": task_id,
        "region": REGION,
        "resource_arn": ARN,
        "source_license_context": {"usage_operation": "RunInstances:0800", "product_codes": []},
        "destination_license_context": {"usage_operation": "RunInstances:0002", "product_codes": []},
        "status": "SUCCEEDED",
        "status_message": "all went well",
        "start_time": "2026-03-01T12:00:00Z",
        "license_conversion_time": "2026-03-01T12:00:00Z",
        "end_time": "2026-03-01T12:00:00Z",
        "is_complete": True,
        "duration_seconds": 0,
    }
    resources = stack.resources()
    for name in ("task", "child", "rooted"):
        assert resources[name]["outputs"]["__urn"] == resources[name]["urn"]
    assert "tests:index:Group$pulumi-python:dynamic/lmconv:LicenseConversionTask" in resources["child"]["urn"]
    assert set(second.changes) == {"same"}
    assert stack.destroy().ok
    assert "task" not in stack.resources()
    assert aws.calls.total() == calls


def test_a_failed_wait_is_recorded_and_blocks_what_depends_on_it(stack: Stack, aws: LicenseManagerBackend) -> None:
    """FAILED is an error of one line; with `ignore_failure` it is an output and a warning, and is left alone.

    An update that fails so keeps the inputs from before it.
    """
    task_id = add(aws, status="IN_PROGRESS", message="SSM inventory is missing.")
    stack.config["followed:taskId"] = task_id
    assert stack.up().ok
    before = stack.resources()["task"]
    aws.finish_task(task_id, "FAILED", "SSM inventory is missing.")
    stack.config["followed:wait"] = "true"

    failed = stack.up()
    resources = stack.resources()
    stack.config["followed:ignore"] = "true"
    ignored = stack.up()

    assert not failed.ok
    (error,) = failed.errors("task")
    assert len(error.removeprefix(RECORDED).splitlines()) == 1
    assert "it FAILED: SSM inventory is missing." in error
    assert resources["task"]["outputs"]["status"] == "FAILED"
    assert resources["task"]["inputs"] == before["inputs"]
    assert resources["converted"]["outputs"]["output"].get("at") is None
    assert (ignored.ok, ignored.outputs["status"]) == (True, "FAILED")
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_update(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A wait whose time is up fails and is recorded; the next `up` updates, and flags on an ended task change nothing.

    So does the end of a task that is not waited for.
    """
    task_id = add(aws, status="IN_PROGRESS")
    stack.config |= {"followed:taskId": task_id, "followed:wait": "true", "followed:timeout": "3s"}
    late = stack.up()
    recorded = stack.resources()["task"]
    del stack.config["followed:wait"], stack.config["followed:timeout"]
    assert set(stack.up().changes) & {"update", "same"}
    aws.finish_task(task_id)
    ended = stack.up()
    stack.config |= {"followed:wait": "true", "followed:poll": "5", "followed:timeout": "3h"}

    assert not late.ok
    assert "it did not end" in late.errors("task")[0]
    assert (recorded["id"], recorded["outputs"]["status"]) == (task_id, "IN_PROGRESS")
    assert ended.changes["update"] >= 1
    assert ended.outputs["status"] == "SUCCEEDED"
    assert sum("→" in line for line in set(ended.lines("task", "info"))) == 1
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_refresh(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The end of a task comes into the state, and no input with it; a task that AWS does not know is an error."""
    task_id = add(aws, status="IN_PROGRESS")
    stack.config["followed:taskId"] = task_id
    stack.up()
    before = stack.resources()["task"]
    running = aws.tasks.pop(task_id)
    unknown = stack.refresh()
    assert not unknown.ok
    assert len(unknown.errors("task")) == 1
    assert stack.resources()["task"] == before

    aws.tasks[task_id] = running
    aws.finish_task(task_id, "FAILED", "the instance was started")
    outcome = stack.refresh()
    recorded = stack.resources()["task"]
    assert recorded["outputs"]["status"] == "FAILED"
    assert recorded["inputs"] == before["inputs"]
    assert len(outcome.lines("task", "warning")) == 1
    calls = aws.calls.total()
    assert stack.up().changes["update"] == 1  # what depends on the task
    assert aws.calls.total() == calls


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
