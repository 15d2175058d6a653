"""Looking tasks up, listing them and starting one: what is sent, how often, and what comes of odd answers.

`test_error_mapping.py` has the line of each refusal.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from support.aws import ACCOUNT, CREATE, LIST, REGION, TimelessAws, make_client, refuse
from support.wire import Wire

from lmconv_resource.emulator import Fault, LicenseManagerBackend, RawAnswer, licensemanager_backends
from lmconv_resource.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsError,
    ExpiredCredentialsError,
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    ThrottledError,
    TransientError,
)
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus

TASK_ID = "lct-0123456789abcdef0"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
RUNNING = {"LicenseConversionTaskId": TASK_ID, "Status": "IN_PROGRESS", "ResourceArn": "arn"}

LOOKING_UP = f"Looking up license conversion task {TASK_ID} in {REGION}: "
LISTING = f"Listing license conversion tasks in {REGION}: "
CHECK_ENDPOINT = (
    " Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)


@pytest.fixture
def aws() -> TimelessAws:
    return TimelessAws()


@pytest.fixture
def backend(aws: TimelessAws) -> Iterator[LicenseManagerBackend]:
    """Give the emulated License Manager that `aws` speaks to."""
    assert aws.client()  # with the environment's credentials
    with mock_aws(config={"core": {"mock_credentials": False}}):
        yield licensemanager_backends[ACCOUNT][REGION]


def test_a_sparse_answer_is_a_task(aws: TimelessAws) -> None:
    """An answer with no more than the status and the ARN is a task; what AWS left out is None."""
    wire = Wire(aws.client(), (200, {"Status": "FAILED", "ResourceArn": "arn"}))
    assert aws.license_manager.get_task(TASK_ID) == ConversionTask(TASK_ID, REGION, "arn", status=TaskStatus.FAILED)
    assert len(wire.requests) == 1


NO_TASK = "the response is not a license conversion task."
ANSWERS: dict[str, tuple[tuple[int, Any], type[LicenseConversionError], str]] = {
    "denied": ((400, refuse("AccessDeniedException", None)), AccessDeniedError, "AWS denies access (AccessDeniedE"),
    "expired": ((400, refuse("ExpiredTokenException")), ExpiredCredentialsError, "the credentials have expired (Exp"),
    "the clock": ((400, refuse("RequestTimeTooSkewed")), ClockSkewError, "AWS rejects the request's time (Request"),
    "throttled by a proxy": ((429, b"calm down"), ThrottledError, "AWS throttles the calls (429: calm down). "),
    "bad gateway": ((502, b"<html>"), ServiceFaultError, "AWS had an internal fault (502: Bad Gateway). "),
    "a refusal that is not AWS's": ((403, b"<html>" * 9999), TransientError, "HTTP 403 came without an AWS error."),
    "a page that is not AWS's": ((200, b"<html>Sign in to the hotel</html>"), TransientError, NO_TASK),
    "nothing": ((200, b""), TransientError, NO_TASK),
    "not text": ((200, b"\xff\xfe"), TransientError, "the answer can't be read (UnicodeDecodeError: 'utf-8' codec"),
    "an object": (
        (200, {**RUNNING, "ResourceArn": {"no": "text"}}),
        TransientError,
        "a member of the answer does not have the type that AWS documents.",
    ),
    "another task": (
        (200, {**RUNNING, "LicenseConversionTaskId": "lct-other"}),
        TransientError,
        "the answer is about another task, lct-other.",
    ),
}
"""What comes back, and how the line about it begins."""


@pytest.mark.parametrize("name", ANSWERS)
def test_what_comes_back_instead_of_a_task(aws: TimelessAws, name: str) -> None:
    """What may pass is tried three times, expired credentials are read again once, and all else ends at once."""
    answer, cls, told = ANSWERS[name]
    wire = Wire(aws.client(), answer)
    with pytest.raises(LicenseConversionError) as raised:
        aws.license_manager.get_task(TASK_ID)
    error = raised.value
    assert type(error) is cls
    assert str(error).startswith(LOOKING_UP + told)
    assert str(error).endswith(CHECK_ENDPOINT) is (cls is TransientError)
    assert (error.subject.task_id, error.subject.region) == (TASK_ID, REGION)
    is_tried_again = issubclass(cls, TransientError) and cls is not ClockSkewError
    assert len(wire.requests) == (3 if is_tried_again else 2 if cls is ExpiredCredentialsError else 1)


def test_credentials_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line break in a credential ends at once, and the credential, which Python would show, is not shown."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "recognisable\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(CredentialsError) as error:
        TimelessAws(make_client=make_client).license_manager.get_task(TASK_ID)
    assert "the credentials hold a character that can't be sent, such as a line break." in str(error.value)
    assert "recognisable" not in str(error.value)


def test_the_list_is_of_tasks_in_progress(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """By id, a page at a time, and no others; who has seen enough after the first page makes no second call."""
    backend.page_size = 2
    for number in range(5):
        backend.add_task(task_id=f"lct-{number}", resource_arn=ARN, source="a", destination="b", seconds=100)
    backend.add_task(task_id="lct-ended", resource_arn=ARN, source="a", destination="b")
    pages = aws.license_manager.pages()
    first = next(pages)
    assert backend.calls == {LIST: 1}
    assert [sorted(page) for page in (first, *pages)] == [["lct-0", "lct-1"], ["lct-2", "lct-3"], ["lct-4"]]
    assert (first["lct-0"].status, first["lct-0"].resource_arn) == (TaskStatus.IN_PROGRESS, ARN)
    assert backend.calls == {LIST: 3}


@pytest.mark.parametrize("code", ["InvalidParameterValueException", "ValidationException"])
def test_a_list_goes_on_without_a_page_size_that_aws_refuses(aws: TimelessAws, code: str) -> None:
    """The page size is a guess: refused once, it is left out of this page and of those that follow."""
    refused = (400, refuse(code, "MaxResults is too large"))
    more = (200, {"LicenseConversionTasks": [RUNNING], "NextToken": "more"})
    wire = Wire(aws.client(), refused, more, (200, {"LicenseConversionTasks": []}))
    assert [task.task_id for task in aws.license_manager.list_tasks()] == [TASK_ID]
    assert [json.loads(request.body).get("MaxResults") for request in wire.requests] == [100, None, None]


def test_a_list_that_is_refused_without_a_page_size_too_is_an_error(aws: TimelessAws) -> None:
    """Where something else was refused, AWS's own sentence says what."""
    wire = Wire(aws.client(), (400, refuse("ValidationException", "Filters are odd.")))
    with pytest.raises(RequestRefusedError, match="Filters are odd"):
        aws.license_manager.list_tasks()
    assert len(wire.requests) == 2


DENIED = "AccessDeniedException: Because). Allow license-manager:ListLicenseConversionTasks in the IAM policy"


@pytest.mark.parametrize(
    ("answer", "cls", "told", "calls"),
    [
        ((400, refuse("RateLimitExceededException")), ThrottledError, "AWS throttles the calls (Rate", 3),
        ((400, refuse("AccessDeniedException")), AccessDeniedError, f"AWS denies access ({DENIED}", 1),
        ((200, {"LicenseConversionTasks": 5}), TransientError, "the answer can't be read (TypeError: 'int' obj", 1),
        (
            (200, {"LicenseConversionTasks": [], "NextToken": "a"}),
            TransientError,
            "the list has no end after 1000 p",
            1000,
        ),
    ],
)
def test_a_list_that_fails(
    aws: TimelessAws, answer: tuple[int, Any], cls: type[LicenseConversionError], told: str, calls: int
) -> None:
    """It ends in a line about the list and with its IAM action; tokens that lead in circles end too."""
    wire = Wire(aws.client(), answer)
    with pytest.raises(LicenseConversionError) as error:
        list(aws.license_manager.pages())
    assert type(error.value) is cls
    assert str(error.value).startswith(LISTING + told)
    assert len(wire.requests) == calls


def test_entries_without_an_id_are_left_out(aws: TimelessAws) -> None:
    """An entry that names no task can't be one that somebody waits for."""
    entries = [None, {}, {"LicenseConversionTaskId": 5}, {"Status": "IN_PROGRESS"}, RUNNING]
    Wire(aws.client(), (200, {"LicenseConversionTasks": entries}))
    assert [sorted(page) for page in aws.license_manager.pages()] == [[TASK_ID]]


def test_the_one_call_is_made_by_us_alone(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """Nobody, not even botocore, tries a start again: after a lost answer that could start a second one."""
    backend.faults.add(Fault(RawAnswer(500), operation=CREATE))
    request = ConversionRequest(ARN, LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002"))
    with pytest.raises(ServiceFaultError):
        aws.license_manager.create_task(request)
    assert backend.calls[CREATE] == 1
