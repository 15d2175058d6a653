"""Writes the states that later versions must understand, before each release.

`PYTHONPATH=tests python -m reliability.write_states`, with `pulumi` on PATH, writes tests/states/VERSION-local.json and
VERSION-pulumi.json.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from support.stacks import LocalStack, RealStack, make_stack

from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, ProductCode, licensemanager_backends, serve

STATES = Path(__file__).parents[1] / "states"
REGION = "eu-west-1"
STARTED = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)

PROGRAM = """
import pulumi
from lmconv_resource import LicenseContextArgs, LicenseConversion, LicenseConversionTask

LicenseConversionTask("running", license_conversion_task_id="lct-running")
LicenseConversionTask("succeeded", license_conversion_task_id="lct-succeeded")
LicenseConversionTask("failed", license_conversion_task_id="lct-failed")
LicenseConversionTask("waited", license_conversion_task_id="lct-waited", wait_for_completion=True,
                      opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3h", update="90m")))
LicenseConversionTask("ignored", license_conversion_task_id="lct-ignored", wait_for_completion=True,
                      ignore_failure=True, poll_interval_seconds=5)
LicenseConversionTask("newest", resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-waited")
LicenseConversionTask.get("seen", "lct-succeeded")
LicenseConversion(
    "adopted",
    resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-succeeded",
    source_license_context=LicenseContextArgs(usage_operation="RunInstances:0800"),
    destination_license_context=LicenseContextArgs(usage_operation="RunInstances:0002"),
)
"""

TASKS = {
    "lct-running": ("IN_PROGRESS", "step 1 of 3"),
    "lct-succeeded": ("SUCCEEDED", None),
    "lct-failed": ("FAILED", "SSM inventory is missing"),
    "lct-waited": ("SUCCEEDED", "all went well"),
    "lct-ignored": ("FAILED", "the instance was started"),
}


def put_tasks() -> LicenseManagerBackend:
    """Put the tasks of the program into the emulator, the same to the millisecond each time."""
    backend = licensemanager_backends["123456789012"][REGION]
    backend.clock = (STARTED + timedelta(minutes=42)).timestamp
    for task_id, (status, message) in TASKS.items():
        backend.add_task(
            task_id=task_id,
            resource_arn=f"arn:aws:ec2:eu-west-1:123456789012:instance/i-{task_id[4:]}",
            source="RunInstances:0800",
            destination=LicenseContext("RunInstances:0002", (ProductCode("abc", "marketplace"),))
            if task_id == "lct-waited"
            else "RunInstances:0002",
            started=STARTED,
            status=status,
            message=message,
            seconds=None if status == "IN_PROGRESS" else 0,
        )
    return backend


def to_local(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state as LocalEngine keeps it, whichever engine wrote it, for the stack `dev`."""
    resources = []
    for each in state.get("deployment", state)["resources"]:
        if each["type"].startswith("pulumi:providers:"):
            continue
        kept = ("urn", "type", "custom", "id", "inputs", "outputs", "parent", "dependencies", "external", "delete")
        resources.append({name: each[name] for name in kept if name in each})
    text = json.dumps({"version": 1, "resources": resources})
    (stack,) = set(re.findall(r'"urn": "urn:pulumi:([^:]+)::', text))
    text = text.replace(f"urn:pulumi:{stack}::", "urn:pulumi:dev::").replace(f"followed-{stack}", "followed-dev")
    renamed: dict[str, Any] = json.loads(text)
    return renamed


def main() -> None:
    version = metadata.version("lmconv-resource")
    os.environ |= {"AWS_ACCESS_KEY_ID": "AKIATESTING000000000", "AWS_SECRET_ACCESS_KEY": "testing"}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    for kind, engine in (("local", "local"), ("pulumi", "real")):
        with tempfile.TemporaryDirectory() as folder, serve() as emulator:
            os.environ["AWS_ENDPOINT_URL_LICENSE_MANAGER"] = emulator.endpoint
            put_tasks()
            stack = make_stack(engine, Path(folder), PROGRAM)
            stack.config["aws:region"] = REGION
            outcome = stack.up()
            if not outcome.ok:
                sys.exit(f"{outcome.said}")
            exported = (
                json.loads(stack.state_file.read_text())
                if isinstance(stack, LocalStack)
                else {"version": 3, "deployment": json.loads(cast(RealStack, stack).exported())}
            )
        for resource in exported.get("deployment", exported)["resources"]:
            for name in ("sourcePosition", "stackTrace"):  # where files are on the machine that wrote it
                resource.pop(name, None)
        (STATES / f"{version}-{kind}.json").write_text(json.dumps(exported, indent=2) + "\n")


if __name__ == "__main__":
    main()
