"""Hundreds of running tasks cost a handful of calls: whole programs, the same on both engines."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import pytest
from support.proofs import keep
from support.stacks import ON_BOTH_ENGINES, LocalStack, RealStack, Stack
from support.wire import add_running

from lmconv_resource.aws.recent_tasks import FRESH_SECONDS
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend

REGION = "eu-west-1"
GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
PAGE = 50
"""Of the emulator, which takes no more."""

TRACKED = """
import pulumi
from lmconv_resource import LicenseConversionTask

for n in range(pulumi.Config().require_int("count")):
    LicenseConversionTask(f"task-{n:04}", license_conversion_task_id=f"lct-{n:04}")
"""

CONVERTED = """
import pulumi
from lmconv_resource import LicenseContextArgs, LicenseConversion

for n in range(pulumi.Config().require_int("count")):
    LicenseConversion(
        f"task-{n:04}",
        resource_arn=f"arn:aws:ec2:eu-west-1:123456789012:instance/i-{n:017x}",
        source_license_context=LicenseContextArgs(usage_operation="RunInstances:0800"),
        destination_license_context=LicenseContextArgs(usage_operation="RunInstances:0002"),
        wait_for_completion=False,
        preflight=False,
    )
"""
"""Their conversions are running already, so that they are found and not started."""

COUNTS = [30, pytest.param(300, marks=[pytest.mark.proof, pytest.mark.timeout(900)])]


@pytest.fixture(params=[TRACKED, pytest.param(CONVERTED, marks=pytest.mark.proof)], ids=["tracked", "converted"])
def program(request: pytest.FixtureRequest) -> str:
    """A program of each resource."""
    return str(request.param)


@pytest.fixture(params=COUNTS)
def count(request: pytest.FixtureRequest) -> int:
    """How many tasks run."""
    return int(request.param)


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(
    request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend, program: str, count: int
) -> Stack:
    """A stack that has recorded that many running tasks, once on each engine."""
    made: Stack = LocalStack(tmp_path / "stack", program) if request.param == "local" else RealStack(tmp_path, program)
    made.config |= {"aws:region": REGION, "followed:count": str(count)}
    add_running(aws, count)
    outcome = made.up()
    assert outcome.ok, outcome.said
    assert len(aws.tasks) == count
    return made


def counted(aws: LicenseManagerBackend, stack: Stack, operation: str, count: int) -> tuple[Counter[str], int]:
    """Return the calls of an operation that ends well, and how many are allowed beside those for ended tasks.

    What was seen counts for ten seconds: a machine that is too busy to be done by then asks again.
    """
    aws.calls.clear()
    began = time.monotonic()
    outcome = getattr(stack, operation)()
    times = 1 + int((time.monotonic() - began) / FRESH_SECONDS)
    assert outcome.ok, outcome.said
    return Counter(aws.calls), times * (math.ceil(count / PAGE) + 5)


def statuses(stack: Stack) -> Counter[str]:
    """Return how many of the recorded tasks have each status."""
    return Counter(
        resource["outputs"]["status"] for name, resource in stack.resources().items() if name.startswith("task-")
    )


@pytest.mark.parametrize("operation", keep(["up"], ["up", "preview", "refresh"]))
def test_running_tasks_cost_a_handful_of_calls(
    stack: Stack, aws: LicenseManagerBackend, count: int, operation: str
) -> None:
    """All of them are seen by a list; the diff that follows a refresh's read asks nothing again."""
    calls, allowed = counted(aws, stack, operation, count)

    assert calls.total() <= allowed
    assert statuses(stack) == {"IN_PROGRESS": count}


@pytest.mark.proof
@pytest.mark.parametrize("operation", keep(["refresh"], ["up", "refresh"]))
def test_each_task_that_has_ended_costs_one_look_up(
    stack: Stack, aws: LicenseManagerBackend, count: int, operation: str
) -> None:
    """An end is confirmed by a Get, which the update that records it does not repeat; a conversion's job lists once."""
    ended = [f"lct-{n:04}" for n in range(5, count, 3)]
    for task_id in ended:
        aws.finish_task(task_id)

    calls, allowed = counted(aws, stack, operation, count)

    assert calls.total() <= allowed + 2 * len(ended)
    assert calls[GET] >= len(ended)
    assert statuses(stack) == {"IN_PROGRESS": count - len(ended), "SUCCEEDED": len(ended)}
    calls, allowed = counted(aws, stack, "up", count)
    assert calls.total() <= allowed, "an end that is recorded costs nothing"


@pytest.mark.proof
def test_without_the_right_to_list_each_task_is_looked_up(stack: Stack, aws: LicenseManagerBackend, count: int) -> None:
    """The list is tried once."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException"), operation=LIST))

    calls, _ = counted(aws, stack, "up", count)
    assert calls == {GET: count, LIST: 1}
    assert statuses(stack) == {"IN_PROGRESS": count}
