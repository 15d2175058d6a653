"""When to poll next. What comes of it, that no end is noticed late, at few calls, is in test_promises."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmconv_resource.polling.policy import PollingPolicy

POLICY = PollingPolicy()

SEEDS = st.integers(0, 2**32)
WAITED = st.floats(0, 1e7)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- jitter, not cryptography


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


@pytest.mark.parametrize(("faults", "most"), [(1, 2.5), (2, 4.5), (3, 8.5), (4, 16.5), (5, 30.5), (10_000, 30.5)])
def test_pauses_after_faults_double(faults: int, most: float) -> None:
    """From half a second to a bound that doubles with each fault in a row, all of it used: full jitter."""
    rng = seeded(1)
    pauses = [POLICY.fault_interval(faults, rng) for _ in range(2000)]
    assert 0.5 <= min(pauses) <= 0.55
    assert most - 0.05 * most < max(pauses) <= most
