"""The plugin's process, with an engine that is played here: its port, its lines, and that it ends with its engine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from support.engine import FakeEngine, serve_engine
from support.native_host import TASK, Plugin, urn
from support.proofs import keep
from support.waiting import SOON
from support.wire import add_running

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.hosts.session import Session

ROOT = Path(__file__).parents[3]
WAIT = {"licenseConversionTaskId": "lct-0000", "region": "eu-west-1", "waitForCompletion": True}


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with serve_engine() as served:
        yield served


_IGNORING_SIGNALS = ("sh", "-c", 'trap "" INT TERM; exec "$@"', "sh")


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Plugin]]:
    """Return a plugin's process, started with signals ignored, and the engine's end of its wire."""
    started = subprocess.Popen(
        [*_IGNORING_SIGNALS, sys.executable, "-m", "lmconv_resource.hosts.native.server", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        yield started, Plugin(int(started.stdout.readline()), Session(lambda _: None))
    finally:
        started.kill()
        started.communicate()


def test_what_it_is(engine: FakeEngine, aws: LicenseManagerBackend) -> None:
    """A port on stdout and nothing else; the protocol and the version by call; lines on the row of the resource."""
    add_running(aws, 1)
    aws.finish_task("lct-0000")
    with process(engine.address) as (started, plugin):
        shaken = plugin.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=engine.address))
        assert (shaken.accept_secrets, shaken.accept_resources, shaken.accept_outputs) == (True, True, False)
        assert plugin.stub.GetPluginInfo(Empty()).version
        assert '"name": "lmconv"' in plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema
        plugin.configure(region="eu-west-1")
        plugin.create(TASK, WAIT)
        started.send_signal(signal.SIGINT)
        assert started.wait(SOON) == 0
        assert started.communicate() == ("", "")
    assert [line.message for line in engine.requests if line.urn == urn(TASK)][-1].startswith("SUCCEEDED after ")


@pytest.mark.parametrize("busy", keep([True], [False, True]))
def test_it_ends_with_its_engine(engine: FakeEngine, aws: LicenseManagerBackend, *, busy: bool) -> None:
    """Soon, though signals were ignored when it was started."""
    add_running(aws, 1)
    with process(engine.address) as (started, plugin):
        plugin.configure(region="eu-west-1")
        if busy:
            _waiting = plugin.create_later(TASK, WAIT)  # gRPC cancels a call that nobody holds
            while not aws.calls["GetLicenseConversionTask"]:
                time.sleep(0.05)
        engine.stop()
        started.wait(SOON)


@pytest.mark.proof
def test_one_that_somebody_else_started_serves_engine_after_engine(engine: FakeEngine) -> None:
    """`PULUMI_DEBUG_PROVIDERS` makes the engine attach to a port; the plugin outlives it."""
    with process() as (started, plugin):
        for number in range(2):
            attached = engine if number == 0 else FakeEngine()
            plugin.stub.Attach(plugin_pb2.PluginAttach(address=attached.address))
            plugin.configure(region="eu-west-1")
            _, failures = plugin.check(TASK, {"licenseConversionTaskId": "lct-1"})
            assert failures == []
            attached.stop()
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(4 if number == 0 else 0.1)
