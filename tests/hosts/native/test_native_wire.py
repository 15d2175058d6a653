"""Messages that Pulumi's engine never sends: each is answered, or refused in one line that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2
from support.native_host import CONVERSION, TASK, UNKNOWN, Plugin, plugin, secret, to_struct, to_text

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.hosts.native.shapes import SCHEMA
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
    stub, draw = native.stub, data.draw

    def struct(strategy: st.SearchStrategy[dict[str, Any]]) -> Any:
        return to_struct(draw(strategy))

    token = draw(TOKENS)
    of: dict[str, Any] = {"type": token, "urn": draw(st.sampled_from([f"urn:pulumi:a::b::{TASK}::c", "", "a::b"]))}
    changed = {"id": draw(TEXTS), "timeout": 1.0, **of}
    answers: list[Callable[[], Any]] = [
        lambda: stub.Check(provider_pb2.CheckRequest(**of, olds=struct(INPUTS), news=struct(INPUTS))),
        lambda: stub.Diff(
            provider_pb2.DiffRequest(
                id="lct-1", **of, olds=struct(RECORDS), news=struct(INPUTS), old_inputs=struct(INPUTS)
            )
        ),
        lambda: stub.Create(
            provider_pb2.CreateRequest(**of, timeout=1.0, properties=struct(INPUTS), preview=draw(st.booleans()))
        ),
        lambda: stub.Read(provider_pb2.ReadRequest(**changed, properties=struct(RECORDS), inputs=struct(INPUTS))),
        lambda: stub.Update(
            provider_pb2.UpdateRequest(
                **changed, olds=struct(RECORDS), news=struct(INPUTS), preview=draw(st.booleans())
            )
        ),
        lambda: stub.Delete(provider_pb2.DeleteRequest(**changed, properties=struct(RECORDS))),
        lambda: stub.Invoke(
            provider_pb2.InvokeRequest(
                tok=draw(st.sampled_from([GET, LIST, GET, LIST, "what\x1b"])), args=struct(bags(GOOD[GET], GOOD[LIST]))
            )
        ),
        lambda: stub.List(provider_pb2.ListRequest(token=token, query=struct(bags(GOOD[LIST])))),
        lambda: stub.Configure(provider_pb2.ConfigureRequest(args=struct(bags()))),
        lambda: stub.CheckConfig(provider_pb2.CheckRequest(news=struct(bags()))),
        lambda: stub.DiffConfig(provider_pb2.DiffRequest(old_inputs=struct(bags()), news=struct(bags()))),
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
