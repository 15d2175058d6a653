"""The promises one by one, as small as can be: what a record keeps, what a wait is told, what is no answer."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from pulumi.dynamic import Config
from reliability_world import LIST, NoPauses, played_by, to_body

from lmconv_resource.aws.client import connect
from lmconv_resource.aws.license_manager import find_task, find_tasks, start_task
from lmconv_resource.aws.settings import Settings
from lmconv_resource.errors import LicenseConversionError, SettingsError
from lmconv_resource.hosts import session as process
from lmconv_resource.lifecycle.start import Request
from lmconv_resource.lifecycle.state import differs, merge
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.polling.cancellation import StopSignal
from lmconv_resource.polling.poller import Watcher
from lmconv_resource.provider import LicenseConversionTaskProvider

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


def make_provider(**config: str) -> LicenseConversionTaskProvider:
    provider = LicenseConversionTaskProvider()
    provider._config = Config({"aws:maxRetries": "0", **config}, "project")
    return provider


def refuse(code: str) -> tuple[int, bytes]:
    return 400, json.dumps({"__type": code, "message": "No."}).encode()


def make_record(answer: dict[str, Any]) -> dict[str, Any]:
    with played_by(lambda *_: to_body(answer)):
        return make_provider().create(dict(INPUTS)).outs or {}


def test_a_finished_record_takes_what_is_new_and_keeps_what_is_missing() -> None:
    """A refresh of an ended task takes another message over, and completes it from the record."""
    record = make_record(SUCCEEDED)
    with played_by(
        lambda *_: to_body({"LicenseConversionTaskId": TASK_ID, "Status": "SUCCEEDED", "StatusMessage": "archived"})
    ):
        read = make_provider().read(TASK_ID, record)
    assert read.outs == {**record, "status_message": "archived"}
    assert merge({"status": "SUCCEEDED", "resource_arn": "old"}, {**record, "resource_arn": "new"})["resource_arn"] == (
        "new"
    )


@pytest.mark.parametrize(
    "answer", [refuse("InvalidParameterValueException"), to_body({**SUCCEEDED, "Status": "IN_PROGRESS"})]
)
def test_a_kept_record_keeps_its_id(answer: tuple[int, bytes]) -> None:
    """Where a finished record is kept, it is kept whole, id included, for an empty id would drop it."""
    record = make_record(SUCCEEDED)
    with played_by(lambda *_: answer):
        read = make_provider().read(TASK_ID, record)
    assert (read.id, read.outs, read.inputs) == (TASK_ID, record, None)


def test_a_change_inside_a_list_is_a_change() -> None:
    """Another product code is seen, at its depth, and a missing one is none."""
    one = {"source_license_context": {"usage_operation": None, "product_codes": [{"product_code_id": "a"}]}}
    other = {"source_license_context": {"product_codes": [{"product_code_id": "b"}]}}
    same = {"source_license_context": {"product_codes": [{"product_code_id": "a", "product_code_type": None}]}}
    assert differs(one, other)
    assert not differs(one, same)


def test_a_wait_is_told_all_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interval, deadline by operation, task, region and the signal to stop reach the watcher."""
    heard: list[tuple[Any, dict[str, Any]]] = []

    class Ears:
        def wait_for_task(self, *place: Any, **settings: Any) -> Any:
            heard.append((place, settings))
            raise SettingsError(reason="enough", remedy="Stop")

    with played_by(lambda *_: to_body(SUCCEEDED)):
        monkeypatch.setattr(process, "find_watcher", lambda _: Ears())
        provider = make_provider()
        inputs = {
            **INPUTS,
            "wait_for_completion": True,
            "poll_interval_seconds": 7,
            "__timeouts": {"create": "1m", "update": "2h"},
        }
        with pytest.raises(SettingsError):
            provider.create(inputs)
        with pytest.raises(SettingsError):
            provider.update(TASK_ID, dict(INPUTS), {**inputs, "region": None})
        assert [settings["stop"] is process.stop for _, settings in heard] == [True, True]
    assert [place for place, _ in heard] == [(TASK_ID, REGION)] * 2
    assert [settings["timeout_seconds"] for _, settings in heard] == [60, 7200]
    assert {settings["poll_interval_seconds"] for _, settings in heard} == {7}


def test_a_wait_without_a_region_names_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that can't even connect says for which task."""
    monkeypatch.setattr("lmconv_resource.aws.settings._find_shared_config_region", lambda _: None)
    with pytest.raises(SettingsError) as caught:
        make_provider().create({"license_conversion_task_id": TASK_ID, "wait_for_completion": True})
    assert caught.value.task_id == TASK_ID


def test_a_config_file_that_cannot_be_read_is_a_failure_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no region can be found because of the shared config, check says so, and gives the inputs back."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    result = make_provider().check({}, {"license_conversion_task_id": TASK_ID})
    assert [failure.property for failure in result.failures] == ["region"]
    assert "nobody" in result.failures[0].reason
    assert result.inputs == {"license_conversion_task_id": TASK_ID}


@pytest.mark.parametrize("region", [[], {}, False, 0])
def test_an_empty_region_of_another_type_is_a_failure(region: Any) -> None:
    """Only None and an empty text stand for the default region; what else is empty is a mistake, and is named."""
    result = make_provider(**{"aws:region": REGION}).check(
        {}, {"license_conversion_task_id": TASK_ID, "region": region}
    )
    assert [failure.property for failure in result.failures] == ["region"]


def test_a_look_that_is_told_to_stop_ends() -> None:
    """A look that AWS's faults keep going ends with the signal, before its tries are used up."""
    calls: list[str] = []

    def answer(*_: Any) -> tuple[int, bytes]:
        calls.append("")
        if len(calls) == 3:
            process.stop.event.set()
        return 500, b"{}"

    with played_by(answer), pytest.raises(LicenseConversionError):
        make_provider(**{"aws:maxRetries": "50"}).create(dict(INPUTS))
    assert len(calls) == 3


def test_a_list_asks_for_what_it_is_told() -> None:
    """The filters are AWS's own words, and pages follow their token."""
    asked: list[dict[str, Any]] = []

    def answer(_region: str, operation: str, request: dict[str, Any]) -> tuple[int, bytes]:
        assert operation == LIST
        asked.append(request)
        return to_body({"LicenseConversionTasks": [], **({"NextToken": "more"} if len(asked) == 1 else {})})

    with played_by(answer):
        assert find_tasks(connect(Settings(REGION)), resource_arn=ARN, status=TaskStatus.FAILED) == []
    filters = [{"Name": "ResourceArns", "Values": [ARN]}, {"Name": "Status", "Values": ["FAILED"]}]
    assert asked == [
        {"Filters": filters, "MaxResults": 100},
        {"Filters": filters, "MaxResults": 100, "NextToken": "more"},
    ]


LIST_LINE = (
    f"Looking for the license conversions of {ARN} in {REGION}: what came back is no list of license conversion tasks. "
    "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)


def test_what_is_no_list_is_one_line() -> None:
    """A page of a proxy's is not taken for an empty list."""
    with played_by(lambda *_: (200, b"<html>")), pytest.raises(LicenseConversionError) as caught:
        find_tasks(connect(Settings(REGION, max_retries=0)), resource_arn=ARN)
    assert str(caught.value) == LIST_LINE
    assert (caught.value.task_id, caught.value.region) == (None, REGION)


def test_a_start_without_an_id_is_one_line() -> None:
    """An answer to the start of a conversion that names no task is not taken for one."""
    request = Request(ARN, LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002"))
    with played_by(lambda *_: to_body({})), pytest.raises(LicenseConversionError) as caught:
        start_task(connect(Settings(REGION)), request)
    assert str(caught.value) == (
        f"Starting the license conversion of {ARN} in {REGION}: the answer has no task id. Check that the endpoint is "
        "AWS License Manager and no proxy answers for it, then run `pulumi up` again."
    )
    assert (caught.value.task_id, caught.value.region) == (None, REGION)


def test_a_stopped_look_does_not_wait_for_its_turn() -> None:
    """Once told to stop, a look neither queues nor pauses."""
    stopped: threading.Event = NoPauses()
    stopped.set()
    with played_by(lambda *_: to_body(SUCCEEDED)):
        process.stop.set("the test")
        assert isinstance(process.stop, StopSignal)
        assert find_task(connect(Settings(REGION)), TASK_ID, stopped).status_message == "all went well"


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
    other = {"LicenseConversionTaskId": "lct-2", "Status": "IN_PROGRESS", **({"StartTime": started} if started else {})}
    record = {"license_conversion_task_id": TASK_ID, "resource_arn": ARN, "region": REGION, "status": "SUCCEEDED"}
    with played_by(lambda *_: to_body({"LicenseConversionTasks": [other]})):
        diff = make_provider().diff(
            TASK_ID,
            {**record, "start_time": recorded},
            {"resource_arn": ARN, "region": REGION, "follow_newest": True},
        )
    assert (diff.changes, diff.replaces or []) == ((True, ["license_conversion_task_id"]) if follows else (False, []))


def test_a_wait_keeps_the_interval_it_is_given() -> None:
    """The blocking call plans with the interval of its own wait."""
    seen: list[float | None] = []

    def find(task_id: str) -> ConversionTask:
        seen.extend(wait.poll_interval_seconds for wait in watcher._waits)
        return ConversionTask(task_id, REGION, status=TaskStatus.SUCCEEDED)

    watcher = Watcher(find, None)
    watcher.wait_for_task(TASK_ID, REGION, stop=StopSignal(), report=lambda *_: None, poll_interval_seconds=7)
    assert seen == [7]
