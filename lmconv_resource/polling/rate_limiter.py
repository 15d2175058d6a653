"""The rate of one connection's calls: even by default, slower when AWS says so, faster again step by step.

AWS publishes no request rate for License Manager, so the rate is found by trying, as TCP finds its own: each throttled
call halves it, each successful one wins back a little.
"""

from __future__ import annotations

from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import RUNTIME, Cancellation, Runtime


class RateLimiter:
    """Hands out the moments at which calls may start. Safe to share between threads.

    Args:
        policy: how fast.
        runtime: clock, pauses, locks and jitter.
    """

    def __init__(
        self,
        policy: PollingPolicy = PollingPolicy(),  # noqa: B008 -- frozen
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._policy = policy
        self._runtime = runtime
        self._lock = runtime.lock()
        self._queue = runtime.lock()
        self._gap = policy.fastest_gap_seconds
        self._next = float("-inf")
        self._throttled_at = float("-inf")

    @property
    def gap_seconds(self) -> float:
        """The seconds now kept between the starts of two calls."""
        return self._gap

    def acquire(self, cancellation: Cancellation | None = None) -> None:
        """Block until the next call may start, or until `cancellation` is set."""
        # Only the head of the queue reads the clock. Moments handed out ahead would keep their old rate after a call
        # was throttled.
        with self._queue:
            while (pause := self._next - self._runtime.now()) > 0 and not (cancellation and cancellation.is_set):
                self._runtime.sleep(min(pause, self._policy.longest_sleep_seconds))
            with self._lock:
                self._next = self._runtime.now() + self._gap

    def on_success(self) -> None:
        """Note that a call was successful: win back a little of the rate."""
        with self._lock:
            self._gap = max(self._policy.fastest_gap_seconds, self._gap * self._policy.gap_recovery)

    def on_throttled(self) -> None:
        """Note that a call was throttled: halve the rate and pause for a random part of the new gap (full jitter)."""
        policy = self._policy
        with self._lock:
            now = self._runtime.now()
            # Calls that were already under way when the first was throttled say nothing new.
            if now - self._throttled_at >= self._gap:
                self._gap = min(policy.slowest_gap_seconds, max(policy.first_slow_gap_seconds, self._gap * 2))
                self._throttled_at = now
            self._next = max(self._next, now + self._gap + self._runtime.rng.uniform(0, self._gap))
