"""What stands in the way of a stop or of a conversion, as far as the caller's rights reach: one table.

Source: https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-prerequisites.html.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from lmconv_resource import errors
from lmconv_resource.aws.ec2 import ACTIONS, STOP_ACTION, TAG_ACTION, UNTAG_ACTION, InstanceType
from lmconv_resource.errors import CREATE_ACTION, AccessDeniedError, LicenseConversionError, RequestRefusedError
from lmconv_resource.lifecycle.inputs import ConversionInputs
from lmconv_resource.marks import RESTART_TAG
from lmconv_resource.models import InstanceArn
from lmconv_resource.text import fill
from lmconv_resource.usage_operations import SQL_SERVER_INCLUDED, UsageOperation, describe

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.aws.ec2 import Instance
    from lmconv_resource.lifecycle.operation import Operation

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

_MIN_SQL_SERVER_VCPUS = 4

_STORE_NAMES = re.compile(r"(?:[a-z]+\d+[a-z]*d[a-z]*|(?:d|h|hs|i|im|is)\d[a-z]*)\.")
"""Names of types with instance store volumes, for types that EC2 does not tell of: m5d.large, i3.large."""

_NOT_ON_HOSTS = frozenset({*SQL_SERVER_INCLUDED, UsageOperation.RHEL, UsageOperation.RHEL_HA, UsageOperation.SUSE})
"""Licenses that AWS includes, and that no instance on a Dedicated Host can have."""


@dataclass(frozen=True, kw_only=True)
class Wish(ConversionInputs):
    """What a program asks of one conversion, and whose it is."""

    urn: str | None = None
    converts: bool = True
    """False only brings to its end what was begun: start the instance again, remove the mark."""
    retry_remedy: str | None = None
    """What to do when three have FAILED or were refused, in place of a conversion's own."""


@dataclass(frozen=True)
class Problem:
    """What stands in the way, and what to do about it; in `CHECKS` with what was found in braces."""

    reason: str
    remedy: str
    action: str = CREATE_ACTION
    """What it stands in the way of."""
    may_pass: bool = False
    """Whether what precedes the conversion in the same program may change it, so that a preview only warns."""
    is_warning: bool = False
    """Whether the conversion is started nevertheless."""

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.reason}. {self.remedy}"


_ALLOW_LOSS = "set {allow_instance_store_loss=True} if what is on them may be lost"

CHECKS: Mapping[str, Problem] = {
    "group": Problem(
        "the instance belongs to the Auto Scaling group {group}, which would replace it while it is stopped",
        "Detach it with `aws autoscaling detach-instances --instance-ids {instance} --auto-scaling-group-name {group} "
        "--should-decrement-desired-capacity`",
        STOP_ACTION,
    ),
    "store_root": Problem(
        "its root device is an instance store, so it can't be stopped",
        "Launch a new instance with the license that is wanted, from an image with an EBS root device",
        STOP_ACTION,
    ),
    "store_unknown": Problem(
        "it is not known whether {type} has instance store volumes, which a stop erases: {store_unknown.reason}",
        "{store_unknown.remedy}, or " + _ALLOW_LOSS,
        STOP_ACTION,
    ),
    "store": Problem(
        "{type} has instance store volumes, and the stop erases all data on them",
        "Save the data and " + _ALLOW_LOSS,
        STOP_ACTION,
    ),
    "store_optional": Problem(
        "{type} can have instance store volumes, which the stop erases, and EC2 does not show whether it has",
        "Save what is on them",
        is_warning=True,
    ),
    "address": Problem(
        "the public address {address} of {instance} is not an Elastic IP address",
        "The instance gets another one when it is started again",
        is_warning=True,
    ),
    "spot": Problem(
        "it is a Spot instance of a request that is not persistent, so it can't be stopped",
        "Convert an On-Demand instance, or one of a persistent Spot request",
        STOP_ACTION,
    ),
    "protected": Problem(
        "the instance has stop protection",
        "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop --instance-id {instance}`",
        may_pass=True,
    ),
    "included_on_host": Problem(
        "the instance is on a Dedicated Host, where AWS includes no license for {included_on_host}",
        "Change its tenancy to default while it is stopped (docs/starting.md)",
        may_pass=True,
    ),
    "byol_off_host": Problem(
        "Windows BYOL has to be on a Dedicated Host, and the instance has the tenancy {byol_off_host}",
        "Change its tenancy to host after the conversion (docs/starting.md)",
        is_warning=True,
    ),
    "few_vcpus": Problem(
        f"the instance has {{few_vcpus}} vCPUs, and SQL Server with the license included needs {_MIN_SQL_SERVER_VCPUS}",
        "Change its type while it is stopped",
    ),
    "amazon_image": Problem(
        "the instance was launched from {amazon_image}, which Amazon owns, and can't be converted to BYOL",
        "Launch one from your own image, imported with VM Import/Export",
    ),
    "unmanaged": Problem(
        "Systems Manager does not manage the instance",
        "Run the SSM Agent on it, with an instance profile that allows AmazonSSMManagedInstanceCore, and set SSM "
        "Inventory up",
    ),
}
"""What each check says, by what it finds. What is found is asked for below, and no more than a wish needs."""


def run_checks(
    op: Operation, aws: Connection, wish: Wish, instance: Instance, places: Sequence[str]
) -> tuple[Problem, ...]:
    """Return what stands in the way. What the caller may not ask is left out, with a line that says so.

    Without `stop_and_restart` and `checks` nothing is checked. A fault of AWS's that may pass is raised.
    """
    asker = _Asker(op, aws, wish, instance)
    found: dict[str, object] = {"instance": instance.instance_id, "type": instance.type_name}
    denied: list[Problem] = []
    will_stop = wish.stop_and_restart and instance.state in ("running", "pending")
    if will_stop:
        found.update(asker.ask_about_stop())
        denied = list(asker.missing_rights(places))
    if will_stop or wish.checks:
        found["protected"] = asker.ask("stop protection", aws.ec2.has_stop_protection)
    if wish.checks:
        found.update(asker.ask_about_conversion())
    problems = [
        replace(each, reason=fill(each.reason, found), remedy=fill(each.remedy, found))
        for name, each in CHECKS.items()
        if found.get(name)
    ]
    return (*problems, *denied)


def other_account_error(op: Operation, aws: Connection, resource_arn: str) -> errors.SettingsError | None:
    """Return the error of credentials that belong to another account than the instance; None where they do not.

    Raises:
        LicenseConversionError: STS refused to say it, or had a fault of its own: nothing is started on a guess.
    """
    arn = InstanceArn.parse(resource_arn)
    try:
        account = aws.caller_account() if arn else None
    except (errors.ThrottledError, errors.ServiceFaultError, errors.ExpiredCredentialsError, AccessDeniedError) as why:
        raise why.about(action=CREATE_ACTION, resource_arn=resource_arn) from why.__cause__
    except LicenseConversionError as error:
        # A closed network has no way to STS, and one's own License Manager no STS that knows its keys.
        op.log(f"The account of the credentials was not checked: {error.reason}.")
        return None
    if arn is None or account == arn.account:
        return None
    return errors.SettingsError(
        errors.Subject(CREATE_ACTION, None, aws.region, resource_arn),
        f"the credentials belong to account {account} ({aws.session.origin}), the instance to {arn.account}",
        fill("Use credentials of the instance's account: set `profile` or `{assume_role}`, or the stack's own"),
    )


@dataclass
class _Asker:
    """Asks AWS what the checks find."""

    op: Operation
    aws: Connection
    wish: Wish
    instance: Instance

    def ask(self, what: str, ask: Callable[..., Answer], *about: object) -> Answer | None:
        """Return the answer; None, with a line that says so, where the caller may not ask."""
        try:
            return ask(*about, self.wish.request.resource_arn)
        except (AccessDeniedError, RequestRefusedError) as denied:
            self.op.log(f"Not checked: {what}. {denied}")
            return None

    def ask_about_stop(self) -> dict[str, object]:
        """Return what is against a stop, by the names of the checks."""
        instance, answer = self.instance, self.instance.answer
        request_id, is_spot = answer.get("SpotInstanceRequestId"), answer.get("InstanceLifecycle") == "spot"
        can_ask = is_spot and request_id
        is_stoppable = self.ask("the Spot request", self.aws.ec2.is_persistent_spot, request_id) if can_ask else False
        address, interfaces = answer.get("PublicIpAddress"), answer.get("NetworkInterfaces") or ()
        associations = [each.get("Association") or {} for each in interfaces]
        owners = {each.get("IpOwnerId") for each in associations if each.get("PublicIp") == address}
        is_lost = address and (
            owners == {"amazon"} or not self.ask("Elastic IP addresses", self.aws.ec2.list_elastic, [address])
        )
        found: dict[str, object] = {
            "group": instance.group,
            "store_root": answer.get("RootDeviceType") == "instance-store",
            "spot": is_spot and is_stoppable is False,  # EC2 itself refuses the stop of one that can't be asked for
            "address": address if is_lost else None,
        }
        name, kind = instance.type_name, InstanceType()
        if self.wish.allow_instance_store_loss or not name:
            return found
        # A stop erases instance store volumes: it is refused where it is not known whether there are any, too.
        try:
            kind = self.aws.ec2.get_type(name, self.wish.request.resource_arn)
        except RequestRefusedError as refusal:  # of a type that EC2 does not know, the name has to do
            log.info("whether %s has instance store volumes is told by its name: %s", name, refusal)
        except AccessDeniedError as denied:
            return {**found, "store_unknown": denied}
        has_store = bool(_STORE_NAMES.match(name)) if kind.has_instance_store is None else kind.has_instance_store
        return {**found, "store_optional" if kind.is_store_optional else "store": has_store}

    def missing_rights(self, places: Sequence[str]) -> Iterator[Problem]:
        """Yield which of the acts around a conversion are not allowed, by EC2's DryRun."""
        arn, tag = self.wish.request.resource_arn, {RESTART_TAG: "check"}
        for action in ACTIONS:
            # The instance alone will do for a tag, at less safety against programs that manage its tags.
            tries = [places, places[:1]] if action in (TAG_ACTION, UNTAG_ACTION) and len(places) > 1 else [places]
            for number, tagged in enumerate(tries, 1):
                try:
                    self.aws.ec2.check_may(action, [arn], tag, tagged)
                    break
                except AccessDeniedError as denied:
                    if number == len(tries):
                        yield Problem(denied.reason, denied.remedy, action)

    def ask_about_conversion(self) -> dict[str, object]:
        """Return what is against the conversion, by the names of the checks."""
        instance, answer, ec2 = self.instance, self.instance.answer, self.aws.ec2
        wanted = self.wish.request.destination.usage_operation
        tenancy = (answer.get("Placement") or {}).get("Tenancy") or "default"
        is_host, is_byol = tenancy == "host", wanted == UsageOperation.WINDOWS_BYOL
        found: dict[str, object] = {
            "included_on_host": is_host and wanted in _NOT_ON_HOSTS and describe(wanted),
            "byol_off_host": not is_host and is_byol and tenancy,
        }
        if wanted in SQL_SERVER_INCLUDED:
            options = answer.get("CpuOptions") or {}
            vcpus = int(options.get("CoreCount") or 0) * int(options.get("ThreadsPerCore") or 0) or None
            if vcpus is None and instance.type_name:
                instance_type = self.ask("virtual CPUs", ec2.get_type, instance.type_name)
                vcpus = instance_type.vcpus if instance_type else None
            found["few_vcpus"] = vcpus if vcpus and vcpus < _MIN_SQL_SERVER_VCPUS else None
        if is_byol and answer.get("ImageId") and self.ask("the image", ec2.is_amazon_image, answer["ImageId"]):
            found["amazon_image"] = answer["ImageId"]
        found["unmanaged"] = self.ask("Systems Manager", ec2.list_managed, [instance.instance_id]) == {}
        return found
