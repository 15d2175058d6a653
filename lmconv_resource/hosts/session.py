"""What a plugin process has one of: engine, stop signal, pulse and log; and one watcher for each connection."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lmconv_resource.hosts import engine as engines
from lmconv_resource.hosts.dynamic import patches as host
from lmconv_resource.lifecycle import inputs
from lmconv_resource.polling.cancellation import StopSignal

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.polling.poller import Watcher
    from lmconv_resource.polling.wait import Wait

log = logging.getLogger("lmconv_resource")
log.addHandler(logging.NullHandler())  # without one, Python prints warnings to stderr

stop = StopSignal()
"""Ends every wait of the process."""

find_engine = functools.lru_cache(maxsize=1)(engines.find_engine)

_watchers: dict[Connection, Watcher] = {}
_handlers: list[logging.Handler] = []
_lock = threading.Lock()


def start() -> None:
    """Mend the process that serves us and send our log to the engine; later calls do nothing."""
    _start_logging()
    for shut in host.install(functools.partial(stop.set, "the update was cancelled")):
        log.warning(shut)


def say(props: Mapping[str, Any], text: str, severity: str = "INFO") -> None:
    """Leave a line under the resource whose properties these are, or on the stack's row where they name none."""
    engine = find_engine()
    if engine:
        engine.say(props.get(inputs.URN), text, severity)
    else:
        log.log(getattr(logging, severity), text)


def show_wait(urn: str | None, wait: Wait, now: float) -> None:
    """Show on the resource's row how its wait goes."""
    from lmconv_resource.lifecycle.progress import to_wait_text

    text = to_wait_text(wait, now)
    log.debug(text)
    engine = find_engine()
    if engine:
        engine.show(urn, text)


@functools.lru_cache(maxsize=1)
def find_pulse() -> AbstractContextManager[None]:
    """Give what a wait is made in, so that it ends when the engine is gone."""
    engine = find_engine()
    return engines.Pulse(engine, _end_orphan) if engine else nullcontext()


def _end_orphan() -> None:
    """End what an engine that is gone has left behind: the waits, then this process."""
    stop.set("Pulumi's engine is gone")
    host.end_process()


def find_watcher(connection: Connection) -> Watcher:
    """Give the one watcher that all waits of a connection share."""
    from lmconv_resource.aws.license_manager import find_tasks_in_progress, look_up_task
    from lmconv_resource.polling.poller import Watcher

    with _lock:
        watcher = _watchers.get(connection)
        if watcher is None:
            watcher = _watchers[connection] = Watcher(
                functools.partial(look_up_task, connection, in_turn=False),
                functools.partial(find_tasks_in_progress, connection, in_turn=False),
                wait_for_turn=connection.pacer.wait_for_turn,
                on_note=functools.partial(say, {}),
            )
        return watcher


def _start_logging() -> None:
    """Send our log to the engine, by the level in LMCONV_LOG; nothing may reach stdout or stderr."""
    engine = find_engine()
    with _lock:
        if engine is None or _handlers:
            return
        _handlers.append(engines.EngineHandler(engine))
    log.addHandler(_handlers[0])
    log.propagate = False
    level = os.environ.get("LMCONV_LOG", "WARNING").upper()
    try:
        log.setLevel(level)
    except ValueError:
        log.setLevel(logging.WARNING)
        log.warning("LMCONV_LOG=%s is not a level: give DEBUG, INFO, WARNING or ERROR.", level)
