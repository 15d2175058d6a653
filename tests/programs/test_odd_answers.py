"""What AWS leaves out of its answers, or says of other people's tasks, as whole programs meet it."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_engine import LocalEngine
from support.job import WINDOWS, Job
from support.stacks import LocalStack

from lmconv_resource.emulator import ChangedAnswer, Fault, LicenseManagerBackend

REGION = "eu-west-1"
ROOT = Path(__file__).parents[2]
MINE = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"

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
