"""The command that measures, without measuring: its groups, its table, its exit status."""

import re

import pytest

from benchmarks import __main__ as command
from benchmarks import fleet
from benchmarks.figures import Figure, Group, to_ratio, to_table

FIGURE = Figure("an up", "1.50 s", "beside: 1.00 s", "x1.50", "x2", True)


def test_the_readme_says_of_each_group_how_it_is_measured() -> None:
    """The table at its top has a row for each group, and none for what is gone."""
    rows = re.findall(r"^\| `([\w-]+)` \|", command.README.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(command.GROUPS)


def test_an_unknown_group_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["nothing-to-doo"])
    assert "there is no group nothing-to-doo" in capsys.readouterr().err


@pytest.mark.parametrize(("holds", "status", "end"), [(True, 0, "All hold."), (False, 1, "an up: 1.50 s, bound x2")])
def test_a_bound_that_is_missed_fails(
    holds: bool, status: int, end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status tells whether all bounds hold, and the last line which do not."""
    figure = Figure("an up", "1.50 s", "beside: 1.00 s", "x1.50", "x2", holds)
    monkeypatch.setitem(command.GROUPS, "made-up", lambda quick: Group("Made up", (figure,)))
    assert command.main(["made-up", "--quick"]) == status
    assert capsys.readouterr().out.rstrip().endswith(end)


def test_the_table_reads_well_on_a_terminal() -> None:
    lines = to_table([FIGURE])
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert "| pass |" in lines[2]


@pytest.mark.parametrize(
    ("ours", "beside", "text"), [(3, 2, "x1.50"), (1, 10, "1/10.0"), (1, 100, "1/100"), (0, 1, ""), (1, 0, "")]
)
def test_ratios(ours: float, beside: float, text: str) -> None:
    assert to_ratio(ours, beside) == text


@pytest.mark.proof
def test_a_fleet_takes_few_calls_and_little_longer_than_the_best_schedule() -> None:
    """200 instances of one account, 20 at a time, in virtual time: six calls a row, with dry runs, and 5 % longer."""
    durations = fleet.draw(200)
    night = fleet.convert(durations)
    assert night.calls.total() <= 1200, night.calls
    assert night.seconds <= 1.05 * fleet.schedule(durations)


def test_rows_that_begin_together_are_marked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """However old the survey is by then: with AWS as slow as a survey of 100 accounts, twenty rows are one mark."""
    monkeypatch.setattr(fleet, "CALL_SECONDS", 0.6)
    calls = fleet.convert(fleet.draw(20)).calls
    assert calls["create_tags"] == 2, "one of them a dry run"
