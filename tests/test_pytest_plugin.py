"""The pytest plugin: the fixtures that a user's tests get, and what they cost who does not ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

OPTIONS = ("-p", "lmconv_resource_pytest", "-p", "no:cacheprovider", "-W", "error")


@pytest.mark.proof
def test_the_environment_is_the_fixtures_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's AWS settings is seen in a test, and all of it is back afterwards."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com")
    pytester.makepyfile(
        """
        import os
        import boto3

        def test_with(license_manager):
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

        def test_without():
            assert (os.environ["AWS_PROFILE"], os.environ["AWS_REGION"]) == ("production", "eu-central-1")
            assert "AWS_ENDPOINT_URL_LICENSE_MANAGER" not in os.environ
        """
    )
    pytester.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=2)


def test_it_costs_nothing_where_no_test_asks(pytester: pytest.Pytester) -> None:
    """With the plugin loaded no fixture runs, and nothing is imported that a fixture would need."""
    pytester.makepyfile(
        """
        import sys, threading

        def test_it(request):
            assert not {"license_manager"} & set(request.fixturenames)
            assert not {"lmconv_resource", "pulumi", "boto3", "botocore", "moto", "flask", "grpc"} & set(sys.modules)
            assert "lmconv_resource_pytest" in sys.modules
        """
    )
    pytester.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=1)


def test_a_missing_extra_is_named(pytester: pytest.Pytester) -> None:
    """Without the emulator's packages the fixture's error says what to install."""
    pytester.makeconftest("import sys; sys.modules['moto'] = None")
    pytester.makepyfile("def test_it(license_manager): pass")
    result = pytester.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*license_manager needs `pip install 'lmconv-resource[[]testing]'`: *moto*"])


def test_pytest_finds_it_by_itself() -> None:
    """The package names the module as a plugin of pytest's, and brings it along."""
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert (
        '\nlmconv_resource_pytest = "lmconv_resource_pytest"\n' in project.split("[project.entry-points.pytest11]")[1]
    )
    assert '"lmconv_resource_pytest.py"' in project.split("[tool.hatch.build.targets.wheel]")[1].split("[")[1]
