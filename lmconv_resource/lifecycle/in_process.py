"""What one process knows of the conversions that it has begun, and of the marks that AWS shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS
from lmconv_resource.polling.runtime import RUNTIME, Runtime

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Tag  # which a resource that starts nothing does not need

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
"""Pulumi's names for how much a line matters."""


class StartedHere:
    """The conversions that this process has begun. Safe to share between threads."""

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self._lock = runtime.lock()
        self._released = runtime.condition()
        self._busy: set[str] = set()
        """The instances that a job is about at present; `_released` guards it."""
        self._tasks: dict[str, dict[str, None]] = {}
        self._marks: dict[object, tuple[Tag, ...]] = {}
        self._told: set[str] = set()
        self.is_answered = False
        """Whether AWS has answered any job's call."""
        self.arns: dict[str | None, str | None] = {}
        """What resources were created or updated for here, by URN: what is deleted of one was replaced."""
        self.plans: dict[str | None, list[tuple[Severity, str]]] = {}
        """What is to be said of a plan, by URN."""
        self.ended: dict[str, ConversionTask] = {}
        """Tasks whose end was seen, by id."""
        self.removed_marks: set[tuple[str, str]] = set()
        """Marks that were removed here, which EC2 shows for a while: the resource's id and the tag's value."""

    @contextmanager
    def one_at_a_time(self, resource_arn: str, cancellation: Cancellation) -> Iterator[bool]:
        """Return a context in which no other job of this process is about the instance.

        Yields:
            False where it was cancelled before that.
        """
        unsubscribe = cancellation.subscribe(self._wake)
        try:
            with self._released:
                while resource_arn in self._busy and not cancellation.is_set:
                    self._released.wait(cancellation.remaining(DEFAULT_DEADLINE_SECONDS))
                is_first = resource_arn not in self._busy
                self._busy.add(resource_arn)
        finally:
            unsubscribe()
        try:
            yield is_first
        finally:
            if is_first:
                with self._released:
                    self._busy.discard(resource_arn)
                    self._released.notify_all()

    def _wake(self) -> None:
        with self._released:
            self._released.notify_all()

    def remember(self, resource_arn: str, task_id: str) -> None:
        """Remember a task that was started here: AWS may show it nowhere for a while."""
        with self._lock:
            self._tasks.setdefault(resource_arn, {})[task_id] = None

    def tasks_of(self, resource_arn: str) -> tuple[str, ...]:
        """Return the ids of the tasks that were started here for an instance."""
        with self._lock:
            return tuple(self._tasks.get(resource_arn, ()))

    def marks(self, place: object, list_marks: Callable[[], Iterable[Tag]]) -> tuple[Tag, ...]:
        """Return all tags of jobs in an account and region. One list serves a whole process.

        Args:
            place: what stands for the account and region.
            list_marks: asks AWS for them; called without a lock, so that no thread waits for another's call.
        """
        with self._lock:
            marks = self._marks.get(place)
        if marks is None:
            marks = tuple(list_marks())
            with self._lock:
                self._marks[place] = marks
        return marks

    def is_first_word(self, about: str) -> bool:
        """Return whether this has not been said before in this process."""
        with self._lock:
            is_new = about not in self._told
            self._told.add(about)
            return is_new
