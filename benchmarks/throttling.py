"""Many waits against a limit of calls, beside shell loops against the same. By a clock that only jumps."""

from __future__ import annotations

import random

from benchmarks.figures import Figure, Group
from benchmarks.simulation import LOOKERS, LOOP_SECONDS, Service, Simulation, Waits, run_loops
from lmconv_resource.emulator import RateLimit

_COUNT = 200
_LIMIT = RateLimit(rate_per_second=2, burst=5)
_MOST_WASTED = 0.1


def measure(*, quick: bool) -> Group:
    """Measure 200 tasks that end one after another, and that end all at once, with and without the right to list."""
    return Group("200 waits against 2 calls a second, burst 5", tuple(measure_all()))


def measure_all(*, with_refused_list: bool = True) -> list[Figure]:
    """Measure every case; those without the right to list take a few seconds."""
    rng = random.Random(1)  # noqa: S311 -- not cryptography
    names = [f"lct-{number:04}" for number in range(_COUNT)]
    spread = {name: rng.uniform(300, 3900) for name in names}
    at_once = dict.fromkeys(names, 1800.0)
    offsets = [(rng.uniform(0, LOOP_SECONDS), name) for name in names]
    figures = []
    for title, ends in (("ending over 1 h", spread), ("ending all at once", at_once)):
        loops = _run_loops(ends, offsets)
        for may_list in (True, False) if with_refused_list else (True,):
            how = "" if may_list else ", without the right to list"
            figures.append(_measure(f"{_COUNT} waits {title}{how}: calls refused", ends, loops, may_list=may_list))
    return figures


def _run_loops(ends: dict[str, float], starts: list[tuple[float, str]]) -> str:
    clock = Simulation()
    service = Service(clock, limit=_LIMIT)
    service.ends = ends
    late = run_loops(clock, service, starts, float("inf"))
    return f"loops: {_to_text(service, late)}"


def _measure(title: str, ends: dict[str, float], loops: str, *, may_list: bool) -> Figure:
    simulation = Simulation(LOOKERS)
    service = Service(simulation, limit=_LIMIT, may_list=may_list)
    service.ends = ends
    waits = Waits(simulation, service)
    waits.run([(0.0, name) for name in ends], float("inf"))
    wasted = service.refused / service.calls.total()
    return Figure(
        title,
        f"{_to_text(service, waits.late)}, {len(waits.late)} succeed",
        loops,
        "",
        f"{_MOST_WASTED:.0%}, all succeed",
        wasted <= _MOST_WASTED and len(waits.late) == _COUNT,
    )


def _to_text(service: Service, late: dict[str, float]) -> str:
    calls = service.calls.total()
    return f"{service.refused / calls:.1%} of {calls}, ends noticed within {max(late.values()):.0f} s"
