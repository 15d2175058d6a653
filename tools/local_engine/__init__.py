"""Run Pulumi programs without the `pulumi` command: for the tests and the demo, on machines that don't have it."""

from .engine import LocalEngine
from .events import Message, OperationResult, Step, UpdateFailedError
from .properties import UNKNOWN
from .state import ResourceState

__all__ = [
    "UNKNOWN",
    "LocalEngine",
    "Message",
    "OperationResult",
    "ResourceState",
    "Step",
    "UpdateFailedError",
]
