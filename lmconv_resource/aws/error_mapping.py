"""The one place where AWS's and botocore's errors become ours: a table of codes, and of botocore's classes."""

import re
from typing import Any

from botocore import exceptions as botocore_errors

from lmconv_resource import errors
from lmconv_resource.aws.remedies import Decode, remedy_for, to_denial
from lmconv_resource.errors import Subject
from lmconv_resource.text import fill, to_plain_text, without_credentials


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _classes(names: str) -> tuple[type[Exception], ...]:
    return tuple(getattr(botocore_errors, name) for name in names.split())


# The first is License Manager's own, which botocore does not count as throttling.
THROTTLING_CODES = _codes(
    "RateLimitExceededException ThrottlingException Throttling ThrottledException RequestThrottled "
    "RequestThrottledException TooManyRequestsException RequestLimitExceeded LimitExceededException "
    "ProvisionedThroughputExceededException BandwidthLimitExceeded SlowDown PriorRequestNotComplete "
    "TransactionInProgressException EC2ThrottledException"
)
ACCESS_CODES = _codes("AuthorizationException AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized")
NOT_FOUND_CODES = _codes("InvalidParameterValueException")
FAULT_CODES = _codes(
    "ServerInternalException InternalFailure InternalError ServiceUnavailable RequestTimeout RequestTimeoutException"
)
EXPIRED_CODES = _codes("ExpiredToken ExpiredTokenException TokenRefreshRequired")
CLOCK_CODES = _codes("RequestExpired RequestTimeTooSkewed RequestInTheFuture")
_SIGNED_AT_ANOTHER_TIME = re.compile(r"[Ss]ignature (expired|not yet current)")
"""In the text of InvalidSignatureException; the same code stands for a wrong key too."""
_ROTATED_CODES = _codes(
    "UnrecognizedClientException InvalidClientTokenId AuthFailure InvalidIdentityToken IDPRejectedClaim"
)
"""How AWS refuses a key or a token that it has known before."""
REFUSED_CREDENTIAL_CODES = _ROTATED_CODES | _codes(
    "InvalidSignatureException SignatureDoesNotMatch IncompleteSignature MissingAuthenticationToken "
    "MissingAuthenticationTokenException OptInRequired"
)

_NO_CREDENTIALS = _classes("NoCredentialsError PartialCredentialsError")
_SIGN_IN_ERRORS = _classes("SSOError LoginError TokenRetrievalError RefreshWithMFAUnsupportedError")
_CREDENTIAL_ERRORS = (
    *_classes("CredentialRetrievalError MetadataRetrievalError InvalidConfigError ConfigNotFound ConfigParseError"),
    *_classes("ProfileNotFound UnknownCredentialError NoAuthTokenError"),
    *(FileNotFoundError, PermissionError),  # of a token's file or a credential_process, read again during a call
)
SOURCE_ERRORS = (*_SIGN_IN_ERRORS, *_classes("CredentialRetrievalError MetadataRetrievalError"))
"""Raised where the settings are right, and what is to supply the credentials does not."""
_NETWORK_ERRORS = _classes("HTTPClientError ConnectionError IncompleteReadError")


def from_botocore(
    cause: Exception, subject: Subject, *, were_accepted: bool = False, decode: Decode = lambda _: None
) -> errors.LicenseConversionError:
    """Return the error that stands for what botocore raised during a call.

    Credentials that `were_accepted` before, and are refused now, have ended. `decode` reads an authorization message.
    """
    if isinstance(cause, botocore_errors.ClientError):
        return _from_refusal(cause, subject, were_accepted, decode)
    text = without_credentials(to_plain_text(str(cause))).rstrip(".")
    if isinstance(cause, _NO_CREDENTIALS):
        return errors.CredentialsError(subject, text)
    # botocore's, with no class of its own, where the source of the credentials returns expired ones.
    is_still_expired = isinstance(cause, RuntimeError) and "refreshed credentials are still expired" in text
    if isinstance(cause, (*_SIGN_IN_ERRORS, *_CREDENTIAL_ERRORS)) or is_still_expired:
        has_ended = were_accepted or not isinstance(cause, _CREDENTIAL_ERRORS)
        return (errors.ExpiredCredentialsError if has_ended else errors.CredentialsError)(subject, text)
    if isinstance(cause, botocore_errors.NoRegionError):
        about = Subject(errors.CONNECT_ACTION, subject.task_id, subject.region)
        return errors.SettingsError(about, "no region is set", fill("{Run region REGION}"))
    if "Invalid header value" in text:  # Python's HTTP client shows the whole value, which is a token or a signature
        reason = "the credentials hold a character that can't be sent, such as a line break"
        return errors.CredentialsError(subject, reason)
    # In the middle of it a proxy may be changing; at the beginning another try sees the same certificate.
    if isinstance(cause, botocore_errors.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text and not were_accepted:
        remedy = "Set the file of its certificate authority, or of your proxy's, {with customCaBundle FILE}"
        return errors.SettingsError(subject, text, fill(remedy))
    if isinstance(cause, _NETWORK_ERRORS):
        return errors.EndpointUnreachableError(subject, text)
    if isinstance(cause, botocore_errors.BotoCoreError):
        code = type(cause).__name__
        return errors.RequestRefusedError(subject, f"AWS refused the request ({code}: {text})", code=code)
    # Whatever else a call raises comes from reading the answer: botocore's parsers raise ResponseParserError for text
    # that is not JSON, and let ValueError, TypeError, KeyError and OverflowError of their own code through for JSON
    # that is not the documented shape.
    reason = f"the answer can't be read ({type(cause).__name__}: {text})"
    return errors.TransientError(subject, reason, errors.UNREADABLE_REMEDY)


def _from_refusal(cause: Any, subject: Subject, were_accepted: bool, decode: Decode) -> errors.LicenseConversionError:
    answer = cause.response
    detail = answer.get("Error") or {}
    code = to_plain_text(str(detail.get("Code") or "no error code"))
    reason = to_plain_text(str(detail.get("Message") or "AWS gives no reason")).rstrip(".")
    status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    is_clock = code in CLOCK_CODES or (code in REFUSED_CREDENTIAL_CODES and _SIGNED_AT_ANOTHER_TIME.search(reason))
    if code in CLOCK_CODES | REFUSED_CREDENTIAL_CODES:
        # From its second paragraph on, AWS repeats the request as it was signed, session token included.
        reason = reason.lstrip().partition("\n")[0].rstrip(".")
    told = f"({code}: {reason})"
    if code in THROTTLING_CODES or status == 429:
        return errors.ThrottledError(subject, f"AWS throttles the calls {told}")
    # EC2 says RequestExpired of an expired token and of a wrong clock; a clock that was right before mostly still is:
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    if code in EXPIRED_CODES or (code == "RequestExpired" and were_accepted):
        return errors.ExpiredCredentialsError(subject, f"the credentials have expired {told}")
    if is_clock:
        return errors.ClockSkewError(subject, f"AWS rejects the request's time {told}")
    if code in _ROTATED_CODES and were_accepted:
        return errors.ExpiredCredentialsError(subject, f"AWS no longer accepts the credentials {told}")
    if code in REFUSED_CREDENTIAL_CODES:
        return errors.CredentialsError(subject, f"AWS refused the credentials {told}")
    if code in ACCESS_CODES:
        denied = f"{cause.operation_name} was refused {told}"
        if cause.operation_name == "GetCallerIdentity":
            remedy = "Allow sts:GetCallerIdentity, also in the policy of a VPC endpoint"
            return errors.AccessDeniedError(subject, denied, remedy)
        if cause.operation_name != subject.action.rpartition(":")[2]:  # it was refused on the way to the credentials
            remedy = "Allow it for the source credentials, and in the role's trust policy"
            return errors.CredentialsError(subject, denied, remedy)
        reason, remedy = to_denial(reason, subject.permission, decode)
        return errors.AccessDeniedError(subject, f"AWS denies access ({code}: {reason})", remedy)
    if code in FAULT_CODES or status >= 500:
        return errors.ServiceFaultError(subject, f"AWS had an internal fault {told}")
    if code == str(status):  # botocore's stand-in for a code, where the answer has none that AWS gives
        return errors.TransientError(subject, f"HTTP {status} came without an AWS error", errors.UNREADABLE_REMEDY)
    if code in NOT_FOUND_CODES and subject.action == errors.GET_ACTION:
        return errors.TaskNotFoundError(subject, f"AWS does not know it there {told}", code=code)
    return errors.RequestRefusedError(subject, f"AWS refused the request {told}", remedy_for(reason) or None, code=code)
