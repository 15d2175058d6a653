"""What every test begins with: made-up AWS credentials, no settings of the machine's user, and no way to AWS."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends, serve

# A slow machine is no failure, and what one run found does not change the next.
hypothesis.settings.register_profile("lmconv", deadline=None, database=None)
hypothesis.settings.load_profile("lmconv")

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # fixtures of a wider scope run before the one below

ACCESS_KEY, SECRET_KEY = "AKIATESTING000000000", "testing/secret+key/never/shown"


@pytest.fixture(autouse=True)
def _aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "PULUMI_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager on loopback, seen in eu-west-1, and an environment that leads to it."""
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        yield licensemanager_backends["123456789012"]["eu-west-1"]


def add_running(aws: LicenseManagerBackend, count: int) -> None:
    """Add so many tasks in progress, `lct-0000` and on, each of an instance of its own."""
    for n in range(count):
        aws.add_task(
            task_id=f"lct-{n:04}",
            resource_arn=f"arn:aws:ec2:{aws.region_name}:123456789012:instance/i-{n:017x}",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            status="IN_PROGRESS",
        )


@pytest.fixture(autouse=True)
def _cut_wires() -> Iterator[None]:
    yield
    for client, wire in _wires:
        client.meta.events.unregister("before-send", wire.answer)
    _wires.clear()


_wires: list[tuple[Any, Wire]] = []


class _Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Stands where a client's network is: notes what is sent, and answers what it is told, the last answer again.

    Args:
        client: a client of boto3's.
        answers: a status and a body each, or an error to raise; a body that is not bytes goes out as JSON.
    """

    def __init__(self, client: Any, *answers: tuple[int, Any] | Exception) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)
        self.on_send: Callable[[], None] = lambda: None
        client.meta.events.register_first("before-send", self.answer)
        _wires.append((client, self))

    def answer(self, request: Any, **_: Any) -> Any:
        """Answer a request that botocore is about to send."""
        self.requests.append(request)
        self.on_send()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        raw = _Raw(body if isinstance(body, bytes) else json.dumps(body).encode())
        return AWSResponse(request.url, status, HTTPHeaders(), raw)
