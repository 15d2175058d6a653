"""The display of the `pulumi` command that this process serves: whether a person watches it, its width, one row."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lmconv_resource.hosts.command import find_process
from lmconv_resource.lifecycle.progress import Progress
from lmconv_resource.polling.runtime import Runtime


class StackRow:
    """Shows on the stack's row how the operations of this process go. Safe to share between threads.

    A single one is shown as on its own row, which has no room for that where Pulumi shows what an update changes; more
    than one by their numbers.

    Args:
        show: shows a line on the stack's row.
        runtime: clock and locks.
    """

    def __init__(self, show: Callable[[str], None], runtime: Runtime) -> None:
        self._show = show
        self._progress = Progress(0, show, moves=True, find_columns=find_columns, runtime=runtime)
        self._lock = runtime.lock()
        self._running: set[str] = set()
        self._count = 0

    def show(self, urn: str, message: str) -> None:
        """Show how the operation on a resource goes."""
        with self._lock:
            if urn not in self._running:
                self._running.add(urn)
                self._count += 1
                self._progress.add()
        if self._count == 1:
            self._show(message)
        else:
            self._progress.report()

    def end(self, urn: str | None, *, failed: bool) -> None:
        """Count the end of an operation, if it was shown."""
        with self._lock:
            if urn not in self._running:
                return
            self._running.discard(urn)
        self._progress.end(done=not failed, failed=failed)
        if self._count > 1:
            self._progress.report()


def is_interactive(proc: Path = Path("/proc")) -> bool:
    """Return whether the `pulumi` command shows a display that moves, where this can be told.

    Pulumi does not tell a plugin. It shows one where its output is a terminal, unless in CI or told otherwise
    (https://github.com/pulumi/pulumi/blob/master/sdk/go/common/util/cmdutil/term.go). What its output is shows in the
    system's table of processes, which only Linux has; elsewhere this is False.

    Args:
        proc: the table of processes.
    """
    if os.environ.get("CI") or os.environ.get("TF_BUILD"):
        return False
    process = find_process(proc)
    if process is None:
        return False
    try:
        is_terminal = os.readlink(process / "fd" / "1").startswith(("/dev/pts/", "/dev/tty"))
        return is_terminal and b"--non-interactive" not in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is somebody else's
        return False


def find_columns(proc: Path = Path("/proc")) -> int | None:
    """Return the width of the terminal that the `pulumi` command writes to; None where this can't be told.

    Args:
        proc: the table of processes.
    """
    process = find_process(proc)
    if process is None:
        return None
    try:
        terminal = os.open(process / "fd" / "1", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.get_terminal_size(terminal).columns or None
    except OSError:  # no terminal
        return None
    finally:
        os.close(terminal)
