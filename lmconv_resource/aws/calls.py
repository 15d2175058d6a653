"""One call to AWS: paced, retried, its errors translated, ended by a cancellation."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from lmconv_resource.aws.access import attempt
from lmconv_resource.errors import (
    UNREADABLE_REMEDY,
    ClockSkewError,
    ExpiredCredentialsError,
    LicenseConversionError,
    ServiceFaultError,
    Subject,
    ThrottledError,
    TransientError,
)
from lmconv_resource.polling.runtime import doubled

if TYPE_CHECKING:
    from lmconv_resource.aws.access import AccessSession
    from lmconv_resource.polling.policy import RateLimiter
    from lmconv_resource.polling.runtime import Cancellation

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_MAX_PAGES = 1000
"""A list of more pages has a token that leads in circles."""

_CAPITAL = re.compile("(?<!^)[A-Z]")

_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 8.0


class Calls:
    """How a service of one connection is called, at the pace of all its callers. Safe to share between threads."""

    def __init__(self, session: AccessSession, service: str, limiter: RateLimiter, cancellation: Cancellation) -> None:
        self._session = session
        self._service = service
        self.settings = session.settings
        self.limiter = limiter
        self.cancellation = cancellation

    def call(self, subject: Subject, members: Mapping[str, Any], *, paced: bool = True) -> Any:
        """Make one call, the action of the subject, and return its answer; after a `TransientError` another may help.

        `paced` is False where the caller has acquired the pace's turn itself, or waits for none.
        """
        if paced:
            self.limiter.acquire(self.cancellation)
        generation = self._session.generation
        try:
            answer = self._send(subject, members)
        except ExpiredCredentialsError as expired:
            # A rotated file, a renewed sign-in or a new token of a web identity may be there: once.
            if not self._session.renew(generation):
                raise
            log.info("the credentials were read again: %s", expired)
            answer = self._send(subject, members)
        self.limiter.on_success()
        return answer

    def _send(self, subject: Subject, members: Mapping[str, Any]) -> Any:
        method = _CAPITAL.sub(r"_\g<0>", subject.action.rpartition(":")[2]).lower()
        try:
            client = self._session.client(self._service)
        except ExpiredCredentialsError as expired:  # STS said so, which is asked first
            raise ExpiredCredentialsError(subject, expired.reason, expired.remedy) from expired
        try:
            answer = getattr(client, method)(**members)
        except Exception as cause:
            error = self._session.explain(cause, subject, self._service)
            if isinstance(error, ThrottledError):
                self.limiter.on_throttled()
            raise error from cause
        self._session.mark_working(self._service)
        return answer

    def retry(self, call: Callable[[], Answer], *on: type[LicenseConversionError]) -> Answer:
        """Return what `call` returns, tried again for half a minute where it fails with `on`: any TransientError."""
        rng = self.cancellation.runtime.rng
        retrying = tenacity.Retrying(
            # A wrong clock is not transient: only a wait that has had good answers carries it.
            retry=tenacity.retry_if_exception_type(on or TransientError)
            & tenacity.retry_if_not_exception_type(ClockSkewError),
            stop=lambda state: state.attempt_number > self.settings.max_retries or self.cancellation.is_set,
            wait=lambda state: rng.uniform(  # full jitter, so that callers drift apart
                0, doubled(_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS, state.attempt_number - 1)
            ),
            sleep=self._sleep,
            before=lambda state: attempt.set(state.attempt_number) and None,
            reraise=True,
        )
        before = attempt.set(1)
        try:
            return retrying(call)
        finally:
            attempt.reset(before)

    def read(self, subject: Subject, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of a call that only reads, tried again where AWS has a fault: no closed network waits."""
        answer: dict[str, Any] = self.retry(lambda: self.call(subject, members), ThrottledError, ServiceFaultError)
        return answer

    def read_pages(self, subject: Subject, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield each page of such a call."""
        return self.pages(subject, lambda token: self.read(subject, {**members, **token}))

    @staticmethod
    def pages(subject: Subject, ask: Callable[[dict[str, Any]], Any]) -> Iterator[Any]:
        """Yield each page of a list that has an end. `ask` is given nothing, or the token of the next page."""
        token: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            answer = ask(token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}
        raise TransientError(subject, f"the list has no end after {_MAX_PAGES} pages", UNREADABLE_REMEDY)

    def _sleep(self, seconds: float) -> None:
        self.cancellation.wait(seconds)
