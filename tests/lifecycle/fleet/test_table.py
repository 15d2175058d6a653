"""A fleet's table: its rows, and all that is wrong with it at once."""

from typing import Any

import pytest

from lmconv_resource.lifecycle.fleet.table import FleetInputs, check_fleet
from lmconv_resource.lifecycle.operation import UNKNOWN

ARN, OTHER = (f"arn:aws:ec2:eu-west-{n}:12345678901{n}:instance/i-0{n}" for n in (1, 2))
WINDOWS, BYOL = {"usage_operation": "RunInstances:0002"}, {"usage_operation": "RunInstances:0800"}


def test_rows_are_conversions() -> None:
    """A row is what a LicenseConversion would take, with the fleet's own where it says nothing itself."""
    rows = FleetInputs.parse(
        {
            "instances": [
                {"resource_arn": ARN, "retry_failed": True, "profile": "prod"},
                {"resource_arn": OTHER, "name": "db", "destination_license_context": BYOL},
            ],
            "destination_license_context": WINDOWS,
            "stop_and_restart": True,
            "force_stop_after": "8m",
        }
    ).rows
    assert rows is not None
    assert [(row.number, row.name, row.account_and_region) for row in rows] == [
        (1, "i-01", ("123456789011", "eu-west-1")),
        (2, "db", ("123456789012", "eu-west-2")),
    ]
    assert [row.summary for row in rows] == [
        "i-01 → RunInstances:0002 (Windows), once more if it FAILED",
        "i-02 → RunInstances:0800 (Windows BYOL)",
    ]
    first, second = (row.conversion for row in rows)
    assert (first.resource_arn, first.region, first.profile, first.retry_failed) == (ARN, "eu-west-1", "prod", True)
    assert (second.stop_and_restart, second.force_stop_after, second.wait_for_completion) == (True, "8m", True)
    assert [each.destination_license_context.usage_operation for each in (first, second)] == [
        WINDOWS["usage_operation"],
        BYOL["usage_operation"],
    ]


def test_what_a_preview_does_not_know_is_no_row_yet() -> None:
    """Neither is a row of which something is unknown; of an unknown table nothing is known."""
    rows = FleetInputs.parse(
        {"instances": [UNKNOWN, {"resource_arn": UNKNOWN, "name": "a"}, {"resource_arn": ARN}]}
    ).rows
    assert rows is not None
    assert [(row.name, row.is_known) for row in rows] == [("row 1", False), ("a", False), ("i-01", True)]
    assert FleetInputs.parse({"instances": UNKNOWN}).rows is None
    assert check_fleet({"instances": UNKNOWN, "max_concurrent": UNKNOWN, "canaries": 0}) is None
    assert check_fleet({"instances": [UNKNOWN], "max_concurrent": 20, "canaries": 0}) is None


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ({"instances": None}, "instances None is not a list"),
        ({"instances": ["i-01"]}, "instances, row 1: 'i-01' is not an object with a resource_arn"),
        ({"instances": [{"name": "a"}]}, "instances, row 1 (a): resource_arn is missing"),
        ({"instances": [{"resource_arn": "i-01"}]}, "instances, row 1 (i-01): resource_arn 'i-01' is not the ARN"),
        ({"instances": [{"resource_arn": ARN, "name": " "}]}, "name ' ' is not a string"),
        ({"instances": [{"resource_arn": ARN, "arn": ARN}]}, "'arn' is not a member: write resource_arn"),
        ({"instances": [{"resource_arn": ARN}], "destination_license_context": None}, "it has no destination_license_"),
        ({"max_concurrent": 0.0}, "max_concurrent 0 is not a whole number of at least 1"),
        ({"canaries": 1.5}, "canaries 1.5 is not a whole number of at least 0"),
        ({"stop_after_failures": "2"}, "stop_after_failures '2' is not a whole number of at least 1"),
        ({"begin_within": "tonight"}, "begin_within 'tonight' is not a duration"),
        ({"force_stop_after": "8m"}, "force_stop_after needs stop_and_restart=True"),
    ],
)
def test_what_is_wrong_is_said(inputs: dict[str, Any], line: str) -> None:
    given = {"instances": [], "destination_license_context": WINDOWS, "max_concurrent": 20, "canaries": 0, **inputs}
    problem = check_fleet(given)
    assert problem is not None
    assert line in problem
    assert "\n" not in problem


def test_all_that_is_wrong_is_one_text() -> None:
    """Every wrong row and limit has a line, in the table's order; the ARN of one row and the name of another count."""
    problem = check_fleet(
        {
            "instances": [
                {"resource_arn": ARN},
                {"resource_arn": ARN},
                {"resource_arn": OTHER, "name": "i-01"},
                {"resource_arn": OTHER, "destination_license_context": {"usage_operation": "RunInstances:2"}},
                {"resource_arn": OTHER.replace("i-02", "i-03"), "profile": 7},
            ],
            "destination_license_context": WINDOWS,
            "max_concurrent": -1,
            "canaries": 0,
        }
    )
    assert problem is not None
    assert problem.splitlines() == [
        "The fleet can't be used:",
        "  max_concurrent -1 is not a whole number of at least 1",
        "  instances, row 2 (i-01): its resource_arn is that of row 1 too",
        "  instances, row 3 (i-01): its name is that of row 1 too",
        "  instances, row 4 (i-02): its resource_arn is that of row 3 too",
        "  instances, row 5 (i-03): profile 7 is not a string: use a name",
    ]
