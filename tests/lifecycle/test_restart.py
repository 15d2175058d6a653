"""Stop, convert, start again: each step, each refusal before it, and what the next one does after any of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from moto.ec2.models.instances import Instance as MotoInstance
from support.job import BYOL, ENTERPRISE, TAG, URN, WINDOWS, Job, deny
from support.proofs import keep

from lmconv_resource.emulator import ErrorAnswer, Fault
from lmconv_resource.errors import AccessDeniedError, CancelledError, LicenseConversionError


@pytest.fixture
def arn(job: Job) -> str:
    """A running instance."""
    return job.launch(BYOL, running=True)


@pytest.fixture
def inputs(job: Job, arn: str) -> dict[str, object]:
    return job.inputs(arn, stop_and_restart=True)


def slow_stops(monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0) -> list[bool]:
    """Have instances take so long to stop, and give what a stop was asked for with: by force or not."""
    forces: list[bool] = []

    def stop(instance: Any, *args: Any, **kwargs: Any) -> Any:
        forces.append(bool(kwargs.get("force")))
        instance._state.name, instance._state.code = "stopping", 64
        if len(forces) > 1:
            finish_stop(instance)
        else:
            timer = threading.Timer(seconds, finish_stop, [instance])
            timer.daemon = True
            timer.start()
        return instance._state

    monkeypatch.setattr(MotoInstance, "stop", stop)
    return forces


def finish_stop(instance: Any) -> None:
    instance._state.name, instance._state.code = "stopped", 80


def instance_of(arn: str) -> Any:
    from moto.ec2.models import ec2_backends

    return ec2_backends["123456789012"]["eu-west-1"].get_instance_by_id(arn.rpartition("/")[2])


# -- the round ---------------------------------------------------------------------------------------------------------


def test_a_running_instance_is_converted_and_runs_again(
    job: Job, arn: str, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped, converted and started again, its row shows each step, and no tag is left."""
    slow_stops(monkeypatch)
    job.create(inputs)
    assert (job.billed(arn), job.state(arn), job.tags(arn), job.starts) == (WINDOWS, "running", {}, 1)
    instance_id = arn.rpartition("/")[2]
    row = [line.partition(" for ")[0] for line in job.session.row]
    steps = [line for line, before in zip(row, ["", *row], strict=False) if line != before]
    (task_id,) = job.backend.tasks
    assert steps == [
        f"stopping {instance_id}",
        f"{instance_id} stopping",
        f"SUCCEEDED after 0s · {task_id}",
        f"starting {instance_id} again",
        f"{instance_id} runs again",
    ]


def test_a_stopped_instance_stays_stopped(job: Job) -> None:
    """What was stopped before is converted and left stopped."""
    arn = job.launch(BYOL)
    job.create(job.inputs(arn, stop_and_restart=True))
    assert (job.billed(arn), job.state(arn), job.tags(arn)) == (WINDOWS, "stopped", {})


def test_one_that_somebody_is_stopping_stays_stopped(
    job: Job, arn: str, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that somebody else began is waited for, never forced, and nothing is started after it."""
    forces = slow_stops(monkeypatch)
    job.ec2.stop_instances(InstanceIds=[arn.rpartition("/")[2]])
    job.create({**inputs, "force_stop_after": "10ms"})
    assert (job.billed(arn), job.state(arn), len(forces)) == (WINDOWS, "stopped", 1)


def test_without_the_option_nothing_is_stopped(job: Job, arn: str) -> None:
    """By default AWS's refusal of a running instance is an error that names the remedy."""
    with pytest.raises(LicenseConversionError, match=r"invalid state.*Stop the instance, or set stop_and_restart=True"):
        job.create(job.inputs(arn))
    assert (job.state(arn), job.tags(arn)) == ("running", {})


def test_a_failed_conversion_starts_the_instance_again(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """In failure the instance runs again too."""
    job.backend.conversion_status, job.backend.conversion_message = "FAILED", "no agent"
    with pytest.raises(LicenseConversionError, match="it FAILED: no agent"):
        job.create(inputs)
    assert (job.state(arn), job.tags(arn)) == ("running", {})


def test_an_ignored_failure_starts_the_instance_again(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """So it does where the failure is recorded."""
    job.backend.conversion_status = "FAILED"
    job.create({**inputs, "ignore_failure": True})
    assert (job.state(arn), job.tags(arn)) == ("running", {})


@pytest.mark.parametrize("code", ["InvalidParameterValueException", "ServerInternalException"])
def test_a_refused_start_starts_the_instance_again(job: Job, arn: str, inputs: dict[str, object], code: str) -> None:
    """Where AWS starts no conversion, the instance does not stay stopped for it."""
    job.backend.faults.add(Fault(ErrorAnswer(code, "no"), operation="CreateLicenseConversionTaskForResource"))
    with pytest.raises(LicenseConversionError, match="no"):
        job.create(inputs)
    assert (job.state(arn), job.tags(arn), job.backend.tasks) == ("running", {}, {})


def test_a_stop_by_force(job: Job, arn: str, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """After `force_stop_after` the instance is stopped by force, which is said."""
    forces = slow_stops(monkeypatch, seconds=20.0)
    job.create({**inputs, "force_stop_after": "50ms"})
    assert (job.state(arn), len(forces)) == ("running", 2)
    assert job.lines("WARNING")[-1] == "The instance has not stopped within 0s and is stopped by force."


def test_the_source_is_checked_before_the_stop(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """Nothing is stopped for a conversion that AWS would refuse for its source."""
    with pytest.raises(LicenseConversionError, match="billed as RunInstances:0800"):
        job.create({**inputs, "source_license_context": {"usage_operation": ENTERPRISE}})
    assert (job.state(arn), job.tags(arn), job.starts) == ("running", {}, 0)


# -- refusals before anything is stopped -------------------------------------------------------------------------------


def untouched(job: Job, arn: str) -> bool:
    return job.state(arn) == "running" and TAG not in job.tags(arn) and job.starts == 0


@pytest.mark.parametrize("action", ["CreateTags", "StartInstances", "DescribeInstanceAttribute"])
def test_without_the_right_nothing_is_stopped(job: Job, arn: str, inputs: dict[str, object], action: str) -> None:
    """Without the right to mark it, or to start it again, an instance is not stopped."""
    job.make_client = deny(action)
    job.restart_process()
    with pytest.raises(AccessDeniedError, match=f"Allow ec2:{action} in the IAM policy"):
        job.create(inputs)
    assert untouched(job, arn)


def test_without_the_right_to_stop_no_mark_stays(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """A stop that is refused leaves the instance as it was."""
    job.make_client = deny("StopInstances")
    job.restart_process()
    with pytest.raises(AccessDeniedError, match="Allow ec2:StopInstances"):
        job.create(inputs)
    assert untouched(job, arn)


def test_stop_protection_is_refused(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """Stop protection is somebody's will."""
    job.ec2.modify_instance_attribute(InstanceId=arn.rpartition("/")[2], DisableApiStop={"Value": True})
    with pytest.raises(LicenseConversionError, match=r"stop protection. Turn it off with `aws ec2 modify-instance"):
        job.create(inputs)
    assert untouched(job, arn)


def test_an_auto_scaling_groups_instance_is_refused(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """The group would replace it."""
    instance_of(arn).add_tags({"aws:autoscaling:groupName": "web"})
    with pytest.raises(LicenseConversionError, match=r"Auto Scaling group web, .*detach-instances"):
        job.create(inputs)
    assert untouched(job, arn)


def test_an_instance_store_is_refused(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """Such an instance can't be stopped."""
    instance_of(arn).root_device_type = "instance-store"
    assert job.describe(arn)["RootDeviceType"] == "instance-store"
    with pytest.raises(LicenseConversionError, match="instance store"):
        job.create(inputs)
    assert untouched(job, arn)


@pytest.mark.parametrize(("kind", "stops"), [("one-time", False), ("persistent", True)])
def test_a_spot_instance_needs_a_persistent_request(job: Job, kind: str, stops: bool) -> None:
    """Only an instance of a persistent request can be stopped."""
    asked = job.ec2.request_spot_instances(
        Type=kind, SpotPrice="1", LaunchSpecification={"ImageId": "ami-12c6146b", "InstanceType": "m5.large"}
    )["SpotInstanceRequests"][0]
    arn = job.launch(BYOL, running=True)
    vars(instance_of(arn)).update(lifecycle="spot", spot_instance_request_id=asked["SpotInstanceRequestId"])
    shown = job.describe(arn)
    assert shown["InstanceLifecycle"] == "spot"
    assert shown["SpotInstanceRequestId"] == asked["SpotInstanceRequestId"]
    if stops:
        job.create(job.inputs(arn, stop_and_restart=True))
        assert job.state(arn) == "running"
        return
    with pytest.raises(LicenseConversionError, match="Spot instance"):
        job.create(job.inputs(arn, stop_and_restart=True))
    assert untouched(job, arn)


def test_a_public_address_that_changes_is_a_warning(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """An address that is no Elastic IP address is another one afterwards."""
    job.create(inputs)
    (warning,) = job.lines("WARNING")
    assert "is no Elastic IP address: the instance gets another one when it is started again." in warning


def test_an_elastic_address_is_no_warning(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """An Elastic IP address stays."""
    address = job.ec2.allocate_address(Domain="vpc")
    job.ec2.associate_address(InstanceId=arn.rpartition("/")[2], AllocationId=address["AllocationId"])
    job.create(inputs)
    assert job.lines("WARNING") == []


# -- whoever goes on next ----------------------------------------------------------------------------------------------


def mark(job: Job, arn: str) -> None:
    job.ec2.create_tags(Resources=[arn.rpartition("/")[2]], Tags=[{"Key": TAG, "Value": URN}])


def done(job: Job, arn: str, starts: int) -> bool:
    return (job.billed(arn), job.state(arn), job.tags(arn), job.starts) == (WINDOWS, "running", {}, starts)


def test_killed_after_the_mark(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """A marked instance that still runs is stopped, converted and started."""
    mark(job, arn)
    job.create(inputs)
    assert done(job, arn, 1)


def test_killed_after_the_stop(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """A marked instance that is stopped is converted and started."""
    mark(job, arn)
    job.ec2.stop_instances(InstanceIds=[arn.rpartition("/")[2]])
    job.create(inputs)
    assert done(job, arn, 1)


@pytest.mark.parametrize("ends", keep([0.05], [0.05, 0]))
@pytest.mark.parametrize("option", [True, False])
def test_killed_after_the_start(job: Job, arn: str, ends: float, option: bool) -> None:
    """The task is adopted, in progress or done, and the instance started, even where the option is gone by then."""
    mark(job, arn)
    job.ec2.stop_instances(InstanceIds=[arn.rpartition("/")[2]])
    job.backend.conversion_seconds = ends
    job.backend.create_license_conversion_task_for_resource(
        resource_arn=arn, source={"UsageOperation": BYOL}, destination={"UsageOperation": WINDOWS}
    )
    created = job.create(job.inputs(arn, stop_and_restart=option))
    assert created.state.adopted
    assert done(job, arn, 0)


def test_killed_after_the_restart(job: Job, inputs: dict[str, object]) -> None:
    """An instance that runs again only loses its mark."""
    arn = job.launch(WINDOWS, running=True)
    job.add_task(arn, BYOL, WINDOWS)
    mark(job, arn)
    job.create(job.inputs(arn, stop_and_restart=True))
    assert done(job, arn, 0)


def test_a_failed_one_is_started_by_the_next(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """Where three have FAILED and no further one is begun, the instance is started nevertheless."""
    mark(job, arn)
    job.ec2.stop_instances(InstanceIds=[arn.rpartition("/")[2]])
    for _ in range(3):
        job.add_task(arn, BYOL, WINDOWS, "FAILED")
    with pytest.raises(LicenseConversionError, match="the last 3 conversions FAILED"):
        job.create(inputs)
    assert (job.state(arn), job.tags(arn)) == ("running", {})


def test_a_recorded_conversion_goes_on(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """A record whose instance is still marked is a change that the preview shows, and the update starts it."""
    created = job.create(inputs)
    mark(job, arn)
    job.ec2.stop_instances(InstanceIds=[arn.rpartition("/")[2]])
    job.restart_process()
    assert job.diff(created, inputs).changed == ("stop_and_restart",)
    updated = job.update(created, inputs)
    assert done(job, arn, 1)
    job.restart_process()
    assert not job.diff(updated, inputs).has_changes


def test_one_list_tells_of_all_marks(job: Job) -> None:
    """A stack of many costs EC2 one call when there is nothing to do, and none without the option."""
    calls: list[str] = []
    made = []
    for _ in range(5):
        inputs = job.inputs(job.launch(BYOL), stop_and_restart=True)
        made.append((job.create(inputs), inputs))

    job.make_client = lambda service, settings: count(deny()(service, settings), calls)
    job.restart_process()
    for created, inputs in made:
        assert not job.diff(created, inputs).has_changes
    assert calls == ["DescribeInstances"]
    for created, inputs in made:
        job.diff(created, {**inputs, "stop_and_restart": False})
    assert calls == ["DescribeInstances"]


def count(client: Any, calls: list[str]) -> Any:
    client.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    return client


# -- ^C and deadlines --------------------------------------------------------------------------------------------------


def cancel_when(job: Job, holds: Callable[[], bool]) -> None:
    def watch() -> None:
        deadline = time.monotonic() + 20
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.005)
        job.session.cancellation.set("the update was cancelled")

    threading.Thread(target=watch, daemon=True).start()


def test_cancelled_while_it_stops(
    job: Job, arn: str, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is begun; the line says how the instance is and that the next `up` goes on, which it does."""
    slow_stops(monkeypatch, seconds=1.0)
    cancel_when(job, lambda: job.state(arn) == "stopping")
    with pytest.raises(CancelledError) as caught:
        job.create(inputs)
    instance_id = arn.rpartition("/")[2]
    assert str(caught.value) == (
        f"Stopping {arn} in eu-west-1: the update was cancelled while the instance was stopping. "
        f"The next `pulumi up` goes on from there; {instance_id} was last seen stopping and has the tag {TAG}: the "
        "next `pulumi up` goes on and starts it again at the end."
    )
    assert (job.tags(arn), job.starts) == ({TAG: URN}, 0)
    job.restart_process()
    job.create(inputs)
    assert done(job, arn, 1)


def test_cancelled_while_it_converts(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """A conversion in progress is left alone, and so is the instance, until the next `up`."""
    job.backend.conversion_seconds = 0.5
    cancel_when(job, lambda: bool(job.backend.tasks))
    with pytest.raises(LicenseConversionError, match=f"was last seen stopped and has the tag {TAG}"):
        job.create(inputs)
    assert (job.state(arn), job.tags(arn)) == ("stopped", {TAG: URN})
    job.restart_process()
    assert job.create(inputs).state.adopted
    assert done(job, arn, 1)


@pytest.mark.proof
def test_a_deadline_bounds_the_whole(
    job: Job, arn: str, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`custom_timeouts` counts the stop too."""
    slow_stops(monkeypatch, seconds=10.0)
    with pytest.raises(CancelledError, match="its time was over while the instance was stopping"):
        job.create(inputs, timeout=3)
    assert job.tags(arn) == {TAG: URN}


@pytest.mark.proof
def test_a_deadline_while_it_converts(job: Job, arn: str, inputs: dict[str, object]) -> None:
    """An instance whose conversion may go on is not started."""
    job.create(job.inputs(job.launch(WINDOWS)))  # making the clients takes long on a busy machine
    job.backend.conversion_status = "IN_PROGRESS"
    with pytest.raises(LicenseConversionError, match=f"was last seen stopped and has the tag {TAG}"):
        job.create(inputs, timeout=5)
    assert (job.state(arn), job.tags(arn)) == ("stopped", {TAG: URN})


# -- inputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stop_and_restart": True, "wait_for_completion": False}, "nobody would start the instance again"),
        ({"force_stop_after": "8m"}, "force_stop_after needs stop_and_restart=True"),
        ({"stop_and_restart": True, "force_stop_after": "8"}, 'give one such as "90s", "8m" or "1h30m"'),
        ({"stop_and_restart": "yes"}, "is not a boolean"),
    ],
)
def test_options_that_do_not_go_together(job: Job, arn: str, options: dict[str, Any], reason: str) -> None:
    """What would leave an instance stopped, or do nothing, is a failed check."""
    (failure,) = job.check(job.inputs(arn, **options))
    assert reason in failure.reason
