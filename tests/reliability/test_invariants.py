"""The promises one by one, as small as can be: what a record keeps, what a wait is told, what is no answer."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from support.license_manager import LIST, NO_PACE, Answer, FakeSession, to_body, to_refusal
from support.waiting import SOON

from lmconv_resource.aws.client import Connection
from lmconv_resource.errors import CONNECT_ACTION, LicenseConversionError, SettingsError, Subject
from lmconv_resource.lifecycle.operation import Access
from lmconv_resource.lifecycle.state import find_changed, merge
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.poller import Poller

TASK_ID, REGION, ARN = "lct-1", "eu-west-1", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"
INPUTS = {"license_conversion_task_id": TASK_ID, "region": REGION, "__urn": "urn"}
SUCCEEDED = {
    "LicenseConversionTaskId": TASK_ID,
    "Status": "SUCCEEDED",
    "StatusMessage": "all went well",
    "ResourceArn": ARN,
    "StartTime": 1_800_000_000,
    "EndTime": 1_800_000_090,
}


def make_session(answer: Answer, **config: str) -> FakeSession:
    return FakeSession(answer, {"aws:maxRetries": "0", **config})


def make_record(answer: dict[str, Any]) -> dict[str, Any]:
    return make_session(lambda *_: to_body(answer)).provider().create(dict(INPUTS)).outs or {}


def reach(session: FakeSession) -> Connection:
    """Return License Manager as an operation that was not cancelled reaches it."""
    return session.connect(Access(REGION)).until(Cancellation(session.cancellation))


def test_a_finished_record_takes_what_is_new_and_keeps_what_is_missing() -> None:
    """A refresh of an ended task takes another message over, and completes it from the record."""
    record = make_record(SUCCEEDED)
    answer = {"Status": "SUCCEEDED", "ResourceArn": ARN, "StatusMessage": "archived"}
    read = make_session(lambda *_: to_body(answer)).provider().read(TASK_ID, record)
    assert read.outs == {**record, "status_message": "archived"}
    old = ConversionTask.from_outputs({"status": "SUCCEEDED", "resource_arn": "old"})
    assert merge(old, ConversionTask.from_outputs({**record, "resource_arn": "new"})).resource_arn == "new"


@pytest.mark.parametrize(
    "answer", [to_refusal("InvalidParameterValueException"), to_body({**SUCCEEDED, "Status": "IN_PROGRESS"})]
)
def test_a_kept_record_keeps_its_id(answer: tuple[int, bytes]) -> None:
    """Where a finished record is kept, it is kept whole, id included, for an empty id would drop it."""
    record = make_record(SUCCEEDED)
    read = make_session(lambda *_: answer).provider().read(TASK_ID, record)
    assert (read.id, read.outs, read.inputs) == (TASK_ID, record, None)


def test_a_change_inside_a_list_is_a_change() -> None:
    """Another product code is seen, at its depth, and a missing one is none."""
    one = {"source_license_context": {"usage_operation": None, "product_codes": [{"product_code_id": "a"}]}}
    other = {"source_license_context": {"product_codes": [{"product_code_id": "b"}]}}
    same = {"source_license_context": {"product_codes": [{"product_code_id": "a", "product_code_type": None}]}}
    read = ConversionTask.from_outputs
    assert find_changed(read(one), read(other)) == ("source_license_context",)
    assert find_changed(read(one), read(same)) == ()


class Ears(Poller):
    """Hears what a wait is told."""

    def __init__(self) -> None:
        super().__init__(Dispatcher(lambda _: ConversionTask(TASK_ID, REGION), None))
        self.heard: list[tuple[Any, dict[str, Any]]] = []
        self.on_wait: Any = lambda: None

    def wait_for_task(self, *place: Any, **settings: Any) -> Any:
        self.on_wait()
        self.heard.append((place, {**settings, "reason": settings["cancellation"].reason}))
        raise SettingsError(Subject(CONNECT_ACTION), "enough", "Stop")


def test_a_wait_is_told_all_its_settings() -> None:
    """Interval, deadline by operation, task, region and the cancellation reach the poller."""
    session = make_session(lambda *_: to_body(SUCCEEDED))
    ears = session.connect(Access(REGION)).poller = Ears()
    inputs = {
        **INPUTS,
        "wait_for_completion": True,
        "poll_interval_seconds": 7,
        "__timeouts": {"create": "1m", "update": "2h"},
    }
    with pytest.raises(SettingsError):
        session.provider().create(inputs)
    ears.on_wait = lambda: session.cancellation.set("the test")
    with pytest.raises(SettingsError):
        session.provider().update(TASK_ID, dict(INPUTS), {**inputs, "region": None})

    assert [settings["reason"] for _, settings in ears.heard] == [None, "the test"]
    assert [place for place, _ in ears.heard] == [(TASK_ID, REGION)] * 2
    assert [settings["timeout_seconds"] for _, settings in ears.heard] == [
        pytest.approx(60, abs=10),  # less what the operation has taken until there
        pytest.approx(7200, abs=10),
    ]
    assert {settings["poll_interval_seconds"] for _, settings in ears.heard} == {7}


def ask_nobody(*_: Any) -> tuple[int, bytes]:
    raise AssertionError("AWS is asked")


def test_a_wait_without_a_region_names_its_task() -> None:
    """A wait that can't even connect says for which task."""
    inputs = {"license_conversion_task_id": TASK_ID, "wait_for_completion": True}
    with pytest.raises(SettingsError) as caught:
        make_session(ask_nobody).provider().create(inputs)
    assert caught.value.subject.task_id == TASK_ID


def test_a_config_file_that_cannot_be_read_is_a_failure_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no region can be found because of the shared config, check says so, and gives the inputs back."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    result = make_session(ask_nobody).provider().check({}, {"license_conversion_task_id": TASK_ID})
    assert [failure.property for failure in result.failures] == ["region"]
    assert "nobody" in result.failures[0].reason
    assert result.inputs == {"license_conversion_task_id": TASK_ID}


@pytest.mark.parametrize("region", [[], {}, False, 0])
def test_an_empty_region_of_another_type_is_a_failure(region: Any) -> None:
    """Only None and an empty text stand for the default region; what else is empty is a mistake, and is named."""
    provider = make_session(ask_nobody, **{"aws:region": REGION}).provider()
    result = provider.check({}, {"license_conversion_task_id": TASK_ID, "region": region})
    assert [failure.property for failure in result.failures] == ["region"]


def test_a_look_that_is_told_to_stop_ends() -> None:
    """A look that AWS's faults keep going ends with the signal, before its tries are used up."""
    calls: list[str] = []

    def answer(*_: Any) -> tuple[int, bytes]:
        calls.append("")
        if len(calls) == 3:
            session.cancellation.set("the test")
        return 500, b"{}"

    session = make_session(answer, **{"aws:maxRetries": "50"})
    with pytest.raises(LicenseConversionError):
        session.provider().create(dict(INPUTS))
    assert len(calls) == 3


def test_a_list_asks_for_what_it_is_told() -> None:
    """The filters are AWS's own words, and pages follow their token."""
    asked: list[dict[str, Any]] = []

    def answer(_region: str, operation: str, request: dict[str, Any]) -> tuple[int, bytes]:
        assert operation == LIST
        asked.append(request)
        return to_body({"LicenseConversionTasks": [], **({"NextToken": "more"} if len(asked) == 1 else {})})

    license_manager = reach(make_session(answer)).license_manager
    assert license_manager.list_tasks(resource_arn=ARN, status=TaskStatus.FAILED) == []
    filters = [{"Name": "ResourceArns", "Values": [ARN]}, {"Name": "Status", "Values": ["FAILED"]}]
    assert asked == [
        {"Filters": filters, "MaxResults": 100},
        {"Filters": filters, "MaxResults": 100, "NextToken": "more"},
    ]


LIST_LINE = (
    f"Listing the license conversions of {ARN} in {REGION}: the response is not a list of license conversion tasks. "
    "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)


def test_what_is_no_list_is_one_line() -> None:
    """A page of a proxy's is not taken for an empty list."""
    with pytest.raises(LicenseConversionError) as caught:
        reach(make_session(lambda *_: (200, b"<html>"))).license_manager.list_tasks(resource_arn=ARN)
    assert str(caught.value) == LIST_LINE
    assert (caught.value.subject.task_id, caught.value.subject.region) == (None, REGION)


def test_a_start_without_an_id_is_one_line() -> None:
    """An answer to the start of a conversion that names no task is not taken for one."""
    request = ConversionRequest(ARN, LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002"))
    with pytest.raises(LicenseConversionError) as caught:
        reach(make_session(lambda *_: to_body({}))).license_manager.create_task(request)
    assert str(caught.value) == (
        f"Starting the license conversion of {ARN} in {REGION}: the answer has no task id. Check that the endpoint is "
        "AWS License Manager and no proxy answers for it, then run `pulumi up` again."
    )
    assert (caught.value.subject.task_id, caught.value.subject.region) == (None, REGION)


def test_a_stopped_look_does_not_wait_for_its_turn() -> None:
    """Once told to stop, a look neither queues nor pauses."""
    a_minute_apart = replace(NO_PACE, fastest_gap_seconds=60, slowest_gap_seconds=60)
    session = FakeSession(lambda *_: to_body(SUCCEEDED), policy=a_minute_apart)
    aws = reach(session)
    aws.license_manager.get_task(TASK_ID)

    session.cancellation.set("the test")
    began = time.monotonic()
    assert aws.license_manager.get_task(TASK_ID).status_message == "all went well"

    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("started", "recorded", "follows"),
    [
        (1_800_000_000, "2027-01-15T07:59:59Z", True),
        (1_800_000_000, "2027-01-15T08:00:01Z", False),
        (1_800_000_000, None, True),
        (None, "2027-01-15T08:00:01Z", True),
    ],
)
def test_only_a_newer_task_is_followed(started: int | None, recorded: str | None, follows: bool) -> None:
    """A task is not left for one that started before it; where a start is unknown, AWS's newest is."""
    other = {"LicenseConversionTaskId": "lct-2", "Status": "IN_PROGRESS", "ResourceArn": ARN, "StartTime": started}
    record = {"license_conversion_task_id": TASK_ID, "resource_arn": ARN, "region": REGION, "status": "SUCCEEDED"}
    diff = (
        make_session(lambda *_: to_body({"LicenseConversionTasks": [other]}))
        .provider()
        .diff(
            TASK_ID,
            {**record, "start_time": recorded},
            {"resource_arn": ARN, "region": REGION, "follow_newest": True},
        )
    )
    assert (diff.changes, diff.replaces or []) == ((True, ["license_conversion_task_id"]) if follows else (False, []))


def test_a_wait_keeps_the_interval_it_is_given() -> None:
    """The blocking call plans with the interval of its own wait."""
    seen: list[float | None] = []

    def get_task(task_id: str) -> ConversionTask:
        seen.extend(wait.poll_interval_seconds for wait in poller.dispatcher.waits)
        return ConversionTask(task_id, REGION, status=TaskStatus.SUCCEEDED)

    poller = Poller(Dispatcher(get_task, None))
    poller.wait_for_task(TASK_ID, REGION, cancellation=Cancellation(), report=lambda *_: None, poll_interval_seconds=7)
    assert seen == [7]
