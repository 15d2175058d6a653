"""Prints the table of docs/settings.md: `python tests/settings_table.py --write` puts it there."""

from __future__ import annotations

import sys
from pathlib import Path

from lmconv_resource.aws.settings_table import make_table

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"
BEGIN, END = "<!-- the table begins: tests/settings_table.py writes it -->", "<!-- the table ends -->"


def put_into(document: str) -> str:
    """Return the document with the table of today in its place."""
    head, _, rest = document.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n\n{make_table()}\n\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Print the table, write it into the document, or check that it is there."""
    if not arguments:
        sys.stdout.write(make_table() + "\n")
        return 0
    document = DOCUMENT.read_text(encoding="utf-8")
    wanted = put_into(document)
    if arguments == ["--write"]:
        DOCUMENT.write_text(wanted, encoding="utf-8")
    elif document != wanted:
        sys.stderr.write("docs/settings.md is out of date: run `python tests/settings_table.py --write`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
