"""The way back to Pulumi's engine: lines for a resource's row, and whether the engine is still there.

The engine starts the plugin as `python -u -m pulumi.dynamic ADDRESS`; at ADDRESS it serves `pulumirpc.Engine`
(https://github.com/pulumi/pulumi/blob/master/proto/pulumi/engine.proto). A line sent there with a resource's URN shows
on that resource's row, where one printed to stdout would land for good on the row of the stack
(https://github.com/pulumi/pulumi/issues/6065).
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lmconv_resource.hosts.dynamic.patches import find_host

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

_CALL_SECONDS = 2.0
"""For one call on loopback. A busy engine may take longer, which loses a line but is no reason to think it gone."""

_PULSE_SECONDS = 1.5
"""Between two questions whether the engine is still there. Two refusals in a row end the waits: 3 to 4 s."""


class Engine:
    """Pulumi's engine as the plugin process sees it. Safe to share between threads.

    Args:
        address: `host:port` of the engine's gRPC service.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    @cached_property
    def _stub(self) -> Any:
        import grpc
        from pulumi.runtime.proto import engine_pb2_grpc

        return engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))

    def show(self, urn: str | None, text: str) -> None:
        """Show a line on the resource's row until the next one; nothing of it stays."""
        self._log(urn, text, "INFO", ephemeral=True)

    def say(self, urn: str | None, text: str, severity: str = "INFO") -> None:
        """Leave a line in the diagnostics under the resource; `severity` is DEBUG, INFO, WARNING or ERROR."""
        self._log(urn, text, severity, ephemeral=False)

    def _log(self, urn: str | None, text: str, severity: str, *, ephemeral: bool) -> None:
        import grpc
        from pulumi.runtime.proto import engine_pb2

        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity), message=text, urn=urn or "", ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # A line that can't be shown must not end a wait; whether the engine is gone is asked elsewhere.
            log.debug("a line for the engine was lost: %s", _to_code(error))

    def is_there(self) -> bool:
        """Tell whether the engine still serves its address."""
        import grpc
        from pulumi.runtime.proto import engine_pb2

        try:
            self._stub.GetRootResource(engine_pb2.GetRootResourceRequest(), timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # UNAVAILABLE is a refused connection. Any other answer, even a refusal or silence, comes from an engine.
            return _to_code(error) is not grpc.StatusCode.UNAVAILABLE
        return True


def _to_code(error: grpc.RpcError) -> object:
    return error.code() if hasattr(error, "code") else error


def find_engine() -> Engine | None:
    """Give the engine that started this process; None in a process that no engine has started as a plugin."""
    if find_host() is None or len(sys.argv) < 2:
        return None
    return Engine(sys.argv[1])


class Pulse:
    """Asks while any wait goes on whether the engine is still there, and tells once when it is not.

    Args:
        engine: the engine to ask.
        on_gone: called once, from the pulse's own thread.
    """

    def __init__(self, engine: Engine, on_gone: Callable[[], None]) -> None:
        self._engine = engine
        self._on_gone = on_gone
        self._waits = 0
        self._stirred = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        with self._stirred:
            self._waits += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask, name="lmconv-pulse", daemon=True)
                self._thread.start()

    def __exit__(self, *_: object) -> None:
        with self._stirred:
            self._waits -= 1
            if not self._waits:
                self._stirred.notify()

    def _ask(self) -> None:
        refusals = 0
        while refusals < 2:
            with self._stirred:
                if not self._waits or (self._stirred.wait(_PULSE_SECONDS) and not self._waits):
                    self._thread = None
                    return
            refusals = 0 if self._engine.is_there() else refusals + 1
        self._on_gone()


class EngineHandler(logging.Handler):
    """Hands log records on to the engine: `pulumi up --debug` shows those of level DEBUG, and others always show."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record to the stack's row."""
        if record.name == __name__:  # a line about lines would never end
            return
        severity = next(
            (name for level, name in ((40, "ERROR"), (30, "WARNING"), (20, "INFO")) if record.levelno >= level), "DEBUG"
        )
        self._engine.say(None, self.format(record), severity)
