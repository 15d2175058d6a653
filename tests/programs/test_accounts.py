"""Who calls, and where: whole programs against an AWS that keeps accounts apart and notes how it was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.wire import ACCESS_KEY
from stacks import LocalStack, Outcome, RealStack, Stack, has_pulumi
from support.aws_accounts import AwsAccounts, Request, serve_accounts
from support.certificates import make_context, write_certificate

REGION = "eu-west-1"
HOME, STACK, OTHER, THIRD, INSTANCE = (digit * 12 for digit in "12349")
"""The accounts of the environment, of the stack's settings, of two roles, and of an EC2 instance's own role."""
ROLE, THIRD_ROLE = (f"arn:aws:iam::{account}:role/tracker" for account in (OTHER, THIRD))
KEYS = "aws_access_key_id = {}\naws_secret_access_key = sk\n".format
CONNECTING = "Connecting to AWS License Manager for license conversion tasks"

PROGRAM = """
import pulumi
import lmconv_resource as lm

config = pulumi.Config()
CONTEXTS = ("source_license_context", "destination_license_context")


def to_role(given):
    if isinstance(given, list):
        return [to_role(role) for role in given]
    return lm.AssumeRoleArgs(**given)


for row in config.require_object("spec"):
    kind, name, given = row.pop("kind"), row.pop("name"), row
    secret, unknown = given.pop("secret", ()), given.pop("unknown", ())
    if kind == "conversion":
        given |= {n: {"usage_operation": f"RunInstances:{code}"} for n, code in zip(CONTEXTS, ("0800", "0002"))}
        given |= {n: lm.LicenseContextArgs(**given[n]) for n in CONTEXTS}
    given |= {n: pulumi.Output.secret(given[n]) for n in secret if n != "assume_role"}
    given |= {n: pulumi.Stash(f"{name}-{n}", input=given[n]).output for n in unknown if n != "assume_role"}
    if "assume_role" in unknown:
        arn = pulumi.Stash(f"{name}-role", input=given["assume_role"]["role_arn"]).output
        given["assume_role"] = given["assume_role"] | {"role_arn": arn}
    if "assume_role" in secret:
        external_id = pulumi.Output.secret(given["assume_role"]["external_id"])
        given["assume_role"] = given["assume_role"] | {"external_id": external_id}
    if "assume_role" in given:
        given["assume_role"] = to_role(given["assume_role"])
    if kind == "conversion":
        lm.LicenseConversion(name, **given)
    elif kind == "task":
        lm.LicenseConversionTask(name, **given)
    elif kind == "get":
        lm.LicenseConversionTask.get(name, **given)
    elif kind == "look_up":
        pulumi.export(name, lm.get_license_conversion_task(**given).status)
    elif kind == "look_up_output":
        pulumi.export(name, lm.get_license_conversion_task_output(**given).status)
    elif kind == "list":
        pulumi.export(name, [task.license_conversion_task_id for task in lm.get_license_conversion_tasks(**given)])
    elif kind == "list_output":
        found = lm.get_license_conversion_tasks_output(**given)
        pulumi.export(name, found.apply(lambda tasks: [task.license_conversion_task_id for task in tasks]))
"""


def arn_of(account: str, region: str = REGION) -> str:
    """Return the ARN of the one instance of an account."""
    return f"arn:aws:ec2:{region}:{account}:instance/i-0{account}"


LISTED_ARN = arn_of("555555555555")


def conversion(account: str, **own: Any) -> dict[str, Any]:
    """Return a conversion of the account's instance, which is not waited for unless that is asked for."""
    given = {"kind": "conversion", "name": "conversion", "resource_arn": arn_of(account), "wait_for_completion": False}
    return {**given, **own}


def task(**own: Any) -> dict[str, Any]:
    """Return a tracked task."""
    return {"kind": "task", "name": "task", "license_conversion_task_id": "lct-task", **own}


def everything(account: str, **own: Any) -> list[dict[str, Any]]:
    """Return one of each resource and look-up."""
    return [
        conversion(account, **own),
        task(**own),
        {"kind": "get", "name": "read", "id": "lct-read", **own},
        {"kind": "look_up", "name": "seen", "id": "lct-seen", **own},
        {"kind": "look_up_output", "name": "seen-later", "id": "lct-later", **own},
        {"kind": "list", "name": "listed", "resource_arns": [LISTED_ARN], **own},
        {"kind": "list_output", "name": "listed-later", "statuses": ["IN_PROGRESS"], **own},
    ]


NAMES = ("task", "read", "seen", "later", "listed")
"""Of the tasks that `everything` finds: `lct-task` and on."""


@dataclass
class World:
    """A stack, the accounts that it meets, and a folder for files."""

    stack: Stack
    accounts: AwsAccounts
    folder: Path
    patch: pytest.MonkeyPatch

    def configure(self, *rows: dict[str, Any], **settings: Any) -> None:
        """Let the stack declare these rows, with these settings of pulumi-aws."""
        endpoints = dict.fromkeys(("licensemanager", "sts", "ec2"), self.accounts.endpoint)
        given = {"region": REGION, "endpoints": endpoints, **settings}
        plain = {f"aws:{key}": value for key, value in given.items() if value is not None}
        self.stack.config = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in {**plain, "followed:spec": rows}.items()
        }

    def write(self, name: str, text: str) -> str:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def write_profiles(self, text: str) -> None:
        """Fill the shared config file of the environment."""
        self.patch.setenv("AWS_CONFIG_FILE", self.write("config", text))

    def add_tasks(self, account: str) -> None:
        """Add the tasks that `everything` looks up to an account."""
        for name in NAMES:
            arn = LISTED_ARN if name == "listed" else arn_of(account) + name
            self.accounts.add_task(account, REGION, f"lct-{name}", ResourceArn=arn, StartTime=1700000000)

    @property
    def sent(self) -> list[Request]:
        """What License Manager was asked."""
        return [request for request in self.accounts.requests if request.service == "license-manager"]


@pytest.fixture
def accounts() -> Iterator[AwsAccounts]:
    with serve_accounts() as accounts:
        accounts.add_user(HOME, ACCESS_KEY)
        accounts.add_user(STACK, "AKIASTACK")
        yield accounts


@pytest.fixture
def local(tmp_path: Path, accounts: AwsAccounts, monkeypatch: pytest.MonkeyPatch) -> World:
    """A stack on LocalEngine."""
    (tmp_path / "files").mkdir()
    return World(LocalStack(tmp_path / "stack", PROGRAM), accounts, tmp_path / "files", monkeypatch)


@pytest.fixture(
    params=[
        "local",
        pytest.param("real", marks=pytest.mark.skipif(not has_pulumi(), reason="the pulumi command is not on PATH")),
    ]
)
def world(
    request: pytest.FixtureRequest, tmp_path: Path, accounts: AwsAccounts, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A stack on each engine."""
    (tmp_path / "files").mkdir()
    is_local = request.param == "local"
    stack = LocalStack(tmp_path / "stack", PROGRAM) if is_local else RealStack(tmp_path, PROGRAM)
    return World(stack, accounts, tmp_path / "files", monkeypatch)


def texts(outcome: Outcome) -> list[str]:
    """Return the errors of an operation, whichever resource they are under."""
    return [text for _, severity, text in outcome.said if severity == "error"]


# -- the table: each setting -------------------------------------------------------------------------------------------

FULL_ROLE = {
    "role_arn": ROLE,
    "session_name": "me",
    "external_id": "ext",
    "duration": "1h30m",
    "policy": '{"Version": "2012-10-17"}',
    "policy_arns": ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"],
    "tags": {"team": "licenses", "cost": "42"},
    "transitive_tag_keys": ["team"],
    "source_identity": "alice",
}
SENT_ROLE = {
    "RoleArn": ROLE,
    "RoleSessionName": "me",
    "ExternalId": "ext",
    "DurationSeconds": "5400",
    "Policy": '{"Version": "2012-10-17"}',
    "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/A",
    "PolicyArns.member.2.arn": "arn:aws:iam::aws:policy/B",
    "Tags.member.1.Key": "cost",
    "Tags.member.1.Value": "42",
    "Tags.member.2.Key": "team",
    "Tags.member.2.Value": "licenses",
    "TransitiveTagKeys.member.1": "team",
    "SourceIdentity": "alice",
}


def to_camel_case(members: dict[str, Any]) -> dict[str, Any]:
    """Return a role as the stack's configuration spells it."""
    return {re.sub("_(.)", lambda found: found[1].upper(), name): value for name, value in members.items()}


def web_identity(world: World, **more: Any) -> dict[str, Any]:
    world.accounts.web_identity_tokens = {"the-token"}
    return {"assumeRoleWithWebIdentity": {"roleArn": ROLE, **more}}


def config_file(world: World) -> dict[str, Any]:
    return {"sharedConfigFiles": [world.write("own", f"[default]\n{KEYS('AKIASTACK')}")]}


def credentials_file(world: World) -> dict[str, Any]:
    return {"sharedCredentialsFiles": [world.write("own", f"[default]\n{KEYS('AKIASTACK')}")]}


def metadata_service(world: World) -> dict[str, Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        world.patch.delenv(name)
    return {"ec2MetadataServiceEndpoint": world.accounts.endpoint, "ec2MetadataServiceEndpointMode": "IPv4"}


def profile(world: World, name: str, text: str) -> dict[str, Any]:
    world.write_profiles(f"[profile {name}]\n{text}")
    return {"profile": name}


def plain_proxy(world: World, **more: Any) -> dict[str, Any]:
    names = {name: f"http://{name}.test" for name in ("licensemanager", "sts", "ec2")}
    return {"endpoints": names, "httpProxy": world.accounts.endpoint, **more}


def tunnel(world: World, **more: Any) -> dict[str, Any]:
    """Return what leads all that is meant for AWS itself to the accounts, by TLS."""
    hosts = ["*.eu-west-1.amazonaws.com", "*.eu-west-1.api.aws"]
    certificate = write_certificate(world.folder / "own.pem", hosts)
    world.accounts.tunnel = make_context(certificate)
    return {"endpoints": None, "httpsProxy": world.accounts.endpoint, "customCaBundle": str(certificate), **more}


def unreachable_proxy(world: World) -> dict[str, Any]:
    world.patch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    world.patch.setenv("http_proxy", "http://127.0.0.1:1")
    return {"noProxy": "127.0.0.0/8"}


def has_sent_role(world: World) -> None:
    assumed = world.accounts.requests_of("AssumeRole")
    assert assumed
    assert all(request.parameters == SENT_ROLE for request in assumed)


def has_chain(world: World) -> None:
    assumed = [(request.account, request.parameters["RoleArn"]) for request in world.accounts.requests_of("AssumeRole")]
    assert set(assumed) == {(HOME, THIRD_ROLE), (THIRD, ROLE)}


def has_other_region_of_sts(world: World) -> None:
    asked = {request.operation: request.region for request in world.accounts.requests if request.service == "sts"}
    assert asked == {"AssumeRole": "us-west-2", "GetCallerIdentity": "us-west-2"}


def was_asked(operation: str, **expected: Any) -> Callable[[World], None]:
    """Return what checks that all requests of an operation, of which there are some, are like this."""

    def check(world: World) -> None:
        found = world.accounts.requests_of(operation)
        assert found
        for name, value in expected.items():
            assert {getattr(request, name) for request in found} == {value}

    return check


def went_to(host: str, *, by_proxy: bool = True) -> Callable[[World], None]:
    """Return what checks which host License Manager was asked as."""

    def check(world: World) -> None:
        assert {(request.host, request.by_proxy) for request in world.sent} == {(host, by_proxy)}

    return check


def one_identity_a_process(world: World) -> None:
    # The plugin's process and the program's, whose look-ups have a connection of their own.
    assert len(world.accounts.requests_of("GetCallerIdentity")) == 2
    first = {request.access_key: request.operation for request in reversed(world.accounts.requests)}
    assert first == {ACCESS_KEY: "GetCallerIdentity"}


def has_user_agent(world: World) -> None:
    assert all(re.search(r" lmconv-resource/[\w.]+ tool/1\.0$", request.user_agent) for request in world.sent)


def nothing(_: World) -> None: ...


SETTINGS: dict[str, tuple[Callable[[World], dict[str, Any]], str, Callable[[World], None]]] = {
    "environment": (lambda _: {}, HOME, nothing),
    "keys": (lambda _: {"accessKey": "AKIATOKEN", "secretKey": "sk", "token": "tok"}, STACK, nothing),
    "profile": (lambda world: profile(world, "work", KEYS("AKIASTACK")), STACK, nothing),
    "assumeRoles": (lambda _: {"assumeRoles": [to_camel_case(FULL_ROLE)]}, OTHER, has_sent_role),
    "assumeRole": (lambda _: {"assumeRole": to_camel_case(FULL_ROLE)}, OTHER, has_sent_role),
    "chain": (
        lambda _: {"assumeRoles": [{"roleArn": THIRD_ROLE}, {"roleArn": ROLE}]},
        OTHER,
        has_chain,
    ),
    "a profile's role and its settings": (
        lambda world: {
            **profile(world, "work", f"{KEYS('AKIASTACK')}endpoint_url = {world.accounts.endpoint}\n"),
            "endpoints": None,
            "assumeRoles": [{"roleArn": ROLE}],
        },
        OTHER,
        was_asked("AssumeRole", account=STACK),
    ),
    "web identity's token": (
        lambda world: web_identity(world, webIdentityToken="the-token"),
        OTHER,
        was_asked("AssumeRoleWithWebIdentity", access_key=""),
    ),
    "web identity's file": (
        lambda world: web_identity(
            world,
            webIdentityTokenFile=world.write("token", "the-token"),
            sessionName="ci",
            duration="15m",
            policy="{}",
            policyArns=["arn:aws:iam::aws:policy/A"],
        ),
        OTHER,
        was_asked("AssumeRoleWithWebIdentity", access_key=""),
    ),
    "sharedConfigFiles": (config_file, STACK, nothing),
    "sharedCredentialsFiles": (credentials_file, STACK, nothing),
    "allowedAccountIds": (lambda _: {"allowedAccountIds": [HOME, STACK]}, HOME, one_identity_a_process),
    "forbiddenAccountIds": (lambda _: {"forbiddenAccountIds": [STACK]}, HOME, one_identity_a_process),
    "metadata service": (metadata_service, INSTANCE, was_asked("GetMetadata")),
    "stsRegion": (
        lambda _: {"stsRegion": "us-west-2", "assumeRoles": [{"roleArn": ROLE}]},
        OTHER,
        has_other_region_of_sts,
    ),
    "httpProxy": (plain_proxy, HOME, went_to("licensemanager.test")),
    "httpsProxy and customCaBundle": (tunnel, HOME, went_to("license-manager.eu-west-1.amazonaws.com")),
    "useFipsEndpoint": (
        lambda world: tunnel(world, useFipsEndpoint=True),
        HOME,
        went_to("license-manager-fips.eu-west-1.amazonaws.com"),
    ),
    "useDualstackEndpoint": (
        lambda world: tunnel(world, useDualstackEndpoint=True),
        HOME,
        went_to("license-manager.eu-west-1.api.aws"),
    ),
    "noProxy": (unreachable_proxy, HOME, nothing),
    "userAgents": (lambda _: {"userAgents": ["tool/1.0"]}, HOME, has_user_agent),
}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_holds_for_everything(local: World, name: str) -> None:
    """Each setting that is honoured reaches both resources and all look-ups: by what was sent, how and where."""
    local.accounts.add_user(STACK, "AKIATOKEN", token="tok")
    make, account, check = SETTINGS[name]
    settings = make(local)
    local.add_tasks(account)
    local.configure(*everything(account), **settings)
    outcome = local.stack.up()
    assert outcome.ok, outcome.said
    check_everything(local, outcome, account)
    check(local)


def check_everything(world: World, outcome: Outcome, account: str) -> None:
    """Check that all of `everything` was done, in this account and no other."""
    assert outcome.outputs["listed"] == ["lct-listed"]
    assert outcome.outputs["seen"] == outcome.outputs["seen-later"] == "IN_PROGRESS"
    assert {f"lct-{name}" for name in NAMES} <= set(outcome.outputs["listed-later"])
    assert {(request.account, request.region) for request in world.sent} == {(account, REGION)}
    assert len(world.accounts.requests_of("CreateLicenseConversionTaskForResource")) == 1
    looked_up = {
        r.parameters["LicenseConversionTaskId"] for r in world.accounts.requests_of("GetLicenseConversionTask")
    }
    assert {"lct-task", "lct-read", "lct-seen", "lct-later"} <= looked_up
