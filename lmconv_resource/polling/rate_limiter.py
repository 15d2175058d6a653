"""The pace of one connection's calls: even by default, slower when AWS says so, faster again step by step.

AWS publishes no request rate for License Manager, so the pace is found by trying, as TCP finds its own: each refusal
halves it, each call that gets through wins back a little.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FASTEST_GAP_SECONDS = 0.05
"""Between the starts of two calls while nothing was refused: 20 calls a second, so that looks are spread."""

SLOWEST_GAP_SECONDS = 10.0

_FIRST_SLOW_GAP_SECONDS = 0.25
_LONGEST_SLEEP_SECONDS = 0.5
"""How long a caller that was told to stop may still sleep."""

_RECOVERY = 0.97
"""What each call that gets through makes of the gap. 23 such calls undo one halving: under 5 % of all calls are
refused."""


class Pacer:
    """Hands out the moments at which calls may start. Safe to share between threads.

    Args:
        clock: gives the present, in seconds, from any fixed point.
        sleep: waits that many seconds.
        rng: the source of the jitter.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 -- jitter, not cryptography
        self._lock = threading.Lock()
        self._queue = threading.Lock()
        self._gap = FASTEST_GAP_SECONDS
        self._next = float("-inf")
        self._refused_at = float("-inf")

    @property
    def gap_seconds(self) -> float:
        """The seconds now kept between the starts of two calls."""
        return self._gap

    def wait_for_turn(self, stopped: threading.Event | None = None) -> None:
        """Block until the next call may start, or until `stopped` is set."""
        # Only the head of the queue looks at the clock. Turns given out ahead would keep their old pace after a
        # refusal.
        with self._queue:
            while (pause := self._next - self._clock()) > 0 and not (stopped and stopped.is_set()):
                self._sleep(min(pause, _LONGEST_SLEEP_SECONDS))
            with self._lock:
                self._next = self._clock() + self._gap

    def succeeded(self) -> None:
        """A call got through: win back a little of the pace."""
        with self._lock:
            self._gap = max(FASTEST_GAP_SECONDS, self._gap * _RECOVERY)

    def throttled(self) -> None:
        """A call was refused for its rate: halve the pace and pause for a random part of the new gap (full jitter)."""
        with self._lock:
            now = self._clock()
            # Calls that were already under way when the first was refused say nothing new.
            if now - self._refused_at >= self._gap:
                self._gap = min(SLOWEST_GAP_SECONDS, max(_FIRST_SLOW_GAP_SECONDS, self._gap * 2))
                self._refused_at = now
            self._next = max(self._next, now + self._gap + self._rng.uniform(0, self._gap))
