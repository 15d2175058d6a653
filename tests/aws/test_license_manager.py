"""Looking tasks up and listing them: what is tried again, what ends at once, and the whole line a user sees."""

from __future__ import annotations

import dataclasses
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as botocore_errors
from botocore.exceptions import ClientError
from botocore.retries import standard
from botocore.stub import Stubber
from conftest import ACCESS_KEY, SECRET_KEY, Wire
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from lmconv_resource.aws import client as connections
from lmconv_resource.aws.client import Connection, connect
from lmconv_resource.aws.error_mapping import to_error
from lmconv_resource.aws.license_manager import find_task, find_tasks, find_tasks_in_progress, look_up_task
from lmconv_resource.aws.settings import Settings
from lmconv_resource.emulator import LicenseManagerBackend, exceptions, licensemanager_backends
from lmconv_resource.errors import (
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
    UnexpectedStatusError,
    UnreadableAnswerError,
)
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus
from lmconv_resource.polling.rate_limiter import Pacer

TASK_ID, REGION, ACCOUNT = "lct-0123456789abcdef0", "eu-west-1", "123456789012"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
TOKEN = "token/recognisable+and=secret"
RUNNING = {"LicenseConversionTaskId": TASK_ID, "Status": "IN_PROGRESS"}

LOOKING_UP = f"Looking up license conversion task {TASK_ID} in {REGION}: "
LISTING = f"Listing license conversion tasks in {REGION}: "
SET_CREDENTIALS = (
    " Give credentials by `pulumi config set aws:profile NAME`, by AWS_PROFILE, or by AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY."
)
SIGN_IN = " Sign in again (`aws sso login`, or whatever gave you the credentials)."
IN_A_WHILE = " Run `pulumi up` again in a while."
SLOWER = " Run `pulumi up` again in a while, with a lower --parallel if it comes back."
CHECK_NETWORK = " Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again."
CHECK_ENDPOINT = (
    " Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
)
CHECK_ID = (
    " Check the id, the region (set `region` or run `pulumi config set aws:region REGION`) and that the credentials "
    "belong to the task's account."
)


class Clock:
    """A clock that only a sleep moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Pauses(threading.Event):
    """A way to be told to stop whose pauses take no time; it notes how long they would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


_shared: dict[Settings, Connection] = {}
"""Clients are the slow part of these tests, so they share them; not those whose environment differs."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_connections", _shared)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


@pytest.fixture
def _own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_connections", {})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_connection(clock: Clock, **members: Any) -> Connection:
    """Give a connection whose pace takes no time."""
    made = connect(Settings(REGION, **members))
    rng = random.Random(1)  # noqa: S311 -- jitter, not cryptography
    return dataclasses.replace(made, pacer=Pacer(clock, clock.sleep, rng))


@pytest.fixture
def connection(clock: Clock) -> Connection:
    return make_connection(clock, max_retries=2)


@pytest.fixture
def backend(connection: Connection) -> Iterator[LicenseManagerBackend]:
    """Give the emulated License Manager that `connection` speaks to."""
    assert connection.region == REGION
    with mock_aws(config={"core": {"mock_credentials": False}}):
        yield licensemanager_backends[ACCOUNT][REGION]


def refuse(code: str, message: str | None = "Because.", **more: Any) -> dict[str, Any]:
    """Give the body of a refusal as AWS sends it."""
    return {"__type": code, **({} if message is None else {"message": message}), **more}


def fail(connection: Connection, *answers: tuple[int, Any] | Exception) -> tuple[LicenseConversionError, int]:
    """Look the task up on a wire that gives these answers; give the error and how many calls were made."""
    wire = Wire(connection.client, *answers)
    with pytest.raises(LicenseConversionError) as error:
        find_task(connection, TASK_ID, Pauses())
    assert_no_secret(error.value)
    return error.value, len(wire.requests)


def assert_no_secret(error: LicenseConversionError) -> None:
    assert len(str(error).splitlines()) == 1
    assert not [secret for secret in (ACCESS_KEY, SECRET_KEY, TOKEN) if secret in str(error)]


# -- looking up --------------------------------------------------------------------------------------------------------


def test_a_task_is_found(connection: Connection, backend: LicenseManagerBackend) -> None:
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
    assert find_task(connection, TASK_ID) == ConversionTask(
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


def test_a_sparse_answer_is_a_task(connection: Connection) -> None:
    """An answer with no more than the id or the status is a task; what AWS left out is None."""
    Wire(connection.client, (200, {"LicenseConversionTaskId": TASK_ID}), (200, {"Status": "FAILED"}))
    assert find_task(connection, TASK_ID) == ConversionTask(TASK_ID, REGION)
    assert find_task(connection, TASK_ID) == ConversionTask(TASK_ID, REGION, status=TaskStatus.FAILED)


def test_a_call_takes_its_turn(connection: Connection, clock: Clock) -> None:
    """Look-ups start at the connection's pace, or at once where the caller has waited for its turn."""
    Wire(connection.client, (200, RUNNING))
    for _ in range(3):
        look_up_task(connection, TASK_ID)
    assert clock.now == pytest.approx(0.1)
    for _ in range(3):
        look_up_task(connection, TASK_ID, in_turn=False)
    assert clock.now == pytest.approx(0.1)


EMULATED: list[Any] = [
    (
        exceptions.InvalidParameterValueException("The task was not found."),
        TaskNotFoundError,
        "AWS does not know it there (InvalidParameterValueException: The task was not found)." + CHECK_ID,
    ),
    (
        exceptions.AuthorizationException("No permission."),
        AccessDeniedError,
        "AWS denies access (AuthorizationException: No permission). Allow license-manager:GetLicenseConversionTask in "
        "the IAM policy of the credentials in use.",
    ),
    (
        exceptions.AccessDeniedException("Denied."),
        AccessDeniedError,
        "AWS denies access (AccessDeniedException: Denied). Allow license-manager:GetLicenseConversionTask in the IAM "
        "policy of the credentials in use.",
    ),
    (
        exceptions.RateLimitExceededException("Too many requests."),
        ThrottledError,
        "AWS asks to slow down (RateLimitExceededException: Too many requests)." + SLOWER,
    ),
    (
        exceptions.ServerInternalException("It broke."),
        ServiceFaultError,
        "AWS had a fault of its own (ServerInternalException: It broke)." + IN_A_WHILE,
    ),
]


@pytest.mark.parametrize(("answer", "cls", "told"), EMULATED, ids=[row[0].code for row in EMULATED])
def test_each_error_of_the_call(
    connection: Connection,
    backend: LicenseManagerBackend,
    answer: exceptions.LicenseManagerException,
    cls: type[LicenseConversionError],
    told: str,
) -> None:
    """Each of the five errors that AWS lists is the user's line; two are tried again first, the others end at once."""
    asked = []

    def admit(operation: str) -> Any:
        asked.append(operation)
        raise answer

    backend.admit = admit  # type: ignore[method-assign]
    with pytest.raises(LicenseConversionError) as error:
        find_task(connection, TASK_ID, Pauses())
    assert type(error.value) is cls
    assert str(error.value) == LOOKING_UP + told
    assert isinstance(error.value.__cause__, ClientError)
    assert asked == [GET] * (3 if issubclass(cls, TransientError) else 1)


WIRED: list[Any] = [
    (
        "throttled by AWS's front",
        (400, refuse("ThrottlingException", "Rate exceeded")),
        ThrottledError,
        "AWS asks to slow down (ThrottlingException: Rate exceeded)." + SLOWER,
    ),
    (
        "throttled by a proxy",
        (429, b"<html>calm down</html>"),
        ThrottledError,
        "AWS asks to slow down (429: <html>calm down</html>)." + SLOWER,
    ),
    (
        "expired token",
        (400, refuse("ExpiredTokenException", "The security token included in the request is expired")),
        CredentialsError,
        "the credentials have expired (ExpiredTokenException: The security token included in the request is expired)."
        + SIGN_IN,
    ),
    (
        "unknown access key",
        (400, refuse("UnrecognizedClientException", "The security token included in the request is invalid.")),
        CredentialsError,
        "AWS refused the credentials (UnrecognizedClientException: The security token included in the request is "
        "invalid)." + SET_CREDENTIALS,
    ),
    (
        "wrong secret key",
        (
            400,
            refuse(
                "InvalidSignatureException",
                "The signature does not match. Check your key.\n\nThe Canonical String for this request should have "
                f"been\n'POST\n/\n\nx-amz-security-token:{TOKEN}\n'",
            ),
        ),
        CredentialsError,
        "AWS refused the credentials (InvalidSignatureException: The signature does not match. Check your key)."
        + SET_CREDENTIALS,
    ),
    (
        "an error that nobody listed",
        (400, refuse("ValidationException", "Odd\x1b[2J.")),
        RequestRefusedError,
        "AWS refused the request (ValidationException: Odd\\x1b[2J). Mend what AWS names and run `pulumi up` again.",
    ),
    (
        "no reason given",
        (400, refuse("AccessDeniedException", None)),
        AccessDeniedError,
        "AWS denies access (AccessDeniedException: AWS gives no reason). Allow "
        "license-manager:GetLicenseConversionTask in the IAM policy of the credentials in use.",
    ),
    (
        "bad gateway",
        (502, b"<html>nginx</html>"),
        ServiceFaultError,
        "AWS had a fault of its own (502: Bad Gateway)." + IN_A_WHILE,
    ),
    (
        "a refusal that is not AWS's",
        (403, b"<html>" + b"blocked by your company " * 5000 + b"</html>"),
        UnreadableAnswerError,
        "HTTP 403 came back without an error of AWS's." + CHECK_ENDPOINT,
    ),
    (
        "a page that is not AWS's",
        (200, b"<html>Sign in to the hotel</html>"),
        UnreadableAnswerError,
        "what came back is no license conversion task." + CHECK_ENDPOINT,
    ),
    ("nothing", (200, b""), UnreadableAnswerError, "what came back is no license conversion task." + CHECK_ENDPOINT),
    (
        "not text",
        (200, b"\xff\xfe"),
        UnreadableAnswerError,
        "the answer can't be read (UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid "
        "start byte)." + CHECK_ENDPOINT,
    ),
    (
        "a member of another type",
        (200, {**RUNNING, "ResourceArn": {"no": "text"}}),
        UnreadableAnswerError,
        "a member of the answer has not the type that AWS documents." + CHECK_ENDPOINT,
    ),
    (
        "another task",
        (200, {**RUNNING, "LicenseConversionTaskId": "lct-other"}),
        UnreadableAnswerError,
        "the answer is about another task, lct-other." + CHECK_ENDPOINT,
    ),
    (
        "unknown status",
        (200, {**RUNNING, "Status": "PAUSED"}),
        UnexpectedStatusError,
        "AWS gave the status 'PAUSED', which is none of IN_PROGRESS, SUCCEEDED and FAILED. Look at the task in the AWS "
        "console, and upgrade lmconv-resource if there is a newer version.",
    ),
]


@pytest.mark.parametrize(("answer", "cls", "told"), [row[1:] for row in WIRED], ids=[row[0] for row in WIRED])
def test_what_else_may_come_back(
    connection: Connection, answer: tuple[int, Any], cls: type[LicenseConversionError], told: str
) -> None:
    """Whatever else comes back is the user's line; what may pass is tried three times, all else ends at once."""
    error, calls = fail(connection, answer)
    assert type(error) is cls
    assert str(error) == LOOKING_UP + told
    assert (error.task_id, error.region) == (TASK_ID, REGION)
    assert calls == (3 if issubclass(cls, TransientError) else 1)


@settings(max_examples=30)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_no_answer_is_a_crash(value: Any) -> None:
    """Any JSON as the answer, or as any member of it, is a task or one line."""
    shape: Any = botocore.session.get_session().get_service_model("license-manager").operation_model(GET).output_shape
    connection = make_connection(Clock(), max_retries=0)
    answers = [value, *({**RUNNING, name: value} for name in shape.members)]
    wire = Wire(connection.client, *((200, answer) for answer in answers))
    for _ in answers:
        try:
            line = json.dumps(find_task(connection, TASK_ID).to_outputs())
        except LicenseConversionError as error:
            line = str(error)
        assert len(line.splitlines()) == 1
    assert len(wire.requests) == len(answers)


@pytest.mark.usefixtures("_own_client")
def test_no_credentials(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Without credentials anywhere the line says how to give some, and nothing is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    error, calls = fail(make_connection(clock), (200, RUNNING))
    assert type(error) is CredentialsError
    assert str(error) == LOOKING_UP + "Unable to locate credentials." + SET_CREDENTIALS
    assert calls == 0


@pytest.mark.usefixtures("_own_client")
@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"])
def test_credentials_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, clock: Clock, name: str) -> None:
    """A line break in a credential ends at once, and the credential, which Python would show, is not shown."""
    monkeypatch.setenv(name, "recognisable\n")
    connection = make_connection(clock, endpoint_url=find_refused_endpoint())
    with pytest.raises(CredentialsError) as error:
        find_task(connection, TASK_ID, Pauses())
    assert str(error.value) == (
        LOOKING_UP + "the credentials hold a character that can't be sent, such as a line break." + SET_CREDENTIALS
    )


def find_refused_endpoint(user: str = "") -> str:
    """Give the URL of a port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://{user}127.0.0.1:{port}"


@pytest.mark.parametrize("user", ["", "user:password@", "user:p@ssword@", "user:pass word@"])
def test_an_endpoint_that_refuses(clock: Clock, user: str) -> None:
    """Where nothing listens, the line names the endpoint, without the password in it, after all tries."""
    connection = make_connection(clock, endpoint_url=find_refused_endpoint(user), max_retries=2)
    pauses = Pauses()
    with pytest.raises(EndpointUnreachableError) as error:
        find_task(connection, TASK_ID, pauses)
    shown = (connection.settings.endpoint_url or "").replace(user, "")
    assert str(error.value) == LOOKING_UP + f'Could not connect to the endpoint URL: "{shown}/".' + CHECK_NETWORK
    assert len(pauses.seconds) == 2


@pytest.mark.usefixtures("_own_client")
def test_an_endpoint_that_never_answers(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """A connection on which no answer comes is given up, and the line says so."""
    monkeypatch.setattr(connections, "_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        connection = make_connection(clock, endpoint_url=endpoint, max_retries=0)
        with pytest.raises(EndpointUnreachableError) as error:
            find_task(connection, TASK_ID)
    assert str(error.value) == LOOKING_UP + f'Read timeout on endpoint URL: "{endpoint}/".' + CHECK_NETWORK


# -- trying again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        (400, refuse("RateLimitExceededException")),
        (400, refuse("ThrottlingException")),
        (500, refuse("ServerInternalException")),
        (503, b""),
        (200, b"<html></html>"),
        botocore_errors.ConnectTimeoutError(endpoint_url="https://lm"),
        botocore_errors.ConnectionClosedError(endpoint_url="https://lm"),
    ],
)
def test_what_may_pass_is_tried_again(connection: Connection, fault: Any) -> None:
    """A fault that has passed at the third try is not seen by the user."""
    wire = Wire(connection.client, fault, fault, (200, RUNNING))
    assert find_task(connection, TASK_ID, Pauses()).status is TaskStatus.IN_PROGRESS
    assert len(wire.requests) == 3


@pytest.mark.parametrize(("members", "calls"), [({"max_retries": 0}, 1), ({"max_retries": 4}, 5), ({}, 8)])
def test_the_number_of_tries_is_the_stacks(clock: Clock, members: dict[str, int], calls: int) -> None:
    """aws:maxRetries says how many tries follow the first; without it seven do."""
    _, made = fail(make_connection(clock, **members), (500, refuse("ServerInternalException")))
    assert made == calls


def test_the_pauses_between_tries_grow(clock: Clock) -> None:
    """The pauses are random below a bound that doubles from half a second to eight, at most 30 s in all."""
    connection = make_connection(clock)
    Wire(connection.client, (500, refuse("ServerInternalException")))
    bounds = [0.5, 1, 2, 4, 8, 8, 8]
    longest = [0.0] * 7
    for _ in range(20):
        pauses = Pauses()
        with pytest.raises(ServiceFaultError):
            find_task(connection, TASK_ID, pauses)
        assert len(pauses.seconds) == 7
        assert all(pause <= bound for pause, bound in zip(pauses.seconds, bounds, strict=True))
        longest = [max(pair) for pair in zip(longest, pauses.seconds, strict=True)]
    assert all(most > bound / 2 for most, bound in zip(longest, bounds, strict=True))


def test_told_to_stop_no_try_follows(connection: Connection) -> None:
    """Once it is told to stop, a look-up makes no further try."""
    stopped = Pauses()
    wire = Wire(connection.client, (500, refuse("ServerInternalException")))
    wire.on_send = stopped.set
    with pytest.raises(ServiceFaultError):
        find_task(connection, TASK_ID, stopped)
    assert (len(wire.requests), stopped.seconds) == (1, [])


def test_told_to_stop_no_list_is_tried_again(connection: Connection) -> None:
    """Once it is told to stop, a list makes no further try either."""
    stopped = Pauses()
    wire = Wire(connection.client, (500, refuse("ServerInternalException")))
    wire.on_send = stopped.set
    with pytest.raises(ServiceFaultError):
        find_tasks(connection, stopped=stopped)
    assert (len(wire.requests), stopped.seconds) == (1, [])


@pytest.mark.parametrize("in_turn", [True, False])
def test_each_page_waits_for_a_turn_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, in_turn: bool
) -> None:
    """The first page of who has waited already does not wait again; a page that is throttled waits for each try."""
    turns: list[int] = []
    slower = (400, refuse("ThrottlingException"))
    first = (200, b'{"LicenseConversionTasks": [], "NextToken": "2"}')
    wire = Wire(connection.client, slower, first, (200, b'{"LicenseConversionTasks": []}'))
    monkeypatch.setattr(Pacer, "wait_for_turn", lambda *_: turns.append(len(wire.requests)))

    assert list(find_tasks_in_progress(connection, in_turn=in_turn)) == [{}, {}]

    assert turns == [0, 1, 2] if in_turn else turns == [1, 2]


@pytest.mark.parametrize("find", [find_tasks, lambda *args, **kwargs: find_task(args[0], TASK_ID, **kwargs)])
def test_told_to_stop_no_turn_is_waited_for(connection: Connection, clock: Clock, find: Callable[..., object]) -> None:
    """However slow the pace has become, who is told to stop does not wait for a turn."""
    for _ in range(20):
        connection.pacer.throttled()
        clock.sleep(60)
    connection.pacer.wait_for_turn()
    before = clock.now
    stopped = threading.Event()
    stopped.set()
    Wire(connection.client, (500, refuse("ServerInternalException")))
    with pytest.raises(ServiceFaultError):
        find(connection, stopped=stopped)
    assert clock.now - before < 1


def test_told_to_stop_a_pause_ends(connection: Connection) -> None:
    """A pause between two tries is waited on the very event that tells to stop, so it ends with it."""

    class Stop(Pauses):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return super().wait(timeout)

    stopped = Stop()
    wire = Wire(connection.client, (500, refuse("ServerInternalException")))
    with pytest.raises(ServiceFaultError):
        find_task(connection, TASK_ID, stopped)
    assert len(stopped.seconds) == 1
    assert len(wire.requests) <= 2


def test_throttling_slows_the_connection_down(connection: Connection) -> None:
    """A refused call slows down all of the connection's calls; those that get through win the pace back."""
    Wire(connection.client, (400, refuse("RateLimitExceededException")), (200, RUNNING))
    assert connection.pacer.gap_seconds == 0.05
    find_task(connection, TASK_ID, Pauses())
    assert connection.pacer.gap_seconds == pytest.approx(0.25 * 0.97)


def test_other_faults_do_not_slow_it_down(connection: Connection) -> None:
    """A fault that has nothing to do with the rate leaves the pace alone."""
    fail(connection, (500, refuse("ServerInternalException")))
    assert connection.pacer.gap_seconds == 0.05


RETRIED_BY_BOTOCORE = [
    *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
    *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("code", sorted(set(RETRIED_BY_BOTOCORE)))
def test_what_botocore_would_try_again_is(code: str) -> None:
    """With botocore's own retries off, none of the codes that they knew is lost."""
    answer: Any = {"Error": {"Code": code, "Message": "."}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = to_error(ClientError(answer, GET), action=GET, task_id=TASK_ID, region=REGION)
    assert isinstance(error, TransientError)


# -- botocore's own errors ---------------------------------------------------------------------------------------------


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
            CredentialsError,
            "The SSO session associated with this profile has expired or is otherwise invalid. To refresh this SSO "
            "session run aws sso login with the corresponding profile." + SIGN_IN,
        ),
        (
            botocore_errors.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
            CredentialsError,
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
            botocore_errors.ProxyConnectionError(proxy_url="http://user:password@proxy"),
            EndpointUnreachableError,
            'Failed to connect to proxy URL: "http://proxy".' + CHECK_NETWORK,
        ),
        (
            botocore_errors.ParamValidationError(report="Invalid length"),
            RequestRefusedError,
            "AWS refused the request (ParamValidationError: Parameter validation failed: Invalid length). Mend what "
            "AWS names and run `pulumi up` again.",
        ),
        (
            OverflowError("date value out of range"),
            UnreadableAnswerError,
            "the answer can't be read (OverflowError: date value out of range)." + CHECK_ENDPOINT,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_of_botocores_own(cause: Exception, cls: type[LicenseConversionError], told: str) -> None:
    """What botocore raises before or instead of an answer is the user's line too."""
    error = to_error(cause, action=GET, task_id=TASK_ID, region=REGION)
    assert type(error) is cls
    assert str(error) == LOOKING_UP + told


def test_no_region() -> None:
    """The complaint of botocore's about a missing region is answered with the command that sets one."""
    error = to_error(botocore_errors.NoRegionError(), action=GET, task_id=TASK_ID, region=REGION)
    assert type(error) is SettingsError
    assert str(error) == (
        f"Connecting to AWS License Manager for license conversion task {TASK_ID} in {REGION}: no region is set. Run "
        "`pulumi config set aws:region REGION`."
    )


def test_a_role_that_may_not_be_assumed() -> None:
    """A refusal on the way to the credentials is not taken for one of License Manager's."""
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": "User u may not sts:AssumeRole."}}
    error = to_error(ClientError(answer, "AssumeRole"), action=GET, task_id=TASK_ID, region=REGION)
    assert type(error) is CredentialsError
    assert str(error) == (
        LOOKING_UP + "AssumeRole was refused (AccessDenied: User u may not sts:AssumeRole). Allow it to the source "
        "credentials, in the role's trust policy too."
    )


def test_a_fault_of_ours_in_a_request(connection: Connection) -> None:
    """An id that botocore itself refuses ends at once, and nothing is sent."""
    wire = Wire(connection.client, (200, RUNNING))
    with pytest.raises(RequestRefusedError, match="ParamValidationError"):
        find_task(connection, 5)  # type: ignore[arg-type]
    assert wire.requests == []


# -- listing -----------------------------------------------------------------------------------------------------------


def test_the_list_is_of_tasks_in_progress(connection: Connection, backend: LicenseManagerBackend) -> None:
    """The list has the tasks in progress, a page at a time, by id, and no others."""
    backend.page_size = 2
    for number in range(5):
        backend.add_task(task_id=f"lct-{number}", resource_arn=ARN, source="a", destination="b", seconds=100)
    backend.add_task(task_id="lct-ended", resource_arn=ARN, source="a", destination="b")
    pages = list(find_tasks_in_progress(connection))
    assert [sorted(page) for page in pages] == [["lct-0", "lct-1"], ["lct-2", "lct-3"], ["lct-4"]]
    assert {task.status for page in pages for task in page.values()} == {TaskStatus.IN_PROGRESS}
    assert pages[0]["lct-0"].resource_arn == ARN
    assert backend.calls == {LIST: 3}


def test_pages_are_asked_for_one_by_one(connection: Connection, backend: LicenseManagerBackend) -> None:
    """Who has seen enough after the first page makes no second call."""
    backend.page_size = 1
    for number in range(3):
        backend.add_task(task_id=f"lct-{number}", resource_arn=ARN, source="a", destination="b", seconds=100)
    next(find_tasks_in_progress(connection))
    assert backend.calls == {LIST: 1}


def test_what_a_list_asks(connection: Connection) -> None:
    """A list asks for IN_PROGRESS, a hundred at a time, and goes on with AWS's own token."""
    filters = [{"Name": "Status", "Values": ["IN_PROGRESS"]}]
    with Stubber(connection.client) as stub:
        first = {"LicenseConversionTasks": [RUNNING], "NextToken": "more"}
        stub.add_response("list_license_conversion_tasks", first, {"Filters": filters, "MaxResults": 100})
        stub.add_response(
            "list_license_conversion_tasks", {}, {"Filters": filters, "MaxResults": 100, "NextToken": "more"}
        )
        assert [sorted(page) for page in find_tasks_in_progress(connection)] == [[TASK_ID], []]
        stub.assert_no_pending_responses()


def test_a_list_without_end_ends(connection: Connection) -> None:
    """Tokens that lead in circles end in one line, not in endless calls."""
    wire = Wire(connection.client, (200, {"LicenseConversionTasks": [], "NextToken": "again"}))
    with pytest.raises(UnreadableAnswerError) as error:
        list(find_tasks_in_progress(connection))
    assert str(error.value) == LISTING + "the list has no end after 1000 pages." + CHECK_ENDPOINT
    assert len(wire.requests) == 1000


def test_a_throttled_page_is_asked_for_again(connection: Connection, clock: Clock) -> None:
    """A page refused for the rate is asked for again at a slower pace; the list does not begin at its start again."""
    throttled = (400, refuse("RateLimitExceededException"))
    pages = [
        {"LicenseConversionTasks": [{**RUNNING, "LicenseConversionTaskId": f"lct-{number}"}], "NextToken": f"t{number}"}
        for number in (1, 2)
    ]
    wire = Wire(connection.client, (200, pages[0]), throttled, throttled, (200, pages[1]), throttled, (200, {}))
    assert [sorted(page) for page in find_tasks_in_progress(connection)] == [["lct-1"], ["lct-2"], []]
    tokens = [json.loads(request.body).get("NextToken") for request in wire.requests]
    assert tokens == [None, "t1", "t1", "t1", "t2", "t2"]
    assert clock.now >= 3 * 0.25


def test_a_page_that_stays_throttled_is_given_up(connection: Connection) -> None:
    """After five refusals of one page the list ends in the user's line."""
    wire = Wire(connection.client, (400, refuse("RateLimitExceededException", "Too many requests.")))
    with pytest.raises(ThrottledError) as error:
        list(find_tasks_in_progress(connection))
    assert str(error.value) == (
        LISTING + "AWS asks to slow down (RateLimitExceededException: Too many requests)." + SLOWER
    )
    assert len(wire.requests) == 5


@pytest.mark.parametrize(
    ("answer", "cls", "told"),
    [
        (
            (400, refuse("AccessDeniedException", "Not you.")),
            AccessDeniedError,
            "AWS denies access (AccessDeniedException: Not you). Allow license-manager:ListLicenseConversionTasks in "
            "the IAM policy of the credentials in use.",
        ),
        (
            (400, refuse("InvalidParameterValueException", "No such filter.")),
            RequestRefusedError,
            "AWS refused the request (InvalidParameterValueException: No such filter). Mend what AWS names and run "
            "`pulumi up` again.",
        ),
        (
            (500, refuse("ServerInternalException", "It broke.")),
            ServiceFaultError,
            "AWS had a fault of its own (ServerInternalException: It broke)." + IN_A_WHILE,
        ),
        (
            (200, {"LicenseConversionTasks": 5}),
            UnreadableAnswerError,
            "the answer can't be read (TypeError: 'int' object is not iterable)." + CHECK_ENDPOINT,
        ),
    ],
)
def test_a_list_that_fails(
    connection: Connection, answer: tuple[int, Any], cls: type[LicenseConversionError], told: str
) -> None:
    """A list that fails for another reason ends at once, in a line about the list and with its IAM action."""
    wire = Wire(connection.client, answer)
    with pytest.raises(LicenseConversionError) as error:
        list(find_tasks_in_progress(connection))
    assert type(error.value) is cls
    assert str(error.value) == LISTING + told
    assert_no_secret(error.value)
    assert len(wire.requests) == 1


def test_entries_without_an_id_are_left_out(connection: Connection) -> None:
    """An entry that names no task can't be one that somebody waits for."""
    entries = [None, {}, {"LicenseConversionTaskId": 5}, {"Status": "IN_PROGRESS"}, RUNNING]
    Wire(connection.client, (200, {"LicenseConversionTasks": entries}))
    assert [sorted(page) for page in find_tasks_in_progress(connection)] == [[TASK_ID]]
