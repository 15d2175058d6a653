"""What is patched into Pulumi's plugin process, on the real process: these tests fail when Pulumi or gRPC changes."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from local_engine.provider import InitFailedError as InitError
from local_engine.state import ResourceState
from support.engine import OURS, serve_engine, start_plugin, to_provider, to_urn
from support.waiting import SOON, wait_until
from support.wire import add_running

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.hosts.dynamic import patches
from lmconv_resource.hosts.engine import InitFailedError

REGION = "eu-west-1"


SLOW_PROVIDER = """
import time
from pathlib import Path
from pulumi.dynamic import CreateResult, ResourceProvider

class Slow(ResourceProvider):
    def create(self, props):
        if props.get("is_broken"):
            1 / 0
        Path(f"began-{props['n']:.0f}").touch()
        while not Path("release").exists():
            time.sleep(0.02)
        return CreateResult("slow", {})
"""
PULUMI_WORKERS, THEIRS, OURS_WAITING = 4, 10, 12


def test_other_providers_keep_their_four_workers_and_hold_up_none_of_ours(
    tmp_path: Path, aws: LicenseManagerBackend
) -> None:
    """Ten slow creates of another package's run four at a time, as by Pulumi's own hand, and never more.

    Meanwhile twelve of ours wait, and a finished one is created at once. `Cancel` then ends each wait with one line.
    Nothing is printed, for that would stay on the stack's row, and a bug of another's provider keeps its traceback.
    """
    (tmp_path / "slow.py").write_text(SLOW_PROVIDER)
    add_running(aws, OURS_WAITING)
    aws.add_task(task_id="lct-finished", source="RunInstances:0800", destination="RunInstances:0002", seconds=0)
    printed: list[str] = []

    def to_inputs(name: str) -> dict[str, Any]:
        inputs = {"license_conversion_task_id": f"lct-{name}", "wait_for_completion": True, "region": REGION}
        return {**inputs, "__provider": OURS, "__urn": to_urn(name)}

    with (
        serve_engine() as engine,
        start_plugin(tmp_path, engine, on_line=printed.append) as plugin,
        ThreadPoolExecutor(OURS_WAITING + THEIRS) as pool,
    ):
        plugin.create(to_urn("finished"), to_inputs("finished"))
        names = [f"{n:04}" for n in range(OURS_WAITING)]
        waits = [pool.submit(plugin.create, to_urn(name), to_inputs(name)) for name in names]
        wait_until(lambda: {to_urn(name) for name in names} <= {r.urn for r in engine.requests}, "all of ours wait")
        slow = to_provider("slow", "Slow")
        with pytest.raises(grpc.RpcError, match=r"Traceback \(most recent call last\)[^$]*ZeroDivisionError"):
            plugin.create(to_urn("broken"), {"is_broken": True, "__provider": slow})
        theirs = [pool.submit(plugin.create, to_urn(f"t{n}"), {"n": n, "__provider": slow}) for n in range(THEIRS)]
        wait_until(lambda: len(list(tmp_path.glob("began-*"))) >= PULUMI_WORKERS, "theirs have begun")

        plugin.create(to_urn("finished"), to_inputs("finished"))
        time.sleep(0.3)  # what a fifth of theirs would need to begin
        assert len(list(tmp_path.glob("began-*"))) == PULUMI_WORKERS
        assert not any(each.done() for each in [*waits, *theirs])
        (tmp_path / "release").touch()
        assert {each.result(SOON)[0] for each in theirs} == {"slow"}
        plugin.cancel()
        for name, each in zip(names, waits, strict=True):
            error = each.exception(SOON)
            assert isinstance(error, InitError), error
            (line,) = error.reasons
            assert line.startswith(f"Waiting for license conversion task lct-{name} in {REGION}: the update was canc")
            assert (error.id, error.outputs["status"], len(line.splitlines())) == (f"lct-{name}", "IN_PROGRESS", 1)
        assert all(request.ephemeral for request in engine.requests)
        assert printed == []


def test_what_failed_halfway_is_recorded(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """With its id and outputs, and `__provider` among them as Pulumi adds it to those of a success.

    A record is what the other methods understand, and what the next update goes on from. A message of AWS's may be
    long.
    """
    add_running(aws, 1)
    urn, timeouts = to_urn("task"), {"create": "5s", "update": "5s"}
    inputs = {"license_conversion_task_id": "lct-0000", "wait_for_completion": True, "region": REGION}
    inputs |= {"__provider": OURS, "__urn": urn, "__timeouts": timeouts}
    with serve_engine() as engine, start_plugin(tmp_path, engine) as plugin:
        plugin.check(urn, {}, inputs)  # the engine's first call, in which the process is patched
        with pytest.raises(InitError, match="it did not end") as error:
            plugin.create(urn, inputs)
        outputs = error.value.outputs
        assert [outputs[name] for name in ("__provider", "__urn", "status")] == [OURS, urn, "IN_PROGRESS"]
        state = ResourceState(urn, "t", id=error.value.id, inputs=inputs, outputs=outputs)
        assert plugin.diff(state, inputs, []).changes
        with pytest.raises(InitError, match="it did not end") as error:
            plugin.update(state, inputs, [])
        assert (error.value.id, error.value.outputs) == ("lct-0000", outputs)
        aws.finish_task("lct-0000", "FAILED", "no " * 9000)
        with pytest.raises(InitError, match="it FAILED: no no") as error:
            plugin.update(state, inputs, [])
        (line,) = error.value.reasons
        assert len(line.splitlines()) == 1
        plugin.delete(state)


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
    assert patches.apply(main, lambda: None) == []
    del main.traceback
    main.DynamicResourceProviderServicer = type("Servicer", (), {"Create": lambda self: None})  # type: ignore[attr-defined]
    assert patches.apply(main, lambda: None) == [
        "Pulumi's plugin serves only four calls at a time, and records nothing of a resource that fails: further waits "
        "hold up other resources.",
        "Pulumi's plugin does not pass Ctrl+C on: press it twice to end a wait.",
        "Errors are shown with their traceback: read the last line.",
    ]


def test_the_plugin_is_known_by_its_main_module(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a program's process, or a test's, there is no plugin."""
    assert patches.plugin_module() is None
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert patches.plugin_module() is main


def format_while_handling(main: ModuleType, error: Exception) -> str:
    try:
        raise error  # noqa: TRY301 -- raising it is what this is for
    except Exception:  # noqa: BLE001 -- whatever it is given
        return str(main.traceback.format_exc())


def test_only_our_errors_lose_their_traceback(main: ModuleType) -> None:
    """The plugin formats our errors as our sentence and others with all there is; the rest of `traceback` is as is."""
    patches.apply(main, lambda: None)
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
    patches.apply(main, lambda: heard.append(threading.current_thread().name))
    pool = main.DynamicResourceProviderServicer.Cancel.experimental_thread_pool
    pool.submit(SimpleNamespace).result(SOON)
    pool.shutdown()
    assert heard == [threading.current_thread().name]
