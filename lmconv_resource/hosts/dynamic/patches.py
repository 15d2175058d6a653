"""What Pulumi's plugin process lacks, put in from inside. Everything here reaches into a place that is not ours.

The plugin process is `pulumi/dynamic/__main__.py` of the Pulumi SDK
(https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/dynamic/__main__.py). It serves four calls at a
time, drops `Cancel`, and shows every error with its traceback; it offers no setting for any of these. `install` mends
all three:

- calls get a thread each, and `Cancel` is heard, by way of `experimental_thread_pool`, an attribute by which a gRPC
  servicer's
  method names the pool that serves it
  (https://github.com/grpc/grpc/blob/master/src/python/grpcio/grpc/_server.py, `_select_thread_pool_for_behavior`);
- an error of ours is shown as its own sentence, by way of the name `traceback` in the plugin's main module.

Where one of these ways is shut, the plain behaviour stays: `install` says which, and the caller tells the user once.
`tests/test_host.py` runs the real plugin process and fails when Pulumi or gRPC changes.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

from lmconv_resource.errors import LicenseConversionError

_MOST_CALLS = 4096
"""Served at the same time. Threads are started as they are needed; this only bounds a runaway."""

_CALLS = ("Check", "Diff", "Create", "Read", "Update", "Delete")


class _CallPool(ThreadPoolExecutor):
    """A pool that tells when a call comes in."""

    def __init__(self, name: str, most: int, on_call: Callable[[], None] | None = None) -> None:
        super().__init__(most, thread_name_prefix=name)
        self._on_call = on_call

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Tell, then run."""
        if self._on_call:
            self._on_call()
        return super().submit(fn, *args, **kwargs)


class _PlainTraceback:
    """Stands in for the module `traceback`, and gives our own errors as one line."""

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def format_exc(self, *args: Any, **kwargs: Any) -> str:
        """Give the error that is being handled: its sentence if a user can act on it, else all there is."""
        error = sys.exc_info()[1]
        return str(error) if isinstance(error, LicenseConversionError) else traceback.format_exc(*args, **kwargs)


def find_host() -> ModuleType | None:
    """Give the main module of Pulumi's plugin process, None in any other process."""
    main = sys.modules.get("__main__")
    return main if hasattr(main, "DynamicResourceProviderServicer") else None


_lock = threading.Lock()
_installed = False


def install(on_cancel: Callable[[], None]) -> list[str]:
    """Mend the plugin process once; later calls do nothing.

    Args:
        on_cancel: called when the engine sends `Cancel`, from one of gRPC's threads.

    Returns:
        What could not be mended, a sentence each.
    """
    global _installed  # noqa: PLW0603 -- one plugin process, one set of hooks
    host = find_host()
    with _lock:
        if host is None or _installed:
            return []
        _installed = True
    servicer = host.DynamicResourceProviderServicer
    shut = []
    if not _give_each_call_a_thread(servicer):
        shut.append("Pulumi's plugin serves only four calls at a time: more waits than that hold up other resources.")
    if not _hear_cancel(servicer, on_cancel):
        shut.append("Pulumi's plugin does not pass ^C on: press it twice to end a wait.")
    if not _show_errors_in_one_line(host):
        shut.append("Errors are shown with their traceback: read the last line.")
    return shut


def _pools_can_be_named() -> bool:
    import grpc._server

    return hasattr(grpc._server, "_select_thread_pool_for_behavior")


def _give_each_call_a_thread(servicer: Any) -> bool:
    calls = [getattr(servicer, name, None) for name in _CALLS]
    if not _pools_can_be_named() or None in calls:
        return False
    pool = _CallPool("lmconv-call", _MOST_CALLS)
    for call in calls:
        call.experimental_thread_pool = pool  # type: ignore[union-attr]
    return True


def _hear_cancel(servicer: Any, on_cancel: Callable[[], None]) -> bool:
    cancel = getattr(servicer, "Cancel", None)
    if not _pools_can_be_named() or cancel is None:
        return False
    cancel.experimental_thread_pool = _CallPool("lmconv-cancel", 1, on_cancel)
    return True


def _show_errors_in_one_line(host: ModuleType) -> bool:
    if getattr(host, "traceback", None) is not traceback:
        return False
    host.traceback = _PlainTraceback()  # type: ignore[attr-defined]
    return True


def end_process() -> None:
    """End the plugin process the way ^C does, so that calls under way may finish; for when the engine is gone."""
    # Aimed at the main thread, whose wait a signal to any other thread would not end. Where SIGINT is ignored (a job
    # started with nohup and &) Python ignores it too, and the process stays: idle, as every plugin without its engine.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
