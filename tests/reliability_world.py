"""A License Manager without wires, for thousands of runs: botocore's parser reads its answers, and no time passes."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from lmconv_resource.aws import client as connections
from lmconv_resource.aws.client import Connection
from lmconv_resource.aws.license_manager import find_tasks_in_progress, look_up_task
from lmconv_resource.errors import WaitTimeoutError
from lmconv_resource.hosts import session as process
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.cancellation import StopSignal
from lmconv_resource.polling.poller import Watcher
from lmconv_resource.polling.rate_limiter import Pacer

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must reach no terminal."""

GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
CREATE = "CreateLicenseConversionTaskForResource"


@lru_cache(maxsize=1)
def find_model() -> Any:
    """Give botocore's model of the service."""
    return botocore.session.get_session().get_service_model("license-manager")


def parse(operation: str, status: int, body: bytes) -> Any:
    """Read an answer as a client of botocore's does: its members, or its error raised."""
    shape = find_model().operation_model(operation).output_shape
    answer = create_parser("json").parse({"status_code": status, "headers": {}, "body": body}, shape)
    if status >= 300:
        raise ClientError(answer, operation)
    answer.setdefault("ResponseMetadata", {})  # where a client of botocore's fails on what is no object
    return answer


Answer = Callable[[str, str, dict[str, Any]], "tuple[int, bytes]"]
"""Answers a call: region, operation and request in, HTTP status and body out; or raises what the wire would."""


class Client:
    """What `connect` takes for a client of boto3's."""

    def __init__(self, region: str, answer: Answer) -> None:
        self._region, self._answer = region, answer

    def get_license_conversion_task(self, **request: Any) -> Any:
        return parse(GET, *self._answer(self._region, GET, request))

    def list_license_conversion_tasks(self, **request: Any) -> Any:
        return parse(LIST, *self._answer(self._region, LIST, request))

    def create_license_conversion_task_for_resource(self, **request: Any) -> Any:
        return parse(CREATE, *self._answer(self._region, CREATE, request))


@dataclass
class Clock:
    """A clock that only a sleep moves on."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class NoPauses(threading.Event):
    """Pauses that take no time."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class HandWatcher(Watcher):
    """The watcher with all its rules, by a clock that goes from look to look."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        super().__init__(
            partial(look_up_task, connection, in_turn=False),
            partial(find_tasks_in_progress, connection),
            on_note=lambda _: None,
            clock=clock,
            rng=random.Random(3),  # noqa: S311 -- the same in each run
        )
        self._hand = clock

    def wait_for_task(
        self,
        task_id: str,
        region: str,
        *,
        stop: StopSignal,
        report: Any,
        timeout_seconds: float = 60.0,
        poll_interval_seconds: float | None = None,
    ) -> ConversionTask:
        wait = self.add(task_id, region, timeout_seconds=timeout_seconds, poll_interval_seconds=poll_interval_seconds)
        try:
            while wait.outcome is None and self._hand.now < wait.deadline:
                self._hand.now = max(self._hand.now, self.next_due() or 0.0)
                self.look(lambda call: call())
                report(wait, self._hand.now)
        finally:
            self.remove(wait)
        if isinstance(wait.outcome, ConversionTask):
            return wait.outcome
        raise wait.outcome or WaitTimeoutError(**wait.to_error_facts(self._hand.now))


@dataclass
class Said:
    """What was said to the user."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    urns: set[str | None] = field(default_factory=set)
    """Under which resources."""

    def say(self, props: Any, text: str, severity: str = "INFO") -> None:
        self.lines.append((severity, text))
        self.urns.add(props.get("__urn"))


@contextmanager
def played_by(answer: Answer) -> Iterator[Said]:
    """Have every connection of this process lead to `answer`, with no time passing."""
    clock, said = Clock(), Said()
    stop = StopSignal()
    stop.event = NoPauses()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "_connections", {})
        patch.setattr(connections, "_make_client", lambda _service, settings, _url: Client(settings.region, answer))
        patch.setattr(connections, "Pacer", lambda: Pacer(clock, clock.sleep, random.Random(5)))  # noqa: S311 -- jitter
        patch.setattr(process, "stop", stop)
        patch.setattr(process, "say", said.say)
        patch.setattr(process, "find_watcher", lambda connection: HandWatcher(connection, clock))
        yield said


def to_body(members: Any) -> tuple[int, bytes]:
    """Give an answer of AWS's."""
    return 200, json.dumps(members).encode()


def texts(value: Any) -> list[str]:
    """Give every text inside a value."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for entry in inside for text in texts(entry)]
