"""How everything that waits in a process is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable


class StopSignal:
    """Tells every wait of a process to end, once, with the reason. Safe to share between threads."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def set(self, reason: str) -> None:
        """Tell all listeners to stop; the first reason stays."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            listeners = list(self._listeners)
        self.event.set()
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called when the signal is set, at once if it is; gives what ends the subscription."""
        with self._lock:
            self._listeners.add(listener)
            already = self.reason is not None
        if already:
            listener()

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.discard(listener)

        return unsubscribe
