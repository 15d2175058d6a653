"""AWS's published usage operations: what EC2 bills an instance as, by operating system and license.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html, and for what can't be converted
https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-types.html. New codes appear: an unknown one is
passed on to AWS as it is.
"""

from __future__ import annotations

from enum import Enum


class UsageOperation(str, Enum):
    """The usage operations that AWS publishes; `.meaning` is AWS's name of the platform."""

    LINUX = "RunInstances"
    RHEL_BYOL = "RunInstances:00g0"
    RHEL = "RunInstances:0010"
    RHEL_HA = "RunInstances:1010"
    RHEL_HA_SQL_SERVER_STANDARD = "RunInstances:1014"
    RHEL_HA_SQL_SERVER_ENTERPRISE = "RunInstances:1110"
    RHEL_SQL_SERVER_STANDARD = "RunInstances:0014"
    RHEL_SQL_SERVER_WEB = "RunInstances:0210"
    RHEL_SQL_SERVER_ENTERPRISE = "RunInstances:0110"
    SQL_SERVER_ENTERPRISE = "RunInstances:0100"
    SQL_SERVER_STANDARD = "RunInstances:0004"
    SQL_SERVER_WEB = "RunInstances:0200"
    SUSE = "RunInstances:000g"
    UBUNTU_PRO = "RunInstances:0g00"
    WINDOWS = "RunInstances:0002"
    WINDOWS_BYOL = "RunInstances:0800"
    WINDOWS_SQL_SERVER_ENTERPRISE = "RunInstances:0102"
    WINDOWS_SQL_SERVER_STANDARD = "RunInstances:0006"
    WINDOWS_SQL_SERVER_WEB = "RunInstances:0202"

    def __str__(self) -> str:
        """Give the code, in f-strings too, where Pythons differ."""
        return self.value

    @property
    def meaning(self) -> str:
        """What the code stands for, in AWS's words."""
        return _MEANINGS[self]


_MEANINGS = {
    UsageOperation.LINUX: "Linux/UNIX",
    UsageOperation.RHEL_BYOL: "Red Hat BYOL Linux",
    UsageOperation.RHEL: "Red Hat Enterprise Linux",
    UsageOperation.RHEL_HA: "Red Hat Enterprise Linux with HA",
    UsageOperation.RHEL_HA_SQL_SERVER_STANDARD: "Red Hat Enterprise Linux with SQL Server Standard and HA",
    UsageOperation.RHEL_HA_SQL_SERVER_ENTERPRISE: "Red Hat Enterprise Linux with SQL Server Enterprise and HA",
    UsageOperation.RHEL_SQL_SERVER_STANDARD: "Red Hat Enterprise Linux with SQL Server Standard",
    UsageOperation.RHEL_SQL_SERVER_WEB: "Red Hat Enterprise Linux with SQL Server Web",
    UsageOperation.RHEL_SQL_SERVER_ENTERPRISE: "Red Hat Enterprise Linux with SQL Server Enterprise",
    UsageOperation.SQL_SERVER_ENTERPRISE: "SQL Server Enterprise",
    UsageOperation.SQL_SERVER_STANDARD: "SQL Server Standard",
    UsageOperation.SQL_SERVER_WEB: "SQL Server Web",
    UsageOperation.SUSE: "SUSE Linux",
    UsageOperation.UBUNTU_PRO: "Ubuntu Pro",
    UsageOperation.WINDOWS: "Windows",
    UsageOperation.WINDOWS_BYOL: "Windows BYOL",
    UsageOperation.WINDOWS_SQL_SERVER_ENTERPRISE: "Windows with SQL Server Enterprise",
    UsageOperation.WINDOWS_SQL_SERVER_STANDARD: "Windows with SQL Server Standard",
    UsageOperation.WINDOWS_SQL_SERVER_WEB: "Windows with SQL Server Web",
}

_SQL_SERVER_ALONE = frozenset(
    {UsageOperation.SQL_SERVER_ENTERPRISE, UsageOperation.SQL_SERVER_STANDARD, UsageOperation.SQL_SERVER_WEB}
)
_WINDOWS_WITH_SQL_SERVER = frozenset(
    {
        UsageOperation.WINDOWS_SQL_SERVER_ENTERPRISE,
        UsageOperation.WINDOWS_SQL_SERVER_STANDARD,
        UsageOperation.WINDOWS_SQL_SERVER_WEB,
    }
)


def describe(code: str) -> str:
    """Give the code with its meaning, where AWS publishes one: `RunInstances:0800 (Windows BYOL)`."""
    try:
        return f"{code} ({UsageOperation(code).meaning})"
    except ValueError:
        return code


def find_warning(source: str | None, destination: str | None) -> str | None:
    """Say what AWS's user guide has against a conversion from one usage operation to another; None if nothing."""
    pair = {source, destination}
    if UsageOperation.WINDOWS_BYOL in pair and pair & _SQL_SERVER_ALONE:
        return "AWS does not support Windows BYOL with SQL Server license included."
    if source in _WINDOWS_WITH_SQL_SERVER and destination == UsageOperation.WINDOWS_BYOL:
        return (
            "AWS converts Windows with SQL Server license included to Windows BYOL in two steps: uninstall SQL Server "
            f"and convert to {describe(UsageOperation.WINDOWS.value)} first."
        )
    if source == UsageOperation.UBUNTU_PRO and destination == UsageOperation.LINUX:
        return "AWS does not convert Ubuntu Pro back to Ubuntu LTS."
    return None
