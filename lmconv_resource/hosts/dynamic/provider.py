"""What both providers share: settings, looking a task up, following it to its end, and reading it again."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from lmconv_resource.aws.settings import Settings, find_region
from lmconv_resource.errors import ConversionFailedError, SettingsError, TaskNotFoundError, to_failure_reason
from lmconv_resource.hosts import session as process
from lmconv_resource.lifecycle import inputs
from lmconv_resource.lifecycle.progress import to_change_text
from lmconv_resource.lifecycle.state import differs, is_finished, merge, takes_back, to_record
from lmconv_resource.models import ConversionTask, TaskStatus

if TYPE_CHECKING:
    from pulumi.dynamic import Config

    from lmconv_resource.aws.client import Connection


class TaskProvider(ResourceProvider):
    """The base of the providers. One object serves all resources of a program, from many threads at once."""

    # What is serialized is a reference to the class, about 80 bytes with nothing worth hiding; as a secret it would
    # only make every state depend on the secrets provider.
    serialize_as_secret_always = False

    _defaults: ClassVar[Mapping[str, Any]]
    """What the inputs are where a program does not give them."""

    _config: Config | None = None

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, and mend the process that serves us."""
        self._config = req.config
        process.start()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Fill in the defaults and say what is wrong with the inputs."""
        checked = {**self._defaults, **news}
        try:
            if checked.get("region") in (None, ""):  # what else is empty is no region, and a failure
                checked["region"] = find_region(self._get)
        except SettingsError as error:
            return CheckResult(dict(news), [CheckFailure("region", str(error))])
        failures = self._find_failures(_olds, checked)
        return CheckResult(checked, [CheckFailure(failure.property, failure.reason) for failure in failures])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look the task up again, or wait for its end, and record it."""
        task = self._follow({**_news, "region": _news.get("region") or _olds.get("region")}, _id, "update")
        return UpdateResult({**self._find_extras(_olds, task), **to_record(_news, _merge(_olds, task))})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the task. AWS has no call that undoes or cancels a conversion, so nothing happens there."""

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look the task up for a refresh, where `props` is the record, or for a `get`, where it is the inputs.

        A refresh leaves the recorded inputs as they are: they are what the program said.
        """
        is_record = "is_complete" in props or "status" in props
        # `get` and refresh come without a check.
        place = {"license_conversion_task_id": id_, "region": self._find_region(props)}
        failures = inputs.find_failures(place, inputs.GET_RULES)
        if failures:
            raise SettingsError(reason=failures[0].reason, remedy="Mend it in the program", task_id=id_)
        try:
            task = self._find({**props, **place}, id_)
        except TaskNotFoundError as error:
            if not is_finished(props):
                raise
            process.say(props, f"The record of the finished task is kept as it was. {error}", "WARNING")
            return ReadResult(id_, dict(props))
        found = _merge(props, task)
        change = to_change_text(id_, props, found) if is_record else None
        if change:
            process.say(props, change, "WARNING" if task.status is TaskStatus.FAILED else "INFO")
        outs = {**self._find_extras(props, task), **to_record(props, found)}
        return ReadResult(id_, outs, None if is_record else {**props, **place})

    # -- for the providers -------------------------------------------------------------------------------------------

    def _find_failures(self, olds: Mapping[str, Any], checked: Mapping[str, Any]) -> list[inputs.Failure]:
        """Give what is wrong with the inputs, defaults filled in; `olds` are the recorded ones, none for a new one."""
        raise NotImplementedError

    def _diff_task(
        self, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any], task: ConversionTask | None = None
    ) -> DiffResult:
        """Tell whether a task recorded as running has changed; say it if it has. `task` is what it is now, if known."""
        found = (task or self._find(olds, id_)).to_outputs()
        change = to_change_text(id_, olds, found)
        if change:
            process.say(news, change)
        return DiffResult(changes=differs(olds, found))

    def _find_extras(self, props: Mapping[str, Any], task: ConversionTask) -> dict[str, Any]:
        """Give the outputs that a provider adds to those of the task."""
        return {}

    def _get(self, key: str) -> Any:
        return self._config.get(key) if self._config else None

    def _find_region(self, props: Mapping[str, Any]) -> str | None:
        return find_region(self._get, props.get("region"))

    def _connect(self, props: Mapping[str, Any], task_id: str | None) -> Connection:
        region = self._find_region(props)
        if region is None:
            raise SettingsError(
                reason="no region is set", remedy="Run `pulumi config set aws:region REGION`", task_id=task_id
            )
        from lmconv_resource.aws.client import connect

        try:
            return connect(Settings.from_config(self._get, region))
        except SettingsError as error:
            raise error.about(task_id) from error

    def _find(self, props: Mapping[str, Any], task_id: str) -> ConversionTask:
        from lmconv_resource.aws.license_manager import find_task

        connection = self._connect(props, task_id)
        # Its tries may go on for half a minute, which nobody wants of an engine that is gone.
        with process.find_pulse():
            return find_task(connection, task_id, process.stop.event)

    def _follow(self, props: Mapping[str, Any], task_id: str, operation: str) -> ConversionTask:
        """Give the task as it is now, or, with the wait option, as it ended; a FAILED one that counts is an error."""
        if not props.get("wait_for_completion"):
            task = self._find(props, task_id)
        else:
            started = time.monotonic()
            task = self._wait(props, task_id, inputs.find_deadline_seconds(props, operation))
            if task.status is TaskStatus.FAILED and not props.get("ignore_failure"):
                raise ConversionFailedError(task=task, waited_seconds=time.monotonic() - started)
        if task.status is TaskStatus.FAILED:
            process.say(props, f"{task.task_id} FAILED: {to_failure_reason(task.status_message)}", "WARNING")
        return task

    def _wait(self, props: Mapping[str, Any], task_id: str, timeout_seconds: float) -> ConversionTask:
        connection = self._connect(props, task_id)
        with process.find_pulse():
            return process.find_watcher(connection).wait_for_task(
                task_id,
                connection.region,
                stop=process.stop,
                report=functools.partial(process.show_wait, props.get(inputs.URN)),
                timeout_seconds=timeout_seconds,
                poll_interval_seconds=props.get("poll_interval_seconds"),
            )


def _merge(record: Mapping[str, Any], task: ConversionTask) -> dict[str, Any]:
    """Give what is to be stored, with a warning where AWS takes the end of a task back."""
    found = task.to_outputs()
    if takes_back(record, found):
        process.say(
            record,
            f"{task.task_id} is recorded as {record['status']} and AWS now says {found['status'] or 'nothing'} of it. "
            "The record is kept; look at the task in the AWS console.",
            "WARNING",
        )
    return merge(record, found)
