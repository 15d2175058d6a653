"""The matrix as data: what becomes of each operation under each fault. tests/reliability/test_matrix.py runs it.

`make tables` puts it into docs/reliability.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource import errors
from lmconv_resource.emulator import ChangedAnswer, DroppedConnection, ErrorAnswer, RawAnswer, ShiftedClock, SlowAnswer
from lmconv_resource.emulator.effects import Effect
from lmconv_resource.text import fill

TOLD_AS = {"IN_PROGRESS": "step 1 of 3", "SUCCEEDED": "all went well", "FAILED": "SSM inventory is missing"}
"""The StatusMessage of a task by its status."""

OPERATIONS = {
    "check": "`preview` of a new resource",
    "create": "`up` with a new resource, without the wait option; its task has ended",
    "wait": "`up` with a new resource that waits; its task ends at the second look",
    "diff running": "`up` with a record that shows IN_PROGRESS; its task has ended since",
    "diff finished": "`up` with a record that shows SUCCEEDED",
    "refresh running": "`refresh` of a record that shows IN_PROGRESS; its task has ended since",
    "refresh finished": "`refresh` of a record that shows SUCCEEDED",
    "get": "`up` with `LicenseConversionTask.get`",
    "update": "`up` that turns the wait on for a record that shows IN_PROGRESS; its task ends at the second look",
    "delete": "`destroy` of a record that shows SUCCEEDED",
}
"""The columns, and what each does."""

WAITING = ("wait", "update")
"""The operations that carry a fault which may pass for five minutes; here it lasts two looks."""

FRESH = ("check", "create", "wait", "get")
"""The operations that begin with an empty state."""

WORDS = {
    "-": ("AWS is not asked, so nothing goes wrong.", "what the operation means to leave there"),
    "goes on": ("The fault does no harm.", "the whole task as it is at AWS"),
    "as answered": (
        "The answer is believed.",
        "the task with exactly what the answer said; what it left out is null, a context empty",
    ),
    "retried": ("The next try, within a second, succeeds.", "the whole task as it is at AWS"),
    "carried": (
        "The wait goes on, shows the fault live on the resource's row, and ends well once the fault is over.",
        "the whole task as it is at AWS",
    ),
    "kept": ("The resource gets a warning.", "the record as it was, to the letter"),
    "error": (
        "The resource fails at the first answer, with one line.",
        "no record of a new resource; else the record as it was, to the letter",
    ),
    "gives up": (
        "The resource fails with one line, after as many tries as `aws:maxRetries` allows (7 more, about half a "
        "minute, by default).",
        "no record of a new resource; else the record as it was, to the letter",
    ),
}
"""What a cell may say: what happens, and what the state holds afterwards."""


@dataclass(frozen=True)
class FaultRow:
    """A fault and what becomes of each operation under it."""

    name: str
    cells: Mapping[str, str]
    """A word by operation."""
    effects: tuple[Effect, ...]
    line: str = ""
    """What follows `Looking up license conversion task <ID> in <REGION>: ` in the error; <ENDPOINT> is the URL."""
    or_line: str = ""
    """What may follow instead: early versions of botocore 1.43 notice what later ones do not."""
    warning: str = ""
    """What the resource is warned of where its record is kept; <ID> stands for the task's id."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The outputs that differ from the task's own where the answer is believed."""
    calls: int | None = None
    """How many calls are hit; None is all."""
    good_calls: int = 0
    """How many calls have a good answer first."""
    passes: bool = False
    """Whether a wait carries it."""


def _row(name: str, cells: str, *effects: Effect, **more: Any) -> FaultRow:
    words = [word.strip() for word in cells.split("|")]
    return FaultRow(name, dict(zip(OPERATIONS, words, strict=True)), effects, **more)


_NEVER = "-       | error       | error    | error        | - | error       | error    | error       | error    | -"
_ONCE = "-        | retried     | carried  | retried      | - | retried     | retried  | retried     | carried  | -"
_GIVES_UP = "-    | gives up    | carried  | gives up     | - | gives up    | gives up | gives up    | carried  | -"
_HARMLESS = "-    | goes on     | goes on  | goes on      | - | goes on     | goes on  | goes on     | goes on  | -"
_LATER = "-       | goes on     | carried  | goes on      | - | goes on     | goes on  | goes on     | carried  | -"
_BELIEVED = "-    | as answered | as answered | as answered | - | as answered | goes on | as answered | as answered | -"
_FORGOTTEN = "-   | error       | carried  | error        | - | error       | kept     | error       | carried  | -"
_BACKWARDS = "-   | as answered | goes on  | as answered  | - | as answered | kept     | as answered | goes on  | -"
_SHIFTED = (
    "-     | as answered | as answered | as answered | - | as answered | as answered | as answered | as answered | -"
)

_DENIED = (
    "AWS denies access ({}: The reason). Allow license-manager:GetLicenseConversionTask in the IAM policy of the "
    "credentials in use."
)
_OWN_FAULT = "AWS had an internal fault ({}). Run `pulumi up` again in a while."


def _line(reason: str, remedy: str) -> str:
    """Return a line by its reason and the remedy of its class of errors, which tests/aws pins."""
    return f"{reason}. {fill(remedy)}."


_SLOWER = _line("AWS throttles the calls ({}: The reason)", errors.ThrottledError.remedy)
_NO_TASK = _line("the response is not a license conversion task", errors.UNREADABLE_REMEDY)
_UNREADABLE = _line("the answer can't be read ({})", errors.UNREADABLE_REMEDY)
_NOTHING_OF_IT = _line("the answer has no {}", errors.UNREADABLE_REMEDY)
_CLOSED = _line(
    'Connection was closed before we received a valid response from endpoint URL: "<ENDPOINT>/"',
    errors.EndpointUnreachableError.remedy,
)
_UNKNOWN = _line(
    "AWS does not know it there (InvalidParameterValueException: The reason)", errors.TaskNotFoundError.remedy
)
_REOPENED = (
    "<ID> is recorded as SUCCEEDED and AWS now reports {}. The record is kept; check the task in the AWS console."
)
_TIMES = ("StartTime", "LicenseConversionTime", "EndTime")
_EMPTY_CONTEXT = {"usage_operation": None, "product_codes": list[str]()}
_PAGE = "<html>the page of a proxy</html>"
_JSON = "application/x-amz-json-1.1"


def _refuse(code: str) -> ErrorAnswer:
    return ErrorAnswer(code, "The reason.")


def _denied(code: str) -> FaultRow:
    return _row(f"`{code}`", _NEVER, _refuse(code), line=_DENIED.format(code))


def _once(name: str, effect: Effect) -> FaultRow:
    return _row(f"{name}, once", _ONCE, effect, calls=1, passes=True)


def _lasts(name: str, effect: Effect, line: str, or_line: str = "") -> FaultRow:
    return _row(name, _GIVES_UP, effect, line=line, or_line=or_line, passes=True)


def _both(name: str, effect: Effect, line: str, or_line: str = "") -> tuple[FaultRow, FaultRow]:
    return _once(name, effect), _lasts(name, effect, line, or_line)


def _without(*members: str) -> ChangedAnswer:
    return ChangedAnswer(without=members)


def _with(**members: Any) -> ChangedAnswer:
    return ChangedAnswer(members=members)


_SLEPT = ErrorAnswer("InvalidSignatureException", "Signature expired: then is now earlier than now.", 400)
_CLOCK = _line(
    "AWS rejects the request's time (InvalidSignatureException: Signature expired: then is now earlier than now)",
    errors.ClockSkewError.remedy,
)


def _shift(hours: int) -> dict[str, str]:
    start, end = (2 + hours, 3 + hours)
    day = 2 if end >= 0 else 1
    times = {"start_time": start % 24, "license_conversion_time": end % 24, "end_time": end % 24}
    return {name: f"2026-01-{day:02}T{hour:02}:04:05Z" for name, hour in times.items()}


FAULTS = (
    _row("none", _HARMLESS),
    _row(
        "`InvalidParameterValueException`",
        _FORGOTTEN,
        _refuse("InvalidParameterValueException"),
        line=_UNKNOWN,
        warning="The record of the finished task is kept as it was. Looking up license conversion task <ID> in "
        f"<REGION>: {_UNKNOWN}",
        passes=True,
    ),
    _denied("AuthorizationException"),
    _denied("AccessDeniedException"),
    _row(
        "`ExpiredTokenException`",
        _NEVER,
        _refuse("ExpiredTokenException"),
        line="the credentials have expired (ExpiredTokenException: The reason). Set AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again.",
    ),
    _row("signature too old: `InvalidSignatureException`", _NEVER, _SLEPT, line=_CLOCK),
    _row("signature too old, after a good answer", _LATER, _SLEPT, good_calls=1, passes=True),
    _row(
        "`InvalidParameterValueException`, after a good answer",
        _LATER,
        _refuse("InvalidParameterValueException"),
        good_calls=1,
        passes=True,
    ),
    *_both(
        "`ServerInternalException`",
        _refuse("ServerInternalException"),
        _OWN_FAULT.format("ServerInternalException: The reason"),
    ),
    *(
        row
        for code in ("RateLimitExceededException", "ThrottlingException")
        for row in _both(f"`{code}`", _refuse(code), _SLOWER.format(code))
    ),
    _once("HTTP 500 without a body", RawAnswer(500)),
    _lasts("HTTP 500 with a web page", RawAnswer(500, _PAGE), _OWN_FAULT.format("500: Internal Server Error")),
    _lasts("HTTP 502 without a body", RawAnswer(502), _OWN_FAULT.format("502: Bad Gateway")),
    _once("HTTP 502 with a web page", RawAnswer(502, _PAGE)),
    _once("HTTP 503 without a body", RawAnswer(503)),
    _lasts("HTTP 503 with a web page", RawAnswer(503, _PAGE), _OWN_FAULT.format("503: Service Unavailable")),
    *_both("connection dropped before the answer", DroppedConnection(), _CLOSED),
    *_both("connection dropped in the middle of the answer", DroppedConnection(True), _NO_TASK, _CLOSED),
    *_both("HTTP 200 with a web page", RawAnswer(200, _PAGE), _NO_TASK),
    _lasts(
        "JSON that is no object",
        RawAnswer(200, "[]", _JSON),
        _UNREADABLE.format("AttributeError: 'list' object has no attribute 'get'"),
    ),
    _row(
        "missing members: all but the id, the status and the ARN",
        _BELIEVED,
        _without("SourceLicenseContext", "DestinationLicenseContext", "StatusMessage", *_TIMES),
        shown={"source_license_context": _EMPTY_CONTEXT, "destination_license_context": _EMPTY_CONTEXT}
        | dict.fromkeys(("status_message", "start_time", "license_conversion_time", "end_time", "duration_seconds")),
    ),
    _lasts("missing status", _without("Status"), _NOTHING_OF_IT.format("status")),
    _lasts("missing ARN", _without("ResourceArn"), _NOTHING_OF_IT.format("ARN")),
    _row(
        "null members",
        _BELIEVED,
        _with(SourceLicenseContext=None, StatusMessage=None, LicenseConversionTime=None),
        shown={"source_license_context": _EMPTY_CONTEXT} | dict.fromkeys(("status_message", "license_conversion_time")),
    ),
    _lasts(
        "a time that is none",
        _with(StartTime="yesterday"),
        _UNREADABLE.format('ValueError: Invalid timestamp "yesterday": Unknown string format: yesterday'),
    ),
    _row("additional members", _HARMLESS, _with(Progress=50, Steps=[{"Name": "x"}])),
    _row(
        "unknown status",
        _BACKWARDS,
        _with(Status="PAUSED"),
        warning=_REOPENED.format("PAUSED"),
        shown={"status": "PAUSED", "is_complete": False, "duration_seconds": None},
        passes=True,
    ),
    _row(
        "status that goes backwards, to IN_PROGRESS",
        _BACKWARDS,
        ChangedAnswer(
            members={"Status": "IN_PROGRESS", "StatusMessage": TOLD_AS["IN_PROGRESS"]},
            without=("EndTime", "LicenseConversionTime"),
        ),
        warning=_REOPENED.format("IN_PROGRESS"),
        shown={
            "status": "IN_PROGRESS",
            "status_message": TOLD_AS["IN_PROGRESS"],
            "license_conversion_time": None,
            "end_time": None,
            "is_complete": False,
            "duration_seconds": None,
        },
        passes=True,
    ),
    _lasts(
        "answer about another task",
        _with(LicenseConversionTaskId="lct-other"),
        _line("the answer is about another task, lct-other", errors.UNREADABLE_REMEDY),
    ),
    _row("slow answer, half a second", _HARMLESS, SlowAnswer(0.5)),
    _row("clock 5 hours ahead", _SHIFTED, ShiftedClock(5 * 3600), shown=_shift(5)),
    _row("clock 5 hours behind", _SHIFTED, ShiftedClock(-5 * 3600), shown=_shift(-5)),
)
"""The rows."""
