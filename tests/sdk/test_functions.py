"""The functions that programs call: what they give, in one line what goes wrong, and whose settings they use."""

import asyncio
import gc
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from local_engine import LocalEngine
from pulumi.runtime import settings
from support.stacks import LocalStack
from support.waiting import SOON

from lmconv_resource import (
    GetLicenseConversionTaskResult,
    LicenseContext,
    LicenseConversionTask,
    ProductCode,
    get_license_conversion_task,
    get_license_conversion_task_output,
    get_license_conversion_tasks,
    get_license_conversion_tasks_output,
)
from lmconv_resource import emulator as emulators
from lmconv_resource.emulator import (
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    SlowAnswer,
    licensemanager_backends,
)
from lmconv_resource.hosts.dynamic.provider import LookUps

REGION = "eu-west-1"
GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"
BYOL = "RunInstances:0800"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def arn(number: int) -> str:
    return f"arn:aws:ec2:{REGION}:123456789012:instance/i-{number:017x}"


@pytest.fixture
def aws(aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch) -> LicenseManagerBackend:
    """A License Manager on loopback, in the region that the environment names."""
    monkeypatch.setenv("AWS_REGION", REGION)
    return aws


@pytest.fixture(autouse=True)
def _own_look_ups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test's look-ups have a session and a configuration of their own."""
    look_ups = LookUps()
    monkeypatch.setattr("lmconv_resource.sdk.functions.look_ups", look_ups)
    yield
    pulumi.runtime.set_all_config({})
    look_ups.threads.shutdown()


def add(aws: LicenseManagerBackend, number: int = 0, status: str = "SUCCEEDED", **settings: Any) -> str:
    seconds = {} if status == "IN_PROGRESS" else {"seconds": 0}
    defaults = {"source": BYOL, "destination": "RunInstances:0002", "status": status, **seconds}
    return aws.add_task(**{"resource_arn": arn(number), **defaults, **settings}).task_id


def ids(found: list[Any]) -> list[str]:
    return [task.license_conversion_task_id for task in found]


def test_one_task_is_given_with_every_field(aws: LicenseManagerBackend) -> None:
    """A task is a typed value with the resource's outputs, nested ones by attribute too. A running one is one call."""
    codes = (emulators.ProductCode("abc"),)
    destination = emulators.LicenseContext("RunInstances:0002", codes)
    task_id = add(aws, status="IN_PROGRESS", task_id="lct-1", started=NOON, destination=destination)
    assert get_license_conversion_task(id="lct-1").status == "IN_PROGRESS"
    assert aws.calls == {GET: 1}
    aws.finish_task(task_id, message="fine")
    ended = aws.tasks[task_id].end_time
    assert ended is not None
    task = get_license_conversion_task("lct-1")
    assert task.license_conversion_task_id == "lct-1"
    assert (task.region, task.resource_arn) == (REGION, arn(0))
    assert task.source_license_context == LicenseContext(usage_operation=BYOL)
    assert task.destination_license_context.usage_operation == "RunInstances:0002"
    code = ProductCode(product_code_id="abc", product_code_type="marketplace")
    assert task.destination_license_context.product_codes == [code]
    assert task.destination_license_context.product_codes[0].product_code_id == "abc"
    assert (task.status, task.status_message, task.is_complete) == ("SUCCEEDED", "fine", True)
    assert task.start_time == "2026-03-01T12:00:00Z"
    assert task.duration_seconds == pytest.approx((ended - NOON).total_seconds(), abs=0.01)


def test_a_list_is_all_pages_oldest_first(aws: LicenseManagerBackend) -> None:
    """However many pages AWS makes of them; of some resources or statuses each once, whatever order and repetitions."""
    assert get_license_conversion_tasks() == []
    aws.page_size = 3
    for number, status in enumerate(("SUCCEEDED", "FAILED", "SUCCEEDED", "IN_PROGRESS")):
        add(aws, number, status, task_id=f"lct-{number}a", started=NOON)
        add(aws, number, task_id=f"lct-{number}b", started=NOON - timedelta(minutes=1))
    asked: tuple[tuple[dict[str, Any], list[str], int], ...] = (
        ({}, ["lct-0b", "lct-1b", "lct-2b", "lct-3b", "lct-0a", "lct-1a", "lct-2a", "lct-3a"], 3),
        ({"resource_arns": [arn(2), arn(0), arn(2)]}, ["lct-0b", "lct-2b", "lct-0a", "lct-2a"], 2),
        ({"resource_arns": [arn(7)]}, [], 1),
        ({"resource_arns": []}, [], 0),
        ({"statuses": ["IN_PROGRESS", "FAILED", "FAILED"]}, ["lct-1a", "lct-3a"], 3),
        ({"statuses": []}, [], 3),
    )
    for arguments, expected, calls in asked:
        aws.calls.clear()
        assert ids(get_license_conversion_tasks(**arguments)) == expected
        assert aws.calls.total() == calls


def test_the_region_is_the_calls_then_the_stacks_then_the_environments(aws: LicenseManagerBackend) -> None:
    """`region=` names the region, or the ARNs do; without, the stack's `aws:region` wins over AWS_REGION."""
    for region in (REGION, "us-east-1", "us-west-2"):
        add(licensemanager_backends["123456789012"][region], task_id=f"lct-{region.replace('-', '')}")
    assert ids(get_license_conversion_tasks()) == ["lct-euwest1"]
    pulumi.runtime.set_all_config({"aws:region": "us-east-1"})
    assert ids(get_license_conversion_tasks()) == ["lct-useast1"]
    assert ids(get_license_conversion_tasks(region="us-west-2")) == ["lct-uswest2"]
    assert get_license_conversion_task("lct-uswest2", region="us-west-2").region == "us-west-2"
    far = arn(0).replace(REGION, "us-west-2")
    add(licensemanager_backends["123456789012"]["us-west-2"], task_id="lct-far", resource_arn=far)
    assert ids(get_license_conversion_tasks(resource_arns=[far])) == ["lct-far"]


def test_a_change_of_the_environment_is_seen(aws: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may set where AWS is, and as whom to ask, while it runs: each look-up goes by what holds then."""
    pulumi.runtime.set_all_config({"aws:region": REGION, "aws:maxRetries": "0"})
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", "http://127.0.0.1:9")
        with pytest.raises(pulumi.RunError, match=r"127\.0\.0\.1:9"):
            get_license_conversion_tasks()
    assert get_license_conversion_tasks() == []


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda: get_license_conversion_task("task-1"), "license_conversion_task_id 'task-1' is not the id of"),
        (lambda: get_license_conversion_tasks(resource_arns=["i-0abc"]), "resource_arns 'i-0abc' is not the ARN of "),
        (lambda: get_license_conversion_tasks(resource_arns=arn(0)), "resource_arns 'arn:.*' is not a list: "),
        (lambda: get_license_conversion_tasks(statuses=["DONE"]), "statuses has 'DONE', which is not a status: "),
        (lambda: get_license_conversion_tasks(region="Europe"), r"region 'Europe' is not an AWS region: [^.]*\.$"),
        (get_license_conversion_tasks, "region is not set: set it on the resource, or run"),
        (
            # One list would hide the others.
            lambda: get_license_conversion_tasks(resource_arns=[arn(0), arn(0).replace(REGION, "us-east-1")]),
            "region eu-west-1 is not that of all resource_arns: one is in us-east-1. Ask for one region at a time",
        ),
    ],
)
def test_a_bad_argument_is_refused(ask: Callable[[], Any], line: str) -> None:
    """It is named with its value; AWS, which is not there, is not asked."""
    with pytest.raises(pulumi.RunError, match=line):
        ask()


def test_an_error_ends_the_program_in_one_line(tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """An error in a program is Pulumi's own kind: the line, and no traceback."""
    aws.faults.add(Fault(ErrorAnswer("AccessDeniedException", "no"), operation=LIST))
    program = (
        "import lmconv_resource as lm, pulumi\npulumi.export('n', lm.get_license_conversion_tasks_output().apply(len))"
    )
    stack = LocalStack(tmp_path / "stack", program)
    stack.config["aws:region"] = REGION
    outcome = stack.up()
    assert not outcome.ok
    first = next(text for _, severity, text in outcome.said if severity == "error")
    assert first.startswith(f"Listing license conversion tasks in {REGION}: AWS denies access")
    assert "\n" not in first
    shown = [text for _, severity, text in outcome.said if severity != "debug"]  # Pulumi notes one there
    assert not any("Traceback" in text for text in shown)


@pytest.mark.proof
def test_look_ups_do_not_hold_up_the_program(aws: LicenseManagerBackend) -> None:
    """200 look-ups of 0.3 s each, as outputs, take a few seconds, and the program's event loop goes on meanwhile."""
    task_ids = [add(aws, number, task_id=f"lct-{number}") for number in range(200)]
    aws.faults.add(Fault(SlowAnswer(0.3), operation=GET))
    longest = 0.0

    def program() -> None:
        found = pulumi.Output.all(*[get_license_conversion_task_output(task_id) for task_id in task_ids])
        done = asyncio.ensure_future(found.future())

        async def watch_the_loop() -> int:
            nonlocal longest
            while not done.done():
                before = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - before)
            return 0

        pulumi.export("ids", found.apply(lambda tasks: len({task.license_conversion_task_id for task in tasks})))
        pulumi.export("watched", watch_the_loop())

    began = time.monotonic()
    with LocalEngine(program, config={"aws:region": REGION}) as engine:
        outputs = engine.up().outputs

    assert outputs["ids"] == 200
    assert time.monotonic() - began < SOON  # one after another they take 60 s
    assert longest < SOON / 3
    assert aws.calls == {GET: 200}


ONE = {
    "license_conversion_task_id": "lct-1",
    "status": "SUCCEEDED",
    "is_complete": True,
    "source_license_context": {"usage_operation": BYOL},
    "destination_license_context": {"product_codes": [{"product_code_id": "abc"}]},
}


class Answers(pulumi.runtime.Mocks):
    """Answers functions as a unit test says, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        self.asked.append((args.token, args.args))
        return {**ONE, "tasks": [ONE, {"license_conversion_task_id": "lct-2"}]}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return "an-id", {**args.inputs, "license_conversion_task_id": "lct-9"}


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def mocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Mocks, in an update and in a preview, where no way leads to AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", "http://127.0.0.1:9")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # set_mocks makes a resource, the stack
    answers = Answers()
    pulumi.runtime.set_mocks(answers, preview=request.param)
    yield answers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Pulumi's mocks leave an event loop open in each thread
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()
        gc.collect()
    settings.set_root_resource(None)  # type: ignore[arg-type]
    settings.configure(settings.Settings(project="project", stack="stack"))


def test_mocks_answer(mocks: Answers) -> None:
    """A look-up goes to `Mocks.call`, with its token and what the program gives it, and not to AWS.

    A mock answers with what its test needs: the rest is None, as where AWS leaves it out; so is what the program left
    out no argument.
    """
    task = get_license_conversion_task("lct-1", region="us-east-1")
    assert mocks.asked == [("lmconv:index:getLicenseConversionTask", {"id": "lct-1", "region": "us-east-1"})]
    assert isinstance(task, GetLicenseConversionTaskResult)
    assert (task.license_conversion_task_id, task.status, task.is_complete) == ("lct-1", "SUCCEEDED", True)
    assert task.source_license_context == LicenseContext(usage_operation=BYOL)
    assert [task.region, task.end_time, task.duration_seconds] == [None, None, None]
    assert task.destination_license_context.usage_operation is None
    (code,) = task.destination_license_context.product_codes
    assert [code.product_code_id, code.product_code_type] == ["abc", None]
    assert ids(get_license_conversion_tasks(statuses=["SUCCEEDED"])) == ["lct-1", "lct-2"]
    assert mocks.asked[1:] == [("lmconv:index:getLicenseConversionTasks", {"statuses": ["SUCCEEDED"]})]


def test_mocks_answer_for_outputs(mocks: Answers) -> None:
    """The `_output` forms go there too, with the outputs of resources that the same mocks make."""

    def ask() -> pulumi.Output[Any]:
        task = LicenseConversionTask("task", license_conversion_task_id="lct-9")
        one = get_license_conversion_task_output(task.license_conversion_task_id, region="us-east-1")
        some = get_license_conversion_tasks_output(resource_arns=[pulumi.Output.from_input(arn(1))])
        return pulumi.Output.all(one.status, one.destination_license_context.product_codes[0].product_code_id, some)

    seen: list[Any] = []
    pulumi.runtime.test(lambda: ask().apply(seen.append))()  # type: ignore[no-untyped-call]
    ((status, code, tasks),) = seen
    assert (status, code, ids(tasks)) == ("SUCCEEDED", "abc", ["lct-1", "lct-2"])
    assert sorted(mocks.asked) == [
        ("lmconv:index:getLicenseConversionTask", {"id": "lct-9", "region": "us-east-1"}),
        ("lmconv:index:getLicenseConversionTasks", {"resource_arns": [arn(1)]}),
    ]
