"""How soon a task's end is noticed, and at how many calls, beside a constant loop. By a clock that only jumps."""

from __future__ import annotations

import bisect
import random
import statistics
from dataclasses import dataclass

from benchmarks.figures import Figure, Group
from benchmarks.simulation import LATENCY_SECONDS, LOOP_SECONDS, Service, Simulation, Waits

_DURATIONS = {"1 s": 1.0, "30 s": 30.0, "5 min": 300.0, "2 h": 7200.0, "10 h": 36000.0}


def to_bound(duration: float) -> float:
    """Give how late the end of a task may be noticed, by what is promised."""
    return min(33.0, max(3.0, 0.1 * duration))


def measure(*, quick: bool) -> Group:
    """Measure the worst of 200 waits for each duration."""
    return Group("End noticed after", tuple(measure_all(20 if quick else 200)))


def measure_all(seeds: int) -> list[Figure]:
    """Measure the worst of so many waits, each with a jitter and a duration of its own (within 5 %)."""
    return [_measure(title, duration, seeds) for title, duration in _DURATIONS.items()]


def _measure(title: str, duration: float, seeds: int) -> Figure:
    ours, loops, within = [], [], []
    for seed in range(seeds):
        exact = duration * random.Random(seed).uniform(0.95, 1.05)  # noqa: S311 -- not cryptography
        simulation = Simulation()
        service = Service(simulation)
        service.ends = {"lct-0": exact}
        waits = Waits(simulation, service, seed)
        waits.run([(0.0, "lct-0")], float("inf"))
        ours.append(waits.late["lct-0"])
        loops.append(find_end(loop_looks(exact + 2 * LOOP_SECONDS), exact)[0])
        within.append(ours[-1] <= to_bound(exact))
    return Figure(
        f"end of a task of {title} noticed after, the worst of {seeds}",
        f"{max(ours):.1f} s",
        f"loop: {max(loops):.1f} s",
        f"x{max(ours) / max(loops):.2f}",
        f"{to_bound(duration * 1.05):.1f} s",
        all(within),
    )


def loop_looks(until: float) -> list[float]:
    """Give when the looks of a constant loop begin."""
    period = LOOP_SECONDS + LATENCY_SECONDS
    return [number * period for number in range(int(until / period) + 2)]


def find_end(looks: list[float], duration: float) -> tuple[float, int]:
    """Give how late the end is known, and after how many calls, for a wait that looks at these moments."""
    index = bisect.bisect_left(looks, duration)
    return looks[index] + LATENCY_SECONDS - duration, index + 1


@dataclass(frozen=True)
class Point:
    """What a duration comes to."""

    seconds: float
    worst_late: float
    mean_late: float
    calls: float


def trace_ours(durations: list[float], seeds: int) -> list[Point]:
    """Give for each duration how late its end is noticed and at how many calls, over so many waits."""
    runs = [_find_looks(max(durations) + 60.0, seed) for seed in range(seeds)]
    points = []
    for duration in durations:
        # Up to a tenth shorter too: exactly one duration would show by accident where the looks happen to be.
        exact = [duration * (0.9 + 0.005 * step) for step in range(21)]
        late, calls = zip(*(find_end(looks, each) for looks in runs for each in exact), strict=True)
        points.append(Point(duration, max(late), statistics.mean(late), statistics.mean(calls)))
    return points


def _find_looks(until: float, seed: int) -> list[float]:
    simulation = Simulation()
    service = _Diary(simulation)
    service.ends = {"lct-0": until}
    Waits(simulation, service, seed).run([(0.0, "lct-0")], float("inf"))
    return service.looks


class _Diary(Service):
    """Notes when it is asked."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.looks: list[float] = []
        self._clock = simulation.clock

    def admit(self, operation: str) -> None:
        """Note the moment."""
        self.looks.append(self._clock())
        super().admit(operation)


def trace_loop(durations: list[float]) -> list[Point]:
    """Give the same for a constant loop, at its worst within a period and on the average."""
    period = LOOP_SECONDS + LATENCY_SECONDS
    mean = period / 2 + LATENCY_SECONDS
    return [Point(seconds, period + LATENCY_SECONDS, mean, seconds / period + 1) for seconds in durations]
