"""The matrix: what becomes of each operation under each fault, as the table in cases.py says."""

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore
import pytest
from support.aws import ACCOUNT, REGION, made_by, make_client
from support.hurry import make_hurried
from support.job import FAST
from support.lifecycle import RecordingEngine, make_session
from support.proofs import keep

from lmconv_resource.emulator import (
    ChangedAnswer,
    Fault,
    LicenseContext,
    LicenseManagerBackend,
    ProductCode,
    licensemanager_backends,
    serve,
)
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.provider import LicenseConversionTaskProvider
from reliability.cases import FAULTS, FRESH, OPERATIONS, TOLD_AS, WAITING, WORDS, FaultRow

TASK_ID, ARN = "lct-0001", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
"""By the License Manager's clock: all that is recorded can be written down."""

RETRIES = 1
"""`aws:maxRetries`, so that a cell whose fault does not pass ends soon."""

PATIENT = FAST._replace(given_id_seconds=3600.0, first_answer_seconds=3600.0, fault_budget_seconds=3600.0)
"""A busy machine ends no wait of this hurried world."""

READABLE = make_hurried(100)
"""In which a fault stays on the row for long enough to be seen."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A License Manager on loopback, for the whole module, whose one client is made for it."""
    with serve() as emulator:
        yield emulator.endpoint
        make_one_client.cache_clear()


make_one_client = functools.cache(make_client)


def to_outputs(status: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state holds of the task, `members` changed, without what is None."""
    ended = status != "IN_PROGRESS"
    outputs = {
        "license_conversion_task_id": TASK_ID,
        "region": REGION,
        "resource_arn": ARN,
        "source_license_context": {"usage_operation": "RunInstances:0800", "product_codes": []},
        "destination_license_context": {
            "usage_operation": "RunInstances:0002",
            "product_codes": [{"product_code_id": "abc", "product_code_type": "marketplace"}],
        },
        "status": status,
        "status_message": TOLD_AS[status],
        "start_time": "2026-01-02T02:04:05Z",
        "license_conversion_time": "2026-01-02T03:04:05Z" if ended else None,
        "end_time": "2026-01-02T03:04:05Z" if ended else None,
        "is_complete": ended,
        "duration_seconds": 3600.0 if ended else None,
    }
    return {name: value for name, value in {**outputs, **members}.items() if value is not None}


def put_task(row: FaultRow, *, waits: bool) -> LicenseManagerBackend:
    """Put the task into its region, where calls go wrong in the row's way; in a wait what passes does so after two."""
    backend = licensemanager_backends[ACCOUNT][REGION]
    backend.reset()
    backend.clock = NOW.timestamp
    backend.add_task(
        task_id=TASK_ID,
        resource_arn=ARN,
        source="RunInstances:0800",
        destination=LicenseContext("RunInstances:0002", (ProductCode("abc", "marketplace"),)),
        started=NOW - timedelta(hours=1),
        status="SUCCEEDED",
        message=TOLD_AS["SUCCEEDED"],
        polls=2 if waits else None,
        seconds=None if waits else 0,
    )
    if row.good_calls:
        backend.faults.add(Fault(ChangedAnswer({"Progress": 50}), calls=row.good_calls))
    for effect in row.effects:
        backend.faults.add(Fault(effect, calls=2 if waits and row.passes and row.calls is None else row.calls))
    return backend


def run(provider: LicenseConversionTaskProvider, operation: str, inputs: dict[str, Any], before: dict[str, Any]) -> Any:
    """Run an operation as the engine does, and return the outputs that the state has then."""
    if operation == "check":
        assert not provider.check({}, inputs).failures
        return {}
    if operation in ("create", "wait"):
        return provider.create(inputs).outs
    if operation == "get":
        return provider.read(TASK_ID, {"license_conversion_task_id": TASK_ID, "region": REGION}).outs
    if operation.startswith("refresh"):
        return provider.read(TASK_ID, before).outs
    if operation == "delete":
        provider.delete(TASK_ID, before)
    elif provider.diff(TASK_ID, before, inputs).changes:
        return provider.update(TASK_ID, before, inputs).outs
    return before


def run_cell(operation: str, row: FaultRow, endpoint: str) -> Iterator[str]:
    """Run an operation under a fault, and return what is not as the cell says."""
    backend = put_task(row, waits=operation in WAITING)
    provider = LicenseConversionTaskProvider()
    config = {"aws:region": REGION, "aws:maxRetries": str(RETRIES)}
    # What has expired is answered by who knows where credentials come from; else one client does for all cells.
    open_session = None if "ExpiredToken" in row.name else made_by(make_one_client)
    engine = RecordingEngine()
    provider.session = make_session(config, engine, policy=PATIENT, runtime=READABLE, open_session=open_session)
    inputs = {"license_conversion_task_id": TASK_ID, "region": REGION, "wait_for_completion": operation in WAITING}
    inputs["poll_interval_seconds"] = 1 if operation in WAITING else None
    word = row.cells[operation]
    status = "SUCCEEDED" if operation in ("diff finished", "refresh finished", "delete") else "IN_PROGRESS"
    before: dict[str, Any] = to_outputs(status, {})
    after: Any = {}
    error = ""
    try:
        after = run(provider, operation, inputs, before)
    except (LicenseConversionError, InitFailedError) as failed:
        error = str(failed)
    before = {} if operation in FRESH else before
    after = before if error else after

    calls, injected = backend.calls.total(), backend.faults.injected.total()
    counts = {
        "-": calls == 0,
        "error": calls == (2 if "ExpiredToken" in row.name else 1),  # what has expired is read anew once
        "gives up": calls == RETRIES + 1,
        "retried": injected == 1 and calls > 1,
        "carried": injected > 0 and calls > injected,
    }
    if not counts.get(word, calls > 0):
        yield f"{word!r} does not go with {calls} calls, {injected} of them hit"
    wanted = before
    if word not in ("-", "kept", "error", "gives up"):
        wanted = to_outputs("SUCCEEDED", row.shown if word == "as answered" else {})
    found = {name: value for name, value in after.items() if value is not None and name != "__urn"}
    if found != wanted:
        yield f"the state holds {found}, and not {wanted}"
    lines = [row.line, row.or_line if botocore.__version__.startswith("1.43.") else ""]
    start = f"Looking up license conversion task {TASK_ID} in {REGION}: "
    errors = [start + fill(line, endpoint) for line in lines if line] if word in ("error", "gives up") else [""]
    # Of credentials on a refresh more is said, by the host.
    if error.partition(" A refresh and a destroy use ")[0] not in errors:
        yield f"the error is {error!r}, and not {errors[0]!r}"
    warnings = [text for severity, text in engine.said if severity == "WARNING"]
    if warnings != ([fill(row.warning, endpoint)] if word == "kept" else []):
        yield f"the warnings are {warnings}"
    shown = any(re.search("^failing|throttles|does not know it yet", text) for text in engine.shown)
    if shown is not (word == "carried"):
        yield f"the row has {'' if shown else 'not '}shown a fault: {engine.shown}"


def fill(line: str, endpoint: str) -> str:
    """Return a line of the table with its places filled in."""
    places = {"<ID>": TASK_ID, "<REGION>": REGION, "<ENDPOINT>": endpoint}
    return re.sub("|".join(places), lambda match: places[match[0]], line)


@pytest.mark.parametrize("operation", keep(["wait", "refresh finished"], OPERATIONS))
def test_every_operation_under_every_fault(operation: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell of the matrix: how often AWS is asked, the whole error or warning, and what the state holds after."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", endpoint)
    problems = [
        f"{operation} under {row.name}: {problem}" for row in FAULTS for problem in run_cell(operation, row, endpoint)
    ]
    assert not problems, "\n".join(problems)


def test_the_matrix_is_whole() -> None:
    """Every cell holds a word that is explained, and every word is used."""
    assert {word for row in FAULTS for word in row.cells.values()} == set(WORDS)
