"""What is told of a fleet: before, what would become of its rows, as a table to approve; after, what became of them.

The latter is what a stack stores, and the report in Markdown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from lmconv_resource.lifecycle.operation import ByName, Properties
from lmconv_resource.lifecycle.state import TABLE
from lmconv_resource.text import fill, parse_rfc3339, to_duration_text, to_one_line, to_plain_text
from lmconv_resource.usage_operations import to_name

# -- before ------------------------------------------------------------------------------------------------------------

_OWN_WORDS = re.compile(r" (?:of )?(?:i-[0-9a-f]+|\d+\.\d+\.\d+\.\d+)")


class Action(Enum):
    """What becomes of a row; the value is how the counts name it."""

    RESTART = "will be stopped and started"
    CONVERT = "stopped already"
    GO_ON = "to continue"
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
    cells = [(f"{row.number}", _plain(row.name), _to_licenses(row), _plain(row.text)) for row in rows]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    table = [
        f"{number:>{widths[0]}}  {name:<{widths[1]}}  {licenses:<{widths[2]}}  {text}".rstrip()
        for number, name, licenses, text in cells
    ]
    return "\n".join([to_counts(Action, (row.action for row in rows)), *table, *to_notes(rows)])


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


def to_counts(kinds: Iterable[Enum], found: Iterable[Enum]) -> str:
    """Return how many rows came to what: `12 instances: 8 SUCCEEDED, 2 FAILED, 2 REFUSED`."""
    counts = Counter(found)
    parts = ", ".join(f"{counts[kind]} {kind.value}" for kind in kinds if counts[kind])
    return f"{counts.total()} instance{'' if counts.total() == 1 else 's'}: {parts or 'nothing to do'}"


def _plain(text: str) -> str:
    return to_plain_text(to_one_line(text))


# -- after -------------------------------------------------------------------------------------------------------------


class Outcome(str, Enum):
    """What became of a row."""

    SUCCEEDED = "SUCCEEDED"
    """A conversion led to what is asked for, in this operation or before."""

    ALREADY_DONE = "ALREADY_DONE"
    """EC2 bills it as what is asked for, and no conversion led there."""

    FAILED = "FAILED"
    """Its conversion ended FAILED."""

    REFUSED = "REFUSED"
    """It can't be converted, by what was found beforehand or by AWS's word."""

    NOT_BEGUN = "NOT_BEGUN"
    """It was not its turn before no more were begun."""

    IN_PROGRESS = "IN_PROGRESS"
    """It was begun, and its end has not been seen; the next `pulumi up` continues it."""


_GROUPS = {
    "succeeded": (Outcome.SUCCEEDED, Outcome.ALREADY_DONE),
    "failed": (Outcome.FAILED, Outcome.REFUSED),
    "not_begun": (Outcome.NOT_BEGUN, Outcome.IN_PROGRESS),
}
"""The outputs that list names, and the outcomes that each lists."""


@dataclass(frozen=True)
class Result:
    """What became of a row. Times are RFC 3339 in UTC: of this resource's work on it, or else of its task."""

    number: int
    resource_arn: str
    outcome: Outcome
    reason: str | None = None
    license_conversion_task_id: str | None = None
    source_usage_operation: str | None = None
    destination_usage_operation: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    verified_usage_operation: str | None = None
    instance_state: str | None = None

    @classmethod
    def parse(cls, properties: Mapping[str, Any]) -> Result:
        """Return what a stack has stored."""
        known: dict[str, Any] = {each.name: properties.get(each.name) for each in fields(cls)}
        known |= {"number": int(known["number"] or 0), "outcome": Outcome(known["outcome"] or Outcome.NOT_BEGUN)}
        return cls(**known)

    @property
    def has_succeeded(self) -> bool:
        """Whether the license is what is asked for."""
        return self.outcome in _GROUPS["succeeded"]

    @property
    def has_failed(self) -> bool:
        """Whether it is not, and the next `pulumi up` begins nothing by itself."""
        return self.outcome in _GROUPS["failed"]

    @property
    def was_refused(self) -> bool:
        """Whether it could not be converted by what was found beforehand: each `pulumi up` checks it again."""
        return self.outcome is Outcome.REFUSED and not self.was_begun

    @property
    def took(self) -> str:
        """How long it took: `42m10s`; empty where that is not known."""
        if not (self.start_time and self.end_time):
            return ""
        return to_duration_text((parse_rfc3339(self.end_time) - parse_rfc3339(self.start_time)).total_seconds())

    @property
    def was_begun(self) -> bool:
        """Whether this resource did something to the instance."""
        return self.start_time is not None


@dataclass(frozen=True)
class FleetState:
    """What a stack stores of a fleet, by the names of its rows.

    `results` is what became of each; `table` has them as they were asked for, which says, too, how AWS is reached.
    """

    results: Mapping[str, Result]
    table: Mapping[str, Properties]

    @classmethod
    def from_outputs(cls, outputs: Properties) -> FleetState:
        """Read what a stack has stored."""
        # An input of the same name is a list: a record that is none has no results.
        found = [outputs.get(name) for name in ("instances", TABLE)]
        results, table = (each if isinstance(each, Mapping) else {} for each in found)
        return cls({name: Result.parse(each) for name, each in results.items()}, dict(table))

    def to_outputs(self) -> dict[str, object]:
        """Return what a stack stores; all of it in the table's order, as far as it has one."""
        ordered = sorted(self.results.items(), key=lambda item: item[1].number)
        return {
            "instances": ByName((name, {**vars(each), "outcome": each.outcome.value}) for name, each in ordered),
            **{
                group: [name for name, each in ordered if each.outcome in outcomes]
                for group, outcomes in _GROUPS.items()
            },
            "report": to_report(dict(ordered)),
            TABLE: ByName(self.table),
        }


_NEXT_STEPS = {
    Outcome.FAILED: "Fix the cause, then set `{retry_failed}` on its row: the next `pulumi up` converts it once more.",
    Outcome.REFUSED: "Fix the cause: the next `pulumi up` checks it again.",
    Outcome.NOT_BEGUN: "The next `pulumi up` begins it.",
    Outcome.IN_PROGRESS: "The next `pulumi up` continues it.",
}

_MARKS = {Outcome.SUCCEEDED: "done, ", Outcome.FAILED: "crit, ", Outcome.REFUSED: "crit, "}


def to_report(results: Mapping[str, Result]) -> str:
    """Return the report: a summary, a row for each instance, what to do about the rest, and when each ran."""
    counts = to_counts(Outcome, (each.outcome for each in results.values()))
    lines = ["# License conversions", "", f"{counts}.", ""]
    lines += ["| # | Instance | From | To | Outcome | Runs | Took |", "|--:|---|---|---|---|---|--:|"]
    for name, each in results.items():
        licenses = [to_name(code or "") for code in (each.source_usage_operation, each.destination_usage_operation)]
        cells = (str(each.number), name, *licenses, each.outcome.value, each.instance_state or "", each.took)
        lines.append(f"| {' | '.join(map(_to_cell, cells))} |")
    for outcome, step in _NEXT_STEPS.items():
        those = [(name, each) for name, each in results.items() if each.outcome is outcome]
        if those:
            lines += ["", f"## {outcome.value}", "", fill(step), ""]
            lines += [f"- **{_to_cell(name)}**: {to_one_line(each.reason or '')}" for name, each in those]
    bars = [_to_bar(name, each) for name, each in results.items() if each.start_time]
    if bars:
        chart = ["gantt", "    dateFormat YYYY-MM-DDTHH:mm:ss", "    axisFormat %H:%M", *bars]
        lines += ["", "## When each ran (UTC)", "", "```mermaid", *chart, "```"]
    return "\n".join([*lines, ""])


def _to_cell(text: str) -> str:
    return to_one_line(text).replace("|", r"\|")


def _to_bar(name: str, result: Result) -> str:
    # Mermaid reads neither fractions of a second nor a zone, and a colon ends a name.
    start, end = (result.start_time or "")[:19], (result.end_time or result.start_time or "")[:19]
    return f"    {to_one_line(name).replace(':', ' ')} :{_MARKS.get(result.outcome, 'active, ')}{start}, {end}"
