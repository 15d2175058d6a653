"""Many conversions in one process: how many at once, in which order, and when no more are begun."""

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest
from support.job import BYOL, WINDOWS, Job
from support.waiting import SOON, wait_until

from lmconv_resource.errors import CancelledError, LicenseConversionError, SettingsError
from lmconv_resource.lifecycle.in_process import Fleet
from lmconv_resource.polling.cancellation import Cancellation

AT_ONCE, STOP_AFTER = "lmconv:maxConcurrentConversions", "lmconv:stopAfterFailures"


class Turns:
    """Threads that take a turn each, in a known order, and keep it until they are let go."""

    def __init__(self, most: int) -> None:
        self.fleet, self.most = Fleet(), most
        self.cancellation = Cancellation()
        self.begun: list[int] = []
        self.missed: list[int] = []
        self.lines: list[str] = []
        self.let_go: dict[int, threading.Event] = {}
        self.threads: list[threading.Thread] = []

    def arrive(self, *numbers: int, place: str = "here") -> None:
        for number in numbers:
            self.let_go[number] = threading.Event()
            known = len(self.begun) + len(self.lines)
            thread = threading.Thread(target=self.take, args=(number, place), daemon=True)
            self.threads.append(thread)
            thread.start()
            wait_until(functools.partial(self.has_more_than, known))

    def has_more_than(self, known: int) -> bool:
        return len(self.begun) + len(self.lines) > known

    def take(self, number: int, place: str) -> None:
        with self.fleet.turn(place, self.most, self.cancellation, self.lines.append) as has_come:
            (self.begun if has_come else self.missed).append(number)
            if has_come:
                self.let_go[number].wait(SOON)


def test_turns_come_in_the_order_of_arrival() -> None:
    """No more than the setting are under way, the others say that they wait, and no slot stays idle."""
    turns = Turns(2)
    turns.arrive(0, 1, 2, 3, 4)
    assert turns.begun == [0, 1]
    assert turns.lines == [f"waits for its turn: 2 of 2 are under way, {before} before it" for before in range(3)]
    turns.let_go[1].set()
    wait_until(lambda: turns.begun == [0, 1, 2])
    turns.let_go[2].set()
    wait_until(lambda: turns.begun == [0, 1, 2, 3])
    for number in (0, 3, 4):
        turns.let_go[number].set()
    wait_until(lambda: turns.begun == [0, 1, 2, 3, 4])


def test_each_connection_has_turns_of_its_own() -> None:
    """Another account or region is not held up."""
    turns = Turns(1)
    turns.arrive(0)
    turns.arrive(1, place="elsewhere")
    assert turns.begun == [0, 1]


def test_a_cancelled_one_gives_its_place_up() -> None:
    """A turn that does not come blocks nobody, and those that wait end at once."""
    turns = Turns(1)
    turns.arrive(0, 1, 2)
    turns.cancellation.set("over")
    wait_until(lambda: sorted(turns.missed) == [1, 2])
    turns.cancellation = Cancellation()
    turns.let_go[0].set()
    turns.arrive(3)
    wait_until(lambda: turns.begun == [0, 3])


def create_all(job: Job, arns: list[str], **options: Any) -> list[str]:
    """Create a conversion of each at once, and give the errors."""
    errors: list[str] = []

    def create(arn: str) -> None:
        try:
            job.create(job.inputs(arn, **options))
        except LicenseConversionError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=create, args=(arn,)) for arn in arns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_no_more_are_converted_at_once(job: Job) -> None:
    """From stop to restart, no more instances than the setting are out of service."""
    job.config[AT_ONCE] = "2"
    job.backend.conversion_seconds = 0.1
    arns = [job.launch(BYOL, running=True) for _ in range(5)]
    out: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):  # a pause, so that the conversions get on
            states = [job.state(arn) for arn in arns]
            out.append(sum(state != "running" for state in states))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert create_all(job, arns, stop_and_restart=True) == []
    finally:
        ended.set()
        watcher.join(SOON)
    assert 0 < max(out) <= 2
    assert {job.state(arn) for arn in arns} == {"running"}
    assert {job.billed(arn) for arn in arns} == {WINDOWS}
    assert any(line.startswith("waits for its turn: 2 of 2 are under way") for line in job.session.row)


def test_one_that_waits_for_its_turn_is_cancelled(job: Job) -> None:
    """Its line says that nothing was begun."""
    job.config[AT_ONCE] = "1"
    job.backend.conversion_status = "IN_PROGRESS"
    arns = [job.launch(BYOL) for _ in range(2)]
    first = threading.Thread(target=create_all, args=(job, arns[:1]), daemon=True)
    first.start()
    wait_until(lambda: job.backend.tasks)
    with pytest.raises(CancelledError, match=r"its time was over while it waited for its turn. Nothing was begun"):
        job.create(job.inputs(arns[1]), timeout=0.2)
    job.session.cancellation.set("end of the test")
    first.join(SOON)
    assert job.starts == 1


def test_after_so_many_failures_no_more_are_begun(job: Job) -> None:
    """Those that are under way end; what comes after is not stopped and not started."""
    job.config |= {STOP_AFTER: "2", AT_ONCE: "1"}
    job.backend.conversion_status = "FAILED"
    arns = [job.launch(BYOL, running=True) for _ in range(4)]
    errors = create_all(job, arns, stop_and_restart=True)
    assert (job.starts, len(errors)) == (2, 4)
    limit = [
        text for text in errors if "2 conversions have FAILED in this run, and lmconv:stopAfterFailures is 2" in text
    ]
    assert len(limit) == 2
    assert {job.state(arn) for arn in arns} == {"running"}


def test_ignored_failures_count_and_what_is_done_is_adopted(job: Job) -> None:
    """A failure that is recorded counts too; nothing has to be begun for what is done."""
    job.config[STOP_AFTER] = "1"
    job.backend.conversion_status = "FAILED"
    job.create(job.inputs(job.launch(BYOL), ignore_failure=True))
    with pytest.raises(LicenseConversionError, match="no further one is begun"):
        job.create(job.inputs(job.launch(BYOL)))
    assert job.create(job.inputs(job.launch(WINDOWS))).state.adopted
    assert job.starts == 1


@pytest.mark.parametrize("key", [AT_ONCE, STOP_AFTER])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_limit_is_a_whole_number(job: Job, key: str, value: str) -> None:
    """Anything else is an error that names the setting, and nothing is begun."""
    job.config[key] = value
    with pytest.raises(SettingsError, match=f"{key} is not a whole number of at least"):
        job.create(job.inputs(job.launch(BYOL)))
    assert job.starts == 0


def test_who_began_earlier_comes_first() -> None:
    """Of those that wait, the turn goes by when their operations began, not by when they asked for it."""
    fleet, order, asked = Fleet(), [], threading.Semaphore(0)

    def take(arrival: int) -> None:
        with fleet.turn("here", 1, Cancellation(), lambda _: asked.release(), arrival):
            order.append(arrival)

    with fleet.turn("here", 1, Cancellation(), lambda _: None):
        threads = [threading.Thread(target=take, args=(arrival,)) for arrival in (3, 1, 2)]
        for thread in threads:
            thread.start()
            assert asked.acquire(timeout=SOON)
    for thread in threads:
        thread.join(SOON)

    assert order == [1, 2, 3]
