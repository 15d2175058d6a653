"""One call to AWS: paced, retried, its errors translated, ended by a cancellation."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.errors import LicenseConversionError, Subject, ThrottledError, TransientError

if TYPE_CHECKING:
    from lmconv_resource.aws.settings import Settings
    from lmconv_resource.polling.cancellation import Cancellation
    from lmconv_resource.polling.rate_limiter import RateLimiter

Answer = TypeVar("Answer")

_LONGEST_BACKOFF_SECONDS = 8.0


def backoff_seconds(attempt: int) -> float:
    """Return the pause after `attempt` failed tries: exponential, with full jitter, so that callers drift apart."""
    return random.uniform(0, min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2.0 ** (attempt - 1)))  # noqa: S311 -- jitter


class Calls:
    """How a service of one connection is called. Safe to share between threads.

    Args:
        get_client: returns the service's client, the same each time; may raise a `SettingsError`.
        settings: the connection's settings.
        limiter: the pace that all callers of the service share.
        cancellation: ends pauses and retries.
    """

    def __init__(
        self, get_client: Callable[[], Any], settings: Settings, limiter: RateLimiter, cancellation: Cancellation
    ) -> None:
        self._get_client = get_client
        self.settings = settings
        self.limiter = limiter
        self.cancellation = cancellation

    @property
    def client(self) -> Any:
        """boto3's client."""
        return self._get_client()

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
        client = self.client
        try:
            answer = send(client)
        except Exception as cause:
            error = from_botocore(cause, subject)
            if isinstance(error, ThrottledError):
                self.limiter.on_throttled()
            raise error from cause
        self.limiter.on_success()
        return answer

    def retry(self, call: Callable[[], Answer], *on: type[LicenseConversionError]) -> Answer:
        """Return what `call` returns, trying again for about half a minute where it fails with one of `on`.

        By default with any `TransientError`.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(on or TransientError),
            stop=lambda state: state.attempt_number > self.settings.max_retries or self.cancellation.is_set,
            wait=lambda state: backoff_seconds(state.attempt_number),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(call)

    def _sleep(self, seconds: float) -> None:
        self.cancellation.wait(seconds)
