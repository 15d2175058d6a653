"""The native provider beside the dynamic resources, in Python programs on the real engine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.figures import Figure, Group
from benchmarks.nothing_to_do import TRACKED
from benchmarks.stacks import REGION, Place, PulumiStack, make_place, time_in_turns
from benchmarks.waits import GATE, time_finished

_DECLARE = """
import pulumi

class Task(pulumi.CustomResource):
    def __init__(self, name, task_id):
        inputs = {{"licenseConversionTaskId": task_id, "waitForCompletion": True}}
        super().__init__("lmconv:index:LicenseConversionTask", name, inputs)
"""
"""What an SDK of the schema would declare."""

_NATIVE = (
    _DECLARE
    + """
for n in range({count}):
    Task(f"r{{n}}", f"lct-{{n:04}}")
"""
)

_WAITS = (
    GATE
    + _DECLARE
    + """
for n in range({count}):
    Task(f"wait-{{n}}", f"lct-{{n:04}}")
Task("finished", pulumi.Output.from_input(gate()))
"""
)


def measure(*, quick: bool) -> Group:
    """Measure an `up` with nothing to do beside the dynamic one, and a finished task beside 200 that are waited for."""
    title = "The native provider"
    if not shutil.which("pulumi"):
        return Group(title, (), "The pulumi command is not on PATH.")
    figures = [_measure_nothing_to_do(count, 3 if quick else 9) for count in (1, 50)]
    return Group(title, (*figures, _measure_held_up(50 if quick else 200)))


def _write_native(place: Place, name: str, program: str) -> PulumiStack:
    """Return the stack of a program that uses this checkout's plugin."""
    folder = place.write_program(name, program)
    binary = folder / "bin" / "pulumi-resource-lmconv"
    binary.parent.mkdir()
    binary.write_text(
        f"#!{sys.executable}\nfrom lmconv_resource.hosts.native.server import main\nmain()\n", encoding="utf-8"
    )
    binary.chmod(0o755)
    with (folder / "Pulumi.yaml").open("a", encoding="utf-8") as project:
        project.write(f"plugins:\n  providers:\n    - name: lmconv\n      path: {binary.parent}\n")
        project.write(f"config:\n  lmconv:region: {{value: {REGION}}}\n")
    return PulumiStack(folder)


def _measure_nothing_to_do(count: int, runs: int) -> Figure:
    with make_place() as place:
        place.add_tasks(count, seconds=0)
        stacks = {
            "native": _write_native(place, "native", _NATIVE.format(count=count)),
            "dynamic": PulumiStack(place.write_program("dynamic", TRACKED.format(count=count))),
        }
        for stack in stacks.values():
            stack.time_up()
        calls = place.aws.calls.total()
        native, dynamic = time_in_turns(stacks, runs).values()
        made = place.aws.calls.total() - calls
    return Figure(
        f"`up` with nothing to do, {count} finished, native",
        f"{native:.2f} s, {made} AWS calls",
        f"dynamic: {dynamic:.2f} s",
        f"x{native / dynamic:.2f}",
        "x1.00, 0 calls",
        made == 0 and native <= dynamic,
    )


def _measure_held_up(count: int) -> Figure:
    seconds, memory = {}, {}
    for waits in (1, count):
        with make_place() as place:
            stack = _write_native(place, f"waits-{waits}", _WAITS.format(count=waits))
            place.add_tasks(waits, seconds=None)
            up = stack.up()
            up.wait_until(lambda waits=waits, up=up: len(up.shown) == waits)  # type: ignore[misc]
            seconds[waits] = time_finished(place, up, stack.program)
            memory[waits] = _find_memory()
            place.finish_tasks()
            up.wait_until(up.ended.is_set)
    return Figure(
        f"create of a finished task while {count} wait, native",
        f"{seconds[count]:.2f} s; {memory[count]:.0f} MB",
        f"while 1 waits: {seconds[1]:.2f} s; {memory[1]:.0f} MB",
        f"+{seconds[count] - seconds[1]:.2f} s",
        "+1 s",
        seconds[count] - seconds[1] <= 1,
    )


def _find_memory() -> float:
    """Return the resident megabytes of the plugin's process, which is the newest one of its name."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"/pulumi-resource-lmconv\0" in (entry / "cmdline").read_bytes():
                status = (entry / "status").read_text(encoding="utf-8")
                found.append((int(entry.name), status))
        except OSError:
            continue  # it has ended meanwhile
    status = max(found)[1]
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1000
