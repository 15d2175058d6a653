"""Prints the matrix of docs/reliability.md: `PYTHONPATH=tests python -m reliability.table --write` puts it there."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from reliability.cases import FAULTS, OPERATIONS, WORDS

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the matrix begins: tests/reliability/table.py writes it -->", "<!-- the matrix ends -->"


def make_table() -> str:
    """Return the matrix in Markdown."""
    counts = Counter(word for row in FAULTS for word in row.cells.values())
    lines = [
        f"{len(FAULTS)} faults and {len(OPERATIONS)} operations: {counts.total()} cells.",
        "",
        "| fault | " + " | ".join(OPERATIONS) + " |",
        "|---" * (len(OPERATIONS) + 1) + "|",
        *(f"| {row.name} | " + " | ".join(row.cells.values()) + " |" for row in FAULTS),
        "",
        "| operation | is |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in OPERATIONS.items()),
        "",
        "| word | cells | what happens | what the state holds after |",
        "|---|---|---|---|",
        *(f"| {word} | {counts[word]} | {happens} | {holds} |" for word, (happens, holds) in WORDS.items()),
        "",
        "Where an operation fails, the resource shows one line: "
        "`Looking up license conversion task <ID> in <REGION>: ` and then",
        "",
        "| under | the rest of the line |",
        "|---|---|",
        *(f"| {row.name} | {row.line} |" for row in FAULTS if row.line),
        "",
        "Where a record is kept, the resource is warned:",
        "",
        "| under | the warning |",
        "|---|---|",
        *(f"| {row.name} | {row.warning} |" for row in FAULTS if row.warning),
    ]
    return "\n".join(lines)


def put_into(document: str) -> str:
    """Return the document with the matrix of today in its place."""
    head, _, rest = document.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n\n{make_table()}\n\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Print the matrix, write it into the document, or check that it is there."""
    if not arguments:
        sys.stdout.write(make_table() + "\n")
        return 0
    document = DOCUMENT.read_text(encoding="utf-8")
    wanted = put_into(document)
    if arguments == ["--write"]:
        DOCUMENT.write_text(wanted, encoding="utf-8")
    elif document != wanted:
        sys.stderr.write(
            "docs/reliability.md is out of date: run `PYTHONPATH=tests python -m reliability.table --write`\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
