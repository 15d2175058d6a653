"""A Pulumi resource that follows AWS License Manager's license conversion tasks to their end."""

from lmconv_resource.outputs import LicenseContext, ProductCode
from lmconv_resource.resource import LicenseConversionTask

__all__ = ["LicenseContext", "LicenseConversionTask", "ProductCode"]
