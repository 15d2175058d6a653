"""The end is declared: each case of the table, what a record makes of it, and drift."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from support.job import BYOL, ENTERPRISE, URN, WINDOWS, Job, deny

from lmconv_resource.emulator import LicenseContext, ProductCode
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.lifecycle.inputs import ConversionInputs

NOW = datetime.now(timezone.utc)
HOURS = timedelta(hours=1)


# -- the table, row by row ---------------------------------------------------------------------------------------------


def test_the_source_is_what_ec2_says(job: Job) -> None:
    """Without a source, the conversion starts from what EC2 bills the instance as, which is recorded."""
    arn = job.launch(BYOL)
    created = job.create(job.inputs(arn))
    outputs = created.state.to_outputs()
    assert outputs["source_license_context"] == {"usage_operation": BYOL, "product_codes": []}
    assert (outputs["verified_usage_operation"], outputs["verified_product_codes"]) == (WINDOWS, [])
    assert (outputs["adopted"], job.starts) == (False, 1)


def test_a_preview_ends_with_the_plan(job: Job) -> None:
    """In one line, after what there is to know besides: the last line is the one that the resource's row shows."""
    arn = job.launch(BYOL, running=True, InstanceType="m1.small")
    assert not job.check(job.inputs(arn, stop_and_restart=True))
    *notes, (severity, plan) = job.session.lines
    assert (severity, plan) == (
        "INFO",
        f"{arn.rpartition('/')[2]} runs: will be stopped, converted from Windows BYOL ({BYOL}) to Windows ({WINDOWS}), "
        "and started again",
    )
    assert {severity for severity, _ in notes} == {"WARNING"}
    assert (job.state(arn), job.starts) == ("running", 0)


def test_product_codes_of_the_instance_are_sent(job: Job) -> None:
    """The source has the instance's product codes too, and those of the destination are verified."""
    arn = job.launch("RunInstances:00g0")
    codes = (ProductCode("6cd5fxzrad0cu2j23p692xytz"),)
    job.backend.set_license(arn.rpartition("/")[2], LicenseContext("RunInstances:00g0", codes))
    outputs = job.create(job.inputs(arn, to="RunInstances:0010")).state.to_outputs()
    sent = {"product_code_id": "6cd5fxzrad0cu2j23p692xytz", "product_code_type": "marketplace"}
    assert outputs["source_license_context"] == {"usage_operation": "RunInstances:00g0", "product_codes": [sent]}
    assert outputs["verified_product_codes"] == []


@pytest.mark.parametrize("source", [None, BYOL, WINDOWS])
def test_billed_as_the_destination_is_done_by_the_newest_task_that_led_there(job: Job, source: str | None) -> None:
    """In a new stack nothing is started for what is done, whatever the program says or reads of the source."""
    arn = job.launch(WINDOWS)
    job.add_task(arn, ENTERPRISE, WINDOWS, started=NOW - 5 * HOURS)
    task_id = job.add_task(arn, "RunInstances:0202", WINDOWS, started=NOW - 4 * HOURS)
    job.add_task(arn, WINDOWS, ENTERPRISE, "FAILED", started=NOW - 3 * HOURS)
    created = job.create(job.inputs(arn, source=source))
    assert (created.id, created.state.adopted, job.starts) == (task_id, True, 0)


def test_billed_as_the_destination_without_a_task_is_done_by_the_instance(job: Job) -> None:
    """Where AWS shows no task, the id is the instance's ARN, and the record lasts: no `up` or refresh looks for one."""
    arn = job.launch(WINDOWS)
    inputs = job.inputs(arn)
    created = job.create(inputs)
    outputs = created.state.to_outputs()
    assert (created.id, outputs["status"], outputs["adopted"]) == (arn, "SUCCEEDED", True)
    assert (outputs["license_conversion_task_id"], outputs["verified_usage_operation"]) == (None, WINDOWS)
    assert outputs["destination_license_context"] == {"usage_operation": WINDOWS, "product_codes": []}
    stored = job.controller.state.from_outputs(outputs)
    job.restart_process()
    assert not job.diff(type(created)(stored, id=arn), inputs).has_changes
    assert job.refresh(type(created)(stored, id=arn), inputs).state == stored
    assert (job.starts, job.lines("WARNING")) == (0, [])


def test_the_newest_success_is_adopted_without_ec2(job: Job) -> None:
    """Without the right to ask EC2, the newest task that SUCCEEDED says that the work is done."""
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    arn = job.launch(BYOL)
    task_id = job.add_task(arn, BYOL, WINDOWS)
    created = job.create(job.inputs(arn, source=BYOL))
    assert (created.id, created.state.verified, job.starts) == (task_id, None, 0)


def test_a_success_that_ec2_does_not_show_is_adopted_with_a_warning(job: Job) -> None:
    """EC2's word may be late: nothing is started again for it, and the warning says what would."""
    arn = job.launch(BYOL)
    task_id = job.add_task(arn, BYOL, WINDOWS)
    assert job.create(job.inputs(arn)).id == task_id
    assert job.lines("WARNING") == [
        f"EC2 still bills {arn} as Windows BYOL ({BYOL}), not as Windows ({WINDOWS}); set "
        "correct_drift=True to have it converted again."
    ]
    assert job.starts == 0


def test_a_success_that_ec2_does_not_show_is_converted_again_with_correct_drift(job: Job) -> None:
    """With `correct_drift` EC2's word counts, and the conversion starts from it, whatever source is declared."""
    arn = job.launch(ENTERPRISE)
    job.add_task(arn, BYOL, WINDOWS)
    created = job.create(job.inputs(arn, source=BYOL, correct_drift=True))
    assert (created.state.adopted, job.starts, job.billed(arn)) == (False, 1, WINDOWS)
    assert created.state.task.source_license_context.usage_operation == ENTERPRISE


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("with_ec2", [True, False])
def test_two_steps_that_are_done_stay_done(job: Job, declared: bool, with_ec2: bool) -> None:
    """In a new stack, Enterprise to Windows to BYOL starts neither step: the history counts, not the newest alone."""
    if not with_ec2:
        if not declared:
            pytest.skip("without a source EC2 has to be asked")
        job.make_client = deny("DescribeInstances")
        job.restart_process()
    arn = job.launch(BYOL)
    first = job.add_task(arn, ENTERPRISE, WINDOWS, started=NOW - 5 * HOURS)
    second = job.add_task(arn, WINDOWS, BYOL, started=NOW - 4 * HOURS)
    steps = [(WINDOWS, ENTERPRISE), (BYOL, WINDOWS)]
    created = [job.create(job.inputs(arn, to=to, source=source if declared else None)) for to, source in steps]
    assert [each.id for each in created] == [first, second]
    assert len(job.lines("WARNING")) == (0 if declared else 1)
    assert job.starts == 0


@pytest.mark.parametrize("source", [None, BYOL])
def test_what_was_converted_back_is_started(job: Job, source: str | None) -> None:
    """An earlier success counts no more where a later one led back to its source."""
    arn = job.launch(BYOL)
    job.add_task(arn, BYOL, WINDOWS, started=NOW - 5 * HOURS)
    job.add_task(arn, WINDOWS, BYOL, started=NOW - 4 * HOURS)
    assert not job.create(job.inputs(arn, source=source)).state.adopted
    assert (job.starts, job.billed(arn)) == (1, WINDOWS)


def test_a_broken_chain_does_not_count(job: Job) -> None:
    """An earlier success counts no more where a later task started from elsewhere."""
    arn = job.launch(ENTERPRISE)
    job.add_task(arn, BYOL, WINDOWS, started=NOW - 5 * HOURS)
    job.add_task(arn, "RunInstances:0202", ENTERPRISE, started=NOW - 4 * HOURS)
    assert not job.create(job.inputs(arn)).state.adopted
    assert job.starts == 1


def fail_three_times(job: Job, arn: str, hours: int = 1) -> list[str]:
    return [
        job.add_task(arn, BYOL, WINDOWS, "FAILED", message=f"Reason {n}.", started=NOW - n * hours * HOURS)
        for n in (3, 2, 1)
    ]


def test_three_failures_are_an_error_with_their_reasons(job: Job) -> None:
    """A fourth try is not started by itself: the error has the three reasons and what starts one."""
    arn = job.launch(BYOL)
    ids = fail_three_times(job, arn)
    with pytest.raises(LicenseConversionError) as caught:
        job.create(job.inputs(arn, stop_and_restart=True))
    assert str(caught.value) == (
        f"Starting the license conversion of {arn} in eu-west-1: the last 3 conversions FAILED within 24 hours, so "
        f"that none is started unattended ({ids[2]}: Reason 1, {ids[1]}: Reason 2, {ids[0]}: Reason 3). "
        "Fix the cause, then set retry_failed=True to start one."
    )
    assert job.starts == 0


def test_a_forced_replacement_starts_one(job: Job) -> None:
    """`pulumi up --replace URN` starts one, and where that can be told, the error says so."""
    arn = job.launch(BYOL)
    fail_three_times(job, arn)
    job.session.is_replaced = False
    with pytest.raises(LicenseConversionError) as caught:
        job.create(job.inputs(arn))
    assert caught.value.remedy == (
        f"Fix the cause, then set retry_failed=True or run `pulumi up --replace '{URN}'` to start one"
    )
    job.session.is_replaced = True
    job.create(job.inputs(arn))
    assert job.starts == 1


@pytest.mark.parametrize("history", ["two", "old", "elsewhere", "then done", "retry_failed"])
def test_fewer_failures_start_the_next(job: Job, history: str) -> None:
    """Two failures, three over days, to another destination, before a success, or with `retry_failed` do not count."""
    arn = job.launch(BYOL)
    if history == "two":
        fail_three_times(job, arn)
        del job.backend.tasks[next(iter(job.backend.tasks))]
    elif history == "old":
        fail_three_times(job, arn, hours=9)
    elif history == "elsewhere":
        for n in (3, 2, 1):
            job.add_task(arn, BYOL, ENTERPRISE, "FAILED", started=NOW - n * HOURS)
    else:
        fail_three_times(job, arn)
    if history == "then done":
        job.add_task(arn, BYOL, WINDOWS, started=NOW - 0.9 * HOURS)
        job.add_task(arn, WINDOWS, BYOL, started=NOW - 0.8 * HOURS)
    job.create(job.inputs(arn, retry_failed=history == "retry_failed"))
    assert job.starts == 1


# -- what can't be known -----------------------------------------------------------------------------------------------


def test_without_a_source_the_right_to_ask_is_needed(job: Job) -> None:
    """The error names the right, and the way around it."""
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    arn = job.launch(BYOL)
    with pytest.raises(LicenseConversionError, match=r"Allow ec2:DescribeInstances .*; or set source_license_context"):
        job.create(job.inputs(arn))
    assert job.starts == 0


def test_without_a_source_ec2_has_to_show_one(job: Job) -> None:
    with pytest.raises(LicenseConversionError, match="EC2 does not show what it is billed as"):
        job.create(job.inputs(job.launch(None)))
    with pytest.raises(LicenseConversionError, match="EC2 shows no such instance"):
        job.create(job.inputs(job.backend.make_arn("i-0123456789abcdef0")))


def test_a_source_that_is_the_destination_and_not_true_is_an_error(job: Job) -> None:
    """Nothing can be converted from what it is to be; that is said when it is not done."""
    with pytest.raises(LicenseConversionError, match="Leave source_license_context out"):
        job.create(job.inputs(job.launch(BYOL), source=WINDOWS))
    assert job.starts == 0


# -- what a record makes of it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [None, WINDOWS, ENTERPRISE])
def test_a_recorded_success_is_no_change(job: Job, source: str | None) -> None:
    """The natural program reads the source from the instance, which is the destination the second time."""
    arn = job.launch(BYOL)
    created = job.create(job.inputs(arn, source=BYOL))
    job.restart_process()
    calls = job.backend.calls.total()
    assert job.check(job.inputs(arn, source=source), olds=job.inputs(arn, source=BYOL)) == ()
    assert not job.diff(created, job.inputs(arn, source=source)).has_changes
    assert job.backend.calls.total() == calls


def test_codes_that_the_program_does_not_name_do_not_count(job: Job) -> None:
    """AWS may fill product codes in: what a program leaves out is not compared."""
    arn = job.launch("RunInstances:0010")
    context = LicenseContext("RunInstances:00g0", (ProductCode("6cd5fxzrad0cu2j23p692xytz"),))
    task = job.backend.add_task(resource_arn=arn, source="RunInstances:0010", destination=context, seconds=0)
    job.backend.set_license(arn.rpartition("/")[2], context)
    inputs = job.inputs(arn, to="RunInstances:00g0", source="RunInstances:0010")
    created = job.create(inputs)
    assert (created.id, job.starts) == (task.task_id, 0)
    named = {"usage_operation": "RunInstances:00g0", "product_codes": [{"product_code_id": "other"}]}
    assert not job.diff(created, inputs).has_changes
    assert job.diff(created, {**inputs, "destination_license_context": named}).replaces


# -- drift -------------------------------------------------------------------------------------------------------------


def test_drift_is_warned_of_and_corrected_if_asked(job: Job) -> None:
    """A refresh sees what EC2 bills now; `correct_drift` makes a replacement of it, which converts again."""
    arn = job.launch(BYOL)
    inputs = job.inputs(arn)
    created = job.create(inputs)
    job.backend.set_license(arn.rpartition("/")[2], BYOL)
    drifted = job.refresh(created, inputs)
    assert drifted.state.to_outputs()["verified_usage_operation"] == BYOL
    assert job.lines("WARNING") == [
        f"EC2 bills {arn} as {BYOL} (Windows BYOL), and no longer as {WINDOWS} (Windows). "
        "Set correct_drift=True to have the next `pulumi up` convert it again."
    ]
    assert not job.diff(drifted, inputs).has_changes
    correcting = {**inputs, "correct_drift": True}
    assert not job.diff(created, correcting).has_changes
    job.make_client = deny("DescribeInstances", code="RequestLimitExceeded")
    job.restart_process()
    assert not job.diff(drifted, correcting).has_changes
    assert "is not known" in job.lines("WARNING")[-1]
    job.make_client = Job(job.backend, job.ec2).make_client
    job.restart_process()
    assert job.diff(drifted, correcting).replaces == ("verified_usage_operation",)
    job.create(correcting)
    assert (job.starts, job.billed(arn)) == (2, WINDOWS)


def test_the_first_of_two_steps_does_not_drift(job: Job) -> None:
    """What a later conversion has led to is said once, and is no warning."""
    arn = job.launch(ENTERPRISE)
    inputs = job.inputs(arn)
    first = job.create(inputs)
    job.create(job.inputs(arn, to=BYOL))
    job.restart_process()
    refreshed = job.refresh(first, inputs)
    job.refresh(refreshed, inputs)
    assert [text.partition(" since lct-")[2].partition(",")[2] for text in job.lines("INFO")] == [
        " a later conversion."
    ]
    assert job.lines("WARNING") == []


def test_a_refresh_without_rights_keeps_what_was_verified(job: Job) -> None:
    """What can't be asked is not forgotten."""
    arn = job.launch(BYOL)
    created = job.create(job.inputs(arn))
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    assert job.refresh(created, job.inputs(arn)).state.verified == created.state.verified is not None


# -- destroy -----------------------------------------------------------------------------------------------------------


def test_a_destroy_starts_what_was_stopped_or_names_it(job: Job) -> None:
    """After a ^C under a conversion the instance is named with the command; once it has ended it is started."""
    arn = job.launch(BYOL, running=True)
    inputs = ConversionInputs.parse(job.inputs(arn, stop_and_restart=True, wait_for_completion=True))
    job.backend.conversion_seconds = 3600
    with job.session.operation(URN, 600.0, is_preview=False) as op:
        created = job.controller.create(op, inputs)
    assert created.error is not None
    assert job.state(arn) == "stopped"

    def destroy() -> list[str]:
        job.restart_process()
        with job.session.operation(URN) as op:
            recorded = ConversionInputs.parse(created.state.to_outputs())
            job.controller.delete(op, created.id, created.state, recorded)
        return job.lines("WARNING")

    command = f"aws ec2 start-instances --instance-ids {arn.rpartition('/')[2]}"
    assert any(command in line for line in destroy())
    assert job.state(arn) == "stopped"
    job.backend.finish_task(created.id)
    destroy()
    assert (job.state(arn), job.tags(arn)) == ("running", {})
