"""What the polling promises, measured beside a shell loop for each task, by a clock that only jumps."""

from __future__ import annotations

import random

import pytest
from support.proofs import keep
from support.simulation import POLICY, Service, Simulation, Starts, Waits, run_loops

from lmconv_resource.emulator.faults import RateLimit

HOUR = 3600.0


def count_calls(starts: Starts, runs_seconds: float, until: float, page_size: int) -> tuple[int, int]:
    """Return our calls and those of a loop for each task, for tasks that run so long."""
    starts = list(starts)
    ends = {task_id: begin + runs_seconds for begin, task_id in starts}
    simulation = Simulation(POLICY.poll_threads)
    service = Service(simulation, page_size=page_size)
    service.ends = ends
    Waits(simulation, service).run(starts, until)
    clock = Simulation()
    loops = Service(clock)
    loops.ends = ends
    run_loops(clock, loops, starts, until)
    return service.calls.total(), loops.calls.total()


def to_bound(duration: float, count: int = 1) -> float:
    """Return how late the end of a task may be noticed that is waited for beside others."""
    return min(33.0, max(3.0 if count <= 20 else 5.0, 0.1 * duration))


@pytest.mark.parametrize("page_size", keep([50], [50, 100]))
@pytest.mark.parametrize(
    ("count", "part"), keep([(1, 0.6), (100, 1 / 60)], [(1, 0.6), (10, 1 / 12), (100, 1 / 60), (500, 1 / 60)])
)
def test_tasks_started_together_cost_a_part_of_what_loops_cost(count: int, part: float, page_size: int) -> None:
    """Over two hours, until each end is noticed, the calls are within the promised part of a loop for each task."""
    starts = [(0.0, f"lct-{number:04}") for number in range(count)]
    ours, loops = count_calls(starts, 2 * HOUR, float("inf"), page_size)
    assert ours <= part * loops


@pytest.mark.proof
@pytest.mark.parametrize("page_size", [50, 100])
def test_a_new_task_each_minute_costs_a_part_of_what_loops_cost(page_size: int) -> None:
    """For two hours in which none ends, the calls are within a tenth of the loops'."""
    starts = [(60.0 * number, f"lct-{number:04}") for number in range(120)]
    ours, loops = count_calls(starts, 4 * HOUR, 2 * HOUR, page_size)
    assert ours <= loops / 10


@pytest.mark.parametrize("duration", [1.0, 30.0, 300.0, 7200.0, 36000.0])
def test_ends_are_noticed_in_time(duration: float) -> None:
    """Each wait, with a jitter and a duration of its own, knows of its task's end within what is promised."""
    for seed in range(20):
        exact = duration * random.Random(seed).uniform(0.95, 1.05)  # noqa: S311 -- not cryptography
        simulation = Simulation()
        service = Service(simulation)
        service.ends = {"lct-0": exact}
        waits = Waits(simulation, service, seed)
        waits.run([(0.0, "lct-0")])
        assert waits.late["lct-0"] <= to_bound(exact)


@pytest.mark.parametrize("duration", [10.0, 45.0])
@pytest.mark.parametrize("count", [20, 21])
def test_short_tasks_of_a_crowd_are_noticed_a_little_later(count: int, duration: float) -> None:
    """With more than 20 waits the end of a task of less than 50 s is known within 5 s in place of 3."""
    simulation = Simulation(POLICY.poll_threads)
    service = Service(simulation)
    rng = random.Random(1)  # noqa: S311 -- not cryptography
    service.ends = {f"lct-{number:04}": rng.uniform(0.9, 1.1) * duration for number in range(count)}
    waits = Waits(simulation, service)

    waits.run([(0.0, name) for name in service.ends])

    assert all(late <= to_bound(service.ends[name], count) for name, late in waits.late.items())


@pytest.mark.parametrize("phase", range(0, 34, 11))
@pytest.mark.parametrize("page_size", [50, 100])
def test_500_ends_in_the_same_second_are_noticed_in_time(phase: int, page_size: int) -> None:
    """However the polls lie to that second, the last of 500 is known as soon as a single one, at a few lists' calls."""
    simulation = Simulation(POLICY.poll_threads)
    service = Service(simulation, page_size=page_size)
    ends = 360.0 + phase
    service.ends = {f"lct-{number:04}": ends for number in range(500)}
    waits = Waits(simulation, service)

    waits.run([(0.0, name) for name in service.ends])

    assert max(waits.late.values()) <= 33.0
    assert service.calls["get"] <= 60


@pytest.mark.proof
@pytest.mark.parametrize("at_once", keep([True], [False, True]))
@pytest.mark.parametrize("may_list", [True, False])
def test_a_limit_of_calls_fails_no_wait_and_wastes_few_calls(at_once: bool, may_list: bool) -> None:
    """Against 2 calls a second, burst 5, 200 waits all succeed, and at most a tenth of their calls is throttled."""
    rng = random.Random(1)  # noqa: S311 -- not cryptography
    names = [f"lct-{number:04}" for number in range(200)]
    simulation = Simulation(POLICY.poll_threads)
    service = Service(simulation, limit=RateLimit(rate_per_second=2, burst=5), may_list=may_list)
    service.ends = {name: 1800.0 if at_once else rng.uniform(300, 3900) for name in names}
    waits = Waits(simulation, service)

    waits.run([(0.0, name) for name in names])

    assert len(waits.late) == 200
    assert service.throttled <= 0.1 * service.calls.total()
