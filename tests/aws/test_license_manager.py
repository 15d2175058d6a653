"""Looking tasks up, listing them and starting one: what ends at once, and the whole line a user sees."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from moto import mock_aws
from support.aws import ACCOUNT, CREATE, GET, LIST, REGION, TimelessAws, make_client, refuse
from support.wire import ACCESS_KEY, SECRET_KEY, Wire

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.emulator import Fault, LicenseManagerBackend, RawAnswer, licensemanager_backends
from lmconv_resource.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    LicenseConversionError,
    RequestRefusedError,
    ServiceFaultError,
    TaskNotFoundError,
    ThrottledError,
    TransientError,
)
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.text import to_plain_text

TASK_ID = "lct-0123456789abcdef0"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
TOKEN = "token/recognisable+and=secret"
RUNNING = {"LicenseConversionTaskId": TASK_ID, "Status": "IN_PROGRESS", "ResourceArn": "arn"}
EMPTY: dict[str, Any] = {"LicenseConversionTasks": []}

LOOKING_UP = f"Looking up license conversion task {TASK_ID} in {REGION}: "
LISTING = f"Listing license conversion tasks in {REGION}: "
SET_CREDENTIALS = (
    " Set credentials with `pulumi config set aws:profile NAME`, with AWS_PROFILE, or with AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY."
)
SIGN_IN = " Sign in again (`aws sso login`, or however you get your credentials)."
IN_A_WHILE = " Run `pulumi up` again in a while."
SLOWER = " Run `pulumi up` again in a while, with a lower --parallel if it happens again."
CHECK_NETWORK = " Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again."
CHECK_ENDPOINT = (
    " Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)
CHECK_ID = (
    " Check the id, the region (set `region` or run `pulumi config set aws:region REGION`) and that the credentials "
    "belong to the task's account."
)

_shared_client = functools.cache(make_client)
"""Makes a client with the token below, once."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


@pytest.fixture
def aws() -> TimelessAws:
    return TimelessAws(make_client=_shared_client)


@pytest.fixture
def backend(aws: TimelessAws) -> Iterator[LicenseManagerBackend]:
    """Give the emulated License Manager that `aws` speaks to."""
    assert aws.client()  # with the environment's credentials
    with mock_aws(config={"core": {"mock_credentials": False}}):
        yield licensemanager_backends[ACCOUNT][REGION]


def fail(aws: TimelessAws, *answers: tuple[int, Any] | Exception) -> tuple[LicenseConversionError, int]:
    """Look the task up on a wire that gives these answers; give the error and how many calls were made."""
    wire = Wire(aws.client(), *answers)
    with pytest.raises(LicenseConversionError) as error:
        aws.license_manager.get_task(TASK_ID)
    assert_no_secret(error.value)
    return error.value, len(wire.requests)


def assert_no_secret(error: LicenseConversionError) -> None:
    assert len(str(error).splitlines()) == 1
    assert not [secret for secret in (ACCESS_KEY, SECRET_KEY, TOKEN) if secret in str(error)]


# -- looking up --------------------------------------------------------------------------------------------------------


def test_a_task_is_found(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """A look-up makes one call and gives the task with all that the emulator knows of it."""
    start = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
    backend.clock = lambda: start.timestamp() + 90
    backend.add_task(
        task_id=TASK_ID,
        resource_arn=ARN,
        source="RunInstances:0800",
        destination="RunInstances:0002",
        message="done",
        started=start,
    )
    assert aws.license_manager.get_task(TASK_ID) == ConversionTask(
        task_id=TASK_ID,
        region=REGION,
        resource_arn=ARN,
        source_license_context=LicenseContext("RunInstances:0800"),
        destination_license_context=LicenseContext("RunInstances:0002"),
        status=TaskStatus.SUCCEEDED,
        status_message="done",
        start_time=start,
        license_conversion_time=datetime(2026, 11, 23, 8, 1, 30, tzinfo=timezone.utc),
        end_time=datetime(2026, 11, 23, 8, 1, 30, tzinfo=timezone.utc),
    )
    assert backend.calls == {GET: 1}


def test_a_sparse_answer_is_a_task(aws: TimelessAws) -> None:
    """An answer with no more than the status and the ARN is a task; what AWS left out is None."""
    Wire(aws.client(), (200, {"Status": "FAILED", "ResourceArn": "arn"}))
    assert aws.license_manager.get_task(TASK_ID) == ConversionTask(TASK_ID, REGION, "arn", status=TaskStatus.FAILED)


@pytest.mark.parametrize(("moment", "hours"), [(datetime.min, 14), (datetime.max, -12)])
def test_a_time_beyond_the_calendar_is_one_line(moment: datetime, hours: int) -> None:
    """A time that has no year in UTC is an answer that can't be read, and worth another try."""
    answer = {**RUNNING, "StartTime": moment.replace(tzinfo=timezone(timedelta(hours=hours)))}
    client = SimpleNamespace(get_license_conversion_task=lambda **_: answer)
    with pytest.raises(TransientError) as error:
        TimelessAws(make_client=lambda *_: client).license_manager.get_task(TASK_ID)
    assert str(error.value) == f"{LOOKING_UP}a time in the answer is outside the years 1 to 9999.{CHECK_ENDPOINT}"


def test_a_call_takes_its_turn(aws: TimelessAws) -> None:
    """Look-ups start at the connection's pace, or at once where the caller has waited for its turn."""
    Wire(aws.client(), (200, RUNNING))
    for _ in range(3):
        aws.license_manager.get_task(TASK_ID)
    assert aws.clock.now == pytest.approx(0.1)
    for _ in range(3):
        aws.license_manager.unpaced().get_task(TASK_ID)
    assert aws.clock.now == pytest.approx(0.1)


ALLOW = " Allow license-manager:GetLicenseConversionTask in the IAM policy of the credentials in use."
FIX = " Fix what AWS reports and run `pulumi up` again."
CLOCK = " Set this machine's clock (by NTP, for example), then run `pulumi up` again."
SIGNATURE = (
    "It does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n"
    f"x-amz-security-token:{TOKEN}\n'"
)
REFUSALS: list[tuple[str, str | None, type[LicenseConversionError], str, str]] = [
    ("InvalidParameterValueException", "No task.", TaskNotFoundError, "AWS does not know it there ({})", CHECK_ID),
    ("AuthorizationException", "No.", AccessDeniedError, "AWS denies access ({})", ALLOW),
    ("AccessDeniedException", None, AccessDeniedError, "AWS denies access ({})", ALLOW),
    ("RateLimitExceededException", "Too many.", ThrottledError, "AWS asks to slow down ({})", SLOWER),
    ("ThrottlingException", "Rate exceeded", ThrottledError, "AWS asks to slow down ({})", SLOWER),
    ("ServerInternalException", "It broke.", ServiceFaultError, "AWS had an internal fault ({})", IN_A_WHILE),
    ("ExpiredTokenException", "Is expired", ExpiredCredentialsError, "the credentials have expired ({})", SIGN_IN),
    ("UnrecognizedClientException", "No.", CredentialsError, "AWS refused the credentials ({})", SET_CREDENTIALS),
    ("InvalidSignatureException", SIGNATURE, CredentialsError, "AWS refused the credentials ({})", SET_CREDENTIALS),
    ("ValidationException", "Odd\x1b[2J.", RequestRefusedError, "AWS refused the request ({})", FIX),
    *(
        (code, reason, ClockSkewError, "AWS rejects the request's time ({})", CLOCK)
        for code, reason in (
            ("InvalidSignatureException", "Signature expired: 20260301T120000Z is now earlier than 20260301T125500Z"),
            ("InvalidSignatureException", "Signature not yet current: 20260301T130000Z is still later"),
            ("RequestExpired", "Request has expired."),
            ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        )
    ),
]
"""What AWS says, and the line that it becomes."""

NO_TASK, TYPE = (
    "the response is not a license conversion task",
    "a member of the answer does not have the type that AWS",
)
ANSWERS: dict[str, tuple[tuple[int, Any], type[LicenseConversionError], str]] = {
    "throttled by a proxy": ((429, b"calm down"), ThrottledError, "AWS asks to slow down (429: calm down)." + SLOWER),
    "bad gateway": ((502, b"<html>"), ServiceFaultError, "AWS had an internal fault (502: Bad Gateway)." + IN_A_WHILE),
    "a refusal that is not AWS's": ((403, b"<html>" * 9999), TransientError, "HTTP 403 came without an AWS error."),
    "a page that is not AWS's": ((200, b"<html>Sign in to the hotel</html>"), TransientError, f"{NO_TASK}."),
    "nothing": ((200, b""), TransientError, f"{NO_TASK}."),
    "not text": (
        (200, b"\xff\xfe"),
        TransientError,
        "the answer can't be read (UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid "
        "start byte).",
    ),
    "an object": ((200, {**RUNNING, "ResourceArn": {"no": "text"}}), TransientError, f"{TYPE} documents."),
    "another task": (
        (200, {**RUNNING, "LicenseConversionTaskId": "lct-other"}),
        TransientError,
        "the answer is about another task, lct-other.",
    ),
}
"""What else comes back. What has no remedy here is not AWS's, and the line says what to check."""


def check_failure(aws: TimelessAws, answer: tuple[int, Any], cls: type[LicenseConversionError], told: str) -> None:
    """Look a task up that is answered so, and check the line and how often it was asked for."""
    error, calls = fail(aws, answer)
    assert type(error) is cls
    assert str(error) == LOOKING_UP + told
    assert (error.subject.task_id, error.subject.region) == (TASK_ID, REGION)
    is_tried_again = issubclass(cls, TransientError) and cls is not ClockSkewError
    # Expired credentials are read again once.
    assert calls == (3 if is_tried_again else 2 if cls is ExpiredCredentialsError else 1)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row[0])
def test_each_refusal(aws: TimelessAws, row: tuple[str, str | None, type[LicenseConversionError], str, str]) -> None:
    """Each refusal is the user's line; what may pass is tried three times, all else ends."""
    code, reason, cls, words, remedy = row
    first = to_plain_text(reason or "AWS gives no reason").partition("\n")[0].rstrip(".")
    check_failure(aws, (400, refuse(code, reason)), cls, words.format(f"{code}: {first}") + f".{remedy}")


@pytest.mark.parametrize("name", ANSWERS)
def test_what_else_may_come_back(aws: TimelessAws, name: str) -> None:
    answer, cls, told = ANSWERS[name]
    check_failure(aws, answer, cls, told + (CHECK_ENDPOINT if cls is TransientError else ""))


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials anywhere the line says how to give some, and nothing is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    error, calls = fail(TimelessAws(make_client=functools.cache(make_client)), (200, RUNNING))
    assert type(error) is CredentialsError
    assert str(error) == LOOKING_UP + "Unable to locate credentials." + SET_CREDENTIALS
    assert calls == 0


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"])
def test_credentials_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A line break in a credential ends at once, and the credential, which Python would show, is not shown."""
    monkeypatch.setenv(name, "recognisable\n")
    aws = TimelessAws(to_endpoint(refused_endpoint()), make_client=make_client)
    with pytest.raises(CredentialsError) as error:
        aws.license_manager.get_task(TASK_ID)
    assert str(error.value) == (
        LOOKING_UP + "the credentials hold a character that can't be sent, such as a line break." + SET_CREDENTIALS
    )


def to_endpoint(url: str, max_retries: int = 2) -> Settings:
    return Settings(REGION, endpoints=(("license-manager", url),), max_retries=max_retries)


def refused_endpoint(user: str = "") -> str:
    """Give the URL of a port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://{user}127.0.0.1:{port}"


@pytest.mark.parametrize("user", ["", "user:password@", "user:p@ssword@", "user:pass word@"])
def test_an_endpoint_that_refuses(user: str) -> None:
    """Where nothing listens, the line names the endpoint, without the password in it, after all tries."""
    endpoint = refused_endpoint(user)
    aws = TimelessAws(to_endpoint(endpoint), make_client=_shared_client)
    with pytest.raises(EndpointUnreachableError) as error:
        aws.license_manager.get_task(TASK_ID)
    shown = endpoint.replace(user, "")
    assert str(error.value) == LOOKING_UP + f'Could not connect to the endpoint URL: "{shown}/".' + CHECK_NETWORK
    assert len(aws.pauses.seconds) == 2


def make_impatient_client(service: str, settings: Settings) -> Any:
    """Return a client that gives up reading after 0.05 s."""
    config = Config(read_timeout=0.05, retries={"total_max_attempts": 1})
    return boto3.client(service, settings.region, endpoint_url=settings.endpoint_urls[service], config=config)  # type: ignore[call-overload]


def test_an_endpoint_that_never_answers() -> None:
    """A connection on which no answer comes is given up, and the line says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        aws = TimelessAws(to_endpoint(endpoint, max_retries=0), make_client=make_impatient_client)
        with pytest.raises(EndpointUnreachableError) as error:
            aws.license_manager.get_task(TASK_ID)
    assert str(error.value) == LOOKING_UP + f'Read timeout on endpoint URL: "{endpoint}/".' + CHECK_NETWORK


def test_a_fault_of_ours_in_a_request(aws: TimelessAws) -> None:
    """An id that botocore itself refuses ends at once, and nothing is sent."""
    wire = Wire(aws.client(), (200, RUNNING))
    with pytest.raises(RequestRefusedError, match="ParamValidationError"):
        aws.license_manager.get_task(5)  # type: ignore[arg-type]
    assert wire.requests == []


# -- listing -----------------------------------------------------------------------------------------------------------


def test_the_list_is_of_tasks_in_progress(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """The list has the tasks in progress, a page at a time, by id, and no others."""
    backend.page_size = 2
    for number in range(5):
        backend.add_task(task_id=f"lct-{number}", resource_arn=ARN, source="a", destination="b", seconds=100)
    backend.add_task(task_id="lct-ended", resource_arn=ARN, source="a", destination="b")
    pages = list(aws.license_manager.pages())
    assert [sorted(page) for page in pages] == [["lct-0", "lct-1"], ["lct-2", "lct-3"], ["lct-4"]]
    assert {task.status for page in pages for task in page.values()} == {TaskStatus.IN_PROGRESS}
    assert pages[0]["lct-0"].resource_arn == ARN
    assert backend.calls == {LIST: 3}


def test_pages_are_asked_for_one_by_one(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """Who has seen enough after the first page makes no second call."""
    backend.page_size = 1
    for number in range(3):
        backend.add_task(task_id=f"lct-{number}", resource_arn=ARN, source="a", destination="b", seconds=100)
    next(aws.license_manager.pages())
    assert backend.calls == {LIST: 1}


def test_what_a_list_asks(aws: TimelessAws) -> None:
    """A list asks for IN_PROGRESS, a hundred at a time, and goes on with AWS's own token."""
    filters = [{"Name": "Status", "Values": ["IN_PROGRESS"]}]
    with Stubber(aws.client()) as stub:
        first = {"LicenseConversionTasks": [RUNNING], "NextToken": "more"}
        stub.add_response("list_license_conversion_tasks", first, {"Filters": filters, "MaxResults": 100})
        stub.add_response(
            "list_license_conversion_tasks", {}, {"Filters": filters, "MaxResults": 100, "NextToken": "more"}
        )
        assert [sorted(page) for page in aws.license_manager.pages()] == [[TASK_ID], []]
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["InvalidParameterValueException", "ValidationException"])
@pytest.mark.parametrize("way", ["tasks", "pages"])
def test_a_list_goes_on_without_a_page_size_that_aws_refuses(aws: TimelessAws, code: str, way: str) -> None:
    """The page size is a guess: refused once, it is left out of this page and of those that follow."""
    refused = (400, refuse(code, "MaxResults is too large"))
    wire = Wire(aws.client(), refused, (200, {"LicenseConversionTasks": [RUNNING], "NextToken": "more"}), (200, EMPTY))
    if way == "tasks":
        found = [task.task_id for task in aws.license_manager.list_tasks()]
    else:
        found = [task_id for page in aws.license_manager.pages() for task_id in page]
    assert found == [TASK_ID]
    assert [json.loads(request.body).get("MaxResults") for request in wire.requests] == [100, None, None]


def test_a_list_that_is_refused_without_a_page_size_too_is_an_error(aws: TimelessAws) -> None:
    """Where something else was refused, AWS's own sentence says what."""
    wire = Wire(aws.client(), (400, refuse("ValidationException", "Filters are odd.")))
    with pytest.raises(RequestRefusedError, match="Filters are odd"):
        aws.license_manager.list_tasks()
    assert len(wire.requests) == 2


def test_a_list_without_end_ends(aws: TimelessAws) -> None:
    """Tokens that lead in circles end in one line, not in endless calls."""
    wire = Wire(aws.client(), (200, {"LicenseConversionTasks": [], "NextToken": "again"}))
    with pytest.raises(TransientError) as error:
        list(aws.license_manager.pages())
    assert str(error.value) == LISTING + "the list has no end after 1000 pages." + CHECK_ENDPOINT
    assert len(wire.requests) == 1000


def test_a_throttled_page_is_asked_for_again(aws: TimelessAws) -> None:
    """A page refused for the rate is asked for again at a slower pace; the list does not begin at its start again."""
    throttled = (400, refuse("RateLimitExceededException"))
    pages = [
        {"LicenseConversionTasks": [{**RUNNING, "LicenseConversionTaskId": f"lct-{number}"}], "NextToken": f"t{number}"}
        for number in (1, 2)
    ]
    wire = Wire(aws.client(), (200, pages[0]), throttled, throttled, (200, pages[1]), throttled, (200, {}))
    assert [sorted(page) for page in aws.license_manager.pages()] == [["lct-1"], ["lct-2"], []]
    tokens = [json.loads(request.body).get("NextToken") for request in wire.requests]
    assert tokens == [None, "t1", "t1", "t1", "t2", "t2"]
    assert aws.clock.now >= 3 * 0.25


@pytest.mark.parametrize(
    ("answer", "cls", "told", "calls"),
    [
        (
            (400, refuse("RateLimitExceededException", "Too many requests.")),
            ThrottledError,
            "AWS asks to slow down (RateLimitExceededException: Too many requests)." + SLOWER,
            3,
        ),
        (
            (400, refuse("AccessDeniedException", "Not you.")),
            AccessDeniedError,
            "AWS denies access (AccessDeniedException: Not you). Allow license-manager:ListLicenseConversionTasks in "
            "the IAM policy of the credentials in use.",
            1,
        ),
        (
            (200, {"LicenseConversionTasks": 5}),
            TransientError,
            "the answer can't be read (TypeError: 'int' object is not iterable)." + CHECK_ENDPOINT,
            1,
        ),
    ],
)
def test_a_list_that_fails(
    aws: TimelessAws, answer: tuple[int, Any], cls: type[LicenseConversionError], told: str, calls: int
) -> None:
    """It ends in a line about the list and with its IAM action; a throttled page after as many tries as there are."""
    wire = Wire(aws.client(), answer)
    with pytest.raises(LicenseConversionError) as error:
        list(aws.license_manager.pages())
    assert type(error.value) is cls
    assert str(error.value) == LISTING + told
    assert len(wire.requests) == calls


def test_entries_without_an_id_are_left_out(aws: TimelessAws) -> None:
    """An entry that names no task can't be one that somebody waits for."""
    entries = [None, {}, {"LicenseConversionTaskId": 5}, {"Status": "IN_PROGRESS"}, RUNNING]
    Wire(aws.client(), (200, {"LicenseConversionTasks": entries}))
    assert [sorted(page) for page in aws.license_manager.pages()] == [[TASK_ID]]


# -- starting ----------------------------------------------------------------------------------------------------------


def test_the_one_call_is_made_by_us_alone(aws: TimelessAws, backend: LicenseManagerBackend) -> None:
    """Nobody, not even botocore, tries a start again: after a lost answer that could start a second one."""
    backend.faults.add(Fault(RawAnswer(500), operation=CREATE))

    with pytest.raises(ServiceFaultError):
        aws.license_manager.create_task(
            ConversionRequest(ARN, LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002"))
        )

    assert backend.calls[CREATE] == 1
