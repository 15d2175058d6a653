"""The plugin's service over gRPC: what the engine is answered that the dynamic provider can't answer."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2
from support.job import BYOL, WINDOWS, Job
from support.native_host import (
    CONVERSION,
    SECRET,
    SIGNATURE,
    TASK,
    UNKNOWN,
    InitError,
    Plugin,
    plugin,
    secret,
    to_init_error,
    to_struct,
    to_text,
)
from support.waiting import SOON

from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, SlowAnswer

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
CONVERT = {
    "resourceArn": ARN,
    "sourceLicenseContext": {"usageOperation": "RunInstances:0800"},
    "destinationLicenseContext": {"usageOperation": "RunInstances:0002"},
    "region": "eu-west-1",
    "waitForCompletion": True,
}
TRACK = {"licenseConversionTaskId": "lct-1", "region": "eu-west-1"}
WAIT = {**TRACK, "waitForCompletion": True}


@pytest.fixture
def native(aws: LicenseManagerBackend) -> Iterator[Plugin]:
    """The engine's end of a plugin that asks the emulated License Manager."""
    with plugin() as driven:
        yield driven


def add_done(aws: LicenseManagerBackend, task_id: str = "lct-1", **more: Any) -> None:
    given = {"resource_arn": ARN, "source": "RunInstances:0800", "destination": "RunInstances:0002", **more}
    aws.add_task(task_id=task_id, **given)


def starts(aws: LicenseManagerBackend) -> int:
    return aws.calls["CreateLicenseConversionTaskForResource"]


def recorded_of(error: grpc.RpcError) -> InitError:
    recorded = to_init_error(error)
    assert recorded is not None
    return recorded


def fail_create(native: Plugin, inputs: dict[str, Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        native.create(CONVERSION, inputs)
    return raised.value


@pytest.mark.parametrize("is_answered", [True, False])
def test_cancel_ends_a_create_at_once_and_records_its_task(
    native: Plugin, aws: LicenseManagerBackend, *, is_answered: bool
) -> None:
    """One ^C, in the wait or between the call that starts and its answer."""
    aws.conversion_seconds = 3600
    if not is_answered:
        aws.faults.add(Fault(SlowAnswer(0.5), operation="CreateLicenseConversionTaskForResource"))
    creating = native.create_later(CONVERSION, CONVERT)
    while not (aws.tasks if is_answered else starts(aws)):
        time.sleep(0.01)
    native.cancel()
    began = time.monotonic()
    error = creating.exception()
    assert time.monotonic() - began < SOON
    recorded = recorded_of(error)
    assert [recorded.id] == list(aws.tasks)
    assert recorded.properties["licenseConversionTaskId"] == recorded.id
    assert recorded.reasons == [to_text(error)]
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the update was cancelled" in to_text(error)
    assert starts(aws) == 1


def test_an_update_whose_time_is_up_records_what_it_saw(native: Plugin, aws: LicenseManagerBackend) -> None:
    """With the id, so that the next update goes on."""
    add_done(aws, status="IN_PROGRESS")
    _, outputs = native.create(TASK, TRACK)
    with pytest.raises(grpc.RpcError) as raised:
        native.update(TASK, "lct-1", outputs, WAIT, timeout=0.4)
    recorded = recorded_of(raised.value)
    assert recorded.id == "lct-1"
    assert "customTimeouts sets how long to wait" in recorded.reasons[0]


@pytest.mark.parametrize("kind", [TASK, CONVERSION])
@pytest.mark.parametrize("id_", ["lct-1", ARN])
def test_import(native: Plugin, aws: LicenseManagerBackend, kind: str, id_: str) -> None:
    """By id or by ARN, whose region the settings need not name; with the inputs that are read nothing changes."""
    if id_ == ARN:
        native.configure()
    add_done(aws)
    add_done(aws, "lct-2", resource_arn=f"{ARN}1")
    read = native.read(kind, id_)
    inputs, outputs = MessageToDict(read.inputs), MessageToDict(read.properties)
    assert (read.id, outputs["status"]) == ("lct-1", "SUCCEEDED")
    asked = dict(aws.calls)
    with pytest.raises(grpc.RpcError, match="nobody"):
        native.read(kind, id_, None, {"profile": "nobody"})  # a `get` says who calls, also for the look-up by ARN
    assert dict(aws.calls) == asked
    named = {"resourceArn": ARN} if id_ == ARN or kind == CONVERSION else {"licenseConversionTaskId": "lct-1"}
    contexts = {name: value for name, value in CONVERT.items() if name.endswith("Context")}
    assert inputs == {**named, **(contexts if kind == CONVERSION else {}), "region": "eu-west-1"}
    checked, failures = native.check(kind, inputs, inputs)
    assert failures == []
    assert native.diff(kind, read.id, outputs, checked, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_an_import_of_what_is_not_there(native: Plugin) -> None:
    """A resource without a task, and fleets, which AWS does not know."""
    with pytest.raises(grpc.RpcError, match=f"of {ARN} in eu-west-1: AWS shows none. Check the ARN and the account of"):
        native.read(TASK, ARN)
    with pytest.raises(grpc.RpcError, match="lmconv:index:ConversionFleet is not listed: it has no id in AWS"):
        list(native.stub.List(provider_pb2.ListRequest(token="lmconv:index:ConversionFleet")))


def test_a_check_failure_shows_no_secret(native: Plugin) -> None:
    """The engine would show the value of a property that is named."""
    role = {"roleArn": "arn:aws:iam::123456789012:role/r", "duration": "1s", "externalId": secret("keep-quiet")}
    _, ((name, reason),) = native.check(TASK, {"licenseConversionTaskId": "lct-1", "assumeRole": [role]})
    assert (name, "keep-quiet" in reason) == ("", False)
    _, ((name, reason),) = native.check(TASK, {"licenseConversionTaskId": secret("no-such-id")})
    assert name == ""
    assert reason.startswith("licenseConversionTaskId '[secret]' is not the id")
    _, failures = native.check_config(region=secret("somewhere"))
    assert failures == [("", "lmconv:region '[secret]' is not an AWS region: use one such as eu-west-1")]


def test_a_secret_input_is_a_secret_output(native: Plugin, aws: LicenseManagerBackend) -> None:
    """Of the same name, in the record of what was asked for, and in what EC2 says; and it stays one on a refresh."""
    aws.conversion_seconds = 0.0
    context = {"usageOperation": secret("RunInstances:0002")}
    inputs = {**CONVERT, "resourceArn": secret(ARN), "destinationLicenseContext": context}
    checked, failures = native.check(CONVERSION, inputs)
    assert failures == []
    assert checked["resourceArn"] == secret(ARN)
    id_, outputs = native.create(CONVERSION, checked)
    assert outputs["resourceArn"] == secret(ARN)
    assert outputs["__request"][SIGNATURE] == outputs["verifiedUsageOperation"][SIGNATURE] == SECRET
    assert outputs["status"] == "SUCCEEDED"
    assert native.diff(CONVERSION, id_, outputs, checked).changes == provider_pb2.DiffResponse.DIFF_NONE
    read = native.read(CONVERSION, id_, outputs, checked)
    assert [MessageToDict(read.properties), MessageToDict(read.inputs)] == [outputs, checked]


def test_a_fleet_tells_no_secret_of_its_rows(job: Job) -> None:
    """What says a secret license again, in whatever words, is secret; what says nothing of it is not."""
    source, context = {"usageOperation": BYOL}, {"usageOperation": secret(WINDOWS)}
    row, other = ({"resourceArn": job.launch(), "name": "web-1", "sourceLicenseContext": source} for _ in range(2))
    with plugin() as native:
        for inputs in (
            {"instances": [{**row, "destinationLicenseContext": context}]},
            {"instances": [other], "destinationLicenseContext": context},
        ):
            checked, failures = native.check("lmconv:index:ConversionFleet", inputs)
            assert failures == []
            assert checked["rows"][SIGNATURE] == SECRET
            id_, outputs = native.create("lmconv:index:ConversionFleet", checked)
            read = native.read("lmconv:index:ConversionFleet", id_, outputs, checked)
            for found in (outputs, MessageToDict(read.properties)):
                told = {name for name, value in found.items() if isinstance(value, dict) and SIGNATURE in value}
                assert told == {"instances", "report", "__table"}
    assert job.starts == 2


def test_no_secret_is_in_an_error(native: Plugin, aws: LicenseManagerBackend) -> None:
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", message=f"no right to {ARN}")))
    text = to_text(fail_create(native, {**CONVERT, "resourceArn": secret(ARN)}))
    assert ARN not in text
    assert "[secret]" in text


def test_a_preview_plans_and_a_check_asks_nothing(job: Job) -> None:
    arn = job.launch("RunInstances:0g00")
    inputs = {**CONVERT, "resourceArn": arn, "sourceLicenseContext": {"usageOperation": "RunInstances:0g00"}}
    with plugin() as native:
        assert (native.check(CONVERSION, inputs)[1], dict(job.backend.calls)) == ([], {})
        with pytest.raises(grpc.RpcError, match=f"Starting the license conversion of {arn} in eu-west-1: AWS's user"):
            native.create(CONVERSION, inputs, preview=True)
    assert dict(job.backend.calls) == {"ListLicenseConversionTasks": 1}


def test_unknowns_in_a_preview(native: Plugin) -> None:
    """What can't be known yet passes the check, is a change in the diff, and is unknown in the outputs."""
    inputs = {**CONVERT, "resourceArn": UNKNOWN}
    checked, failures = native.check(CONVERSION, inputs)
    assert failures == []
    assert checked["resourceArn"] == UNKNOWN
    id_, outputs = native.create(CONVERSION, checked, preview=True)
    assert id_ == ""
    assert outputs["resourceArn"] == outputs["status"] == outputs["adopted"] == UNKNOWN
    assert outputs["region"] == "eu-west-1"


def test_a_preview_of_an_update_keeps_what_lasts(native: Plugin, aws: LicenseManagerBackend) -> None:
    """The task stays the same, how it ends is unknown, and AWS is not asked."""
    add_done(aws, status="IN_PROGRESS")
    _, outputs = native.create(TASK, TRACK)
    asked = dict(aws.calls)
    preview = native.update(TASK, "lct-1", outputs, WAIT, preview=True)
    assert preview["licenseConversionTaskId"] == "lct-1"
    assert preview["status"] == preview["endTime"] == UNKNOWN
    assert dict(aws.calls) == asked


def test_the_diff_names_each_property(native: Plugin, aws: LicenseManagerBackend) -> None:
    """An input that is added, one that is another, and outputs that AWS changed."""
    kinds = provider_pb2.PropertyDiff
    add_done(aws, status="IN_PROGRESS")
    _, outputs = native.create(TASK, TRACK)

    def diff(inputs: dict[str, Any]) -> dict[str, tuple[Any, bool]]:
        answer = native.diff(TASK, "lct-1", outputs, inputs, TRACK)
        assert answer.hasDetailedDiff
        return {name: (detail.kind, detail.inputDiff) for name, detail in answer.detailedDiff.items()}

    other = {**TRACK, "licenseConversionTaskId": "lct-2"}
    assert diff(other) == {"licenseConversionTaskId": (kinds.UPDATE_REPLACE, True)}
    assert diff(WAIT) == {"waitForCompletion": (kinds.ADD, True)}
    aws.finish_task("lct-1")
    assert diff(TRACK)["status"] == (kinds.UPDATE, False)


def test_settings_as_json_text_or_as_values(native: Plugin, aws: LicenseManagerBackend) -> None:
    """Both lead to AWS; secrets are unwrapped; numbers come as floats."""
    add_done(aws)
    for endpoints in ('[{"licensemanager": "http://127.0.0.1:1"}]', [{"licensemanager": "http://127.0.0.1:1"}]):
        keys = {"secretKey": secret("s" * 20), "accessKey": "a"}
        native.configure(region="eu-west-1", endpoints=endpoints, maxRetries=0.0, **keys)
        with pytest.raises(grpc.RpcError, match=r"http://127\.0\.0\.1:1"):
            native.create(TASK, TRACK)


@pytest.mark.parametrize(
    ("settings", "property_", "reason"),
    [
        ({"region": "mars"}, "region", "lmconv:region 'mars' is not an AWS region: use one such as eu-west-1"),
        ({"maxRetries": "many"}, "maxRetries", "lmconv:maxRetries is not a whole number of at least 0"),
        ({"assumeRoles": "[{}]"}, "assumeRoles", "entry 1 of lmconv:assumeRoles is not the ARN of a role"),
        ({"insecure": True}, "insecure", "lmconv:insecure is true"),
        ({"accessKey": "a"}, "accessKey", "only one is set"),
        ({"allowedAccountId": []}, "allowedAccountIds", "is not a setting. Write lmconv:allowedAccountIds, or remove"),
        ({"instanceId": "i-1"}, "instanceId", "'lmconv:instanceId' is not a setting. Remove it with"),
        ({"maxConcurrentConversions": "2"}, "maxConcurrentConversions", "Give a ConversionFleet maxConcurrent, then"),
        ({"stopAfterFailures": "2"}, "stopAfterFailures", "Give a ConversionFleet stopAfterFailures, then run"),
    ],
)
def test_a_setting_that_cannot_be_used(native: Plugin, settings: dict[str, Any], property_: str, reason: str) -> None:
    """The error is under the setting, in this host's name of it."""
    _, ((name, text),) = native.check_config(**settings)
    assert name == property_
    assert reason in text
    assert "aws:" not in text.replace("arn:aws:", "")


def test_settings_that_pass(native: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown ones in a preview, the engine's own, and those of a project of the same name in the same namespace."""
    for settings in ({"region": UNKNOWN}, {"version": "1"}, {}):
        assert native.check_config(**settings)[1] == []
    monkeypatch.setenv("PULUMI_PROJECT", "lmconv")
    assert native.check_config(licenseConversionTaskId="lct-1")[1] == []


def test_credentials_are_secret_however_they_were_set(native: Plugin) -> None:
    """Also where the program forgot to say so; members of roles by themselves, and as a whole of JSON text."""
    role = {"roleArn": "arn:aws:iam::123456789012:role/a", "externalId": "stack-1"}
    hidden = {**role, "externalId": secret("stack-1")}
    inputs, _ = native.check_config(secretKey="plain", region="x", assumeRoles=[role], assumeRole=json.dumps(role))
    plain = {"region": "x", "assumeRoles": [hidden], "assumeRole": secret(json.dumps(role))}
    assert inputs == {"secretKey": secret("plain"), **plain}
    inputs, _ = native.check(TASK, {"licenseConversionTaskId": "lct-1", "assumeRole": [role]})
    assert inputs["assumeRole"] == [hidden]


def test_the_stacks_configuration_is_no_remedy_for_an_explicit_provider(native: Plugin) -> None:
    """It is named instead, by what it checks, and by its resources."""
    request = provider_pb2.CheckRequest(
        urn="urn:pulumi:dev::project::pulumi:providers:lmconv::production", news=to_struct({"maxRetries": -1})
    )
    (failure,) = native.stub.CheckConfig(request).failures
    assert failure.property == "maxRetries"
    assert failure.reason.endswith(
        "maxRetries is not a whole number of at least 0. Correct it on the provider `production` in the program."
    )
    native.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"profile": "none"}), urn=request.urn))
    (_, reason), *_ = native.check(TASK, {"licenseConversionTaskId": "lct-1"})[1]
    assert ("pulumi config" in reason, "provider `production`" in reason) == (False, True)
    request.urn = request.urn.replace("production", "default_0_1_0_https_/example.com/releases")
    assert "`pulumi config get lmconv:maxRetries`" in native.stub.CheckConfig(request).failures[0].reason


def test_changed_settings_never_replace_the_provider(native: Plugin) -> None:
    """JSON text and what it stands for are the same, and so are the forms of a number that languages have."""
    diff = native.diff_config(
        {"region": "eu-west-1", "allowedAccountIds": '["123456789012"]', "maxRetries": "3.0", "insecure": "false"},
        {"region": "us-east-1", "allowedAccountIds": ["123456789012"], "maxRetries": 3, "insecure": False},
    )
    assert native.check_config(maxRetries="3.0")[1] == []
    assert (diff.changes, list(diff.replaces), list(diff.diffs)) == (2, [], ["region"])


def test_a_bug_keeps_its_traceback(native: Plugin) -> None:
    """And a status that tells the engine that nothing is known."""

    def find(name: str) -> None:
        raise KeyError(name)

    native.session.get_config = find
    with pytest.raises(grpc.RpcError) as raised:
        native.check(TASK, {"licenseConversionTaskId": "lct-1"})
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert to_text(raised.value).startswith("Traceback")
    assert "KeyError: 'lmconv:" in to_text(raised.value)


def test_functions(native: Plugin, aws: LicenseManagerBackend) -> None:
    """Both look up what AWS says, with the outputs' names."""
    add_done(aws)
    add_done(aws, "lct-2", status="FAILED")
    found = native.invoke("lmconv:index:getLicenseConversionTask", id="lct-1")
    assert (found["licenseConversionTaskId"], found["status"]) == ("lct-1", "SUCCEEDED")
    listed = native.invoke("lmconv:index:getLicenseConversionTasks", resourceArns=[ARN], statuses=["FAILED"])
    assert [task["licenseConversionTaskId"] for task in listed["tasks"]] == ["lct-2"]


def test_100_calls_at_once_hold_up_nothing(native: Plugin, aws: LicenseManagerBackend) -> None:
    """A thread a call: one that waits for nothing is answered while 100 wait."""
    for n in range(100):
        add_done(aws, f"lct-{n:04}", status="IN_PROGRESS")
    add_done(aws, "lct-done")
    waiting = [native.create_later(TASK, {**WAIT, "licenseConversionTaskId": f"lct-{n:04}"}) for n in range(100)]
    while threading.active_count() < 100:
        time.sleep(0.05)
    began = time.monotonic()
    native.check(TASK, {"licenseConversionTaskId": "lct-done"})
    assert time.monotonic() - began < SOON
    native.session.cancellation.set("enough")
    assert all("enough" in to_text(call.exception()) for call in waiting)


@pytest.mark.parametrize(
    ("changes", "property", "reason"),
    [
        (
            {"destinationLicenseContext": {"usageOperation": "RunInstances:0002", "product_codes": []}},
            "destinationLicenseContext",
            "destinationLicenseContext has the member 'product_codes', which is not known: write productCodes",
        ),
        ({"stop_and_restart": True}, "", "there is 'stop_and_restart', which is not known: write stopAndRestart"),
        ({"status": "FAILED"}, "", "there is 'status', which is not one of resourceArn, "),
        ({"assumeRole": {"roleArn": "arn:aws:iam::123456789012:role/r"}}, "", "assumeRole {'roleArn': 'arn:aws:iam::"),
    ],
)
def test_another_name_or_form_is_refused(native: Plugin, changes: dict[str, Any], property: str, reason: str) -> None:
    """A name in Python's spelling too: what is passed over would not be in the conversion that is started."""
    _, ((named, text),) = native.check(CONVERSION, {**CONVERT, **changes})
    assert (named, text[: len(reason)]) == (property, reason)


def test_what_is_running_is_read_before_it_is_previewed(native: Plugin, aws: LicenseManagerBackend) -> None:
    """So that a preview shows the end and what follows from it; what has ended is asked for no more."""
    add_done(aws, status="IN_PROGRESS")
    created = native.create_later(TASK, TRACK).result()
    assert created.refresh_before_update
    assert native.read(TASK, "lct-1", MessageToDict(created.properties), TRACK).refresh_before_update
    aws.finish_task("lct-1")
    assert not native.read(TASK, "lct-1").refresh_before_update


def test_tasks_are_listed_for_an_import(native: Plugin, aws: LicenseManagerBackend) -> None:
    """Their ids, as many as are asked for."""
    for number in range(3):
        add_done(aws, f"lct-{number}", status="FAILED" if number else "SUCCEEDED")

    def find(limit: int = 0, **query: Any) -> list[str]:
        request = provider_pb2.ListRequest(token=CONVERSION, query=to_struct(query), limit=limit)
        return [answer.result.id for answer in native.stub.List(request)]

    assert find() == ["lct-0", "lct-1", "lct-2"]
    assert find(1, statuses=["FAILED"]) == ["lct-1"]
    (answer,) = native.stub.List(provider_pb2.ListRequest(token=TASK, query=to_struct({"region": UNKNOWN})))
    assert answer.HasField("computed")
    with pytest.raises(grpc.RpcError, match="there is 'state', which is not known: write statuses"):
        find(state="FAILED")


def test_an_imported_conversion_that_failed_is_not_started_again(
    native: Plugin, aws: LicenseManagerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A line and the program's text say so, and with that the next update has nothing to do."""
    add_done(aws, status="FAILED")
    read = native.read(CONVERSION, "lct-1")
    assert "lct-1 FAILED: " in caplog.text
    assert "without it, the next `pulumi up` starts a new conversion" in caplog.text
    inputs = native.check(CONVERSION, MessageToDict(read.inputs))[0]
    assert inputs["ignoreFailure"] is True
    assert native.diff(CONVERSION, "lct-1", MessageToDict(read.properties), inputs).changes == 1
    assert not starts(aws)


AWSS = "retry_failed=True stands in aws:region, and lmconv:restart follow_newest True"
"""Words of AWS's that read like ours."""


def test_no_word_that_is_not_ours_is_rewritten(
    native: Plugin, aws: LicenseManagerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """In each kind of sentence, beside names of ours."""
    caplog.set_level(logging.DEBUG, "lmconv_resource")
    # what ends in an error, with a record and without one
    aws.conversion_seconds, aws.conversion_status, aws.conversion_message = 0.0, "FAILED", AWSS
    error = fail_create(native, CONVERT)
    assert AWSS in to_text(error)
    assert recorded_of(error).reasons == [to_text(error)]
    # a line that stays
    native.create(CONVERSION, {**CONVERT, "ignoreFailure": True})
    assert AWSS in next(line.message for line in caplog.records if line.levelname == "WARNING")
    # what is read and looked up
    aws.faults.add(Fault(ErrorAnswer("InvalidParameterValueException", message=AWSS)))
    for call in (
        lambda: native.read(TASK, "lct-1", {"region": "eu-west-1"}),
        lambda: native.create(TASK, TRACK),
        lambda: native.invoke("lmconv:index:getLicenseConversionTask", id="lct-1"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert AWSS in to_text(raised.value)
        assert "set lmconv:region REGION" in to_text(raised.value)
