"""The emulator over HTTP: from a test's own process, under moto's server, and as a command."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import backend_index, mock_aws
from moto.server import ThreadedMotoServer
from support.proofs import keep

from emulator import ACCOUNT, ARN, REGION
from lmconv_resource import emulator as package
from lmconv_resource.emulator import licensemanager_backends, make_world, serve

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

COMMAND = [sys.executable, "-W", "error", "-m", "lmconv_resource.emulator"]


def connect(endpoint: str) -> LicenseManagerClient:
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    return boto3.client("license-manager", endpoint_url=endpoint, config=config)


def add() -> str:
    backend = licensemanager_backends[ACCOUNT][REGION]
    return backend.add_task(resource_arn=ARN, source="RunInstances:0800", destination="RunInstances:0002").task_id


def status_of(client: LicenseManagerClient, task_id: str) -> str:
    return client.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"]


def test_serve_answers_on_its_endpoint() -> None:
    """A task of this process is found over HTTP, on a free port of the loopback interface."""
    with serve() as emulator:
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        assert status_of(connect(emulator.endpoint), add()) == "SUCCEEDED"


def test_a_backend_is_that_of_the_callers_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test reaches the tasks of a region without knowing the account, which moto may be told."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    with serve() as emulator:
        backend = emulator.backend(REGION)
        assert backend is licensemanager_backends["111122223333"][REGION]
        assert backend.in_region("eu-west-1") is emulator.backend("eu-west-1")
        task = emulator.backend("cn-north-1").add_task(source="RunInstances:0800", destination="RunInstances:0002")
        assert re.fullmatch("arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-[0-9a-f]{17}", task.resource_arn)


def test_serve_shows_errors_as_aws_does() -> None:
    """A refused call is boto3's exception class of that name."""
    with serve() as emulator:
        client = connect(emulator.endpoint)
        with pytest.raises(client.exceptions.InvalidParameterValueException, match="lct-gone was not found"):
            status_of(client, "lct-gone")


def test_serve_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Requests leave no line on the screen."""
    with serve() as emulator:
        status_of(connect(emulator.endpoint), add())
    assert capfd.readouterr() == ("", "")


def test_serve_ends_with_its_block() -> None:
    """After the block a client that was connected gets no more answers, and the tasks are gone."""
    with serve() as emulator:
        client = connect(emulator.endpoint)
        task_id = add()
        status_of(client, task_id)
    with pytest.raises(EndpointConnectionError):
        status_of(client, task_id)
    assert not licensemanager_backends[ACCOUNT][REGION].tasks


def test_moto_serves_it_too() -> None:
    """Moto's own threaded server has License Manager once the package is imported."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    client = connect("http://{}:{}".format(*server.get_host_and_port()))
    try:
        assert status_of(client, add()) == "SUCCEEDED"
    finally:
        client.close()
        server.stop()
        licensemanager_backends[ACCOUNT][REGION].reset()


def test_registering_again_changes_nothing() -> None:
    """The package is one service of moto, however often it is imported."""
    package._register()
    patterns = [(name, pattern) for name, pattern in backend_index.backend_url_patterns if name == "licensemanager"]
    assert len(patterns) == len(set(patterns)) == len(package.urls.url_bases)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "license-manager{}.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "license-manager{}.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "license-manager{}.cn-north-1.amazonaws.com.cn"),
    ],
)
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dualstack", [False, True])
def test_a_mock_answers_on_all_of_awss_endpoints(region: str, host: str, fips: bool, dualstack: bool) -> None:
    """The FIPS and the dual-stack endpoints of each partition lead to the emulator inside `mock_aws`."""
    config = Config(retries={"total_max_attempts": 1}, use_fips_endpoint=fips, use_dualstack_endpoint=dualstack)
    with mock_aws():
        client: LicenseManagerClient = boto3.client("license-manager", region_name=region, config=config)
        backend = licensemanager_backends[ACCOUNT][region]
        task = backend.add_task(source="RunInstances:0800", destination="RunInstances:0002")
        expected = host.format("-fips" if fips else "")
        if dualstack:
            expected = expected.replace("amazonaws.com.cn", "api.amazonwebservices.com.cn")
            expected = expected.replace("amazonaws.com", "api.aws")
        assert client.meta.endpoint_url == f"https://{expected}"
        assert status_of(client, task.task_id) == "SUCCEEDED"


def test_a_mock_forgets_all_at_its_end() -> None:
    """Each mock_aws begins with no tasks, no counted calls and the usual clock."""
    with mock_aws():
        client: LicenseManagerClient = boto3.client("license-manager")
        before = licensemanager_backends[ACCOUNT][REGION]
        before.clock = lambda: 0.0
        assert status_of(client, add()) == "SUCCEEDED"
    with mock_aws():
        assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
        after = licensemanager_backends[ACCOUNT][REGION]
        assert after.calls == {"ListLicenseConversionTasks": 1}
        assert after.clock() > 0


def test_the_world_is_one_to_play_with() -> None:
    """Its instances are Windows BYOL, some stopped, the same each time; those that fail say so; others are refused."""
    worlds = []
    for _ in range(2):
        with serve() as emulator:
            world = make_world(emulator, "eu-west-1", 3, 1, ["i-0123456789abcdef0"])
            worlds.append(world)
            session = boto3.Session("a", "b", region_name="eu-west-1")
            config = Config(retries={"total_max_attempts": 1})
            client: LicenseManagerClient = session.client(
                "license-manager", endpoint_url=emulator.endpoint, config=config
            )
            context: Any = {"SourceLicenseContext": {"UsageOperation": "RunInstances:0800"}}
            context["DestinationLicenseContext"] = {"UsageOperation": "RunInstances:0002"}
            emulator.backend("eu-west-1").conversion_seconds = 0
            create = client.create_license_conversion_task_for_resource
            task_id = create(ResourceArn=world[2].arn, **context)["LicenseConversionTaskId"]
            task = client.get_license_conversion_task(LicenseConversionTaskId=task_id)
            assert (task["Status"], task["StatusMessage"].startswith("The emulator")) == ("FAILED", True)
            with pytest.raises(ClientError, match="invalid state"):
                create(ResourceArn=world[0].arn, **context)
            with pytest.raises(ClientError, match="was not found"):
                create(ResourceArn=ARN, **context)
            images = session.client("ec2", endpoint_url=emulator.endpoint).describe_images(Owners=["self"])["Images"]
            assert [image["Name"] for image in images] == ["windows-byol"]
    assert worlds[0] == worlds[1]
    assert [(each.name, each.state, each.fails) for each in worlds[0]] == [
        ("web-1", "running", False),
        ("web-2", "running", False),
        ("web-3", "stopped", True),
    ]
    assert all(each.arn.startswith("arn:aws:ec2:eu-west-1:123456789012:instance/i-") for each in worlds[0])
    assert worlds[0][0].arn.endswith("/i-0123456789abcdef0")


@pytest.mark.parametrize("number", keep([signal.SIGINT], [signal.SIGINT, signal.SIGTERM]))
def test_the_command_serves_until_a_signal(number: signal.Signals) -> None:
    """Its one line on stdout is the endpoint, what a person needs is on stderr, and a signal ends it with status 0.

    Region and account are those of the instance that it is given.
    """
    arn = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0"
    command = [*COMMAND, "--instances", "2", "--fail", "1", arn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            endpoint = process.stdout.readline().strip()
            shown = [process.stderr.readline() for _ in range(8)]
            assert shown[0] == "2 Windows BYOL instances (RunInstances:0800), 1 of which can't be converted:\n"
            assert shown[1].split() == [arn, "web-1", "running"]
            assert shown[2].split()[1:] == ["web-2", "running", "fails"]
            assert shown[6] == f"export AWS_ENDPOINT_URL={endpoint} AWS_REGION=eu-west-1\n"
            with pytest.raises(ClientError):
                status_of(connect(endpoint), "lct-2")
            process.send_signal(number)
            assert process.communicate(timeout=20) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


def run(*arguments: str, **environment: str) -> Any:
    environment = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without moto the command says in one line what to install."""
    (tmp_path / "moto.py").write_text("raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')")
    done = run(PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "needs `pip install 'lmconv-resource[emulator]'` (No module named 'moto')" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("i-0123456789abcdef0",),
        ("--region", "us-east-1", "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"),
        (f"{ARN[:-1]}1", "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"),
    ],
)
def test_the_command_is_given_instances_of_one_place(arguments: tuple[str, ...]) -> None:
    """What is no ARN of an instance, or is elsewhere than the others, is an error in one line."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ARN: each is the ARN of an instance" in done.stderr.splitlines()[-1]


def test_the_command_says_that_it_cannot_listen() -> None:
    """A port that is taken ends the command with exit code 2 and one line on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1
