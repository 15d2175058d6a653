"""The conversions that AWS's user guide lists, as data."""

from __future__ import annotations

import pytest

from lmconv_resource import usage_operations
from lmconv_resource.models import LicenseContext, ProductCode
from lmconv_resource.usage_operations import ELIGIBLE_PAIRS, find_unlisted_reason


def context(operation: str, codes: tuple[str, ...] = ()) -> LicenseContext:
    return LicenseContext(operation, tuple(ProductCode(code, "marketplace") for code in codes))


RHEL, EMEA = (usage_operations.RHEL_FROM_RED_HAT,), (usage_operations.RHEL_FROM_RED_HAT_EMEA,)
SAP, SAP_EMEA = (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT,), (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT_EMEA,)


@pytest.mark.parametrize(
    ("source", "codes", "destination", "new_codes", "is_listed"),
    [
        ("RunInstances:0010", (), "RunInstances:00g0", (), True),
        ("RunInstances:0010", (), "RunInstances:00g0", RHEL, True),
        ("RunInstances:0010", (), "RunInstances:00g0", SAP_EMEA, True),
        ("RunInstances:00g0", EMEA, "RunInstances:0010", (), True),
        ("RunInstances", RHEL, "RunInstances:0010", (), True),
        ("RunInstances", (), "RunInstances:0g00", (), True),
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
    assert (find_unlisted_reason(context(source, codes), context(destination, new_codes)) is None) is is_listed


def test_a_warning_lists_what_there_is() -> None:
    """What can't be done is answered with what can, and with the reason where there is a known one."""
    two_steps = find_unlisted_reason(context("RunInstances:0102"), context("RunInstances:0800"))
    assert two_steps is not None
    assert two_steps.startswith("AWS converts Windows with SQL Server license included to Windows BYOL in two steps")
    assert two_steps.endswith(
        "The user guide lists, from RunInstances:0102 (Windows with SQL Server Enterprise): "
        "RunInstances:0002 (Windows)."
    )
    back = find_unlisted_reason(context("RunInstances:0g00"), context("RunInstances"))
    assert back == (
        "AWS does not convert Ubuntu Pro back to Ubuntu LTS. "
        "The user guide lists, from RunInstances:0g00 (Ubuntu Pro): nothing."
    )
    sap = find_unlisted_reason(
        context("RunInstances:00g0", (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT,)), context("RunInstances:0010")
    )
    assert sap is not None
    assert "RHEL for SAP sold by Red Hat" in sap


def test_nothing_is_said_of_what_is_not_known() -> None:
    """An unknown code has a warning of its own, and a context without one can't be judged."""
    assert find_unlisted_reason(context("RunInstances:zzzz"), context("RunInstances:0002")) is None
    assert find_unlisted_reason(LicenseContext(), context("RunInstances:0002")) is None


def test_the_pairs_are_each_listed_once() -> None:
    """The data has no double."""
    assert len(set(ELIGIBLE_PAIRS)) == len(ELIGIBLE_PAIRS) == 18
