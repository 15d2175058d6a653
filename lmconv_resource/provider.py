"""The door by which Pulumi finds the provider of LicenseConversionTask.

This path and the class's name are a format: users' states hold them, byte for byte, as `__provider`.
"""

from __future__ import annotations

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.track import TaskController


class LicenseConversionTaskProvider(DynamicProvider):
    """Tracks a license conversion task, by its id or as the newest of a resource."""

    controller = TaskController()
