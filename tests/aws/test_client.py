"""One connection for each settings, and one client for each service of it, however many ask at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from threading import Barrier
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from support.aws import ACCOUNT, GET, REGION, UNPACED, MakeClient, made_by, to_settings
from support.waiting import SOON

from lmconv_resource.aws.access import AssumedRole, Settings
from lmconv_resource.aws.client import Connection
from lmconv_resource.errors import ThrottledError
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.operation import Access
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import Cancellation

ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
ANSWER = {"LicenseConversionTaskId": "lct-1", "Status": "IN_PROGRESS", "ResourceArn": "arn"}


def fake_client(*_: object) -> Any:
    """Return a client of any service, which answers with what is asked of it here."""
    return Mock(**{"get_license_conversion_task.return_value": ANSWER, "describe_instances.return_value": {}})


def throttled_client(service: str, settings: Settings) -> Any:
    """Return a client whose first call is refused in the one region, for the rate."""
    refusal = ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, GET)
    client = fake_client()
    if settings.region == REGION:
        client.get_license_conversion_task.side_effect = [refusal, ANSWER]
    return client


def connect(make: MakeClient, settings: Settings, policy: PollingPolicy = UNPACED) -> Connection:
    return Connection(made_by(make)(settings), Cancellation(), policy, lambda _: None)


def test_a_connection_makes_no_client_before_its_first_call() -> None:
    """A connection costs nothing until AWS is called, and then only the client of the service that is."""
    made: list[str] = []

    def make(service: str, settings: Settings) -> Any:
        made.append(service)
        return fake_client()

    connection = connect(make, to_settings())
    assert connection.ec2
    assert made == []
    connection.license_manager.get_task("lct-1")
    assert made == ["license-manager"]


def test_a_throttled_call_slows_down_all_callers_of_the_service() -> None:
    """Operations on one connection share the pace of a service; other services and connections have their own."""
    policy = PollingPolicy(fastest_gap_seconds=0.0, first_slow_gap_seconds=0.3)
    settings = to_settings(maxRetries="0"), to_settings("eu-west-2")
    connection, other = (connect(throttled_client, each, policy) for each in settings)
    began = time.monotonic()
    with pytest.raises(ThrottledError):
        connection.license_manager.get_task("lct-1")
    other.license_manager.get_task("lct-1")
    other.ec2.get_instance(ARN)
    connection.ec2.get_instance(ARN)
    unslowed = time.monotonic() - began
    connection.license_manager.get_task("lct-1")
    assert unslowed < 0.3 <= time.monotonic() - began


def test_each_settings_have_one_connection() -> None:
    """However many threads ask at once; regions, credentials, endpoints and roles share no connection and no pace."""
    role = AssumedRole("arn:aws:iam::123456789012:role/tracker")
    others: list[tuple[str, Access, dict[str, str]]] = [
        (REGION, Access(), {}),
        ("eu-west-2", Access(), {}),
        (REGION, Access(assume_roles=(role,)), {}),
        (REGION, Access(), {"aws:accessKey": "ak", "aws:secretKey": "sk"}),
        (REGION, Access(), {"aws:accessKey": "ak", "aws:secretKey": "other"}),
        (REGION, Access(), {"aws:endpoints": '[{"licensemanager": "http://127.0.0.1:1"}]'}),
    ]
    config, barrier = ContextVar[dict[str, str]]("config"), Barrier(48)
    session = Session(lambda key: config.get().get(key), open_session=made_by(fake_client))

    def ask(number: int) -> Connection:
        region, access, of_stack = others[number % len(others)]
        config.set(of_stack)
        barrier.wait(SOON)
        return session.connect(region, access)

    with ThreadPoolExecutor(48) as threads:
        found = list(threads.map(ask, range(48)))
    assert len({id(one) for one in found}) == len({id(one.poller) for one in found}) == len(others)
