"""Tracking the newest task of a resource: found once, kept from then on, and followed only where that is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support.stacks import ON_BOTH_ENGINES, LocalStack, RealStack, Stack

from lmconv_resource.emulator import LicenseManagerBackend

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

PROGRAM = """
import pulumi
from lmconv_resource import LicenseConversionTask

config = pulumi.Config()
task = LicenseConversionTask(
    "task",
    license_conversion_task_id=config.get("taskId"),
    resource_arn=config.get("arn"),
    follow_newest=config.get_bool("follow"),
)
pulumi.export("id", task.license_conversion_task_id)
pulumi.export("status", task.status)
"""


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    """A stack that tracks the newest task of a resource, once on each engine."""
    made: Stack = LocalStack(tmp_path / "stack", PROGRAM) if request.param == "local" else RealStack(tmp_path, PROGRAM)
    made.config |= {"aws:region": REGION, "followed:arn": ARN}
    return made


def add(aws: LicenseManagerBackend, minutes: int = 0, **settings: Any) -> str:
    defaults = {"resource_arn": ARN, "source": "RunInstances:0800", "destination": "RunInstances:0002"}
    return aws.add_task(**{**defaults, "started": NOON + timedelta(minutes=minutes), "seconds": 0, **settings}).task_id


@pytest.mark.proof
def test_the_newest_is_found_and_stays(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The task that started last is tracked; a newer one changes nothing, neither at `up` nor at `refresh`."""
    newest = add(aws, 5, status="FAILED")
    add(aws)
    add(aws, 9, resource_arn=f"{ARN}1")

    assert stack.up().outputs == {"id": newest, "status": "FAILED"}
    add(aws, 10)
    again = stack.up()
    refreshed = stack.refresh()

    assert set(again.changes) == {"same"}
    assert refreshed.ok
    assert stack.resources()["task"]["id"] == newest
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_the_newest_is_followed_where_that_is_asked_for(stack: Stack, aws: LicenseManagerBackend) -> None:
    """With `follow_newest` a newer task replaces the tracked one; the preview shows it, and says which is newer."""
    first = add(aws)
    stack.config["followed:follow"] = "true"
    assert stack.up().outputs["id"] == first
    assert set(stack.up().changes) == {"same"}

    second = add(aws, 10)
    preview = stack.preview()
    outcome = stack.up()

    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    line = f"{second} is newer than {first} and is followed from now on"
    assert preview.lines("task", "info") == outcome.lines("task", "info") == [line]
    assert outcome.outputs["id"] == second
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_the_same_task_by_another_name_is_no_change(stack: Stack, aws: LicenseManagerBackend) -> None:
    """From the id to the ARN of the same task, and back, nothing is replaced and the id stays."""
    task_id = add(aws)
    add(aws, 10)
    stack.config["followed:taskId"] = task_id
    del stack.config["followed:arn"]
    stack.up()

    stack.config["followed:arn"] = ARN
    del stack.config["followed:taskId"]
    by_arn = stack.up()
    stack.config["followed:taskId"] = task_id
    del stack.config["followed:arn"]
    by_id = stack.up()

    assert set(by_arn.changes) == set(by_id.changes) == {"same"}
    assert stack.resources()["task"]["id"] == task_id


@pytest.mark.proof
def test_another_resource_replaces_the_task(stack: Stack, aws: LicenseManagerBackend) -> None:
    """Another ARN is another resource's task, in the preview too."""
    add(aws)
    other = add(aws, resource_arn=f"{ARN}1")
    stack.up()

    stack.config["followed:arn"] = f"{ARN}1"
    preview = stack.preview()
    outcome = stack.up()

    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    assert outcome.outputs["id"] == other


def test_a_task_that_is_named_wrongly_is_one_line(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """A program that names the task twice is told so before AWS is asked."""
    stack = LocalStack(tmp_path / "stack", PROGRAM)
    stack.config = {"aws:region": REGION, "followed:arn": ARN, "followed:taskId": "lct-1"}

    outcome = stack.up()

    assert not outcome.ok
    (error,) = outcome.errors("task")
    assert error.endswith(
        f"has a problem: resource_arn '{ARN}' is given together with license_conversion_task_id: leave one of the two "
        "out"
    )
    assert not aws.calls


def test_no_task_is_one_line(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A resource that was never converted fails with what to check."""
    add(aws, resource_arn=f"{ARN}1")

    outcome = stack.up()

    assert not outcome.ok
    assert outcome.errors("task") == [
        f"Listing the license conversions of {ARN} in {REGION}: AWS shows none. Check the ARN, the region (set "
        "`region` or run `pulumi config set aws:region REGION`) and the account of the credentials."
    ]
