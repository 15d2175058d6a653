"""Pulumi resources that follow, find and start AWS License Manager's license conversions."""

from lmconv_resource.sdk.args import (
    AssumeRoleArgs,
    AssumeRoleArgsDict,
    LicenseContextArgs,
    LicenseContextArgsDict,
    ProductCodeArgs,
    ProductCodeArgsDict,
)
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
    "AssumeRoleArgsDict",
    "GetLicenseConversionTaskResult",
    "LicenseContext",
    "LicenseContextArgs",
    "LicenseContextArgsDict",
    "LicenseConversion",
    "LicenseConversionTask",
    "ProductCode",
    "ProductCodeArgs",
    "ProductCodeArgsDict",
    "UsageOperation",
    "get_license_conversion_task",
    "get_license_conversion_task_output",
    "get_license_conversion_tasks",
    "get_license_conversion_tasks_output",
]
