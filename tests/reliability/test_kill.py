"""Real processes that are killed: the engine, the plugin, ^C once and twice; then a second `up` puts it right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import Command, find_plugins, finish, serve_commands
from support.stacks import ON_BOTH_ENGINES
from support.tasks import add_running
from support.waiting import SOON, wait_until

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend

REGION = "eu-west-1"
COUNT = 3

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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals, and no /proc")


@pytest.fixture
def aws(aws: LicenseManagerBackend) -> LicenseManagerBackend:
    """The License Manager, with tasks in progress."""
    add_running(aws, COUNT)
    return aws


Begin = Callable[..., "tuple[Command, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Iterator[Begin]:
    """Return what starts an `up`; whatever it leaves running ends with the test."""
    with serve_commands(request.param, tmp_path, PROGRAM) as start:

        def begin_up(*, wait: bool = True, by_arn: bool = False) -> tuple[Command, subprocess.Popen[str]]:
            return start(
                {"aws:region": REGION, "followed:wait": str(wait).lower(), "followed:arn": str(by_arn).lower()}
            )

        yield begin_up


def wait_for_looks(aws: LicenseManagerBackend) -> None:
    """Wait until every task is being waited for."""
    wait_until(lambda: aws.calls.total() >= COUNT, "all tasks looked at", 60)


def assert_silent(aws: LicenseManagerBackend, folder: Path) -> None:
    """No process of ours is left 5 s later, and so nobody calls AWS."""
    wait_until(lambda: not find_plugins(folder), "the plugin has ended")
    calls = aws.calls.total()
    time.sleep(0.3)
    assert aws.calls.total() == calls


def assert_second_up_is_right(aws: LicenseManagerBackend, command: Command) -> None:
    """The next `up` waits for the end, and the state holds it."""
    for n in range(COUNT):
        aws.finish_task(f"lct-{n:04}")
    finish(command)
    command.clear_pending()
    records = command.records()
    assert {name: each["status"] for name, each in records.items()} == {f"task-{n}": "SUCCEEDED" for n in range(COUNT)}
    assert {each["license_conversion_task_id"] for each in records.values()} == {f"lct-{n:04}" for n in range(COUNT)}
    assert command.pending() == []


@pytest.mark.proof
def test_the_engine_is_killed_during_a_wait(begin: Begin, aws: LicenseManagerBackend) -> None:
    """After kill -9 of the engine the plugin ends by itself within 5 s, the state is whole, and `up` goes on."""
    command, engine = begin()
    wait_for_looks(aws)

    engine.kill()

    assert_silent(aws, command.folder)
    assert command.records() == {}
    assert_second_up_is_right(aws, command)


@pytest.mark.proof
def test_the_engine_is_killed_when_aws_has_answered(begin: Begin, aws: LicenseManagerBackend) -> None:
    """An engine that dies between AWS's answer and the record has recorded nothing, and the next `up` does."""
    look = aws.get_license_conversion_task
    engines: list[subprocess.Popen[str]] = []

    def answer_and_kill(task_id: str) -> dict[str, Any]:
        answer = look(task_id)
        wait_until(lambda: engines, "the engine is known")
        engines[0].kill()
        engines[0].wait()
        return answer

    aws.get_license_conversion_task = answer_and_kill  # type: ignore[method-assign]
    command, engine = begin(wait=False)
    engines.append(engine)
    wait_until(lambda: engine.poll() is not None, "the engine is killed", 60)
    aws.get_license_conversion_task = look  # type: ignore[method-assign]

    assert_silent(aws, command.folder)
    assert command.records() == {}
    assert_second_up_is_right(aws, command)


@pytest.mark.proof
@pytest.mark.parametrize("by_arn", [False, True])
def test_the_engine_is_killed_while_a_look_is_tried_again(
    begin: Begin, aws: LicenseManagerBackend, by_arn: bool
) -> None:
    """A look that AWS's faults keep going ends with its engine too, within 5 s, though nobody waits for a task."""
    aws.faults.add(Fault(ErrorAnswer("ServerInternalException")))
    command, engine = begin(wait=False, by_arn=by_arn)
    wait_for_looks(aws)

    engine.kill()

    assert_silent(aws, command.folder)
    assert command.records() == {}
    aws.faults.clear()
    assert_second_up_is_right(aws, command)


@pytest.mark.proof
def test_the_plugin_is_killed_during_a_wait(begin: Begin, aws: LicenseManagerBackend) -> None:
    """After kill -9 of the plugin `up` fails at once, the state is whole, and the next `up` goes on."""
    command, engine = begin()
    wait_for_looks(aws)

    (plugin,) = find_plugins(command.folder)
    os.kill(plugin, signal.SIGKILL)
    said, _ = engine.communicate(timeout=30)

    assert engine.returncode != 0
    assert "task-0" in said
    assert_silent(aws, command.folder)
    assert command.records() == {}
    assert_second_up_is_right(aws, command)


@pytest.mark.proof
def test_one_interrupt_ends_every_wait(begin: Begin, aws: LicenseManagerBackend) -> None:
    """After ^C each wait says its line, every task is recorded, nothing is pending, and `up` goes on."""
    looks: Counter[str] = Counter()
    look = aws.get_license_conversion_task

    def count_and_look(task_id: str) -> dict[str, Any]:
        looks[task_id] += 1
        return look(task_id)

    aws.get_license_conversion_task = count_and_look  # type: ignore[method-assign]
    command, engine = begin()
    wait_until(lambda: sum(count > 1 for count in looks.values()) == COUNT, "each task has been seen", 60)

    engine.send_signal(signal.SIGINT)
    said, _ = engine.communicate(timeout=SOON)

    assert engine.returncode != 0
    for n in range(COUNT):
        assert f"Waiting for license conversion task lct-{n:04} in {REGION}: the update was cancelled after" in said
    assert command.pending() == []
    assert len(command.records()) == COUNT
    assert_silent(aws, command.folder)
    assert_second_up_is_right(aws, command)


@pytest.mark.proof
def test_two_interrupts_leave_nothing_running(begin: Begin, aws: LicenseManagerBackend) -> None:
    """After ^C twice the engine is gone at once, the plugin ends by itself within 5 s, and `up` goes on."""
    command, engine = begin()
    wait_for_looks(aws)

    engine.send_signal(signal.SIGINT)
    time.sleep(0.2)
    engine.send_signal(signal.SIGINT)
    engine.communicate(timeout=30)

    assert_silent(aws, command.folder)
    assert_second_up_is_right(aws, command)
