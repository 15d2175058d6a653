"""A fleet of 200 instances, 20 at a time, from stop to restart: how long it takes, and what it asks of AWS.

The project's own fleet, job, session, polling and pace run here, with a stand-in for AWS and a clock that runs sixty
times as fast: every number of seconds is divided by that.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.figures import Figure, Group, to_ratio
from lmconv_resource.aws.access import AccessSession, Settings
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.fleet import TABLE, FleetController
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import Runtime, monotonic

SPEED = 60.0
AT_ONCE = 20
REGION, ACCOUNT = "eu-west-1", "123456789012"
STOP_SECONDS, START_SECONDS = 45.0, 20.0
SCRIPT_POLL_SECONDS = 30.0
"""Of the published script for 200 instances: it waits for each step by asking every 30 s."""


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / SPEED)


class _Condition(threading.Condition):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / SPEED)


_FAST = Runtime(
    now=lambda: monotonic() * SPEED,
    sleep=lambda seconds: time.sleep(seconds / SPEED),
    event=_Event,
    condition=_Condition,
)
"""The fast clock."""


@dataclass
class _Instance:
    """An instance that stops, is converted and starts, each in its time."""

    conversion_seconds: float
    state: str = "running"
    settles: tuple[float, str] = (0.0, "running")
    tags: tuple[dict[str, str], ...] = ()
    task_ends: float | None = None

    def turn(self, meanwhile: str, seconds: float, state: str) -> None:
        self.state, self.settles = meanwhile, (time.monotonic() + seconds / SPEED, state)

    def show(self, instance_id: str) -> dict[str, Any]:
        if self.state in ("stopping", "pending") and time.monotonic() >= self.settles[0]:
            self.state = self.settles[1]
        is_converted = self.task_ends is not None and time.monotonic() >= self.task_ends
        return {
            "InstanceId": instance_id,
            "State": {"Name": self.state},
            "InstanceType": "m5.large",
            "UsageOperation": "RunInstances:0002" if is_converted else "RunInstances:0800",
            "Tags": list(self.tags),
        }


class _Aws:
    """What stands in for License Manager and EC2; it counts its calls."""

    def __init__(self, durations: list[float]) -> None:
        self.instances = {f"i-{n:017x}": _Instance(seconds) for n, seconds in enumerate(durations)}
        self.calls: Counter[str] = Counter()
        self.lock = threading.RLock()


class _Session(AccessSession):
    """A session whose clients are all the stand-in's."""

    def __init__(self, settings: Settings, aws: _Aws) -> None:
        super().__init__(settings)
        self._aws = aws

    def unchecked_client(self, service: str) -> Any:
        """Return a client; every service is the same here."""
        return _Client(self._aws)

    def find_credentials(self) -> None:
        """There are none to look for."""


class _Client:
    """A client of either service: one method for each operation that is called."""

    def __init__(self, aws: _Aws) -> None:
        self._aws = aws

    def __getattr__(self, name: str) -> Any:
        operation = object.__getattribute__(self, f"_{name}")

        def call(**request: Any) -> Any:
            with self._aws.lock:
                self._aws.calls[name] += 1
                return operation(request)

        return call

    def _get_caller_identity(self, _: dict[str, Any]) -> Any:
        return {"Account": "123456789012"}

    # -- License Manager -----------------------------------------------------------------------------------------------

    def _list_license_conversion_tasks(self, request: dict[str, Any]) -> Any:
        by = {each["Name"]: each["Values"] for each in request["Filters"]}
        arns = by.get("ResourceArns")
        wanted = [arn.rpartition("/")[2] for arn in arns] if arns else list(self._aws.instances)
        shown = [self._show_task(each) for each in wanted if self._aws.instances[each].task_ends is not None]
        return {
            "LicenseConversionTasks": [each for each in shown if each["Status"] in by.get("Status", [each["Status"]])][
                :100
            ],
        }

    def _get_license_conversion_task(self, request: dict[str, Any]) -> Any:
        return self._show_task(f"i-{request['LicenseConversionTaskId'].removeprefix('lct-')}")

    def _create_license_conversion_task_for_resource(self, request: dict[str, Any]) -> Any:
        instance_id = request["ResourceArn"].rpartition("/")[2]
        instance = self._aws.instances[instance_id]
        assert instance.show(instance_id)["State"]["Name"] == "stopped"
        assert instance.task_ends is None, "converted twice"
        instance.task_ends = time.monotonic() + instance.conversion_seconds / SPEED
        return {"LicenseConversionTaskId": f"lct-{instance_id[2:]}"}

    def _show_task(self, instance_id: str) -> dict[str, Any]:
        ends = self._aws.instances[instance_id].task_ends or 0.0
        return {
            "LicenseConversionTaskId": f"lct-{instance_id[2:]}",
            "ResourceArn": _to_arn(instance_id),
            "SourceLicenseContext": {"UsageOperation": "RunInstances:0800"},
            "DestinationLicenseContext": {"UsageOperation": "RunInstances:0002"},
            "Status": "SUCCEEDED" if time.monotonic() >= ends else "IN_PROGRESS",
            "StartTime": datetime.now(timezone.utc),
        }

    # -- EC2 -----------------------------------------------------------------------------------------------------------

    def _describe_instances(self, request: dict[str, Any]) -> Any:
        (by,) = request["Filters"]
        ids = by["Values"] if by["Name"] == "instance-id" else []
        return {"Reservations": [{"Instances": [self._aws.instances[each].show(each) for each in ids]}]}

    def _describe_instance_attribute(self, request: dict[str, Any]) -> Any:
        return {"DisableApiStop": {"Value": False}}

    def _describe_tags(self, request: dict[str, Any]) -> Any:
        by = {each["Name"]: each["Values"] for each in request["Filters"]}
        ids = by.get("resource-id") or list(self._aws.instances)
        tags = [{"ResourceId": each, **tag} for each in ids for tag in self._aws.instances[each].tags]
        return {"Tags": [tag for tag in tags if tag["Key"] in by["key"]]}

    def _describe_instance_types(self, request: dict[str, Any]) -> Any:
        return {"InstanceTypes": [{"InstanceType": "m5.large", "InstanceStorageSupported": False}]}

    def _describe_instance_information(self, request: dict[str, Any]) -> Any:
        return {"InstanceInformationList": [{"InstanceId": each} for each in request["Filters"][0]["Values"]]}

    def _stop_instances(self, request: dict[str, Any]) -> Any:
        _refuse_dry_run(request, "StopInstances")
        for each in request["InstanceIds"]:
            self._aws.instances[each].turn("stopping", STOP_SECONDS, "stopped")
        return {}

    def _start_instances(self, request: dict[str, Any]) -> Any:
        _refuse_dry_run(request, "StartInstances")
        for each in request["InstanceIds"]:
            self._aws.instances[each].turn("pending", START_SECONDS, "running")
        return {}

    def _create_tags(self, request: dict[str, Any]) -> Any:
        _refuse_dry_run(request, "CreateTags")
        for each in request["Resources"]:
            self._aws.instances[each].tags = tuple(request["Tags"])
        return {}

    def _delete_tags(self, request: dict[str, Any]) -> Any:
        _refuse_dry_run(request, "DeleteTags")
        for each in request["Resources"]:
            self._aws.instances[each].tags = ()
        return {}


def _refuse_dry_run(request: dict[str, Any], operation: str) -> None:
    """Answer a dry run with EC2's yes, which is an error."""
    if request.get("DryRun"):
        raise ClientError({"Error": {"Code": "DryRunOperation", "Message": "It would have."}}, operation)


def measure(*, quick: bool) -> Group:
    """Measure the round of a whole fleet."""
    count = 60 if quick else 200
    rng = random.Random(11)  # noqa: S311 -- the same in each run
    durations = [rng.uniform(5, 600) for _ in range(count)]
    aws = _Aws(durations)
    seconds = _run(aws)
    whole = [STOP_SECONDS + each + START_SECONDS for each in durations]
    in_order, least = _schedule(whole), max(sum(whole) / AT_ONCE, *whole)
    script = sum(_count_script_calls(each) for each in durations)
    what = f"{count} instances, {AT_ONCE} at a time"
    calls = aws.calls.total()
    return Group(
        "A fleet from stop to restart",
        (
            Figure(
                what,
                f"{seconds / 60:.1f} min",
                f"the best schedule in the table's order: {in_order / 60:.1f} min",
                to_ratio(seconds, in_order),
                "x1.15",
                seconds <= 1.15 * in_order,
            ),
            Figure(
                what,
                f"{seconds / 60:.1f} min",
                f"no slot ever idle: {least / 60:.1f} min",
                to_ratio(seconds, least),
                "",
                None,
            ),
            Figure(
                f"AWS calls, {what}",
                str(calls),
                f"the script for 200 instances, which asks every {SCRIPT_POLL_SECONDS:.0f} s: {script}",
                to_ratio(calls, script),
                "",
                None,
            ),
            *(_measure_done(rows) for rows in (200, 5000)),
        ),
    )


def _measure_done(rows: int) -> Figure:
    """Measure check and diff of a fleet that is done, in 100 accounts, and what its record takes."""
    controller = FleetController()
    session = Session(lambda _: None)
    arn = "arn:aws:ec2:eu-west-1:{:012}:instance/i-{:017x}"
    given = {
        "instances": [{"resource_arn": arn.format(n % 100, n), "name": f"web-{n}"} for n in range(rows)],
        "destination_license_context": {"usage_operation": "RunInstances:0002"},
        "stop_and_restart": True,
    }
    began = time.monotonic()
    with session.operation("urn") as op:
        inputs = {**given, **controller.check(op, None, given).defaults}
        checked = time.monotonic() - began
        parsed = controller.inputs.parse(inputs)
        done = dict.fromkeys(("start_time", "end_time"), "2026-11-28T01:00:00Z")
        outputs = {
            "instances": {
                row.name: {"number": row.number, "outcome": "SUCCEEDED", **row.asked, **done}
                for row in parsed.rows or ()
            },
            TABLE: {row.name: row.asked for row in parsed.rows or ()},
        }
        state = controller.state.from_outputs(outputs)
        began = time.monotonic()
        assert not controller.diff(op, "fleet", state, parsed).has_changes
        compared = time.monotonic() - began
    size = len(json.dumps([inputs, state.to_outputs()])) // rows
    return Figure(
        f"check and diff of {rows} rows that are done",
        f"{checked:.2f} s + {compared:.2f} s; {size} bytes a row",
        "",
        "",
        "5 s",
        checked + compared < 5,
    )


def _run(aws: _Aws) -> float:
    """Convert all, and return the seconds that it took on the fast clock."""
    session = Session(
        lambda _: None, policy=PollingPolicy(), runtime=_FAST, open_session=lambda settings: _Session(settings, aws)
    )
    controller = FleetController()
    given = {
        "instances": [{"resource_arn": _to_arn(each)} for each in aws.instances],
        "destination_license_context": {"usage_operation": "RunInstances:0002"},
        "max_concurrent": AT_ONCE,
        "stop_and_restart": True,
    }
    began = time.monotonic()
    with session.operation("urn:pulumi:dev::fleet::lmconv:index:ConversionFleet::fleet") as op:
        checked = controller.check(op, None, given)
        assert not checked.failures, checked.failures
        created = controller.create(op, controller.parse_certain({**given, **checked.defaults}))
    seconds = (time.monotonic() - began) * SPEED
    assert created.error is None, created.error
    assert {each.outcome.value for each in created.state.results.values()} == {"SUCCEEDED"}
    shown = [instance.show(instance_id) for instance_id, instance in aws.instances.items()]
    assert all(each["State"]["Name"] == "running" and not each["Tags"] for each in shown)
    assert all(each["UsageOperation"] == "RunInstances:0002" for each in shown)
    return seconds


def _schedule(durations: list[float]) -> float:
    """Return how long it takes when each slot that gets free is taken at once, in order."""
    slots = [0.0] * AT_ONCE
    for seconds in durations:
        heapq.heapreplace(slots, slots[0] + seconds)
    return max(slots)


def _count_script_calls(conversion_seconds: float) -> int:
    """Return the script's calls for one instance: describe, stop, wait, convert, wait, start, wait."""
    waits = [1 + int(seconds // SCRIPT_POLL_SECONDS) for seconds in (STOP_SECONDS, conversion_seconds, START_SECONDS)]
    return 4 + sum(waits)


def _to_arn(instance_id: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"
