"""The Systems Manager side: whether an instance is managed, which License Manager's conversions need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import ServiceFaultError, Subject, ThrottledError

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

INFORMATION_ACTION = "ssm:DescribeInstanceInformation"


class Ssm:
    """Systems Manager with one connection's settings. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def is_managed(self, instance_id: str, resource_arn: str) -> bool:
        """Return whether Systems Manager knows the instance, connected or, as a stopped one, not.

        Raises:
            LicenseConversionError: the call failed, for want of the right to it too.
        """
        subject = Subject(INFORMATION_ACTION, None, self._calls.settings.region, resource_arn)
        by: list[Any] = [{"Key": "InstanceIds", "Values": [instance_id]}]
        answer = self._calls.retry(
            lambda: self._calls.once(lambda ssm: ssm.describe_instance_information(Filters=by), subject),
            ThrottledError,
            ServiceFaultError,
        )
        return bool(answer.get("InstanceInformationList"))
