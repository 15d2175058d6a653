"""The display of the real `pulumi` command in a terminal of a given size, as a person sees it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte


class Terminal:
    """A command in a terminal that exists in memory only.

    Args:
        command: the command.
        folder: where it runs.
        environment: its environment.
        columns: the terminal's width.
        rows: the terminal's height.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int, rows: int = 90
    ) -> None:
        self._rows = rows
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, columns: int) -> None:
        """Give the terminal another width, as who pulls at its window does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self._rows, columns, 0, 0))
        self._screen.resize(self._rows, columns)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    def read_until(self, holds: Callable[[list[str]], bool], seconds: float = 60) -> list[str]:
        """Return the screen as soon as it is as wanted, or when the command has ended.

        Raises:
            TimeoutError: it was not so in time; with the screen.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self._stream.feed(os.read(self._master, 65536))
                except OSError:  # the command has ended
                    return self.lines
            if holds(self.lines):
                return self.lines
        raise TimeoutError("\n".join(line for line in self.lines if line))

    def close(self) -> None:
        """End the command, as ^C does, and for certain soon after."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.read_until(lambda _: self.process.poll() is not None, 10)
                self.process.wait(5)
            except (TimeoutError, subprocess.TimeoutExpired):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        os.close(self._master)
