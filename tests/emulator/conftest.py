"""What the tests of the emulator share: its region, a clock, and clients inside `mock_aws` and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from support.aws import Clock

from emulator import NOON, REGION, connect, get_backend
from lmconv_resource.emulator import LicenseManagerBackend, serve

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is told otherwise."""
    made = Clock()
    made.now = NOON
    return made


@pytest.fixture
def mocked() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def backend(clock: Clock, mocked: None) -> LicenseManagerBackend:
    backend = get_backend()
    backend.clock = clock
    return backend


@pytest.fixture
def client(mocked: None) -> LicenseManagerClient:
    return connect()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with serve() as emulator:
        yield emulator.endpoint


@pytest.fixture
def ec2(mocked: None) -> Any:
    return boto3.client("ec2")


@pytest.fixture
def instance_id(ec2: Any) -> str:
    instance_id: str = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    return instance_id
