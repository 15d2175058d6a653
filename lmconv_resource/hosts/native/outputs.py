"""The outputs that the resources and functions have, with their types and descriptions, for the schema."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """An output.

    Args:
        name: as Python programs write it.
        type: as in `lifecycle.inputs.Property`.
        description: what it means, the docstring of the SDK's attribute of the same name.
        always: whether it always has a value.
    """

    name: str
    type: str
    description: str
    always: bool = False


TASK_OUTPUTS = (
    Output("license_conversion_task_id", "string", "The task's id, `lct-…`.", always=True),
    Output("region", "string", "The AWS region that the task was looked up in.", always=True),
    Output("resource_arn", "string", "The ARN of the resource that is converted, an EC2 instance."),
    Output("source_license_context", "license_context", "What the resource was licensed as before."),
    Output("destination_license_context", "license_context", "What the resource is to be licensed as."),
    Output("status", "string", "`IN_PROGRESS`, `SUCCEEDED` or `FAILED`."),
    Output(
        "status_message",
        "string",
        "What AWS says of the status. Control characters are spelled out (`\\x1b`).",
    ),
    Output("start_time", "string", "When the conversion started: RFC 3339, UTC."),
    Output(
        "license_conversion_time",
        "string",
        "When the license was converted, which other steps can follow: RFC 3339, UTC.",
    ),
    Output("end_time", "string", "When the conversion ended: RFC 3339, UTC; None while it runs."),
    Output("is_complete", "boolean", "True once the conversion has ended, in success or in failure.", always=True),
    Output("duration_seconds", "number", "Seconds from start to end by AWS's clock; None until it has ended."),
)

CONVERSION_OUTPUTS = (
    Output(
        "license_conversion_task_id",
        "string",
        "The task's id, `lct-…`; None where EC2 bills the instance as wanted and AWS shows no task that led there.",
    ),
    *TASK_OUTPUTS[1:],
    Output(
        "adopted",
        "boolean",
        "True if the conversion was found instead of started: in progress or done before this resource was created.",
        always=True,
    ),
    Output(
        "verified_usage_operation",
        "string",
        "What EC2 bills the instance as after the end; None without the right to ec2:DescribeInstances.",
    ),
    Output(
        "verified_product_codes",
        "product_code[]",
        "The product codes that EC2 shows of the instance then; None without that right.",
    ),
)
