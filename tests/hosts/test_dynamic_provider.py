"""The provider's methods, called as the engine calls them, against the emulator in this process."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN
from support.aws import REGION
from support.job import BYOL, WINDOWS
from support.lifecycle import ARN, RecordingEngine, make_session

from lmconv_resource.conversion_provider import LicenseConversionProvider
from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends
from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.provider import LicenseConversionTaskProvider


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def provider() -> LicenseConversionTaskProvider:
    """A provider of a stack that has set its region."""
    made = LicenseConversionTaskProvider()
    made.session = make_session(engine=RecordingEngine())
    return made


def checked(provider: DynamicProvider, **inputs: Any) -> dict[str, Any]:
    result = provider.check({}, inputs)
    assert not result.failures
    return result.inputs


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        (
            LicenseConversionTaskProvider,
            "gASVQQAAAAAAAACMGGxtY29udl9yZXNvdXJjZS5wcm92aWRlcpSMHUxpY2Vuc2VDb252ZXJzaW9uVGFza1Byb3ZpZGVylJOUKYGULg==",
        ),
        (
            LicenseConversionProvider,
            "gASVSAAAAAAAAACMI2xtY29udl9yZXNvdXJjZS5jb252ZXJzaW9uX3Byb3ZpZGVylIwZTGljZW5zZUNvbnZlcnNpb25Qcm92aWRlcpSTlCmB"
            "lC4=",
        ),
    ],
)
def test_the_stored_reference_is_a_format(provider: type[DynamicProvider], text: str) -> None:
    """What every state holds as `__provider` names module and class; renaming either breaks deployed stacks."""
    assert serialize_provider(provider()) == text


def test_a_record_learns_its_new_urn(provider: LicenseConversionTaskProvider, aws: LicenseManagerBackend) -> None:
    """After an alias, another parent or a stack's new name lines go to the new URN; AWS is asked nothing for that."""
    old, new = "urn:pulumi:old::x::y::z", "urn:pulumi:new::x::y::z"
    task_id = aws.add_task(resource_arn=ARN, source=BYOL, destination=WINDOWS, seconds=0).task_id
    created = provider.create(checked(provider, license_conversion_task_id=task_id, __urn=old))
    assert created.outs is not None
    aws.calls.clear()
    inputs = checked(provider, license_conversion_task_id=task_id, __urn=new)
    diff = provider.diff(created.id, created.outs, inputs)
    assert (diff.changes, diff.replaces) == (True, None)
    updated = provider.update(created.id, created.outs, inputs)
    assert updated.outs == {**created.outs, "__urn": new}
    assert not provider.diff(created.id, updated.outs, inputs).changes
    assert not aws.calls


def test_a_preview_leaves_no_trace_in_the_inputs(provider: LicenseConversionTaskProvider) -> None:
    """An update plan would have it, and no update would be what was planned."""
    assert checked(provider, license_conversion_task_id="lct-1", __dry=True) == checked(
        provider, license_conversion_task_id="lct-1"
    )


@pytest.mark.parametrize("unknown", [UNKNOWN, Unknown()], ids=["on the wire", "in the SDK"])  # type: ignore[no-untyped-call]
def test_unknown_values_pass_in_both_forms(provider: LicenseConversionTaskProvider, unknown: Any) -> None:
    """The SDK has two forms of what a preview can't know yet: both pass, at any depth, and stay what they are."""
    assert checked(provider, license_conversion_task_id=unknown)["license_conversion_task_id"] is unknown
    conversions = LicenseConversionProvider()
    conversions.session = provider.session
    context = {"product_codes": [{"product_code_id": unknown}]}
    inputs = checked(conversions, resource_arn=ARN, source_license_context=context, destination_license_context=unknown)
    assert inputs["source_license_context"] == context


def test_all_classes_of_providers_share_one_session() -> None:
    """`configure` comes once for each class: engine, pace and waits are one for the whole process all the same."""
    request = ConfigureRequest(Config({"aws:region": REGION}, "project"))
    first, second = LicenseConversionTaskProvider(), LicenseConversionProvider()
    first.configure(request)
    second.configure(request)
    assert first.session is second.session
    assert first.session.get_config("aws:region") == REGION


@pytest.mark.parametrize(("project", "found"), [("project", ["aws:own"]), ("aws", ["project:own"])])
def test_the_names_of_settings_are_found(monkeypatch: pytest.MonkeyPatch, project: str, found: list[str]) -> None:
    """`Config` has no public way to them. A project that is itself called aws has settings of its own there."""
    monkeypatch.setenv("PULUMI_PROJECT", project)
    provider = LicenseConversionTaskProvider()
    provider.configure(ConfigureRequest(Config({"aws:own": "x", "project:own": "x"}, project)))
    assert sorted(provider.session.setting_names()) == found
