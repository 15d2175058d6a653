"""What programs write: typed inputs and outputs, under the names that states hold."""

from collections.abc import Callable
from typing import Any, get_args

import pulumi
import pytest

from lmconv_resource import (
    GetLicenseConversionTaskResult,
    LicenseContext,
    LicenseContextArgs,
    LicenseConversion,
    LicenseConversionTask,
    ProductCodeArgs,
    UsageOperation,
    get_license_conversion_tasks,
)
from lmconv_resource.models import OUTPUTS


def test_what_is_recorded_is_an_output_of_the_resource() -> None:
    """Programs see each output, with its type, under the name that it has in the state."""
    assert list(LicenseConversionTask.__annotations__) == list(OUTPUTS)
    assert set(LicenseConversion.__annotations__) == {
        *OUTPUTS,
        "adopted",
        "verified_usage_operation",
        "verified_product_codes",
    }


def test_a_call_of_a_nested_inputs_class_makes_a_dict() -> None:
    """A program may write either."""
    code = ProductCodeArgs(product_code_id="abc")
    context = LicenseContextArgs(usage_operation=UsageOperation.WINDOWS, product_codes=[code])
    assert context == {"usage_operation": "RunInstances:0002", "product_codes": [{"product_code_id": "abc"}]}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: LicenseConversionTask("task", licenseConversionTaskId="lct-1"),  # type: ignore[call-arg]
            "LicenseConversionTask() was given licenseConversionTaskId, which is not known: write "
            "license_conversion_task_id",
        ),
        (
            lambda: get_license_conversion_tasks(status=["FAILED"]),  # type: ignore[call-arg]
            "get_license_conversion_tasks() was given status, which is not known: write statuses",
        ),
    ],
)
def test_an_argument_that_is_none_is_refused_with_the_right_one(make: Callable[[], object], reason: str) -> None:
    """Whatever takes arguments."""
    with pytest.raises(TypeError) as raised:
        make()
    assert str(raised.value) == reason


def test_a_look_up_returns_what_the_resource_shows() -> None:
    """As plain values."""
    found = GetLicenseConversionTaskResult.__annotations__.items()
    shown = LicenseConversionTask.__annotations__.items()
    assert list(found) == [(name, *get_args(kind)) for name, kind in shown]


def test_a_subclass_keeps_the_outputs() -> None:
    """A program may derive its own resource: its outputs are found whatever its module imports."""
    from pulumi._types import resource_types

    namespace: dict[str, Any] = {"pulumi": pulumi, "LicenseConversion": LicenseConversion, "__name__": "elsewhere"}
    exec("class Mine(LicenseConversion, module='lmconv', name='LicenseConversion'): pass", namespace)  # noqa: S102
    assert resource_types(namespace["Mine"])["source_license_context"] is LicenseContext
    assert list(namespace["Mine"].__annotations__) == list(LicenseConversion.__annotations__)
