"""The clock that waits go by: it can't be set, and it counts the time that the machine sleeps."""

from __future__ import annotations

import sys
import time

# Python's own time.monotonic() stands still while Linux or macOS sleeps; on Windows it does not. On macOS this one goes
# on, unlike Linux's of the same name.
_CLOCK: int | None = getattr(
    time, {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "there is none"), None
)


def now() -> float:
    """Return the present in seconds from a fixed point, time asleep included."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
