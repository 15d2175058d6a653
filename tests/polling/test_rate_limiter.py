"""The rate of calls: even, slower when AWS says so, faster again step by step."""

import heapq
import random
import threading
from collections.abc import Callable

import pytest
from support.aws import Clock
from support.waiting import SOON

from lmconv_resource.polling.policy import PollingPolicy, RateLimiter
from lmconv_resource.polling.runtime import Cancellation, Runtime


class PlannedClock(Clock):
    """A clock that only a sleep moves on; what was planned in between happens at its moment."""

    def __init__(self) -> None:
        super().__init__()
        self._planned: list[tuple[float, int, Callable[[], None]]] = []

    def plan(self, after: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._planned, (self.now + after, len(self._planned), act))

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self._planned and self._planned[0][0] <= end:
            self.now, _, act = heapq.heappop(self._planned)
            act()
        self.now = end


def make_limiter(clock: PlannedClock, seed: int = 1) -> RateLimiter:
    rng = random.Random(seed)  # noqa: S311 -- jitter, not cryptography
    return RateLimiter(runtime=Runtime(now=clock, sleep=clock.sleep, rng=rng))


@pytest.fixture
def clock() -> PlannedClock:
    return PlannedClock()


@pytest.fixture
def limiter(clock: PlannedClock) -> RateLimiter:
    return make_limiter(clock)


def start_moments(limiter: RateLimiter, clock: PlannedClock, count: int) -> list[float]:
    """Return the moments at which the next calls may start, in seconds from now."""
    begin, starts = clock(), []
    for _ in range(count):
        limiter.acquire()
        starts.append(clock() - begin)
    return starts


def test_calls_are_even_and_none_are_saved_up(limiter: RateLimiter, clock: PlannedClock) -> None:
    """Calls start 0.05 s apart while nothing is refused, after a quiet minute too, however many get through."""
    assert start_moments(limiter, clock, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    clock.sleep(60)
    for _ in range(100):
        limiter.on_success()
    assert start_moments(limiter, clock, 3) == pytest.approx([0, 0.05, 0.1])
    assert limiter.gap_seconds == PollingPolicy().fastest_gap_seconds == 0.05


def test_a_refusal_halves_the_rate_and_refusals_at_once_count_once(limiter: RateLimiter, clock: PlannedClock) -> None:
    """The first opens a gap of a quarter second, each later one doubles it, up to ten seconds."""
    gaps = []
    for _ in range(8):
        for _ in range(20):  # calls that were under way together
            limiter.on_throttled()
            clock.sleep(0.01)
        gaps.append(limiter.gap_seconds)
        clock.sleep(60)
    assert gaps == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert PollingPolicy().slowest_gap_seconds == 10


def test_a_refusal_is_followed_by_a_pause(clock: PlannedClock) -> None:
    """It is the new gap and a part of it that is random, so that two processes don't come back together."""
    pauses = set()
    for seed in range(10):
        limiter = make_limiter(clock, seed)
        limiter.on_throttled()
        first, second, third = start_moments(limiter, clock, 3)
        assert 0.25 <= first <= 0.5
        assert (second - first, third - second) == pytest.approx((0.25, 0.25))
        pauses.add(round(first, 6))
    assert len(pauses) == 10


def test_the_rate_recovers_step_by_step(limiter: RateLimiter, clock: PlannedClock) -> None:
    """Each call that gets through makes the gap three per cent shorter; 23 of them undo a halving."""
    limiter.on_throttled()
    clock.sleep(60)
    limiter.on_throttled()
    gaps = [limiter.gap_seconds]
    for _ in range(100):
        limiter.on_success()
        gaps.append(limiter.gap_seconds)
    assert gaps[1] / gaps[0] == pytest.approx(0.97)
    assert gaps[22] > gaps[0] / 2 > gaps[23]
    assert gaps[-1] == PollingPolicy().fastest_gap_seconds


def test_a_call_that_waits_has_the_new_rate(limiter: RateLimiter, clock: PlannedClock) -> None:
    begin = clock()
    limiter.acquire()
    clock.plan(0.02, limiter.on_throttled)
    limiter.acquire()
    assert clock() - begin >= 0.02 + 0.25


def test_threads_share_the_rate(limiter: RateLimiter, clock: PlannedClock) -> None:
    threads = [threading.Thread(target=start_moments, args=(limiter, clock, 10)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert clock.now == pytest.approx(79 * 0.05)


def test_a_caller_that_is_cancelled_starts_within_half_a_second(limiter: RateLimiter, clock: PlannedClock) -> None:
    for _ in range(8):
        limiter.on_throttled()
        clock.sleep(60)
    limiter.on_throttled()
    begin, cancellation = clock(), Cancellation()
    clock.plan(1.0, lambda: cancellation.set("the update was cancelled"))
    limiter.acquire(cancellation)
    assert 1.0 <= clock() - begin <= 1.5
