"""An operation as a process of its own, on a stack that outlives it: the local engine's, and Pulumi's command."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.stacks import Stack, make_stack


@contextmanager
def serve_commands(
    engine: str, folder: Path, program: str
) -> Iterator[Callable[[dict[str, str]], tuple[Stack, subprocess.Popen[str]]]]:
    """Give what begins an `up` with a configuration; whatever it leaves running is ended afterwards."""
    begun: list[tuple[Stack, subprocess.Popen[str]]] = []

    def start(config: dict[str, str]) -> tuple[Stack, subprocess.Popen[str]]:
        stack = make_stack(engine, folder, program)
        stack.config |= config
        begun.append((stack, stack.start()))
        return begun[-1]

    yield start
    for stack, process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
        for pid in find_plugins(stack.folder):
            os.kill(pid, signal.SIGKILL)


def finish(stack: Stack) -> None:
    stack.recover()
    process = stack.start()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


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
