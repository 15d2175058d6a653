"""Reads faults and rate limits out of JSON: the members of each are those of its class, flat, beside `kind`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from .effects import EFFECTS, Effect
from .faults import OPERATIONS, Fault
from .limits import LIMIT_CODES, RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .reader import Reader

    Read = Callable[[Reader, Any, str], Any]

T = TypeVar("T")

_READ: Mapping[str, Read] = {
    "operation": lambda reader, value, place: reader.read_choice(value, place, OPERATIONS),
    "calls": lambda reader, value, place: reader.read_count(value, place, 1),
    "share": lambda reader, value, place: reader.read_number(value, place),
    "seed": lambda reader, value, place: reader.read_count(value, place, 0),
    "from_seconds": lambda reader, value, place: reader.read_seconds(value, place),
    "until_seconds": lambda reader, value, place: reader.read_seconds(value, place),
    "code": lambda reader, value, place: reader.read_pattern(value, place, r"[A-Za-z][A-Za-z.]*", "an error code"),
    "message": lambda reader, value, place: reader.read_text(value, place),
    "http_status": lambda reader, value, place: reader.read_count(value, place, 200),
    "body": lambda reader, value, place: reader.read_text(value, place),
    "content_type": lambda reader, value, place: reader.read_pattern(value, place, "[ -~]+", "a header's value"),
    "members": lambda reader, value, place: reader.read_object(value, place),
    "without": lambda reader, value, place: tuple(
        reader.read_text(name, f"{place}[{index}]") for index, name in enumerate(reader.read_list(value, place))
    ),
    "halfway": lambda reader, value, place: reader.read_flag(value, place),
    "delay_seconds": lambda reader, value, place: reader.read_seconds(value, place),
    "offset_seconds": lambda reader, value, place: reader.read_number(value, place),
    "rate_per_second": lambda reader, value, place: reader.read_number(value, place),
    "burst": lambda reader, value, place: reader.read_count(value, place, 1),
}
"""How each member is read, whichever class it is of."""

_WHEN = tuple(field.name for field in fields(Fault) if field.name != "effect")


@dataclass(frozen=True)
class ScenarioFault:
    """A fault and where it is: in one region, or for None in each, on its own."""

    region: str | None
    fault: Fault


def read_faults(reader: Reader, value: Any, place: str, regions: list[str]) -> tuple[ScenarioFault, ...]:
    """Return the faults of a JSON list.

    Raises:
        ScenarioError: one is not right; names its place.

    """
    items = enumerate(reader.read_list(value, place))
    return tuple(_read_fault(reader, item, f"{place}[{index}]", regions) for index, item in items)


def read_rate_limit(reader: Reader, value: Any, place: str) -> RateLimit:
    """Return the rate limit of a JSON object.

    Raises:
        ScenarioError: it is not right; names the place.

    """
    required, optional = _find_members(RateLimit)
    given = reader.read_members(value, place, required=required, optional=optional)
    if "code" in given:
        reader.read_choice(given["code"], f"{place}.code", LIMIT_CODES)
    return _make(reader, place, RateLimit, given)


def _read_fault(reader: Reader, value: Any, place: str, regions: list[str]) -> ScenarioFault:
    kind = reader.read_object(value, place).get("kind")
    if kind is None:
        reader.fail(f"{place}.kind", "is required")
    effect = EFFECTS[reader.read_choice(kind, f"{place}.kind", tuple(EFFECTS))]
    required, optional = _find_members(effect)
    given = reader.read_members(value, place, required=("kind", *required), optional=(*optional, *_WHEN, "region"))
    region = reader.read_choice(given["region"], f"{place}.region", regions) if "region" in given else None
    made: Effect = _make(reader, place, effect, {name: given[name] for name in (*required, *optional) if name in given})
    when = {name: given[name] for name in _WHEN if name in given}
    return ScenarioFault(region, _make(reader, place, Fault, when, effect=made))


def _find_members(made: type[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that an object of the class needs, and those that it may have."""
    needed = [field for field in fields(made) if field.default is MISSING and field.default_factory is MISSING]
    return tuple(field.name for field in needed), tuple(field.name for field in fields(made) if field not in needed)


def _make(reader: Reader, place: str, made: Callable[..., T], given: dict[str, Any], **more: Any) -> T:
    read = {name: _READ[name](reader, value, f"{place}.{name}") for name, value in given.items()}
    try:
        return made(**read, **more)
    except ValueError as error:
        # The classes say it as "member: why".
        member, why = str(error).split(": ", 1)
        reader.fail(f"{place}.{member}", why)
