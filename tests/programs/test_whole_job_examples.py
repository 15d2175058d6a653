"""The examples that do the whole job, run as they are on the local engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from local_engine import LocalEngine, UpdateFailedError
from pulumi.runtime import rpc
from support.job import BYOL, WINDOWS, Job

from lmconv_resource.emulator import LicenseManagerBackend

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
REGION = {"aws:region": "eu-west-1"}


def copy(example: str, folder: Path) -> Path:
    shutil.copytree(EXAMPLES / example, folder / "program")
    return folder / "program"


class Cloud(pulumi.runtime.Mocks):
    """Plays pulumi-aws, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.made: dict[str, Mapping[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.made[args.typ] = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(args.token)


@pytest.fixture
def arns(job: Job, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three instances, of which the second is stopped and the third's conversion fails."""
    made = [job.launch(BYOL, running=running) for running in (True, False, True)]
    create = LicenseManagerBackend.create_license_conversion_task_for_resource

    def create_and_fail_the_third(backend: LicenseManagerBackend, *, resource_arn: str, **more: Any) -> Any:
        if resource_arn == made[2]:
            job.backend.conversion_status, job.backend.conversion_message = "FAILED", "No agent | no inventory."
        task = create(backend, resource_arn=resource_arn, **more)
        job.backend.conversion_status, job.backend.conversion_message = "SUCCEEDED", None
        return task

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", create_and_fail_the_third)
    return made


@pytest.mark.proof
def test_convert_fleet(job: Job, arns: list[str], tmp_path: Path) -> None:
    """A table is converted, each instance is left as it was, one failure holds up nobody, and the report tells all."""
    folder = copy("convert-fleet", tmp_path)
    (folder / "instances.csv").write_text("\n".join(["arn;to", *(f"{arn};Windows" for arn in arns)]))
    with LocalEngine(folder, config=REGION) as engine:
        outputs = engine.up().outputs
        assert set(engine.up().changes) == {"same"}
    assert [job.state(arn) for arn in arns] == ["running", "stopped", "running"]
    assert job.starts == 3
    assert (outputs["succeeded"], outputs["failed"], outputs["not_begun"]) == (2, 1, 0)
    names = [arn.rpartition("/")[2] for arn in arns]
    assert f"- **{names[2]}**: No agent | no inventory.\n" in outputs["readme"]
    bars = [
        line.split(",")[0].strip() for line in outputs["readme"].splitlines() if " :done" in line or " :crit" in line
    ]
    assert bars == [f"{names[0]} :done", f"{names[1]} :done", f"{names[2]} :crit"]


@pytest.mark.proof
def test_wait_then_start(job: Job, arns: list[str], tmp_path: Path) -> None:
    """The instance runs again before the outcome is written; where the conversion fails, nothing is written."""
    folder, cloud = copy("wait-then-start", tmp_path), Cloud()
    with LocalEngine(folder, config={**REGION, "resourceArn": arns[0]}, mocks=cloud) as engine:
        outputs = engine.up().outputs
    assert outputs == {"usage_operation": WINDOWS, "outcome_parameter": "/license-conversions/latest"}
    written = json.loads(cloud.made["aws:ssm/parameter:Parameter"]["value"])
    assert (written["instance"], written["usage_operation"], written["status"]) == (arns[0], WINDOWS, "SUCCEEDED")
    assert job.state(arns[0]) == "running"

    cloud = Cloud()
    with (
        LocalEngine(folder, config={**REGION, "resourceArn": arns[2]}, mocks=cloud) as engine,
        pytest.raises(UpdateFailedError, match="it FAILED: No agent"),
    ):
        engine.up()
    assert "aws:ssm/parameter:Parameter" not in cloud.made
    assert (job.state(arns[2]), job.tags(arns[2])) == ("running", {})
