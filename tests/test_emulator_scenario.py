"""Scenario files: what they put into the emulator, and what is said about a wrong one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lmconv_resource.emulator import ScenarioError, licensemanager_backends, load_scenario

TASK: dict[str, Any] = {
    "resource_arn": "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
    "source": {"usage_operation": "RunInstances:0800"},
    "destination": {"usage_operation": "RunInstances:0002"},
}


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


def write(folder: Path, scenario: object) -> Path:
    file = folder / "scenario.json"
    file.write_text(scenario if isinstance(scenario, str) else json.dumps(scenario), encoding="utf-8")
    return file


def test_a_scenario_is_played(tmp_path: Path) -> None:
    """Tasks, page size and what becomes of conversions are there for clients after play()."""
    code = {"product_code_id": "abc", "product_code_type": "marketplace"}
    scenario = {
        "region": "eu-west-1",
        "page_size": 2,
        "conversion": {"seconds": 0, "status": "FAILED", "message": "no capacity"},
        "tasks": [
            {**TASK, "id": "lct-1", "seconds": 3600, "status": "FAILED", "message": "later"},
            {**TASK, "id": "lct-2", "destination": {"product_codes": [code]}, "message": "done"},
            {**TASK, "id": "lct-3", "looks": 2},
            {**TASK, "id": "lct-1", "region": "us-west-2"},
        ],
    }
    load_scenario(write(tmp_path, scenario)).play()
    client: Any = boto3.client("license-manager", region_name="eu-west-1")
    page = client.list_license_conversion_tasks()
    assert [task["LicenseConversionTaskId"] for task in page["LicenseConversionTasks"]] == ["lct-1", "lct-2"]
    first, second = page["LicenseConversionTasks"]
    assert (first["Status"], first.get("StatusMessage")) == ("IN_PROGRESS", None)
    assert (second["Status"], second["StatusMessage"]) == ("SUCCEEDED", "done")
    assert second["DestinationLicenseContext"]["ProductCodes"][0]["ProductCodeId"] == "abc"
    (third,) = client.list_license_conversion_tasks(NextToken=page["NextToken"])["LicenseConversionTasks"]
    assert third["Status"] == "IN_PROGRESS"
    west: Any = boto3.client("license-manager", region_name="us-west-2")
    assert west.get_license_conversion_task(LicenseConversionTaskId="lct-1")["Status"] == "SUCCEEDED"
    made = west.create_license_conversion_task_for_resource(
        ResourceArn=TASK["resource_arn"], SourceLicenseContext={}, DestinationLicenseContext={}
    )["LicenseConversionTaskId"]
    task = west.get_license_conversion_task(LicenseConversionTaskId=made)
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")


def test_an_account_of_its_own(tmp_path: Path) -> None:
    """A scenario's account has the tasks, and no other account."""
    load_scenario(write(tmp_path, {"account_id": "111122223333", "tasks": [{**TASK, "id": "lct-1"}]})).play()
    assert list(licensemanager_backends["111122223333"]["us-east-1"].tasks) == ["lct-1"]
    assert not licensemanager_backends["123456789012"]["us-east-1"].tasks


@pytest.mark.parametrize(
    ("scenario", "line"),
    [
        (
            {"tasks": [TASK, TASK, {**TASK, "status": "DONE"}]},
            'tasks[2].status: "DONE" is not one of SUCCEEDED, FAILED',
        ),
        ({}, "tasks: is required"),
        ([], "the whole of it: [] is not an object"),
        ({"tasks": {}}, "tasks: {} is not a list"),
        ({"tasks": [7]}, "tasks[0]: 7 is not an object"),
        ({"tasks": [{**TASK, "state": "x"}]}, "tasks[0].state: unknown; known are destination, id, looks, "),
        ({"tasks": [{"id": "lct-1"}]}, "tasks[0].resource_arn: is required"),
        (
            {"tasks": [], "regoin": "x"},
            "regoin: unknown; known are account_id, conversion, faults, page_size, rate_limit, region, tasks",
        ),
        ({"tasks": [], "region": "us-esat-1"}, 'region: "us-esat-1" is not one that License Manager has'),
        ({"tasks": [], "region": ["us-east-1"]}, 'region: ["us-east-1"] is not one that License Manager has'),
        ({"tasks": [], "account_id": 123456789012}, "account_id: 123456789012 is not a string"),
        ({"tasks": [], "account_id": "12"}, 'account_id: "12" is not 12 digits'),
        ({"tasks": [], "page_size": 0}, "page_size: 0 is not a whole number from 1 up"),
        ({"tasks": [], "conversion": {"status": "no"}}, 'conversion.status: "no" is not one of'),
        ({"tasks": [{**TASK, "id": "42"}]}, 'tasks[0].id: "42" does not match ^lct-'),
        ({"tasks": [{**TASK, "id": "lct-1"}] * 2}, 'tasks[1].id: "lct-1" is the id of tasks[0] too'),
        ({"tasks": [{**TASK, "resource_arn": "i-1"}]}, 'tasks[0].resource_arn: "i-1" does not match ^arn:aws'),
        ({"tasks": [{**TASK, "seconds": -1}]}, "tasks[0].seconds: -1 is not a number of seconds"),
        ({"tasks": [{**TASK, "seconds": "1"}]}, 'tasks[0].seconds: "1" is not a number of seconds'),
        ({"tasks": [{**TASK, "seconds": 1, "looks": 1}]}, "tasks[0].looks: a task ends after seconds or after looks"),
        ({"tasks": [{**TASK, "seconds": 1, "status": "IN_PROGRESS"}]}, "tasks[0].seconds: a task that stays IN_PROG"),
        ({"tasks": [{**TASK, "message": None}]}, "tasks[0].message: null is not a string"),
        (
            {"tasks": [{**TASK, "source": {"product_codes": [{"product_code_id": "a b", "product_code_type": "x"}]}}]},
            'tasks[0].source.product_codes[0].product_code_id: "a b" does not match ^[A-Za-z0-9]{1,25}$',
        ),
        ('{"tasks": [],\n "page_size": }', "line 2 column 15: Expecting value"),
        ('{"tasks": [], "tasks": []}', "tasks: is given twice"),
        ('{"tasks": [], "page_size": NaN}', "NaN is not JSON"),
    ],
)
def test_a_wrong_scenario_gets_one_line(tmp_path: Path, scenario: object, line: str) -> None:
    """What is wrong is said in one line that begins with the file and the place."""
    file = write(tmp_path, scenario)
    with pytest.raises(ScenarioError) as error:
        load_scenario(file)
    assert str(error.value).startswith(f"{file}: {line}")
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, or is no text, is said to be so."""
    with pytest.raises(ScenarioError, match=r"missing\.json: No such file or directory$"):
        load_scenario(tmp_path / "missing.json")
    file = tmp_path / "binary.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match=r"binary\.json: it is not UTF-8 text$"):
        load_scenario(file)
