"""Serves the emulator over HTTP, for clients in other processes."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from .managed_instances import add_instance_information
from .models import LicenseManagerBackend, licensemanager_backends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True)
class Emulator:
    """A License Manager that answers over HTTP."""

    endpoint: str
    """`http://HOST:PORT`, for boto3's `endpoint_url` or `AWS_ENDPOINT_URL_LICENSE_MANAGER`."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead clients of License Manager, EC2, STS and SSM here."""
        return {f"AWS_ENDPOINT_URL_{service}": self.endpoint for service in ("LICENSE_MANAGER", "EC2", "STS", "SSM")}

    def backend(self, region: str) -> LicenseManagerBackend:
        """Return License Manager's side in a region, for the account that all callers are taken for."""
        return licensemanager_backends[os.environ.get("MOTO_ACCOUNT_ID", DEFAULT_ACCOUNT_ID)][region]


@contextmanager
def serve(host: str = "127.0.0.1", port: int = 0) -> Iterator[Emulator]:
    """Serve moto, with License Manager in it, from a thread of this process, and give its endpoint.

    One endpoint serves all of moto's services, each request by the service it is signed for: EC2, whose instances are
    those that License Manager converts, STS and SSM among them. The emulator's `environment` leads clients there.

    Tasks that a test adds to `licensemanager_backends` are served too, before or after the start. At the end all of
    moto's state in this process is reset, as at the end of `mock_aws`; so is every connection. One at a time.

    Args:
        host: the address to listen on.
        port: the port, or 0 for one that is free.

    Raises:
        OSError: the address cannot be listened on.

    """
    # Made here, as werkzeug ends the whole process when it cannot listen.
    with socket.create_server((host, port), backlog=128) as listener:
        server = _Server(listener)
    with server:
        try:
            server.start()
            yield Emulator(endpoint=f"http://{host}:{server.server_address[1]}")
        finally:
            server.stop()
            BackendDict.reset()


class _Application(DomainDispatcherApplication):
    """All of moto, and the call that moto's Systems Manager lacks."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSSM.DescribeInstanceInformation":
            add_instance_information()
        answer: Iterable[bytes] = super().__call__(environ, start_response)
        return answer


class _Handler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a client that polls would fill the screen."""


class _Server(ThreadedWSGIServer):
    """Werkzeug's threaded server, but one that ends its connections too: a client may keep them open for minutes."""

    def __init__(self, listener: socket.socket) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        host, port = listener.getsockname()[:2]
        super().__init__(host, port, _Application(create_backend_app), _Handler, fd=listener.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def start(self) -> None:
        """Answer requests from a thread of its own."""
        # It looks every 0.05 s whether it is to end: tests would notice werkzeug's 0.5 s.
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="emulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests, and end all connections."""
        if self._thread is None:
            return
        self.shutdown()
        self._thread.join()
        with self._connections_lock:
            for connection in self._connections:
                # The thread of the connection then reads its end, and closes it. The client may have been faster.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
