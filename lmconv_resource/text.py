"""How sentences are made: names, values and settings as the programs of a host write them, and formatting and parsing.

A sentence has names from here at the moment it is made. No finished text is ever rewritten, so that neither a user's
words nor AWS's can be touched. A constant text holds them in braces, for `fill`: `set {retry_failed=True}`,
`{aws:}profile`, `{run region REGION}`.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, NamedTuple

_HUMP = re.compile(r"[A-Z]")
_GAP = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def to_camel(name: str) -> str:
    """Return a name in camelCase. A leading `__`, which hides a property from the user, stays."""
    return _GAP.sub(lambda match: match[1].upper(), name)


def to_snake(name: str) -> str:
    """Return a name in snake_case: what `to_camel` was given."""
    return _HUMP.sub(lambda match: f"_{match[0].lower()}", name)


class Wording(NamedTuple):
    """How the programs of a host write: as Python on this package's own classes, or as YAML and most languages do.

    `prefix` begins the keys of the stack's settings; `provider` is the explicit provider that has settings instead.
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


class _Names(dict[str, Any]):
    def __missing__(self, field: str) -> str:
        if field == "aws":
            return key("")
        if field == "the stack's ":
            return "" if wording().provider else field
        if field in ("True", "False"):
            return to_value(field == "True")
        verb, *words = field.split(" ")
        if verb in _VERBS:
            name, value = words
            return on_settings(f"{verb} `pulumi config set {key(name)} {value}`", f"{_VERBS[verb]} {name}")
        name, is_set, value = field.partition("=")
        return setting(name, value == "True") if is_set else written(name)


def fill(text: str, values: Mapping[str, Any] | None = None) -> str:
    """Return a constant text with what stands in braces: one of these values, or else a name, an input or a setting."""
    return text.format_map(_Names(values or {}))


# -- formatting and parsing --------------------------------------------------------------------------------------------

# C0 and C1 control characters, without the line break and the tab, which can do no harm on a terminal; and the
# characters that turn the direction of text, which can make a message read as something else; and halves of surrogate
# pairs, which JSON can hold and no stack can store.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_USER_IN_URL = re.compile(r'//[^/"]*@')
_USER_IN_ENDPOINT = re.compile(r": .*@", re.DOTALL)

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def to_duration_text(seconds: float) -> str:
    """Return a number of seconds as people say it: `9s`, `3m20s`, `2h00m`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration as Pulumi and Go write it (`90s`, `1h30m`), None for any other text."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def to_rfc3339(moment: datetime) -> str:
    """Return a moment as an RFC 3339 string in UTC (`2026-11-23T08:00:00Z`), with fractions only where it has some."""
    precision = "seconds" if moment.microsecond == 0 else "milliseconds" if moment.microsecond % 1000 == 0 else "auto"
    return moment.astimezone(timezone.utc).isoformat(timespec=precision).replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Return the moment that `to_rfc3339` wrote; any other text is a ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z


def to_one_line(text: str) -> str:
    """Return the text with each run of white space, line breaks too, as one space."""
    return " ".join(text.split())


def to_plain_text(text: str) -> str:
    r"""Return AWS's text with every control character spelled out (`\x1b`), so that it can't act on a terminal."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def to_whole(value: object) -> object:
    """Return a whole number as an int, which Pulumi hands on as a float, and any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_shown(value: object) -> str:
    """Return a value as an error shows it: plain, and at most 80 characters."""
    text = to_plain_text(to_value(to_whole(value)))
    return text if len(text) <= 80 else f"{text[:77]}…"


def to_failure_reason(status_message: str | None) -> str:
    """Return AWS's word on why a task FAILED, in one line."""
    return to_one_line(status_message or "AWS gives no status message")


def to_address(url: str) -> str:
    """Return host and port of a URL, which hold no secret, whatever stands around them."""
    return re.split("[/?#]", url.rpartition("@")[2] if "@" in url else url.rpartition("://")[2])[0]


def without_credentials(text: str) -> str:
    """Return the text without a name and a password in a URL, which botocore's texts repeat."""
    return _USER_IN_URL.sub("//", text)


def without_endpoint_credentials(text: str) -> str:
    """Return `ValueError: Invalid endpoint: …` of botocore without a name and a password in the endpoint."""
    return _USER_IN_ENDPOINT.sub(": ", text)


def find_close(name: str, known: Iterable[str]) -> str | None:
    """Return which known name another one is likely to mean, in whatever case it is written; None if none is close."""
    folded = {each.replace("_", "").lower(): each for each in known}
    close = difflib.get_close_matches(name.replace("_", "").lower(), folded, n=1, cutoff=0.75)
    return folded[close[0]] if close else None


def to_known(name: str, known: Iterable[str]) -> str:
    """Return what an error says of a name that is none of the known ones: the one that it is likely to mean, or all."""
    meant = find_close(name, known)
    return f"which is not known: write {meant}" if meant else f"which is not one of {', '.join(known)}"
