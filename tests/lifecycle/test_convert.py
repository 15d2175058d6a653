"""A conversion on moto's EC2 and the emulated License Manager: what each operation does, says, records and asks of AWS.

What is decided from history and marks is in test_rules; how several operations go together, in tests/simulation.
"""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from support.aws import CREATE, GET, LIST
from support.job import BYOL, ENTERPRISE, WEB, WINDOWS, Job, befall, deny, to_id
from support.lifecycle import ARN, OneResource, RecordingEngine

from lmconv_resource.emulator import ChangedAnswer, ErrorAnswer, Fault, LicenseContext, ProductCode
from lmconv_resource.errors import ConversionFailedError, Subject, ThrottledError
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.inputs import ConversionInputs
from lmconv_resource.lifecycle.operation import UNKNOWN, Access
from lmconv_resource.models import OUTPUTS, TaskStatus
from lmconv_resource.polling.runtime import Cancellation, Runtime

REGION, DESTINATION = "eu-west-1", "destination_license_context"
REVERSED = "The contexts are reversed: a conversion back will be started."


def contexts(source: object, destination: object) -> dict[str, Any]:
    return {
        "source_license_context": {"usage_operation": source},
        "destination_license_context": {"usage_operation": destination},
    }


@pytest.fixture
def done(job: Job) -> OneResource:
    """A conversion from BYOL to Windows that is done, its source declared."""
    conversion = job.convert(job.launch(), source=BYOL)
    assert conversion.up().step == "create"
    job.backend.calls.clear()
    return conversion


def test_check_fills_in_the_defaults(job: Job) -> None:
    """A conversion is waited for, a failure counts, and nothing is done besides, unless the program says otherwise."""
    off = ["ignore_failure", "stop_and_restart", "correct_drift", "retry_failed"]
    off += ["allow_unlisted_pair", "allow_instance_store_loss"]
    assert job.convert(job.launch()).check().defaults == {
        "wait_for_completion": True,
        "region": REGION,
        **dict.fromkeys(off, False),
    }


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (
            {"resource_arn": None},
            "resource_arn is missing: set it to the ARN of the resource to convert, such as an EC2 instance's `arn`",
        ),
        (
            {"region": "us-east-1"},
            f"region us-east-1 is not that of the instance, {REGION}: leave region out, or correct one of them",
        ),
        (
            {"resource_arn": ARN.replace("arn:aws:", "arn:aws-cn:")},
            f"resource_arn has the partition aws-cn, and its region {REGION} is one of aws: use the ARN as AWS "
            "shows it",
        ),
    ],
)
def test_check_names_what_is_wrong(job: Job, inputs: dict[str, Any], line: str) -> None:
    """Each bad input is one failure, by the name that the program uses, and nobody is asked."""
    (failure,) = job.convert(ARN, **inputs).check().failures
    assert failure.reason == line
    assert line.startswith(failure.property)
    assert not job.backend.calls


def test_an_unknown_code_passes(job: Job) -> None:
    """A usage operation that AWS adds tomorrow is handed on, with a word of warning."""
    conversion = job.convert(job.launch(), "RunInstances:9999")
    (warning,) = conversion.up().lines("WARNING")
    assert warning.startswith("RunInstances:9999 is not a known usage operation")
    assert job.starts == 1


def test_a_preview_ends_with_the_plan(job: Job) -> None:
    """In one line, after what there is to know besides: the last line is the one that the resource's row shows."""
    arn = job.launch(running=True, InstanceType="m1.small")
    *notes, (severity, plan) = job.convert(arn, stop_and_restart=True).preview().said
    assert (severity, plan) == (
        "INFO",
        f"{to_id(arn)} runs: will be stopped, converted from Windows BYOL ({BYOL}) to Windows ({WINDOWS}), and started "
        "again",
    )
    assert {severity for severity, _ in notes} == {"WARNING"}
    assert (job.state(arn), job.starts) == ("running", 0)


def test_a_preview_says_what_to_do_where_it_does_not_see_the_instance(job: Job) -> None:
    (line,) = job.convert(ARN).preview().lines("WARNING")
    assert line.endswith("EC2 shows no such instance. Check the ARN, the region and the account of the credentials.")
    job.make_client, arn = deny("DescribeInstances"), job.launch()
    (line,) = job.convert(arn).preview().lines("WARNING")
    assert line == (
        f"{to_id(arn)} can't be converted, because AWS denies access (UnauthorizedOperation: You are not authorized). "
        "Allow ec2:DescribeInstances in the IAM policy of the credentials in use; or set source_license_context."
    )


def test_a_preview_under_throttling_ends_soon_and_claims_nothing(job: Job) -> None:
    job.config["aws:maxRetries"] = "25"
    job.backend.faults.add(Fault(ErrorAnswer("RateLimitExceededException", "Too many."), operation=LIST))
    ((_, line),) = job.convert(arn := job.launch()).preview().said
    assert line.startswith(f"What `pulumi up` will do is not known. Listing the license conversions of {arn} in ")
    assert job.backend.calls[LIST] <= 15  # for which ten seconds have room


def test_after_a_plan_that_was_given_up_the_next_have_less_time() -> None:
    """The engine asks for one plan after the other, and hundreds would wait ten seconds each."""
    limits: list[float] = []

    def give_up(limit: Cancellation) -> None:
        limits.append(limit.remaining(0.0))
        raise ThrottledError(Subject(), "AWS throttles the calls")

    class Throttled(Session):
        def connect(self, region: str, access: Access) -> Any:
            return SimpleNamespace(until=give_up)

    session = Throttled(runtime=Runtime(now=lambda: 0.0))
    inputs = ConversionInputs.parse({"resource_arn": ARN, "region": REGION, **contexts(BYOL, WINDOWS)})
    for _ in range(3):
        with session.operation(None) as op:
            ConversionController().preview(op, None, inputs)
    assert limits == [10.0, 2.0, 2.0]


def test_the_source_is_what_ec2_says(job: Job) -> None:
    """Without one, the instance's own is sent, product codes included, and what became of both is recorded."""
    arn = job.launch("RunInstances:00g0")
    codes = (ProductCode("6cd5fxzrad0cu2j23p692xytz"),)
    job.backend.set_license(to_id(arn), LicenseContext("RunInstances:00g0", codes))
    conversion = job.convert(arn, "RunInstances:0010")
    outcome = conversion.up()
    sent = {"product_code_id": "6cd5fxzrad0cu2j23p692xytz", "product_code_type": "marketplace"}
    outputs = conversion.outputs
    assert outputs["source_license_context"] == {"usage_operation": "RunInstances:00g0", "product_codes": [sent]}
    assert (outputs["verified_usage_operation"], outputs["verified_product_codes"]) == ("RunInstances:0010", [])
    assert (outputs["adopted"], outcome.shown[-1].rpartition(" · ")[2]) == (False, conversion.id)


def test_what_is_in_progress_is_adopted_and_stays_so(job: Job) -> None:
    arn = job.launch()
    task_id = job.add_task(arn, BYOL, WINDOWS, "IN_PROGRESS")
    conversion = job.convert(arn, wait_for_completion=False)
    conversion.up()
    assert (conversion.id, conversion.outputs["adopted"], job.starts) == (task_id, True, 0)
    conversion.refresh()
    assert conversion.outputs["adopted"] is True


def test_what_no_task_has_done_is_recorded_by_the_instance(job: Job) -> None:
    """Where AWS shows no task, the id is the instance's ARN, and the record lasts: no `up` or refresh looks for one."""
    arn = job.launch(WINDOWS)
    conversion = job.convert(arn)
    conversion.up()
    outputs = conversion.outputs
    assert (conversion.id, outputs["status"], outputs["adopted"]) == (arn, "SUCCEEDED", True)
    assert outputs["destination_license_context"] == {"usage_operation": WINDOWS, "product_codes": []}
    assert outputs["verified_usage_operation"] == WINDOWS
    assert conversion.up().step == "same"
    assert conversion.refresh().lines("WARNING") == []
    assert (conversion.outputs, job.starts) == (outputs, 0)


def test_without_the_right_to_ask_ec2_nothing_is_verified_and_nothing_forgotten(job: Job, done: OneResource) -> None:
    job.make_client = deny("DescribeInstances")
    conversion = job.convert(job.launch(), source=BYOL)
    conversion.up()
    assert conversion.outputs["status"] == "SUCCEEDED"
    assert "verified_usage_operation" not in conversion.outputs
    done.refresh()
    assert done.outputs["verified_usage_operation"] == WINDOWS


def test_a_start_that_is_throttled_to_the_end_of_its_time(job: Job) -> None:
    """The line names the deadline and what AWS said until then, and does not say that somebody cancelled it."""
    job.backend.faults.add(Fault(ErrorAnswer("RateLimitExceededException", "Too many."), operation=CREATE))
    error = job.convert(job.launch()).up(timeout_seconds=240.0).why
    assert re.search(r"its deadline had passed \(4m00s\)[^(]*; the last fault: AWS throttles", error), error


ENDS: dict[str, tuple[str, str | None]] = {
    "FAILED": ("Waiting for {}: it FAILED: no. Fix the cause; the next `pulumi up` starts a new conv", "FAILED"),
    "deadline": ("Waiting for {}: it did not end within 3m20s (last seen IN_PROGRESS: no.). The", "IN_PROGRESS"),
    "cancelled": ("Waiting for {}: the update was cancelled", "IN_PROGRESS"),
    "denied": ("Looking up {}: AWS denies access", None),  # at the first poll, so that nothing was seen
    "bug": (
        "Waiting for {}: ValueError: a row that is no text. This is a bug of lmconv-resource: report it with what "
        "LMCONV_LOG=DEBUG shows. The task is not lost: the next `pulumi up` continues with it.",
        None,
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_wait_without_success_records_the_task_as_it_was_seen(
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Beside its error, which is one line, a create returns all that a host may record."""
    why, status = ENDS[how]
    job.backend.conversion_status, job.backend.conversion_message = status or "IN_PROGRESS", "no."
    if how == "denied":
        job.backend.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=GET))
    arn = job.launch()
    conversion = job.convert(arn, source=BYOL, wait_for_completion=True)

    def on_row(engine: RecordingEngine, urn: str | None, message: str) -> None:
        if how == "cancelled" and "lct-" in message:
            conversion.session.cancellation.set("the update was cancelled")
        if how == "bug" and "lct-" in message:
            raise ValueError("a row that\nis no text")

    monkeypatch.setattr(RecordingEngine, "log_status", on_row)
    outcome = conversion.up(200.0 if how == "deadline" else None)

    assert outcome.why.startswith(why.format(f"license conversion task {conversion.id} in {REGION}"))
    assert isinstance(outcome.error, ConversionFailedError) is (how == "FAILED")
    assert [conversion.id] == list(job.backend.tasks)
    outputs = conversion.outputs
    assert (outputs["license_conversion_task_id"], outputs["resource_arn"]) == (conversion.id, arn)
    assert (outputs.get("status"), outputs.get("status_message")) == (status, "no." if status else None)
    assert (outputs["adopted"], conversion.state.asked["resource_arn"]) == (False, arn)
    assert ("on_row" in caplog.text) is (how == "bug")


def test_a_failure_in_documented_words_has_their_remedy(job: Job) -> None:
    """What AWS's guide says of a FAILED task's message comes before what comes next."""
    job.backend.conversion_status = "FAILED"
    job.backend.conversion_message = "ResourceId - i-1 is in an invalid state for changing license type"
    why = job.convert(job.launch()).up().why
    remedies = (
        "Stop the instance, or set stop_and_restart=True to have it stopped and started again. "
        "Fix the cause; the next `pulumi up` starts a new conversion."
    )
    assert why.endswith(f"it FAILED: {job.backend.conversion_message}. {remedies}")


def test_ignore_failure_records_a_failed_conversion_and_tries_no_more(job: Job) -> None:
    """With `ignore_failure` FAILED is an output and a warning; without it later, a new conversion replaces it."""
    job.backend.conversion_status, job.backend.conversion_message = "FAILED", "The agent\nis gone."
    conversion = job.convert(job.launch(), ignore_failure=True)
    assert conversion.up().lines("WARNING") == [f"{conversion.id} FAILED: The agent is gone."]
    assert (conversion.outputs["status"], conversion.up().step) == ("FAILED", "same")

    del conversion.inputs["ignore_failure"]
    job.backend.conversion_status = "SUCCEEDED"
    line = f"{conversion.id} FAILED: The agent is gone. A new conversion will be started."
    preview, again = conversion.preview(), conversion.up()
    assert (preview.step, preview.diff.replaces) == ("replace", ("status",))
    assert preview.lines("WARNING") == again.lines("WARNING") == [line]
    assert (conversion.outputs["status"], job.starts) == ("SUCCEEDED", 2)


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        (contexts(BYOL, WEB), (DESTINATION,)),
        ({"resource_arn": f"{ARN}1"}, ("resource_arn",)),
        ({"resource_arn": ARN.replace(REGION, "us-east-1")}, ("resource_arn", "region")),
        ({"resource_arn": f"{ARN}1", **contexts(WINDOWS, WEB)}, ("resource_arn", DESTINATION)),  # the source is history
    ],
)
def test_something_else_replaces_the_conversion(
    job: Job, done: OneResource, change: dict[str, Any], replaces: tuple[str, ...]
) -> None:
    """Other contexts, another instance or region are named as what replaces; the plan lists the instance's tasks."""
    done.inputs |= change
    diff = done.preview().diff
    assert (diff.replaces, diff.changed) == (replaces, ())
    assert job.backend.calls == ({} if "region" in replaces else {LIST: 1})


@pytest.mark.parametrize(
    ("inputs", "replaces"),
    [
        ({"resource_arn": UNKNOWN}, ("resource_arn", "region")),  # which the ARN says
        ({"source_license_context": UNKNOWN}, ()),  # it matters no more
        ({"source_license_context": {"usage_operation": UNKNOWN}}, ()),
        ({"destination_license_context": {"usage_operation": BYOL, "product_codes": [UNKNOWN]}}, (DESTINATION,)),
        ({"destination_license_context": {"product_codes": [{"product_code_id": UNKNOWN}]}}, (DESTINATION,)),
    ],
)
def test_unknown_values_pass_and_may_be_another_conversion(
    job: Job, done: OneResource, inputs: dict[str, Any], replaces: tuple[str, ...]
) -> None:
    """In a preview what is not known yet passes, at any depth, and shows as a replacement without a call."""
    done.inputs |= inputs
    preview = done.preview()
    assert (preview.diff.replaces, preview.said, job.backend.calls) == (replaces, [], {})


@pytest.mark.parametrize("source", [None, WINDOWS, ENTERPRISE])
def test_a_recorded_success_is_no_change(job: Job, done: OneResource, source: str | None) -> None:
    """The natural program reads the source from the instance, which is the destination the second time."""
    done.inputs["source_license_context"] = source and {"usage_operation": source}
    assert done.up().step == "same"
    assert not job.backend.calls


def test_contexts_that_are_exchanged_convert_back(job: Job, done: OneResource) -> None:
    """The preview names it, and of the old half nothing is said, unless an `up` that broke off left it to a later one.

    That one started nothing, and does not know what the license is now.
    """
    old = done.id, done.outputs
    done.inputs |= contexts(WINDOWS, BYOL)
    preview = done.preview()
    assert preview.diff.replaces == (DESTINATION,)
    assert ("INFO", REVERSED) in preview.said
    assert done.up().said == [("INFO", REVERSED)]
    assert done.outputs["verified_usage_operation"] == BYOL
    assert done.up().step == "same"

    done.id, done.outputs = old
    (line,) = done.destroy().lines("WARNING")
    assert not any(code in line for code in (BYOL, WINDOWS, "licensed as"))


@pytest.mark.parametrize(("wait", "ignore"), [(False, False), (True, False), (False, True)])
def test_a_conversion_that_failed_since_is_replaced_unless_that_is_ignored(job: Job, wait: bool, ignore: bool) -> None:
    """One that nobody waited for and that has failed since blocks nothing."""
    job.backend.conversion_status = "IN_PROGRESS"
    conversion = job.convert(job.launch(), wait_for_completion=False, ignore_failure=ignore)
    conversion.up()
    job.backend.finish_task(conversion.id or "", "FAILED", "no")
    job.backend.conversion_status = "SUCCEEDED"
    conversion.inputs["wait_for_completion"] = wait
    diff = conversion.up().diff
    assert diff.replaces == (() if ignore else ("status",))
    assert not ignore or {"status", "status_message", "end_time", "is_complete"} <= set(diff.changed)
    assert (conversion.outputs["status"], job.starts) == (("FAILED", 1) if ignore else ("SUCCEEDED", 2))


def test_a_failure_under_an_update_blocks_nothing(job: Job) -> None:
    """What was seen is recorded, and the next `up` replaces it."""
    job.backend.conversion_status, job.backend.conversion_seconds = "FAILED", 0.3
    conversion = job.convert(job.launch(), wait_for_completion=False)
    conversion.up()
    conversion.inputs["wait_for_completion"] = True
    failed = conversion.up()
    assert (failed.step, isinstance(failed.error, ConversionFailedError)) == ("update", True)
    assert conversion.outputs["status"] == "FAILED"
    job.backend.conversion_status, job.backend.conversion_seconds = "SUCCEEDED", 0
    assert (conversion.up().step, conversion.outputs["status"], job.starts) == ("replace", "SUCCEEDED", 2)


@pytest.mark.parametrize("operation", ["up", "refresh"])
def test_its_end_is_recorded_once_it_is_seen(job: Job, operation: str) -> None:
    """Of a conversion that was not waited for: a change by name, EC2's word included, which starts nothing."""
    job.backend.conversion_status = "IN_PROGRESS"
    conversion = job.convert(job.launch(), wait_for_completion=False)
    conversion.up()
    assert "verified_usage_operation" not in conversion.outputs
    assert conversion.up().step == "same"
    job.backend.finish_task(conversion.id or "")
    diff = conversion.preview().diff
    assert {"status", "end_time", "is_complete", "duration_seconds"} <= set(diff.changed) <= set(OUTPUTS)

    (line,) = getattr(conversion, operation)().lines("INFO")

    assert line.startswith(f"{conversion.id} IN_PROGRESS → SUCCEEDED after ")
    assert conversion.state.task.status is TaskStatus.SUCCEEDED
    assert (conversion.outputs["adopted"], conversion.outputs["verified_usage_operation"]) == (False, WINDOWS)
    assert (conversion.up().step, job.starts) == ("same", 1)


def test_aws_may_word_the_contexts_otherwise(job: Job) -> None:
    """What AWS adds to the contexts, or leaves out, is an output and no reason to start another conversion."""
    codes = {"UsageOperation": WINDOWS, "ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]}
    answer = ChangedAnswer({"DestinationLicenseContext": codes}, ("SourceLicenseContext",))
    job.backend.faults.add(Fault(answer, GET))
    conversion = job.convert(job.launch(), source=BYOL)
    conversion.up()
    assert conversion.outputs["destination_license_context"]["product_codes"][0]["product_code_id"] == "abc"
    assert conversion.up().step == "same"
    conversion.refresh()
    assert conversion.up().step == "same"
    conversion.inputs |= contexts(WINDOWS, BYOL)
    assert REVERSED in conversion.preview().lines("INFO")
    assert job.starts == 1


def test_codes_that_the_program_does_not_name_do_not_count(job: Job) -> None:
    """AWS may fill product codes in: what a program leaves out is not compared."""
    arn = job.launch("RunInstances:0010")
    context = LicenseContext("RunInstances:00g0", (ProductCode("6cd5fxzrad0cu2j23p692xytz"),))
    task = job.backend.add_task(resource_arn=arn, source="RunInstances:0010", destination=context, seconds=0)
    job.backend.set_license(to_id(arn), context)
    conversion = job.convert(arn, "RunInstances:00g0", source="RunInstances:0010")
    conversion.up()
    assert (conversion.id, job.starts, conversion.preview().step) == (task.task_id, 0, "same")
    conversion.inputs["destination_license_context"]["product_codes"] = [{"product_code_id": "other"}]
    assert conversion.preview().step == "replace"


def test_a_record_of_an_older_shape_still_works(done: OneResource) -> None:
    """A record that does not hold what was asked for is compared by AWS's words, and completed by a refresh."""
    done.outputs = {name: value for name, value in done.outputs.items() if name in OUTPUTS}
    assert done.preview().step == "same"
    done.refresh()
    assert done.preview().step == "same"
    assert done.outputs["adopted"] is False


def test_drift_is_warned_of_and_corrected_if_asked(job: Job) -> None:
    """A refresh sees what EC2 bills now; `correct_drift` makes a replacement of it, which converts again."""
    arn = job.launch()
    conversion = job.convert(arn)
    conversion.up()
    job.backend.set_license(to_id(arn), BYOL)
    conversion.inputs["correct_drift"] = True
    assert conversion.preview().step == "same"  # what was not seen yet
    assert conversion.refresh().lines("WARNING") == [
        f"EC2 bills {arn} as {BYOL} (Windows BYOL), and no longer as {WINDOWS} (Windows). "
        "Set correct_drift=True to have the next `pulumi up` convert it again."
    ]
    assert conversion.outputs["verified_usage_operation"] == BYOL
    for corrects, steps in ((False, "same"), (True, "replace")):
        conversion.inputs["correct_drift"] = corrects
        assert conversion.preview().step == steps
    correcting, job.make_client = job.make_client, deny("DescribeInstances", code="RequestLimitExceeded")
    unknown = conversion.preview()
    assert (unknown.step, "is not known" in unknown.text) == ("same", True)
    job.make_client = correcting
    assert conversion.up().diff.replaces == ("verified_usage_operation",)
    assert (job.starts, job.billed(arn)) == (2, WINDOWS)


def test_the_first_of_two_steps_does_not_drift(job: Job) -> None:
    """What a later conversion has led to is said once, and is no warning."""
    arn = job.launch(ENTERPRISE)
    first = job.convert(arn)
    first.up()
    job.convert(arn, BYOL).up()
    ((severity, line),) = [*first.refresh().said, *first.refresh().said]
    assert severity == "INFO"
    assert line.partition(" since lct-")[2].partition(",")[2] == " a later conversion."


def test_a_first_read_supplies_the_region(job: Job) -> None:
    """What is read by its id is no conversion that was started here."""
    read = job.convert(ARN).get(job.add_task(ARN, BYOL, WINDOWS))
    assert (read.inputs, read.state.adopted, read.state.task.status) == ({"region": REGION}, False, "SUCCEEDED")


UNCHANGED = f"lct-1 is only removed from the state: the license of {ARN} stays as it is."
CONTINUES = "lct-1 continues in AWS, which cannot cancel a license conversion: it is only removed from the state."


@pytest.mark.parametrize(
    ("status", "line"), [("IN_PROGRESS", CONTINUES), ("SUCCEEDED", UNCHANGED), ("FAILED", UNCHANGED)]
)
def test_delete_says_what_stays(job: Job, status: str, line: str) -> None:
    """Nobody takes a destroyed resource for a conversion that was undone; AWS is not asked."""
    conversion = job.convert(ARN)
    conversion.id, conversion.outputs = "lct-1", {"resource_arn": ARN, "status": status}
    assert conversion.destroy().said == [("WARNING", line)]
    assert not job.backend.calls


def test_a_destroy_starts_what_was_stopped_or_names_it(job: Job) -> None:
    """After a ^C under a conversion the instance is named with the command; once it has ended it is started."""
    arn = job.launch(running=True)
    conversion = job.convert(arn, stop_and_restart=True)
    job.backend.conversion_seconds = 3600

    def cancel(call: str, _: Any) -> None:
        if call == CREATE:
            conversion.session.cancellation.set("the update was cancelled")

    job.make_client = befall(lambda *_: None, cancel)
    assert conversion.up().error is not None
    recorded = conversion.id, conversion.outputs
    assert f"aws ec2 start-instances --instance-ids {to_id(arn)}" in conversion.destroy().text
    assert job.state(arn) == "stopped"
    conversion.id, conversion.outputs = recorded
    job.backend.finish_task(conversion.id or "")
    conversion.destroy()
    assert (job.state(arn), job.tags(arn)) == ("running", {})
