"""What stands beside: the least a dynamic resource can be, and a provider that sleeps in `create`."""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class TrivialProvider(ResourceProvider):
    """Does nothing, as Pulumi's own examples begin."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Record what was given."""
        return CreateResult("trivial", props)


class Trivial(Resource):
    """A resource that is only in the state."""

    def __init__(self, name: str, properties: dict[str, Any]) -> None:
        super().__init__(TrivialProvider(), name, properties)


_CONTEXT = {"usage_operation": "RunInstances:0800", "product_codes": list[str]()}
_TIME = "2026-11-23T08:00:00Z"

RECORD: dict[str, Any] = {
    "region": "eu-west-1",
    "wait_for_completion": True,
    "ignore_failure": False,
    "resource_arn": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
    "source_license_context": _CONTEXT,
    "destination_license_context": _CONTEXT,
    "status": "SUCCEEDED",
    "status_message": None,
    "start_time": _TIME,
    "license_conversion_time": _TIME,
    "end_time": _TIME,
    "is_complete": True,
    "duration_seconds": 10.0,
}
"""What a finished task has in the state, but for its id."""


class NaiveProvider(ResourceProvider):
    """Waits the way most do: a loop with a constant sleep, in `create`."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait for the task's end."""
        import boto3

        client = boto3.client("license-manager")
        while True:
            task = client.get_license_conversion_task(LicenseConversionTaskId=props["task_id"])
            if task["Status"] != "IN_PROGRESS":
                return CreateResult(props["task_id"], {**props, "status": task["Status"]})
            time.sleep(props["poll_seconds"])


class Naive(Resource):
    """A task that is waited for naively."""

    def __init__(self, name: str, task_id: pulumi.Input[str], poll_seconds: float) -> None:
        super().__init__(NaiveProvider(), name, {"task_id": task_id, "poll_seconds": poll_seconds, "status": None})
