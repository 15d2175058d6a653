import pulumi

from lmconv_resource import LicenseConversionTask

config = pulumi.Config()

task = LicenseConversionTask(
    "conversion",
    license_conversion_task_id=config.require("licenseConversionTaskId"),
    wait_for_completion=config.get_bool("waitForCompletion"),
    region=config.get("region") or None,
)

# What depends on the conversion comes after it: here, a note in the stack of what was converted to what, and when.
note = pulumi.Stash(
    "note",
    input={
        "resource": task.resource_arn,
        "from": task.source_license_context.usage_operation,
        "to": task.destination_license_context.usage_operation,
        "at": task.license_conversion_time,
    },
)

pulumi.export("license_conversion_task_id", task.license_conversion_task_id)
pulumi.export("region", task.region)
pulumi.export("resource_arn", task.resource_arn)
pulumi.export("source_license_context", task.source_license_context)
pulumi.export("destination_license_context", task.destination_license_context)
pulumi.export("status", task.status)
pulumi.export("status_message", task.status_message)
pulumi.export("start_time", task.start_time)
pulumi.export("license_conversion_time", task.license_conversion_time)
pulumi.export("end_time", task.end_time)
pulumi.export("is_complete", task.is_complete)
pulumi.export("duration_seconds", task.duration_seconds)
pulumi.export("note", note.input)  # a stash's output would stay what it was at first
