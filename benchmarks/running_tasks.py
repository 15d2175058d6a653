"""`pulumi up` with nothing to do beside running tasks: a list of them, a look-up for each, and finished ones."""

from __future__ import annotations

import statistics

from benchmarks.figures import Figure, Group, to_ratio
from benchmarks.stacks import EngineStack, Place, find_engines, make_place
from lmconv_resource.emulator import ErrorAnswer, Fault, SlowAnswer

_PROGRAM = """
from lmconv_resource import LicenseConversionTask

for n in range({first}, {first} + {count}):
    LicenseConversionTask(f"r{{n}}", license_conversion_task_id=f"lct-{{n:04}}")
"""

_LIST = "ListLicenseConversionTasks"
_ANSWER = SlowAnswer(0.08)
"""How long AWS takes for an answer here."""

_MANY = 500
"""For so many tasks the bounds are."""


def measure(*, quick: bool) -> Group:
    """Measure with 1 to 500 tasks, on each engine there is."""
    figures = []
    for count in (1, 10, 100, _MANY):
        for engine in find_engines():
            with make_place() as place:
                figures += _measure(place, engine, count, 3 if quick else 7)
    return Group("`pulumi up` beside running tasks, AWS answering in 80 ms", tuple(figures))


def _measure(place: Place, engine: type[EngineStack], count: int, runs: int) -> list[Figure]:
    for number in range(2 * count):
        place.add_task(f"lct-{number:04}", seconds=None if number < count else 0)
    running, finished = (
        engine(place.write_program(f"{name}-{engine.__name__.lower()}", _PROGRAM.format(first=first, count=count)))
        for name, first in (("running", 0), ("finished", count))
    )
    for stack in (running, finished):
        stack.time_up()
    place.aws.faults.add(Fault(_ANSWER))
    times: dict[EngineStack, list[float]] = {running: [], finished: []}
    calls = []
    for _ in range(runs):
        for stack, seconds in times.items():
            place.aws.calls.clear()
            seconds.append(stack.time_up())
            if stack is running:
                calls.append(place.aws.calls.total())
    # Who may not list has each task looked up, as all were before there were lists.
    place.aws.faults.add(Fault(ErrorAnswer("AccessDeniedException"), operation=_LIST))
    place.aws.calls.clear()
    one_by_one = running.time_up()
    look_ups = place.aws.calls["GetLicenseConversionTask"]
    ours, beside = statistics.median(times[running]), statistics.median(times[finished])
    what = f"`up` beside {count} running, {engine.title}"
    is_bound = count == _MANY
    return [
        Figure(
            what,
            f"{ours:.2f} s",
            f"{count} finished: {beside:.2f} s",
            f"x{ours / beside:.2f}",
            "x1.50" if is_bound else "",
            ours / beside <= 1.5 if is_bound else None,
        ),
        Figure(what, f"{ours:.2f} s", f"each looked up: {one_by_one:.2f} s", to_ratio(ours, one_by_one), "", None),
        Figure(
            what,
            f"{max(calls)} calls",
            f"each looked up: {look_ups} calls",
            to_ratio(max(calls), look_ups),
            "1/20" if is_bound else "",
            20 * max(calls) <= look_ups if is_bound else None,
        ),
    ]
