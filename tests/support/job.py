"""A world for whole conversions: moto's EC2 and Systems Manager, and the emulated License Manager."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.emulator import LicenseManagerBackend, serve
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.marks import make_value
from lmconv_resource.polling.policy import PollingPolicy
from support.aws import CREATE, REGION, MakeClient, shared_client
from support.lifecycle import OneResource, RecordingEngine, make_session

BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"
WEB, ENTERPRISE = "RunInstances:0202", "RunInstances:0102"
"""Windows with SQL Server of these editions."""
TAG = "lmconv:restart"
IMAGE = "ami-12c6146b"

FAST = PollingPolicy(shortest_interval_seconds=0.02, least_lateness_seconds=0.03, answer_seconds=0.001)


@functools.cache
def make_ec2() -> Any:
    """Return a client of EC2 inside moto's mock, which all tests share: its seven hundred methods take a while."""
    return boto3.client("ec2", region_name=REGION)


def befall(before: Callable[[str, Any], None], after: Callable[[str, Any], None] = lambda *_: None) -> MakeClient:
    """Return what makes clients: `before` hears of each call, and may refuse it; `after` may change its answer."""

    def make_client(service: str, settings: Settings) -> Any:
        client: Any = boto3.client(service, region_name=settings.region)  # type: ignore[call-overload]
        client.meta.events.register("before-call", lambda model, params, **_: before(model.name, params["body"]))
        client.meta.events.register("after-call", lambda model, parsed, **_: after(model.name, parsed))
        return client

    return make_client


def to_refusal(call: str, code: str = "UnauthorizedOperation", message: str = "You are not authorized.") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, call)


def deny(*calls: str, code: str = "UnauthorizedOperation") -> MakeClient:
    """Return what makes clients whose calls of these operations AWS denies, such as `CreateTags`."""

    def refuse(call: str, _: Any) -> None:
        if call in calls:
            raise to_refusal(call, code)

    return befall(refuse)


@dataclass
class Job:
    """Instances and their conversions, and programs about them."""

    backend: LicenseManagerBackend
    ec2: Any
    config: dict[str, str] = field(default_factory=lambda: {"aws:region": REGION, "aws:maxRetries": "1"})
    make_client: MakeClient = shared_client

    def open_session(self, engine: RecordingEngine) -> Session:
        """Begin a new process, which knows nothing of what the last one did."""
        return make_session(self.config, engine, make_client=self.make_client, policy=FAST)

    def convert(self, arn: str, to: str = WINDOWS, source: str | None = None, **more: Any) -> OneResource:
        contexts = {"destination_license_context": to, "source_license_context": source}
        inputs = {name: {"usage_operation": code} for name, code in contexts.items() if code}
        return OneResource(ConversionController(), {"resource_arn": arn, **inputs, **more}, self.open_session)

    def launch(self, billed: str | None = BYOL, *, running: bool = False, **settings: Any) -> str:
        answer = self.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, **settings)
        instance_id: str = answer["Instances"][0]["InstanceId"]
        if billed:
            self.backend.set_license(instance_id, billed)
        if not running:
            self.ec2.stop_instances(InstanceIds=[instance_id])
        return self.backend.make_arn(instance_id)

    def describe(self, arn: str) -> Any:
        return self.ec2.describe_instances(InstanceIds=[to_id(arn)])["Reservations"][0]["Instances"][0]

    def state(self, arn: str) -> str:
        name: str = self.describe(arn)["State"]["Name"]
        return name

    def billed(self, arn: str) -> str:
        operation: str = self.describe(arn)["UsageOperation"]
        return operation

    def tags(self, arn: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.describe(arn).get("Tags", [])}

    def add_task(self, arn: str, source: str, to: str, status: str = "SUCCEEDED", **more: Any) -> str:
        seconds: dict[str, Any] = {} if status == "IN_PROGRESS" else {"seconds": 0}
        return self.backend.add_task(
            resource_arn=arn, source=source, destination=to, status=status, **seconds, **more
        ).task_id

    @property
    def starts(self) -> int:
        """How many conversions AWS was asked to start."""
        return self.backend.calls[CREATE]


def to_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def mark(job: Job, urn: str, arn: str, about: str = "") -> str:
    """Leave a resource's mark on an instance, as if about another one or itself, and return the instance's id."""
    now, id = datetime.now(timezone.utc), to_id(arn)
    value = make_value(urn, about or id, now, now + timedelta(days=1))
    job.ec2.create_tags(Resources=[id], Tags=[{"Key": TAG, "Value": value}])
    return id


@contextmanager
def serve_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """Serve AWS on loopback, where a conversion takes no time, in an environment that leads there."""
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        backend = emulator.backend(REGION)
        backend.conversion_seconds = 0
        yield Job(backend, boto3.client("ec2", region_name=REGION))
