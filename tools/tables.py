"""Writes what is made of data, the documents' tables and schema.json: `make tables`."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from make_schema import Member, make_schema, read_members, to_full_text
from make_sdk import make_init
from reliability.cases import FAULTS, OPERATIONS, WORDS

from lmconv_resource import ConversionFleet, LicenseConversion, LicenseConversionTask
from lmconv_resource.aws.access import SETTINGS
from lmconv_resource.hosts.native import SCHEMA_PATH
from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, TASK_PROPERTIES, Property
from lmconv_resource.lifecycle.job import RULES
from lmconv_resource.lifecycle.job import WORDS as WORD_TEXTS
from lmconv_resource.models import OUTPUTS
from lmconv_resource.text import fill

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
RESOURCES = PROJECT / "lmconv_resource" / "sdk" / "resources.py"
COMMAND = "make tables"

TYPES = {
    "string": "str",
    "boolean": "bool",
    "number": "float",
    "integer": "int",
    "fleet_instance[]": "what `read_instances` returns, or a list of `FleetInstanceArgs` or dicts",
    "license_context": "`LicenseContextArgs` or dict",
    "assume_role": "`AssumeRoleArgs`, dict, or a list of these",
}
"""By a property's type, what a Python program writes."""


def make_settings() -> str:
    """Return the settings of pulumi-aws, and what becomes of each."""
    rows = (f"| `aws:{each.key}` | {each.treatment} | {each.description} |" for each in SETTINGS)
    return "\n".join(["| setting | is | how, or why |", "|---|---|---|", *rows])


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


def make_rules() -> str:
    """Return what is done about a conversion in which situation, in the order in which it is decided."""
    rows = ["| | when | then |", "|---|---|---|"]
    for number, rule in enumerate(RULES, 1):
        words = [f"not: {WORD_TEXTS[word[1:]]}" if word[0] == "-" else WORD_TEXTS[word] for word in rule.when.split()]
        rows.append(f"| {number} | {fill('; '.join(words)) or 'anything else'} | {rule.then.value} |")
    return "\n".join(rows)


def make_inputs(properties: Iterable[Property]) -> str:
    """Return the inputs of a resource."""
    lines = ["| input | type | required | |", "|---|---|---|---|"]
    for each in properties:
        cells = (f"`{each.name}`", TYPES[each.type], "yes" if each.required else "", to_full_text(each))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def make_outputs(outputs: Mapping[str, Member]) -> str:
    """Return the outputs of a resource."""
    rows = (f"| `{name}` | {_to_shown_type(member.annotation)} | {member.text} |" for name, member in outputs.items())
    return "\n".join(["| output | type | |", "|---|---|---|", *rows])


def _to_shown_type(annotation: ast.expr) -> str:
    """Return what is inside of `pulumi.Output[…]`, in words."""
    inside = ast.unparse(annotation).removeprefix("pulumi.Output[").removesuffix("]").replace(" | None", " or None")
    inside = re.sub(r"list\[(\w+)\]", r"list of \1", inside)
    return re.sub(r"\b(?!None)[A-Z]\w+", r"`\g<0>`", inside)


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("settings.md", "settings"): make_settings,
    ("reliability.md", "matrix"): make_matrix,
    ("starting.md", "rules"): make_rules,
    ("inputs.md", "task"): lambda: make_inputs(TASK_PROPERTIES),
    ("inputs.md", "task outputs"): lambda: make_outputs(read_members(LicenseConversionTask)),
    ("inputs.md", "conversion"): lambda: make_inputs(CONVERSION_PROPERTIES),
    ("inputs.md", "conversion outputs"): lambda: make_outputs(
        {name: member for name, member in read_members(LicenseConversion).items() if name not in OUTPUTS}
    ),
    ("inputs.md", "fleet"): lambda: make_inputs(FLEET_PROPERTIES),
    ("inputs.md", "fleet outputs"): lambda: make_outputs(read_members(ConversionFleet)),
}
"""By document and the table's name in it, what makes the table."""


SDK: dict[str, Callable[[], str]] = {
    "constructor of a task": lambda: make_init(
        "Declare that the stack tracks a task, named by its id or as the newest of a resource.", TASK_PROPERTIES
    ),
    "constructor of a conversion": lambda: make_init("Declare that a resource is converted.", CONVERSION_PROPERTIES),
    "constructor of a fleet": lambda: make_init("Declare that instances are converted.", FLEET_PROPERTIES),
}
"""By its name in sdk/resources.py, what makes a part of it."""


def put_into(document: str, name: str, table: str) -> str:
    """Return a document with a table in its place, between two comments."""
    begin, end = f"<!-- table {name}: `make tables` writes it -->", f"<!-- end of table {name} -->"
    return _put(document, begin, f"\n\n{table}\n\n", end)


def _put(text: str, begin: str, made: str, end: str) -> str:
    head, _, rest = text.partition(begin)
    return f"{head}{begin}{made}{end}{rest.partition(end)[2]}"


def outdated_files() -> dict[Path, str]:
    """Return the documents whose tables are not those of today, as they should be."""
    wanted: dict[Path, str] = {}
    for (name, table), make in TABLES.items():
        path = DOCS / name
        wanted[path] = put_into(wanted.get(path) or path.read_text(encoding="utf-8"), table, make())
    wanted[SCHEMA_PATH] = make_schema()
    wanted[RESOURCES] = RESOURCES.read_text(encoding="utf-8")
    for name, make in SDK.items():
        begin, end = f"    # -- {name}: `make tables` writes it --\n", f"# -- end of {name} --"
        wanted[RESOURCES] = _put(wanted[RESOURCES], begin, make(), end)
    return {path: text for path, text in wanted.items() if path.read_text(encoding="utf-8") != text}


def main(arguments: list[str]) -> int:
    """Write the tables into the documents, or say which are out of date."""
    outdated = outdated_files()
    if arguments == ["--write"]:
        for path, text in outdated.items():
            path.write_text(text, encoding="utf-8")
        return 0
    for path in outdated:
        sys.stderr.write(f"{path.name} is out of date: run `{COMMAND}`\n")
    return int(bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
