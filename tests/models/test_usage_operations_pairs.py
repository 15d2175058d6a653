"""The conversions that AWS's user guide lists, as data, held against the emulator's own reading of the guide."""

from __future__ import annotations

import itertools

import pytest

from lmconv_resource import UsageOperation, usage_operations
from lmconv_resource.emulator import LicenseContext as EmulatedContext
from lmconv_resource.emulator import ProductCode as EmulatedCode
from lmconv_resource.emulator.eligibility import is_eligible
from lmconv_resource.models import LicenseContext, ProductCode
from lmconv_resource.usage_operations import ELIGIBLE_PAIRS, find_unlisted_reason

CODES = (
    (),
    (usage_operations.RHEL_FROM_RED_HAT,),
    (usage_operations.RHEL_FROM_RED_HAT_EMEA,),
    (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT,),
    (usage_operations.RHEL_FOR_SAP_FROM_RED_HAT_EMEA,),
)


SOLD_BY_RED_HAT = (UsageOperation.RHEL_BYOL, UsageOperation.LINUX)


def context(operation: str, codes: tuple[str, ...] = ()) -> LicenseContext:
    return LicenseContext(operation, tuple(ProductCode(code, "marketplace") for code in codes))


def emulated(operation: str, codes: tuple[str, ...]) -> EmulatedContext:
    return EmulatedContext(operation, tuple(EmulatedCode(code) for code in codes))


@pytest.mark.parametrize("source", UsageOperation)
def test_two_readings_of_the_guide_agree(source: UsageOperation) -> None:
    """Each pair of operations and Red Hat's codes is listed by both readings or by neither."""
    for destination, old, new in itertools.product(UsageOperation, CODES, CODES):
        # Red Hat's codes go with its own kinds of Linux: of others neither reading has anything to say.
        if (old and source not in SOLD_BY_RED_HAT) or (new and destination is not UsageOperation.RHEL_BYOL):
            continue
        if old and (source, destination) == (UsageOperation.LINUX, UsageOperation.UBUNTU_PRO):
            continue
        ours = find_unlisted_reason(context(source.value, old), context(destination.value, new)) is None
        theirs = is_eligible(emulated(source.value, old), emulated(destination.value, new))
        assert ours == theirs, (source, destination, old, new)


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
