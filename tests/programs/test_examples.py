"""The programs that users start from: the root's and the examples', run as they are."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from local_engine import LocalEngine
from pulumi import automation
from support.stacks import needs_pulumi

from lmconv_resource.emulator import serve
from lmconv_resource.hosts.dynamic.provider import LookUps
from lmconv_resource.models import OUTPUTS

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
FLEET, AUDIT = EXAMPLES / "convert-fleet", EXAMPLES / "audit"
PROGRAMS = [PROJECT, EXAMPLES / "track", EXAMPLES / "wait-then-start", FLEET, AUDIT, EXAMPLES / "organization"]
DONE, RUNNING, FAILED = "lct-0000000000000000a", "lct-0000000000000000b", "lct-0000000000000000c"
INSTANCE_ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
CONTEXTS = {"source": "RunInstances:0800", "destination": "RunInstances:0002"}

Emulate = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _new_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local engine's programs run in this process: each test begins with look-ups that have asked nobody yet."""
    look_ups = LookUps()
    monkeypatch.setattr("lmconv_resource.sdk.functions.process", SimpleNamespace(look_ups=lambda: look_ups))


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch) -> Emulate:
    """Serves a License Manager with tasks given by id: what each has beyond the common."""

    @contextmanager
    def emulate(**tasks: dict[str, Any]) -> Iterator[None]:
        with serve() as emulator:
            for task_id, more in tasks.items():
                emulator.backend("eu-west-1").add_task(
                    **{"task_id": task_id, "resource_arn": INSTANCE_ARN, **CONTEXTS, **more}
                )
            monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
            yield

    return emulate


@contextmanager
def real_stack(program: Path, folder: Path) -> Iterator[automation.Stack]:
    """Return a stack of a copy of the program on the real engine, with all that belongs to it in `folder`."""
    copy = folder / "program"
    copy.mkdir()
    for file in (program / "Pulumi.yaml", *program.glob("*.py")):
        shutil.copy(file, copy)
    (copy / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    (folder / "home").mkdir()
    environment = {
        "PULUMI_BACKEND_URL": folder.as_uri(),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    options = automation.LocalWorkspaceOptions(env_vars=environment)
    stack = automation.create_stack("test", work_dir=str(copy), opts=options)
    stack.set_config("aws:region", automation.ConfigValue("eu-west-1"))
    yield stack
    stack.destroy()


def check_root_outputs(outputs: Mapping[str, Any]) -> None:
    assert {*OUTPUTS, "note"} == set(outputs)
    assert outputs["status"] == "SUCCEEDED"
    assert outputs["region"] == "eu-west-1"
    assert outputs["is_complete"] is True
    assert outputs["note"] == {
        "resource": INSTANCE_ARN,
        "from": "RunInstances:0800",
        "to": "RunInstances:0002",
        "at": outputs["license_conversion_time"],
    }


def check_tracked(outputs: Mapping[str, Any]) -> None:
    assert outputs == {
        "tasks": {
            DONE: {"status": "SUCCEEDED", "message": "fine", "usage_operation": "RunInstances:0002"},
            RUNNING: {"status": "IN_PROGRESS", "message": None, "usage_operation": "RunInstances:0002"},
            FAILED: {"status": "FAILED", "message": "not stopped", "usage_operation": "RunInstances:0002"},
        },
        "all_complete": False,
    }


TRACKED = {
    DONE: {"status": "SUCCEEDED", "message": "fine"},
    RUNNING: {"status": "IN_PROGRESS"},
    FAILED: {"status": "FAILED", "message": "not stopped"},
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_is_short_and_says_what_it_is_configured_with(program: Path) -> None:
    assert len((program / "__main__.py").read_text().splitlines()) <= 40
    project = yaml.safe_load((program / "Pulumi.yaml").read_text())
    assert project["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    assert all(setting["description"] and setting["type"] for setting in project["config"].values())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_requirements_refer_to_the_project(program: Path) -> None:
    lines = [line for line in (program / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    (line,) = lines
    flag, _, path = line.partition(" ")
    assert flag == "-e"
    assert (program / path.partition("[")[0]).resolve() == PROJECT


def test_the_root_program_follows_a_task_to_its_end_and_exports_every_output(emulate: Emulate) -> None:
    config = {"licenseConversionTaskId": DONE, "aws:region": "eu-west-1"}
    with emulate(**{DONE: {"seconds": 1, "message": "done"}}), LocalEngine(PROJECT, config=config) as engine:
        result = engine.up()
        check_root_outputs(result.outputs)
        assert engine.up().changes == {"same": 3}


@pytest.mark.proof
def test_the_root_program_does_not_wait_where_it_is_told_so(emulate: Emulate) -> None:
    config = {"licenseConversionTaskId": RUNNING, "waitForCompletion": False, "aws:region": "eu-west-1"}
    with emulate(**{RUNNING: {"status": "IN_PROGRESS"}}), LocalEngine(PROJECT, config=config) as engine:
        outputs = engine.up().outputs
    assert outputs["status"] == "IN_PROGRESS"
    assert outputs["note"].get("at") is None


def test_track_shows_each_task_also_one_that_failed(emulate: Emulate) -> None:
    config = {"taskIds": [DONE, RUNNING, FAILED], "aws:region": "eu-west-1"}
    with emulate(**TRACKED), LocalEngine(PROJECT / "examples" / "track", config=config) as engine:
        check_tracked(engine.up().outputs)


@pytest.mark.proof
def test_track_waits_for_all_where_it_is_told_so(emulate: Emulate) -> None:
    config = {"taskIds": [DONE, FAILED], "waitForCompletion": True, "aws:region": "eu-west-1"}
    tasks = {DONE: {"seconds": 1}, FAILED: {"polls": 2, "status": "FAILED"}}
    with emulate(**tasks), LocalEngine(PROJECT / "examples" / "track", config=config) as engine:
        outputs = engine.up().outputs
    assert {task_id: task["status"] for task_id, task in outputs["tasks"].items()} == {
        DONE: "SUCCEEDED",
        FAILED: "FAILED",
    }
    assert outputs["all_complete"] is True


# -- an audit ----------------------------------------------------------------------------------------------------------

BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"

AUDITED = {
    DONE: {"seconds": 0, "message": "fine"},
    RUNNING: {"status": "IN_PROGRESS"},
    FAILED: {"seconds": 0, "status": "FAILED", "message": "not stopped"},
}


def check_audit(outputs: Mapping[str, Any]) -> None:
    assert outputs["by_status"] == {"SUCCEEDED": 1, "IN_PROGRESS": 1, "FAILED": 1}
    shown = {task.pop("task"): task for task in outputs["conversions"]}
    assert all(task.pop("started") for task in shown.values())
    common = {"resource": INSTANCE_ARN, "from": BYOL, "to": WINDOWS}
    assert {task_id: {k: v for k, v in task.items() if v is not None} for task_id, task in shown.items()} == {
        DONE: {**common, "status": "SUCCEEDED", "message": "fine", "seconds": 0},
        RUNNING: {**common, "status": "IN_PROGRESS"},
        FAILED: {**common, "status": "FAILED", "message": "not stopped", "seconds": 0},
    }


@needs_pulumi
@pytest.mark.proof
@pytest.mark.parametrize("program", [PROJECT, EXAMPLES / "track", AUDIT], ids=lambda path: path.name)
def test_the_same_on_the_real_engine(program: Path, emulate: Emulate, tmp_path: Path) -> None:
    worlds: dict[Path, dict[str, Any]] = {PROJECT: {DONE: {"seconds": 1, "message": "done"}}, AUDIT: AUDITED}
    tasks = worlds.get(program, TRACKED)
    with emulate(**tasks), real_stack(program, tmp_path) as stack:
        if program == PROJECT:
            stack.set_config("licenseConversionTaskId", automation.ConfigValue(DONE))
        if program.name == "track":
            for index, task_id in enumerate(TRACKED):
                stack.set_config(f"taskIds[{index}]", automation.ConfigValue(task_id), path=True)
        outputs = {name: output.value for name, output in stack.up().outputs.items()}
        {PROJECT: check_root_outputs, AUDIT: check_audit}.get(program, check_tracked)(outputs)
        assert set(stack.up().summary.resource_changes or ()) <= {"same"}


def test_audit_lists_all_conversions_and_stores_nothing(emulate: Emulate) -> None:
    with emulate(**AUDITED), LocalEngine(AUDIT, config={"aws:region": "eu-west-1"}) as engine:
        check_audit(engine.preview().outputs)
        check_audit(engine.up().outputs)
        assert [resource.type for resource in engine.resources] == ["pulumi:pulumi:Stack"]
    config = {"statuses": ["FAILED"], "aws:region": "eu-west-1"}
    with emulate(**AUDITED), LocalEngine(AUDIT, config=config) as engine:
        outputs = engine.up().outputs
    assert outputs["by_status"] == {"FAILED": 1}
    assert [task["task"] for task in outputs["conversions"]] == [FAILED]


@pytest.mark.parametrize(
    "folder",
    sorted(file.parent for name in ("examples", "templates") for file in PROJECT.glob(f"{name}/*/Pulumi.yaml")),
    ids=lambda folder: folder.name,
)
def test_pulumi_new_asks_for_what_the_program_needs(folder: Path) -> None:
    """What has no default is asked for, and nothing that the program does not read."""
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    declared = project.get("config", {})
    defaults = {name for name, each in declared.items() if "default" in each}
    texts = "".join(file.read_text() for file in [*folder.glob("*.py"), *folder.glob("*.ts"), folder / "Pulumi.yaml"])
    read = set(re.findall(r"\.(?:get|require)\w*(?:<\w+>)?\(\"(\w+)\"|\$\{(\w+)\}", texts))
    known = {name for names in read for name in names if name}
    asked = {name for name in project["template"]["config"] if ":" not in name}
    assert asked <= known
    assert (set(declared) or set(re.findall(r"\.require\w*\(\"(\w+)\"", texts))) - defaults <= asked
