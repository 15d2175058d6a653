"""What the real engine offers beside up, preview, refresh and destroy, each tried with our resources.

What does not work stands in docs/traps.md.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.stacks import RealStack, needs_pulumi
from support.waiting import SOON, wait_until
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

    def run(self, *args: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of `pulumi` on the stack, and return what it printed."""
        self.configure()
        return subprocess.run(
            ["pulumi", *args, "--stack", self.stack.name, "--non-interactive"],
            cwd=self.folder,
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

    def pulumi(self, *args: str, folder: Path | None = None) -> str:
        """Run a command of `pulumi` that ends well, with no stack selected by it, and return what it printed."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            ["pulumi", *args], cwd=folder or self.folder, env=environment, capture_output=True, text=True, check=False
        )
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


def test_continue_on_error(project: Project, aws: LicenseManagerBackend) -> None:
    """A conversion that FAILED is recorded, and does not keep the others from it."""
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
    assert project.tracked() == {"a": "lct-0000", "b": "lct-0001"}


REPLACED_TOGETHER = 'a = task("a", {}); task("b", 2, opts=ResourceOptions(replace_with=[a]))'
THREE = 'task("a", 0); task("b", 1); task("c", 2)'
FIRST, ID = {"a": "lct-0000"}, "license_conversion_task_id"


@pytest.mark.parametrize(
    ("before", "after", "arguments", "tracked"),
    [
        ("", THREE, ["--target", "a"], FIRST),
        ("", THREE, ["--exclude", "c"], {**FIRST, "b": "lct-0001"}),
        # What is removed is forgotten; nothing happens in AWS in any case.
        ('task("a", 0, opts=ResourceOptions(retain_on_delete=True))', "", [], {}),
        ('task("a", 0, opts=ResourceOptions(delete_before_replace=True))', "", [], {}),
        ('task("a", 0, opts=ResourceOptions(protect=True))', "", [], FIRST),
        # Another id that is ignored replaces nothing; else it does, in whichever order, and together with another.
        (
            'task("a", 0)',
            'task("a", 1, opts=ResourceOptions(ignore_changes=["license_conversion_task_id"]))',
            [],
            FIRST,
        ),
        ('task("a", 0)', 'task("a", 1)', [], {"a": "lct-0001"}),
        ('task("a", 0)', 'task("a", 1, opts=ResourceOptions(delete_before_replace=True))', [], {"a": "lct-0001"}),
        (REPLACED_TOGETHER.format(0), REPLACED_TOGETHER.format(1), [], {"a": "lct-0001", "b": "lct-0002"}),
    ],
)
def test_options(project: Project, before: str, after: str, arguments: list[str], tracked: dict[str, str]) -> None:
    """Of options of a resource and of `up` the state holds what is expected; a protected one fails to be removed."""
    project.write(before)
    project.up()
    project.write(after)

    done = project.run(
        "up", "--yes", "--skip-preview", *(project.urn(word) if len(word) == 1 else word for word in arguments)
    )

    assert (done.returncode != 0) is ("protect" in before), done.stdout + done.stderr
    assert project.tracked() == tracked
    if before == REPLACED_TOGETHER.format(0):
        assert "2 replaced" in done.stdout


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
    pulumi = functools.partial(project.pulumi, folder=second)

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


@pytest.mark.parametrize("name", ["*", "pulumi-python"])
def test_no_default_providers(project: Project, name: str) -> None:
    """`pulumi:disable-default-providers` ends dynamic resources, which have no other; one that names aws does not."""
    project.write('task("a", 0)')
    setting = "pulumi:disable-default-providers[0]"
    project.run("config", "set", "--path", setting, name)

    done = project.run("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert "Default provider for 'pulumi-python' disabled" in done.stdout + done.stderr
    project.run("config", "set", "--path", setting, "aws")
    project.up()
    assert project.tracked() == {"a": "lct-0000"}


INLINE = """
from pulumi import automation
from lmconv_resource import LicenseConversionTask

def program():
    LicenseConversionTask("a", license_conversion_task_id="lct-0000")

stack = automation.create_or_select_stack("inline", "followed", program)
stack.set_config("aws:region", automation.ConfigValue("eu-west-1"))
print(stack.up().summary.result)
"""


def test_an_inline_program_outside_its_environment(project: Project, tmp_path: Path) -> None:
    """Pulumi starts the plugin with the first Python on PATH, unless PULUMI_PYTHON_CMD names one."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    (tmp_path / "inline.py").write_text(INLINE)
    environment = {**os.environ, **project.environment, "PATH": f"{bare / 'bin'}:{os.environ['PATH']}"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    del environment["PULUMI_PYTHON_CMD"]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "inline.py")]
        return subprocess.run(
            command, cwd=tmp_path, env={**environment, **more}, capture_output=True, text=True, check=False
        )

    outside = run()
    assert outside.returncode != 0
    assert "No module named 'pulumi'" in outside.stderr
    assert run(PULUMI_PYTHON_CMD=sys.executable).stdout.strip() == "succeeded"


def test_a_resource_is_moved_to_another_stack(project: Project) -> None:
    """`pulumi state move` takes the provider along; the next `up` there notes the new URN and asks nothing."""
    project.write('task("a", 0, wait_for_completion=False)')
    project.up()
    other = ("--stack", "other")
    run = project.pulumi

    run("stack", "init", "other")
    run("state", "move", "--source", project.stack.name, "--dest", "other", project.urn("a"), "--yes")
    run("config", "set", "aws:region", "eu-west-1", *other)
    assert "1 updated" in run("up", "--yes", "--skip-preview", "--non-interactive", *other)
    assert "2 unchanged" in run("up", "--yes", "--skip-preview", "--non-interactive", *other)
    assert project.tracked() == {}


def test_nothing_is_installed(project: Project, tmp_path: Path) -> None:
    """With `toolchain` and `virtualenv` in Pulumi.yaml Pulumi installs; without, it says what is missing."""
    project.write('task("a", 0)')
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", str(bare)], check=True)
    del project.environment["PULUMI_PYTHON_CMD"]

    done = project.run(
        "up", "--yes", "--skip-preview", environment={"PATH": f"{bare / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ""}
    )

    assert done.returncode != 0
    assert "It looks like the Pulumi SDK has not been installed." in done.stdout + done.stderr


@pytest.mark.timeout(400)
def test_a_member_of_a_uv_workspace(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi makes an environment for the member and installs into it."""
    project.write('task("a", 0)')
    checkout = Path(__file__).parents[2]
    head = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.10"\n'
    (project.folder.parent / "pyproject.toml").write_text(
        head.format("root") + '[tool.uv.workspace]\nmembers = ["program"]\n'
    )
    (project.folder / "pyproject.toml").write_text(
        head.format("program")
        + f'dependencies = ["lmconv-resource"]\n[tool.uv.sources]\nlmconv-resource = {{path = "{checkout}"}}\n'
    )
    (project.folder / "Pulumi.yaml").write_text(
        "name: followed\nruntime:\n  name: python\n  options: {toolchain: uv}\n"
    )
    del project.environment["PULUMI_PYTHON_CMD"]
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{Path(sys.executable).parent}")  # where uv is

    project.up()

    assert project.tracked() == {"a": "lct-0000"}


@pytest.mark.skipif(shutil.which("pulumi-watch") is None, reason="pulumi-watch is not on PATH")
def test_watch(project: Project) -> None:
    """`pulumi watch` updates the stack when the program is saved."""
    project.write("")
    project.configure()

    def save() -> dict[str, str]:
        project.write('task("a", 0)')  # once more, where the first came before it watched
        time.sleep(3)
        return project.tracked()

    with subprocess.Popen(
        ["pulumi", "watch", "--stack", project.stack.name],
        cwd=project.folder,
        env={**os.environ, **project.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "Watch mode enabled" in process.stdout.readline()
        try:
            wait_until(lambda: save() == {"a": "lct-0000"}, "the saved program is deployed", 2 * SOON)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # ^C ends it by a signal as well


POLICIES = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def tell(args, report):
    report(f"{args.resource_type} has {sorted(args.props)}")

policy = ResourceValidationPolicy(
    name="tell", description="what is seen", validate=tell, enforcement_level=EnforcementLevel.ADVISORY
)
PolicyPack("seen", [policy])
"""


def test_what_policies_see(project: Project, tmp_path: Path) -> None:
    """The inputs that a program gives, and none of those that begin with `__`; of the provider the stack's settings."""
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(f"runtime:\n  name: python\n  options: {{virtualenv: '{sys.prefix}'}}\n")
    (pack / "__main__.py").write_text(POLICIES)
    project.write('task("a", 0)')

    written = project.up("--policy-pack", str(pack))

    assert "LicenseConversionTask has ['ignore_failure', 'license_conversion_task_id', 'region'," in written
    assert "pulumi:providers:pulumi-python has ['aws:region']" in written
    assert "__provider" not in written
