"""A runtime whose time passes a hundred times as fast: what waits a minute for EC2 takes a test half a second."""

from __future__ import annotations

import threading
import time

from lmconv_resource.polling.runtime import Runtime, monotonic

FACTOR = 100.0


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / FACTOR)


class _Condition(threading.Condition):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / FACTOR)


HURRIED = Runtime(
    now=lambda: monotonic() * FACTOR,
    sleep=lambda seconds: time.sleep(seconds / FACTOR),
    event=_Event,
    condition=_Condition,
)
