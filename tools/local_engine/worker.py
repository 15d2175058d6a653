"""A thread for work that may have to be left behind."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable


class Worker:
    """Runs a function in a thread of its own, in a copy of the caller's context.

    Nothing ends a thread that is stuck, so the process may end without this one.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="local-engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float | None) -> bool:
        """Return whether the function has ended within so many seconds (None: as long as it takes), or was left.

        Raises what the function has raised.
        """
        over = self._over.wait(seconds)
        if self._error is not None:
            raise self._error
        return over

    def leave(self) -> None:
        """Make `wait` return at once, whatever the function does."""
        self._over.set()

    def join(self, seconds: float) -> None:
        """Give the function so many seconds to end."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._context.run(self._function)
        except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
            self._error = error
        finally:
            self._over.set()
