"""A program as users write it, checked by mypy and by pyright, and run: every line of it means what its type says."""

import pulumi
from typing_extensions import assert_type

from lmconv_resource import (
    AssumeRoleArgs,
    GetLicenseConversionTaskResult,
    LicenseContext,
    LicenseContextArgs,
    LicenseConversion,
    LicenseConversionTask,
    ProductCode,
    ProductCodeArgs,
    UsageOperation,
    get_license_conversion_task,
    get_license_conversion_task_output,
    get_license_conversion_tasks,
    get_license_conversion_tasks_output,
)

INSTANCE = "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0"

# Inputs are plain values or outputs of other resources.
by_id = LicenseConversionTask(
    "by-id",
    license_conversion_task_id=pulumi.Output.from_input("lct-1"),
    wait_for_completion=True,
    ignore_failure=False,
    region="us-east-1",
    poll_interval_seconds=1,
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3h")),
)
by_arn = LicenseConversionTask("by-arn", resource_arn=by_id.resource_arn, follow_newest=True)
seen = LicenseConversionTask.get("seen", by_id.id, region="us-east-1")
assert_type(seen, LicenseConversionTask)

# Nested inputs are calls of their classes, or dicts whose keys are checked.
with_calls = LicenseConversion(
    "with-calls",
    resource_arn=INSTANCE,
    source_license_context=LicenseContextArgs(usage_operation=UsageOperation.WINDOWS_BYOL),
    destination_license_context=LicenseContextArgs(
        usage_operation="RunInstances:0002",
        product_codes=[ProductCodeArgs(product_code_id="abc"), {"product_code_id": "def"}],
    ),
    preflight=False,
    allow_unlisted_pair=True,
    assume_role=[
        AssumeRoleArgs(role_arn="arn:aws:iam::123456789012:role/a"),
        {"role_arn": "arn:aws:iam::123456789012:role/b"},
    ],
)
source: LicenseContextArgs = {"usage_operation": UsageOperation.WINDOWS_BYOL}
with_dicts = LicenseConversion(
    "with-dicts",
    resource_arn=by_id.resource_arn,
    source_license_context=source,
    destination_license_context={
        "usage_operation": with_calls.destination_license_context.usage_operation,
        "product_codes": [{"product_code_id": "abc", "product_code_type": "marketplace"}],
    },
    allow_unlisted_pair=True,
    assume_role={"role_arn": "arn:aws:iam::123456789012:role/a", "duration": "1h"},
    opts=pulumi.ResourceOptions(depends_on=[by_id, by_arn]),
)

# Outputs have types, and so has what is inside of them.
assert_type(by_id.license_conversion_task_id, pulumi.Output[str])
assert_type(by_id.is_complete, pulumi.Output[bool])
assert_type(by_id.duration_seconds, "pulumi.Output[float | None]")
assert_type(by_id.source_license_context, pulumi.Output[LicenseContext])
assert_type(with_dicts.adopted, pulumi.Output[bool])
assert_type(with_dicts.verified_usage_operation, "pulumi.Output[str | None]")


def first_code(context: LicenseContext) -> str | None:
    """Return what a program takes from a nested output."""
    if not context.product_codes:
        return None
    assert_type(context.product_codes[0], ProductCode)
    return context.product_codes[0].product_code_id


pulumi.export("usage_operation", by_id.destination_license_context.usage_operation)  # lifted
pulumi.export("first_code", by_id.destination_license_context.apply(first_code))

# Look-ups give plain values, and outputs of them where their arguments are outputs.
task = get_license_conversion_task("lct-1", region="us-east-1")
assert_type(task, GetLicenseConversionTaskResult)
assert_type(task.status, str)
assert_type(task.is_complete, bool)
assert_type(task.source_license_context.usage_operation, "str | None")
later = get_license_conversion_task_output(by_id.id)
assert_type(later, pulumi.Output[GetLicenseConversionTaskResult])
pulumi.export("later", later.status)
tasks = get_license_conversion_tasks(resource_arns=[INSTANCE], statuses=["FAILED"])
assert_type(tasks, list[GetLicenseConversionTaskResult])
pulumi.export("failed", [each.license_conversion_task_id for each in tasks])
all_tasks = get_license_conversion_tasks_output(resource_arns=[by_id.resource_arn])
assert_type(all_tasks, pulumi.Output[list[GetLicenseConversionTaskResult]])
