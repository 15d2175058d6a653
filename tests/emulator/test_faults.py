"""What clients get when the emulated License Manager is told to fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import botocore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from moto import mock_aws
from support.aws import CREATE, GET, LIST, Clock

from emulator import NOON, add_task, connect, get, get_backend, start
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
    serve,
)
from lmconv_resource.emulator.effects import Effect

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

TASK_ID = "lct-1"


@pytest.fixture(params=["mocked", "served"])
def either(request: pytest.FixtureRequest) -> Iterator[LicenseManagerClient]:
    """A client of the emulator, once inside mock_aws and once over HTTP."""
    if request.param == "mocked":
        with mock_aws():
            yield connect()
    else:
        with serve() as emulator:
            yield connect(emulator.endpoint)


def add_fault(*effects: Effect, **which: Any) -> LicenseManagerBackend:
    """Have the calls hit, one by each effect unless told otherwise, and return the backend, with one ended task."""
    backend = get_backend()
    if TASK_ID not in backend.tasks:
        add_task(backend, task_id=TASK_ID, message="done")
    for effect in effects:
        backend.faults.add(Fault(effect, **{"calls": 1, **which}))
    return backend


def outcome(client: LicenseManagerClient) -> str:
    """Return the task's status, or the code of the error instead."""
    try:
        return str(get(client, TASK_ID)["Status"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def test_an_error(either: LicenseManagerClient) -> None:
    """Every error is a ClientError of its code and HTTP status; a call that AWS refuses is not carried out."""
    for effect, code, status, tasks in (
        (ErrorAnswer("AccessDeniedException", "so it is"), "AccessDeniedException", 400, 1),
        (ErrorAnswer("ServerInternalException"), "ServerInternalException", 500, 1),
        (ErrorAnswer("SlowDown", http_status=429), "SlowDown", 429, 1),  # a code that the emulator does not know
        (RawAnswer(502, "<html>Bad Gateway</html>"), "502", 502, 2),
    ):
        backend = add_fault(effect, operation=CREATE)
        with pytest.raises(ClientError) as caught:
            start(either)
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
        assert code != "AccessDeniedException" or answer["Error"]["Message"] == "so it is"
        assert len(backend.tasks) == tasks


def test_a_dropped_connection(either: LicenseManagerClient) -> None:
    """Before the answer it is ConnectionClosedError: the client of a Create knows no id, and the task is there.

    Of half an answer botocore makes one without members, and no error; botocore 1.43 sees one on the wire break off.
    The next call works again.
    """
    backend = add_fault(DroppedConnection(), DroppedConnection(halfway=True))
    with pytest.raises(ConnectionClosedError):
        start(either)
    assert len(backend.tasks) == 2
    try:
        assert set(get(either, TASK_ID)) == {"ResponseMetadata"}
    except ConnectionClosedError:
        assert botocore.__version__.startswith("1.43.")
        assert either.meta.endpoint_url.startswith("http://127.0.0.1:")
    assert outcome(either) == "SUCCEEDED"
    assert backend.calls == {CREATE: 1, GET: 2}


def test_a_changed_answer(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A changed member is what the client sees, in Get and in each task of a List, whose own two can be changed too."""
    earlier = datetime.fromtimestamp(NOON, timezone.utc) - timedelta(hours=3)
    for effect, seen in (
        (ChangedAnswer(without=("Status", "EndTime")), {"Status": None, "EndTime": None, "StatusMessage": "done"}),
        (ChangedAnswer({"Surprise": [1]}), {"Surprise": None, "Status": "SUCCEEDED"}),
        (ChangedAnswer({"Status": 7}, ("EndTime",)), {"Status": 7, "EndTime": None}),
        (ShiftedClock(-3 * 3600), {"EndTime": earlier, "Status": "SUCCEEDED"}),
    ):
        add_fault(effect, calls=2)
        (listed,) = client.list_license_conversion_tasks()["LicenseConversionTasks"]
        for task in (get(client, TASK_ID), dict(listed)):
            assert {name: task.get(name) for name in seen} == seen
    add_fault(ChangedAnswer({"NextToken": "again"}, ("LicenseConversionTasks",)), operation=LIST, calls=2)
    answer = client.list_license_conversion_tasks()
    assert (answer["NextToken"], "LicenseConversionTasks" in answer) == ("again", False)
    with pytest.raises(ClientError, match="is less than 1"):
        client.list_license_conversion_tasks(MaxResults=0)


def test_a_slow_answer(client: LicenseManagerClient) -> None:
    """A slow call waits before it is carried out, and a later fault can hit it too."""
    waits: list[float] = []
    backend = add_fault(SlowAnswer(30), SlowAnswer(30), ErrorAnswer("ServiceUnavailable"))
    backend.faults.sleep = waits.append
    assert [outcome(client) for _ in range(2)] == ["ServiceUnavailable", "SUCCEEDED"]
    assert waits == [30, 30]
    assert backend.faults.injected == {"slow": 2, "error": 1}


def test_the_next_calls(client: LicenseManagerClient) -> None:
    """Faults with a number of calls follow one another, and calls of other operations do not count."""
    add_fault(ErrorAnswer("ThrottlingException"), operation=GET, calls=2)
    backend = add_fault(ErrorAnswer("ServerInternalException"), operation=GET)
    client.list_license_conversion_tasks()
    codes = ["ThrottlingException", "ThrottlingException", "ServerInternalException", "SUCCEEDED"]
    assert [outcome(client) for _ in range(4)] == codes
    assert backend.calls == {GET: 4, LIST: 1}
    add_fault(ErrorAnswer("ThrottlingException"))
    backend.faults.clear()
    assert outcome(client) == "SUCCEEDED"


def test_a_share_of_calls(backend: LicenseManagerBackend) -> None:
    def run(seed: int) -> list[bool]:
        backend.faults.clear()
        backend.faults.add(Fault(ErrorAnswer("ThrottlingException"), share=0.3, seed=seed))
        return [bool(backend.faults.decide(GET)) for _ in range(1000)]

    first = run(7)
    assert run(7) == first
    assert run(8) != first
    assert 250 < sum(first) < 350


def test_a_rate_limit(client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock) -> None:
    """A burst is admitted at once, then as many as the rate, over all operations; a refused call costs nothing.

    Ten tenths of a token are one, whatever floating point makes of them, and a clock that is set back takes none.
    """
    code = "RateLimitExceededException"
    add_fault()
    backend.faults.limit_rate(RateLimit(rate_per_second=2, burst=3))
    client.list_license_conversion_tasks()
    assert [outcome(client) for _ in range(4)] == ["SUCCEEDED", "SUCCEEDED", code, code]
    clock.now -= 100
    assert outcome(client) == code
    clock.now += 1000
    assert [outcome(client) for _ in range(4)] == ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", code]
    assert backend.refused == {GET: 4}
    clock.now = 0.0
    backend.faults.limit_rate(RateLimit(rate_per_second=1))
    seen = []
    for _ in range(31):
        seen.append(outcome(client))
        clock.now += 0.1
    assert [index for index, what in enumerate(seen) if what != code] == [0, 10, 20, 30]
    backend.faults.limit_rate(None)
    assert outcome(client) == "SUCCEEDED"


def test_a_fault_without_sense() -> None:
    """A fault that could hit nothing, or that was mistyped, is not made; nor a code that has no status."""
    for given in ({"operation": "Get"}, {"share": 0}, {"share": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(given))}: "):
            Fault(SlowAnswer(0), **given)
    with pytest.raises(ValueError, match="'Slow' is not known to the emulator"):
        ErrorAnswer("Slow")
