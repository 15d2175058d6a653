"""A fleet of twelve on the real engine, in both hosts, with one row of each kind that can't be converted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.aws import REGION
from support.job import BYOL, WINDOWS
from support.pulumi_programs import HAS_PULUMI, WITHOUT_PULUMI, Program

from lmconv_resource.emulator import Emulator, LicenseManagerBackend, serve
from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600), pytest.mark.skipif(not HAS_PULUMI, reason=WITHOUT_PULUMI)]

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
    " 7  old-1     Windows BYOL → Windows  can't: the instance is terminated",
    "10  sql-1     Windows BYOL → Windows  can't: the instance has stop protection",
]
SETTINGS = {"max_concurrent": 6, "canaries": 1, "stop_and_restart": True}


@dataclass
class World:
    """Twelve instances."""

    emulator: Emulator
    backend: LicenseManagerBackend
    rows: list[tuple[str, str]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Twelve instances: two fail, four can't be converted, one is done, one is stopped."""
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        backend = emulator.backend(REGION)
        backend.conversion_seconds = 1
        ec2 = boto3.client("ec2", region_name=REGION)

        def launch(billed: str = BYOL) -> str:
            answer = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="m5.large")
            instance_id = answer["Instances"][0]["InstanceId"]
            backend.set_license(instance_id, billed)
            return backend.make_arn(instance_id)

        rows = [(f"web-{n}", launch()) for n in range(1, 7)]
        rows += [("old-1", launch()), ("ubuntu-1", launch("RunInstances:0g00")), ("done-1", launch(WINDOWS))]
        rows += [("sql-1", launch()), ("other-1", launch().replace(":123456789012:", ":210987654321:"))]
        rows += [("web-7", launch())]
        ids = {name: arn.rpartition("/")[2] for name, arn in rows}
        backend.failing = {ids[name]: "The SSM Agent did not answer." for name in ("web-3", "web-5")}
        ec2.stop_instances(InstanceIds=[ids["web-4"]])
        ec2.terminate_instances(InstanceIds=[ids["old-1"]])
        ec2.modify_instance_attribute(InstanceId=ids["sql-1"], DisableApiStop={"Value": True})
        yield World(emulator, backend, rows)


def check_plan(output: str) -> None:
    lines = [line.strip() for line in output.splitlines()]
    for line in PLAN:
        assert line.strip() in lines, output


def check_record(record: dict[str, Any], world: World, *, snake: bool) -> None:
    """Order, outcomes and report are in the record."""
    outputs = record["outputs"]
    assert {name: each["outcome"] for name, each in outputs["instances"].items()} == OUTCOMES
    assert outputs["succeeded"] == ["web-1", "web-2", "web-4", "web-6", "done-1", "web-7"]
    assert outputs["not_begun" if snake else "notBegun"] == []
    assert COUNTS in outputs["report"]
    starts = [outputs["instances"][f"web-{n}"]["start_time" if snake else "startTime"] for n in range(1, 8)]
    assert starts == sorted(starts)
    assert starts[0] < starts[1]
    assert len(world.backend.tasks) == 7


def test_in_yaml(world: World, tmp_path: Path) -> None:
    """The native host: plan, order and record; again, no change; another table, by the names of its rows."""
    instances = [{"resourceArn": arn, "name": name} for name, arn in world.rows]
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
    program = Program(tmp_path, described, **world.emulator.environment)
    check_plan(program.run("preview"))
    assert world.backend.tasks == {}
    _, output = program.up()
    assert "web-3: FAILED" in output
    check_record(program.resources()["sql"], world, snake=False)
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
    assert len(world.backend.tasks) == 7


def test_in_python(world: World, tmp_path: Path) -> None:
    """The dynamic host, with a CSV; the record is there when the resource fails too."""
    folder = tmp_path / "program"
    folder.mkdir()
    (tmp_path / "backend").mkdir()
    (folder / "Pulumi.yaml").write_text("name: fleet\nruntime:\n  name: python\n")
    table = ["arn;to;name", *(f"{arn};Windows;{name}" for name, arn in world.rows)]
    (folder / "instances.csv").write_text("\n".join(table))
    (folder / "__main__.py").write_text(
        "import pulumi\nfrom lmconv_resource import ConversionFleet, read_instances\n"
        f"fleet = ConversionFleet('sql', instances=read_instances('instances.csv'), fail_on_error=True, **{SETTINGS})\n"
        "pulumi.export('readme', fleet.report)\n"
        "pulumi.export('first', fleet.instances['web-1'].outcome)\n"
    )
    environment = {
        **world.emulator.environment,
        "PULUMI_BACKEND_URL": (tmp_path / "backend").as_uri(),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "passphrase",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
    }

    def run(*arguments: str, ok: bool = True) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("stack", "init", "dev")
    check_plan(run("preview"))
    assert world.backend.tasks == {}
    output = run("up", "--yes", "--skip-preview", ok=False)
    assert f"Converting the licenses of {COUNTS.rstrip('.')};" in output
    resources = json.loads(run("stack", "export"))["deployment"]["resources"]
    (record,) = [each for each in resources if each["urn"].endswith("::sql")]
    check_record(record, world, snake=True)
    known = {entry.name for entry in FLEET_PROPERTIES} | {"rows"}
    assert {name for name in record["inputs"] if not name.startswith("__")} <= known
