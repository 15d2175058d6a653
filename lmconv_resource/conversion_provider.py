"""The door by which Pulumi finds the provider of LicenseConversion.

This path and the class's name are a format: users' states hold them, byte for byte, as `__provider`.
"""

from __future__ import annotations

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.convert import ConversionController


class LicenseConversionProvider(DynamicProvider):
    """Starts a license conversion, once, and tracks its task."""

    controller = ConversionController()
