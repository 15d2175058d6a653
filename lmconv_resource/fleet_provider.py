"""The door to ConversionFleet's provider: users' states hold this path and the class's name, byte for byte."""

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.fleet import FleetController


class ConversionFleetProvider(DynamicProvider):
    """Converts the licenses of many instances, and says what became of each."""

    controller = FleetController()
