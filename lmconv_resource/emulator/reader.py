"""Reads values out of JSON, each with its place, so that what is wrong can be said in one line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from .validation import find_value_problem, quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ScenarioError(ValueError):
    """A scenario cannot be used. Its text is one line: the file, the place in it, and what is wrong there."""


class _Object(dict[str, Any]):
    """A JSON object that remembers a name it was given twice, which a plain dict would lose."""

    repeated: str | None = None


class Reader:
    """Reads one text, which errors call `name`. Every method returns what it was to check, or raises ScenarioError."""

    def __init__(self, name: str, text: bytes) -> None:
        self._name = name
        self._text = text

    @classmethod
    def from_file(cls, file: Path) -> Reader:
        """Return a reader of this file's text."""
        try:
            return cls(str(file), file.read_bytes())
        except OSError as error:
            raise ScenarioError(f"{file}: {error.strerror}") from error

    def load(self) -> Any:
        """Return the text's JSON value."""
        try:
            return json.loads(
                self._text.decode("utf-8"), object_pairs_hook=_make_object, parse_constant=_refuse_constant
            )
        except UnicodeDecodeError as error:
            raise ScenarioError(f"{self._name}: it is not UTF-8 text") from error
        except json.JSONDecodeError as error:
            raise ScenarioError(f"{self._name}: line {error.lineno} column {error.colno}: {error.msg}") from error
        except ValueError as error:
            raise ScenarioError(f"{self._name}: {error}") from error
        except RecursionError as error:
            raise ScenarioError(f"{self._name}: it is nested too deeply") from error

    def fail(self, place: str, why: str) -> NoReturn:
        """Raise the error for a place such as `tasks[2].status`."""
        raise ScenarioError(f"{self._name}: {place or 'the whole of it'}: {why}")

    def read_members(
        self, value: Any, place: str, *, required: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the object's members: all the required ones, and no others than these and the optional ones."""
        self.read_object(value, place)
        prefix = f"{place}." if place else ""
        known = (*required, *optional)
        for name in value:
            if name not in known:
                self.fail(f"{prefix}{name}", f"unknown; known are {', '.join(sorted(known))}")
        for name in required:
            if name not in value:
                self.fail(f"{prefix}{name}", "is required")
        return dict(value)

    def read_object(self, value: Any, place: str) -> dict[str, Any]:
        """Return the object, whatever its members."""
        if not isinstance(value, dict):
            self.fail(place, f"{quote(value)} is not an object")
        repeated = getattr(value, "repeated", None)
        if repeated is not None:
            self.fail(f"{place}.{repeated}" if place else repeated, "is given twice")
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
        """Return the number of seconds, from 0 to 1e9."""
        if not _is_number(value) or value < 0:
            self.fail(place, f"{quote(value)} is not a number of seconds")
        return float(value)

    def read_number(self, value: Any, place: str) -> float:
        """Return the number, from -1e9 to 1e9."""
        if not _is_number(value):
            self.fail(place, f"{quote(value)} is not a number")
        return float(value)

    def read_flag(self, value: Any, place: str) -> bool:
        """Return the true or false."""
        if not isinstance(value, bool):
            self.fail(place, f"{quote(value)} is not true or false")
        return value


def _is_number(value: Any) -> bool:
    # Thirty years in seconds: far above it, sleeping and dates overflow.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 <= value <= 1e9


def _make_object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object()
    for name, value in pairs:
        if name in made and made.repeated is None:
            made.repeated = name
        made[name] = value
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
