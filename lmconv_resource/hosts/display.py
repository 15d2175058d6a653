"""Whether a person watches the display of the `pulumi` command that this process serves."""

from __future__ import annotations

import os
from pathlib import Path

_MOST_ANCESTORS = 8


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
    pid = str(os.getpid())
    for _ in range(_MOST_ANCESTORS):
        try:
            command = (proc / pid / "cmdline").read_bytes().split(b"\0")
            if Path(os.fsdecode(command[0])).name in ("pulumi", "pulumi.exe"):
                is_terminal = os.readlink(proc / pid / "fd" / "1").startswith(("/dev/pts/", "/dev/tty"))
                return is_terminal and b"--non-interactive" not in command
            pid = (proc / pid / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # no such table, or a process that is gone or somebody else's
            return False
    return False
