"""A world for whole conversions: moto's EC2 and Systems Manager, the emulated License Manager, and a session to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.emulator import LicenseManagerBackend, serve
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.inputs import ConversionInputs
from lmconv_resource.lifecycle.operation import CheckFailure, Created, Diff
from lmconv_resource.lifecycle.state import ConversionState
from lmconv_resource.polling.policy import PollingPolicy
from support.aws import CREATE, REGION, made_by, shared_client
from support.hurry import HURRIED

BYOL, WINDOWS, ENTERPRISE = "RunInstances:0800", "RunInstances:0002", "RunInstances:0102"
URN = "urn:pulumi:dev::fleet::pulumi-python:lmconv:LicenseConversion::web-1"
TAG = "lmconv:restart"
IMAGE = "ami-12c6146b"

FAST = PollingPolicy(shortest_interval_seconds=0.02, least_lateness_seconds=0.03, answer_seconds=0.001)


class Heard(Session):
    """A session that notes what the user is told."""

    def __init__(self, config: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(config.get, **{"policy": FAST, "runtime": HURRIED, **settings})
        self.lines: list[tuple[str, str]] = []
        self.row: list[str] = []
        self.is_replaced: bool | None = None

    def is_replaced_by_command(self, urn: str | None) -> bool | None:
        return self.is_replaced

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        self.lines.append((severity, message))

    def log_status(self, urn: str | None, message: str) -> None:
        self.row.append(message)


@functools.cache
def make_ec2() -> Any:
    """Return a client of EC2 inside moto's mock, which all tests share: its seven hundred methods take a while."""
    return boto3.client("ec2", region_name=REGION)


def deny(*actions: str, code: str = "UnauthorizedOperation") -> Callable[[str, Settings], Any]:
    """Return what makes clients whose calls of these operations AWS denies, such as `CreateTags`."""

    def make_client(service: str, settings: Settings) -> Any:
        client: Any = boto3.client(service, region_name=settings.region)  # type: ignore[call-overload]

        def refuse(model: Any, **_: Any) -> None:
            if model.name in actions:
                error = {"Code": code, "Message": "You are not authorized."}
                raise ClientError({"Error": error}, model.name)  # type: ignore[typeddict-item]

        client.meta.events.register("before-call", refuse)
        return client

    return make_client


@dataclass
class Job:
    """What a program says of one instance, and what becomes of it."""

    backend: LicenseManagerBackend
    ec2: Any
    config: dict[str, Any] = field(default_factory=lambda: {"aws:maxRetries": "1"})
    make_client: Callable[[str, Settings], Any] = shared_client
    session: Heard = field(init=False)

    def __post_init__(self) -> None:
        self.controller = ConversionController()
        self.restart_process()

    def restart_process(self) -> None:
        """Begin a new process, which knows nothing of what the last one did."""
        self.session = Heard(self.config, open_session=made_by(self.make_client))

    def launch(self, billed: str | None = BYOL, *, running: bool = False, **settings: Any) -> str:
        """Launch an instance, billed as this, and return its ARN."""
        answer = self.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, **settings)
        instance_id: str = answer["Instances"][0]["InstanceId"]
        if billed:
            self.backend.set_license(instance_id, billed)
        if not running:
            self.ec2.stop_instances(InstanceIds=[instance_id])
        return self.backend.make_arn(instance_id)

    def describe(self, arn: str) -> Any:
        instance_id = arn.rpartition("/")[2]
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def state(self, arn: str) -> str:
        name: str = self.describe(arn)["State"]["Name"]
        return name

    def billed(self, arn: str) -> str:
        operation: str = self.describe(arn)["UsageOperation"]
        return operation

    def tags(self, arn: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.describe(arn).get("Tags", [])}

    def inputs(self, arn: str, to: str = WINDOWS, source: str | None = None, **more: Any) -> dict[str, object]:
        given = {"resource_arn": arn, "destination_license_context": {"usage_operation": to}, "region": REGION, **more}
        return given if source is None else {**given, "source_license_context": {"usage_operation": source}}

    def check(self, inputs: dict[str, object], olds: dict[str, object] | None = None) -> tuple[CheckFailure, ...]:
        with self.session.operation(URN, is_preview=True) as op:
            return self.controller.check(op, olds, inputs).failures

    def create(self, inputs: dict[str, object], *, timeout: float | None = None) -> Created[ConversionState]:
        """Check and create, as the engine does; the error is raised."""
        with self.session.operation(URN, timeout, is_preview=False) as op:
            defaults = self.controller.check(op, None, inputs).defaults
            created = self.controller.create(op, ConversionInputs.parse({**inputs, **defaults}))
        if created.error:
            raise created.error
        return created

    def diff(self, created: Created[ConversionState], inputs: dict[str, object]) -> Diff:
        with self.session.operation(URN, is_preview=False) as op:
            defaults = self.controller.check(op, inputs, inputs).defaults
            return self.controller.diff(op, created.id, created.state, ConversionInputs.parse({**inputs, **defaults}))

    def update(self, created: Created[ConversionState], inputs: dict[str, object]) -> Created[ConversionState]:
        with self.session.operation(URN, is_preview=False) as op:
            defaults = self.controller.check(op, inputs, inputs).defaults
            parsed = ConversionInputs.parse({**inputs, **defaults})
            updated = self.controller.update(op, created.id, created.state, parsed)
        if updated.error:
            raise updated.error
        return Created(created.id, updated.state)

    def refresh(self, created: Created[ConversionState], inputs: dict[str, object]) -> Created[ConversionState]:
        with self.session.operation(URN) as op:
            read = self.controller.read(op, created.id, created.state, ConversionInputs.parse(inputs))
        return Created(created.id, read.state)

    def lines(self, severity: str) -> list[str]:
        return [text for kind, text in self.session.lines if kind == severity]

    def add_task(self, arn: str, source: str, to: str, status: str = "SUCCEEDED", **more: Any) -> str:
        seconds: dict[str, Any] = {} if status == "IN_PROGRESS" else {"seconds": 0}
        return self.backend.add_task(
            resource_arn=arn, source=source, destination=to, status=status, **seconds, **more
        ).task_id

    @property
    def starts(self) -> int:
        """How many conversions AWS was asked to start."""
        return self.backend.calls[CREATE]


@contextmanager
def serve_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """Serve AWS on loopback, where a conversion takes no time, in an environment that leads there."""
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        backend = emulator.backend(REGION)
        backend.conversion_seconds = 0
        yield Job(backend, boto3.client("ec2", region_name=REGION))
