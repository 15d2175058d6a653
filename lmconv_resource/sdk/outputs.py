"""The nested outputs, typed, so that `task.source_license_context.usage_operation` works on outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from lmconv_resource.models import OUTPUTS


@pulumi.output_type
class ProductCode(dict[str, str]):
    """A product code of a license context.

    Example:
        ```python
        def to_ids(context: LicenseContext) -> list[str]:
            return [code.product_code_id for code in context.product_codes]
        ```
    """

    product_code_id: str = pulumi.property("product_code_id")
    """The product code's id: letters and digits, at most 25."""

    product_code_type: str = pulumi.property("product_code_type")
    """The product code's type. AWS knows one so far, `marketplace`."""

    def __init__(self, *, product_code_id: str, product_code_type: str) -> None:
        pulumi.set(self, "product_code_id", product_code_id)
        pulumi.set(self, "product_code_type", product_code_type)


@pulumi.output_type
class LicenseContext(dict[str, object]):
    """What a resource is licensed as, before or after a conversion.

    Example:
        ```python
        task = LicenseConversionTask("task", license_conversion_task_id="lct-0123456789abcdef0")
        pulumi.export("licensed_as", task.destination_license_context.usage_operation)
        ```
    """

    usage_operation: str | None = pulumi.property("usage_operation")
    """The usage operation, as AWS bills it: `RunInstances:0002` is Windows with the license included."""

    product_codes: list[ProductCode] = pulumi.property("product_codes")
    """The product codes, an empty list where there are none."""

    def __init__(self, *, usage_operation: str | None = None, product_codes: list[ProductCode] | None = None) -> None:
        pulumi.set(self, "usage_operation", usage_operation)
        pulumi.set(self, "product_codes", product_codes or [])


@pulumi.output_type
class FleetInstanceOutcome(dict[str, object]):
    """What became of an instance of a fleet. Times are RFC 3339 in UTC.

    Example:
        ```python
        def to_reason(outcome: FleetInstanceOutcome) -> str:
            return f"{outcome.outcome}: {outcome.reason}"
        ```
    """

    number: int = pulumi.property("number")
    """Its row in the table, from 1."""

    resource_arn: str = pulumi.property("resource_arn")
    """Its ARN."""

    outcome: str = pulumi.property("outcome")
    """`SUCCEEDED`, `ALREADY_DONE`, `FAILED`, `REFUSED`, `NOT_BEGUN` or `IN_PROGRESS`."""

    reason: str | None = pulumi.property("reason")
    """Why it is not converted, in one line; absent where it is."""

    license_conversion_task_id: str | None = pulumi.property("license_conversion_task_id")
    """The task that converts or has converted it."""

    source_usage_operation: str | None = pulumi.property("source_usage_operation")
    """What EC2 billed it as before."""

    destination_usage_operation: str | None = pulumi.property("destination_usage_operation")
    """What it was to be billed as."""

    start_time: str | None = pulumi.property("start_time")
    """When it was begun; absent where nothing was done to it."""

    end_time: str | None = pulumi.property("end_time")
    """When it came to its end."""

    verified_usage_operation: str | None = pulumi.property("verified_usage_operation")
    """What EC2 bills it as after the end."""

    instance_state: str | None = pulumi.property("instance_state")
    """EC2's state of it after the end, such as `running`."""

    def __init__(self, **members: object) -> None:
        for name in type(self).__annotations__:
            pulumi.set(self, name, members.get(name))


@pulumi.output_type
class GetLicenseConversionTaskResult:
    """A license conversion task as it was looked up: the outputs of `LicenseConversionTask`, as plain values.

    No dict, as with the results of Pulumi's own functions: `pulumi.Output.all` would make a plain dict of it.

    Example:
        ```python
        task = get_license_conversion_task("lct-0123456789abcdef0")
        if task.status == "FAILED":
            pulumi.warn(f"{task.resource_arn}: {task.status_message}")
        ```
    """

    license_conversion_task_id: str
    region: str
    resource_arn: str
    source_license_context: LicenseContext
    destination_license_context: LicenseContext
    status: str
    status_message: str | None
    start_time: str | None
    license_conversion_time: str | None
    end_time: str | None
    is_complete: bool
    duration_seconds: float | None

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        for name in OUTPUTS:
            value = outputs.get(name)
            pulumi.set(self, name, _to_context(value) if name.endswith("_context") else value)


def _to_context(outputs: Mapping[str, Any] | None) -> LicenseContext:
    # The mocks of a unit test may leave out what they like, as AWS may.
    outputs = outputs or {}
    names = ("product_code_id", "product_code_type")
    codes = [ProductCode(**{name: code.get(name) for name in names}) for code in outputs.get("product_codes") or ()]
    return LicenseContext(usage_operation=outputs.get("usage_operation"), product_codes=codes)
