"""Drives the plugin's service over gRPC, in this process: the engine's part of the conversation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from lmconv_resource.hosts.native.provider import NativeProvider
from lmconv_resource.hosts.native.server import serve
from lmconv_resource.hosts.session import Session
from lmconv_resource.polling.policy import PollingPolicy
from support.hurry import HURRIED

TASK, CONVERSION = "lmconv:index:LicenseConversionTask", "lmconv:index:LicenseConversion"

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"

FAST = PollingPolicy(least_lateness_seconds=0.45, shortest_interval_seconds=0.05, last_poll_seconds=0.1)
"""A poll each twentieth of a second."""


def secret(value: object) -> dict[str, object]:
    """Return a value as the engine sends a secret."""
    return {SIGNATURE: SECRET, "value": value}


def to_struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


@dataclass(frozen=True)
class InitError:
    id: str
    properties: dict[str, Any]
    reasons: list[str]


Bag = Mapping[str, Any]


class Plugin:
    """The engine's end of the wire."""

    def __init__(self, port: int, session: Session) -> None:
        self.session = session
        self.stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def configure(self, **settings: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(settings)))

    def check_config(self, **settings: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return _to_checked(self.stub.CheckConfig(provider_pb2.CheckRequest(news=to_struct(settings))))

    def diff_config(self, old: Bag, new: Bag) -> Any:
        return self.stub.DiffConfig(provider_pb2.DiffRequest(old_inputs=to_struct(old), news=to_struct(new)))

    def check(self, kind: str, news: Bag, olds: Bag | None = None) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return _to_checked(self.stub.Check(_make("Check", kind, news=news, olds=olds)))

    def diff(self, kind: str, id: str, olds: Bag, news: Bag, old_inputs: Bag | None = None) -> Any:
        inputs = news if old_inputs is None else old_inputs
        return self.stub.Diff(_make("Diff", kind, id=id, olds=olds, news=news, old_inputs=inputs))

    def create(self, kind: str, inputs: Bag, *, preview: bool = False) -> tuple[str, dict[str, Any]]:
        answer = self.create_later(kind, inputs, preview=preview).result()
        return answer.id, MessageToDict(answer.properties)

    def create_later(self, kind: str, inputs: Bag, *, preview: bool = False) -> Any:
        return self.stub.Create.future(_make("Create", kind, properties=inputs, preview=preview), timeout=30)

    def read(self, kind: str, id: str, properties: Bag | None = None, inputs: Bag | None = None) -> Any:
        return self.stub.Read(_make("Read", kind, id=id, properties=properties, inputs=inputs))

    def update(
        self, kind: str, id: str, olds: Bag, news: Bag, *, timeout: float = 0, preview: bool = False
    ) -> dict[str, Any]:
        request = _make("Update", kind, id=id, olds=olds, news=news, timeout=timeout, preview=preview)
        properties: dict[str, Any] = MessageToDict(self.stub.Update(request).properties)
        return properties

    def delete(self, kind: str, id: str, properties: Bag) -> None:
        self.stub.Delete(_make("Delete", kind, id=id, properties=properties))

    def cancel(self) -> None:
        self.stub.Cancel(Empty())

    def invoke(self, token: str, **args: Any) -> dict[str, Any]:
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=to_struct(args)))
        returned: dict[str, Any] = MessageToDict(getattr(answer, "return"))
        return returned


def _make(method: str, kind: str, **fields: Any) -> Any:
    bags = {name: to_struct(value) for name, value in fields.items() if isinstance(value, Mapping)}
    given = {name: value for name, value in {**fields, **bags}.items() if value is not None}
    return getattr(provider_pb2, f"{method}Request")(urn=urn(kind), type=kind, **given)


def _to_checked(answer: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    return MessageToDict(answer.inputs), [(failure.property, failure.reason) for failure in answer.failures]


def urn(kind: str, name: str = "resource") -> str:
    return f"urn:pulumi:dev::project::{kind}::{name}"


def to_init_error(error: grpc.RpcError | grpc.Status) -> InitError | None:
    """Return what a failed call recorded, as the engine finds it; None where it recorded nothing."""
    sent: Any = error.trailing_metadata() if isinstance(error, grpc.RpcError) else error.trailing_metadata
    metadata: dict[str, Any] = dict(sent)
    if "grpc-status-details-bin" not in metadata:
        return None
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(detail)
    return InitError(detail.id, MessageToDict(detail.properties), list(detail.reasons))


def to_text(error: grpc.RpcError) -> str:
    """Return what the engine shows of a failed call."""
    return error.details() or ""


@contextmanager
def plugin(session: Session | None = None) -> Iterator[Plugin]:
    """Return the engine's end of a plugin that is served in this process, configured for eu-west-1."""
    session = session or Session(lambda _: None, policy=FAST, runtime=HURRIED)
    server, port = serve(NativeProvider(session))
    try:
        driven = Plugin(port, session)
        driven.configure(region="eu-west-1")
        yield driven
    finally:
        session.cancellation.set("the test is over")
        server.stop(0).wait()
