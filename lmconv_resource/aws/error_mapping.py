"""The one place where AWS's and botocore's errors become ours: a table of codes, and of botocore's classes."""

from __future__ import annotations

import re
from typing import Any

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
    UnreadableAnswerError,
)
from lmconv_resource.models import to_plain_text

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


def to_error(
    cause: Exception, *, action: str, region: str, task_id: str | None = None, resource_arn: str | None = None
) -> LicenseConversionError:
    """Give the error that stands for what botocore raised during a call about a task, or about a resource."""
    facts: dict[str, Any] = {"action": action, "task_id": task_id, "region": region, "resource_arn": resource_arn}
    if isinstance(cause, botocore_errors.ClientError):
        return _from_refusal(cause, facts)
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

_USER_IN_URL = re.compile(r'//[^/"]*@')
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


def _from_refusal(cause: botocore_errors.ClientError, facts: dict[str, Any]) -> LicenseConversionError:
    answer: Any = cause.response
    detail = answer.get("Error") or {}
    code = to_plain_text(str(detail.get("Code") or "no error code"))
    reason = to_plain_text(str(detail.get("Message") or "AWS gives no reason")).rstrip(".")
    status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    action: str = facts["action"]
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
        if cause.operation_name != action.rpartition(":")[2]:  # it was refused on the way to the credentials
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
        return TaskNotFoundError(code=code, reason=reason, task_id=facts["task_id"], region=facts["region"])
    return RequestRefusedError(code=code, reason=reason, **facts)
