"""A License Manager for moto: the three calls about license conversion tasks.

Importing this package makes it a service of moto, so that boto3's `license-manager` client works inside
`moto.mock_aws()` and against moto's server. A test puts tasks there and then asks for them:

    with mock_aws():
        backend = licensemanager_backends["123456789012"]["us-east-1"]
        task = backend.add_task(
            resource_arn=..., source="RunInstances:0800", destination="RunInstances:0002", seconds=30
        )

For other processes, `serve()` and `python -m lmconv_resource.emulator` serve it over HTTP. Nothing here is AWS: it
answers as AWS's service model and user guide say, and where these are silent, as the docstrings here say.
"""

import re
import sys

from moto import backend_index

from . import models, urls
from .models import (
    ConversionTask,
    LicenseContext,
    LicenseManagerBackend,
    ProductCode,
    licensemanager_backends,
)
from .scenario import Scenario, ScenarioError, load_scenario
from .server import Emulator, serve

__all__ = [
    "ConversionTask",
    "Emulator",
    "LicenseContext",
    "LicenseManagerBackend",
    "ProductCode",
    "Scenario",
    "ScenarioError",
    "licensemanager_backends",
    "load_scenario",
    "serve",
]


def _register() -> None:
    """Make this package moto's service `licensemanager`; doing it again changes nothing."""
    # moto finds a service by its URL in this list, then imports moto.NAME. It has no way in for others than its own.
    # https://github.com/getmoto/moto/blob/5.2.5/moto/backends.py
    name = "licensemanager"
    sys.modules[f"moto.{name}"] = sys.modules[__name__]
    sys.modules[f"moto.{name}.models"] = models
    sys.modules[f"moto.{name}.urls"] = urls
    for url in urls.url_bases:
        if (name, re.compile(url)) not in backend_index.backend_url_patterns:
            backend_index.backend_url_patterns.append((name, re.compile(url)))


_register()
