"""Monkey-patches for Pulumi's dynamic provider process. Everything here relies on private internals of Pulumi and gRPC.

The process is `pulumi/dynamic/__main__.py` of the Pulumi SDK
(https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/dynamic/__main__.py). It serves four calls at a
time, drops `Cancel`, shows every error with its traceback, and has no way to record a resource that failed halfway; it
offers no setting for any of these. `apply` changes all four, for this package's resources:

- their calls get a thread each, and `Cancel` is heard, by way of `experimental_thread_pool`, an attribute by which a
  gRPC servicer's method names the pool that serves it
  (https://github.com/grpc/grpc/blob/master/src/python/grpcio/grpc/_server.py, `_select_thread_pool_for_behavior`);
- calls of other packages' dynamic providers go on to a pool of four threads, as Pulumi serves them;
- an `InitFailedError` ends its call with the status that has the resource's record, by way of the context that each of
  our calls is handed, whose `abort` the plugin calls while it handles the error;
- an error of ours is shown as its own sentence, by way of the name `traceback` in the plugin's main module.

Where one of these ways is shut, the plain behaviour stays: `apply` says which, and the caller tells the user once.
`tests/hosts/test_patches.py` runs the real plugin process and fails when Pulumi or gRPC changes.
"""

import base64
import binascii
import importlib
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.engine import MAX_CALLS, InitFailedError

_PULUMI_WORKERS = 4
"""How many calls Pulumi's plugin serves at once (`max_workers` in its `main`)."""

_METHODS = ("Check", "Diff", "Create", "Read", "Update", "Delete")


class _CallPool(ThreadPoolExecutor):
    """Serves each call of ours on a thread of its own, and sends other providers' calls to a pool like Pulumi's."""

    def __init__(self) -> None:
        super().__init__(MAX_CALLS, thread_name_prefix="lmconv-call")
        self._others = ThreadPoolExecutor(_PULUMI_WORKERS, thread_name_prefix="pulumi-call")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run gRPC's job with the servicer's method among its arguments wrapped, so that it is sent where it belongs.

        Whose call it is says its request, which only the method gets.
        """
        return super().submit(fn, *(self._wrap(arg) for arg in args), **kwargs)

    def _wrap(self, arg: Any) -> Any:
        if getattr(arg, "experimental_thread_pool", None) is not self:
            return arg

        def serve(request: Any, context: Any) -> Any:
            if _is_ours(request):
                return arg(request, _RecordingContext(context))
            return self._others.submit(arg, request, context).result()

        return serve


class _RecordingContext:
    """gRPC's context of a call, which ends a call that failed halfway with what there is to record."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def abort(self, code: Any, details: str) -> None:
        """End the call with an error, by the one that is being handled."""
        error = sys.exc_info()[1]
        if isinstance(error, InitFailedError):
            self._context.abort_with_status(error)
        self._context.abort(code, details)


class _CancelPool(ThreadPoolExecutor):
    """Hears of `Cancel` when it is handed over, before any worker is needed."""

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        super().__init__(1, thread_name_prefix="lmconv-cancel")
        self._on_cancel = on_cancel

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Tell, then run."""
        self._on_cancel()
        return super().submit(fn, *args, **kwargs)


def _is_ours(request: Any) -> bool:
    """Return whether a request is for a provider of this package, or for one derived from it."""
    for name in ("news", "properties", "olds", "inputs"):
        fields = getattr(getattr(request, name, None), "fields", None)
        if fields is not None and "__provider" in fields:
            try:
                return b"lmconv_resource" in base64.b64decode(fields["__provider"].string_value, validate=True)
            except binascii.Error:  # unknown, in a preview: the next of the names has it
                continue
    return False


class _PlainTraceback:
    """Stands in for the module `traceback`, and formats our own errors as one line."""

    def __init__(self, to_shown: Callable[[str], str]) -> None:
        self._to_shown = to_shown

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def format_exc(self, *args: Any, **kwargs: Any) -> str:
        """Return the error that is being handled: its sentence if a user can act on it, else all there is."""
        error = sys.exc_info()[1]
        is_ours = isinstance(error, (LicenseConversionError, InitFailedError))
        return self._to_shown(str(error) if is_ours else traceback.format_exc(*args, **kwargs))


def plugin_module() -> ModuleType | None:
    """Return the main module of Pulumi's plugin process, None in any other process."""
    main = sys.modules.get("__main__")
    return main if hasattr(main, "DynamicResourceProviderServicer") else None


def apply(module: ModuleType, on_cancel: Callable[[], None], to_shown: Callable[[str], str] = str) -> list[str]:
    """Patch the plugin process, once, by its main module; return what could not be patched, a sentence each.

    `on_cancel` is called when the engine sends `Cancel`, from one of gRPC's threads; `to_shown` returns an error's text
    as the user may see it.
    """
    servicer = module.DynamicResourceProviderServicer
    methods = [getattr(servicer, name, None) for name in _METHODS]
    cancel = getattr(servicer, "Cancel", None)
    are_pools_named = hasattr(importlib.import_module("grpc._server"), "_select_thread_pool_for_behavior")
    missing = []
    if are_pools_named and None not in methods:
        pool = _CallPool()
        for method in methods:
            method.experimental_thread_pool = pool  # type: ignore[union-attr]
    else:
        missing.append(
            "Pulumi's plugin serves only four calls at a time, and records nothing of a resource that fails: further "
            "waits hold up other resources."
        )
    if are_pools_named and cancel is not None:
        cancel.experimental_thread_pool = _CancelPool(on_cancel)
    else:
        missing.append("Pulumi's plugin does not pass Ctrl+C on: press it twice to end a wait.")
    if getattr(module, "traceback", None) is traceback:
        module.traceback = _PlainTraceback(to_shown)  # type: ignore[attr-defined]
    else:
        missing.append("Errors are shown with their traceback: read the last line.")
    return missing
