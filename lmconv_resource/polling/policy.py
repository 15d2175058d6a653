"""Every number of the polling: how often, how fast, how patient; the promises that follow from them, and the pace.

A wait polls at once, then at intervals that grow with the time already waited, so that a task of ten seconds is noticed
within seconds and one of ten hours costs two polls a minute. The end of a task is noticed within a tenth of the time
waited, or 3 s if that is more, and never later than 33 s, network included (docs/waiting.md has the picture).

AWS publishes no request rate for License Manager, so the rate is found by trying, as TCP finds its own: each throttled
call halves it, each successful one wins back a little.
"""

import random
from typing import NamedTuple

from lmconv_resource.polling.runtime import RUNTIME, Cancellation, Runtime, doubled

DEFAULT_DEADLINE_SECONDS = 12 * 3600.0
"""AWS publishes no duration of conversions; `custom_timeouts` overrides this one."""


class PollingPolicy(NamedTuple):
    """The numbers, in seconds unless their names say otherwise. One value of it is shared by all parts of a poller."""

    # -- how often ---------------------------------------------------------------------------------------------------

    lateness_fraction: float = 0.1
    """Of the time waited: how late the end may be noticed."""

    least_lateness_seconds: float = 3.0
    """How late the end may be noticed in the first half minute, in which a tenth would be less."""

    crowd: int = 20
    """With more waits than these, promptness in the first minute gives way to fewer calls."""

    crowd_lateness_seconds: float = 5.0
    """The least lateness with so many: otherwise each new task would have the list of all others requested again."""

    shortest_interval_seconds: float = 2.0
    longest_interval_seconds: float = 30.0

    answer_seconds: float = 0.2
    """What one poll is taken to last. An end just missed by one poll is known when the next is answered: two polls."""

    jitter_fraction: float = 0.05
    """Part of the interval that a random part is taken off from, so that waits that began together drift apart."""

    # -- together or one by one --------------------------------------------------------------------------------------

    few_waits: int = 3
    """Up to here each task is polled by itself, so that no right to list is needed."""

    batch_ahead: float = 0.3
    """Part of its interval by which a wait may be polled early, to share a list with others. Found by trying: less
    makes more lists necessary, more makes lists of what could have waited (a new task each minute)."""

    ended_pages_share: float = 0.25
    """Pages of the list of ended tasks that are asked for, at most, for each task that may be among them."""

    poll_threads: int = 4
    """Polls under way at the same time, for one connection. The rate limiter spreads their calls."""

    # -- how patient -------------------------------------------------------------------------------------------------

    fault_budget_seconds: float = 300.0
    """For how long faults in a row are carried before a wait ends in an error."""

    first_answer_seconds: float = 30.0
    """For how long a wait that AWS has never answered carries faults: a wrong region or no network is no hiccup."""

    hidden_seconds: float = 30.0
    """For how long a task that was started here, or seen before, may be unknown: AWS may hide one for a while."""

    given_id_seconds: float = 8.0
    """The same of an id that a program gives: as a rule a wrong one. The error is there within 10 s."""

    last_poll_seconds: float = 1.0
    """How long before the deadline the last poll begins: what a poll is taken to last at most, as a rule."""

    request_grace_seconds: float = 25.0
    """How long a poll that is under way at the deadline may go on: connecting and reading end after 10 s each."""

    report_seconds: float = 30.0
    """How long a wait stays silent while nothing changes: CI services end jobs that print nothing for ten minutes."""

    long_seconds: float = 900.0
    """After how long a wait says that most conversions take less."""

    oversleep_seconds: float = 5.0
    """A schedule that wakes up so much too late has been asleep with its machine: that time counts for no fault."""

    # -- how fast ----------------------------------------------------------------------------------------------------

    fastest_gap_seconds: float = 0.05
    """Between the starts of two calls while nothing was throttled: 20 calls a second, so that polls are spread."""

    slowest_gap_seconds: float = 10.0

    first_slow_gap_seconds: float = 0.25
    """The gap after the first throttled call."""

    gap_recovery: float = 0.97
    """What each successful call makes of the gap. 23 of them undo a doubling: under 5 % of all calls are throttled."""

    longest_sleep_seconds: float = 0.5
    """How long a caller that was cancelled may still sleep."""

    def interval(self, waited_seconds: float, *, is_crowded: bool = False) -> float:
        """Return the longest pause, in seconds, before the next poll, for a wait that has lasted `waited_seconds`."""
        lateness = self.crowd_lateness_seconds if is_crowded else self.least_lateness_seconds
        first = lateness - 2 * self.answer_seconds
        # What the last poll saw is as old as it lasted; an end right after it may be a tenth of its own time late.
        fraction = self.lateness_fraction * (waited_seconds - self.answer_seconds) - 2 * self.answer_seconds
        return min(self.longest_interval_seconds, max(first, fraction))

    def jittered(self, interval_seconds: float, rng: random.Random) -> float:
        """Return the interval less a random part of it, so that no promise on lateness is broken."""
        least = min(self.shortest_interval_seconds, interval_seconds)
        return max(least, interval_seconds * (1 - self.jitter_fraction * rng.random()))

    def fault_interval(self, faults_in_a_row: int, rng: random.Random) -> float:
        """Return the pause in seconds after a fault: exponential with full jitter, from 1 s to the longest interval."""
        return 0.5 + rng.random() * doubled(1.0, self.longest_interval_seconds, faults_in_a_row)


class RateLimiter:
    """Hands out the moments at which calls may start. Safe to share between threads."""

    def __init__(self, policy: PollingPolicy = PollingPolicy(), runtime: Runtime = RUNTIME) -> None:  # noqa: B008
        self._policy = policy
        self._runtime = runtime
        self._lock = runtime.lock()
        self._queue = runtime.lock()
        self.gap_seconds = policy.fastest_gap_seconds
        """Now kept between the starts of two calls."""
        self._next = float("-inf")
        self._throttled_at = float("-inf")

    def acquire(self, cancellation: Cancellation | None = None) -> None:
        """Block until the next call may start, or until `cancellation` is set."""
        # Only the head of the queue reads the clock. Moments handed out ahead would keep their old rate after a call
        # was throttled.
        with self._queue:
            while (pause := self._next - self._runtime.now()) > 0 and not (cancellation and cancellation.is_set):
                self._runtime.sleep(min(pause, self._policy.longest_sleep_seconds))
            with self._lock:
                self._next = self._runtime.now() + self.gap_seconds

    def on_success(self) -> None:
        """Note that a call was successful: win back a little of the rate."""
        with self._lock:
            self.gap_seconds = max(self._policy.fastest_gap_seconds, self.gap_seconds * self._policy.gap_recovery)

    def on_throttled(self) -> None:
        """Note that a call was throttled: halve the rate and pause for a random part of the new gap (full jitter)."""
        policy = self._policy
        with self._lock:
            now = self._runtime.now()
            # Calls that were already under way when the first was throttled say nothing new.
            if now - self._throttled_at >= self.gap_seconds:
                halved_rate = max(policy.first_slow_gap_seconds, self.gap_seconds * 2)
                self.gap_seconds = min(policy.slowest_gap_seconds, halved_rate)
                self._throttled_at = now
            self._next = max(self._next, now + self.gap_seconds + self._runtime.rng.uniform(0, self.gap_seconds))
