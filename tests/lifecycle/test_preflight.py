"""The preflight: each check with its remedy, in an `up` and in a preview, and without the rights to ask."""

from __future__ import annotations

from typing import Any

import pytest
from support.job import BYOL, ENTERPRISE, WINDOWS, Job, deny

from lmconv_resource.errors import LicenseConversionError

ASKS = ("DescribeInstanceAttribute", "DescribeInstanceTypes", "DescribeImages", "DescribeInstanceInformation")


def instance_of(arn: str) -> Any:
    from moto.ec2.models import ec2_backends

    return ec2_backends["123456789012"]["eu-west-1"].get_instance_by_id(arn.rpartition("/")[2])


def protect(job: Job, arn: str) -> None:
    job.ec2.modify_instance_attribute(InstanceId=arn.rpartition("/")[2], DisableApiStop={"Value": True})


def put_on_host(job: Job, arn: str) -> None:
    instance_of(arn).placement.tenancy = "host"
    assert job.describe(arn)["Placement"]["Tenancy"] == "host"


def lose_agent(job: Job, arn: str) -> None:
    job.backend.without_ssm_agent.add(arn.rpartition("/")[2])


def run(job: Job, arn: str) -> None:
    job.ec2.start_instances(InstanceIds=[arn.rpartition("/")[2]])


def nothing(job: Job, arn: str) -> None:
    """Leave the instance as it is."""


CASES = {
    "running": (run, WINDOWS, None, "the instance is running and must be stopped", "stop_and_restart=True"),
    "protected": (protect, WINDOWS, None, "the instance has stop protection", "--no-disable-api-stop"),
    "source": (nothing, WINDOWS, ENTERPRISE, "billed as RunInstances:0800 (Windows BYOL), not as", "leave that out"),
    "host": (put_on_host, "RunInstances:0006", None, "no license for RunInstances:0006", "Change its tenancy"),
    "vcpus": (nothing, ENTERPRISE, None, "has 2 vCPUs, and SQL Server with the license included needs 4", "its type"),
    "agent": (lose_agent, WINDOWS, None, "Systems Manager does not manage the instance", "Run the SSM Agent"),
}
WARNS = ("running", "protected", "host")
"""What something that precedes the conversion in the program may change, so that a preview does not fail."""


def prepare(job: Job, case: str) -> tuple[dict[str, object], str, str]:
    change, to, source, reason, remedy = CASES[case]
    arn = job.launch(BYOL, InstanceType="m5.xlarge" if case == "host" else "m5.large")
    change(job, arn)
    return job.inputs(arn, to=to, source=source, preflight=True), reason, remedy


@pytest.mark.parametrize("case", CASES)
def test_each_failure_is_one_line_with_a_remedy(job: Job, case: str) -> None:
    """Nothing is started, and the error says what is wrong and what to do."""
    inputs, reason, remedy = prepare(job, case)
    with job.session.operation(None) as op, pytest.raises(LicenseConversionError) as caught:
        job.controller.create(op, job.controller.parse_inputs(inputs))
    assert reason in caught.value.reason
    assert remedy in caught.value.remedy
    assert job.starts == 0


@pytest.mark.parametrize("case", CASES)
def test_a_preview_shows_it(job: Job, case: str) -> None:
    """A check fails for what nothing in the program changes, and warns of the rest."""
    inputs, reason, remedy = prepare(job, case)
    failures = job.check(inputs)
    shown = job.lines("WARNING") if case in WARNS else [failure.reason for failure in failures]
    assert [reason in text and remedy in text for text in shown] == [True]
    assert bool(failures) != (case in WARNS)


@pytest.mark.parametrize("case", CASES)
def test_only_the_option_asks(job: Job, case: str) -> None:
    """Without `preflight` nothing is checked."""
    inputs, _, _ = prepare(job, case)
    assert job.check({**inputs, "preflight": False}) == ()


def test_a_sound_instance_passes(job: Job) -> None:
    """Where nothing is wrong, nothing is said, and the conversion starts."""
    inputs = job.inputs(job.launch(BYOL), preflight=True)
    job.create(inputs)
    assert (job.starts, [line for line in job.session.lines if line[0] != "DEBUG"]) == (1, [])


def test_several_failures_are_several_lines(job: Job) -> None:
    """All are said at once."""
    arn = job.launch(BYOL, InstanceType="m5.large")
    protect(job, arn)
    lose_agent(job, arn)
    failures = job.check(job.inputs(arn, to=ENTERPRISE, preflight=True))
    assert len(failures) == 2
    with job.session.operation(None) as op, pytest.raises(LicenseConversionError, match="stop protection"):
        job.controller.create(op, job.controller.parse_inputs(job.inputs(arn, to=ENTERPRISE, preflight=True)))
    assert len(job.lines("ERROR")) == 2


def test_an_image_of_amazons_is_not_for_byol(job: Job) -> None:
    """An instance of an Amazon-owned image can't become BYOL; one of another image can, with a word on its host."""
    arn = job.launch(WINDOWS)
    (failure,) = job.check(job.inputs(arn, to=BYOL, preflight=True))
    assert "which Amazon owns, and can't be converted to BYOL. Launch one from your own image" in failure.reason
    own = job.ec2.create_image(InstanceId=arn.rpartition("/")[2], Name="own")["ImageId"]
    instance_of(arn).image_id = own
    assert job.check(job.inputs(arn, to=BYOL, preflight=True)) == ()
    assert "Windows BYOL has to be on a Dedicated Host" in job.lines("WARNING")[-1]


def test_running_is_no_failure_where_it_is_stopped_here(job: Job) -> None:
    """With `stop_and_restart` the state is not checked."""
    arn = job.launch(BYOL, running=True)
    assert job.check(job.inputs(arn, preflight=True, stop_and_restart=True)) == ()
    assert job.lines("WARNING") == []


def test_no_instance(job: Job) -> None:
    """An instance that EC2 does not show is a failure of its own."""
    arn = job.backend.make_arn("i-0123456789abcdef0")
    (failure,) = job.check(job.inputs(arn, source=BYOL, preflight=True))
    assert failure.reason.startswith("EC2 shows no such instance. Check the ARN, the region and the account")


def test_what_may_not_be_asked_is_left_out(job: Job) -> None:
    """The preflight reaches as far as the rights do, and says what it left out."""
    job.make_client = deny(*ASKS)
    job.restart_process()
    arn = job.launch(BYOL, InstanceType="m5.large")
    protect(job, arn)
    assert job.check(job.inputs(arn, to=ENTERPRISE, preflight=True)) == ()
    left_out = [text.partition(". ")[0] for text in job.lines("INFO")]
    assert left_out == [
        f"The preflight leaves out {what}" for what in ("stop protection", "virtual CPUs", "Systems Manager")
    ]


def test_a_preview_without_a_way_to_aws_goes_on(job: Job) -> None:
    """What can't be asked at all is a warning in a preview."""
    job.make_client = deny("DescribeInstances")
    job.restart_process()
    assert job.check(job.inputs(job.launch(BYOL), preflight=True)) == ()
    assert job.lines("WARNING")[0].startswith("The preflight could not be made. ")


def test_what_is_done_or_recorded_is_not_checked(job: Job) -> None:
    """An instance that runs again after its conversion fails no check."""
    arn = job.launch(BYOL)
    inputs = job.inputs(arn, preflight=True)
    job.create(inputs)
    run(job, arn)
    calls = job.backend.calls.total()
    assert job.check(inputs, olds=inputs) == ()
    assert job.backend.calls.total() == calls
    job.restart_process()
    assert job.check(inputs) == ()
    assert job.lines("WARNING") == []


def test_one_that_is_under_way_is_not_checked(job: Job) -> None:
    """A conversion in progress is adopted, whatever the instance is."""
    arn = job.launch(BYOL, running=True)
    job.add_task(arn, BYOL, WINDOWS, "IN_PROGRESS")
    assert job.check(job.inputs(arn, preflight=True)) == ()
    assert job.lines("WARNING") == []


# -- usage operations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("RunInstances:0002 ", "give RunInstances:0002 (Windows)"),
        ("RunInstances: 0002", "give RunInstances:0002 (Windows)"),
        ("runinstances:0002", "give RunInstances:0002 (Windows)"),
        ("RunInstances:00G0", "give RunInstances:00g0 (Red Hat BYOL Linux)"),
        ("0002", "give RunInstances:0002 (Windows)"),
        ("Windows", "give RunInstances, or RunInstances: and a code"),
        ("RunInstances:", "give RunInstances, or RunInstances: and a code"),
    ],
)
def test_a_misspelt_usage_operation_fails(job: Job, code: str, says: str) -> None:
    """A blank, another case, or no `RunInstances` is no usage operation."""
    (failure,) = job.check(job.inputs(job.launch(), to=code))
    assert failure.property == "destination_license_context"
    assert says in failure.reason


def test_an_unknown_usage_operation_warns(job: Job) -> None:
    """New codes appear: one is passed on, with the nearest that is known."""
    assert job.check(job.inputs(job.launch(), to="RunInstances:0902")) == ()
    (warning,) = job.lines("WARNING")
    assert warning.startswith("RunInstances:0902 is no usage operation that is known here")
    assert warning.endswith("meant?")
    assert "RunInstances:0" in warning.partition("Is ")[2]


def test_a_pair_that_is_not_listed_warns_once_the_source_is_known(job: Job) -> None:
    """Where the source is declared, the check warns; where EC2 says it, the start does."""
    declared = job.inputs(job.launch(ENTERPRISE), to="RunInstances:0006", source=ENTERPRISE)
    assert job.check(declared) == ()
    assert job.lines("WARNING") == [
        "AWS's user guide lists no conversion from RunInstances:0102 (Windows with SQL Server Enterprise) to "
        "RunInstances:0006 (Windows with SQL Server Standard). The user guide lists, from RunInstances:0102 (Windows "
        "with SQL Server Enterprise): RunInstances:0002 (Windows)."
    ]
    job.check(declared, olds=declared)
    assert len(job.lines("WARNING")) == 1
    job.restart_process()
    with pytest.raises(LicenseConversionError):
        job.create(job.inputs(job.launch(ENTERPRISE), to="RunInstances:0006"))
    assert len(job.lines("WARNING")) == 1


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("stopping", "the instance is stopping and must be stopped. Wait for that, then run `pulumi up` again."),
        ("shutting-down", "the instance is shutting-down and must be stopped. Wait for that, then run"),
        ("terminated", "EC2 shows no such instance. Check the ARN, the region and the account of the credentials."),
    ],
)
def test_a_state_on_its_way(job: Job, state: str, told: str) -> None:
    """What becomes stopped by itself is waited for, and nobody is told to stop what is gone."""
    arn = job.launch()
    moto_state = instance_of(arn)._state  # moto has no call that leaves an instance on its way
    moto_state.name, moto_state.code = state, {"stopping": 64, "shutting-down": 32, "terminated": 48}[state]

    with pytest.raises(LicenseConversionError) as caught:
        job.create(job.inputs(arn, preflight=True))

    assert told in str(caught.value)
    assert job.starts == 0


def test_declared_product_codes_that_the_instance_lacks(job: Job) -> None:
    """A source of product codes, which the instance does not have, is named with what it has."""
    arn = job.launch()
    source = {"usage_operation": BYOL, "product_codes": [{"product_code_id": "abc"}]}

    with pytest.raises(LicenseConversionError, match="the instance has no product codes, not all that source_license"):
        job.create({**job.inputs(arn, preflight=True), "source_license_context": source})

    assert job.starts == 0


def test_without_the_right_to_describe(job: Job) -> None:
    """The preflight says which right it lacks, and nothing is started unseen."""
    arn = job.launch()
    job.make_client = deny("DescribeInstances")
    job.restart_process()

    with pytest.raises(LicenseConversionError, match=r"Allow ec2:DescribeInstances in the IAM policy"):
        job.create(job.inputs(arn, source=BYOL, preflight=True))

    assert job.starts == 0
