"""Messages that Pulumi's engine never sends: each is answered, or refused in one line that names what is wrong."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2
from support.native_host import CONVERSION, TASK, UNKNOWN, Plugin, plugin, secret, to_struct, to_text

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.hosts.native.wire import SCHEMA
from lmconv_resource.text import to_plain_text

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
FLEET, TABLE = "lmconv:index:ConversionFleet", "The fleet can't be used:\n"
GET, LIST = "lmconv:index:getLicenseConversionTask", "lmconv:index:getLicenseConversionTasks"
RECORD = {"licenseConversionTaskId": "lct-1", "region": "eu-west-1", "status": "SUCCEEDED", "isComplete": True}
GOOD: dict[str, dict[str, Any]] = {
    TASK: {"licenseConversionTaskId": "lct-1", "region": "eu-west-1"},
    CONVERSION: {
        "resourceArn": ARN,
        "sourceLicenseContext": {"usageOperation": "RunInstances:0800"},
        "destinationLicenseContext": {"usageOperation": "RunInstances:0002", "productCodes": []},
        "assumeRole": [],
        "region": "eu-west-1",
    },
    FLEET: {
        "instances": [{"resourceArn": ARN, "name": "web-1"}],
        "destinationLicenseContext": {"usageOperation": "RunInstances:0002"},
    },
    GET: {"id": "lct-1"},
    LIST: {"resourceArns": [ARN], "statuses": ["FAILED"]},
}

NAMES = sorted(
    {
        "",
        "__request",
        "product_codes",
        *SCHEMA["config"]["variables"],
        *(name for spec in SCHEMA["types"].values() for name in spec.get("properties", ())),
        *(name for bag in GOOD.values() for name in bag),
    }
)
TEXTS = st.sampled_from(["", "x", "what\x1b[31m", "a\nb", UNKNOWN, "3", "[]", "{", '{"roleArn": 1}', ARN, "lct-1"])
LEAVES = st.none() | st.booleans() | st.sampled_from([0, -1, 2.5, 1e300, float("nan"), float("inf")]) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3) | inner.map(secret)
    ),
    max_leaves=6,
)
TOKENS = st.sampled_from(
    [TASK, CONVERSION, FLEET] * 5 + ["", "what\x1b[31m", "lmconv:index/licenseConversion:LicenseConversion"]
)


@st.composite
def bags(draw: st.DrawFn, *good: dict[str, Any]) -> dict[str, Any]:
    """Return something good with some of it replaced, or anything."""
    bag = {**draw(st.sampled_from([*good, {}]))}
    bag.update(draw(st.dictionaries(st.sampled_from([*bag, *NAMES]), VALUES, max_size=2)))
    return bag


INPUTS = bags(GOOD[TASK], GOOD[CONVERSION], GOOD[FLEET])
RECORDS = bags(RECORD, {**GOOD[CONVERSION], **RECORD})


@pytest.fixture
def native(aws: LicenseManagerBackend) -> Iterator[Plugin]:
    """The engine's end of a plugin that asks the emulated License Manager, where a conversion lasts no time."""
    aws.conversion_seconds = 0
    aws.add_task(task_id="lct-1", resource_arn=ARN, source="RunInstances:0800", destination="RunInstances:0002")
    with plugin() as driven:
        yield driven


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_answered_or_refused_in_one_line(native: Plugin, data: st.DataObject) -> None:
    """No traceback, no control character, nothing that never ends."""
    draw = data.draw

    def send(method: str, message: str = "", **fields: Any) -> Callable[[], Any]:
        def call() -> Any:
            drawn = {name: draw(each) if isinstance(each, st.SearchStrategy) else each for name, each in fields.items()}
            given = {name: to_struct(each) if isinstance(each, dict) else each for name, each in drawn.items()}
            return getattr(native.stub, method)(getattr(provider_pb2, f"{message or method}Request")(**given))

        return call

    token = draw(TOKENS)
    of: dict[str, Any] = {"type": token, "urn": draw(st.sampled_from([f"urn:pulumi:a::b::{TASK}::c", "", "a::b"]))}
    changed = {"id": draw(TEXTS), "timeout": 1.0, **of}
    answers = [
        send("Check", **of, olds=INPUTS, news=INPUTS),
        send("Diff", **of, id="lct-1", olds=RECORDS, news=INPUTS, old_inputs=INPUTS),
        send("Create", **of, timeout=1.0, properties=INPUTS, preview=st.booleans()),
        send("Read", **changed, properties=RECORDS, inputs=INPUTS),
        send("Update", **changed, olds=RECORDS, news=INPUTS, preview=st.booleans()),
        send("Delete", **changed, properties=RECORDS),
        send("Invoke", tok=st.sampled_from([GET, LIST, GET, LIST, "what\x1b"]), args=bags(GOOD[GET], GOOD[LIST])),
        send("List", token=token, query=bags(GOOD[LIST])),
        send("Configure", args=bags()),
        send("CheckConfig", "Check", news=bags()),
        send("DiffConfig", "Diff", old_inputs=bags(), news=bags()),
    ]
    for answer in answers:
        code = None
        try:
            answered = answer()
            parts = list(answered) if hasattr(answered, "__next__") else [answered]
            said = [failure.reason for part in parts for failure in getattr(part, "failures", ())]
        except grpc.RpcError as error:
            said, code = [to_text(error)], error.code()
        assert code in (None, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT), said
        # A fleet names all malformed rows of its table, one below the other.
        lines = [line for text in said for line in (text.split("\n") if text.startswith(TABLE) else [text])]
        assert lines == [to_plain_text(line) for line in lines]


@pytest.mark.parametrize(
    ("kind", "changes", "line"),
    [
        (CONVERSION, {"resourceArn": None}, "resourceArn is missing"),
        (CONVERSION, {"destinationLicenseContext": None}, "destinationLicenseContext is missing"),
        (CONVERSION, {"resourceArn": UNKNOWN}, "resourceArn is not known"),
        (CONVERSION, {"destinationLicenseContext": "RunInstances:0002"}, "'RunInstances:0002' is not an object"),
        (TASK, {"licenseConversionTaskId": None}, "licenseConversionTaskId is missing"),
    ],
)
def test_a_create_does_not_trust_that_there_was_a_check(
    native: Plugin, aws: LicenseManagerBackend, kind: str, changes: dict[str, Any], line: str
) -> None:
    """Nothing is started, and nothing of the account is taken for what was meant."""
    with pytest.raises(grpc.RpcError, match=line):
        native.create(kind, {**GOOD[kind], **changes})
    assert not aws.calls
