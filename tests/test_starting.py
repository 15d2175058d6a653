"""Starting a conversion exactly once: each row of the rule, and what becomes of a call whose answer never arrived."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from moto import mock_aws

from lmconv_resource import conversion_provider
from lmconv_resource import emulator as emulators
from lmconv_resource.aws.client import Connection, connect
from lmconv_resource.aws.license_manager import start_task
from lmconv_resource.aws.settings import Settings
from lmconv_resource.emulator import (
    ChangedAnswer,
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    RawAnswer,
    SlowAnswer,
    licensemanager_backends,
    serve,
)
from lmconv_resource.emulator.effects import Effect
from lmconv_resource.errors import (
    AccessDeniedError,
    LicenseConversionError,
    OtherConversionError,
    RequestRefusedError,
    ServiceFaultError,
    StartInterruptedError,
    ThrottledError,
)
from lmconv_resource.lifecycle import start as starting
from lmconv_resource.lifecycle.start import (
    Beginning,
    Request,
    begin,
    find_newest,
    is_same_context,
)
from lmconv_resource.models import ConversionTask, LicenseContext, ProductCode, TaskStatus
from lmconv_resource.sdk import resources as resource

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
BYOL, WINDOWS, WEB = "RunInstances:0800", "RunInstances:0002", "RunInstances:0202"
REQUEST = Request(ARN, LicenseContext(BYOL), LicenseContext(WINDOWS))
CREATE, LIST = "CreateLicenseConversionTaskForResource", "ListLicenseConversionTasks"
STARTING = f"Starting the license conversion of {ARN} in {REGION}: "
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_SETTLING_SECONDS", 0.01)
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def connection(aws: LicenseManagerBackend) -> Connection:
    """A connection that tries three times."""
    return connect(Settings(region=REGION, max_retries=2))


def add(aws: LicenseManagerBackend, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"resource_arn": ARN, "source": BYOL, "destination": WINDOWS, "status": status, **seconds}
    return aws.add_task(**{**defaults, **settings}).task_id


def when_created(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Have something done right after AWS has carried a Create out, before it answers."""
    create = LicenseManagerBackend.create_license_conversion_task_for_resource

    def create_then_do(backend: LicenseManagerBackend, **arguments: Any) -> Any:
        task = create(backend, **arguments)
        do()
        return task

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", create_then_do)


class Ears:
    """Hears what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str, severity: str) -> None:
        self.lines.append(f"{severity}: {text}")


# -- the rule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SUCCEEDED"])
def test_the_same_conversion_is_adopted(aws: LicenseManagerBackend, connection: Connection, status: str) -> None:
    """A newest task with the same contexts, in progress or done, is adopted, said, and nothing is started."""
    task_id, ears = add(aws, status), Ears()

    assert begin(connection, REQUEST, say=ears) == Beginning(task_id, adopted=True)

    done = "is doing it already" if status == "IN_PROGRESS" else "has done it already"
    assert ears.lines == [f"INFO: {task_id} {done} and is adopted; no conversion is started."]
    assert aws.calls == {LIST: 1}


def test_another_conversion_in_progress_is_an_error_that_names_it(
    aws: LicenseManagerBackend, connection: Connection
) -> None:
    """While the resource is converted to something else, nothing is started and the error names the task."""
    task_id = add(aws, "IN_PROGRESS", destination=WEB)

    with pytest.raises(OtherConversionError) as caught:
        begin(connection, REQUEST, say=Ears())

    assert str(caught.value) == (
        f"{STARTING}license conversion task {task_id} is in progress and converts it otherwise. "
        "Wait for its end, then run `pulumi up` again."
    )
    assert aws.calls == {LIST: 1}


def test_a_success_to_something_else_starts(aws: LicenseManagerBackend, connection: Connection) -> None:
    """A conversion back, or on to something else, starts when the last one has succeeded, and nothing is said of it."""
    before, ears = add(aws, source=WINDOWS, destination=BYOL), Ears()

    beginning = begin(connection, REQUEST, say=ears)

    assert beginning == Beginning(next(i for i in aws.tasks if i != before), adopted=False)
    assert ears.lines == []


@pytest.mark.parametrize("destination", [WINDOWS, WEB])
def test_a_failure_starts_after_its_reason_is_said(
    aws: LicenseManagerBackend, connection: Connection, destination: str
) -> None:
    """After a FAILED conversion, with the same contexts or others, a new one starts, and why it failed is said."""
    before = add(aws, "FAILED", destination=destination, message="SSM inventory\nis missing.")
    ears = Ears()

    beginning = begin(connection, REQUEST, say=ears)

    assert not beginning.adopted
    assert beginning.task_id != before
    assert ears.lines == [
        f"INFO: The last conversion, {before}, FAILED: SSM inventory is missing. A new one is started."
    ]


def test_the_first_conversion_starts(aws: LicenseManagerBackend, connection: Connection) -> None:
    """Where the resource has no task, not even when others have, one is started with the contexts asked for."""
    add(aws, resource_arn=f"{ARN}1")

    beginning = begin(connection, REQUEST, say=Ears())

    task = aws.tasks[beginning.task_id]
    assert not beginning.adopted
    assert (task.resource_arn, task.source.usage_operation, task.destination.usage_operation) == (ARN, BYOL, WINDOWS)
    assert aws.calls == {LIST: 1, CREATE: 1}


def test_only_the_newest_task_counts(aws: LicenseManagerBackend, connection: Connection) -> None:
    """What an older task did is history: a conversion that was undone since is started again."""
    add(aws, started=NOON)
    add(aws, source=WINDOWS, destination=BYOL, started=NOON + timedelta(hours=1))

    assert not begin(connection, REQUEST, say=Ears()).adopted


def test_the_rule_is_the_same_in_both_docstrings() -> None:
    """The table that users read at the resource is the one that the code keeps."""
    table = [line.strip() for line in (starting.__doc__ or "").splitlines() if line.startswith("|")]
    lines = (resource.LicenseConversion.__doc__ or "").splitlines()

    assert len(table) == 8
    assert [line.strip() for line in lines if line.strip().startswith("|")] == table


# -- the newest, and the same ------------------------------------------------------------------------------------------


def task(task_id: str, status: str, start: datetime | None = NOON, end: datetime | None = None) -> ConversionTask:
    return ConversionTask(task_id, REGION, ARN, status=TaskStatus(status), start_time=start, end_time=end)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (task("lct-b", "SUCCEEDED"), task("lct-a", "SUCCEEDED", NOON + timedelta(seconds=1))),
        (task("lct-b", "FAILED"), task("lct-a", "IN_PROGRESS")),
        (task("lct-b", "FAILED", end=NOON), task("lct-a", "SUCCEEDED", end=NOON + timedelta(seconds=1))),
        (task("lct-b", "SUCCEEDED"), task("lct-a", "IN_PROGRESS", None)),
        (task("lct-b", "SUCCEEDED", None), task("lct-a", "SUCCEEDED")),
    ],
)
def test_the_newest_started_last(older: ConversionTask, newer: ConversionTask) -> None:
    """Of tasks that began in the same second the running one is the newest; one without a start has just begun."""
    assert find_newest([older, newer]) == find_newest([newer, older]) == newer


def test_no_tasks_have_no_newest() -> None:
    """An empty list has none."""
    assert find_newest([]) is None


def test_the_order_of_product_codes_says_nothing() -> None:
    """Product codes are a set, whose type is `marketplace` where nobody says it; another code is another context."""
    one, two = ProductCode("one", "marketplace"), ProductCode("two", "marketplace")

    assert is_same_context(LicenseContext(None, (one, two)), LicenseContext(None, (two, one)))
    assert is_same_context(LicenseContext(None, (one,)), LicenseContext(None, (ProductCode("one", None),)))
    assert not is_same_context(LicenseContext(None, (one,)), LicenseContext(None, (one, two)))
    assert not is_same_context(LicenseContext(BYOL), LicenseContext(BYOL, (one,)))
    assert not is_same_context(None, LicenseContext(BYOL))


# -- a call whose answer never arrives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        (DroppedConnection(), "IN_PROGRESS"),
        (DroppedConnection(), "SUCCEEDED"),
        (DroppedConnection(), "FAILED"),
        (DroppedConnection(halfway=True), "IN_PROGRESS"),
        (RawAnswer(502), "IN_PROGRESS"),
        (RawAnswer(504, "<html>Gateway Timeout</html>"), "SUCCEEDED"),
        (RawAnswer(200, "<html>Sign in</html>"), "IN_PROGRESS"),
        (RawAnswer(200, "[]", "application/x-amz-json-1.1"), "FAILED"),
        (ChangedAnswer(without=("LicenseConversionTaskId",)), "IN_PROGRESS"),
    ],
)
def test_a_call_that_was_carried_out_is_not_made_again(
    aws: LicenseManagerBackend, connection: Connection, effect: Effect, status: str
) -> None:
    """When AWS has started the task and its answer is lost, that task is followed, however it ended since."""
    add(aws, "FAILED")
    aws.conversion_status, aws.conversion_seconds = status, 0
    aws.faults.add(Fault(effect, operation=CREATE))

    beginning = begin(connection, REQUEST, say=Ears())

    assert beginning == Beginning(list(aws.tasks)[1], adopted=False)
    assert aws.calls[CREATE] == 1


@pytest.mark.parametrize("code", ["ServerInternalException", "ServiceUnavailable", "InternalFailure"])
def test_a_call_that_was_not_carried_out_is_made_again(
    aws: LicenseManagerBackend, connection: Connection, code: str
) -> None:
    """When AWS had a fault and no task shows itself, the next call starts the one task."""
    aws.faults.add(Fault(ErrorAnswer(code), operation=CREATE, calls=1))

    beginning = begin(connection, REQUEST, say=Ears())

    assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 2)
    assert aws.calls[LIST] == 1 + starting._SETTLING_LOOKS


def test_a_throttled_call_is_made_again_without_a_look(aws: LicenseManagerBackend, connection: Connection) -> None:
    """A refusal for the rate has started nothing: the call is made again."""
    aws.faults.add(Fault(ErrorAnswer("RateLimitExceededException"), operation=CREATE, calls=2))

    beginning = begin(connection, REQUEST, say=Ears())

    assert not beginning.adopted
    assert (len(aws.tasks), aws.calls) == (1, {LIST: 1, CREATE: 3})


def test_a_call_that_stays_throttled_ends_in_one_line(aws: LicenseManagerBackend, connection: Connection) -> None:
    """When AWS never lets the call through, the error says so and nothing was started."""
    aws.faults.add(Fault(ErrorAnswer("ThrottlingException", "Rate exceeded."), operation=CREATE))

    with pytest.raises(ThrottledError) as caught:
        begin(connection, REQUEST, say=Ears())

    assert str(caught.value) == (
        f"{STARTING}AWS asks to slow down (ThrottlingException: Rate exceeded). "
        "Run `pulumi up` again in a while, with a lower --parallel if it comes back."
    )
    assert aws.tasks == {}


def test_a_task_that_shows_itself_late_is_still_found(
    aws: LicenseManagerBackend, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While AWS's list lags the next call can only be refused; the look after that refusal finds the one task."""
    lagging = Fault(ChangedAnswer({"LicenseConversionTasks": []}), operation=LIST, calls=starting._SETTLING_LOOKS)
    when_created(monkeypatch, lambda: aws.faults.add(lagging))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    beginning = begin(connection, REQUEST, say=Ears())

    assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 2)


@pytest.mark.parametrize("code", ["ServerInternalException", "AccessDeniedException"])
def test_nothing_is_started_while_no_look_succeeds(
    aws: LicenseManagerBackend, connection: Connection, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """As long as it can't be told whether the call has started a task, it is not made again."""
    when_created(monkeypatch, lambda: aws.faults.add(Fault(ErrorAnswer(code), operation=LIST)))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    with pytest.raises(LicenseConversionError):
        begin(connection, REQUEST, say=Ears())

    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


def test_a_look_that_succeeds_late_finds_the_task(
    aws: LicenseManagerBackend, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the network comes back while the look is tried again, the task is found and no second call made."""
    away = Fault(ErrorAnswer("ServiceUnavailable"), operation=LIST, calls=connection.settings.max_retries)
    when_created(monkeypatch, lambda: aws.faults.add(away))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    assert not begin(connection, REQUEST, say=Ears()).adopted
    assert aws.calls[CREATE] == 1


def test_the_last_try_is_looked_after_too(aws: LicenseManagerBackend) -> None:
    """With no retries allowed the one call that was carried out is found all the same."""
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    beginning = begin(connect(Settings(region=REGION, max_retries=0)), REQUEST, say=Ears())

    assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)


def test_a_fault_that_stays_is_one_line(aws: LicenseManagerBackend, connection: Connection) -> None:
    """When AWS never answers and no task shows itself, the error is AWS's fault, in one line."""
    aws.faults.add(Fault(ErrorAnswer("ServerInternalException", "Try later."), operation=CREATE))

    with pytest.raises(ServiceFaultError) as caught:
        begin(connection, REQUEST, say=Ears())

    assert str(caught.value) == (
        f"{STARTING}AWS had a fault of its own (ServerInternalException: Try later). Run `pulumi up` again in a while."
    )
    assert aws.tasks == {}


def test_the_started_task_is_told_by_its_id_and_not_by_its_time(
    aws: LicenseManagerBackend, connection: Connection
) -> None:
    """A new task is found also where AWS's clock shows it as older than the last one."""
    add(aws, "FAILED", started=datetime.now(timezone.utc) + timedelta(hours=1))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    beginning = begin(connection, REQUEST, say=Ears())

    assert beginning == Beginning(list(aws.tasks)[1], adopted=False)
    assert aws.calls[CREATE] == 1


def test_somebody_elses_conversion_meanwhile_is_an_error(
    aws: LicenseManagerBackend, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the look shows that another conversion was started meanwhile, the error names it."""
    others: list[str] = []

    def refuse(_: LicenseManagerBackend, **__: Any) -> Any:
        others.append(add(aws, "IN_PROGRESS", destination=WEB))
        raise emulators.exceptions.ServerInternalException("no")

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", refuse)

    with pytest.raises(OtherConversionError, match="is in progress and converts it otherwise") as caught:
        begin(connection, REQUEST, say=Ears())

    assert [caught.value.task_id] == others


def test_a_refusal_is_not_tried_again(aws: LicenseManagerBackend, connection: Connection) -> None:
    """What AWS refuses, it refuses again: one call, and its reason in one line."""
    aws.faults.add(Fault(ErrorAnswer("ValidationException", "The instance is running."), operation=CREATE))

    with pytest.raises(RequestRefusedError) as caught:
        begin(connection, REQUEST, say=Ears())

    assert str(caught.value) == (
        f"{STARTING}AWS refused the request (ValidationException: The instance is running). "
        "Mend what AWS names and run `pulumi up` again."
    )
    assert aws.calls == {LIST: 1, CREATE: 1}


@pytest.mark.parametrize(
    ("operation", "doing", "action"),
    [
        (LIST, f"Looking for the license conversions of {ARN} in {REGION}: ", LIST),
        (CREATE, STARTING, CREATE),
    ],
)
def test_a_missing_right_is_named(
    aws: LicenseManagerBackend, connection: Connection, operation: str, doing: str, action: str
) -> None:
    """Without the right to list nothing is started; whichever right is missing is named."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=operation))

    with pytest.raises(AccessDeniedError) as caught:
        begin(connection, REQUEST, say=Ears())

    assert str(caught.value) == (
        f"{doing}AWS denies access (AccessDeniedException: no). "
        f"Allow license-manager:{action} in the IAM policy of the credentials in use."
    )
    assert aws.tasks == {}


def test_a_stop_ends_the_tries(aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ^C nothing is tried again and nobody waits, but a task that was started is still found."""
    monkeypatch.setattr(starting, "_SETTLING_SECONDS", 60.0)
    stopped = threading.Event()
    when_created(monkeypatch, stopped.set)
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))
    began = time.monotonic()

    beginning = begin(connect(Settings(region=REGION)), REQUEST, say=Ears(), stopped=stopped)

    assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("moment", ["before the call", "between two calls"])
def test_nothing_is_started_after_a_stop(aws: LicenseManagerBackend, connection: Connection, moment: str) -> None:
    """Once `up` was cancelled or its engine is gone, no conversion is started any more."""
    stopped = threading.Event()
    if moment == "before the call":
        stopped.set()
    else:
        aws.faults.add(Fault(ErrorAnswer("ThrottlingException"), operation=CREATE, calls=1))
        connection.pacer.throttled = stopped.set  # type: ignore[method-assign]

    with pytest.raises((StartInterruptedError, ThrottledError)) as caught:
        begin(connection, REQUEST, say=Ears(), stopped=stopped)

    assert aws.tasks == {}
    if moment == "before the call":
        assert aws.calls == {LIST: 1}
        assert str(caught.value) == (
            f"{STARTING}it was told to stop. The next `pulumi up` looks for what was started, and goes on from there."
        )


def test_a_call_that_aws_carries_out_after_we_gave_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """When AWS carries a call out only after its time was over, a later look finds the one task."""
    monkeypatch.setattr("lmconv_resource.aws.client._TIMEOUT_SECONDS", 0.4)
    monkeypatch.setattr(starting, "_SETTLING_SECONDS", 0.2)
    with serve() as emulator:
        aws = licensemanager_backends["123456789012"][REGION]
        aws.faults.add(Fault(SlowAnswer(0.8), operation=CREATE))

        beginning = begin(connect(Settings(region=REGION, endpoint_url=emulator.endpoint)), REQUEST, say=Ears())

        assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)
        assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


@pytest.mark.parametrize("halfway", [False, True])
def test_a_connection_that_breaks_loses_no_conversion(halfway: bool) -> None:
    """Over a real connection that ends before the answer, or in the middle of it, the one task is found."""
    with serve() as emulator:
        aws = licensemanager_backends["123456789012"][REGION]
        aws.faults.add(Fault(DroppedConnection(halfway=halfway), operation=CREATE))

        beginning = begin(connect(Settings(region=REGION, endpoint_url=emulator.endpoint)), REQUEST, say=Ears())

        assert beginning == Beginning(next(iter(aws.tasks)), adopted=False)
        assert aws.calls[CREATE] == 1


def test_the_one_call_is_made_by_us_alone(aws: LicenseManagerBackend, connection: Connection) -> None:
    """Behind our back botocore tries nothing again: after a lost answer that could start a second one."""
    aws.faults.add(Fault(RawAnswer(500), operation=CREATE))

    with pytest.raises(ServiceFaultError):
        start_task(connection, REQUEST)

    assert aws.calls[CREATE] == 1


def test_requests_are_values() -> None:
    """A request that exchanges the contexts of another is its reverse, for the same resource only."""
    back = Request(ARN, REQUEST.destination, REQUEST.source)

    assert back.is_reverse(REQUEST)
    assert not REQUEST.is_reverse(REQUEST)
    assert not dataclasses.replace(back, resource_arn=f"{ARN}1").is_reverse(REQUEST)
    assert Request(ARN, REQUEST.source, REQUEST.source).is_idle()
    assert (
        conversion_provider.to_request(
            {
                "resource_arn": ARN,
                "source_license_context": {"usage_operation": BYOL},
                "destination_license_context": {"usage_operation": WINDOWS, "product_codes": None},
            }
        )
        == REQUEST
    )
