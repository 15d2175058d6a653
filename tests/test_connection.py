"""One connection for equal settings, and another for others."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from lmconv_resource.aws import client as connection
from lmconv_resource.aws.client import Connection, connect
from lmconv_resource.aws.settings import Settings
from lmconv_resource.errors import SettingsError

REGION = "eu-west-1"
TASK = {"LicenseConversionTaskId": "lct-1", "Status": "IN_PROGRESS"}
ROLE = "arn:aws:iam::123456789012:role/tracker"
SECRETS = ("sk-recognisable", "tok-recognisable", "ext-recognisable", "password-recognisable")


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_connections", {})


def to_settings(region: str = REGION, **config: Any) -> Settings:
    """Give the settings of a stack whose configuration is `config`, in the `aws` namespace."""
    return Settings.from_config({f"aws:{name}": value for name, value in config.items()}.get, region)


# -- one for each ------------------------------------------------------------------------------------------------------


def test_equal_settings_share_a_client() -> None:
    """Fifty threads that ask at once for equal settings get one connection, built once."""
    barrier = Barrier(50)

    def ask(_: int) -> Connection:
        barrier.wait(10)
        return connect(to_settings(accessKey="ak", secretKey="sk"))

    with ThreadPoolExecutor(50) as threads:
        found = list(threads.map(ask, range(50)))
    assert len({id(one) for one in found}) == 1
    assert len({id(one.client) for one in found}) == 1


def test_other_settings_have_another_client() -> None:
    """A connection is not shared with other regions, credentials, endpoints or roles."""
    others = [
        to_settings(),
        to_settings("eu-west-2"),
        to_settings(accessKey="ak", secretKey="sk"),
        to_settings(accessKey="ak", secretKey="other"),
        to_settings(endpoints='[{"licensemanager": "http://127.0.0.1:1"}]'),
        to_settings(assumeRoles=json.dumps([{"roleArn": ROLE}])),
    ]
    found = [connect(settings) for settings in others]
    assert len({id(one.client) for one in found}) == len({id(one.pacer) for one in found}) == len(others)


def test_a_failure_to_connect_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that could not be used are tried afresh at the next call."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(SettingsError):
        connect(to_settings())
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert connect(to_settings()).region == REGION


@pytest.mark.parametrize("module", ["lmconv_resource", "lmconv_resource.aws.client", "lmconv_resource.provider"])
def test_a_program_does_not_import_boto3(module: str) -> None:
    """What a program imports, and a provider before its first call, brings no boto3, botocore or moto with it."""
    code = f"import sys, {module}; print([name for name in ('boto3', 'botocore', 'moto') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
