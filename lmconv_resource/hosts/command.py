"""The `pulumi` command that this process serves: which resources it replaces, and whether a person watches it.

Pulumi does not tell a plugin what its user runs. The system's table of processes does, which only Linux has in this
form; elsewhere nothing of this is known. Each function takes the table's path, for tests.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from contextlib import suppress
from pathlib import Path

_TABLE = Path("/proc")
_MAX_ANCESTORS = 8
_FLAGS = ("--replace", "--target-replace")


def _find_process(table: Path) -> Path | None:
    """Return the entry of the `pulumi` command among this process's ancestors."""
    process = table / str(os.getpid())
    with suppress(OSError):  # no such table, or a process that has ended or is another user's
        for _ in range(_MAX_ANCESTORS):
            if Path(_read_words(process)[0]).name in ("pulumi", "pulumi.exe"):
                return process
            process = table / (process / "stat").read_text().rpartition(")")[2].split()[1]
    return None


def _read_words(process: Path) -> list[str]:
    return [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]


def read_command(table: Path = _TABLE) -> list[str] | None:
    """Return the words of the command, None where they are not known.

    With `--replace` the engine creates the resource as one that the stack has no record of, and asks for no difference.
    """
    process = _find_process(table)
    with suppress(OSError):
        return _read_words(process) if process else None
    return None


def is_replaced_by(command: list[str], urn: str) -> bool:
    """Return whether a command has this resource replaced; its URNs may have `*` in them."""
    patterns = [word.partition("=")[2] for word in command if word.partition("=")[0] in _FLAGS]
    patterns += [after for word, after in itertools.pairwise(command) if word in _FLAGS]
    return any(fnmatch.fnmatchcase(urn, pattern) for pattern in patterns if pattern)


def is_interactive(table: Path = _TABLE) -> bool:
    """Return whether the command shows a display that moves; False where that is not known.

    It shows one where its output is a terminal, unless in CI or told otherwise
    (https://github.com/pulumi/pulumi/blob/master/sdk/go/common/util/cmdutil/term.go).
    """
    process = None if os.environ.get("CI") or os.environ.get("TF_BUILD") else _find_process(table)
    with suppress(OSError):
        if process and os.readlink(process / "fd" / "1").startswith(("/dev/pts/", "/dev/tty")):
            return "--non-interactive" not in _read_words(process)
    return False


def terminal_columns(table: Path = _TABLE) -> int | None:
    """Return the width of the terminal that the command writes to, None where it is not known."""
    process = _find_process(table)
    with suppress(OSError):  # the last for an output that is no terminal
        if process:
            terminal = os.open(process / "fd" / "1", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                return os.get_terminal_size(terminal).columns or None
            finally:
                os.close(terminal)
    return None
