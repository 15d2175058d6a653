"""What is wrong with a value, in the words that follow the property's name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.lifecycle import ARN, BYOL, WINDOWS

from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.lifecycle.validation import (
    LONGEST_POLL_SECONDS,
    list_of,
    optional,
    validate_arn,
    validate_context,
    validate_flag,
    validate_poll_interval,
    validate_region,
    validate_status,
    validate_task_id,
)


@pytest.mark.parametrize("task_id", ["lct-0", "lct-0123456789abcdef0", "lct-" + "a" * 46, "lct-ABCxyz"])
def test_task_ids(task_id: str) -> None:
    """`lct-` and letters and digits, up to 50 characters in all, is an id."""
    assert validate_task_id(task_id) is None


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "lct-",
        "lct",
        "i-0123456789abcdef0",
        "lct-a b",
        "lct-a\n",
        " lct-a",
        "LCT-a",
        "lct-é",
        "lct-" + "a" * 47,
        5,
        True,
    ],
)
def test_what_is_no_task_id(task_id: Any) -> None:
    """Anything else is refused, and the line shows it with its odd characters spelled out."""
    assert validate_task_id(task_id) == (
        f"{task_id!r} is not the id of a license conversion task: use lct- followed by letters and digits, "
        "at most 50 characters in all"
    )


@pytest.mark.parametrize(
    "region",
    [
        "eu-west-1",
        "us-gov-west-1",
        "cn-northwest-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "ap-southeast-7",
        "eusc-de-east-1",
    ],
)
def test_regions(region: str) -> None:
    assert validate_region(region) is None


@pytest.mark.parametrize(
    "region", ["", "Ireland", "eu-west", "EU-WEST-1", "eu-west-1a", "eu-west-1 ", "eu.west.1/x", 1]
)
def test_what_is_no_region(region: Any) -> None:
    """What can't be part of an endpoint's name as AWS builds them is refused before any call."""
    assert validate_region(region) == f"{region!r} is not an AWS region: use one such as eu-west-1"


@pytest.mark.parametrize("seconds", [1, 1.0, 2.5, LONGEST_POLL_SECONDS])
def test_poll_intervals(seconds: float) -> None:
    """Any number of seconds from 1 to 300 passes."""
    assert validate_poll_interval(seconds) is None


@pytest.mark.parametrize("seconds", [0, 0.99, 300.5, -1, math.nan, math.inf, "10", True, [10]])
def test_what_is_no_poll_interval(seconds: Any) -> None:
    assert validate_poll_interval(seconds) == (
        f"{seconds!r} is not a number of seconds from 1 to 300: use one, or leave it out"
    )


@pytest.mark.parametrize(
    "arn",
    [
        ARN,
        "arn:aws-us-gov:ec2:us-gov-west-1:123456789012:instance/i-0",
        "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0",
        "arn:aws:license-manager:::x",
    ],
)
def test_arns(arn: str) -> None:
    assert validate_arn(arn) is None


@pytest.mark.parametrize("arn", ["", "i-0abc", "arn:aws:ec2", f"{ARN} ", f"{ARN}\n", "ARN:aws:ec2:a:1:b", 5, ["arn"]])
def test_what_is_no_arn(arn: Any) -> None:
    """What AWS's own pattern does not match is refused with an example."""
    assert validate_arn(arn) == (
        f"{arn!r} is not an ARN: use one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc"
    )


def test_an_arn_has_an_end() -> None:
    """AWS allows 2048 characters, and of what is behind the account 1024."""
    start = "arn:aws:ec2:eu-west-1:123456789012:"
    assert validate_arn(start + "i" * 1024) is None
    assert str(validate_arn(start + "i" * 1025)).endswith("instance/i-0abc")


@pytest.mark.parametrize(
    "context",
    [
        {"usage_operation": BYOL},
        {"usage_operation": UNKNOWN},
        {"product_codes": UNKNOWN},
        {"product_codes": [UNKNOWN, {"product_code_id": UNKNOWN}, {"product_code_id": "abc"}]},
        {"usage_operation": WINDOWS, "product_codes": [{"product_code_id": "a" * 25}]},
        {"product_codes": [{"product_code_id": "a", "product_code_type": "marketplace"}]},
    ],
)
def test_contexts(context: Any) -> None:
    """A context names a usage operation, product codes, or both; what is not known yet passes, at any depth."""
    assert validate_context(context) is None


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (
            None,
            "is missing: set it to a LicenseContextArgs, such as "
            'LicenseContextArgs(usage_operation="RunInstances:0002")',
        ),
        (
            BYOL,
            f"'{BYOL}' is not a LicenseContextArgs, such as LicenseContextArgs(usage_operation=\"RunInstances:0002\")",
        ),
        ({}, "has neither a usage_operation nor product_codes: set what AWS shows for the instance"),
        ({"product_codes": []}, "has neither a usage_operation nor product_codes: set what AWS shows for the instance"),
        (
            {"usage_operation": ""},
            "has the usage_operation '': use a string of at most 50 characters, such as RunInstances:0002",
        ),
        (
            {"usage_operation": "R" * 51},
            f"has the usage_operation '{'R' * 51}': use a string of at most 50 characters, such as RunInstances:0002",
        ),
        (
            {"product_codes": "abc"},
            "has the product_codes 'abc': use a list, each entry a ProductCodeArgs, such as "
            'ProductCodeArgs(product_code_id="abc123")',
        ),
        (
            {"product_codes": [{"product_code_id": "a-b"}]},
            "has the product_code_id 'a-b': use one of at most 25 letters and digits",
        ),
        (
            {"product_codes": ["abc"]},
            "has 'abc' among the product_codes, which is not a ProductCodeArgs, such as "
            'ProductCodeArgs(product_code_id="abc123")',
        ),
        (
            {"product_codes": [{"product_code_id": "abc", "product_code_type": "x"}]},
            "has the product_code_type 'x': use marketplace, or leave it out",
        ),
    ],
)
def test_what_is_no_context(context: Any, reason: str) -> None:
    """What AWS would refuse is refused before any call."""
    assert validate_context(context) == reason


def test_statuses() -> None:
    """AWS's three statuses pass, in AWS's spelling."""
    assert [validate_status(status) for status in ("IN_PROGRESS", "SUCCEEDED", "FAILED")] == [None] * 3
    assert validate_status("failed") == "has 'failed', which is not a status: use IN_PROGRESS, SUCCEEDED, FAILED"


def test_a_rule_can_be_optional_or_of_a_list() -> None:
    """An optional rule lets None pass; a list's rule names the first entry that is wrong."""
    flags = list_of(validate_flag, "a list of booleans")

    assert optional(validate_flag)(None) is None
    assert optional(validate_flag)(1) == validate_flag(1) == "1 is not a boolean: use True or False"
    assert flags(None) is flags([]) is flags((True, False)) is None
    assert flags([True, "x", 5]) == "'x' is not a boolean: use True or False"
    assert flags("x") == "'x' is not a list: use a list of booleans"
