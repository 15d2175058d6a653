"""The pace of calls: even, slower when AWS says so, faster again step by step."""

from __future__ import annotations

import heapq
import random
import threading
from collections.abc import Callable

import pytest

from lmconv_resource.polling.rate_limiter import FASTEST_GAP_SECONDS, SLOWEST_GAP_SECONDS, Pacer


class Clock:
    """A clock that only a sleep moves on; what was planned in between happens at its moment."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def plan(self, after: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._planned, (self.now + after, len(self._planned), act))

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self._planned and self._planned[0][0] <= end:
            self.now, _, act = heapq.heappop(self._planned)
            act()
        self.now = end


class Bucket:
    """A limit as AWS's are: `rate` tokens a second, up to `burst` of them, one a call."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self.clock, self.rate, self.burst = clock, rate, burst
        self.tokens, self.filled_at = burst, clock()

    def admit(self) -> bool:
        now = self.clock()
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- jitter, not cryptography


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    return Pacer(clock, clock.sleep, seeded(1))


def find_turns(pacer: Pacer, clock: Clock, count: int) -> list[float]:
    """Give the moments of the next turns, in seconds from now."""
    begin, turns = clock(), []
    for _ in range(count):
        pacer.wait_for_turn()
        turns.append(clock() - begin)
    return turns


def test_turns_are_even_by_default(pacer: Pacer, clock: Clock) -> None:
    """The first call starts at once and the others 0.05 s apart, as long as nothing is refused."""
    assert find_turns(pacer, clock, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_no_turns_are_saved_up(pacer: Pacer, clock: Clock) -> None:
    """A quiet minute gives nobody the right to a burst after it."""
    pacer.wait_for_turn()
    clock.sleep(60)
    assert find_turns(pacer, clock, 3) == pytest.approx([0, 0.05, 0.1])


def test_success_at_full_pace_changes_nothing(pacer: Pacer) -> None:
    """Calls that get through never make the gap shorter than the shortest."""
    for _ in range(100):
        pacer.succeeded()
    assert pacer.gap_seconds == FASTEST_GAP_SECONDS == 0.05


def test_a_refusal_halves_the_pace(pacer: Pacer, clock: Clock) -> None:
    """The first refusal opens a gap of a quarter second, each later one doubles it, up to ten seconds."""
    gaps = []
    for _ in range(8):
        pacer.throttled()
        gaps.append(pacer.gap_seconds)
        clock.sleep(60)
    assert gaps == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert SLOWEST_GAP_SECONDS == 10


@pytest.mark.parametrize("seed", range(5))
def test_a_refusal_is_followed_by_a_pause(clock: Clock, seed: int) -> None:
    """After a refusal nobody calls for the new gap and a random part of it, then calls go on a gap apart."""
    pacer = Pacer(clock, clock.sleep, seeded(seed))
    pacer.throttled()
    first, second, third = find_turns(pacer, clock, 3)
    assert 0.25 <= first <= 0.5
    assert (second - first, third - second) == pytest.approx((0.25, 0.25))


def test_pauses_differ_between_processes(clock: Clock) -> None:
    """The pause after a refusal is random, so that two processes don't come back together."""
    pauses = set()
    for seed in range(10):
        pacer = Pacer(clock, clock.sleep, seeded(seed))
        pacer.throttled()
        pauses.add(round(find_turns(pacer, clock, 1)[0], 6))
    assert len(pauses) == 10


def test_the_pace_recovers_step_by_step(pacer: Pacer, clock: Clock) -> None:
    """Each call that gets through makes the gap three per cent shorter; 23 of them undo a halving."""
    pacer.throttled()
    clock.sleep(60)
    pacer.throttled()
    gaps = [pacer.gap_seconds]
    for _ in range(100):
        pacer.succeeded()
        gaps.append(pacer.gap_seconds)
    assert gaps[1] / gaps[0] == pytest.approx(0.97)
    assert gaps[22] > gaps[0] / 2 > gaps[23]
    assert gaps[-1] == FASTEST_GAP_SECONDS


def test_refusals_at_once_count_once(pacer: Pacer, clock: Clock) -> None:
    """Calls that were under way together and are all refused halve the pace once; a later refusal counts again."""
    for _ in range(20):
        pacer.throttled()
        clock.sleep(0.01)
    assert pacer.gap_seconds == 0.25
    clock.sleep(0.25)
    pacer.throttled()
    assert pacer.gap_seconds == 0.5


def test_a_turn_given_out_late_has_the_new_pace(clock: Clock) -> None:
    """A refusal that comes while a caller waits for its turn makes it wait longer."""
    pacer = Pacer(clock, clock.sleep, seeded(1))
    begin = clock()
    pacer.wait_for_turn()
    clock.plan(0.02, pacer.throttled)
    pacer.wait_for_turn()
    assert clock() - begin >= 0.02 + 0.25


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_few_calls_are_wasted_against_a_limit(clock: Clock, seed: int, latency: float) -> None:
    """Against 2 calls a second with a burst of 5, 300 calls get through with at most a tenth of all refused."""
    pacer = Pacer(clock, clock.sleep, seeded(seed))
    bucket = Bucket(clock, rate=2, burst=5)
    begin, admitted, refused = clock(), 0, 0
    while admitted < 300:
        pacer.wait_for_turn()
        if bucket.admit():
            admitted += 1
            clock.plan(latency, pacer.succeeded)
        else:
            refused += 1
            clock.plan(latency, pacer.throttled)
    assert refused <= 0.1 * (admitted + refused)
    assert clock() - begin <= 2 * 300 / 2  # not bought with needless waiting: within twice what the limit allows


def test_threads_share_the_pace() -> None:
    """Turns that many threads ask for at once are given out one by one, each a gap after the one before."""
    clock = Clock()
    pacer = Pacer(clock, clock.sleep, seeded(1))
    turns: list[float] = []

    def call() -> None:
        for _ in range(10):
            pacer.wait_for_turn()
            turns.append(round(clock() - 1000, 6))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(turns) == 80
    assert clock() - 1000 == pytest.approx(79 * 0.05)
