"""EC2 and Systems Manager: the instance that is converted, as far as the caller's rights reach.

EC2's texts (names of groups, reasons) are spelled out here, so that none can act on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import RequestRefusedError, Subject
from lmconv_resource.models import InstanceArn, LicenseContext
from lmconv_resource.text import to_one_line, to_plain_text

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

DESCRIBE_ACTION = "ec2:DescribeInstances"
STOP_ACTION = "ec2:StopInstances"
START_ACTION = "ec2:StartInstances"
TAG_ACTION = "ec2:CreateTags"
UNTAG_ACTION = "ec2:DeleteTags"
ACTIONS = (STOP_ACTION, START_ACTION, TAG_ACTION, UNTAG_ACTION)
"""What is done to an instance around its conversion."""


def _to_line(text: object) -> str | None:
    return to_one_line(to_plain_text(str(text))) if text else None


@dataclass(frozen=True)
class Tag:
    """A tag, and the id of the instance or network interface that has it."""

    resource_id: str
    key: str
    value: str


@dataclass(frozen=True)
class InstanceType:
    """What EC2 says of an instance type, None where it does not say. `vcpus` is its default number.

    With `is_store_optional`, it has instance store volumes only where the launch asked for them.
    """

    vcpus: int | None = None
    has_instance_store: bool | None = None
    is_store_optional: bool = False


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, as far as a conversion is concerned. `answer` is EC2's own, in its words."""

    instance_id: str
    state: str
    usage_operation: str | None
    answer: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def license_context(self) -> LicenseContext:
        """What the instance is billed as; an empty context where EC2 does not say."""
        codes = self.answer.get("ProductCodes") or ()
        return LicenseContext.from_answer(
            {
                "UsageOperation": self.usage_operation,
                # License Manager knows one type of product codes.
                "ProductCodes": [code for code in codes if code.get("ProductCodeType") == "marketplace"],
            }
        )

    @property
    def tags(self) -> list[Tag]:
        """The instance's own tags."""
        return [Tag(self.instance_id, tag["Key"], tag.get("Value", "")) for tag in self.answer.get("Tags") or ()]

    @property
    def group(self) -> str | None:
        """The Auto Scaling group that the instance belongs to."""
        return next((_to_line(tag.value) for tag in self.tags if tag.key == "aws:autoscaling:groupName"), None)

    @property
    def type_name(self) -> str:
        """The instance type, such as `m5.large`; empty where EC2 does not say."""
        return _to_line(self.answer.get("InstanceType")) or ""

    @cached_property
    def interface_id(self) -> str | None:
        """The id of the primary network interface."""
        for interface in self.answer.get("NetworkInterfaces") or ():
            if (interface.get("Attachment") or {}).get("DeviceIndex") == 0:
                return interface.get("NetworkInterfaceId") or None
        return None

    @property
    def state_reason(self) -> str | None:
        """Why the instance is in its state, in EC2's words."""
        reason = self.answer.get("StateReason") or {}
        return _to_line(reason.get("Message") or reason.get("Code"))

    @property
    def transition_reason(self) -> str:
        """What last changed the state, with the time: `User initiated (2026-11-28 10:00:00 GMT)`."""
        return _to_line(self.answer.get("StateTransitionReason")) or ""

    @property
    def is_gone(self) -> bool:
        """Whether it is terminated, or about to be."""
        return self.state in ("terminated", "shutting-down")


def _to_id(resource_arn: str) -> str:
    arn = InstanceArn.parse(resource_arn)
    return arn.instance_id if arn else ""  # that of anything else


def _filter(name: str, values: Iterable[str]) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def _to_ids(resource_arns: Iterable[str]) -> dict[str, list[str]]:
    return {"InstanceIds": [_to_id(arn) for arn in resource_arns]}


def _to_tagging(tags: Mapping[str, str], resource_ids: Iterable[str]) -> dict[str, Any]:
    return {"Resources": list(resource_ids), "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


class Ec2:
    """EC2, and what Systems Manager says of its instances, for one connection. Safe to share between threads.

    What only reads is tried again where AWS itself asks for it: a network without a way to AWS holds up nobody for
    long. What stops, starts or marks an instance is one call, right after that was read on which it rests: it waits for
    no turn, and is never tried again here.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def _subject(self, action: str, resource_arn: str) -> Subject:
        return Subject(action, None, self._calls.session.settings.region, resource_arn)

    def _entries(self, action: str, resource_arn: str, member: str, **about: Any) -> Iterator[dict[str, Any]]:
        for page in self._calls.read_pages(self._subject(action, resource_arn), about):
            yield from page.get(member) or ()

    def get_instance(self, resource_arn: str) -> Instance | None:
        """Return an instance as DescribeInstances shows it; None where EC2 shows none."""
        instance_id = _to_id(resource_arn)
        found = self.list_instances([instance_id], resource_arn) if instance_id else ()
        return next((instance for instance in found if instance.instance_id == instance_id), None)

    def list_instances(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> list[Instance]:
        """Return those of these instances, at most 200, that EC2 shows."""
        # A filter instead of ids: an unknown instance is then an empty answer and not one of several errors.
        by = [_filter("instance-id", instance_ids)]
        return [
            Instance(entry.get("InstanceId") or "", state, _to_line(entry.get("UsageOperation")), entry)
            for reservation in self._entries(DESCRIBE_ACTION, resource_arn, "Reservations", Filters=by)
            for entry in reservation.get("Instances") or ()
            for state in [_to_line((entry.get("State") or {}).get("Name")) or "unknown"]
        ]

    def list_tags(
        self, keys: Sequence[str], resource_ids: Sequence[str] = (), resource_arn: str = "instances"
    ) -> list[Tag]:
        """Return the tags with these names, of these resources, at most 200, or of all in the account and region."""
        by = [_filter("key", keys), *([_filter("resource-id", resource_ids)] if resource_ids else [])]
        found = self._entries("ec2:DescribeTags", resource_arn, "Tags", Filters=by)
        return [Tag(tag.get("ResourceId") or "", tag.get("Key") or "", tag.get("Value") or "") for tag in found]

    def has_stop_protection(self, resource_arn: str) -> bool:
        """Return whether the instance's `disableApiStop` is set."""
        about = {"InstanceId": _to_id(resource_arn), "Attribute": "disableApiStop"}
        answer = self._calls.read(self._subject("ec2:DescribeInstanceAttribute", resource_arn), about)
        return bool((answer.get("DisableApiStop") or {}).get("Value"))

    def is_persistent_spot(self, request_id: str, resource_arn: str) -> bool:
        """Return whether a Spot instance's request is persistent: only such an instance can be stopped."""
        action, member = "ec2:DescribeSpotInstanceRequests", "SpotInstanceRequests"
        found = self._entries(action, resource_arn, member, SpotInstanceRequestIds=[request_id])
        return any(request.get("Type") == "persistent" for request in found)

    def list_elastic(self, public_ips: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        """Return those of at most 200 addresses that are Elastic IP addresses, which a stop leaves, each with True."""
        by = [_filter("public-ip", public_ips)]
        found = self._entries("ec2:DescribeAddresses", resource_arn, "Addresses", Filters=by)
        return {str(each.get("PublicIp")): True for each in found}

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        """Return whether Amazon owns an image; None where EC2 no longer shows it."""
        by = [_filter("image-id", [image_id])]
        images = list(self._entries("ec2:DescribeImages", resource_arn, "Images", Filters=by))
        return any(image.get("ImageOwnerAlias") == "amazon" for image in images) if images else None

    def get_type(self, name: str, resource_arn: str) -> InstanceType:
        """Return what EC2 says of an instance type; a type that it does not show says nothing."""
        types = self._entries("ec2:DescribeInstanceTypes", resource_arn, "InstanceTypes", InstanceTypes=[name])
        found = next(types, {})
        has_store = found.get("InstanceStorageSupported")
        # Types of earlier generations have such volumes only where the launch asked for them, which EC2 does not show.
        nvme = (found.get("InstanceStorageInfo") or {}).get("NvmeSupport")
        is_optional = bool(has_store) and nvme == "unsupported" and found.get("CurrentGeneration") is False
        return InstanceType((found.get("VCpuInfo") or {}).get("DefaultVCpus"), has_store, is_optional)

    def list_managed(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        """Return those of at most 50 instances that Systems Manager knows, stopped ones too, each with True."""
        action, by = "ssm:DescribeInstanceInformation", [{"Key": "InstanceIds", "Values": list(instance_ids)}]
        found = self._entries(action, resource_arn, "InstanceInformationList", Filters=by)
        return {str(each.get("InstanceId")): True for each in found}

    def stop(self, *resource_arns: str, force: bool = False) -> None:
        """Have instances stopped, all of them or none; `force` does not wait for their operating system."""
        self._do(STOP_ACTION, resource_arns[0], {**_to_ids(resource_arns), "Force": force})

    def start(self, *resource_arns: str) -> None:
        """Have instances started, all of them or none."""
        self._do(START_ACTION, resource_arns[0], _to_ids(resource_arns))

    def set_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Set tags of the instance and of what belongs to it."""
        self._do(TAG_ACTION, resource_arn, _to_tagging(tags, resource_ids))

    def delete_tags(self, resource_arn: str, tags: Mapping[str, str], resource_ids: Sequence[str]) -> None:
        """Remove tags that have just these values: those that another has written meanwhile stay."""
        self._do(UNTAG_ACTION, resource_arn, _to_tagging(tags, resource_ids))

    def check_may(
        self, action: str, resource_arns: Sequence[str], tags: Mapping[str, str], resource_ids: Sequence[str]
    ) -> None:
        """Raise the error of starts, stops or tags that are not allowed; nothing is done (EC2's DryRun)."""
        about = _to_tagging(tags, resource_ids) if action in (TAG_ACTION, UNTAG_ACTION) else _to_ids(resource_arns)
        try:
            self._calls.read(self._subject(action, resource_arns[0]), {**about, "DryRun": True})
        except RequestRefusedError as answer:
            if answer.code != "DryRunOperation":  # which is EC2's yes
                raise

    def _do(self, action: str, resource_arn: str, about: Mapping[str, Any]) -> None:
        self._calls.call(self._subject(action, resource_arn), about, paced=False)
