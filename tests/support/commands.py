"""`up` as a process of its own, on a stack that outlives it: the local engine's command, and Pulumi's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.stacks import RealStack, write_program


class LocalUp:
    """`python -m lmconv_resource.testing up`."""

    def __init__(self, folder: Path, program: str, config: dict[str, str]) -> None:
        self.folder = write_program(folder / "program", program)
        self._settings = [word for key, value in config.items() for word in ("--config", f"{key}={value}")]
        self._state = folder / "state.json"

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lmconv_resource.testing", "up", str(self.folder)]
        return _start([*command, "--state", str(self._state), *self._settings], self.folder, {})

    def recover(self) -> None:
        """Do what a user does after a killed engine: nothing here."""


class RealUp:
    """`pulumi up`."""

    def __init__(self, folder: Path, program: str, config: dict[str, str]) -> None:
        self._stack = RealStack(folder, program)
        self.folder = self._stack.folder
        self._stack.config |= config
        self._stack.configure()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", self._stack.stack.name]
        return _start([*command, *arguments], self.folder, self._stack.environment)

    def recover(self) -> None:
        """Do what a user does after a killed engine: take its lock away."""
        self._stack.stack.cancel()


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
