"""The local engine does with a program what the Pulumi engine does with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest
from counters import PROJECT, PROVIDER, calls, write_program
from local_engine import UNKNOWN, LocalEngine, Message, UpdateFailedError
from local_engine.plugin import DynamicPlugin, start_process
from local_engine.properties import make_secret
from support.proofs import keep
from support.waiting import wait_until


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the program of a folder that has the counter resource."""
    return partial(write_program, tmp_path / "program")


@pytest.fixture
def engines() -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines, and closes them whatever happens."""
    made: list[LocalEngine] = []

    def make(*args: Any, **kwargs: Any) -> LocalEngine:
        made.append(LocalEngine(*args, **kwargs))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


Engines = Callable[..., LocalEngine]
Write = Callable[[str], Path]

LIFECYCLE = """
    first = Count("first", config.get("value") or "1", kind=config.get("kind"), dbr=config.get("dbr"))
    if not config.get("alone"):
        Count("second", first.shown, opts=pulumi.ResourceOptions(parent=first))
    pulumi.export("shown", first.shown)
"""
STEPS: list[tuple[dict[str, str], dict[str, int]]] = [
    ({}, {"create": 3}),
    ({}, {"same": 3}),
    ({"value": "2"}, {"same": 1, "update": 2}),
    ({"value": "2", "kind": "other"}, {"same": 2, "replace": 1}),
    ({"value": "2", "kind": "other", "alone": "1"}, {"same": 2, "delete": 1}),
]


def test_lifecycle(write: Write, engines: Engines, tmp_path: Path) -> None:
    """Resources are created, kept, updated, replaced and deleted, over engines that share a state file."""
    folder = write(LIFECYCLE)
    for config, changes in STEPS:
        result = engines(folder, config=config, state_file=tmp_path / "state.json").up()
        assert dict(result.changes) == changes
        assert result.outputs == {"shown": f"<{config.get('value', '1')}>"}
    engine = engines(folder, state_file=tmp_path / "state.json")
    assert dict(engine.destroy().changes) == {"delete": 2}
    assert engine.resources == []


needs_pulumi = pytest.mark.skipif(shutil.which("pulumi") is None, reason="needs the pulumi command to compare with")


def make_real_stack(folder: Path, tmp_path: Path) -> Callable[..., str]:
    """Make a stack of the program on the real engine, and return what runs `pulumi` with its arguments there."""
    (folder / "Pulumi.yaml").write_text(
        PROJECT.replace("python", f"{{name: python, options: {{virtualenv: {json.dumps(sys.prefix)}}}}}")
    )
    (tmp_path / "backend").mkdir()
    env = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def run(*args: str) -> str:
        return subprocess.run(
            ["pulumi", *args, "--non-interactive"], cwd=folder, env=env, check=True, capture_output=True, text=True
        ).stdout

    run("stack", "init", "dev")
    return run


@needs_pulumi
@pytest.mark.timeout(300)
def test_lifecycle_is_the_real_engines(write: Write, engines: Engines, tmp_path: Path) -> None:
    """The real engine calls the provider the same way and counts the same changes."""
    folder = write(LIFECYCLE)
    run = make_real_stack(folder, tmp_path)
    for config, changes in STEPS:
        (folder / "Pulumi.dev.yaml").unlink(missing_ok=True)
        run("up", "--yes", "--skip-preview", *(f"-c{key}={value}" for key, value in config.items()))
        real = calls(folder)
        told = json.loads(run("stack", "history", "--json", "--page-size", "1"))[0]["resourceChanges"]
        assert {key: count for key, count in told.items() if key in changes} == changes
        engines(folder, config=config, state_file=tmp_path / "state.json").up()
        assert calls(folder) == real


@needs_pulumi
@pytest.mark.timeout(300)
def test_the_real_engine_configures_as_the_last_up_too(write: Write, engines: Engines, tmp_path: Path) -> None:
    """A refresh and a destroy configure the provider the same way on both, with what `up` had and not what is set."""
    folder = write('Count("a", "1")')
    run = make_real_stack(folder, tmp_path)
    for operation, size in (("up", 1), ("refresh", 2), ("destroy", 3)):
        run("config", "set", "size", str(size))
        run(operation, "--yes", "--skip-preview")
        real = calls(folder, "configure")
        getattr(engines(folder, config={"size": size}, state_file=tmp_path / "state.json"), operation)()
        assert calls(folder, "configure") == real
        assert real[0][1]["counters:size"] == "1"


def test_configuration(write: Write, engines: Engines) -> None:
    """Program and provider see the project's defaults and the given values, under full keys, as JSON strings."""
    folder = write('Count("a")\npulumi.export("list", config.require_object("list"))')
    result = engines(folder, config={"size": 7, "aws:region": "us-east-1"}).up()
    assert result.outputs == {"list": [1, 2]}
    seen = {"counters:size": "7", "counters:list": "[1,2]", "aws:region": "us-east-1"}
    assert calls(folder, "configure") == [["configure", seen, "counters", str(folder)]]


def test_replacement_order(write: Write, engines: Engines, tmp_path: Path) -> None:
    """The new resource is created before the old one is deleted, unless provider or program want the reverse."""
    folder = write(
        """
        opts = pulumi.ResourceOptions(delete_before_replace=config.get_bool("first"))
        Count("a", "1", kind=config.get("kind"), dbr=config.get("dbr"), opts=opts)
        """
    )
    engines(folder, state_file=tmp_path / "state.json").up()
    for config, order in (
        ({"kind": "x"}, ["create", "delete"]),
        ({"kind": "x", "dbr": "y"}, ["delete", "create"]),
        ({"kind": "z", "dbr": "y", "first": "true"}, ["delete", "create"]),
    ):
        calls(folder)
        engines(folder, config=config, state_file=tmp_path / "state.json").up()
        assert [name for name, *_ in calls(folder, "create", "delete")] == order


def test_check_failure(write: Write, engines: Engines) -> None:
    """An input that check refuses fails the operation with the property and the reason, and nothing is created."""
    folder = write('Count("a", "bad")')
    with pytest.raises(UpdateFailedError) as caught:
        engines(folder).up()
    (error,) = caught.value.errors
    assert error.urn.endswith("::a")
    assert error.text.endswith("resource 'a': property value value {bad} has a problem: it is bad")
    assert calls(folder, "create") == []


def test_failed_create(write: Write, engines: Engines) -> None:
    """A failed create leaves no state and no dependents, and what was running beside it is completed."""
    folder = write(
        """
        waiting = Count("waiting", "1", wait="waiting")
        failing = Count("failing", "fail", opts=pulumi.ResourceOptions())
        Count("dependent", failing.shown)
        """
    )
    # The waiting one may go on once the other has failed.
    engine = engines(folder, on_message=lambda each: (folder / "go").touch() if each.severity == "error" else None)
    with pytest.raises(UpdateFailedError) as caught:
        engine.up()
    (error,) = caught.value.errors
    assert error.urn.endswith("::failing")
    assert error.text.endswith("RuntimeError: the counter is broken\n")
    assert {each.name for each in engine.resources} == {"counters-dev", "waiting"}


INIT_FAILED = """

def halfway(method):
    def call(self, *args):
        answer = method(self, *args)
        if not Path("broken").exists():
            return answer
        from google.protobuf.struct_pb2 import Struct
        from pulumi.runtime.proto import provider_pb2 as pb, status_pb2
        frame = sys._getframe()
        while "context" not in frame.f_locals:
            frame = frame.f_back
        properties = Struct()
        properties.update({key: value for key, value in answer.outs.items() if value is not None})
        status = status_pb2.Status(code=2, message="halfway")
        id_ = getattr(answer, "id", "id-1")
        status.details.add().Pack(pb.ErrorResourceInitFailed(id=id_, properties=properties, reasons=["halfway"]))
        frame.f_locals["context"].set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        raise RuntimeError("halfway")
    return call


Counter.create, Counter.update = halfway(Counter.create), halfway(Counter.update)
"""


def test_what_is_there_but_not_as_it_should_be_is_recorded(write: Write, engines: Engines, tmp_path: Path) -> None:
    """After an error with `ErrorResourceInitFailed` the resource is in the state, and the next `up` updates it.

    An update that failed so keeps the inputs from before it.
    """
    folder, state = write('Count("a", config.get("value"))'), tmp_path / "state.json"
    (folder / "counter.py").write_text(PROVIDER + INIT_FAILED)
    (folder / "broken").touch()
    for op, value in (("create", "1"), ("update", "2")):
        with pytest.raises(UpdateFailedError) as caught:
            engines(folder, config={"value": value}, state_file=state).up()
        (error,) = caught.value.errors
        assert error.text == "1 error occurred:\n\t* halfway\n"
        recorded = caught.value.result.resource("a")
        assert (recorded.id, recorded.outputs["shown"], recorded.init_errors) == ("id-1", f"<{value}>", ["halfway"])
        assert recorded.inputs["value"] == "1"
        assert dict(caught.value.result.changes) == {"create" if op == "create" else "same": 1}  # the stack itself
        assert [name for name, *_ in calls(folder, "create", "update")] == [op]
    (folder / "broken").unlink()
    for op, count in (("update", 1), ("same", 2)):
        assert engines(folder, config={"value": "2"}, state_file=state).up().changes[op] == count


def test_failed_update(write: Write, engines: Engines, tmp_path: Path) -> None:
    """A failed update keeps the old state."""
    folder = write('Count("a", config.get("value"))')
    state = tmp_path / "state.json"
    engines(folder, config={"value": "1"}, state_file=state).up()
    with pytest.raises(UpdateFailedError, match="the counter is stuck") as caught:
        engines(folder, config={"value": "fail"}, state_file=state).up()
    assert caught.value.result.resource("a").outputs["shown"] == "<1>"
    assert engines(folder, config={"value": "2"}, state_file=state).up().changes["update"] == 1


def test_preview(write: Write, engines: Engines) -> None:
    """A preview checks and diffs with unknown values, creates nothing, and keeps no state."""
    folder = write(LIFECYCLE)
    engine = engines(folder)
    result = engine.preview()
    assert dict(result.changes) == {"create": 3}
    assert result.outputs == {"shown": UNKNOWN}
    names = [name for name, *_ in calls(folder)]
    assert names == ["configure", "check", "check"]
    assert engine.resources == []


def test_secrets(write: Write, engines: Engines, tmp_path: Path) -> None:
    """The plugin gets a secret in clear, its output is secret again, and messages mask secret configuration."""
    folder = write(
        """
        a = Count("a", "1", token=config.require_secret("token"))
        pulumi.log.warn("it is hush-hush")
        pulumi.export("token", pulumi.Output.from_input(a.__dict__["token"]))
        """
    )
    (folder / "counter.py").write_text(
        PROVIDER.replace("shown: pulumi", "token: pulumi.Output[str]\n    shown: pulumi")
    )
    result = engines(folder, config={"token": "hush"}, secret_config=["token"], state_file=tmp_path / "s").up()
    assert calls(folder, "create") == [["create", "1", "hush"]]
    assert result.outputs == {"token": "hush"}
    assert result.secret_outputs == {"token"}
    assert {name for name, value in result.resource("a").outputs.items() if isinstance(value, dict)} == {
        "__provider",
        "token",
    }
    assert "it is [secret]-[secret]" in [message.text for message in result.messages]
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0


def test_get_by_id(write: Write, engines: Engines) -> None:
    """A resource with an id in its options is read, never created or deleted, and belongs to the state as external."""
    folder = write('pulumi.export("shown", Count("a", "1", opts=pulumi.ResourceOptions(id="it")).shown)')
    engine = engines(folder)
    result = engine.up()
    assert result.outputs == {"shown": "<found>"}
    assert result.resource("a").external
    assert result.changes["read"] == 1
    engine.destroy()
    assert [name for name, *_ in calls(folder)] == ["configure", "read"]


def test_refresh(write: Write, engines: Engines) -> None:
    """A refresh records what the provider finds, compares it to what is wanted, and forgets what is gone."""
    folder = write('Count("a", "1")')
    engine = engines(folder)
    engine.up()
    calls(folder)
    assert engine.refresh().resource("a").outputs["shown"] == "<found>"
    assert calls(folder, "read", "diff") == [["read", "id-1", "1"], ["diff", "id-1", "<found>", "1"]]
    (folder / "gone").touch()
    assert engine.refresh().changes["delete"] == 1
    assert [each.name for each in engine.resources] == ["counters-dev"]


@pytest.mark.parametrize("operation", keep(["refresh"], ["refresh", "destroy"]))
def test_the_last_ups_configuration_serves_refresh_and_destroy(
    write: Write, engines: Engines, tmp_path: Path, operation: str
) -> None:
    """Where the program doesn't run, the provider is configured as the last `up` did it, whatever is given now."""
    folder, state = write('Count("a", "1")'), tmp_path / "state.json"
    engines(folder, config={"size": 1, "aws:region": "eu-west-1"}, state_file=state).up()
    engines(folder, config={"size": 2, "aws:region": "us-east-1"}, state_file=state).up()
    engines(folder, config={"size": 3}, state_file=state).preview()
    calls(folder)
    getattr(engines(folder, config={"size": 4}, state_file=state), operation)()
    ((_, seen, *_),) = calls(folder, "configure")
    assert (seen["counters:size"], seen["aws:region"]) == ("2", "us-east-1")


def test_the_recorded_configurations_secrets_stay_secret(write: Write, engines: Engines, tmp_path: Path) -> None:
    """A secret of the last `up` is marked in the state, and masked in the lines of an engine that never got it."""
    folder, state = write('Count("a", "1", token=config.require_secret("token"))'), tmp_path / "state.json"
    (folder / "counter.py").write_text(PROVIDER.replace('log("read"', 'print(f"it is {props[\'token\']}"), log("read"'))
    engines(folder, config={"token": "hush"}, secret_config=["token"], state_file=state).up()
    assert json.loads(state.read_text())["config"]["counters:token"] == make_secret("hush")
    result = engines(folder, state_file=state).refresh()
    assert [message.text for message in result.messages] == ["it is [secret]"]


def test_messages(write: Write, engines: Engines) -> None:
    """Lines sent to the engine come with their resource; what the plugin prints comes with the stack."""
    folder = write(
        """
        urn = pulumi.create_urn("a", "pulumi-python:dynamic/tests:Count")
        Count("a", "1", urn=urn, print=True)
        """
    )
    heard: list[Message] = []
    result = engines(folder, on_message=heard.append).up()
    urn = result.resource("a").urn
    stack = "urn:pulumi:dev::counters::pulumi:pulumi:Stack::counters-dev"
    assert set(result.messages) == {
        Message(urn, "info", "counting", ephemeral=True),
        Message(urn, "warning", "look"),
        Message(stack, "info", "printed by the plugin"),
    }
    assert heard == result.messages


def test_stash(write: Write, engines: Engines, tmp_path: Path) -> None:
    """A Stash keeps the first value it got."""
    folder = write('pulumi.export("kept", pulumi.Stash("s", input=config.require("value")).output)')
    engines(folder, config={"value": "old"}, state_file=tmp_path / "state.json").up()
    result = engines(folder, config={"value": "new"}, state_file=tmp_path / "state.json").up()
    assert result.outputs == {"kept": "old"}
    assert result.resource("s").outputs["input"] == "new"


class _Mocks(pulumi.runtime.Mocks):
    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {"echo": args.args["word"]}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, "arn": "arn:made-up"}


def test_mocks(engines: Engines) -> None:
    """Other resources and functions are answered by the user's mocks, and refused by name without them."""

    def program() -> None:
        bucket = pulumi.CustomResource("aws:s3/bucket:Bucket", "b", {"size": 1, "arn": None})
        pulumi.export("arn", bucket.__dict__["arn"])
        pulumi.export("echo", pulumi.runtime.invoke("aws:index:echo", {"word": "hi"}).value["echo"])

    result = engines(program, mocks=_Mocks()).up()
    assert result.outputs == {"arn": "arn:made-up", "echo": "hi"}
    assert result.resource("b").id == "b-id"
    with pytest.raises(UpdateFailedError, match=r"aws:(s3/bucket:Bucket|index:echo), whose provider"):
        engines(program).up()


def test_cancel(write: Write, engines: Engines) -> None:
    """A cancel refuses new resources, waits for the running one, keeps its state, and fails the operation."""
    folder = write('first = Count("first", "1", wait="waiting")\nCount("second", first.shown)')
    engine = engines(folder)

    def cancel() -> None:
        wait_until((folder / "waiting").exists)
        engine.cancel()
        (folder / "go").touch()

    helper = threading.Thread(target=cancel)
    helper.start()
    with pytest.raises(UpdateFailedError, match="canceled"):
        engine.up()
    helper.join()
    assert {each.name for each in engine.resources} == {"counters-dev", "first"}
    assert engine.plugin is not None
    assert engine.plugin.poll() is not None


def test_kill(write: Write, engines: Engines) -> None:
    """After a kill the operation is over and its plugin goes on alone, until the engine is closed."""
    folder = write('Count("first", "1", wait="waiting")')
    engine = engines(folder)

    def kill() -> None:
        wait_until((folder / "waiting").exists)
        engine.kill()

    helper = threading.Thread(target=kill)
    helper.start()
    with pytest.raises(UpdateFailedError, match="killed"):
        engine.up()
    helper.join()
    assert engine.plugin is not None
    assert engine.plugin.poll() is None
    assert {each.name for each in engine.resources} == {"counters-dev"}
    engine.close()
    assert engine.plugin.poll() == -signal.SIGKILL


def test_two_programs(write: Write, engines: Engines, tmp_path: Path) -> None:
    """Programs run one after the other don't see each other's modules, configuration or resources."""
    first = write('import words\nCount("a", words.word)\npulumi.export("said", [words.word, config.get("mine")])')
    (first / "words.py").write_text('word = "one"')
    second = shutil.copytree(first, tmp_path / "second")
    (second / "words.py").write_text('word = "two"')
    before = Path.cwd(), list(sys.path), sys.argv
    assert engines(first, config={"mine": "yes"}).up().outputs == {"said": ["one", "yes"]}
    assert engines(second).up().outputs["said"][0] == "two"
    assert (Path.cwd(), list(sys.path), sys.argv) == before
    assert "words" not in sys.modules


def test_bad_program(write: Write, engines: Engines) -> None:
    """A program's exception is reported on the stack from its own frames on; the next operation works."""
    folder = write('Count("a", "1")\nif not config.get("ok"):\n    raise ValueError("oops")')
    engine = engines(folder)
    with pytest.raises(UpdateFailedError) as caught:
        engine.up()
    (error,) = caught.value.errors
    assert error.urn.endswith("Stack::counters-dev")
    lines = error.text.splitlines()
    assert lines[0] == "Program failed with an unhandled exception:"
    assert f'File "{folder}/__main__.py"' in lines[2]
    assert lines[-1] == "ValueError: oops"
    assert engines(folder, config={"ok": "1"}).up().changes["create"] == 2


def test_broken_plugin(write: Write, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that doesn't start fails the resource, and what it printed is among the messages."""
    monkeypatch.setattr(DynamicPlugin, "start_process", staticmethod(start_process))
    folder = write('Count("a", "1")')
    (folder / "dill.py").write_text("if __import__('sys').argv[0] == '-m': raise SystemExit('no pickles')")
    with pytest.raises(UpdateFailedError, match="could not start the plugin") as caught:
        engines(folder).up()
    assert "no pickles" in [message.text for message in caught.value.result.messages]
