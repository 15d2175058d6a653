"""Text that people read and write: durations, moments, one line, and nothing that acts on a terminal."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmconv_resource.text import (
    parse_duration,
    parse_rfc3339,
    to_duration_text,
    to_failure_reason,
    to_one_line,
    to_rfc3339,
    to_shown,
    without_credentials,
    without_endpoint_credentials,
)


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (200, "3m20s"),
        (3599, "59m59s"),
        (7200, "2h00m"),
        (90061, "25h01m"),
    ],
)
def test_a_number_of_seconds_is_said_as_people_say_it(seconds: float, text: str) -> None:
    """Two units at the most, rounded down."""
    assert to_duration_text(seconds) == text


@given(st.datetimes(timezones=st.timezones()))
def test_moments_come_back(moment: datetime) -> None:
    """A moment of any zone is read back as the same moment."""
    try:
        text = to_rfc3339(moment)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return
    assert parse_rfc3339(text) == moment.astimezone(timezone.utc)
    assert text.endswith("Z")


def test_fractions_are_shown_only_where_there_are_some() -> None:
    """Whole seconds have none, whole milliseconds three digits."""
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

    assert [to_rfc3339(noon + timedelta(microseconds=n)) for n in (0, 1000, 1)] == [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.001Z",
        "2026-03-01T12:00:00.000001Z",
    ]


def test_white_space_is_one_space() -> None:
    """Line breaks and runs of white space are one space, and none at the ends."""
    assert to_one_line(" a\n\tb \r\n c ") == "a b c"
    assert to_failure_reason("no\nspace") == "no space"
    assert to_failure_reason(None) == to_failure_reason("") == "AWS gives no status message"


def test_a_shown_value_is_short_and_harmless() -> None:
    """A value is shown as Python writes it, in 80 characters at the most."""
    assert to_shown("a\x1b") == "'a\\x1b'"
    assert to_shown("a" * 78) == f"'{'a' * 78}'"
    assert to_shown("a" * 79) == f"'{'a' * 76}…"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("to https://me:s3cret@host/path failed", "to https://host/path failed"),
        ('url: "http://s3cret@host"', 'url: "http://host"'),
        ("https://host/a@b", "https://host/a@b"),
        ("no URL", "no URL"),
    ],
)
def test_a_url_is_shown_without_name_and_password(text: str, plain: str) -> None:
    """What stands before the @ of a URL's host is left out."""
    assert without_credentials(text) == plain


def test_an_endpoint_is_shown_without_name_and_password() -> None:
    """Even one that is no URL, and has line breaks in it."""
    assert without_endpoint_credentials("Invalid endpoint: me:s3\ncret@host") == "Invalid endpoint: host"
    assert without_endpoint_credentials("Invalid endpoint: host") == "Invalid endpoint: host"
