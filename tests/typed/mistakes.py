"""Mistakes that both type checkers find before anything runs, one on each line that says so."""

from lmconv_resource import AssumeRoleArgs, LicenseConversion, LicenseConversionTask, get_license_conversion_task

task = LicenseConversionTask("task", license_conversion_task_id=17)  # mistake
LicenseConversionTask("task", license_conversion_task_ids="lct-1")  # mistake
LicenseConversionTask("task", "lct-1")  # mistake
LicenseConversion(
    "conversion",
    resource_arn="arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
    source_license_context={"usage_operations": "RunInstances:0800"},  # mistake
    destination_license_context={"product_codes": [{"product_code_type": "marketplace"}]},  # mistake
    assume_role=AssumeRoleArgs(role="arn:aws:iam::123456789012:role/a"),  # mistake
)
upper: str = task.status  # mistake
get_license_conversion_task("lct-1").state.upper()  # mistake
