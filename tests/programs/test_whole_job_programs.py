"""Programs that declare the end, on both engines: the round, a new stack, the natural program, drift, two steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import RealUp
from support.job import BYOL, ENTERPRISE, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, LocalStack, RealStack, Stack, needs_pulumi

PROGRAM = """
import pulumi
from lmconv_resource import LicenseContextArgs, LicenseConversion

config = pulumi.Config()
source = config.get("from")
conversion = LicenseConversion(
    "conversion",
    resource_arn=config.require("arn"),
    source_license_context=LicenseContextArgs(usage_operation=source) if source else None,
    destination_license_context=LicenseContextArgs(usage_operation=config.require("to")),
    stop_and_restart=config.get_bool("restart"),
    correct_drift=config.get_bool("correct"),
    preflight=config.get_bool("preflight"),
)
pulumi.export("adopted", conversion.adopted)
pulumi.export("task", conversion.license_conversion_task_id)
pulumi.export("source", conversion.source_license_context.usage_operation)
pulumi.export("verified", conversion.verified_usage_operation)
pulumi.export("codes", conversion.verified_product_codes)
if config.get("then"):
    LicenseConversion(
        "second",
        resource_arn=config.require("arn"),
        destination_license_context=LicenseContextArgs(usage_operation=config.require("then")),
        opts=pulumi.ResourceOptions(depends_on=conversion),
    )
"""


def make(kind: str, folder: Path) -> Stack:
    folder.mkdir()
    return LocalStack(folder / "stack", PROGRAM) if kind == "local" else RealStack(folder, PROGRAM)


@pytest.fixture(params=ON_BOTH_ENGINES)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def stack(kind: str, tmp_path: Path) -> Stack:
    made = make(kind, tmp_path / "first")
    made.config |= {"aws:region": "eu-west-1", "followed:to": WINDOWS}
    return made


def test_the_round(job: Job, stack: Stack) -> None:
    """A running instance is converted and runs again; a second `up` changes nothing, with a source or without."""
    arn = job.launch(BYOL, running=True)
    stack.config |= {"followed:arn": arn, "followed:restart": "true", "followed:preflight": "true"}
    assert stack.preview().ok
    first = stack.up()
    assert first.ok, first.errors("conversion")
    assert first.outputs["source"] == BYOL
    assert (first.outputs["verified"], first.outputs["codes"]) == (WINDOWS, [])
    assert (job.billed(arn), job.state(arn), job.tags(arn), job.starts) == (WINDOWS, "running", {}, 1)
    for source in (None, WINDOWS, BYOL):
        stack.config |= {"followed:from": source} if source else {}
        again = stack.up()
        assert again.ok, again.errors("conversion")
        assert set(again.changes) == {"same"}
    assert job.starts == 1


@pytest.mark.proof
def test_a_new_stack_starts_nothing(job: Job, stack: Stack, kind: str, tmp_path: Path) -> None:
    """Two steps that are done are adopted by a stack that knows nothing of them."""
    arn = job.launch(ENTERPRISE)
    stack.config |= {"followed:arn": arn, "followed:then": BYOL}
    assert stack.up().ok
    assert (job.billed(arn), job.starts) == (BYOL, 2)
    other = make(kind, tmp_path / "other")
    other.config |= stack.config
    outcome = other.up()
    assert outcome.ok
    assert outcome.outputs["adopted"] is True
    assert {name: each["id"] for name, each in other.resources().items()} == {
        name: each["id"] for name, each in stack.resources().items()
    } or job.starts == 2
    assert job.starts == 2


@pytest.mark.proof
def test_done_without_a_task(job: Job, stack: Stack) -> None:
    """Where EC2 bills the instance as wanted and there is no task, the id is the ARN; `up` and refresh stay quiet."""
    arn = job.launch(WINDOWS)
    stack.config["followed:arn"] = arn
    assert stack.up().outputs["adopted"] is True
    assert stack.resources()["conversion"]["id"] == arn
    assert stack.resources()["conversion"]["outputs"].get("license_conversion_task_id") is None
    refreshed = stack.refresh()
    assert refreshed.ok
    assert refreshed.lines("conversion", "warning") == []
    assert set(stack.up().changes) == {"same"}
    assert job.starts == 0


@pytest.mark.proof
def test_drift(job: Job, stack: Stack) -> None:
    """A refresh warns; with `correct_drift` the preview shows the replacement that the next `up` makes."""
    arn = job.launch(BYOL)
    stack.config["followed:arn"] = arn
    assert stack.up().ok
    job.backend.set_license(arn.rpartition("/")[2], BYOL)
    (warning,) = stack.refresh().lines("conversion", "warning")
    assert "Set correct_drift=True" in warning
    assert set(stack.up().changes) == {"same"}
    stack.config["followed:correct"] = "true"
    assert stack.preview().changes["replace"] == 1
    assert stack.up().outputs["verified"] == WINDOWS
    assert job.starts == 2
    assert set(stack.up().changes) == {"same"}


def test_a_preview_fails_the_preflight(job: Job, stack: Stack) -> None:
    """What nothing in the program changes is an error of the preview."""
    arn = job.launch(BYOL, InstanceType="m5.large")
    stack.config |= {"followed:arn": arn, "followed:to": ENTERPRISE, "followed:preflight": "true"}
    outcome = stack.preview()
    assert not outcome.ok
    assert any("has 2 vCPUs" in text for _, _, text in outcome.said)
    assert job.starts == 0


@needs_pulumi
@pytest.mark.proof
def test_replace_starts_one_after_three_failures(job: Job, tmp_path: Path) -> None:
    """`pulumi up --replace URN` starts a conversion of a recorded resource where an unattended `up` does not."""
    arn = job.launch(BYOL)
    config = {"aws:region": "eu-west-1", "followed:arn": arn, "followed:to": WINDOWS}
    command = RealUp(tmp_path, PROGRAM, config)
    assert command.start().communicate(timeout=60)
    urn = command._stack.resources()["conversion"]["urn"]
    job.backend.set_license(arn.rpartition("/")[2], BYOL)
    for _ in range(3):
        job.add_task(arn, BYOL, WINDOWS, "FAILED")
    process = command.start("up", "--replace", urn)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert job.starts == 2
