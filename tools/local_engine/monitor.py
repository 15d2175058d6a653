"""The two gRPC services of an engine: the resource monitor, in process through Pulumi's mocks, and the engine's log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pulumi
import pulumi.runtime
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2

from .deployment import STACK_TYPE, Deployment, Goal
from .events import EventLog
from .plugin import GRPC_OPTIONS
from .properties import from_struct, to_struct
from .provider import thread_event_loop
from .state import ResourceState

_SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


class NoMocks(pulumi.runtime.Mocks):
    """Stands in where the user gave no mocks: says what is missing."""

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """Refuse."""
        raise NotImplementedError(
            f"The program calls the function {args.token}, whose provider the local engine can't run. "
            "Give LocalEngine(mocks=...) a pulumi.runtime.Mocks that answers it, or use the pulumi command."
        )

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> Any:
        """Refuse."""
        raise NotImplementedError(
            f"The program has a resource of type {args.typ}, whose provider the local engine can't run. "
            "Give LocalEngine(mocks=...) a pulumi.runtime.Mocks that answers it, or use the pulumi command."
        )


class DeploymentMonitor(MockMonitor):
    """Pulumi's mock monitor, with a deployment behind it in place of canned answers."""

    runs_look_ups = True
    """Whether look-ups of this package go to AWS, as with a real engine, and not to `mocks`."""

    def __init__(self, deployment: Deployment, mocks: pulumi.runtime.Mocks, stack: str, project: str) -> None:
        super().__init__(mocks)
        self._deployment = deployment
        self._prefix = f"urn:pulumi:{stack}::{project}::"

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Make the URN as the engine does: with the types of the parents, but not the stack's."""
        if parent:
            parent_type = parent.split("::", 3)[2]
            type_ = type_ if parent_type == STACK_TYPE else f"{parent_type}${type_}"
        return f"{self._prefix}{type_}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 -- the names are gRPC's
        """Bring a resource to its goal."""
        goal = Goal(
            urn=self.make_urn(request.parent, request.type, request.name),
            type=request.type,
            custom=request.custom or request.remote,
            inputs=from_struct(request.object),
            parent=request.parent,
            dependencies=list(request.dependencies),
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            ignore_changes=list(request.ignoreChanges),
            secret_outputs=list(request.additionalSecretOutputs),
        )
        state = self._deployment.register(goal)
        self._remember(state)
        return resource_pb2.RegisterResourceResponse(urn=state.urn, id=state.id, object=to_struct(state.outputs))

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Look up a resource by its id."""
        goal = Goal(
            urn=self.make_urn(request.parent, request.type, request.name),
            type=request.type,
            custom=True,
            inputs=from_struct(request.properties),
            parent=request.parent,
            dependencies=list(request.dependencies),
            id=request.id,
            secret_outputs=list(request.additionalSecretOutputs),
        )
        state = self._deployment.read(goal)
        self._remember(state)
        response = resource_pb2.ReadResourceResponse(urn=state.urn, properties=to_struct(state.outputs))
        if "id" in response.DESCRIPTOR.fields_by_name:  # older SDKs have no such field and resolve the id themselves
            response.id = state.id
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Record the outputs of the stack or of a component."""
        self._deployment.set_outputs(request.urn, from_struct(request.outputs))
        return Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Call a provider's function, through the mocks."""
        with thread_event_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def _remember(self, state: ResourceState) -> None:
        # The SDK's own getResource looks here.
        self.resources[state.urn] = MockMonitor.ResourceRegistration(state.urn, state.id, state.outputs)


class EngineService(engine_pb2_grpc.EngineServicer):
    """The `Engine` service, on loopback: takes the log lines of the program and of the provider."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._root = ""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), options=GRPC_OPTIONS)
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Log(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        """Record a line; debug lines are for the engine's developers."""
        if request.severity in _SEVERITIES:
            severity = _SEVERITIES[request.severity]
            self._events.say(request.message, urn=request.urn, severity=severity, ephemeral=request.ephemeral)
        return Empty()

    def GetRootResource(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        """Return the URN that was set last."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any = None) -> Any:  # noqa: N802
        """Keep the URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def stop(self) -> None:
        """Close the address; calls that run are broken off."""
        self._server.stop(None).wait()
