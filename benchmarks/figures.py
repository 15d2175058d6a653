"""A figure: what was measured, what stands beside it, and the bound; and the table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    what: str
    ours: str
    beside: str
    ratio: str
    bound: str
    """What is promised; empty for a figure that only informs."""
    holds: bool | None
    """Whether the promise was kept; None where there is none."""

    @property
    def verdict(self) -> str:
        """Say whether the promise was kept."""
        return {True: "pass", False: "FAIL", None: ""}[self.holds]


@dataclass(frozen=True)
class Group:
    """Figures that were measured in one go."""

    title: str
    figures: tuple[Figure, ...]
    note: str = ""
    """What a reader must know of this run, such as that something could not be measured."""


HEADER = ("what", "ours", "beside", "ours / beside", "bound", "")


def to_table(figures: Iterable[Figure]) -> list[str]:
    """Give the lines of a Markdown table, its columns padded so that it reads well on a terminal too."""
    cells = [HEADER, *((f.what, f.ours, f.beside, f.ratio, f.bound, f.verdict) for f in figures)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def to_ratio(ours: float, beside: float) -> str:
    """Give a ratio as one reads it: `x0.57`, or `1/84` where it is small."""
    if ours <= 0 or beside <= 0:
        return ""
    ratio = ours / beside
    if ratio > 0.2:
        return f"x{ratio:.2f}"
    return f"1/{beside / ours:.1f}" if ratio > 0.05 else f"1/{beside / ours:.0f}"
