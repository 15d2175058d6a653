"""The README keeps its word."""

import json
import re
from pathlib import Path

import boto3
import pytest
from local_engine import LocalEngine

from lmconv_resource.emulator import LicenseManagerBackend, make_world, serve
from lmconv_resource.emulator.faults import OPERATIONS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def read_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


FLEET, CONVERSION, TASK = read_blocks("python")


def write(folder: Path, program: str) -> Path:
    (folder / "Pulumi.yaml").write_text("name: licenses\nruntime: python\n")
    (folder / "__main__.py").write_text(program)
    return folder


def test_a_task_is_followed(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """The program of a task follows it to its end, and what depends on it comes after."""
    aws.add_task(
        task_id="lct-0123456789abcdef0",
        resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0",
        source="RunInstances:0800",
        destination="RunInstances:0002",
        polls=2,
    )

    with LocalEngine(write(tmp_path, TASK), config={"aws:region": "eu-west-1"}) as engine:
        result = engine.up()
        stash = next(resource for resource in engine.resources if resource.name == "converted")

    assert result.outputs == {"usage_operation": "RunInstances:0002"}
    assert stash.outputs["output"] is not None


@pytest.mark.proof
def test_the_job_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the emulator's world the programs of a fleet and of one instance convert; all that ran before run again."""
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        emulator.backend("eu-west-1").conversion_seconds = 1
        one, *fleet = make_world(emulator, "eu-west-1", 4, 1)
        (tmp_path / "instances.csv").write_text("arn,to\n" + "".join(f"{each.arn},Windows\n" for each in fleet))
        config = {"aws:region": "eu-west-1"}
        with LocalEngine(write(tmp_path, FLEET), config=config, timeout=100) as engine:
            engine.up()
            recorded = next(each for each in engine.resources if each.name == "windows").outputs
        program = CONVERSION.replace("arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0", one.arn)
        with LocalEngine(write(tmp_path, program), config=config, timeout=100) as engine:
            assert engine.up().outputs == {"billed_as": "RunInstances:0002"}
        ec2 = boto3.client("ec2", "eu-west-1")
        found = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["web-*"]}])["Reservations"]
        states = {each["InstanceId"]: each["State"]["Name"] for row in found for each in row["Instances"]}

    assert {name: each["outcome"] for name, each in recorded["instances"].items()} == {
        each.arn.rpartition("/")[2]: "FAILED" if each.fails else "SUCCEEDED" for each in fleet
    }
    assert states == {each.arn.rpartition("/")[2]: each.state for each in (one, *fleet)}


def test_what_matters_is_on_the_first_screen() -> None:
    """The whole job as a program, two commands, what was never tried, and a picture stand before any headline."""
    first = README.split("\n## ")[0]

    assert "](docs/recording.svg)" in first
    assert "It has never run against AWS itself" in first
    assert FLEET in first
    assert len(FLEET.splitlines()) <= 12
    assert [line.split("#")[0].strip() for line in read_blocks("console")[0].splitlines()] == [
        "$ make demo",
        "$ make test",
    ]
    assert read_blocks("console")[0] in first
    assert len(first.splitlines()) <= 40


def test_the_policy_is_for_the_whole_job() -> None:
    """The IAM policy is JSON, and allows each action that an error or a check may name, and no other."""
    (policy,) = (json.loads(block) for block in read_blocks("json"))
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "lmconv_resource").glob("*/*.py"))
    named = set(re.findall(r'"((?:ec2|ssm):[A-Z]\w+)"', code + (PROJECT / "lmconv_resource" / "errors.py").read_text()))
    assert sorted(allowed) == sorted({*named, *(f"license-manager:{call}" for call in OPERATIONS)})


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Each link to a file of the project leads to one; those inside docs/ are checked when the site is built."""
    targets = re.findall(r"\]\((?!http)([^)#]+)", (PROJECT / name).read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (PROJECT / target).is_file(), target
