"""What Pulumi's engine calls for a LicenseConversionTask: check, diff, create, read, update and delete.

The module's path and the class's name are stored in users' state (`__provider` is a pickled reference to them): they
are a format, pinned by a test. Everything that must be imported to call AWS is imported when AWS is called, so that a
stack whose tasks have all ended pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from pulumi.dynamic import CreateResult, DiffResult

from lmconv_resource.errors import NoConversionError
from lmconv_resource.hosts import session as process
from lmconv_resource.hosts.dynamic.provider import TaskProvider
from lmconv_resource.lifecycle import inputs
from lmconv_resource.lifecycle.state import is_finished, to_record, wants_wait
from lmconv_resource.models import ConversionTask

_IDENTITY = ("license_conversion_task_id", "resource_arn", "region")
"""What another value of replaces the resource."""


class LicenseConversionTaskProvider(TaskProvider):
    """Tracks a license conversion task, by its id or as the newest of a resource."""

    _defaults: ClassVar = {"wait_for_completion": False, "ignore_failure": False}

    def _find_failures(self, olds: Mapping[str, Any], checked: Mapping[str, Any]) -> list[inputs.Failure]:
        return inputs.find_task_failures(checked)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Tell what the program asks for that the record does not have; asks AWS only of a task recorded as running.

        With `follow_newest` AWS is also asked for the resource's newest task.
        """
        olds, news = _olds, _news
        replaces = [name for name in _IDENTITY if _other(name, olds, news)]
        if not replaces and news.get("follow_newest") is True:
            newest = self._look_for_newest(news)
            if newest and newest.task_id != _id and not _is_older(newest, olds):
                process.say(news, f"{newest.task_id} is newer than {_id} and is followed from now on")
                replaces = ["license_conversion_task_id"]
        if replaces:
            return DiffResult(changes=True, replaces=replaces)
        if wants_wait(olds, news):
            return DiffResult(changes=True)
        if is_finished(olds):
            return DiffResult(changes=False)
        return self._diff_task(_id, olds, news)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Find the task, or wait for its end, and record it."""
        task_id = props.get("license_conversion_task_id") or self._find_newest(props).task_id
        task = self._follow(props, task_id, "create")
        return CreateResult(task_id, to_record(props, task.to_outputs()))

    def _find_newest(self, props: Mapping[str, Any]) -> ConversionTask:
        newest = self._look_for_newest(props)
        if newest is None:
            raise NoConversionError(resource_arn=props["resource_arn"], region=self._find_region(props) or "")
        return newest

    def _look_for_newest(self, props: Mapping[str, Any]) -> ConversionTask | None:
        from lmconv_resource.aws.license_manager import find_tasks
        from lmconv_resource.lifecycle.start import find_newest

        connection = self._connect(props, None)
        with process.find_pulse():  # as in `_find`
            return find_newest(find_tasks(connection, resource_arn=props["resource_arn"], stopped=process.stop.event))


def _is_older(task: ConversionTask, record: Mapping[str, Any]) -> bool:
    """Tell whether a task started before the recorded one, which AWS may have ceased to list."""
    recorded = record.get("start_time")
    if task.start_time is None or not recorded:
        return False
    return task.start_time < datetime.fromisoformat(recorded.replace("Z", "+00:00"))  # Python 3.10 knows no Z


def _other(name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether the program names another task, resource or region than the record has."""
    wanted, recorded = news.get(name), olds.get(name)
    if wanted is None:  # the task's id where the resource is named, and the other way round
        return False
    return inputs.is_unknown(wanted) or (recorded is not None and wanted != recorded)
