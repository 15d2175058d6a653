"""The Systems Manager side: whether an instance is managed, which License Manager's conversions need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmconv_resource.errors import Subject

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

INFORMATION_ACTION = "ssm:DescribeInstanceInformation"


class Ssm:
    """Systems Manager with one connection's settings. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def is_managed(self, instance_id: str, resource_arn: str) -> bool:
        """Return whether Systems Manager knows the instance, connected or, as a stopped one, not."""
        return instance_id in self.list_managed([instance_id], resource_arn)

    def list_managed(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        """Return those of these instances, at most 50, that Systems Manager knows, each with True."""
        subject = Subject(INFORMATION_ACTION, None, self._calls.settings.region, resource_arn)
        by = {"Filters": [{"Key": "InstanceIds", "Values": list(instance_ids)}]}
        return {
            str(each.get("InstanceId")): True
            for page in self._calls.read_pages(subject, by)
            for each in page.get("InstanceInformationList") or ()
        }
