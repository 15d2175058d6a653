"""Hundreds of running tasks cost a handful of calls: whole programs, the same on both engines."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import pytest
from local_engine.plugin import DynamicPlugin, start_process
from support.stacks import LocalStack, RealStack, Stack, needs_pulumi
from support.wire import add_running

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend
from lmconv_resource.polling.recent_tasks import FRESH_SECONDS

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

PROGRAMS = {"tracked": TRACKED, "converted": CONVERTED}
FEW = [("local", "tracked", 30)]
"""The engine, the program and how many tasks run: what every run tries."""

PAGES = [(engine, program, 60) for engine in ("local", "real") for program in PROGRAMS]
HUNDREDS = [("local", program, 300) for program in PROGRAMS]


def with_tasks(*cases: tuple[str, str, int]) -> pytest.MarkDecorator:
    """Return what runs a test on stacks that have recorded so many running tasks."""
    marks = {"real": [needs_pulumi, pytest.mark.proof], "local": [pytest.mark.proof]}
    params = [
        pytest.param(case, marks=() if case in FEW else marks[case[0]], id="-".join(map(str, case))) for case in cases
    ]
    return pytest.mark.parametrize("stack", params, indirect=True)


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen counts for ten seconds, which are to be real ones."""
    monkeypatch.setattr(DynamicPlugin, "start_process", staticmethod(start_process))


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    engine, name, count = request.param
    program = PROGRAMS[name]
    made: Stack = LocalStack(tmp_path / "stack", program) if engine == "local" else RealStack(tmp_path, program)
    made.config |= {"aws:region": REGION, "followed:count": str(count)}
    add_running(aws, count)
    outcome = made.up()
    assert outcome.ok, outcome.said
    assert len(aws.tasks) == count
    return made


def counted(aws: LicenseManagerBackend, stack: Stack, operation: str) -> tuple[Counter[str], int]:
    """Return the calls of an operation that ends well, and how many are allowed beside those for ended tasks.

    What was seen counts for ten seconds: a machine that is too busy to be done by then asks again.
    """
    aws.calls.clear()
    began = time.monotonic()
    outcome = getattr(stack, operation)()
    times = 1 + int((time.monotonic() - began) / FRESH_SECONDS)
    assert outcome.ok, outcome.said
    return Counter(aws.calls), times * (math.ceil(len(aws.tasks) / PAGE) + 5)


def statuses(stack: Stack) -> Counter[str]:
    """Return how many of the recorded tasks have each status."""
    return Counter(
        resource["outputs"]["status"] for name, resource in stack.resources().items() if name.startswith("task-")
    )


@with_tasks(*FEW, *PAGES, *HUNDREDS)
@pytest.mark.timeout(900)
def test_running_tasks_cost_a_handful_of_calls(stack: Stack, aws: LicenseManagerBackend) -> None:
    """All of them are seen by a list; the diff that follows a refresh's read asks nothing again."""
    for operation in ("up", "preview", "refresh"):
        calls, allowed = counted(aws, stack, operation)
        assert calls.total() <= allowed, operation
        assert statuses(stack) == {"IN_PROGRESS": len(aws.tasks)}


@pytest.mark.proof
@with_tasks(*PAGES)
@pytest.mark.parametrize("operation", ["up", "refresh"])
def test_each_task_that_has_ended_costs_one_look_up(stack: Stack, aws: LicenseManagerBackend, operation: str) -> None:
    """An end is confirmed by a Get, which the update that records it does not repeat; a conversion's job lists once."""
    ended = sorted(aws.tasks)[5::3]
    for task_id in ended:
        aws.finish_task(task_id)

    calls, allowed = counted(aws, stack, operation)

    assert calls.total() <= allowed + 2 * len(ended)
    assert calls[GET] >= len(ended)
    assert statuses(stack) == {"IN_PROGRESS": len(aws.tasks) - len(ended), "SUCCEEDED": len(ended)}
    calls, allowed = counted(aws, stack, "up")
    assert calls.total() <= allowed, "an end that is recorded costs nothing"


@pytest.mark.proof
@with_tasks(*PAGES)
def test_without_the_right_to_list_each_task_is_looked_up(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The list is tried once."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException"), operation=LIST))

    calls, _ = counted(aws, stack, "up")
    assert calls == {GET: len(aws.tasks), LIST: 1}
    assert statuses(stack) == {"IN_PROGRESS": len(aws.tasks)}
