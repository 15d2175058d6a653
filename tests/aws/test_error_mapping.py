"""What AWS and botocore raise, and the class and the line that each becomes."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore import exceptions as botocore_errors
from botocore.exceptions import ClientError
from botocore.retries import standard
from support.aws import CREATE, GET, LIST, REGION

from lmconv_resource.aws.error_mapping import from_botocore
from lmconv_resource.errors import (
    AccessDeniedError,
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

TASK_ID = "lct-0123456789abcdef0"
SUBJECT = Subject(GET, TASK_ID, REGION)

LOOKING_UP = f"Looking up license conversion task {TASK_ID} in {REGION}: "
SET_CREDENTIALS = (
    " Set credentials with `pulumi config set aws:profile NAME`, with AWS_PROFILE, or with AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY."
)
SIGN_IN = " Sign in again (`aws sso login`, or however you get your credentials)."
CHECK_NETWORK = " Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again."
CHECK_ENDPOINT = (
    " Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)


# -- what License Manager raises ---------------------------------------------------------------------------------------

MODEL: Any = botocore.session.get_session().get_service_model("license-manager")

ERROR_SHAPES: dict[str, type[LicenseConversionError]] = {
    # What the three calls raise by their model.
    "AccessDeniedException": AccessDeniedError,
    "AuthorizationException": AccessDeniedError,
    "InvalidParameterValueException": RequestRefusedError,  # of a look-up it says that there is no such task: see below
    "RateLimitExceededException": ThrottledError,
    "ServerInternalException": ServiceFaultError,
    "ValidationException": RequestRefusedError,
    # What only the service's other calls raise: a reason that AWS states, and that no try again would change.
    "ConflictException": RequestRefusedError,
    "EntitlementNotAllowedException": RequestRefusedError,
    "FailedDependencyException": RequestRefusedError,
    "FilterLimitExceededException": RequestRefusedError,
    "InvalidResourceStateException": RequestRefusedError,
    "LicenseUsageException": RequestRefusedError,
    "NoEntitlementsAllowedException": RequestRefusedError,
    "RedirectException": RequestRefusedError,
    "ResourceLimitExceededException": RequestRefusedError,
    "ResourceNotFoundException": RequestRefusedError,
    "UnsupportedDigitalSignatureMethodException": RequestRefusedError,
}
"""The class that was chosen for each error of the service's model. One that botocore adds fails the test below."""


def raised(code: str, operation: str) -> type[LicenseConversionError]:
    """Return the class that a refusal by License Manager becomes."""
    answer: Any = {"Error": {"Code": code, "Message": "Because."}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return type(from_botocore(ClientError(answer, operation), Subject(operation, TASK_ID, REGION)))


def test_every_error_of_the_service_model_has_a_class_on_purpose() -> None:
    """Each error that the installed botocore's model of the service has is in the table, and becomes what it says."""
    codes = {shape.error_code or shape.name for shape in MODEL.error_shapes}
    assert codes <= ERROR_SHAPES.keys()
    assert {code: raised(code, CREATE) for code in ERROR_SHAPES} == ERROR_SHAPES


@pytest.mark.parametrize("operation", [GET, LIST, CREATE])
def test_each_call_raises_what_the_table_says(operation: str) -> None:
    """Of the errors that the model lists for a call, only a look-up's "invalid" is told apart: no such task."""
    shapes = MODEL.operation_model(operation).error_shapes
    assert len(shapes) >= 5
    for shape in shapes:
        code = shape.error_code or shape.name
        is_unknown_task = (operation, code) == (GET, "InvalidParameterValueException")
        assert raised(code, operation) is (TaskNotFoundError if is_unknown_task else ERROR_SHAPES[code]), code


RETRIED_BY_BOTOCORE = [
    *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
    *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("code", sorted(set(RETRIED_BY_BOTOCORE)))
def test_what_botocore_would_try_again_is(code: str) -> None:
    """With botocore's own retries off, none of the codes that they knew is lost."""
    answer: Any = {"Error": {"Code": code, "Message": "."}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = from_botocore(ClientError(answer, GET), SUBJECT)
    assert isinstance(error, TransientError)


# -- what botocore raises ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "cls", "told"),
    [
        (
            botocore_errors.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            CredentialsError,
            "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY." + SET_CREDENTIALS,
        ),
        (
            botocore_errors.UnauthorizedSSOTokenError(),
            ExpiredCredentialsError,
            "The SSO session associated with this profile has expired or is otherwise invalid. To refresh this SSO "
            "session run aws sso login with the corresponding profile." + SIGN_IN,
        ),
        (
            botocore_errors.LoginRefreshRequired(),
            ExpiredCredentialsError,
            "Your session has expired or credentials have changed. Please reauthenticate using 'aws login'." + SIGN_IN,
        ),
        (
            botocore_errors.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
            ExpiredCredentialsError,
            "Error when retrieving token from sso: Token has expired." + SIGN_IN,
        ),
        (
            botocore_errors.CredentialRetrievalError(provider="custom-process", error_msg="no\nsuch command"),
            CredentialsError,
            "Error when retrieving credentials from custom-process: no such command." + SET_CREDENTIALS,
        ),
        (
            botocore_errors.SSLError(endpoint_url="https://lm", error=OSError("self-signed certificate")),
            EndpointUnreachableError,
            "SSL validation failed for https://lm self-signed certificate." + CHECK_NETWORK,
        ),
        (
            botocore_errors.SSLError(endpoint_url="https://lm", error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED] no")),
            SettingsError,
            "SSL validation failed for https://lm [SSL: CERTIFICATE_VERIFY_FAILED] no. Set the file of its "
            "certificate authority, or of your proxy's, with `pulumi config set "
            "aws:customCaBundle FILE`.",
        ),
        (
            botocore_errors.ProxyConnectionError(proxy_url="http://user:password@proxy"),
            EndpointUnreachableError,
            'Failed to connect to proxy URL: "http://proxy".' + CHECK_NETWORK,
        ),
        (
            botocore_errors.ParamValidationError(report="Invalid length"),
            RequestRefusedError,
            "AWS refused the request (ParamValidationError: Parameter validation failed: Invalid length). Fix what "
            "AWS reports and run `pulumi up` again.",
        ),
        (
            OverflowError("date value out of range"),
            TransientError,
            "the answer can't be read (OverflowError: date value out of range)." + CHECK_ENDPOINT,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_of_botocores_own(cause: Exception, cls: type[LicenseConversionError], told: str) -> None:
    """What botocore raises before or instead of an answer is the user's line too."""
    error = from_botocore(cause, SUBJECT)
    assert type(error) is cls
    assert str(error) == LOOKING_UP + told


def test_no_region() -> None:
    """The complaint of botocore's about a missing region is answered with the command that sets one."""
    error = from_botocore(botocore_errors.NoRegionError(), SUBJECT)
    assert type(error) is SettingsError
    assert str(error) == (
        f"Connecting to AWS License Manager for license conversion task {TASK_ID} in {REGION}: no region is set. Run "
        "`pulumi config set aws:region REGION`."
    )


def test_a_role_that_may_not_be_assumed() -> None:
    """A refusal on the way to the credentials is not taken for one of License Manager's."""
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": "User u may not sts:AssumeRole."}}
    error = from_botocore(ClientError(answer, "AssumeRole"), SUBJECT)
    assert type(error) is CredentialsError
    assert str(error) == (
        LOOKING_UP + "AssumeRole was refused (AccessDenied: User u may not sts:AssumeRole). Allow it for the source "
        "credentials, and in the role's trust policy."
    )


# -- who can change a denial -------------------------------------------------------------------------------------------

ACTION, CONFIGURATION = "license-manager:GetLicenseConversionTask", "arn:aws:license-manager:eu-west-1:1:lc:lic-1"
DENIED = f"User: u is not authorized to perform: {ACTION} on resource: {CONFIGURATION} "
DECODED = (
    '{"explicitDeny": true, "context": {"principal": {"arn": "arn:aws:iam::1:user/u"}, "action": "ec2:StopInstances", '
    '"resource": "arn:aws:ec2:eu-west-1:1:instance/i-1"}}'
)
ENCODED = "You are not authorized. Encoded authorization failure message: blob-of-1kB"
BOUNDARY = "Ask the IAM administrator of this account to allow {} in the permissions boundary of the credentials in use"
ORGANIZATION = "Ask the administrator of your AWS organization to allow {} in its {} policy"


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("No.", f"Allow {ACTION} in the IAM policy of the credentials in use"),
        (
            f"{DENIED}because no identity-based policy allows the {ACTION} action",
            f"Allow {ACTION} on {CONFIGURATION} in the IAM policy of the credentials in use",
        ),
        (
            f"{DENIED}with an explicit deny in an identity-based policy",
            f"Remove the deny of {ACTION} on {CONFIGURATION} from the IAM policy of the credentials in use",
        ),
        (
            f"{DENIED}with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1",
            ORGANIZATION.format(f"{ACTION} on {CONFIGURATION}", "service control"),
        ),
        (
            f"{DENIED}because no resource control policy allows it",
            ORGANIZATION.format(f"{ACTION} on {CONFIGURATION}", "resource control"),
        ),
        (f"{DENIED}with an explicit deny in a permissions boundary", BOUNDARY.format(f"{ACTION} on {CONFIGURATION}")),
        (f"{DENIED}because no permissions boundary allows it", BOUNDARY.format(f"{ACTION} on {CONFIGURATION}")),
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
    for code in ("AccessDeniedException", "AuthorizationException"):
        answer: Any = {"Error": {"Code": code, "Message": reason}}
        error = from_botocore(ClientError(answer, GET), SUBJECT)
        assert type(error) is AccessDeniedError
        assert error.remedy == remedy


@pytest.mark.parametrize(
    ("decoded", "told", "remedy"),
    [
        (
            DECODED,
            "You are not authorized: arn:aws:iam::1:user/u is not authorized to perform: ec2:StopInstances on "
            "resource: arn:aws:ec2:eu-west-1:1:instance/i-1 with an explicit deny",
            "Remove the deny of ec2:StopInstances on arn:aws:ec2:eu-west-1:1:instance/i-1 from the policy",
        ),
        (
            '"of another\nform"',
            'You are not authorized: "of another form"',
            "Allow ec2:StopInstances in the IAM policy",
        ),
        (
            None,
            "You are not authorized)",
            "allow sts:DecodeAuthorizationMessage too; or make the call with the AWS CLI",
        ),
    ],
)
def test_an_encoded_denial_is_decoded_and_never_shown(decoded: str | None, told: str, remedy: str) -> None:
    """Where STS may not decode it, the line has the command; the message itself, a kilobyte of it, is in none."""
    answer: Any = {"Error": {"Code": "UnauthorizedOperation", "Message": ENCODED}}
    subject = Subject("ec2:StopInstances", None, REGION, "arn")
    asked: list[str] = []

    def decode(message: str) -> str | None:
        asked.append(message)
        return decoded

    line = str(from_botocore(ClientError(answer, "StopInstances"), subject, decode=decode))
    assert told in line
    assert remedy in line
    assert asked == ["blob-of-1kB"]
    assert "blob" not in line
