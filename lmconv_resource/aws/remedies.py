"""What to do about AWS's own words when it refuses or fails a conversion."""

from __future__ import annotations

_REMEDIES = {
    "is in an invalid state for changing license type": "Stop the instance, or set stop_and_restart=True to have it "
    "stopped and started again",
    "is launched from an Amazon owned AMI": "Only an instance launched from your own image can be converted to BYOL: "
    "import one with VM Import/Export and launch from it",
    "was launched from a BYOL AMI": "Check that the SSM Agent runs on the instance, that its instance profile allows "
    "AmazonSSMManagedInstanceCore and that SSM Inventory is set up",
    "failed to stop": "Allow ec2:StopInstances and turn stop protection off, or stop the instance before",
}
"""What to do about AWS's own words, by a part of them
(https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-troubleshooting.html)."""


def find_remedy(reason: str) -> str:
    """Return what to do about a refusal or a failure in AWS's documented words; nothing where it is another."""
    return next((remedy for words, remedy in _REMEDIES.items() if words in reason), "")
