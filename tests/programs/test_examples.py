"""The programs that users start from: the root's and the examples', run as they are, the same on both engines."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from local_engine import LocalEngine, UpdateFailedError
from pulumi.runtime import rpc
from support.aws import REGION
from support.job import BYOL, WINDOWS, Job
from support.stacks import ON_BOTH_ENGINES, LocalStack, make_stack

from lmconv_resource.emulator import ChangedAnswer, Fault, LicenseManagerBackend
from lmconv_resource.hosts.dynamic.provider import LookUps
from lmconv_resource.models import OUTPUTS

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
TRACK, AUDIT = EXAMPLES / "track", EXAMPLES / "audit"
PROGRAMS = [PROJECT, TRACK, AUDIT, *(EXAMPLES / name for name in ("wait-then-start", "convert-fleet", "organization"))]
DONE, RUNNING, FAILED = "lct-0000000000000000a", "lct-0000000000000000b", "lct-0000000000000000c"
INSTANCE_ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"

TASKS: dict[str, dict[str, Any]] = {
    DONE: {"seconds": 0, "message": "fine"},
    RUNNING: {"status": "IN_PROGRESS"},
    FAILED: {"seconds": 0, "status": "FAILED", "message": "not stopped"},
}


@pytest.fixture(autouse=True)
def _new_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local engine's programs run in this process: each test begins with look-ups that have asked nobody yet."""
    monkeypatch.setattr("lmconv_resource.sdk.functions.look_ups", LookUps())


@pytest.fixture
def tasks(aws: LicenseManagerBackend) -> LicenseManagerBackend:
    """A License Manager with a task of each kind."""
    for task_id, more in TASKS.items():
        aws.add_task(task_id=task_id, resource_arn=INSTANCE_ARN, source=BYOL, destination=WINDOWS, **more)
    return aws


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_is_short_and_says_what_it_is_configured_with(program: Path) -> None:
    """It needs this project, and nothing else that is not named."""
    assert len((program / "__main__.py").read_text().splitlines()) <= 40
    project = yaml.safe_load((program / "Pulumi.yaml").read_text())
    assert project["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    assert all(setting["description"] and setting["type"] for setting in project["config"].values())
    (needed,) = re.findall(r"^[^#\n].*$", (program / "requirements.txt").read_text(), re.MULTILINE)
    flag, _, path = needed.partition(" ")
    assert flag == "-e"
    assert (program / path.partition("[")[0]).resolve() == PROJECT


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
def test_the_root_program_exports_every_output_and_follows_another_task(
    engine: str, tasks: LicenseManagerBackend, tmp_path: Path
) -> None:
    """To its end, unless it is told not to wait; an answer without a context is noted as far as it goes."""
    stack = make_stack(engine, tmp_path, PROJECT)
    stack.config |= {"aws:region": REGION, "licenseConversionTaskId": DONE}
    outputs = stack.up().outputs
    assert {*OUTPUTS, "note"} == set(outputs)
    assert (outputs["status"], outputs["region"], outputs["is_complete"]) == ("SUCCEEDED", REGION, True)
    at = outputs["license_conversion_time"]
    assert outputs["note"] == {"resource": INSTANCE_ARN, "from": BYOL, "to": WINDOWS, "at": at}
    assert set(stack.up().changes) == {"same"}
    tasks.faults.add(Fault(ChangedAnswer(without=("SourceLicenseContext",))))
    stack.config |= {"licenseConversionTaskId": RUNNING, "waitForCompletion": False}
    outputs = stack.up().outputs
    assert outputs["status"] == "IN_PROGRESS"
    assert (outputs["note"].get("from"), outputs["note"]["to"], outputs["note"].get("at")) == (None, WINDOWS, None)


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
@pytest.mark.usefixtures("tasks")
def test_track_shows_each_task_also_one_that_failed(engine: str, tmp_path: Path) -> None:
    """And waits for all where it is told so."""
    stack = make_stack(engine, tmp_path, TRACK)
    stack.config |= {"aws:region": REGION, "taskIds": list(TASKS)}
    assert stack.up().outputs == {
        "tasks": {
            DONE: {"status": "SUCCEEDED", "message": "fine", "usage_operation": WINDOWS},
            RUNNING: {"status": "IN_PROGRESS", "message": None, "usage_operation": WINDOWS},
            FAILED: {"status": "FAILED", "message": "not stopped", "usage_operation": WINDOWS},
        },
        "all_complete": False,
    }
    stack.config |= {"taskIds": [DONE, FAILED], "waitForCompletion": True}
    assert stack.up().outputs["all_complete"] is True
    assert set(stack.up().changes) == {"same"}


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
@pytest.mark.usefixtures("tasks")
def test_audit_lists_all_conversions_and_stores_nothing(engine: str, tmp_path: Path) -> None:
    """In a preview too; of some statuses where it is told so."""
    stack = make_stack(engine, tmp_path, AUDIT)
    stack.config["aws:region"] = REGION
    assert stack.preview().ok
    outputs = stack.up().outputs
    assert outputs["by_status"] == {"SUCCEEDED": 1, "IN_PROGRESS": 1, "FAILED": 1}
    shown = {task.pop("task"): task for task in outputs["conversions"]}
    assert all(task.pop("started") for task in shown.values())
    common = {"resource": INSTANCE_ARN, "from": BYOL, "to": WINDOWS}
    assert {task_id: {k: v for k, v in task.items() if v is not None} for task_id, task in shown.items()} == {
        DONE: {**common, "status": "SUCCEEDED", "message": "fine", "seconds": 0},
        RUNNING: {**common, "status": "IN_PROGRESS"},
        FAILED: {**common, "status": "FAILED", "message": "not stopped", "seconds": 0},
    }
    assert len(stack.resources()) == 1  # the stack itself
    stack.config["statuses"] = ["FAILED"]
    assert [task["task"] for task in stack.up().outputs["conversions"]] == [FAILED]


@pytest.fixture
def arns(job: Job) -> list[str]:
    """Three instances, of which the second is stopped and the third's conversion fails."""
    made = [job.launch(BYOL, running=running) for running in (True, False, True)]
    job.backend.failing = {made[2].rpartition("/")[2]: "No agent."}
    return made


@pytest.mark.proof
def test_convert_fleet(job: Job, arns: list[str], tmp_path: Path) -> None:
    """A table is converted, each instance is left as it was, one failure holds up nobody, and the report tells all."""
    stack = LocalStack(tmp_path, EXAMPLES / "convert-fleet")
    stack.config["aws:region"] = REGION
    (tmp_path / "instances.csv").write_text("\n".join(["arn;to", *(f"{arn};Windows" for arn in arns)]))
    outputs = stack.up().outputs
    assert set(stack.up().changes) == {"same"}
    assert ([job.state(arn) for arn in arns], job.starts) == (["running", "stopped", "running"], 3)
    assert (outputs["succeeded"], outputs["failed"], outputs["not_begun"]) == (2, 1, 0)
    assert f"- **{arns[2].rpartition('/')[2]}**: No agent.\n" in outputs["readme"]


class Cloud(pulumi.runtime.Mocks):
    """Plays pulumi-aws, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.made: dict[str, Mapping[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.made[args.typ] = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(args.token)


@pytest.mark.proof
@pytest.mark.parametrize("fails", [False, True])
def test_wait_then_start(job: Job, arns: list[str], fails: bool) -> None:
    """The instance runs again before the outcome is written; where the conversion fails, nothing is written."""
    arn, cloud = arns[2 if fails else 0], Cloud()
    config = {"aws:region": REGION, "resourceArn": arn}
    with LocalEngine(EXAMPLES / "wait-then-start", config=config, mocks=cloud) as engine:
        if fails:
            with pytest.raises(UpdateFailedError, match="it FAILED: No agent"):
                engine.up()
            assert cloud.made == {}
        else:
            outputs = engine.up().outputs
            assert outputs == {"usage_operation": WINDOWS, "outcome_parameter": "/license-conversions/latest"}
            written = json.loads(cloud.made["aws:ssm/parameter:Parameter"]["value"])
            assert (written["instance"], written["usage_operation"], written["status"]) == (arn, WINDOWS, "SUCCEEDED")
    assert (job.state(arn), job.tags(arn)) == ("running", {})


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
