"""A conversion as whole programs meet it, one story an operation, the same on both engines.

What each operation decides and says is shown by tests/lifecycle and, in every order of things, by tests/simulation;
what a killed `up` leaves by tests/reliability/test_kill.py.
"""

from pathlib import Path

import pytest
from support.aws import CREATE, REGION
from support.job import BYOL, ENTERPRISE, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, RealStack, Stack, make_stack, needs_pulumi

from lmconv_resource.models import OUTPUTS

pytestmark = pytest.mark.timeout(400)  # a story has many commands of Pulumi's

PROGRAM = """
import pulumi
from lmconv_resource import LicenseContextArgs, LicenseConversion

config = pulumi.Config()
arn, source = config.require("arn"), config.get("from")
conversion = LicenseConversion(
    "conversion",
    resource_arn=pulumi.Stash("before", input="").id.apply(lambda _: arn) if config.get_bool("unknown") else arn,
    source_license_context=LicenseContextArgs(usage_operation=source) if source else None,
    destination_license_context=LicenseContextArgs(usage_operation=config.require("to")),
    wait_for_completion=config.get_bool("wait"),
    stop_and_restart=config.get_bool("restart"),
    correct_drift=config.get_bool("correct"),
    preflight=config.get_bool("preflight"),
)
pulumi.export("status", conversion.status)
pulumi.export("adopted", conversion.adopted)
pulumi.export("source", conversion.source_license_context.usage_operation)
pulumi.export("verified", conversion.verified_usage_operation)
pulumi.export("codes", conversion.verified_product_codes)
"""


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, job: Job) -> Stack:
    """A stack that converts to Windows, once on each engine."""
    made = make_stack(request.param, tmp_path, PROGRAM)
    made.config |= {"aws:region": REGION, "followed:to": WINDOWS}
    return made


def test_a_running_instance_is_converted_and_runs_again(job: Job, stack: Stack) -> None:
    """A preview starts nothing, and of an ARN that is another resource's output asks nobody; `up` does, once.

    A second one asks nobody; `destroy` warns.
    """
    arn = job.launch(BYOL, running=True)
    stack.config |= {"followed:arn": arn, "followed:restart": "true", "followed:preflight": "true"}
    stack.config["followed:unknown"] = "true"
    preview = stack.preview()
    assert preview.changes["create"] >= 3
    assert job.backend.calls.total() == 0
    del stack.config["followed:unknown"]
    preview = stack.preview()
    assert preview.changes["create"] >= 2
    assert preview.lines("conversion", "info")
    assert job.starts == 0

    first = stack.up()
    assert first.ok, first.errors("conversion")
    assert first.outputs == {"status": "SUCCEEDED", "adopted": False, "source": BYOL, "verified": WINDOWS, "codes": []}
    (task,) = job.backend.tasks.values()
    recorded = stack.resources()["conversion"]
    outputs = {name for name in recorded["outputs"] if not name.startswith("__")}
    assert outputs <= {*OUTPUTS, "adopted", "verified_usage_operation", "verified_product_codes"}
    assert recorded["outputs"]["license_conversion_task_id"] == recorded["id"] == task.task_id
    assert (job.billed(arn), job.state(arn), job.tags(arn), job.starts) == (WINDOWS, "running", {}, 1)
    assert set(stack.up().changes) == {"same"}
    calls = job.backend.calls.total()
    destroyed = stack.destroy()
    assert len(destroyed.lines("conversion", "warning")) == 1
    assert "conversion" not in stack.resources()
    assert job.backend.calls.total() == calls
    assert job.starts == 1


def test_a_failure_is_recorded_and_the_next_up_tries_again(job: Job, stack: Stack) -> None:
    """FAILED is an error; the next `up` says why the last one failed and replaces it."""
    arn = job.launch(BYOL)
    stack.config |= {"followed:arn": arn, "followed:from": BYOL}
    job.backend.conversion_status, job.backend.conversion_message = "FAILED", "SSM inventory is missing."
    failed = stack.up()
    (first,) = job.backend.tasks
    job.backend.conversion_status, job.backend.conversion_message = "SUCCEEDED", None
    done = stack.up()

    assert not failed.ok
    assert done.ok
    assert any(first in line and "SSM inventory is missing." in line for line in done.lines("conversion", "info"))
    assert (done.outputs["status"], len(job.backend.tasks)) == ("SUCCEEDED", 2)


@pytest.mark.proof
def test_replacement(job: Job, stack: Stack) -> None:
    """Another destination is a conversion of its own, which the preview names, and the old one leaves no warning."""
    stack.config["followed:arn"] = job.launch(BYOL)
    stack.up()
    stack.config["followed:to"] = BYOL
    preview, outcome = stack.preview(), stack.up()
    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    assert preview.lines("conversion", "info")
    assert outcome.outputs["verified"] == BYOL
    assert outcome.lines("conversion", "warning") == []
    assert set(stack.up().changes) == {"same"}
    assert job.starts == 2


@pytest.mark.proof
def test_refresh(job: Job, stack: Stack) -> None:
    """It records what has become of a conversion, and warns of drift, which `correct_drift` has corrected."""
    arn = job.launch(BYOL)
    stack.config |= {"followed:arn": arn, "followed:wait": "false"}
    job.backend.conversion_status = "IN_PROGRESS"
    stack.up()
    (task_id,) = job.backend.tasks
    job.backend.finish_task(task_id)
    job.backend.conversion_status = "SUCCEEDED"
    outcome = stack.refresh()
    assert any(task_id in line and "SUCCEEDED" in line for line in outcome.lines("conversion", "info"))
    outputs = stack.resources()["conversion"]["outputs"]
    assert (outputs["status"], outputs["adopted"], outputs["verified_usage_operation"]) == ("SUCCEEDED", False, WINDOWS)
    assert set(stack.up().changes) == {"same"}

    job.backend.set_license(arn.rpartition("/")[2], BYOL)
    (warning,) = stack.refresh().lines("conversion", "warning")
    assert "correct_drift=True" in warning
    assert set(stack.up().changes) == {"same"}
    stack.config |= {"followed:correct": "true", "followed:wait": "true"}
    assert stack.preview().changes["replace"] == 1
    assert stack.up().outputs["verified"] == WINDOWS
    assert job.starts == 2
    assert set(stack.up().changes) == {"same"}


def test_what_can_not_be_done_fails_the_preview(job: Job, stack: Stack) -> None:
    """An input that is wrong, and what nothing in the program changes, are an error under the resource."""
    stack.config |= {"followed:arn": job.launch(BYOL, InstanceType="m5.large"), "followed:to": "runinstances:0800"}
    wrong = stack.preview()
    assert not wrong.ok
    assert "'runinstances:0800'" in wrong.errors("conversion")[0]
    stack.config |= {"followed:to": ENTERPRISE, "followed:preflight": "true"}
    outcome = stack.preview()
    assert not outcome.ok
    assert any("has 2 vCPUs" in text for _, _, text in outcome.said)
    assert job.backend.calls[CREATE] == 0


@needs_pulumi
@pytest.mark.proof
def test_replace_starts_one_after_three_failures(job: Job, tmp_path: Path) -> None:
    """`pulumi up --replace URN` starts a conversion of a recorded resource where an unattended `up` does not."""
    arn = job.launch(BYOL)
    stack = RealStack(tmp_path, PROGRAM)
    stack.config |= {"aws:region": REGION, "followed:arn": arn, "followed:to": WINDOWS}
    assert stack.up().ok
    job.backend.set_license(arn.rpartition("/")[2], BYOL)
    for _ in range(3):
        job.add_task(arn, BYOL, WINDOWS, "FAILED")
    process = stack.start("up", "--replace", stack.resources()["conversion"]["urn"])
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert job.starts == 2
