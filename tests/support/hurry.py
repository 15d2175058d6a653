"""Runtimes whose time passes faster: what waits a minute for EC2 takes a test half a second."""

import threading
import time

from lmconv_resource.polling.runtime import Runtime, monotonic


def make_hurried(factor: float) -> Runtime:
    """Return a runtime in which this many seconds pass in each."""

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(None if timeout is None else timeout / factor)

    class Condition(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(None if timeout is None else timeout / factor)

    return Runtime(
        now=lambda: monotonic() * factor,
        sleep=lambda seconds: time.sleep(seconds / factor),
        event=Event,
        condition=Condition,
    )


FACTOR = 100.0
HURRIED = make_hurried(FACTOR)
