"""What an operation is waiting for, as text: for an error about one that takes too long."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from .events import EventLog

_MOST_NAMES = 20
"""More would hide what else is said."""

_HERE = Path(__file__).parent


def describe_steps(events: EventLog, planned: str | None, declared: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines about the steps under way, the resource that is being compared, and those that wait."""
    lines = []
    running = events.running()
    for step in running:
        said = events.last_line(step.urn)
        lines.append(
            f"  {step.op} {_title(step.urn)}, for {step.seconds:.1f} s" + (f": {said.splitlines()[0]}" if said else "")
        )
    if lines:
        lines.insert(0, "Steps under way:")
    if planned is not None:
        lines.append(f"Being checked and compared: {_title(planned)}")
    begun = {_title(step.urn) for step in [*running, *events.steps]} | ({_title(planned)} if planned else set())
    waiting = [title for type_, name in declared if (title := _to_title(type_, name)) not in begun]
    if waiting:
        more = f" and {len(waiting) - _MOST_NAMES} more" if len(waiting) > _MOST_NAMES else ""
        lines.append(f"Waiting for an input or their turn: {', '.join(waiting[:_MOST_NAMES])}{more}")
    return lines


def describe_program(thread_id: int | None, tasks: Iterable[asyncio.Task[Any]], folder: Path) -> list[str]:
    """Return lines that say where the program is: its thread, and each of its tasks that waits in its own code."""
    lines = []
    frame = sys._current_frames().get(thread_id or 0)
    stacks = [] if frame is None else [reversed([each for each, _ in traceback.walk_stack(frame)])]
    for stack in (*stacks, *(_walk_task(task) for task in tasks)):
        summary = traceback.StackSummary.extract((each, each.f_lineno) for each in stack)
        own = to_own_frames(summary, folder)
        if own is not None:
            lines.append("The program is at (most recent call last):")
            lines.extend(own.format())
    return [line.rstrip() for line in lines]


def to_own_frames(stack: traceback.StackSummary, folder: Path) -> traceback.StackSummary | None:
    """Return the stack from the program's first own frame on: those before are this engine's and Pulumi's."""
    for index, frame in enumerate(stack):
        file = Path(frame.filename)
        if file.is_relative_to(folder) and "site-packages" not in file.parts and not file.is_relative_to(_HERE):
            return traceback.StackSummary.from_list(stack[index:])
    return None


def _walk_task(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    # Task.get_stack gives the first of these only.
    waiting: Any = task.get_coro()
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield frame
        waiting = waiting.cr_await


def _title(urn: str) -> str:
    type_, name = urn.split("::", 3)[2:]
    return _to_title(type_.split("$")[-1], name)


def _to_title(type_: str, name: str) -> str:
    return f"{type_.rsplit(':', maxsplit=1)[-1]} {name}"
