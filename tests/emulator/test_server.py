"""The emulator over HTTP: from a test's own process, under moto's server, and as a command."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import backend_index, mock_aws
from moto.server import ThreadedMotoServer
from support.aws import ACCOUNT, LIST
from support.checkout import PROJECT

from emulator import ARN, REGION, add_task, connect, get, get_backend, start
from lmconv_resource import emulator as package
from lmconv_resource.emulator import add_instance_information, licensemanager_backends, make_world, serve
from lmconv_resource.emulator.__main__ import main

COMMAND = [sys.executable, "-W", "error", "-m", "lmconv_resource.emulator"]
IMAGES = {"windows": "ami-12c6146b", "linux": "ami-760aaa0f"}


def test_serve_answers_on_its_endpoint_until_its_block_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """A task of this process is found over HTTP, on a port of the loopback interface; nothing is printed.

    After the block a client that was connected gets no more answers, and the tasks are gone.
    """
    with serve() as emulator:
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        client, task_id = connect(emulator.endpoint), add_task(get_backend())
        assert get(client, task_id)["Status"] == "SUCCEEDED"
        with pytest.raises(client.exceptions.InvalidParameterValueException, match="lct-gone was not found"):
            get(client, "lct-gone")
    with pytest.raises(EndpointConnectionError):
        get(client, task_id)
    assert not get_backend().tasks
    assert capfd.readouterr() == ("", "")


def test_a_backend_is_that_of_the_callers_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test reaches the tasks of a region without knowing the account, which moto may be told."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    with serve() as emulator:
        backend = emulator.backend(REGION)
        assert backend is licensemanager_backends["111122223333"][REGION]
        assert backend.in_region("eu-west-1") is emulator.backend("eu-west-1")
        task = emulator.backend("cn-north-1").add_task(source="RunInstances:0800", destination="RunInstances:0002")
        assert re.fullmatch("arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-[0-9a-f]{17}", task.resource_arn)


def test_moto_serves_it_too() -> None:
    """It has been registered as one of moto's services, and doing it again changes nothing."""
    package._register()
    patterns = [(name, pattern) for name, pattern in backend_index.backend_url_patterns if name == "licensemanager"]
    assert len(patterns) == len(set(patterns)) == len(package.urls.url_bases)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    client = connect("http://{}:{}".format(*server.get_host_and_port()))
    try:
        assert get(client, add_task(get_backend()))["Status"] == "SUCCEEDED"
    finally:
        client.close()
        server.stop()
        get_backend().reset()


@pytest.mark.parametrize(
    ("region", "host", "options"),
    [
        ("us-gov-west-1", "license-manager-fips.us-gov-west-1.amazonaws.com", ("fips",)),
        ("us-gov-west-1", "license-manager-fips.us-gov-west-1.api.aws", ("fips", "dualstack")),
        ("cn-north-1", "license-manager.cn-north-1.amazonaws.com.cn", ()),
        ("cn-north-1", "license-manager.cn-north-1.api.amazonwebservices.com.cn", ("dualstack",)),
    ],
)
def test_a_mock_answers_on_all_of_awss_endpoints(region: str, host: str, options: tuple[str, ...]) -> None:
    """The FIPS and the dual-stack endpoints of each partition lead to the emulator inside `mock_aws`."""
    with mock_aws():
        which: dict[str, Any] = {f"use_{option}_endpoint": True for option in options}
        client = connect(region=region, **which)
        assert client.meta.endpoint_url == f"https://{host}"
        assert get(client, add_task(licensemanager_backends[ACCOUNT][region]))["Status"] == "SUCCEEDED"


def test_a_mock_forgets_all_at_its_end() -> None:
    """Each mock_aws begins with no tasks, no counted calls, no faults and the usual clock."""
    with mock_aws():
        before = get_backend()
        before.clock = lambda: 0.0
        before.faults.limit_rate(package.RateLimit(0.001))
        assert get(connect(), add_task(before))["Status"] == "SUCCEEDED"
    with mock_aws():
        assert connect().list_license_conversion_tasks()["LicenseConversionTasks"] == []
        after = get_backend()
        assert after.calls == {LIST: 1}
        assert after.faults.decide(LIST) == ()
        assert after.clock() > 0


def test_instances_that_systems_manager_manages(monkeypatch: pytest.MonkeyPatch) -> None:
    """DescribeInstanceInformation has the instances with an agent, of all or of the ids that it is asked about.

    The emulator's environment leads clients there; inside `mock_aws` the call is there after one line.
    """

    def launch(image: str = "windows") -> str:
        made = boto3.client("ec2").run_instances(ImageId=IMAGES[image], MinCount=1, MaxCount=1)
        return str(made["Instances"][0]["InstanceId"])

    def find(**arguments: Any) -> dict[str, tuple[str, str]]:
        answer = boto3.client("ssm").describe_instance_information(**arguments)
        return {
            each["InstanceId"]: (each["PlatformType"], each["PingStatus"]) for each in answer["InstanceInformationList"]
        }

    add_instance_information()
    with mock_aws():
        instance_id = launch()
        assert find() == {instance_id: ("Windows", "Online")}
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        windows, linux, without, gone = launch(), launch("linux"), launch(), launch()
        ec2 = boto3.client("ec2")
        ec2.stop_instances(InstanceIds=[linux])
        ec2.terminate_instances(InstanceIds=[gone])
        emulator.backend(REGION).without_ssm_agent.add(without)
        assert find() == {windows: ("Windows", "Online"), linux: ("Linux", "ConnectionLost")}
        assert list(find(Filters=[{"Key": "InstanceIds", "Values": [windows, without]}])) == [windows]
        with pytest.raises(ClientError, match="InstanceIds") as caught:
            find(Filters=[{"Key": "tag:Name", "Values": ["a"]}])
        assert caught.value.response["Error"]["Code"] == "InvalidFilterKey"


def test_the_world_is_one_to_play_with() -> None:
    """Its instances are Windows BYOL, some stopped, the same each time; those that fail say so; others are refused."""
    worlds = []
    for _ in range(2):
        with serve() as emulator:
            world = make_world(emulator, "eu-west-1", 3, 1, ["i-0123456789abcdef0"])
            worlds.append(world)
            client = connect(emulator.endpoint, region="eu-west-1")
            emulator.backend("eu-west-1").conversion_seconds = 0
            task = get(client, start(client, world[2].arn))
            assert (task["Status"], task["StatusMessage"].startswith("The emulator")) == ("FAILED", True)
            for arn, why in ((world[0].arn, "invalid state"), (ARN, "was not found")):
                with pytest.raises(ClientError, match=why):
                    start(client, arn)
            ec2 = boto3.client("ec2", endpoint_url=emulator.endpoint, region_name="eu-west-1")
            assert [image["Name"] for image in ec2.describe_images(Owners=["self"])["Images"]] == ["windows-byol"]
    assert worlds[0] == worlds[1]
    assert [(each.name, each.state, each.fails) for each in worlds[0]] == [
        ("web-1", "running", False),
        ("web-2", "running", False),
        ("web-3", "stopped", True),
    ]
    assert all(each.arn.startswith("arn:aws:ec2:eu-west-1:123456789012:instance/i-") for each in worlds[0])
    assert worlds[0][0].arn.endswith("/i-0123456789abcdef0")
    with serve() as emulator:  # the documentation shows the first one that the command makes
        (documented,) = make_world(emulator, "us-east-1", 1)
        assert documented.arn in (PROJECT / "docs" / "testing.md").read_text(encoding="utf-8")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
                get(connect(endpoint), "lct-2")
            process.send_signal(number)
            assert process.communicate(timeout=20) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


def test_the_command_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "moto.py").write_text("raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "needs `pip install 'lmconv-resource[emulator]'` (No module named 'moto')" in done.stderr


def test_the_command_says_that_a_port_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["emulator", "--port", str(port)])
        assert main() == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"cannot listen on 127.0.0.1:{port}: "), err.count("\n")) == ("", True, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("i-0123456789abcdef0",),
        ("--region", "us-east-1", "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"),
        (f"{ARN[:-1]}1", "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"),
    ],
)
def test_the_command_is_given_instances_of_one_place(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no ARN of an instance, or is elsewhere than the others, is an error in one line."""
    monkeypatch.setattr(sys, "argv", ["emulator", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "ARN: each is the ARN of an instance" in capsys.readouterr().err.splitlines()[-1]
