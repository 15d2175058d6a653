"""What is said under a resource, to the letter: when its task changes, fails, is forgotten or is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from support.license_manager import Answer, FakeSession, to_body, to_refusal

from lmconv_resource.errors import ConversionFailedError, LicenseConversionError, SettingsError, TransientError
from lmconv_resource.hosts.init_failed import InitFailedError

TASK_ID, REGION, URN = "lct-1", "eu-west-1", "urn:pulumi:dev::p::t::task"
INPUTS = {"license_conversion_task_id": TASK_ID, "region": REGION, "__urn": URN}
RUNNING = {
    "LicenseConversionTaskId": TASK_ID,
    "Status": "IN_PROGRESS",
    "ResourceArn": "arn",
    "StartTime": 1_800_000_000,
}
SUCCEEDED = {**RUNNING, "Status": "SUCCEEDED", "StatusMessage": "all went\nwell", "EndTime": 1_800_000_090}
FAILED = {**SUCCEEDED, "Status": "FAILED", "StatusMessage": "SSM\ninventory is missing."}
RECORD = {**INPUTS, "status": "IN_PROGRESS", "is_complete": False, "start_time": "2027-01-15T08:00:00Z"}
ENDED = {**RECORD, "status": "SUCCEEDED", "is_complete": True, "end_time": "2027-01-15T08:01:30Z"}


def make_session(answer: Answer, **config: str) -> FakeSession:
    return FakeSession(answer, {"aws:maxRetries": "0", **config})


REFUSAL = to_refusal("InvalidParameterValueException", "Unknown.")

SCENES: list[Any] = [
    ("create", {}, FAILED, [("WARNING", "lct-1 FAILED: SSM inventory is missing.")]),
    ("create", {}, {**RUNNING, "Status": "FAILED"}, [("WARNING", "lct-1 FAILED: AWS gives no status message")]),
    ("create", {}, SUCCEEDED, []),
    ("create", {}, RUNNING, []),
    ("read", RECORD, SUCCEEDED, [("INFO", "lct-1 IN_PROGRESS → SUCCEEDED after 1m30s")]),
    ("read", RECORD, FAILED, [("WARNING", "lct-1 IN_PROGRESS → FAILED after 1m30s: SSM inventory is missing.")]),
    ("read", RECORD, RUNNING, []),
    ("read", {**INPUTS}, SUCCEEDED, []),
    (
        "read",
        {"license_conversion_task_id": TASK_ID, "status": "IN_PROGRESS", "__urn": URN},
        SUCCEEDED,
        [("INFO", "lct-1 IN_PROGRESS → SUCCEEDED after 1m30s")],
    ),
    (
        "read",
        {"license_conversion_task_id": TASK_ID, "is_complete": False, "__urn": URN},
        SUCCEEDED,
        [("INFO", "lct-1 no status → SUCCEEDED after 1m30s")],
    ),
    (
        "read",
        ENDED,
        RUNNING,
        [
            (
                "WARNING",
                "lct-1 is recorded as SUCCEEDED and AWS now reports IN_PROGRESS. The record is kept; check the task "
                "in the AWS console.",
            )
        ],
    ),
    (
        "read",
        ENDED,
        REFUSAL,
        [
            (
                "WARNING",
                "The record of the finished task is kept as it was. Looking up license conversion task lct-1 in "
                "eu-west-1: AWS does not know it there (InvalidParameterValueException: Unknown). Check the id, the "
                "region (set `region` or run `pulumi config set aws:region REGION`) and that the credentials belong to "
                "the task's account.",
            )
        ],
    ),
    ("diff", RECORD, SUCCEEDED, [("INFO", "lct-1 IN_PROGRESS → SUCCEEDED after 1m30s")]),
    ("diff", RECORD, RUNNING, []),
    ("diff", ENDED, RUNNING, []),
    ("update", RECORD, FAILED, [("WARNING", "lct-1 FAILED: SSM inventory is missing.")]),
]


@pytest.mark.parametrize(("operation", "record", "answer", "lines"), SCENES)
def test_what_is_said(operation: str, record: dict[str, Any], answer: Any, lines: list[tuple[str, str]]) -> None:
    """Each line is said once, as it is written here, under its own resource."""
    session = make_session(lambda *_: answer if isinstance(answer, tuple) else to_body(answer))
    provider = session.provider()
    if operation == "create":
        provider.create(dict(INPUTS))
    elif operation == "read":
        provider.read(TASK_ID, record if record.get("region") else {**record, "region": REGION})
    elif operation == "diff":
        provider.diff(TASK_ID, record, dict(INPUTS))
    else:
        assert (provider.update(TASK_ID, record, dict(INPUTS)).outs or {})["license_conversion_task_id"] == TASK_ID
    assert session.lines == lines
    assert session.urns == ({URN} if lines else set())


@pytest.mark.parametrize(
    ("answer", "ignore", "fails"),
    [(SUCCEEDED, False, False), (SUCCEEDED, True, False), (FAILED, False, True), (FAILED, True, False)],
)
def test_only_a_failed_task_that_counts_is_an_error(answer: dict[str, Any], ignore: bool, fails: bool) -> None:
    """Under the wait option, FAILED without `ignore_failure` is the one end that is an error; it says AWS's message."""
    provider = make_session(lambda *_: to_body(answer)).provider()
    inputs = {**INPUTS, "wait_for_completion": True, "ignore_failure": ignore}
    if not fails:
        assert (provider.create(inputs).outs or {})["status"] == answer["Status"]
        return
    with pytest.raises(InitFailedError) as caught:
        provider.create(inputs)
    assert isinstance(caught.value.__cause__, ConversionFailedError)
    assert str(caught.value) == (
        "Waiting for license conversion task lct-1 in eu-west-1: it FAILED: SSM inventory is missing. Fix the cause "
        "and start a new conversion, or set ignore_failure=True to record this one as it is."
    )


def ask_nobody(*_: Any) -> tuple[int, bytes]:
    raise AssertionError("AWS is asked")


def test_no_region_is_one_line() -> None:
    """A record without a region, in a stack without one, says what to set."""
    with pytest.raises(SettingsError) as caught:
        make_session(ask_nobody).provider().create({"license_conversion_task_id": TASK_ID})
    assert str(caught.value) == (
        "Connecting to AWS License Manager for license conversion task lct-1: no region is set. Run `pulumi config "
        "set aws:region REGION`."
    )
    assert caught.value.subject.task_id == TASK_ID


def test_a_malformed_id_to_read_is_one_line() -> None:
    """`get` comes without a check: what is wrong with its id is said all the same."""
    with pytest.raises(SettingsError) as caught:
        make_session(ask_nobody, **{"aws:region": REGION}).provider().read("i-1", {})
    assert str(caught.value) == (
        "Connecting to AWS License Manager for license conversion task i-1: license_conversion_task_id 'i-1' is not "
        "the id of a license conversion task: use lct- followed by letters and digits, at most 50 characters in all. "
        "Correct it in the program."
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"SourceLicenseContext": "x", **RUNNING}, "the answer can't be read (AttributeError: "),
        ({"StatusMessage": 5, **RUNNING}, "a member of the answer does not have the type that AWS documents"),
        ({**RUNNING, "Status": None, "ResourceArn": None}, "the answer has no status and no ARN"),
        ({"StatusMessage": "x"}, "the response is not a license conversion task"),
        ({**RUNNING, "LicenseConversionTaskId": "lct-2"}, "the answer is about another task, lct-2"),
        ({**RUNNING, "StartTime": -62135596801}, "answer"),
    ],
)
def test_an_answer_that_is_none_names_its_task(answer: dict[str, Any], why: str) -> None:
    """What is no task, or breaks the model, is one line that names the task and the region."""
    with pytest.raises(LicenseConversionError) as caught:
        make_session(lambda *_: to_body(answer)).provider().create(dict(INPUTS))
    assert str(caught.value).startswith("Looking up license conversion task lct-1 in eu-west-1: ")
    assert why in str(caught.value)
    assert (caught.value.subject.task_id, caught.value.subject.region) == (TASK_ID, REGION)
    if isinstance(caught.value, TransientError):
        assert str(caught.value).endswith(
            ". Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."
        )
