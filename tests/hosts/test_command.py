"""What the `pulumi` command says of a replacement, read from the table of processes."""

import os
from pathlib import Path

import pytest

from lmconv_resource.hosts.engine import is_interactive, is_replaced_by_command

URN = "urn:pulumi:dev::fleet::pulumi-python:lmconv:LicenseConversion::web-1"


def write(proc: Path, pid: int, parent: int, *words: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(word.encode() for word in (*words, "")))
    (proc / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 1 1")


def test_the_command_is_an_ancestor(tmp_path: Path) -> None:
    """Between the plugin and the command there are other processes; elsewhere than on Linux it can't be told."""
    write(tmp_path, os.getpid(), 7, "python", "-m", "pulumi.dynamic")
    write(tmp_path, 7, 6, "/opt/bin/pulumi-resource-pulumi-python")
    write(tmp_path, 6, 1, "/opt/bin/pulumi", "up", "--replace", URN)
    assert is_replaced_by_command(URN, tmp_path)
    assert is_replaced_by_command(f"{URN}0", tmp_path) is False
    assert is_replaced_by_command(URN, tmp_path / "none") is None


@pytest.mark.parametrize(
    ("words", "is_replaced"),
    [
        (["--replace", URN], True),
        ([f"--replace={URN}"], True),
        (["--target-replace", URN], True),
        (["--replace", "**LicenseConversion::web-*"], True),
        (["--replace", "**LicenseConversion::db-*"], False),
        (["--target", URN], False),
        ([], False),
    ],
)
def test_each_form_of_the_flag(tmp_path: Path, words: list[str], is_replaced: bool) -> None:
    """The flag takes a URN as its value or as the next word, with wildcards."""
    write(tmp_path, os.getpid(), 1, "pulumi", "up", *words, "--yes")
    assert is_replaced_by_command(URN, tmp_path) is is_replaced


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
    write(tmp_path, os.getpid(), 7, "python")
    write(tmp_path, 7, 1, "/usr/bin/pulumi", "up", flags)
    (tmp_path / "7" / "fd").mkdir()
    (tmp_path / "7" / "fd" / "1").symlink_to(output)
    assert is_interactive(tmp_path) is expected
    assert not is_interactive(tmp_path / "none")
    monkeypatch.setenv("CI", "true")
    assert not is_interactive(tmp_path)
