"""Which row of a fleet is begun when."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row


def to_rows(*accounts: int) -> list[Row]:
    """Return a row for each account, by number."""
    arn = "arn:aws:ec2:eu-west-1:{:012}:instance/i-{:04}"
    table = [{"name": f"r{n}", "resource_arn": arn.format(account, n)} for n, account in enumerate(accounts, 1)]
    return list(FleetInputs.parse({"instances": table}).rows or ())


@given(
    st.lists(st.integers(1, 3), max_size=30),
    st.integers(1, 4),
    st.integers(0, 3),
    st.none() | st.integers(1, 5),
    st.integers().map(random.Random),
)
def test_whatever_becomes_of_the_rows(
    accounts: list[int], most: int, canaries: int, failures: int | None, rng: random.Random
) -> None:
    """Order, slots, canaries and the limit of failures hold, and each row is begun or left once."""
    rows = to_rows(*accounts)
    limits = FleetInputs(max_concurrent=most, canaries=canaries, stop_after_failures=failures)
    schedule = Schedule([], rows, limits)
    begun: list[Row] = []
    under_way: list[Row] = []
    succeeded: set[int] = set()
    failed = 0
    while under_way or (schedule.waiting and schedule.stopped is None):
        new = schedule.next_rows(0.0)
        if new:
            assert failures is None or failed < failures
            for row in new:
                assert row.number <= canaries or {each.number for each in rows[:canaries]} <= succeeded
            begun += new
            under_way += new
        slots = Counter(row.account_and_region for row in under_way if schedule.has_slot(row))
        assert max(slots.values(), default=0) <= most
        assert under_way, "nothing is under way, and it is not over"
        for row in rng.sample(under_way, min(1, len(under_way))):
            schedule.leave_slot(row)
        if rng.random() < 0.5:
            continue
        row = under_way.pop(rng.randrange(len(under_way)))
        had = [each for each in under_way if schedule.has_slot(each)]
        fails = rng.random() < 0.2
        failed += fails
        succeeded |= set() if fails else {row.number}
        schedule.end(row, succeeded=not fails, failed=fails)
        if schedule.stopped:
            assert [each for each in under_way if schedule.has_slot(each)] == had
    left = schedule.waiting
    assert sorted(row.number for row in [*begun, *left]) == [row.number for row in rows]
    assert bool(left) <= (schedule.stopped is not None)
    for account in {row.account_and_region for row in rows}:
        numbers = [row.number for row in begun if row.account_and_region == account]
        assert numbers == sorted(numbers)


def test_what_goes_on_takes_slots_and_is_no_canary() -> None:
    """Rows of an earlier operation go on at once, with all slots taken too; their failures count for no limit."""
    rows = to_rows(1, 1, 1, 1)
    schedule = Schedule(rows[2:], rows[:2], FleetInputs(max_concurrent=2, canaries=1, stop_after_failures=1))
    assert schedule.next_rows(0.0) == rows[2:]
    schedule.end(rows[2], succeeded=False, failed=False)
    assert schedule.next_rows(0.0) == rows[:1]
    schedule.end(rows[0], succeeded=False, failed=True)
    assert schedule.stopped == "r1, a canary, has not SUCCEEDED"
    assert (schedule.next_rows(0.0), schedule.waiting, schedule.running) == ([], [rows[1]], 1)


def test_a_row_that_was_done_already_is_no_canary() -> None:
    rows = to_rows(1, 1, 1)
    schedule = Schedule([], rows, FleetInputs(max_concurrent=2, canaries=1))
    assert schedule.next_rows(0.0) == rows[:1]
    schedule.end(rows[0], succeeded=True, failed=False, is_begun=False)
    assert schedule.next_rows(0.0) == rows[1:2]
    schedule.end(rows[1], succeeded=True, failed=False)
    assert schedule.next_rows(0.0) == rows[2:]


def test_a_slot_is_handed_on_while_the_instance_starts() -> None:
    """The next row is begun then, and has its slot once the instance runs; what is left to tidy up holds up nobody."""
    rows = to_rows(1, 1, 2)
    schedule = Schedule([], rows, FleetInputs(max_concurrent=1))
    assert schedule.next_rows(0.0) == [rows[0], rows[2]]
    assert schedule.has_slot(rows[0])
    schedule.leave_slot(rows[0])
    assert (schedule.next_rows(0.0), schedule.has_slot(rows[1])) == ([rows[1]], False)
    schedule.free_slot(rows[0])
    assert (schedule.next_rows(0.0), schedule.has_slot(rows[1])) == ([], True)
    schedule.end(rows[0], succeeded=True, failed=False)
    assert (schedule.next_rows(0.0), schedule.running) == ([], 2)


def test_none_is_begun_too_late() -> None:
    """What is under way comes to its end."""
    rows = to_rows(1, 1)
    schedule = Schedule([], rows, FleetInputs(max_concurrent=1, begin_seconds=3600.0))
    assert schedule.next_rows(3599.0) == rows[:1]
    schedule.end(rows[0], succeeded=True, failed=False)
    assert schedule.next_rows(3600.0) == []
    assert (len(schedule.waiting), schedule.stopped) == (1, "begin_within is 1h00m, and that time has passed")
