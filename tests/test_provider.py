"""The provider's methods, called as the engine calls them, against the emulator in this process."""

from __future__ import annotations

import base64
import logging
import pickletools
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.rpc import UNKNOWN

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import ConversionFailedError, SettingsError, TaskNotFoundError
from lmconv_resource.hosts import session as process
from lmconv_resource.models import OUTPUTS
from lmconv_resource.provider import LicenseConversionTaskProvider
from lmconv_resource.sdk.resources import LicenseConversion, LicenseConversionTask

REGION = "eu-west-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-a-secret-of-the-test")
    monkeypatch.setattr("lmconv_resource.aws.client._connections", {})
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def provider() -> LicenseConversionTaskProvider:
    """A provider of a stack that has set its region."""
    made = LicenseConversionTaskProvider()
    made.configure(ConfigureRequest(Config({"aws:region": REGION}, "project")))
    return made


def add(aws: LicenseManagerBackend, **settings: Any) -> str:
    return aws.add_task(
        resource_arn=f"arn:aws:ec2:{REGION}:123456789012:instance/i-0",
        source="RunInstances:0800",
        destination="RunInstances:0002",
        **settings,
    ).task_id


def checked(provider: LicenseConversionTaskProvider, **inputs: Any) -> dict[str, Any]:
    result = provider.check({}, inputs)
    assert not result.failures
    return result.inputs


def test_the_stored_reference_is_a_format() -> None:
    """What every state holds as `__provider` names this module and class; renaming either breaks deployed stacks."""
    stored = base64.b64decode(serialize_provider(LicenseConversionTaskProvider()))

    words = [argument for _, argument, _ in pickletools.genops(stored) if isinstance(argument, str)]
    assert words == ["lmconv_resource.provider", "LicenseConversionTaskProvider"]
    assert len(stored) < 100


def test_the_stored_reference_does_not_change_with_use(provider: LicenseConversionTaskProvider) -> None:
    """Making a provider anew gives the same text in every process, so that no diff comes from it."""
    assert serialize_provider(LicenseConversionTaskProvider()) == (
        "gASVQQAAAAAAAACMGGxtY29udl9yZXNvdXJjZS5wcm92aWRlcpSMHUxpY2Vuc2VDb252ZXJzaW9uVGFza1Byb3ZpZGVylJOUKYGULg=="
    )


def test_check_fills_in_the_defaults(provider: LicenseConversionTaskProvider) -> None:
    """The flags default to False and the region to the stack's; what else the program gave stays."""
    inputs = checked(provider, license_conversion_task_id="lct-1", __urn="urn:pulumi:x")

    assert inputs == {
        "license_conversion_task_id": "lct-1",
        "wait_for_completion": False,
        "ignore_failure": False,
        "region": REGION,
        "__urn": "urn:pulumi:x",
    }


def test_check_names_every_bad_property(provider: LicenseConversionTaskProvider) -> None:
    """Each bad input is a failure of its own, by the name that the program uses."""
    result = provider.check(
        {},
        {
            "license_conversion_task_id": "x",
            "wait_for_completion": "yes",
            "ignore_failure": 1,
            "region": "Europe",
            "poll_interval_seconds": 0,
            "__timeouts": {"create": "soon"},
        },
    )

    assert [failure.property for failure in result.failures] == [
        "license_conversion_task_id",
        "wait_for_completion",
        "ignore_failure",
        "region",
        "poll_interval_seconds",
        "custom_timeouts",
    ]


def test_check_without_any_region_says_where_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No region anywhere is a failure of the property `region` that names all ways to set it."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    (failure,) = LicenseConversionTaskProvider().check({}, {"license_conversion_task_id": "lct-1"}).failures

    assert (failure.property, failure.reason) == (
        "region",
        "region is not set: set it on the resource, or run `pulumi config set aws:region REGION`, or set AWS_REGION",
    )


def test_unknown_values_pass_check_and_make_diff_a_replacement(provider: LicenseConversionTaskProvider) -> None:
    """In a preview an id that is not known yet passes, and may turn out to be another one."""
    inputs = checked(provider, license_conversion_task_id=UNKNOWN)

    result = provider.diff("lct-1", {"license_conversion_task_id": "lct-1", "region": REGION}, inputs)

    assert (result.changes, result.replaces) == (True, ["license_conversion_task_id"])


@pytest.mark.parametrize(
    ("status", "flags", "changes"),
    [
        ("SUCCEEDED", {}, False),
        ("SUCCEEDED", {"wait_for_completion": True}, False),
        ("FAILED", {}, False),
        ("FAILED", {"wait_for_completion": True}, True),
        ("FAILED", {"wait_for_completion": True, "ignore_failure": True}, False),
        ("IN_PROGRESS", {"wait_for_completion": True}, True),
        (None, {"wait_for_completion": True}, True),
    ],
)
def test_diff_of_a_record_asks_nobody(
    provider: LicenseConversionTaskProvider,
    aws: LicenseManagerBackend,
    status: str | None,
    flags: dict[str, bool],
    changes: bool,
) -> None:
    """What the record and the flags tell already is told without a call."""
    inputs = checked(provider, license_conversion_task_id="lct-1", **flags)

    result = provider.diff("lct-1", {"license_conversion_task_id": "lct-1", "region": REGION, "status": status}, inputs)

    assert result.changes is changes
    assert not aws.calls


def test_create_gives_every_output(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """A running task's record has every output, those that AWS leaves out as None."""
    task_id = add(aws, status="IN_PROGRESS")

    result = provider.create(checked(provider, license_conversion_task_id=task_id, __urn="urn:pulumi:x"))

    assert result.id == task_id
    assert result.outs is not None
    assert set(result.outs) == {*OUTPUTS, "__urn"}
    assert result.outs["__urn"] == "urn:pulumi:x"
    assert result.outs["end_time"] is None


def test_a_failed_task_under_wait_raises(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """FAILED under wait is our error, with the task as it was seen."""
    task_id = add(aws, seconds=0, status="FAILED", message="no")

    with pytest.raises(ConversionFailedError, match=r"it FAILED: no\.") as caught:
        provider.create(checked(provider, license_conversion_task_id=task_id, wait_for_completion=True))

    assert caught.value.task_id == task_id
    assert caught.value.task is not None


def test_a_finished_record_is_not_overwritten_by_less(
    provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """When AWS takes the end of a task back, the record stays and a warning says so."""
    task_id = add(aws, seconds=0, message="done")
    record = provider.create(checked(provider, license_conversion_task_id=task_id)).outs
    assert record is not None
    del aws.tasks[task_id]
    add(aws, task_id=task_id, status="IN_PROGRESS")

    result = provider.read(task_id, record)

    assert result.outs == record
    assert f"{task_id} is recorded as SUCCEEDED and AWS now says IN_PROGRESS of it. The record is kept" in caplog.text


def test_read_of_a_get_gives_inputs_too(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """What `get` reads can be diffed later: its inputs hold the id and the region that was found."""
    task_id = add(aws, seconds=0)

    result = provider.read(task_id, {"license_conversion_task_id": task_id})

    assert result.inputs == {"license_conversion_task_id": task_id, "region": REGION}
    assert result.outs is not None
    assert result.outs["status"] == "SUCCEEDED"


@pytest.mark.parametrize("task_id", ["lct-", "i-0123", "lct-" + "a" * 47, "lct-1\n"])
def test_get_refuses_a_malformed_id(provider: LicenseConversionTaskProvider, task_id: str) -> None:
    """`get` comes without a check, so reading checks the id itself."""
    with pytest.raises(SettingsError, match="is not the id of a license conversion task"):
        provider.read(task_id, {})


def test_a_record_of_an_older_shape_still_refreshes(
    provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend
) -> None:
    """A record that lacks what newer versions store is read, completed and then left alone."""
    task_id = add(aws, seconds=0)
    old = {"license_conversion_task_id": task_id, "status": "IN_PROGRESS"}
    inputs = checked(provider, license_conversion_task_id=task_id)

    refreshed = provider.read(task_id, old).outs
    assert refreshed is not None

    assert refreshed["status"] == "SUCCEEDED"
    assert provider.diff(task_id, refreshed, inputs).changes is False
    assert provider.diff(task_id, old, inputs).changes is True


def test_read_of_a_running_record_raises_what_aws_says(
    provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend
) -> None:
    """A running record whose id AWS does not know is an error: it may be a wrong region or account."""
    with pytest.raises(TaskNotFoundError):
        provider.read("lct-unknown", {"license_conversion_task_id": "lct-unknown", "status": "IN_PROGRESS"})


def test_a_setting_that_cannot_be_used_is_told_of_the_task(aws: LicenseManagerBackend) -> None:
    """A malformed setting of the stack is an error that names the key and the task it was needed for."""
    broken = LicenseConversionTaskProvider()
    broken.configure(ConfigureRequest(Config({"aws:region": REGION, "aws:maxRetries": "many"}, "project")))

    with pytest.raises(SettingsError) as caught:
        broken.create(checked(broken, license_conversion_task_id="lct-1"))

    assert str(caught.value) == (
        "Connecting to AWS License Manager for license conversion task lct-1: the stack's aws:maxRetries is not "
        "a whole number. Look at it with `pulumi config get aws:maxRetries`."
    )


def test_delete_asks_nobody(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """AWS has no call to undo a conversion, so forgetting one makes none."""
    provider.delete("lct-1", {})

    assert not aws.calls


def test_an_unknown_log_level_is_said_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt LMCONV_LOG is named with what may stand there."""

    class Ears:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, urn: str | None, text: str, severity: str) -> None:
            self.lines.append(f"{severity}: {text}")

    ears = Ears()
    logger = logging.getLogger("lmconv_resource")
    monkeypatch.setattr(process, "find_engine", lambda: ears)
    monkeypatch.setattr(process, "_handlers", [])
    monkeypatch.setenv("LMCONV_LOG", "loud")
    before = list(logger.handlers), logger.level, logger.propagate
    try:
        process._start_logging()
        process._start_logging()
    finally:
        logger.handlers, logger.level, logger.propagate = before

    assert ears.lines == ["WARNING: LMCONV_LOG=LOUD is not a level: give DEBUG, INFO, WARNING or ERROR."]


def test_what_is_recorded_is_an_output_of_the_resource() -> None:
    """Programs see each output, with its type, under the name that it has in the state."""
    assert list(LicenseConversionTask.__annotations__) == list(OUTPUTS)
    assert set(LicenseConversion.__annotations__) == {*OUTPUTS, "adopted", "verified_usage_operation"}
