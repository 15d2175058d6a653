"""How programs write names, values and settings. A sentence has them from here at the moment it is made.

No finished text is ever rewritten, so that neither a user's words nor AWS's can be touched. A constant text holds them
in braces, for `fill`: `set {retry_failed=True}`, `{aws:}profile`, `{run region REGION}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_HUMP = re.compile(r"[A-Z]")
_GAP = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def to_camel(name: str) -> str:
    """Return a name in camelCase. A leading `__`, which hides a property from the user, stays."""
    return _GAP.sub(lambda match: match[1].upper(), name)


def to_snake(name: str) -> str:
    """Return a name in snake_case: what `to_camel` was given."""
    return _HUMP.sub(lambda match: f"_{match[0].lower()}", name)


@dataclass(frozen=True)
class Wording:
    """How the programs of a host write.

    Args:
        is_python: whether as Python does, on this package's own classes; else as YAML and most languages of Pulumi do.
        prefix: what the keys of the stack's settings begin with.
        provider: the explicit provider that has settings instead of the stack; None where none has.
    """

    is_python: bool = True
    prefix: str = "aws:"
    provider: str | None = None


_wording: ContextVar[Wording] = ContextVar("wording", default=Wording())  # noqa: B039 -- it is frozen


def wording() -> Wording:
    """Return the wording of the host that this thread works for."""
    return _wording.get()


@contextmanager
def using(of_host: Wording) -> Iterator[None]:
    """Have a host's wording in all that is said meanwhile, in threads too that a `Runtime` starts meanwhile."""
    token = _wording.set(of_host)
    try:
        yield
    finally:
        _wording.reset(token)


def written(name: str) -> str:
    """Return the name of an input or an output, given in snake_case."""
    return name if wording().is_python else to_camel(name)


def to_value(value: object) -> str:
    """Return a value as programs write it, true and false that is, and else as Python does."""
    return str(value).lower() if isinstance(value, bool) and not wording().is_python else repr(value)


def setting(name: str, value: object) -> str:
    """Return an input with its value: `retry_failed=True`, `retryFailed: true`."""
    return f"{written(name)}{'=' if wording().is_python else ': '}{to_value(value)}"


def example(type: str, member: str, value: str) -> str:
    """Return a nested type (`ProductCode`) in words, with one of its members as an example."""
    if wording().is_python:
        return f'a {type}Args, such as {type}Args({member}="{value}")'
    return f'a {to_snake(type).replace("_", " ").strip()}, such as {{{written(member)}: "{value}"}}'


def key(name: str) -> str:
    """Return the full key of a setting: `aws:profile`; of an explicit provider's, its name alone."""
    return name if wording().provider else f"{wording().prefix}{name}"


def on_settings(remedy: str, otherwise: str = "Correct it") -> str:
    """Return what to do about the stack's settings; of an explicit provider's, `otherwise` and where it stands."""
    provider = wording().provider
    return f"{otherwise} on the provider `{provider}` in the program" if provider else remedy


_VERBS = {"run": "set", "Run": "Set", "with": "with"}
"""What stands before the command that sets a setting, and before an explicit provider's setting."""


def set_setting(verb: str, name: str, value: str) -> str:
    """Return how a setting is set: `run`, `Run` or `with`, and the command; or the setting and where it stands."""
    return on_settings(f"{verb} `pulumi config set {key(name)} {value}`", f"{_VERBS[verb]} {name}")


class _Names(dict[str, Any]):
    def __missing__(self, field: str) -> str:
        if field == "aws":
            return key("")
        if field == "the stack's ":
            return "" if wording().provider else field
        if field in ("True", "False"):
            return to_value(field == "True")
        if field.partition(" ")[0] in _VERBS:
            return set_setting(*field.split(" "))
        name, is_set, value = field.partition("=")
        return setting(name, value == "True") if is_set else written(name)


def fill(text: str, values: Mapping[str, Any] | None = None) -> str:
    """Return a constant text with what stands in braces: one of these values, or else a name, an input or a setting."""
    return text.format_map(_Names(values or {}))
