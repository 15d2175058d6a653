"""Reads single settings: each is a text, a flag, a number or JSON, as text or as a value, or an error that names it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import parse_duration, to_shown

ConfigGet = Callable[[str], Any]
"""Gives a value of the stack's configuration by its full key, None where it is not set."""

_SHORTEST_ROLE_SECONDS, _LONGEST_ROLE_SECONDS = 15 * 60, 12 * 3600
"""What STS allows."""

_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,16})+-[0-9]{1,2}")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_ROLE_ARN = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/\S+")


def is_region(value: str) -> bool:
    """Return whether a text has the form of an AWS region."""
    return bool(_REGION.fullmatch(value))


def is_url(value: str) -> bool:
    """Return whether a text is a URL that HTTP requests can be sent to."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port or an IPv6 address that is none
        return False


@dataclass(frozen=True)
class Entry:
    """One object of a structured setting. `place` names it in errors, which never show a value: it may be a secret."""

    place: str
    members: Mapping[str, Any]
    remedy: str

    def wrong(self, key: str, form: str) -> SettingsError:
        """Return the error of a member that has another form than this one."""
        value = self.members.get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # YAML and `pulumi config set --path` make numbers of texts.
        quoted = ", but a number: write it in quotes" if is_number else ""
        reason = f"{key} of {self.place} is not {form}{quoted}"
        return SettingsError(Subject(CONNECT_ACTION), reason, self.remedy)

    def check_keys(self, known: tuple[str, ...]) -> None:
        """Raise a SettingsError when there is a member that is not known."""
        for key in self.members:
            if key not in known:
                raise SettingsError(
                    Subject(CONNECT_ACTION),
                    f"{self.place} has {to_shown(key)}, which is none of {', '.join(known)}",
                    self.remedy,
                )

    def text(self, key: str, form: str = "a text", pattern: str = r"(?s).*") -> str | None:
        """Return a member that is a text of this pattern; None when it is not set or empty."""
        value = self.members.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, form)
        return value

    def session_text(self, key: str) -> str | None:
        """Return a member that names a role's session or who it is for: STS takes some characters only."""
        return self.text(key, "2 to 64 letters, digits and _+=,.@-", r"[A-Za-z0-9_+=,.@-]{2,64}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a member that is a list of texts."""
        value = self.members.get(key)
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and one for one in value):
            raise self.wrong(key, "a list of texts")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return a member that maps texts to texts, sorted."""
        value = self.members.get(key)
        if value is None:
            return ()
        if not isinstance(value, Mapping) or not all(
            isinstance(name, str) and name and isinstance(text, str) for name, text in value.items()
        ):
            raise self.wrong(key, "an object of names and texts")
        return tuple(sorted(value.items()))

    def role_arn(self, key: str) -> str:
        """Return a member that is the ARN of a role and has to be there."""
        value = self.text(key)
        if value is None or not _ROLE_ARN.fullmatch(value):
            raise self.wrong(key, "the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")
        return value

    def duration_seconds(self, key: str) -> int | None:
        """Return a member that is a duration of a role's session, in seconds."""
        form = "a duration between 15m and 12h"
        value = self.text(key, form)
        if value is None:
            return None
        seconds = parse_duration(value)
        if seconds is None or not _SHORTEST_ROLE_SECONDS <= seconds <= _LONGEST_ROLE_SECONDS:
            raise self.wrong(key, form)
        return int(seconds)

    def policy(self, key: str) -> str | None:
        """Return a member that is an IAM policy as JSON text."""
        form = "a policy as JSON text"
        value = self.text(key, form)
        try:
            if value is not None and not isinstance(json.loads(value), dict):
                raise self.wrong(key, form)
        except (ValueError, RecursionError):
            raise self.wrong(key, form) from None
        return value


@dataclass(frozen=True)
class SettingsReader:
    """Reads the settings of one namespace (`aws:`), and names them in errors."""

    get: ConfigGet
    prefix: str = "aws:"

    def name(self, key: str) -> str:
        """Return a setting's name as the user writes it."""
        return f"{self.prefix}{key}"

    def remedy(self, key: str) -> str:
        """Return what to do about a setting."""
        return f"Look at it with `pulumi config get {self.name(key)}`"

    def wrong(self, key: str, form: str) -> SettingsError:
        """Return the error of a setting that has another form than this one; without the value, which may be secret."""
        return SettingsError(Subject(CONNECT_ACTION), f"{self.name(key)} is not {form}", self.remedy(key))

    def refused(self, reason: str, remedy: str) -> SettingsError:
        """Return the error of settings that are well-formed and can't be honoured."""
        return SettingsError(Subject(CONNECT_ACTION), reason, remedy)

    def value(self, key: str) -> Any:
        """Return a setting as it is, None when it is not set or empty."""
        value = self.get(self.name(key))
        return None if value == "" else value

    def text(self, key: str, form: str = "a text", *, holds: Callable[[str], bool] = bool) -> str | None:
        """Return a setting that is a text for which `holds` is true."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, str) or not holds(value):
            raise self.wrong(key, form)
        return value

    def url(self, key: str) -> str | None:
        """Return a setting that is a URL."""
        return self.text(key, "a URL (https://HOST)", holds=is_url)

    def flag(self, key: str) -> bool | None:
        """Return a setting that is true or false; None when it is not set, which leaves it to the environment."""
        value = self.value(key)
        if value is None or isinstance(value, bool):
            return value
        if value not in ("true", "false"):
            raise self.wrong(key, "true or false")
        return bool(value == "true")

    def count(self, key: str, default: int) -> int:
        """Return a setting that is a whole number of at least 0."""
        value = self.value(key)
        if value is None:
            return default
        form = "a whole number of at least 0"
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
            value = int(value)
        if isinstance(value, float) and value.is_integer():  # Pulumi hands numbers on as floats
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(key, form)
        return value

    def structured(self, key: str, form: str) -> Any:
        """Return a setting that is JSON: as text, which is how Pulumi hands it on, or as a value."""
        value = self.value(key)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise self.wrong(key, form) from None

    def texts(self, key: str, form: str, *, holds: Callable[[str], bool] = bool) -> tuple[str, ...]:
        """Return a setting that is a list of texts for each of which `holds` is true."""
        return self._to_texts(key, self.structured(key, form), form, holds)

    def _to_texts(self, key: str, value: Any, form: str, holds: Callable[[str], bool]) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and holds(one) for one in value):
            raise self.wrong(key, form)
        return tuple(value)

    def account_ids(self, key: str) -> tuple[str, ...]:
        """Return a setting that is a list of account ids, sorted."""
        form = 'a list of account ids (["123456789012"])'
        value = self.structured(key, form)
        if isinstance(value, (list, tuple)):  # YAML and `pulumi config set --path` make numbers of them
            whole = [int(one) if isinstance(one, float) and one.is_integer() else one for one in value]
            value = [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in whole]
        return tuple(sorted(self._to_texts(key, value, form, lambda text: bool(_ACCOUNT_ID.fullmatch(text)))))

    def file(self, key: str) -> str | None:
        """Return a setting that is the path of a file that is there."""
        path = self.text(key)
        return None if path is None else self.existing_file(self.name(key), path, self.remedy(key))

    def files(self, key: str) -> tuple[str, ...]:
        """Return a setting that is a list of paths of files that are there."""
        paths = self.texts(key, 'a list of paths (["~/.aws/config"])')
        return tuple(self.existing_file(self.name(key), path, self.remedy(key)) for path in paths)

    @staticmethod
    def existing_file(place: str, path: str, remedy: str) -> str:
        """Return the path without `~` and variables. botocore passes over a file that is not there in silence."""
        full = os.path.expanduser(os.path.expandvars(path))
        try:
            found = os.path.isfile(full)
        except ValueError:  # a NUL in it
            found = False
        if not found:
            raise SettingsError(Subject(CONNECT_ACTION), f"{place} names {to_shown(path)}, which is no file", remedy)
        return full

    def entries(self, key: str, form: str) -> list[Entry]:
        """Return the objects of a structured setting, which is a list of them or a single one."""
        value = self.structured(key, form)
        if value is None:
            return []
        single = isinstance(value, Mapping)
        items = [value] if single else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, Mapping) for item in items):
            raise self.wrong(key, form)
        place = self.name(key)
        return [
            Entry(place if single else f"entry {number} of {place}", item, self.remedy(key))
            for number, item in enumerate(items, 1)
        ]
