"""API calls over two hours, beside a shell loop for each task. By a clock that only jumps."""

from __future__ import annotations

from benchmarks.figures import Figure, Group, to_ratio
from benchmarks.simulation import LOOKERS, Service, Simulation, Waits, run_loops

_HOURS = 2
_SECONDS = _HOURS * 3600.0
_TOGETHER_BOUNDS = {1: 0.6, 10: 1 / 12, 100: 1 / 60, 500: 1 / 60}
_STAGGERED_BOUND = 1 / 10

Starts = list[tuple[float, str]]


def measure(*, quick: bool) -> Group:
    """Measure tasks that start together, and one more each minute, with lists of 50 and of 100 a page."""
    figures = [measure_together(count, page_size) for count in _TOGETHER_BOUNDS for page_size in (50, 100)]
    figures += [measure_staggered(page_size) for page_size in (50, 100)]
    figures += [_measure_without_list(count) for count in (10,) + (() if quick else (100,))]
    return Group(f"API calls over {_HOURS} h", tuple(figures))


def measure_together(count: int, page_size: int) -> Figure:
    """Measure tasks that start together and all end after two hours, until each end is noticed."""
    starts = [(0.0, f"lct-{number:04}") for number in range(count)]
    ours, loops = _count_calls(starts, _SECONDS, float("inf"), page_size)
    title = f"{count} task{'s' * (count > 1)} of {_HOURS} h started together"
    return _to_figure(title, page_size, ours, loops, _TOGETHER_BOUNDS[count])


def measure_staggered(page_size: int) -> Figure:
    """Measure a new task each minute, none of which ends within the two hours."""
    starts = [(60.0 * number, f"lct-{number:04}") for number in range(60 * _HOURS)]
    ours, loops = _count_calls(starts, 2 * _SECONDS, _SECONDS, page_size)
    return _to_figure(f"a new task each minute for {_HOURS} h", page_size, ours, loops, _STAGGERED_BOUND)


def _measure_without_list(count: int) -> Figure:
    starts = [(0.0, f"lct-{number:04}") for number in range(count)]
    ours, loops = _count_calls(starts, _SECONDS, float("inf"), 50, may_list=False)
    title = f"calls, {count} tasks of {_HOURS} h started together, without the right to list"
    return Figure(title, str(ours), f"{count} loops: {loops}", to_ratio(ours, loops), "", None)


def _count_calls(
    starts: Starts, runs_seconds: float, until: float, page_size: int, *, may_list: bool = True
) -> tuple[int, int]:
    ends = {task_id: begin + runs_seconds for begin, task_id in starts}
    simulation = Simulation(LOOKERS)
    service = Service(simulation, page_size=page_size, may_list=may_list)
    service.ends = ends
    Waits(simulation, service).run(starts, until)
    clock = Simulation()
    loops = Service(clock)
    loops.ends = ends
    run_loops(clock, loops, starts, until)
    return service.calls.total(), loops.calls.total()


def _to_figure(title: str, page_size: int, ours: int, loops: int, bound: float) -> Figure:
    return Figure(
        f"calls, {title}, lists of {page_size} a page",
        str(ours),
        f"a loop each: {loops}",
        to_ratio(ours, loops),
        f"x{bound}" if bound > 0.2 else f"1/{1 / bound:.0f}",
        ours <= bound * loops,
    )
