"""AWS for the tests of whole conversions."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from support.job import REGION, Job

from lmconv_resource.emulator import serve


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """AWS on loopback, and an environment that leads there."""
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        backend = emulator.backend(REGION)
        backend.conversion_seconds = 0
        yield Job(backend, boto3.client("ec2", region_name=REGION))
