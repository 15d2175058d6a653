"""The README keeps its word."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from support.stacks import LocalStack

from lmconv_resource import LicenseConversionTask
from lmconv_resource.emulator import licensemanager_backends, serve
from lmconv_resource.models import OUTPUTS

README = (Path(__file__).parents[2] / "README.md").read_text()


def find_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first program of the README follows a task to its end, and what depends on it comes after."""
    stack = LocalStack(tmp_path, find_blocks("python")[0])
    stack.config["aws:region"] = "eu-west-1"
    with serve() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", aws.endpoint)
        licensemanager_backends["123456789012"]["eu-west-1"].add_task(
            task_id="lct-0123456789abcdef0",
            resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            looks=2,
        )
        outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs == {"usage_operation": "RunInstances:0002"}
    assert stack.resources()["converted"]["outputs"]["output"] is not None


def test_the_test_of_a_program_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The test that the README shows passes on a program like the root's."""
    program = "import pulumi\nfrom lmconv_resource import LicenseConversionTask\n"
    program += 'task = LicenseConversionTask("t", license_conversion_task_id="lct-1", wait_for_completion=True)\n'
    program += 'pulumi.export("status", task.status)\n'
    folder = LocalStack(tmp_path / "path/to/program", program).folder
    monkeypatch.chdir(tmp_path)
    shown: dict[str, object] = {}
    exec(find_blocks("python")[1], shown)  # noqa: S102 -- the README's own text

    shown["test_my_program"](monkeypatch)  # type: ignore[operator]

    assert folder == tmp_path / "path/to/program"


def test_every_input_and_output_is_in_a_table() -> None:
    """Each argument of the resource and each of its outputs has a row."""
    rows = "\n".join(line for line in README.splitlines() if line.startswith("| "))
    arguments = set(inspect.signature(LicenseConversionTask).parameters) - {"resource_name", "opts"}
    for name in {*arguments, *OUTPUTS}:
        assert f"`{name}`" in rows


def test_the_policy_is_one() -> None:
    """The IAM policy is JSON, and allows what following needs."""
    (policy,) = (json.loads(block) for block in find_blocks("json"))
    assert policy["Statement"][0]["Action"] == [
        "license-manager:GetLicenseConversionTask",
        "license-manager:ListLicenseConversionTasks",
    ]
