"""The table of `test_both_hosts` once more, by whole programs on the real engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.both_hosts import BYOL, CONVERT, INCLUDED, TRACK, add, wired
from support.native_host import CONVERSION, TASK
from support.pulumi_programs import HAS_PULUMI, WITHOUT_PULUMI, Program

from lmconv_resource.emulator import LicenseManagerBackend

pytestmark = [pytest.mark.skipif(not HAS_PULUMI, reason=WITHOUT_PULUMI), pytest.mark.proof, pytest.mark.timeout(300)]

STARTS = "CreateLicenseConversionTaskForResource"


class Native:
    """A YAML program with one resource of the native provider."""

    id_input: ClassVar[str] = "licenseConversionTaskId"

    def __init__(self, folder: Path) -> None:
        self.stack = Program(folder, {"name": "tried", "runtime": "yaml"})

    def declare(self, kind: str, inputs: dict[str, Any]) -> None:
        resource = {"type": kind, "properties": wired(inputs)}
        self.stack.write({"name": "tried", "runtime": "yaml", "resources": {"r": resource}})

    def record(self) -> dict[str, Any] | None:
        return self.stack.resources().get("r")


class Dynamic:
    """A Python program with one dynamic resource."""

    id_input: ClassVar[str] = "license_conversion_task_id"

    def __init__(self, folder: Path) -> None:
        self.stack = Program(folder, {"name": "tried", "runtime": "python"}, PULUMI_PYTHON_CMD=sys.executable)

    def declare(self, kind: str, inputs: dict[str, Any]) -> None:
        name = kind.rpartition(":")[2]
        program = f"from lmconv_resource import {name}\n{name}('r', **{inputs!r})\n"
        (self.stack.folder / "__main__.py").write_text(program)

    def record(self) -> dict[str, Any] | None:
        return self.stack.resources("pulumi-python:dynamic/").get("r")


@pytest.fixture(params=[Dynamic, Native])
def host(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Dynamic | Native:
    """A stack of one resource, once by each host."""
    aws.conversion_seconds = 0.0
    made: Dynamic | Native = request.param(tmp_path)
    return made


def status(host: Dynamic | Native) -> tuple[str, str]:
    """Return the id and the status in the state."""
    record = host.record()
    assert record is not None
    return record["id"], record["outputs"]["status"]


def test_a_wrong_input_is_a_failed_check(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """A line in the host's own words, in the preview already, and nothing is asked."""
    host.declare(TASK, {**TRACK, "license_conversion_task_id": "i-0"})

    written = host.stack.run("preview", ok=False)

    assert f"{host.id_input} 'i-0' is not the id of a license conversion task" in written
    assert not aws.calls


def test_a_tracked_task_from_create_to_delete(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """Created, no change, read by a refresh, waited for, replaced by another id, deleted."""
    add(aws, status="IN_PROGRESS")
    add(aws, task_id="lct-2")
    host.declare(TASK, TRACK)
    assert host.stack.up()[0] == {"create": 2}
    assert status(host) == ("lct-1", "IN_PROGRESS")
    assert host.stack.up()[0] == {"same": 2}

    aws.finish_task("lct-1")
    host.stack.refresh()
    assert status(host) == ("lct-1", "SUCCEEDED")

    host.declare(TASK, {**TRACK, "wait_for_completion": True})
    assert host.stack.up()[0] in ({"same": 2}, {"same": 1, "update": 1})
    host.declare(TASK, {**TRACK, "license_conversion_task_id": "lct-2"})
    assert host.stack.up()[0] == {"replace": 1, "same": 1}
    assert status(host) == ("lct-2", "SUCCEEDED")
    assert host.stack.destroy()[0] == {"delete": 2}
    assert aws.calls[STARTS] == 0


def test_a_running_task_whose_wait_is_turned_on(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """An update, which waits and records the end."""
    add(aws, status="IN_PROGRESS")
    host.declare(TASK, TRACK)
    host.stack.up()
    aws.finish_task("lct-1")
    host.declare(TASK, {**TRACK, "wait_for_completion": True})

    assert host.stack.up()[0] == {"same": 1, "update": 1}
    assert status(host) == ("lct-1", "SUCCEEDED")


def test_a_conversion_from_create_to_delete(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """Started once; exchanged contexts are another one; the license stays when the resource goes."""
    host.declare(CONVERSION, CONVERT)
    assert host.stack.up()[0] == {"create": 2}
    assert host.stack.up()[0] == {"same": 2}
    assert aws.calls[STARTS] == 1

    host.declare(CONVERSION, {**CONVERT, "source_license_context": INCLUDED, "destination_license_context": BYOL})
    assert host.stack.up()[0] == {"replace": 1, "same": 1}
    assert aws.calls[STARTS] == 2
    changes, written = host.stack.destroy()
    assert changes == {"delete": 2}
    assert "is only removed from the state: the license of" in written


@pytest.mark.parametrize(("newest", "starts"), [("SUCCEEDED", 0), ("IN_PROGRESS", 0), ("FAILED", 1)])
def test_what_is_there_already(host: Dynamic | Native, aws: LicenseManagerBackend, newest: str, starts: int) -> None:
    """A newest task that leads to the same is adopted, unless it FAILED."""
    add(aws, status=newest)
    host.declare(CONVERSION, {**CONVERT, "wait_for_completion": False})

    assert host.stack.up()[0] == {"create": 2}
    assert aws.calls[STARTS] == starts
    assert (status(host)[0] == "lct-1") is (starts == 0)


def test_a_conversion_that_fails(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """An error with AWS's reason, which is recorded; the next `up` starts another one in its place."""
    aws.conversion_status, aws.conversion_message = "FAILED", "not managed"
    host.declare(CONVERSION, CONVERT)
    _, written = host.stack.up(ok=False)
    assert "it FAILED: not managed. Fix the cause; the next `pulumi up` starts a new conversion." in written
    assert status(host)[1] == "FAILED"

    aws.conversion_status = "SUCCEEDED"
    changes, _ = host.stack.up()
    assert changes["replace"] == 1
    assert status(host)[1] == "SUCCEEDED"
    assert aws.calls[STARTS] == 2
