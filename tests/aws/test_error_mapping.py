"""What AWS and botocore raise, and the class and the line that each becomes."""

import json
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as raises
from botocore.exceptions import ClientError
from botocore.retries import standard
from support.aws import CREATE, GET, REGION

from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    SettingsError,
    Subject,
    TaskNotFoundError,
    ThrottledError,
    TransientError,
)
from lmconv_resource.text import to_plain_text

TASK_ID = "lct-0123456789abcdef0"
SUBJECT = Subject(GET, TASK_ID, REGION)

LOOKING_UP = f"Looking up license conversion task {TASK_ID} in {REGION}: "
SET_CREDENTIALS = (
    "Set credentials with `pulumi config set aws:profile NAME`, with AWS_PROFILE, or with AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY."
)
SIGN_IN = "Sign in again (`aws sso login`, or however you get your credentials)."
IN_A_WHILE = "Run `pulumi up` again in a while."
SLOWER = "Run `pulumi up` again in a while, with a lower --parallel if it happens again."
CHECK_NETWORK = "Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again."
CHECK_ENDPOINT = (
    "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)
CHECK_ID = (
    "Check the id, the region (set `region` or run `pulumi config set aws:region REGION`) and that the credentials "
    "belong to the task's account."
)
ALLOW = "Allow license-manager:GetLicenseConversionTask in the IAM policy of the credentials in use."
FIX = "Fix what AWS reports and run `pulumi up` again."
CLOCK = "Set this machine's clock (by NTP, for example), then run `pulumi up` again."
SIGN = (
    "Set the file of its certificate authority, or of your proxy's, with `pulumi config set aws:customCaBundle FILE`."
)


def refusal(code: str, reason: str | None = "Because.", operation: str = GET) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": reason}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, operation)


MODEL: Any = botocore.session.get_session().get_service_model("license-manager")

OF_OTHER_CALLS = """
ConflictException EntitlementNotAllowedException FailedDependencyException FilterLimitExceededException
InvalidResourceStateException LicenseUsageException NoEntitlementsAllowedException RedirectException
ResourceLimitExceededException ResourceNotFoundException UnsupportedDigitalSignatureMethodException
"""
"""A reason that AWS states, and that no try again would change."""

ERROR_SHAPES: dict[str, type[LicenseConversionError]] = {
    "AccessDeniedException": AccessDeniedError,
    "AuthorizationException": AccessDeniedError,
    "InvalidParameterValueException": RequestRefusedError,  # of a look-up it says that there is no such task
    "RateLimitExceededException": ThrottledError,
    "ServerInternalException": ServiceFaultError,
    "ValidationException": RequestRefusedError,
    **dict.fromkeys(OF_OTHER_CALLS.split(), RequestRefusedError),
}
"""The class that was chosen for each error of the service's model. One that botocore adds fails the test below."""


def raised(code: str, operation: str) -> type[LicenseConversionError]:
    """Return the class that a refusal by License Manager becomes."""
    return type(from_botocore(refusal(code, operation=operation), Subject(operation, TASK_ID, REGION)))


def test_every_error_of_the_service_model_has_a_class_on_purpose() -> None:
    """Each error that the installed botocore's model of the service has is in the table, and becomes what it says."""
    codes = {shape.error_code or shape.name for shape in MODEL.error_shapes}
    assert codes <= ERROR_SHAPES.keys()
    assert {code: raised(code, CREATE) for code in ERROR_SHAPES} == ERROR_SHAPES


def test_what_botocore_would_try_again_is() -> None:
    """With botocore's own retries off, none of the codes that they knew is lost."""
    throttling = standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # type: ignore[attr-defined]
    transient = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES  # type: ignore[attr-defined]
    assert throttling
    assert transient
    lost = [code for code in [*throttling, *transient] if not issubclass(raised(code, GET), TransientError)]
    assert lost == []


SIGNATURE = (
    "It does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n"
    "x-amz-security-token:token/recognisable+and=secret\n'"
)


@pytest.mark.parametrize(
    ("code", "reason", "cls", "words", "remedy"),
    [
        ("InvalidParameterValueException", "No task.", TaskNotFoundError, "AWS does not know it there", CHECK_ID),
        ("AuthorizationException", "No.", AccessDeniedError, "AWS denies access", ALLOW),
        ("AccessDeniedException", None, AccessDeniedError, "AWS denies access", ALLOW),
        ("RateLimitExceededException", "Too many.", ThrottledError, "AWS throttles the calls", SLOWER),
        ("ServerInternalException", "It broke.", ServiceFaultError, "AWS had an internal fault", IN_A_WHILE),
        ("ExpiredTokenException", "Is expired", ExpiredCredentialsError, "the credentials have expired", SIGN_IN),
        ("UnrecognizedClientException", "No.", CredentialsError, "AWS refused the credentials", SET_CREDENTIALS),
        ("InvalidSignatureException", SIGNATURE, CredentialsError, "AWS refused the credentials", SET_CREDENTIALS),
        ("ValidationException", "Odd\x1b[2J.", RequestRefusedError, "AWS refused the request", FIX),
        *(
            (code, reason, ClockSkewError, "AWS rejects the request's time", CLOCK)
            for code, reason in (
                ("InvalidSignatureException", "Signature expired: 20260301T120000Z is now earlier than 2026030…"),
                ("InvalidSignatureException", "Signature not yet current: 20260301T130000Z is still later"),
                ("RequestExpired", "Request has expired."),
                ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
            )
        ),
    ],
)
def test_each_refusal(
    code: str, reason: str | None, cls: type[LicenseConversionError], words: str, remedy: str
) -> None:
    """It is a line with AWS's code and reason; of a signature that does not match, the reason's first line only."""
    error = from_botocore(refusal(code, reason), SUBJECT)
    told = to_plain_text(reason or "AWS gives no reason").partition("\n")[0].rstrip(".")
    assert type(error) is cls
    assert str(error) == f"{LOOKING_UP}{words} ({code}: {told}). {remedy}"


URL, PROXY = "https://lm", "http://user:password@proxy"
UNTRUSTED = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] no")


@pytest.mark.parametrize(
    ("cause", "cls", "remedy"),
    [
        (raises.NoCredentialsError(), CredentialsError, SET_CREDENTIALS),
        (raises.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_KEY"), CredentialsError, SET_CREDENTIALS),
        (raises.UnauthorizedSSOTokenError(), ExpiredCredentialsError, SIGN_IN),
        (raises.LoginRefreshRequired(), ExpiredCredentialsError, SIGN_IN),
        (raises.TokenRetrievalError(provider="sso", error_msg="Token has expired"), ExpiredCredentialsError, SIGN_IN),
        (
            raises.CredentialRetrievalError(provider="x", error_msg="no\nsuch command"),
            CredentialsError,
            SET_CREDENTIALS,
        ),
        (raises.ReadTimeoutError(endpoint_url=URL), EndpointUnreachableError, CHECK_NETWORK),
        (raises.SSLError(endpoint_url=URL, error=OSError("no")), EndpointUnreachableError, CHECK_NETWORK),
        (raises.SSLError(endpoint_url=URL, error=UNTRUSTED), SettingsError, SIGN),
        (raises.ProxyConnectionError(proxy_url=PROXY), EndpointUnreachableError, CHECK_NETWORK),
        (raises.ParamValidationError(report="Invalid length"), RequestRefusedError, FIX),
        (OverflowError("date value out of range"), TransientError, CHECK_ENDPOINT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_botocores_own(cause: Exception, cls: type[LicenseConversionError], remedy: str) -> None:
    """What botocore raises before or instead of an answer is the user's line too, without a password."""
    error = from_botocore(cause, SUBJECT)
    told = " ".join(str(cause).replace("user:password@", "").split()).rstrip(".")
    words = {
        RequestRefusedError: f"AWS refused the request (ParamValidationError: {told})",
        TransientError: f"the answer can't be read (OverflowError: {told})",
    }
    assert type(error) is cls
    assert str(error) == f"{LOOKING_UP}{words.get(cls, told)}. {remedy}"


def test_no_region() -> None:
    """The complaint of botocore's about a missing region is answered with the command that sets one."""
    error = from_botocore(raises.NoRegionError(), SUBJECT)
    assert type(error) is SettingsError
    assert str(error) == (
        f"Connecting to AWS License Manager for license conversion task {TASK_ID} in {REGION}: no region is set. Run "
        "`pulumi config set aws:region REGION`."
    )


def test_a_role_that_may_not_be_assumed() -> None:
    """A refusal on the way to the credentials is not taken for one of License Manager's."""
    error = from_botocore(refusal("AccessDenied", "User u may not sts:AssumeRole.", "AssumeRole"), SUBJECT)
    assert type(error) is CredentialsError
    assert str(error) == (
        LOOKING_UP + "AssumeRole was refused (AccessDenied: User u may not sts:AssumeRole). Allow it for the source "
        "credentials, and in the role's trust policy."
    )
    error = from_botocore(refusal("AccessDenied", "No.", "GetCallerIdentity"), SUBJECT)
    assert error.remedy == "Allow sts:GetCallerIdentity, also in the policy of a VPC endpoint"


ACTION, CONFIGURATION = "license-manager:GetLicenseConversionTask", "arn:aws:license-manager:eu-west-1:1:lc:lic-1"
DENIED = f"User: u is not authorized to perform: {ACTION} on resource: {CONFIGURATION} "
STOP, INSTANCE = "ec2:StopInstances", "arn:aws:ec2:eu-west-1:1:instance/i-1"
DECODED = json.dumps(
    {
        "explicitDeny": True,
        "context": {"principal": {"arn": "arn:aws:iam::1:user/u"}, "action": STOP, "resource": INSTANCE},
    }
)
ENCODED = "You are not authorized. Encoded authorization failure message: blob-of-1kB"
BOUNDARY = (
    f"Ask the IAM administrator of this account to allow {ACTION} on {CONFIGURATION} in the permissions boundary of"
)
ORGANIZATION = f"Ask the administrator of your AWS organization to allow {ACTION} on {CONFIGURATION} in its "
IN_POLICY = "IAM policy of the credentials in use"


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("No.", f"Allow {ACTION} in the {IN_POLICY}"),
        (
            f"{DENIED}because no identity-based policy allows it",
            f"Allow {ACTION} on {CONFIGURATION} in the {IN_POLICY}",
        ),
        (
            f"{DENIED}with an explicit deny in an identity-based policy",
            f"Remove the deny of {ACTION} on {CONFIGURATION} from the {IN_POLICY}",
        ),
        (
            f"{DENIED}with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1. "
            "Encoded authorization failure message: blob",
            f"{ORGANIZATION}service control policy",
        ),
        (f"{DENIED}because no resource control policy allows it", f"{ORGANIZATION}resource control policy"),
        (f"{DENIED}with an explicit deny in a permissions boundary", f"{BOUNDARY} the credentials in use"),
        (f"{DENIED}because no permissions boundary allows it", f"{BOUNDARY} the credentials in use"),
        (
            "User: u is not authorized to perform: ssm:GetInventory because no session policy allows it",
            "Allow ssm:GetInventory in the session policy: the `policy` or `policyArns` of the role",
        ),
        (
            "Service role not found. Consult the guide.",
            "License Manager was never used in this account: create its role AWSServiceRoleForAWSLicenseManagerRole "
            "with `aws iam create-service-linked-role --aws-service-name license-manager.amazonaws.com`",
        ),
    ],
)
def test_a_denial_names_what_to_change(reason: str, remedy: str) -> None:
    """Which policy, on which resource, and who can change it; or that it is none of a policy at all."""
    error = from_botocore(refusal("AccessDeniedException", reason), SUBJECT)
    assert type(error) is AccessDeniedError
    assert error.remedy == remedy


@pytest.mark.parametrize(
    ("decoded", "told", "remedy"),
    [
        (
            DECODED,
            f"not authorized: arn:aws:iam::1:user/u is not authorized to perform: {STOP} on resource: {INSTANCE} with",
            f"Remove the deny of {STOP} on {INSTANCE} from the policy",
        ),
        ('"of another\nform"', 'not authorized: "of another form"', f"Allow {STOP} in the IAM policy"),
        (None, "not authorized)", "allow sts:DecodeAuthorizationMessage too; or make the call with the AWS CLI"),
    ],
)
def test_an_encoded_denial_is_decoded_and_never_shown(decoded: str | None, told: str, remedy: str) -> None:
    """Where STS may not decode it, the line has the command; the message itself, a kilobyte of it, is in none."""
    asked: list[str] = []

    def decode(message: str) -> str | None:
        asked.append(message)
        return decoded

    denial = refusal("UnauthorizedOperation", ENCODED, "StopInstances")
    line = str(from_botocore(denial, Subject(STOP, None, REGION, "arn"), decode=decode))
    assert told in line
    assert remedy in line
    assert asked == ["blob-of-1kB"]
    assert "blob" not in line
