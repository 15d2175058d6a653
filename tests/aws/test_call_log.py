"""The log of AWS: how each connection is made, and how each call went.

`reliability/test_secrets.py` looks for credentials in it.
"""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore import exceptions as botocore_errors
from support.aws import REGION, TimelessAws, make_client, refuse, to_settings
from support.certificates import write_certificate
from support.wire import Wire, add_running

from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.emulator import licensemanager_backends, serve
from lmconv_resource.text import to_address

ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tracker"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what gives the log's lines so far, from DEBUG on."""
    caplog.set_level(logging.DEBUG, "lmconv_resource")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return lambda: [record.getMessage() for record in caplog.records]


CALL = re.compile(
    rf"GetLicenseConversionTask in {REGION}: (?P<result>.+) after \d+\.\d\d s, try (?P<try>\d), request id (?P<id>\S+)"
)


def test_a_connection_says_how_it_is_made(lines: Callable[[], list[str]]) -> None:
    """Region, endpoint, profile, where the credentials come from, proxy and CA bundle: a line for each client.

    So is the account, once, where STS was asked for it, and AWS's request id of each call.
    """
    with serve() as emulator:
        add_running(licensemanager_backends["123456789012"][REGION], 1)
        urls = [dict.fromkeys(("licensemanager", "sts"), emulator.endpoint)]
        session = AccessSession(to_settings(endpoints=urls, allowedAccountIds=["123456789012"]))
        for _ in range(3):
            client = session.client("license-manager")
        answer = client.get_license_conversion_task(LicenseConversionTaskId="lct-0000")
    assert lines().count("the credentials belong to account 123456789012") == 1
    assert [line for line in lines() if line.startswith("connected to license-manager")] == [
        f"connected to license-manager: region {REGION}, endpoint {to_address(emulator.endpoint)}, profile default, "
        "credentials from env, proxy none, CA bundle botocore's"
    ]
    match = CALL.fullmatch(lines()[-1])
    assert match is not None
    assert match["id"] == answer["ResponseMetadata"]["RequestId"]


def test_a_connection_names_what_is_set(
    lines: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile, a role with its account, the environment's proxy and a CA bundle are named, without a password."""
    bundle = write_certificate(tmp_path / "ca.pem", [])
    (tmp_path / "aws-credentials").write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = work\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pa/ss@proxy.example:3128/")
    own = [{"ec2": "https://user:pass@ec2.example"}]
    settings = to_settings(
        endpoints=own, profile="work", customCaBundle=str(bundle), assumeRoles=json.dumps([{"roleArn": ROLE}])
    )
    AccessSession(settings).client("ec2")
    assert lines() == [
        f"connected to ec2: region {REGION}, endpoint ec2.example, profile work, credentials from "
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
