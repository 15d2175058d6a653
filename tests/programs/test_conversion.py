"""A conversion as a resource: what `up`, `preview`, `refresh` and `destroy` do, the same on both engines."""

from __future__ import annotations

import base64
import os
import pickletools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pulumi
import pytest
from conftest import Wire
from moto import mock_aws
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.rpc import UNKNOWN
from stacks import LocalStack, Outcome, RealStack, Stack, has_pulumi

from lmconv_resource import (
    LicenseContext,
    LicenseContextArgs,
    LicenseConversion,
    ProductCodeArgs,
    UsageOperation,
    conversion_provider,
)
from lmconv_resource.aws.client import connect
from lmconv_resource.aws.settings import Settings
from lmconv_resource.conversion_provider import LicenseConversionProvider
from lmconv_resource.emulator import (
    ChangedAnswer,
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    SlowAnswer,
    licensemanager_backends,
    serve,
)
from lmconv_resource.errors import StartedConversionFailedError, TaskNotFoundError
from lmconv_resource.hosts import session as process
from lmconv_resource.models import OUTPUTS
from lmconv_resource.testing import LocalEngine, UpdateFailedError

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
BYOL, WINDOWS, WEB = "RunInstances:0800", "RunInstances:0002", "RunInstances:0202"
CREATE, LIST, GET = (
    "CreateLicenseConversionTaskForResource",
    "ListLicenseConversionTasks",
    "GetLicenseConversionTask",
)
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


@pytest.fixture(
    params=[
        "local",
        pytest.param("real", marks=pytest.mark.skipif(not has_pulumi(), reason="the pulumi command is not on PATH")),
    ]
)
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
    assert set(outputs) == {*OUTPUTS, "adopted", "verified_usage_operation"}
    assert outputs["license_conversion_task_id"] == stack.resources()["conversion"]["id"] == task.task_id
    assert outputs["source_license_context"] == {"usage_operation": BYOL, "product_codes": []}
    assert (outputs["is_complete"], outputs["duration_seconds"]) == (True, 0.5)
    assert outputs["status_message"] == "all went well"
    assert set(second.changes) == {"same"}
    assert aws.calls.total() == calls
    assert aws.calls[CREATE] == 1


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SUCCEEDED"])
def test_what_is_there_already_is_adopted(stack: Stack, aws: LicenseManagerBackend, status: str) -> None:
    """A conversion that does or has done the same is tracked instead of started, which the row and an output say."""
    task_id = add(aws, status)
    stack.config["followed:wait"] = "false"

    outcome = stack.up()

    assert outcome.outputs["adopted"] is True
    assert stack.resources()["conversion"]["id"] == task_id
    done = "is doing it already" if status == "IN_PROGRESS" else "has done it already"
    assert outcome.lines("conversion", "info") == [f"{task_id} {done} and is adopted; no conversion is started."]
    assert aws.calls[CREATE] == 0
    assert set(stack.up().changes) == {"same"}
    assert stack.refresh().ok
    assert recorded(stack)["adopted"] is True


def test_another_conversion_in_progress_is_one_line(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """While the instance is converted to something else, `up` fails with that task's id, and starts nothing."""
    task_id = add(aws, "IN_PROGRESS", destination=WEB)

    assert local.up().errors("conversion") == [
        f"{STARTING}license conversion task {task_id} is in progress and converts it otherwise. "
        "Wait for its end, then run `pulumi up` again."
    ]
    assert aws.calls[CREATE] == 0


def test_a_failure_is_an_error_and_the_next_up_tries_again(stack: Stack, aws: LicenseManagerBackend) -> None:
    """FAILED is AWS's message and nothing in the state; the next `up` says why the last one failed and starts anew."""
    aws.conversion_status, aws.conversion_message = "FAILED", "SSM inventory is missing."

    failed = stack.up()
    (first,) = aws.tasks
    aws.conversion_status, aws.conversion_message = "SUCCEEDED", None
    done = stack.up()

    assert not failed.ok
    assert failed.errors("conversion") == [
        f"Waiting for license conversion task {first} in {REGION}: it FAILED: SSM inventory is missing. "
        "Mend the cause; the next `pulumi up` starts a new conversion."
    ]
    assert done.ok
    assert done.lines("conversion", "info") == [
        f"The last conversion, {first}, FAILED: SSM inventory is missing. A new one is started."
    ]
    assert done.outputs["status"] == "SUCCEEDED"
    assert len(aws.tasks) == 2


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


def test_a_new_task_that_aws_does_not_show_yet_is_waited_for(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """Right after its start AWS may not know the task everywhere: that is no error, and nothing is started again."""
    aws.faults.add(Fault(ErrorAnswer("InvalidParameterValueException", "not found"), operation=GET, calls=1))

    assert local.up().ok
    assert aws.calls[CREATE] == 1


def test_a_lost_answer_starts_nothing_again(stack: Stack, aws: LicenseManagerBackend) -> None:
    """When AWS has started the conversion and the connection ends before its answer, that one is followed."""
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs["adopted"] is False
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


# -- diff --------------------------------------------------------------------------------------------------------------


def test_contexts_that_are_exchanged_convert_back(stack: Stack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """Exactly reversed contexts are a replacement that the preview names; nothing false is said of the old one."""
    stack.config["followed:arn"] = instance_arn
    stack.up()

    reverse(stack)
    preview = stack.preview()
    outcome = stack.up()

    line = "The contexts are reversed: a conversion back will be started."
    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    assert preview.lines("conversion", "info") == outcome.lines("conversion", "info") == [line]
    assert outcome.outputs["verified"] == outcome.outputs["usage_operation"] == BYOL
    assert outcome.lines("conversion", "warning") == []
    assert len(aws.tasks) == 2
    assert set(stack.up().changes) == {"same"}


@pytest.mark.parametrize("setting", [{"followed:to": WEB}, {"followed:arn": f"{ARN}1"}])
def test_something_else_replaces_the_conversion(
    local: LocalStack, aws: LicenseManagerBackend, setting: dict[str, str]
) -> None:
    """Other contexts, or another instance, replace the conversion and start a new one."""
    local.up()

    local.config |= setting
    preview = local.preview()
    outcome = local.up()

    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    assert outcome.lines("conversion", "info") == []
    assert aws.calls[CREATE] == 2


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


@pytest.mark.parametrize("wait", ["true", "false"])
def test_a_conversion_that_failed_since_is_replaced(local: LocalStack, aws: LicenseManagerBackend, wait: str) -> None:
    """A conversion that nobody waited for and that has failed since blocks nothing: a new one replaces it."""
    aws.conversion_status = "IN_PROGRESS"
    local.config["followed:wait"] = "false"
    local.up()
    (task_id,) = aws.tasks
    aws.finish_task(task_id, "FAILED", "The agent\nis gone.")
    aws.conversion_status = "SUCCEEDED"

    local.config["followed:wait"] = wait
    preview = local.preview()
    outcome = local.up()

    line = f"{task_id} FAILED: The agent is gone. A new conversion will be started."
    assert preview.lines("conversion", "warning") == [line]
    assert preview.changes["replace"] == 1
    assert outcome.outputs["status"] == "SUCCEEDED"
    assert len(aws.tasks) == 2


def test_a_failure_under_an_update_blocks_nothing(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """When a conversion fails while an update waits for it, the next `up` replaces it by a new one."""
    aws.conversion_status, aws.conversion_seconds = "FAILED", 1.5
    local.config["followed:wait"] = "false"
    local.up()

    local.config["followed:wait"] = "true"
    failed = local.up()
    aws.conversion_status, aws.conversion_seconds = "SUCCEEDED", 0
    done = local.up()

    assert "the next `pulumi up` starts a new conversion" in failed.errors("conversion")[0]
    assert done.ok
    assert (done.outputs["status"], aws.calls[CREATE]) == ("SUCCEEDED", 2)


def test_its_end_is_a_change(local: LocalStack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """Once a conversion that was not waited for has ended, the next `up` records that, EC2's word included."""
    local.config |= {"followed:arn": instance_arn, "followed:wait": "false"}
    aws.conversion_status = "IN_PROGRESS"
    assert local.up().outputs.get("verified") is None
    assert set(local.up().changes) == {"same"}

    (task_id,) = aws.tasks
    aws.finish_task(task_id)

    assert local.preview().changes["update"] == 1
    assert local.up().outputs == {
        "status": "SUCCEEDED",
        "adopted": False,
        "verified": WINDOWS,
        "usage_operation": WINDOWS,
    }


def test_aws_may_word_the_contexts_otherwise(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """What AWS adds to the contexts, or leaves out, is an output and no reason to start another conversion."""
    codes = {"UsageOperation": WINDOWS, "ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]}
    aws.faults.add(
        Fault(ChangedAnswer({"DestinationLicenseContext": codes}, ("SourceLicenseContext", "ResourceArn")), GET)
    )

    local.up()

    assert recorded(local)["destination_license_context"]["product_codes"][0]["product_code_id"] == "abc"
    assert set(local.up().changes) == {"same"}
    assert local.refresh().ok
    assert set(local.up().changes) == {"same"}
    reverse(local)
    assert local.preview().lines("conversion", "info") == [
        "The contexts are reversed: a conversion back will be started."
    ]
    assert aws.calls[CREATE] == 1


# -- refresh, destroy and preview --------------------------------------------------------------------------------------


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
    assert outcome.lines("conversion", "warning") == [
        f"{ARN} stays licensed as RunInstances:0002 (Windows): declare a LicenseConversion with the contexts exchanged "
        "to convert it back."
    ]
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
    """`preview` shows a conversion that will be started, and starts none."""
    assert stack.preview().changes["create"] >= 2
    assert aws.calls.total() == 0


# -- check -------------------------------------------------------------------------------------------------------------


def find_error(outcome: Outcome) -> str:
    (text,) = outcome.errors("conversion")
    return text.partition("has a problem: ")[2]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            {"followed:to": BYOL},
            "destination_license_context is the same as source_license_context: there is nothing to convert",
        ),
        (
            {"followed:arn": "i-0123"},
            "resource_arn 'i-0123' is not an ARN: give one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        ),
        (
            {"followed:from": ""},
            "source_license_context has the usage_operation '': give a text of at most 50 characters, such as "
            "RunInstances:0002",
        ),
        (
            {"followed:to": "R" * 51},
            f"destination_license_context has the usage_operation '{'R' * 51}': give a text of at most 50 characters, "
            "such as RunInstances:0002",
        ),
    ],
    ids=["same", "arn", "empty", "long"],
)
def test_bad_inputs_are_refused_by_name(
    local: LocalStack, aws: LicenseManagerBackend, config: dict[str, str], line: str
) -> None:
    """An input that can't be used fails in a preview already, in one line that names property, value and remedy."""
    local.config |= config

    outcome = local.preview()

    assert not outcome.ok
    assert find_error(outcome) == line
    assert aws.calls.total() == 0


def test_an_unknown_code_passes(local: LocalStack, aws: LicenseManagerBackend) -> None:
    """A usage operation that AWS adds tomorrow is handed on."""
    local.config["followed:to"] = "RunInstances:9999"

    outcome = local.up()

    assert outcome.outputs["usage_operation"] == "RunInstances:9999"
    assert outcome.said == []


def test_the_preflight_ends_in_one_line(stack: Stack, aws: LicenseManagerBackend, instance_arn: str) -> None:
    """With `preflight` a running instance fails under the resource, with the remedy, and nothing is started."""
    instance_id = instance_arn.rpartition("/")[2]
    boto3.client("ec2", region_name=REGION).start_instances(InstanceIds=[instance_id])
    stack.config |= {"followed:arn": instance_arn, "followed:preflight": "true"}

    outcome = stack.up()

    assert not outcome.ok
    assert outcome.errors("conversion") == [
        f"Starting the license conversion of {instance_arn} in {REGION}: the instance is running and must be stopped. "
        f"Stop it with `aws ec2 stop-instances --instance-ids {instance_id}`."
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
        f"{task_id} has done it already and is adopted; no conversion is started."
    ]
    assert (list(aws.tasks), aws.calls[CREATE]) == ([task_id], 1)


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


def test_of_two_stacks_at_once_one_starts_and_the_other_is_told(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Two stacks that start a conversion of one instance at the same moment start one; the other's error is a line."""
    aws.conversion_status = "IN_PROGRESS"
    # Both look before the first of the two calls is carried out.
    aws.faults.add(Fault(SlowAnswer(2.0), operation=CREATE))
    stacks = [LocalStack(tmp_path / name, PROGRAM) for name in ("one", "two")]
    settings = [f"{key}={value}" for key, value in {**configure(stacks[0]).config, "followed:wait": "false"}.items()]
    options = [word for setting in settings for word in ("--config", setting)]

    ups = [
        subprocess.Popen(
            [sys.executable, "-m", "lmconv_resource.testing", "up", *options, str(stack.folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for stack in stacks
    ]
    said = [up.communicate(timeout=60)[0] for up in ups]

    assert sorted(up.returncode for up in ups) == [0, 1]
    loser = said[[up.returncode for up in ups].index(1)]
    (task_id,) = aws.tasks
    assert (
        f"error: {STARTING}AWS refused the request (ValidationException: {ARN} is being converted by {task_id}). "
        "Mend what AWS names and run `pulumi up` again.\n"
    ) in loser
    assert "Traceback" not in loser
    assert aws.calls[CREATE] == 2


# -- the provider's methods --------------------------------------------------------------------------------------------


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})
    monkeypatch.setattr(conversion_provider, "_created", set())
    monkeypatch.setattr(conversion_provider, "_NEW_TASK_SECONDS", 0.01)
    with mock_aws():
        backend = licensemanager_backends["123456789012"][REGION]
        backend.conversion_seconds = 0
        yield backend


@pytest.fixture
def provider() -> LicenseConversionProvider:
    """A provider of a stack that has set its region."""
    made = LicenseConversionProvider()
    made.configure(ConfigureRequest(Config({"aws:region": REGION}, "project")))
    return made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the provider says on the resource's row: severity and text."""
    lines: list[tuple[str, str]] = []

    def say(_props: object, text: str, severity: str = "INFO") -> None:
        lines.append((severity, text))

    monkeypatch.setattr(process, "say", say)
    return lines


def give(**inputs: Any) -> dict[str, Any]:
    contexts = {
        "source_license_context": {"usage_operation": BYOL},
        "destination_license_context": {"usage_operation": WINDOWS},
    }
    return {"resource_arn": ARN, **contexts, **inputs}


def checked(provider: LicenseConversionProvider, **inputs: Any) -> dict[str, Any]:
    result = provider.check({}, give(**inputs))
    assert not result.failures
    return result.inputs


def test_the_stored_reference_is_a_format() -> None:
    """What every state holds as `__provider` names this module and class; renaming either breaks deployed stacks."""
    text = serialize_provider(LicenseConversionProvider())

    words = [argument for _, argument, _ in pickletools.genops(base64.b64decode(text)) if isinstance(argument, str)]
    assert words == ["lmconv_resource.conversion_provider", "LicenseConversionProvider"]
    assert text == (
        "gASVSAAAAAAAAACMI2xtY29udl9yZXNvdXJjZS5jb252ZXJzaW9uX3Byb3ZpZGVylIwZTGljZW5zZUNvbnZlcnNpb25Qcm92aWRlcpSTlCmBlC4="
    )


def test_check_fills_in_the_defaults(provider: LicenseConversionProvider) -> None:
    """A conversion is waited for, a failure counts, and EC2 is not asked, unless the program says otherwise."""
    assert checked(provider) == {
        **give(),
        "wait_for_completion": True,
        "ignore_failure": False,
        "preflight": False,
        "region": REGION,
    }


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (
            {"resource_arn": None},
            "resource_arn is missing: give the ARN of the resource to convert, such as an EC2 instance's `arn`",
        ),
        (
            {"source_license_context": None},
            "source_license_context is missing: give a LicenseContextArgs, such as "
            'LicenseContextArgs(usage_operation="RunInstances:0002")',
        ),
        ({"source_license_context": BYOL}, f"source_license_context '{BYOL}' is not a LicenseContextArgs"),
        (
            {"destination_license_context": {}},
            "destination_license_context has neither a usage_operation nor product_codes: give what AWS shows for the "
            "instance",
        ),
        (
            {"destination_license_context": {"product_codes": [{"product_code_id": "a-b"}]}},
            "destination_license_context has the product code {'product_code_id': 'a-b'}: give an id of at most 25 "
            "letters and digits",
        ),
        (
            {"destination_license_context": {"product_codes": "abc"}},
            "destination_license_context has the product_codes 'abc': give a list of ProductCodeArgs",
        ),
        ({"preflight": "yes"}, "preflight 'yes' is not a boolean: give True or False"),
        (
            {
                "source_license_context": {"product_codes": [{"product_code_id": "a"}, {"product_code_id": "b"}]},
                "destination_license_context": {"product_codes": [{"product_code_id": "b"}, {"product_code_id": "a"}]},
            },
            "destination_license_context is the same as source_license_context: there is nothing to convert",
        ),
    ],
)
def test_check_names_what_is_wrong(provider: LicenseConversionProvider, inputs: dict[str, Any], line: str) -> None:
    """Each bad input is one failure, by the name that the program uses."""
    (failure,) = provider.check({}, give(**inputs)).failures

    assert failure.reason == line
    assert line.startswith(failure.property)


@pytest.mark.parametrize(
    ("source", "destination", "line"),
    [
        (BYOL, "RunInstances:0100", "AWS does not support Windows BYOL with SQL Server license included."),
        ("RunInstances:0g00", "RunInstances", "AWS does not convert Ubuntu Pro back to Ubuntu LTS."),
    ],
)
def test_what_aws_does_not_convert_is_a_warning(
    provider: LicenseConversionProvider, said: list[tuple[str, str]], source: str, destination: str, line: str
) -> None:
    """A pair that AWS's guide rules out is warned of, once, and AWS has the last word."""
    contexts = {
        "source_license_context": {"usage_operation": source},
        "destination_license_context": {"usage_operation": destination},
    }

    inputs = checked(provider, **contexts)
    assert said == [("WARNING", line)]
    assert not provider.check(inputs, give(**contexts)).failures
    assert said == [("WARNING", line)]


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
def test_unknown_values_pass_and_may_be_another_conversion(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend, inputs: dict[str, Any]
) -> None:
    """In a preview what is not known yet passes, at any depth, and shows as a replacement without a call."""
    result = provider.create(checked(provider))
    inside.calls.clear()

    diff = provider.diff(result.id, result.outs or {}, checked(provider, **inputs))

    assert (diff.changes, diff.replaces) == (True, list(inputs))
    assert not inside.calls


def test_a_product_code_without_a_type_is_a_marketplace_code(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """A product code given as a dict needs no type: AWS knows one."""
    codes = {"product_codes": [{"product_code_id": "abc"}]}

    result = provider.create(checked(provider, destination_license_context=codes))

    (code,) = inside.tasks[result.id].destination.product_codes
    assert (code.product_code_id, code.product_code_type) == ("abc", "marketplace")
    assert provider.diff(
        result.id, result.outs or {}, checked(provider, destination_license_context=codes)
    ).changes is (False)


def test_what_ec2_says_needs_the_right_to_ask(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """Without the right to ask EC2 the conversion is recorded all the same, and EC2's word is None."""
    denied = (
        b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"
    )
    Wire(connect(Settings(region=REGION)).ec2, (403, denied))

    outs = provider.create(checked(provider)).outs or {}

    assert (outs["status"], outs["verified_usage_operation"]) == ("SUCCEEDED", None)


def test_a_task_that_aws_never_shows_is_an_error(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """When AWS does not know the new task after a while either, that is said; the next `up` finds it in the list."""
    inside.faults.add(Fault(ErrorAnswer("InvalidParameterValueException", "no"), operation=GET))

    with pytest.raises(TaskNotFoundError):
        provider.create(checked(provider))

    assert inside.calls == {LIST: 1, CREATE: 1, GET: conversion_provider._NEW_TASK_LOOKS + 1}
    inside.faults.clear()
    assert (provider.create(checked(provider)).outs or {})["adopted"] is True
    assert inside.calls[CREATE] == 1


def test_a_record_of_an_older_shape_still_works(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """A record that does not hold what was asked for is compared by AWS's words, and completed by a refresh."""
    result = provider.create(checked(provider))
    old = {name: value for name, value in (result.outs or {}).items() if name in OUTPUTS}

    assert provider.diff(result.id, old, checked(provider)).changes is False
    refreshed = provider.read(result.id, old).outs or {}
    assert provider.diff(result.id, refreshed, checked(provider)).changes is False
    assert refreshed["adopted"] is False


def test_diff_says_that_a_conversion_goes_back(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend, said: list[tuple[str, str]]
) -> None:
    """Contexts that are exchanged replace the conversion, and the preview says what that means."""
    result = provider.create(checked(provider))
    back = {"source_license_context": {"usage_operation": WINDOWS}}
    back["destination_license_context"] = {"usage_operation": BYOL}

    diff = provider.diff(result.id, result.outs or {}, checked(provider, **back))

    assert (diff.changes, diff.replaces) == (True, list(back))
    assert said == [("INFO", "The contexts are reversed: a conversion back will be started.")]


def test_diff_replaces_what_has_failed_since(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend, said: list[tuple[str, str]]
) -> None:
    """A conversion recorded as running that has FAILED is started again, unless a failure is to be ignored."""
    inside.conversion_seconds = 3600
    inputs = checked(provider, wait_for_completion=False)
    result = provider.create(inputs)
    inside.finish_task(result.id, "FAILED", "SSM inventory is missing.")

    diff = provider.diff(result.id, result.outs or {}, inputs)
    ignored = provider.diff(result.id, result.outs or {}, {**inputs, "ignore_failure": True})

    assert (diff.changes, diff.replaces) == (True, ["status"])
    assert (ignored.changes, ignored.replaces) == (True, None)
    assert said[0] == (
        "WARNING",
        f"{result.id} FAILED: SSM inventory is missing. A new conversion will be started.",
    )


def test_diff_of_a_running_conversion_that_is_to_be_waited_for(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """Turning the wait on is a change while the conversion runs."""
    inside.conversion_seconds = 3600
    result = provider.create(checked(provider, wait_for_completion=False))

    diff = provider.diff(result.id, result.outs or {}, checked(provider))

    assert (diff.changes, diff.replaces) == (True, None)


def test_a_conversion_that_ends_failed_under_its_wait_is_an_error(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend
) -> None:
    """The error says that the next `up` starts a new conversion, which is what happens."""
    inside.conversion_status = "FAILED"

    with pytest.raises(StartedConversionFailedError, match="FAILED"):
        provider.create(checked(provider))

    inside.conversion_status = "SUCCEEDED"
    outs = provider.create(checked(provider)).outs or {}
    assert (outs["status"], outs["adopted"], len(inside.tasks)) == ("SUCCEEDED", False, 2)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            {"status": "IN_PROGRESS"},
            "lct-1 goes on: AWS has no call that cancels a license conversion. It is only forgotten here.",
        ),
        (
            {"status": "SUCCEEDED", "destination_license_context": {"usage_operation": WINDOWS}},
            f"{ARN} stays licensed as RunInstances:0002 (Windows): declare a "
            "LicenseConversion with the contexts exchanged to convert it back.",
        ),
        (
            {"status": "SUCCEEDED"},
            f"{ARN} keeps its license: declare a LicenseConversion with the contexts exchanged to convert it back.",
        ),
        ({"status": "FAILED"}, f"{ARN} keeps the license that it has: lct-1 is only forgotten here."),
    ],
)
def test_delete_says_what_stays(
    provider: LicenseConversionProvider, said: list[tuple[str, str]], record: dict[str, Any], line: str
) -> None:
    """Nobody takes a destroyed resource for a conversion that was undone."""
    provider.delete("lct-1", {"resource_arn": ARN, **record})

    assert said == [("WARNING", line)]


def test_delete_of_the_old_half_of_a_replacement_says_nothing(
    provider: LicenseConversionProvider, inside: LicenseManagerBackend, said: list[tuple[str, str]]
) -> None:
    """There the new conversion is what counts."""
    result = provider.create(checked(provider, __urn="urn"))
    said.clear()

    provider.delete("lct-older", {**(result.outs or {}), "__urn": "urn"})

    assert not said


def test_delete_asks_nobody(provider: LicenseConversionProvider, inside: LicenseManagerBackend) -> None:
    """Forgetting a conversion makes no call, whatever the record holds."""
    provider.delete("lct-1", {})
    provider.delete("lct-1", {"status": "SUCCEEDED", "resource_arn": ARN})

    assert not inside.calls


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


def test_args_are_values() -> None:
    """What was given to the args can be read from them."""
    code = ProductCodeArgs(product_code_id="abc")
    context = LicenseContextArgs(usage_operation=UsageOperation.WINDOWS, product_codes=[code])

    assert (context.usage_operation, context.product_codes) == ("RunInstances:0002", [code])
    assert (code.product_code_id, code.product_code_type) == ("abc", "marketplace")


def test_a_subclass_keeps_the_outputs() -> None:
    """A program may derive its own resource: its outputs are found whatever its module imports."""
    from pulumi._types import resource_types

    namespace: dict[str, Any] = {"pulumi": pulumi, "LicenseConversion": LicenseConversion, "__name__": "elsewhere"}
    exec("class Mine(LicenseConversion, module='lmconv', name='LicenseConversion'): pass", namespace)  # noqa: S102

    assert resource_types(namespace["Mine"])["source_license_context"] is LicenseContext
    assert list(namespace["Mine"].__annotations__) == list(LicenseConversion.__annotations__)
