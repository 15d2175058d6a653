"""kill -9 of the engine or the plugin: then one conversion in AWS, the instance as it was, and no tag.

A kill at each call of a job is played by tests/simulation; here real processes are killed at two of them.
"""

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
from support.commands import find_plugins, finish, serve_commands
from support.job import BYOL, TAG, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, Stack
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

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._monkeypatch = monkeypatch

    def pass_through(self) -> None:
        if not self.opened.is_set():
            self.reached.set()
            self.opened.wait(60)

    def hold_answer(self) -> None:
        """Have a conversion started, and its answer held back."""
        name = "create_license_conversion_task_for_resource"
        create = getattr(LicenseManagerBackend, name)

        def create_and_hold(backend: LicenseManagerBackend, **arguments: Any) -> Any:
            task = create(backend, **arguments)
            self.pass_through()
            return task

        self._monkeypatch.setattr(LicenseManagerBackend, name, create_and_hold)

    def hold_restart(self) -> None:
        """Have an instance stay pending."""
        act = MotoInstance.start

        def run(instance: Any) -> None:
            self.pass_through()
            act(instance)

        def start(instance: Any, *args: Any, **kwargs: Any) -> Any:
            answer = act(instance, *args, **kwargs)
            if not self.opened.is_set() and not self.reached.is_set():
                instance._state.name, instance._state.code = "pending", 0
                threading.Thread(target=run, args=(instance,), daemon=True).start()
            return answer

        self._monkeypatch.setattr(MotoInstance, "start", start)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.opened.set()


Begin = Callable[[str], "tuple[Stack, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Give what begins an `up`; whatever it leaves running ends with the test."""
    with serve_commands(request.param, tmp_path, PROGRAM) as start:
        yield lambda arn: start({"aws:region": "eu-west-1", "followed:arn": arn})


def check_done(job: Job, arn: str) -> None:
    assert (job.billed(arn), job.state(arn), job.tags(arn), len(job.backend.tasks)) == (WINDOWS, "running", {}, 1)


@pytest.mark.parametrize("hold", ["hold_answer", "hold_restart"])
@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_killed_job_is_brought_to_its_end(job: Job, begin: Begin, gate: Gate, hold: str, victim: str) -> None:
    """The next `up` sees the tag and goes on: nothing is converted twice, and nothing stays stopped."""
    getattr(gate, hold)()
    arn = job.launch(BYOL, running=True)
    command, engine = begin(arn)
    wait_until(gate.reached.is_set, "it is held", 60)
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
    finish(command)
    check_done(job, arn)


def test_an_interrupted_job_is_recorded_and_goes_on(job: Job, begin: Begin, gate: Gate) -> None:
    """After ^C nothing more is begun, and the line says how the instance is and what goes on."""
    gate.hold_restart()
    arn = job.launch(BYOL, running=True)
    command, engine = begin(arn)
    wait_until(gate.reached.is_set, "it is held", 60)
    engine.send_signal(signal.SIGINT)
    said, _ = engine.communicate(timeout=30)

    assert engine.returncode != 0
    assert f"was last seen pending and has the tag {TAG}, by which an `up` starts it again" in said
    assert list(command.records()) == ["web-1"]  # so that a destroy finds the instance
    gate.opened.set()
    finish(command)
    check_done(job, arn)
