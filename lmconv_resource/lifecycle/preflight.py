"""What AWS asks of an instance before its license is converted, checked as far as the caller's rights reach.

Source: https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-prerequisites.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lmconv_resource.errors import CREATE_ACTION, AccessDeniedError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.operation import Aws, CheckFailure, Operation
from lmconv_resource.models import ConversionRequest
from lmconv_resource.usage_operations import SQL_SERVER_INCLUDED, UsageOperation, describe

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Instance

Answer = TypeVar("Answer")

_LEAST_SQL_SERVER_VCPUS = 4

_NOT_ON_HOSTS = frozenset(
    {
        *SQL_SERVER_INCLUDED,
        UsageOperation.RHEL,
        UsageOperation.RHEL_HA,
        UsageOperation.SUSE,
    }
)
"""Licenses that AWS includes, and that no instance on a Dedicated Host can have."""


@dataclass(frozen=True)
class Problem:
    """What stands in the way of a conversion, and what to do about it.

    Args:
        reason: what it is.
        remedy: what to do.
        may_pass: whether what precedes the conversion in the same program may change it, so that a preview only warns.
        is_warning: whether AWS converts nevertheless.
    """

    reason: str
    remedy: str
    may_pass: bool = False
    is_warning: bool = False

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.reason}. {self.remedy}"


def find_problems(
    op: Operation, aws: Aws, request: ConversionRequest, instance: Instance | None, *, stops: bool
) -> list[Problem]:
    """Return what stands in the way of a conversion. What the caller may not ask is left out, with a line that says so.

    Args:
        op: the operation; told what was left out.
        aws: where the instance is.
        request: the conversion.
        instance: the instance as EC2 shows it, None where it shows none.
        stops: whether the instance is stopped before its conversion, so that it may run.
    """
    if instance is None or instance.state == "terminated":
        return [
            Problem("EC2 shows no such instance", "Check the ARN, the region and the account of the credentials"),
        ]
    asked = _Asked(op, aws, request, instance)
    found = [
        None if stops else _check_state(instance),
        asked.check_stop_protection(),
        _check_license(request, instance),
        *_check_tenancy(request, instance),
        asked.check_vcpus(),
        asked.check_image(),
        asked.check_managed(),
    ]
    return [problem for problem in found if problem]


def check_ready(
    op: Operation, aws: Aws, request: ConversionRequest, instance: Instance | None, *, stops: bool = False
) -> None:
    """Raise the error about what stands in the way of a conversion; each but one of several is a line of its own."""
    problems = find_problems(op, aws, request, instance, stops=stops)
    for problem in problems:
        if problem.is_warning:
            op.log(f"{problem}.", "WARNING")
    subject = Subject(CREATE_ACTION, None, aws.region, request.resource_arn)
    errors = [LicenseConversionError(subject, each.reason, each.remedy) for each in problems if not each.is_warning]
    for error in errors[1:]:
        op.log(str(error), "ERROR")
    if errors:
        raise errors[0]


def to_failures(op: Operation, problems: Iterable[Problem]) -> list[CheckFailure]:
    """Return as failed checks what nothing in the program can change before the conversion, and warn of the rest."""
    failures = []
    for problem in problems:
        if problem.is_warning or problem.may_pass:
            op.log(f"{problem}.", "WARNING")
        else:
            failures.append(CheckFailure("resource_arn", str(problem)))
    return failures


def _check_state(instance: Instance) -> Problem | None:
    if instance.state == "stopped":
        return None
    on_its_way = instance.state in ("stopping", "shutting-down")
    stop = f"Stop it with `aws ec2 stop-instances --instance-ids {instance.instance_id}`, or set stop_and_restart=True"
    return Problem(
        f"the instance is {instance.state} and must be stopped",
        "Wait for that, then run `pulumi up` again" if on_its_way else stop,
        may_pass=True,
    )


def _check_license(request: ConversionRequest, instance: Instance) -> Problem | None:
    declared, present = request.source, instance.license_context
    remedy = "Give what it is now in source_license_context, or leave that out"
    operation = present.usage_operation
    if declared.usage_operation and operation and declared.usage_operation != operation:
        return Problem(
            f"the instance is billed as {describe(operation)}, not as {describe(declared.usage_operation)}", remedy
        )
    if operation and not declared.is_empty and not declared.is_satisfied_by(present):
        shown = ", ".join(code.product_code_id or "" for code in present.product_codes) or "no product codes"
        return Problem(f"the instance has {shown}, not all that source_license_context names", remedy)
    return None


def _check_tenancy(request: ConversionRequest, instance: Instance) -> list[Problem]:
    wanted = request.destination.usage_operation
    if instance.tenancy == "host" and wanted in _NOT_ON_HOSTS:
        return [
            Problem(
                f"the instance is on a Dedicated Host, where AWS includes no license for {describe(wanted or '')}",
                "Change its tenancy to default while it is stopped (docs/starting.md)",
                may_pass=True,
            )
        ]
    if instance.tenancy != "host" and wanted == UsageOperation.WINDOWS_BYOL:
        return [
            Problem(
                f"Windows BYOL has to be on a Dedicated Host, and the instance has the tenancy {instance.tenancy}",
                "Change its tenancy to host after the conversion (docs/starting.md)",
                is_warning=True,
            )
        ]
    return []


@dataclass(frozen=True)
class _Asked:
    """The checks for which AWS is asked."""

    op: Operation
    aws: Aws
    request: ConversionRequest
    instance: Instance

    def check_stop_protection(self) -> Problem | None:
        if not self._ask(lambda: self.aws.ec2.has_stop_protection(self.request.resource_arn), "stop protection"):
            return None
        return Problem(
            "the instance has stop protection",
            "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop "
            f"--instance-id {self.instance.instance_id}`",
            may_pass=True,
        )

    def check_vcpus(self) -> Problem | None:
        if self.request.destination.usage_operation not in SQL_SERVER_INCLUDED:
            return None
        vcpus = self._ask(lambda: self.aws.ec2.get_vcpus(self.instance, self.request.resource_arn), "virtual CPUs")
        if vcpus is None or vcpus >= _LEAST_SQL_SERVER_VCPUS:
            return None
        return Problem(
            f"the instance has {vcpus} vCPUs, and SQL Server with the license included needs {_LEAST_SQL_SERVER_VCPUS}",
            "Change its type while it is stopped",
        )

    def check_image(self) -> Problem | None:
        image_id = self.instance.answer.get("ImageId")
        to_byol = self.request.destination.usage_operation == UsageOperation.WINDOWS_BYOL
        if not image_id or not to_byol:
            return None
        if not self._ask(lambda: self.aws.ec2.is_amazon_image(image_id, self.request.resource_arn), "the image"):
            return None
        return Problem(
            f"the instance was launched from {image_id}, which Amazon owns, and can't be converted to BYOL",
            "Launch one from your own image, imported with VM Import/Export",
        )

    def check_managed(self) -> Problem | None:
        instance_id = self.instance.instance_id
        is_managed = self._ask(
            lambda: self.aws.ssm.is_managed(instance_id, self.request.resource_arn), "Systems Manager"
        )
        if is_managed is not False:
            return None
        return Problem(
            "Systems Manager does not manage the instance",
            "Run the SSM Agent on it, with an instance profile that allows AmazonSSMManagedInstanceCore, and set SSM "
            "Inventory up",
        )

    def _ask(self, ask: Callable[[], Answer], what: str) -> Answer | None:
        try:
            return ask()
        except AccessDeniedError as denied:
            self.op.log(f"The preflight leaves out {what}. {denied}")
            return None
