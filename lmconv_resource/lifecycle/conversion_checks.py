"""What AWS has against the inputs of a LicenseConversion, and what to warn of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.lifecycle.inputs import CONVERTED, ConversionInputs, find_unknown
from lmconv_resource.lifecycle.operation import Aws, CheckFailure, Operation, Properties
from lmconv_resource.lifecycle.place import find_other_account
from lmconv_resource.lifecycle.preflight import find_problems, to_failures
from lmconv_resource.models import ConversionRequest, select_newest
from lmconv_resource.usage_operations import find_unknown_warning, find_unlisted_reason

_IDENTITY = ("resource_arn", "destination_license_context", "region")


def find_failures(
    op: Operation, olds: Properties | None, checked: Properties, connect: Callable[[ConversionInputs], Aws]
) -> list[CheckFailure]:
    """Return what AWS has against inputs that are right in themselves, and warn of what it does not convert.

    A preview has no other step in which it could ask AWS, so what is not recorded yet is held against it here: the
    account of the credentials, and the preflight where that is asked for.
    """
    if find_unknown(checked, CONVERTED):
        return []
    inputs, request = ConversionInputs.parse(checked), ConversionInputs.parse(checked).request
    if not (olds and ConversionInputs.parse(olds).request == request):
        for warning in _find_unlisted_reasons(request):
            op.log(warning, "WARNING")
    is_recorded = bool(olds) and all(olds.get(name) == checked.get(name) for name in _IDENTITY)  # type: ignore[union-attr]
    if is_recorded or find_unknown(checked, ("region", "profile", "assume_role")):
        return []
    with suppress(LicenseConversionError):  # the start asks again, and says that it could not
        other = find_other_account(connect(inputs), request.resource_arn, "check")
        if other is not None:
            return [CheckFailure("", str(other))]
    if not inputs.preflight or find_unknown(checked, ("preflight", "stop_and_restart")):
        return []
    try:
        return _preflight(op, connect(inputs), inputs)
    except LicenseConversionError as error:  # the update asks again, and fails if it has to
        op.log(f"The preflight could not be made. {error}", "WARNING")
        return []


def _find_unlisted_reasons(request: ConversionRequest) -> list[str]:
    operations = dict.fromkeys((request.source.usage_operation, request.destination.usage_operation))
    unknown = [find_unknown_warning(operation) for operation in operations]
    pair = None if request.source.is_empty or request.is_noop else find_unlisted_reason(request.source, request.destination)
    return [warning for warning in (*unknown, pair) if warning]


def _preflight(op: Operation, aws: Aws, inputs: ConversionInputs) -> list[CheckFailure]:
    request = inputs.request
    instance = aws.ec2.get_instance(request.resource_arn)
    if instance is not None and request.is_done(instance.license_context):
        return []
    newest = select_newest(aws.license_manager.list_tasks(resource_arn=request.resource_arn))
    if newest is not None and not newest.is_complete:
        return []
    return to_failures(op, find_problems(op, aws, request, instance, stops=inputs.stop_and_restart))
