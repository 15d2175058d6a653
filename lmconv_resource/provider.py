"""The door to LicenseConversionTask's provider: users' states hold this path and the class's name, byte for byte."""

from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.lifecycle.track import TaskController


class LicenseConversionTaskProvider(DynamicProvider):
    """Tracks a license conversion task, by its id or as the newest of a resource."""

    controller = TaskController()
