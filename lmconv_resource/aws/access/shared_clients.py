"""What sessions of other credentials share: botocore's data, and clients whose calls are signed one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from botocore.loaders import create_loader

from lmconv_resource.aws.access.regions import Regions
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.polling.runtime import RUNTIME, Runtime

_signing: ContextVar[Any] = ContextVar("signing", default=None)
"""The credentials that this thread's call is signed with, None for none."""


class Signer:
    """The credentials of a shared client, for botocore: those of the session that is calling."""

    method = "shared"

    def get_frozen_credentials(self) -> Any:
        """Return the credentials of the call, renewed where they are near their end."""
        credentials = _signing.get()
        return None if credentials is None else credentials.get_frozen_credentials()

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return what gives a property of the credentials."""
        return lambda: getattr(self.get_frozen_credentials(), name, None)


class SigningClient:
    """A shared client whose calls are signed with these credentials."""

    def __init__(self, client: Any, credentials: Any) -> None:
        self._client = client
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not inspect.ismethod(member):
            return member

        def call(*args: Any, **members: Any) -> Any:
            token = _signing.set(self._credentials)
            try:
                return member(*args, **members)
            finally:
                _signing.reset(token)

        return call


class SharedClients:
    """What sessions in one environment share. A client of its own for each account would cost 30 MB."""

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self.regions = Regions()
        self._lock = runtime.lock()
        """Held while a client is made, which calls nothing: at once, threads would load the same models twice."""
        self._loaders: dict[str | None, Any] = {}
        self._clients: dict[tuple[Settings, str], Any] = {}

    def loader(self, data_path: str | None) -> Any:
        """Return the loader of botocore's data, and of what the user has beside it."""
        if data_path not in self._loaders:
            self._loaders[data_path] = create_loader(data_path)
        return self._loaders[data_path]

    def client(self, settings: Settings, service: str, make: Callable[[str], Any]) -> Any:
        """Return the client of a service; the first caller makes it."""
        key = settings.without_caller, service
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make(service)
            return self._clients[key]
