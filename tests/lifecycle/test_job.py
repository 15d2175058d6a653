"""What a job reads and notes, call by call, where a call is denied, fails, or shows something late."""

import time
from datetime import datetime, timezone
from typing import Any

import pytest
from support.aws import CREATE, GET, LIST
from support.hurry import FACTOR
from support.job import BYOL, ENTERPRISE, TAG, WINDOWS, Job, befall, deny, mark, to_id, to_refusal
from support.lifecycle import OneResource, RecordingEngine

from lmconv_resource.emulator import ChangedAnswer, ErrorAnswer, Fault
from lmconv_resource.lifecycle.inputs import ConversionInputs
from lmconv_resource.lifecycle.job import Wish
from lmconv_resource.lifecycle.job.facts import TASKS, Facts, Memory, Reader
from lmconv_resource.models import LicenseContext

FAILS = ErrorAnswer("ServerInternalException")
NO_SUCH_TASK = ErrorAnswer("InvalidParameterValueException", "no such task")


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidAction"])
def test_a_mark_is_found_where_tags_can_not_be_listed(job: Job, code: str) -> None:
    arn = job.launch()
    conversion = job.convert(arn, stop_and_restart=True)
    conversion.up()
    mark(job, conversion.urn, arn)
    job.make_client = deny("DescribeTags", code=code)
    assert conversion.preview().diff.changed == ("stop_and_restart",)


def test_a_refresh_asks_for_no_start_of_a_copy(job: Job) -> None:
    """Of the two marks that a refresh can find, it warns of the instance's own only."""
    arn = job.launch()
    conversion = job.convert(arn, stop_and_restart=True)
    conversion.up()
    for about, is_warned_of in (("i-0123456789abcdef0", False), ("", True)):
        mark(job, conversion.urn, arn, about)
        assert ("still has to be started" in conversion.refresh().text) is is_warned_of


def test_an_error_of_a_marked_instance_says_that_it_is_marked(job: Job) -> None:
    """Whatever the error: also where an earlier `up` has stopped it, and the right to see it is lost since."""
    arn = job.launch()
    instance_id = mark(job, OneResource.urn, arn)
    job.make_client = deny("DescribeInstances")
    why = job.convert(arn, stop_and_restart=True).up().why
    assert "AWS denies access" in why
    assert TAG in why
    assert f"aws ec2 start-instances --instance-ids {instance_id}" in why


def test_an_error_of_an_instance_that_was_started_again_says_so(job: Job) -> None:
    arn = job.launch(running=True)
    job.backend.conversion_status, job.backend.conversion_message = "FAILED", "no"
    why = job.convert(arn, stop_and_restart=True).up().why
    assert why.endswith(f"the next `pulumi up` starts a new conversion; {to_id(arn)} runs again.")


def test_an_error_does_not_say_that_an_instance_runs_that_somebody_stopped_since(job: Job) -> None:
    tried: list[str] = []

    def stop_at_untagging(call: str, asked: Any) -> None:
        if call == "DeleteTags" and not asked.get("DryRun"):
            tried.append(call)
            if len(tried) == 1:
                job.ec2.stop_instances(InstanceIds=[to_id(arn)])
                raise to_refusal(call, "InternalError")

    job.make_client, arn = befall(stop_at_untagging), job.launch(running=True)
    job.backend.conversion_status, job.backend.conversion_message = "FAILED", "no"
    why = job.convert(arn, stop_and_restart=True).up().why
    assert (len(tried), TAG in job.tags(arn), job.state(arn)) == (2, False, "stopped")
    assert why.endswith("the next `pulumi up` starts a new conversion.")


def test_a_fault_of_the_list_passes_beside_a_right_that_is_missing(job: Job) -> None:
    conversion = job.convert(job.launch(), source=BYOL, preflight=False)
    job.make_client = deny("DescribeInstances")
    calls = 5 * (int(job.config["aws:maxRetries"]) + 1)  # so that more than one list fails, after all its tries
    job.backend.faults.add(Fault(FAILS, LIST, calls))
    assert not conversion.up().why


def test_what_a_mark_rests_on_is_read_right_before_it(job: Job) -> None:
    """A list of tasks that takes long must not come between: another stack may have marked the instance meanwhile."""
    calls: list[str] = []

    def note(call: str, body: Any) -> None:
        if call == LIST:
            time.sleep(5.0 / FACTOR)
        if call == LIST or (call in ("DescribeInstances", "CreateTags") and "DryRun" not in body):
            calls.append(call)

    job.make_client = befall(note)
    job.convert(job.launch(running=True), stop_and_restart=True).up()
    assert calls[calls.index("CreateTags") - 1] == "DescribeInstances"


@pytest.fixture
def begun(job: Job) -> OneResource:
    """A conversion that is in progress, and was not waited for."""
    job.backend.conversion_seconds = 3600
    conversion = job.convert(job.launch(), wait_for_completion=False)
    conversion.up()
    return conversion


def test_a_task_that_is_shown_late_is_followed_to_its_end_once(job: Job, begun: OneResource) -> None:
    """AWS shows it nowhere as the job begins, and as ended in the wait: nothing is asked over and over."""
    job.backend.finish_task(begun.id or "")
    begun.inputs["wait_for_completion"] = True
    begun.outputs["status"] = "IN_PROGRESS"
    job.backend.faults.add(Fault(NO_SUCH_TASK, GET, 1))
    job.backend.faults.add(Fault(ChangedAnswer({"LicenseConversionTasks": []}), LIST, 1))
    with begun.session.operation(begun.urn) as op:
        inputs = ConversionInputs.parse({**begun.inputs, "region": "eu-west-1"})
        updated = begun.controller.update(op, begun.id or "", begun.state, inputs)
    assert (updated.error, updated.state.task.status_text) == (None, "SUCCEEDED")


def test_a_task_that_aws_has_never_shown_is_no_error_yet(job: Job, begun: OneResource) -> None:
    """It was started a moment before the last `up` ended: the next one waits for it, if it is to, or keeps it."""
    for name in ("status", "start_time"):
        del begun.outputs[name]
    kept = begun.outputs
    job.backend.faults.add(Fault(NO_SUCH_TASK, GET, 3))
    begun.inputs["wait_for_completion"] = True
    assert begun.preview().diff.changed == ("wait_for_completion",)
    begun.inputs["wait_for_completion"] = False
    for outcome in (begun.up(), begun.refresh()):
        assert (outcome.error, outcome.diff.changed, begun.outputs) == (None, (), kept)
        assert ["AWS has not shown it yet" in line for line in outcome.lines("WARNING")] == [True]
    assert begun.up().diff.changed != ()
    assert begun.outputs["status"] == "IN_PROGRESS"


def test_the_mark_of_the_network_interface_is_removed_where_it_is_not_shown(job: Job) -> None:
    """Its tags can't be read, and somebody has removed the instance's own."""
    arn = job.launch(running=True)

    def untag(call: str, _: Any) -> None:
        if call == "DescribeTags":
            raise to_refusal(call)
        if call == CREATE:
            job.ec2.delete_tags(Resources=[to_id(arn)], Tags=[{"Key": TAG}])

    job.make_client = befall(untag)
    job.convert(arn, stop_and_restart=True).up()
    assert job.state(arn) == "running"
    assert not job.ec2.describe_tags(Filters=[{"Name": "key", "Values": [TAG]}])["Tags"]


def test_what_a_list_has_shown_in_progress_is_asked_for_where_the_next_one_fails(job: Job) -> None:
    """Somebody else's conversion is not forgotten because AWS can't list it at the moment."""
    arn = job.launch()
    wish = Wish(resource_arn=arn, destination_license_context=LicenseContext(WINDOWS))
    other = job.add_task(arn, BYOL, WINDOWS, "IN_PROGRESS")
    with job.open_session(RecordingEngine()).operation(OneResource.urn) as op:
        aws = op.connect(ConversionInputs.parse({"resource_arn": arn, "region": "eu-west-1"}))
        reader, memory = Reader(op, aws, wish), Memory(0.0, "lct-held")
        begun = Facts(0.0, datetime.now(timezone.utc), memory, region=aws.region, resource_arn=arn)
        shown = reader.read(begun, [TASKS])
        job.backend.faults.add(Fault(FAILS, LIST))
        failed = reader.read(shown, [TASKS])
    assert failed.list_error is not None
    assert [(task.task_id, task.is_unfinished) for task in failed.tasks] == [(other, True)]


def test_a_task_that_had_ended_is_not_the_one_for_which_aws_refuses(job: Job) -> None:
    """Refused, somebody's task is listed as ended, and refused again: the one in progress is not listed yet."""
    arn = job.launch()
    refused: list[str] = []

    def refuse(call: str, _: Any) -> None:
        if call == CREATE and len(refused) < 2:
            refused.append(job.add_task(arn, BYOL, ENTERPRISE, "SUCCEEDED") if not refused else "")
            raise to_refusal(call, "InvalidParameterValueException", "A conversion is in progress")

    job.make_client = befall(refuse)
    assert "A conversion is in progress" in job.convert(arn, preflight=False).up().why
    assert len(refused) == 2
