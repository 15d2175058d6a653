"""Writes the tables of the documents from the data they stand for: `python tests/tables.py --write`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from reliability.cases import FAULTS, OPERATIONS, WORDS

from lmconv_resource.aws.settings_table import make_table as make_settings
from lmconv_resource.hosts.native.outputs import CONVERSION_OUTPUTS, TASK_OUTPUTS, Output
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, TASK_PROPERTIES, Property

DOCS = Path(__file__).parents[1] / "docs"
COMMAND = "python tests/tables.py --write"

TYPES = {
    "string": "str",
    "boolean": "bool",
    "number": "float",
    "license_context": "`LicenseContextArgs` or dict",
    "assume_role": "`AssumeRoleArgs`, dict, or a list of these",
}
"""By a property's type, what a Python program writes."""


def make_matrix() -> str:
    """Return what each operation does under each fault."""
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


def make_inputs(properties: Iterable[Property]) -> str:
    """Return the inputs of a resource."""
    lines = ["| input | type | default | |", "|---|---|---|---|"]
    for each in properties:
        default = "required" if each.required else "" if each.default is None else str(each.default)
        replaces = (
            " Another one replaces the resource." if each.replaces and "Another one" not in each.description else ""
        )
        cells = (f"`{each.name}`", TYPES[each.type], default, each.description + replaces)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def make_outputs(outputs: Iterable[Output]) -> str:
    """Return the outputs of a resource."""
    types = {**TYPES, "license_context": "`LicenseContext`", "product_code[]": "list of `ProductCode`"}
    rows = (f"| `{each.name}` | {types[each.type]} | {each.description} |" for each in outputs)
    return "\n".join(["| output | type | |", "|---|---|---|", *rows])


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("settings.md", "settings"): make_settings,
    ("reliability.md", "matrix"): make_matrix,
    ("inputs.md", "task"): lambda: make_inputs(TASK_PROPERTIES),
    ("inputs.md", "task outputs"): lambda: make_outputs(TASK_OUTPUTS),
    ("inputs.md", "conversion"): lambda: make_inputs(CONVERSION_PROPERTIES),
    ("inputs.md", "conversion outputs"): lambda: make_outputs(
        each for each in CONVERSION_OUTPUTS if each.name not in {known.name for known in TASK_OUTPUTS}
    ),
}
"""By document and the table's name in it, what makes the table."""


def put_into(document: str, name: str, table: str) -> str:
    """Return a document with a table in its place, between two comments."""
    begin, end = f"<!-- table {name}: tests/tables.py writes it -->", f"<!-- end of table {name} -->"
    head, _, rest = document.partition(begin)
    return f"{head}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def find_outdated() -> dict[Path, str]:
    """Return the documents whose tables are not those of today, as they should be."""
    wanted: dict[Path, str] = {}
    for (name, table), make in TABLES.items():
        path = DOCS / name
        wanted[path] = put_into(wanted.get(path) or path.read_text(encoding="utf-8"), table, make())
    return {path: text for path, text in wanted.items() if path.read_text(encoding="utf-8") != text}


def main(arguments: list[str]) -> int:
    """Write the tables into the documents, or say which are out of date."""
    outdated = find_outdated()
    if arguments == ["--write"]:
        for path, text in outdated.items():
            path.write_text(text, encoding="utf-8")
        return 0
    for path in outdated:
        sys.stderr.write(f"{path.name} is out of date: run `{COMMAND}`\n")
    return int(bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
