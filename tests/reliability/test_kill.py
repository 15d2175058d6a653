"""Real processes that follow tasks, and are killed or interrupted once and twice; then a second `up` puts it right.

The same of conversions, at each step and with the plugin killed as well, is in tests/programs/test_killed_jobs.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import find_plugins, finish, serve_commands
from support.stacks import ON_BOTH_ENGINES, Stack
from support.waiting import SOON, wait_until
from support.wire import add_running

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend

REGION = "eu-west-1"
COUNT = 3
NAMES = [f"lct-{n:04}" for n in range(COUNT)]

PROGRAM = f"""
import pulumi
from lmconv_resource import LicenseConversionTask

wait = pulumi.Config().get_bool("wait") or False
for n in range({COUNT}):
    by_id = {{"license_conversion_task_id": f"lct-{{n:04}}"}}
    by_arn = {{"resource_arn": f"arn:aws:ec2:{REGION}:123456789012:instance/i-{{n:017x}}"}}
    which = by_arn if pulumi.Config().get_bool("arn") else by_id
    LicenseConversionTask(f"task-{{n}}", wait_for_completion=wait, poll_interval_seconds=1, **which)
"""

pytestmark = [pytest.mark.proof, pytest.mark.skipif(sys.platform == "win32", reason="no signals, and no /proc")]


@pytest.fixture
def aws(aws: LicenseManagerBackend) -> LicenseManagerBackend:
    """The License Manager, with tasks in progress."""
    add_running(aws, COUNT)
    return aws


Begin = Callable[..., "tuple[Stack, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Iterator[Begin]:
    """Return what starts an `up`; whatever it leaves running ends with the test."""
    with serve_commands(request.param, tmp_path, PROGRAM) as start:

        def begin_up(*, wait: bool = True, by_arn: bool = False) -> tuple[Stack, subprocess.Popen[str]]:
            return start(
                {"aws:region": REGION, "followed:wait": str(wait).lower(), "followed:arn": str(by_arn).lower()}
            )

        yield begin_up


def assert_silent_and_put_right(aws: LicenseManagerBackend, command: Stack) -> None:
    """No process of ours is left soon, so that nobody calls AWS; the next `up` waits to the end, and records it."""
    wait_until(lambda: not find_plugins(command.folder), "the plugin has ended")
    calls = aws.calls.total()
    time.sleep(0.3)
    assert aws.calls.total() == calls
    aws.faults.clear()
    for name in NAMES:
        aws.finish_task(name)
    finish(command)
    command.clear_pending()
    records = command.records()
    assert {name: each["status"] for name, each in records.items()} == {f"task-{n}": "SUCCEEDED" for n in range(COUNT)}
    assert {each["license_conversion_task_id"] for each in records.values()} == set(NAMES)
    assert command.pending() == []


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({}, []),  # in a wait
        # While a list is tried again, though nobody waits for a task.
        ({"wait": False, "by_arn": True}, [Fault(ErrorAnswer("ServerInternalException"))]),
    ],
)
def test_the_engine_is_killed(
    begin: Begin, aws: LicenseManagerBackend, options: dict[str, bool], faults: list[Fault]
) -> None:
    """After kill -9 of the engine the plugin ends by itself, the state is whole, and `up` goes on."""
    for fault in faults:
        aws.faults.add(fault)
    command, engine = begin(**options)
    wait_until(lambda: aws.calls.total() >= COUNT, "all tasks asked for", 60)

    engine.kill()

    assert command.records() == {}
    assert_silent_and_put_right(aws, command)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_ends_every_wait(begin: Begin, aws: LicenseManagerBackend, times: int) -> None:
    """After ^C each wait says its line, every task is recorded, and nothing is pending; after two of them `up` goes on.

    A second one ends the engine at once, whatever there is to record.
    """
    command, engine = begin()
    wait_until(lambda: aws.calls.total() > 2 * COUNT, "each task has been seen", 60)

    for _ in range(times):
        engine.send_signal(signal.SIGINT)
        time.sleep(0.2)
    said, _ = engine.communicate(timeout=SOON)

    assert engine.returncode != 0
    if times == 1:
        for name in NAMES:
            assert f"Waiting for license conversion task {name} in {REGION}: the update was cancelled after" in said
        assert command.pending() == []
        assert len(command.records()) == COUNT
    assert_silent_and_put_right(aws, command)
