"""What can go wrong, each in one sentence for the person at the terminal.

    LicenseConversionError                 base; has .task_id and .region
    ├── SettingsError                      a region, profile, endpoint or role that can't be used
    ├── CredentialsError                   none found, expired, or refused by AWS
    ├── AccessDeniedError                  the IAM action is not allowed
    ├── TaskNotFoundError                  AWS does not know the id in this region and account
    ├── NoConversionError                  a resource has no license conversion that could be tracked
    ├── OtherConversionError               another conversion of the resource is in progress
    ├── PreflightError                     the resource is not ready to be converted
    ├── StartInterruptedError              cancelled before a conversion was started
    ├── RequestRefusedError                any other refusal by AWS
    ├── UnexpectedStatusError              a status that AWS's published model does not have
    ├── TransientError                     worth another try; has .reason
    │   ├── ThrottledError                 AWS asks to slow down
    │   ├── ServiceFaultError              AWS answered with an error of its own (5xx)
    │   ├── EndpointUnreachableError       no connection, or it broke
    │   └── UnreadableAnswerError          what came back is not an answer
    └── WaitError                          a wait that did not end in success; has .task, the last one seen
        ├── ConversionFailedError          the task ended FAILED
        │   └── StartedConversionFailedError   and it was the program's own
        ├── WaitTimeoutError               the deadline passed
        ├── WaitFaultError                 no look has succeeded for too long
        └── WaitInterruptedError           cancelled, or Pulumi's engine is gone

Each class takes facts and writes its own sentence: *what was being done (task, region): why. What to do next.*
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmconv_resource.models import ConversionTask

GET_ACTION = "GetLicenseConversionTask"
LIST_ACTION = "ListLicenseConversionTasks"
CREATE_ACTION = "CreateLicenseConversionTaskForResource"


def to_duration_text(seconds: float) -> str:
    """Give a number of seconds as people say it: `9s`, `3m20s`, `2h00m`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def to_one_line(text: str) -> str:
    """Give the text with each run of white space, line breaks too, as one space."""
    return " ".join(text.split())


def to_failure_reason(status_message: str | None) -> str:
    """Give AWS's word on why a task FAILED, in one line."""
    return to_one_line(status_message or "AWS gives no status message")


class LicenseConversionError(Exception):
    """The base of every error a user can act on. Its text is one line."""

    def __init__(self, sentence: str, *, task_id: str | None, region: str | None) -> None:
        super().__init__(to_one_line(sentence))
        self.task_id = task_id
        self.region = region


def _place(task_id: str | None, region: str | None) -> str:
    task = f"license conversion task {task_id}" if task_id else "license conversion tasks"
    return f"{task} in {region}" if region else task


def _doing(action: str, task_id: str | None, region: str | None, resource_arn: str | None = None) -> str:
    """Say what was being done: an action of License Manager on a task, or one, EC2's too, on a resource."""
    if resource_arn is None:
        verb = {GET_ACTION: "Looking up", LIST_ACTION: "Listing"}.get(action, action)
        return f"{verb} {_place(task_id, region)}"
    doing = {
        LIST_ACTION: "Looking for the license conversions of",
        CREATE_ACTION: "Starting the license conversion of",
    }.get(action, "Looking at")
    return f"{doing} {resource_arn} in {region}"


def _to_permission(action: str) -> str:
    return action if ":" in action else f"license-manager:{action}"


class SettingsError(LicenseConversionError):
    """A region, profile, endpoint or role that can't be used."""

    def __init__(self, *, reason: str, remedy: str, task_id: str | None = None, region: str | None = None) -> None:
        super().__init__(
            f"Connecting to AWS License Manager for {_place(task_id, region)}: {reason}. {remedy}.",
            task_id=task_id,
            region=region,
        )
        self.reason = reason
        self.remedy = remedy

    def about(self, task_id: str | None) -> SettingsError:
        """Give the same error, told of the task that the connection was for."""
        return SettingsError(reason=self.reason, remedy=self.remedy, task_id=task_id, region=self.region)


class CredentialsError(LicenseConversionError):
    """AWS credentials are missing, expired or refused."""

    def __init__(
        self,
        *,
        reason: str,
        remedy: str,
        task_id: str | None,
        region: str | None,
        action: str = GET_ACTION,
        resource_arn: str | None = None,
    ) -> None:
        super().__init__(
            f"{_doing(action, task_id, region, resource_arn)}: {reason}. {remedy}.", task_id=task_id, region=region
        )


class AccessDeniedError(LicenseConversionError):
    """The caller lacks the right to an action of AWS License Manager."""

    def __init__(
        self,
        *,
        code: str,
        reason: str,
        task_id: str | None,
        region: str | None,
        action: str = GET_ACTION,
        resource_arn: str | None = None,
    ) -> None:
        super().__init__(
            f"{_doing(action, task_id, region, resource_arn)}: AWS denies access ({code}: {reason}). "
            f"Allow {_to_permission(action)} in the IAM policy of the credentials in use.",
            task_id=task_id,
            region=region,
        )


class TaskNotFoundError(LicenseConversionError):
    """AWS does not know the task's id. It says the same of a wrong region and of another account's task."""

    def __init__(self, *, code: str, reason: str, task_id: str | None, region: str | None) -> None:
        super().__init__(
            f"{_doing(GET_ACTION, task_id, region)}: AWS does not know it there ({code}: {reason}). "
            f"Check the id, the region (set `region` or run `pulumi config set aws:region REGION`) "
            f"and that the credentials belong to the task's account.",
            task_id=task_id,
            region=region,
        )


class NoConversionError(LicenseConversionError):
    """AWS shows no license conversion of a resource."""

    def __init__(self, *, resource_arn: str, region: str) -> None:
        super().__init__(
            f"{_doing(LIST_ACTION, None, region, resource_arn)}: AWS shows none. Check the ARN, the region "
            f"(set `region` or run `pulumi config set aws:region REGION`) and the account of the credentials.",
            task_id=None,
            region=region,
        )
        self.resource_arn = resource_arn


class OtherConversionError(LicenseConversionError):
    """A conversion of the resource is in progress, and it is not the one that was asked for."""

    def __init__(self, *, task: ConversionTask, resource_arn: str) -> None:
        super().__init__(
            f"{_doing(CREATE_ACTION, task.task_id, task.region, resource_arn)}: license conversion task {task.task_id} "
            f"is in progress and converts it otherwise. Wait for its end, then run `pulumi up` again.",
            task_id=task.task_id,
            region=task.region,
        )
        self.task = task
        self.resource_arn = resource_arn


class PreflightError(LicenseConversionError):
    """The resource is not ready to be converted; nothing was started."""

    def __init__(self, *, reason: str, remedy: str, resource_arn: str, region: str) -> None:
        super().__init__(
            f"{_doing(CREATE_ACTION, None, region, resource_arn)}: {reason}. {remedy}.", task_id=None, region=region
        )
        self.resource_arn = resource_arn


class StartInterruptedError(LicenseConversionError):
    """Starting a conversion was told to stop: the operation was cancelled, or Pulumi's engine is gone."""

    def __init__(self, *, resource_arn: str, region: str) -> None:
        super().__init__(
            f"{_doing(CREATE_ACTION, None, region, resource_arn)}: it was told to stop. "
            f"The next `pulumi up` looks for what was started, and goes on from there.",
            task_id=None,
            region=region,
        )
        self.resource_arn = resource_arn


class RequestRefusedError(LicenseConversionError):
    """AWS refused the request for a reason that no other class stands for."""

    def __init__(
        self,
        *,
        code: str,
        reason: str,
        task_id: str | None,
        region: str | None,
        action: str = GET_ACTION,
        resource_arn: str | None = None,
    ) -> None:
        super().__init__(
            f"{_doing(action, task_id, region, resource_arn)}: AWS refused the request ({code}: {reason}). "
            f"Mend what AWS names and run `pulumi up` again.",
            task_id=task_id,
            region=region,
        )


class UnexpectedStatusError(LicenseConversionError):
    """AWS gave a status that its published model does not have, so whether the task goes on can't be told."""

    def __init__(self, *, status: str, task_id: str, region: str) -> None:
        super().__init__(
            f"{_doing(GET_ACTION, task_id, region)}: AWS gave the status {status!r}, which is none of IN_PROGRESS, "
            f"SUCCEEDED and FAILED. Look at the task in the AWS console, and upgrade lmconv-resource if there is a "
            f"newer version.",
            task_id=task_id,
            region=region,
        )
        self.status = status


class TransientError(LicenseConversionError):
    """A fault that may be gone at the next try. `.reason` is the part that says why."""

    remedy = "Run `pulumi up` again in a while"

    def __init__(
        self,
        *,
        reason: str,
        task_id: str | None,
        region: str | None,
        action: str = GET_ACTION,
        resource_arn: str | None = None,
    ) -> None:
        super().__init__(
            f"{_doing(action, task_id, region, resource_arn)}: {reason}. {self.remedy}.", task_id=task_id, region=region
        )
        self.reason = to_one_line(reason)


class ThrottledError(TransientError):
    """AWS asks to slow down."""

    remedy = "Run `pulumi up` again in a while, with a lower --parallel if it comes back"


class ServiceFaultError(TransientError):
    """AWS answered with an error of its own."""


class EndpointUnreachableError(TransientError):
    """No connection to AWS could be made, or it broke before the answer was there."""

    remedy = "Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again"


class UnreadableAnswerError(TransientError):
    """What came back is not an answer of AWS License Manager."""

    remedy = "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again"


class WaitError(LicenseConversionError):
    """A wait that did not end in success. `.task` is the last one seen, None if no look has succeeded."""

    def __init__(
        self, sentence: str, *, task_id: str, region: str, task: ConversionTask | None, waited_seconds: float
    ) -> None:
        super().__init__(sentence, task_id=task_id, region=region)
        self.task = task
        self.waited_seconds = waited_seconds


def _last_seen(task: ConversionTask | None) -> str:
    if task is None:
        return "it was not seen yet"
    status = task.status.value if task.status else "no status"
    return f"last seen {status}: {task.status_message}" if task.status_message else f"last seen {status}"


GOES_ON = "The conversion goes on in AWS, and the next `pulumi up` picks it up"


class ConversionFailedError(WaitError):
    """The task ended FAILED. Nothing is waited for any more."""

    remedy = "Mend the cause and start a new conversion, or set ignore_failure=True to record this one as it is"

    def __init__(self, *, task: ConversionTask, waited_seconds: float) -> None:
        reason = to_failure_reason(task.status_message).rstrip(".")
        super().__init__(
            f"Waiting for {_place(task.task_id, task.region)}: it FAILED: {reason}. {self.remedy}.",
            task_id=task.task_id,
            region=task.region,
            task=task,
            waited_seconds=waited_seconds,
        )


class StartedConversionFailedError(ConversionFailedError):
    """A conversion that the program declares ended FAILED."""

    remedy = "Mend the cause; the next `pulumi up` starts a new conversion"


class WaitTimeoutError(WaitError):
    """The deadline passed before the task ended."""

    def __init__(self, *, task_id: str, region: str, task: ConversionTask | None, waited_seconds: float) -> None:
        super().__init__(
            f"Waiting for {_place(task_id, region)}: it did not end within {to_duration_text(waited_seconds)} "
            f"({_last_seen(task)}). {GOES_ON}; "
            f"custom_timeouts sets how long to wait.",
            task_id=task_id,
            region=region,
            task=task,
            waited_seconds=waited_seconds,
        )


class WaitFaultError(WaitError):
    """Every look has failed for so long that it is no hiccup any more. The cause is the last fault."""

    def __init__(
        self,
        *,
        fault: TransientError,
        task_id: str,
        region: str,
        task: ConversionTask | None,
        faulty_seconds: float,
        waited_seconds: float,
    ) -> None:
        super().__init__(
            f"Waiting for {_place(task_id, region)}: every look has failed for {to_duration_text(faulty_seconds)}, "
            f"the last because {fault.reason} ({_last_seen(task)}). {fault.remedy}; the conversion goes on in AWS.",
            task_id=task_id,
            region=region,
            task=task,
            waited_seconds=waited_seconds,
        )


class WaitInterruptedError(WaitError):
    """The wait was told to stop: the operation was cancelled, or Pulumi's engine is gone."""

    def __init__(
        self, *, why: str, task_id: str, region: str, task: ConversionTask | None, waited_seconds: float
    ) -> None:
        super().__init__(
            f"Waiting for {_place(task_id, region)}: {why} after {to_duration_text(waited_seconds)} "
            f"({_last_seen(task)}). {GOES_ON}.",
            task_id=task_id,
            region=region,
            task=task,
            waited_seconds=waited_seconds,
        )
