"""Whether a person watches the display of the `pulumi` command that this process serves."""

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
