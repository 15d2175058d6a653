"""Which calls go wrong: a fault is an effect and the calls that it hits; Faults decides for each call, once."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from .effects import Effect, ErrorAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS = (
    "CreateLicenseConversionTaskForResource",
    "GetLicenseConversionTask",
    "ListLicenseConversionTasks",
)
"""The calls that the emulator has."""


@dataclass(frozen=True)
class Fault:
    """An effect, and the calls that it hits: all of them, unless it is told less."""

    effect: Effect
    operation: str | None = None
    """Only calls of this operation."""
    calls: int | None = None
    """Only the next so many of the calls that it would hit."""
    share: float = 1.0
    """Only about so many of the calls, from 0 to 1, at random."""
    seed: int = 0
    """With the same seed, the same calls are hit, counted from when the fault was added."""

    def __post_init__(self) -> None:
        # A fault that hits nothing would let a test pass that shows nothing.
        if self.operation is not None and self.operation not in OPERATIONS:
            raise ValueError(f"operation: it is not one of {', '.join(OPERATIONS)}")
        if not 0 < self.share <= 1:
            raise ValueError("share: it is not above 0 and at most 1")


@dataclass(frozen=True)
class RateLimit:
    """How many calls an account may make in a region, all operations together."""

    rate_per_second: float
    burst: int = 1
    """So many calls may be made at once after a pause."""


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


class Faults:
    """The faults and the rate limit of one account and region. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.calls: Counter[str] = Counter()
        """How often each operation was called, refused calls included."""
        self.refused: Counter[str] = Counter()
        """How often the rate limit refused each operation."""
        self.injected: Counter[str] = Counter()
        """How many calls each kind of effect has hit, refusals by the rate limit not included."""
        self.sleep: Callable[[float], None] = time.sleep
        """Waits so many seconds."""
        self._clock = clock
        self._lock = Lock()
        self._armed: list[_Armed] = []
        self._bucket: TokenBucket | None = None

    def add(self, fault: Fault) -> None:
        """Inject this fault from now on.

        A call is hit by the first fault that fits, in the order they were added; only a SlowAnswer and a ShiftedClock
        let others hit it as well. A fault that does not hit a call does not count it.
        """
        with self._lock:
            self._armed.append(_Armed(fault))

    def limit_rate(self, limit: RateLimit | None) -> None:
        """Refuse calls above this rate from now on, before any fault sees them; None refuses none."""
        with self._lock:
            self._bucket = TokenBucket(limit, self._clock) if limit is not None else None

    def clear(self) -> None:
        """Inject nothing and limit nothing from now on. What was counted stays."""
        with self._lock:
            self._armed.clear()
            self._bucket = None

    def decide(self, operation: str) -> tuple[Effect, ...]:
        """Count a call that is made now, and return what happens to it. The call then counts as hit."""
        hits: list[Effect] = []
        with self._lock:
            self.calls[operation] += 1
            if self._bucket is not None and not self._bucket.take():
                self.refused[operation] += 1
                return (ErrorAnswer("RateLimitExceededException", "Too many requests have been submitted."),)
            for armed in self._armed:
                if armed.hit(operation):
                    hits.append(armed.fault.effect)
                    self.injected[armed.fault.effect.kind] += 1
                    if not armed.fault.effect.lets_others_in:
                        break
        return tuple(hits)


class _Armed:
    """A fault that was added, and what is left of it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = math.inf if fault.calls is None else fault.calls
        self._random = random.Random(fault.seed)  # noqa: S311 - to be repeatable is the point

    def hit(self, operation: str) -> bool:
        """Return whether a call is hit, and count it if so."""
        fault = self.fault
        if self._left == 0 or fault.operation not in (None, operation):
            return False
        if fault.share < 1 and self._random.random() >= fault.share:
            return False
        self._left -= 1
        return True
