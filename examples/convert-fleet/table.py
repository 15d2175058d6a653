"""The table of instances: CSV with a line of names, or JSON, a list of objects."""

from __future__ import annotations

import csv
import json
from pathlib import Path


def read_table(path: str) -> list[dict[str, str]]:
    """Return the rows; each has `arn` and `to`, the usage operation that the instance is to have."""
    text = Path(path).read_text(encoding="utf-8")
    rows: list[dict[str, str]] = json.loads(text) if path.endswith(".json") else [*csv.DictReader(text.splitlines())]
    return rows
