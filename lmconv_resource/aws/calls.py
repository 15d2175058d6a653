"""One call to AWS: paced, retried, its errors translated, ended by a cancellation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import tenacity
from botocore.exceptions import NoCredentialsError

from lmconv_resource.aws.call_log import attempt
from lmconv_resource.aws.error_mapping import GENERAL_REMEDIES, from_botocore
from lmconv_resource.errors import (
    ClockSkewError,
    ExpiredCredentialsError,
    LicenseConversionError,
    Subject,
    ThrottledError,
    TransientError,
)

if TYPE_CHECKING:
    import random

    from lmconv_resource.aws.settings import Settings
    from lmconv_resource.polling.cancellation import Cancellation
    from lmconv_resource.polling.rate_limiter import RateLimiter

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class ClientSource(Protocol):
    """Where a connection's clients come from: an `AwsSession`, or a test's own."""

    @property
    def generation(self) -> int:
        """How often it was renewed."""

    def were_accepted(self, service: str) -> bool:
        """Return whether the service has taken credentials of theirs."""

    def accept(self, service: str) -> None:
        """Note that the service has taken the credentials."""

    def client(self, service: str) -> Any:
        """Return the client of a service, by boto3's name of it, the same each time."""

    def find_credentials(self) -> None:
        """Look for the credentials, which calls no service that they would be for.

        Raises:
            SettingsError: a profile, file or role that can't be used.
            CredentialsError: they need a code of an MFA device.
        """

    def renew(self, generation: int) -> bool:
        """Forget all clients and their credentials, unless another has done so since `generation`.

        Returns:
            Whether there is something else to try: not where those of a moment ago were refused too.
        """

    def sign_in_hint(self) -> str:
        """Return what gives new credentials in place of expired ones; empty where that is not known."""

    def decode_denial(self, message: str) -> str | None:
        """Return what an encoded authorization message of AWS's says; None where it may not be decoded."""


_LONGEST_BACKOFF_SECONDS = 8.0


def backoff_seconds(attempt: int, rng: random.Random) -> float:
    """Return the pause after `attempt` failed tries: exponential, with full jitter, so that callers drift apart."""
    return rng.uniform(0, min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2.0 ** (attempt - 1)))


class Calls:
    """How a service of one connection is called. Safe to share between threads.

    Args:
        clients: where the service's client comes from.
        service: boto3's name of the service.
        settings: the connection's settings.
        limiter: the pace that all callers of the service share.
        cancellation: ends pauses and retries.
    """

    def __init__(
        self,
        clients: ClientSource,
        service: str,
        settings: Settings,
        limiter: RateLimiter,
        cancellation: Cancellation,
    ) -> None:
        self._clients = clients
        self._service = service
        self.settings = settings
        self.limiter = limiter
        self.cancellation = cancellation

    def once(self, send: Callable[[Any], Any], subject: Subject, *, paced: bool = True) -> Any:
        """Make one call and return its answer.

        Args:
            send: makes the call on the client that it is given.
            subject: what the call is about, for its errors.
            paced: False where the caller has acquired the pace's turn itself.

        Raises:
            LicenseConversionError: the call failed; a `TransientError` if another try may help.
        """
        if paced:
            self.limiter.acquire(self.cancellation)
        generation = self._clients.generation
        try:
            answer = self._send(send, subject)
        except ExpiredCredentialsError as expired:
            # A rotated file, a renewed sign-in or a new token of a web identity may be there by now: once.
            if not self._clients.renew(generation):
                raise
            log.info("the credentials were read again: %s", expired)
            answer = self._send(send, subject)
        self.limiter.on_success()
        return answer

    def _send(self, send: Callable[[Any], Any], subject: Subject) -> Any:
        try:
            client = self._clients.client(self._service)
        except ExpiredCredentialsError as expired:  # STS said so, which is asked first
            raise ExpiredCredentialsError(subject, expired.reason, expired.remedy) from expired
        try:
            answer = send(client)
        except Exception as cause:
            clients = self._clients
            were_accepted = clients.were_accepted(self._service)
            error = from_botocore(cause, subject, were_accepted=were_accepted, decode=clients.decode_denial)
            if isinstance(error, ThrottledError):
                self.limiter.on_throttled()
            # With no credentials at all there is no kind of them.
            if error.remedy in GENERAL_REMEDIES and not isinstance(cause, NoCredentialsError):
                error.remedy = self._clients.sign_in_hint() or error.remedy
            raise error from cause
        self._clients.accept(self._service)
        return answer

    def retry(self, call: Callable[[], Answer], *on: type[LicenseConversionError]) -> Answer:
        """Return what `call` returns, trying again for about half a minute where it fails with one of `on`.

        By default with any `TransientError`.
        """
        retrying = tenacity.Retrying(
            # Another clock is no fault that passes by itself: a wait that has had good answers carries it, nobody else.
            retry=tenacity.retry_if_exception_type(on or TransientError)
            & tenacity.retry_if_not_exception_type(ClockSkewError),
            stop=lambda state: state.attempt_number > self.settings.max_retries or self.cancellation.is_set,
            wait=lambda state: backoff_seconds(state.attempt_number, self.cancellation.runtime.rng),
            sleep=self._sleep,
            before=lambda state: attempt.set(state.attempt_number) and None,
            reraise=True,
        )
        before = attempt.set(1)
        try:
            return retrying(call)
        finally:
            attempt.reset(before)

    def _sleep(self, seconds: float) -> None:
        self.cancellation.wait(seconds)
