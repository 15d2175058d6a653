"""kill -9 of the engine or the plugin at each step: then one conversion in AWS, the instance as it was, and no tag."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models.instances import Instance as MotoInstance
from support.commands import Command, find_plugins, serve_commands
from support.job import BYOL, TAG, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES
from support.waiting import wait_until

from lmconv_resource.emulator import LicenseManagerBackend

PROGRAM = """
import pulumi
from lmconv_resource import LicenseContextArgs, LicenseConversion, UsageOperation

LicenseConversion(
    "web-1",
    resource_arn=pulumi.Config().require("arn"),
    destination_license_context=LicenseContextArgs(usage_operation=UsageOperation.WINDOWS),
    stop_and_restart=True,
)
"""

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="no signals, and no /proc"),
]


class Gate:
    """Holds AWS at one step, so that somebody can be killed there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        if not self.opened.is_set():
            self.reached.set()
            self.opened.wait(60)


def hold_state(monkeypatch: pytest.MonkeyPatch, method: str, meanwhile: tuple[str, int], gate: Gate) -> None:
    """Have an instance stay between two states until the gate is open."""
    act = getattr(MotoInstance, method)

    def begin(instance: Any, *args: Any, **kwargs: Any) -> Any:
        if gate.opened.is_set() or gate.reached.is_set():
            return act(instance, *args, **kwargs)
        answer = act(instance, *args, **kwargs)
        instance._state.name, instance._state.code = meanwhile

        def settle() -> None:
            gate.pass_through()
            act(instance)

        threading.Thread(target=settle, daemon=True).start()
        return answer

    monkeypatch.setattr(MotoInstance, method, begin)


def hold_answer(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """Have a conversion started, and its answer held back."""
    create = LicenseManagerBackend.create_license_conversion_task_for_resource

    def create_and_hold(backend: LicenseManagerBackend, **arguments: Any) -> Any:
        task = create(backend, **arguments)
        gate.pass_through()
        return task

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", create_and_hold)


def hold_end(job: Job, gate: Gate) -> None:
    """Have a conversion in progress until the gate is open."""
    job.backend.conversion_status = "IN_PROGRESS"

    def end() -> None:
        wait_until(lambda: job.backend.tasks and job.backend.calls["GetLicenseConversionTask"], "it is waited for", 60)
        gate.pass_through()
        job.backend.conversion_status = "SUCCEEDED"
        for task_id in list(job.backend.tasks):
            job.backend.finish_task(task_id)

    threading.Thread(target=end, daemon=True).start()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture(params=["stop", "start", "wait", "restart"])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, job: Job, gate: Gate) -> str:
    if request.param == "stop":
        hold_state(monkeypatch, "stop", ("stopping", 64), gate)
    elif request.param == "start":
        hold_answer(monkeypatch, gate)
    elif request.param == "wait":
        hold_end(job, gate)
    else:
        hold_state(monkeypatch, "start", ("pending", 0), gate)
    step: str = request.param
    return step


Begin = Callable[[str], "tuple[Command, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Give what begins an `up`; whatever it leaves running ends with the test."""
    with serve_commands(request.param, tmp_path, PROGRAM) as start:
        yield lambda arn: start({"aws:region": "eu-west-1", "followed:arn": arn})


@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_killed_job_is_brought_to_its_end(job: Job, begin: Begin, gate: Gate, step: str, victim: str) -> None:
    """The next `up` sees the tag and goes on: nothing is converted twice, and nothing stays stopped."""
    arn = job.launch(BYOL, running=True)
    command, engine = begin(arn)
    wait_until(gate.reached.is_set, f"it is at the step {step}", 60)
    assert TAG in job.tags(arn)

    if victim == "engine":
        engine.kill()
    else:
        for pid in find_plugins(command.folder):
            os.kill(pid, signal.SIGKILL)
    engine.communicate(timeout=30)
    wait_until(lambda: not find_plugins(command.folder), "the plugin has ended")
    time.sleep(0.2)
    calls = job.backend.calls.total()
    gate.opened.set()
    time.sleep(0.5)
    assert job.backend.calls.total() == calls
    assert TAG in job.tags(arn)

    command.recover()
    again = command.start()
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert (job.billed(arn), job.state(arn), job.tags(arn), len(job.backend.tasks)) == (WINDOWS, "running", {}, 1)


def test_an_interrupted_job_says_how_the_instance_is(job: Job, begin: Begin, gate: Gate, step: str) -> None:
    """After ^C nothing more is begun, and the line says how the instance is and what goes on."""
    if step == "start":
        pytest.skip("a call that is under way ends by itself")
    arn = job.launch(BYOL, running=True)
    command, engine = begin(arn)
    wait_until(gate.reached.is_set, f"it is at the step {step}", 60)

    engine.send_signal(signal.SIGINT)
    said, _ = engine.communicate(timeout=30)

    assert engine.returncode != 0
    state = {"stop": "stopping", "wait": "stopped", "restart": "pending"}[step]
    assert f"was last seen {state} and has the tag {TAG}, by which an `up` starts it again" in said
    assert list(command.records()) == ["web-1"]  # so that a destroy finds the instance
    gate.opened.set()
    command.recover()
    again = command.start()
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert (job.billed(arn), job.state(arn), job.tags(arn), len(job.backend.tasks)) == (WINDOWS, "running", {}, 1)


@pytest.mark.parametrize("step", ["wait"], indirect=True)
def test_an_interrupted_job_is_destroyed_with_a_word(job: Job, begin: Begin, gate: Gate, step: str) -> None:
    """`destroy` knows of the conversion that is still in progress."""
    command, engine = begin(job.launch(BYOL, running=True))
    wait_until(gate.reached.is_set, f"it is at the step {step}", 60)
    engine.send_signal(signal.SIGINT)
    engine.communicate(timeout=30)

    command.recover()
    said, _ = command.start("destroy").communicate(timeout=60)

    (task_id,) = job.backend.tasks
    assert f"{task_id} continues in AWS" in said
    assert command.records() == {}
