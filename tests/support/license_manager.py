"""A License Manager without a network, for thousands of runs: botocore's parser reads its answers, no time passes."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.client import Connection
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.operation import Access, Operation
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS, PollingPolicy
from lmconv_resource.polling.poller import Poller, Report
from lmconv_resource.polling.runtime import Cancellation, Runtime
from lmconv_resource.provider import LicenseConversionTaskProvider
from support.aws import CREATE, GET, LIST, Clock, made_by

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must reach no terminal."""

NO_PACE = PollingPolicy(fastest_gap_seconds=0, first_slow_gap_seconds=0, slowest_gap_seconds=0)
"""The product's rhythm, with no pause between two calls."""


@lru_cache(maxsize=1)
def get_model() -> Any:
    """Return botocore's model of the service."""
    return botocore.session.get_session().get_service_model("license-manager")


def parse(operation: str, status: int, body: bytes) -> Any:
    """Read an answer as a client of botocore's does: return its members, or raise its error."""
    shape = get_model().operation_model(operation).output_shape
    answer = create_parser("json").parse({"status_code": status, "headers": {}, "body": body}, shape)
    if status >= 300:
        raise ClientError(answer, operation)
    answer.setdefault("ResponseMetadata", {})  # where a client of botocore's fails on what is no object
    return answer


Answer = Callable[[str, str, dict[str, Any]], "tuple[int, bytes]"]
"""Answers a call: region, operation and request in, HTTP status and body out; or raises what the network would."""


def to_body(members: Any) -> tuple[int, bytes]:
    """Return an answer of AWS's."""
    return 200, json.dumps(members).encode()


def to_refusal(code: str, message: str = "No.", status: int = 400) -> tuple[int, bytes]:
    """Return an error of AWS's."""
    return status, json.dumps({"__type": code, "message": message}).encode()


class FakeClient:
    """What the package takes for a client of boto3's."""

    def __init__(self, region: str, answer: Answer) -> None:
        self._region, self._answer = region, answer

    def get_license_conversion_task(self, **request: Any) -> Any:
        return parse(GET, *self._answer(self._region, GET, request))

    def list_license_conversion_tasks(self, **request: Any) -> Any:
        return parse(LIST, *self._answer(self._region, LIST, request))

    def create_license_conversion_task_for_resource(self, **request: Any) -> Any:
        return parse(CREATE, *self._answer(self._region, CREATE, request))


class ClockPauses(Cancellation):
    """Pauses that only move the clock."""

    def wait(self, seconds: float) -> bool:
        self.runtime.sleep(min(seconds, self.remaining(seconds)))
        return self.is_set


class HandPoller(Poller):
    """A poller with all its rules, by a clock that goes from poll to poll."""

    def __init__(self, connection: Connection, cancellation: Cancellation, clock: Clock) -> None:
        service = connection.until(cancellation).license_manager.unpaced()
        get_task = functools.partial(service.get_task, retry=False)
        runtime = cancellation.runtime
        super().__init__(Dispatcher(get_task, service.pages, on_note=lambda _: None, runtime=runtime))
        self._hand = clock

    def wait_for_task(
        self,
        task_id: str,
        region: str,
        *,
        cancellation: Cancellation,
        report: Report,
        timeout_seconds: float = DEFAULT_DEADLINE_SECONDS,
        poll_interval_seconds: float | None = None,
        report_seconds: float | None = None,
        is_known: bool = True,
        on_notice: Callable[[str], None] | None = None,
    ) -> ConversionTask:
        wait = self.dispatcher.add(
            task_id,
            region,
            timeout_seconds=timeout_seconds,
            poll_interval_seconds=poll_interval_seconds,
            is_known=is_known,
        )
        try:
            while wait.outcome is None and self._hand.now < wait.deadline:
                self._hand.now = max(self._hand.now, self.dispatcher.next_poll() or 0.0)
                self.dispatcher.dispatch(lambda call: call())
                report(wait, self._hand.now)
        finally:
            self.dispatcher.remove(wait)
        if isinstance(wait.outcome, ConversionTask):
            return wait.outcome
        raise wait.outcome or wait.to_timeout_error(self._hand.now)


class FakeSession(Session):
    """A session in which every call is answered by `answer`, and what users would read is kept.

    Time passes in pauses and between polls only, and in no run otherwise than in another.

    Args:
        answer: answers every call.
        config: the stack's configuration.
        policy: the rhythm of polls and the pace of calls.
    """

    def __init__(
        self,
        answer: Answer,
        config: Mapping[str, str] | None = None,
        policy: PollingPolicy = NO_PACE,
    ) -> None:
        self.clock = Clock()
        rng = random.Random(3)  # noqa: S311 -- the same in each run
        super().__init__(
            dict(config or {}).get,
            policy=policy,
            runtime=Runtime(now=self.clock, sleep=self.clock.sleep, rng=rng),
            open_session=made_by(self._make_client),
        )
        self.answer = answer
        self.lines: list[tuple[Severity, str]] = []
        """What stays in the diagnostics."""
        self.urns: set[str | None] = set()
        """The resources under which it stays."""

    def _make_client(self, _service: str, settings: Settings) -> FakeClient:
        # As it is asked: a test may set another answer.
        return FakeClient(settings.region, lambda *call: self.answer(*call))  # noqa: PLW0108

    def provider(self) -> LicenseConversionTaskProvider:
        """Return the provider of tasks in this session."""
        provider = LicenseConversionTaskProvider()
        provider.session = self
        return provider

    @contextmanager
    def operation(
        self,
        urn: str | None,
        timeout_seconds: float | None = None,
        *,
        is_preview: bool | None = None,
    ) -> Iterator[Operation]:
        deadline = None if timeout_seconds is None else self.runtime.now() + timeout_seconds
        with ClockPauses(self.cancellation, deadline) as cancellation:
            yield Operation(self, urn, cancellation, timeout_seconds, is_preview=is_preview)

    def connect(self, region: str, access: Access) -> Connection:
        connection = super().connect(region, access)
        if type(connection.poller) is Poller:
            connection.poller = HandPoller(connection, self.cancellation, self.clock)
        return connection

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        self.lines.append((severity, message))
        self.urns.add(urn)

    def log_status(self, urn: str | None, message: str) -> None:
        """Keep nothing: it is gone with the next line."""


def texts(value: Any) -> list[str]:
    """Return every text inside a value."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for entry in inside for text in texts(entry)]
