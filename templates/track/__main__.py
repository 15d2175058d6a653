import pulumi

from lmconv_resource import LicenseConversionTask

config = pulumi.Config()

task = LicenseConversionTask(
    "conversion",
    license_conversion_task_id=config.require("licenseConversionTaskId"),
    wait_for_completion=True,
)

pulumi.export("status", task.status)
pulumi.export("usage_operation", task.destination_license_context.usage_operation)
