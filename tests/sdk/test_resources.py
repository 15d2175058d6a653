"""What programs write: typed inputs and outputs, under the names that states hold."""

from __future__ import annotations

import inspect
from ast import unparse
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from make_schema import read_members

from lmconv_resource import (
    AssumeRoleArgs,
    AssumeRoleArgsDict,
    FleetInstanceArgs,
    FleetInstanceArgsDict,
    GetLicenseConversionTaskResult,
    LicenseContext,
    LicenseContextArgs,
    LicenseContextArgsDict,
    LicenseConversion,
    LicenseConversionTask,
    ProductCodeArgs,
    ProductCodeArgsDict,
    UsageOperation,
    get_license_conversion_tasks,
)
from lmconv_resource.aws.access.kinds import ROLE_MEMBERS
from lmconv_resource.models import OUTPUTS
from lmconv_resource.text import to_snake


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


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: LicenseConversionTask("task", licenseConversionTaskId="lct-1"),  # type: ignore[call-arg]
            "LicenseConversionTask() was given licenseConversionTaskId, which is not known: write "
            "license_conversion_task_id",
        ),
        (
            lambda: ProductCodeArgs(product_code="abc"),  # type: ignore[call-arg]
            "ProductCodeArgs() was given product_code, which is not known: write product_code_id",
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


@pytest.mark.parametrize(
    ("of", "form"),
    [
        (AssumeRoleArgs, AssumeRoleArgsDict),
        (LicenseContextArgs, LicenseContextArgsDict),
        (ProductCodeArgs, ProductCodeArgsDict),
        (FleetInstanceArgs, FleetInstanceArgsDict),
    ],
)
def test_a_dict_has_the_members_of_its_class(of: type, form: type) -> None:
    """And says what each means."""
    entries = read_members(form)
    given = inspect.signature(of).parameters
    assert list(entries) == list(form.__annotations__) == list(given)
    assert [name for name, entry in entries.items() if not entry.is_optional] == [
        name for name, each in given.items() if each.default is inspect.Parameter.empty
    ]


def test_a_look_up_returns_what_the_resource_shows() -> None:
    """As plain values."""
    found = GetLicenseConversionTaskResult.__annotations__
    shown = read_members(LicenseConversionTask)
    assert [f"pulumi.Output[{kind}]" for kind in found.values()] == [
        unparse(each.annotation) for each in shown.values()
    ]
    assert list(found) == list(shown)


def test_a_role_is_described_as_the_settings_describe_it() -> None:
    """In the table of settings, from which the documents and the schema are written."""
    members = {name: member.text for name, member in read_members(AssumeRoleArgsDict).items()}
    assert members == {to_snake(member.key): member.description for member in ROLE_MEMBERS}


def test_a_subclass_keeps_the_outputs() -> None:
    """A program may derive its own resource: its outputs are found whatever its module imports."""
    from pulumi._types import resource_types

    namespace: dict[str, Any] = {"pulumi": pulumi, "LicenseConversion": LicenseConversion, "__name__": "elsewhere"}
    exec("class Mine(LicenseConversion, module='lmconv', name='LicenseConversion'): pass", namespace)  # noqa: S102
    assert resource_types(namespace["Mine"])["source_license_context"] is LicenseContext
    assert list(namespace["Mine"].__annotations__) == list(LicenseConversion.__annotations__)
