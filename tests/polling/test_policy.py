"""The promises of the policy: early at first, cheap later, the end never noticed late."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmconv_resource.polling.policy import PollingPolicy

POLICY = PollingPolicy()
LATENCY = 0.2
HOUR = 3600.0

SEEDS = st.integers(0, 2**32)
WAITED = st.floats(0, 1e7)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- jitter, not cryptography


def simulate(until: float, rng: random.Random) -> list[tuple[float, float]]:
    """Return the polls of a wait up to `until`: when each begins, and when its answer is there."""
    polls: list[tuple[float, float]] = []
    begin = 0.0
    while True:
        answered = begin + LATENCY
        polls.append((begin, answered))
        if begin >= until:
            return polls
        begin = answered + POLICY.jittered(POLICY.interval(answered), rng)


@given(WAITED, WAITED, SEEDS)
def test_a_pause_is_within_its_bounds(waited: float, longer: float, seed: int) -> None:
    """From 2 s to 30 s, and never shorter for a longer wait; jitter takes off a twentieth at most and adds nothing."""
    interval = POLICY.interval(waited)
    pause = POLICY.jittered(interval, seeded(seed))
    assert POLICY.shortest_interval_seconds == 2 <= pause <= 30 == POLICY.longest_interval_seconds
    assert interval * 0.95 <= pause <= interval <= POLICY.interval(max(waited, longer))


@pytest.mark.parametrize(
    ("waited", "interval"), [(0, 2.6), (30, 2.6), (60.2, 5.6), (200.2, 19.6), (300.2, 29.6), (304.2, 30), (36000, 30)]
)
def test_the_interval_follows_the_time_waited(waited: float, interval: float) -> None:
    """Short intervals at first, then a tenth of the time waited less two polls, then half a minute."""
    assert POLICY.interval(waited) == pytest.approx(interval)


@given(SEEDS)
def test_an_end_is_noticed_in_time_and_few_polls_are_made(seed: int) -> None:
    """Even right after a poll has begun an end is known within 10 % or 3 s, and within 33 s at the most.

    Over two hours a wait makes at most 0.6 of the 480 calls of a loop that polls each 15 s.
    """
    polls = simulate(10 * HOUR, seeded(seed))
    for (begin, _), (_, known) in itertools.pairwise(polls):
        assert known - begin <= min(33.0, max(3.0, 0.1 * begin)) + 1e-6
    assert len([begin for begin, _ in polls if begin <= 2 * HOUR]) <= 0.6 * 480


@given(WAITED, st.floats(1, 300))
def test_a_fixed_interval_is_constant(waited: float, fixed_seconds: float) -> None:
    assert POLICY.interval(waited, fixed_seconds) == fixed_seconds


@given(st.integers(1, 10_000), SEEDS)
def test_a_pause_after_a_fault_is_within_its_bounds(faults: int, seed: int) -> None:
    assert 0.5 <= POLICY.fault_interval(faults, seeded(seed)) <= 30.5


@pytest.mark.parametrize(("faults", "most"), [(1, 2.5), (2, 4.5), (3, 8.5), (4, 16.5), (5, 30.5), (50, 30.5)])
def test_pauses_after_faults_double(faults: int, most: float) -> None:
    """The bound doubles with each fault in a row, and all of it is used: full jitter."""
    rng = seeded(1)
    pauses = [POLICY.fault_interval(faults, rng) for _ in range(2000)]
    assert min(pauses) == pytest.approx(0.5, abs=0.05)
    assert most - 0.05 * most < max(pauses) <= most
