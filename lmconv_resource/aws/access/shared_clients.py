"""What sessions of other credentials share: regions, botocore's data, and clients whose calls are signed one by one."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from botocore.loaders import create_loader

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.text import key, on_settings

_signing: ContextVar[Any] = ContextVar("signing", default=None)
"""The credentials that this thread's call is signed with, None for none."""


class Regions:
    """AWS's regions as this botocore lists them. No profile and no file of the user's is read for them."""

    @cached_property
    def _partitions(self) -> list[dict[str, Any]]:
        loader = create_loader(os.environ.get("AWS_DATA_PATH"))
        partitions: list[dict[str, Any]] = loader.load_data("partitions")["partitions"]
        return partitions

    def is_listed(self, region: str) -> bool:
        """Return whether this version of botocore lists the region; a newer region may be missing there."""
        return any(region in partition["regions"] for partition in self._partitions)

    def partition_of(self, region: str) -> str | None:
        """Return the partition of a region (`aws`, `aws-cn`), also of a new one that fits its pattern; else None."""
        for partition in self._partitions:
            if region in partition["regions"] or re.match(partition["regionRegex"], region):
                return str(partition["id"])
        return None

    def check(self, settings: Settings) -> None:
        """Raise a SettingsError when AWS has no such region; an endpoint of one's own may have regions of its own."""
        for service, region, places in (
            ("license-manager", settings.region, f"`region`, {key('region')} (`pulumi config`) and AWS_REGION"),
            ("sts", settings.sts_region, f"{key('stsRegion')} (`pulumi config`)"),
        ):
            if region and service not in settings.endpoint_urls and self.partition_of(region) is None:
                reason, remedy = f"{region} is not an AWS region", on_settings(f"Check {places}")
                raise SettingsError(Subject(CONNECT_ACTION), reason, remedy)


class Signer:
    """The credentials of a shared client, by botocore's interface: those of the session that is calling."""

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
        self._client, self._credentials = client, credentials

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
        made_by = settings.without_caller, service
        with self._lock:
            if made_by not in self._clients:
                self._clients[made_by] = make(service)
            return self._clients[made_by]
