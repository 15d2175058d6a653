"""What clients get when the emulated License Manager is told to fail."""

from __future__ import annotations

import http.client
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto import mock_aws

from emulator import ACCOUNT, ARN, NOON, REGION, Clock
from lmconv_resource.emulator import (
    ChangedAnswer,
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    RateLimit,
    RawAnswer,
    ShiftedClock,
    SlowAnswer,
    licensemanager_backends,
    serve,
)
from lmconv_resource.emulator.effects import Effect

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
CREATE = "CreateLicenseConversionTaskForResource"


def connect(endpoint: str | None = None, read_timeout: float = 5) -> LicenseManagerClient:
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=read_timeout)
    return boto3.client("license-manager", endpoint_url=endpoint, config=config)


@pytest.fixture(params=["mocked", "served"])
def client(request: pytest.FixtureRequest) -> Iterator[LicenseManagerClient]:
    """A client of the emulator, once inside mock_aws and once over HTTP."""
    if request.param == "mocked":
        with mock_aws():
            yield connect()
    else:
        with serve() as emulator:
            yield connect(emulator.endpoint)


@pytest.fixture
def mocked() -> Iterator[LicenseManagerClient]:
    with mock_aws():
        yield connect()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with serve() as emulator:
        yield emulator.endpoint


def find_backend(clock: Clock | None = None) -> LicenseManagerBackend:
    """Return the backend, with one task that has succeeded."""
    backend = licensemanager_backends[ACCOUNT][REGION]
    backend.clock = clock or Clock()
    backend.add_task(
        task_id="lct-1", resource_arn=ARN, source="RunInstances:0800", destination="RunInstances:0002", message="done"
    )
    return backend


def get(client: LicenseManagerClient) -> dict[str, Any]:
    return dict(client.get_license_conversion_task(LicenseConversionTaskId="lct-1"))


def outcome(client: LicenseManagerClient) -> str:
    """Return the task's status, or the code of the error instead."""
    try:
        return str(get(client)["Status"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDeniedException", 400), ("ServerInternalException", 500), ("NotAuthorized", 401)]
)
def test_an_error(client: LicenseManagerClient, code: str, status: int) -> None:
    """Every error is a ClientError of its code and HTTP status, and the call is not carried out."""
    backend = find_backend()
    backend.faults.add(Fault(ErrorAnswer(code, "so it is"), operation=CREATE))
    context: Any = {"UsageOperation": "RunInstances:0800"}
    with pytest.raises(ClientError) as error:
        client.create_license_conversion_task_for_resource(
            ResourceArn=ARN, SourceLicenseContext=context, DestinationLicenseContext=context
        )
    assert error.value.response["Error"] == {"Code": code, "Message": "so it is"}
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert len(backend.tasks) == 1


def test_an_errors_status_can_be_chosen(mocked: LicenseManagerClient) -> None:
    """A code that the emulator does not know works with an HTTP status, and a known one can have another."""
    backend = find_backend()
    backend.faults.add(Fault(ErrorAnswer("SlowDown", http_status=429), calls=1))
    backend.faults.add(Fault(ErrorAnswer("ThrottlingException", http_status=429)))
    for code in ("SlowDown", "ThrottlingException"):
        with pytest.raises(ClientError) as error:
            get(mocked)
        assert error.value.response["Error"]["Code"] == code
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("body", ["", "<html>Bad Gateway</html>"])
def test_a_gateways_error(client: LicenseManagerClient, status: int, body: str) -> None:
    """An HTTP error that is not AWS's is a ClientError whose code is the status, with and without a body."""
    find_backend().faults.add(Fault(RawAnswer(status, body)))
    with pytest.raises(ClientError) as error:
        get(client)
    assert error.value.response["Error"]["Code"] == str(status)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_dropped_connection(client: LicenseManagerClient, capfd: pytest.CaptureFixture[str]) -> None:
    """Before the answer it is ConnectionClosedError, mocked and served; the next call works again."""
    backend = find_backend()
    backend.faults.add(Fault(DroppedConnection(), calls=1))
    with pytest.raises(ConnectionClosedError):
        get(client)
    assert outcome(client) == "SUCCEEDED"
    assert backend.calls == {GET: 2}
    assert capfd.readouterr() == ("", "")


def test_half_an_answer(client: LicenseManagerClient, capfd: pytest.CaptureFixture[str]) -> None:
    """Of half an answer botocore makes one without members, mocked and served, and no error; the next is whole.

    botocore 1.43 sees one on the wire break off.
    """
    find_backend().faults.add(Fault(DroppedConnection(halfway=True), calls=1))
    try:
        assert set(get(client)) == {"ResponseMetadata"}
    except ConnectionClosedError:
        assert botocore.__version__.startswith("1.43.")
        assert client.meta.endpoint_url.startswith("http://127.0.0.1:")
    assert outcome(client) == "SUCCEEDED"
    assert capfd.readouterr() == ("", "")


def test_half_an_answer_breaks_off(endpoint: str) -> None:
    """On the wire it is shorter than it says, so that a client which checks sees it break off."""
    find_backend().faults.add(Fault(DroppedConnection(halfway=True)))
    headers = {
        "X-Amz-Target": f"AWSLicenseManager.{GET}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20240501/us-east-1/license-manager/aws4_request, Signature=b",
    }
    request = urllib.request.Request(endpoint, b'{"LicenseConversionTaskId": "lct-1"}', headers)  # noqa: S310 - ours
    with urllib.request.urlopen(request) as answer, pytest.raises(http.client.IncompleteRead):  # noqa: S310 - likewise
        answer.read()


def test_a_dropped_create_was_carried_out(client: LicenseManagerClient) -> None:
    """The client of a dropped Create knows no id, and the task is there."""
    backend = find_backend()
    backend.faults.add(Fault(DroppedConnection()))
    context: Any = {"UsageOperation": "RunInstances:0800"}
    with pytest.raises(ConnectionClosedError):
        client.create_license_conversion_task_for_resource(
            ResourceArn=ARN, SourceLicenseContext=context, DestinationLicenseContext=context
        )
    assert len(backend.tasks) == 2


def test_an_answer_that_is_no_json(client: LicenseManagerClient) -> None:
    """Of a web page with HTTP 200, and of nothing, botocore makes an answer without members, and no error."""
    backend = find_backend()
    for body in ("<html>Sign in</html>", ""):
        backend.faults.add(Fault(RawAnswer(200, body), calls=1))
        assert set(get(client)) == {"ResponseMetadata"}


def test_an_answer_that_is_no_object(client: LicenseManagerClient) -> None:
    """Of JSON that is no object botocore's own code fails."""
    backend = find_backend()
    for body in ("[]", '"text"', "7", "null"):
        backend.faults.add(Fault(RawAnswer(200, body, "application/x-amz-json-1.1"), calls=1))
        with pytest.raises(AttributeError):
            get(client)


@pytest.mark.parametrize(
    ("effect", "seen"),
    [
        (ChangedAnswer(without=("Status", "EndTime")), {"Status": None, "EndTime": None, "StatusMessage": "done"}),
        (ChangedAnswer({"Status": None}), {"Status": None, "StatusMessage": "done"}),
        (ChangedAnswer({"Surprise": [1]}), {"Surprise": None, "Status": "SUCCEEDED"}),
        (ChangedAnswer({"Status": 7}), {"Status": 7}),
        (ChangedAnswer({"Status": "PAUSED"}), {"Status": "PAUSED"}),
        (ChangedAnswer({"Status": "IN_PROGRESS"}, ("EndTime",)), {"Status": "IN_PROGRESS", "EndTime": None}),
        (ChangedAnswer({"LicenseConversionTaskId": "lct-2"}), {"LicenseConversionTaskId": "lct-2"}),
        (
            ShiftedClock(-3 * 3600),
            {"EndTime": datetime.fromtimestamp(NOON, timezone.utc) - timedelta(hours=3), "Status": "SUCCEEDED"},
        ),
    ],
)
def test_a_changed_answer(client: LicenseManagerClient, effect: Effect, seen: dict[str, Any]) -> None:
    """A changed member is what the client sees, in Get and in each task of a List."""
    find_backend().faults.add(Fault(effect))
    (listed,) = client.list_license_conversion_tasks()["LicenseConversionTasks"]
    for task in (get(client), dict(listed)):
        assert {name: task.get(name) for name in seen} == seen


def test_a_member_of_the_wrong_kind(client: LicenseManagerClient) -> None:
    """Where a time or a structure should be and is not, botocore raises what its parser meets."""
    backend = find_backend()
    backend.faults.add(Fault(ChangedAnswer({"StartTime": "soon"}), calls=1))
    backend.faults.add(Fault(ChangedAnswer({"SourceLicenseContext": "RunInstances"}), calls=1))
    with pytest.raises(ValueError, match="soon"):
        get(client)
    with pytest.raises(AttributeError):
        get(client)


def test_a_changed_list(mocked: LicenseManagerClient) -> None:
    """In a List the two members of the answer itself can be changed, and errors stay as they are."""
    backend = find_backend()
    backend.faults.add(Fault(ChangedAnswer({"NextToken": "again"}, ("LicenseConversionTasks",)), operation=LIST))
    answer = mocked.list_license_conversion_tasks()
    assert (answer["NextToken"], "LicenseConversionTasks" in answer) == ("again", False)
    with pytest.raises(ClientError, match="is less than 1"):
        mocked.list_license_conversion_tasks(MaxResults=0)


def test_a_slow_answer(mocked: LicenseManagerClient) -> None:
    """A slow call waits before it is carried out, and a later fault can hit it too."""
    waits: list[float] = []
    backend = find_backend()
    backend.faults.sleep = waits.append
    backend.faults.add(Fault(SlowAnswer(30), calls=2))
    backend.faults.add(Fault(ErrorAnswer("ServiceUnavailable"), calls=1))
    assert [outcome(mocked) for _ in range(3)] == ["ServiceUnavailable", "SUCCEEDED", "SUCCEEDED"]
    assert waits == [30, 30]
    assert backend.faults.injected == {"slow": 2, "error": 1}


def test_a_slow_answer_over_http(endpoint: str) -> None:
    """A client that does not wait so long gets its own read timeout."""
    find_backend().faults.add(Fault(SlowAnswer(0.2), calls=1))
    with pytest.raises(ReadTimeoutError):
        get(connect(endpoint, read_timeout=0.05))


def test_the_next_calls(mocked: LicenseManagerClient) -> None:
    """Faults with a number of calls follow one another, and calls of other operations do not count."""
    backend = find_backend()
    backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), operation=GET, calls=2))
    backend.faults.add(Fault(ErrorAnswer("ServerInternalException"), calls=1, operation=GET))
    mocked.list_license_conversion_tasks()
    assert [outcome(mocked) for _ in range(4)] == [
        "ThrottlingException",
        "ThrottlingException",
        "ServerInternalException",
        "SUCCEEDED",
    ]
    assert backend.calls == {GET: 4, LIST: 1}
    backend.faults.add(Fault(ErrorAnswer("ThrottlingException")))
    backend.faults.clear()
    assert outcome(mocked) == "SUCCEEDED"
    assert backend.faults.injected == {"error": 3}


def test_a_share_of_calls(mocked: LicenseManagerClient) -> None:
    """About the share is hit, the same calls with the same seed and others with another one."""
    backend = find_backend()

    def run(seed: int) -> list[bool]:
        backend.faults.clear()
        backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), share=0.3, seed=seed))
        return [bool(backend.faults.decide(GET)) for _ in range(1000)]

    first = run(7)
    assert run(7) == first
    assert run(8) != first
    assert 250 < sum(first) < 350


def test_threads_share_a_fault_and_a_limit(mocked: LicenseManagerClient) -> None:
    """However many threads call, exactly the number of calls is hit and exactly the burst admitted."""
    backend = find_backend()
    backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), calls=30))
    backend.faults.limit_rate(RateLimit(rate_per_second=1, burst=60))
    with ThreadPoolExecutor(8) as threads:
        seen = Counter(threads.map(lambda _: outcome(mocked), range(80)))
    assert seen == {"ThrottlingException": 30, "SUCCEEDED": 30, "RateLimitExceededException": 20}
    assert (backend.calls, backend.refused) == ({GET: 80}, {GET: 20})


def test_a_window_of_time(mocked: LicenseManagerClient, clock: Clock) -> None:
    """A fault with times is there from the first until just before the second, counted from when it was added."""
    backend = find_backend(clock)
    backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), from_seconds=5, until_seconds=10))
    seen = {}
    for age in (0.0, 4.9, 5.0, 9.9, 10.0):
        clock.now = NOON + age
        seen[age] = outcome(mocked)
    assert [age for age, what in seen.items() if what == "ThrottlingException"] == [5.0, 9.9]


@pytest.mark.parametrize("code", ["RateLimitExceededException", "ThrottlingException"])
def test_a_rate_limit(mocked: LicenseManagerClient, clock: Clock, code: str) -> None:
    """A burst is admitted at once, then as many as the rate, over all operations; a refused call costs nothing."""
    backend = find_backend(clock)
    backend.faults.limit_rate(RateLimit(rate_per_second=2, burst=3, code=code))
    mocked.list_license_conversion_tasks()
    assert [outcome(mocked) for _ in range(4)] == ["SUCCEEDED", "SUCCEEDED", code, code]
    clock.now += 0.4
    assert outcome(mocked) == code
    clock.now += 0.1
    assert [outcome(mocked) for _ in range(2)] == ["SUCCEEDED", code]
    clock.now -= 100
    assert outcome(mocked) == code
    clock.now += 1000
    assert [outcome(mocked) for _ in range(4)] == ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", code]
    assert backend.calls == {GET: 12, LIST: 1}
    assert backend.refused == {GET: 6}
    backend.faults.limit_rate(None)
    assert outcome(mocked) == "SUCCEEDED"


def test_a_steady_client_gets_the_whole_rate(mocked: LicenseManagerClient, clock: Clock) -> None:
    """Ten tenths of a token are one, whatever floating point makes of them; faults see admitted calls only."""
    backend = find_backend(clock)
    clock.now = 0.0
    backend.faults.limit_rate(RateLimit(rate_per_second=1))
    backend.faults.add(Fault(ErrorAnswer("InternalFailure"), calls=1))
    seen = []
    for _ in range(31):
        seen.append(outcome(mocked))
        clock.now += 0.1
    assert [index for index, what in enumerate(seen) if what != "RateLimitExceededException"] == [0, 10, 20, 30]
    assert (seen[0], seen[10]) == ("InternalFailure", "SUCCEEDED")


def test_a_mock_forgets_its_faults() -> None:
    """The next mock_aws begins without faults and rate limit."""
    with mock_aws():
        backend = find_backend()
        backend.faults.limit_rate(RateLimit(0.001))
        backend.faults.add(Fault(ErrorAnswer("ThrottlingException")))
        assert outcome(connect()) == "ThrottlingException"
    with mock_aws():
        assert find_backend().faults.decide(GET) == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"effect": SlowAnswer(0), "operation": "Get"}, "operation: "),
        ({"effect": SlowAnswer(0), "share": 0}, "share: "),
        ({"effect": SlowAnswer(0), "share": 1.5}, "share: "),
    ],
)
def test_a_fault_without_sense(given: dict[str, Any], why: str) -> None:
    """A fault that could hit nothing, or that was mistyped, is not made; nor a code that has no status."""
    with pytest.raises(ValueError, match=why):
        Fault(**given)
    with pytest.raises(ValueError, match="'Slow' is not known to the emulator"):
        ErrorAnswer("Slow")
