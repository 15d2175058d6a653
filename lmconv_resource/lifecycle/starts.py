"""The conversions that one process has begun, and how patient a start is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lmconv_resource.errors import CREATE_ACTION, OtherConversionError, Subject
from lmconv_resource.models import ConversionRequest, ConversionTask
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS
from lmconv_resource.polling.runtime import RUNTIME, Runtime


@dataclass(frozen=True)
class StartPolicy:
    """How patient a start is."""

    settling_seconds: float = 1.0
    """What a task that was just started is given to show itself in a list, at first; doubled for each further list."""

    settling_lists: int = 3
    """How often it is looked for. With the pauses before them that is 7 s, when a read timeout has passed already."""

    new_task_seconds: float = 1.0
    """The first pause when AWS does not know a task yet that it has just started; doubled for each further check."""

    new_task_checks: int = 5
    """How often a new task may be unknown to AWS."""

    instance_poll_seconds: float = 1.0
    """The first pause between two checks of an instance that stops or starts; doubled for each further one.

    EC2 needs half a minute for most, and minutes for Windows."""

    longest_instance_poll_seconds: float = 10.0

    backoff_seconds: Callable[[int], float] | None = None
    """The pause after so many failed tries; by default that of all other calls."""


class Starts:
    """The conversions that this process has begun. Safe to share between threads."""

    def __init__(self, runtime: Runtime = RUNTIME) -> None:
        self._lock = runtime.lock()
        self._urns: set[str] = set()
        self._released = runtime.condition()
        self._busy: set[str] = set()
        """What somebody starts a conversion of at present; `_released` guards it."""
        self._last: dict[str, tuple[ConversionRequest, str]] = {}

    def add_urn(self, urn: str | None) -> None:
        """Remember that the resource's conversion has been begun here."""
        if urn:
            with self._lock:
                self._urns.add(urn)

    def has_urn(self, urn: str | None) -> bool:
        """Return whether the resource's conversion has been begun here, so that what is deleted of it was replaced."""
        return urn in self._urns

    @contextmanager
    def one_at_a_time(self, resource_arn: str, cancellation: Cancellation) -> Iterator[None]:
        """Return a context in which nobody else of this process starts a conversion of the resource."""
        unsubscribe = cancellation.subscribe(self._wake)
        try:
            with self._released:
                while resource_arn in self._busy and not cancellation.is_set:
                    self._released.wait(cancellation.remaining(DEFAULT_DEADLINE_SECONDS))
                is_first = resource_arn not in self._busy  # else it was cancelled, and no task is created any more
                self._busy.add(resource_arn)
        finally:
            unsubscribe()
        try:
            yield
        finally:
            if is_first:
                with self._released:
                    self._busy.discard(resource_arn)
                    self._released.notify_all()

    def _wake(self) -> None:
        with self._released:
            self._released.notify_all()

    def remember(self, request: ConversionRequest, task_id: str) -> None:
        """Remember the task that was started last for a resource."""
        with self._lock:
            self._last[request.resource_arn] = (request, task_id)

    def find_hidden(self, request: ConversionRequest, region: str, listed: list[ConversionTask]) -> str | None:
        """Return the id of a task that was started here and that AWS does not list yet, None if there is none.

        Raises:
            OtherConversionError: it converts the resource to something else.
        """
        started, task_id = self._last.get(request.resource_arn, (None, ""))
        if started is None or task_id in {task.task_id for task in listed}:
            return None
        if not (started.source.is_same(request.source) and started.destination.is_same(request.destination)):
            raise other_conversion(request, task_id, region)
        return task_id


def other_conversion(request: ConversionRequest, task_id: str, region: str | None) -> OtherConversionError:
    """Return the error about a conversion in progress that is not the one asked for."""
    return OtherConversionError(
        Subject(CREATE_ACTION, task_id, region, request.resource_arn),
        f"license conversion task {task_id} is already converting it with other license contexts",
    )
