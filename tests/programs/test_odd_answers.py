"""What AWS leaves out of its answers, or says of other people's tasks, as whole programs meet it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from local_engine import LocalEngine
from support.job import WINDOWS, Job
from support.stacks import LocalStack

from lmconv_resource.emulator import ChangedAnswer, Fault, LicenseManagerBackend

REGION = "eu-west-1"
ROOT = Path(__file__).parents[2]
MINE = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"

CONTEXTS = """
import pulumi
from lmconv_resource import LicenseConversionTask

task = LicenseConversionTask("task", license_conversion_task_id="lct-1")
pulumi.export("from", task.source_license_context.usage_operation)
pulumi.export("codes", task.source_license_context.product_codes)
pulumi.export("to", task.destination_license_context.usage_operation)
"""

OTHERS = """
import pulumi
from lmconv_resource import (
    LicenseContextArgs, LicenseConversion, LicenseConversionTask, get_license_conversion_tasks)

LicenseConversionTask("task", resource_arn=pulumi.Config().require("arn"))
LicenseConversion(
    "conversion",
    resource_arn=pulumi.Config().require("arn"),
    source_license_context=LicenseContextArgs(usage_operation="RunInstances:0800"),
    destination_license_context=LicenseContextArgs(usage_operation="RunInstances:0002"),
    preflight=False,
)
pulumi.export("statuses", sorted(task.status or "" for task in get_license_conversion_tasks()))
"""


def add(aws: LicenseManagerBackend, arn: str, task_id: str) -> None:
    aws.add_task(
        task_id=task_id, resource_arn=arn, source="RunInstances:0800", destination="RunInstances:0002", seconds=0
    )


def leave_out_source(aws: LicenseManagerBackend) -> None:
    add(aws, MINE, "lct-1")
    aws.faults.add(Fault(ChangedAnswer(without=("SourceLicenseContext",))))


@pytest.mark.proof
def test_a_context_that_aws_leaves_out_is_empty(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """A program may ask for its members; each is absent, in `up`, after a refresh, and in what is recorded."""
    leave_out_source(aws)
    stack = LocalStack(tmp_path / "stack", CONTEXTS)
    stack.config["aws:region"] = REGION

    outcomes = [stack.preview(), stack.up(), stack.up(), stack.refresh(), stack.up()]

    assert all(outcome.ok for outcome in outcomes), [outcome.said for outcome in outcomes]
    assert outcomes[-1].outputs.get("from") is None
    assert not outcomes[-1].outputs.get("codes")
    assert outcomes[-1].outputs["to"] == "RunInstances:0002"
    assert set(outcomes[-1].changes) == {"same"}


def test_the_root_program_notes_what_there_is(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """The program that users start from survives an answer without a context."""
    leave_out_source(aws)
    folder = tmp_path / "root"
    folder.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder / name)
    config = {"aws:region": REGION, "lmconv:licenseConversionTaskId": "lct-1"}
    with LocalEngine(folder, config=config) as engine:
        result = engine.up()

    assert result.outputs["note"].get("from") is None
    assert result.outputs["note"]["to"] == "RunInstances:0002"


def test_the_unknown_status_of_somebody_elses_task_hinders_nobody(tmp_path: Path, job: Job) -> None:
    """Lists show it as it is; following another ARN, and starting it, care for that ARN only."""
    mine = job.launch(WINDOWS)
    add(job.backend, mine, "lct-1")
    add(job.backend, job.launch(), "lct-2")
    job.backend.tasks["lct-2"].status = "PAUSED"
    stack = LocalStack(tmp_path / "stack", OTHERS)
    stack.config |= {"aws:region": REGION, "followed:arn": mine}

    outcome = stack.up()

    assert outcome.ok, outcome.said
    assert outcome.outputs["statuses"] == ["PAUSED", "SUCCEEDED"]
    assert stack.resources()["task"]["id"] == "lct-1"
    assert stack.resources()["conversion"]["outputs"]["status"] == "SUCCEEDED"
