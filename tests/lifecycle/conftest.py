"""AWS inside this process, for the tests of whole conversions."""

from collections.abc import Iterator

import pytest
from moto import mock_aws
from support.aws import ACCOUNT, REGION
from support.job import Job, make_ec2

from lmconv_resource.emulator import add_instance_information, licensemanager_backends


@pytest.fixture
def job() -> Iterator[Job]:
    add_instance_information()
    with mock_aws():
        backend = licensemanager_backends[ACCOUNT][REGION]
        backend.conversion_seconds = 0
        yield Job(backend, make_ec2())
