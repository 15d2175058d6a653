"""The report on a fleet's conversions: Markdown with a table and a Mermaid Gantt chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmconv_resource import UsageOperation

_MARKS = {"SUCCEEDED": "done, ", "FAILED": "crit, ", "IN_PROGRESS": "active, "}


def to_report(rows: Iterable[Mapping[str, Any]]) -> str:
    """Give the report on conversions, in the table's order; times are UTC."""
    rows = list(rows)
    table = ["| Instance | From | To | Billed as | Status | Took |", "|---|---|---|---|---|---|", *map(_to_line, rows)]
    bars = [_to_bar(row) for row in rows if row["start_time"]]
    chart = ["gantt", "    dateFormat YYYY-MM-DDTHH:mm:ss", "    axisFormat %H:%M:%S", *bars]
    return "\n".join(["# License conversions", "", *table, "", "```mermaid", *chart, "```", ""])


def _to_line(row: Mapping[str, Any]) -> str:
    source, destination, billed = (_describe(operation) for operation in row["operations"])
    status = row["status"]
    if status == "FAILED":
        status = f"FAILED: {' '.join((row['status_message'] or 'no reason given').split())}".replace("|", r"\|")
    return f"| {_name(row)} | {source} | {destination} | {billed} | {status} | {_took(row['duration_seconds'])} |"


def _to_bar(row: Mapping[str, Any]) -> str:
    # Mermaid reads no fractions of a second and no zone.
    start, end = row["start_time"][:19], (row["end_time"] or row["start_time"])[:19]
    return f"    {_name(row)} :{_MARKS[row['status']]}{start}, {end}"


def _name(row: Mapping[str, Any]) -> str:
    return str(row["arn"]).rpartition("/")[2]


def _describe(code: str | None) -> str:
    """Give AWS's name of a usage operation, or the code that has none yet."""
    if code is None:
        return ""
    return UsageOperation(code).meaning if code in {operation.value for operation in UsageOperation} else code


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
