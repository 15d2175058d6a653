"""How a process calls AWS: boto3's names of methods, botocore's errors.

Before and after the effect of each call the process can be killed, interrupted, refused or left without an answer.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore import exceptions as botocore_errors

from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.aws.access.settings import Settings
from simulation.aws import ACCOUNT, NASTY, Aws, Instance, Shown, Tag, Task
from simulation.checks import Checks
from simulation.kernel import KilledError, Process

JOB_CALLS = (
    "DescribeInstances",
    "DescribeTags",
    "StopInstances",
    "StartInstances",
    "CreateTags",
    "DeleteTags",
    "CreateLicenseConversionTaskForResource",
)
"""Calls for which a job is patient while an instance is down."""

_ACCEPTED_CODES = "DryRunOperation"
_IDS = re.compile(r"(?:i|eni)-(0[0-9a-f]+aa)\b")
_HIDDEN_SECONDS = 120.0
"""How long a new task that AWS does not show is a fault that passes."""
_STREAK = 3
"""So many faults in a row, at most, outside a burst."""


@dataclass
class Doom:
    """What becomes of a process, and at which of its calls."""

    kind: str
    """`kill`, `^C` or `credentials`."""
    call: int
    is_after: bool


@dataclass(eq=False)
class Caller:
    """A process as AWS sees it: what it was shown, and what befalls it."""

    process: Process
    stack: str
    doom: Doom | None = None
    cancel: Callable[[], None] = lambda: None
    calls: int = 0
    is_preview: bool = False
    deadlines: dict[str, float] = field(default_factory=dict)
    """When the operations of its resources are over, by URN."""
    lost_credentials_at: float | None = None
    excuses: set[str] = field(default_factory=set)
    """Why this process may be red: what it met that is no fault that passes."""
    excused: set[tuple[str | None, str]] = field(default_factory=set)
    """The resources for which AWS has refused something, and of which instance; of any, without one."""
    acts: list[tuple[float, str, str]] = field(default_factory=list)
    """What was sent that changes an instance: when, what, and which."""
    tasks_seen: dict[str, str] = field(default_factory=dict)
    """The status of each task as it was shown last."""
    listed_at: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When the tasks of an instance were listed last, and as which of the resource's calls."""
    marks_at: dict[str, int] = field(default_factory=dict)
    """As which of the resource's calls the marks of an instance were read last."""
    marks_seen: dict[str, dict[str, float]] = field(default_factory=dict)
    """The marks of an instance as they were read last, each with the moment since which it is shown."""
    unreadable_since: dict[str, float] = field(default_factory=dict)
    """Since when the tasks of an instance can't be listed."""
    state_seen: dict[str, tuple[float, str]] = field(default_factory=dict)
    """The state of each instance at the latest moment of which it was shown; an answer can be older than one before."""
    calls_of: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    """How many calls each resource has made about an instance."""
    streaks: dict[str, int] = field(default_factory=dict)
    bursts: dict[str, float] = field(default_factory=dict)


class Source(AccessSession):
    """Where a session's clients come from: their calls lead to the world, and their credentials are nobody's to renew.

    Args:
        settings: the settings of the connection.
        aws: the world.
        checks: what has to hold there.
        caller: whose clients they are.
    """

    def __init__(self, settings: Settings, aws: Aws, checks: Checks, caller: Caller) -> None:
        super().__init__(settings, runtime=aws.kernel.runtime(caller.process))
        kinds = {"license-manager": LicenseManagerClient, "ec2": Ec2Client, "ssm": SsmClient, "sts": StsClient}
        roles = [role.role_arn or "" for role in settings.assume_roles]
        account = roles[-1].split(":")[4] if roles else ACCOUNT
        self._made = {service: make(aws, checks, caller, account) for service, make in kinds.items()}

    def unchecked_client(self, service: str) -> Any:
        return self._made[service]

    def check_credentials(self) -> None:
        """There is nothing to look for."""

    def renew(self, generation: int) -> bool:
        return False

    def sign_in_hint(self) -> str:
        return "Run `aws sso login`"

    @property
    def origin(self) -> str:
        return "the simulation"


class _Client:
    def __init__(self, aws: Aws, checks: Checks, caller: Caller, account: str) -> None:
        self._aws, self._checks, self._caller, self._account = aws, checks, caller, account

    @property
    def _instances(self) -> list[Instance]:
        return [each for each in self._aws.instances.values() if each.account == self._account]

    def _call(self, name: str, effect: Callable[[], Any], about: str = "", *, is_list: bool = False) -> Any:
        """Make a call: a pause, what befalls it, its effect, a pause, what befalls its answer."""
        aws, caller, kernel = self._aws, self._caller, self._aws.kernel
        caller.calls += 1
        ids = self._ids_in(about)
        for each in ids:
            caller.calls_of[self._urn, each] += 1
        kernel.pause(0.03 + aws.rng.random() ** 3 * 0.6)
        self._befall(name, is_after=False)
        lost = self._draw_fault(name, about, is_list)
        for each in ids if is_list and lost is not None else ():
            caller.unreadable_since.setdefault(each, kernel.now)
        if lost is not None and lost != "after":
            raise lost
        self._log(f"{name} {about}".rstrip())
        try:
            answer = effect()
        except botocore_errors.ClientError as refusal:
            code = refusal.response["Error"]["Code"]
            if code != _ACCEPTED_CODES:
                self._log(f"{name} {about}: refused, {code}")
                passes = ("UnauthorizedOperation", "InsufficientInstanceCapacity")
                if name != "GetLicenseConversionTask" and code not in passes:
                    caller.excused.update((self._urn, each) for each in ids or [""])
            raise
        self._befall(name, is_after=True)
        kernel.pause(0.01 + aws.rng.random() ** 3 * 0.3)
        if lost == "after":
            self._log(f"{name} {about}: no answer")
            raise botocore_errors.ReadTimeoutError(endpoint_url="https://aws")
        return answer

    def _log(self, text: str) -> None:
        thread = self._aws.kernel.current
        urn = (thread.urn or "").rpartition("::")[2] if thread else ""
        self._aws.log(f"{self._caller.process.name} {urn:8} {text}")

    def _befall(self, name: str, *, is_after: bool) -> None:
        caller, doom = self._caller, self._caller.doom
        if doom is not None and doom.call == caller.calls and doom.is_after == is_after:
            caller.doom = None
            caller.excuses.add(doom.kind)
            self._log(f"** {doom.kind} {'after' if is_after else 'before'} {name}")
            self._checks.on_interrupted(caller)
            if doom.kind == "kill":
                self._aws.kernel.kill(caller.process)
                raise KilledError
            if doom.kind == "^C":
                caller.cancel()
            else:
                caller.lost_credentials_at = self._aws.kernel.now
        if caller.lost_credentials_at is not None and not is_after:
            raise refusal(name, "ExpiredTokenException", "The security token included in the request is expired", 403)

    def _draw_fault(self, name: str, about: str, is_list: bool) -> Any:
        """Return the error that the call meets, `after` where its answer is lost, None where all is well."""
        aws, caller, now = self._aws, self._caller, self._aws.kernel.now
        faults = aws.faults
        if aws.is_calm:
            return None
        if aws.has_lost_right(name, self._account):
            return self._deny(name, about)
        if name in JOB_CALLS and not caller.is_preview:
            if caller.bursts.get(name, -1.0) > now:
                return refusal(name, "RequestLimitExceeded", "Request limit exceeded.", 503)
            if aws.chance(faults.burst):
                caller.bursts[name] = now + 60 + 120 * aws.rng.random()
        if is_list and not about.startswith("i-") and name not in caller.bursts and aws.chance(faults.broken_list):
            caller.bursts[name] = now + 400
        if is_list and max(caller.bursts.get(name, -1.0), aws.lists_fail_until) > now:
            if not any(task.process is caller.process and task.instance.id in about for task in aws.tasks):
                caller.excused.update((self._urn, each) for each in self._ids_in(about) or [""])
            return refusal(name, "ServerInternalException", "internal", 500)
        if caller.streaks.get(name, 0) >= _STREAK:
            caller.streaks[name] = 0
            return None
        drawn: Any = None
        if aws.chance(faults.throttle):
            code = "RateLimitExceededException" if "License" in name else "RequestLimitExceeded"
            drawn = refusal(name, code, "slow", 400)
        elif aws.chance(faults.fault):
            drawn = refusal(name, "InternalError", f"oops{NASTY if faults.nasty else ''}", 500)
        elif aws.chance(faults.drop):
            unreachable = botocore_errors.EndpointConnectionError(endpoint_url="https://aws")
            drawn = "after" if aws.rng.random() < 0.5 else unreachable
        caller.streaks[name] = caller.streaks.get(name, 0) + 1 if drawn is not None else 0
        return drawn

    def _deny(self, name: str, about: str) -> Any:
        aws, ids = self._aws, self._ids_in(about)
        if aws.has_lost_right(name, ACCOUNT) or not ids:
            self._caller.excuses.add("no right")
        self._caller.excused.update((self._urn, each) for each in ids)  # a row never stops another account's
        self._checks.excuse_outages(self._caller.stack, "no right")
        if name.startswith("CreateLicense"):
            aws.refused.append((aws.kernel.now, aws.instances[ids[0]], self._urn))
        code = "AccessDeniedException" if "License" in name else "UnauthorizedOperation"
        return refusal(name, code, "You are not authorized to perform this operation.", 403)

    def _ids_in(self, about: str) -> list[str]:
        tasks = [task.instance.id for task in self._aws.tasks if task.id in about] if "lct-" in about else []
        return list(dict.fromkeys([*tasks, *(f"i-{each}" for each in _IDS.findall(about))]))

    @property
    def _urn(self) -> str | None:
        thread = self._aws.kernel.current
        return thread.urn if thread else None


def refusal(name: str, code: str, message: str, status: int = 400) -> botocore_errors.ClientError:
    body: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore_errors.ClientError(body, name)


class LicenseManagerClient(_Client):
    def get_license_conversion_task(self, LicenseConversionTaskId: str) -> Any:
        name, moment = "GetLicenseConversionTask", self._aws.kernel.now

        def get() -> Any:
            task = next((task for task in self._aws.tasks if task.id == LicenseConversionTaskId), None)
            if task is None or (task.got_from > moment and not self._aws.is_calm):
                if task is not None and moment - task.began > _HIDDEN_SECONDS:
                    self._caller.excused.add((self._urn, task.instance.id))
                raise refusal(name, "InvalidParameterValueException", "no such task")
            return self._show(task, self._aws.kernel.now - self._aws.lag(min(10.0, self._aws.faults.task_lag)))

        return self._call(name, get, LicenseConversionTaskId)

    def list_license_conversion_tasks(
        self, Filters: Any = (), NextToken: str | None = None, MaxResults: int = 100
    ) -> Any:
        by = {entry["Name"]: entry["Values"] for entry in Filters}
        arns, statuses = by.get("ResourceArns"), by.get("Status")

        def show() -> Any:
            aws, now = self._aws, self._aws.kernel.now
            moment = now - aws.lag(aws.faults.task_lag)
            tasks = [task for task in aws.tasks if aws.is_calm or task.listed_from <= now]
            tasks = [task for task in tasks if task.instance.account == self._account]
            if arns is not None:
                tasks = [task for task in tasks if task.instance.arn in arns]
            rows = [(task, self._peek(task, moment)) for task in tasks]
            if statuses is not None:
                rows = [row for row in rows if row[1] in statuses]
            for arn in arns or ():
                id = arn.rpartition("/")[2]
                self._caller.listed_at[id] = now, self._caller.calls_of[self._urn, id]
                self._caller.unreadable_since.pop(id, None)
            begin = int(NextToken or 0)
            answer: dict[str, Any] = {
                "LicenseConversionTasks": [self._show(task, moment) for task, _ in rows[begin : begin + MaxResults]]
            }
            if arns is None and aws.chance(aws.faults.unreadable_row):
                answer["LicenseConversionTasks"].append({"LicenseConversionTaskId": "lct-9999", "StartTime": "soon"})
            if len(rows) > begin + MaxResults:
                answer["NextToken"] = str(begin + MaxResults)
            return answer

        about = " ".join(arn.rpartition("/")[2] for arn in arns) if arns else " ".join(statuses or ())
        return self._call("ListLicenseConversionTasks", show, about, is_list=True)

    def _peek(self, task: Task, moment: float) -> str:
        return task.status.at(max(moment, task.began))

    def _show(self, task: Task, moment: float) -> dict[str, Any]:
        status = self._peek(task, moment)
        self._caller.tasks_seen[task.id] = status
        row: dict[str, Any] = {
            "LicenseConversionTaskId": task.id,
            "ResourceArn": task.instance.arn,
            "SourceLicenseContext": {"UsageOperation": task.source},
            "DestinationLicenseContext": {"UsageOperation": task.destination},
            "Status": status,
            "StartTime": self._aws.time(task.began),
        }
        if status in ("SUCCEEDED", "FAILED") and task.ended is not None:
            row |= {"EndTime": self._aws.time(task.ended), "StatusMessage": task.message}
        return row

    def create_license_conversion_task_for_resource(
        self, ResourceArn: str, SourceLicenseContext: Any, DestinationLicenseContext: Any
    ) -> Any:
        name, aws = "CreateLicenseConversionTaskForResource", self._aws
        instance = aws.instances[ResourceArn.rpartition("/")[2]]
        source, destination = (each.get("UsageOperation") for each in (SourceLicenseContext, DestinationLicenseContext))

        def create() -> Any:
            self._checks.before_create(self._caller, self._urn, instance)
            why = self._refuse(instance, source, destination)
            if why is not None:
                aws.refused.append((aws.kernel.now, instance, self._urn))
                raise refusal(name, "InvalidParameterValueException", why)
            task = aws.convert(instance, source, destination, self._caller.process, self._urn)
            self._caller.tasks_seen[task.id] = "IN_PROGRESS"
            self._checks.on_created(self._caller, task)
            return {"LicenseConversionTaskId": task.id}

        return self._call(name, create, f"{instance.id} {source} -> {destination}")

    def _refuse(self, instance: Instance, source: str, destination: str) -> str | None:
        aws = self._aws
        if unfinished := aws.unfinished(instance):
            self._caller.tasks_seen.update((task.id, "said") for task in unfinished)
            if aws.chance(aws.faults.refused_as_failed):
                aws.add_failed(instance, source, destination, self._urn)
            return f"A license conversion of {instance.id} is already in progress"
        if instance.state.value != "stopped":
            return f"ResourceId - {instance.id} is in an invalid state for changing license type"
        if instance.refuses:
            return f"Instance {instance.id} is launched from an Amazon owned AMI.{NASTY if aws.faults.nasty else ''}"
        if source != instance.billed.value:
            return f"{source} is not what {instance.id} is billed as"
        return None


class Ec2Client(_Client):
    def describe_instances(self, Filters: Any = (), InstanceIds: Any = (), **paging: Any) -> Any:
        by = {entry["Name"]: entry["Values"] for entry in Filters}
        ids = by.get("instance-id") or list(InstanceIds) or None

        def show() -> Any:
            aws, now = self._aws, self._aws.kernel.now
            begin, most = int(paging.get("NextToken") or 0), int(paging.get("MaxResults") or 1000)
            found = []
            for instance in self._instances:
                moment = now - aws.lag(aws.faults.ec2_lag)
                is_shown = aws.is_calm or instance.shown_from <= now
                tags = instance.tags.at(moment)
                if not is_shown or (ids is not None and instance.id not in ids):
                    continue
                if "tag-key" in by and not set(by["tag-key"]).intersection(tags):
                    continue
                found.append(self._show(instance, moment, tags))
            answer: dict[str, Any] = {"Reservations": [{"Instances": found[begin : begin + most]}]}
            if len(found) > begin + most:
                answer["NextToken"] = str(begin + most)
            return answer

        return self._call("DescribeInstances", show, " ".join(ids or by.get("tag-key", ())))

    def _show(self, instance: Instance, moment: float, tags: dict[str, Tag]) -> dict[str, Any]:
        state = instance.state.at(moment)
        self._caller.state_seen[instance.id] = max(
            (moment, state), self._caller.state_seen.get(instance.id, (float("-inf"), ""))
        )
        self._see_marks(instance, tags, "instance")
        row: dict[str, Any] = {
            "InstanceId": instance.id,
            "InstanceType": instance.type,
            "State": {"Name": state},
            "UsageOperation": instance.billed.at(moment),
            "RootDeviceType": "ebs",
            "ImageId": "ami-0",
            "LaunchTime": self._aws.time(instance.launched),
            "Placement": {"Tenancy": "default"},
            "StateTransitionReason": instance.transition if state == instance.state.value else "",
            "Tags": [{"Key": key, "Value": tag.value} for key, tag in tags.items()],
            "NetworkInterfaces": [
                {"NetworkInterfaceId": instance.interface, "Attachment": {"DeviceIndex": 0, "Status": "attached"}}
            ],
        }
        if instance.reason and state == instance.state.value:
            row["StateReason"] = {"Code": instance.reason.partition(":")[0], "Message": instance.reason}
        if instance.group:
            row["Tags"].append({"Key": "aws:autoscaling:groupName", "Value": instance.group})
        return row

    def _see_marks(self, instance: Instance, tags: dict[str, Tag], place: str) -> None:
        seen = (tags["lmconv:restart"].value,) if "lmconv:restart" in tags else ()
        key = f"{instance.id} {place}"
        since = self._caller.marks_seen.get(key, {})
        self._caller.marks_seen[key] = {value: since.get(value, self._aws.kernel.now) for value in seen}
        self._caller.marks_at[f"{self._urn} {key}"] = self._caller.calls_of[self._urn, instance.id]

    def describe_tags(self, Filters: Any = (), **paging: Any) -> Any:
        by = {entry["Name"]: entry["Values"] for entry in Filters}
        ids, keys = by.get("resource-id"), by.get("key")

        def show() -> Any:
            aws, now, rows = self._aws, self._aws.kernel.now, []
            begin, most = int(paging.get("NextToken") or 0), int(paging.get("MaxResults") or 1000)
            for instance in self._instances:
                places = (
                    (instance.id, "instance", instance.tags),
                    (instance.interface, "network-interface", instance.interface_tags),
                )
                for resource, kind, held in places:
                    if ids is not None and resource not in ids:
                        continue
                    tags = held.at(now - aws.lag(aws.faults.ec2_lag))
                    self._see_marks(instance, tags, "instance" if kind == "instance" else "interface")
                    rows += [
                        {"ResourceId": resource, "ResourceType": kind, "Key": key, "Value": tag.value}
                        for key, tag in tags.items()
                        if keys is None or key in keys
                    ]
            answer: dict[str, Any] = {"Tags": rows[begin : begin + most]}
            if len(rows) > begin + most:
                answer["NextToken"] = str(begin + most)
            return answer

        return self._call("DescribeTags", show, " ".join(ids or keys or ()))

    def create_tags(self, Resources: Any, Tags: Any, DryRun: bool = False) -> Any:
        def tag() -> Any:
            self._authorize("CreateTags", Resources, DryRun)
            for instance, place in self._find(Resources):
                for entry in Tags:
                    self._checks.before_tag(self._caller, self._urn, instance, entry["Key"])
                    tags = dict(place.value)
                    tags[entry["Key"]] = Tag(
                        entry["Value"], self._aws.kernel.now, self._urn, self._caller.stack, self._caller.process
                    )
                    place.set(self._aws.kernel.now, tags)
            for instance, _ in self._find(Resources):
                self._checks.on_changed(self._urn, instance)
            return {}

        return self._call(
            "CreateTags", tag, f"{' '.join(Resources)} {Tags[0]['Key']}={Tags[0]['Value'][-40:]}{' dry' * DryRun}"
        )

    def delete_tags(self, Resources: Any, Tags: Any, DryRun: bool = False) -> Any:
        def untag() -> Any:
            self._authorize("DeleteTags", Resources, DryRun)
            for instance, place in self._find(Resources):
                for entry in Tags:
                    tag = place.value.get(entry["Key"])
                    if tag is not None and entry.get("Value", tag.value) == tag.value:
                        self._checks.before_untag(self._caller, self._urn, instance, tag, entry["Key"])
                        place.set(self._aws.kernel.now, {k: v for k, v in place.value.items() if k != entry["Key"]})
            for instance, _ in self._find(Resources):
                self._checks.on_changed(self._urn, instance)
            return {}

        return self._call("DeleteTags", untag, f"{' '.join(Resources)} {Tags[0]['Key']}{' dry' * DryRun}")

    def _authorize(self, name: str, resources: Any, dry: bool) -> None:
        has_interface = any(resource.startswith("eni-") for resource in resources)
        if has_interface and self._aws.faults.no_interface_tags:
            self._caller.excuses.add("no right to tags")
            raise refusal(name, "UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
        if dry:
            raise refusal(name, _ACCEPTED_CODES, "Request would have succeeded", 412)

    def _find(self, resources: Any) -> list[tuple[Instance, Shown[dict[str, Tag]]]]:
        found = []
        for resource in resources:
            for instance in self._instances:
                if resource == instance.id:
                    found.append((instance, instance.tags))
                elif resource == instance.interface:
                    found.append((instance, instance.interface_tags))
        return found

    def start_instances(self, InstanceIds: Any, DryRun: bool = False) -> Any:
        instances, aws = [self._aws.instances[each] for each in InstanceIds], self._aws

        def start() -> Any:
            self._authorize("StartInstances", (), DryRun)
            for instance in instances:
                self._check_there("StartInstances", instance)
                self._checks.before_start(self._caller, self._urn, instance)
                if instance.no_capacity_until < 0 and aws.chance(aws.faults.capacity):
                    instance.no_capacity_until = aws.kernel.now + 60 + 600 * aws.rng.random()
                if instance.no_capacity_until > aws.kernel.now and not aws.is_calm:
                    raise refusal("StartInstances", "InsufficientInstanceCapacity", "Insufficient capacity.", 500)
                if instance.state.value == "stopping":
                    raise refusal("StartInstances", "IncorrectInstanceState", "It is not in a state to be started")
            for instance in instances:
                aws.start(instance)
                self._checks.on_started(self._caller, self._urn, instance)
            return {}

        return self._call("StartInstances", start, f"{' '.join(InstanceIds)}{' dry' * DryRun}")

    def stop_instances(self, InstanceIds: Any, Force: bool = False, DryRun: bool = False) -> Any:
        instances = [self._aws.instances[each] for each in InstanceIds]

        def stop() -> Any:
            self._authorize("StopInstances", (), DryRun)
            for instance in instances:
                self._check_there("StopInstances", instance)
                if instance.is_protected:
                    raise refusal("StopInstances", "OperationNotPermitted", "disableApiStop")
                self._checks.before_stop(self._caller, self._urn, instance)
                if instance.state.value == "pending":
                    raise refusal("StopInstances", "IncorrectInstanceState", "It is not in a state to be stopped")
            for instance in instances:
                self._aws.stop(instance, force=Force)
                self._checks.on_stopped(self._caller, self._urn, instance)
            return {}

        return self._call("StopInstances", stop, f"{' '.join(InstanceIds)}{' force' * Force}{' dry' * DryRun}")

    @staticmethod
    def _check_there(name: str, instance: Instance) -> None:
        if instance.is_gone:
            raise refusal(name, "IncorrectInstanceState", "The instance is terminated")

    def describe_instance_attribute(self, InstanceId: str, Attribute: str) -> Any:
        attribute = {"DisableApiStop": {"Value": self._aws.instances[InstanceId].is_protected}}
        return self._call("DescribeInstanceAttribute", lambda: attribute, InstanceId)

    def describe_instance_types(self, InstanceTypes: Any, **_: Any) -> Any:
        rows = [
            {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": 4}, "InstanceStorageSupported": name.startswith("m5d")}
            for name in InstanceTypes
        ]
        return self._call("DescribeInstanceTypes", lambda: {"InstanceTypes": rows}, " ".join(InstanceTypes))

    def describe_images(self, **_: Any) -> Any:
        return self._call("DescribeImages", lambda: {"Images": [{"ImageId": "ami-0"}]})

    def describe_addresses(self, **_: Any) -> Any:
        return self._call("DescribeAddresses", lambda: {"Addresses": []})

    def describe_spot_instance_requests(self, **_: Any) -> Any:
        return self._call("DescribeSpotInstanceRequests", lambda: {"SpotInstanceRequests": []})


class SsmClient(_Client):
    def describe_instance_information(self, Filters: Any = (), **_: Any) -> Any:
        known = {"InstanceInformationList": [{"InstanceId": id} for entry in Filters for id in entry["Values"]]}
        return self._call("DescribeInstanceInformation", lambda: known)


class StsClient(_Client):
    def get_caller_identity(self) -> Any:
        return self._call("GetCallerIdentity", lambda: {"Account": self._account})
