"""Texts that no message may show: what is secret of the properties that a host was handed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from lmconv_resource.models import InstanceArn
from lmconv_resource.text import to_shown
from lmconv_resource.usage_operations import texts_about

_MIN_LENGTH = 4
"""A shorter text is part of too many words."""

SHOWN = "[secret]"


class SecretTexts:
    """Hides texts in messages. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hidden: tuple[str, ...] = ()

    def add(self, texts: Iterable[str]) -> None:
        """Hide these from now on, in every form in which a message may have them."""
        found = {text for text in texts if len(text) >= _MIN_LENGTH}
        if found.issubset(self._hidden):
            return
        with self._lock:
            forms = {form for text in found for form in _forms_of(text) if len(form) >= _MIN_LENGTH}
            self._hidden = tuple(sorted({*self._hidden, *forms}, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """Return a message without them."""
        for hidden in self._hidden:
            text = text.replace(hidden, SHOWN)
        return text


def _forms_of(text: str) -> Iterator[str]:
    """Yield a text, and what messages have of it: a license's names, an ARN's parts, a value cut short."""
    yield text
    yield from texts_about(text)
    yield to_shown(text).strip("'\"…")
    arn = InstanceArn.parse(text)
    if arn is not None:
        yield from (arn.instance_id, arn.account)


def leaves(value: object) -> Iterator[object]:
    """Yield all that is no object and no list."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry)
    else:
        yield value
