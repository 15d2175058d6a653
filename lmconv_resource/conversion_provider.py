"""The door to LicenseConversion's provider: users' states hold this path and the class's name, byte for byte."""

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.convert import ConversionController


class LicenseConversionProvider(DynamicProvider):
    """Starts a license conversion, once, and tracks its task."""

    controller = ConversionController()
