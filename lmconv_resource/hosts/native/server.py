"""The plugin's process: a gRPC server on loopback, a thread a call, that ends when its engine does."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from lmconv_resource.hosts.engine import MAX_CALLS
from lmconv_resource.hosts.native.provider import NativeProvider
from lmconv_resource.hosts.session import Session

_MAX_BYTES = 400 * 1024 * 1024
"""The longest message that Pulumi's engine sends and takes."""


def serve(provider: NativeProvider) -> tuple[grpc.Server, int]:
    """Return a server that is started, and its port."""
    server = grpc.server(
        ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="lmconv-call"),
        options=[
            ("grpc.max_receive_message_length", _MAX_BYTES),
            ("grpc.max_send_message_length", _MAX_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> None:
    """Serve the engine whose address is the first argument, after options that the engine may put before it."""
    # The engine runs a plugin in a process group of its own and interrupts it when it no longer needs it. Calls that
    # still run then have no caller left, and Python would wait for their threads.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    # Without an address, `Handshake` or `Attach` will name one.
    server, port = serve(NativeProvider(Session.on_engine(addresses[0]) if addresses else Session()))
    print(port, flush=True)  # noqa: T201 -- how a plugin tells the engine where it is
    server.wait_for_termination()


if __name__ == "__main__":
    main()
