"""The emulator's answers on the wire, held against botocore's own service model."""

import json
import urllib.error
import urllib.request
from typing import Any

import botocore.session
import pytest
from support.aws import CREATE, GET, LIST

from emulator import ARN, BYOL, INCLUDED, get_backend, to_headers
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseContext, ProductCode

OPERATIONS: dict[str, dict[str, Any]] = {
    GET: {"LicenseConversionTaskId": "lct-whole"},
    LIST: {"MaxResults": 1},
    CREATE: {"ResourceArn": ARN, "SourceLicenseContext": BYOL, "DestinationLicenseContext": INCLUDED},
}
MODEL: Any = botocore.session.get_session().get_service_model("license-manager")


def post(endpoint: str, operation: str, body: bytes) -> tuple[int, Any, Any]:
    """Send a call as AWS's clients do; return the status, headers and JSON of the answer."""
    request = urllib.request.Request(endpoint, body, to_headers(operation))  # noqa: S310 - an address of ours
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def assert_fits(value: Any, shape: Any) -> None:
    """Assert that a JSON value has only members that the shape knows, each of its type."""
    types: dict[str, Any] = {"structure": dict, "list": list, "string": str, "timestamp": (int, float)}
    assert isinstance(value, types[shape.type_name]), (shape, value)
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members)
        for name, member in value.items():
            assert_fits(member, shape.members[name])
    elif shape.type_name == "list":
        for item in value:
            assert_fits(item, shape.member)
    elif shape.type_name == "string" and shape.enum:
        assert value in shape.enum


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_fit_the_service_model(endpoint: str, operation: str) -> None:
    """Each answer has AWS's content type and only members that the model knows, times as epoch numbers, no nulls."""
    backend = get_backend()
    backend.add_task(
        task_id="lct-whole",
        resource_arn=ARN,
        source=LicenseContext("RunInstances:0010", (ProductCode("abc"),)),
        destination="RunInstances:00g0",
        seconds=0,
        message="all of it",
    )
    backend.add_task(resource_arn=ARN, source="", destination="")
    status, headers, answer = post(endpoint, operation, json.dumps(OPERATIONS[operation]).encode())
    assert (status, headers["Content-Type"]) == (200, "application/x-amz-json-1.1")
    shape = MODEL.operation_model(operation).output_shape
    assert_fits(answer, shape)
    # The first task has every member there is
    assert set(answer) == set(shape.members)
    for task in answer.get("LicenseConversionTasks", []):
        assert set(task) == set(shape.members["LicenseConversionTasks"].member.members)


def test_errors_fit_the_service_model(endpoint: str) -> None:
    """An error that the model lists has its name in body and header, and its HTTP status."""
    faults = get_backend().faults
    for shape in MODEL.operation_model(CREATE).error_shapes:
        faults.add(Fault(ErrorAnswer(shape.name, "so it is"), calls=1))
        status, headers, answer = post(endpoint, CREATE, b"{}")
        assert status == (500 if shape.name == "ServerInternalException" else 400)
        assert answer == {"__type": shape.name, "Message": "so it is"}
        assert headers["x-amzn-errortype"] == shape.name
        assert headers["x-amzn-requestid"]


FILTERS: list[Any] = [
    [{"Name": "status", "Values": ["FAILED"]}],
    [{"Name": "Status", "Values": ["FAILED", "DONE"]}],
    [{"Name": "Status", "Values": []}],
    [{"Name": "Status", "Values": ["FAILED"]}] * 2,
    [{"Values": ["FAILED"]}],
    [None],
    {"Name": "Status"},
]
CODE = {"ProductCodeId": "abc", "ProductCodeType": "marketplace"}
CONTEXTS: list[tuple[str, Any]] = [
    ("UsageOperation", {"UsageOperation": "x" * 51}),
    ("ProductCodes[0].ProductCodeId", {"ProductCodes": [{**CODE, "ProductCodeId": "no spaces"}]}),
    ("ProductCodes[0].ProductCodeType", {"ProductCodes": [{**CODE, "ProductCodeType": "devpay"}]}),
]


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (GET, b"{}"),
        (GET, b""),
        (GET, b"not JSON"),
        (GET, b"\xff"),
        (GET, b"[]"),
        (GET, b"null"),
        (GET, b'{"LicenseConversionTaskId": 7}'),
        (GET, b'{"LicenseConversionTaskId": null}'),
        (LIST, b'{"MaxResults": true}'),
        (LIST, b'{"MaxResults": 0}'),
        (LIST, b'{"NextToken": "no token"}'),
        (LIST, b'{"NextToken": "MDowMA=="}'),
        (CREATE, b'{"ResourceArn": "arn:aws:ec2:us-east-1:1:instance/i-1"}'),
        *((LIST, json.dumps({"Filters": filters}).encode()) for filters in FILTERS),
        (CREATE, json.dumps({**OPERATIONS[CREATE], "ResourceArn": "i-0123456789abcdef0"}).encode()),
    ],
)
def test_a_request_without_sense_is_refused(endpoint: str, operation: str, body: bytes) -> None:
    """Whether boto3 would send it or not, it is an invalid value: neither a crash nor an empty list nor a task."""
    status, _, answer = post(endpoint, operation, body)
    assert (status, answer["__type"]) == (400, "InvalidParameterValueException")
    assert get_backend().tasks == {}


@pytest.mark.parametrize(("place", "context"), CONTEXTS)
def test_a_value_that_the_model_does_not_allow_is_named(endpoint: str, place: str, context: Any) -> None:
    _, _, answer = post(endpoint, CREATE, json.dumps({**OPERATIONS[CREATE], "SourceLicenseContext": context}).encode())
    assert answer["Message"].startswith(f"SourceLicenseContext.{place}: ")
