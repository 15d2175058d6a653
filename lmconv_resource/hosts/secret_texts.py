"""Texts that no message may show: what is secret of the properties that a host was handed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from lmconv_resource.usage_operations import describe

_SHORTEST = 4
"""A shorter text is part of too many words to be hidden in a sentence."""

SHOWN = "[secret]"


class SecretTexts:
    """Hides texts in messages. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hidden: tuple[str, ...] = ()

    def hide(self, texts: Iterable[str]) -> None:
        """Show none of these from now on, nor what AWS calls them."""
        found = {text for text in texts if len(text) >= _SHORTEST}
        if found.issubset(self._hidden):
            return
        with self._lock:
            # With its meaning behind it, a code would still be known.
            longer = {*self._hidden, *found, *(describe(text) for text in found)}
            self._hidden = tuple(sorted(longer, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """Return a message without them."""
        for hidden in self._hidden:
            text = text.replace(hidden, SHOWN)
        return text


def find_leaves(value: object) -> Iterator[object]:
    """Yield all that is no object and no list."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from find_leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from find_leaves(entry)
    else:
        yield value
