"""What an operation tells: messages, steps, its result, and the error that carries it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .state import ResourceState


@dataclass(frozen=True)
class Message:
    """A line for the user, from the program, the provider or the engine."""

    urn: str
    """The resource it is about; the stack's for lines that name none."""
    severity: str
    """`info`, `warning` or `error`."""
    text: str
    ephemeral: bool = False
    """Whether it is live status only, which a display doesn't keep."""


@dataclass(frozen=True)
class Step:
    """One operation on one resource, when it begins and again when it ends."""

    op: str
    """`create`, `update`, `replace`, `delete`, `read`, `refresh` or `same`."""
    urn: str
    seconds: float | None = None
    """How long it took; None when it begins."""
    failed: bool = False


@dataclass
class OperationResult:
    """What an operation did."""

    changes: Counter[str]
    """Resources by what happened to them: `create`, `same`, `update`, `replace`, `delete`, `read`; the stack is one."""
    outputs: dict[str, Any]
    """The stack's outputs as plain values; in a preview, `UNKNOWN` for those that aren't known yet."""
    secret_outputs: frozenset[str]
    """The names of the outputs that are secrets, or contain one."""
    messages: list[Message]
    steps: list[Step]
    """Every step that ended, in that order."""
    resources: list[ResourceState]
    """The stack's state after the operation."""
    errors: list[Message] = field(default_factory=list)
    """One for each resource that failed, with the plugin's text; the stack's when the program itself failed."""

    def resource(self, name: str) -> ResourceState:
        """Return the state of the resource of that name.

        Raises:
            LookupError: There is none.
        """
        for state in self.resources:
            if state.name == name and not state.delete:
                return state
        raise LookupError(f"no resource {name!r} in the state; there are: {sorted(r.name for r in self.resources)}")


class UpdateFailedError(Exception):
    """An operation failed; `.result` tells what it did all the same, `.errors` why it failed."""

    def __init__(self, operation: str, result: OperationResult) -> None:
        self.result = result
        self.errors = result.errors
        super().__init__("\n".join([f"{operation} failed", *(f"{error.urn}: {error.text}" for error in self.errors)]))


class EventLog:
    """Collects messages and steps from every thread of an operation and passes them on as they come."""

    def __init__(
        self,
        stack_urn: str,
        secrets: Iterable[str],
        on_message: Callable[[Message], None] | None,
        on_step: Callable[[Step], None] | None,
    ) -> None:
        self.stack_urn = stack_urn
        self.messages: list[Message] = []
        self.errors: list[Message] = []
        self.steps: list[Step] = []
        self._running: set[tuple[str, str]] = set()
        self._secrets = [secret for secret in secrets if secret]
        self._on_message = on_message
        self._on_step = on_step
        self._lock = threading.Lock()

    def say(self, text: str, *, urn: str = "", severity: str = "info", ephemeral: bool = False) -> Message:
        """Record a message; secret configuration values in it are masked, as the engine does."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        message = Message(urn or self.stack_urn, severity, text, ephemeral)
        with self._lock:
            self.messages.append(message)
            if self._on_message:
                self._on_message(message)
        return message

    def fail(self, text: str, *, urn: str = "") -> None:
        """Record an error that makes the operation fail."""
        message = self.say(text, urn=urn, severity="error")
        with self._lock:
            self.errors.append(message)

    def step(self, step: Step) -> None:
        """Record that a step began or ended."""
        with self._lock:
            if step.seconds is None:
                self._running.add((step.op, step.urn))
            else:
                self._running.discard((step.op, step.urn))
                self.steps.append(step)
            if self._on_step:
                self._on_step(step)

    def running(self) -> list[tuple[str, str, str | None]]:
        """Return the steps under way: the operation, the URN, and the last message about the resource."""
        with self._lock:
            last = {each.urn: each.text for each in self.messages}
            return [(op, urn, last.get(urn)) for op, urn in sorted(self._running)]
