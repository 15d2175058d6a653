"""`pulumi up` with nothing to do: finished tasks beside the least a dynamic resource can be."""

from __future__ import annotations

from benchmarks.figures import Figure, Group
from benchmarks.stacks import EngineStack, LocalStack, Place, find_engines, make_place, time_in_turns

TRACKED = """
from lmconv_resource import LicenseConversionTask

for n in range({count}):
    LicenseConversionTask(f"r{{n}}", license_conversion_task_id=f"lct-{{n:04}}", wait_for_completion=True)
"""

_TRIVIAL = """
from benchmarks.providers import Trivial

for n in range({count}):
    Trivial(f"r{{n}}", {{"number": n}})
"""

_WIDE = """
from benchmarks.providers import RECORD, Trivial

for n in range({count}):
    Trivial(f"r{{n}}", {{**RECORD, "license_conversion_task_id": f"lct-{{n:04}}"}})
"""


def measure(*, quick: bool) -> Group:
    """Measure with 1 and with 100 tasks, on each engine there is."""
    figures = []
    for count in (1, 100):
        with make_place() as place:
            place.add_tasks(count, seconds=0)
            for engine in find_engines():
                figures += _measure(place, engine, count, 5 if quick else 15)
    return Group("`pulumi up` with nothing to do", tuple(figures))


def _measure(place: Place, engine: type[EngineStack], count: int, runs: int) -> list[Figure]:
    programs = {"ours": TRACKED, "trivial": _TRIVIAL, "wide": _WIDE}
    stacks = {
        name: engine(place.write_program(f"{name}-{engine.__name__.lower()}", lines.format(count=count)))
        for name, lines in programs.items()
    }
    for stack in stacks.values():
        stack.time_up()
    calls = place.aws.calls.total()
    ours, trivial, wide = time_in_turns(stacks, runs).values()
    made = place.aws.calls.total() - calls
    # Most of it is the SDK's cost of twelve outputs each, as the row below shows, the rest the import of this package
    # into two processes. LocalEngine's own work is so small that these alone make its ratio: there it informs.
    bound = None if engine is LocalStack else 1.10
    what = f"`up` with nothing to do, {count} finished, {engine.title}"
    return [
        Figure(
            what,
            f"{ours:.2f} s, {made} AWS calls",
            f"trivial resource: {trivial:.2f} s",
            f"x{ours / trivial:.3f}",
            "0 calls" if bound is None else f"x{bound:.2f}, 0 calls",
            made == 0 and (bound is None or ours / trivial <= bound),
        ),
        Figure(
            what, f"{ours:.2f} s", f"trivial resource with the same data: {wide:.2f} s", f"x{ours / wide:.3f}", "", None
        ),
    ]
