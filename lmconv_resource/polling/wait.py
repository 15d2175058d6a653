"""One wait: what is known of its task, when it is looked at next, and how it ends.

Nothing here waits, looks or locks: `waiter.Watcher` does, and writes down here what it saw.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource.errors import (
    ThrottledError,
    TransientError,
    UnreadableAnswerError,
    WaitFaultError,
    WaitTimeoutError,
)
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling import policy as rhythm

_LAST_LOOK_SECONDS = 1.0
"""What a look is taken to last when the last one before a deadline is planned."""

_FLIGHT_SECONDS = 25.0
"""How long a look that is under way at the deadline may go on: connecting and reading end after 10 s each."""


@dataclass(eq=False)
class Wait:
    """One task being waited for. `changed` tells the waiting thread to look at this again.

    Its times are seconds from any fixed point, the same for all.
    """

    task_id: str
    region: str
    started: float
    deadline: float
    poll_interval_seconds: float | None = None
    next_look: float = 0.0
    interval: float = 0.0
    """The longest pause that the rhythm allowed before the next look; 0 where the next look is not the rhythm's."""
    task: ConversionTask | None = None
    fault: TransientError | None = None
    faults: int = 0
    faulty_since: float | None = None
    planned: bool = False
    """A look is due and queued, or under way."""
    in_flight: bool = False
    """A call is under way that may tell how the task is."""
    outcome: ConversionTask | BaseException | None = None
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def wants_look(self) -> bool:
        """True while it goes on and no look at it is planned."""
        return self.outcome is None and not self.planned

    @property
    def limit(self) -> float:
        """When it ends if nothing is seen any more: at its deadline, or when the look then under way must be over."""
        return self.deadline + (_FLIGHT_SECONDS if self.in_flight else 0)

    @property
    def shows(self) -> tuple[object, ...] | None:
        """What is said again when it changes; None before anything is known."""
        task = self.task
        if task is None and self.fault is None:
            return None
        return (task and task.status, task and task.status_message, self.fault and self.fault.reason)

    def is_near(self, now: float) -> bool:
        """Tell whether it may be looked at already, to share a list with others."""
        return self.next_look - rhythm.LOOK_AHEAD * self.interval <= now

    def is_too_late(self, now: float) -> bool:
        """Tell whether a look begun now would end beyond the deadline. The first look is never too late."""
        return self.task is not None and now > self.deadline - _LAST_LOOK_SECONDS

    def give_up_looking(self) -> None:
        """Plan no look any more: only the deadline is left."""
        self.planned = self.in_flight = False
        self.next_look = self.deadline + _FLIGHT_SECONDS
        self.changed.set()

    def waited(self, now: float) -> float:
        """Give the seconds since the wait began."""
        return now - self.started

    def to_error_facts(self, now: float) -> dict[str, Any]:
        """Give what every `WaitError` says."""
        return {
            "task_id": self.task_id,
            "region": self.region,
            "task": self.task,
            "waited_seconds": self.waited(now),
        }

    def learn(self, result: ConversionTask | BaseException, now: float, rng: random.Random) -> None:
        """Write down what a look gave, and plan the next one or end the wait."""
        if isinstance(result, ConversionTask) and result.status is None:
            result = UnreadableAnswerError(task_id=self.task_id, region=self.region, reason="the answer has no status")
        if isinstance(result, ConversionTask):
            self._saw(result, now, rng)
        elif isinstance(result, TransientError):
            self._faulted(result, now, rng)
        else:
            self.outcome = result
        self.planned = self.in_flight = False

    def _saw(self, task: ConversionTask, now: float, rng: random.Random) -> None:
        self.task, self.fault, self.faults, self.faulty_since = task, None, 0, None
        if task.is_complete:
            self.outcome = task
            return
        interval = rhythm.poll_interval(self.waited(now), self.poll_interval_seconds)
        if self.poll_interval_seconds is not None:
            self._plan(now, interval)
            return
        self.interval = interval
        self._plan(now, rhythm.jittered(interval, rng))

    def _faulted(self, fault: TransientError, now: float, rng: random.Random) -> None:
        self.fault = fault
        if isinstance(fault, ThrottledError):
            # The pacer slows all calls down; this wait only keeps its place in the queue.
            self._plan(now, 0.0)
            return
        self.faults += 1
        self.faulty_since = now if self.faulty_since is None else self.faulty_since
        faulty_seconds = now - self.faulty_since
        if faulty_seconds >= rhythm.FAULTS_SECONDS:
            self.outcome = WaitFaultError(fault=fault, faulty_seconds=faulty_seconds, **self.to_error_facts(now))
            return
        self._plan(now, rhythm.fault_interval(self.faults, rng))

    def _plan(self, now: float, pause: float) -> None:
        """Plan the next look; the last one early enough to end before the deadline, and none beyond it."""
        last = self.deadline - _LAST_LOOK_SECONDS
        if now + pause > last and last - now < _LAST_LOOK_SECONDS / 2:
            self.outcome = WaitTimeoutError(**self.to_error_facts(now))
            return
        self.next_look = min(now + pause, last)
