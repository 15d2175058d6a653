"""A fleet of twelve on the real engine, in both hosts, with one row of each kind; and one whose licenses are secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.aws import REGION
from support.job import BYOL, WINDOWS, Job
from support.pulumi_programs import HAS_PULUMI, WITHOUT_PULUMI, Program
from support.stacks import ON_BOTH_ENGINES, RealStack, make_stack, needs_pulumi, without_secrets

from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES

OUTCOMES = {
    **{f"web-{n}": "SUCCEEDED" for n in (1, 2, 4, 6, 7)},
    **{f"web-{n}": "FAILED" for n in (3, 5)},
    **dict.fromkeys(("old-1", "ubuntu-1", "sql-1", "other-1"), "REFUSED"),
    "done-1": "ALREADY_DONE",
}
COUNTS = "12 instances: 5 SUCCEEDED, 1 ALREADY_DONE, 2 FAILED, 4 REFUSED."
PLAN = [
    "12 instances: 6 will be stopped and started, 1 stopped already, 1 done already, 4 can't",
    " 1  web-1     Windows BYOL → Windows  runs: will be stopped and started",
    " 7  old-1     Windows BYOL → Windows  can't: the instance is terminated. Check the ARN and the region.",
    "12  web-7     Windows BYOL → Windows  runs: will be stopped and started",
]


Rows = list[tuple[str, str]]


@pytest.fixture
def rows(job: Job) -> Rows:
    """Twelve instances, by name: two fail, four can't be converted, one is done, one is stopped."""
    job.backend.conversion_seconds = 1
    billed = {"ubuntu-1": "RunInstances:0g00", "done-1": WINDOWS}
    names = [*(f"web-{n}" for n in range(1, 7)), "old-1", "ubuntu-1", "done-1", "sql-1", "other-1", "web-7"]
    arns = {
        name: job.launch(billed.get(name, BYOL), running=name != "web-4", InstanceType="m5.large") for name in names
    }
    ids = {name: arn.rpartition("/")[2] for name, arn in arns.items()}
    job.backend.failing = {ids[name]: "The SSM Agent did not answer." for name in ("web-3", "web-5")}
    job.ec2.terminate_instances(InstanceIds=[ids["old-1"]])
    job.ec2.modify_instance_attribute(InstanceId=ids["sql-1"], DisableApiStop={"Value": True})
    arns["other-1"] = arns["other-1"].replace(":123456789012:", ":210987654321:")
    return list(arns.items())


def check_plan(output: str) -> None:
    lines = [line.strip() for line in output.splitlines()]
    for line in PLAN:
        assert line.strip() in lines, output


def check_record(record: dict[str, Any], job: Job, *, snake: bool) -> None:
    """Order, outcomes and report are in the record."""
    outputs = record["outputs"]
    assert {name: each["outcome"] for name, each in outputs["instances"].items()} == OUTCOMES
    assert outputs["succeeded"] == ["web-1", "web-2", "web-4", "web-6", "done-1", "web-7"]
    assert outputs["not_begun" if snake else "notBegun"] == []
    assert COUNTS in outputs["report"]
    starts = [outputs["instances"][f"web-{n}"]["start_time" if snake else "startTime"] for n in range(1, 8)]
    assert starts == sorted(starts)
    assert starts[0] < starts[1]
    assert len(job.backend.tasks) == 7


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.skipif(not HAS_PULUMI, reason=WITHOUT_PULUMI)
def test_in_yaml(job: Job, rows: Rows, tmp_path: Path) -> None:
    """The native host: plan, order and record; again, no change; another table, by the names of its rows."""
    instances = [{"resourceArn": arn, "name": name} for name, arn in rows]
    properties = {
        "instances": instances,
        "destinationLicenseContext": {"usageOperation": WINDOWS},
        "maxConcurrent": 6,
        "canaries": 1,
        "stopAndRestart": True,
    }
    fleet = {"type": "lmconv:ConversionFleet", "properties": properties}
    described = {
        "name": "fleet",
        "runtime": "yaml",
        "resources": {"sql": fleet},
        "outputs": {"readme": "${sql.report}"},
    }
    program = Program(tmp_path, described)
    check_plan(program.run("preview"))
    assert job.backend.tasks == {}
    _, output = program.up()
    assert "web-3: FAILED" in output
    check_record(program.resources()["sql"], job, snake=False)
    assert COUNTS in program.outputs()["readme"]
    assert program.up()[0] == {"same": 2}
    properties["instances"] = [{**instances[0], "name": "web_one-1"}, *instances[2:]]
    program.write(described)
    shown = program.run("preview", "--diff")
    for change in ('- web-1    : "', '- web-2    : "', '+ web_one-1: "'):
        assert change in shown, shown
    assert "~ web-" not in shown, shown
    program.up()
    kept = program.resources()["sql"]["outputs"]["instances"]
    assert kept["web_one-1"]["licenseConversionTaskId"].startswith("lct-")
    assert program.destroy()[0] == {"delete": 2}
    assert len(job.backend.tasks) == 7


IN_PYTHON = """
import pulumi
from lmconv_resource import ConversionFleet, read_instances

rows = read_instances("instances.csv")
fleet = ConversionFleet("sql", instances=rows, fail_on_error=True, max_concurrent=6, canaries=1, stop_and_restart=True)
pulumi.export("first", fleet.instances["web-1"].outcome)
"""


@pytest.mark.proof
@pytest.mark.timeout(600)
@needs_pulumi
def test_in_python(job: Job, rows: Rows, tmp_path: Path) -> None:
    """The dynamic host, with a CSV; the record is there when the resource fails too."""
    stack = RealStack(tmp_path, IN_PYTHON)
    table = ["arn;to;name", *(f"{arn};Windows;{name}" for name, arn in rows)]
    (stack.folder / "instances.csv").write_text("\n".join(table))
    check_plan("\n".join(stack.preview().lines("sql", "info")))
    assert job.backend.tasks == {}
    outcome = stack.up()
    assert not outcome.ok
    assert f"Converting the licenses of {COUNTS.rstrip('.')};" in outcome.errors("sql")[0]
    record = stack.resources()["sql"]
    check_record(record, job, snake=True)
    known = {entry.name for entry in FLEET_PROPERTIES} | {"rows"}
    assert {name for name in record["inputs"] if not name.startswith("__")} <= known


SECRET = """
import json

import pulumi
from lmconv_resource import ConversionFleet

rows = json.loads(pulumi.Config().require("rows"))
rows[0]["assume_role"] = []
rows[0]["source_license_context"] = {"usage_operation": pulumi.Output.secret("RunInstances:0800")}
to = {"usage_operation": pulumi.Output.secret("RunInstances:0002")}
fleet = ConversionFleet("sql", instances=rows, destination_license_context=to)
pulumi.export("succeeded", fleet.succeeded)
"""


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
def test_a_secret_license_is_told_nowhere(job: Job, tmp_path: Path, engine: str) -> None:
    """Neither in a line nor in the state: its code, its name, and what EC2 and the report say of it."""
    arn = job.launch()
    stack = make_stack(engine, tmp_path, SECRET)
    stack.config |= {"aws:region": REGION, "followed:rows": json.dumps([{"resource_arn": arn, "name": "web-1"}])}
    for operation in (stack.preview, stack.up, stack.up, stack.refresh):
        outcome = operation()
        assert outcome.ok, outcome.said
        assert not any("Windows" in text or "RunInstances:" in text for _, _, text in outcome.said), outcome.said
    assert set(stack.up().changes) == {"same"}
    recorded = json.dumps(without_secrets(stack.resources()["sql"]))
    assert not any(each in recorded for each in ("Windows", "RunInstances:"))
    assert job.billed(arn) == "RunInstances:0002"
