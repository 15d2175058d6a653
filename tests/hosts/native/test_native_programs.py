"""Whole programs on Pulumi's real engine, where it is on PATH."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.pulumi_programs import HAS_PULUMI, WITHOUT_PULUMI, Program
from support.stacks import ROOT
from support.waiting import SOON

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends

pytestmark = [
    pytest.mark.skipif(not HAS_PULUMI, reason=WITHOUT_PULUMI),
    pytest.mark.timeout(400),  # a story has many commands of Pulumi's
]

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-{:017x}"
STARTS = "CreateLicenseConversionTaskForResource"


def example(name: str) -> dict[str, Any]:
    program: dict[str, Any] = yaml.safe_load((ROOT / "examples" / name / "Pulumi.yaml").read_text())
    return program


def conversion(number: int = 0) -> dict[str, Any]:
    properties = {
        "resourceArn": ARN.format(number),
        "sourceLicenseContext": {"usageOperation": "RunInstances:0800"},
        "destinationLicenseContext": {"usageOperation": "RunInstances:0002"},
    }
    return {"type": "lmconv:LicenseConversion", "properties": properties}


def program(**resources: Any) -> dict[str, Any]:
    return {"name": "converted", "runtime": "yaml", "resources": resources}


def test_the_yaml_example_from_create_to_destroy(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    aws.conversion_seconds = 0.5
    stack = Program(tmp_path, example("yaml"))
    stack.config(region="eu-west-1")
    stack.run("config", "set", "instanceArn", ARN.format(0))
    assert stack.up()[0] == {"create": 2}
    outputs = stack.outputs()
    assert (outputs["status"], outputs["taskId"]) == ("SUCCEEDED", *aws.tasks)
    assert stack.up()[0] == {"same": 2}
    stack.run("config", "set", "source", "RunInstances:0002")
    stack.run("config", "set", "destination", "RunInstances:0800")
    changes, written = stack.up()
    assert changes == {"replace": 1, "same": 1}
    assert "The contexts are reversed: a conversion back will be started." in written
    assert "the license of" not in written
    assert stack.refresh()[0] == {"same": 2}
    changes, written = stack.destroy()
    assert changes == {"delete": 2}
    assert "is only removed from the state: the license of" in written
    assert aws.calls[STARTS] == 2


def create_change_and_destroy(stack: Program, aws: LicenseManagerBackend) -> dict[str, Any]:
    """Create, no change, change, refresh, destroy; return the outputs of what was created."""
    stack.config(region="eu-west-1")
    stack.run("config", "set", "instanceArn", ARN.format(0))
    stack.run("config", "set", "destination", "RunInstances:0002")
    assert stack.up()[0] == {"create": 2}
    outputs = stack.outputs()
    assert stack.up()[0] == {"same": 2}
    stack.run("config", "set", "destination", "RunInstances:0006")
    assert stack.up()[0] == {"replace": 1, "same": 1}
    assert stack.refresh()[0] == {"same": 2}
    assert stack.destroy()[0] == {"delete": 2}
    assert aws.calls[STARTS] == 2
    return outputs


@pytest.mark.proof
@pytest.mark.skipif(
    not all(shutil.which(name) for name in ("pulumi-language-nodejs", "npm")),
    reason="pulumi-language-nodejs or npm is not on PATH",
)
def test_the_typescript_example_from_create_to_destroy(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """With the SDK that Pulumi writes from the schema."""
    aws.conversion_seconds = 0.5
    stack = Program(tmp_path, example("typescript"))
    for name in ("package.json", "tsconfig.json", "index.ts"):
        shutil.copy(ROOT / "examples" / "typescript" / name, stack.folder)
    stack.run("package", "add", str(tmp_path / "bin" / "pulumi-resource-lmconv"), seconds=350)
    outputs = create_change_and_destroy(stack, aws)
    assert outputs == {"taskId": next(iter(aws.tasks)), "status": "SUCCEEDED", "licensedAs": "RunInstances:0002"}


PYTHON = """
import pulumi
import pulumi_lmconv as lmconv

config = pulumi.Config()
conversion = lmconv.LicenseConversion(
    "c",
    resource_arn=config.require("instanceArn"),
    source_license_context=lmconv.LicenseContextArgs(usage_operation="RunInstances:0800"),
    destination_license_context={"usage_operation": config.require("destination")},
)
pulumi.export("status", conversion.status)
pulumi.export("licensedAs", conversion.destination_license_context.usage_operation)
pulumi.export("seen", lmconv.get_license_conversion_task_output(id=conversion.id).status)
"""


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("pulumi-language-python") is None, reason="pulumi-language-python is not on PATH")
def test_a_python_program_from_create_to_destroy(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """With the SDK that Pulumi writes from the schema."""
    aws.conversion_seconds = 0.5
    sdk = tmp_path / "sdk"
    stack = Program(tmp_path, program(), PULUMI_PYTHON_CMD=sys.executable)
    stack.environment["PYTHONPATH"] += f":{tmp_path / 'packages'}"
    plugin = str(tmp_path / "bin" / "pulumi-resource-lmconv")
    stack.run("package", "gen-sdk", plugin, "--language", "python", "--out", str(sdk))
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "packages", sdk / "python"]
    subprocess.run([sys.executable, *map(str, install)], check=True)
    stack.write({"name": "converted", "runtime": "python"})
    (stack.folder / "__main__.py").write_text(PYTHON)
    outputs = create_change_and_destroy(stack, aws)
    assert outputs == {"licensedAs": "RunInstances:0002", "seen": "SUCCEEDED", "status": "SUCCEEDED"}


@pytest.mark.proof
def test_one_interrupt_with_ten_waits(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Ended in 5 s, nothing pending, all ids kept; the next update goes on with them."""
    aws.conversion_seconds = 3600
    stack = Program(tmp_path, program(**{f"c{n}": conversion(n) for n in range(10)}))
    stack.config(region="eu-west-1")
    running = stack.start("up", "--yes", "--skip-preview", "--parallel", "20")
    while len(aws.tasks) < 10:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    began = time.monotonic()
    written, _ = running.communicate(timeout=60)
    assert time.monotonic() - began < SOON, written
    assert not stack.deployment().get("pending_operations")
    assert {resource["id"] for resource in stack.resources().values()} == set(aws.tasks)
    for task_id in aws.tasks:
        aws.finish_task(task_id)
    changes, _ = stack.up()
    assert changes["update"] == 10
    assert changes.get("create", 0) <= 1  # the stack itself
    assert {r["outputs"]["status"] for r in stack.resources().values()} == {"SUCCEEDED"}
    assert aws.calls[STARTS] == 10


@pytest.mark.proof
def test_two_providers_each_with_its_own_settings(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Each sees its own account's task only, and no secret is in clear in the state or in what is written."""
    stack = Program(tmp_path, example("accounts-native"))
    text = example("accounts-native")
    for name, region in (("production", "eu-west-1"), ("staging", "us-east-1")):
        backend = licensemanager_backends["123456789012"][region]
        backend.add_task(task_id=f"lct-{name}", resource_arn=ARN.format(0), source="a", destination="b")
        del text["config"][f"{name}Role"]
        text["config"][f"{name}Key"] = {"type": "string", "secret": True}
        properties = text["resources"][f"{name}-account"]["properties"]
        del properties["assumeRoles"]  # needs STS, which this test has not
        properties |= {"accessKey": "AKIA", "secretKey": f"${{{name}Key}}"}
    stack.write(text)
    for name in ("production", "staging"):
        stack.run("config", "set", "--secret", f"{name}Key", f"hunter-{name}")
        stack.run("config", "set", f"{name}Task", f"lct-{name}")
    _, written = stack.up()
    assert stack.outputs() == {"production": "SUCCEEDED", "staging": "SUCCEEDED"}
    stack.run("config", "set", "productionTask", "lct-staging")
    _, more = stack.up(ok=False)
    assert "license conversion task lct-staging in eu-west-1" in more
    shown = written + more + stack.run("stack", "export") + "".join(p.read_text() for p in tmp_path.rglob("*.json"))
    assert "hunter-" not in shown


DYNAMIC = """
from lmconv_resource import LicenseConversion, LicenseContextArgs

LicenseConversion(
    "c",
    resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-00000000000000000",
    source_license_context=LicenseContextArgs(usage_operation="RunInstances:0800"),
    destination_license_context=LicenseContextArgs(usage_operation="RunInstances:0002"),
    wait_for_completion=False,
)
"""


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("pulumi-language-python") is None, reason="pulumi-language-python is not on PATH")
def test_moving_from_the_dynamic_resource(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """The new resource adopts the old one's task; nothing is started again."""
    aws.conversion_seconds = 3600
    stack = Program(tmp_path, program(), PULUMI_PYTHON_CMD=sys.executable)
    stack.config(region="eu-west-1")
    stack.run("config", "set", "aws:region", "eu-west-1")
    (stack.folder / "Pulumi.yaml").write_text("name: converted\nruntime: python\n")
    (stack.folder / "__main__.py").write_text(DYNAMIC)
    assert stack.up()[0] == {"create": 2}
    (task_id,) = aws.tasks
    resource = conversion()
    resource["properties"]["waitForCompletion"] = False
    stack.write(program(c=resource))
    changes, written = stack.up()
    assert changes == {"create": 1, "delete": 1, "same": 1}, written
    assert "is adopted; no conversion is started" in written
    assert stack.resources()["c"]["id"] == task_id
    assert stack.up()[0] == {"same": 2}
    assert aws.calls[STARTS] == 1
