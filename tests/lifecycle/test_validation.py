"""What is wrong with a value, in the words that follow the property's name."""

import math
from typing import Any

import pytest
from support.job import BYOL, WINDOWS
from support.lifecycle import ARN

from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.lifecycle.validation import (
    LONGEST_POLL_SECONDS,
    Rule,
    list_of,
    optional,
    validate_context,
    validate_flag,
    validate_instance_arn,
    validate_poll_interval,
    validate_region,
    validate_status,
    validate_task_id,
)

LONGEST_ARN = f"arn:aws:ec2:eu-west-1:123456789012:instance/i-{'0' * 1013}"


@pytest.mark.parametrize(
    ("rule", "good", "bad", "reason"),
    [
        (
            validate_task_id,
            ["lct-0", "lct-0123456789abcdef0", "lct-" + "a" * 46, "lct-ABCxyz"],
            ["", "lct-", "lct", "i-0123", "lct-a b", "lct-a\n", " lct-a", "LCT-a", "lct-é", "lct-" + "a" * 47, 5, True],
            "is not the id of a license conversion task: use lct- followed by letters and digits, at most 50 "
            "characters in all",
        ),
        (
            validate_region,
            ["eu-west-1", "us-gov-west-1", "cn-northwest-1", "us-isob-east-1", "ap-southeast-7", "eusc-de-east-1"],
            ["", "Ireland", "eu-west", "EU-WEST-1", "eu-west-1a", "eu-west-1 ", "eu.west.1/x", 1],
            "is not an AWS region: use one such as eu-west-1",
        ),
        (
            validate_poll_interval,
            [1, 1.0, 2.5, LONGEST_POLL_SECONDS],
            [0, 0.99, 300.5, -1, math.nan, math.inf, "10", True, [10]],
            "is not a number of seconds from 1 to 300: use one, or leave it out",
        ),
        (
            validate_instance_arn,
            [ARN, ARN.replace("aws", "aws-us-gov"), LONGEST_ARN],
            ["", "i-0abc", f"{ARN} ", f"{ARN}\n", 5, ["arn"], ARN.replace("instance", "image")],
            "is not the ARN of an EC2 instance: use one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        ),
        (validate_flag, [True, False], [1, "x"], "is not a boolean: use True or False"),
    ],
)
def test_what_passes_and_what_is_refused(rule: Rule, good: list[Any], bad: list[Any], reason: str) -> None:
    """What AWS's own patterns do not match is refused before any call, shown with its odd characters spelled out."""
    assert [rule(value) for value in good] == [None] * len(good)
    assert [rule(value) for value in bad] == [f"{value!r} {reason}" for value in bad]


def test_an_arn_has_an_end() -> None:
    """Of what is behind the account AWS allows 1024 characters."""
    assert str(validate_instance_arn(f"{LONGEST_ARN}0")).endswith("instance/i-0abc")


@pytest.mark.parametrize(
    "context",
    [
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


SUCH_AS = 'LicenseContextArgs(usage_operation="RunInstances:0002")'
NEITHER = "has neither a usage_operation nor product_codes: set what AWS shows for the instance"
OPERATION = "has the usage_operation {!r}: use a string of at most 50 characters, such as RunInstances:0002"
CODE = 'a ProductCodeArgs, such as ProductCodeArgs(product_code_id="abc123")'


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (None, f"is missing: set it to a LicenseContextArgs, such as {SUCH_AS}"),
        (BYOL, f"'{BYOL}' is not a LicenseContextArgs, such as {SUCH_AS}"),
        ({}, NEITHER),
        ({"product_codes": []}, NEITHER),
        ({"usage_operation": ""}, OPERATION.format("")),
        ({"usage_operation": "R" * 51}, OPERATION.format("R" * 51)),
        ({"product_codes": "abc"}, f"has the product_codes 'abc': use a list, each entry {CODE}"),
        (
            {"product_codes": [{"product_code_id": "a-b"}]},
            "has the product_code_id 'a-b': use one of at most 25 letters and digits",
        ),
        ({"product_codes": ["abc"]}, f"has 'abc' among the product_codes, which is not {CODE}"),
        (
            {"product_codes": [{"product_code_id": "abc", "product_code_type": "x"}]},
            "has the product_code_type 'x': use marketplace, or leave it out",
        ),
    ],
)
def test_what_is_no_context(context: Any, reason: str) -> None:
    assert validate_context(context) == reason


def test_statuses() -> None:
    """AWS's three statuses pass, in AWS's spelling."""
    assert [validate_status(status) for status in ("IN_PROGRESS", "SUCCEEDED", "FAILED")] == [None] * 3
    assert validate_status("failed") == "has 'failed', which is not a status: use IN_PROGRESS, SUCCEEDED, FAILED"


def test_a_rule_can_be_optional_or_of_a_list() -> None:
    """An optional rule lets None pass; a list's rule names the first entry that is wrong."""
    flags = list_of(validate_flag, "a list of booleans")
    assert optional(validate_flag)(None) is flags(None) is flags([]) is flags((True, False)) is None
    assert optional(validate_flag)(1) == validate_flag(1)
    assert flags([True, "x", 5]) == "'x' is not a boolean: use True or False"
    assert flags("x") == "'x' is not a list: use a list of booleans"
