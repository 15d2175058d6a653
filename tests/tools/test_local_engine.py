"""The local engine does with a program what the Pulumi engine does with it.

More of it, the same on both, is shown by the programs of tests/programs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from counters import PROJECT, PROVIDER, calls, write_program
from local_engine import LocalEngine, UpdateFailedError
from support.proofs import keep
from support.waiting import SOON, wait_until


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
@pytest.mark.proof
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
@pytest.mark.proof
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


# -- how it ends: on ^C, in time, and with the error of a program that fails, hangs or exits ---------------------------


def hang_in(folder: Path, method: str) -> Path:
    """Let the provider hang in a method, once it has written its process's id into a file; return the file."""
    hang = f'Path("pid").write_text(str(os.getpid())), time.sleep(600), log("{method}"'
    (folder / "counter.py").write_text(PROVIDER.replace(f'log("{method}"', hang))
    return folder / "pid"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True


def fail(engine: LocalEngine, operation: str = "up") -> str:
    """Run an operation that fails, and return its one error."""
    with pytest.raises(UpdateFailedError) as caught:
        getattr(engine, operation)()
    (error,) = caught.value.errors
    return error.text


RUN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "tools")!r})
from local_engine import LocalEngine
_, folder, state, operation = sys.argv
getattr(LocalEngine(folder, state_file=state), operation)()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("operation", "method"),
    keep([("up", "create")], [("up", "create"), ("preview", "check"), ("refresh", "read"), ("destroy", "delete")]),
)
def test_an_interrupt_ends_it_with_its_plugin(
    write: Write, engines: Engines, tmp_path: Path, operation: str, method: str
) -> None:
    """^C ends every operation, whatever the provider does, and leaves no process behind."""
    folder, state = write('Count("a", "1")'), tmp_path / "state.json"
    if operation in ("refresh", "destroy"):
        engines(folder, state_file=state).up()
    pid = hang_in(folder, method)
    process = subprocess.Popen([sys.executable, "-c", RUN, folder, state, operation], stderr=subprocess.PIPE, text=True)
    with process:
        wait_until(lambda: pid.exists() and pid.read_text())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SOON)
    assert said.endswith("KeyboardInterrupt\n")
    assert not is_running(int(pid.read_text()))


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupt_ends_a_program_that_is_stuck(write: Write, tmp_path: Path) -> None:
    """^C ends the engine also where the program waits in its own code."""
    folder = write('import time\nfrom pathlib import Path\nPath("begun").touch()\ntime.sleep(600)')
    process = subprocess.Popen([sys.executable, "-c", RUN, folder, tmp_path / "state.json", "up"])
    with process:
        wait_until((folder / "begun").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) != 0


@pytest.mark.parametrize(
    ("operation", "method"),
    keep([("up", "check")], [("up", "check"), ("refresh", "read"), ("destroy", "delete")]),
)
def test_a_call_that_takes_too_long(
    write: Write, engines: Engines, tmp_path: Path, operation: str, method: str
) -> None:
    """Every operation has its timeout."""
    folder, state = write('Count("a", config.get("value") or "1")'), tmp_path / "state.json"
    engines(folder, state_file=state).up()
    hang_in(folder, method)
    error = fail(engines(folder, config={"value": "2"}, state_file=state, timeout=1), operation)
    assert error.startswith("it took longer than 1 s")


def test_a_program_that_hangs(write: Write, engines: Engines) -> None:
    """A program that is stuck in its own code is left behind."""
    folder = write(
        """
        import time
        from pathlib import Path

        def wait(file):
            while not file.exists():
                time.sleep(0.01)

        wait(Path("go").absolute())
        Count("late")
        """
    )
    before = Path.cwd(), list(sys.path), sys.argv
    engine = engines(folder, timeout=0.5)
    began = time.monotonic()
    assert fail(engine) == "it took longer than 0.5 s, LocalEngine's timeout, and was ended"
    assert time.monotonic() - began < SOON
    assert (Path.cwd(), list(sys.path), sys.argv) == before
    (left,) = [each for each in threading.enumerate() if each.name == "local-engine"]
    (folder / "go").touch()
    left.join(SOON)
    assert not left.is_alive()
    assert engine.resources == []
    assert engine.plugin is None


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [("3", "3", []), ("-1", "255", []), ("'there is no such shop'", "1", ["there is no such shop"]), ("True", "1", [])],
)
def test_a_program_that_exits(write: Write, engines: Engines, code: str, error: str, said: list[str]) -> None:
    """`sys.exit` fails the operation with the engine's words, and what it is given as a text is shown."""
    folder = write(f'import sys\nCount("a", "1")\nsys.exit({code})')
    with pytest.raises(UpdateFailedError) as caught:
        engines(folder).up()
    (failure,) = caught.value.errors
    assert failure.text == f"an unhandled error occurred: program exited with non-zero exit code: {error}"
    assert [message.text for message in caught.value.result.messages] == [*said, failure.text]
