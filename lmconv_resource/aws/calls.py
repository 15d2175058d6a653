"""Calls to AWS: paced, tried again, ended by a cancellation."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import tenacity
from botocore import xform_name

from lmconv_resource import errors
from lmconv_resource.aws.access import AccessSession, attempt
from lmconv_resource.errors import Subject
from lmconv_resource.polling.policy import RateLimiter
from lmconv_resource.polling.runtime import Cancellation, doubled

Answer = TypeVar("Answer")
Fault = type[errors.LicenseConversionError]

_MAX_PAGES = 1000
"""A list of more pages has a token that leads in circles."""

_BACKOFF_SECONDS = 0.5, 8.0
"""The first, and the longest. A random part of it is waited (full jitter), so that callers drift apart."""


@dataclass
class Calls:
    """How the services of a connection are called, each at the pace of all its callers. Safe to share between threads.

    With `has_turn`, the caller has acquired the pace's turn of the first call, and calls from one thread.
    """

    session: AccessSession
    limiters: Mapping[str, RateLimiter]
    """By boto3's name of the service (`license-manager`)."""
    cancellation: Cancellation
    has_turn: bool = False
    retry_seconds: float = float("inf")
    """For how long a call is tried again at most."""

    def call(self, subject: Subject, members: Mapping[str, Any], *, paced: bool = True) -> dict[str, Any]:
        """Make one call, the action of the subject, and return its answer; after a `TransientError` another may help.

        One that is not `paced` waits for no turn.
        """
        service, _, operation = subject.permission.partition(":")
        limiter = self.limiters[service]
        if paced and not self.has_turn:
            limiter.acquire(self.cancellation)
        self.has_turn = False
        try:
            answer: dict[str, Any] = self.session.call(service, xform_name(operation), members, subject)
        except errors.ThrottledError:
            limiter.on_throttled()
            raise
        limiter.on_success()
        return answer

    def retry(self, call: Callable[[], Answer], *on: Fault) -> Answer:
        """Return what `call` returns, tried again for half a minute where it fails with `on`: any TransientError."""
        runtime = self.cancellation.runtime
        rng, until, most = runtime.rng, runtime.now() + self.retry_seconds, self.session.settings.max_retries
        retrying = tenacity.Retrying(
            # A wrong clock is not transient: only a wait that has had good answers carries it.
            retry=tenacity.retry_if_exception_type(on or errors.TransientError)
            & tenacity.retry_if_not_exception_type(errors.ClockSkewError),
            stop=lambda state: state.attempt_number > most or self.cancellation.is_set or runtime.now() >= until,
            wait=lambda state: rng.uniform(0, doubled(*_BACKOFF_SECONDS, state.attempt_number - 1)),
            sleep=cast("Callable[[float], None]", self.cancellation.wait),
            before=lambda state: attempt.set(state.attempt_number) and None,
            reraise=True,
        )
        return copy_context().run(retrying, call)  # for what tells the log the number of the try

    def read(self, subject: Subject, members: Mapping[str, Any], *on: Fault) -> dict[str, Any]:
        """Return the answer of a call that only reads, tried again where AWS has a fault: no closed network waits."""
        on = on or (errors.ThrottledError, errors.ServiceFaultError)
        return self.retry(lambda: self.call(subject, members), *on)

    def read_pages(self, subject: Subject, members: Mapping[str, Any], *on: Fault) -> Iterator[dict[str, Any]]:
        """Yield each page, at least one, of a call that only reads a list that has an end."""
        token: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            answer = self.read(subject, {**members, **token}, *on)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}
        raise errors.TransientError(subject, f"the list has no end after {_MAX_PAGES} pages", errors.UNREADABLE_REMEDY)
