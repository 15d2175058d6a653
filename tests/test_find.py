"""Tracking the newest task of a resource: found once, kept from then on, and followed only where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.runtime.rpc import UNKNOWN
from stacks import LocalStack, RealStack, Stack, has_pulumi

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import NoConversionError
from lmconv_resource.hosts import session as process
from lmconv_resource.provider import LicenseConversionTaskProvider

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

PROGRAM = """
import pulumi
from lmconv_resource import LicenseConversionTask

config = pulumi.Config()
task = LicenseConversionTask(
    "task",
    license_conversion_task_id=config.get("taskId"),
    resource_arn=config.get("arn"),
    follow_newest=config.get_bool("follow"),
)
pulumi.export("id", task.license_conversion_task_id)
pulumi.export("status", task.status)
"""


@pytest.fixture(
    params=[
        "local",
        pytest.param("real", marks=pytest.mark.skipif(not has_pulumi(), reason="the pulumi command is not on PATH")),
    ]
)
def stack(request: pytest.FixtureRequest, tmp_path: Path, aws: LicenseManagerBackend) -> Stack:
    """A stack that tracks the newest task of a resource, once on each engine."""
    made: Stack = LocalStack(tmp_path / "stack", PROGRAM) if request.param == "local" else RealStack(tmp_path, PROGRAM)
    made.config |= {"aws:region": REGION, "followed:arn": ARN}
    return made


def add(aws: LicenseManagerBackend, minutes: int = 0, **settings: Any) -> str:
    defaults = {"resource_arn": ARN, "source": "RunInstances:0800", "destination": "RunInstances:0002"}
    return aws.add_task(**{**defaults, "started": NOON + timedelta(minutes=minutes), "seconds": 0, **settings}).task_id


def test_the_newest_is_found_and_stays(stack: Stack, aws: LicenseManagerBackend) -> None:
    """The task that started last is tracked; a newer one changes nothing, neither at `up` nor at `refresh`."""
    newest = add(aws, 5, status="FAILED")
    add(aws)
    add(aws, 9, resource_arn=f"{ARN}1")

    assert stack.up().outputs == {"id": newest, "status": "FAILED"}
    add(aws, 10)
    again = stack.up()
    refreshed = stack.refresh()

    assert set(again.changes) == {"same"}
    assert refreshed.ok
    assert stack.resources()["task"]["id"] == newest
    assert set(stack.up().changes) == {"same"}


def test_the_newest_is_followed_where_that_is_asked_for(stack: Stack, aws: LicenseManagerBackend) -> None:
    """With `follow_newest` a newer task replaces the tracked one; the preview shows it, and says which is newer."""
    first = add(aws)
    stack.config["followed:follow"] = "true"
    assert stack.up().outputs["id"] == first
    assert set(stack.up().changes) == {"same"}

    second = add(aws, 10)
    preview = stack.preview()
    outcome = stack.up()

    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    line = f"{second} is newer than {first} and is followed from now on"
    assert preview.lines("task", "info") == outcome.lines("task", "info") == [line]
    assert outcome.outputs["id"] == second
    assert set(stack.up().changes) == {"same"}


def test_the_same_task_by_another_name_is_no_change(stack: Stack, aws: LicenseManagerBackend) -> None:
    """From the id to the ARN of the same task, and back, nothing is replaced and the id stays."""
    task_id = add(aws)
    add(aws, 10)
    stack.config["followed:taskId"] = task_id
    del stack.config["followed:arn"]
    stack.up()

    stack.config["followed:arn"] = ARN
    del stack.config["followed:taskId"]
    by_arn = stack.up()
    stack.config["followed:taskId"] = task_id
    del stack.config["followed:arn"]
    by_id = stack.up()

    assert set(by_arn.changes) == set(by_id.changes) == {"same"}
    assert stack.resources()["task"]["id"] == task_id


def test_another_resource_replaces_the_task(stack: Stack, aws: LicenseManagerBackend) -> None:
    """Another ARN is another resource's task, in the preview too."""
    add(aws)
    other = add(aws, resource_arn=f"{ARN}1")
    stack.up()

    stack.config["followed:arn"] = f"{ARN}1"
    preview = stack.preview()
    outcome = stack.up()

    assert preview.changes["replace"] == outcome.changes["replace"] == 1
    assert outcome.outputs["id"] == other


def test_no_task_is_one_line(stack: Stack, aws: LicenseManagerBackend) -> None:
    """A resource that was never converted fails with what to check."""
    add(aws, resource_arn=f"{ARN}1")

    outcome = stack.up()

    assert not outcome.ok
    assert outcome.errors("task") == [
        f"Looking for the license conversions of {ARN} in {REGION}: AWS shows none. Check the ARN, the region (set "
        "`region` or run `pulumi config set aws:region REGION`) and the account of the credentials."
    ]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            {},
            "license_conversion_task_id is missing: give the id that AWS License Manager shows for the conversion "
            "(lct-…), or the resource_arn of what is converted",
        ),
        (
            {"followed:arn": ARN, "followed:taskId": "lct-1"},
            f"resource_arn '{ARN}' is given together with license_conversion_task_id: leave one of the two out",
        ),
        (
            {"followed:taskId": "lct-1", "followed:follow": "true"},
            "follow_newest True needs a resource_arn: give that instead of the task's id",
        ),
        (
            {"followed:arn": "i-0123"},
            "resource_arn 'i-0123' is not an ARN: give one such as arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        ),
    ],
    ids=["neither", "both", "follow-an-id", "no-arn"],
)
def test_exactly_one_of_the_two_is_given(
    tmp_path: Path, aws: LicenseManagerBackend, config: dict[str, str], line: str
) -> None:
    """A program that names the task twice, or not at all, is told so before AWS is asked."""
    stack = LocalStack(tmp_path / "stack", PROGRAM)
    stack.config = {"aws:region": REGION, **config}

    outcome = stack.up()

    assert not outcome.ok
    (error,) = outcome.errors("task")
    assert error.endswith(f"has a problem: {line}")
    assert not aws.calls


# -- the provider's methods --------------------------------------------------------------------------------------------


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def provider() -> LicenseConversionTaskProvider:
    """A provider of a stack that has set its region."""
    made = LicenseConversionTaskProvider()
    made.configure(ConfigureRequest(Config({"aws:region": REGION}, "project")))
    return made


def created(provider: LicenseConversionTaskProvider, **inputs: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    checked = provider.check({}, {"resource_arn": ARN, **inputs})
    assert not checked.failures
    result = provider.create(checked.inputs)
    return result.id, result.outs or {}, checked.inputs


def test_a_finished_task_is_not_looked_for_again(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """Without `follow_newest` the record of a task that has ended costs no call."""
    add(inside)
    task_id, record, inputs = created(provider)
    inside.calls.clear()

    assert provider.diff(task_id, record, inputs).changes is False
    assert not inside.calls


def test_the_tasks_of_others_are_not_taken_for_newer(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """Of an account's tasks only those of this resource count, when it is found and when it is followed."""
    own = add(inside)
    add(inside, 5, resource_arn=f"{ARN}1")

    task_id, record, inputs = created(provider, follow_newest=True)

    assert task_id == own
    assert provider.diff(task_id, record, inputs).changes is False


@pytest.mark.parametrize("what_is_left", ["nothing", "an older task"])
def test_a_task_that_aws_lists_no_more_is_kept(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider, what_is_left: str
) -> None:
    """When AWS has ceased to list the tracked task, no older one is taken for newer, and it is no error."""
    add(inside, -10)
    newest = add(inside)
    task_id, record, inputs = created(provider, follow_newest=True)
    assert task_id == newest
    del inside.tasks[newest]
    if what_is_left == "nothing":
        inside.tasks.clear()

    assert provider.diff(task_id, record, inputs).changes is False


def test_a_record_without_an_arn_is_not_replaced(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """Where AWS leaves the ARN out of its answer, the record has none, which is no difference at every `up`."""
    add(inside)
    task_id, record, inputs = created(provider)

    assert provider.diff(task_id, {**record, "resource_arn": None}, inputs).changes is False


def test_an_unknown_arn_passes_and_may_be_another(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """In a preview an ARN that is not known yet passes, and shows as a replacement without a call."""
    add(inside)
    task_id, record, _ = created(provider)
    inside.calls.clear()
    checked = provider.check({}, {"resource_arn": UNKNOWN, "follow_newest": True})

    result = provider.diff(task_id, record, checked.inputs)

    assert not checked.failures
    assert (result.changes, result.replaces) == (True, ["resource_arn"])
    assert not inside.calls


def test_a_flag_that_is_not_known_yet_follows_nothing(
    inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """In a preview an unknown `follow_newest` is not taken for True."""
    add(inside)
    task_id, record, _ = created(provider)
    add(inside, 10)

    assert provider.diff(
        task_id, record, {"resource_arn": ARN, "region": REGION, "follow_newest": UNKNOWN}
    ).changes is (False)


def test_a_replacement_finds_the_newest_again(
    monkeypatch: pytest.MonkeyPatch, inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider
) -> None:
    """What a replacement creates is the task that the diff has announced."""
    add(inside)
    task_id, record, inputs = created(provider, follow_newest=True)
    newer = add(inside, 10)
    said: list[str] = []
    monkeypatch.setattr(process, "say", lambda _props, text, *_: said.append(text))

    assert provider.diff(task_id, record, inputs).replaces == ["license_conversion_task_id"]
    assert said == [f"{newer} is newer than {task_id} and is followed from now on"]
    assert provider.create(inputs).id == newer


def test_none_is_an_error_of_its_own(inside: LicenseManagerBackend, provider: LicenseConversionTaskProvider) -> None:
    """Programs in Python that drive the provider can tell this error from others."""
    with pytest.raises(NoConversionError) as caught:
        created(provider)

    assert (caught.value.resource_arn, caught.value.region, caught.value.task_id) == (ARN, REGION, None)
