"""The lifecycle of a conversion: what each operation does, says, records and asks of AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from support.aws import CREATE, GET, REGION, make_client
from support.job import make_ec2
from support.lifecycle import ARN, BYOL, WEB, WINDOWS, OneResource, RecordingEngine, make_session
from support.wire import Wire

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.emulator import ChangedAnswer, ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import ConversionFailedError, OtherConversionError
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.models import OUTPUTS

STARTING = f"Starting the license conversion of {ARN} in {REGION}: "
REVERSED = "The contexts are reversed: a conversion back will be started."


@pytest.fixture(autouse=True)
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager and an EC2 inside this process."""
    with mock_aws():
        backend = licensemanager_backends["123456789012"][REGION]
        backend.conversion_seconds = 0
        yield backend


@pytest.fixture
def instance_arn(aws: LicenseManagerBackend) -> str:
    """The ARN of a stopped instance that EC2 shows."""
    ec2 = make_ec2()
    instance_id = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    return f"arn:aws:ec2:{REGION}:123456789012:instance/{instance_id}"


def add(aws: LicenseManagerBackend, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"resource_arn": ARN, "source": BYOL, "destination": WINDOWS, "status": status, **seconds}
    return aws.add_task(**{**defaults, **settings}).task_id


def contexts(source: object, destination: object) -> dict[str, Any]:
    return {
        "source_license_context": {"usage_operation": source},
        "destination_license_context": {"usage_operation": destination},
    }


def convert(**inputs: Any) -> OneResource:
    """Return a resource that converts an instance, with `inputs` in place of others."""
    return OneResource(ConversionController(), {"resource_arn": ARN, **contexts(BYOL, WINDOWS), **inputs})


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_fills_in_the_defaults() -> None:
    """A conversion is waited for, a failure counts, and EC2 is not asked, unless the program says otherwise."""
    checked = convert().check()

    assert (checked.defaults, checked.failures) == (
        {
            "wait_for_completion": True,
            "ignore_failure": False,
            "stop_and_restart": False,
            "correct_drift": False,
            "retry_failed": False,
            "allow_unlisted_pair": False,
            "allow_instance_store_loss": False,
            "region": REGION,
        },
        (),
    )


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
        (
            {"resource_arn": f"arn:aws:rds:{REGION}:123456789012:db:main"},
            f"resource_arn 'arn:aws:rds:{REGION}:123456789012:db:main' is not the ARN of an EC2 instance: use one such "
            "as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        ),
    ],
)
def test_check_names_what_is_wrong(aws: LicenseManagerBackend, inputs: dict[str, Any], line: str) -> None:
    """Each bad input is one failure, by the name that the program uses, and nobody is asked."""
    (failure,) = convert(**inputs).check().failures

    assert failure.reason == line
    assert line.startswith(failure.property)
    assert not aws.calls


@pytest.mark.parametrize(
    ("source", "destination", "line"),
    [
        (BYOL, "RunInstances:0100", "AWS does not support Windows BYOL with SQL Server license included."),
        ("RunInstances:0g00", "RunInstances", "AWS does not convert Ubuntu Pro back to Ubuntu LTS."),
    ],
)
def test_what_aws_does_not_convert_is_refused(source: str, destination: str, line: str) -> None:
    """A pair that AWS's guide rules out is refused, unless AWS is to have the last word."""
    conversion = convert(**contexts(source, destination))

    assert line.rstrip(".") in str(conversion.up().error)
    conversion.inputs["allow_unlisted_pair"] = True
    assert conversion.up().step == "create"


def test_an_unknown_code_passes() -> None:
    """A usage operation that AWS adds tomorrow is handed on, with a word of warning."""
    conversion = convert(**contexts(BYOL, "RunInstances:9999"))

    (warning,) = conversion.up().lines("WARNING")
    assert warning.startswith("RunInstances:9999 is not a known usage operation")
    assert conversion.outputs["destination_license_context"]["usage_operation"] == "RunInstances:9999"


# -- create ------------------------------------------------------------------------------------------------------------


def test_a_conversion_is_started_once_and_then_left_alone(aws: LicenseManagerBackend, instance_arn: str) -> None:
    """`up` starts one conversion, waits for its end and records it with EC2's own word; later nobody is asked."""
    conversion = convert(resource_arn=instance_arn)
    aws.conversion_seconds = 0.2

    first = conversion.up()
    calls = aws.calls.total()

    assert first.shown[-1].endswith(f" · {conversion.id}")
    assert (conversion.preview().step, conversion.up().step, aws.calls.total()) == ("same", "same", calls)
    assert set(conversion.outputs) == {
        *OUTPUTS,
        "adopted",
        "verified_usage_operation",
        "verified_product_codes",
        "__request",
    } - {"status_message"}
    assert (conversion.outputs["status"], conversion.outputs["adopted"]) == ("SUCCEEDED", False)
    assert conversion.outputs["verified_usage_operation"] == WINDOWS
    assert aws.calls[CREATE] == 1


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SUCCEEDED"])
def test_what_is_there_already_is_adopted(aws: LicenseManagerBackend, status: str) -> None:
    """A conversion that does or has done the same is tracked instead of started, which the row and an output say."""
    task_id = add(aws, status)
    conversion = convert(wait_for_completion=False)

    outcome = conversion.up()

    done = "is already doing it" if status == "IN_PROGRESS" else "has already done it"
    assert outcome.lines("INFO") == [f"{task_id} {done} and is adopted; no conversion is started."]
    assert (conversion.id, conversion.outputs["adopted"], aws.calls[CREATE]) == (task_id, True, 0)
    conversion.refresh()
    assert conversion.outputs["adopted"] is True


def test_another_conversion_in_progress_is_one_line(aws: LicenseManagerBackend) -> None:
    """While the instance is converted to something else, `up` fails with that task's id, and starts nothing."""
    task_id = add(aws, "IN_PROGRESS", destination=WEB)

    error = convert().up().error

    assert isinstance(error, OtherConversionError)
    assert str(error) == (
        f"{STARTING}license conversion task {task_id} is already converting it with other license contexts. "
        "Wait for its end, then run `pulumi up` again."
    )
    assert aws.calls[CREATE] == 0


def test_a_product_code_without_a_type_is_a_marketplace_code(aws: LicenseManagerBackend) -> None:
    """A product code given as a dict needs no type: AWS knows one."""
    conversion = convert(destination_license_context={"product_codes": [{"product_code_id": "abc"}]})

    conversion.up()

    (code,) = aws.tasks[conversion.id or ""].destination.product_codes
    assert (code.product_code_id, code.product_code_type) == ("abc", "marketplace")
    assert conversion.preview().step == "same"


def test_what_ec2_says_needs_the_right_to_ask() -> None:
    """Without the right to ask EC2 the conversion is recorded all the same, and EC2's word is None."""
    denied = (
        b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"
    )

    def make_denied_client(service: str, settings: Settings) -> Any:
        client = make_client(service, settings)
        if service == "ec2":
            Wire(client, (403, denied))
        return client

    inputs = {"resource_arn": ARN, **contexts(BYOL, WINDOWS)}
    conversion = OneResource(ConversionController(), inputs, make_client=make_denied_client)

    conversion.up()

    assert conversion.outputs["status"] == "SUCCEEDED"
    assert "verified_usage_operation" not in conversion.outputs


# -- what a wait ends in -----------------------------------------------------------------------------------------------


def test_a_failure_is_an_error_and_the_next_up_tries_again(aws: LicenseManagerBackend) -> None:
    """FAILED is AWS's message; the next `up` says why the last one failed and starts anew, as the error has said."""
    aws.conversion_status, aws.conversion_message = "FAILED", "SSM inventory is missing."
    conversion = convert()

    error = conversion.up().error
    (first,) = aws.tasks
    aws.conversion_status, aws.conversion_message = "SUCCEEDED", None
    done = conversion.up()

    assert isinstance(error, ConversionFailedError)
    assert str(error) == (
        f"Waiting for license conversion task {first} in {REGION}: it FAILED: SSM inventory is missing. "
        "Fix the cause; the next `pulumi up` starts a new conversion."
    )
    assert done.lines("INFO") == [
        f"The last conversion, {first}, FAILED: SSM inventory is missing. A new one is started."
    ]
    assert (conversion.outputs["status"], conversion.outputs["adopted"], len(aws.tasks)) == ("SUCCEEDED", False, 2)


def test_a_failure_in_documented_words_has_their_remedy(aws: LicenseManagerBackend) -> None:
    """What AWS's guide says of a FAILED task's message comes before what comes next."""
    aws.conversion_status = "FAILED"
    aws.conversion_message = "ResourceId - i-1 is in an invalid state for changing license type"

    told = str(convert().up().error)

    assert told.endswith(
        f"it FAILED: {aws.conversion_message}. Stop the instance, or set stop_and_restart=True to have it stopped and "
        "started again. Fix the cause; the next `pulumi up` starts a new conversion."
    )


def test_a_bug_after_the_start_loses_no_task(
    aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever ends a create, the task that it has started is returned beside the error, which is one line."""

    def break_down(urn: str | None, message: str) -> None:
        if "lct-" in message:
            raise ValueError("a row that\nis no text")

    controller = ConversionController()
    session = make_session()
    monkeypatch.setattr(session, "log_status", break_down)
    asked = {"resource_arn": ARN, **contexts(BYOL, WINDOWS)}

    with session.operation(None) as op:
        created = controller.create(op, controller.inputs.parse({**asked, "wait_for_completion": True}))

    assert [created.id] == list(aws.tasks)
    assert str(created.error) == (
        f"Waiting for license conversion task {created.id} in {REGION}: ValueError: a row that is no text. This is a "
        "bug of lmconv-resource: report it with what LMCONV_LOG=DEBUG shows. The task is not lost: the next "
        "`pulumi up` continues with it."
    )
    assert "break_down" in caplog.text


@pytest.mark.parametrize(
    ("how", "why", "status"),
    [
        ("FAILED", "it FAILED: no", "FAILED"),
        ("deadline", "it did not end", "IN_PROGRESS"),
        ("cancelled", "the update was cancelled", "IN_PROGRESS"),
        ("denied", "AWS denies access", None),  # at the first poll, so that nothing was seen
    ],
)
def test_a_wait_without_success_returns_the_task_as_it_was_seen(
    aws: LicenseManagerBackend, how: str, why: str, status: str | None
) -> None:
    """Beside its error a create returns all that a host may record: id, task and what was asked for."""
    aws.conversion_status, aws.conversion_message = status or "IN_PROGRESS", "no"
    if how == "denied":
        aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=GET))
    session = make_session()
    controller = ConversionController()
    asked = {"resource_arn": ARN, **contexts(BYOL, WINDOWS)}

    class Cancelling(RecordingEngine):
        def log_status(self, urn: str | None, message: str) -> None:
            if "lct-" in message:
                session.cancellation.set("the update was cancelled")

    session.engine = Cancelling() if how == "cancelled" else None
    with session.operation(None, 200.0 if how == "deadline" else None) as op:
        created = controller.create(op, controller.inputs.parse({**asked, "wait_for_completion": True}))

    assert why in str(created.error)
    assert isinstance(created.error, ConversionFailedError) is (how == "FAILED")
    assert [created.id] == list(aws.tasks)
    outputs = created.state.task.to_outputs()
    assert (outputs["license_conversion_task_id"], outputs["resource_arn"]) == (created.id, ARN)
    assert (outputs["status"], outputs["status_message"]) == (status, "no" if status else None)
    assert (created.state.adopted, created.state.asked) == (False, asked)


def test_ignore_failure_records_a_failed_conversion_and_tries_no_more(aws: LicenseManagerBackend) -> None:
    """With `ignore_failure` FAILED is an output and a warning; without it later, a new conversion replaces it."""
    aws.conversion_status, aws.conversion_message = "FAILED", "no"
    conversion = convert(ignore_failure=True)

    outcome = conversion.up()

    task_id = conversion.id
    assert outcome.lines("WARNING") == [f"{task_id} FAILED: no"]
    assert (conversion.outputs["status"], conversion.up().step) == ("FAILED", "same")

    del conversion.inputs["ignore_failure"]
    aws.conversion_status, aws.conversion_message = "SUCCEEDED", None
    preview = conversion.preview()
    again = conversion.up()

    line = f"{task_id} FAILED: no. A new conversion will be started."
    assert (preview.step, preview.diff.replaces) == ("replace", ("status",))
    assert preview.lines("WARNING") == again.lines("WARNING") == [line]
    assert (conversion.outputs["status"], aws.calls[CREATE]) == ("SUCCEEDED", 2)


# -- diff --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        (contexts(BYOL, WEB), ("destination_license_context",)),
        ({"resource_arn": f"{ARN}1"}, ("resource_arn",)),
        ({"resource_arn": ARN.replace(REGION, "us-east-1")}, ("resource_arn", "region")),
        (
            {"resource_arn": f"{ARN}1", **contexts(WINDOWS, WEB)},
            ("resource_arn", "destination_license_context"),  # what it was before is history
        ),
    ],
)
def test_something_else_replaces_the_conversion(
    aws: LicenseManagerBackend, change: dict[str, Any], replaces: tuple[str, ...]
) -> None:
    """Other contexts, another instance or region are named as what replaces, without a call, and start a new one."""
    conversion = convert()
    conversion.up()
    calls = aws.calls.total()

    conversion.inputs |= change
    preview = conversion.preview()

    assert (preview.diff.replaces, preview.diff.changed) == (replaces, ())
    assert aws.calls.total() - calls == ("region" not in replaces)  # the plan lists the instance's tasks
    if "region" not in replaces:
        assert (conversion.up().step, conversion.up().step) == ("replace", "same")
        assert aws.calls[CREATE] == 2


@pytest.mark.parametrize(
    "inputs",
    [
        {"resource_arn": UNKNOWN},
        {"source_license_context": UNKNOWN},
        {"source_license_context": {"usage_operation": UNKNOWN}},
        {"destination_license_context": {"usage_operation": BYOL, "product_codes": [UNKNOWN]}},
        {"destination_license_context": {"product_codes": [{"product_code_id": UNKNOWN}]}},
    ],
)
def test_unknown_values_pass_and_may_be_another_conversion(aws: LicenseManagerBackend, inputs: dict[str, Any]) -> None:
    """In a preview what is not known yet passes, at any depth, and shows as a replacement without a call."""
    conversion = convert()
    conversion.up()
    aws.calls.clear()

    conversion.inputs |= inputs
    preview = conversion.preview()

    # What the source is matters no more once the conversion is done.
    replaces = [name for name in inputs if name != "source_license_context"]
    assert preview.diff.replaces == tuple(replaces + ["region"] * ("resource_arn" in inputs))  # which the ARN says
    assert preview.said == []
    assert not aws.calls


def test_contexts_that_are_exchanged_convert_back(aws: LicenseManagerBackend, instance_arn: str) -> None:
    """Exactly reversed contexts are a replacement that the preview names; nothing false is said of the old one."""
    conversion = convert(resource_arn=instance_arn)
    conversion.up()

    conversion.inputs |= contexts(WINDOWS, BYOL)
    preview = conversion.preview()
    outcome = conversion.up()

    assert preview.diff.replaces == ("destination_license_context",)
    assert ("INFO", REVERSED) in preview.said
    assert outcome.said == [("INFO", REVERSED)]
    assert conversion.outputs["verified_usage_operation"] == BYOL
    assert conversion.up().step == "same"


@pytest.mark.parametrize("wait", [True, False])
def test_a_conversion_that_failed_since_is_replaced(aws: LicenseManagerBackend, wait: bool) -> None:
    """A conversion that nobody waited for and that has failed since blocks nothing: a new one replaces it."""
    aws.conversion_status = "IN_PROGRESS"
    conversion = convert(wait_for_completion=False)
    conversion.up()
    task_id = conversion.id or ""
    aws.finish_task(task_id, "FAILED", "The agent\nis gone.")
    aws.conversion_status = "SUCCEEDED"

    conversion.inputs["wait_for_completion"] = wait
    preview = conversion.preview()
    conversion.up()

    line = f"{task_id} FAILED: The agent is gone. A new conversion will be started."
    assert (preview.lines("WARNING"), preview.diff.replaces) == ([line], ("status",))
    assert (conversion.outputs["status"], len(aws.tasks)) == ("SUCCEEDED", 2)


def test_an_ignored_failure_since_is_a_change_by_name(aws: LicenseManagerBackend) -> None:
    """With `ignore_failure` a conversion that has failed since is a change of what AWS says, and replaces nothing."""
    aws.conversion_status = "IN_PROGRESS"
    conversion = convert(wait_for_completion=False, ignore_failure=True)
    conversion.up()
    aws.finish_task(conversion.id or "", "FAILED", "no")

    diff = conversion.preview().diff

    assert diff.replaces == ()
    assert {"status", "status_message", "end_time", "is_complete"} <= set(diff.changed)
    assert (conversion.up().step, conversion.outputs["status"]) == ("update", "FAILED")


def test_a_failure_under_an_update_blocks_nothing(aws: LicenseManagerBackend) -> None:
    """When a conversion fails while an update waits for it, what was seen comes back; the next `up` replaces it."""
    aws.conversion_status, aws.conversion_seconds = "FAILED", 0.5
    conversion = convert(wait_for_completion=False)
    conversion.up()
    controller = ConversionController()

    with make_session().operation(None) as op:
        inputs = controller.inputs.parse({**conversion.inputs, "wait_for_completion": True})
        state = controller.state.from_outputs(conversion.outputs)
        updated = controller.update(op, conversion.id or "", state, inputs)
    assert "the next `pulumi up` starts a new conversion" in str(updated.error)
    assert (updated.state.task.status, updated.state.asked) == ("FAILED", state.asked)

    aws.conversion_status, aws.conversion_seconds = "SUCCEEDED", 0
    assert conversion.up().step == "replace"
    assert (conversion.outputs["status"], aws.calls[CREATE]) == ("SUCCEEDED", 2)


def test_its_end_is_a_change_by_name(aws: LicenseManagerBackend, instance_arn: str) -> None:
    """Once a conversion that was not waited for has ended, the next `up` records that, EC2's word included."""
    aws.conversion_status = "IN_PROGRESS"
    conversion = convert(resource_arn=instance_arn, wait_for_completion=False)
    conversion.up()
    assert "verified_usage_operation" not in conversion.outputs
    assert conversion.up().step == "same"

    aws.finish_task(conversion.id or "")
    preview = conversion.preview()

    assert (preview.step, preview.diff.replaces) == ("update", ())
    assert {"status", "end_time", "is_complete", "duration_seconds"} <= set(preview.diff.changed) <= set(OUTPUTS)
    conversion.up()
    assert (conversion.outputs["status"], conversion.outputs["verified_usage_operation"]) == ("SUCCEEDED", WINDOWS)


def test_aws_may_word_the_contexts_otherwise(aws: LicenseManagerBackend) -> None:
    """What AWS adds to the contexts, or leaves out, is an output and no reason to start another conversion."""
    codes = {"UsageOperation": WINDOWS, "ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]}
    aws.faults.add(Fault(ChangedAnswer({"DestinationLicenseContext": codes}, ("SourceLicenseContext",)), GET))
    conversion = convert()

    conversion.up()

    assert conversion.outputs["destination_license_context"]["product_codes"][0]["product_code_id"] == "abc"
    assert conversion.up().step == "same"
    conversion.refresh()
    assert conversion.up().step == "same"
    conversion.inputs |= contexts(WINDOWS, BYOL)
    assert REVERSED in conversion.preview().lines("INFO")
    assert aws.calls[CREATE] == 1


def test_a_record_of_an_older_shape_still_works() -> None:
    """A record that does not hold what was asked for is compared by AWS's words, and completed by a refresh."""
    conversion = convert()
    conversion.up()

    conversion.outputs = {name: value for name, value in conversion.outputs.items() if name in OUTPUTS}

    assert conversion.preview().step == "same"
    conversion.refresh()
    assert conversion.preview().step == "same"
    assert conversion.outputs["adopted"] is False


# -- refresh and delete ------------------------------------------------------------------------------------------------


def test_refresh_records_what_has_become_of_it(aws: LicenseManagerBackend, instance_arn: str) -> None:
    """A refresh looks the conversion up, keeps what was asked for and how it began, and starts nothing."""
    aws.conversion_status = "IN_PROGRESS"
    conversion = convert(resource_arn=instance_arn, wait_for_completion=False)
    conversion.up()
    aws.finish_task(conversion.id or "")

    (line,) = conversion.refresh().lines("INFO")

    assert line.startswith(f"{conversion.id} IN_PROGRESS → SUCCEEDED after ")
    outputs = conversion.outputs
    assert (outputs["status"], outputs["adopted"], outputs["verified_usage_operation"]) == ("SUCCEEDED", False, WINDOWS)
    assert (conversion.up().step, aws.calls[CREATE]) == ("same", 1)


def test_a_first_read_supplies_the_region(aws: LicenseManagerBackend) -> None:
    """What is read by its id is no conversion that was started here."""
    task_id = add(aws)
    controller = ConversionController()

    with make_session().operation(None) as op:
        read = controller.read(op, task_id, None, controller.inputs.parse({}))

    assert (read.inputs, read.state.adopted, read.state.task.status) == ({"region": REGION}, False, "SUCCEEDED")


UNCHANGED = f"lct-1 is only removed from the state: the license of {ARN} stays as it is."


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            {"status": "IN_PROGRESS"},
            "lct-1 continues in AWS, which cannot cancel a license conversion: it is only removed from the state.",
        ),
        ({"status": "SUCCEEDED"}, UNCHANGED),
        ({"status": "FAILED"}, UNCHANGED),
    ],
)
def test_delete_says_what_stays(aws: LicenseManagerBackend, record: dict[str, Any], line: str) -> None:
    """Nobody takes a destroyed resource for a conversion that was undone; AWS is not asked."""
    conversion = convert()
    conversion.id, conversion.outputs = "lct-1", {"resource_arn": ARN, **record}

    assert conversion.destroy().said == [("WARNING", line)]
    assert not aws.calls


def test_delete_of_the_old_half_of_a_replacement_says_nothing() -> None:
    """There the new conversion is what counts; what else the same process deletes is warned of."""
    engine = RecordingEngine()
    session = make_session(engine=engine)
    controller = ConversionController()
    with session.operation("urn") as op:
        created = controller.create(op, controller.inputs.parse({"resource_arn": ARN, **contexts(BYOL, WINDOWS)}))
    assert engine.said == []

    with session.operation("urn") as op:
        controller.delete(op, "lct-older", created.state, controller.inputs.parse({}))
    assert engine.said == []
    with session.operation("another") as op:
        controller.delete(op, "lct-older", created.state, controller.inputs.parse({}))
    assert len(engine.said) == 1


def test_the_old_half_of_a_replacement_that_is_deleted_later_claims_nothing(aws: LicenseManagerBackend) -> None:
    """An `up` that broke off leaves it to the next one, which started nothing: what the license is now is not said."""
    conversion = convert()
    assert conversion.up().step == "create"
    old_id, old_outputs = conversion.id, conversion.outputs
    conversion.inputs |= contexts(WINDOWS, BYOL)
    assert conversion.up().step == "replace"

    conversion.id, conversion.outputs = old_id, old_outputs
    (line,) = conversion.destroy().lines("WARNING")

    assert line == UNCHANGED.replace("lct-1", old_id or "")
    assert not any(code in line for code in (BYOL, WINDOWS, "licensed as"))


def test_a_start_that_is_throttled_to_the_end_of_its_time(aws: LicenseManagerBackend, instance_arn: str) -> None:
    """The line names the deadline and what AWS said until then, and does not say that somebody cancelled it."""
    aws.faults.add(Fault(ErrorAnswer("RateLimitExceededException", "Too many."), operation=CREATE))
    stack = convert(resource_arn=instance_arn)

    error = stack.up(timeout_seconds=240.0).error

    assert error is not None
    assert re.search(r"its deadline had passed \(4m00s\)[^(]*; the last fault: AWS asks to slow", str(error)), error
    assert "cancelled" not in str(error)
