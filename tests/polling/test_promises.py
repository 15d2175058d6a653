"""What the polling promises, measured beside a shell loop for each task, by a clock that only jumps.

Gets of a moment are taken to overlap, as those of the polling threads do; the pages of a list come one after the other.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable

import pytest
from support.proofs import keep
from support.service import REGION, Service

from lmconv_resource.emulator.faults import RateLimit, TokenBucket
from lmconv_resource.errors import LIST_ACTION, AccessDeniedError, Subject, ThrottledError
from lmconv_resource.polling.policy import PollingPolicy, RateLimiter
from lmconv_resource.polling.runtime import Runtime
from lmconv_resource.polling.wait import Wait

HOUR = 3600.0
POLICY = PollingPolicy()
LOOP_SECONDS = 15.0 + POLICY.answer_seconds
"""Between two polls of `until aws license-manager get-license-conversion-task …; do sleep 15; done`."""


class Waits:
    """Waits for tasks of a service that are all followed by one dispatcher, at the pace of one rate limiter."""

    def __init__(self, service: Service, seed: int = 0) -> None:
        self.late: dict[str, float] = {}
        """How long after the task's end each wait knew of it."""
        self.service = service
        service.page_seconds = POLICY.answer_seconds
        runtime = Runtime(now=lambda: service.now, sleep=self._sleep, rng=random.Random(seed))  # noqa: S311 -- jitter
        self.limiter = RateLimiter(POLICY, runtime)
        self._dispatcher = service.make_dispatcher(seed, acquire=self.limiter.acquire, on_note=lambda _: None)

    def _sleep(self, seconds: float) -> None:
        self.service.now += seconds

    def run(self, starts: Iterable[tuple[float, str]], until: float = math.inf) -> Waits:
        """Begin each wait at its moment, and follow them all to their end, or to `until`."""
        service, coming, begun = self.service, deque(sorted(starts)), dict[str, Wait]()
        while coming or begun:
            begin = coming[0][0] if coming else math.inf
            due = self._dispatcher.next_poll()
            moment = min(begin, math.inf if due is None else due)
            if moment > until:
                break
            service.now = max(service.now, moment)
            if begin <= moment:
                _, task_id = coming.popleft()
                begun[task_id] = service.begin(self._dispatcher, task_id, 24 * HOUR)
                continue
            self._dispatcher.dispatch(lambda call: call())
            answered = {task_id: moment + POLICY.answer_seconds for moment, task_id in service.polls}
            service.polls.clear()
            for task_id in [task_id for task_id, wait in begun.items() if wait.outcome is not None]:
                self.late[task_id] = answered.get(task_id, service.now) - service.ends[task_id]
                self._dispatcher.remove(begun.pop(task_id))
        return self


def together(count: int) -> list[tuple[float, str]]:
    return [(0.0, f"lct-{number:04}") for number in range(count)]


EACH_MINUTE = [(60.0 * number, f"lct-{number:04}") for number in range(120)]
COSTS = [(together(1), 0.6, 50), (together(100), 1 / 60, 50)]
MORE = [(EACH_MINUTE, 0.1, 50), (EACH_MINUTE, 0.1, 100), (together(1), 0.6, 100), (together(100), 1 / 60, 100)]
MORE += [(together(count), part, size) for count, part in ((10, 1 / 12), (500, 1 / 60)) for size in (50, 100)]


@pytest.mark.parametrize(("starts", "part", "page_size"), keep(COSTS, COSTS + MORE))
def test_tasks_cost_a_part_of_what_loops_cost(starts: list[tuple[float, str]], part: float, page_size: int) -> None:
    """Tasks that run for two hours, begun together or one each minute, beside a loop for each."""
    service = Service(ends={name: begin + 2 * HOUR for begin, name in starts}, page_size=page_size)
    until = 2 * HOUR if starts is EACH_MINUTE else math.inf
    Waits(service).run(starts, until)
    ends = [min(begin + 2 * HOUR, until) - begin for begin, _ in starts]
    assert service.calls.total() <= part * sum(1 + math.ceil(end / LOOP_SECONDS) for end in ends)


def to_bound(duration: float, count: int = 1) -> float:
    """Return how late the end of a task may be noticed that is waited for beside others."""
    return min(33.0, max(3.0 if count <= 20 else 5.0, 0.1 * duration))


@pytest.mark.parametrize(
    ("count", "duration"),
    [(1, 1.0), (1, 30.0), (1, 300.0), (1, 7200.0), (1, 36000.0), (20, 10.0), (20, 45.0), (21, 10.0), (21, 45.0)],
)
def test_ends_are_noticed_in_time(count: int, duration: float) -> None:
    """Each wait, with a jitter and a duration of its own, knows of its task's end within what is promised.

    With more than 20 waits the end of a task of less than 50 s is known within 5 s in place of 3.
    """
    for seed in range(20 if count == 1 else 3):
        rng = random.Random(seed)  # noqa: S311 -- not cryptography
        ends = {f"lct-{number:04}": rng.uniform(0.9, 1.1) * duration for number in range(count)}
        late = Waits(Service(ends=ends), seed).run((0.0, name) for name in ends).late
        assert all(late[name] <= to_bound(end, count) for name, end in ends.items())


@pytest.mark.parametrize("phase", range(0, 34, 11))
@pytest.mark.parametrize("page_size", [50, 100])
def test_500_ends_in_the_same_second_are_noticed_in_time(phase: int, page_size: int) -> None:
    """However the polls lie to that second, the last of 500 is known as soon as a single one, at a few lists' calls."""
    service = Service(
        ends=dict.fromkeys([f"lct-{number:04}" for number in range(500)], 360.0 + phase), page_size=page_size
    )
    waits = Waits(service).run((0.0, name) for name in service.ends)
    assert max(waits.late.values()) <= 33.0
    assert service.calls["get"] <= 60


@pytest.mark.parametrize(
    ("at_once", "may_list"), keep([(False, True)], [(False, True), (False, False), (True, True), (True, False)])
)
def test_a_limit_of_calls_fails_no_wait_and_wastes_few_calls(at_once: bool, may_list: bool) -> None:
    rng = random.Random(1)  # noqa: S311 -- not cryptography
    service = Service(ends={f"lct-{number:04}": 1800.0 if at_once else rng.uniform(300, 3900) for number in range(200)})
    bucket = TokenBucket(RateLimit(rate_per_second=2, burst=5), lambda: service.now)
    waits, throttled = Waits(service), 0

    def on_call(kind: str) -> None:
        nonlocal throttled
        if kind == "list" and not may_list:
            raise AccessDeniedError(Subject(LIST_ACTION, region=REGION), "no")
        while not bucket.take():
            throttled += 1
            waits.limiter.on_throttled()
            if kind == "get":
                raise ThrottledError(Subject(region=REGION), "AWS throttles the calls")
            waits.limiter.acquire()  # a page is asked for again
        waits.limiter.on_success()

    service.on_call = on_call
    waits.run((0.0, name) for name in service.ends)

    assert len(waits.late) == 200
    assert throttled <= 0.1 * (service.calls.total() + throttled)
