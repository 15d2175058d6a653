"""What Pulumi's engine calls for a LicenseConversion, which starts a conversion and follows it to its end.

The module's path and the class's name are stored in users' state, as in `provider`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pulumi.dynamic import CreateResult, DiffResult

from lmconv_resource.errors import (
    ConversionFailedError,
    LicenseConversionError,
    StartedConversionFailedError,
    TaskNotFoundError,
    to_failure_reason,
)
from lmconv_resource.hosts import session as process
from lmconv_resource.hosts.dynamic.provider import TaskProvider
from lmconv_resource.lifecycle import inputs
from lmconv_resource.lifecycle.start import Beginning, Request, begin, is_same_context
from lmconv_resource.lifecycle.state import has_failed, is_finished, to_record, wants_wait
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.usage_operations import describe, find_warning

log = logging.getLogger(__name__)

_PARTS = ("resource_arn", "source_license_context", "destination_license_context")

REQUEST = "__request"
"""What was asked for, in the record. The outputs of the same names are AWS's words, which may differ from these."""

_NEW_TASK_SECONDS = 1.0
"""The first pause when AWS does not know a task yet that it has just started; doubled for each further look."""

_NEW_TASK_LOOKS = 5

_created: set[str] = set()
"""The URNs whose conversions this process has begun: what is deleted of them is the old half of a replacement."""


class LicenseConversionProvider(TaskProvider):
    """Starts a license conversion, once, and tracks its task."""

    _defaults: ClassVar = {"wait_for_completion": True, "ignore_failure": False, "preflight": False}

    def _find_failures(self, olds: Mapping[str, Any], checked: Mapping[str, Any]) -> list[inputs.Failure]:
        """Give what is wrong with the inputs, and warn of what AWS does not convert."""
        failures = inputs.find_failures(checked, inputs.CONVERSION_RULES)
        if not failures and _is_known(checked):
            request = to_request(checked)
            if request.is_idle():
                name = "destination_license_context"
                reason = f"{name} is the same as source_license_context: there is nothing to convert"
                failures.append(inputs.Failure(name, reason))
            warning = find_warning(request.source.usage_operation, request.destination.usage_operation)
            if warning and not _is_same(olds, checked):
                process.say(checked, warning, "WARNING")
        return failures

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Tell what the program asks for that the record does not have.

        Another resource, other contexts or another region replace the conversion by a new one; so does a FAILED one,
        unless it is ignored. Asks AWS only of a task recorded as running.
        """
        olds, news = _olds, _news
        asked = _asked(olds)
        replaces = [name for name in (*_PARTS, "region") if _other(name, asked, news)]
        if replaces:
            if _is_known(news) and to_request(news).is_reverse(to_request(asked)):
                process.say(news, "The contexts are reversed: a conversion back will be started.")
            return DiffResult(changes=True, replaces=replaces)
        # Looked up where a wait would do it again, too: a FAILED one has to be replaced, which no update can.
        task = None if is_finished(olds) else self._find(olds, _id)
        seen = olds if task is None else task.to_outputs()
        if has_failed(seen) and not news.get("ignore_failure"):
            why = to_failure_reason(seen.get("status_message")).rstrip(".")
            process.say(news, f"{_id} FAILED: {why}. A new conversion will be started.", "WARNING")
            return DiffResult(changes=True, replaces=["status"])
        if wants_wait(olds, news):
            return DiffResult(changes=True)
        return DiffResult(changes=False) if task is None else self._diff_task(_id, olds, news, task)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start the conversion, unless a task does or has done it already, and wait for its end if asked to."""
        connection = self._connect(props, None)
        _created.add(props.get(inputs.URN) or "")
        with process.find_pulse():  # a start that an engine has left behind must not compete with the next `up`
            beginning = begin(
                connection,
                to_request(props),
                preflight=bool(props.get("preflight")),
                stopped=process.stop.event,
                say=lambda text, severity: process.say(props, text, severity),
            )
        task = self._follow_new(props, beginning)
        asked = {name: props.get(name) for name in _PARTS}
        extras = self._find_extras({**props, "adopted": beginning.adopted, REQUEST: asked}, task)
        return CreateResult(beginning.task_id, {**extras, **to_record(props, task.to_outputs())})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the conversion, with a warning: the license stays as it is, and AWS has no call to undo it.

        The old half of a replacement is forgotten silently: there the new conversion is what counts.
        """
        if (_props.get(inputs.URN) or "") in _created:
            return
        arn, status = _props.get("resource_arn"), _props.get("status")
        if status == TaskStatus.IN_PROGRESS.value:
            text = f"{_id} goes on: AWS has no call that cancels a license conversion. It is only forgotten here."
        elif status == TaskStatus.SUCCEEDED.value:
            destination = to_request(_asked(_props)).destination.usage_operation
            stays = f"stays licensed as {describe(destination)}" if destination else "keeps its license"
            text = f"{arn} {stays}: declare a LicenseConversion with the contexts exchanged to convert it back."
        else:
            text = f"{arn} keeps the license that it has: {_id} is only forgotten here."
        process.say(_props, text, "WARNING")

    def _follow(self, props: Mapping[str, Any], task_id: str, operation: str) -> ConversionTask:
        try:
            return super()._follow(props, task_id, operation)
        except ConversionFailedError as error:
            if error.task is None:
                raise
            raise StartedConversionFailedError(task=error.task, waited_seconds=error.waited_seconds) from error

    def _follow_new(self, props: Mapping[str, Any], beginning: Beginning) -> ConversionTask:
        """Follow a task that AWS, right after its start, may not show everywhere yet."""
        for look in range(0 if beginning.adopted else _NEW_TASK_LOOKS):
            try:
                return self._follow(props, beginning.task_id, "create")
            except TaskNotFoundError as error:
                log.info("%s was just started: %s", beginning.task_id, error)
                process.stop.event.wait(_NEW_TASK_SECONDS * 2**look)
        return self._follow(props, beginning.task_id, "create")

    def _find_extras(self, props: Mapping[str, Any], task: ConversionTask) -> dict[str, Any]:
        verified = self._find_verified(props, task) if task.is_complete else None
        extras = {"adopted": bool(props.get("adopted")), "verified_usage_operation": verified}
        return {**extras, REQUEST: props[REQUEST]} if props.get(REQUEST) else extras

    def _find_verified(self, props: Mapping[str, Any], task: ConversionTask) -> str | None:
        """Give the usage operation that EC2 reports; None where EC2 does not say, for want of the right to ask too."""
        from lmconv_resource.aws.ec2 import find_instance

        try:
            instance = find_instance(
                self._connect(props, task.task_id), task.resource_arn or "", stopped=process.stop.event
            )
        except LicenseConversionError as error:
            # The conversion is what was asked for; this is a second opinion, for those who allow it.
            log.info("verified_usage_operation is not known: %s", error)
            return None
        return instance.usage_operation if instance else None


def to_request(props: Mapping[str, Any]) -> Request:
    """Read the conversion that inputs or a record describe."""
    source, destination = (_to_context(props.get(name)) for name in _PARTS[1:])
    return Request(props.get("resource_arn") or "", source, destination)


def _to_context(given: Mapping[str, Any] | None) -> LicenseContext:
    context = LicenseContext.from_inputs(given or {})
    # A program that gives a dict may leave out the one type that AWS knows; the call needs it.
    codes = [replace(code, product_code_type=code.product_code_type or "marketplace") for code in context.product_codes]
    return replace(context, product_codes=tuple(codes))


def _asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the record with what was asked for in place of what AWS says of it."""
    return {**record, **(record.get(REQUEST) or {})}


def _other(name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    wanted, recorded = news.get(name), olds.get(name)
    if not _is_value_known(wanted):
        return True
    if name.endswith("_context"):
        return not is_same_context(_to_context(wanted), _to_context(recorded))
    return recorded is not None and wanted != recorded


def _is_value_known(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_value_known(entry) for entry in value.values())
    if isinstance(value, list):
        return all(_is_value_known(entry) for entry in value)
    return not inputs.is_unknown(value)


def _is_known(props: Mapping[str, Any]) -> bool:
    return all(_is_value_known(props.get(name)) for name in _PARTS)


def _is_same(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    return bool(olds) and not any(_other(name, olds, news) for name in _PARTS)
