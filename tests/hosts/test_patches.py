"""What is patched into Pulumi's plugin process, on the real process: these tests fail when Pulumi or gRPC changes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from google.protobuf.struct_pb2 import Struct
from local_engine import LocalEngine, Message, UpdateFailedError
from local_engine.provider import InitFailedError as InitError
from local_engine.state import ResourceState
from support.engine import OURS, OURS_STARTS, serve_engine, start_plugin, to_provider, to_urn
from support.stacks import RECORDED, LocalStack
from support.waiting import SOON, wait_until
from support.wire import add_running

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.hosts.dynamic import patches
from lmconv_resource.hosts.init_failed import InitFailedError

REGION = "eu-west-1"

WAITS = """
import pulumi
from lmconv_resource import LicenseConversionTask

for n in range(int(pulumi.Config().require("count"))):
    LicenseConversionTask(f"task-{n}", license_conversion_task_id=f"lct-{n:04}", wait_for_completion=True)
"""

BROKEN_PROVIDER = """
from pulumi.dynamic import Resource, ResourceProvider

class Broken(ResourceProvider):
    def create(self, props):
        1 / 0

class BrokenResource(Resource):
    def __init__(self, name):
        super().__init__(Broken(), name, {})
"""


@pytest.fixture
def aws(aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch) -> LicenseManagerBackend:
    """The License Manager, in the region that the environment names, with EC2 and STS beside it."""
    monkeypatch.setenv("AWS_REGION", REGION)
    for service in ("EC2", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", os.environ["AWS_ENDPOINT_URL_LICENSE_MANAGER"])
    return aws


def add_ended(aws: LicenseManagerBackend, task_id: str, **course: Any) -> None:
    arn = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0"
    course = course or {"seconds": 0}
    aws.add_task(
        task_id=task_id, resource_arn=arn, source="RunInstances:0800", destination="RunInstances:0002", **course
    )


class Waiting:
    """An `up` that waits, in a thread of its own, and the moment when all its waits have shown themselves."""

    def __init__(self, stack: LocalStack, count: int) -> None:
        self.error: UpdateFailedError | None = None
        self.kept: list[Message] = []
        self.ended = threading.Event()
        self._shown: set[str] = set()
        self._count = count
        self._all_shown = threading.Event()
        self.engine: LocalEngine = stack.engine(parallel=count + 20, on_message=self._hear)
        self._thread = threading.Thread(target=self._up)
        self._thread.start()

    def _hear(self, message: Message) -> None:
        if not message.ephemeral:
            self.kept.append(message)
        if message.ephemeral and "IN_PROGRESS" in message.text:
            self._shown.add(message.urn)
            if len(self._shown) == self._count:
                self._all_shown.set()

    def _up(self) -> None:
        try:
            self.engine.up()
        except UpdateFailedError as error:
            self.error = error
        self.ended.set()

    def wait_until_shown(self, seconds: float = 60.0) -> None:
        assert self._all_shown.wait(seconds), f"only {len(self._shown)} of {self._count} waits showed themselves"

    def close(self) -> None:
        self.engine.close()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


@pytest.fixture
def waiting(tmp_path: Path, aws: LicenseManagerBackend) -> Iterator[Callable[..., Waiting]]:
    """Return what starts an `up` with so many waits, and ends it after the test."""
    started: list[Waiting] = []

    def start(count: int, program: str = WAITS) -> Waiting:
        stack = LocalStack(tmp_path, program)
        (tmp_path / "broken.py").write_text(BROKEN_PROVIDER)
        stack.config["count"] = str(count)
        started.append(Waiting(stack, count))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_cancel_ends_every_wait_with_one_line(waiting: Callable[..., Waiting], aws: LicenseManagerBackend) -> None:
    """Soon after `Cancel` thirty waits end, each with its own line and without a traceback, and all are recorded."""
    add_running(aws, 30)
    up = waiting(30)
    up.wait_until_shown()
    up.engine.cancel()
    assert up.ended.wait(SOON)
    assert up.error is not None
    lines = sorted(error.text for error in up.error.errors if "LicenseConversionTask" in error.urn)
    assert len(lines) == 30
    for n, text in enumerate(lines):
        assert text.startswith(RECORDED)
        line = text.strip().removeprefix(RECORDED)
        assert line.startswith(f"Waiting for license conversion task lct-{n:04} in eu-west-1: the update was cancelled")
        assert line.endswith("The conversion continues in AWS, and the next `pulumi up` picks it up.")
        assert "\n" not in line
    assert {each.id for each in up.engine.resources if each.custom} == set(aws.tasks)


def test_a_bug_keeps_its_traceback(waiting: Callable[..., Waiting], aws: LicenseManagerBackend) -> None:
    """An error that no user can act on is shown with all there is, ours being installed or not."""
    add_ended(aws, "lct-0000")
    up = waiting(1, WAITS + "\nfrom broken import BrokenResource\nBrokenResource('broken')\n")
    assert up.ended.wait(SOON)

    assert up.error is not None
    (text,) = [error.text for error in up.error.errors if error.urn.endswith("::broken")]
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError" in text


@pytest.mark.proof
def test_nothing_is_printed(waiting: Callable[..., Waiting], aws: LicenseManagerBackend) -> None:
    """The provider leaves no line on the stack's row: what it says is said under its resources, or live."""
    add_ended(aws, "lct-0000", polls=2)
    up = waiting(1)
    assert up.ended.wait(SOON)
    assert up.error is None
    assert up.kept == []


# -- other packages' dynamic providers ---------------------------------------------------------------------------------

SLOW_PROVIDER = """
import time
from pathlib import Path
from pulumi.dynamic import CreateResult, ResourceProvider

class Slow(ResourceProvider):
    def create(self, props):
        began = time.monotonic()
        Path(f"began-{props['n']:.0f}").touch()
        while not Path("release").exists():
            time.sleep(0.02)
        time.sleep(0.1)
        return CreateResult("slow", {"began": began, "ended": time.monotonic()})
"""
PULUMI_WORKERS, THEIRS, OURS_WAITING = 4, 10, 12


def count_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of these were under way at the same time, at most."""
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


def test_other_providers_keep_their_four_workers_and_hold_up_none_of_ours(
    tmp_path: Path, aws: LicenseManagerBackend
) -> None:
    """Ten slow creates of another package's run four at a time, as by Pulumi's own hand, and never more.

    Meanwhile twelve of ours wait, and a finished one is created at once.
    """
    (tmp_path / "slow.py").write_text(SLOW_PROVIDER)
    add_running(aws, OURS_WAITING)
    add_ended(aws, "lct-finished")

    def to_inputs(name: str) -> dict[str, Any]:
        inputs = {"license_conversion_task_id": f"lct-{name}", "wait_for_completion": True, "region": REGION}
        return {**inputs, "__provider": OURS, "__urn": to_urn(name)}

    with (
        serve_engine() as engine,
        start_plugin(tmp_path, engine) as plugin,
        ThreadPoolExecutor(OURS_WAITING + THEIRS) as pool,
    ):
        plugin.create(to_urn("finished"), to_inputs("finished"))
        names = [f"{n:04}" for n in range(OURS_WAITING)]
        waits = [pool.submit(plugin.create, to_urn(name), to_inputs(name)) for name in names]
        wait_until(lambda: {to_urn(name) for name in names} <= {r.urn for r in engine.requests}, "all of ours wait")
        slow = to_provider("slow", "Slow")
        theirs = [pool.submit(plugin.create, to_urn(f"t{n}"), {"n": n, "__provider": slow}) for n in range(THEIRS)]
        wait_until(lambda: len(list(tmp_path.glob("began-*"))) >= PULUMI_WORKERS, "theirs have begun")

        plugin.create(to_urn("finished"), to_inputs("finished"))
        time.sleep(0.3)  # what a fifth of theirs would need to begin
        assert len(list(tmp_path.glob("began-*"))) == PULUMI_WORKERS
        assert not any(each.done() for each in [*waits, *theirs])

        (tmp_path / "release").touch()
        made = [each.result(SOON)[1] for each in theirs]
        assert count_at_once([(each["began"], each["ended"]) for each in made]) == PULUMI_WORKERS
        plugin.cancel()
        assert all("the update was cancelled" in str(each.exception(30)) for each in waits)


# -- a resource that failed halfway ------------------------------------------------------------------------------------

STARTS = "CreateLicenseConversionTaskForResource"


def test_what_failed_halfway_is_recorded(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """With its id and outputs, and `__provider` among them as Pulumi adds it to those of a success.

    A record is what the other methods understand, and what the next update goes on from. A message of AWS's may be
    long.
    """
    ec2 = boto3.client("ec2", region_name=REGION)
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=3, MaxCount=3)["Instances"]
    ec2.stop_instances(InstanceIds=[each["InstanceId"] for each in made])
    arns = [aws.make_arn(each["InstanceId"]) for each in made]
    for each in made:
        aws.set_license(each["InstanceId"], "RunInstances:0800")

    def to_inputs(number: int, **timeouts: str) -> dict[str, Any]:
        return {
            "resource_arn": arns[number],
            "source_license_context": {"usage_operation": "RunInstances:0800"},
            "destination_license_context": {"usage_operation": "RunInstances:0002"},
            "wait_for_completion": True,
            "region": REGION,
            "__provider": OURS_STARTS,
            "__urn": to_urn(str(number)),
            "__timeouts": timeouts,
        }

    config = {"aws:maxRetries": "0"}  # of what EC2, which is not there, is asked
    with serve_engine() as engine, start_plugin(tmp_path, engine, config) as plugin, ThreadPoolExecutor() as pool:

        def fail_create(number: int, text: str, **timeouts: str) -> tuple[dict[str, Any], ResourceState]:
            inputs = to_inputs(number, **timeouts)
            plugin.check(to_urn(str(number)), {}, inputs)  # the engine's first call, in which the process is patched
            call = pool.submit(plugin.create, to_urn(str(number)), inputs)
            if text == "the update was cancelled":
                wait_until(lambda: arns[number] in {task.resource_arn for task in aws.tasks.values()}, "it began")
                plugin.cancel()
            error = call.exception(SOON)
            assert isinstance(error, InitError), error
            assert text in str(error)
            assert len(error.reasons[0].splitlines()) == 1
            assert (error.outputs["__provider"], error.outputs["__urn"]) == (OURS_STARTS, to_urn(str(number)))
            state = ResourceState(to_urn(str(number)), "t", id=error.id, inputs=inputs, outputs=error.outputs)
            return inputs, state

        aws.conversion_seconds, aws.conversion_status, aws.conversion_message = 0.0, "FAILED", "no " * 9000
        inputs, state = fail_create(0, "it FAILED: no no")
        assert state.outputs["status"] == "FAILED"
        assert plugin.diff(state, inputs, []).replaces == ("status",)

        aws.conversion_seconds = 3600.0
        inputs, state = fail_create(1, "it did not end within", create="1s", update="1s")
        assert state.outputs["status"] == "IN_PROGRESS"
        assert plugin.diff(state, inputs, []).changes
        with pytest.raises(InitError, match="it did not end within") as again:
            plugin.update(state, inputs, [])
        assert (again.value.id, again.value.outputs) == (state.id, state.outputs)
        aws.finish_task(state.id)
        ended = plugin.update(state, inputs, [])
        assert (ended["status"], ended["__provider"]) == ("SUCCEEDED", OURS_STARTS)
        assert state.outputs.keys() <= ended.keys()
        plugin.delete(state)

        _, state = fail_create(2, "the update was cancelled")
        assert state.id in aws.tasks
        assert state.outputs["is_complete"] is False
        assert len(aws.tasks) == aws.calls[STARTS] == 3


# -- where a way is shut -----------------------------------------------------------------------------------------------

METHODS = ("Check", "Diff", "Create", "Read", "Update", "Delete", "Cancel")


@pytest.fixture
def main() -> ModuleType:
    """A main module that looks like the plugin's, in which nothing has been patched yet."""
    module = ModuleType("__main__")
    module.traceback = sys.modules["traceback"]  # type: ignore[attr-defined]

    servicer = type("Servicer", (), {name: lambda self: None for name in METHODS})
    module.DynamicResourceProviderServicer = servicer  # type: ignore[attr-defined]
    return module


def test_what_cannot_be_patched_is_said(main: ModuleType) -> None:
    """With the installed Pulumi and gRPC nothing is left to be said; each missing piece is one sentence."""
    assert patches.apply(lambda: None, main) == []
    del main.traceback
    main.DynamicResourceProviderServicer = type("Servicer", (), {"Create": lambda self: None})  # type: ignore[attr-defined]
    assert patches.apply(lambda: None, main) == [
        "Pulumi's plugin serves only four calls at a time, and records nothing of a resource that fails: further waits "
        "hold up other resources.",
        "Pulumi's plugin does not pass Ctrl+C on: press it twice to end a wait.",
        "Errors are shown with their traceback: read the last line.",
    ]


def test_without_grpcs_pools_two_things_stay_as_they_are(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc._server", ModuleType("grpc._server"))
    calls, cancel = patches.apply(lambda: None, main)
    assert "only four calls at a time" in calls
    assert "does not pass Ctrl+C on" in cancel


def test_the_plugin_is_known_by_its_main_module(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a program's process, or a test's, there is no plugin and nothing is touched."""
    assert patches.plugin_module() is None
    assert patches.apply(lambda: None) == []
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert patches.plugin_module() is main
    assert patches.apply(lambda: None) == []


def format_while_handling(main: ModuleType, error: Exception) -> str:
    try:
        raise error  # noqa: TRY301 -- raising it is what this is for
    except Exception:  # noqa: BLE001 -- whatever it is given
        return str(main.traceback.format_exc())


def test_only_our_errors_lose_their_traceback(main: ModuleType) -> None:
    """The plugin formats our errors as our sentence and others with all there is; the rest of `traceback` is as is."""
    patches.apply(lambda: None, main)
    ours = SettingsError(Subject(CONNECT_ACTION), "no region is set", "Set one")
    assert format_while_handling(main, ours) == (
        "Connecting to AWS License Manager for license conversion tasks: no region is set. Set one."
    )
    assert format_while_handling(main, InitFailedError("lct-1", Struct(), "it FAILED")) == "it FAILED"
    assert format_while_handling(main, KeyError("bug")).startswith("Traceback (most recent call last)")
    assert main.traceback.print_exc is sys.modules["traceback"].print_exc


def test_cancel_is_heard_before_it_is_queued(main: ModuleType) -> None:
    """The pool that serves `Cancel` tells of it from the thread that hands it in, whatever its worker does."""
    heard: list[str] = []
    patches.apply(lambda: heard.append(threading.current_thread().name), main)
    pool = main.DynamicResourceProviderServicer.Cancel.experimental_thread_pool
    pool.submit(SimpleNamespace).result(SOON)
    pool.shutdown()
    assert heard == [threading.current_thread().name]
