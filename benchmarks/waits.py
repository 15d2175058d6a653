"""Many waits at once, on a real plugin process: whom they hold up, how soon they show, what ^C makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, Group, to_ratio
from benchmarks.stacks import PARALLEL, EngineStack, Place, PulumiStack, Up, find_engines, make_place

GATE = """
import asyncio, os
import pulumi

async def gate():
    while not os.path.exists("go"):
        await asyncio.sleep(0.02)
    return "lct-finished"
"""

_OURS = (
    GATE
    + """
from lmconv_resource import LicenseConversionTask

for n in range({count}):
    LicenseConversionTask(f"wait-{{n}}", license_conversion_task_id=f"lct-{{n:04}}", wait_for_completion=True)
if {gated}:
    LicenseConversionTask(
        "finished", license_conversion_task_id=pulumi.Output.from_input(gate()), wait_for_completion=True)
"""
)

_NAIVE = (
    GATE
    + """
from benchmarks.providers import Naive

for n in range({count}):
    Naive(f"wait-{{n}}", f"lct-{{n:04}}", {poll_seconds})
if {gated}:
    Naive("finished", pulumi.Output.from_input(gate()), {poll_seconds})
"""
)

_UNRELATED = """
from lmconv_resource import LicenseConversionTask
from benchmarks.providers import Trivial

waits = [
    LicenseConversionTask(f"wait-{n}", license_conversion_task_id=f"lct-{n:04}", wait_for_completion=True)
    for n in range(200)
]
Trivial("unrelated", {"number": 1})
"""

_NAIVE_WORKERS = 4
"""Calls that Pulumi's plugin process serves at a time."""


@contextmanager
def _started(
    place: Place,
    engine: type[EngineStack],
    program: str,
    count: int,
    *,
    gated: bool = False,
    poll_seconds: float = 15.0,
) -> Iterator[tuple[Up, EngineStack, Path]]:
    """Begin an `up` with so many waits, and end it afterwards."""
    name = f"{'ours' if program is _OURS else 'naive'}-{engine.__name__.lower()}-{count}"
    folder = place.write_program(name, program.format(count=count, gated=gated, poll_seconds=poll_seconds))
    stack = engine(folder)
    place.add_tasks(count, seconds=None)
    place.aws.calls.clear()
    up = stack.up()
    try:
        if program is _OURS:
            up.wait_until(lambda: len(up.shown) == count)
        else:
            up.wait_until(lambda: place.aws.calls.total() >= min(count, _NAIVE_WORKERS))
        yield up, stack, folder
    finally:
        place.finish_tasks()
        if not up.ended.wait(poll_seconds + 30):
            stack.close()


def measure_held_up(*, quick: bool) -> Group:
    """Measure how long a finished task takes while 50 wait."""
    naive_seconds = 5.0 if quick else 10.0
    figures = []
    for engine in find_engines():
        with make_place() as place, _started(place, engine, _OURS, 50, gated=True) as (up, _, folder):
            ours = time_finished(place, up, folder)
        with make_place() as place, _started(place, engine, _NAIVE, 50, gated=True, poll_seconds=1) as (up, _, folder):
            naive = time_finished(place, up, folder, naive_seconds)
        figures.append(
            Figure(
                f"create of a finished task while 50 wait, {engine.title}",
                f"{ours:.2f} s",
                f"naive, whose waits end after {naive_seconds:.0f} s: {naive:.1f} s",
                to_ratio(ours, naive),
                "1 s",
                ours <= 1,
            )
        )
    return Group("A finished task while 50 wait", tuple(figures))


def time_finished(place: Place, up: Up, folder: Path, others_seconds: float | None = None) -> float:
    """Return how long a finished task takes from the moment that the program declares it."""
    place.add_task("lct-finished", seconds=0)
    # From here on, and not from its step's beginning: with all workers taken, Pulumi can't even check its inputs.
    opened = time.monotonic()
    (folder / "go").touch()
    if others_seconds is not None:
        time.sleep(others_seconds)
        place.finish_tasks()
    up.wait_until(lambda: "finished" in up.done)
    return up.done["finished"] - opened


def measure_parallel(*, quick: bool) -> Group:
    """Measure when a resource that depends on none of 200 waits is there, by the number of steps at once."""
    title, waiting = "A resource beside 200 waits", 5.0 if quick else 20.0
    if PulumiStack not in find_engines():
        return Group(title, (), "The pulumi command is not on PATH.")
    seconds = {}
    for parallel in (PARALLEL, None):
        with make_place() as place:
            stack = PulumiStack(place.write_program("unrelated", _UNRELATED))
            place.add_tasks(200, seconds=None)
            began = time.monotonic()
            up = stack.up(parallel)
            time.sleep(waiting)
            place.finish_tasks()
            up.wait_until(up.ended.is_set)
            seconds[parallel] = up.done["unrelated"] - began
    high, own = seconds[PARALLEL], seconds[None]
    figure = Figure(
        f"an unrelated resource beside 200 waits of {waiting:.0f} s, --parallel {PARALLEL}, pulumi",
        f"{high:.1f} s",
        f"Pulumi's own --parallel: {own:.1f} s",
        to_ratio(high, own),
        "before the waits end",
        high < waiting,
    )
    return Group(title, (figure,))


def measure_shown(*, quick: bool) -> Group:
    """Measure when 200 waits have all shown themselves, and what memory they take."""
    count = 50 if quick else 200
    engine = find_engines()[0]
    with make_place() as place, _started(place, engine, _OURS, 1) as (_, stack, _folder):
        one = _resident_megabytes(stack.plugin_pid())
    with make_place() as place, _started(place, engine, _OURS, count) as (up, stack, _folder):
        seconds = max(up.shown.values()) - max(up.begun.values())
        many = _resident_megabytes(stack.plugin_pid())
    with make_place() as place, _started(place, engine, _NAIVE, count) as (up, stack, _folder):
        time.sleep(max(0.0, max(up.begun.values()) + 5 - time.monotonic()))
        # Its sleep is longer than this: each call so far was the first look at a task.
        looked_at = place.aws.calls.total()
    figures = [
        Figure(
            f"{count} waits, from the last registration until all are shown as waiting",
            f"{seconds:.1f} s",
            f"naive after 5 s: {looked_at} of {count} looked at",
            "",
            "5 s",
            seconds <= 5,
        )
    ]
    if one and many:
        figures.append(
            Figure(
                f"memory of the plugin process with {count} waits",
                f"{many:.0f} MB",
                f"1 wait: {one:.0f} MB",
                f"+{many - one:.0f} MB",
                "+60 MB",
                many - one <= 60,
            )
        )
    return Group(f"{count} waits at once", tuple(figures))


def _resident_megabytes(pid: int | None) -> float | None:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    kilobytes = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1000


def measure_interrupt(*, quick: bool) -> Group:
    """Measure how long an `up` with 50 waits goes on after the first ^C."""
    naive_seconds = 10.0 if quick else 30.0
    figures = []
    for engine in find_engines():
        with make_place() as place, _started(place, engine, _OURS, 50) as (up, stack, _):
            ours = _time_interrupt(up, stack)
            pending = stack.count_pending()
        with make_place() as place, _started(place, engine, _NAIVE, 50, poll_seconds=5) as (up, stack, _):
            naive = _time_interrupt(up, stack, place, naive_seconds)
        figures.append(
            Figure(
                f"first ^C with 50 waits, until the end, {engine.title}",
                f"{ours:.2f} s, {pending} pending operations",
                f"naive, whose conversions go on for {naive_seconds:.0f} s: {naive:.0f} s",
                to_ratio(ours, naive),
                "8 s, 0 pending",
                ours <= 8 and pending == 0,
            )
        )
    return Group("First ^C with 50 waits", tuple(figures))


def _time_interrupt(up: Up, stack: EngineStack, place: Place | None = None, others_seconds: float = 0.0) -> float:
    began = time.monotonic()
    stack.interrupt()
    if place:
        time.sleep(others_seconds)
        place.finish_tasks()
    up.wait_until(up.ended.is_set)
    return up.ended_at - began
