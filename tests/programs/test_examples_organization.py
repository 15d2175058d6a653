"""examples/organization: conversions in many accounts and regions from one stack."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_engine import LocalEngine
from pulumi import automation
from support.aws_accounts import AwsAccounts, serve_accounts
from support.stacks import needs_pulumi
from support.wire import ACCESS_KEY

PROGRAM = Path(__file__).parent.parent.parent / "examples" / "organization"
MANAGEMENT, PROD, TEST = "111111111111", "222222222222", "012345678901"
BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"
PLACES = [(PROD, "eu-west-1"), (PROD, "us-east-1"), (TEST, "eu-west-1")]
TABLE: list[dict[str, Any]] = [
    {"account": account, "region": region, "instance": f"i-0000000000000000{number}", "from": BYOL, "to": WINDOWS}
    for number, (account, region) in enumerate(PLACES)
]
ARNS = [f"arn:aws:ec2:{row['region']}:{row['account']}:instance/{row['instance']}" for row in TABLE]
ROLES = {account: f"arn:aws:iam::{account}:role/Licenses" for account in (PROD, TEST)}


@pytest.fixture
def accounts() -> Iterator[AwsAccounts]:
    """An organisation whose roles ask for an external id, and whose conversions are done at once."""
    with serve_accounts() as accounts:
        accounts.add_user(MANAGEMENT, ACCESS_KEY)
        accounts.external_ids = dict.fromkeys(ROLES.values(), "the-external-id")
        accounts.is_quick = True
        yield accounts


def to_config(accounts: AwsAccounts, **config: Any) -> dict[str, Any]:
    """Return the configuration of the stack."""
    endpoints = json.dumps([dict.fromkeys(("licensemanager", "sts", "ec2"), accounts.endpoint)])
    given = {"instances": TABLE, "roleName": "Licenses", "externalId": "the-external-id", **config}
    return {"aws:endpoints": endpoints, **given}


def check_conversions(accounts: AwsAccounts, exported: Any) -> None:
    """Each instance was converted once, by the role of its account and in its region."""
    assert exported == [
        f"{account}-{region}-{row['instance']}" for (account, region), row in zip(PLACES, TABLE, strict=True)
    ]
    created = accounts.requests_of("CreateLicenseConversionTaskForResource")
    found = {request.parameters["ResourceArn"]: (request.account, request.region) for request in created}
    assert found == dict(zip(ARNS, PLACES, strict=True))
    assert len(created) == len(ARNS)
    assumed = accounts.requests_of("AssumeRole")
    assert {request.account for request in assumed} == {MANAGEMENT}
    assert {request.parameters["RoleArn"] for request in assumed} == set(ROLES.values())


@pytest.mark.proof
def test_each_instance_is_converted_in_its_account_and_region(accounts: AwsAccounts) -> None:
    """One stack converts in all accounts; a second up asks nobody."""
    config = to_config(accounts)
    with LocalEngine(PROGRAM, config=config, secret_config=["externalId"]) as engine:
        check_conversions(accounts, engine.up().outputs["succeeded"])
        accounts.requests.clear()
        assert engine.up().changes == {"same": 2}
    assert accounts.requests == []


@pytest.mark.proof
def test_an_account_without_quotes_is_no_other_account(accounts: AwsAccounts) -> None:
    """YAML's number of an account that begins with a zero is that account."""
    rows = [{**row, "account": int(row["account"])} for row in TABLE]
    config = to_config(accounts, instances=rows)
    with LocalEngine(PROGRAM, config=config, secret_config=["externalId"]) as engine:
        check_conversions(accounts, engine.up().outputs["succeeded"])


def test_a_role_that_does_not_trust_the_stack_is_named(accounts: AwsAccounts) -> None:
    """Without the external id the line says what was refused; the others are converted, and it is not started."""
    accounts.external_ids = {ROLES[PROD]: "another"}
    with LocalEngine(PROGRAM, config=to_config(accounts), secret_config=["externalId"]) as engine:
        outputs = engine.up().outputs
    assert outputs["succeeded"] == [f"{TEST}-eu-west-1-{TABLE[2]['instance']}"]
    assert f"not authorized to perform: sts:AssumeRole on resource: {ROLES[PROD]}" in outputs["readme"]
    created = accounts.requests_of("CreateLicenseConversionTaskForResource")
    assert [request.parameters["ResourceArn"] for request in created] == ARNS[2:]


@needs_pulumi
@pytest.mark.proof
def test_the_same_on_the_real_engine(accounts: AwsAccounts, tmp_path: Path) -> None:
    """The real engine reads the table from structured configuration, and keeps the external id a secret."""
    copy = tmp_path / "program"
    copy.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(PROGRAM / name, copy)
    (copy / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    environment = {
        "PULUMI_BACKEND_URL": tmp_path.as_uri(),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    options = automation.LocalWorkspaceOptions(env_vars=environment)
    stack = automation.create_stack("test", work_dir=str(copy), opts=options)
    config = to_config(accounts)
    for number, row in enumerate(config.pop("instances")):
        for name, value in row.items():
            stack.set_config(f"instances[{number}].{name}", automation.ConfigValue(value), path=True)
    for key, value in config.items():
        stack.set_config(key, automation.ConfigValue(value, secret=key == "externalId"))
    check_conversions(accounts, stack.up().outputs["succeeded"].value)
    assert stack.up().summary.resource_changes == {"same": 2}
    kept = [file.read_text() for file in (tmp_path / ".pulumi").rglob("*.json*")]
    assert any(ARNS[0] in text for text in kept)
    assert not any("the-external-id" in text for text in kept)
