"""What one provider process has one of: engine, cancellation, connections, and the conversions begun here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lmconv_resource.aws.settings import ConfigGet, Settings, find_region
from lmconv_resource.hosts.command import find_command, is_replaced_by
from lmconv_resource.hosts.engine import Engine, EngineMonitor
from lmconv_resource.lifecycle.fleet import Fleet
from lmconv_resource.lifecycle.operation import Operation, Severity
from lmconv_resource.lifecycle.starts import StartPolicy, Starts
from lmconv_resource.polling.cancellation import Cancellation

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection, Connections
    from lmconv_resource.polling.policy import PollingPolicy

log = logging.getLogger("lmconv_resource")
log.addHandler(logging.NullHandler())  # without one, Python prints warnings to stderr


class Session:
    """One process's side of the lifecycle's `Host`, whatever carries it to Pulumi. Safe to share between threads.

    Args:
        get_config: returns a value of the stack's configuration by its full key.
        engine: Pulumi's engine; without one, lines go to the log.
        policy: the rhythm of polls and the pace of calls.
        start_policy: how patient a start is.
        make_client: makes boto3's clients; by default `aws.credentials.make_client`.
    """

    def __init__(
        self,
        get_config: ConfigGet,
        engine: Engine | None = None,
        *,
        policy: PollingPolicy | None = None,
        start_policy: StartPolicy | None = None,
        make_client: Callable[[str, Settings], Any] | None = None,
    ) -> None:
        self.get_config = get_config
        self.engine = engine
        self.cancellation = Cancellation()
        self.starts = Starts()
        self.fleet = Fleet()
        self.start_policy = start_policy or StartPolicy()
        self._policy = policy
        self._make_client = make_client
        self._connections: Connections | None = None
        self._connecting = threading.Lock()

    @contextmanager
    def operation(self, urn: str | None, timeout_seconds: float | None = None) -> Iterator[Operation]:
        """Return one call of the engine's: the one entrance, for all that is to end with the engine or at a deadline.

        Args:
            urn: the resource's URN, if it is known.
            timeout_seconds: how long it may last; by default there is no deadline but a wait's own.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with Cancellation(self.cancellation, deadline) as cancellation:
            yield Operation(self, urn, cancellation, timeout_seconds)

    def watch_engine(self, end_process: Callable[[], None]) -> None:
        """End every operation, and then the process, as soon as the engine is gone."""
        if self.engine is None:
            return

        def end() -> None:
            self.cancellation.set("Pulumi's engine is gone")
            end_process()

        EngineMonitor(self.engine, end).start()

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        """Leave a line in the diagnostics under the resource, or on the stack's row without one."""
        if self.engine:
            self.engine.log(severity, urn, message)
        else:
            log.log(getattr(logging, severity), message)

    def log_status(self, urn: str | None, message: str) -> None:
        """Show a line on the resource's row until the next one; nothing of it stays."""
        log.debug(message)
        if self.engine:
            self.engine.log_status(urn, message)

    def resolve_region(self, region: str | None) -> str | None:
        """Return the region to use where a resource names this one, or none."""
        return find_region(self.get_config, region)

    def is_replaced_by_command(self, urn: str | None) -> bool | None:
        """Return whether the user's command has this resource replaced; None where it can't be told."""
        command = find_command()
        return None if command is None or urn is None else is_replaced_by(command, urn)

    def connect(self, region: str) -> Connection:
        """Return the one connection for the stack's settings in this region."""
        return self._all_connections().get(Settings.from_config(self.get_config, region))

    def _all_connections(self) -> Connections:
        # The one place that keeps boto3 out of a process that does not call AWS.
        from lmconv_resource.aws.client import Connections
        from lmconv_resource.aws.credentials import make_client

        with self._connecting:
            if self._connections is None:
                self._connections = Connections(
                    self.cancellation,
                    policy=self._policy,
                    on_note=lambda text: self.log("INFO", None, text),
                    make_client=self._make_client or make_client,
                )
            return self._connections
