"""Fleets from stop to restart, in virtual time: how long they take, what they ask of AWS, and how they grow.

The project's own fleet, job, session and polling run here on the simulation's kernel, with a stand-in for AWS that
answers after 0.1 s: the figures are the same on every machine.
"""

from __future__ import annotations

import heapq
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from pulumi.dynamic import Config, ConfigureRequest
from simulation.kernel import Kernel, Process

from benchmarks.figures import Figure, Group, to_ratio
from lmconv_resource.aws.access import AccessSession, Settings
from lmconv_resource.fleet_provider import ConversionFleetProvider
from lmconv_resource.hosts.dynamic.provider import INSTANCES
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.fleet import FleetController
from lmconv_resource.lifecycle.state import TABLE

AT_ONCE = 20
REGION = "eu-west-1"
STOP_SECONDS, START_SECONDS, CALL_SECONDS = 45.0, 20.0, 0.1
SCRIPT_POLL_SECONDS = 30.0
"""Of the published script for 200 instances: it waits for each step by asking every 30 s."""

_MOST_MB = 300
"""Memory with 5,000 rows in 100 accounts."""

BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"


@dataclass
class _Instance:
    """An instance that stops, is converted and starts, each in its time; moments are the kernel's."""

    conversion_seconds: float
    state: str = "running"
    settles: tuple[float, str] = (0.0, "running")
    tags: dict[str, str] = field(default_factory=dict)
    task_ends: float | None = None

    def turn(self, now: float, meanwhile: str, seconds: float, state: str) -> None:
        self.state, self.settles = meanwhile, (now + seconds, state)

    def show(self, instance_id: str, now: float) -> dict[str, Any]:
        if self.state in ("stopping", "pending") and now >= self.settles[0]:
            self.state = self.settles[1]
        is_converted = self.task_ends is not None and now >= self.task_ends
        return {
            "InstanceId": instance_id,
            "State": {"Name": self.state},
            "InstanceType": "m5.large",
            "UsageOperation": WINDOWS if is_converted else BYOL,
            "NetworkInterfaces": [{"NetworkInterfaceId": f"eni-{instance_id[2:]}", "Attachment": {"DeviceIndex": 0}}],
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
        }


class _Account:
    """License Manager, EC2 and the rest of one account: a method for each operation; it counts its calls."""

    def __init__(self, kernel: Kernel, account: str, durations: list[float]) -> None:
        self._kernel = kernel
        self.account = account
        first = int(account) << 20
        self.instances = {f"i-{first + n:017x}": _Instance(seconds) for n, seconds in enumerate(durations)}
        self.calls: Counter[str] = Counter()

    @property
    def arns(self) -> list[str]:
        return [self._to_arn(each) for each in self.instances]

    def call(self, name: str, request: dict[str, Any]) -> Any:
        self.calls[name] += 1
        self._kernel.pause(CALL_SECONDS / 2)
        if request.get("DryRun"):
            raise ClientError({"Error": {"Code": "DryRunOperation", "Message": "It would have."}}, name)
        answer = getattr(self, f"_{name}")(request)
        self._kernel.pause(CALL_SECONDS / 2)
        return answer

    def _to_arn(self, instance_id: str) -> str:
        return f"arn:aws:ec2:{REGION}:{self.account}:instance/{instance_id}"

    def _get_caller_identity(self, _: dict[str, Any]) -> Any:
        return {"Account": self.account}

    # -- License Manager -----------------------------------------------------------------------------------------------

    def _list_license_conversion_tasks(self, request: dict[str, Any]) -> Any:
        by = {each["Name"]: each["Values"] for each in request["Filters"]}
        wanted = [arn.rpartition("/")[2] for arn in by.get("ResourceArns", ())] or self.instances
        shown = [self._show_task(each) for each in wanted if self.instances[each].task_ends is not None]
        status = by.get("Status")
        return {"LicenseConversionTasks": [each for each in shown if not status or each["Status"] in status]}

    def _get_license_conversion_task(self, request: dict[str, Any]) -> Any:
        return self._show_task(f"i-{request['LicenseConversionTaskId'].removeprefix('lct-')}")

    def _create_license_conversion_task_for_resource(self, request: dict[str, Any]) -> Any:
        instance_id = request["ResourceArn"].rpartition("/")[2]
        instance = self.instances[instance_id]
        assert instance.show(instance_id, self._kernel.now)["State"]["Name"] == "stopped"
        assert instance.task_ends is None, "converted twice"
        instance.task_ends = self._kernel.now + instance.conversion_seconds
        return {"LicenseConversionTaskId": f"lct-{instance_id[2:]}"}

    def _show_task(self, instance_id: str) -> dict[str, Any]:
        ends = self.instances[instance_id].task_ends or 0.0
        return {
            "LicenseConversionTaskId": f"lct-{instance_id[2:]}",
            "ResourceArn": self._to_arn(instance_id),
            "SourceLicenseContext": {"UsageOperation": BYOL},
            "DestinationLicenseContext": {"UsageOperation": WINDOWS},
            "Status": "SUCCEEDED" if self._kernel.now >= ends else "IN_PROGRESS",
            "StartTime": self._kernel.wall(),
        }

    # -- EC2 and Systems Manager ---------------------------------------------------------------------------------------

    def _describe_instances(self, request: dict[str, Any]) -> Any:
        ids = request["Filters"][0]["Values"]
        return {"Reservations": [{"Instances": [self.instances[each].show(each, self._kernel.now) for each in ids]}]}

    def _describe_instance_attribute(self, _: dict[str, Any]) -> Any:
        return {"DisableApiStop": {"Value": False}}

    def _describe_tags(self, request: dict[str, Any]) -> Any:
        by = {each["Name"]: each["Values"] for each in request["Filters"]}
        those = [(each, self._find(each)) for each in by["resource-id"]]
        return {
            "Tags": [
                {"ResourceId": place, "Key": key, "Value": instance.tags[key]}
                for place, instance in those
                for key in by["key"]
                if key in instance.tags
            ]
        }

    def _describe_instance_types(self, _: dict[str, Any]) -> Any:
        return {"InstanceTypes": [{"InstanceType": "m5.large", "InstanceStorageSupported": False}]}

    def _describe_instance_information(self, request: dict[str, Any]) -> Any:
        return {"InstanceInformationList": [{"InstanceId": each} for each in request["Filters"][0]["Values"]]}

    def _stop_instances(self, request: dict[str, Any]) -> None:
        for each in request["InstanceIds"]:
            self.instances[each].turn(self._kernel.now, "stopping", STOP_SECONDS, "stopped")

    def _start_instances(self, request: dict[str, Any]) -> None:
        for each in request["InstanceIds"]:
            self.instances[each].turn(self._kernel.now, "pending", START_SECONDS, "running")

    def _create_tags(self, request: dict[str, Any]) -> None:
        for place in request["Resources"]:
            self._find(place).tags |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}

    def _delete_tags(self, request: dict[str, Any]) -> None:
        for place in request["Resources"]:
            tags = self._find(place).tags
            for tag in request["Tags"]:
                if tags.get(tag["Key"]) == tag["Value"]:
                    del tags[tag["Key"]]

    def _find(self, place: str) -> _Instance:
        return self.instances[f"i-{place.partition('-')[2]}"]


class _Session(AccessSession):
    """A session whose clients are all the stand-in's."""

    def __init__(self, settings: Settings, account: _Account) -> None:
        super().__init__(settings)
        self._aws = account

    def unchecked_client(self, service: str) -> Any:
        """Return a client; every service is the same here."""
        return _Client(self._aws)

    def check_credentials(self) -> None:
        """There are none to look for."""


class _Client:
    def __init__(self, account: _Account) -> None:
        self._account = account

    def __getattr__(self, name: str) -> Any:
        return lambda **request: self._account.call(name, request)


@dataclass(frozen=True)
class Night:
    """What a fleet took: virtual seconds, calls by operation."""

    seconds: float
    calls: Counter[str]


def convert(durations: list[float], accounts: int = 1) -> Night:
    """Convert a fleet, whose conversions take these seconds, and return what it took."""
    kernel = Kernel(1, limit=sys.maxsize)
    shares = [_Account(kernel, f"{n + 1:012}", durations[n::accounts]) for n in range(accounts)]
    table = [
        {"resource_arn": arn, "assume_role": {"role_arn": _to_role(each.account)}}
        for n in range(len(shares[0].arns))
        for each in shares
        for arn in each.arns[n : n + 1]
    ]
    given = {
        "instances": table,
        "destination_license_context": {"usage_operation": WINDOWS},
        "max_concurrent": AT_ONCE,
        "stop_and_restart": True,
    }
    by_role = {_to_role(each.account): each for each in shares}
    ended: list[float] = []

    def run() -> None:
        session = Session(
            lambda _: None,
            runtime=kernel.runtime(process),
            open_session=lambda settings: _Session(settings, by_role[settings.assume_roles[0].role_arn or ""]),
        )
        controller = FleetController()
        with session.operation("urn:pulumi:dev::fleet::lmconv:index:ConversionFleet::fleet") as op:
            checked = controller.check(op, None, given)
            assert not checked.failures, checked.failures
            created = controller.create(op, controller.parse_certain({**given, **checked.defaults}))
        assert created.error is None, created.error
        assert {each.outcome.value for each in created.state.results.values()} == {"SUCCEEDED"}
        ended.append(kernel.now)

    process = Process("fleet", random.Random(1))  # noqa: S311 -- the same in each run
    kernel.run(kernel.spawn(run, "fleet", process))
    assert not kernel.bugs, kernel.bugs
    shown = [each.show(i, kernel.now) for share in shares for i, each in share.instances.items()]
    assert all(each["State"]["Name"] == "running" and not each["Tags"] for each in shown)
    assert all(each["UsageOperation"] == WINDOWS for each in shown)
    return Night(ended[0], sum((each.calls for each in shares), Counter()))


def draw(count: int) -> list[float]:
    """Return how many seconds so many conversions take: 5 s to 10 min."""
    rng = random.Random(11)  # noqa: S311 -- the same in each run
    return [rng.uniform(5, 600) for _ in range(count)]


def schedule(durations: list[float]) -> float:
    """Return how many seconds these conversions take when each slot that gets free is taken at once, in order."""
    slots = [0.0] * AT_ONCE
    for seconds in durations:
        heapq.heapreplace(slots, slots[0] + STOP_SECONDS + seconds + START_SECONDS)
    return max(slots)


def _to_role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/convert"


def _count_script_calls(conversion_seconds: float) -> int:
    """Return the script's calls for one instance: describe, stop, wait, convert, wait, start, wait."""
    waits = [1 + int(seconds // SCRIPT_POLL_SECONDS) for seconds in (STOP_SECONDS, conversion_seconds, START_SECONDS)]
    return 4 + sum(waits)


def measure(*, quick: bool) -> Group:
    """Measure a fleet of one account, one of many, and what a fleet that is done costs."""
    count = 200
    durations = draw(count)
    night = convert(durations)
    best = schedule(durations)
    script = sum(_count_script_calls(each) for each in durations)
    what, calls = f"{count} instances of one account, {AT_ONCE} at a time", night.calls.total()
    figures = [
        Figure(
            what,
            f"{night.seconds / 60:.1f} min",
            f"the best schedule in the table's order: {best / 60:.1f} min",
            to_ratio(night.seconds, best),
            "x1.05",
            night.seconds <= 1.05 * best,
        ),
        Figure(
            f"AWS calls, {what}",
            f"{calls}, {calls / count:.1f} a row",
            f"the script for 200 instances, which asks every {SCRIPT_POLL_SECONDS:.0f} s: {script}",
            to_ratio(calls, script),
            f"{6 * count} calls",
            calls <= 6 * count,
        ),
        _measure_accounts(count, 40, calls / count),
        _measure_accounts(*((500, 10) if quick else (5000, 100)), calls / count, 1.02 if quick else 1.0),
        *(_measure_done(rows) for rows in (200, 5000)),
    ]
    return Group("Fleets", tuple(figures))


def _measure_accounts(rows: int, accounts: int, of_one: float, most: float | None = None) -> Figure:
    """Convert so many rows in a process of their own, beside the calls a row that one account took.

    Args:
        rows: how many.
        accounts: in how many accounts.
        of_one: calls a row of one account.
        most: at most how many times as many; with it, memory has a bound too.
    """
    program = (
        "import json, resource; from benchmarks import fleet\n"
        f"night = fleet.convert(fleet.draw({rows}), {accounts})\n"
        "print(json.dumps([night.calls.total(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=1800)
    calls, megabytes = json.loads(done.stdout)
    return Figure(
        f"AWS calls, {rows} instances in {accounts} accounts, {rows // accounts} each",
        f"{calls / rows:.2f} a row; {megabytes} MB with the AWS of the simulation",
        f"of one account: {of_one:.2f} a row",
        to_ratio(calls / rows, of_one),
        f"x{most:.2f}, {_MOST_MB} MB" if most else "",
        calls / rows <= most * of_one and megabytes < _MOST_MB if most else None,
    )


def _measure_done(rows: int) -> Figure:
    """Measure check and diff of a fleet that is done, in 100 accounts, and what its record takes."""
    provider, controller = ConversionFleetProvider(), FleetController()
    provider.configure(ConfigureRequest(Config({}, "fleet")))
    arn = "arn:aws:ec2:eu-west-1:{:012}:instance/i-{:017x}"
    given = {
        INSTANCES: [{"resource_arn": arn.format(n % 100, n), "name": f"web-{n}"} for n in range(rows)],
        "destination_license_context": {"usage_operation": WINDOWS},
        "stop_and_restart": True,
    }
    inputs = provider.check({}, given).inputs
    parsed = controller.inputs.parse({**inputs, "instances": inputs[INSTANCES]})
    done = dict.fromkeys(("start_time", "end_time"), "2026-11-28T01:00:00Z")
    outputs = {
        "instances": {
            row.name: {"number": row.number, "outcome": "SUCCEEDED", **row.asked, **done} for row in parsed.rows or ()
        },
        TABLE: {row.name: row.asked for row in parsed.rows or ()},
    }
    state = controller.state.from_outputs(outputs)
    recorded = state.to_outputs()
    began = time.process_time()
    again = provider.check(inputs, given).inputs
    checked = time.process_time() - began
    assert not provider.diff("fleet", recorded, again).changes
    unchanged = time.process_time() - began
    size = len(json.dumps([inputs, recorded])) // rows
    return Figure(
        f"an unchanged `up` of {rows} rows that are done, by the provider's methods",
        f"check {checked:.2f} s + diff {unchanged - checked:.2f} s; {size} bytes a row in the state",
        "",
        "",
        "5 s; 900 bytes a row",
        unchanged < 5 and size <= 900,
    )
