"""Pulumi's engine as a plugin process sees it, and such a process, started and spoken to as the engine does."""

import base64
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from local_engine.plugin import DynamicPlugin
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """An engine's service on loopback, which keeps what a plugin says."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        """The lines, as they came."""
        self._server = grpc.server(ThreadPoolExecutor(8))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Be gone: from now on the address refuses connections."""
        self._server.stop(0).wait()

    def Log(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 -- gRPC's name
        self.requests.append(request)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 -- gRPC's name
        return engine_pb2.GetRootResourceResponse()


@contextmanager
def serve_engine() -> Iterator[FakeEngine]:
    """Return an engine that is there until the end, or until it is stopped."""
    engine = FakeEngine()
    try:
        yield engine
    finally:
        engine.stop()


@contextmanager
def start_plugin(
    folder: Path,
    engine: FakeEngine,
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> Iterator[DynamicPlugin]:
    """Return a plugin process of Pulumi's, killed at the end; it starts with the first call."""
    plugin = DynamicPlugin(
        folder,
        engine.address,
        config=dict(config or {}),
        environment={"PULUMI_PROJECT": "project", "PULUMI_CONFIG": "{}", **(environment or {})},
        on_line=on_line,
    )
    try:
        yield plugin
    finally:
        plugin.stop()


def to_provider(module: str, name: str) -> str:
    """Return what Pulumi stores in `__provider` for an object without attributes: a pickled call of its class."""
    return base64.b64encode(f"\x80\x02c{module}\n{name}\n)\x81.".encode("latin-1")).decode()


OURS = to_provider("lmconv_resource.provider", "LicenseConversionTaskProvider")
OURS_STARTS = to_provider("lmconv_resource.conversion_provider", "LicenseConversionProvider")


def to_urn(name: str) -> str:
    return f"urn:pulumi:dev::project::pulumi-python:dynamic:Resource::{name}"
