"""The provider's methods, called as the engine calls them, against the emulator in this process."""

from __future__ import annotations

import base64
import pickletools
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN
from support.lifecycle import ARN, BYOL, REGION, WINDOWS, RecordingEngine, make_session

from lmconv_resource.conversion_provider import LicenseConversionProvider
from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import LicenseConversionError, SettingsError, TaskNotFoundError
from lmconv_resource.hosts.dynamic.provider import process
from lmconv_resource.hosts.init_failed import InitFailedError
from lmconv_resource.models import OUTPUTS
from lmconv_resource.provider import LicenseConversionTaskProvider


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def engine() -> RecordingEngine:
    """What the provider's lines go to."""
    return RecordingEngine()


@pytest.fixture
def provider(engine: RecordingEngine) -> LicenseConversionTaskProvider:
    """A provider of a stack that has set its region."""
    made = LicenseConversionTaskProvider()
    made.session = make_session(engine=engine)
    return made


@pytest.fixture
def conversions(engine: RecordingEngine) -> LicenseConversionProvider:
    """The same of conversions."""
    made = LicenseConversionProvider()
    made.session = make_session(engine=engine)
    return made


def add(aws: LicenseManagerBackend, **settings: Any) -> str:
    return aws.add_task(
        resource_arn=ARN,
        source=BYOL,
        destination=WINDOWS,
        **settings,
    ).task_id


def checked(provider: LicenseConversionTaskProvider | LicenseConversionProvider, **inputs: Any) -> dict[str, Any]:
    result = provider.check({}, inputs)
    assert not result.failures
    return result.inputs


def test_the_stored_reference_is_a_format() -> None:
    """What every state holds as `__provider` names this module and class; renaming either breaks deployed stacks."""
    stored = base64.b64decode(serialize_provider(LicenseConversionTaskProvider()))

    words = [argument for _, argument, _ in pickletools.genops(stored) if isinstance(argument, str)]
    assert words == ["lmconv_resource.provider", "LicenseConversionTaskProvider"]
    assert len(stored) < 100


def test_the_stored_reference_of_conversions_is_a_format() -> None:
    """The same of the other provider."""
    text = serialize_provider(LicenseConversionProvider())

    words = [argument for _, argument, _ in pickletools.genops(base64.b64decode(text)) if isinstance(argument, str)]
    assert words == ["lmconv_resource.conversion_provider", "LicenseConversionProvider"]
    assert text == (
        "gASVSAAAAAAAAACMI2xtY29udl9yZXNvdXJjZS5jb252ZXJzaW9uX3Byb3ZpZGVylIwZTGljZW5zZUNvbnZlcnNpb25Qcm92aWRlcpSTlCmBlC4="
    )


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


@pytest.mark.parametrize("kind", ["task", "conversion"])
def test_a_record_learns_its_new_urn(
    provider: LicenseConversionTaskProvider,
    conversions: LicenseConversionProvider,
    aws: LicenseManagerBackend,
    kind: str,
) -> None:
    """After an alias, another parent or a stack's new name lines go to the new URN; AWS is asked nothing for that."""
    old, new = "urn:pulumi:old::x::y::z", "urn:pulumi:new::x::y::z"
    contexts = {
        "source_license_context": {"usage_operation": BYOL},
        "destination_license_context": {"usage_operation": WINDOWS},
    }
    what = {"license_conversion_task_id": add(aws, seconds=0)} if kind == "task" else {"resource_arn": ARN, **contexts}
    add(aws, seconds=0)
    ours = provider if kind == "task" else conversions
    created = ours.create(checked(ours, **what, __urn=old))
    assert created.outs is not None
    aws.calls.clear()
    inputs = checked(ours, **what, __urn=new)

    diff = ours.diff(created.id, created.outs, inputs)
    assert (diff.changes, diff.replaces) == (True, None)
    updated = ours.update(created.id, created.outs, inputs)

    assert updated.outs == {**created.outs, "__urn": new}
    assert not ours.diff(created.id, updated.outs, inputs).changes
    assert not aws.calls


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

    provider = LicenseConversionTaskProvider()
    provider.session = make_session({})

    (failure,) = provider.check({}, {"license_conversion_task_id": "lct-1"}).failures

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


def test_a_finished_record_is_not_overwritten_by_less(
    provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend, engine: RecordingEngine
) -> None:
    """When AWS takes the end of a task back, the record stays and a warning says so."""
    task_id = add(aws, seconds=0, message="done")
    record = provider.create(checked(provider, license_conversion_task_id=task_id)).outs
    assert record is not None
    del aws.tasks[task_id]
    add(aws, task_id=task_id, status="IN_PROGRESS")

    result = provider.read(task_id, record)

    assert result.outs == record
    assert engine.said == [
        (
            "WARNING",
            f"{task_id} is recorded as SUCCEEDED and AWS now reports IN_PROGRESS. The record is kept; check the task "
            "in the AWS console.",
        )
    ]


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


def test_a_setting_that_cannot_be_used_is_a_check_failure(aws: LicenseManagerBackend) -> None:
    """A malformed setting of the stack is said by the check, which a preview makes too, and names the key."""
    broken = LicenseConversionTaskProvider()
    broken.session = make_session({"aws:region": REGION, "aws:maxRetries": "many"})

    (failure,) = broken.check({}, {"license_conversion_task_id": "lct-1"}).failures

    assert failure.reason == (
        "Connecting to AWS License Manager for license conversion tasks: aws:maxRetries is not a whole number of at "
        "least 0. Check it with `pulumi config get aws:maxRetries`."
    )


def test_delete_asks_nobody(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """AWS has no call to undo a conversion, so forgetting one makes none."""
    provider.delete("lct-1", {})

    assert not aws.calls


@pytest.mark.parametrize("text", ["", "3 hours", "90", "1h 30m", "-5m", "0s", "1d", "h", 90, None])
def test_what_is_no_timeout(provider: LicenseConversionTaskProvider, text: Any) -> None:
    """A timeout that Pulumi's engine would not understand is refused, with the operation that it is for."""
    timeouts = {"update": "1h", "create": text}

    (failure,) = provider.check({}, {"license_conversion_task_id": "lct-1", "__timeouts": timeouts}).failures

    assert failure.reason == (
        f'custom_timeouts create={text!r} is not a duration: use one such as "90s", "45m" or "1h30m"'
    )


@pytest.mark.parametrize("value", ["45m", 45, ["45m"], True])
def test_timeouts_go_by_operation(provider: LicenseConversionTaskProvider, value: Any) -> None:
    """Timeouts that are not given by operation are refused instead of being left out of account."""
    (failure,) = provider.check({}, {"license_conversion_task_id": "lct-1", "__timeouts": value}).failures

    assert (failure.property, failure.reason) == (
        "custom_timeouts",
        f'custom_timeouts {value!r} is not CustomTimeouts: use durations by operation, such as create="45m"',
    )


@pytest.mark.parametrize("timeouts", [None, {}, {"create": "1h30m", "update": "45m"}, {"create": UNKNOWN}])
def test_timeouts(provider: LicenseConversionTaskProvider, timeouts: Any) -> None:
    """Durations as Go writes them pass, and so does what a preview can't know yet."""
    assert checked(provider, license_conversion_task_id="lct-1", __timeouts=timeouts)["__timeouts"] == timeouts


@pytest.mark.parametrize("unknown", [UNKNOWN, Unknown()], ids=["on the wire", "in the SDK"])  # type: ignore[no-untyped-call]
def test_unknown_values_pass_in_both_forms(
    provider: LicenseConversionTaskProvider, conversions: LicenseConversionProvider, unknown: Any
) -> None:
    """The SDK has two forms of what a preview can't know yet: both pass, at any depth, and stay what they are."""
    assert checked(provider, license_conversion_task_id=unknown)["license_conversion_task_id"] is unknown
    context = {"product_codes": [{"product_code_id": unknown}]}

    inputs = checked(conversions, resource_arn=ARN, source_license_context=context, destination_license_context=unknown)

    assert inputs["source_license_context"] == context


def test_a_timeout_is_the_deadline(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """An operation lasts as long as the program allows, each its own time, and its error names what sets that."""
    task_id = add(aws, status="IN_PROGRESS")
    inputs = checked(provider, license_conversion_task_id=task_id, wait_for_completion=True)

    with pytest.raises(InitFailedError, match=r"it did not end within \ds .*custom_timeouts sets how long to wait"):
        provider.create({**inputs, "__timeouts": {"create": "1.1s", "update": "1h"}})


def test_update_records_what_was_seen(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """An update that waits records the end, with the URN under which a later refresh says its lines."""
    task_id = add(aws, seconds=0)
    inputs = checked(provider, license_conversion_task_id=task_id, wait_for_completion=True, __urn="urn:pulumi:x")

    outs = provider.update(task_id, {"license_conversion_task_id": task_id, "status": "IN_PROGRESS"}, inputs).outs

    assert outs is not None
    assert (outs["status"], outs["__urn"]) == ("SUCCEEDED", "urn:pulumi:x")


def test_all_classes_of_providers_share_one_session() -> None:
    """`configure` comes once for each class: engine, pace and waits are one for the whole process all the same."""
    request = ConfigureRequest(Config({"aws:region": REGION}, "project"))
    first, second = LicenseConversionTaskProvider(), LicenseConversionProvider()

    first.configure(request)
    second.configure(request)

    assert first.session is not None
    assert first.session is second.session
    assert first.session.get_config("aws:region") == REGION


@pytest.mark.parametrize(("project", "found"), [("project", ["aws:own"]), ("aws", ["project:own"])])
def test_the_names_of_settings_are_found(monkeypatch: pytest.MonkeyPatch, project: str, found: list[str]) -> None:
    """`Config` has no public way to them. A project that is itself called aws has settings of its own there."""
    monkeypatch.setenv("PULUMI_PROJECT", project)
    provider = LicenseConversionTaskProvider()
    provider.configure(ConfigureRequest(Config({"aws:own": "x", "project:own": "x"}, project)))
    assert provider.session is not None
    assert sorted(provider.session.setting_names()) == found


def test_all_look_ups_of_a_program_share_one_session() -> None:
    """Clients, pace and threads are made once for a program, and are not those of the providers."""
    look_ups = process.look_ups()

    assert process.look_ups() is look_ups
    assert look_ups.session is not process.session(lambda _: None)


def test_the_sentence_of_an_error_is_one_line(
    provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend
) -> None:
    """What a user can act on comes out as one of the package's own errors."""
    with pytest.raises(LicenseConversionError) as caught:
        provider.create(checked(provider, license_conversion_task_id="lct-unknown"))

    assert len(str(caught.value).splitlines()) == 1
