"""Whole histories of conversions in the simulated world: no invariant is broken, and one seed is one history."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.guards import READ_ANEW
from simulation.history import play

EACH = 10
LONG = pytest.mark.proof, pytest.mark.no_cover  # coverage makes them take twice as long
RANGES = [
    pytest.param(begin, marks=() if begin < 300 else LONG, id=f"{begin}-{begin + EACH}")
    for begin in range(0, 3000, EACH)
]


@pytest.mark.parametrize("begin", RANGES)
@pytest.mark.timeout(600)  # a busy machine
def test_histories_hold(begin: int) -> None:
    """No seed breaks one; from tests/, `python -m simulation --seeds SEED` plays it again and shows its log."""
    results = [play(seed) for seed in range(begin, begin + EACH)]
    assert [f"seed {result.seed}: {result.violations[0].text}" for result in results if result.violations] == []


SEEDS = range(40, 42)
DIGEST = "import hashlib; from simulation.history import play; print(hashlib.sha256(repr([play(seed).lines for seed in "


def test_a_seed_is_one_history_byte_for_byte() -> None:
    """The same in this process and in another, whatever the order of their sets."""
    here = hashlib.sha256(repr([play(seed).lines for seed in SEEDS]).encode()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", f"{DIGEST}{SEEDS!r}]).encode()).hexdigest())"]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


FOUND_BY = {
    READ_ANEW: 67,
    "every task, not the newest alone": 147,
    "an unknown word is unfinished": 33,
    "a mark has an owner": 0,
    "a mark names its instance": 135,
    "refusals are remembered": 47,
    "instance store volumes": 6,
    "a hidden task may be in progress": 25,
    "a list that can't be read says nothing": 92,
    "AWS says that one is in progress": 342,
    "doubt": 92,
}
"""Guards, and the first seed that goes red without them; `python -m simulation --guards` finds them anew.

Each change of calls changes the histories: a seed that is out of date costs time, and no more.
"""


@pytest.mark.parametrize("guard", FOUND_BY)
def test_a_guard_that_is_taken_out_is_found(guard: str) -> None:
    """The world finds that it is missing, where `test_histories_hold` finds nothing with it."""
    assert any(play(seed, guard).violations for seed in (FOUND_BY[guard], *range(300)))
