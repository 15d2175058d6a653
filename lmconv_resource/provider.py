"""What Pulumi's engine calls: check, diff, create, read, update and delete of a license conversion task.

The module's path and the class's name are stored in users' state (`__provider` is a pickled reference to them): they
are a format, pinned by a test. Everything that must be imported to call AWS is imported when AWS is called, so that a
stack whose tasks have all ended pays nothing for it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
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

from lmconv_resource import inputs, process
from lmconv_resource.connection import Connection, connect
from lmconv_resource.errors import ConversionFailedError, SettingsError, TaskNotFoundError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.progress import to_change_text
from lmconv_resource.records import differs, is_finished, merge, takes_back, to_record, wants_wait
from lmconv_resource.settings import Settings, find_region

if TYPE_CHECKING:
    from pulumi.dynamic import Config

_FLAGS = {"wait_for_completion": False, "ignore_failure": False}
"""What the flags are where a program does not give them."""


class LicenseConversionTaskProvider(ResourceProvider):
    """Tracks a license conversion task. One object serves all resources of a program, from many threads at once."""

    # What is serialized is a reference to this class, about 80 bytes with nothing worth hiding; as a secret it would
    # only make every state depend on the secrets provider.
    serialize_as_secret_always = False

    _config: Config | None = None

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, and mend the process that serves us."""
        self._config = req.config
        process.start()

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
        if wants_wait(olds, news):
            return DiffResult(changes=True)
        if is_finished(olds):
            return DiffResult(changes=False)
        found = self._find(olds, _id).to_outputs()
        change = to_change_text(_id, olds, found)
        if change:
            process.say(news, change)
        return DiffResult(changes=differs(olds, found))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Look the task up, or wait for its end, and record it."""
        task_id = props["license_conversion_task_id"]
        task = self._follow(props, "create")
        if task.status is TaskStatus.FAILED:
            _warn_of_failure(props, task)
        return CreateResult(task_id, to_record(props, task.to_outputs()))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look the task up for a refresh, where `props` is the record, or for a `get`, where it is the inputs.

        A refresh leaves the recorded inputs as they are: they are what the program said.
        """
        is_record = "is_complete" in props or "status" in props
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
            if not is_finished(props):
                raise
            process.say(props, f"The record of the finished task is kept as it was. {error}", "WARNING")
            return ReadResult(id_, to_record(props, props))
        found = _merge(props, task.to_outputs())
        if is_record:
            change = to_change_text(id_, props, found)
            if change:
                process.say(props, change, "WARNING" if task.status is TaskStatus.FAILED else "INFO")
        if read_inputs is not None:
            read_inputs["region"] = task.region
        return ReadResult(id_, to_record(props, found), read_inputs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look the task up again, or wait for its end, and record it."""
        task = self._follow(_news, "update")
        found = _merge(_olds, task.to_outputs())
        if task.status is TaskStatus.FAILED:
            _warn_of_failure(_news, task)
        return UpdateResult(to_record(_news, found))

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

        return find_task(self._connect(props, task_id), task_id, process.stop.event)

    def _follow(self, props: Mapping[str, Any], operation: str) -> ConversionTask:
        """Give the task as it is now, or, with the wait option, as it ended."""
        task_id = props["license_conversion_task_id"]
        if not props.get("wait_for_completion"):
            return self._find(props, task_id)
        connection = self._connect(props, task_id)
        urn = props.get(inputs.URN)
        started = time.monotonic()
        with process.find_pulse():
            task = process.find_watcher(connection).wait_for_task(
                task_id,
                connection.region,
                stop=process.stop,
                report=functools.partial(process.show_wait, urn),
                timeout_seconds=inputs.find_deadline_seconds(props, operation),
                poll_interval_seconds=props.get("poll_interval_seconds"),
            )
        if task.status is TaskStatus.FAILED and not props.get("ignore_failure"):
            raise ConversionFailedError(task=task, waited_seconds=time.monotonic() - started)
        return task


def _merge(record: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Give what is to be stored, with a warning where AWS takes the end of a task back."""
    if takes_back(record, found):
        process.say(
            record,
            f"{found['license_conversion_task_id']} is recorded as {record['status']} and AWS now says "
            f"{found['status'] or 'nothing'} of it. The record is kept; look at the task in the AWS console.",
            "WARNING",
        )
    return merge(record, found)


def _warn_of_failure(props: Mapping[str, Any], task: ConversionTask) -> None:
    message = " ".join((task.status_message or "AWS gives no status message").split())
    process.say(props, f"{task.task_id} FAILED: {message}", "WARNING")
