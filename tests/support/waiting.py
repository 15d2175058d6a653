"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

SOON = 30.0
"""Seconds that a moment may take on a busy machine; what a test tells it from takes a minute or more."""


def wait_until(holds: Callable[[], object], what: str = "what is waited for", seconds: float = SOON) -> None:
    """Return as soon as it holds; fail where it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
