"""Pulumi's plugin process for dynamic providers, started and spoken to as the engine does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from .properties import PropertyMap, from_struct, restore_secrets, to_plain, to_struct
from .provider import Diff, InitFailedError
from .state import ResourceState

# Pulumi's own limit for a message, and Go's for what an error carries; and nothing on loopback goes through a proxy.
GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.enable_http_proxy", 0),
]


def start_process(folder: Path, engine_address: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `python -u -m pulumi.dynamic` as the engine does: with the program's own interpreter, in its folder."""
    return subprocess.Popen(  # noqa: S603 -- the program's own interpreter
        [sys.executable, "-u", "-m", "pulumi.dynamic", engine_address],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a ^C in the terminal is for the engine, which sends Cancel
    )


class DynamicPlugin:
    """`python -u -m pulumi.dynamic`: a provider for all dynamic resources of a program.

    The process starts with the first call that needs it. `on_line` gets what it prints. A failed call raises
    `grpc.RpcError`, whose `details()` are the plugin's text.
    """

    start_process = staticmethod(start_process)
    """Starts the process; tests put a quicker way in its place."""

    def __init__(
        self,
        folder: Path,
        engine_address: str,
        *,
        config: PropertyMap,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._engine_address = engine_address
        self._config = config
        self._environment = environment
        self._on_line = on_line
        self._lock = threading.Lock()
        self._process_lock = threading.Lock()
        self._stopped = False
        self._readers: list[threading.Thread] = []
        self._channel: Any = None
        self._connected: Any = None

    def check(self, urn: str, olds: PropertyMap, news: PropertyMap) -> tuple[PropertyMap, list[tuple[str, str]]]:
        """Return the inputs to use, and failures as pairs of property and reason."""
        answer = self._stub.Check(pb.CheckRequest(**_naming(urn), olds=_wire(olds), news=_wire(news)))
        failures = [(failure.property, failure.reason) for failure in answer.failures]
        return restore_secrets(from_struct(answer.inputs), news), failures

    def diff(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> Diff:
        """Tell how the resource differs from the new inputs."""
        answer = self._stub.Diff(
            pb.DiffRequest(
                **_naming(old.urn),
                id=old.id,
                old_inputs=_wire(old.inputs),
                olds=_wire(old.outputs),
                news=_wire(news),
                ignoreChanges=ignore_changes,
            )
        )
        changes = {pb.DiffResponse.DIFF_SOME: True, pb.DiffResponse.DIFF_NONE: False}.get(answer.changes)
        return Diff(changes, tuple(answer.replaces), answer.deleteBeforeReplace)

    def create(self, urn: str, inputs: PropertyMap) -> tuple[str, PropertyMap]:
        """Return the id and the outputs of the new resource."""
        with _init_failure(inputs):
            answer = self._stub.Create(pb.CreateRequest(**_naming(urn), properties=_wire(inputs)))
        return answer.id, restore_secrets(from_struct(answer.properties), inputs)

    def update(self, old: ResourceState, news: PropertyMap, ignore_changes: list[str]) -> PropertyMap:
        """Return the outputs of the changed resource."""
        request = pb.UpdateRequest(
            **_naming(old.urn),
            id=old.id,
            old_inputs=_wire(old.inputs),
            olds=_wire(old.outputs),
            news=_wire(news),
            ignoreChanges=ignore_changes,
        )
        with _init_failure(news):
            answer = self._stub.Update(request)
        return restore_secrets(from_struct(answer.properties), news)

    def read(self, old: ResourceState) -> tuple[str, PropertyMap, PropertyMap | None]:
        """Return the id (empty if the resource is gone), the outputs, and new inputs if the provider gives some."""
        answer = self._stub.Read(
            pb.ReadRequest(**_naming(old.urn), id=old.id, properties=_wire(old.outputs), inputs=_wire(old.inputs))
        )
        new_inputs = restore_secrets(from_struct(answer.inputs), old.inputs) if answer.HasField("inputs") else None
        return answer.id, restore_secrets(from_struct(answer.properties), old.outputs), new_inputs

    def delete(self, old: ResourceState) -> None:
        """Delete the resource."""
        self._stub.Delete(
            pb.DeleteRequest(**_naming(old.urn), id=old.id, properties=_wire(old.outputs), old_inputs=_wire(old.inputs))
        )

    def cancel(self) -> None:
        """Send `Cancel`, without waiting: it may queue behind the calls it is meant for."""
        if self._connected is not None:
            self._connected.Cancel.future(Empty())

    def disconnect(self) -> None:
        """Break every call off, from this side; the process goes on."""
        if self._channel is not None:
            self._channel.close()

    def stop(self) -> None:
        """Kill the process and everything it started; it has no other end. From now on none is started."""
        self.disconnect()
        with self._process_lock:
            self._stopped = True
            process = self.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for reader in self._readers:
            reader.join(0.5)  # what left the process's group may hold its pipes open

    @property
    def _stub(self) -> Any:
        with self._lock:
            if self._connected is None:
                self._connected = self._start()
            return self._connected

    def _start_process(self) -> subprocess.Popen[bytes]:
        with self._process_lock:
            if self._stopped:
                raise RuntimeError("the operation is over: no plugin is started for it any more")
            environment = {**os.environ, **self._environment, "PWD": str(self._folder)}
            self.process = self.start_process(self._folder, self._engine_address, environment)
            return self.process

    def _start(self) -> Any:
        process = self._start_process()
        out, err = process.stdout, process.stderr
        if out is None or err is None:
            raise AssertionError
        self._listen(err)
        port = out.readline().strip()
        self._listen(out)
        if not port.isdigit():
            said = f"exit status {process.wait()}" if not port else f"it wrote {port!r} instead of its port"
            raise RuntimeError(f"could not start the plugin of dynamic providers (python -m pulumi.dynamic): {said}")
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port.decode()}", options=GRPC_OPTIONS)
        stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        variables = {f"pulumi-python:config:{key}": to_plain(value) for key, value in self._config.items()}
        stub.Configure(
            pb.ConfigureRequest(
                acceptSecrets=True, acceptResources=True, variables=variables, args=to_struct(self._config)
            )
        )
        return stub

    def _listen(self, pipe: IO[bytes]) -> None:
        def read() -> None:
            with pipe:
                for line in pipe:
                    self._on_line(line.decode(errors="replace").rstrip("\r\n"))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        self._readers.append(reader)


@contextmanager
def _init_failure(marked: PropertyMap) -> Iterator[None]:
    """Raise `InitFailedError` in place of a gRPC error that carries a resource's id and outputs."""
    try:
        yield
    except grpc.RpcError as error:
        metadata: Any = error.trailing_metadata() or ()
        status = status_pb2.Status.FromString(dict(metadata).get("grpc-status-details-bin", b""))
        for detail in status.details:
            failed = pb.ErrorResourceInitFailed()
            if detail.Unpack(failed):
                outputs = restore_secrets(from_struct(failed.properties), marked)
                raise InitFailedError(failed.id, outputs, list(failed.reasons)) from error
        raise


def _wire(properties: PropertyMap) -> Any:
    return to_struct(to_plain(properties))


def _naming(urn: str) -> dict[str, Any]:
    type_, name = urn.split("::", 3)[2:]
    return {"urn": urn, "name": name, "type": type_.split("$")[-1]}
