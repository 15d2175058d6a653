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

_MODULES = ("sdk.resources", "sdk.outputs", "sdk.args", "usage_operations", "sdk.functions", "sdk.instances")
"""Where a name is, those first that a program imports in any case."""

if not TYPE_CHECKING:  # or a name that does not exist would be no mistake to a type checker

    def __getattr__(name: str) -> object:
        """Import what is asked for: an unchanged stack needs neither the look-ups nor all that a start takes."""
        for module in _MODULES if name in __all__ else ():
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
