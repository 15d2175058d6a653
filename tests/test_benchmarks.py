"""The figures that go by a clock of their own hold; those that take a real machine's time are for `make bench`."""

from __future__ import annotations

import pytest

from benchmarks import calls, lateness, throttling


@pytest.mark.parametrize("count", [1, 10, 100, 500])
def test_tasks_started_together_cost_a_part_of_what_loops_cost(count: int) -> None:
    """Over two hours, with lists of 50 a page, the calls are within the promised part of a loop for each task."""
    assert calls.measure_together(count, page_size=50).holds


def test_a_new_task_each_minute_costs_a_part_of_what_loops_cost() -> None:
    """With lists of the 100 a page that are asked for, the calls are within a tenth of the loops'."""
    assert calls.measure_staggered(page_size=100).holds


def test_ends_are_noticed_in_time() -> None:
    """From 1 s to 10 h, each of some waits knows of the end of its task within what is promised."""
    assert all(figure.holds for figure in lateness.measure_all(seeds=5))


def test_a_limit_of_calls_fails_no_wait_and_wastes_few_calls() -> None:
    """Two hundred waits that may make two calls a second all succeed, and at most a tenth of the calls is refused."""
    assert all(figure.holds for figure in throttling.measure_all(with_refused_list=False))
