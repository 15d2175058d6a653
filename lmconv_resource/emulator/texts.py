"""What AWS's user guide quotes of conversions that go wrong, for tests that want exactly these words."""

from __future__ import annotations

from enum import Enum

from .effects import ErrorAnswer


class AwsText(Enum):
    """A text of https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-troubleshooting.html.

    Only of `INVALID_STATE` does AWS say where it comes up: Create answers it with InvalidParameterValueException. The
    others may be Create's answer or the StatusMessage of a task that has FAILED; a test can have both:

        backend.finish_task(task_id, "FAILED", AwsText.AMAZON_OWNED_AMI.about("i-0123456789abcdef0"))
        refusal = AwsText.AMAZON_OWNED_AMI.to_refusal("i-0123456789abcdef0")
        backend.faults.add(Fault(refusal, operation="CreateLicenseConversionTaskForResource", calls=1))
    """

    INVALID_STATE = "ResourceId - {} is in an invalid state for changing license type"
    AMAZON_OWNED_AMI = (
        "Instance {} is launched from an Amazon owned AMI. Provide an instance launched originally from a BYOL AMI."
    )
    UNKNOWN_AMI = (
        "Failed to validate that instance {} was launched from a BYOL AMI. Ensure that the SSM Agent is running on "
        "your instance."
    )
    STOP_FAILED = "EC2 instance {} failed to stop. Ensure that you have permissions for EC2 StopInstances."

    def about(self, instance_id: str) -> str:
        """Return the text about an instance."""
        return self.value.format(instance_id)

    def to_refusal(self, instance_id: str) -> ErrorAnswer:
        """Return the effect that lets AWS refuse a conversion of an instance with this text."""
        return ErrorAnswer("InvalidParameterValueException", self.about(instance_id))
