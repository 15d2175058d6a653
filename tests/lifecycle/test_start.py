"""Starting a conversion exactly once: each row of the rule, and what becomes of a call whose answer never arrived."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from support.aws import ACCOUNT, CREATE, LIST, REGION, NotingSession, Pauses, shared_client, to_settings
from support.waiting import SOON

from lmconv_resource import emulator as emulators
from lmconv_resource.aws.settings import Settings
from lmconv_resource.emulator import (
    ChangedAnswer,
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    RawAnswer,
    SlowAnswer,
    add_instance_information,
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
    ThrottledError,
)
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.decision import StartResult
from lmconv_resource.lifecycle.operation import Operation, Way
from lmconv_resource.lifecycle.preflight import check_ready
from lmconv_resource.lifecycle.start import StartTerms, start_or_adopt
from lmconv_resource.lifecycle.starts import StartPolicy
from lmconv_resource.models import ConversionRequest, LicenseContext, ProductCode
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy

ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
BYOL, WINDOWS, WEB = "RunInstances:0800", "RunInstances:0002", "RunInstances:0202"
REQUEST = ConversionRequest(ARN, LicenseContext(BYOL), LicenseContext(WINDOWS))
TO_WEB = ConversionRequest(ARN, LicenseContext(BYOL), LicenseContext(WEB))
STARTING = f"Starting the license conversion of {ARN} in {REGION}: "
TOLD_TO_STOP = (
    f"{STARTING}it was cancelled before a conversion was started. The next `pulumi up` looks for what was started, and "
    "goes on from there."
)
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MAX_RETRIES = 2
LISTS = StartPolicy().settling_lists


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends[ACCOUNT][REGION]


@pytest.fixture
def session() -> NotingSession:
    """A session that tries three times."""
    return NotingSession(maxRetries=MAX_RETRIES)


def start(
    session: Session,
    request: ConversionRequest = REQUEST,
    cancellation: Cancellation | None = None,
    terms: StartTerms | None = None,
) -> StartResult:
    """Start the conversion as one operation, whose pauses take no time unless it has a cancellation of its own."""
    op = Operation(session, None, Pauses() if cancellation is None else cancellation)
    return start_or_adopt(op, op.connect(Way(REGION)), request, terms or StartTerms())


def add(aws: LicenseManagerBackend, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"resource_arn": ARN, "source": BYOL, "destination": WINDOWS, "status": status, **seconds}
    return aws.add_task(**{**defaults, **settings}).task_id


def to_endpoints(url: str) -> str:
    return json.dumps([{"licensemanager": url}])


def when_created(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Have something done right after AWS has carried a Create out, before it answers."""
    create = LicenseManagerBackend.create_license_conversion_task_for_resource

    def create_then_do(backend: LicenseManagerBackend, **arguments: Any) -> Any:
        task = create(backend, **arguments)
        do()
        return task

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", create_then_do)


# -- the rule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SUCCEEDED"])
def test_the_same_conversion_is_adopted(aws: LicenseManagerBackend, session: NotingSession, status: str) -> None:
    """A newest task with the same contexts, in progress or done, is adopted, said, and nothing is started."""
    task_id = add(aws, status)

    assert start(session) == StartResult(task_id, adopted=True)

    done = "is already doing it" if status == "IN_PROGRESS" else "has already done it"
    assert session.lines == [f"INFO: {task_id} {done} and is adopted; no conversion is started."]
    assert aws.calls == {LIST: 1}


def test_another_conversion_in_progress_is_an_error_that_names_it(
    aws: LicenseManagerBackend, session: NotingSession
) -> None:
    """While the resource is converted to something else, nothing is started and the error names the task."""
    task_id = add(aws, "IN_PROGRESS", destination=WEB)

    with pytest.raises(OtherConversionError) as caught:
        start(session)

    assert str(caught.value) == (
        f"{STARTING}license conversion task {task_id} is already converting it with other license contexts. "
        "Wait for its end, then run `pulumi up` again."
    )
    assert aws.calls == {LIST: 1}


def test_a_success_to_something_else_starts(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """A conversion back, or on to something else, starts when the last one has succeeded, and nothing is said of it."""
    before = add(aws, source=WINDOWS, destination=BYOL)

    result = start(session)

    assert result == StartResult(next(i for i in aws.tasks if i != before), adopted=False)
    assert session.lines == []


@pytest.mark.parametrize("destination", [WINDOWS, WEB])
def test_a_failure_starts_after_its_reason_is_said(
    aws: LicenseManagerBackend, session: NotingSession, destination: str
) -> None:
    """After a FAILED conversion, with the same contexts or others, a new one starts, and why it failed is said."""
    before = add(aws, "FAILED", destination=destination, message="SSM inventory\nis missing.")

    result = start(session)

    assert not result.adopted
    assert result.task_id != before
    assert session.lines == [
        f"INFO: The last conversion, {before}, FAILED: SSM inventory is missing. A new one is started."
    ]


def test_the_first_conversion_starts(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """Where the resource has no task, not even when others have, one is started with the contexts asked for."""
    add(aws, resource_arn=f"{ARN}1")

    result = start(session)

    task = aws.tasks[result.task_id]
    assert not result.adopted
    assert (task.resource_arn, task.source.usage_operation, task.destination.usage_operation) == (ARN, BYOL, WINDOWS)
    assert aws.calls == {LIST: 1, CREATE: 1}


def test_only_the_newest_task_counts(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """What an older task did is history: a conversion that was undone since is started again."""
    add(aws, started=NOON)
    add(aws, source=WINDOWS, destination=BYOL, started=NOON + timedelta(hours=1))

    assert not start(session).adopted


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
    aws: LicenseManagerBackend, session: NotingSession, effect: Effect, status: str
) -> None:
    """When AWS has started the task and its answer is lost, that task is followed, however it ended since."""
    add(aws, "FAILED")
    aws.conversion_status, aws.conversion_seconds = status, 0
    aws.faults.add(Fault(effect, operation=CREATE))

    result = start(session)

    assert result == StartResult(list(aws.tasks)[1], adopted=False)
    assert aws.calls[CREATE] == 1


@pytest.mark.parametrize("code", ["ServerInternalException", "ServiceUnavailable", "InternalFailure"])
def test_a_call_that_was_not_carried_out_is_made_again(
    aws: LicenseManagerBackend, session: NotingSession, code: str
) -> None:
    """When AWS had a fault and no task shows itself, the next call starts the one task."""
    aws.faults.add(Fault(ErrorAnswer(code), operation=CREATE, calls=1))

    result = start(session)

    assert result == StartResult(next(iter(aws.tasks)), adopted=False)
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 2)
    assert aws.calls[LIST] == 1 + LISTS


def test_a_throttled_call_is_made_again_without_a_look(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """A refusal for the rate has started nothing: the call is made again."""
    aws.faults.add(Fault(ErrorAnswer("RateLimitExceededException"), operation=CREATE, calls=2))

    result = start(session)

    assert not result.adopted
    assert (len(aws.tasks), aws.calls) == (1, {LIST: 1, CREATE: 3})


def test_a_call_that_stays_throttled_ends_in_one_line(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """When AWS never lets the call through, the error says so and nothing was started."""
    aws.faults.add(Fault(ErrorAnswer("ThrottlingException", "Rate exceeded."), operation=CREATE))

    with pytest.raises(ThrottledError) as caught:
        start(session)

    assert str(caught.value) == (
        f"{STARTING}AWS asks to slow down (ThrottlingException: Rate exceeded). "
        "Run `pulumi up` again in a while, with a lower --parallel if it comes back."
    )
    assert aws.tasks == {}


def test_a_task_that_shows_itself_late_is_still_found(
    aws: LicenseManagerBackend, session: NotingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While AWS's list lags the next call can only be refused; the look after that refusal finds the one task."""
    lagging = Fault(ChangedAnswer({"LicenseConversionTasks": []}), operation=LIST, calls=LISTS)
    when_created(monkeypatch, lambda: aws.faults.add(lagging))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    result = start(session)

    assert result == StartResult(next(iter(aws.tasks)), adopted=False)
    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 2)


@pytest.mark.parametrize("code", ["ServerInternalException", "AccessDeniedException"])
def test_nothing_is_started_while_no_look_succeeds(
    aws: LicenseManagerBackend, session: NotingSession, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """As long as it can't be told whether the call has started a task, it is not made again."""
    when_created(monkeypatch, lambda: aws.faults.add(Fault(ErrorAnswer(code), operation=LIST)))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    with pytest.raises(LicenseConversionError):
        start(session)

    assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


def test_a_look_that_succeeds_late_finds_the_task(
    aws: LicenseManagerBackend, session: NotingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the network comes back while the look is tried again, the task is found and no second call made."""
    away = Fault(ErrorAnswer("ServiceUnavailable"), operation=LIST, calls=MAX_RETRIES)
    when_created(monkeypatch, lambda: aws.faults.add(away))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE, calls=1))

    assert not start(session).adopted
    assert aws.calls[CREATE] == 1


def test_the_last_try_is_looked_after_too(aws: LicenseManagerBackend) -> None:
    """With no retries allowed the one call that was carried out is found all the same."""
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    result = start(NotingSession(maxRetries=0))

    assert result == StartResult(next(iter(aws.tasks)), adopted=False)


def test_a_fault_that_stays_is_one_line(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """When AWS never answers and no task shows itself, the error is AWS's fault, in one line."""
    aws.faults.add(Fault(ErrorAnswer("ServerInternalException", "Try later."), operation=CREATE))

    with pytest.raises(ServiceFaultError) as caught:
        start(session)

    assert str(caught.value) == (
        f"{STARTING}AWS had a fault of its own (ServerInternalException: Try later). Run `pulumi up` again in a while."
    )
    assert aws.tasks == {}


def test_the_started_task_is_told_by_its_id_and_not_by_its_time(
    aws: LicenseManagerBackend, session: NotingSession
) -> None:
    """A new task is found also where AWS's clock shows it as older than the last one."""
    add(aws, "FAILED", started=datetime.now(timezone.utc) + timedelta(hours=1))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))

    result = start(session)

    assert result == StartResult(list(aws.tasks)[1], adopted=False)
    assert aws.calls[CREATE] == 1


def test_somebody_elses_conversion_meanwhile_is_an_error(
    aws: LicenseManagerBackend, session: NotingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the look shows that another conversion was started meanwhile, the error names it."""
    others: list[str] = []

    def refuse(_: LicenseManagerBackend, **__: Any) -> Any:
        others.append(add(aws, "IN_PROGRESS", destination=WEB))
        raise emulators.exceptions.ServerInternalException("no")

    monkeypatch.setattr(LicenseManagerBackend, "create_license_conversion_task_for_resource", refuse)

    with pytest.raises(OtherConversionError, match="is already converting it with other license contexts") as caught:
        start(session)

    assert [caught.value.subject.task_id] == others


def test_a_refusal_is_not_tried_again(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """What AWS refuses, it refuses again: one call, and its reason in one line."""
    aws.faults.add(Fault(ErrorAnswer("ValidationException", "The instance is running."), operation=CREATE))

    with pytest.raises(RequestRefusedError) as caught:
        start(session)

    assert str(caught.value) == (
        f"{STARTING}AWS refused the request (ValidationException: The instance is running). "
        "Fix what AWS reports and run `pulumi up` again."
    )
    assert aws.calls == {LIST: 1, CREATE: 1}


def test_nothing_is_started_where_the_preflight_fails(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """With the check asked for, an instance that is not ready means that no conversion is started."""
    ec2 = shared_client("ec2", to_settings())
    add_instance_information()
    instance_id = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"
    op = Operation(session, None, Pauses())

    connected = op.connect(Way(REGION))
    terms = StartTerms(lambda request, instance: check_ready(op, connected, request, instance))

    with pytest.raises(LicenseConversionError, match="the instance is running and must be stopped"):
        start_or_adopt(op, connected, ConversionRequest(arn, REQUEST.source, REQUEST.destination), terms)

    assert aws.tasks == {}


@pytest.mark.parametrize(
    ("operation", "doing", "action"),
    [
        (LIST, f"Looking for the license conversions of {ARN} in {REGION}: ", LIST),
        (CREATE, STARTING, CREATE),
    ],
)
def test_a_missing_right_is_named(
    aws: LicenseManagerBackend, session: NotingSession, operation: str, doing: str, action: str
) -> None:
    """Without the right to list nothing is started; whichever right is missing is named."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=operation))

    with pytest.raises(AccessDeniedError) as caught:
        start(session)

    assert str(caught.value) == (
        f"{doing}AWS denies access (AccessDeniedException: no). "
        f"Allow license-manager:{action} in the IAM policy of the credentials in use."
    )
    assert aws.tasks == {}


def test_a_stop_ends_the_tries(aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ^C nothing is tried again and nobody waits, but a task that was started is still found."""
    cancellation = Cancellation()
    when_created(monkeypatch, lambda: cancellation.set("the update was cancelled"))
    aws.faults.add(Fault(DroppedConnection(), operation=CREATE))
    began = time.monotonic()

    result = start(NotingSession(start_policy=StartPolicy(settling_seconds=60.0)), cancellation=cancellation)

    assert result == StartResult(next(iter(aws.tasks)), adopted=False)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("moment", ["before the call", "between two calls"])
def test_nothing_is_started_after_a_stop(aws: LicenseManagerBackend, moment: str) -> None:
    """Once `up` was cancelled or its engine is gone, no conversion is started any more."""
    cancellation = Cancellation()

    def cancel(_: int) -> float:
        cancellation.set("the update was cancelled")
        return 0.0

    session = NotingSession(start_policy=StartPolicy(backoff_seconds=cancel))
    if moment == "before the call":
        cancel(0)
    else:
        aws.faults.add(Fault(ErrorAnswer("ThrottlingException"), operation=CREATE, calls=1))

    with pytest.raises(LicenseConversionError) as caught:
        start(session, cancellation=cancellation)

    assert aws.tasks == {}
    assert aws.calls == ({LIST: 1} if moment == "before the call" else {LIST: 1, CREATE: 1})
    assert str(caught.value) == TOLD_TO_STOP


def test_nothing_is_started_after_a_stop_while_waiting_for_a_turn(aws: LicenseManagerBackend) -> None:
    """Who is told to stop while the pace holds the call back does not start a conversion with that turn."""
    cancellation = Cancellation()
    pace = PollingPolicy(fastest_gap_seconds=60.0, longest_sleep_seconds=0.01)
    session = Session(lambda _: None, policy=pace)
    prepared = threading.Event()
    terms = StartTerms(lambda _request, _instance: prepared.set())

    with ThreadPoolExecutor() as threads:  # the list takes the first turn, so the call has to wait a minute for its own
        started = threads.submit(start, session, cancellation=cancellation, terms=terms)
        assert prepared.wait(SOON)
        time.sleep(0.1)  # so that it waits for its turn
        cancellation.set("the update was cancelled")
        with pytest.raises(LicenseConversionError) as caught:
            started.result(SOON)

    assert str(caught.value) == TOLD_TO_STOP
    assert aws.calls == {LIST: 1}


def make_impatient_client(service: str, settings: Settings) -> Any:
    """Return a client that gives up reading after 0.4 s."""
    config = Config(read_timeout=0.4, retries={"total_max_attempts": 1})
    return boto3.client(service, settings.region, endpoint_url=settings.endpoint_urls.get(service), config=config)  # type: ignore[call-overload]


def test_a_call_that_aws_carries_out_after_we_gave_up_is_found() -> None:
    """When AWS carries a call out only after its time was over, a later look finds the one task."""
    with serve() as emulator:
        aws = licensemanager_backends[ACCOUNT][REGION]
        aws.faults.add(Fault(SlowAnswer(0.8), operation=CREATE))
        policy = StartPolicy(settling_seconds=0.2, backoff_seconds=lambda _: 0.0)
        session = NotingSession(
            start_policy=policy,
            make_client=make_impatient_client,
            endpoints=to_endpoints(emulator.endpoint),
        )

        result = start(session, cancellation=Cancellation())

        assert result == StartResult(next(iter(aws.tasks)), adopted=False)
        assert (len(aws.tasks), aws.calls[CREATE]) == (1, 1)


@pytest.mark.parametrize("halfway", [False, True])
def test_a_connection_that_breaks_loses_no_conversion(halfway: bool) -> None:
    """Over a real connection that ends before the answer, or in the middle of it, the one task is found."""
    with serve() as emulator:
        aws = licensemanager_backends[ACCOUNT][REGION]
        aws.faults.add(Fault(DroppedConnection(halfway=halfway), operation=CREATE))

        result = start(NotingSession(endpoints=to_endpoints(emulator.endpoint)))

        assert result == StartResult(next(iter(aws.tasks)), adopted=False)
        assert aws.calls[CREATE] == 1


# -- two declarations of one resource in one process -------------------------------------------------------------------

CANT_SEE = Fault(ChangedAnswer({"LicenseConversionTasks": []}), operation=LIST)
"""AWS's list does not show the new task yet."""

seen_or_hidden = pytest.mark.parametrize("faults", [[], [CANT_SEE]], ids=["seen", "hidden"])


class Gate:
    """Holds a Create back before AWS carries it out, until the test opens it."""

    def __init__(self, aws: LicenseManagerBackend) -> None:
        self.reached, self._opened = threading.Event(), threading.Event()
        aws.faults.add(Fault(SlowAnswer(0), operation=CREATE, calls=1))
        aws.faults.sleep = self._hold

    def open(self) -> None:
        self._opened.set()

    def _hold(self, _: float) -> None:
        self.reached.set()
        assert self._opened.wait(SOON)


def start_both(
    aws: LicenseManagerBackend, session: NotingSession, second: ConversionRequest
) -> tuple[StartResult, Future[StartResult]]:
    """Start REQUEST, and `second` while AWS has not carried out the first."""
    gate = Gate(aws)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(start, session)
        assert gate.reached.wait(SOON)
        two = threads.submit(start, session, second)
        time.sleep(0.1)  # what the second one would need to list and to create a task
        gate.open()
    return one.result(0), two


@seen_or_hidden
def test_two_declarations_are_one_conversion(
    aws: LicenseManagerBackend, session: NotingSession, faults: list[Fault]
) -> None:
    """The same conversion declared twice is started once; the second adopts it, which AWS may not even list yet."""
    for fault in faults:
        aws.faults.add(fault)

    one, two = start_both(aws, session, REQUEST)

    (task_id,) = aws.tasks
    assert (one, two.result(0)) == (StartResult(task_id, adopted=False), StartResult(task_id, adopted=True))
    assert aws.calls == {LIST: 2, CREATE: 1}
    assert session.lines == [f"INFO: {task_id} is already doing it and is adopted; no conversion is started."]


@seen_or_hidden
def test_another_conversion_of_the_same_resource_is_refused_meanwhile(
    aws: LicenseManagerBackend, session: NotingSession, faults: list[Fault]
) -> None:
    """A different conversion of a resource whose conversion was just started is an error that names the task."""
    for fault in faults:
        aws.faults.add(fault)

    one, two = start_both(aws, session, TO_WEB)

    with pytest.raises(OtherConversionError) as caught:
        two.result(0)
    assert str(caught.value) == (
        f"{STARTING}license conversion task {one.task_id} is already converting it with other license contexts. "
        "Wait for its end, then run `pulumi up` again."
    )
    assert aws.calls == {LIST: 2, CREATE: 1}


def test_a_hidden_task_with_its_product_codes_in_another_order_is_the_same(aws: LicenseManagerBackend) -> None:
    """What was just started is adopted also where the second declaration names the product codes in another order."""
    one, two = ProductCode("one", "marketplace"), ProductCode("two", "marketplace")
    session = NotingSession()
    aws.faults.add(CANT_SEE)

    first = start(session, ConversionRequest(ARN, LicenseContext(BYOL), LicenseContext(WINDOWS, (one, two))))
    second = start(session, ConversionRequest(ARN, LicenseContext(BYOL), LicenseContext(WINDOWS, (two, one))))

    assert second == StartResult(first.task_id, adopted=True)
    assert aws.calls[CREATE] == 1


def test_other_resources_do_not_queue(aws: LicenseManagerBackend, session: NotingSession) -> None:
    """While one resource's conversion is being started, another resource's is started too."""
    other = ConversionRequest(f"{ARN}1", REQUEST.source, REQUEST.destination)
    gate = Gate(aws)
    with ThreadPoolExecutor(1) as threads:
        one = threads.submit(start, session)
        assert gate.reached.wait(SOON)

        assert not start(session, other).adopted

        assert not one.done()
        gate.open()
    assert aws.calls == {LIST: 2, CREATE: 2}


def test_nothing_is_started_after_a_stop_behind_another_start(
    aws: LicenseManagerBackend, session: NotingSession
) -> None:
    """Who is told to stop while another start of the resource is under way ends at once, and starts nothing."""
    gate, cancellation = Gate(aws), Cancellation()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(start, session)
        assert gate.reached.wait(SOON)
        two = threads.submit(start, session, TO_WEB, cancellation)
        time.sleep(0.1)  # so that it queues
        cancellation.set("the update was cancelled")
        try:
            with pytest.raises(LicenseConversionError) as caught:
                two.result(SOON)
            assert not one.done()
        finally:
            gate.open()

    assert str(caught.value) == TOLD_TO_STOP
    assert [task.destination.usage_operation for task in aws.tasks.values()] == [WINDOWS]
    assert aws.calls[CREATE] == 1
