"""What stands in the way of a stop or of a conversion, as far as the caller's rights reach: one list.

Source: https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-prerequisites.html.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lmconv_resource.aws.ec2 import START_ACTION, STOP_ACTION, TAG_ACTION, UNTAG_ACTION, InstanceType
from lmconv_resource.aws.marks import RESTART_TAG
from lmconv_resource.errors import (
    CREATE_ACTION,
    AccessDeniedError,
    ExpiredCredentialsError,
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    SettingsError,
    Subject,
    ThrottledError,
)
from lmconv_resource.lifecycle import place
from lmconv_resource.models import ConversionRequest
from lmconv_resource.usage_operations import SQL_SERVER_INCLUDED, UsageOperation, describe

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Instance
    from lmconv_resource.lifecycle.operation import Aws, Operation

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

_MIN_SQL_SERVER_VCPUS = 4

_STORE_NAMES = re.compile(r"(?:[a-z]+\d+[a-z]*d[a-z]*|(?:d|h|hs|i|im|is)\d[a-z]*)\.")
"""Names of types with instance store volumes, for types that EC2 does not tell of: m5d.large, i3.large."""

_NOT_ON_HOSTS = frozenset({*SQL_SERVER_INCLUDED, UsageOperation.RHEL, UsageOperation.RHEL_HA, UsageOperation.SUSE})
"""Licenses that AWS includes, and that no instance on a Dedicated Host can have."""


@dataclass(frozen=True)
class Wish:
    """What a program asks of one conversion.

    Args:
        request: what to convert; an empty source is what EC2 bills the instance as.
        urn: whose it is, which its mark names.
        converts: False only brings to its end what was begun: start the instance again, remove the mark.
        held_id: the task that is recorded.
        waits: whether its end is waited for.
        stops: whether an instance that runs is stopped, and started again.
        force_after_seconds: when a stop that is under way becomes one by force.
        checks: whether AWS's prerequisites are checked first.
        corrects_drift: whether EC2's word counts for more than the history of tasks.
        retries_failed: whether one is started after three that FAILED or were refused.
        ignores_failure: whether a FAILED task is a result, and no error.
        allows_unlisted_pair: whether a pair that AWS's guide does not list is asked for.
        allows_instance_store_loss: whether the stop may erase instance store volumes.
    """

    request: ConversionRequest
    urn: str | None = None
    converts: bool = True
    held_id: str | None = None
    waits: bool = True
    stops: bool = False
    force_after_seconds: float | None = None
    checks: bool = False
    corrects_drift: bool = False
    retries_failed: bool = False
    ignores_failure: bool = False
    allows_unlisted_pair: bool = False
    allows_instance_store_loss: bool = False


@dataclass(frozen=True)
class Problem:
    """What stands in the way, and what to do about it.

    Args:
        reason: what it is.
        remedy: what to do.
        may_pass: whether what precedes the conversion in the same program may change it, so that a preview only warns.
        is_warning: whether the conversion is started nevertheless.
        action: what it stands in the way of.
    """

    reason: str
    remedy: str
    may_pass: bool = False
    is_warning: bool = False
    action: str = CREATE_ACTION

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.reason}. {self.remedy}"


def run_checks(op: Operation, aws: Aws, wish: Wish, instance: Instance, places: Sequence[str]) -> Iterator[Problem]:
    """Return what stands in the way. What the caller may not ask is left out, with a line that says so.

    Args:
        op: the operation; told what was left out.
        aws: where the instance is.
        wish: what is asked for; without `stops` and `checks` nothing is checked.
        instance: the instance as EC2 shows it.
        places: the ids of what the mark is written to.

    Raises:
        TransientError: AWS could not be asked now.
    """
    asked = _Asked(op, aws, wish, instance)
    will_stop = wish.stops and instance.state in ("running", "pending")
    found: list[Problem | None] = []
    if will_stop:
        found += [
            _check_group(instance),
            _check_root_device(instance),
            asked.check_instance_store(),
            asked.check_spot(),
        ]
    if will_stop or wish.checks:
        found.append(asked.check_stop_protection())
    if will_stop:
        found += asked.check_rights(places)
        asked.warn_of_address()
    if wish.checks:
        found += [_check_tenancy(wish, instance), asked.check_vcpus(), asked.check_image(), asked.check_managed()]
    return iter([problem for problem in found if problem])


def find_other_account(op: Operation, aws: Aws, resource_arn: str) -> SettingsError | None:
    """Return the error of credentials that belong to another account than the instance; None where they do not.

    Raises:
        LicenseConversionError: STS refused to say it, or had a fault of its own: nothing is started on a guess.
    """
    try:
        return place.find_other_account(aws, resource_arn)
    except (ThrottledError, ServiceFaultError, ExpiredCredentialsError, AccessDeniedError) as error:
        raise error.about(action=CREATE_ACTION, resource_arn=resource_arn) from error.__cause__
    except LicenseConversionError as error:
        # A closed network has no way to STS, and one's own License Manager no STS that knows its keys.
        op.log(f"The account of the credentials was not checked: {error.reason}.")
        return None


def to_errors(problems: Iterable[Problem], region: str, resource_arn: str) -> list[LicenseConversionError]:
    """Return the problems that block as errors."""
    return [
        LicenseConversionError(Subject(each.action, None, region, resource_arn), each.reason, each.remedy)
        for each in problems
        if not each.is_warning
    ]


def _check_group(instance: Instance) -> Problem | None:
    if not instance.group:
        return None
    return Problem(
        f"the instance belongs to the Auto Scaling group {instance.group}, which would replace it while it is stopped",
        f"Detach it with `aws autoscaling detach-instances --instance-ids {instance.instance_id} "
        f"--auto-scaling-group-name {instance.group} --should-decrement-desired-capacity`",
        action=STOP_ACTION,
    )


def _check_root_device(instance: Instance) -> Problem | None:
    if instance.answer.get("RootDeviceType") != "instance-store":
        return None
    return Problem(
        "its root device is an instance store, so it can't be stopped",
        "Launch a new instance with the license that is wanted, from an image with an EBS root device",
        action=STOP_ACTION,
    )


def _check_tenancy(wish: Wish, instance: Instance) -> Problem | None:
    wanted = wish.request.destination.usage_operation
    if instance.tenancy == "host" and wanted in _NOT_ON_HOSTS:
        return Problem(
            f"the instance is on a Dedicated Host, where AWS includes no license for {describe(wanted or '')}",
            "Change its tenancy to default while it is stopped (docs/starting.md)",
            may_pass=True,
        )
    if instance.tenancy != "host" and wanted == UsageOperation.WINDOWS_BYOL:
        return Problem(
            f"Windows BYOL has to be on a Dedicated Host, and the instance has the tenancy {instance.tenancy}",
            "Change its tenancy to host after the conversion (docs/starting.md)",
            is_warning=True,
        )
    return None


@dataclass
class _Asked:
    """The checks for which AWS is asked."""

    op: Operation
    aws: Aws
    wish: Wish
    instance: Instance
    _type: InstanceType | None = None

    @property
    def _arn(self) -> str:
        return self.wish.request.resource_arn

    def check_instance_store(self) -> Problem | None:
        """The stop erases instance store volumes: refused unless it is allowed, and where it can't be told, too."""
        name = self.instance.type_name
        if self.wish.allows_instance_store_loss or not name:
            return None
        allow = "set allow_instance_store_loss=True if what is on them may be lost"
        found = InstanceType()
        try:
            found = self._get_type(name)
        except RequestRefusedError as refusal:  # of a type that EC2 does not know, the name has to do
            log.info("whether %s has instance store volumes is told by its name: %s", name, refusal)
        except AccessDeniedError as denied:
            return Problem(
                f"it is not known whether {name} has instance store volumes, which a stop erases: {denied.reason}",
                f"{denied.remedy}, or {allow}",
                action=STOP_ACTION,
            )
        has_store = found.has_instance_store
        if has_store is False or (has_store is None and not _STORE_NAMES.match(name)):
            return None
        if found.is_store_optional:
            return Problem(
                f"{name} can have instance store volumes, which the stop erases, and EC2 does not show whether it has",
                "Save what is on them",
                is_warning=True,
            )
        return Problem(
            f"{name} has instance store volumes, and the stop erases all data on them",
            f"Save the data and {allow}",
            action=STOP_ACTION,
        )

    def check_spot(self) -> Problem | None:
        request_id = self.instance.answer.get("SpotInstanceRequestId")
        if self.instance.answer.get("InstanceLifecycle") != "spot":
            return None
        is_stoppable = request_id and self._ask(
            lambda: self.aws.ec2.is_persistent_spot(request_id, self._arn), "the Spot request"
        )
        if is_stoppable or (request_id and is_stoppable is None):  # EC2 itself refuses the stop of any other
            return None
        return Problem(
            "it is a Spot instance of a request that is not persistent, so it can't be stopped",
            "Convert an On-Demand instance, or one of a persistent Spot request",
            action=STOP_ACTION,
        )

    def check_stop_protection(self) -> Problem | None:
        if not self._ask(lambda: self.aws.ec2.has_stop_protection(self._arn), "stop protection"):
            return None
        return Problem(
            "the instance has stop protection",
            "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop "
            f"--instance-id {self.instance.instance_id}`",
            may_pass=True,
            action=STOP_ACTION if self.wish.stops else CREATE_ACTION,
        )

    def check_rights(self, places: Sequence[str]) -> list[Problem]:
        """Return which of the acts around a conversion are not allowed, by EC2's DryRun."""
        found = []
        for action in (STOP_ACTION, START_ACTION, TAG_ACTION, UNTAG_ACTION):
            try:
                self._check_may(action, places)
            except AccessDeniedError as denied:
                found.append(Problem(denied.reason, denied.remedy, action=action))
        return found

    def _check_may(self, action: str, places: Sequence[str]) -> None:
        try:
            self.aws.ec2.check_may(action, self._arn, {RESTART_TAG: "check"}, places)
        except AccessDeniedError:
            if action not in (TAG_ACTION, UNTAG_ACTION) or len(places) < 2:
                raise
            # The instance alone will do, at less safety against programs that manage its tags.
            self.aws.ec2.check_may(action, self._arn, {RESTART_TAG: "check"}, places[:1])

    def warn_of_address(self) -> None:
        """Warn of a public address that the instance will not have any more when it runs again."""
        answer = self.instance.answer
        address = answer.get("PublicIpAddress")
        if not address:
            return
        associations = [each.get("Association") or {} for each in answer.get("NetworkInterfaces") or ()]
        owners = {each.get("IpOwnerId") for each in associations if each.get("PublicIp") == address}
        if owners != {"amazon"} and self._ask(
            lambda: self.aws.ec2.is_elastic(address, self._arn), "Elastic IP addresses"
        ):
            return
        self.op.log(
            f"The public address {address} of {self.instance.instance_id} is no Elastic IP address: the instance gets "
            "another one when it is started again.",
            "WARNING",
        )

    def check_vcpus(self) -> Problem | None:
        if self.wish.request.destination.usage_operation not in SQL_SERVER_INCLUDED:
            return None
        options = self.instance.answer.get("CpuOptions") or {}
        vcpus = int(options.get("CoreCount") or 0) * int(options.get("ThreadsPerCore") or 0) or None
        if vcpus is None and self.instance.type_name:
            vcpus = self._ask(lambda: self._get_type(self.instance.type_name).vcpus, "virtual CPUs")
        if vcpus is None or vcpus >= _MIN_SQL_SERVER_VCPUS:
            return None
        return Problem(
            f"the instance has {vcpus} vCPUs, and SQL Server with the license included needs {_MIN_SQL_SERVER_VCPUS}",
            "Change its type while it is stopped",
        )

    def check_image(self) -> Problem | None:
        image_id = self.instance.answer.get("ImageId")
        if not image_id or self.wish.request.destination.usage_operation != UsageOperation.WINDOWS_BYOL:
            return None
        if not self._ask(lambda: self.aws.ec2.is_amazon_image(image_id, self._arn), "the image"):
            return None
        return Problem(
            f"the instance was launched from {image_id}, which Amazon owns, and can't be converted to BYOL",
            "Launch one from your own image, imported with VM Import/Export",
        )

    def check_managed(self) -> Problem | None:
        is_managed = self._ask(lambda: self.aws.ssm.is_managed(self.instance.instance_id, self._arn), "Systems Manager")
        if is_managed is not False:
            return None
        return Problem(
            "Systems Manager does not manage the instance",
            "Run the SSM Agent on it, with an instance profile that allows AmazonSSMManagedInstanceCore, and set SSM "
            "Inventory up",
        )

    def _get_type(self, name: str) -> InstanceType:
        self._type = self._type or self.aws.ec2.get_type(name, self._arn)
        return self._type

    def _ask(self, ask: Callable[[], Answer], what: str) -> Answer | None:
        try:
            return ask()
        except (AccessDeniedError, RequestRefusedError) as denied:
            self.op.log(f"Not checked: {what}. {denied}")
            return None
