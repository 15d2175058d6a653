"""Whether a person watches: the `pulumi` command's own output is a terminal, as the table of processes shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmconv_resource.hosts.display import StackRow, is_interactive
from lmconv_resource.polling.runtime import Runtime


@pytest.mark.parametrize(
    ("output", "flags", "expected"),
    [("/dev/pts/3", "", True), ("pipe:[1]", "", False), ("/dev/pts/3", "--non-interactive", False)],
)
def test_a_terminal_is_watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, flags: str, *, expected: bool
) -> None:
    """A terminal is, a pipe and a command told otherwise are not; nor is anything in CI or without such a table."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("TF_BUILD", raising=False)
    own, parent = tmp_path / str(os.getpid()), tmp_path / "7"
    (parent / "fd").mkdir(parents=True)
    (parent / "fd" / "1").symlink_to(output)
    (parent / "cmdline").write_bytes(b"\0".join([b"/usr/bin/pulumi", b"up", flags.encode(), b""]))
    own.mkdir()
    (own / "cmdline").write_bytes(b"python\0")
    (own / "stat").write_text(f"{os.getpid()} (python (a)) S 7 1")

    assert is_interactive(tmp_path) is expected
    assert not is_interactive(tmp_path / "none")
    monkeypatch.setenv("CI", "true")
    assert not is_interactive(tmp_path)


def test_the_stack_row_shows_one_operation_as_it_is_and_more_by_their_number() -> None:
    """What an operation shows is shown of a single one; with a second one they are counted, once a second at most."""
    lines: list[str] = []
    now = 0.0
    row = StackRow(lines.append, Runtime(now=lambda: now))
    row.show("a", "5s IN_PROGRESS")
    row.end("unknown", failed=True)
    row.show("b", "0s IN_PROGRESS")
    row.show("b", "1s IN_PROGRESS")
    now = 2.0
    row.end("a", failed=True)
    assert lines == ["5s IN_PROGRESS", "0 of 2 done, 2 running, 0:00:00", "0 of 2 done, 1 failed, 1 running, 0:00:02"]
