"""How work in progress is told to end: by a reason, or by a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lmconv_resource.polling.runtime import RUNTIME, Runtime

if TYPE_CHECKING:
    from typing_extensions import Self


class Cancellation:
    """Tells everything that works under it to end, once, with the reason. Safe to share between threads.

    One may have a parent, as a context of Go's has: it ends with its parent, and its parent goes on without it. One
    that has a parent is closed when its work is over, so that a parent that outlives thousands of them forgets them.

    Args:
        parent: what cancels this one too.
        deadline: the moment, by the runtime's `now`, from which this one counts as set, without a reason.
        runtime: the clock and the locks of all that works under it; by default the parent's.
    """

    def __init__(
        self,
        parent: Cancellation | None = None,
        deadline: float | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime: Runtime = runtime or (parent.runtime if parent else RUNTIME)
        self._parent = parent
        never = float("inf")
        self._deadline: float = min(never if deadline is None else deadline, parent._deadline if parent else never)
        self._reason: str | None = None
        self._event = self.runtime.event()
        self._listeners: dict[object, Callable[[], None]] = {}
        self._lock = self.runtime.lock()
        self._unsubscribe = parent.subscribe(self._follow_parent) if parent else lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Have the parent forget this one, which it then no longer cancels."""
        self._unsubscribe()

    @property
    def reason(self) -> str | None:
        """Why this was set; None while it is not, or where only a deadline has passed."""
        return self._reason

    @property
    def is_set(self) -> bool:
        """Whether to end: this one or its parent was set, or a deadline has passed."""
        return self._reason is not None or self.is_expired or bool(self._parent and self._parent.is_set)

    @property
    def is_expired(self) -> bool:
        """Whether the deadline, or the parent's, has passed."""
        return self.runtime.now() >= self._deadline

    def remaining(self, default: float) -> float:
        """Return the seconds until the deadline, or the parent's if that is earlier; `default` where there is none."""
        return default if self._deadline == float("inf") else max(0.0, self._deadline - self.runtime.now())

    def set(self, reason: str) -> None:
        """Tell all listeners to end; the first reason stays."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            listeners = list(self._listeners.values())
        self._event.set()
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when this or a parent is set, at once if it is; return what ends the subscription.

        A deadline calls no listener: a waiting thread reads `remaining`.
        """
        key = object()
        with self._lock:
            self._listeners[key] = listener
            is_set_already = self._reason is not None
        if is_set_already:
            listener()

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return unsubscribe

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, less if this is set or its deadline passes meanwhile, and return whether it is."""
        self._event.wait(min(seconds, self.remaining(seconds)))
        return self.is_set

    def _follow_parent(self) -> None:
        reason = self._parent.reason if self._parent else None
        if reason is not None:
            self.set(reason)


def doubled(first: float, longest: float, times: int) -> float:
    """Return the seconds `first`, doubled so many times, and at most `longest`."""
    return min(longest, first * 2.0 ** min(times, 30))


class Pauses:
    """Pauses of one thread that double, from `first` to `longest` seconds, and end with a cancellation."""

    def __init__(self, cancellation: Cancellation, first: float, longest: float) -> None:
        self._cancellation = cancellation
        self._first, self._longest = first, longest
        self._made = 0

    def after(self, tries: int) -> float:
        """Return the seconds to pause after so many tries."""
        return doubled(self._first, self._longest, tries - 1)

    def wait(self) -> None:
        """Make the next pause."""
        self._made += 1
        self._cancellation.wait(self.after(self._made))

    def reset(self) -> None:
        """Have the next pause be the first one again."""
        self._made = 0
