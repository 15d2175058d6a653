"""The pytest plugin: the fixtures that a user's tests get, and what they cost who does not ask for them."""

import os
from pathlib import Path

import pytest
from pulumi.automation import CommandError

from lmconv_resource.testing import CommandTimeoutError, TimedPulumiCommand

pytest_plugins = ["pytester"]

OPTIONS = ("-p", "lmconv_resource_pytest", "-p", "no:cacheprovider", "-W", "error")


@pytest.mark.proof
def test_the_environment_is_the_fixtures_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's AWS settings is seen in a test, and all of it is back afterwards.

    Where no test asks for a fixture none runs, and nothing is imported that a fixture would need.
    """
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com")
    pytester.makepyfile(
        """
        import os
        import sys

        def test_before(request):
            assert not {"license_manager", "pulumi_stack"} & set(request.fixturenames)
            assert not {"lmconv_resource", "pulumi", "boto3", "botocore", "moto", "flask", "grpc"} & set(sys.modules)
            assert "lmconv_resource_pytest" in sys.modules

        def test_with(license_manager):
            import boto3

            assert "AWS_PROFILE" not in os.environ
            assert os.environ["NO_PROXY"] == "127.0.0.1,example.com"
            instance = boto3.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]
            boto3.client("ec2").stop_instances(InstanceIds=[instance["InstanceId"]])
            boto3.client("license-manager").create_license_conversion_task_for_resource(
                ResourceArn=license_manager.make_arn(instance["InstanceId"]),
                SourceLicenseContext={"UsageOperation": "RunInstances:0800"},
                DestinationLicenseContext={"UsageOperation": "RunInstances:0002"},
            )
            assert len(license_manager.tasks) == 1
            assert boto3.client("sts").get_caller_identity()["Account"] == license_manager.account_id
            assert boto3.client("ssm").describe_parameters()["Parameters"] == []

        def test_after():
            assert (os.environ["AWS_PROFILE"], os.environ["AWS_REGION"]) == ("production", "eu-central-1")
            assert "AWS_ENDPOINT_URL_LICENSE_MANAGER" not in os.environ
        """
    )
    pytester.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=3)


def test_a_missing_extra_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['moto'] = None")
    pytester.makepyfile("def test_it(license_manager): pass")
    result = pytester.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["license_manager: *needs `pip install 'lmconv-resource[[]emulator]'`*"])


MOCKS = """
import logging
import time

import pulumi
import pytest
from lmconv_resource import LicenseConversionTask, get_license_conversion_task, get_license_conversion_tasks_output
from lmconv_resource.testing import ProviderMocks

# What asyncio says of a failed resource's outputs it formats while it collects garbage, which crashes Python 3.11 in
# the middle of its parser (python/cpython#106905).
logging.getLogger("asyncio").disabled = True


def run(declare):
    seen = []
    pulumi.runtime.test(lambda: pulumi.Output.from_input(declare()).apply(seen.append))()
    return seen[0]


def test_up(license_manager):
    pulumi.runtime.set_mocks(ProviderMocks())
    license_manager.add_task(task_id="lct-1", source="RunInstances:0800", destination="RunInstances:0002", polls=3)
    assert run(lambda: LicenseConversionTask.get("read", "lct-1").status) == "IN_PROGRESS"
    waited = lambda: LicenseConversionTask("t", license_conversion_task_id="lct-1", wait_for_completion=True).status
    assert run(waited) == "SUCCEEDED"
    assert get_license_conversion_task("lct-1").status == "SUCCEEDED"
    assert run(lambda: get_license_conversion_tasks_output().apply(len)) == 1
    with pytest.raises(pulumi.RunError, match="lct-2"):
        get_license_conversion_task("lct-2")
    bucket = lambda: pulumi.CustomResource("aws:s3/bucket:Bucket", "b", {"size": 1}).id
    assert run(bucket) == "b_id"
    assert pulumi.runtime.invoke("aws:index:echo", {"word": "hi"}).value == {"word": "hi"}


def test_what_is_wrong(license_manager):
    pulumi.runtime.set_mocks(ProviderMocks())
    began = time.monotonic()
    with pytest.raises(Exception, match="Looking up license conversion task lct-2 in us-east-1: AWS does not know it"):
        run(lambda: LicenseConversionTask("t", license_conversion_task_id="lct-2", wait_for_completion=True).status)
    assert time.monotonic() - began < 20  # Pulumi's own patience with such an id is longer
    with pytest.raises(ValueError, match="LicenseConversionTask 't': region: region 'narnia'"):
        run(lambda: LicenseConversionTask("t", license_conversion_task_id="lct-2", region="narnia").status)


def test_preview(license_manager):
    pulumi.runtime.set_mocks(ProviderMocks(), preview=True)
    declared = lambda: LicenseConversionTask("t", license_conversion_task_id="lct-2").license_conversion_task_id
    assert run(declared) == "lct-2"
    assert not license_manager.calls
"""


def test_mocks_run_the_providers(pytester: pytest.Pytester) -> None:
    """`ProviderMocks` check, wait, read and look up, fail as the engine does, and only check in a preview."""
    pytester.makepyfile(MOCKS)
    pytester.runpytest_subprocess(*OPTIONS[:-2]).assert_outcomes(passed=3)


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the last lines, what Pulumi writes is passed on as it comes, and a failure is Pulumi's own."""
    up = "echo one; echo two >&2; exec sleep 600"
    script = f'case "$*" in version) echo v3.260.0;; *up) {up};; *) echo no >&2; exit 3; esac'
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = TimedPulumiCommand(timeout=1)
    heard: list[str] = []
    with pytest.raises(CommandTimeoutError) as caught:
        command.run(["up"], str(tmp_path), {}, heard.append, heard.append)
    title, *lines = str(caught.value).splitlines()
    assert title == "`pulumi up` took longer than 1 s and was ended. It wrote last:"
    assert sorted(lines) == ["  one", "  two"]
    assert sorted(heard) == ["one", "two"]
    with pytest.raises(CommandError, match="no"):
        command.run(["preview"], str(tmp_path), {})


def test_pytest_finds_it_by_itself() -> None:
    """The package names the module as a plugin of pytest's, and brings it along."""
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert (
        '\nlmconv_resource_pytest = "lmconv_resource_pytest"\n' in project.split("[project.entry-points.pytest11]")[1]
    )
    assert '"lmconv_resource_pytest.py"' in project.split("[tool.hatch.build.targets.wheel]")[1].split("[")[1]
