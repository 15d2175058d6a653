"""The `pulumi` command that this process serves: which resources its user has it replace."""

from __future__ import annotations

import fnmatch
import itertools
import os
from pathlib import Path

_MOST_ANCESTORS = 8
_FLAGS = ("--replace", "--target-replace")


def find_process(proc: Path = Path("/proc")) -> Path | None:
    """Return the entry of the `pulumi` command among this process's ancestors, None where it can't be told.

    Pulumi does not tell a plugin what its user runs. The system's table of processes does, which only Linux has in this
    form.

    Args:
        proc: the table of processes.
    """
    process = proc / str(os.getpid())
    for _ in range(_MOST_ANCESTORS):
        try:
            if Path(_read_words(process)[0]).name in ("pulumi", "pulumi.exe"):
                return process
            process = proc / (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # no such table, or a process that is gone or somebody else's
            return None
    return None


def _read_words(process: Path) -> list[str]:
    return [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]


def find_command(proc: Path = Path("/proc")) -> list[str] | None:
    """Return the words of the `pulumi` command that this process serves, None where they can't be told.

    With `--replace` the engine creates the resource as one that the stack has no record of, and asks for no difference.

    Args:
        proc: the table of processes.
    """
    process = find_process(proc)
    try:
        return None if process is None else _read_words(process)
    except OSError:  # it has ended meanwhile
        return None


def is_replaced_by(command: list[str], urn: str) -> bool:
    """Return whether a command has this resource replaced; its URNs may have `*` in them."""
    patterns = [word.partition("=")[2] for word in command if word.partition("=")[0] in _FLAGS]
    patterns += [after for word, after in itertools.pairwise(command) if word in _FLAGS]
    return any(fnmatch.fnmatchcase(urn, pattern) for pattern in patterns if pattern)
