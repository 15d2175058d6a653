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

For other processes, `serve()` and `python -m lmconv_resource.emulator` serve it over HTTP. Nothing here is AWS: it
answers as AWS's service model and user guide say, and where these are silent, as the docstrings here say.

What goes wrong is told to a backend too; `Fault` says which calls are hit, and `effects` what can happen to them:

    backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), operation="GetLicenseConversionTask", calls=3))
    backend.faults.limit_rate(RateLimit(rate_per_second=5, burst=10))

A scenario file is one JSON object; `example-scenario.json` beside this file is one. Only `tasks` must be there:

    "tasks": [{
      "id": "lct-0123456789abcdef0",            a random one if left out
      "resource_arn": "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
      "source": {"usage_operation": "RunInstances:0800"},
      "destination": {
        "usage_operation": "RunInstances:0002",
        "product_codes": [{"product_code_id": "abc", "product_code_type": "marketplace"}]
      },
      "seconds": 10,               IN_PROGRESS for so long, from the start of the emulator; or
      "looks": 3,                  IN_PROGRESS until the third look; with neither, the task has ended
      "status": "SUCCEEDED",       how it ends: SUCCEEDED, FAILED, or IN_PROGRESS for never
      "message": "...",            its StatusMessage from then on
      "region": "eu-west-1"
    }],
    "region": "us-east-1",           where the tasks are, if they do not say
    "account_id": "123456789012",    whose they are, and every caller's; moto's own account if left out
    "page_size": 50,                 the most tasks in one answer of ListLicenseConversionTasks
    "conversion": {"seconds": 10, "status": "SUCCEEDED", "message": "..."},    what becomes of tasks that clients create
    "rate_limit": {"rate_per_second": 5, "burst": 10, "code": "RateLimitExceededException"},    or ThrottlingException
    "faults": [{
      "kind": "error",             and its own members, below
      "operation": "GetLicenseConversionTask",    every call if left out
      "calls": 3,                  only the next so many; and
      "share": 0.2, "seed": 7,     only about so many of them, with a seed (0) the same ones each time; and
      "from_seconds": 5, "until_seconds": 60,     only so long after the fault was added
      "region": "us-east-1"        each region on its own if left out
    }]

The first fault that fits hits a call, except that `slow` and `clock` let later ones in. The kinds and their members:

    error    code, message, http_status      refused; a code that `effects` does not list needs http_status
    http     http_status, body, content_type      carried out, but answered with this text and no other header
    answer   members, without      carried out; members (by AWS's names) to set to any JSON value, and to leave out
    drop     halfway      carried out, but the connection ends before the answer, or with true in the middle of it
    slow     delay_seconds      waits before it is carried out
    clock    offset_seconds      all times of tasks are so much later, or earlier

All work inside `mock_aws` as well: with no connection to end there, `drop` raises botocore's ConnectionClosedError.
To botocore an answer that is no JSON, or half of one, is no error but an answer without members.

A served emulator takes control calls on its endpoint, from its own machine only. Each answers one line of JSON, and
what cannot be done is HTTP 400, 403 or 404 and {"error": "..."}:

    POST /lmconv/faults    {"faults": [...], "rate_limit": {...}}, either or both; answers {"added": 1}
    DELETE /lmconv/faults    no more faults and no rate limit; answers {}
    POST /lmconv/tasks    {"tasks": [...], "region": "..."}; all or none; answers {"ids": ["lct-..."]}
    POST /lmconv/tasks/ID/finish    {"status": "FAILED", "message": "...", "region": "..."} or nothing; answers {}
    GET /lmconv/calls    {"calls": {OPERATION: 3}, "refused": {OPERATION: 1}, "injected": {KIND: 2}}, of all regions
"""

import re
import sys

from moto import backend_index

from . import models, urls
from .effects import ChangedAnswer, DroppedConnection, ErrorAnswer, RawAnswer, ShiftedClock, SlowAnswer
from .faults import Fault, Faults
from .limits import RateLimit
from .managed_instances import add_instance_information
from .models import (
    ConversionTask,
    LicenseContext,
    LicenseManagerBackend,
    ProductCode,
    licensemanager_backends,
)
from .scenario import Scenario, ScenarioError, load_scenario
from .server import Emulator, serve
from .texts import AwsText

__all__ = [
    "AwsText",
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
    "Scenario",
    "ScenarioError",
    "ShiftedClock",
    "SlowAnswer",
    "add_instance_information",
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
