"""What can go wrong with a call: each effect is a value, and says what it does to the call and to its answer."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ConnectionClosedError
from moto.core.exceptions import ServiceException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STATUSES = {
    "AccessDeniedException": 400,
    "AuthorizationException": 400,
    "InvalidParameterValueException": 400,
    "RateLimitExceededException": 400,
    "ServerInternalException": 500,
    "ValidationException": 400,
    # What any service may answer: https://docs.aws.amazon.com/mgn/latest/APIReference/CommonErrors.html
    "ExpiredTokenException": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "NotAuthorized": 401,
    "OptInRequired": 403,
    "RequestExpired": 400,
    "ServiceUnavailable": 503,
    "ThrottlingException": 400,
    "UnrecognizedClientException": 403,
}
"""HTTP status by code, of the errors that AWS documents for the three calls."""

_TIMES = ("StartTime", "LicenseConversionTime", "EndTime")
_LIST = "ListLicenseConversionTasks"
_LIST_MEMBERS = ("LicenseConversionTasks", "NextToken")


class RefusedError(ServiceException):
    """An error with a code and a status that the service model may not have."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """An answer on its way to the client."""

    operation: str
    url: str
    connection: socket.socket | None
    """To the client; None inside `mock_aws`, where there is none."""
    status: int
    headers: dict[str, Any]
    body: str | bytes

    def change_members(self, change: Callable[[dict[str, Any]], None]) -> Answer:
        """Return the answer with its members changed; an error is left as it is."""
        if self.status != 200:
            return self
        members = json.loads(self.body)
        change(members)
        return replace(self, body=json.dumps(members))


@dataclass(frozen=True)
class Effect:
    """What a fault does to a call it hits. This one does nothing."""

    kind: ClassVar[str]
    """What it is counted as."""

    lets_others_in: ClassVar[bool] = False
    """Whether faults that were added later may hit the same call."""

    def before(self, sleep: Callable[[float], None]) -> None:
        """Do what comes before the call is carried out. An error raised here is its answer."""

    def change(self, answer: Answer) -> Answer:
        """Return the answer that the client gets instead of this one."""
        return answer


@dataclass(frozen=True)
class ErrorAnswer(Effect):
    """AWS refuses the call with an error, and does not carry it out."""

    kind = "error"
    code: str
    message: str | None = None
    http_status: int | None = None
    """None is AWS's own for this code. A code that AWS does not document for these calls needs one."""

    def __post_init__(self) -> None:
        if self.http_status is None and self.code not in _STATUSES:
            raise ValueError(f"code: {self.code!r} is not known to the emulator, so it needs an http_status")

    def before(self, sleep: Callable[[float], None]) -> None:
        """Raise the error."""
        status = self.http_status or _STATUSES[self.code]
        raise RefusedError(self.code, self.message or f"The emulator was told to: {self.code}.", status)


@dataclass(frozen=True)
class RawAnswer(Effect):
    """The call is carried out, but its answer is this, as a gateway gives it: 502 and nothing, 200 and a web page.

    botocore makes a ClientError whose code is the status of the first, and of a 200 whose body is no JSON an answer
    without members; a JSON value that is no object makes it fail with an AttributeError.
    """

    kind = "http"
    http_status: int
    body: str = ""
    content_type: str = "text/html"

    def change(self, answer: Answer) -> Answer:
        """Return this answer."""
        return replace(answer, status=self.http_status, headers={"Content-Type": self.content_type}, body=self.body)


@dataclass(frozen=True)
class ChangedAnswer(Effect):
    """The call is carried out, but its answer has some members added or replaced, and others not.

    In ListLicenseConversionTasks this is done to each task; only `LicenseConversionTasks` and `NextToken` are the
    answer's own. Errors stay as they are.
    """

    kind = "answer"
    members: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def change(self, answer: Answer) -> Answer:
        """Return the answer with other members."""

        def change(whole: dict[str, Any]) -> None:
            own = [name for name in (*self.members, *self.without) if _is_of_list(answer, name)]
            for task in _tasks_in(answer, whole):
                self._change(task, [name for name in (*self.members, *self.without) if name not in own])
            self._change(whole, own)

        return answer.change_members(change)

    def _change(self, place: dict[str, Any], names: list[str]) -> None:
        for name in names:
            if name in self.without:
                place.pop(name, None)
            else:
                place[name] = self.members[name]


@dataclass(frozen=True)
class DroppedConnection(Effect):
    """The call is carried out, but the connection ends before its answer, or in the middle of it.

    Inside `mock_aws`, without connections, the client gets what botocore makes of it. Before the answer that is
    ConnectionClosedError. Half an answer is none to botocore, which checks no length: no error, and no members.
    """

    kind = "drop"
    halfway: bool = False

    def change(self, answer: Answer) -> Answer:
        """End the connection; whatever the server then writes is lost."""
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        half = body[: len(body) // 2]
        if answer.connection is None:
            if not self.halfway:
                raise ConnectionClosedError(endpoint_url=answer.url)
            return replace(answer, body=half)
        with suppress(OSError):  # the client may have been faster
            if self.halfway:
                head = f"HTTP/1.1 {answer.status} \r\nContent-Length: {len(body)}\r\n\r\n"
                answer.connection.sendall(head.encode() + half)
            answer.connection.shutdown(socket.SHUT_RDWR)
        return answer


@dataclass(frozen=True)
class SlowAnswer(Effect):
    """The call waits so long before it is carried out."""

    kind = "slow"
    lets_others_in = True
    delay_seconds: float

    def before(self, sleep: Callable[[float], None]) -> None:
        """Wait."""
        sleep(self.delay_seconds)


@dataclass(frozen=True)
class ShiftedClock(Effect):
    """AWS's clock is off: all times of tasks are later by so much, or earlier."""

    kind = "clock"
    lets_others_in = True
    offset_seconds: float

    def change(self, answer: Answer) -> Answer:
        """Return the answer with other times."""

        def change(whole: dict[str, Any]) -> None:
            for task in _tasks_in(answer, whole):
                task.update({name: task[name] + self.offset_seconds for name in _TIMES if name in task})

        return answer.change_members(change)


def _is_of_list(answer: Answer, name: str) -> bool:
    return answer.operation == _LIST and name in _LIST_MEMBERS


def _tasks_in(answer: Answer, whole: dict[str, Any]) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = whole["LicenseConversionTasks"] if answer.operation == _LIST else [whole]
    return tasks
