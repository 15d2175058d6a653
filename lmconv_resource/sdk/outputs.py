"""The nested outputs, typed, so that `task.source_license_context.usage_operation` works on outputs."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import rpc

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

    product_code_id: str
    """The product code's id: letters and digits, at most 25."""

    product_code_type: str
    """The product code's type. AWS knows one so far, `marketplace`."""


@pulumi.output_type
class LicenseContext(dict[str, object]):
    """What a resource is licensed as, before or after a conversion.

    Example:
        ```python
        task = LicenseConversionTask("task", license_conversion_task_id="lct-0123456789abcdef0")
        pulumi.export("licensed_as", task.destination_license_context.usage_operation)
        ```
    """

    usage_operation: str | None
    """The usage operation, as AWS bills it: `RunInstances:0002` is Windows with the license included."""

    product_codes: list[ProductCode]
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

    number: int
    """Its row in the table, from 1."""

    resource_arn: str
    """Its ARN."""

    outcome: str
    """`SUCCEEDED`, `ALREADY_DONE`, `FAILED`, `REFUSED`, `NOT_BEGUN` or `IN_PROGRESS`."""

    reason: str | None
    """Why it is not converted, in one line; absent where it is."""

    license_conversion_task_id: str | None
    """The task that converts or has converted it."""

    source_usage_operation: str | None
    """What EC2 billed it as before."""

    destination_usage_operation: str | None
    """What it was to be billed as."""

    start_time: str | None
    """When it was begun; absent where nothing was done to it."""

    end_time: str | None
    """When it came to its end."""

    verified_usage_operation: str | None
    """What EC2 bills it as after the end."""

    instance_state: str | None
    """EC2's state of it after the end, such as `running`."""


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
            if name.endswith("_context"):  # the mocks of a unit test may leave out what they like, as AWS may
                value = rpc.translate_output_properties(value or {}, str, LicenseContext)
            pulumi.set(self, name, value)
