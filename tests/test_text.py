"""Text that people read and write: durations, moments, one line, and nothing that acts on a terminal."""

import unicodedata
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
    to_plain_text,
    to_rfc3339,
    to_shown,
    without_credentials,
    without_endpoint_credentials,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90), ("1h30m", 5400), ("1.5h", 5400), (".5m", 30), ("2.s", 2), ("1m1m", 120), ("0s", 0)),
        *(("250ms", 0.25), ("5us", 5e-6), ("5µs", 5e-6), ("5μs", 5e-6), ("7ns", 7e-9)),
        *(("24h0m0.5s", 86400.5), ("1s2h3ms", 7201.003)),
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


@given(st.text() | st.text("0123456789.nuµmsh"))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-1, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m00s"), (200, "3m20s"), (3599, "59m59s")),
        *((7200, "2h00m"), (90061, "25h01m")),
    ],
)
def test_a_number_of_seconds_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert to_duration_text(seconds) == text


@given(st.datetimes(timezones=st.timezones()))
def test_moments_come_back(moment: datetime) -> None:
    try:
        text = to_rfc3339(moment)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return
    assert parse_rfc3339(text) == moment.astimezone(timezone.utc)
    assert text.endswith("Z")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 8, tzinfo=timezone.utc), "2026-11-23T08:00:00Z"),
        (datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-11-23T02:15:00Z"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "2025-12-31T11:00:00Z"),
        (datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=timezone.utc), "2026-11-23T08:00:00.123Z"),
        (datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=timezone.utc), "2026-11-23T08:00:00.123456Z"),
        (datetime(1, 1, 1, tzinfo=timezone.utc), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_rfc3339_in_utc(moment: datetime, text: str) -> None:
    """A time in any zone is given in UTC, with a Z, and with fractions of a second only where it has some."""
    assert to_rfc3339(moment) == text
    assert parse_rfc3339(text) == moment


def test_white_space_is_one_space() -> None:
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
        ('"http://me:p@ss word@127.0.0.1:9/". No', '"http://127.0.0.1:9/". No'),
        ("https://host/a@b", "https://host/a@b"),
        ("no URL", "no URL"),
    ],
)
def test_a_url_is_shown_without_name_and_password(text: str, plain: str) -> None:
    assert without_credentials(text) == plain


def test_an_endpoint_is_shown_without_name_and_password() -> None:
    """Even one that is no URL, and has line breaks in it."""
    assert without_endpoint_credentials("Invalid endpoint: me:s3\ncret@host") == "Invalid endpoint: host"
    assert without_endpoint_credentials("Invalid endpoint: host") == "Invalid endpoint: host"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("instance i-1 stopped", "instance i-1 stopped"),
        ("tab\tand\nbreak", "tab\tand\nbreak"),
        ("\x1b[31mred\x07\r", "\\x1b[31mred\\x07\\r"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("exe\u202etxt.\u2066x", "exe\\u202etxt.\\u2066x"),
        ("half a pair \ud83d", "half a pair \\ud83d"),
        ("成功 ✓ 😀 ñ", "成功 ✓ 😀 ñ"),
    ],
)
def test_control_characters_are_spelled_out(text: str, plain: str) -> None:
    """Text of AWS's can't act on a terminal or be mistaken for other text, and otherwise stays as it is."""
    assert to_plain_text(text) == plain


@given(st.text(st.characters(codec=None)))
def test_plain_text_is_harmless_whatever_comes(text: str) -> None:
    """Of the control characters only line breaks and tabs are left; it can be stored, and doing it again is idle."""
    plain = to_plain_text(text)
    assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert plain.encode().decode() == plain
    assert to_plain_text(plain) == plain
