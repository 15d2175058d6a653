"""The usage operations that AWS publishes, what they are called, and which conversions AWS's guide rules out."""

import re

import pytest

from lmconv_resource import usage_operations
from lmconv_resource.models import LicenseContext, ProductCode
from lmconv_resource.usage_operations import ELIGIBLE_PAIRS, UsageOperation, describe, unlisted_reason


def test_each_has_a_code_and_a_meaning_of_its_own() -> None:
    """A constant is the code that AWS takes, and says what it stands for; an unknown code is shown as it is."""
    for operation in UsageOperation:
        assert re.fullmatch(r"RunInstances(:[0-9a-z]{4})?", operation.value)
        assert describe(operation.value) == f"{operation.value} ({operation.meaning})"
    assert len({operation.meaning for operation in UsageOperation} - {""}) == len(UsageOperation)
    assert len(set(ELIGIBLE_PAIRS)) == len(ELIGIBLE_PAIRS) == 18
    assert describe("RunInstances:9999") == "RunInstances:9999"


def context(operation: str, codes: tuple[str, ...] = ()) -> LicenseContext:
    return LicenseContext(operation, tuple(ProductCode(code, "marketplace") for code in codes))


RHEL, EMEA = (usage_operations.RHEL_FROM_RED_HAT,), (usage_operations.RHEL_FROM_RED_HAT_EMEA,)
SAP, SAP_EMEA = (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT,), (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT_EMEA,)
NO_SQL_ON_BYOL = "AWS does not support Windows BYOL with SQL Server license included."


@pytest.mark.parametrize(
    ("source", "codes", "destination", "new_codes", "is_listed"),
    [
        ("RunInstances:0010", (), "RunInstances:00g0", (), True),
        ("RunInstances:0010", (), "RunInstances:00g0", RHEL, True),
        ("RunInstances:0010", (), "RunInstances:00g0", SAP_EMEA, True),
        ("RunInstances:00g0", EMEA, "RunInstances:0010", (), True),
        ("RunInstances", RHEL, "RunInstances:0010", (), True),
        ("RunInstances", (), "RunInstances:0g00", (), True),
        ("RunInstances:0002", (), "RunInstances:0800", (), True),
        ("RunInstances:0800", (), "RunInstances:0202", (), True),
        ("RunInstances", (), "RunInstances:0010", (), False),
        ("RunInstances:0010", (), "RunInstances:00g0", ("abc",), True),  # a product that is not known here
        ("RunInstances:00g0", SAP, "RunInstances:0010", (), False),
        ("RunInstances:00g0", RHEL, "RunInstances:00g0", EMEA, False),
        ("RunInstances:0006", (), "RunInstances:0102", (), False),
    ],
)
def test_what_the_guide_lists(
    source: str, codes: tuple[str, ...], destination: str, new_codes: tuple[str, ...], is_listed: bool
) -> None:
    """Red Hat's product codes say whose subscription it is, and of RHEL for SAP there is no way back."""
    assert (unlisted_reason(context(source, codes), context(destination, new_codes)) is None) is is_listed


@pytest.mark.parametrize(
    ("source", "codes", "destination", "warning"),
    [
        ("RunInstances:0800", (), "RunInstances:0100", NO_SQL_ON_BYOL),
        ("RunInstances:0004", (), "RunInstances:0800", NO_SQL_ON_BYOL),
        (
            "RunInstances:0102",
            (),
            "RunInstances:0800",
            "AWS converts Windows with SQL Server license included to Windows BYOL in two steps: uninstall SQL Server "
            "and convert to RunInstances:0002 (Windows) first. The user guide lists, from RunInstances:0102 (Windows "
            "with SQL Server Enterprise): RunInstances:0002 (Windows).",
        ),
        (
            "RunInstances:0g00",
            (),
            "RunInstances",
            "AWS does not convert Ubuntu Pro back to Ubuntu LTS. The user guide lists, from RunInstances:0g00 (Ubuntu "
            "Pro): nothing.",
        ),
        ("RunInstances:00g0", SAP, "RunInstances:0010", "RHEL for SAP sold by Red Hat"),
    ],
)
def test_a_warning_lists_what_there_is(source: str, codes: tuple[str, ...], destination: str, warning: str) -> None:
    """What can't be done is answered with what can, and with the reason where there is a known one."""
    assert warning in (unlisted_reason(context(source, codes), context(destination)) or "")


def test_nothing_is_said_of_what_is_not_known() -> None:
    """An unknown code has a warning of its own, and a context without one can't be judged."""
    assert unlisted_reason(context("RunInstances:zzzz"), context("RunInstances:0002")) is None
    assert unlisted_reason(LicenseContext(), context("RunInstances:0002")) is None
