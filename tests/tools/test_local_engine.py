"""The local engine does with a program what the Pulumi engine does with it.

More of it, the same on both, is shown by the programs of tests/programs. The program here has a resource whose provider
writes down the calls that it gets.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_engine import LocalEngine, UpdateFailedError
from support.proofs import keep
from support.stacks import make_stack, needs_pulumi
from support.waiting import SOON, wait_until

PROVIDER = """
import json, os, sys, time
from pathlib import Path
import pulumi
from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

def log(call, *args):
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps([call, *args], default=str) + "\\n")


class Counter(ResourceProvider):
    def configure(self, req):
        log("configure", {key: req.config.get(key) for key in ("counters:size", "counters:list", "aws:region")},
            os.environ["PULUMI_PROJECT"])

    def check(self, olds, news):
        log("check", olds.get("value"), news.get("value"))
        return CheckResult(news, [])

    def diff(self, id_, olds, news):
        log("diff", id_, olds.get("shown"), news.get("value"))
        replaces = [key for key in ("kind", "dbr") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces) or olds.get("value") != news.get("value"), replaces=replaces,
                          delete_before_replace="dbr" in replaces)

    def create(self, props):
        log("create", props.get("value"), props.get("token"))
        return CreateResult(f"id-{props.get('value')}", {**props, "shown": f"<{props.get('value')}>"})

    def update(self, id_, olds, news):
        log("update", id_, olds.get("value"), news.get("value"))
        return UpdateResult({**news, "shown": f"<{news.get('value')}>"})

    def read(self, id_, props):
        log("read", id_, props.get("value"))
        return ReadResult(id_, {**props, "shown": "<found>"})

    def delete(self, id_, props):
        log("delete", id_)


class Count(Resource, module="tests", name="Count"):
    shown: pulumi.Output[str]

    def __init__(self, name, value=None, opts=None, **props):
        super().__init__(Counter(), name, {"value": value, "shown": None, **props}, opts)
"""

PROJECT = """
name: counters
runtime: python
config:
  size: {type: integer, default: 3}
  list: {type: array, items: {type: integer}, default: [1, 2]}
  aws:region: {value: eu-west-1}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the program of a folder that has the counter resource."""

    def write(main: str) -> Path:
        folder = tmp_path / "counters"
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(PROJECT)
        (folder / "counter.py").write_text(PROVIDER)
        text = "import pulumi\nfrom counter import Count\nconfig = pulumi.Config()\n" + textwrap.dedent(main)
        (folder / "__main__.py").write_text(text)
        return folder

    return write


def calls(folder: Path, *names: str) -> list[list[Any]]:
    """The provider's calls since the last look, of these names."""
    log = folder / "calls.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [call for call in map(json.loads, lines) if not names or call[0] in names]


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
STEPS: list[tuple[str, dict[str, Any], dict[str, int] | None]] = [
    ("up", {"size": 7}, {"create": 3}),
    ("up", {"size": 7}, {"same": 3}),
    ("up", {"size": 7, "value": "2"}, {"same": 1, "update": 2}),
    ("up", {"size": 7, "value": "2", "kind": "other"}, {"same": 2, "replace": 1}),
    ("up", {"size": 7, "value": "2", "kind": "other", "alone": "1"}, {"same": 2, "delete": 1}),
    ("preview", {"size": 8}, None),
    ("refresh", {"size": 9}, None),
    ("destroy", {"size": 9}, {"delete": 2}),
]
REAL_TOO = pytest.param(["local", "real"], marks=[needs_pulumi, pytest.mark.proof, pytest.mark.timeout(300)])


@pytest.mark.parametrize("names", [["local"], REAL_TOO])
def test_lifecycle(write: Write, tmp_path: Path, names: list[str]) -> None:
    """Resources are created, kept, updated, replaced and deleted, with the calls and counts of the real engine.

    Where the program doesn't run, the provider is configured as the last `up` did it, whatever is given now.
    """
    program = write(LIFECYCLE)
    stacks = [make_stack(name, tmp_path, program) for name in names]
    for operation, config, changes in STEPS:
        seen = []
        for stack in stacks:
            stack.config = config
            outcome = getattr(stack, operation)()
            assert changes is None or {name: count for name, count in outcome.changes.items() if count} == changes
            assert operation != "up" or outcome.outputs == {"shown": f"<{config.get('value', '1')}>"}
            seen.append(calls(stack.folder))
            sizes = [call[1]["counters:size"] for call in seen[-1] if call[0] == "configure"]
            assert operation not in ("refresh", "destroy") or sizes == ["7"]
        assert seen[0] == seen[-1] or operation == "preview"  # whose unknown values are written with their addresses
    assert stacks[0].resources() == {}


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


HANGING = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
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
    keep(
        [("up", "create")],
        [("up", "create"), ("preview", "check"), ("refresh", "read"), ("destroy", "delete"), ("up", "of the program")],
    ),
)
def test_an_interrupt_ends_it_with_its_plugin(
    write: Write, engines: Engines, tmp_path: Path, operation: str, method: str
) -> None:
    """^C ends every operation, whatever the provider or the program does, and leaves no process behind."""
    folder, state = write('Count("a", "1")'), tmp_path / "state.json"
    if operation in ("refresh", "destroy"):
        engines(folder, state_file=state).up()
    pid = hang_in(folder, method)
    if method == "of the program":
        (folder / "__main__.py").write_text(HANGING)
    process = subprocess.Popen([sys.executable, "-c", RUN, folder, state, operation], stderr=subprocess.PIPE, text=True)
    with process:
        wait_until(lambda: pid.exists() and pid.read_text())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SOON)
    assert said.endswith("KeyboardInterrupt\n")
    assert not is_running(int(pid.read_text()))


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
    with pytest.raises(UpdateFailedError, match=r"it took longer than 0\.5 s, LocalEngine's timeout, and was ended"):
        engine.up()
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
