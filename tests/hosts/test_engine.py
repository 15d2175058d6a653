"""The way back to the engine, against a gRPC service that plays its part."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from lmconv_resource.hosts.engine import Engine, EngineHandler, Pulse, find_engine

URN = "urn:pulumi:dev::project::pulumi-python:dynamic/lmconv:LicenseConversionTask::task"


class Service(engine_pb2_grpc.EngineServicer):
    """Hears what a plugin says."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Log(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 -- gRPC's name
        from google.protobuf import empty_pb2

        self.requests.append(request)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 -- gRPC's name
        return engine_pb2.GetRootResourceResponse()


@pytest.fixture
def served() -> Iterator[tuple[Service, str, grpc.Server]]:
    """An engine's service on loopback, its address and what stops it."""
    service = Service()
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}", server
    server.stop(0).wait()


def test_a_shown_line_is_live_and_a_said_line_stays(served: tuple[Service, str, grpc.Server]) -> None:
    """Progress goes to the resource's row as ephemeral; a warning goes under the resource and stays."""
    service, address, _ = served
    engine = Engine(address)

    engine.show(URN, "IN_PROGRESS")
    engine.say(URN, "FAILED", "WARNING")

    assert [(r.urn, r.message, engine_pb2.LogSeverity.Name(r.severity), r.ephemeral) for r in service.requests] == [
        (URN, "IN_PROGRESS", "INFO", True),
        (URN, "FAILED", "WARNING", False),
    ]


def test_a_line_that_is_lost_is_no_error(served: tuple[Service, str, grpc.Server]) -> None:
    """An engine that is gone does not make a wait fail for want of an audience."""
    _, address, server = served
    engine = Engine(address)
    server.stop(0).wait()

    engine.show(URN, "IN_PROGRESS")


def test_an_engine_is_there_until_its_address_refuses(served: tuple[Service, str, grpc.Server]) -> None:
    """Only a refused connection means that the engine is gone."""
    _, address, server = served
    engine = Engine(address)

    assert engine.is_there()
    server.stop(0).wait()
    assert not engine.is_there()


def test_an_engine_that_does_not_know_the_question_is_there() -> None:
    """An answer of any kind, a refusal too, comes from something that is alive."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    assert Engine(f"127.0.0.1:{port}").is_there()
    server.stop(0).wait()


class Mortal(Engine):
    """An engine that dies when told to."""

    def __init__(self, answers: list[bool]) -> None:
        self._answers = answers

    def is_there(self) -> bool:
        return self._answers.pop(0) if self._answers else True


def test_the_pulse_tells_once_after_two_refusals_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """One refusal is a hiccup; two in a row mean that the engine is gone."""
    monkeypatch.setattr("lmconv_resource.hosts.engine._PULSE_SECONDS", 0.01)
    gone = threading.Event()
    answers = [False, True, False, False]

    with Pulse(Mortal(answers), gone.set):
        assert gone.wait(5)

    assert answers == []


def test_the_pulse_rests_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waits no question is asked, and the next wait starts the pulse again."""
    monkeypatch.setattr("lmconv_resource.hosts.engine._PULSE_SECONDS", 0.01)
    gone = threading.Event()
    pulse = Pulse(Mortal([]), gone.set)

    with pulse, pulse:
        assert "lmconv-pulse" in {thread.name for thread in threading.enumerate()}
    for thread in threading.enumerate():
        if thread.name == "lmconv-pulse":
            thread.join(5)
    assert "lmconv-pulse" not in {thread.name for thread in threading.enumerate()}
    with pulse:
        assert "lmconv-pulse" in {thread.name for thread in threading.enumerate()}
    assert not gone.is_set()


@pytest.mark.parametrize(
    ("level", "severity"),
    [(logging.DEBUG, "DEBUG"), (logging.INFO, "INFO"), (logging.WARNING, "WARNING"), (logging.CRITICAL, "ERROR")],
)
def test_log_records_reach_the_engine(served: tuple[Service, str, grpc.Server], level: int, severity: str) -> None:
    """A record goes to the stack's row with the severity of its level."""
    service, address, _ = served

    EngineHandler(Engine(address)).handle(logging.LogRecord("lmconv_resource", level, "", 0, "a line", None, None))

    assert [(r.message, engine_pb2.LogSeverity.Name(r.severity)) for r in service.requests] == [("a line", severity)]


def test_a_line_about_lines_goes_nowhere(served: tuple[Service, str, grpc.Server]) -> None:
    """What this module logs of lost lines is not sent by the way that lost them."""
    service, address, _ = served

    EngineHandler(Engine(address)).handle(
        logging.LogRecord("lmconv_resource.hosts.engine", logging.ERROR, "", 0, "lost", None, None)
    )

    assert service.requests == []


def test_only_a_plugin_has_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's address is the first argument of the plugin's process; no other process has one."""
    assert find_engine() is None

    main = ModuleType("__main__")
    main.DynamicResourceProviderServicer = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["pulumi.dynamic", "127.0.0.1:1"])
    assert isinstance(find_engine(), Engine)
