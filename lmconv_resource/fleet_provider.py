"""The door by which Pulumi finds the provider of ConversionFleet.

This path and the class's name are a format: users' states hold them, byte for byte, as `__provider`.
"""

from __future__ import annotations

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.fleet import FleetController


class ConversionFleetProvider(DynamicProvider):
    """Converts the licenses of many instances, and says what became of each."""

    controller = FleetController()
