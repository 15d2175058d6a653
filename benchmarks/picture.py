"""The picture of the documentation: how late an end is noticed and at how many calls, against the task's duration.

Written as SVG by hand: two axes and a few lines are no reason for a plotting library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.lateness import to_bound, trace_loop, trace_ours

_WIDTH, _HEIGHT = 400, 300
_LEFT, _TOP, _GAP, _BOTTOM = 56, 44, 84, 84
_FIRST, _LAST = 1.0, 36000.0
_TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h"}
_OURS, _OURS_MEAN, _LOOP, _PROMISE = "#0b62a4", "#7db4dd", "#c2410c", "#6b7280"

Line = tuple[str, str, str, Sequence[tuple[float, float]]]
"""Its label, color, dashes and points."""


def write(file: Path, *, seeds: int) -> None:
    """Draw the picture into a file."""
    steps = 150
    durations = [_FIRST * (_LAST / _FIRST) ** (step / steps) for step in range(steps + 1)]
    ours, loop = trace_ours(durations, seeds), trace_loop(durations)
    late: list[Line] = [
        ("what is promised", _PROMISE, "2 3", [(d, to_bound(d)) for d in durations]),
        ("loop of 15 s, worst", _LOOP, "", [(p.seconds, p.worst_late) for p in loop]),
        ("loop of 15 s, mean", _LOOP, "6 4", [(p.seconds, p.mean_late) for p in loop]),
        (f"ours, worst of {seeds}", _OURS, "", [(p.seconds, p.worst_late) for p in ours]),
        ("ours, mean", _OURS_MEAN, "6 4", [(p.seconds, p.mean_late) for p in ours]),
    ]
    calls: list[Line] = [
        ("loop of 15 s", _LOOP, "", [(p.seconds, p.calls) for p in loop]),
        ("ours", _OURS, "", [(p.seconds, p.calls) for p in ours]),
    ]
    width, height = 2 * _WIDTH + _GAP + _LEFT + 24, _TOP + _HEIGHT + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#111827">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_panel(_LEFT, "Seconds until an end is noticed", late, lambda y: y / 35, range(0, 36, 5)),
        *_panel(
            _LEFT + _WIDTH + _GAP,
            "Calls for one task",
            calls,
            lambda y: math.log10(y) / math.log10(3000),
            (1, 10, 100, 1000),
        ),
        "</svg>",
    ]
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _panel(
    left: float, title: str, lines: list[Line], to_part: Callable[[float], float], ticks: Sequence[int]
) -> list[str]:
    def x(seconds: float) -> float:
        return left + _WIDTH * math.log(seconds / _FIRST) / math.log(_LAST / _FIRST)

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (1 - to_part(value))

    bottom = _TOP + _HEIGHT
    parts = [f'<text x="{left}" y="{_TOP - 18}" font-size="14" font-weight="600">{title}</text>']
    for tick in ticks:
        parts += [
            f'<path d="M{left} {y(tick):.1f}h{_WIDTH}" stroke="#e5e7eb"/>',
            f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>',
        ]
    for seconds, name in _TICKS.items():
        parts += [
            f'<path d="M{x(seconds):.1f} {_TOP}V{bottom}" stroke="#e5e7eb"/>',
            f'<text x="{x(seconds):.1f}" y="{bottom + 18}" text-anchor="middle">{name}</text>',
        ]
    for number, (label, color, dashes, points) in enumerate(lines):
        path = "L".join(f"{x(seconds):.1f} {y(value):.1f}" for seconds, value in points)
        style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        column, row = left + 200 * (number // 3), bottom + 38 + 16 * (number % 3)
        parts += [
            f'<path d="M{path}" {style}/>',
            f'<path d="M{column} {row - 4}h24" {style}/>',
            f'<text x="{column + 32}" y="{row}">{label}</text>',
        ]
    return parts
