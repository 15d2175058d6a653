"""The mark on an instance that was stopped for a conversion and is to be started again: whose, since and until when.

It is a tag with the same value in two places, the instance and its primary network interface, and either one is a mark:
a program that manages the instance's tags removes those it does not know, and hardly any manages the tags of the
network interface that EC2 made. `Launch more like this` copies the instance's tags, so the value names the instance;
the instances of a fleet that are marked together have one value, which names each by a short hash.

EC2's tags have no compare-and-set: the last writer owns, and each reads the mark again before it acts. A tag is deleted
with its value only, which never takes away another's.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lmconv_resource.aws.ec2 import Instance, Tag
from lmconv_resource.text import parse_rfc3339, to_one_line, to_plain_text, to_rfc3339

RESTART_TAG = "lmconv:restart"
REFUSED_TAG = "lmconv:refused"
"""When AWS refused the conversion after a stop, of which instance, and why; removed after a success."""

TAGS = (RESTART_TAG, REFUSED_TAG)

GRACE = timedelta(minutes=10)
"""How long after its `until` a mark still counts as young: clocks differ."""

_DEFAULT_AGE = timedelta(hours=12)
_URN_CHARS = 150
_VALUE_CHARS = 256
_SEVERAL, _SHORT = "*", 4
"""What the names of several instances begin with, and how long the hash of each is: 24 bits."""
_REFUSED_WITHIN, _MAX_REFUSALS = timedelta(hours=24), 5
_TRANSITION_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def _hash(urn: str | None) -> str:
    return hashlib.sha256((urn or "unknown").encode()).hexdigest()[:12]


def _to_short(instance_id: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(instance_id.encode()).digest())[:_SHORT].decode()


@dataclass(frozen=True)
class Mark:
    """A mark as it was read: the tag's value, and the ids of the resources that have it.

    The owner is the hash of a URN, and `urn` its end. `instance_id` is the one that it was written for, or the short
    hashes of several behind a `*`. Earlier versions wrote the URN alone, which then is the owner, and no more is known.
    """

    value: str
    places: tuple[str, ...]
    owner: str
    instance_id: str | None
    urn: str
    since: datetime | None
    until: datetime | None

    @classmethod
    def parse(cls, value: str, places: tuple[str, ...], stopped_at: datetime | None) -> Mark:
        """Return a mark from its tag's value. Earlier versions wrote the URN alone: `stopped_at` tells its age."""
        parts = value.split(" ", 4)
        try:
            since, until = parse_rfc3339(parts[0]), parse_rfc3339(parts[1])
            _, _, instance_id, owner, urn = parts
            return cls(value, places, owner, instance_id, to_one_line(to_plain_text(urn)), since, until)
        except (ValueError, IndexError):
            ends = stopped_at + _DEFAULT_AGE if stopped_at else None
            urn = to_one_line(to_plain_text(value))[-_URN_CHARS:]
            return cls(value, places, value, None, urn, stopped_at, ends)

    def is_owned_by(self, urn: str | None) -> bool:
        """Return whether the resource with this URN wrote it."""
        own = urn or "unknown"
        return self.owner == (own[:256] if self.instance_id is None else _hash(own))

    def is_young(self, now: datetime) -> bool:
        """Return whether its job may still be going on; always, where its age is not known."""
        return self.until is None or now < self.until + GRACE

    def is_for(self, instance_id: str) -> bool:
        """Return whether it was written for this instance, and did not come along with a copy of another's tags."""
        names = self.instance_id
        if names is None or not names.startswith(_SEVERAL):
            return names in (None, instance_id)
        return _to_short(instance_id) in (names[at : at + _SHORT] for at in range(1, len(names), _SHORT))

    @property
    def instance_ids(self) -> list[str]:
        """The instance that it was written for, or where the value does not tell, those that have it."""
        if self.instance_id is not None and not self.instance_id.startswith(_SEVERAL):
            return [self.instance_id]
        return [place for place in self.places if place.startswith("i-")]

    @property
    def age_text(self) -> str:
        """Since when there is this mark."""
        return f"since {to_rfc3339(self.since.replace(microsecond=0))}" if self.since else "for an unknown time"


def make_value(urn: str | None, instance_id: str | Sequence[str], since: datetime, until: datetime) -> str:
    """Return the value of a mark for an instance, or for several, at most 32: at most 256 characters."""
    own = urn or "unknown"
    # To the millisecond: of two that are written at nearly the same time, the later one counts.
    begun = since.replace(microsecond=since.microsecond // 1000 * 1000)
    times = f"{to_rfc3339(begun)} {to_rfc3339(until.replace(microsecond=0))}"
    names = instance_id if isinstance(instance_id, str) else _SEVERAL + "".join(map(_to_short, instance_id))
    value = f"{times} {names} {_hash(own)} "
    return value + own[-min(_URN_CHARS, _VALUE_CHARS - len(value)) :]


def read_marks(tags: Iterable[Tag], instance: Instance | None = None) -> tuple[Mark, ...]:
    """Return the marks among the tags of an instance and its network interface, one for each value."""
    places: dict[str, list[str]] = {}
    for tag in tags:
        if tag.key == RESTART_TAG:
            places.setdefault(tag.value, []).append(tag.resource_id)
    stopped_at = to_stop_time(instance) if instance and places else None
    return tuple(Mark.parse(value, tuple(ids), stopped_at) for value, ids in places.items())


def has_mark(urn: str | None, instance: Instance, tags: Iterable[Tag] = ()) -> bool:
    """Return whether an instance has the mark of the resource with this URN, by its tags or these; a copy is none."""
    marks = read_marks((*tags, *instance.tags), instance)
    return any(mark.is_owned_by(urn) and mark.is_for(instance.instance_id) for mark in marks)


def to_places(instance: Instance) -> tuple[str, ...]:
    """Return the ids of what a mark is written to."""
    return (instance.instance_id, *([instance.interface_id] if instance.interface_id else []))


def to_stop_time(instance: Instance) -> datetime | None:
    """Return when a call last changed the state, as EC2 says; None where it does not say."""
    match = _TRANSITION_TIME.search(instance.transition_reason)
    return datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc) if match else None


@dataclass(frozen=True)
class Refusals:
    """When AWS refused the conversion of an instance after a stop, within 24 hours, and the last code."""

    times: tuple[datetime, ...] = ()
    code: str = ""

    @classmethod
    def parse(cls, tags: Iterable[Tag], instance_id: str, now: datetime) -> Refusals:
        """Return what the tags say; what is older, or a copy of another instance's, does not count."""
        found = cls()
        for tag in tags:
            parts = tag.value.split(" ", 2) if tag.key == REFUSED_TAG else []
            try:
                listed, of_instance, code = parts
                times = tuple(map(parse_rfc3339, listed.split(",")))
            except ValueError:
                continue
            recent = tuple(each for each in times if now - each < _REFUSED_WITHIN)
            if of_instance == instance_id and len(recent) > len(found.times):
                found = cls(recent, to_plain_text(code))
        return found

    def with_one(self, instance_id: str, code: str, now: datetime) -> str:
        """Return the tag's value with one more, and the last of these."""
        times = (*self.times, now.replace(microsecond=0))[-_MAX_REFUSALS:]
        return f"{','.join(map(to_rfc3339, times))} {instance_id} {code or 'refused'}"[:_VALUE_CHARS]
