"""What one provider process has one of: engine, cancellation, connections, texts that are secret, the stack's row."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmconv_resource.aws.access import ConfigGet, Settings, environment_key, unknown_setting_names
from lmconv_resource.errors import CredentialsError, SettingsError
from lmconv_resource.hosts.engine import Engine, end_process, is_interactive, is_replaced_by_command, terminal_columns
from lmconv_resource.lifecycle.in_process import Progress, Severity, StartedHere
from lmconv_resource.lifecycle.operation import Access, Operation, Properties
from lmconv_resource.models import InstanceArn
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import RUNTIME, Cancellation, Runtime
from lmconv_resource.text import fill, to_shown, wording
from lmconv_resource.usage_operations import texts_about

if TYPE_CHECKING:
    from lmconv_resource.aws.access import AccessSession, Regions, SharedClients
    from lmconv_resource.aws.client import Connection

OpenSession = Callable[[Settings], "AccessSession"]
"""Returns a session with these settings."""

log = logging.getLogger("lmconv_resource")
log.addHandler(logging.NullHandler())  # without one, Python prints warnings to stderr


class Session:
    """One process's side of the lifecycle's `Host`, whatever carries it to Pulumi. Safe to share between threads.

    Without an engine, lines go to the log. `get_config` returns a value of the stack's configuration by its full key,
    `open_session` the session of some settings, which knows who calls. With `follows_environment` the next operation
    sees a change of the environment that botocore reads. `report_seconds` is how often a wait is shown again.
    """

    def __init__(
        self,
        get_config: ConfigGet = lambda _: None,
        engine: Engine | None = None,
        *,
        policy: PollingPolicy | None = None,
        open_session: OpenSession | None = None,
        follows_environment: bool = False,
        report_seconds: float | None = None,
        runtime: Runtime = RUNTIME,
        secret_texts: SecretTexts | None = None,
    ) -> None:
        self.runtime = runtime
        self.secret_texts = secret_texts or SecretTexts()
        """What no message may show."""
        self.is_preview = False
        """Whether this process serves a preview, for a host that knows of one only what its last check was told."""
        self.get_config = get_config
        self.setting_names: Callable[[], Iterable[str]] = tuple
        """Returns the full names of all settings of the stack that are known."""
        self.engine = engine
        self.cancellation = Cancellation(runtime=runtime)
        self.started_here = StartedHere(runtime)
        self._policy = policy or PollingPolicy()
        self._open_session = open_session
        self._follows_environment = follows_environment
        self.report_seconds = report_seconds
        self._shared: dict[str, SharedClients] = {}
        """By a fingerprint of the environment."""
        self._connections: dict[tuple[Settings, SharedClients], Connection] = {}
        self._connecting = runtime.lock()
        self._stack_row: StackRow | None = None
        if engine and report_seconds is not None:  # elsewhere each line stays, and one for each resource is enough
            self._stack_row = StackRow(lambda text: engine.log_status(None, text), runtime)

    @classmethod
    def on_engine(cls, address: str, *, ends_process: bool = True) -> Session:
        """Return the session of a plugin whose engine, at `host:port`, gets its log too.

        As soon as the engine is gone, every operation ends, and then the process.
        """
        secret_texts = SecretTexts()
        engine = Engine(address, secret_texts.mask)
        session = cls(engine=engine, report_seconds=5.0 if is_interactive() else None, secret_texts=secret_texts)
        engine.receive_log()

        def end() -> None:
            session.cancellation.set("Pulumi's engine is gone")
            if ends_process:
                end_process()

        engine.watch(end)
        return session

    @contextmanager
    def operation(
        self, urn: str | None, timeout_seconds: float | None = None, *, is_preview: bool | None = None
    ) -> Iterator[Operation]:
        """Return one call of the engine's: the one entrance, for all that is to end with the engine or at a deadline.

        Without a timeout there is no deadline but a wait's own. `is_preview` is None where the host is not told.
        """
        deadline = None if timeout_seconds is None else self.runtime.now() + timeout_seconds
        failed = True
        try:
            with Cancellation(self.cancellation, deadline) as cancellation:
                yield Operation(self, urn, cancellation, timeout_seconds, is_preview)
            failed = False
        finally:
            if self._stack_row:
                self._stack_row.end(urn, failed=failed)

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
        if self._stack_row and urn:
            self._stack_row.show(urn, message)

    def terminal_columns(self) -> int | None:
        """Return the width of the terminal on which Pulumi shows its progress; None where that is not known."""
        return None if self.report_seconds is None else terminal_columns()

    def is_replaced_by_command(self, urn: str | None) -> bool | None:
        """Return whether the user's command has this resource replaced; None where that is not known."""
        return is_replaced_by_command(urn)

    def regions(self) -> Regions:
        """Return AWS's regions."""
        return self._share().regions

    def check_setting_names(self) -> None:
        """Raise a SettingsError for a misspelt setting of the stack; say once which others are not known."""
        for prefix in dict.fromkeys((wording().prefix, "lmconv:")):
            self.tell_unknown_settings(unknown_setting_names(self.setting_names(), self.get_config, prefix=prefix))

    def tell_unknown_settings(self, names: Iterable[str]) -> None:
        """Say once of each of these settings that it has no effect here."""
        for name in names:
            if self.started_here.is_first_word(name):
                self.log(
                    "INFO", None, f"{to_shown(name)} is not used by this version of lmconv-resource and has no effect."
                )

    def connect(self, region: str, access: Access) -> Connection:
        """Return the one connection for a region, the stack's settings and this access; the first caller makes it."""
        # This keeps boto3 out of a process that does not call AWS.
        from lmconv_resource.aws.access import AccessSession
        from lmconv_resource.aws.client import Connection

        roles, shared = access.assume_roles, self._share()
        settings = Settings.from_config(self.get_config, region, profile=access.profile, assume_roles=roles)
        with self._connecting:
            if (settings, shared) not in self._connections:
                open_session = self._open_session or (lambda settings: AccessSession(settings, shared, self.runtime))
                self._connections[settings, shared] = Connection(
                    open_session(settings), self.cancellation, self._policy, lambda text: self.log("INFO", None, text)
                )
            return self._connections[settings, shared]

    def _share(self) -> SharedClients:
        """Return what all sessions in the present environment share. It brings botocore."""
        from lmconv_resource.aws.access import SharedClients

        environment = environment_key() if self._follows_environment else ""
        with self._connecting:
            return self._shared.setdefault(environment, SharedClients(self.runtime))


@contextmanager
def explaining_last_settings(record: Properties | None) -> Iterator[None]:
    """Have an error about settings or credentials say whose they are: both hosts get those of the last `pulumi up`.

    A record has the resource's own profile and role, if it has some; where there is none, nothing is said.
    """
    try:
        yield
    except (SettingsError, CredentialsError) as error:
        if record is not None:
            last = (
                "A refresh and a destroy use the settings of the last `pulumi up`: run `pulumi refresh --run-program` "
                "to use the current ones"
            )
            if record.get("profile") or record.get("assume_role"):
                last += fill(", and `pulumi up` after a change of the resource's profile or {assume_role}")
            error.remedy = f"{error.remedy}. {last}" if error.remedy else last
        raise


class StackRow:
    """Shows on the stack's row how the operations of this process go. Safe to share between threads.

    A single one is shown as on its own row, which has no room for that where Pulumi shows what an update changes; more
    than one by their numbers.
    """

    def __init__(self, show: Callable[[str], None], runtime: Runtime) -> None:
        self._show = show
        self._progress = Progress(0, show, moves=True, terminal_columns=terminal_columns, runtime=runtime)
        self._ended: dict[str, bool] = {}
        """By the URN of each resource that was shown, whether an operation on it has ended: it counts once."""

    def show(self, urn: str, message: str) -> None:
        """Show how the operation on a resource goes."""
        self._ended.setdefault(urn, False)
        if len(self._ended) == 1:
            self._show(message)
        else:
            self._report()

    def end(self, urn: str | None, *, failed: bool) -> None:
        """Count the end of an operation, if it was shown."""
        if urn is None or self._ended.get(urn, True):  # no two operations on one resource run at once
            return
        self._ended[urn] = True
        self._progress.end(done=not failed, failed=failed)
        if len(self._ended) > 1:
            self._report()

    def _report(self) -> None:
        self._progress.total = len(self._ended)
        self._progress.report(running=list(self._ended.values()).count(False))


_MIN_LENGTH = 4
"""A shorter text is part of too many words."""


class SecretTexts:
    """Hides texts in messages. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hidden: list[str] = []

    def add(self, texts: Iterable[str]) -> None:
        """Hide these from now on, in every form in which a message may have them."""
        found = {text for text in texts if len(text) >= _MIN_LENGTH}
        if found.issubset(self._hidden):  # as in each message after the first
            return
        forms = {form for text in found for form in _forms_of(text) if len(form) >= _MIN_LENGTH}
        with self._lock:
            self._hidden = sorted({*self._hidden, *forms}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return a message without them."""
        for hidden in self._hidden:
            text = text.replace(hidden, "[secret]")
        return text


def _forms_of(text: str) -> Iterator[str]:
    """Yield a text, and what messages have of it: a license's names, an ARN's parts, a value cut short."""
    yield text
    yield from texts_about(text)
    yield to_shown(text).strip("'\"…")
    arn = InstanceArn.parse(text)
    if arn is not None:
        yield from (arn.instance_id, arn.account)
