"""Pulumi resources that follow, find and start AWS License Manager's license conversions."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `as` tells type checkers that a name is for others
    from lmconv_resource.sdk.args import AssumeRoleArgs as AssumeRoleArgs
    from lmconv_resource.sdk.args import FleetInstanceArgs as FleetInstanceArgs
    from lmconv_resource.sdk.args import LicenseContextArgs as LicenseContextArgs
    from lmconv_resource.sdk.args import ProductCodeArgs as ProductCodeArgs
    from lmconv_resource.sdk.functions import get_license_conversion_task as get_license_conversion_task
    from lmconv_resource.sdk.functions import get_license_conversion_task_output as get_license_conversion_task_output
    from lmconv_resource.sdk.functions import get_license_conversion_tasks as get_license_conversion_tasks
    from lmconv_resource.sdk.functions import get_license_conversion_tasks_output as get_license_conversion_tasks_output
    from lmconv_resource.sdk.instances import read_instances as read_instances
    from lmconv_resource.sdk.outputs import FleetInstanceOutcome as FleetInstanceOutcome
    from lmconv_resource.sdk.outputs import GetLicenseConversionTaskResult as GetLicenseConversionTaskResult
    from lmconv_resource.sdk.outputs import LicenseContext as LicenseContext
    from lmconv_resource.sdk.outputs import ProductCode as ProductCode
    from lmconv_resource.sdk.resources import ConversionFleet as ConversionFleet
    from lmconv_resource.sdk.resources import LicenseConversion as LicenseConversion
    from lmconv_resource.sdk.resources import LicenseConversionTask as LicenseConversionTask
    from lmconv_resource.usage_operations import UsageOperation as UsageOperation

_NAMES = {
    "sdk.args": ("AssumeRoleArgs", "FleetInstanceArgs", "LicenseContextArgs", "ProductCodeArgs"),
    "sdk.functions": (
        "get_license_conversion_task",
        "get_license_conversion_task_output",
        "get_license_conversion_tasks",
        "get_license_conversion_tasks_output",
    ),
    "sdk.instances": ("read_instances",),
    "sdk.outputs": ("FleetInstanceOutcome", "GetLicenseConversionTaskResult", "LicenseContext", "ProductCode"),
    "sdk.resources": ("ConversionFleet", "LicenseConversion", "LicenseConversionTask"),
    "usage_operations": ("UsageOperation",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_MODULES]  # noqa: PLE0604 -- type checkers go by the imports above

if not TYPE_CHECKING:  # or a name that does not exist would be no mistake to a type checker

    def __getattr__(name: str) -> object:
        """Import what is asked for: an unchanged stack needs neither the look-ups nor all that a start takes."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
