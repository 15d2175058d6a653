"""The way back to Pulumi's engine: lines for a resource's row, and whether the engine is still alive.

At the address that it hands to a plugin the engine serves `pulumirpc.Engine`
(https://github.com/pulumi/pulumi/blob/master/proto/pulumi/engine.proto). A line sent there with a resource's URN shows
on that resource's row, where one printed to stdout would land for good on the row of the stack
(https://github.com/pulumi/pulumi/issues/6065).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from lmconv_resource.hosts.command import terminal_columns
from lmconv_resource.lifecycle.progress import Progress
from lmconv_resource.polling.runtime import Runtime

log = logging.getLogger(__name__)

_CALL_SECONDS = 2.0
"""For one call on loopback. A busy engine may take longer, which loses a line but is no reason to think it gone."""

MONITOR_SECONDS = 1.0
"""Between two checks whether the engine is alive. Two refusals in a row end the process: 1 to 2 s."""

_GRACE_SECONDS = 0.8
"""For operations to end by themselves, and then for Python to end as it does by itself, once the engine is gone."""


class Engine:
    """Pulumi's engine as a plugin process sees it. Safe to share between threads.

    Args:
        address: `host:port` of the engine's gRPC service.
        to_shown: returns a message as the user may see it; by default as it is.
    """

    def __init__(self, address: str, to_shown: Callable[[str], str] = str) -> None:
        self._address = address
        self._to_shown = to_shown

    @cached_property
    def _stub(self) -> Any:
        # Nothing on loopback goes through a proxy, whatever https_proxy and no_proxy say.
        channel = grpc.insecure_channel(self._address, options=[("grpc.enable_http_proxy", 0)])
        return engine_pb2_grpc.EngineStub(channel)

    def log_status(self, urn: str | None, message: str) -> None:
        """Show a line on the resource's row until the next one; nothing of it stays."""
        self.log("INFO", urn, message, ephemeral=True)

    def log(self, severity: str, urn: str | None, message: str, *, ephemeral: bool = False) -> None:
        """Leave a line in the diagnostics under the resource; `severity` is DEBUG, INFO, WARNING or ERROR."""
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity),
            message=self._to_shown(message),
            urn=urn or "",
            ephemeral=ephemeral,
        )
        try:
            self._stub.Log(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # A line that can't be shown must not end a wait; whether the engine is gone is asked elsewhere.
            log.debug("a line for the engine was lost: %s", _to_code(error))

    def is_alive(self) -> bool:
        """Return whether the engine still serves its address."""
        try:
            self._stub.GetRootResource(engine_pb2.GetRootResourceRequest(), timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # UNAVAILABLE is a refused connection. Any other answer, even a refusal or silence, comes from an engine.
            return _to_code(error) is not grpc.StatusCode.UNAVAILABLE
        return True


def _to_code(error: grpc.RpcError) -> object:
    return error.code() if hasattr(error, "code") else error


class EngineMonitor:
    """Checks, for as long as the process lives, whether its engine is alive, and says once when it is not.

    It does so between operations too: an engine can be killed while nothing is in progress.

    Args:
        engine: the engine.
        on_gone: called once, from the monitor's own thread.
        seconds: between two checks.
    """

    def __init__(self, engine: Engine, on_gone: Callable[[], None], *, seconds: float = MONITOR_SECONDS) -> None:
        self._engine = engine
        self._on_gone = on_gone
        self._seconds = seconds

    def start(self) -> None:
        """Begin, on a thread of its own that keeps no process alive."""
        threading.Thread(target=self._watch, name="lmconv-engine-monitor", daemon=True).start()

    def _watch(self) -> None:
        refusals = 0
        while refusals < 2:
            time.sleep(self._seconds)
            refusals = 0 if self._engine.is_alive() else refusals + 1
        self._on_gone()


class StackRow:
    """Shows on the stack's row how the operations of this process go. Safe to share between threads.

    A single one is shown as on its own row, which has no room for that where Pulumi shows what an update changes; more
    than one by their numbers.

    Args:
        show: shows a line on the stack's row.
        runtime: clock and locks.
    """

    def __init__(self, show: Callable[[str], None], runtime: Runtime) -> None:
        self._show = show
        self._progress = Progress(0, show, moves=True, terminal_columns=terminal_columns, runtime=runtime)
        self._lock = runtime.lock()
        self._ended: dict[str, bool] = {}
        """By the URN of each resource that was shown, whether an operation on it has ended: it counts once."""

    def show(self, urn: str, message: str) -> None:
        """Show how the operation on a resource goes."""
        with self._lock:
            if urn not in self._ended:
                self._ended[urn] = False
                self._progress.add()
        if len(self._ended) == 1:
            self._show(message)
        else:
            self._progress.report()

    def end(self, urn: str | None, *, failed: bool) -> None:
        """Count the end of an operation, if it was shown."""
        with self._lock:
            if urn is None or self._ended.get(urn, True):
                return
            self._ended[urn] = True
        self._progress.end(done=not failed, failed=failed)
        if len(self._ended) > 1:
            self._progress.report()


class EngineHandler(logging.Handler):
    """Hands log records on to the engine: `pulumi up --debug` shows those of level DEBUG, and others always show."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record to the stack's row."""
        if record.name == __name__:  # a line about lines would never end
            return
        levels = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARNING"), (logging.INFO, "INFO"))
        severity = next((name for level, name in levels if record.levelno >= level), "DEBUG")
        self._engine.log(severity, None, self.format(record))


def send_log(engine: Engine) -> None:
    """Send the package's log to the engine, by the level in LMCONV_LOG; nothing may reach stdout or stderr."""
    package = logging.getLogger("lmconv_resource")
    package.addHandler(EngineHandler(engine))
    package.propagate = False
    level = os.environ.get("LMCONV_LOG", "WARNING").upper()
    try:
        package.setLevel(level)
    except ValueError:
        package.setLevel(logging.WARNING)
        package.warning("LMCONV_LOG=%s is not a level: use DEBUG, INFO, WARNING or ERROR.", level)


def end_process() -> None:
    """End this process, for when its engine is gone: first as ^C does, then for certain."""
    time.sleep(_GRACE_SECONDS)
    # Aimed at the main thread, whose wait a signal to any other thread would not end. It does nothing where SIGINT is
    # ignored (a job started with nohup and &), nor while a call that was left behind still runs.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(_GRACE_SECONDS)
    os._exit(1)
