"""Tables of instances as people have them, for `ConversionFleet`: CSV, JSON or YAML."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pulumi import RunError

from lmconv_resource.text import to_one_line, to_plain_text, to_shown
from lmconv_resource.usage_operations import parse_code

_COLUMNS: dict[str, tuple[str, tuple[type, ...]]] = {
    "arn": ("resource_arn", (str,)),
    "to": ("destination_license_context", (str, Mapping)),
    "from": ("source_license_context", (str, Mapping)),
    "name": ("name", (str,)),
    "profile": ("profile", (str,)),
    "role": ("assume_role", (str, Mapping, list)),
}
"""The columns: the members of a fleet's instance that they become, and what may stand in them."""

_MOST_SHOWN = 20
"""Lines of an error; a table of 400 rows with a wrong column has 400."""


def read_instances(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a table of instances as `ConversionFleet(instances=…)` takes them.

    The columns are `arn`, `to`, `from`, `name`, `profile` and `role`, upper or lower case; of these only `arn` has to
    be there, and a cell that is empty is left out. `to` and `from` are a usage operation, by its code
    (`RunInstances:0002`, or `0002` alone) or AWS's name of it (`Windows`); `role` is the ARN of a role to assume.

    Args:
        path: the table. `.json` and `.yaml` are lists of objects, in which `to`, `from` and `role` may be objects too,
            as in a program. Anything else is CSV with `,` or `;` and a line of names, in UTF-8, with or without the
            byte order mark that Excel writes.

    Raises:
        pulumi.RunError: the file can't be read as such a table. Its text names each line that is wrong.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = list(_read_rows(text, file.suffix.lower()))
    except UnicodeDecodeError:
        raise RunError(f"{file}: it is not UTF-8. In Excel, save it as 'CSV UTF-8'") from None
    except OSError as cause:
        raise RunError(f"{file}: it can't be read: {cause.strerror}") from None
    except (ValueError, yaml.YAMLError) as cause:
        raise RunError(f"{file}: {to_plain_text(to_one_line(str(cause)))}") from None
    instances, problems = [], []
    for where, row in rows:
        try:
            instances.append(_to_instance(row))
        except ValueError as cause:
            problems.append(f"{where}: {cause}")
    if problems:
        more = [f"and {len(problems) - _MOST_SHOWN} more"] if len(problems) > _MOST_SHOWN else []
        raise RunError("\n".join([f"{file}:", *problems[:_MOST_SHOWN], *more]))
    return instances


def _read_rows(text: str, suffix: str) -> Iterable[tuple[str, Mapping[Any, Any]]]:
    """Return each row by the names of its columns, after where it is."""
    if suffix not in (".json", ".yaml", ".yml"):
        return _read_csv(text)
    rows = json.loads(text) if suffix == ".json" else yaml.safe_load(text)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError("it is not a list of objects, each with an arn")
    return [(f"entry {number}", row) for number, row in enumerate(rows, 1)]


def _read_csv(text: str) -> Iterable[tuple[str, Mapping[Any, Any]]]:
    header = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(text.splitlines(), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True)
    filled = filter(any, ([cell.strip() for cell in cells] for cells in reader))
    try:
        names = next(filled, [])
        for cells in filled:
            extra = {None: cells[len(names) :]} if any(cells[len(names) :]) else {}
            yield f"line {reader.line_num}", {**dict(zip(names, cells, strict=False)), **extra}
    except csv.Error as cause:
        raise ValueError(f"line {reader.line_num}: {cause}") from cause


def _to_instance(row: Mapping[Any, Any]) -> dict[str, Any]:
    instance: dict[str, Any] = {}
    for column, cell in row.items():
        if column is None:
            raise ValueError(f"it has more cells than the line of names: {to_shown(cell[0])}")
        name = str(column).strip().lower()
        value = cell.strip() if isinstance(cell, str) else cell
        if value in ("", None):
            continue
        if name not in _COLUMNS:
            raise ValueError(f"{to_shown(column)} is not a column: there are {', '.join(_COLUMNS)}")
        member, kinds = _COLUMNS[name]
        if not isinstance(value, kinds):
            raise ValueError(f"{name} {to_shown(value)} is not a string")  # noqa: TRY004 -- a cell, no argument
        if name in ("to", "from") and isinstance(value, str):
            value = {"usage_operation": parse_code(value)}
        if name == "role" and isinstance(value, str):
            value = {"role_arn": value}
        instance[member] = value
    if "resource_arn" not in instance:
        raise ValueError("it has no arn")
    return instance
