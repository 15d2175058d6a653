"""A conversion as a resource: what `up`, `preview`, `refresh` and `destroy` do, the same on both engines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from local_engine import LocalEngine, UpdateFailedError
from support.commands import start_local
from support.lifecycle import ARN, BYOL, CREATE, GET, REGION, WINDOWS
from support.stacks import ON_BOTH_ENGINES, RECORDED, LocalStack, RealStack, Stack

from lmconv_resource.emulator import (
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    SlowAnswer,
    licensemanager_backends,
    serve,
)
from lmconv_resource.models import OUTPUTS

STARTING = f"Starting the license conversion of {ARN} in {REGION}: "

PROGRAM = """
import pulumi
from lmconv_resource import LicenseContext, LicenseContextArgs, LicenseConversion

config = pulumi.Config()
arn = config.get("arn")
if config.get_bool("unknown"):
    arn = pulumi.Output.from_input(pulumi.Stash("arns", input=arn).output)
conversion = LicenseConversion(
    "conversion",
    resource_arn=arn,
    source_license_context=LicenseContextArgs(usage_operation=config.get("from")),
    destination_license_context=LicenseContextArgs(usage_operation=config.get("to")),
    wait_for_completion=config.get_bool("wait"),
    ignore_failure=config.get_bool("ignore"),
    preflight=config.get_bool("preflight"),
)
pulumi.export("status", conversion.status)
pulumi.export("adopted", conversion.adopted)
pulumi.export("verified", conversion.verified_usage_operation)
pulumi.export("usage_operation", conversion.destination_license_context.usage_operation)
"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager and an EC2 on loopback, and an environment that leads to both."""
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-a-secret-of-the-test")
        backend = licensemanager_backends["123456789012"][REGION]
        backend.conversion_seconds = 0
        yield backend


def configure(stack: Stack) -> Stack:
    stack.config |= {"aws:region": REGION, "followed:arn": ARN, "followed:from": BYOL, "followed:to": WINDOWS}
    return stack


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    """A stack that converts an instance, once on each engine."""
    return configure(
        LocalStack(tmp_path / "stack", PROGRAM) if request.param == "local" else RealStack(tmp_path, PROGRAM)
    )


@pytest.fixture
def local(tmp_path: Path, aws: LicenseManagerBackend) -> LocalStack:
    """The same on the local engine only."""
    made = LocalStack(tmp_path / "stack", PROGRAM)
    configure(made)
    return made


@pytest.fixture
def instance_arn(aws: LicenseManagerBackend) -> str:
    """The ARN of a stopped instance that EC2 shows."""
    ec2 = boto3.client("ec2", region_name=REGION)
    instance_id = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    return f"arn:aws:ec2:{REGION}:123456789012:instance/{instance_id}"


def add(aws: LicenseManagerBackend, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"resource_arn": ARN, "source": BYOL, "destination": WINDOWS, "status": status, **seconds}
    return aws.add_task(**{**defaults, **settings}).task_id


def reverse(stack: Stack) -> None:
    stack.config["followed:from"], stack.config["followed:to"] = WINDOWS, BYOL


def recorded(stack: Stack) -> dict[str, Any]:
    outputs = stack.resources()["conversion"]["outputs"]
    return {name: value for name, value in outputs.items() if not name.startswith("__")}


# -- create ------------------------------------------------------------------------------------------------------------


def test_a_conversion_is_started_once_and_then_left_alone(
    stack: Stack, aws: LicenseManagerBackend, instance_arn: str
) -> None:
    """`up` starts one conversion, waits for its end and records it with EC2's own word; a second `up` asks nobody."""
    stack.config["followed:arn"] = instance_arn
    aws.conversion_seconds = 0.5
    aws.conversion_message = "all went well"

    first = stack.up()
    calls = aws.calls.total()
    second = stack.up()

    assert first.ok
    assert first.outputs == {
        "status": "SUCCEEDED",
        "adopted": False,
        "verified": WINDOWS,
        "usage_operation": WINDOWS,
    }
    (task,) = aws.tasks.values()
    outputs = recorded(stack)
    assert set(outputs) == {*OUTPUTS, "adopted", "verified_usage_operation", "verified_product_codes"}
    assert outputs["license_conversion_task_id"] == stack.resources()["conversion"]["id"] == task.task_id
    assert outputs["source_license_context"] == {"usage_operation": BYOL, "product_codes": []}
    assert (outputs["is_complete"], outputs["duration_seconds"]) == (True, 0.5)
    assert outputs["status_message"] == "all went well"
    assert set(second.changes) == {"same"}
    assert aws.calls.total() == calls
    assert aws.calls[CREATE] == 1


@pytest.mark.proof
@pytest.mark.parametrize("status", ["IN_PROGRESS", pytest.param("SUCCEEDED", marks=pytest.mark.proof)])
def test_what_is_there_already_is_adopted(stack: Stack, aws: LicenseManagerBackend, status: str) -> None:
    """A conversion that does or has done the same is tracked instead of started, which the row and an output say."""
    task_id = add(aws, status)
    stack.config["followed:wait"] = "false"

    outcome = stack.up()

    assert outcome.outputs["adopted"] is True
    assert stack.resources()["conversion"]["id"] == task_id
    done = "is already doing it" if status == "IN_PROGRESS" else "has already done it"
    assert outcome.lines("conversion", "info") == [f"{task_id} {done} and is adopted; no conversion is started."]
    assert aws.calls[CREATE] == 0
    assert set(stack.up().changes) == {"same"}
    assert stack.refresh().ok
    assert recorded(stack)["adopted"] is True


def test_a_failure_is_an_error_and_the_next_up_tries_again(stack: Stack, aws: LicenseManagerBackend) -> None:
    """FAILED is AWS's message and in the state; the next `up` says why the last one failed and replaces it."""
    aws.conversion_status, aws.conversion_message = "FAILED", "SSM inventory is missing."

    failed = stack.up()
    (first,) = aws.tasks
    aws.conversion_status, aws.conversion_message = "SUCCEEDED", None
    done = stack.up()

    assert not failed.ok
    assert failed.errors("conversion") == [
        f"{RECORDED}Waiting for license conversion task {first} in {REGION}: it FAILED: SSM inventory is missing. "
        "Fix the cause; the next `pulumi up` starts a new conversion."
    ]
    assert done.ok
    assert done.lines("conversion", "info") == [
        f"The last conversion, {first}, FAILED: SSM inventory is missing. A new one is started."
    ]
    assert done.outputs["status"] == "SUCCEEDED"
    assert len(aws.tasks) == 2


@pytest.mark.proof
def test_ignore_failure_records_a_failed_conversion_and_tries_no_more(stack: Stack, aws: LicenseManagerBackend) -> None:
    """With `ignore_failure` FAILED is an output and a warning, and the next `up` does nothing."""
    aws.conversion_status, aws.conversion_message = "FAILED", "no"
    stack.config["followed:ignore"] = "true"

    outcome = stack.up()

    (task_id,) = aws.tasks
    assert outcome.outputs["status"] == "FAILED"
    assert outcome.lines("conversion", "warning") == [f"{task_id} FAILED: no"]
    assert set(stack.up().changes) == {"same"}

    del stack.config["followed:ignore"]
    aws.conversion_status, aws.conversion_message = "SUCCEEDED", None
    preview = stack.preview()
    assert preview.changes["replace"] == 1
    assert preview.lines("conversion", "warning") == [f"{task_id} FAILED: no. A new conversion will be started."]
    again = stack.up()
    assert again.outputs["status"] == "SUCCEEDED"
    assert again.changes["replace"] == 1
    assert not any("stays licensed" in text or "keeps" in text for _, _, text in again.said)
    assert aws.calls[CREATE] == 2


@pytest.mark.proof
def test_a_lost_answer_starts_nothing_again(stack: Stack, aws: LicenseManagerBackend) -> None:
    """When AWS has started the conversion and the connection ends before its answer, that one is followed."""
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs["adopted"] is False
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


# -- diff --------------------------------------------------------------------------------------------------------------


@pytest.mark.proof
def test_contexts_that_are_exchanged_convert_back(stack: Stack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """Exactly reversed contexts are a replacement that the preview names; nothing false is said of the old one."""
    stack.config["followed:arn"] = instance_arn
    stack.up()

    reverse(stack)
    preview = stack.preview()
    outcome = stack.up()

    line = "The contexts are reversed: a conversion back will be started."
    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    plan, said = preview.lines("conversion", "info")
    assert plan.endswith(": will be converted from Windows (RunInstances:0002) to Windows BYOL (RunInstances:0800)")
    assert [said] == outcome.lines("conversion", "info") == [line]
    assert outcome.outputs["verified"] == outcome.outputs["usage_operation"] == BYOL
    assert outcome.lines("conversion", "warning") == []
    assert len(aws.tasks) == 2
    assert set(stack.up().changes) == {"same"}


@pytest.mark.proof
def test_turning_the_wait_on_waits(stack: Stack, aws: LicenseManagerBackend) -> None:
    """Without the wait `up` goes on at once; with it a later `up` updates when the conversion has ended."""
    aws.conversion_seconds = 2.0
    stack.config["followed:wait"] = "false"
    assert stack.up().outputs["status"] == "IN_PROGRESS"

    stack.config["followed:wait"] = "true"
    waited = stack.up()

    assert waited.changes["update"] >= 1
    assert waited.outputs["status"] == "SUCCEEDED"
    assert set(stack.up().changes) == {"same"}
    assert aws.calls[CREATE] == 1


# -- refresh, destroy and preview --------------------------------------------------------------------------------------


@pytest.mark.proof
def test_refresh_records_what_has_become_of_it(stack: Stack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """`refresh` looks the conversion up, keeps what was asked for and how it began, and starts nothing."""
    stack.config |= {"followed:arn": instance_arn, "followed:wait": "false"}
    aws.conversion_status = "IN_PROGRESS"
    stack.up()
    (task_id,) = aws.tasks
    aws.finish_task(task_id)

    outcome = stack.refresh()

    assert outcome.ok
    assert outcome.lines("conversion", "info")[0].startswith(f"{task_id} IN_PROGRESS → SUCCEEDED after ")
    outputs = recorded(stack)
    assert (outputs["status"], outputs["adopted"], outputs["verified_usage_operation"]) == ("SUCCEEDED", False, WINDOWS)
    assert set(stack.up().changes) == {"same"}
    assert aws.calls[CREATE] == 1


def test_destroy_says_that_the_license_stays(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`destroy` forgets a conversion and warns of what stays; AWS is not asked."""
    stack.up()
    calls = aws.calls.total()

    outcome = stack.destroy()

    assert outcome.ok
    (line,) = outcome.lines("conversion", "warning")
    assert line.endswith(f" is only removed from the state: the license of {ARN} stays as it is.")
    assert "conversion" not in stack.resources()
    assert aws.calls.total() == calls


def test_a_preview_of_an_unknown_arn_asks_nobody(stack: Stack, aws: LicenseManagerBackend) -> None:
    """An ARN that is another resource's output passes through a preview."""
    stack.config["followed:unknown"] = "true"

    preview = stack.preview()

    assert preview.ok
    assert preview.changes["create"] >= 3
    assert aws.calls.total() == 0
    assert stack.up().outputs["status"] == "SUCCEEDED"


def test_a_preview_starts_nothing(stack: Stack, aws: LicenseManagerBackend) -> None:
    """`preview` shows a conversion that will be started, says so, and starts none."""
    preview = stack.preview()
    assert preview.changes["create"] >= 2
    assert any("will be converted from" in str(line) for line in preview.said)
    assert aws.calls[CREATE] == 0


def test_a_bad_input_is_refused_in_a_preview_already(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """An input that can't be used is one line under the resource that names property, value and remedy."""
    local.config["followed:to"] = "runinstances:0800"

    outcome = local.preview()

    assert not outcome.ok
    (text,) = outcome.errors("conversion")
    assert text.partition("has a problem: ")[2].startswith(
        "destination_license_context has the usage_operation 'runinstances:0800', which is not a usage operation: "
        "use RunInstances:0800"
    )
    assert aws.calls.total() == 0


def test_the_preflight_ends_in_one_line(stack: Stack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """With `preflight` a running instance fails under the resource, with the remedy, and nothing is started."""
    instance_id = instance_arn.rpartition("/")[2]
    boto3.client("ec2", region_name=REGION).start_instances(InstanceIds=[instance_id])
    stack.config |= {"followed:arn": instance_arn, "followed:preflight": "true"}

    outcome = stack.up()

    assert not outcome.ok
    assert outcome.errors("conversion") == [
        f"Starting the license conversion of {instance_arn} in {REGION}: the instance is running and must be stopped. "
        f"Stop it with `aws ec2 stop-instances --instance-ids {instance_id}`, or set stop_and_restart=True."
    ]
    assert aws.calls[CREATE] == 0


# -- a killed `up` -----------------------------------------------------------------------------------------------------


class Killed:
    """An `up` whose plugin process is killed while it is under way."""

    def __init__(self, stack: LocalStack) -> None:
        self.engine: LocalEngine = stack.engine()

    def kill(self) -> None:
        plugin = self.engine.plugin
        assert plugin is not None
        os.kill(plugin.pid, signal.SIGKILL)
        plugin.wait(10)

    def run(self) -> None:
        with pytest.raises(UpdateFailedError):
            self.engine.up()


def test_an_up_that_was_killed_right_after_the_start_loses_nothing(
    local: LocalStack, aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the plugin dies after AWS has started the conversion and before it has the answer, the next `up` adopts."""
    aws.conversion_status = "IN_PROGRESS"
    create = LicenseManagerBackend.create_license_conversion_task_for_resource
    killed = Killed(local)

    def create_then_kill(backend: LicenseManagerBackend, **arguments: Any) -> Any:
        task = create(backend, **arguments)
        killed.kill()
        return task

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", create_then_kill)
    killed.run()
    killed.engine.close()
    assert "conversion" not in local.resources()

    (task_id,) = aws.tasks
    aws.finish_task(task_id)
    outcome = local.up()

    assert outcome.ok
    assert outcome.outputs["adopted"] is True
    assert local.resources()["conversion"]["id"] == task_id
    assert (list(aws.tasks), aws.calls[CREATE]) == ([task_id], 1)


@pytest.mark.proof
def test_an_up_that_was_killed_in_the_wait_loses_nothing(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """When the plugin dies while it waits, the conversion goes on, and the next `up` waits for the same one."""
    aws.conversion_status = "IN_PROGRESS"
    killed = Killed(local)

    def kill_at_first_look() -> None:
        while not aws.calls[GET]:
            threading.Event().wait(0.02)
        killed.kill()

    killer = threading.Thread(target=kill_at_first_look)
    killer.start()
    killed.run()
    killer.join()
    killed.engine.close()

    (task_id,) = aws.tasks
    aws.finish_task(task_id)
    outcome = local.up()

    assert outcome.lines("conversion", "info") == [
        f"{task_id} has already done it and is adopted; no conversion is started."
    ]
    assert (list(aws.tasks), aws.calls[CREATE]) == ([task_id], 1)


@pytest.mark.proof
def test_a_start_whose_engine_is_gone_starts_nothing_any_more(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """When the engine is killed while AWS asks to slow down, the plugin it leaves behind does not start anything."""
    aws.faults.add(Fault(ErrorAnswer("RateLimitExceededException"), operation=CREATE))
    killed = Killed(local)
    engine = killed.engine
    up = threading.Thread(target=killed.run)
    up.start()
    while not aws.calls[CREATE]:
        threading.Event().wait(0.02)

    plugin = engine.plugin
    assert plugin is not None
    engine.kill()
    plugin.wait(20)
    up.join()
    engine.close()
    aws.faults.clear()

    assert aws.tasks == {}
    assert local.up().outputs["adopted"] is False
    assert len(aws.tasks) == 1


@pytest.mark.proof
def test_of_two_stacks_at_once_one_starts_and_both_follow(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Two stacks that start a conversion of one instance at the same moment start one, and the other adopts it."""
    aws.conversion_status = "IN_PROGRESS"
    # Both look before the first of the two calls is carried out.
    aws.faults.add(Fault(SlowAnswer(2.0), operation=CREATE))
    stacks = [LocalStack(tmp_path / name, PROGRAM) for name in ("one", "two")]
    config = {**configure(stacks[0]).config, "followed:wait": "false"}

    ups = [start_local("up", stack.folder, config, stack.state_file) for stack in stacks]
    for up in ups:
        up.communicate(timeout=60)

    assert [up.returncode for up in ups] == [0, 0]
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 2)


# -- what programs write -----------------------------------------------------------------------------------------------


def test_the_constructor_takes_typed_and_plain_contexts(aws: LicenseManagerBackend, tmp_path: Path) -> None:
    """Contexts can be given as args, as dicts, and with the constants; all lead to the same call."""
    program = """
import pulumi
from lmconv_resource import *
from lmconv_resource import UsageOperation as U

arn = "arn:aws:ec2:eu-west-1:123456789012:instance/i-{}"
codes = [ProductCodeArgs(product_code_id="abc")]
LicenseConversion("typed", resource_arn=arn.format(1),
    source_license_context=LicenseContextArgs(usage_operation=U.WINDOWS_BYOL),
    destination_license_context=LicenseContextArgs(usage_operation=U.WINDOWS, product_codes=codes))
LicenseConversion("plain", resource_arn=arn.format(2),
    source_license_context={"usage_operation": U.WINDOWS_BYOL},
    destination_license_context={"usage_operation": "RunInstances:0002", "product_codes": [{"product_code_id": "abc"}]})
"""
    stack = LocalStack(tmp_path / "typed", program)
    stack.config["aws:region"] = REGION

    assert stack.up().ok
    one, two = aws.tasks.values()
    assert (one.source, one.destination) == (two.source, two.destination)
    assert one.source.usage_operation == BYOL
    assert one.destination.product_codes[0].product_code_id == "abc"
    assert set(stack.up().changes) == {"same"}
