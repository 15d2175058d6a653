"""The emulator's answers on the wire, held against botocore's own service model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import botocore.session
import pytest

from emulator import ARN, BYOL, CREATE, GET, INCLUDED, LIST, get_backend, to_headers
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseContext, ProductCode

OPERATIONS = {
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
        (LIST, b'{"Filters": {"Name": "Status"}}'),
        (LIST, b'{"Filters": [null]}'),
        (LIST, b'{"MaxResults": true}'),
        (CREATE, b'{"ResourceArn": "arn:aws:ec2:us-east-1:1:instance/i-1"}'),
    ],
)
def test_a_request_without_sense_is_refused(endpoint: str, operation: str, body: bytes) -> None:
    """A request that boto3 would never send is an invalid value, not a crash."""
    status, _, answer = post(endpoint, operation, body)
    assert (status, answer["__type"]) == (400, "InvalidParameterValueException")
