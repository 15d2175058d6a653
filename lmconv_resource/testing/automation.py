"""Pulumi's automation API, for tests: no command lasts longer than its timeout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pulumi import automation
from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error

_GRACE_SECONDS = 5.0
"""For Pulumi to end by itself after an interrupt."""

_LAST_LINES = 20


class CommandTimeoutError(Exception):
    """A command of Pulumi's took too long and was ended; the text has the last lines that it wrote."""


class TimedPulumiCommand(PulumiCommand):
    """The `pulumi` on PATH, each of whose commands is ended after so many seconds.

    Args:
        timeout: The most seconds that a command may take.
    """

    def __init__(self, timeout: float = 60) -> None:
        super().__init__()
        self._timeout = timeout

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Run a command.

        Raises:
            CommandTimeoutError: It took too long.
            pulumi.automation.CommandError: It failed.
        """
        process = subprocess.Popen(  # noqa: S603 -- Pulumi's own command
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # so that what it starts can be ended with it
        )
        out: list[str] = []
        err: list[str] = []
        both: list[str] = []
        readers = [
            _read(pipe, on_line, own, both)
            for pipe, on_line, own in ((process.stdout, on_output, out), (process.stderr, on_error, err))
            if pipe
        ]
        try:
            process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            last = "".join(f"\n  {line}" for line in both[-_LAST_LINES:])
            name = " ".join(args[:2] if args[0] == "stack" else args[:1])
            raise CommandTimeoutError(
                f"`pulumi {name}` took longer than {self._timeout:g} s and was ended. It wrote last:{last}"
            ) from None
        finally:
            _end(process)
            for reader in readers:
                reader.join(_GRACE_SECONDS)
        result = CommandResult(stdout="\n".join(out), stderr="\n".join(err), code=process.returncode)
        if result.code:
            raise create_command_error(result)
        return result


@contextmanager
def make_stack(
    program: str | os.PathLike[str], folder: Path, *, config: Mapping[str, str] | None = None, timeout: float = 60
) -> Iterator[automation.Stack]:
    """Make a stack of a program, whose state is in a folder; the program's folder is left as it was.

    Args:
        program: The folder of the program.
        folder: Where the state is.
        config: Configuration by key.
        timeout: The most seconds that each command may take.
    """
    environment = {
        "PULUMI_BACKEND_URL": folder.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,  # where the program's Pulumi.yaml names no virtual environment
    }
    name = f"test-{uuid.uuid4().hex[:8]}"
    options = automation.LocalWorkspaceOptions(env_vars=environment, pulumi_command=TimedPulumiCommand(timeout))
    try:
        stack = automation.create_stack(name, work_dir=str(program), opts=options)
        for key, value in (config or {}).items():
            stack.set_config(key, automation.ConfigValue(value))
        yield stack
    finally:
        Path(program, f"Pulumi.{name}.yaml").unlink(missing_ok=True)


def _read(pipe: IO[str], on_line: Callable[[str], Any] | None, own: list[str], both: list[str]) -> threading.Thread:
    def read() -> None:
        with pipe:
            for line in pipe:
                text = line.rstrip()
                own.append(text)
                both.append(text)
                if on_line:
                    on_line(text)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader


def _end(process: subprocess.Popen[str]) -> None:
    """End a command that still runs: by an interrupt at first, so that Pulumi ends its plugins, and then by force."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
