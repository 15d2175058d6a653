"""What a fleet over many accounts takes of memory: 200 rows in 40 accounts, all at the same time, in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import boto3

from benchmarks.figures import Figure, Group
from lmconv_resource.emulator import serve
from lmconv_resource.emulator.models import licensemanager_backends

_BOUND_MB = 150
_REGION, _BYOL, _WINDOWS = "eu-west-1", "RunInstances:0800", "RunInstances:0002"

_PROGRAM = """
import json, sys
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.fleet import FleetController

session, controller = Session(lambda _: None), FleetController()
given = json.load(sys.stdin)
with session.operation("urn:pulumi:dev::fleet::lmconv:index:ConversionFleet::fleet", is_preview=False) as op:
    checked = controller.check(op, None, given)
    assert not checked.failures, checked.failures
    created = controller.create(op, controller.parse_certain({**given, **checked.defaults}))
outcomes = {each.outcome.value for each in created.state.results.values()}
assert outcomes == {"SUCCEEDED"}, [each.reason for each in created.state.results.values() if each.reason][:3]
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024)
"""


def measure(*, quick: bool) -> Group:
    """Measure the peak of the resident set of a process that converts a fleet."""
    accounts, rows = (10, 50) if quick else (40, 200)
    with serve() as emulator:
        keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": _REGION}
        environment = {**os.environ, **emulator.environment, **keys}
        table = [row for n in range(accounts) for row in _launch(emulator.endpoint, f"{n + 1:012}", rows // accounts)]
        given = {
            "instances": table,
            "destination_license_context": {"usage_operation": _WINDOWS},
            "stop_and_restart": True,
        }
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=json.dumps(given),
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=900,
        )
    megabytes = int(done.stdout)
    figure = Figure(
        f"peak memory of a fleet of {rows} rows in {accounts} accounts, each by an assumed role",
        f"{megabytes} MB",
        "",
        "",
        f"{_BOUND_MB} MB",
        megabytes < _BOUND_MB,
    )
    return Group("Many accounts in one process", (figure,))


def _launch(endpoint: str, account: str, count: int) -> list[dict[str, Any]]:
    """Launch instances in an account, and return their rows."""
    role = f"arn:aws:iam::{account}:role/convert"
    settings: dict[str, Any] = {"region_name": _REGION, "endpoint_url": endpoint}
    sts = boto3.client("sts", aws_access_key_id="AKIA", aws_secret_access_key="secret", **settings)  # noqa: S106
    keys = sts.assume_role(RoleArn=role, RoleSessionName="launch")["Credentials"]
    ec2 = boto3.client(
        "ec2",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        **settings,
    )
    answer = ec2.run_instances(ImageId="ami-12c6146b", MinCount=count, MaxCount=count, InstanceType="m5.large")
    backend = licensemanager_backends[account][_REGION]
    backend.conversion_seconds = 2
    arns = []
    for each in answer["Instances"]:
        backend.set_license(each["InstanceId"], _BYOL)
        arns.append(backend.make_arn(each["InstanceId"]))
    return [{"resource_arn": arn, "assume_role": {"role_arn": role}} for arn in arns]
