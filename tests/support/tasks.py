"""Tasks for the emulator."""

from __future__ import annotations

from lmconv_resource.emulator import LicenseManagerBackend


def add_running(aws: LicenseManagerBackend, count: int) -> None:
    """Add so many tasks in progress, `lct-0000` and on, each of an instance of its own."""
    for n in range(count):
        aws.add_task(
            task_id=f"lct-{n:04}",
            resource_arn=f"arn:aws:ec2:{aws.region_name}:123456789012:instance/i-{n:017x}",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            status="IN_PROGRESS",
        )
