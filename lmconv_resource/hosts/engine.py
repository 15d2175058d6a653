"""Pulumi's engine, and the `pulumi` command behind it, as a plugin process sees them.

At the address that it hands to a plugin the engine serves `pulumirpc.Engine`
(https://github.com/pulumi/pulumi/blob/master/proto/pulumi/engine.proto). A line sent there with a resource's URN shows
on that resource's row, where one printed to stdout would land for good on the row of the stack
(https://github.com/pulumi/pulumi/issues/6065).

Pulumi does not tell a plugin what its user runs. The system's table of processes does, which only Linux has in this
form; elsewhere nothing of this is known. Each function that reads it takes the table's path, for tests.
"""

import fnmatch
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

log = logging.getLogger(__name__)

_CALL_SECONDS = 2.0
"""For one call on loopback. A busy engine may take longer, which loses a line but is no reason to think it gone."""

MONITOR_SECONDS = 1.0
"""Between two checks whether the engine is alive. Two refusals in a row end the process: 1 to 2 s."""

MAX_CALLS = 4096
"""That a plugin serves at the same time. Threads are started as they are needed; this only bounds a runaway."""

_GRACE_SECONDS = 0.8
"""For operations to end by themselves, and then for Python to end as it does by itself, once the engine is gone."""


class Engine:
    """Pulumi's engine, whose gRPC service is at `host:port`. Safe to share between threads.

    `to_shown` returns a message as the user may see it.
    """

    def __init__(self, address: str, to_shown: Callable[[str], str] = str) -> None:
        # Nothing on loopback goes through a proxy, whatever https_proxy and no_proxy say.
        channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub: Any = engine_pb2_grpc.EngineStub(channel)
        self._to_shown = to_shown

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
            log.debug("a line for the engine was lost: %s", error.code())

    def receive_log(self) -> None:
        """Have the package's log sent here, by the level in LMCONV_LOG; nothing may reach stdout or stderr."""
        package = logging.getLogger("lmconv_resource")
        package.addHandler(EngineHandler(self))
        package.propagate = False
        level = os.environ.get("LMCONV_LOG", "WARNING").upper()
        try:
            package.setLevel(level)
        except ValueError:
            package.setLevel(logging.WARNING)
            package.warning("LMCONV_LOG=%s is not a level: use DEBUG, INFO, WARNING or ERROR.", level)

    def is_alive(self) -> bool:
        """Return whether the engine still serves its address."""
        try:
            self._stub.GetRootResource(engine_pb2.GetRootResourceRequest(), timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            # UNAVAILABLE is a refused connection. Any other answer, even a refusal or silence, comes from an engine.
            return error.code() is not grpc.StatusCode.UNAVAILABLE
        return True

    def watch(self, on_gone: Callable[[], None], *, seconds: float = MONITOR_SECONDS) -> None:
        """Check, for as long as the process lives, whether the engine is alive, and call `on_gone` once when it is not.

        That is checked between operations too: an engine can be killed while nothing is in progress. The thread that
        checks, and calls, keeps no process alive.
        """

        def check() -> None:
            refusals = 0
            while refusals < 2:
                time.sleep(seconds)
                refusals = 0 if self.is_alive() else refusals + 1
            on_gone()

        threading.Thread(target=check, name="lmconv-engine-monitor", daemon=True).start()


class InitFailedError(Exception, grpc.Status):
    """There is a resource, which is recorded, but it is not what was asked for: the status that gRPC ends a call with.

    Pulumi's own way to say so is a detail of it; the next update goes on from what was recorded. The `properties` are
    outputs: of the inputs the engine knows, those of a create and those from before an update.
    """

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, id: str, properties: Struct, reason: str) -> None:
        super().__init__(reason)
        self.details = reason
        # Its type is the protobuf of google.rpc.Status, which Pulumi's SDK brings.
        status = status_pb2.Status(code=self.code.value[0], message=reason)
        detail = provider_pb2.ErrorResourceInitFailed(id=id, properties=properties, reasons=[reason])
        status.details.add().Pack(detail)
        self.trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()),)


class EngineHandler(logging.Handler):
    """Hands log records on to the engine: `pulumi up --debug` shows those of level DEBUG, and others always show."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record to the stack's row."""
        if record.name == __name__:  # a line about lines would never end
            return
        severity = record.levelname if record.levelname in engine_pb2.LogSeverity.keys() else "ERROR"  # noqa: SIM118
        self._engine.log(severity, None, self.format(record))


def end_process() -> None:
    """End this process, for when its engine is gone: first as ^C does, then for certain."""
    time.sleep(_GRACE_SECONDS)
    # Aimed at the main thread, whose wait a signal to any other thread would not end. It does nothing where SIGINT is
    # ignored (a job started with nohup and &), nor while a call that was left behind still runs.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(_GRACE_SECONDS)
    os._exit(1)


# -- the command ----------------------------------------------------------------------------------------------------

_TABLE = Path("/proc")
_MAX_ANCESTORS = 8
_FLAGS = ("--replace", "--target-replace")


def _find_command(table: Path) -> tuple[Path, list[str]] | None:
    """Return the entry of the `pulumi` command among this process's ancestors, and its words."""
    process = table / str(os.getpid())
    with suppress(OSError):  # no such table, or a process that has ended or is another user's
        for _ in range(_MAX_ANCESTORS):
            words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
            if Path(words[0]).name in ("pulumi", "pulumi.exe"):
                return process, words
            process = table / (process / "stat").read_text().rpartition(")")[2].split()[1]
    return None


def is_replaced_by_command(urn: str | None, table: Path = _TABLE) -> bool | None:
    """Return whether the command has this resource replaced, by a URN that may have `*` in it; None if not known.

    With `--replace` the engine creates the resource as one that the stack has no record of, and asks for no difference.
    """
    found = _find_command(table)
    if found is None or urn is None:
        return None
    words = found[1]
    patterns = [word.partition("=")[2] for word in words if word.partition("=")[0] in _FLAGS]
    patterns += [after for word, after in itertools.pairwise(words) if word in _FLAGS]
    return any(fnmatch.fnmatchcase(urn, pattern) for pattern in patterns if pattern)


def is_interactive(table: Path = _TABLE) -> bool:
    """Return whether the command shows a display that moves; False where that is not known.

    It shows one where its output is a terminal, unless in CI or told otherwise
    (https://github.com/pulumi/pulumi/blob/master/sdk/go/common/util/cmdutil/term.go).
    """
    found = None if os.environ.get("CI") or os.environ.get("TF_BUILD") else _find_command(table)
    with suppress(OSError):
        if found and os.readlink(found[0] / "fd" / "1").startswith(("/dev/pts/", "/dev/tty")):
            return "--non-interactive" not in found[1]
    return False


def terminal_columns(table: Path = _TABLE) -> int | None:
    """Return the width of the terminal that the command writes to, None where it is not known."""
    found = _find_command(table)
    with suppress(OSError):  # the last for an output that is no terminal
        if found:
            terminal = os.open(found[0] / "fd" / "1", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                return os.get_terminal_size(terminal).columns or None
            finally:
                os.close(terminal)
    return None
