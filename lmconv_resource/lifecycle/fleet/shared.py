"""What a connection has shown to the rows of a fleet: one call asks for many, and its answer serves each of them."""

import copy
import logging
import statistics
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lmconv_resource.errors import LicenseConversionError, TransientError

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")

MOST_INSTANCES = 100
"""Of one call of EC2's: its filters take 200 values."""

EVER = float("-inf")
"""Since when what was shown is good enough where its age does not matter."""


@dataclass(frozen=True)
class Seen(Generic[Answer]):
    """What was shown of an item: when it was asked for, when the time before, and when it was answered."""

    answer: Answer | None = None
    error: LicenseConversionError | None = None
    asked_at: float = EVER
    before: float = EVER
    answered_at: float = EVER


@dataclass
class Turn:
    """A turn of those who ask: what was asked for in it is good for each of them, and so is its failure."""

    now: Callable[[], float]
    began: float = EVER
    is_planning: bool = True
    """Whether what was read once is good for all that ask."""


class Shown(Generic[Item, Answer]):
    """What one operation of AWS's has shown. Not safe to share between threads.

    `send` asks for some items at once, at `most` so many, and returns the answers by item: what is absent is answered
    with None. `along` returns what else is asked for, because it will be wanted soon. With `alone`, several that are
    refused are asked for again one by one, so that each gets an answer of its own.
    """

    def __init__(
        self,
        turn: Turn,
        send: Callable[[list[Item]], Mapping[Item, Answer] | None],
        most: int = MOST_INSTANCES,
        *,
        along: Callable[[], Iterable[Item]] = tuple,
        alone: bool = False,
    ) -> None:
        self._turn, self._send, self._most = turn, send, most
        self._along, self._alone = along, alone
        self._seen: dict[Item, Seen[Answer]] = {}

    def ask(self, item: Item, since: float = EVER) -> Answer | None:
        """Return the answer for one item, as it was asked for since a moment, or raise its error.

        Of what was asked for in this turn, it is the moment of the answer that counts: a call can take its time.
        """
        if not self._is_good(self._seen.get(item), since):
            others = [each for each in self._along() if each != item]
            self.read([item, *others[: self._most - 1]])
        seen = self._seen[item]
        if seen.error is not None:
            raise copy.copy(seen.error) from seen.error.__cause__
        return seen.answer

    def _is_good(self, seen: Seen[Answer] | None, since: float) -> bool:
        if seen is None or self._turn.is_planning:
            return seen is not None
        if seen.error is None:
            moment = seen.answered_at if seen.asked_at >= self._turn.began else seen.asked_at
            return moment >= since
        is_lasting = since == EVER and not isinstance(seen.error, TransientError)
        return is_lasting or seen.answered_at >= self._turn.began

    def read(self, items: Iterable[Item]) -> None:
        """Ask for many: an error is an answer too, of each of them."""
        asked = list(dict.fromkeys(items))
        for at in range(0, len(asked), self._most):
            those, asked_at = asked[at : at + self._most], self._turn.now()
            answers: Mapping[Item, Answer] = {}
            error: LicenseConversionError | None = None
            try:
                answers = self._send(those) or {}
            except LicenseConversionError as refusal:
                if self._alone and len(those) > 1 and not isinstance(refusal, TransientError):
                    log.info("each is asked for separately: %s", refusal)
                    for item in those:
                        self.read([item])
                    continue
                error = refusal
            answered_at = self._turn.now()
            for item in those:
                self._seen[item] = Seen(answers.get(item), error, asked_at, self.find(item).asked_at, answered_at)

    def find(self, item: Item) -> Seen[Answer]:
        """Return what was shown of an item last; of one that was never asked for, nothing."""
        return self._seen.get(item) or Seen()


class Pace:
    """How long instances take to stop, or to start, by the last ones. Safe to share between threads."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=30)

    def note(self, shortest: float, longest: float) -> None:
        """Note that one took longer than `shortest` seconds, and no longer than `longest`."""
        self._seen.append((shortest, longest))

    def next_pause(self, age: float) -> float:
        """Return after how many seconds one is asked for that began so many seconds ago."""
        seen = tuple(self._seen)
        low = max((each[0] for each in seen), default=0.0)
        high = statistics.median(each[1] for each in seen) if seen else 0.0
        expected = (low + high) / 2 if low + 1.5 < high else high
        growth = 0.25 if seen else 0.6
        return expected - age if age < expected else max(1.5, growth * (age - expected))
