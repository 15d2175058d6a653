"""Real processes are killed, or interrupted once and twice; then an `up` puts it right: one conversion, and no tag.

A kill at each call of a job is played by tests/simulation; here it is tried at three of them.
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
from support.job import BYOL, TAG, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, Stack, make_stack
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

    def hold_answer(self, name: str) -> None:
        """Have a call to License Manager carried out, and its answer held back."""
        act = getattr(LicenseManagerBackend, name)

        def act_and_hold(*args: Any, **arguments: Any) -> Any:
            answer = act(*args, **arguments)
            self.pass_through()
            return answer

        self._monkeypatch.setattr(LicenseManagerBackend, name, act_and_hold)

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


def find_plugins(folder: Path) -> list[int]:
    """Return the processes that serve dynamic resources for the program in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"pulumi.dynamic" in words and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile, or is not ours
    return found


Begin = Callable[[str], "tuple[Stack, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Begin an `up` as a process of its own; whatever it leaves running ends with the test."""
    stack, begun = make_stack(request.param, tmp_path, PROGRAM), list[subprocess.Popen[str]]()

    def start(arn: str) -> tuple[Stack, subprocess.Popen[str]]:
        stack.config |= {"aws:region": "eu-west-1", "followed:arn": arn}
        begun.append(stack.start())
        return stack, begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
    for pid in find_plugins(stack.folder):
        os.kill(pid, signal.SIGKILL)


def assert_silent_and_put_right(job: Job, stack: Stack, gate: Gate, arn: str) -> None:
    """No process of ours is left soon, so that nobody calls AWS; the next `up` goes on, and records it."""
    wait_until(lambda: not find_plugins(stack.folder), "the plugin has ended")
    time.sleep(0.2)
    calls = job.backend.calls.total()
    gate.opened.set()
    time.sleep(0.5)
    assert job.backend.calls.total() == calls
    assert TAG in job.tags(arn)
    stack.recover()
    process = stack.start()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert (job.billed(arn), job.state(arn), job.tags(arn), len(job.backend.tasks)) == (WINDOWS, "running", {}, 1)
    stack.clear_pending()
    assert stack.records()["web-1"]["status"] == "SUCCEEDED"
    assert stack.pending() == []


@pytest.mark.parametrize(
    "held", ["create_license_conversion_task_for_resource", "get_license_conversion_task", "the restart"]
)
@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_killed_job_is_brought_to_its_end(job: Job, begin: Begin, gate: Gate, held: str, victim: str) -> None:
    """The next `up` sees the tag and goes on: nothing is converted twice, and nothing stays stopped."""
    if held == "the restart":
        gate.hold_restart()
    else:
        gate.hold_answer(held)
    arn = job.launch(BYOL, running=True)
    stack, engine = begin(arn)
    wait_until(gate.reached.is_set, "it is held", 60)
    assert TAG in job.tags(arn)
    if victim == "engine":
        engine.kill()
    else:
        for pid in find_plugins(stack.folder):
            os.kill(pid, signal.SIGKILL)
    engine.communicate(timeout=30)
    assert_silent_and_put_right(job, stack, gate, arn)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_job_is_recorded_and_goes_on(job: Job, begin: Begin, gate: Gate, times: int) -> None:
    """After ^C nothing more is begun, and the line says how the instance is and what goes on.

    A second one ends the engine at once, whatever there is to record.
    """
    gate.hold_restart()
    arn = job.launch(BYOL, running=True)
    stack, engine = begin(arn)
    wait_until(gate.reached.is_set, "it is held", 60)
    for _ in range(times):
        engine.send_signal(signal.SIGINT)
        time.sleep(0.2)
    said, _ = engine.communicate(timeout=30)
    assert engine.returncode != 0
    if times == 1:
        assert f"was last seen pending and has the tag {TAG}, by which an `up` starts it again" in said
        assert stack.pending() == []
        assert list(stack.records()) == ["web-1"]  # so that a destroy finds the instance
    assert_silent_and_put_right(job, stack, gate, arn)
