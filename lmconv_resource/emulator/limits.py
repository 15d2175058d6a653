"""A limit of calls for each second, as a token bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RateLimit:
    """How many calls an account may make in a region, all operations together."""

    rate_per_second: float
    burst: int = 1
    """So many calls may be made at once after a pause."""
    code: str = "RateLimitExceededException"
    """What the others are refused with; ThrottlingException is AWS's other code for it."""


class TokenBucket:
    """Says of each call whether a limit admits it. The bucket begins full. Not safe to use from several threads."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled = clock()

    def take(self) -> bool:
        """Return whether the call is admitted; one that is not costs nothing."""
        now = self._clock()
        # A clock that is set back takes nothing out.
        self._tokens += max(0.0, now - self._filled) * self.limit.rate_per_second
        self._tokens = min(self._tokens, float(self.limit.burst))
        self._filled = now
        # Many small parts of a token add up to a hair less than a whole one.
        if self._tokens < 1 - 1e-6:
            return False
        self._tokens -= 1
        return True
