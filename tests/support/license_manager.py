"""A License Manager without a network, for thousands of runs: botocore's parser reads its answers, no time passes."""

import functools
import json
import random
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.client import Connection
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.operation import Access
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import Runtime
from lmconv_resource.provider import LicenseConversionTaskProvider
from support.aws import CREATE, GET, LIST, Clock, made_by

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must reach no terminal."""

NO_PACE = PollingPolicy(fastest_gap_seconds=0, first_slow_gap_seconds=0, slowest_gap_seconds=0)
"""The product's rhythm, with no pause between two calls."""


@functools.cache
def get_model() -> Any:
    return botocore.session.get_session().get_service_model("license-manager")


Answer = Callable[[str, str, dict[str, Any]], "tuple[int, bytes]"]
"""Answers a call: region, operation and request in, HTTP status and body out; or raises what the network would."""


def to_body(members: Any) -> tuple[int, bytes]:
    return 200, json.dumps(members).encode()


def to_refusal(code: str, message: str = "No.", status: int = 400) -> tuple[int, bytes]:
    return status, json.dumps({"__type": code, "message": message}).encode()


class FakeClient:
    """What the package takes for a client of boto3's."""

    def __init__(self, region: str, answer: Answer) -> None:
        self._region, self._answer = region, answer
        for operation in (GET, LIST, CREATE):
            setattr(self, xform_name(operation), functools.partial(self._call, operation))

    def _call(self, operation: str, **request: Any) -> Any:
        """Read an answer as a client of botocore's does: return its members, or raise its error."""
        status, body = self._answer(self._region, operation, request)
        shape = get_model().operation_model(operation).output_shape
        answer = create_parser("json").parse({"status_code": status, "headers": {}, "body": body}, shape)
        if status >= 300:
            raise ClientError(answer, operation)
        answer.setdefault("ResponseMetadata", {})  # where a client of botocore's fails on what is no object
        return answer


class FakeSession(Session):
    """A session in which every call is answered by `answer`, and what users would read is kept.

    Time passes in pauses and between polls only, all in one thread, and in no run otherwise than in another.

    Args:
        answer: answers every call; a test may set another one.
        config: the stack's configuration.
    """

    def __init__(self, answer: Answer, config: Mapping[str, str]) -> None:
        self.clock = clock = Clock()
        self.answer = answer
        self.lines: list[str] = []
        """What users read, live or for good."""
        self._dispatchers: list[Dispatcher] = []
        session = self

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                session.pass_time(timeout or 0.0)
                return self.is_set()

        def make_client(_service: str, settings: Settings) -> FakeClient:
            return FakeClient(settings.region, lambda *call: self.answer(*call))  # noqa: PLW0108

        rng = random.Random(3)  # noqa: S311 -- the same in each run
        nothing: Callable[..., None] = lambda *_: None  # noqa: E731
        super().__init__(
            config.get,
            policy=NO_PACE,
            runtime=Runtime(now=clock, sleep=clock.sleep, event=Event, spawn=nothing, rng=rng),
            open_session=made_by(make_client),
        )

    def pass_time(self, seconds: float) -> None:
        """Let time pass, up to the next poll, which is then made."""
        waiting = next((each for each in self._dispatchers if each.waits), None)
        due = waiting.next_poll() if waiting else None
        end = self.clock.now + seconds
        if waiting is None or due is None or due > end:
            self.clock.now = end
            return
        self.clock.now = max(self.clock.now, due)
        waiting.dispatch(lambda call: call())

    def connect(self, region: str, access: Access) -> Connection:
        connection = super().connect(region, access)
        if connection.poller.dispatcher not in self._dispatchers:
            self._dispatchers.append(connection.poller.dispatcher)
        return connection

    def provider(self) -> LicenseConversionTaskProvider:
        provider = LicenseConversionTaskProvider()
        provider.session = self
        return provider

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        self.lines.append(message)

    def log_status(self, urn: str | None, message: str) -> None:
        self.lines.append(message)


def texts(value: Any) -> list[str]:
    """Return every text inside a value."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for entry in inside for text in texts(entry)]
