"""What a program gives is checked and becomes a typed value: each failure names the property, value and remedy."""

from typing import Any

import pytest
from support.job import BYOL, WINDOWS
from support.lifecycle import ARN

from lmconv_resource.lifecycle.inputs import (
    CONVERSION_PROPERTIES,
    TASK_PROPERTIES,
    ConversionInputs,
    TaskInputs,
    misnamed_member,
    unknown_names,
    validate,
    validate_identity,
)
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.models import ConversionRequest, LicenseContext, ProductCode

GOOD: dict[str, Any] = {
    "license_conversion_task_id": "lct-0123456789abcdef0",
    "wait_for_completion": True,
    "ignore_failure": False,
    "region": "eu-west-1",
}


def reasons(**changes: Any) -> list[str]:
    """Return all that is wrong with the inputs of a tracked task, with `changes` made to good ones."""
    inputs = {**GOOD, **changes}
    return [failure.reason for failure in validate_identity(inputs) + validate(inputs, TASK_PROPERTIES)]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"poll_interval_seconds": 10}, []),
        ({"poll_interval_seconds": None}, []),
        (  # all that is wrong, in the order of the arguments
            {"license_conversion_task_id": None, "wait_for_completion": "yes", "ignore_failure": None, "region": None},
            [
                "license_conversion_task_id is missing: set it to the id that AWS License Manager shows for the "
                "conversion (lct-…), or the resource_arn of what is converted",
                "wait_for_completion 'yes' is not a boolean: use True or False",
                "ignore_failure None is not a boolean: use True or False",
                "region is not set: set it on the resource, or run `pulumi config set aws:region REGION`, or set "
                "AWS_REGION",
            ],
        ),
        (
            {"resource_arn": ARN},
            [f"resource_arn '{ARN}' is given together with license_conversion_task_id: leave one of the two out"],
        ),
        (
            {"follow_newest": True},
            ["follow_newest True needs a resource_arn: set that instead of the task's id"],
        ),
        (  # a value that would fill the screen is cut
            {"region": "\x1b" * 1000},
            ["region '" + r"\x1b" * 19 + "… is not an AWS region: use one such as eu-west-1"],
        ),
    ],
)
def test_every_failure_is_told(changes: dict[str, Any], lines: list[str]) -> None:
    assert reasons(**changes) == lines


def test_unknown_values_pass() -> None:
    """What a preview can't know yet is no failure, for any input."""
    for properties in (TASK_PROPERTIES, CONVERSION_PROPERTIES):
        assert validate(dict.fromkeys([entry.name for entry in properties], UNKNOWN), properties) == []
    assert all(reasons(**{name: UNKNOWN}) == [] for name in GOOD)


def test_an_unknown_value_is_found_at_any_depth() -> None:
    deep = {"product_codes": [{"product_code_id": UNKNOWN}]}
    given = {"a": UNKNOWN, "b": deep, "c": [1, {"d": "e"}], "d": None}
    assert unknown_names(given, ["a", "b", "c", "d", "missing"]) == {"a", "b"}


def test_what_a_preview_does_not_know_is_taken_for_what_costs_nothing() -> None:
    """An unknown flag of the wait counts as set, so that a preview shows the wait; no other value is made up."""
    inputs = TaskInputs.parse({**GOOD, "wait_for_completion": UNKNOWN, "license_conversion_task_id": UNKNOWN})
    assert (inputs.wait_for_completion, inputs.license_conversion_task_id) == (True, None)
    assert inputs.unknown == {"wait_for_completion", "license_conversion_task_id"}


def test_inputs_are_parsed_into_a_typed_value() -> None:
    """A property bag becomes a value once, contexts included; what was asked for is kept as the program wrote it."""
    contexts = {
        "source_license_context": {"usage_operation": BYOL},
        "destination_license_context": {"usage_operation": WINDOWS, "product_codes": [{"product_code_id": "abc"}]},
    }
    inputs = ConversionInputs.parse({"resource_arn": ARN, **contexts, "preflight": True, "poll_interval_seconds": 5})
    destination = LicenseContext(WINDOWS, (ProductCode("abc", "marketplace"),))  # AWS knows one type of them
    assert inputs.request == ConversionRequest(ARN, LicenseContext(BYOL), destination)
    assert (inputs.preflight, inputs.poll_interval_seconds, inputs.wait_for_completion) == (True, 5, False)
    assert inputs.asked == {"resource_arn": ARN, **contexts}


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"usage_operation": BYOL, "product_codes": [{"product_code_id": "a"}, UNKNOWN]}, None),
        (UNKNOWN, None),
        ("RunInstances", None),  # a rule's matter
        (
            {"usage_operation": BYOL, "productCodes": []},
            "has the member 'productCodes', which is not known: write product_codes",
        ),
        (
            {"usage_operation": UNKNOWN, "Typo\x1b": 1},
            r"has the member 'Typo\x1b', which is not one of usage_operation, product_codes",
        ),
        (
            {"product_codes": [{"product_code_id": "a"}, {"product_code_id": "a", "ProductCodeType": "x"}]},
            "has the member 'ProductCodeType', which is not known: write product_code_type",
        ),
    ],
)
def test_a_misspelt_member_is_named(context: object, reason: str | None) -> None:
    """At any depth, with the right name where one is close: without it, AWS would be asked for something else."""
    assert misnamed_member(context, "license_context") == reason
    failures = validate({"region": "eu-west-1", "source_license_context": context}, CONVERSION_PROPERTIES)
    found = [failure.reason for failure in failures if failure.property == "source_license_context"]
    assert reason is None or found == [f"source_license_context {reason}"]
