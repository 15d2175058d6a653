"""Odd answers, bad inputs, and any sequence of status, fault and user action, through the provider's methods.

How many examples there are of each says tests/support/fixtures.py.
"""

import asyncio
import copy
import json
import math
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from google.protobuf.struct_pb2 import Struct
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from local_engine.properties import from_struct
from pulumi.runtime import rpc
from support.aws import GET, LIST
from support.license_manager import CONTROLS, Answer, FakeSession, get_model, texts, to_body, to_refusal
from support.native_host import to_init_error

from lmconv_resource.errors import ConversionFailedError, LicenseConversionError, WaitError
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.models import OUTPUTS

TASK_ID, REGION = "lct-0123456789abcdef0", "eu-west-1"
TIMES = ("start_time", "license_conversion_time", "end_time")


def make_session(answer: Answer) -> FakeSession:
    return FakeSession(answer, {"aws:region": REGION, "aws:maxRetries": "1"})


def store(outputs: Any) -> dict[str, Any]:
    """Return what comes back of outputs that went through the wire and a state file."""
    struct: Struct = asyncio.run(rpc.serialize_properties(outputs, {}))
    stored: dict[str, Any] = json.loads(json.dumps(from_struct(struct)))
    return stored


def known(value: Any) -> Any:
    """Return a value without what is None, which the wire drops from a bag."""
    if isinstance(value, dict):
        return {name: known(entry) for name, entry in value.items() if entry is not None}
    return [known(entry) for entry in value] if isinstance(value, list) else value


def assert_line_is_sound(line: str) -> None:
    """What holds of every sentence: one line, with nothing that acts on a terminal."""
    assert len(line.splitlines()) == 1
    assert not CONTROLS.search(line)


def assert_record_is_sound(outputs: dict[str, Any]) -> None:
    """What holds of every record: all outputs, times in UTC, nothing that acts on a terminal, no contradiction."""
    assert set(outputs) <= {*OUTPUTS, "__urn"}
    for name in TIMES:
        if outputs.get(name) is not None:
            assert outputs[name].endswith("Z")
            assert datetime.fromisoformat(outputs[name][:-1]).tzinfo is None
    assert not [text for text in texts(outputs) if CONTROLS.search(text)]
    assert outputs["is_complete"] is (outputs.get("status") in ("SUCCEEDED", "FAILED"))
    assert outputs.get("duration_seconds") is None or outputs["is_complete"]


# -- any answer --------------------------------------------------------------------------------------------------------

EVIL = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)])) + "\x1b]0;owned\x07\x1b[2J\u202etxt.exe\u2066\ud800 end"
UNICODE = st.text(st.characters(), max_size=20) | st.just(EVIL)  # halves of surrogate pairs too, which JSON can hold
MOMENTS = st.one_of(
    *[st.integers(0, 4_000_000_000)] * 9,  # most of them plain, or hardly an answer would have three times that count
    st.integers(-(10**14), 10**14),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-62135596800 - 90000, -62135596800 + 90000),  # around the year 1
    st.integers(253402300799 - 90000, 253402300799 + 90000),  # around the year 9999
    st.floats(0, 4e9),
    st.datetimes(timezones=st.just(timezone.utc)).map(lambda moment: moment.isoformat()),
)


def to_strategy(shape: Any) -> st.SearchStrategy[Any]:
    """Return any value that a shape of botocore's model allows."""
    if shape.type_name == "structure":
        return st.fixed_dictionaries({}, optional={name: to_strategy(each) for name, each in shape.members.items()})
    if shape.type_name == "list":
        return st.lists(to_strategy(shape.member), max_size=3)
    if shape.type_name == "timestamp":
        return MOMENTS
    known = st.sampled_from(shape.enum) if shape.enum else UNICODE
    return known if shape.name == "LicenseConversionTaskStatus" else known | UNICODE


SHAPE = get_model().operation_model(GET).output_shape
SURE = st.fixed_dictionaries(
    {
        "LicenseConversionTaskId": st.just(TASK_ID),
        "ResourceArn": UNICODE.filter(bool),
        "Status": st.sampled_from(["SUCCEEDED", "FAILED", "IN_PROGRESS"]),
    }
)
"""What no answer about a task lacks."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | UNICODE,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(UNICODE, inside, max_size=3),
    max_leaves=6,
)
ANSWERS = {
    "as AWS's model allows": st.builds(lambda answer, sure: {**answer, **sure}, to_strategy(SHAPE), SURE),
    "as no model allows": st.dictionaries(st.sampled_from([*SHAPE.members, "Unheard"]), JSON) | JSON,
}


@pytest.mark.parametrize("kind", ANSWERS)
@given(data=st.data(), wait=st.booleans())
def test_any_answer_goes_through_create_diff_and_read(kind: str, data: st.DataObject, wait: bool) -> None:
    """It becomes a sound record, which survives the state and is no change to itself, or one line; never a crash."""
    answer: Any = data.draw(ANSWERS[kind])
    session = make_session(lambda *_: to_body(answer))
    provider = session.provider()
    inputs = provider.check({}, {"license_conversion_task_id": TASK_ID}).inputs
    try:
        created = provider.create({**inputs, "wait_for_completion": wait, "ignore_failure": True})
    except (LicenseConversionError, InitFailedError) as error:
        event(type(error).__name__)
        session.lines.append(str(error))
        return
    finally:
        for line in session.lines:
            assert_line_is_sound(line)
    event(f"a record, {created.outs and created.outs['status']}")
    assert created.id == TASK_ID
    assert created.outs is not None
    assert_record_is_sound(created.outs)
    assert set(created.outs) == {*OUTPUTS, "__urn"}
    stored = store(created.outs)
    assert known(stored) == known(created.outs)
    assert provider.diff(TASK_ID, stored, inputs).changes is False
    read = provider.read(TASK_ID, stored)
    assert known(read.outs) == known(stored)
    assert known(provider.read(TASK_ID, {"license_conversion_task_id": TASK_ID}).outs) == known(stored)
    assert isinstance(answer, dict), "nothing else is a record"
    for member, name in (("StatusMessage", "status_message"), ("ResourceArn", "resource_arn")):
        text = answer.get(member)
        if isinstance(text, str) and not CONTROLS.search(text):
            assert stored.get(name) == text


# -- any input ---------------------------------------------------------------------------------------------------------


def ask_nobody(*_: Any) -> tuple[int, bytes]:
    raise AssertionError("AWS is asked")


WRONG = (
    st.lists(JSON, max_size=3)
    | UNICODE.map("?{}".format)
    | UNICODE.map(lambda text: {"create": f"?{text}"})
    | st.sampled_from(["lct-", "lct-é", "lct-1\n", "LCT-1", "lct-" + "a" * 47, "eu-west-1\n", "1e400h", "-1s"])
    | st.sampled_from([0, -1, 301, 1e9, math.nan, math.inf])
)
"""What none of the inputs below can be."""
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "license_conversion_task_id": st.from_regex(r"\Alct-[a-zA-Z0-9]{1,46}\Z"),
    "wait_for_completion": st.booleans(),
    "ignore_failure": st.booleans(),
    "region": st.sampled_from(["eu-west-1", "us-gov-west-1", "ap-southeast-5"]),
    "poll_interval_seconds": st.integers(1, 300) | st.floats(1, 300),
}


@given(st.fixed_dictionaries(RIGHT), st.dictionaries(st.sampled_from(list(RIGHT)), WRONG))
def test_any_bad_input_is_a_failure_of_its_property(right: dict[str, Any], wrong: dict[str, Any]) -> None:
    """Each input that can't be used is named, in one line that can be shown, and no other is."""
    result = make_session(ask_nobody).provider().check({}, {**right, **wrong})
    failures = {failure.property: failure.reason for failure in result.failures}
    event(f"{len(wrong)} wrong")
    assert set(failures) == set(wrong)
    for name, reason in failures.items():
        assert reason.startswith(f"{name} ")
        assert_line_is_sound(reason)


# -- any sequence ------------------------------------------------------------------------------------------------------

IDS, REGIONS = ("lct-a", "lct-b"), ("eu-west-1", "us-east-1")
REFUSALS = {
    "throttled": (400, "RateLimitExceededException"),
    "fault": (500, "ServerInternalException"),
    "denied": (400, "AccessDeniedException"),
    "expired": (403, "ExpiredTokenException"),
}
TWISTS = ("backwards", "unknown", "no status", "bare", "other task", "no json", "dropped")


def to_recorded(failed: InitFailedError) -> dict[str, Any]:
    """Return the outputs that the engine records of a resource that failed."""
    recorded = to_init_error(failed)
    assert recorded is not None
    return {name: value for name, value in recorded.properties.items() if name != "__provider"}


class Story(RuleBasedStateMachine):
    """A stack with one resource, a License Manager that lives and errs, and a user who does anything."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = {(region, task_id): ["IN_PROGRESS", 0] for region in REGIONS for task_id in IDS}
        self.known = dict.fromkeys(self.tasks, True)
        self.faults: list[str] = []
        self.calls = 0
        self.told: dict[tuple[str, str], set[str | None]] = {key: set() for key in self.tasks}
        self.program: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}
        self.record: dict[str, Any] | None = None
        self.session = make_session(self.answer)
        self.provider = self.session.provider()

    # -- AWS

    def answer(self, region: str, operation: str, request: dict[str, Any]) -> tuple[int, bytes]:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            return to_refusal(code, EVIL, status)
        if fault == "dropped":
            raise ConnectionClosedError(endpoint_url="https://license-manager")
        if fault == "no json":
            return 200, b"<html>"
        if operation == LIST:
            running = [
                key[1] for key, (status, _) in self.tasks.items() if key[0] == region and status == "IN_PROGRESS"
            ]
            return to_body({"LicenseConversionTasks": [self.show(region, task_id) for task_id in running]})
        key = region, request["LicenseConversionTaskId"]
        if not self.known[key]:
            return to_refusal("InvalidParameterValueException", "?")
        task = self.tasks[key]
        if isinstance(task[1], int) and task[1] > 1:
            task[1] -= 1
        elif task[1] == 1:
            task[:] = ["SUCCEEDED", 0]
        shown = self.show(*key)
        if fault == "backwards":
            shown = {**shown, "Status": "IN_PROGRESS"}
            shown.pop("EndTime", None)
        if fault == "unknown":
            shown["Status"] = "PAUSED"
        if fault == "no status":
            del shown["Status"]
        if fault == "bare":
            shown = {name: shown[name] for name in ("LicenseConversionTaskId", "Status", "ResourceArn")}
        if fault == "other task":
            shown["LicenseConversionTaskId"] = "lct-other"
        self.told[key].add(shown.get("Status"))
        return to_body(shown)

    def show(self, region: str, task_id: str) -> dict[str, Any]:
        status, _ = self.tasks[region, task_id]
        shown = {
            "LicenseConversionTaskId": task_id,
            "ResourceArn": f"arn:{region}:{task_id}",
            "Status": status,
            "StatusMessage": f"{status}{EVIL} of {task_id} in {region}",
            "StartTime": 1_800_000_000,
        }
        return shown if status == "IN_PROGRESS" else {**shown, "EndTime": 1_800_000_060.5}

    # -- what happens

    @initialize(task_id=st.sampled_from(IDS), region=st.sampled_from(REGIONS), wait=st.booleans(), ignore=st.booleans())
    def write(self, task_id: str, region: str, wait: bool, ignore: bool) -> None:
        self.program = {
            "license_conversion_task_id": task_id,
            "region": region,
            "wait_for_completion": wait,
            "ignore_failure": ignore,
            "__timeouts": {"create": "1m", "update": "1m"},
        }

    @rule(task_id=st.sampled_from(IDS))
    def change_id(self, task_id: str) -> None:
        self.program["license_conversion_task_id"] = task_id

    @rule(region=st.sampled_from(REGIONS))
    def change_region(self, region: str) -> None:
        self.program["region"] = region

    @rule(name=st.sampled_from(["wait_for_completion", "ignore_failure"]), value=st.booleans())
    def change_flag(self, name: str, value: bool) -> None:
        self.program[name] = value

    @rule(key=st.sampled_from([(region, task_id) for region in REGIONS for task_id in IDS]), data=st.data())
    def move_on(self, key: tuple[str, str], data: st.DataObject) -> None:
        """A task ends, or is to end soon."""
        if self.tasks[key][0] == "IN_PROGRESS":
            self.tasks[key][:] = data.draw(
                st.sampled_from([["SUCCEEDED", 0], ["FAILED", 0], ["IN_PROGRESS", 2], ["IN_PROGRESS", 4]])
            )

    @rule(key=st.sampled_from([(region, task_id) for region in REGIONS for task_id in IDS]), known=st.booleans())
    def forget(self, key: tuple[str, str], known: bool) -> None:
        """AWS does not know a task any more, or again; a wrong account looks the same."""
        self.known[key] = known

    @rule(faults=st.lists(st.sampled_from([*REFUSALS, *TWISTS]), max_size=4))
    def err(self, faults: list[str]) -> None:
        self.faults = faults

    # -- what the user does

    @property
    def identity(self) -> tuple[str, str]:
        return self.program["region"], self.program["license_conversion_task_id"]

    @rule()
    def up(self) -> None:
        self.session.clock.sleep(60.0)
        before = copy.deepcopy(self.record)
        checked = self.provider.check(self.inputs, self.program)
        assert not checked.failures
        calm = not self.faults and all(self.known.values())
        try:
            replaced = self._apply(before, checked.inputs)
        except LicenseConversionError as error:
            event(f"up: {type(error).__name__}")
            self.assert_reason(error, calm=calm)
            assert_line_is_sound(str(error))
            assert self.record == before
            return
        except InitFailedError as failed:
            # A wait that did not end well: what was seen is recorded, and no less than before.
            event(f"up: {type(failed.__cause__).__name__}")
            assert_line_is_sound(str(failed))
            self.record = store(to_recorded(failed))
            identity = ("region", "license_conversion_task_id")
            if before is not None and all(before[name] == self.record[name] for name in identity):
                self.assert_nothing_lost(before)
            return
        event(f"up: {'as it was' if self.record == before else self.record and self.record.get('status')}")
        self.inputs = checked.inputs
        assert self.record is not None
        assert (self.record["region"], self.record["license_conversion_task_id"]) == self.identity
        if not replaced and before is not None:
            self.assert_nothing_lost(before)
        if self.program["wait_for_completion"]:
            wanted = ("SUCCEEDED", "FAILED") if self.program["ignore_failure"] else ("SUCCEEDED",)
            assert self.record.get("status") in wanted

    def _apply(self, before: dict[str, Any] | None, inputs: dict[str, Any]) -> bool:
        """Do what the engine does, and tell whether the record is one of another task."""
        if before is None:
            self._create(inputs)
            return True
        diff = self.provider.diff(before["license_conversion_task_id"], before, inputs)
        assert bool(diff.replaces) is ((before["region"], before["license_conversion_task_id"]) != self.identity), (
            "a replacement is for another identity, and only for that"
        )
        if diff.replaces:
            assert diff.changes
            self._create(inputs)
            return True
        if diff.changes:
            updated = self.provider.update(before["license_conversion_task_id"], before, inputs)
            self.record = store(updated.outs)
        return False

    def _create(self, inputs: dict[str, Any]) -> None:
        created = self.provider.create(inputs)
        assert created.id == inputs["license_conversion_task_id"]
        self.record = store(created.outs)

    @precondition(lambda self: self.record is not None)
    @rule()
    def refresh(self) -> None:
        self.session.clock.sleep(60.0)
        before = copy.deepcopy(self.record)
        assert before is not None
        task_id = before["license_conversion_task_id"]
        calm = not self.faults and all(self.known.values())
        try:
            read = self.provider.read(task_id, before)
        except LicenseConversionError as error:
            self.assert_reason(error, calm=calm)
            assert_line_is_sound(str(error))
            return
        assert read.id == task_id, "nothing is dropped"
        self.record = store(read.outs)
        self.assert_nothing_lost(before)

    @precondition(lambda self: self.record is not None)
    @rule()
    def destroy(self) -> None:
        assert self.record is not None
        calls = self.calls
        self.provider.delete(self.record["license_conversion_task_id"], self.record)
        assert self.calls == calls
        self.record, self.inputs = None, {}

    @precondition(lambda self: self.record is not None and not self.faults)
    @rule()
    def up_twice(self) -> None:
        """With nothing new, a second `up` changes nothing, and asks nothing of a task that has ended."""
        assume(self.known[self.identity])
        self.up()
        if self.record is None or (self.record["region"], self.record["license_conversion_task_id"]) != self.identity:
            return
        if self.program["wait_for_completion"] and self.record.get("status") not in ("SUCCEEDED", "FAILED"):
            return
        if self.record.get("status") == "FAILED" and self.program["wait_for_completion"]:
            assume(self.program["ignore_failure"])
        calls, before = self.calls, copy.deepcopy(self.record)
        moving = self.tasks[self.identity][1] != 0
        self.session.clock.sleep(60.0)
        diff = self.provider.diff(before["license_conversion_task_id"], before, self.inputs or self.program)
        if before["is_complete"]:
            assert self.calls == calls
            assert diff.changes is False
        elif not moving:
            assert diff.changes is False

    # -- what always holds

    def assert_reason(self, error: LicenseConversionError, *, calm: bool) -> None:
        """Say that an error tells the truth: a failure was told of, and without any fault there is no other."""
        if isinstance(error, ConversionFailedError):
            assert self.program["wait_for_completion"]
            assert not self.program["ignore_failure"]
            assert "FAILED" in self.told[self.identity]
        else:
            assert (isinstance(error, WaitError) and "it did not end" in str(error)) or not calm, (
                "an error without a reason"
            )
        recorded = (self.record or {}).get("region"), (self.record or {}).get("license_conversion_task_id")
        assert (error.subject.region, error.subject.task_id) in (self.identity, recorded)

    def assert_nothing_lost(self, before: dict[str, Any]) -> None:
        assert self.record is not None
        if before.get("status") in ("SUCCEEDED", "FAILED"):
            assert self.record["status"] == before["status"]
            lost = [name for name in OUTPUTS if before.get(name) is not None and self.record.get(name) is None]
            assert not lost

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        super().check_invariants(*args, **kwargs)
        for text in self.session.lines:
            assert_line_is_sound(text)
        self.session.lines.clear()
        if self.record is None:
            return
        assert_record_is_sound(self.record)
        key = self.record["region"], self.record["license_conversion_task_id"]
        assert self.record.get("resource_arn") in (None, f"arn:{key[0]}:{key[1]}"), "looks are never mixed up"
        assert self.record.get("status_message", "").endswith(
            f"{key[1]} in {key[0]}" if "status_message" in self.record else ""
        )
        assert self.record.get("status") in self.told[key], "a status that AWS never told"


Story.TestCase.settings = settings(stateful_step_count=30)
TestStory = Story.TestCase
