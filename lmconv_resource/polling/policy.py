"""When to look again: pure functions of the time waited, and the promises that follow from them.

A wait looks at once, then at intervals that grow with the time already waited, so that a task of ten seconds is
noticed within seconds and one of ten hours costs two looks a minute. The end of a task is noticed within a tenth of
the time waited, or 3 s if that is more, and never later than 33 s, network included (docs/waiting.md has the picture).
"""

from __future__ import annotations

import random

FRACTION = 0.1
"""Of the time waited: how late the end may be noticed."""

SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0

LOOK_SECONDS = 0.2
"""What one look is taken to last. An end just missed by one look is known when the next one is answered: two looks."""

FIRST_SECONDS = 3 - 2 * LOOK_SECONDS
"""The interval of the first 30 s, in which a tenth would be less."""

JITTER = 0.05
"""Part of the interval that a random part is taken off from, so that waits that began together drift apart."""

LOOK_AHEAD = 0.3
"""Part of its interval by which a wait may be looked at early, to share a list with others. Found by trying: less makes
more lists necessary, more makes lists of what could have waited (benchmarks/README.md, a new task each minute)."""

DEFAULT_DEADLINE_SECONDS = 12 * 3600.0
"""AWS publishes no duration of conversions; `custom_timeouts` overrides this one."""

FAULTS_SECONDS = 300.0
"""For how long faults in a row are carried before a wait ends in an error."""


def poll_interval(waited_seconds: float, fixed_seconds: float | None = None) -> float:
    """Give the longest pause, in seconds, before the next look, for a wait that has lasted `waited_seconds`."""
    if fixed_seconds is not None:
        return fixed_seconds
    # What the last look saw is as old as it lasted; an end right after it may be a tenth of its own time late.
    tenth = FRACTION * (waited_seconds - LOOK_SECONDS) - 2 * LOOK_SECONDS
    return min(LONGEST_SECONDS, max(FIRST_SECONDS, tenth))


def jittered(interval_seconds: float, rng: random.Random) -> float:
    """Give the interval less a random part of it, so that no promise on lateness is broken."""
    return max(min(SHORTEST_SECONDS, interval_seconds), interval_seconds * (1 - JITTER * rng.random()))


def fault_interval(faults_in_a_row: int, rng: random.Random) -> float:
    """Give the pause in seconds after a fault: exponential, with full jitter, from 1 s up to the longest interval."""
    return 0.5 + rng.random() * min(LONGEST_SECONDS, 2.0 ** min(faults_in_a_row, 10))
