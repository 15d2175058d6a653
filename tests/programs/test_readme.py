"""The README keeps its word."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from local_engine import LocalEngine

from lmconv_resource import LicenseConversion, LicenseConversionTask
from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.models import OUTPUTS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def find_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_runs(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """The program of the README follows a task to its end, and what depends on it comes after."""
    (tmp_path / "Pulumi.yaml").write_text("name: licenses\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(find_blocks("python")[0])
    aws.add_task(
        task_id="lct-0123456789abcdef0",
        resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0",
        source="RunInstances:0800",
        destination="RunInstances:0002",
        looks=2,
    )

    with LocalEngine(tmp_path, config={"aws:region": "eu-west-1"}) as engine:
        result = engine.up()
        stash = next(resource for resource in engine.resources if resource.name == "converted")

    assert result.outputs == {"usage_operation": "RunInstances:0002"}
    assert stash.outputs["output"] is not None


def test_what_matters_is_on_the_first_screen() -> None:
    """A picture, a program of about ten lines and two commands, one of them the tests', stand before any headline."""
    first = README.split("\n## ")[0]

    assert "](docs/recording.svg)" in first
    assert len(find_blocks("python")[0].splitlines()) <= 12
    assert [line.split("#")[0].strip() for line in find_blocks("console")[0].splitlines()] == [
        "$ make demo",
        "$ make test",
    ]
    assert find_blocks("console")[0] in first
    assert len(first.splitlines()) <= 40


def test_every_input_and_output_is_in_a_table() -> None:
    """Each argument of both resources and each of their outputs has a row."""
    page = (PROJECT / "docs" / "inputs.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| "))
    for resource in (LicenseConversionTask, LicenseConversion):
        arguments = set(inspect.signature(resource).parameters) - {"resource_name", "opts"}
        for name in {*arguments, *OUTPUTS, "adopted", "verified_usage_operation", "verified_product_codes"}:
            assert f"`{name}`" in rows


def test_the_policy_is_one() -> None:
    """The IAM policy is JSON, and allows what following needs."""
    (policy,) = (json.loads(block) for block in find_blocks("json"))
    assert policy["Statement"][0]["Action"] == [
        "license-manager:GetLicenseConversionTask",
        "license-manager:ListLicenseConversionTasks",
    ]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Each link to a file of the project leads to one; those inside docs/ are checked when the site is built."""
    targets = re.findall(r"\]\((?!http)([^)#]+)", (PROJECT / name).read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (PROJECT / target).is_file(), target
