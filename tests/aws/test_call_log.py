"""The log of AWS: how each connection is made, how each call went, and never a secret."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as botocore_errors
from support.aws import REGION, TimelessAws, make_client, refuse, to_settings
from support.certificates import write_certificate
from support.wire import ACCESS_KEY, SECRET_KEY, Wire, add_running

from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.emulator import Emulator, licensemanager_backends, serve
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.operation import Access
from lmconv_resource.text import to_address

ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tracker"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A License Manager and an STS on loopback, with a running task for each account."""
    with serve() as served:
        for account in ("123456789012", ACCOUNT):
            add_running(licensemanager_backends[account][REGION], 1)
        yield served


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what gives the log's lines so far, from DEBUG on."""
    caplog.set_level(logging.DEBUG, "lmconv_resource")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return lambda: [record.getMessage() for record in caplog.records]


def endpoints(url: str) -> str:
    return json.dumps([{"licensemanager": url, "sts": url}])


CALL = re.compile(
    rf"GetLicenseConversionTask in {REGION}: (?P<result>.+) after \d+\.\d\d s, try (?P<try>\d), request id (?P<id>\S+)"
)


def test_a_connection_says_how_it_is_made(lines: Callable[[], list[str]], emulator: Emulator) -> None:
    """Region, endpoint, profile, where the credentials come from, proxy and CA bundle: a line for each client.

    So is the account, once, where STS was asked for it, and AWS's request id of each call.
    """
    settings = to_settings(endpoints=endpoints(emulator.endpoint), allowedAccountIds='["123456789012"]')
    session = AccessSession(settings)
    for _ in range(3):
        client = session.client("license-manager")
    assert lines().count("the credentials belong to account 123456789012") == 1
    assert [line for line in lines() if line.startswith("connected to license-manager")] == [
        f"connected to license-manager: region {REGION}, endpoint {to_address(emulator.endpoint)}, profile default, "
        "credentials from env, proxy none, CA bundle botocore's"
    ]
    answer = client.get_license_conversion_task(LicenseConversionTaskId="lct-0000")
    match = CALL.fullmatch(lines()[-1])
    assert match is not None
    assert match["id"] == answer["ResponseMetadata"]["RequestId"]


def test_a_connection_names_what_is_set(
    lines: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile, a role with its account, the environment's proxy and a CA bundle are named."""
    bundle = write_certificate(tmp_path / "ca.pem", [])
    (tmp_path / "aws-credentials").write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = work\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pa/ss@proxy.example:3128/")
    settings = to_settings(profile="work", customCaBundle=str(bundle), assumeRoles=json.dumps([{"roleArn": ROLE}]))
    AccessSession(settings).client("ec2")
    assert lines() == [
        f"connected to ec2: region {REGION}, endpoint ec2.{REGION}.amazonaws.com, profile work, credentials from "
        f"shared-credentials-file then {ROLE} in account {ACCOUNT}, proxy proxy.example:3128, CA bundle {bundle}"
    ]


def test_each_try_of_a_call_is_a_line(lines: Callable[[], list[str]]) -> None:
    """The name, how it went, the time, which try it was and AWS's request id; an error by its code or its type."""
    client = make_client("license-manager", to_settings())
    aws = TimelessAws(make_client=lambda *_: client)
    Wire(
        client,
        (500, refuse("ServerInternalException")),
        botocore_errors.ProxyConnectionError(proxy_url="http://user:secret@proxy", error="no"),
        (200, {"LicenseConversionTaskId": "lct-1", "Status": "IN_PROGRESS", "ResourceArn": "arn"}),
    )
    aws.license_manager.get_task("lct-1")
    found = [match for line in lines() if (match := CALL.fullmatch(line))]
    assert [(match["result"], match["try"]) for match in found] == [
        ("500 ServerInternalException", "1"),
        ("ProxyConnectionError", "2"),
        ("200", "3"),
    ]


def test_an_answer_can_not_write_into_the_log(lines: Callable[[], list[str]]) -> None:
    """What stands for an error's code is cut, on one line and without control characters."""
    client = make_client("license-manager", to_settings())
    Wire(client, (400, {"__type": "Evil\x1b[2J\nroot: all is well" + "x" * 500, "message": "secret"}))
    with pytest.raises(botocore_errors.ClientError):
        client.get_license_conversion_task(LicenseConversionTaskId="lct-1")
    assert "\n" not in lines()[-1]
    assert "\x1b" not in lines()[-1]
    assert len(lines()[-1]) < 250
    assert "secret" not in lines()[-1]


POLICY = '{"Version":"2012-10-17","Statement":[{"Sid":"policy-s3cr3t","Effect":"Allow","Action":"*","Resource":"*"}]}'


SECRET_SETTINGS: dict[str, dict[str, str]] = {
    "web identity": {
        "assumeRoleWithWebIdentity": json.dumps(
            {"roleArn": ROLE, "webIdentityToken": "web-token-s3cr3t", "policy": POLICY}
        )
    },
    "endpoints": {"endpoints": endpoints("http://user:endpoint-s3cr3t@ENDPOINT")},
    "proxies": dict.fromkeys(("httpProxy", "httpsProxy"), "http://user:proxy-s3cr3t@127.0.0.1:9"),
}
"""Secrets in settings; `reliability/test_secrets.py` has each kind of credentials."""


def walk(config: dict[str, str]) -> None:
    """Make calls that work, are refused, expire, and can't be sent, as a stack with these settings does."""
    session = Session({f"aws:{name}": value for name, value in config.items()}.get)
    connection = session.connect(REGION, Access())
    license_manager = connection.until(session.cancellation).license_manager
    answers: list[Any] = [
        None,
        (400, refuse("AccessDeniedException", "no")),
        (400, refuse("ExpiredTokenException", "expired s3cr3t")),
        (403, refuse("SignatureDoesNotMatch", "the Canonical String: x-amz-security-token:token-s3cr3t")),
        (500, refuse("ServerInternalException")),
        botocore_errors.ProxyConnectionError(proxy_url="http://user:proxy-s3cr3t@proxy", error="no"),
        botocore_errors.EndpointConnectionError(endpoint_url="http://user:endpoint-s3cr3t@host", error="no"),
    ]
    for answer in answers:
        try:
            if answer is not None:
                Wire(connection.session.client("license-manager"), answer)
            license_manager.get_task("lct-0000")
        except LicenseConversionError as error:
            logging.getLogger("lmconv_resource").error("%s", error)  # noqa: TRY400 -- as a host shows it


@pytest.mark.parametrize("setting", SECRET_SETTINGS)
def test_the_log_tells_no_secret(setting: str, caplog: pytest.LogCaptureFixture, emulator: Emulator) -> None:
    """Whatever is set, and however the calls end, no line of any level holds a key, a token, a policy or a password."""
    address = emulator.endpoint.partition("://")[2]
    config = {
        "endpoints": endpoints(emulator.endpoint),
        "maxRetries": "1",
        **{name: value.replace("ENDPOINT", address) for name, value in SECRET_SETTINGS[setting].items()},
    }
    caplog.set_level(logging.DEBUG, "lmconv_resource")
    walk(config)
    text = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "connected to" in text
    for secret in ("s3cr3t", SECRET_KEY, ACCESS_KEY, "AWS4-HMAC"):
        assert secret not in text
