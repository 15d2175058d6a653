"""What the real engine offers beside up, preview, refresh and destroy, each tried with our resources.

What does not work stands in docs/traps.md.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.stacks import RealStack, needs_pulumi, write_program
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

    def run(
        self, *args: str, ok: bool = True, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command of `pulumi`, and return what it printed."""
        self.configure()
        process = self.command(*args, folder=folder, environment=environment)
        shown, _ = process.communicate()
        assert (process.returncode == 0) is ok, shown
        return shown

    def update(self, *args: str, ok: bool = True, **environment: str) -> str:
        """Update the stack, and return what was printed."""
        command = ("up", "--yes", "--skip-preview", *args, "--stack", self.stack.name)
        return self.run(*command, ok=ok, environment=environment)

    def urn(self, name: str) -> str:
        return f"urn:pulumi:{self.stack.name}::followed::pulumi-python:dynamic/lmconv:LicenseConversionTask::{name}"

    def tracked(self) -> dict[str, str]:
        """Return the ids of the tasks in the state, by name."""
        return {name: each["id"] for name, each in self.resources().items() if each["id"].startswith("lct-")}


@pytest.fixture
def project(tmp_path: Path, aws: LicenseManagerBackend) -> Project:
    """A project whose License Manager has three running tasks."""
    add_running(aws, 3)
    made = Project(tmp_path, "")
    made.config["aws:region"] = "eu-west-1"
    return made


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A PATH whose first Python has nothing installed."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "bare")], check=True)
    return f"{tmp_path / 'bare' / 'bin'}:{os.environ['PATH']}"


def test_continue_on_error(project: Project, aws: LicenseManagerBackend) -> None:
    """A conversion that FAILED is recorded, and does not keep the others from it."""
    aws.finish_task("lct-0000", "FAILED")
    aws.finish_task("lct-0001")
    project.write(
        'failed = task("a", 0, wait_for_completion=True)\n'
        'task("after", 2, opts=ResourceOptions(depends_on=[failed]))\n'
        'task("b", 1, wait_for_completion=True)\n'
    )
    assert "it FAILED" in project.update("--continue-on-error", ok=False)
    assert project.tracked() == {"a": "lct-0000", "b": "lct-0001"}


TRANSFORM = """
def transform(args):
    props = {{**args.props, "license_conversion_task_id": "lct-0001", "wait_for_completion": {waits}}}
    return pulumi.ResourceTransformResult(props, {opts})

task("a", 0, opts=ResourceOptions(transforms=[transform]))
"""
REPLACED_TOGETHER = 'a = task("a", {}); task("b", 2, opts=ResourceOptions(replace_with=[a]))'
THREE = 'task("a", 0); task("b", 1); task("c", 2)'
FIRST, SECOND = {"a": "lct-0000"}, {"a": "lct-0001"}


@pytest.mark.parametrize(
    ("before", "after", "arguments", "tracked"),
    [
        ("", THREE, ["--target", "a"], FIRST),
        ("", THREE, ["--exclude", "c"], {**FIRST, "b": "lct-0001"}),
        ("", TRANSFORM.format(waits=False, opts="args.opts"), [], SECOND),
        # What is removed is forgotten; nothing happens in AWS in any case.
        ('task("a", 0, opts=ResourceOptions(retain_on_delete=True))', "", [], {}),
        ('task("a", 0, opts=ResourceOptions(protect=True))', "", [], FIRST),
        # Another id that is ignored replaces nothing; else it does, in whichever order, and together with another.
        (
            'task("a", 0)',
            'task("a", 1, opts=ResourceOptions(ignore_changes=["license_conversion_task_id"]))',
            [],
            FIRST,
        ),
        ('task("a", 0)', 'task("a", 1, opts=ResourceOptions(delete_before_replace=True))', [], SECOND),
        (REPLACED_TOGETHER.format(0), REPLACED_TOGETHER.format(1), [], {**SECOND, "b": "lct-0002"}),
    ],
)
def test_options(project: Project, before: str, after: str, arguments: list[str], tracked: dict[str, str]) -> None:
    """Of options of a resource and of `up` the state holds what is expected; a protected one fails to be removed."""
    if before:
        project.write(before)
        project.update()
    project.write(after)
    options = [project.urn(word) if len(word) == 1 else word for word in arguments]
    shown = project.update(*options, ok="protect" not in before)
    assert project.tracked() == tracked
    if before == REPLACED_TOGETHER.format(0):
        assert "2 replaced" in shown


def test_timeouts_of_a_transform_never_arrive(project: Project, aws: LicenseManagerBackend) -> None:
    """What docs/traps.md says: they do not reach the provider, which waits on."""
    limit = 'ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1s"))'
    project.write(TRANSFORM.format(waits=True, opts=limit))
    with project.start() as process:
        wait_until(lambda: aws.calls["GetLicenseConversionTask"], "it is waited for", 2 * SOON)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(5)
        aws.finish_task("lct-0001")
        assert process.wait(60) == 0


def test_look_ups_secrets_and_a_second_program(project: Project) -> None:
    """What look-ups depend on is waited for, unknown in a preview, and secrets stay secret in the state.

    A second program, run by the same Python, reads what the first one exports.
    """
    project.write("""
a = task("a", 0, region="eu-west-1", opts=ResourceOptions(additional_secret_outputs=["resource_arn"]))
opts = InvokeOutputOptions(parent=a, depends_on=[a])
pulumi.export("count", get_license_conversion_tasks_output(opts=opts).apply(len))
pulumi.export("status", get_license_conversion_task_output(pulumi.Output.secret("lct-0001")).status)
pulumi.export("to", a.destination_license_context)
""")
    preview = project.run("preview", "--stack", project.stack.name)
    assert "count" not in preview or "[unknown]" in preview or "output<" in preview
    project.update()
    outputs = {name: (each.value, each.secret) for name, each in project.stack.outputs().items() if name != "to"}
    assert outputs == {"count": (3, False), "status": ("IN_PROGRESS", True)}
    recorded = project.resources()["a"]["outputs"]
    assert "plaintext" in recorded["resource_arn"]  # exported with the passphrase: a secret says so
    assert recorded["status"] == "IN_PROGRESS"

    program = f"""{HEAD}
other = pulumi.StackReference("organization/followed/{project.stack.name}")
pulumi.export("operation", other.require_output("to").apply(lambda to: to["usage_operation"]))
task("b", 1, region="eu-west-1")
"""
    second = write_program(project.folder.parent / "second", program)
    project.run("stack", "init", "two", folder=second)
    project.run("up", "--yes", "--skip-preview", folder=second)
    assert project.run("stack", "output", "operation", folder=second).strip() == "RunInstances:0002"


def test_a_package_that_is_gone_too_early(project: Project) -> None:
    """Removing the resource and the package at once fails, and says what is missing; with the package it works."""
    project.write('task("a", 0)')
    project.update()
    (project.folder / "__main__.py").write_text("")
    hidden = project.folder / "lmconv_resource.py"
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'lmconv_resource'\")")
    assert "No module named 'lmconv_resource'" in project.update(ok=False)
    hidden.unlink()
    project.update()
    assert project.tracked() == {}


def test_no_default_providers(project: Project) -> None:
    """`pulumi:disable-default-providers` ends dynamic resources, which have no other; one that names aws does not."""
    project.write('task("a", 0)')
    for name, ok in (("*", False), ("pulumi-python", False), ("aws", True)):
        setting = ("--path", "pulumi:disable-default-providers[0]", name, "--stack", project.stack.name)
        project.run("config", "set", *setting)
        assert ok or "Default provider for 'pulumi-python' disabled" in project.update(ok=False)
    project.update()
    assert project.tracked() == FIRST


INLINE = """
from pulumi import automation
from lmconv_resource import LicenseConversionTask

def program():
    LicenseConversionTask("a", license_conversion_task_id="lct-0000")

stack = automation.create_or_select_stack("inline", "followed", program)
stack.set_config("aws:region", automation.ConfigValue("eu-west-1"))
print(stack.up().summary.result)
"""


def test_an_inline_program_outside_its_environment(project: Project, tmp_path: Path, bare: str) -> None:
    """Pulumi starts the plugin with the first Python on PATH, unless PULUMI_PYTHON_CMD names one."""
    environment = {**os.environ, **project.environment, "PATH": bare}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    del environment["PULUMI_PYTHON_CMD"]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        command, env = [sys.executable, "-c", INLINE], {**environment, **more}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    outside = run()
    assert outside.returncode != 0
    assert "No module named 'pulumi'" in outside.stderr
    assert run(PULUMI_PYTHON_CMD=sys.executable).stdout.strip() == "succeeded"


def test_a_resource_is_moved_to_another_stack(project: Project) -> None:
    """`pulumi state move` takes the provider along; the next `up` there notes the new URN and asks nothing."""
    project.write('task("a", 0, wait_for_completion=False)')
    project.update()
    project.run("stack", "init", "other")
    move = ("state", "move", "--source", project.stack.name, "--dest", "other", project.urn("a"), "--yes")
    project.run(*move)
    project.run("config", "set", "aws:region", "eu-west-1", "--stack", "other")
    for count in ("1 updated", "2 unchanged"):
        assert count in project.run("up", "--yes", "--skip-preview", "--stack", "other")
    assert project.tracked() == {}


def test_an_update_plan(project: Project) -> None:
    """What a preview has planned is what the update does, of a new resource and of an unchanged one."""
    project.write('task("a", 0)')
    for count in ("2 created", "2 unchanged"):
        project.run("preview", "--save-plan", "plan.json", "--stack", project.stack.name)
        assert count in project.update("--plan", "plan.json", PULUMI_EXPERIMENTAL="true")


def test_nothing_is_installed(project: Project, bare: str) -> None:
    """With `toolchain` and `virtualenv` in Pulumi.yaml Pulumi installs; without, it says what is missing."""
    project.write('task("a", 0)')
    del project.environment["PULUMI_PYTHON_CMD"]
    shown = project.update(ok=False, PATH=bare, PYTHONPATH="")
    assert "It looks like the Pulumi SDK has not been installed." in shown


@pytest.mark.timeout(400)
def test_a_member_of_a_uv_workspace(project: Project) -> None:
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
    project.update(PATH=f"{os.environ['PATH']}:{Path(sys.executable).parent}")  # where uv is
    assert project.tracked() == FIRST


@pytest.mark.skipif(shutil.which("pulumi-watch") is None, reason="pulumi-watch is not on PATH")
def test_watch(project: Project) -> None:
    """`pulumi watch` updates the stack when the program is saved."""
    project.write("")
    project.configure()

    def save() -> dict[str, str]:
        project.write('task("a", 0)')  # once more, where the first came before it watched
        time.sleep(3)
        return project.tracked()

    with project.command("watch", "--stack", project.stack.name) as process:
        assert process.stdout is not None
        assert "Watch mode enabled" in process.stdout.readline()
        try:
            wait_until(lambda: save() == FIRST, "the saved program is deployed", 2 * SOON)
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


def test_what_policies_see_and_the_log_shows(project: Project, tmp_path: Path) -> None:
    """The inputs that a program gives, and none of those that begin with `__`; of the provider the stack's settings.

    LMCONV_LOG=DEBUG and --debug show how AWS is reached, and each call.
    """
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(f"runtime:\n  name: python\n  options: {{virtualenv: '{sys.prefix}'}}\n")
    (pack / "__main__.py").write_text(POLICIES)
    project.write('task("a", 0)')

    seen = project.update("--policy-pack", str(pack))
    assert "LicenseConversionTask has ['ignore_failure', 'license_conversion_task_id', 'region'," in seen
    assert "pulumi:providers:pulumi-python has ['aws:region']" in seen
    assert "__provider" not in seen
    shown = project.update("--debug", LMCONV_LOG="DEBUG")
    assert "connected to license-manager: region eu-west-1, endpoint 127.0.0.1:" in shown
    assert "GetLicenseConversionTask in eu-west-1: 200 after " in shown
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in shown
