"""The AWS calls, and the one place where AWS's and botocore's errors become ours.

Each `find_*` asks AWS once or with retries and gives values, or raises an error whose text is one line for the user.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tenacity
from botocore import exceptions as botocore_errors

from lmconv_resource.errors import (
    GET_ACTION,
    AccessDeniedError,
    CredentialsError,
    EndpointUnreachableError,
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    SettingsError,
    TaskNotFoundError,
    ThrottledError,
    TransientError,
    UnreadableAnswerError,
)
from lmconv_resource.models import ConversionTask, TaskStatus, to_plain_text

if TYPE_CHECKING:
    from lmconv_resource.connection import Connection

LIST_ACTION = "ListLicenseConversionTasks"

_PAGE_SIZE = 100
"""Asked for in lists. AWS publishes no limit; its other lists end at 100."""

_MOST_PAGES = 1000
"""A list that is longer has a token that leads in circles."""

THROTTLING_CODES = frozenset(
    {
        "RateLimitExceededException",  # License Manager's own, which botocore does not count as throttling
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "EC2ThrottledException",
    }
)
ACCESS_CODES = frozenset(
    {"AuthorizationException", "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"}
)
NOT_FOUND_CODES = frozenset({"InvalidParameterValueException"})
FAULT_CODES = frozenset(
    {
        "ServerInternalException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
REFUSED_CREDENTIAL_CODES = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "OptInRequired",
    }
)


def find_task(connection: Connection, task_id: str, stopped: threading.Event | None = None) -> ConversionTask:
    """Look a task up by GetLicenseConversionTask; faults that may pass are retried for about half a minute.

    Args:
        connection: where to ask.
        task_id: the task's id (`lct-…`).
        stopped: when set, a pause between two tries ends at once and so do the tries.

    Raises:
        LicenseConversionError: the look-up failed; the class says why (see `errors`).
    """
    stopped = stopped or threading.Event()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(connection.settings.max_retries + 1) | tenacity.stop_when_event_set(stopped),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
        sleep=tenacity.sleep_using_event(stopped),
        reraise=True,
    )
    return retrying(look_up_task, connection, task_id)


def look_up_task(connection: Connection, task_id: str, *, in_turn: bool = True) -> ConversionTask:
    """Look a task up by one GetLicenseConversionTask.

    Args:
        connection: where to ask.
        task_id: the task's id (`lct-…`).
        in_turn: False where the caller has waited for the connection's turn itself.

    Raises:
        LicenseConversionError: the look-up failed; a `TransientError` if another try may help.
    """
    if in_turn:
        connection.pacer.wait_for_turn()
    answer = _call(
        connection,
        GET_ACTION,
        task_id,
        lambda: connection.client.get_license_conversion_task(LicenseConversionTaskId=task_id),
    )
    if not (answer.get("LicenseConversionTaskId") or answer.get("Status")):
        # botocore takes any text with HTTP 200 for an answer whose members are all absent, a proxy's page too.
        raise UnreadableAnswerError(
            task_id=task_id, region=connection.region, reason="what came back is no license conversion task"
        )
    return _read(answer, connection, task_id)


def find_tasks_in_progress(connection: Connection) -> Iterator[dict[str, ConversionTask]]:
    """Give the tasks in progress of the account and region, a page at a time, by id.

    Raises:
        LicenseConversionError: the list failed; an `AccessDeniedError` where only looking up is allowed.
    """
    filters: list[Any] = [{"Name": "Status", "Values": [TaskStatus.IN_PROGRESS.value]}]
    token: str | None = None
    for _ in range(_MOST_PAGES):
        query: dict[str, Any] = {"Filters": filters, "MaxResults": _PAGE_SIZE}
        if token:
            query["NextToken"] = token
        answer = _retrying_throttled(_list_page, connection, query)
        page = {}
        for entry in answer.get("LicenseConversionTasks") or ():
            task_id = entry.get("LicenseConversionTaskId") if entry else None
            if isinstance(task_id, str) and task_id:
                page[task_id] = _read(entry, connection, task_id)
        yield page
        token = answer.get("NextToken")
        if not token:
            return
    raise UnreadableAnswerError(
        task_id=None,
        region=connection.region,
        action=LIST_ACTION,
        reason=f"the list has no end after {_MOST_PAGES} pages",
    )


_retrying_throttled = tenacity.Retrying(
    # The pacer's pause is the wait. Without this a list of many pages would begin again at its first.
    retry=tenacity.retry_if_exception_type(ThrottledError),
    stop=tenacity.stop_after_attempt(5),
    reraise=True,
)


def _list_page(connection: Connection, query: dict[str, Any]) -> Any:
    connection.pacer.wait_for_turn()
    return _call(connection, LIST_ACTION, None, lambda: connection.client.list_license_conversion_tasks(**query))


def _read(answer: Any, connection: Connection, task_id: str) -> ConversionTask:
    try:
        return ConversionTask.from_answer(answer, task_id=task_id, region=connection.region)
    except (AttributeError, TypeError) as cause:
        raise UnreadableAnswerError(
            task_id=task_id,
            region=connection.region,
            reason="a member of the answer has not the type that AWS documents",
        ) from cause


def _call(connection: Connection, action: str, task_id: str | None, call: Callable[[], Any]) -> Any:
    try:
        answer = call()
    except Exception as cause:
        error = to_error(cause, action=action, task_id=task_id, region=connection.region)
        if isinstance(error, ThrottledError):
            connection.pacer.throttled()
        raise error from cause
    connection.pacer.succeeded()
    return answer


def to_error(cause: Exception, *, action: str, task_id: str | None, region: str) -> LicenseConversionError:
    """Give the error that stands for what botocore raised during a call."""
    if isinstance(cause, botocore_errors.ClientError):
        return _from_refusal(cause, action=action, task_id=task_id, region=region)
    facts: dict[str, Any] = {"action": action, "task_id": task_id, "region": region}
    text = _USER_IN_URL.sub("//", to_plain_text(str(cause))).rstrip(".")
    if isinstance(cause, (botocore_errors.NoCredentialsError, botocore_errors.PartialCredentialsError)):
        return CredentialsError(reason=text, remedy=_SET_CREDENTIALS, **facts)
    if isinstance(cause, _SIGN_IN_ERRORS):
        return CredentialsError(reason=text, remedy=_SIGN_IN, **facts)
    if isinstance(cause, _CREDENTIAL_ERRORS):
        return CredentialsError(reason=text, remedy=_SET_CREDENTIALS, **facts)
    if isinstance(cause, botocore_errors.NoRegionError):
        return SettingsError(
            reason="no region is set",
            remedy="Run `pulumi config set aws:region REGION`",
            task_id=task_id,
            region=region,
        )
    if "Invalid header value" in text:  # Python's HTTP client shows the whole value, which is a token or a signature
        return CredentialsError(
            reason="the credentials hold a character that can't be sent, such as a line break",
            remedy=_SET_CREDENTIALS,
            **facts,
        )
    if isinstance(cause, _NETWORK_ERRORS):
        return EndpointUnreachableError(reason=text, **facts)
    if isinstance(cause, botocore_errors.BotoCoreError):
        return RequestRefusedError(code=type(cause).__name__, reason=text, **facts)
    # Whatever else a call raises comes from reading the answer: botocore's parsers raise ResponseParserError for text
    # that is not JSON, and let ValueError, TypeError, KeyError and OverflowError of their own code through for JSON
    # that is not the documented shape.
    return UnreadableAnswerError(reason=f"the answer can't be read ({type(cause).__name__}: {text})", **facts)


_SET_CREDENTIALS = (
    "Give credentials by `pulumi config set aws:profile NAME`, by AWS_PROFILE, "
    "or by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_SIGN_IN = "Sign in again (`aws sso login`, or whatever gave you the credentials)"

_USER_IN_URL = re.compile(r"//[^/@\s]*@")
"""A name and a password in an endpoint's URL, which botocore's texts repeat."""

_SIGN_IN_ERRORS = (
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.RefreshWithMFAUnsupportedError,
)
_NETWORK_ERRORS = (
    botocore_errors.HTTPClientError,
    botocore_errors.ConnectionError,
    botocore_errors.IncompleteReadError,
)
_CREDENTIAL_ERRORS = (
    botocore_errors.CredentialRetrievalError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.InvalidConfigError,
    botocore_errors.ConfigNotFound,
    botocore_errors.ConfigParseError,
    botocore_errors.ProfileNotFound,
    botocore_errors.UnknownCredentialError,
    botocore_errors.NoAuthTokenError,
)


def _from_refusal(
    cause: botocore_errors.ClientError, *, action: str, task_id: str | None, region: str
) -> LicenseConversionError:
    answer: Any = cause.response
    detail = answer.get("Error") or {}
    code = to_plain_text(str(detail.get("Code") or "no error code"))
    reason = to_plain_text(str(detail.get("Message") or "AWS gives no reason")).rstrip(".")
    status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    facts: dict[str, Any] = {"action": action, "task_id": task_id, "region": region}
    if code in THROTTLING_CODES or status == 429:
        return ThrottledError(reason=f"AWS asks to slow down ({code}: {reason})", **facts)
    if code in EXPIRED_CODES:
        return CredentialsError(reason=f"the credentials have expired ({code}: {reason})", remedy=_SIGN_IN, **facts)
    if code in REFUSED_CREDENTIAL_CODES:
        # From its second paragraph on, AWS repeats the request as it was signed, session token included.
        reason = reason.lstrip().partition("\n")[0].rstrip(".")
        return CredentialsError(
            reason=f"AWS refused the credentials ({code}: {reason})", remedy=_SET_CREDENTIALS, **facts
        )
    if code in ACCESS_CODES:
        if cause.operation_name not in (GET_ACTION, LIST_ACTION):  # it was refused on the way to the credentials
            return CredentialsError(
                reason=f"{cause.operation_name} was refused ({code}: {reason})",
                remedy="Allow it to the source credentials, in the role's trust policy too",
                **facts,
            )
        return AccessDeniedError(code=code, reason=reason, **facts)
    if code in FAULT_CODES or status >= 500:
        return ServiceFaultError(reason=f"AWS had a fault of its own ({code}: {reason})", **facts)
    if code == str(status):  # botocore's stand-in for a code, where the answer has none that AWS gives
        return UnreadableAnswerError(reason=f"HTTP {status} came back without an error of AWS's", **facts)
    if code in NOT_FOUND_CODES and action == GET_ACTION:
        return TaskNotFoundError(code=code, reason=reason, task_id=task_id, region=region)
    return RequestRefusedError(code=code, reason=reason, **facts)
