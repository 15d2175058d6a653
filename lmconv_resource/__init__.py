"""Pulumi resources that follow, find and start AWS License Manager's license conversions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmconv_resource.sdk.args import (
        AssumeRoleArgs,
        AssumeRoleArgsDict,
        FleetInstanceArgs,
        FleetInstanceArgsDict,
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
    from lmconv_resource.sdk.instances import read_instances
    from lmconv_resource.sdk.outputs import (
        FleetInstanceOutcome,
        GetLicenseConversionTaskResult,
        LicenseContext,
        ProductCode,
    )
    from lmconv_resource.sdk.resources import ConversionFleet, LicenseConversion, LicenseConversionTask
    from lmconv_resource.usage_operations import UsageOperation

__all__ = [
    "AssumeRoleArgs",
    "AssumeRoleArgsDict",
    "ConversionFleet",
    "FleetInstanceArgs",
    "FleetInstanceArgsDict",
    "FleetInstanceOutcome",
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
    "read_instances",
]

_MODULES = {
    "AssumeRoleArgs": "sdk.args",
    "AssumeRoleArgsDict": "sdk.args",
    "ConversionFleet": "sdk.resources",
    "FleetInstanceArgs": "sdk.args",
    "FleetInstanceArgsDict": "sdk.args",
    "FleetInstanceOutcome": "sdk.outputs",
    "GetLicenseConversionTaskResult": "sdk.outputs",
    "LicenseContext": "sdk.outputs",
    "LicenseContextArgs": "sdk.args",
    "LicenseContextArgsDict": "sdk.args",
    "LicenseConversion": "sdk.resources",
    "LicenseConversionTask": "sdk.resources",
    "ProductCode": "sdk.outputs",
    "ProductCodeArgs": "sdk.args",
    "ProductCodeArgsDict": "sdk.args",
    "UsageOperation": "usage_operations",
    "get_license_conversion_task": "sdk.functions",
    "get_license_conversion_task_output": "sdk.functions",
    "get_license_conversion_tasks": "sdk.functions",
    "get_license_conversion_tasks_output": "sdk.functions",
    "read_instances": "sdk.instances",
}

if not TYPE_CHECKING:  # or a name that does not exist would be no mistake to a type checker

    def __getattr__(name: str) -> object:
        """Import what is asked for: an unchanged stack needs neither the look-ups nor all that a start takes."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
