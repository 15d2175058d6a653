"""The EC2 side: the instance that is converted, as far as the caller's rights reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import (
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    Subject,
    ThrottledError,
    TransientError,
)
from lmconv_resource.models import InstanceArn, LicenseContext

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

DESCRIBE_ACTION = "ec2:DescribeInstances"
ATTRIBUTE_ACTION = "ec2:DescribeInstanceAttribute"
STOP_ACTION = "ec2:StopInstances"
START_ACTION = "ec2:StartInstances"
TAG_ACTION = "ec2:CreateTags"
UNTAG_ACTION = "ec2:DeleteTags"
SPOT_ACTION = "ec2:DescribeSpotInstanceRequests"
ADDRESS_ACTION = "ec2:DescribeAddresses"
IMAGE_ACTION = "ec2:DescribeImages"
TYPE_ACTION = "ec2:DescribeInstanceTypes"

_TAG_VALUE_LENGTH = 256
"""EC2's limit, in characters."""


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, as far as a conversion is concerned. `answer` is EC2's own, in its words."""

    instance_id: str
    state: str
    usage_operation: str | None
    answer: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
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
    def tags(self) -> dict[str, str]:
        """The instance's tags."""
        return {tag["Key"]: tag.get("Value", "") for tag in self.answer.get("Tags") or ()}

    @property
    def tenancy(self) -> str:
        """`default`, `dedicated` or `host`."""
        return str((self.answer.get("Placement") or {}).get("Tenancy") or "default")


def to_instance_id(resource_arn: str) -> str | None:
    """Return the instance's id from its ARN; None for the ARN of anything else."""
    arn = InstanceArn.parse(resource_arn)
    return arn.instance_id if arn else None


class Ec2:
    """EC2 with one connection's settings. Safe to share between threads.

    What only reads is tried again where EC2 itself asks for it: a network without a way to EC2 holds up nobody for
    long. What stops, starts or marks an instance can be done twice, and is tried again after any fault that may pass.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._region = calls.settings.region

    def get_instance(self, resource_arn: str) -> Instance | None:
        """Return an instance as DescribeInstances shows it; None where EC2 shows none.

        Raises:
            LicenseConversionError: the call failed, for want of the right to it too.
        """
        instance_id = to_instance_id(resource_arn)
        if instance_id is None:
            return None
        # A filter instead of an id: an unknown instance is then an empty answer and not one of several errors.
        found = self._describe({"Name": "instance-id", "Values": [instance_id]}, resource_arn)
        return found[0] if found else None

    def list_tagged(self, key: str) -> list[Instance]:
        """Return all instances of the account and region that have a tag of this name."""
        return self._describe({"Name": "tag-key", "Values": [key]}, "instances")

    def _describe(self, by: dict[str, Any], resource_arn: str) -> list[Instance]:
        query: dict[str, Any] = {"Filters": [by]}
        found = []
        while True:
            answer = self._ask(lambda ec2: ec2.describe_instances(**query), DESCRIBE_ACTION, resource_arn)
            for reservation in answer.get("Reservations") or ():
                for entry in reservation.get("Instances") or ():
                    state = (entry.get("State") or {}).get("Name") or "unknown"
                    found.append(Instance(entry.get("InstanceId") or "", state, entry.get("UsageOperation"), entry))
            if not answer.get("NextToken"):
                return found
            query["NextToken"] = answer["NextToken"]

    def has_stop_protection(self, resource_arn: str) -> bool:
        """Return whether the instance's `disableApiStop` is set."""
        instance_id = to_instance_id(resource_arn) or ""
        answer = self._ask(
            lambda ec2: ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop"),
            ATTRIBUTE_ACTION,
            resource_arn,
        )
        return bool((answer.get("DisableApiStop") or {}).get("Value"))

    def is_persistent_spot(self, request_id: str, resource_arn: str) -> bool:
        """Return whether a Spot instance's request is persistent: only such an instance can be stopped."""
        answer = self._ask(
            lambda ec2: ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request_id]),
            SPOT_ACTION,
            resource_arn,
        )
        return any(request.get("Type") == "persistent" for request in answer.get("SpotInstanceRequests") or ())

    def is_elastic(self, public_ip: str, resource_arn: str) -> bool:
        """Return whether a public address is an Elastic IP address of the account, which a stop leaves as it is."""
        by: list[Any] = [{"Name": "public-ip", "Values": [public_ip]}]
        answer = self._ask(lambda ec2: ec2.describe_addresses(Filters=by), ADDRESS_ACTION, resource_arn)
        return bool(answer.get("Addresses"))

    def is_amazon_image(self, image_id: str, resource_arn: str) -> bool | None:
        """Return whether Amazon owns an image; None where EC2 does not show it any more."""
        by: list[Any] = [{"Name": "image-id", "Values": [image_id]}]
        answer = self._ask(lambda ec2: ec2.describe_images(Filters=by), IMAGE_ACTION, resource_arn)
        images = answer.get("Images") or ()
        return any(image.get("ImageOwnerAlias") == "amazon" for image in images) if images else None

    def get_vcpus(self, instance: Instance, resource_arn: str) -> int | None:
        """Return how many virtual CPUs an instance has: as set at its launch, or else as its type has by default."""
        options = instance.answer.get("CpuOptions") or {}
        if options.get("CoreCount") and options.get("ThreadsPerCore"):
            return int(options["CoreCount"]) * int(options["ThreadsPerCore"])
        instance_type = instance.answer.get("InstanceType")
        if not instance_type:
            return None
        answer = self._ask(
            lambda ec2: ec2.describe_instance_types(InstanceTypes=[instance_type]), TYPE_ACTION, resource_arn
        )
        types = answer.get("InstanceTypes") or ()
        return (types[0].get("VCpuInfo") or {}).get("DefaultVCpus") if types else None

    def check_may_start(self, resource_arn: str) -> None:
        """Raise the error of a start that is not allowed, without starting anything."""
        try:
            self._do(lambda ec2, ids: ec2.start_instances(InstanceIds=ids, DryRun=True), START_ACTION, resource_arn)
        except RequestRefusedError as answer:
            if answer.code != "DryRunOperation":  # which is EC2's yes
                raise

    def stop(self, resource_arn: str, *, force: bool = False) -> None:
        """Have the instance stopped; `force` does not wait for its operating system."""
        self._do(lambda ec2, ids: ec2.stop_instances(InstanceIds=ids, Force=force), STOP_ACTION, resource_arn)

    def start(self, resource_arn: str) -> None:
        """Have the instance started."""
        self._do(lambda ec2, ids: ec2.start_instances(InstanceIds=ids), START_ACTION, resource_arn)

    def set_tag(self, resource_arn: str, key: str, value: str) -> None:
        """Set a tag of the instance; a long value is cut."""
        tag = {"Key": key, "Value": value[:_TAG_VALUE_LENGTH]}
        self._do(lambda ec2, ids: ec2.create_tags(Resources=ids, Tags=[tag]), TAG_ACTION, resource_arn)

    def delete_tag(self, resource_arn: str, key: str) -> None:
        """Remove a tag of the instance."""
        self._do(lambda ec2, ids: ec2.delete_tags(Resources=ids, Tags=[{"Key": key}]), UNTAG_ACTION, resource_arn)

    def _do(self, send: Callable[[Any, list[str]], Any], action: str, resource_arn: str) -> None:
        ids = [to_instance_id(resource_arn) or ""]
        self._call(lambda ec2: send(ec2, ids), action, resource_arn, TransientError)

    def _ask(self, send: Callable[[Any], Any], action: str, resource_arn: str) -> dict[str, Any]:
        return self._call(send, action, resource_arn, ThrottledError, ServiceFaultError)

    def _call(
        self, send: Callable[[Any], Any], action: str, resource_arn: str, *retried: type[LicenseConversionError]
    ) -> dict[str, Any]:
        subject = Subject(action, None, self._region, resource_arn)
        answer: dict[str, Any] = self._calls.retry(lambda: self._calls.once(send, subject), *retried)
        return answer
