"""Finds the `pulumi` command for the demo, or installs it into a folder of the project."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from processes import run_quietly

MINIMUM_VERSION = (3, 260)
"""The oldest version that the demo uses, the floor of the SDK in pyproject.toml. pulumi.Stash needs a recent one."""

PATIENCE_SECONDS = 15.0
"""For the installation to end, or at least to be downloading."""

_STALLED_SECONDS = 3.0
"""Without a new byte, a download that outlasts the patience has stalled."""

_LONGEST_SECONDS = 120.0
"""However well it goes: the command is some 100 MB, which a slow line takes minutes for."""

_INSTALL = "import sys; from pulumi.automation import PulumiCommand; PulumiCommand.install(root=sys.argv[1])"


@dataclass(frozen=True)
class Found:
    """What the search for the command came to."""

    path: Path | None
    """The command, or None where there is none that works."""
    note: str
    """Where it is from, or why there is none: part of a sentence."""


def find(env: Mapping[str, str], folder: Path, asked_to_stop: Callable[[], bool] = lambda: False) -> Found:
    """Give the `pulumi` on PATH; else the one in `folder`, installed there by Pulumi's own installer.

    Args:
        env: the environment to look in and to install with. Its TMPDIR takes the installer's files.
        folder: where the command is installed, in a `bin` of its own.
        asked_to_stop: is asked all the time; the search then ends early, with nothing.
    """
    on_path = shutil.which("pulumi", path=env.get("PATH", os.defpath))
    missing = "pulumi is not on PATH"
    if on_path:
        version, problem = _check(Path(on_path).absolute(), env, asked_to_stop)
        if version:
            return Found(Path(on_path).absolute(), f"pulumi {version} of PATH")
        missing = f"the pulumi command on PATH {problem}"
    installed = folder / "bin" / "pulumi"
    version, _ = _check(installed, env, asked_to_stop)
    failure = "" if version else _install(env, folder, asked_to_stop)
    if not version and not failure:
        version, problem = _check(installed, env, asked_to_stop)
        failure = f"the one downloaded {problem}" if problem else ""
    if failure:
        shutil.rmtree(folder, ignore_errors=True)  # half an installation is of no use to the next demo
        return Found(None, f"{missing} and can't be installed ({failure})")
    return Found(installed, f"pulumi {version}, installed in {os.path.relpath(folder)}")


def _check(command: Path, env: Mapping[str, str], asked_to_stop: Callable[[], bool]) -> tuple[str, str]:
    """Give the version of a command that can be used, or what is wrong with it."""
    try:
        status, output = run_quietly([str(command), "version"], env, PATIENCE_SECONDS, asked_to_stop)
    except OSError as error:
        return "", f"does not start: {error.strerror}"
    if status is None:
        return "", f"did not tell its version within {PATIENCE_SECONDS:.0f} s"
    if status:
        return "", f"does not work: `pulumi version` ended with status {status}"
    match = re.search(r"v?((\d+)\.(\d+)\.\d+\S*)", output)
    if not match:
        return "", "does not tell its version"
    if (int(match[2]), int(match[3])) < MINIMUM_VERSION:
        return "", "is {}, older than {}.{}".format(match[1], *MINIMUM_VERSION)
    return match[1], ""


def _install(env: Mapping[str, str], folder: Path, asked_to_stop: Callable[[], bool]) -> str:
    """Run Pulumi's installer; give why it failed, an empty text where it did not."""
    with tempfile.TemporaryDirectory(dir=env.get("TMPDIR")) as files:
        progress = _Progress([Path(files), folder])
        status, output = run_quietly(
            [sys.executable, "-c", _INSTALL, str(folder)],
            {**env, "TMPDIR": files, "HOME": files},
            _LONGEST_SECONDS,
            give_up=lambda: asked_to_stop() or progress.is_stuck(),
        )
    if status == 0:
        return ""
    if status is None:
        return f"nothing came within {progress.seconds():.0f} s"
    last = (output.strip().splitlines() or [f"status {status}"])[-1]
    return re.sub(r"^[\w.]+: |<urlopen error |>$", "", last)[:200]


class _Progress:
    """Watches the folders that a download grows in."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._began = self._grew = time.monotonic()
        self._size = 0

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def is_stuck(self) -> bool:
        """Tell whether the patience is over and nothing arrives."""
        size = sum(_size(path) for folder in self._folders for path in folder.rglob("*"))
        now = time.monotonic()
        if size != self._size:
            self._size, self._grew = size, now
        return self.seconds() > PATIENCE_SECONDS and now - self._grew > _STALLED_SECONDS


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # the installer has just removed it
        return 0
