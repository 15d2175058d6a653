"""An operation as a process of its own, on a stack that outlives it: the local engine's, and Pulumi's command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from support.stacks import RealStack, write_program

ROOT = Path(__file__).parents[2]


_LOCAL = f"""
import json, signal, sys, threading
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tools")!r}]
from local_engine import LocalEngine, UpdateFailedError
_, operation, folder, config, state_file = sys.argv
with LocalEngine(folder, config=json.loads(config), state_file=state_file, timeout=None) as engine:
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=engine.cancel).start())
    try:
        print(*(each.text for each in getattr(engine, operation)().messages if not each.ephemeral), sep="\\n")
    except UpdateFailedError as error:
        sys.exit("\\n".join(each.urn + "\\nerror: " + each.text for each in error.errors))
"""


class Command(Protocol):
    """`up`, or another operation, as a process of its own, on a stack that outlives it."""

    folder: Path

    def start(self, operation: str = "up") -> subprocess.Popen[str]: ...
    def recover(self) -> None:
        """Do what a user does after a killed engine."""

    def records(self) -> dict[str, Any]:
        """Return the outputs in the state, by the resource's name; fails where the state is no JSON."""

    def pending(self) -> list[Any]:
        """Return the operations that the state has as begun and not ended."""

    def clear_pending(self) -> None:
        """Do what Pulumi tells its users to do about these: a refresh that forgets creates nobody knows the end of."""


class LocalUp:
    """LocalEngine, in a process of its own."""

    def __init__(self, folder: Path, program: str, config: dict[str, str]) -> None:
        self.folder = write_program(folder / "program", program)
        self._config = config
        self._state = folder / "state.json"

    def start(self, operation: str = "up") -> subprocess.Popen[str]:
        return start_local(operation, self.folder, self._config, self._state)

    def recover(self) -> None:
        """Nothing is to be done here."""

    def records(self) -> dict[str, Any]:
        return _to_records(json.loads(self._state.read_text())["resources"]) if self._state.exists() else {}

    def pending(self) -> list[Any]:
        return []  # LocalEngine notes none

    def clear_pending(self) -> None:
        return None


def start_local(operation: str, folder: Path, config: dict[str, str], state_file: Path) -> subprocess.Popen[str]:
    """Begin an operation on LocalEngine in a process of its own; SIGINT cancels it; it writes its errors or lines."""
    command = [sys.executable, "-c", _LOCAL, operation, str(folder), json.dumps(config), str(state_file)]
    return _start(command, folder, {})


class RealUp:
    """`pulumi`."""

    def __init__(self, folder: Path, program: str, config: dict[str, str]) -> None:
        self._stack = RealStack(folder, program)
        self.folder = self._stack.folder
        self._stack.config |= config
        self._stack.configure()

    def start(self, operation: str = "up", *arguments: str) -> subprocess.Popen[str]:
        command = ["pulumi", operation, *arguments, "--yes", "--skip-preview", "--non-interactive"]
        return _start([*command, "--stack", self._stack.stack.name], self.folder, self._stack.environment)

    def urn(self, name: str) -> str:
        """Return the URN of a resource in the state."""
        urn: str = self._stack.resources()[name]["urn"]
        return urn

    def recover(self) -> None:
        """Take the killed engine's lock away."""
        self._stack.stack.cancel()

    def records(self) -> dict[str, Any]:
        return _to_records((self._stack.stack.export_stack().deployment or {}).get("resources", []))

    def pending(self) -> list[Any]:
        return (self._stack.stack.export_stack().deployment or {}).get("pending_operations") or []

    def clear_pending(self) -> None:
        self._stack.stack.refresh(clear_pending_creates=True)


@contextmanager
def serve_commands(
    kind: str, folder: Path, program: str
) -> Iterator[Callable[[dict[str, str]], tuple[Command, subprocess.Popen[str]]]]:
    """Give what begins an `up` with a configuration; whatever it leaves running is ended afterwards."""
    begun: list[tuple[Command, subprocess.Popen[str]]] = []

    def start(config: dict[str, str]) -> tuple[Command, subprocess.Popen[str]]:
        command: Command = (LocalUp if kind == "local" else RealUp)(folder, program, config)
        begun.append((command, command.start()))
        return begun[-1]

    yield start
    for command, process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
        for pid in find_plugins(command.folder):
            os.kill(pid, signal.SIGKILL)


def finish(command: Command) -> None:
    """Run `up` to its end, which must be a good one."""
    command.recover()
    process = command.start()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _to_records(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        each["urn"].rpartition("::")[2]: each["outputs"] for each in resources if "LicenseConversion" in each["type"]
    }


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
