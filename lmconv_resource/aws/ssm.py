"""The Systems Manager side: whether an instance is managed, which License Manager's conversions need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import ServiceFaultError, Subject, ThrottledError

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

INFORMATION_ACTION = "ssm:DescribeInstanceInformation"

_MAX_PAGES = 1000
"""An answer of more pages has a token that leads in circles."""


class Ssm:
    """Systems Manager with one connection's settings. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def is_managed(self, instance_id: str, resource_arn: str) -> bool:
        """Return whether Systems Manager knows the instance, connected or, as a stopped one, not.

        Raises:
            LicenseConversionError: the call failed, for want of the right to it too.
        """
        return instance_id in self.list_managed([instance_id], resource_arn)

    def list_managed(self, instance_ids: Sequence[str], resource_arn: str = "instances") -> dict[str, bool]:
        """Return those of these instances, at most 50, that Systems Manager knows, each with True."""
        subject = Subject(INFORMATION_ACTION, None, self._calls.settings.region, resource_arn)
        query: dict[str, Any] = {"Filters": [{"Key": "InstanceIds", "Values": list(instance_ids)}]}
        found: dict[str, bool] = {}
        for _ in range(_MAX_PAGES):
            answer = self._calls.retry(
                lambda: self._calls.once(lambda ssm: ssm.describe_instance_information(**query), subject),
                ThrottledError,
                ServiceFaultError,
            )
            found |= {str(each.get("InstanceId")): True for each in answer.get("InstanceInformationList") or ()}
            if not answer.get("NextToken"):
                break
            query["NextToken"] = answer["NextToken"]
        return found
