"""What a program gives is checked: each failure names the property, the value and the remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from lmconv_resource.lifecycle.inputs import (
    LONGEST_POLL_SECONDS,
    TIMEOUTS,
    Failure,
    find_deadline_seconds,
    find_task_failures,
    is_unknown,
    parse_duration,
)
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS

GOOD: dict[str, Any] = {
    "license_conversion_task_id": "lct-0123456789abcdef0",
    "wait_for_completion": True,
    "ignore_failure": False,
    "region": "eu-west-1",
}
NAMES = {
    "license_conversion_task_id": "license_conversion_task_id",
    "wait_for_completion": "wait_for_completion",
    "ignore_failure": "ignore_failure",
    "region": "region",
    "poll_interval_seconds": "poll_interval_seconds",
    TIMEOUTS: "custom_timeouts",
}


def find_reasons(**changes: Any) -> list[str]:
    """Give the lines that a user sees, with `changes` made to good inputs."""
    return [failure.reason for failure in find_task_failures({**GOOD, **changes})]


def test_good_inputs_pass() -> None:
    """Nothing is said of inputs that are as they should be, whether the optional ones are there or not."""
    assert find_task_failures(GOOD) == []
    assert find_reasons(poll_interval_seconds=10, **{TIMEOUTS: {"create": "1h30m", "update": "45m"}}) == []
    assert find_reasons(poll_interval_seconds=None, **{TIMEOUTS: None}) == []


def test_every_failure_is_told() -> None:
    """All that is wrong is said at once, in the order in which the resource takes its arguments."""
    failures = find_task_failures({"wait_for_completion": "yes", "ignore_failure": None, "region": None})
    assert failures == [
        Failure(
            "license_conversion_task_id",
            "license_conversion_task_id is missing: give the id that AWS License Manager shows for the conversion "
            "(lct-…), or the resource_arn of what is converted",
        ),
        Failure("wait_for_completion", "wait_for_completion 'yes' is not a boolean: give True or False"),
        Failure("ignore_failure", "ignore_failure None is not a boolean: give True or False"),
        Failure(
            "region",
            "region is not set: set it on the resource, or run `pulumi config set aws:region REGION`, or set "
            "AWS_REGION",
        ),
    ]


@pytest.mark.parametrize("task_id", ["lct-0", "lct-0123456789abcdef0", "lct-" + "a" * 46, "lct-ABCxyz"])
def test_task_ids(task_id: str) -> None:
    """`lct-` and letters and digits, up to 50 characters in all, is an id."""
    assert find_reasons(license_conversion_task_id=task_id) == []


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "lct-",
        "lct",
        "i-0123456789abcdef0",
        "lct-a b",
        "lct-a\n",
        " lct-a",
        "LCT-a",
        "lct-é",
        "lct-" + "a" * 47,
        5,
        True,
    ],
)
def test_what_is_no_task_id(task_id: Any) -> None:
    """Anything else is refused, and the line shows it with its odd characters spelled out."""
    assert find_reasons(license_conversion_task_id=task_id) == [
        f"license_conversion_task_id {task_id!r} is not the id of a license conversion task: give lct- followed by "
        "letters and digits, at most 50 characters in all"
    ]


def test_a_long_value_is_cut() -> None:
    """A value that would fill the screen is shown up to 78 characters."""
    (reason,) = find_reasons(region="\x1b" * 1000)
    assert reason == f"region '{chr(92)}x1b" + "\\x1b" * 18 + "…" + " is not an AWS region: give one such as eu-west-1"


@pytest.mark.parametrize(
    "region",
    [
        "eu-west-1",
        "us-gov-west-1",
        "cn-northwest-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "ap-southeast-7",
        "eusc-de-east-1",
    ],
)
def test_regions(region: str) -> None:
    """Regions of all of AWS's partitions pass."""
    assert find_reasons(region=region) == []


@pytest.mark.parametrize(
    "region", ["", "Ireland", "eu-west", "EU-WEST-1", "eu-west-1a", "eu-west-1 ", "eu.west.1/x", 1]
)
def test_what_is_no_region(region: Any) -> None:
    """What can't be part of an endpoint's name as AWS builds them is refused before any call."""
    assert find_reasons(region=region) == [f"region {region!r} is not an AWS region: give one such as eu-west-1"]


@pytest.mark.parametrize("seconds", [1, 1.0, 2.5, LONGEST_POLL_SECONDS])
def test_poll_intervals(seconds: float) -> None:
    """Any number of seconds from 1 to 300 passes."""
    assert find_reasons(poll_interval_seconds=seconds) == []


@pytest.mark.parametrize("seconds", [0, 0.99, 300.5, -1, math.nan, math.inf, "10", True, [10]])
def test_what_is_no_poll_interval(seconds: Any) -> None:
    """Any other value is refused with the bounds."""
    assert find_reasons(poll_interval_seconds=seconds) == [
        f"poll_interval_seconds {seconds!r} is not a number of seconds from 1 to 300: give one, or leave it out"
    ]


@pytest.mark.parametrize("text", ["", "3 hours", "90", "1h 30m", "-5m", "0s", "1d", "h", 90, None])
def test_what_is_no_timeout(text: Any) -> None:
    """A timeout that Pulumi's engine would not understand is refused, with the operation that it is for."""
    assert find_reasons(**{TIMEOUTS: {"update": "1h", "create": text}}) == [
        f'custom_timeouts create={text!r} is not a duration: give one such as "90s", "45m" or "1h30m"'
    ]


@pytest.mark.parametrize("value", ["45m", 45, ["45m"], True])
def test_timeouts_go_by_operation(value: Any) -> None:
    """Timeouts that are not given by operation are refused instead of being left out of account."""
    assert find_reasons(**{TIMEOUTS: value}) == [
        f'custom_timeouts {value!r} is not CustomTimeouts: give durations by operation, such as create="45m"'
    ]


@pytest.mark.parametrize("unknown", [UNKNOWN, Unknown()], ids=["on the wire", "in the SDK"])  # type: ignore[no-untyped-call]
def test_unknown_values_pass(unknown: Any) -> None:
    """What a preview can't know yet is no failure, for any input."""
    assert is_unknown(unknown)
    assert not is_unknown("lct-1")
    assert find_task_failures(dict.fromkeys(NAMES, unknown)) == []
    assert find_reasons(**{TIMEOUTS: {"create": unknown}}) == []


def test_a_timeout_is_the_deadline() -> None:
    """Each operation has the deadline that the program gives it, and twelve hours without one."""
    inputs = {TIMEOUTS: {"create": "1h30m"}}
    assert find_deadline_seconds(inputs, "create") == 5400
    assert find_deadline_seconds(inputs, "update") == DEFAULT_DEADLINE_SECONDS == 12 * 3600
    assert find_deadline_seconds({}, "create") == find_deadline_seconds({TIMEOUTS: None}, "create") == 12 * 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5m", 30),
        ("2.s", 2),
        ("1m1m", 120),
        ("250ms", 0.25),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("5μs", 5e-6),
        ("7ns", 7e-9),
        ("0s", 0),
        ("24h0m0.5s", 86400.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are read as Go writes them, each unit of its included."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5 s", " 5s", "5s ", "5s\n", "5S", "-5s", "+5s", "1,5h", "\u0665s", "5s5", ".s", "1..5s", "e5s"],
)
def test_what_is_no_duration(text: str) -> None:
    """Any other text is none, digits that Go does not read included."""
    assert parse_duration(text) is None


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6).map("{:.3f}".format), st.sampled_from(["ns", "us", "ms", "s", "m", "h"])),
        min_size=1,
    )
)
def test_the_parts_of_a_duration_add_up(parts: list[tuple[str, str]]) -> None:
    """A duration of many parts is their sum, in any order of units."""
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
    expected = sum(float(number) * units[unit] for number, unit in parts)
    assert parse_duration("".join(number + unit for number, unit in parts)) == pytest.approx(expected)


@given(st.text() | st.text("0123456789.nuµmsh"))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    """Odd text gives seconds of at least 0 or None, and never an error."""
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


TEXTS = st.text(st.characters(codec=None)) | st.sampled_from(["create", "1h", "lct-1", "eu-west-1", UNKNOWN])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(list(NAMES)), JSON)
def test_any_value_passes_or_is_named(name: str, value: Any) -> None:
    """Any value at all passes, and can then be used, or is one line that begins with the property's name."""
    inputs = {**GOOD, name: value}
    failures = find_task_failures(inputs)
    if not failures:
        assert is_unknown(value) or find_deadline_seconds(inputs, "create") > 0
        return
    (failure,) = failures
    assert failure.property == NAMES[name]
    assert failure.reason.startswith(f"{NAMES[name]} ")
    assert len(failure.reason.splitlines()) == 1
    assert failure.reason.encode()
