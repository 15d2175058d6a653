"""The one line on how far all waits of a program are: what it says, and how often."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from lmconv_resource.hosts.fleet_progress import DISPLAY_SECONDS, LOG_SECONDS, FleetProgress
from lmconv_resource.polling.runtime import Runtime


class Fleet:
    """Waits of a program, by a clock that only stands where it is put."""

    def __init__(self, seconds: float = DISPLAY_SECONDS) -> None:
        self.now = 0.0
        self.running = 0
        self.lines: list[str] = []
        self.progress = FleetProgress(self.lines.append, lambda: self.running, seconds, Runtime(now=lambda: self.now))

    def run(self, error: Exception | None = None) -> None:
        """Begin an operation and end it at once."""
        with suppress(ValueError), self.progress.count():
            if error:
                raise error


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_it_says_how_many_are_done_failed_and_running(fleet: Fleet) -> None:
    """What has failed comes before what runs; what does neither yet is in the whole number only."""
    with ExitStack() as others:
        for _ in range(47):
            others.enter_context(fleet.progress.count())
        for _ in range(12):
            fleet.run()
        fleet.run(ValueError())
        fleet.now, fleet.running = 10.0, 20
        fleet.progress.report()

        assert fleet.lines == ["12 of 60 done, 1 failed, 20 running"]


def test_one_wait_needs_no_line(fleet: Fleet) -> None:
    """The resource's own row says it all."""
    with fleet.progress.count():
        fleet.now, fleet.running = 100.0, 1
        fleet.progress.report()

    assert fleet.lines == []


def test_an_error_goes_on(fleet: Fleet) -> None:
    """Counting a failure hides none."""
    with pytest.raises(ValueError, match="lost"), fleet.progress.count():
        raise ValueError("lost")


def test_a_display_shows_each_change_but_not_each_moment(fleet: Fleet) -> None:
    """At most a line each second, and none that says what the last one says."""
    with fleet.progress.count(), fleet.progress.count():
        for tenths in range(100):
            fleet.now, fleet.running = 1.0 + tenths / 10, 2 if tenths < 35 else 1
            fleet.progress.report()

        assert fleet.lines == ["0 of 2 done, 2 running", "0 of 2 done, 1 running"]


def test_a_log_gets_one_line_each_half_minute() -> None:
    """Where each line stays, the first comes after half a minute; then one each, changed or not."""
    fleet = Fleet(LOG_SECONDS)
    with fleet.progress.count(), fleet.progress.count():
        for second in range(100):
            fleet.now, fleet.running = float(second), 2
            fleet.progress.report()

    assert fleet.lines == ["0 of 2 done, 2 running"] * 3
