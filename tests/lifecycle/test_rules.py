"""What is decided from facts alone: by EC2's word, by the history of tasks, by marks, and by how long a fault lasts."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from support.job import BYOL, ENTERPRISE, TAG, WEB, WINDOWS
from support.lifecycle import ARN, OneResource

from lmconv_resource.aws.ec2 import DESCRIBE_ACTION, Instance, Tag
from lmconv_resource.errors import AccessDeniedError, EndpointUnreachableError, Subject
from lmconv_resource.lifecycle.job import Act, Wish
from lmconv_resource.lifecycle.job.facts import Facts, Memory, Sent
from lmconv_resource.lifecycle.job.rules import RULES, Step, decide
from lmconv_resource.marks import REFUSED_TAG, Mark, Refusals, make_value
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus

NOW = datetime(2026, 11, 29, 8, 0, 0, 500_000, timezone.utc)
HOUR = timedelta(hours=1)
URN, ID = OneResource.urn, ARN.rpartition("/")[2]
UBUNTU, UBUNTU_PRO = "RunInstances", "RunInstances:0g00"
DENIED = AccessDeniedError(Subject(DESCRIBE_ACTION), "AWS denies access", "Allow ec2:DescribeInstances")


def to_wish(to: str = WINDOWS, source: str | None = None, **wish: Any) -> Wish:
    contexts = {"source_license_context": LicenseContext(source), "destination_license_context": LicenseContext(to)}
    return Wish(**{"resource_arn": ARN, "urn": URN, "wait_for_completion": True, **contexts, **wish})


def to_instance(billed: str | None, state: str = "stopped", **shown: Any) -> Instance:
    return Instance(ID, state, billed, shown)


def to_facts(now: float = 0.0, memory: Memory | None = None, **facts: Any) -> Facts:
    known = {"region": "eu-west-1", "resource_arn": ARN, "instance_at": now}
    return Facts(now, NOW, memory or Memory(0.0), **{**known, **facts})


Ran = tuple[str, ...]
"""A task: what it converted from and to, and its status where that is not SUCCEEDED."""


def decide_after(ran: Sequence[Ran], billed: Any, wish: Wish, hours: float = 1.0, **facts: Any) -> Step:
    """Decide about a stopped instance with these tasks, `lct-0` and on, which began so many hours apart."""
    tasks = []
    for number, (source, to, *status) in enumerate(ran):
        began = NOW - (len(ran) - number) * hours * HOUR
        contexts = LicenseContext(source), LicenseContext(to)
        how = TaskStatus(status[0] if status else "SUCCEEDED"), f"Reason {number}."
        tasks.append(ConversionTask(f"lct-{number}", "eu-west-1", ARN, *contexts, *how, start_time=began))
    seen = (
        {"instance_error": DENIED}
        if billed is DENIED
        else {"instance": None if billed is None else to_instance(billed or None)}
    )
    return decide(to_facts(**seen, tasks=tuple(tasks), **facts), wish)


TO_WINDOWS, BACK, FAILED = (BYOL, WINDOWS), (WINDOWS, BYOL), (BYOL, WINDOWS, "FAILED")
STEPS = [(ENTERPRISE, WINDOWS), BACK]


@pytest.mark.parametrize(
    ("ran", "billed", "wish", "task_id", "severities"),
    [
        # What EC2 says is done, by the newest task that led there, whatever the program says of the source.
        ([TO_WINDOWS, (WEB, WINDOWS), (WINDOWS, ENTERPRISE, "FAILED")], WINDOWS, to_wish(), "lct-1", ["INFO"]),
        ([TO_WINDOWS, (WEB, WINDOWS)], WINDOWS, to_wish(source=BYOL), "lct-1", ["INFO"]),
        ([TO_WINDOWS, (WEB, WINDOWS)], WINDOWS, to_wish(source=WINDOWS), "lct-1", ["INFO"]),
        ([], WINDOWS, to_wish(), None, ["INFO"]),
        # Without the right to ask EC2, by the newest success; where EC2's word may be late, with a warning.
        ([TO_WINDOWS], DENIED, to_wish(source=BYOL), "lct-0", ["INFO"]),
        ([TO_WINDOWS], BYOL, to_wish(), "lct-0", ["INFO", "WARNING"]),
        # Two steps that are done stay done: the history counts, not the newest alone.
        (STEPS, BYOL, to_wish(), "lct-0", ["INFO", "WARNING"]),
        (STEPS, BYOL, to_wish(source=ENTERPRISE), "lct-0", ["INFO"]),
        (STEPS, BYOL, to_wish(BYOL), "lct-1", ["INFO"]),
        (STEPS, DENIED, to_wish(source=ENTERPRISE), "lct-0", ["INFO"]),
        (STEPS, DENIED, to_wish(BYOL, WINDOWS), "lct-1", ["INFO"]),
    ],
)
def test_what_is_done_is_adopted(
    ran: list[Ran], billed: Any, wish: Wish, task_id: str | None, severities: list[str]
) -> None:
    """In a new stack nothing is started for it."""
    step = decide_after(ran, billed, wish)
    assert (step.rule.then, step.task and step.task.task_id) == (Act.DONE, task_id)
    assert [severity for severity, _ in step.notes] == severities


@pytest.mark.parametrize(
    ("ran", "wish", "act", "lines"),
    [
        (
            [TO_WINDOWS],
            to_wish(),
            Act.DONE,
            [
                "lct-0 has converted it and is adopted; no conversion is started.",
                f"EC2 still bills {ARN} as Windows BYOL ({BYOL}), not as Windows ({WINDOWS}); set correct_drift=True "
                "to have it converted again.",
            ],
        ),
        (
            STEPS,
            to_wish(),
            Act.DONE,
            [
                f"lct-0 has converted it, and lct-1 then converted it on to Windows BYOL ({BYOL}) and is adopted; "
                "no conversion is started.",
                f"A later conversion of {ID} continued from the declared destination. If no resource of this program "
                "did that, set correct_drift=True to have it converted back.",
            ],
        ),
        (
            [(BYOL, WINDOWS, "IN_PROGRESS")],
            to_wish(),
            Act.ADOPT,
            ["lct-0 is already in progress and is adopted; no conversion is started."],
        ),
        ([FAILED], to_wish(), Act.CREATE, ["The last conversion, lct-0, FAILED: Reason 0. A new one is started."]),
    ],
)
def test_what_is_said_of_earlier_tasks(ran: list[Ran], wish: Wish, act: Act, lines: list[str]) -> None:
    step = decide_after(ran, BYOL, wish)
    assert (step.rule.then, [text for _, text in step.notes]) == (act, lines)


@pytest.mark.parametrize(
    ("ran", "billed", "wish", "more"),
    [
        ([TO_WINDOWS], ENTERPRISE, to_wish(source=BYOL, correct_drift=True), {}),  # EC2's word counts, for the source
        ([TO_WINDOWS, BACK], BYOL, to_wish(), {}),  # it was converted back
        ([TO_WINDOWS, BACK], BYOL, to_wish(source=BYOL), {}),
        ([TO_WINDOWS, (WEB, ENTERPRISE)], ENTERPRISE, to_wish(), {}),  # a later task started from elsewhere
        # Fewer than three failures to the same destination within a day, or a word that starts one nevertheless.
        ([FAILED] * 2, BYOL, to_wish(), {}),
        ([FAILED] * 3, BYOL, to_wish(), {"hours": 9.0}),
        ([(BYOL, ENTERPRISE, "FAILED")] * 3, BYOL, to_wish(), {}),
        ([*[FAILED] * 3, TO_WINDOWS, BACK], BYOL, to_wish(), {}),
        ([FAILED] * 3, BYOL, to_wish(retry_failed=True), {}),
        ([FAILED] * 3, BYOL, to_wish(), {"is_forced_by_command": True}),
        ([], UBUNTU_PRO, to_wish(UBUNTU, allow_unlisted_pair=True), {}),
    ],
)
def test_what_is_not_done_is_started(ran: list[Ran], billed: str, wish: Wish, more: dict[str, Any]) -> None:
    step = decide_after(ran, billed, wish, **more)
    assert (step.rule.then, step.request.source.usage_operation) == (Act.CREATE, billed)


STARTING = f"Starting the license conversion of {ARN} in eu-west-1: "
THREE_FAILED = (
    "the last 3 conversions FAILED within 24 hours, so that none is started unattended (lct-2: Reason 2, lct-1: "
    "Reason 1, lct-0: Reason 0). Fix the cause, then set retry_failed=True"
)


@pytest.mark.parametrize(
    ("ran", "billed", "wish", "error", "more"),
    [
        ([FAILED] * 3, BYOL, to_wish(), f"{THREE_FAILED} to start one.", {"is_forced_by_command": None}),
        ([FAILED] * 3, BYOL, to_wish(), f"{THREE_FAILED} or run `pulumi up --replace '{URN}'` to start one.", {}),
        (
            [(BYOL, WEB, "IN_PROGRESS")],
            BYOL,
            to_wish(),
            "license conversion task lct-0 is already converting it with other license contexts. Wait for its end, "
            "then run `pulumi up` again.",
            {},
        ),
        (
            [],
            UBUNTU_PRO,
            to_wish(UBUNTU),
            "AWS does not convert Ubuntu Pro back to Ubuntu LTS. The user guide lists, from RunInstances:0g00 (Ubuntu "
            "Pro): nothing. Convert to one that is listed, or set allow_unlisted_pair=True to have AWS decide.",
            {},
        ),
        (
            [],
            BYOL,
            to_wish(source=WINDOWS),
            f"source_license_context is the same as the destination, and EC2 bills it as Windows BYOL ({BYOL}). Leave "
            "source_license_context out, so that it is read from the instance.",
            {},
        ),
        (
            [],
            "",
            to_wish(),
            "EC2 does not show what it is billed as. Check the ARN and the region, or set source_license_context.",
            {},
        ),
        (
            [],
            None,
            to_wish(),
            "EC2 shows no such instance. Check the ARN, the region and the account of the credentials.",
            {},
        ),
    ],
)
def test_what_is_refused(ran: list[Ran], billed: Any, wish: Wish, error: str, more: dict[str, Any]) -> None:
    step = decide_after(ran, billed, wish, **more)
    assert (step.rule.then, str(step.errors[0])) == (Act.REFUSE, STARTING + error)


def test_without_a_source_the_right_to_ask_is_needed() -> None:
    step = decide_after([], DENIED, to_wish())
    assert (step.rule.then, step.errors[0].remedy) == (
        Act.REFUSE,
        "Allow ec2:DescribeInstances; or set source_license_context",
    )


def test_a_mark_that_is_a_urn_alone_is_that_resources_for_half_a_day() -> None:
    """Earlier versions wrote no more: which instance it was for is not known, and EC2 says since when it is stopped."""
    stopped_at = datetime(2026, 11, 29, 8, 0, tzinfo=timezone.utc)
    mark = Mark.parse(URN, ("i-1",), stopped_at)
    assert [mark.is_owned_by(urn) for urn in (URN, f"{URN}-other")] == [True, False]
    assert (mark.is_for("i-1"), mark.instance_ids) == (True, ["i-1"])
    assert [mark.is_young(stopped_at + timedelta(hours=hours)) for hours in (12, 13)] == [True, False]
    assert Mark.parse(URN, ("i-1",), None).is_young(stopped_at)


def test_a_mark_of_several_instances_names_each_and_no_other() -> None:
    """The rows of a fleet that are marked together share a value that fits into a tag."""
    ids, urn = [f"i-{n:017x}" for n in range(33)], "urn:" + "x" * 300
    value = make_value(urn, ids[:32], NOW, NOW + HOUR)
    mark = Mark.parse(value, ("eni-1", *ids), None)
    assert len(value) == 256
    assert [instance_id for instance_id in ids if not mark.is_for(instance_id)] == ids[32:]
    assert (mark.is_owned_by(urn), mark.is_owned_by(URN), mark.instance_ids) == (True, False, ids)


@pytest.mark.parametrize(("milliseconds", "act"), [(-1, Act.STOP), (0, Act.REFUSE), (1, Act.REFUSE)])
def test_the_later_of_two_marks_counts_within_a_second(milliseconds: int, act: Act) -> None:
    """Two stacks mark an instance at once, and one of its two places still shows the first mark, whichever that is."""
    values = [
        make_value(urn, ID, NOW + timedelta(milliseconds=late), NOW + 12 * HOUR)
        for urn, late in ((URN, 0), (f"{URN}-other", milliseconds))
    ]
    for order in (values, values[::-1]):
        tags = tuple(Tag(place, TAG, value) for place, value in zip((ID, "eni-1"), order, strict=True))
        facts = to_facts(instance=to_instance(BYOL, "running"), tags=tags, is_stop_checked=True)
        assert decide(facts, to_wish(stop_and_restart=True)).rule.then is act


def test_a_mark_that_was_copied_from_another_instance_is_ignored() -> None:
    """A program that replaces an instance by a copy of it keeps the URN, and the copy has the tags of the first."""
    copied = Tag(ID, TAG, make_value(URN, "i-0abc", NOW, NOW + HOUR))
    step = decide(to_facts(instance=to_instance(WINDOWS), tags=(copied,)), to_wish(stop_and_restart=True))
    assert step.rule.then is Act.DONE
    assert step.notes[0] == (
        "WARNING",
        f"{ID} has a mark that was written for another instance and copied: it is ignored. Remove the tag {TAG}.",
    )


def test_refusals_count_for_a_day_and_for_the_instance_that_they_name() -> None:
    refused = Refusals((NOW - 23 * HOUR, NOW)).with_one("i-1", "InvalidParameterValueException", NOW)
    tags = [Tag("i-2", REFUSED_TAG, refused)]
    assert [len(Refusals.parse(tags, "i-1", NOW + hours * HOUR).times) for hours in (0, 2, 25)] == [3, 2, 0]
    assert Refusals.parse(tags, "i-2", NOW).times == ()


@pytest.mark.parametrize(("is_stop_checked", "act"), [(False, Act.CHECK), (True, Act.MARK)])
def test_an_instance_that_is_started_after_the_checks_is_checked_again(is_stop_checked: bool, act: Act) -> None:
    """Checks of one that was stopped say nothing of what its stop would erase."""
    instance = to_instance(BYOL, "running", InstanceType="m5d.large")
    facts = to_facts(instance=instance, problems=(), is_stop_checked=is_stop_checked)
    assert decide(facts, to_wish(stop_and_restart=True)).rule.then is act


@pytest.mark.parametrize(
    ("is_answered", "seconds", "source", "act"),
    [
        pytest.param(True, 11 * 3600.0, None, Act.WAIT, id="AWS has answered this process: to the deadline"),
        pytest.param(False, 599.0, None, Act.WAIT, id="AWS has answered nothing"),
        pytest.param(False, 601.0, None, Act.LEAVE, id="AWS has answered nothing for 10 minutes"),
        pytest.param(True, 29.0, BYOL, Act.WAIT, id="a source, so that EC2 may be out of reach"),
        pytest.param(True, 31.0, BYOL, Act.CREATE, id="EC2 is out of reach"),
    ],
)
def test_how_long_a_fault_is_carried(is_answered: bool, seconds: float, source: str | None, act: Act) -> None:
    """The row says which fault it is, and for how long."""
    fault = EndpointUnreachableError(Subject(DESCRIBE_ACTION, None, "eu-west-1", ARN), "Could not connect")
    memory = Memory(began=0.0, is_answered=is_answered, failing_since=0.0)
    step = decide(to_facts(seconds, memory, instance_error=fault), to_wish(source=source))
    assert step.rule.then is act
    assert act is not Act.WAIT or step.text.startswith("failing ")


@pytest.mark.parametrize(("tries", "denied", "act"), [(0, 0, Act.START), (1, 0, Act.UNMARK), (1, 1, Act.UNMARK)])
def test_what_ran_again_is_not_started_a_second_time(tries: int, denied: int, act: Act) -> None:
    """A call to remove the mark that was not answered may have removed it, and somebody stopped the instance since."""
    memory = Memory(began=0.0, is_marked=True, sent={**dict.fromkeys(Act, Sent()), Act.UNMARK: Sent(tries=tries)})
    seen: dict[str, Any] = {"instance_error": DENIED} if denied else {"instance": to_instance(BYOL)}
    assert decide(to_facts(90.0, memory, **seen), to_wish(converts=False)).rule.then is act


@pytest.mark.parametrize(("seconds", "act"), [(100.0, Act.WAIT), (181.0, Act.STOP)])
def test_what_somebody_starts_is_not_stopped_under_a_conversion_that_may_be_listed_late(
    seconds: float, act: Act
) -> None:
    """The call that starts one was not answered, and AWS lists a task up to two minutes late."""
    sent = {**dict.fromkeys(Act, Sent()), Act.STOP: Sent(1, 1, 0.0, 0.0), Act.CREATE: Sent(tries=1)}
    memory = Memory(began=0.0, is_marked=True, create_lost_at=0.0, sent=sent)
    facts = to_facts(seconds, memory, instance=to_instance(BYOL, "running"), problems=(), is_stop_checked=True)
    assert decide(facts, to_wish(stop_and_restart=True)).rule.then is act


def test_some_rule_always_holds() -> None:
    """The last ones leave nothing out: a job is never without a decision."""
    for holds in product(("", "-"), repeat=4):
        words = {sign + word for sign, word in zip(holds, ("shown", "stops", "running", "stopped"), strict=True)}
        assert any(rule.words <= words for rule in RULES), words
