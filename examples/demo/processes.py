"""Starts processes in such a way that none of them, nor what they start, outlives the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LOOK_SECONDS = 0.05
"""Between two looks at a process, and thus how late a ^C may be noticed."""

_GRACE_SECONDS = 8.0
"""For a process to end by itself after it was interrupted; Pulumi's engine takes up to 5 s."""


def run(command: Sequence[str], env: Mapping[str, str], folder: Path, asked_to_stop: Callable[[], bool]) -> int | None:
    """Run a command and give its exit status, None where it was stopped.

    It has no terminal to ask on, and is out of the terminal's reach: a ^C comes through `asked_to_stop`.
    """
    process = subprocess.Popen(  # noqa: S603 -- the demo's own commands
        command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while process.poll() is None:
            if asked_to_stop():
                return None
            time.sleep(_LOOK_SECONDS)
        return process.returncode
    finally:
        stop(process, _GRACE_SECONDS)


def stop(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End a process and everything it started, by an interrupt at first and by force after `grace_seconds`."""
    # Looked up before they lose their parent, as some have process groups of their own.
    family = _descendants(process.pid) if process.poll() is None else []
    if family and grace_seconds:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    # Without the process's own number from before, which may be another's by now.
    family = [*family[1:], *(_descendants(process.pid) if process.poll() is None else [])]
    for pid in family:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    # What is left of its group keeps the group's number from being another's.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _descendants(pid: int) -> list[int]:
    """Give a process and what it started, and what these started, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _find_processes():
        children.setdefault(parent, []).append(child)
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _find_processes() -> list[tuple[int, int]]:
    """Give every process with its parent. Small systems have no `ps`, and others no /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = status.read_text(errors="replace")
            found.append((int(status.parent.name), int(text.rpartition(")")[2].split()[1])))
    if found:
        return found
    try:
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)  # noqa: S607
    except OSError:
        return []
    return [(int(pid), int(parent)) for pid, parent in map(str.split, listing.stdout.splitlines())]
