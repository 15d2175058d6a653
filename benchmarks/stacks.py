"""Stacks to measure: programs in folders of their own, run by both engines, against a License Manager on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from local_engine import LocalEngine, Message, Step, UpdateFailedError

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends, serve

ROOT = Path(__file__).resolve().parent.parent
REGION = "eu-west-1"
PARALLEL = 300
"""Steps at once: Pulumi's own default is 4 for each core, which a stack with many waits raises."""

_PATIENCE_SECONDS = 180.0


@dataclass
class Place:
    """Where a group is measured."""

    folder: Path
    aws: LicenseManagerBackend

    def add_tasks(self, count: int, *, seconds: float | None) -> None:
        """Add tasks `lct-0000` and so on: they run for ever with None, and have ended with 0."""
        for number in range(count):
            self.add_task(f"lct-{number:04}", seconds=seconds)

    def add_task(self, task_id: str, *, seconds: float | None) -> None:
        """Add one task."""
        self.aws.add_task(
            task_id=task_id,
            resource_arn=f"arn:aws:ec2:{REGION}:123456789012:instance/i-{task_id[4:]:0>17}",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            **({"status": "IN_PROGRESS"} if seconds is None else {"seconds": seconds}),
        )

    def finish_tasks(self) -> None:
        """End every task now."""
        for task_id in self.aws.tasks:
            self.aws.finish_task(task_id)

    def write_program(self, name: str, lines: str) -> Path:
        """Write a program into a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text("name: measured\nruntime: python\n", encoding="utf-8")
        (folder / "__main__.py").write_text(lines, encoding="utf-8")
        return folder


@contextmanager
def make_place() -> Iterator[Place]:
    """Give an empty folder, a License Manager, and an environment in which both are used and nothing of the user's."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="lmconv-bench-") as name, serve() as emulator:
        folder = Path(name)
        for variable in list(os.environ):
            if variable.startswith(("AWS_", "PULUMI_")):
                del os.environ[variable]
        (folder / "backend").mkdir()
        os.environ.update(
            AWS_ENDPOINT_URL_LICENSE_MANAGER=emulator.endpoint,
            AWS_ACCESS_KEY_ID="benchmark",
            AWS_SECRET_ACCESS_KEY="benchmark",  # noqa: S106 -- made up
            AWS_REGION=REGION,
            AWS_DEFAULT_REGION=REGION,  # boto3, which the naive provider uses plainly, reads no other
            AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            PULUMI_BACKEND_URL=(folder / "backend").as_uri(),
            PULUMI_HOME=str(folder / "home"),
            PULUMI_CONFIG_PASSPHRASE="benchmark",  # noqa: S106 -- for a state that is thrown away
            PULUMI_SKIP_UPDATE_CHECK="true",
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="true",
            PULUMI_PYTHON_CMD=sys.executable,
            PULUMI_DEBUG_COMMANDS="true",  # without it the command has no --event-log
            PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tools"), os.environ.get("PYTHONPATH")])),
            NO_PROXY="127.0.0.1,localhost",
            no_proxy="127.0.0.1,localhost",
        )
        try:
            yield Place(folder, licensemanager_backends["123456789012"][REGION])
        finally:
            os.environ.clear()
            os.environ.update(before)


@dataclass
class Up:
    """An `up` under way: when each resource's step began and ended, and when its wait first showed itself."""

    begun: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0

    def heard(self, urn: str, text: str) -> None:
        """Note a line on a resource's row."""
        if "IN_PROGRESS" in text:
            self.shown.setdefault(to_name(urn), time.monotonic())

    def stepped(self, urn: str, *, over: bool) -> None:
        """Note the beginning or the end of a step."""
        (self.done if over else self.begun).setdefault(to_name(urn), time.monotonic())

    def end(self) -> None:
        """Note the end."""
        self.ended_at = time.monotonic()
        self.ended.set()

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Wait for something to become true.

        Raises:
            TimeoutError: it did not.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not what():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.begun)} began, {len(self.shown)} shown, {len(self.done)} done")
            time.sleep(0.01)


def to_name(urn: str) -> str:
    """Give a resource's name."""
    return urn.rsplit("::", 1)[-1]


class EngineStack(Protocol):
    """A program on an engine."""

    title: ClassVar[str]

    def __init__(self, program: Path) -> None: ...

    def up(self) -> Up:
        """Begin an `up`."""

    def time_up(self) -> float:
        """Give the seconds of an `up` by the command, from start to end."""

    def interrupt(self) -> None:
        """Press ^C."""

    def close(self) -> None:
        """End what is left, and wait for it."""

    def count_pending(self) -> int:
        """Give how many operations the state holds as pending."""

    def plugin_pid(self) -> int | None:
        """Give the id of the plugin's process, where it is known."""


def _time(command: list[str], folder: Path) -> float:
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
    return seconds


class LocalStack:
    """A program on LocalEngine."""

    title: ClassVar[str] = "LocalEngine"

    def __init__(self, program: Path) -> None:
        self._program = program
        self._state = program / "state.json"
        self._engine: LocalEngine | None = None
        self._thread: threading.Thread | None = None

    def up(self) -> Up:
        """Begin an `up`."""
        up = Up()

        def on_message(message: Message) -> None:
            if message.ephemeral:
                up.heard(message.urn, message.text)

        def on_step(step: Step) -> None:
            up.stepped(step.urn, over=step.seconds is not None)

        engine = LocalEngine(
            self._program,
            state_file=self._state,
            parallel=PARALLEL,
            on_message=on_message,
            on_step=on_step,
            timeout=None,
        )

        def run() -> None:
            try:
                engine.up()
            except UpdateFailedError:
                pass  # as it does when it is interrupted
            finally:
                up.end()

        self._engine = engine
        self._thread = threading.Thread(target=run)
        self._thread.start()
        return up

    def time_up(self) -> float:
        """Give the seconds of an `up` by the command, from start to end."""
        command = (
            "import sys; from local_engine import LocalEngine; LocalEngine(sys.argv[1], state_file=sys.argv[2]).up()"
        )
        return _time([sys.executable, "-c", command, str(self._program), str(self._state)], self._program)

    def interrupt(self) -> None:
        """Press ^C."""
        if self._engine:
            self._engine.cancel()

    def close(self) -> None:
        """End what is left, and wait for it."""
        if self._engine and self._thread and self._thread.is_alive():
            self._engine.kill()
            self._engine.close()
            self._thread.join()

    def count_pending(self) -> int:
        """LocalEngine's state has no pending operations: what is not done is not in it."""
        return 0

    def plugin_pid(self) -> int | None:
        """Give the id of the plugin's process."""
        plugin = self._engine.plugin if self._engine else None
        return plugin.pid if plugin else None


class PulumiStack:
    """A program on the real engine, in a file backend."""

    title: ClassVar[str] = "pulumi"

    def __init__(self, program: Path) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = program.name
        self._call("stack", "init", self._stack)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"], cwd=self.program, check=True, capture_output=True, text=True
        )
        return done.stdout

    def _command(self) -> list[str]:
        options = ["--yes", "--skip-preview", "--non-interactive", "--stack", self._stack]
        return ["pulumi", "up", *options]

    def up(self, parallel: int | None = PARALLEL) -> Up:
        """Begin an `up`, with so many steps at once, or Pulumi's own number."""
        up = Up()
        log = self.program / "events.jsonl"
        log.unlink(missing_ok=True)
        log.touch()
        self._process = process = subprocess.Popen(
            [*self._command(), *(["--parallel", str(parallel)] if parallel else []), "--event-log", str(log)],
            cwd=self.program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def follow() -> None:
            with log.open(encoding="utf-8") as events:
                text = ""
                while True:
                    over = process.poll() is not None
                    if over and not up.ended.is_set():
                        up.end()
                    text += events.read()
                    *lines, text = text.split("\n")
                    for line in lines:
                        _note(up, json.loads(line))
                    if over:
                        return
                    time.sleep(0.01)

        threading.Thread(target=follow).start()
        return up

    def time_up(self) -> float:
        """Give the seconds of an `up` by the command, from start to end."""
        return _time(self._command(), self.program)

    def interrupt(self) -> None:
        """Press ^C, which a terminal sends to all of its foreground."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """End what is left, and wait for it. The plugin notices by itself, or when its waits end."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def count_pending(self) -> int:
        """Give how many operations the state holds as pending."""
        state = json.loads(self._call("stack", "export", "--stack", self._stack))
        return len(state["deployment"].get("pending_operations") or ())

    def plugin_pid(self) -> int | None:
        """Nobody tells."""
        return None


def _note(up: Up, event: dict[str, Any]) -> None:
    line = event.get("diagnosticEvent")
    if line and line.get("ephemeral"):
        up.heard(line.get("urn", ""), line["message"])
    for kind, over in (("resourcePreEvent", False), ("resOutputsEvent", True), ("resOpFailedEvent", True)):
        if kind in event:
            up.stepped(event[kind]["metadata"]["urn"], over=over)


def time_in_turns(stacks: Mapping[str, EngineStack], runs: int) -> dict[str, float]:
    """Return the median seconds of an `up` of each stack, over so many runs.

    In turns, and each in each place as often: what else the machine does hits all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in stacks}
    order = list(stacks)
    for _ in range(runs):
        for name in order:
            seconds[name].append(stacks[name].time_up())
        order = order[1:] + order[:1]
    return {name: statistics.median(each) for name, each in seconds.items()}


def find_engines() -> list[type[EngineStack]]:
    """Give the engines there are: LocalEngine, and the real one where `pulumi` is on PATH."""
    return [LocalStack, PulumiStack] if shutil.which("pulumi") else [LocalStack]
