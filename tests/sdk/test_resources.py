"""What programs write: typed inputs and outputs, under the names that states hold."""

from __future__ import annotations

from typing import Any

import pulumi

from lmconv_resource import (
    LicenseContext,
    LicenseContextArgs,
    LicenseConversion,
    LicenseConversionTask,
    ProductCodeArgs,
    UsageOperation,
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


def test_args_are_values() -> None:
    """What was given to the args can be read from them."""
    code = ProductCodeArgs(product_code_id="abc")
    context = LicenseContextArgs(usage_operation=UsageOperation.WINDOWS, product_codes=[code])

    assert (context.usage_operation, context.product_codes) == ("RunInstances:0002", [code])
    assert (code.product_code_id, code.product_code_type) == ("abc", "marketplace")


def test_a_subclass_keeps_the_outputs() -> None:
    """A program may derive its own resource: its outputs are found whatever its module imports."""
    from pulumi._types import resource_types

    namespace: dict[str, Any] = {"pulumi": pulumi, "LicenseConversion": LicenseConversion, "__name__": "elsewhere"}
    exec("class Mine(LicenseConversion, module='lmconv', name='LicenseConversion'): pass", namespace)  # noqa: S102

    assert resource_types(namespace["Mine"])["source_license_context"] is LicenseContext
    assert list(namespace["Mine"].__annotations__) == list(LicenseConversion.__annotations__)
