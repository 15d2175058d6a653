"""examples/organization: conversions in many accounts and regions from one stack."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import ConfigValue
from support.aws_accounts import AwsAccounts, serve_accounts
from support.job import BYOL, WINDOWS
from support.stacks import ON_BOTH_ENGINES, make_stack
from support.wire import ACCESS_KEY

PROGRAM = Path(__file__).parents[2] / "examples" / "organization"
MANAGEMENT, PROD, TEST = "111111111111", "222222222222", "012345678901"
PLACES = [
    (PROD, "eu-west-1", "i-00000000000000000"),
    (PROD, "us-east-1", "i-00000000000000001"),
    (TEST, "eu-west-1", "i-00000000000000002"),
]
TABLE: list[dict[str, Any]] = [
    {"account": int(account), "region": region, "instance": name, "from": BYOL, "to": WINDOWS}
    for account, region, name in PLACES
]
ROLES = {account: f"arn:aws:iam::{account}:role/Licenses" for account in (PROD, TEST)}


@pytest.fixture
def accounts() -> Iterator[AwsAccounts]:
    """An organisation whose roles ask for an external id, and whose conversions are done at once."""
    with serve_accounts() as accounts:
        accounts.add_user(MANAGEMENT, ACCESS_KEY)
        accounts.is_quick = True
        yield accounts


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
def test_each_instance_is_converted_in_its_account_and_region(
    engine: str, accounts: AwsAccounts, tmp_path: Path
) -> None:
    """By the role of its account; where a role does not trust the stack, this is said, and the others are converted.

    YAML's number of an account that begins with a zero is that account. The external id stays a secret.
    """
    stack = make_stack(engine, tmp_path, PROGRAM)
    stack.config |= {
        "aws:endpoints": json.dumps([dict.fromkeys(("licensemanager", "sts", "ec2"), accounts.endpoint)]),
        "instances": TABLE,
        "roleName": "Licenses",
        "externalId": ConfigValue("the-external-id", secret=True),
    }
    names = ["-".join(place) for place in PLACES]
    accounts.external_ids = {ROLES[PROD]: "another", ROLES[TEST]: "the-external-id"}
    outputs = stack.up().outputs
    assert outputs["succeeded"] == names[2:]
    assert f"not authorized to perform: sts:AssumeRole on resource: {ROLES[PROD]}" in outputs["readme"]

    accounts.external_ids = dict.fromkeys(ROLES.values(), "the-external-id")
    assert stack.up().outputs["succeeded"] == names
    created = accounts.requests_of("CreateLicenseConversionTaskForResource")
    assert Counter((each.account, each.region, each.parameters["ResourceArn"]) for each in created) == Counter(
        (account, region, f"arn:aws:ec2:{region}:{account}:instance/{name}") for account, region, name in PLACES
    )
    assumed = accounts.requests_of("AssumeRole")
    assert {(request.account, request.parameters["RoleArn"]) for request in assumed} == {
        (MANAGEMENT, role) for role in ROLES.values()
    }
    accounts.requests.clear()
    assert set(stack.up().changes) == {"same"}
    assert accounts.requests == []
    if engine == "real":
        kept = [file.read_text() for file in (tmp_path / "backend").rglob("*.json*")]
        assert any(PLACES[0][2] in text for text in kept)
        assert not any("the-external-id" in text for text in kept)
