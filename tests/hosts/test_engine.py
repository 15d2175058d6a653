"""The way back to the engine, against a gRPC service that plays its part."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.runtime.proto import engine_pb2
from support.engine import FakeEngine, serve_engine
from support.waiting import SOON, wait_until

from lmconv_resource.hosts.engine import Engine, EngineHandler
from lmconv_resource.hosts.session import StackRow
from lmconv_resource.polling.runtime import Runtime
from lmconv_resource.provider import LicenseConversionTaskProvider

URN = "urn:pulumi:dev::project::pulumi-python:dynamic/lmconv:LicenseConversionTask::task"


@pytest.fixture
def served() -> Iterator[FakeEngine]:
    """An engine's service on loopback."""
    with serve_engine() as engine:
        yield engine


def test_a_status_is_live_and_a_logged_line_stays(served: FakeEngine) -> None:
    """Progress goes to the resource's row as ephemeral; a warning goes under the resource and stays."""
    engine = Engine(served.address)
    engine.log_status(URN, "IN_PROGRESS")
    engine.log("WARNING", URN, "FAILED")
    assert [(r.urn, r.message, engine_pb2.LogSeverity.Name(r.severity), r.ephemeral) for r in served.requests] == [
        (URN, "IN_PROGRESS", "INFO", True),
        (URN, "FAILED", "WARNING", False),
    ]


def test_an_engine_is_alive_until_its_address_refuses(served: FakeEngine) -> None:
    """Only a refused connection means that the engine is gone."""
    engine = Engine(served.address)
    assert engine.is_alive()
    served.stop()
    assert not engine.is_alive()
    engine.log_status(URN, "IN_PROGRESS")  # that the line is lost is no error


def test_lines_to_the_engine_use_no_proxy(served: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy that is not there, and nothing that excepts loopback, lines arrive and the engine is alive."""
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    engine = Engine(served.address)
    engine.log_status(URN, "IN_PROGRESS")
    assert [request.message for request in served.requests] == ["IN_PROGRESS"]
    assert engine.is_alive()


def test_an_engine_that_does_not_know_the_question_is_alive() -> None:
    """An answer of any kind, a refusal too, comes from something that is alive."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert Engine(f"127.0.0.1:{port}").is_alive()
    server.stop(0).wait()


class Mortal(Engine):
    """An engine that dies when told to."""

    def __init__(self, answers: list[bool]) -> None:
        self.asked = 0
        self._answers = answers

    def is_alive(self) -> bool:
        self.asked += 1
        return self._answers.pop(0) if self._answers else True


def running_monitors() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lmconv-engine-monitor"]


def test_the_monitor_never_rests_and_tells_once_after_two_refusals_in_a_row() -> None:
    """Nothing needs to be under way for it to ask; one refusal is a hiccup, and two mean that the engine is gone."""
    told: list[str] = []
    answers: list[bool] = []
    engine = Mortal(answers)
    engine.watch(lambda: told.append("gone"), seconds=0.01)
    wait_until(lambda: engine.asked >= 10, "ten questions")
    assert told == []
    answers.extend([False, True, False, False])
    for thread in running_monitors():
        thread.join(SOON)
    assert answers == []
    assert told == ["gone"]
    assert not running_monitors()


def test_a_line_about_lines_goes_nowhere(served: FakeEngine) -> None:
    """What this module logs of lost lines is not sent by the way that lost them."""
    EngineHandler(Engine(served.address)).handle(
        logging.LogRecord("lmconv_resource.hosts.engine", logging.ERROR, "", 0, "lost", None, None)
    )
    assert served.requests == []


def test_only_a_plugin_has_an_engine() -> None:
    """The engine's address is the first argument of the plugin's process; no other process has one."""
    provider = LicenseConversionTaskProvider()
    provider.configure(ConfigureRequest(Config({}, "project")))
    assert provider.session.engine is None
    assert not running_monitors()


def test_the_stack_row_shows_one_operation_as_it_is_and_more_by_their_number() -> None:
    """A single resource's line is shown as it is, a second operation's too; two are counted, once a second at most."""
    lines: list[str] = []
    now = 0.0
    row = StackRow(lines.append, Runtime(now=lambda: now))
    row.show("a", "5s IN_PROGRESS")
    row.end("unknown", failed=True)
    row.end("a", failed=True)
    row.show("a", "starting")
    row.show("b", "0s IN_PROGRESS")
    row.show("b", "1s IN_PROGRESS")
    now = 2.0
    row.end("b", failed=False)
    assert lines == [
        "5s IN_PROGRESS",
        "starting",
        "0 of 2 done, 1 failed, 1 running, 0:00:00",
        "1 of 2 done, 1 failed, 0:00:02",
    ]
