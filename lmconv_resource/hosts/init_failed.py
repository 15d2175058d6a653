"""How a call tells Pulumi that it failed after there was something to record."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, status_pb2


class InitFailedError(Exception):
    """There is a resource, which is recorded, but it is not what was asked for.

    Pulumi's own way to say so is a detail of the call's status; the next update goes on from what was recorded.

    Args:
        id: the resource's id.
        properties: its outputs. Of its inputs the engine knows: those of a create, and those from before an update.
        reason: what went wrong.
    """

    def __init__(self, id: str, properties: Struct, reason: str) -> None:
        super().__init__(reason)
        self._detail = provider_pb2.ErrorResourceInitFailed(id=id, properties=properties, reasons=[reason])

    def to_status(self) -> grpc.Status:
        """Return the status that gRPC ends the call with."""
        code = grpc.StatusCode.FAILED_PRECONDITION
        # Its type is the protobuf of google.rpc.Status, which Pulumi's SDK brings.
        status = status_pb2.Status(code=code.value[0], message=str(self))
        status.details.add().Pack(self._detail)
        return _Status(code, str(self), (("grpc-status-details-bin", status.SerializeToString()),))


@dataclass(frozen=True)
class _Status(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]
