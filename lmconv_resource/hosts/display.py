"""The display of the `pulumi` command that this process serves: whether a person watches it, and its width."""

from __future__ import annotations

import os
from pathlib import Path

from lmconv_resource.hosts.command import find_process


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
