"""How AWS is called: what is tried again, how long the pauses are, the pace, and how all of it ends."""

import datetime
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore import exceptions as botocore_errors
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from support.aws import GET, REGION, MadeClients, TimelessAws, refuse, shared_client, to_settings
from support.wire import Wire

from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.errors import ClockSkewError, CredentialsError, ExpiredCredentialsError, ServiceFaultError, Subject
from lmconv_resource.models import TaskStatus
from lmconv_resource.polling.policy import RateLimiter
from lmconv_resource.polling.runtime import Cancellation

TASK_ID = "lct-0123456789abcdef0"
RUNNING = {"LicenseConversionTaskId": TASK_ID, "Status": "IN_PROGRESS", "ResourceArn": "arn"}


@pytest.fixture
def aws() -> TimelessAws:
    return TimelessAws()


@pytest.mark.parametrize(
    "fault",
    [
        (400, refuse("RateLimitExceededException")),
        (500, refuse("ServerInternalException")),
        (503, b""),
        (200, b"<html></html>"),
        botocore_errors.ConnectTimeoutError(endpoint_url="https://lm"),
        botocore_errors.ConnectionClosedError(endpoint_url="https://lm"),
    ],
)
def test_what_may_pass_is_tried_again(aws: TimelessAws, fault: tuple[int, object] | Exception) -> None:
    """A fault that has passed at the third try is not seen by the user."""
    wire = Wire(aws.client(), fault, fault, (200, RUNNING))
    assert aws.license_manager.get_task(TASK_ID).status is TaskStatus.IN_PROGRESS
    assert len(wire.requests) == 3


@pytest.mark.parametrize(("config", "calls"), [({"maxRetries": "0"}, 1), ({"maxRetries": 4.0}, 5), ({}, 8)])
def test_the_number_of_tries_is_the_stacks(config: dict[str, str], calls: int) -> None:
    """aws:maxRetries says how many tries follow the first; without it seven do."""
    aws = TimelessAws(to_settings(**config))
    wire = Wire(aws.client(), (500, refuse("ServerInternalException")))
    with pytest.raises(ServiceFaultError):
        aws.license_manager.get_task(TASK_ID)
    assert len(wire.requests) == calls


def test_the_pauses_between_tries_grow() -> None:
    """The pauses are random below a bound that doubles from half a second to eight, at most 30 s in all."""
    Wire(shared_client("license-manager", to_settings()), (500, refuse("ServerInternalException")))
    bounds = [0.5, 1, 2, 4, 8, 8, 8]
    longest = [0.0] * 7
    for _ in range(20):
        aws = TimelessAws(to_settings())
        pauses = aws.pauses
        with pytest.raises(ServiceFaultError):
            aws.license_manager.get_task(TASK_ID)
        assert len(pauses.seconds) == 7
        assert all(pause <= bound for pause, bound in zip(pauses.seconds, bounds, strict=True))
        longest = [max(pair) for pair in zip(longest, pauses.seconds, strict=True)]
    assert all(most > bound / 2 for most, bound in zip(longest, bounds, strict=True))


def to_aws(send: Callable[..., Any]) -> TimelessAws:
    """Return AWS whose look-ups are answered by this."""
    return TimelessAws(make_client=lambda *_: SimpleNamespace(get_license_conversion_task=send))


REFUSED_KEYS: list[tuple[Exception, str]] = [
    (ClientError({"Error": {"Code": code, "Message": "No."}}, GET), code)
    for code in ("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "RequestExpired")
] + [
    (CredentialRetrievalError(provider="custom-process", error_msg="No."), "custom-process"),
    (FileNotFoundError(2, "No such file or directory", "/token"), "/token"),
]


@pytest.mark.parametrize(("cause", "told"), REFUSED_KEYS, ids=[told for _, told in REFUSED_KEYS])
def test_keys_that_were_good_once_are_read_again(cause: Exception, told: str) -> None:
    """Keys that AWS has taken and takes no more were rotated; keys that it never took are wrong."""
    send = Mock(side_effect=[cause, {}, cause, cause])
    calls, subject = to_aws(send).calls(), Subject(GET, TASK_ID, REGION)
    with pytest.raises((CredentialsError, ClockSkewError), match=told) as first:
        calls.call(subject, {})
    assert (send.call_count, isinstance(first.value, ExpiredCredentialsError)) == (1, False)
    calls.call(subject, {})
    with pytest.raises(ExpiredCredentialsError, match=told) as last:
        calls.call(subject, {})
    assert send.call_count == 4
    if told == "InvalidClientTokenId":
        assert "AWS no longer accepts the credentials (InvalidClientTokenId: No)" in str(last.value)


def test_credentials_that_have_ended_when_they_are_given() -> None:
    """Botocore has no class for it, and whoever gives them is to be asked, not the answer."""
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    given = {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": past.isoformat()}
    credentials = RefreshableCredentials("a", "s", "t", past, lambda: given, "custom-process")
    with pytest.raises(ExpiredCredentialsError, match="the refreshed credentials are still expired"):
        to_aws(lambda **_: credentials.get_frozen_credentials()).calls().call(Subject(GET, TASK_ID, REGION), {})


def test_told_to_stop_no_try_follows(aws: TimelessAws) -> None:
    stopped = aws.pauses
    wire = Wire(aws.client(), (500, refuse("ServerInternalException")))
    wire.on_send = lambda: stopped.set("the update was cancelled")
    with pytest.raises(ServiceFaultError):
        aws.license_manager.get_task(TASK_ID)
    assert (len(wire.requests), stopped.seconds) == (1, [])


@pytest.mark.parametrize("has_turn", [False, True])
def test_each_page_waits_for_a_turn_once(aws: TimelessAws, has_turn: bool) -> None:
    """The first page of who has waited already does not wait again; a page that is throttled waits for each try.

    The list does not begin at its start again.
    """
    turns: list[int] = []
    slower = (400, refuse("ThrottlingException"))
    first = (200, b'{"LicenseConversionTasks": [], "NextToken": "2"}')
    wire = Wire(aws.client(), slower, first, slower, (200, b'{"LicenseConversionTasks": []}'))

    class Turns(RateLimiter):
        def acquire(self, cancellation: Cancellation | None = None) -> None:
            assert cancellation is aws.pauses  # so that no turn is waited for after it
            turns.append(len(wire.requests))

    session = MadeClients(aws.settings, lambda service, _: aws.client(service))
    calls = Calls(session, {"license-manager": Turns()}, aws.pauses, has_turn=has_turn)

    assert list(LicenseManager(calls).pages()) == [{}, {}]

    assert turns == ([1, 2, 3] if has_turn else [0, 1, 2, 3])
    assert [json.loads(request.body).get("NextToken") for request in wire.requests] == [None, None, "2", "2"]


def test_throttling_slows_the_connection_down(aws: TimelessAws) -> None:
    """A refused call slows down all of the connection's calls; those that get through win the pace back."""
    fault, throttled = (500, refuse("ServerInternalException")), (400, refuse("RateLimitExceededException"))
    wire = Wire(aws.client(), fault, (200, RUNNING))
    aws.license_manager.get_task(TASK_ID)
    assert aws.limiter.gap_seconds == 0.05  # a fault that has nothing to do with the rate
    wire.cut()
    Wire(aws.client(), throttled, (200, RUNNING))
    aws.license_manager.get_task(TASK_ID)
    assert aws.limiter.gap_seconds == pytest.approx(0.25 * 0.97)
