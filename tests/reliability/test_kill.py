"""Real processes are killed, or interrupted once and twice; then an `up` puts it right: one conversion, and no tag.

A kill at each call of a job is played by tests/simulation; here it is tried at four of them, and with two steps. Two
stacks are tried here too.
"""

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
from support.job import BYOL, ENTERPRISE, TAG, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, Stack, make_stack
from support.waiting import wait_until

from lmconv_resource.emulator import LicenseManagerBackend

PROGRAM = """
import pulumi
from lmconv_resource import LicenseConversion

config, before = pulumi.Config(), []
for step, to in enumerate(config.require("to").split(), 1):
    conversion = LicenseConversion(
        f"{config.require('name')}-{step}",
        resource_arn=config.require("arn"),
        destination_license_context={"usage_operation": to},
        stop_and_restart=True,
        opts=pulumi.ResourceOptions(depends_on=before),
    )
    before = [conversion]
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

    def hold(self, step: str, tasks: int = 1) -> None:
        """Have an instance stay between two states, or hold a call's answer back once there are so many tasks."""
        kind, between = (MotoInstance if step in BETWEEN else LicenseManagerBackend), BETWEEN.get(step)
        act = getattr(kind, step)

        def settle(instance: Any) -> None:
            self.pass_through()
            act(instance)

        def act_and_hold(this: Any, *args: Any, **kwargs: Any) -> Any:
            answer = act(this, *args, **kwargs)
            if between is None and len(this.tasks) >= tasks:
                self.pass_through()
            if between and not self.opened.is_set() and not self.reached.is_set():
                this._state.name, this._state.code = between
                threading.Thread(target=settle, args=(this,), daemon=True).start()
            return answer

        self._monkeypatch.setattr(kind, step, act_and_hold)


BETWEEN = {"stop": ("stopping", 64), "start": ("pending", 0)}
CREATE, GET = "create_license_conversion_task_for_resource", "get_license_conversion_task"


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


Begin = Callable[..., "tuple[Stack, subprocess.Popen[str]]"]


@pytest.fixture(params=ON_BOTH_ENGINES)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Begin an `up` of a new stack as a process of its own; whatever it leaves running ends with the test."""
    begun: list[tuple[Stack, subprocess.Popen[str]]] = []

    def start(arn: str, to: str = WINDOWS, name: str = "web") -> tuple[Stack, subprocess.Popen[str]]:
        stack = make_stack(request.param, tmp_path / name, PROGRAM)
        stack.config |= {"aws:region": "eu-west-1", "followed:arn": arn, "followed:to": to, "followed:name": name}
        begun.append((stack, stack.start()))
        return begun[-1]

    yield start
    for stack, process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
        for pid in find_plugins(stack.folder):
            os.kill(pid, signal.SIGKILL)


def assert_done(job: Job, arn: str, *steps: str) -> None:
    assert (job.billed(arn), job.state(arn), job.tags(arn)) == (steps[-1], "running", {})
    assert len(job.backend.tasks) == len(steps)


def assert_silent_and_put_right(job: Job, stack: Stack, gate: Gate, arn: str, *steps: str) -> None:
    """No process of ours is left soon, so that nobody calls AWS; the next `up` goes on, and records it."""
    steps = steps or (WINDOWS,)
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
    assert_done(job, arn, *steps)
    stack.clear_pending()
    assert [record["status"] for record in stack.records().values()] == ["SUCCEEDED"] * len(steps)
    assert stack.pending() == []


@pytest.mark.parametrize("held", ["stop", CREATE, GET, "start"])
@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_killed_job_is_brought_to_its_end(job: Job, begin: Begin, gate: Gate, held: str, victim: str) -> None:
    """The next `up` sees the tag and goes on: nothing is converted twice, and nothing stays stopped."""
    gate.hold(held)
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
    gate.hold("start")
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


def test_the_second_of_two_steps_is_killed(job: Job, begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next `up` compares the first one before the second: neither starts the instance under its conversion."""
    job.backend.conversion_seconds = 5
    started_under: list[str] = []
    act = MotoInstance.start

    def start(instance: Any, *args: Any, **kwargs: Any) -> Any:
        started_under.extend(task.task_id for task in job.backend.tasks.values() if task.status == "IN_PROGRESS")
        return act(instance, *args, **kwargs)

    monkeypatch.setattr(MotoInstance, "start", start)
    gate.hold(CREATE, tasks=2)
    arn = job.launch(BYOL, running=True, InstanceType="m5.xlarge")
    stack, engine = begin(arn, f"{WINDOWS} {ENTERPRISE}")
    wait_until(gate.reached.is_set, "the second has begun", 60)
    engine.kill()
    engine.communicate(timeout=30)
    assert_silent_and_put_right(job, stack, gate, arn, WINDOWS, ENTERPRISE)
    assert started_under == []


def test_another_stack_is_told_whose_instance_it_is(job: Job, begin: Begin, gate: Gate) -> None:
    """It does nothing, and the first one comes to its end."""
    gate.hold("stop")
    arn = job.launch(BYOL, running=True)
    _, engine = begin(arn)
    wait_until(gate.reached.is_set, "it is held", 60)
    _, other = begin(arn, ENTERPRISE, "other")
    said, _ = other.communicate(timeout=60)
    assert (other.returncode != 0, "is being converted for urn:pulumi:" in said, "::web-1" in said) == (True,) * 3, said
    gate.opened.set()
    said, _ = engine.communicate(timeout=60)
    assert engine.returncode == 0, said
    assert_done(job, arn, WINDOWS)
