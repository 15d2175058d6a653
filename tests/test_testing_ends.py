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
from moto import mock_aws
from support.proofs import keep
from support.waiting import SOON, wait_until

from lmconv_resource.testing import LocalEngine, UpdateFailedError
from lmconv_resource.testing.plugin import DynamicPlugin

pytest_plugins = ["pytester"]

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


RUN = """
import sys
from lmconv_resource.testing import LocalEngine
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
    """The error says which steps were under way, with their last lines, and what waited; nothing else is recorded."""
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
    assert lines[0] == "Steps under way:"
    assert lines[1].startswith("  create Count first, for ")
    assert lines[1].endswith(" s: look")
    assert lines[2:] == ["Waiting for an input or their turn: Count second"]
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
    """Every operation has its timeout, and its error names the resource."""
    folder, state = write('Count("a", config.get("value") or "1")'), tmp_path / "state.json"
    engines(folder, state_file=state).up()
    hang_in(folder, method)
    error = fail(engines(folder, config={"value": "2"}, state_file=state, timeout=1), operation)
    if operation == "up":
        assert error.splitlines()[1:] == ["Being checked and compared: Count a"]
    else:
        assert f"\nSteps under way:\n  {operation.replace('destroy', 'delete')} Count a, for " in error


def test_a_program_that_hangs(write: Write, engines: Engines) -> None:
    """A program that is stuck in its own code is left behind, and the error shows where it is."""
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
    lines = fail(engine).splitlines()
    assert time.monotonic() - began < SOON
    assert lines[1:4] == [
        "The program is at (most recent call last):",
        f'  File "{folder}/__main__.py", line 12, in <module>',
        '    wait(Path("go").absolute())',
    ]
    assert f'  File "{folder}/__main__.py", line 10, in wait' in lines
    assert (Path.cwd(), list(sys.path), sys.argv) == before
    (left,) = [each for each in threading.enumerate() if each.name == "local-engine"]
    (folder / "go").touch()
    left.join(SOON)
    assert not left.is_alive()
    assert engine.resources == []
    assert engine.plugin is None


def test_a_program_that_waits_for_an_output(write: Write, engines: Engines) -> None:
    """The error shows the program's tasks that wait, and the resources that wait for them."""
    folder = write(
        """
        import asyncio

        async def never():
            await asyncio.sleep(600)

        for number in range(25):
            Count(f"c{number}", pulumi.Output.from_input(never()))
        """
    )
    error = fail(engines(folder, timeout=1))
    names = ", ".join(f"Count c{number}" for number in range(20))
    assert f"\nWaiting for an input or their turn: {names} and 5 more\n" in error
    assert f'File "{folder}/__main__.py", line 8, in never\n    await asyncio.sleep(600)' in error


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


def test_inside_a_mock_it_says_what_to_use(write: Write, engines: Engines) -> None:
    """Inside `mock_aws` a dynamic resource fails before any process is started; a program without one runs."""
    folder = write('Count("a", "1") if config.get_bool("count") else pulumi.Stash("s", input=1)')
    with mock_aws():
        engine = engines(folder, config={"count": True})
        assert fail(engine) == (
            "moto's mock_aws is active, but it mocks AWS in this process only: a dynamic resource's provider runs in a "
            "process of its own and would call AWS. Use lmconv_resource.emulator.serve() in place of mock_aws, and set "
            "AWS_ENDPOINT_URL_LICENSE_MANAGER to its endpoint; the pytest fixture license_manager does both."
        )
        assert engine.plugin is None
        assert engines(folder).up().changes["create"] == 2
    assert engines(folder, config={"count": True}).up().changes["create"] == 2


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_LICENSE_MANAGER", "AWS_ENDPOINT_URL"])
def test_inside_a_mock_an_endpoint_leads_elsewhere(
    write: Write, engines: Engines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With an endpoint in the environment the provider does not call AWS, so there is nothing to say."""
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with mock_aws():
        assert engines(write('Count("a", "1")')).up().changes["create"] == 2


@pytest.mark.parametrize(
    ("endpoints", "refused"),
    [
        ([{"licensemanager": "http://127.0.0.1:1"}], False),
        ({"licensemanager": "http://127.0.0.1:1"}, False),
        ([{"ec2": "http://127.0.0.1:1"}], True),
        ("not JSON", True),
    ],
)
def test_inside_a_mock_the_stacks_endpoints_count(
    write: Write, engines: Engines, endpoints: Any, refused: bool
) -> None:
    """An endpoint in the stack's `aws:endpoints` leads elsewhere too, if it is License Manager's."""
    engine = engines(write('Count("a", "1")'), config={"aws:endpoints": endpoints})
    with mock_aws():
        if refused:
            assert "mock_aws is active" in fail(engine)
        else:
            assert engine.up().changes["create"] == 2


@pytest.mark.proof
def test_an_error_stays_in_its_test(pytester: pytest.Pytester, write: Write) -> None:
    """What a failed program leaves behind troubles no later test, though warnings are errors there."""
    folder = write(
        """
        import asyncio, sys

        async def never():
            await asyncio.sleep(600)

        how = config.require("how")
        first = Count("first", pulumi.Output.from_input(never()) if how == "hang" else "1")
        Count("second", first.shown)
        if how == "exit":
            sys.exit(1)
        elif how == "fail":
            raise ValueError("oops")
        first.shown.apply(lambda shown: 1 / 0)
        """
    )
    pytester.makepyfile(
        f"""
        import gc, pytest
        from lmconv_resource.testing import LocalEngine, UpdateFailedError

        WORDS = {{"exit": "exited", "fail": "oops", "apply": "ZeroDivisionError", "hang": "longer than 2 s"}}

        @pytest.mark.parametrize("how", WORDS)
        def test_it(how):
            with LocalEngine({str(folder)!r}, config={{"how": how}}, timeout=2 if how == "hang" else 60) as engine:
                with pytest.raises(UpdateFailedError, match=WORDS[how]):
                    engine.up()

        def test_later():
            gc.collect()
        """
    )
    pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=5)
