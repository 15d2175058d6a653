"""What a job makes of marks: copied ones, and those that only the instance shows; and how long it carries faults."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.aws import CREATE, GET, LIST, REGION
from support.hurry import FACTOR
from support.job import BYOL, ENTERPRISE, TAG, URN, WINDOWS, Job, deny

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.ec2 import DESCRIBE_ACTION, Instance, Tag
from lmconv_resource.emulator import ChangedAnswer, ErrorAnswer, Fault
from lmconv_resource.errors import AccessDeniedError, EndpointUnreachableError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.inputs import ConversionInputs
from lmconv_resource.lifecycle.job import Act, Wish
from lmconv_resource.lifecycle.job.facts import TASKS, Facts, Memory, Reader
from lmconv_resource.lifecycle.job.marks import REFUSED_TAG, Mark, Refusals, make_value
from lmconv_resource.lifecycle.job.rules import decide
from lmconv_resource.models import ConversionRequest, LicenseContext, TaskStatus


def test_a_copy_of_the_own_mark_starts_nothing(job: Job) -> None:
    """A program that replaces an instance by a copy of it keeps the URN, and the copy has the tags of the first."""
    arn, now = job.launch(), datetime.now(timezone.utc)
    copied = make_value(URN, "i-0123456789abcdef0", now, now + timedelta(hours=1))
    job.ec2.create_tags(Resources=[arn.rpartition("/")[2]], Tags=[{"Key": TAG, "Value": copied}])

    created = job.create(job.inputs(arn, stop_and_restart=True))
    job.refresh(created, job.inputs(arn, stop_and_restart=True))

    assert job.state(arn) == "stopped"
    assert [line for line in job.lines("WARNING") if "copied" in line]
    assert not [line for line in job.lines("WARNING") if "still has to be started" in line]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidAction"])
def test_a_mark_is_found_where_tags_can_not_be_listed(job: Job, code: str) -> None:
    arn, now = job.launch(), datetime.now(timezone.utc)
    inputs = job.inputs(arn, stop_and_restart=True)
    created, instance_id = job.create(inputs), arn.rpartition("/")[2]
    value = make_value(URN, instance_id, now, now + timedelta(hours=1))
    job.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": TAG, "Value": value}])
    job.make_client = deny("DescribeTags", code=code)
    job.restart_process()

    assert job.diff(created, inputs).changed == ("stop_and_restart",)


def test_an_error_of_a_marked_instance_says_that_it_is_marked(job: Job) -> None:
    """Whatever the error: also where an earlier `up` has stopped it, and the right to see it is lost since."""
    arn, now = job.launch(), datetime.now(timezone.utc)
    instance_id = arn.rpartition("/")[2]
    value = make_value(URN, instance_id, now, now + timedelta(hours=1))
    job.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": TAG, "Value": value}])
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    with pytest.raises(AccessDeniedError, match=f"{TAG}.*aws ec2 start-instances --instance-ids {instance_id}"):
        job.create(job.inputs(arn, stop_and_restart=True))


def test_a_fault_of_the_list_passes_beside_a_right_that_is_missing(job: Job) -> None:
    inputs = job.inputs(job.launch(), source=BYOL, preflight=False)
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    calls = 5 * (int(job.config["aws:maxRetries"]) + 1)  # so that more than one list fails, after all its tries
    job.backend.faults.add(Fault(ErrorAnswer("ServerInternalException"), "ListLicenseConversionTasks", calls))
    assert job.create(inputs).id


def test_what_a_mark_rests_on_is_read_right_before_it(job: Job) -> None:
    """A list of tasks that takes long must not come between: another stack may have marked the instance meanwhile."""
    calls: list[str] = []

    def make_client(service: str, settings: Settings) -> Any:
        client: Any = boto3.client(service, region_name=settings.region)  # type: ignore[call-overload]

        def note(model: Any, params: Any, **_: Any) -> None:
            is_list = model.name == "ListLicenseConversionTasks"
            if is_list:
                time.sleep(5.0 / FACTOR)
            if is_list or (model.name in ("DescribeInstances", "CreateTags") and "DryRun" not in params["body"]):
                calls.append(model.name)

        client.meta.events.register("before-call", note)
        return client

    job.make_client = make_client
    job.restart_process()
    arn = job.launch(running=True)
    job.create(job.inputs(arn, stop_and_restart=True))
    assert calls[calls.index("CreateTags") - 1] == "DescribeInstances"


def test_a_mark_of_several_instances_names_each_and_no_other() -> None:
    """The rows of a fleet that are marked together share a value that fits into a tag."""
    now, ids = datetime.now(timezone.utc), [f"i-{n:017x}" for n in range(33)]
    value = make_value("urn:" + "x" * 300, ids[:32], now, now + timedelta(hours=1))
    mark = Mark.parse(value, ("eni-1", *ids), None)
    assert len(value) == 256
    assert [instance_id for instance_id in ids if not mark.is_for(instance_id)] == ids[32:]
    assert (mark.is_owned_by("urn:" + "x" * 300), mark.is_owned_by(URN), mark.instance_ids) == (True, False, ids)


@pytest.mark.parametrize(("milliseconds", "act"), [(-1, Act.STOP), (0, Act.REFUSE), (1, Act.REFUSE)])
def test_the_later_of_two_marks_counts_within_a_second(milliseconds: int, act: Act) -> None:
    """Two stacks mark an instance at once, and one of its two places still shows the first mark, whichever that is."""
    now, arn = datetime(2026, 11, 29, 8, 0, 0, 500_000, timezone.utc), f"arn:aws:ec2:{REGION}:123456789012:instance/i-1"
    values = [
        make_value(urn, "i-1", now + timedelta(milliseconds=late), now + timedelta(hours=12))
        for urn, late in ((URN, 0), (f"{URN}-other", milliseconds))
    ]
    wish = Wish(ConversionRequest(arn, LicenseContext(), LicenseContext(WINDOWS)), urn=URN, stops=True)
    for order in (values, values[::-1]):
        tags = tuple(Tag(place, TAG, value) for place, value in zip(("i-1", "eni-1"), order, strict=True))
        instance = Instance("i-1", "running", BYOL, {})
        facts = Facts(0.0, now, Memory(0.0), instance, tags=tags, is_stop_checked=True, resource_arn=arn)
        assert decide(facts, wish).rule.then is act


def test_a_task_that_is_shown_late_is_followed_to_its_end_once(job: Job) -> None:
    """AWS shows it nowhere as the job begins, and as ended in the wait: nothing is asked over and over."""
    arn = job.launch()
    job.backend.conversion_seconds = 3600
    created = job.create(job.inputs(arn, wait_for_completion=False))
    job.backend.finish_task(created.id)
    job.restart_process()
    job.backend.faults.add(Fault(ErrorAnswer("InvalidParameterValueException", "no such task"), GET, 1))
    job.backend.faults.add(Fault(ChangedAnswer({"LicenseConversionTasks": []}), LIST, 1))
    updated = job.update(created, job.inputs(arn))
    assert updated.state.task.status is TaskStatus.SUCCEEDED


def test_a_task_that_aws_has_never_shown_is_no_error_yet(job: Job) -> None:
    """It was started a moment before the last `up` ended: the next one waits for it, if it is to, or keeps it."""
    arn = job.launch()
    job.backend.conversion_seconds = 3600
    created = job.create(job.inputs(arn, wait_for_completion=False))
    never_shown = replace(created.state.task, status=None, start_time=None)
    created = replace(created, state=replace(created.state, task=never_shown))
    unknown = ErrorAnswer("InvalidParameterValueException", "no such task")
    job.restart_process()
    job.backend.faults.add(Fault(unknown, GET, 4))
    assert job.diff(created, job.inputs(arn)).changed == ("wait_for_completion",)
    assert not job.diff(created, job.inputs(arn, wait_for_completion=False)).has_changes
    assert job.update(created, job.inputs(arn, wait_for_completion=False)).state == created.state
    assert job.refresh(created, job.inputs(arn)).state == created.state
    assert all("AWS has not shown it yet" in line for line in job.lines("WARNING"))
    assert job.update(created, job.inputs(arn, wait_for_completion=False)).state.task.status is TaskStatus.IN_PROGRESS


def test_the_mark_of_the_network_interface_is_removed_where_it_is_not_shown(job: Job) -> None:
    """Its tags can't be read, and somebody has removed the instance's own."""
    arn = job.launch(running=True)
    instance_id = arn.rpartition("/")[2]

    def make_client(service: str, settings: Settings) -> Any:
        client = deny("DescribeTags")(service, settings)

        def untag(model: Any, **_: Any) -> None:
            if model.name == CREATE:
                job.ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": TAG}])

        client.meta.events.register("before-call", untag)
        return client

    job.make_client = make_client
    job.restart_process()
    job.create(job.inputs(arn, stop_and_restart=True))
    assert job.state(arn) == "running"
    assert not job.ec2.describe_tags(Filters=[{"Name": "key", "Values": [TAG]}])["Tags"]


def test_what_a_list_has_shown_in_progress_is_asked_for_where_the_next_one_fails(job: Job) -> None:
    """Somebody else's conversion is not forgotten because AWS can't list it at the moment."""
    arn = job.launch()
    wish = Wish(ConversionRequest(arn, LicenseContext(), LicenseContext(WINDOWS)))
    other = job.add_task(arn, BYOL, WINDOWS, "IN_PROGRESS")
    with job.session.operation(URN) as op:
        aws = op.connect(ConversionInputs.parse(job.inputs(arn)))
        reader, memory = Reader(op, aws, wish), Memory(0.0, "lct-held")
        begun = Facts(0.0, datetime.now(timezone.utc), memory, region=aws.region, resource_arn=arn)
        shown = reader.read(begun, [TASKS])
        job.backend.faults.add(Fault(ErrorAnswer("ServerInternalException"), LIST))
        failed = reader.read(shown, [TASKS])
    assert failed.list_error is not None
    assert [(task.task_id, task.is_unfinished) for task in failed.tasks] == [(other, True)]


def test_a_task_that_had_ended_is_not_the_one_for_which_aws_refuses(job: Job) -> None:
    """Refused, somebody's task is listed as ended, and refused again: the one in progress is not listed yet."""
    arn = job.launch()
    refused: list[str] = []

    def make_client(service: str, settings: Settings) -> Any:
        client: Any = boto3.client(service, region_name=settings.region)  # type: ignore[call-overload]

        def refuse(model: Any, **_: Any) -> None:
            if model.name == CREATE and len(refused) < 2:
                refused.append(job.add_task(arn, BYOL, ENTERPRISE, "SUCCEEDED") if not refused else "")
                error = {"Code": "InvalidParameterValueException", "Message": "A conversion is in progress"}
                raise ClientError({"Error": error}, model.name)  # type: ignore[typeddict-item]

        client.meta.events.register("before-call", refuse)
        return client

    job.make_client = make_client
    job.restart_process()
    with pytest.raises(LicenseConversionError, match="A conversion is in progress"):
        job.create(job.inputs(arn, preflight=False))
    assert len(refused) == 2


@pytest.mark.parametrize(("is_stop_checked", "act"), [(False, Act.CHECK), (True, Act.MARK)])
def test_an_instance_that_is_started_after_the_checks_is_checked_again(is_stop_checked: bool, act: Act) -> None:
    """Checks of one that was stopped say nothing of what its stop would erase."""
    arn = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
    instance = Instance("i-0123456789abcdef0", "running", BYOL, {"InstanceType": "m5d.large"})
    facts = Facts(0.0, datetime.now(timezone.utc), Memory(0.0), instance, problems=(), is_stop_checked=is_stop_checked)
    wish = Wish(ConversionRequest(arn, LicenseContext(), LicenseContext(WINDOWS)), stops=True, checks=True)
    assert decide(facts, wish).rule.then is act


def test_refusals_count_for_a_day_and_for_the_instance_that_they_name() -> None:
    now = datetime.now(timezone.utc)
    refusals = Refusals((now - timedelta(hours=23), now)).and_one("InvalidParameterValueException", now)
    tags = [Tag("i-2", REFUSED_TAG, refusals.to_value("i-1"))]
    later = (timedelta(), timedelta(hours=2), timedelta(hours=25))
    assert [len(Refusals.parse(tags, "i-1", now + each).times) for each in later] == [3, 2, 0]
    assert Refusals.parse(tags, "i-2", now).times == ()


@pytest.mark.parametrize(
    ("is_answered", "seconds", "source", "act"),
    [
        pytest.param(True, 11 * 3600.0, None, Act.WAIT, id="AWS has answered this process: to the deadline"),
        pytest.param(False, 599.0, None, Act.WAIT, id="AWS has answered nothing"),
        pytest.param(False, 601.0, None, Act.LEAVE, id="AWS has answered nothing for 10 minutes"),
        pytest.param(True, 29.0, "RunInstances:0800", Act.WAIT, id="a source, so that EC2 may be out of reach"),
        pytest.param(True, 31.0, "RunInstances:0800", Act.CREATE, id="EC2 is out of reach"),
    ],
)
def test_how_long_a_fault_is_carried(is_answered: bool, seconds: float, source: str | None, act: Act) -> None:
    """The row says which fault it is, and for how long."""
    arn = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
    fault = EndpointUnreachableError(Subject(DESCRIBE_ACTION, None, "eu-west-1", arn), "Could not connect")
    request = ConversionRequest(arn, LicenseContext(source), LicenseContext("RunInstances:0002"))
    memory = Memory(began=0.0, is_answered=is_answered, failing_since=0.0)
    step = decide(Facts(seconds, datetime.now(timezone.utc), memory, instance_error=fault), Wish(request))
    assert step.rule.then is act
    assert act is not Act.WAIT or step.text.startswith("failing ")


@pytest.mark.parametrize(("unmark_tries", "act"), [(0, Act.START), (1, Act.UNMARK)])
def test_what_ran_again_is_not_started_a_second_time(unmark_tries: int, act: Act) -> None:
    """A call to remove the mark that was not answered may have removed it, and somebody stopped the instance since."""
    arn = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
    instance = Instance("i-0123456789abcdef0", "stopped", BYOL)
    memory = Memory(began=0.0, is_marked=True, unmark_tries=unmark_tries)
    wish = Wish(ConversionRequest(arn, LicenseContext(), LicenseContext("RunInstances:0002")), converts=False)
    facts = Facts(90.0, datetime.now(timezone.utc), memory, instance=instance, instance_at=90.0)
    assert decide(facts, wish).rule.then is act
