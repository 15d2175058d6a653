"""What the real engine offers beside up, preview, refresh and destroy, each tried with our resources.

What does not work stands in docs/traps.md.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.stacks import RealStack, needs_pulumi
from support.wire import add_running

from lmconv_resource.emulator import LicenseManagerBackend

pytestmark = [needs_pulumi, pytest.mark.proof, pytest.mark.timeout(180)]

HEAD = """
import pulumi
from lmconv_resource import *
from pulumi import InvokeOutputOptions, ResourceOptions

def task(name, number, opts=None, **inputs):
    return LicenseConversionTask(name, license_conversion_task_id=f"lct-{number:04}", opts=opts, **inputs)
"""


class Project(RealStack):
    """A program that can change, and the command line."""

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(HEAD + program)

    def run(
        self, *args: str, folder: Path | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `pulumi` on the stack, and return what it printed."""
        self.configure()
        return subprocess.run(
            ["pulumi", *args, "--stack", self.stack.name, "--non-interactive"],
            cwd=folder or self.folder,
            env={**os.environ, **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self, *args: str, environment: dict[str, str] | None = None) -> str:  # type: ignore[override]
        """Update the stack, and return what was printed."""
        done = self.run("up", "--yes", "--skip-preview", *args, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def urn(self, name: str) -> str:
        return f"urn:pulumi:{self.stack.name}::followed::pulumi-python:dynamic/lmconv:LicenseConversionTask::{name}"

    def tracked(self) -> dict[str, str]:
        """Return the ids of the tasks in the state, by name."""
        return {name: each["id"] for name, each in self.resources().items() if each["id"].startswith("lct-")}


@pytest.fixture
def project(tmp_path: Path, aws: LicenseManagerBackend) -> Project:
    """A project whose License Manager has three running tasks."""
    add_running(aws, 3)
    made = Project(tmp_path)
    made.config["aws:region"] = "eu-west-1"
    return made


def test_from_another_directory(project: Project, tmp_path: Path) -> None:
    """`pulumi -C FOLDER up` works as in the folder."""
    project.write('task("a", 0)')

    done = project.run("-C", str(project.folder), "up", "--yes", "--skip-preview", folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert project.tracked() == {"a": "lct-0000"}


def test_target_and_exclude(project: Project) -> None:
    """Only what is meant is created."""
    project.write('task("a", 0); task("b", 1); task("c", 2)')

    project.up("--target", project.urn("a"))
    assert set(project.tracked()) == {"a"}
    project.up("--exclude", project.urn("c"))
    assert set(project.tracked()) == {"a", "b"}


def test_continue_on_error(project: Project, aws: LicenseManagerBackend) -> None:
    """A conversion that FAILED does not keep the others from being recorded."""
    aws.finish_task("lct-0000", "FAILED")
    aws.finish_task("lct-0001")
    program = """
failed = task("a", 0, wait_for_completion=True)
task("after", 2, opts=ResourceOptions(depends_on=[failed]))
task("b", 1, wait_for_completion=True)
"""
    project.write(program)

    done = project.run("up", "--yes", "--skip-preview", "--continue-on-error")

    assert done.returncode != 0
    assert "it FAILED" in done.stdout + done.stderr
    assert project.tracked() == {"b": "lct-0001"}


@pytest.mark.parametrize(
    ("opts", "expected", "steps"),
    [
        ("retain_on_delete=True", {}, "- 1 "),
        ("delete_before_replace=True", {}, "- 1 "),
    ],
)
def test_removed(project: Project, opts: str, expected: dict[str, str], steps: str) -> None:
    """A removed resource is forgotten; nothing happens in AWS in any case."""
    project.write(f'task("a", 0, opts=ResourceOptions({opts}))')
    project.up()
    project.write("")

    project.up()

    assert project.tracked() == expected


def test_protect(project: Project) -> None:
    """A protected one stays until it is unprotected."""
    project.write('task("a", 0, opts=ResourceOptions(protect=True))')
    project.up()
    project.write("")

    done = project.run("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert project.tracked() == {"a": "lct-0000"}


def test_ignore_changes(project: Project) -> None:
    """Another id that is ignored replaces nothing."""
    project.write('task("a", 0)')
    project.up()
    project.write('task("a", 1, opts=ResourceOptions(ignore_changes=["license_conversion_task_id"]))')
    project.up()

    assert project.tracked() == {"a": "lct-0000"}


@pytest.mark.parametrize("opts", ["", "delete_before_replace=True"])
def test_replacements(project: Project, opts: str) -> None:
    """Another id replaces the resource, in whichever order."""
    project.write(f'task("a", 0, opts=ResourceOptions({opts}))')
    project.up()
    project.write(f'task("a", 1, opts=ResourceOptions({opts}))')
    project.up()

    assert project.tracked() == {"a": "lct-0001"}


def test_replace_with(project: Project) -> None:
    """A resource is replaced together with another."""
    program = """
a = task("a", NUMBER)
task("b", 2, opts=ResourceOptions(replace_with=[a]))
"""
    project.write(program.replace("NUMBER", "0"))
    project.up()
    project.write(program.replace("NUMBER", "1"))

    assert "2 replaced" in project.up()
    assert project.tracked() == {"a": "lct-0001", "b": "lct-0002"}


TRANSFORM = """
def transform(args):
    props = {**args.props, "license_conversion_task_id": "lct-0001", "wait_for_completion": True}
    return pulumi.ResourceTransformResult(props, OPTS)

task("a", 0, opts=ResourceOptions(transforms=[transform]))
"""


def test_transforms(project: Project, aws: LicenseManagerBackend) -> None:
    """A transform's inputs are used."""
    aws.finish_task("lct-0001")
    project.write(TRANSFORM.replace("OPTS", "args.opts"))
    project.up()

    assert project.tracked() == {"a": "lct-0001"}


def test_timeouts_of_a_transform_never_arrive(project: Project, aws: LicenseManagerBackend) -> None:
    """What docs/traps.md says: they do not reach the provider, which waits on."""
    project.write(
        TRANSFORM.replace("OPTS", 'ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1s"))').replace(
            '"lct-0001"', '"lct-0000"'
        )
    )
    project.configure()
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", project.stack.name],
        cwd=project.folder,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(20)
        aws.finish_task("lct-0000")
        assert process.wait(60) == 0


def test_additional_secret_outputs(project: Project) -> None:
    """An output can be made a secret, and is one in the state."""
    project.write('a = task("a", 0, opts=ResourceOptions(additional_secret_outputs=["resource_arn"]))\n')
    project.up()

    outputs = project.resources()["a"]["outputs"]
    assert "plaintext" in outputs["resource_arn"]  # exported with the passphrase: a secret says so
    assert outputs["status"] == "IN_PROGRESS"


def test_another_program_reads_the_outputs(project: Project) -> None:
    """A second program, run by the same Python, reads what the first one exports."""
    project.write(
        'a = task("a", 0)\npulumi.export("status", a.status)\npulumi.export("to", a.destination_license_context)'
    )
    project.up()
    second = project.folder.parent / "second"
    second.mkdir()
    (second / "Pulumi.yaml").write_text("name: second\nruntime:\n  name: python\n")
    program = f"""{HEAD}
other = pulumi.StackReference("organization/followed/{project.stack.name}")
pulumi.export("status", other.require_output("status"))
pulumi.export("operation", other.require_output("to").apply(lambda to: to["usage_operation"]))
task("b", 1)
"""
    (second / "__main__.py").write_text(program)
    environment = {**os.environ, **project.environment}

    def pulumi(*args: str) -> str:
        done = subprocess.run(
            ["pulumi", *args], cwd=second, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pulumi("stack", "init", "two")
    pulumi("config", "set", "aws:region", "eu-west-1")
    pulumi("up", "--yes", "--skip-preview")
    assert pulumi("stack", "output", "status").strip() == "IN_PROGRESS"
    assert pulumi("stack", "output", "operation").strip() == "RunInstances:0002"


def test_a_package_that_is_gone_too_early(project: Project, tmp_path: Path) -> None:
    """Removing the resource and the package at once fails, and says what is missing; with the package it works."""
    project.write('task("a", 0)')
    project.up()
    (project.folder / "__main__.py").write_text("")
    hidden = project.folder / "lmconv_resource.py"
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'lmconv_resource'\")")

    done = project.run("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert "No module named 'lmconv_resource'" in done.stdout + done.stderr
    hidden.unlink()
    project.up()
    assert project.tracked() == {}


def test_look_ups_on_the_real_engine(project: Project) -> None:
    """What they depend on is waited for, unknown in a preview, and secrets stay secret."""
    program = """
a = task("a", 0, region="eu-west-1")
opts = InvokeOutputOptions(parent=a, depends_on=[a])
pulumi.export("count", get_license_conversion_tasks_output(opts=opts).apply(len))
pulumi.export("status", get_license_conversion_task_output(pulumi.Output.secret("lct-0001")).status)
"""
    project.write(program)

    preview = project.run("preview")
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "count" not in preview.stdout or "[unknown]" in preview.stdout or "output<" in preview.stdout
    project.up()
    outputs = project.stack.outputs()
    assert {name: (each.value, each.secret) for name, each in outputs.items()} == {
        "count": (3, False),
        "status": ("IN_PROGRESS", True),
    }


def test_the_log(project: Project) -> None:
    """LMCONV_LOG=DEBUG and --debug show how AWS is reached, and each call."""
    project.write('task("a", 0)')

    shown = project.up("--debug", environment={"LMCONV_LOG": "DEBUG"})

    assert "connected to license-manager: region eu-west-1, endpoint 127.0.0.1:" in shown
    assert "GetLicenseConversionTask in eu-west-1: 200 after " in shown
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in shown
