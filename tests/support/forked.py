"""Plugin processes that are forked off one that has imported all they need, in place of a second of imports each.

Their time passes ten times as fast, but for the check whether the engine is alive.

Where a run is measured, or a test changes what Python itself begins with, the process is started as Pulumi starts it.
"""

import functools
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_engine.plugin import start_process

from support.hurry import make_hurried

_IMPORTED = ("dill", "boto3", "pulumi.dynamic", "lmconv_resource.provider", "lmconv_resource.hosts.dynamic.provider")
_FOLDERS = [str(Path(__file__).parents[2] / name) for name in ("tests", "tools")]
_SERVE = f"import sys; sys.path[:0] = {_FOLDERS!r}; from support.forked import serve; serve(int(sys.argv[1]))"


def fork_process(folder: Path, engine_address: str, environment: Mapping[str, str]) -> Any:
    """Return a process of `pulumi.dynamic`, as `start_process` does."""
    is_changed = environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
    if sys.platform != "linux" or "COVERAGE_PROCESS_CONFIG" in environment or is_changed:
        return start_process(folder, engine_address, environment)
    return _Forked(json.dumps([str(folder), engine_address, dict(environment)]).encode())


@functools.cache
def _connect(of_process: int) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
    """Return a connection to the one server of a run, which the first of its workers starts."""
    address = f"\0lmconv-resource {os.environ.get('PYTEST_XDIST_TESTRUNUID', of_process)}"
    server, (ours, listener) = None, (socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    with listener:
        with suppress(OSError):  # another worker was first
            listener.bind(address)
            listener.listen()
        if listener.getsockname():
            command = [sys.executable, "-c", _SERVE, str(listener.fileno()), "pulumi.dynamic"]  # /proc shows it of all
            # What the first test says of AWS may be what no client can be made with.
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            server = subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment)
    while ours.connect_ex(address):  # another worker has bound it just now
        time.sleep(0.01)
    return ours, server


class _Forked:
    """What `subprocess.Popen` offers of such a process."""

    def __init__(self, request: bytes) -> None:
        ends = [os.pipe() for _ in range(3)]
        socket.send_fds(_connect(os.getpid())[0], [request], [written for _, written in ends])
        for _, written in ends:
            os.close(written)
        self.stdout, self.stderr, self._status = (os.fdopen(read, "rb", 0) for read, _ in ends)
        if not select.select([self._status], [], [], 60)[0]:
            raise RuntimeError("the process that forks plugins does not answer")
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("pulumi.dynamic", timeout or 0)
            with self._status:
                self.returncode = os.waitstatus_to_exitcode(int(self._status.readline()))
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def serve(number: int) -> None:
    """Fork a plugin for each request, and a process that waits for its end, until nobody is left who could ask."""
    from lmconv_resource.polling import runtime

    runtime.RUNTIME = make_hurried(10)  # before what takes it by default is imported
    for name in _IMPORTED:
        importlib.import_module(name)
    _read_models()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener, askers = socket.socket(fileno=number), list[socket.socket]()
    while True:
        ready = select.select([listener, *askers], [], [])[0]
        if listener in ready:
            askers.append(listener.accept()[0])
        for asker in [each for each in ready if each is not listener]:
            request, written, _, _ = socket.recv_fds(asker, 1 << 17, 3)
            if not request:
                askers.remove(asker)
                asker.close()
            elif os.fork() == 0:
                for each in (listener, *askers):
                    each.close()
                _keep(written, *json.loads(request))
            for end in written:
                os.close(end)
        if not askers:
            return


def _read_models() -> None:
    import botocore.loaders
    import botocore.session

    botocore.loaders.create_loader = botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)
    session = botocore.session.get_session()
    session.set_credentials("none", "none")
    for service in ("license-manager", "ec2", "sts"):
        session.create_client(service, region_name="eu-west-1")


def _keep(written: list[int], folder: str, engine_address: str, environment: Mapping[str, str]) -> None:
    out, err, status = written
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.write(status, b"%d\n" % pid)
        for end in (out, err):
            os.close(end)
        os.write(status, b"%d\n" % os.waitpid(pid, 0)[1])
        os._exit(0)
    os.close(status)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, end in ((1, out), (2, err)):
        os.dup2(end, number)
        os.close(end)
    raws = [open(number, "wb", 0) for number in (1, 2)]  # noqa: SIM115 -- as `python -u` writes: nothing waits
    sys.stdout, sys.stderr = (io.TextIOWrapper(raw, write_through=True) for raw in raws)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *(path for path in sys.path if path not in _FOLDERS)]
    sys.argv = ["-m", engine_address]
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
    sys.exit()
