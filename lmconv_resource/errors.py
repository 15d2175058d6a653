"""What can go wrong, each in one sentence for the person at the terminal.

    LicenseConversionError              base: *what was being done (id, region): why. What to do next.*
    ├── SettingsError                   a region, profile, endpoint or role that can't be used
    ├── CredentialsError                none found, expired, or refused by AWS
    │   └── ExpiredCredentialsError     they were good once
    ├── AccessDeniedError               the IAM action is not allowed
    ├── RequestRefusedError             any other refusal by AWS; has .code
    │   └── TaskNotFoundError           AWS does not know the id in this region and account
    ├── CancelledError                  cancelled, or its time is over, before it was done
    ├── OtherConversionError            another conversion of the resource is in progress
    ├── TransientError                  worth another try
    │   ├── ThrottledError              AWS throttles the calls
    │   ├── ServiceFaultError           AWS answered with an error of its own (5xx)
    │   ├── EndpointUnreachableError    no connection, or it broke
    │   └── ClockSkewError              AWS takes the request for too old or too new
    └── WaitError                       a wait that did not end in success; has .task, the last one seen
        └── ConversionFailedError       the task ended FAILED

A class exists where some code catches it. Deep code raises with what it knows, and the caller adds the rest with
`about`. What AWS and botocore raise becomes one of these in `aws.error_mapping` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lmconv_resource.text import fill, to_one_line, to_plain_text

if TYPE_CHECKING:
    from typing_extensions import Self

    from lmconv_resource.models import ConversionTask

GET_ACTION = "GetLicenseConversionTask"
LIST_ACTION = "ListLicenseConversionTasks"
CREATE_ACTION = "CreateLicenseConversionTaskForResource"
CONNECT_ACTION = "Connecting to AWS License Manager for"
WAIT_ACTION = "Waiting for"
FLEET_ACTION = "Converting the licenses of"

_ON_TASKS = {GET_ACTION: "Looking up", LIST_ACTION: "Listing"}
_ON_RESOURCE = {
    LIST_ACTION: "Listing the license conversions of",
    CREATE_ACTION: "Starting the license conversion of",
    "ec2:StopInstances": "Stopping",
    "ec2:StartInstances": "Starting",
    "ec2:CreateTags": "Marking",
    "ec2:DeleteTags": "Unmarking",
}


class Subject(NamedTuple):
    """What a call was about; its text begins every sentence. `action` is one of AWS's (`ec2:StopInstances`)."""

    action: str = GET_ACTION
    task_id: str | None = None
    region: str | None = None
    resource_arn: str | None = None

    def __str__(self) -> str:
        """Return what was being done: an action on a task, or one on a resource."""
        if self.action == FLEET_ACTION:
            return f"{self.action} {self.resource_arn}"
        if self.resource_arn is not None and self.action not in (CONNECT_ACTION, WAIT_ACTION):
            return f"{_ON_RESOURCE.get(self.action, 'Checking')} {self.resource_arn} in {self.region}"
        task = f"license conversion task {self.task_id}" if self.task_id else "license conversion tasks"
        place = f" in {self.region}" if self.region else ""
        return f"{_ON_TASKS.get(self.action, self.action)} {task}{place}"

    @property
    def permission(self) -> str:
        """The IAM action that allows it."""
        return self.action if ":" in self.action else f"license-manager:{self.action}"


class LicenseConversionError(Exception):
    """The base of every error a user can act on. Its text is one line. A class's `remedy` is for `fill`."""

    remedy = ""
    task: ConversionTask | None = None
    """The one that was seen last, where a wait ended in this error."""

    def __init__(self, subject: Subject, reason: str, remedy: str | None = None) -> None:
        super().__init__(subject, reason, remedy)
        self.subject = subject
        self.reason = to_one_line(reason)
        self.remedy = remedy or fill(self.remedy)

    def __str__(self) -> str:
        """Return the sentence."""
        return to_plain_text(to_one_line(f"{self.subject}: {self.explanation}"))

    @property
    def explanation(self) -> str:
        """Why, and what to do next, without what was being done: for where that is said already."""
        return f"{self.reason}. {self.remedy}".rstrip(". ") + "."

    def adding(self, remedy: str) -> Self:
        """Add to what to do next, and return this error."""
        self.remedy = f"{self.remedy}; {remedy}".removeprefix("; ")
        return self

    def about(self, **facts: Any) -> Self:
        """Add what the raiser did not know of the subject (`task_id`, `region`, …), and return this error."""
        self.subject = self.subject._replace(**facts)
        return self


class SettingsError(LicenseConversionError):
    """A region, profile, endpoint or role can't be used."""

    key = ""
    """The setting that it is about, without its namespace; empty where it is about none or several."""


class CredentialsError(LicenseConversionError):
    """AWS credentials are missing, expired or refused."""

    remedy = (
        "Set credentials {with profile NAME}, with AWS_PROFILE, or with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


class ExpiredCredentialsError(CredentialsError):
    """The credentials were good once."""

    remedy = "Sign in again (`aws sso login`, or however you get your credentials)"


class AccessDeniedError(LicenseConversionError):
    """The caller lacks the right to an action."""


class RequestRefusedError(LicenseConversionError):
    """AWS refused the request for a reason that no other class stands for. `code` is AWS's word for it."""

    remedy = "Fix what AWS reports and run `pulumi up` again"

    def __init__(self, subject: Subject, reason: str, remedy: str | None = None, *, code: str = "") -> None:
        super().__init__(subject, reason, remedy)
        self.code = code


class TaskNotFoundError(RequestRefusedError):
    """AWS does not know the task's id. It says the same of a wrong region and of another account's task."""

    remedy = (
        "Check the id, the region (set `region` or {run region REGION}) "
        "and that the credentials belong to the task's account"
    )


class CancelledError(LicenseConversionError):
    """What was under way was told to stop, or its time is over. Nothing more is begun."""

    remedy = "The next `pulumi up` continues from there"


class OtherConversionError(LicenseConversionError):
    """A conversion of the resource is in progress, and it is not the one that was asked for."""

    remedy = "Wait for its end, then run `pulumi up` again"


class TransientError(LicenseConversionError):
    """A fault that may be gone at the next try."""

    remedy = "Run `pulumi up` again in a while"


class ThrottledError(TransientError):
    """AWS throttles the calls."""

    remedy = "Run `pulumi up` again in a while, with a lower --parallel if it happens again"


class ServiceFaultError(TransientError):
    """AWS answered with an error of its own."""


class EndpointUnreachableError(TransientError):
    """No connection to AWS could be made, or it broke before the answer was there."""

    remedy = "Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again"


class ClockSkewError(TransientError):
    """AWS rejects the time in the request's signature: this machine's clock is wrong, or the machine slept."""

    remedy = "Set this machine's clock (by NTP, for example), then run `pulumi up` again"


UNREADABLE_REMEDY = (
    "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again"
)
"""For a `TransientError` about what came back being no answer of AWS's."""


class WaitError(LicenseConversionError):
    """A wait that did not end in success. `task` is the last one seen, None if none was."""

    remedy = "The conversion continues in AWS, and the next `pulumi up` picks it up"

    def __init__(
        self, subject: Subject, reason: str, remedy: str | None = None, *, task: ConversionTask | None
    ) -> None:
        super().__init__(subject, reason, remedy)
        self.task = task


class ConversionFailedError(WaitError):
    """The task ended FAILED."""

    remedy = "Fix the cause and start a new conversion, or set {ignore_failure=True} to record this one as it is"
