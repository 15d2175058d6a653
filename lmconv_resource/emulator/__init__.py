"""A License Manager for moto: the three calls about license conversion tasks.

Importing this package makes it a service of moto, so that boto3's `license-manager` client works inside
`moto.mock_aws()` and against moto's server. A test puts tasks there and then asks for them:

    with mock_aws():
        backend = licensemanager_backends["123456789012"]["us-east-1"]
        task = backend.add_task(
            resource_arn=..., source="RunInstances:0800", destination="RunInstances:0002", seconds=30
        )

Where moto's EC2 has the instance, a conversion is refused as in AWS, unless the instance is stopped, has no stop
protection and is billed as the source says, and AWS's guide lists the pair. moto has no usage operations of its own:

    backend.set_license("i-0123456789abcdef0", "RunInstances:0800")

Systems Manager's DescribeInstanceInformation, which moto lacks, answers for all instances of EC2 except those whose ids
are in `backend.without_ssm_agent`; inside `mock_aws` it needs `add_instance_information()`.

For other processes, `serve()` serves it over HTTP, and `python -m lmconv_resource.emulator` does it with a few
instances to try a program on. Nothing here is AWS: it answers as AWS's service model and user guide say, and where
these are silent, as the docstrings here say.

What goes wrong is told to a backend too; `Fault` says which calls are hit, and `effects` what can happen to them:

    backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), operation="GetLicenseConversionTask", calls=3))
    backend.faults.limit_rate(RateLimit(rate_per_second=5, burst=10))

All work inside `mock_aws` as well: with no connection to end there, `DroppedConnection` raises botocore's
ConnectionClosedError. To botocore an answer that is no JSON, or half of one, is no error but an answer without members.
"""

import re
import sys

try:
    from moto import backend_index

    from . import models, urls
    from .effects import ChangedAnswer, DroppedConnection, ErrorAnswer, RawAnswer, ShiftedClock, SlowAnswer
    from .faults import Fault, Faults, RateLimit
    from .managed_instances import add_instance_information
    from .models import LicenseManagerBackend, licensemanager_backends
    from .server import Emulator, serve
    from .task import ConversionTask, LicenseContext, ProductCode
    from .world import make_world
except ModuleNotFoundError as missing:
    if (missing.name or "").split(".")[0] not in ("moto", "flask", "flask_cors", "werkzeug"):
        raise
    # With this package's own name `python -m` says it in one line.
    raise ModuleNotFoundError(
        f"{__name__} needs `pip install 'lmconv-resource[emulator]'` ({missing})", name=__name__
    ) from missing

__all__ = [
    "ChangedAnswer",
    "ConversionTask",
    "DroppedConnection",
    "Emulator",
    "ErrorAnswer",
    "Fault",
    "Faults",
    "LicenseContext",
    "LicenseManagerBackend",
    "ProductCode",
    "RateLimit",
    "RawAnswer",
    "ShiftedClock",
    "SlowAnswer",
    "add_instance_information",
    "licensemanager_backends",
    "make_world",
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
