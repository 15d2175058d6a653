"""Many running tasks cost a handful of calls: whole programs, the same on both engines."""

import math
import time
from collections import Counter
from pathlib import Path

import pytest
from local_engine.plugin import DynamicPlugin, start_process
from support.aws import GET, LIST, REGION
from support.stacks import Stack, make_stack, needs_pulumi
from support.wire import add_running

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend
from lmconv_resource.polling.recent_tasks import FRESH_SECONDS

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


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen counts for ten seconds, which are to be real ones."""
    monkeypatch.setattr(DynamicPlugin, "start_process", staticmethod(start_process))


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


@pytest.mark.parametrize(
    ("engine", "program", "count"),
    [
        ("local", TRACKED, 30),
        *(pytest.param("local", each, 120, marks=pytest.mark.proof) for each in (TRACKED, CONVERTED)),
        *(pytest.param("real", each, 60, marks=[needs_pulumi, pytest.mark.proof]) for each in (TRACKED, CONVERTED)),
    ],
)
@pytest.mark.timeout(900)
def test_running_tasks_cost_a_handful_of_calls(
    engine: str, program: str, count: int, tmp_path: Path, aws: LicenseManagerBackend
) -> None:
    """All of them are seen by a list; the diff that follows a refresh's read asks nothing again.

    An end is confirmed by a Get, which the update that records it does not repeat; a conversion's job lists once.
    Without the right to list it is tried once. The unknown status of somebody else's task hinders nobody.
    """
    stack = make_stack(engine, tmp_path, program)
    stack.config |= {"aws:region": REGION, "followed:count": str(count)}
    add_running(aws, count)
    aws.add_task(task_id="lct-other", source="RunInstances:0800", destination="RunInstances:0002", status="PAUSED")
    assert stack.up().ok
    for operation in ("up", "refresh"):
        calls, allowed = counted(aws, stack, operation)
        assert calls.total() <= allowed, operation
    assert statuses(stack) == {"IN_PROGRESS": count}
    if count == 30:
        return
    for operation, ended in (("up", range(5, count // 2, 3)), ("refresh", range(count // 2, count, 3))):
        for number in ended:
            aws.finish_task(f"lct-{number:04}")
        calls, allowed = counted(aws, stack, operation)
        assert calls.total() <= allowed + 2 * len(ended)
        assert calls[GET] >= len(ended)
    running = sum(task.status == "IN_PROGRESS" for task in aws.tasks.values())
    assert statuses(stack) == {"IN_PROGRESS": running, "SUCCEEDED": count - running}
    calls, allowed = counted(aws, stack, "up")
    assert calls.total() <= allowed, "an end that is recorded costs nothing"
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException"), operation=LIST))
    calls, _ = counted(aws, stack, "up")
    assert calls == {GET: running, LIST: 1}
