"""A plugin process whose engine was killed is gone within 5 s, whatever it was about, and leaves AWS alone."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from local_engine.plugin import DynamicPlugin
from support.engine import OURS, OURS_STARTS, FakeEngine, serve_engine, start_plugin, to_urn
from support.waiting import wait_until

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends, serve

SECONDS = 5.0
GET = "GetLicenseConversionTask"


@dataclass
class Scene:
    """What there is for one plugin process: a region of its own, an EC2 that never answers, an engine."""

    aws: LicenseManagerBackend
    ec2: socket.socket
    engine: FakeEngine
    plugin: DynamicPlugin
    engine_is_gone: threading.Event

    def add_task(self, **settings: Any) -> dict[str, Any]:
        """Add a task, and return the inputs of a resource that tracks it."""
        task = self.aws.add_task(
            resource_arn=self.arn, source="RunInstances:0800", destination="RunInstances:0002", **settings
        )
        return {"license_conversion_task_id": task.task_id, "region": self.aws.region_name, "__provider": OURS}

    @property
    def arn(self) -> str:
        return f"arn:aws:ec2:{self.aws.region_name}:123456789012:instance/i-0123456789abcdef0"

    def create(self, inputs: dict[str, Any]) -> Any:
        return self.plugin.create(to_urn("task"), inputs)

    def has_asked(self, times: int) -> Callable[[], bool]:
        """Return what tells whether the task has been asked for so often."""
        return lambda: self.aws.calls[GET] >= times


Play = Callable[[Scene], "tuple[Callable[[], Any], Callable[[], bool]]"]
"""Returns what is called, and what tells that the moment has come at which the engine is to be killed."""


def in_a_call_to_ec2(scene: Scene) -> tuple[Callable[[], Any], Callable[[], bool]]:
    """EC2, which is asked before a conversion is started, does not answer."""
    inputs = {
        "resource_arn": scene.arn,
        "region": scene.aws.region_name,
        "source_license_context": {"usage_operation": "RunInstances:0800"},
        "destination_license_context": {"usage_operation": "RunInstances:0002"},
        "__provider": OURS_STARTS,
    }
    return lambda: scene.create(inputs), lambda: bool(select.select([scene.ec2], [], [], 0)[0])


def while_idle(scene: Scene) -> tuple[Callable[[], Any], Callable[[], bool]]:
    """Nothing is under way: all that was to be done has been done."""
    done: list[Any] = []
    inputs = scene.add_task(seconds=0)
    return lambda: done.append(scene.create(inputs)), lambda: bool(done)


def as_an_operation_ends(scene: Scene) -> tuple[Callable[[], Any], Callable[[], bool]]:
    """AWS's answer, with which the operation ends, comes when the engine has just died."""
    get_task = scene.aws.get_license_conversion_task

    def answer_late(task_id: str) -> dict[str, Any]:
        scene.engine_is_gone.wait(60)
        return get_task(task_id)

    scene.aws.get_license_conversion_task = answer_late  # type: ignore[method-assign]
    inputs = scene.add_task(seconds=0)
    return lambda: scene.create(inputs), scene.has_asked(1)


def in_a_wait(scene: Scene) -> tuple[Callable[[], Any], Callable[[], bool]]:
    """A task is waited for, by a process that was patched at the engine's first call."""
    inputs = {**scene.add_task(status="IN_PROGRESS"), "wait_for_completion": True}
    scene.plugin.check(to_urn("task"), {}, inputs)
    return lambda: scene.create(inputs), scene.has_asked(1)


SIGNAL_HANDLERS = {"ignored": "signal.SIG_IGN", "handled": "lambda *_: None"}


@pytest.fixture
def ec2() -> Iterator[socket.socket]:
    """What takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=10) as listener:
        yield listener


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([(in_a_wait, "")], id="quick"),
        pytest.param(
            [
                (in_a_call_to_ec2, ""),
                (as_an_operation_ends, ""),
                (while_idle, ""),
                *((in_a_wait, how) for how in SIGNAL_HANDLERS),
            ],
            id="others",
            marks=pytest.mark.proof,
        ),
    ],
)
def test_a_plugin_ends_within_5_s_of_its_engine(
    cases: list[tuple[Play, str]], tmp_path: Path, ec2: socket.socket
) -> None:
    """Each case is a plugin process of its own, which has come to a certain moment when its engine is killed."""
    regions = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1", "us-east-1"]
    with ExitStack() as stack, ThreadPoolExecutor(2 * len(cases)) as pool:
        endpoint = stack.enter_context(serve()).endpoint
        ec2_url = f"http://127.0.0.1:{ec2.getsockname()[1]}"
        config = {"aws:endpoints": json.dumps([{"licensemanager": endpoint, "ec2": ec2_url}])}
        scenes: dict[str, Scene] = {}
        for (play, sigint), region in zip(cases, regions, strict=False):
            name = play.__name__ + sigint
            folder = tmp_path / name
            folder.mkdir()
            environment = {}
            if sigint:  # as a job that was started with nohup and &, and as a provider that has a handler of its own
                handler = SIGNAL_HANDLERS[sigint]
                text = (
                    f"import signal\nfor name in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(name, {handler})\n"
                )
                (folder / "sitecustomize.py").write_text(text)
                environment["PYTHONPATH"] = str(folder)
            engine = stack.enter_context(serve_engine())
            plugin = stack.enter_context(start_plugin(folder, engine, config, environment))
            backend = licensemanager_backends["123456789012"][region]
            scenes[name] = Scene(backend, ec2, engine, plugin, threading.Event())

        def run(name: str, play: Play) -> float:
            scene = scenes[name]
            call, has_come = play(scene)
            called = pool.submit(call)
            wait_until(lambda: has_come() or (called.done() and called.exception()), f"the moment {name}", 60)
            assert has_come(), called.exception()
            killed = time.monotonic()
            scene.engine.stop()
            scene.engine_is_gone.set()
            assert scene.plugin.process is not None
            with suppress(subprocess.TimeoutExpired):
                scene.plugin.process.wait(3 * SECONDS)
            return time.monotonic() - killed

        running = {name: pool.submit(run, name, play) for name, (play, _) in zip(scenes, cases, strict=True)}
        seconds = {name: each.result(120) for name, each in running.items()}
        assert {name: took for name, took in seconds.items() if took > SECONDS} == {}
        calls = [scene.aws.calls.total() for scene in scenes.values()]
        time.sleep(0.3)
        assert [scene.aws.calls.total() for scene in scenes.values()] == calls
