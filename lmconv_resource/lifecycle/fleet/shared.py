"""Calls that several threads share: what is asked for within a moment goes together, and an answer serves many."""

from __future__ import annotations

import copy
import logging
import statistics
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from lmconv_resource.errors import LicenseConversionError, TransientError
from lmconv_resource.polling.runtime import Cancellation

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")

WINDOW_SECONDS = 0.25
"""How long a call waits for others that go with it."""

ALWAYS = float("inf")

OLDEST_SECONDS = 30.0
"""After that what is waited for is looked at in any case."""


class Ticket(Generic[Answer]):
    """What threads wait for."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.is_open = True
        self.asked_at = self.before = float("-inf")
        """When this was asked for, and when the time before."""

    def open(self) -> Answer | None:
        """Return the answer, or raise the error."""
        if isinstance(self.error, LicenseConversionError):
            raise copy.copy(self.error) from self.error.__cause__
        if self.error is not None:
            raise self.error
        return self.answer


class Crew:
    """The rows of a connection that are under way, and how they wait for each other until a cancellation."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.runtime = cancellation.runtime
        self.changed = self.runtime.condition()
        self.active = 0
        """How many rows are under way."""
        self.is_planning = False
        """Whether what was read once is good for all that ask."""
        self._lazy = 0
        self._cancellation = cancellation
        cancellation.subscribe(self.wake)

    def wake(self) -> None:
        """Let all that wait look again."""
        with self.changed:
            self.changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is waited for."""
        return self._cancellation.is_set

    def wait_for(self, is_over: Callable[[], bool]) -> None:
        """Wait until something is over, of which `wake` tells."""
        with self.changed:
            while not (is_over() or self.is_over):
                self.wait(OLDEST_SECONDS, is_over)

    def wait(self, seconds: float, is_over: Callable[[], bool], *, is_lazy: bool = False) -> None:
        """Wait until something is over; a lazy wait ends too when all rows wait so. Holds `changed`."""
        until = self.runtime.now() + seconds
        self._lazy += is_lazy
        if is_lazy and self._lazy >= self.active:
            self.changed.notify_all()
        try:
            while not (is_over() or self._cancellation.is_set or (is_lazy and self._lazy >= self.active)):
                left = until - self.runtime.now()
                if left <= 0:
                    return
                self.changed.wait(left)
        finally:
            self._lazy -= is_lazy


class Shared(Generic[Item, Answer]):
    """One operation of AWS's, called for all rows that ask within a moment. Safe to share between threads.

    `send` asks for some items at once, at `most` so many, and returns the answers by item: what is absent is answered
    with None. `along` returns what else is asked for, because it will be wanted soon. With `alone`, several that are
    refused are tried again one by one, so that each gets an answer of its own.
    """

    def __init__(
        self,
        crew: Crew,
        send: Callable[[list[Item]], Mapping[Item, Answer] | None],
        most: int,
        *,
        along: Callable[[], Iterable[Item]] = tuple,
        alone: bool = False,
    ) -> None:
        self._crew = crew
        self._send = send
        self._most = most
        self._along = along
        self._alone = alone
        self._waiting: dict[Item, Ticket[Answer]] = {}
        self._answers: dict[Item, Ticket[Answer]] = {}

    def ask(self, item: Item, max_age: float = 0.0, *, lazily: float | None = None) -> Answer | None:
        """Return the answer for one item, or raise the error of its call.

        It may be `max_age` seconds old; an error is only good where its age does not matter. `lazily` is for how many
        seconds others may come first whose call this can go with.
        """
        crew = self._crew
        max_age = ALWAYS if crew.is_planning else max_age
        with crew.changed:
            known = self._answers.get(item)
            if known is not None and crew.runtime.now() - known.asked_at <= (max_age if known.error is None else 0):
                return known.open()
            is_lasting = known is not None and (crew.is_planning or not isinstance(known.error, TransientError))
            if known is not None and is_lasting and max_age == ALWAYS:
                return known.open()
            ticket = self._waiting.setdefault(item, Ticket())
            seconds = WINDOW_SECONDS if lazily is None else lazily
            crew.wait(seconds, lambda: self._waiting.get(item) is not ticket, is_lazy=lazily is not None)
            leads = self._waiting.get(item) is ticket
            tickets = self._waiting if leads else {}
            if leads:
                self._waiting = {}
                room = max(0, self._most - len(tickets))
                others = [each for each in self._along() if each not in tickets][:room]
        if leads:
            self._answer({**tickets, **{each: Ticket() for each in others}})
        with crew.changed:
            while ticket.is_open:
                crew.changed.wait()
        return ticket.open()

    def await_new(self, item: Item, seconds: float, is_new: Callable[[Ticket[Answer]], bool]) -> bool:
        """Wait until somebody's call has shown something new of an item, and return whether one has within so long."""
        with self._crew.changed:
            self._crew.wait(seconds, lambda: item in self._answers and is_new(self._answers[item]))
            return item in self._answers and is_new(self._answers[item])

    def read(self, items: Iterable[Item]) -> None:
        """Ask for many at once, for those who ask later and do not mind its age: an error is an answer too."""
        self._answer({item: Ticket() for item in items})

    def find(self, item: Item) -> Ticket[Answer]:
        """Return what was shown of an item last; of one that was never asked for, nothing."""
        return self._answers.get(item) or Ticket()

    def _answer(self, tickets: Mapping[Item, Ticket[Answer]]) -> None:
        items = list(tickets)
        try:
            for at in range(0, len(items), self._most):
                self._answer_some({item: tickets[item] for item in items[at : at + self._most]})
        except BaseException as bug:  # a missing answer must not count as one
            for ticket in tickets.values():
                ticket.error = bug if ticket.is_open else ticket.error
            raise
        finally:
            with self._crew.changed:
                for ticket in tickets.values():
                    ticket.is_open = False
                for item, ticket in tickets.items():
                    ticket.before = self.find(item).asked_at
                    self._answers[item] = ticket
                self._crew.changed.notify_all()

    def _answer_some(self, tickets: Mapping[Item, Ticket[Answer]]) -> None:
        asked_at = self._crew.runtime.now()
        answers: Mapping[Item, Answer] = {}
        error: LicenseConversionError | None = None
        try:
            answers = self._send(list(tickets)) or {}
        except LicenseConversionError as refusal:
            if self._alone and len(tickets) > 1 and not isinstance(refusal, TransientError):
                log.info("each is asked for separately: %s", refusal)
                for item, ticket in tickets.items():
                    self._answer_some({item: ticket})
                return
            error = refusal
        for item, ticket in tickets.items():
            ticket.answer, ticket.error, ticket.asked_at = answers.get(item), error, asked_at
            ticket.is_open = False


class Pace:
    """How long instances take to stop, or to start, by what was seen of the last ones."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=30)

    def note(self, shortest: float, longest: float) -> None:
        """Note that one took longer than `shortest` seconds, and no longer than `longest`."""
        self._seen.append((shortest, longest))

    def next_pause(self, age: float) -> float:
        """Return after how many seconds one is asked for that began so many seconds ago."""
        low = max((each[0] for each in self._seen), default=0.0)
        high = statistics.median(each[1] for each in self._seen) if self._seen else 0.0
        expected = (low + high) / 2 if low + 1.5 < high else high
        growth = 0.25 if self._seen else 0.6
        return expected - age if age < expected else max(1.5, growth * (age - expected))
