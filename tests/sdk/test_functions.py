"""The functions that programs call: what they give, in one line what goes wrong, and whose settings they use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from moto import mock_aws
from stacks import LocalStack, RealStack, Stack, has_pulumi

from lmconv_resource import (
    GetOptions,
    LicenseContext,
    ProductCode,
    get_license_conversion_task,
    get_license_conversion_tasks,
)
from lmconv_resource import emulator as emulators
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends, serve
from lmconv_resource.testing import UNKNOWN

REGION = "eu-west-1"
GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def arn(number: int) -> str:
    return f"arn:aws:ec2:{REGION}:123456789012:instance/i-{number:017x}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process, in the region that the environment names."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the stack's configuration."""

    def configure(**config: str) -> None:
        monkeypatch.setattr(pulumi.runtime, "get_config", lambda key: config.get(key.replace(":", "_")))

    return configure


def add(aws: LicenseManagerBackend, number: int = 0, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"source": "RunInstances:0800", "destination": "RunInstances:0002", "status": status, **seconds}
    return aws.add_task(**{"resource_arn": arn(number), **defaults, **settings}).task_id


def ids(found: list[Any]) -> list[str]:
    return [task.license_conversion_task_id for task in found]


# -- what they give ----------------------------------------------------------------------------------------------------


def test_one_task_is_given_with_every_field(aws: LicenseManagerBackend) -> None:
    """A task is a typed value with the resource's outputs, nested ones by attribute too."""
    codes = (emulators.ProductCode("abc"),)
    task_id = add(
        aws,
        task_id="lct-1",
        seconds=None,
        message="fine",
        started=NOON,
        destination=emulators.LicenseContext("RunInstances:0002", codes),
    )
    aws.finish_task(task_id, message="fine")
    ended = aws.tasks[task_id].end_time
    assert ended is not None

    task = get_license_conversion_task("lct-1")

    assert task.license_conversion_task_id == "lct-1"
    assert (task.region, task.resource_arn) == (REGION, arn(0))
    assert task.source_license_context == LicenseContext(usage_operation="RunInstances:0800")
    assert task.destination_license_context == LicenseContext(
        usage_operation="RunInstances:0002",
        product_codes=[ProductCode(product_code_id="abc", product_code_type="marketplace")],
    )
    assert task.destination_license_context.usage_operation == "RunInstances:0002"
    assert task.destination_license_context.product_codes[0].product_code_id == "abc"
    assert (task.status, task.status_message, task.is_complete) == ("SUCCEEDED", "fine", True)
    assert task.start_time == "2026-03-01T12:00:00Z"
    assert task.duration_seconds == pytest.approx((ended - NOON).total_seconds(), abs=0.01)
    assert aws.calls == {GET: 1}


def test_a_running_task_is_not_waited_for(aws: LicenseManagerBackend) -> None:
    """What has not ended has no end and no duration, and is one call."""
    task = get_license_conversion_task(id=add(aws, status="IN_PROGRESS"))

    assert (task.status, task.is_complete, task.end_time, task.duration_seconds) == ("IN_PROGRESS", False, None, None)
    assert aws.calls == {GET: 1}


def test_a_list_is_all_pages_oldest_first(aws: LicenseManagerBackend) -> None:
    """However many pages AWS makes of them, all tasks are there, in the order in which they started."""
    aws.page_size = 3
    for number in range(8):
        add(aws, number, task_id=f"lct-{number}", started=NOON - timedelta(minutes=number))

    assert ids(get_license_conversion_tasks()) == [f"lct-{number}" for number in reversed(range(8))]
    assert aws.calls == {LIST: 3}


def test_a_list_can_be_of_some_resources(aws: LicenseManagerBackend) -> None:
    """Several ARNs are a list of the tasks of all of them, each once, whatever the order and the repetitions."""
    for number in range(4):
        add(aws, number, task_id=f"lct-{number}a", started=NOON)
        add(aws, number, task_id=f"lct-{number}b", started=NOON + timedelta(minutes=1))

    found = get_license_conversion_tasks(resource_arns=[arn(2), arn(0), arn(2)])

    assert ids(found) == ["lct-0a", "lct-2a", "lct-0b", "lct-2b"]
    assert aws.calls == {LIST: 2}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["FAILED"], ["lct-2"]),
        (["IN_PROGRESS", "FAILED"], ["lct-0", "lct-2"]),
        (["SUCCEEDED", "SUCCEEDED"], ["lct-1"]),
        (None, ["lct-0", "lct-1", "lct-2"]),
        ([], []),
    ],
)
def test_a_list_can_be_of_some_statuses(
    aws: LicenseManagerBackend, statuses: list[str] | None, expected: list[str]
) -> None:
    """Tasks with any of the statuses are given; with none of them, none."""
    for number, status in enumerate(("IN_PROGRESS", "SUCCEEDED", "FAILED")):
        add(aws, number, status, task_id=f"lct-{number}", started=NOON + timedelta(minutes=number))

    assert ids(get_license_conversion_tasks(statuses=statuses)) == expected


def test_nothing_found_is_a_result(aws: LicenseManagerBackend) -> None:
    """No tasks, none of a resource, and a list of no resources, are an empty list."""
    assert get_license_conversion_tasks() == []
    assert get_license_conversion_tasks(resource_arns=[arn(7)], statuses=["FAILED"]) == []
    calls = aws.calls.total()
    assert get_license_conversion_tasks(resource_arns=[]) == []
    assert aws.calls.total() == calls


# -- whose settings they use -------------------------------------------------------------------------------------------


def test_the_region_is_the_calls_then_the_stacks_then_the_environments(
    aws: LicenseManagerBackend, configure: Callable[..., None]
) -> None:
    """`opts` names the region; without, the stack's `aws:region` wins over AWS_REGION, as for the resources."""
    for region in (REGION, "us-east-1", "us-west-2"):
        add(licensemanager_backends["123456789012"][region], task_id=f"lct-{region.replace('-', '')}")

    assert ids(get_license_conversion_tasks()) == ["lct-euwest1"]
    configure(aws_region="us-east-1")
    assert ids(get_license_conversion_tasks()) == ["lct-useast1"]
    assert ids(get_license_conversion_tasks(opts=GetOptions(region="us-west-2"))) == ["lct-uswest2"]
    assert get_license_conversion_task("lct-uswest2", opts=GetOptions(region="us-west-2")).region == "us-west-2"


def test_the_profile_is_the_stacks(
    aws: LicenseManagerBackend, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`aws:profile` is used; one that does not exist is one line with what to check."""
    configure(aws_profile="nobody")

    with pytest.raises(pulumi.RunError) as caught:
        get_license_conversion_tasks()

    assert str(caught.value) == (
        "Connecting to AWS License Manager for license conversion tasks in eu-west-1: The config profile (nobody) "
        "could not be found. Check the stack's aws: settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL."
    )


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (
            lambda: get_license_conversion_task("task-1"),
            "license_conversion_task_id 'task-1' is not the id of a license conversion task: give lct- followed by "
            "letters and digits, at most 50 characters in all",
        ),
        (
            lambda: get_license_conversion_tasks(resource_arns=["i-0abc"]),
            "resource_arns 'i-0abc' is not an ARN: give one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        ),
        (
            lambda: get_license_conversion_tasks(resource_arns=arn(0)),
            f"resource_arns '{arn(0)}' is not a list: give a list of ARNs",
        ),
        (
            lambda: get_license_conversion_tasks(statuses=["DONE"]),
            "statuses has 'DONE', which is no status: give IN_PROGRESS, SUCCEEDED, FAILED",
        ),
        (
            lambda: get_license_conversion_tasks(opts=GetOptions(region="Europe")),
            "region 'Europe' is not an AWS region: give one such as eu-west-1",
        ),
    ],
)
def test_a_bad_argument_is_one_line(aws: LicenseManagerBackend, ask: Callable[[], Any], line: str) -> None:
    """An argument that can't be used is named with its value and the remedy, before AWS is asked."""
    with pytest.raises(pulumi.RunError) as caught:
        ask()

    assert str(caught.value) == (
        f"Connecting to AWS License Manager for license conversion tasks: {line}. Mend it in the program."
    )
    assert not aws.calls


@pytest.mark.parametrize(
    ("ask", "operation", "doing"),
    [
        (lambda: get_license_conversion_task("lct-1"), GET, f"Looking up license conversion task lct-1 in {REGION}"),
        (get_license_conversion_tasks, LIST, f"Listing license conversion tasks in {REGION}"),
        (
            lambda: get_license_conversion_tasks(resource_arns=[arn(0)]),
            LIST,
            f"Looking for the license conversions of {arn(0)} in {REGION}",
        ),
    ],
)
def test_a_missing_right_is_one_line(
    aws: LicenseManagerBackend, ask: Callable[[], Any], operation: str, doing: str
) -> None:
    """What AWS refuses is a RunError, which Pulumi shows without a traceback, that names the right to allow."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no")))

    with pytest.raises(pulumi.RunError) as caught:
        ask()

    assert str(caught.value) == (
        f"{doing}: AWS denies access (AccessDeniedException: no). "
        f"Allow license-manager:{operation} in the IAM policy of the credentials in use."
    )


def test_an_unknown_task_is_one_line(aws: LicenseManagerBackend) -> None:
    """A task that AWS does not know is an error with what to check."""
    with pytest.raises(pulumi.RunError) as caught:
        get_license_conversion_task("lct-1")

    assert str(caught.value) == (
        f"Looking up license conversion task lct-1 in {REGION}: AWS does not know it there "
        "(InvalidParameterValueException: The license conversion task lct-1 was not found). Check the id, the region "
        "(set `region` or run `pulumi config set aws:region REGION`) and that the credentials belong to the task's "
        "account."
    )


def test_no_region_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no setting names a region, the line says which ones can."""
    with pytest.raises(pulumi.RunError) as caught:
        get_license_conversion_tasks()

    assert str(caught.value) == (
        "Connecting to AWS License Manager for license conversion tasks: region is not set: set it on the resource, or "
        "run `pulumi config set aws:region REGION`, or set AWS_REGION. Mend it in the program."
    )


@pytest.mark.parametrize("secret", ["aws_secretKey", "aws_token"])
def test_no_secret_is_shown(aws: LicenseManagerBackend, configure: Callable[..., None], secret: str) -> None:
    """A refusal that repeats the request, and settings that are only half there, show no secret."""
    configure(**{"aws_region": REGION, secret: "s3cr3t/+=value"})

    with pytest.raises(pulumi.RunError) as caught:
        get_license_conversion_tasks()

    assert "s3cr3t" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_program_that_only_imports_us_does_without_boto3() -> None:
    """Importing the package, and declaring resources with it, loads no boto3: that is the provider's."""
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, lmconv_resource; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert not {"boto3", "botocore", "tenacity"} & set(seen)


# -- in programs -------------------------------------------------------------------------------------------------------

PROGRAM = """
import pulumi
from lmconv_resource import *

config = pulumi.Config()
task_id = pulumi.Stash("ids", input=config.require("taskId")).output
task = get_license_conversion_task_output(task_id)
pulumi.export("status", task.status)
pulumi.export("usage_operation", task.destination_license_context.usage_operation)
arns = [task.resource_arn]
tasks = get_license_conversion_tasks_output(resource_arns=arns, statuses=["SUCCEEDED", "IN_PROGRESS"])
pulumi.export("ids", tasks.apply(lambda tasks: [task.license_conversion_task_id for task in tasks]))
pulumi.export("now", len(get_license_conversion_tasks()))
secret = get_license_conversion_task_output(pulumi.Output.secret(config.require("taskId")))
pulumi.export("secret", secret.status)
"""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager on loopback, and an environment that leads to it."""
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})  # the local engine's programs run in here
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture(
    params=[
        "local",
        pytest.param("real", marks=pytest.mark.skipif(not has_pulumi(), reason="the pulumi command is not on PATH")),
    ]
)
def make_stack(request: pytest.FixtureRequest, tmp_path: Path, served: LicenseManagerBackend) -> Callable[[str], Stack]:
    """Gives a stack of a program, once on each engine."""

    def make(program: str) -> Stack:
        made: Stack = (
            LocalStack(tmp_path / "stack", program) if request.param == "local" else RealStack(tmp_path, program)
        )
        made.config["aws:region"] = REGION
        return made

    return make


def test_outputs_lead_in_and_out(make_stack: Callable[[str], Stack], served: LicenseManagerBackend) -> None:
    """An output leads in, and the fields of what is found lead out."""
    stack = make_stack(PROGRAM)
    add(served, 1)
    task_id = add(served)
    stack.config["followed:taskId"] = task_id

    assert stack.preview().ok
    outcome = stack.up()

    assert outcome.ok
    assert outcome.outputs == {
        "status": "SUCCEEDED",
        "usage_operation": "RunInstances:0002",
        "ids": [task_id],
        "now": 2,
        "secret": "SUCCEEDED",
    }


@pytest.mark.parametrize(
    "call",
    ["get_license_conversion_tasks()", "pulumi.export('n', get_license_conversion_tasks_output().apply(len))"],
    ids=["plain", "output"],
)
def test_an_error_ends_the_program_in_one_line(
    make_stack: Callable[[str], Stack], served: LicenseManagerBackend, call: str
) -> None:
    """An error in a program is Pulumi's own kind: the line, and no traceback."""
    served.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=LIST))

    outcome = make_stack(f"import pulumi\nfrom lmconv_resource import *\n{call}\n").up()

    assert not outcome.ok
    first = next(text for _, severity, text in outcome.said if severity == "error")
    assert first == (
        f"Listing license conversion tasks in {REGION}: AWS denies access (AccessDeniedException: no). "
        "Allow license-manager:ListLicenseConversionTasks in the IAM policy of the credentials in use."
    )
    assert not any("Traceback" in text for _, _, text in outcome.said)


def test_unknown_values_stay_unknown(tmp_path: Path, served: LicenseManagerBackend) -> None:
    """In a preview what depends on an unknown id is unknown; what does not is looked up."""
    stack = LocalStack(tmp_path / "stack", PROGRAM)
    stack.config |= {"aws:region": REGION, "followed:taskId": add(served)}

    outputs = stack.preview().outputs

    assert served.calls == {LIST: 1, GET: 1}
    assert outputs["status"] == outputs["ids"] == UNKNOWN
    assert (outputs["now"], outputs["secret"]) == (1, "SUCCEEDED")
