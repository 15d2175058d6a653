"""What Pulumi's engine calls for a LicenseConversion, which starts a conversion and follows it to its end.

The module's path and the class's name are stored in users' state, as in `provider`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, UpdateResult

from lmconv_resource import inputs, process
from lmconv_resource.errors import LicenseConversionError, SettingsError
from lmconv_resource.following import TaskProvider
from lmconv_resource.models import ConversionTask, LicenseContext
from lmconv_resource.records import has_failed, is_finished, to_record, wants_wait
from lmconv_resource.starting import Request, begin
from lmconv_resource.usage_operations import describe, find_warning

log = logging.getLogger(__name__)

_DEFAULTS = {"wait_for_completion": True, "ignore_failure": False, "preflight": False}
_PARTS = ("resource_arn", "source_license_context", "destination_license_context")


class LicenseConversionProvider(TaskProvider):
    """Starts a license conversion, once, and tracks its task."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Fill in the defaults, say what is wrong with the inputs, and warn of what AWS does not convert."""
        try:
            checked = self._fill_in(news, _DEFAULTS)
        except SettingsError as error:
            return CheckResult(dict(news), [CheckFailure("region", str(error))])
        failures = inputs.find_failures(checked, inputs.CONVERSION_RULES)
        if not failures and _is_known(checked):
            request = to_request(checked)
            if request.source == request.destination:
                name = "destination_license_context"
                reason = f"{name} is the same as source_license_context: there is nothing to convert"
                failures.append(inputs.Failure(name, reason))
            warning = find_warning(request.source.usage_operation, request.destination.usage_operation)
            if warning and not _is_same(_olds, checked):
                process.say(checked, warning, "WARNING")
        return self._to_check_result(checked, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Tell what the program asks for that the record does not have.

        Another resource, other contexts or another region replace the conversion by a new one; so does a FAILED one,
        unless it is ignored. Asks AWS only of a task recorded as running.
        """
        olds, news = _olds, _news
        replaces = [name for name in (*_PARTS, "region") if _other(name, olds, news)]
        if replaces:
            if _is_known(news) and to_request(news).is_reverse(to_request(olds)):
                process.say(news, "The contexts are reversed: a conversion back will be started.")
            return DiffResult(changes=True, replaces=replaces)
        if has_failed(olds) and not news.get("ignore_failure"):
            why = olds.get("status_message") or "AWS gives no status message"
            process.say(news, f"{_id} FAILED: {' '.join(why.split())}. A new conversion will be started.", "WARNING")
            return DiffResult(changes=True, replaces=["status"])
        if wants_wait(olds, news):
            return DiffResult(changes=True)
        if is_finished(olds):
            return DiffResult(changes=False)
        return self._diff_task(_id, olds, news)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start the conversion, unless a task does or has done it already, and wait for its end if asked to."""
        connection = self._connect(props, None)
        beginning = begin(
            connection,
            to_request(props),
            preflight=bool(props.get("preflight")),
            stopped=process.stop.event,
            say=lambda text, severity: process.say(props, text, severity),
        )
        task = self._follow(props, beginning.task_id, "create")
        extras = self._find_extras({**props, "adopted": beginning.adopted}, task)
        return CreateResult(beginning.task_id, {**extras, **to_record(props, task.to_outputs())})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look the task up again, or wait for its end, and record it."""
        return UpdateResult(self._update(_id, _olds, _news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget the conversion, with a warning: the license stays as it is, and AWS has no call to undo it."""
        destination = LicenseContext.from_inputs(_props.get("destination_license_context") or {})
        process.say(
            _props,
            f"{_props.get('resource_arn')} stays licensed as {describe(destination.usage_operation or 'it is')}: "
            "declare a LicenseConversion with the contexts exchanged to convert it back.",
            "WARNING",
        )

    def _find_extras(self, props: Mapping[str, Any], task: ConversionTask) -> dict[str, Any]:
        verified = self._find_verified(props, task) if task.is_complete else None
        return {"adopted": bool(props.get("adopted")), "verified_usage_operation": verified}

    def _find_verified(self, props: Mapping[str, Any], task: ConversionTask) -> str | None:
        """Give the usage operation that EC2 reports; None where EC2 does not say, for want of the right to ask too."""
        from lmconv_resource.instances import find_instance

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
    return Request(
        props.get("resource_arn") or "",
        LicenseContext.from_inputs(props.get("source_license_context") or {}),
        LicenseContext.from_inputs(props.get("destination_license_context") or {}),
    )


def _other(name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    wanted, recorded = news.get(name), olds.get(name)
    if not _is_value_known(wanted):
        return True
    if name.endswith("_context"):
        return LicenseContext.from_inputs(wanted or {}) != LicenseContext.from_inputs(recorded or {})
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
