"""What an `up` would do with a fleet, as a table to approve."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from lmconv_resource.text import to_one_line, to_plain_text
from lmconv_resource.usage_operations import to_name

_OWN_WORDS = re.compile(r" (?:of )?(?:i-[0-9a-f]+|\d+\.\d+\.\d+\.\d+)")


class Action(Enum):
    """What becomes of a row; the value is how the counts name it."""

    RESTART = "will be stopped and started"
    CONVERT = "stopped already"
    GO_ON = "to go on with"
    DONE = "done already"
    REFUSED = "can't"
    KEPT = "left as they are"
    UNKNOWN = "not known yet"


@dataclass(frozen=True)
class PlanLine:
    """A row of the plan: what it is licensed as and is to be (usage operations), and what becomes of it and why.

    `notes` are what to know of it besides, a sentence each.
    """

    number: int
    name: str
    source: str | None
    destination: str | None
    action: Action
    text: str
    notes: tuple[str, ...] = ()


def to_plan_text(lines: Iterable[PlanLine]) -> str:
    """Return the table: the counts, a line for each row, its columns as wide as their longest, and the notes.

    A row is at most as wide as its reason wants: a terminal wraps it, and nothing is cut. A note of several rows
    stands once, without the ids and addresses in which they differ.
    """
    rows = sorted(lines, key=lambda line: line.number)
    counts = Counter(row.action for row in rows)
    parts = ", ".join(f"{counts[action]} {action.value}" for action in Action if counts[action])
    cells = [(f"{row.number}", _plain(row.name), _to_licenses(row), _plain(row.text)) for row in rows]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    table = [
        f"{number:>{widths[0]}}  {name:<{widths[1]}}  {licenses:<{widths[2]}}  {text}".rstrip()
        for number, name, licenses, text in cells
    ]
    head = f"{len(rows)} instance{'' if len(rows) == 1 else 's'}: {parts or 'nothing to do'}"
    return "\n".join([head, *table, *to_notes(rows)])


def to_notes(rows: Iterable[PlanLine]) -> list[str]:
    """Return the notes of rows, each once with the names of its rows: `web-1, web-2: …`."""
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            notes.setdefault(_plain(_OWN_WORDS.sub("", note)), []).append(_plain(row.name))
    return [f"{', '.join(names)}: {note}" for note, names in notes.items()]


def _to_licenses(row: PlanLine) -> str:
    known = [to_name(code) for code in (row.source, row.destination) if code]
    return _plain(" → ".join(known)) if row.source else _plain(f"→ {known[0]}" if known else "")


def _plain(text: str) -> str:
    return to_plain_text(to_one_line(text))
