"""The local engine ends: on ^C, in time, and with the error of a program that fails, hangs or exits."""

from __future__ import annotations

import os
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
from counters import PROVIDER, write_program
from local_engine import LocalEngine, UpdateFailedError
from local_engine.plugin import DynamicPlugin
from support.proofs import keep
from support.waiting import SOON, wait_until

Engines = Callable[..., LocalEngine]
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the program of a folder that has the counter resource."""
    return partial(write_program, tmp_path / "program")


@pytest.fixture
def engines() -> Iterator[Engines]:
    """Makes engines, and closes them whatever happens."""
    made: list[LocalEngine] = []

    def make(*args: Any, **kwargs: Any) -> LocalEngine:
        made.append(LocalEngine(*args, **kwargs))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


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


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX process groups")
def test_an_end_does_not_wait_for_what_the_provider_left(write: Write, engines: Engines) -> None:
    """A process that a provider starts in a session of its own may hold the plugin's pipes, but not the operation."""
    folder = write('Count("a", "1")')
    left = 'subprocess.Popen(["sh", "-c", "echo $$ > left; exec sleep 120"], start_new_session=True), log("create"'
    (folder / "counter.py").write_text("import subprocess\n" + PROVIDER.replace('log("create"', left))
    began = time.monotonic()
    engines(folder).up()
    assert time.monotonic() - began < SOON
    wait_until(lambda: (folder / "left").exists() and (folder / "left").read_text())
    os.kill(int((folder / "left").read_text()), signal.SIGKILL)


def test_no_plugin_is_started_after_the_end(tmp_path: Path) -> None:
    """A step that gets to its provider just after the end starts no process that nobody would stop."""
    plugin = DynamicPlugin(tmp_path, "127.0.0.1:1", config={}, environment={}, on_line=print)
    plugin.stop()
    with pytest.raises(RuntimeError, match="the operation is over"):
        plugin.check("urn:pulumi:dev::p::t::n", {}, {})
    assert plugin.process is None


@pytest.mark.proof
def test_a_step_that_takes_too_long(write: Write, engines: Engines, tmp_path: Path) -> None:
    """The error says which steps were under way, with their last lines; nothing else is recorded."""
    folder = write(
        """
        urn = pulumi.create_urn("first", "pulumi-python:dynamic/tests:Count")
        Count("done", "1")
        first = Count("first", "1", urn=urn, wait="waiting")
        Count("second", first.shown)
        """
    )
    state = tmp_path / "state.json"
    engine = engines(folder, state_file=state, timeout=8)
    title, *lines = fail(engine).splitlines()
    assert title == "it took longer than 8 s, LocalEngine's timeout, and was ended"
    assert lines == ["  create urn:pulumi:dev::counters::pulumi-python:dynamic/tests:Count::first: look"]
    assert engine.plugin is not None
    assert engine.plugin.poll() == -signal.SIGKILL
    assert {each.name for each in engine.resources} == {"counters-dev", "done"}
    (folder / "go").touch()
    assert engines(folder, state_file=state).up().changes["create"] == 2


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


def test_a_program_that_hangs_can_be_killed(write: Write, engines: Engines) -> None:
    """A kill ends an operation at once though the program is stuck."""
    folder = write("import time\nwhile not config.get_bool('never'): time.sleep(0.01)")
    engine = engines(folder)
    threading.Timer(0.3, engine.kill).start()
    began = time.monotonic()
    assert fail(engine) == "the engine was killed"
    assert time.monotonic() - began < SOON


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


@pytest.mark.parametrize("code", keep(["0"], ["0", "", "256"]))
def test_a_program_that_exits_well(write: Write, engines: Engines, code: str) -> None:
    """With status 0 the engine takes the program for done: what it declared is there, what it didn't is deleted."""
    folder = write(f'import sys\nCount("a", "1")\nif config.get_bool("early"): sys.exit({code})\nCount("b", "1")')
    engine = engines(folder)
    engine.up()
    result = engines(folder, config={"early": True}).up()
    assert dict(result.changes) == {"create": 2}
