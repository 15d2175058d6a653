"""The usage operations that AWS publishes, what they are called, and which conversions AWS's guide rules out."""

from __future__ import annotations

import re

import pytest

from lmconv_resource.models import LicenseContext
from lmconv_resource.usage_operations import UsageOperation, describe, find_unlisted_reason


@pytest.mark.parametrize("operation", UsageOperation)
def test_each_has_a_code_and_a_meaning(operation: UsageOperation) -> None:
    """A constant is the code that AWS takes, and says what it stands for."""
    assert re.fullmatch(r"RunInstances(:[0-9a-z]{4})?", operation.value)
    assert operation.meaning
    assert describe(operation.value) == f"{operation.value} ({operation.meaning})"


def test_no_meaning_stands_twice() -> None:
    """Two codes that are called the same could not be told apart."""
    assert len({operation.meaning for operation in UsageOperation}) == len(UsageOperation)


def test_an_unknown_code_is_shown_as_it_is() -> None:
    """A code that AWS adds tomorrow passes, without a meaning."""
    assert describe("RunInstances:9999") == "RunInstances:9999"


@pytest.mark.parametrize(
    ("source", "destination", "warning"),
    [
        (
            "RunInstances:0800",
            "RunInstances:0100",
            "AWS does not support Windows BYOL with SQL Server license included.",
        ),
        (
            "RunInstances:0004",
            "RunInstances:0800",
            "AWS does not support Windows BYOL with SQL Server license included.",
        ),
        (
            "RunInstances:0202",
            "RunInstances:0800",
            "AWS converts Windows with SQL Server license included to Windows BYOL in two steps: uninstall SQL Server "
            "and convert to RunInstances:0002 (Windows) first.",
        ),
        ("RunInstances:0g00", "RunInstances", "AWS does not convert Ubuntu Pro back to Ubuntu LTS."),
        ("RunInstances", "RunInstances:0g00", None),
        ("RunInstances:0800", "RunInstances:0002", None),
        ("RunInstances:0002", "RunInstances:0800", None),
        ("RunInstances:0800", "RunInstances:0202", None),
    ],
)
def test_what_aws_does_not_convert_is_said(source: str, destination: str, warning: str | None) -> None:
    """Known impossible pairs have a sentence each; the guide's pairs have none."""
    said = find_unlisted_reason(LicenseContext(source), LicenseContext(destination))
    assert said is None if warning is None else (said or "").startswith(warning)
