"""Pulumi resources that follow, find and start AWS License Manager's license conversions."""

from lmconv_resource.sdk.args import AssumeRoleArgs, LicenseContextArgs, ProductCodeArgs
from lmconv_resource.sdk.functions import (
    get_license_conversion_task,
    get_license_conversion_task_output,
    get_license_conversion_tasks,
    get_license_conversion_tasks_output,
)
from lmconv_resource.sdk.outputs import GetLicenseConversionTaskResult, LicenseContext, ProductCode
from lmconv_resource.sdk.resources import LicenseConversion, LicenseConversionTask
from lmconv_resource.usage_operations import UsageOperation

__all__ = [
    "AssumeRoleArgs",
    "GetLicenseConversionTaskResult",
    "LicenseContext",
    "LicenseContextArgs",
    "LicenseConversion",
    "LicenseConversionTask",
    "ProductCode",
    "ProductCodeArgs",
    "UsageOperation",
    "get_license_conversion_task",
    "get_license_conversion_task_output",
    "get_license_conversion_tasks",
    "get_license_conversion_tasks_output",
]
