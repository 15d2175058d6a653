"""What Pulumi's engine calls: check, diff, create, read, update and delete of a license conversion task.

The module's path and the class's name are stored in users' state (`__provider` is a pickled reference to them): they
are a format, pinned by a test. Everything that must be imported to call AWS is imported when AWS is called, so that a
stack whose tasks have all ended pays nothing for it.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from lmconv_resource import engine as engines
from lmconv_resource import host, inputs
from lmconv_resource.connection import Connection, Settings, connect, find_region
from lmconv_resource.errors import ConversionFailedError, SettingsError, TaskNotFoundError
from lmconv_resource.models import FINISHED_STATUSES, OUTPUTS, ConversionTask, TaskStatus
from lmconv_resource.progress import to_change_text, to_wait_text
from lmconv_resource.waiter import StopSignal, Wait, Watcher

if TYPE_CHECKING:
    from pulumi.dynamic import Config

log = logging.getLogger("lmconv_resource")
log.addHandler(logging.NullHandler())  # without one, Python prints warnings to stderr

_FINISHED = frozenset(status.value for status in FINISHED_STATUSES)

_FLAGS = {"wait_for_completion": False, "ignore_failure": False}
"""What the flags are where a program does not give them."""

_stop = StopSignal()


class LicenseConversionTaskProvider(ResourceProvider):
    """Tracks a license conversion task. One object serves all resources of a program, from many threads at once."""

    # What is serialized is a reference to this class, about 80 bytes with nothing worth hiding; as a secret it would
    # only make every state depend on the secrets provider.
    serialize_as_secret_always = False

    _config: Config | None = None

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, and mend the process that serves us."""
        self._config = req.config
        _start_logging()
        for shut in host.install(functools.partial(_stop.set, "the update was cancelled")):
            log.warning(shut)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Fill in the defaults and say what is wrong with the inputs."""
        checked = {**_FLAGS, **news}
        try:
            checked["region"] = checked.get("region") or find_region(self._get)
        except SettingsError as error:
            return CheckResult(checked, [CheckFailure("region", str(error))])
        failures = inputs.find_failures(checked)
        return CheckResult(checked, [CheckFailure(failure.property, failure.reason) for failure in failures])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Tell what the program asks for that the record does not have; asks AWS only of a task recorded as running."""
        olds, news = _olds, _news
        replaces = [
            name
            for name in ("license_conversion_task_id", "region")
            if inputs.is_unknown(news.get(name)) or news.get(name) != olds.get(name, news.get(name))
        ]
        if replaces:
            return DiffResult(changes=True, replaces=replaces)
        if _wants_wait(olds, news):
            return DiffResult(changes=True)
        if olds.get("status") in _FINISHED:
            return DiffResult(changes=False)
        found = self._find(olds, _id).to_outputs()
        change = to_change_text(_id, olds, found)
        if change:
            _say(news, change)
        return DiffResult(changes=any(_known(olds.get(name)) != _known(found[name]) for name in OUTPUTS))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Look the task up, or wait for its end, and record it."""
        task_id = props["license_conversion_task_id"]
        task = self._follow(props, "create")
        if task.status is TaskStatus.FAILED:
            _warn_of_failure(props, task)
        return CreateResult(task_id, _record(props, task.to_outputs()))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look the task up for a refresh, where `props` is the record, or for a `get`, where it is the inputs.

        A refresh leaves the recorded inputs as they are: they are what the program said.
        """
        is_record = "status" in props
        read_inputs = None if is_record else {**props, "license_conversion_task_id": id_}
        # `get` and refresh come without a check.
        failures = inputs.find_failures(
            {**_FLAGS, "license_conversion_task_id": id_, "region": self._find_region(props)}
        )
        if failures:
            raise SettingsError(reason=failures[0].reason, remedy="Mend it in the program", task_id=id_)
        try:
            task = self._find(props, id_)
        except TaskNotFoundError as error:
            if props.get("status") not in _FINISHED:
                raise
            _say(props, f"The record of the finished task is kept as it was. {error}", "WARNING")
            return ReadResult(id_, _record(props, props))
        found = _keep_finished(props, task.to_outputs())
        if is_record:
            change = to_change_text(id_, props, found)
            if change:
                _say(props, change, "WARNING" if task.status is TaskStatus.FAILED else "INFO")
        if read_inputs is not None:
            read_inputs["region"] = task.region
        return ReadResult(id_, _record(props, found), read_inputs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look the task up again, or wait for its end, and record it."""
        task = self._follow(_news, "update")
        found = _keep_finished(_olds, task.to_outputs())
        if task.status is TaskStatus.FAILED:
            _warn_of_failure(_news, task)
        return UpdateResult(_record(_news, found))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the task. AWS has no call that undoes or cancels a conversion, so nothing happens there."""

    # -- what the methods share --------------------------------------------------------------------------------------

    def _get(self, key: str) -> Any:
        return self._config.get(key) if self._config else None

    def _find_region(self, props: Mapping[str, Any]) -> str | None:
        return find_region(self._get, props.get("region"))

    def _connect(self, props: Mapping[str, Any], task_id: str) -> Connection:
        region = self._find_region(props)
        if region is None:
            raise SettingsError(
                reason="no region is set", remedy="Run `pulumi config set aws:region REGION`", task_id=task_id
            )
        return connect(Settings.from_config(self._get, region))

    def _find(self, props: Mapping[str, Any], task_id: str) -> ConversionTask:
        from lmconv_resource.tasks import find_task

        return find_task(self._connect(props, task_id), task_id, _stop.event)

    def _follow(self, props: Mapping[str, Any], operation: str) -> ConversionTask:
        """Give the task as it is now, or, with the wait option, as it ended."""
        task_id = props["license_conversion_task_id"]
        if not props.get("wait_for_completion"):
            return self._find(props, task_id)
        connection = self._connect(props, task_id)
        urn = props.get(inputs.URN)
        started = time.monotonic()
        with _find_pulse():
            task = _find_watcher(connection).wait_for_task(
                task_id,
                connection.region,
                stop=_stop,
                report=functools.partial(_show_wait, urn),
                timeout_seconds=inputs.find_deadline_seconds(props, operation),
                poll_interval_seconds=props.get("poll_interval_seconds"),
            )
        if task.status is TaskStatus.FAILED and not props.get("ignore_failure"):
            raise ConversionFailedError(task=task, waited_seconds=time.monotonic() - started)
        return task


def _wants_wait(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """True where the program wants an end, or a success, that the record does not show."""
    if not news.get("wait_for_completion"):
        return False
    return olds.get("status") not in _FINISHED or (
        olds.get("status") == TaskStatus.FAILED.value and not news.get("ignore_failure")
    )


def _known(value: Any) -> Any:
    """Give the value without what is None, at any depth: a state may have lost that on its way through the engine."""
    if isinstance(value, Mapping):
        return {name: _known(entry) for name, entry in value.items() if entry is not None}
    return [_known(entry) for entry in value] if isinstance(value, list) else value


def _record(props: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is stored: the outputs, and the URN that a later refresh says its lines under."""
    return {**{name: outputs.get(name) for name in OUTPUTS}, inputs.URN: props.get(inputs.URN)}


def _keep_finished(olds: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Give what was found, unless the record of a finished task says more: it is never overwritten by less."""
    if olds.get("status") not in _FINISHED:
        return found
    if found["status"] != olds["status"]:
        _say(
            olds,
            f"{found['license_conversion_task_id']} is recorded as {olds['status']} and AWS now says "
            f"{found['status'] or 'nothing'} of it. The record is kept; look at the task in the AWS console.",
            "WARNING",
        )
        return {name: olds.get(name) for name in OUTPUTS}
    return {name: olds.get(name) if found[name] is None else found[name] for name in OUTPUTS}


def _warn_of_failure(props: Mapping[str, Any], task: ConversionTask) -> None:
    message = " ".join((task.status_message or "AWS gives no status message").split())
    _say(props, f"{task.task_id} FAILED: {message}", "WARNING")


# -- one of each in a process: the engine, its pulse, a watcher for each connection ------------------------------------

_find_engine = functools.lru_cache(maxsize=1)(engines.find_engine)
_watchers: dict[Connection, Watcher] = {}
_lock = threading.Lock()


def _say(props: Mapping[str, Any], text: str, severity: str = "INFO") -> None:
    engine = _find_engine()
    if engine:
        engine.say(props.get(inputs.URN), text, severity)
    else:
        log.log(getattr(logging, severity), text)


def _show_wait(urn: str | None, wait: Wait, now: float) -> None:
    text = to_wait_text(wait, now)
    log.debug(text)
    engine = _find_engine()
    if engine:
        engine.show(urn, text)


def _end_orphan() -> None:
    """End what an engine that is gone has left behind: the waits, then this process."""
    _stop.set("Pulumi's engine is gone")
    host.end_process()


@functools.lru_cache(maxsize=1)
def _find_pulse() -> AbstractContextManager[None]:
    engine = _find_engine()
    return engines.Pulse(engine, _end_orphan) if engine else nullcontext()


def _find_watcher(connection: Connection) -> Watcher:
    from lmconv_resource.tasks import find_tasks_in_progress, look_up_task

    with _lock:
        watcher = _watchers.get(connection)
        if watcher is None:
            watcher = _watchers[connection] = Watcher(
                functools.partial(look_up_task, connection, in_turn=False),
                functools.partial(find_tasks_in_progress, connection),
                wait_for_turn=connection.pacer.wait_for_turn,
                on_note=functools.partial(_say, {}),
            )
        return watcher


_handlers: list[logging.Handler] = []


def _start_logging() -> None:
    """Send our log to the engine, by the level in LMCONV_LOG; nothing may reach stdout or stderr."""
    engine = _find_engine()
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
