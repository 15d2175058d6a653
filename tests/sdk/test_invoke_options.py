"""The look-ups' `opts`: what comes from the parent, what is waited for, what stays secret; and providers in `opts`."""

import json
import os
from pathlib import Path
from typing import Any

import pulumi
import pytest
from local_engine import UNKNOWN, LocalEngine, OperationResult, UpdateFailedError
from support.stacks import write_program
from support.wire import add_running

from lmconv_resource import LicenseConversionTask, get_license_conversion_task_output
from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends

ACCOUNT, ROLE = "123456789012", "arn:aws:iam::210987654321:role/reader"

HEAD = """
import pulumi
from lmconv_resource import *
from pulumi import InvokeOptions, InvokeOutputOptions, ResourceOptions
"""


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch, aws: LicenseManagerBackend) -> None:
    """A License Manager and an STS on loopback, with one running task in eu-west-1 and two in us-east-1."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", os.environ["AWS_ENDPOINT_URL_LICENSE_MANAGER"])
    add_running(aws, 1)
    add_running(licensemanager_backends[ACCOUNT]["us-east-1"], 2)


def run(folder: Path, program: str, operation: str = "up") -> OperationResult:
    with LocalEngine(write_program(folder / "program", HEAD + program), config={"aws:region": "eu-west-1"}) as engine:
        result: OperationResult = getattr(engine, operation)()
        return result


@pytest.mark.parametrize("operation", ["preview", "up"])
def test_a_look_up_asks_in_its_parents_region(tmp_path: Path, operation: str) -> None:
    """Every form inherits the region, in a preview too where it is known; one that is given comes first.

    As an output of the stack what is found is an object.
    """
    program = """
parent = LicenseConversionTask("parent", license_conversion_task_id="lct-0000", region="us-east-1")
opts = InvokeOptions(parent=parent)
pulumi.export("plain", get_license_conversion_task("lct-0001", opts=opts))
pulumi.export("list", len(get_license_conversion_tasks(opts=opts)))
pulumi.export("given", len(get_license_conversion_tasks(region="eu-west-1", opts=opts)))
pulumi.export("none", len(get_license_conversion_tasks()))
if not pulumi.runtime.is_dry_run():
    pulumi.export("output", get_license_conversion_task_output("lct-0001", opts=opts).region)
    pulumi.export("list output", get_license_conversion_tasks_output(opts=opts).apply(len))
"""
    expected = {"list": 2, "given": 1, "none": 1}
    later = {"output": "us-east-1", "list output": 2} if operation == "up" else {}
    found = run(tmp_path, program, operation).outputs
    plain = found.pop("plain")
    assert (plain["region"], plain["source_license_context"]["usage_operation"]) == ("us-east-1", "RunInstances:0800")
    assert found == {**expected, **later}


def test_profile_and_role_are_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component's settings reach the look-up: its region is asked, as the account of its role."""
    (tmp_path / "aws-config").write_text("[profile east]\naws_access_key_id = AKIAEAST\naws_secret_access_key = east\n")
    add_running(licensemanager_backends["210987654321"]["us-east-1"], 5)
    program = f"""
class Group(pulumi.ComponentResource):
    region = "us-east-1"
    profile = "east"
    assume_role = AssumeRoleArgs(role_arn="{ROLE}")

opts = InvokeOptions(parent=Group("tests:index:Group", "group"))
pulumi.export("list", len(get_license_conversion_tasks(opts=opts)))
pulumi.export("output", get_license_conversion_tasks_output(opts=opts).apply(len))
"""
    assert run(tmp_path, program).outputs == {"list": 5, "output": 5}


def test_a_look_up_waits_for_what_it_depends_on(tmp_path: Path) -> None:
    """In a preview it is unknown while one of them, or a resource in a component, is yet to be created.

    So it is, as with every function of a provider, where a known argument comes from such a resource.
    """
    program = """
stash = pulumi.Stash("stash", input="x")
group = pulumi.ComponentResource("tests:index:Group", "group")
pulumi.Stash("inside", input="x", opts=ResourceOptions(parent=group))

for name, depends_on in {"one": stash, "some": [stash], "component": [group]}.items():
    opts = InvokeOutputOptions(depends_on=depends_on)
    pulumi.export(name, get_license_conversion_tasks_output(opts=opts).apply(len))
parent = LicenseConversionTask("parent", license_conversion_task_id="lct-0000", region="us-east-1")
pulumi.export("argument", get_license_conversion_tasks_output(region=parent.region).apply(len))
pulumi.export("free", get_license_conversion_tasks_output(opts=InvokeOptions()).apply(len))
"""
    waiting = ("one", "some", "component", "argument")
    assert run(tmp_path, program, "preview").outputs == {**dict.fromkeys(waiting, UNKNOWN), "free": 1}
    assert run(tmp_path, program).outputs == {**dict.fromkeys(waiting, 1), "argument": 2, "free": 1}


def test_a_secret_argument_makes_a_secret_result(tmp_path: Path) -> None:
    """Whichever argument is the secret, the parent's setting too, and only then."""
    program = """
secret = pulumi.Output.secret
group = pulumi.ComponentResource("tests:index:Group", "group")
group.region = secret("us-east-1")
opts = InvokeOptions(parent=group)
pulumi.export("id", get_license_conversion_task_output(secret("lct-0000")).status)
pulumi.export("region", get_license_conversion_task_output("lct-0000", region=secret("us-east-1")).status)
pulumi.export("statuses", get_license_conversion_tasks_output(statuses=[secret("IN_PROGRESS")]).apply(len))
pulumi.export("parent", get_license_conversion_task_output("lct-0000", opts=opts).status)
pulumi.export("none", get_license_conversion_task_output("lct-0000").status)
"""
    assert run(tmp_path, program).secret_outputs == {"id", "region", "statuses", "parent"}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "get_license_conversion_tasks(opts=InvokeOptions(provider=pulumi.ComponentResource('tests:index:P', 'p')))",
            "A look-up: opts.provider does not reach this look-up. Pass region, profile or assume_role to it, or set",
        ),
        (
            "get_license_conversion_tasks(opts=InvokeOutputOptions(depends_on=[]))",
            "A plain look-up waits for no resource: depends_on is for the form that ends in _output.",
        ),
        (
            "group = pulumi.ComponentResource('tests:index:Group', 'group')\n"
            "group.region = pulumi.Stash('region', input='us-east-1').output\n"
            "get_license_conversion_tasks(opts=InvokeOptions(parent=group))\n",
            "The parent's region is not known in this preview: use the form of the look-up",
        ),
    ],
)
def test_what_can_not_be_honoured_is_an_error(tmp_path: Path, program: str, message: str) -> None:
    """No option is ignored without a word; a parent's setting may be known in the update only."""
    with pytest.raises(UpdateFailedError) as caught:
        run(tmp_path, program, "preview")
    assert message in str(caught.value)
    if "preview" in message:
        assert run(tmp_path, program).changes


OF_THE_PARENT = (
    "the aws.Provider of its parent does not reach this {}. Pass profile or assume_role to it, or assume_role=[] where "
    "the stack's aws: settings are meant."
)
NOT_HANDED_ON = (
    "task: opts.{} does not reach this resource. Pass region, profile or assume_role to it, or set the stack"
)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("provider", NOT_HANDED_ON.format("provider")),
        ("by name", NOT_HANDED_ON.format("providers")),
        ("parent", f"task: {OF_THE_PARENT.format('resource')}"),
        ("look-up", f"A look-up: {OF_THE_PARENT.format('look-up')}"),
    ],
)
def test_an_explicit_provider_is_refused(tmp_path: Path, how: str, line: str) -> None:
    """A provider that Pulumi would not hand on is an error that says what to pass instead, and with that it is none."""
    (tmp_path / "aws-config").write_text("[profile own]\naws_access_key_id = AKIAOWN\naws_secret_access_key = own\n")

    def program(**access: Any) -> None:
        aws = pulumi.ProviderResource("aws", "of-mine", {})
        outer = pulumi.ComponentResource("tests:index:G", "o", opts=pulumi.ResourceOptions(providers={"aws": aws}))
        parent = pulumi.ComponentResource("tests:index:G", "i", opts=pulumi.ResourceOptions(parent=outer))
        if how == "look-up":
            get_license_conversion_task_output("lct-0000", opts=pulumi.InvokeOptions(parent=parent), **access)
            return
        given: dict[str, Any] = {"provider": aws, "by name": {"aws": aws}, "parent": parent}
        opts = pulumi.ResourceOptions(**{"providers" if how == "by name" else how: given[how]})
        LicenseConversionTask("task", license_conversion_task_id="lct-0000", opts=opts, **access)

    config = {"aws:region": "eu-west-1"}
    with LocalEngine(program, config=config) as engine, pytest.raises(UpdateFailedError) as caught:
        engine.preview()
    assert line in str(caught.value)
    for own in ('{"assume_role": []}', '{"profile": "own"}') if how in ("parent", "look-up") else ():
        with LocalEngine(lambda own=own: program(**json.loads(own)), config=config) as engine:  # type: ignore[misc]
            engine.preview()
