"""Reads values out of a JSON file, each with its place, so that what is wrong can be said in one line."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from .validation import find_value_problem, quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ScenarioError(ValueError):
    """A scenario file cannot be used. Its text is one line: the file, the place in it, and what is wrong there."""


class _Object(dict[str, Any]):
    """A JSON object that remembers a name it was given twice, which a plain dict would lose."""

    repeated: str | None = None


class Reader:
    """Reads one file. Every method returns the value it was asked to check, or raises ScenarioError."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> Any:
        """Return the file's JSON value."""
        try:
            text = self._file.read_text(encoding="utf-8")
        except OSError as error:
            raise ScenarioError(f"{self._file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ScenarioError(f"{self._file}: it is not UTF-8 text") from error
        try:
            return json.loads(text, object_pairs_hook=_make_object, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise ScenarioError(f"{self._file}: line {error.lineno} column {error.colno}: {error.msg}") from error
        except ValueError as error:
            raise ScenarioError(f"{self._file}: {error}") from error
        except RecursionError as error:
            raise ScenarioError(f"{self._file}: it is nested too deeply") from error

    def fail(self, place: str, why: str) -> NoReturn:
        """Raise the error for a place such as `tasks[2].status`."""
        raise ScenarioError(f"{self._file}: {place or 'the whole file'}: {why}")

    def read_members(
        self, value: Any, place: str, *, required: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the object's members: all the required ones, and no others than these and the optional ones."""
        if not isinstance(value, dict):
            self.fail(place, f"{quote(value)} is not an object")
        prefix = f"{place}." if place else ""
        known = (*required, *optional)
        for name in value:
            if name not in known:
                self.fail(f"{prefix}{name}", f"unknown; known are {', '.join(sorted(known))}")
        for name in required:
            if name not in value:
                self.fail(f"{prefix}{name}", "is required")
        repeated = getattr(value, "repeated", None)
        if repeated is not None:
            self.fail(f"{prefix}{repeated}", "is given twice")
        return value

    def read_list(self, value: Any, place: str) -> list[Any]:
        """Return the list."""
        if not isinstance(value, list):
            self.fail(place, f"{quote(value)} is not a list")
        return value

    def read_text(self, value: Any, place: str) -> str:
        """Return the string."""
        if not isinstance(value, str):
            self.fail(place, f"{quote(value)} is not a string")
        return value

    def read_choice(self, value: Any, place: str, choices: Sequence[str]) -> str:
        """Return the string, one of the choices."""
        if value not in choices:
            # Of some thirty regions, the list would be no help.
            what = f"one of {', '.join(choices)}" if len(choices) < 10 else "one that License Manager has"
            self.fail(place, f"{quote(value)} is not {what}")
        return str(value)

    def read_pattern(self, value: Any, place: str, pattern: str, what: str) -> str:
        """Return the string, which matches the pattern; `what` describes it."""
        if re.fullmatch(pattern, self.read_text(value, place)) is None:
            self.fail(place, f"{quote(value)} is not {what}")
        return str(value)

    def read_shape(self, value: Any, place: str, shape_name: str) -> str:
        """Return the string, which AWS's service model allows for this shape."""
        why = find_value_problem(shape_name, value)
        if why is not None:
            self.fail(place, why)
        return str(value)

    def read_count(self, value: Any, place: str, least: int) -> int:
        """Return the whole number, not below `least`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.fail(place, f"{quote(value)} is not a whole number from {least} up")
        return value

    def read_seconds(self, value: Any, place: str) -> float:
        """Return the number of seconds, not negative and finite."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
            self.fail(place, f"{quote(value)} is not a number of seconds")
        return float(value)


def _make_object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object()
    for name, value in pairs:
        if name in made and made.repeated is None:
            made.repeated = name
        made[name] = value
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
