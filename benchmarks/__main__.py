"""Measures every figure, prints a table, and writes it to benchmarks/README.md: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import accounts, fleet, native, nothing_to_do, running_tasks, waits
from benchmarks.figures import Group, to_table
from benchmarks.stacks import find_engines

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- written by python -m benchmarks -->", "<!-- to here -->"

GROUPS: dict[str, Callable[..., Group]] = {
    "nothing-to-do": nothing_to_do.measure,
    "running": running_tasks.measure,
    "held-up": waits.measure_held_up,
    "parallel": waits.measure_parallel,
    "native": native.measure,
    "shown": waits.measure_shown,
    "interrupt": waits.measure_interrupt,
    "fleet": fleet.measure,
    "accounts": accounts.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit status: 1 when a bound is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure what following license conversion tasks costs."
    )
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"which figures, of {', '.join(GROUPS)}; default all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and nothing is written")
    options = parser.parse_args(arguments)
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    groups = []
    for name in options.groups or GROUPS:
        began = time.monotonic()
        group = GROUPS[name](quick=options.quick)
        groups.append(group)
        print(f"\n{group.title} ({time.monotonic() - began:.0f} s)\n", *to_table(group.figures), sep="\n", flush=True)
    missed = [figure for group in groups for figure in group.figures if figure.holds is False]
    if not (options.quick or options.groups):
        _write(groups)
    print(f"\n{len(missed)} missed." if missed else "\nAll hold.")
    for figure in missed:
        print(f"  {figure.what}: {figure.ours}, bound {figure.bound}")
    return int(bool(missed))


def _write(groups: list[Group]) -> None:
    """Put the tables between the markers of the README."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    lines = [f"{datetime.now(timezone.utc):%Y-%m-%d}: {_describe_machine()}."]
    for group in groups:
        lines += ["", f"### {group.title}", "", *to_table(group.figures)]
    README.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


def _describe_machine() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pulumi", "boto3", "grpcio"))
    engine = "with the pulumi command" if len(find_engines()) > 1 else "without the pulumi command"
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}, {engine}"


if __name__ == "__main__":
    sys.exit(main())
