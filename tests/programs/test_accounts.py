"""Who calls, and where: whole programs against an AWS that keeps accounts apart and notes how it was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.aws_accounts import AwsAccounts, Request, serve_accounts
from support.certificates import make_context, write_certificate
from support.proofs import keep
from support.stacks import ON_BOTH_ENGINES, LocalStack, Outcome, RealStack, Stack
from support.wire import ACCESS_KEY

REGION = "eu-west-1"
HOME, STACK, OTHER, THIRD = (digit * 12 for digit in "1234")
"""The accounts of the environment, of the stack's settings, and of two roles."""
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
    return given if "polcyArns" in given else lm.AssumeRoleArgs(**given)


for row in config.require_object("spec"):
    kind, name, given = row.pop("kind"), row.pop("name"), row
    secret, unknown = given.pop("secret", ()), given.pop("unknown", False)
    is_shown = given.pop("is_shown", False)
    if kind == "conversion":
        given |= {n: {"usage_operation": f"RunInstances:{code}"} for n, code in zip(CONTEXTS, ("0800", "0002"))}
        given |= {n: lm.LicenseContextArgs(**given[n]) for n in CONTEXTS}
    given |= {n: pulumi.Output.secret(given[n]) for n in secret if n != "assume_role"}
    if unknown:  # what waits for another resource is known to no preview
        before = lm.LicenseConversionTask(f"{name}-before", license_conversion_task_id="lct-later", region="eu-west-1")
    if unknown == "resource_arn":
        given["resource_arn"] = before.resource_arn
    elif unknown:
        arn = before.is_complete.apply(lambda _, arn=given["assume_role"]["role_arn"]: arn)
        given["assume_role"] = given["assume_role"] | {"role_arn": arn}
    if "assume_role" in secret:
        external_id = pulumi.Output.secret(given["assume_role"]["external_id"])
        given["assume_role"] = given["assume_role"] | {"external_id": external_id}
    if "assume_role" in given:
        given["assume_role"] = to_role(given["assume_role"])
    if kind == "conversion":
        made = lm.LicenseConversion(name, **given)
        if is_shown:
            pulumi.export("is-none", made.verified_usage_operation.apply(lambda operation: operation is None))
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


@pytest.fixture(params=ON_BOTH_ENGINES)
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


# -- the stack's settings ----------------------------------------------------------------------------------------------


def tunnel(world: World) -> dict[str, Any]:
    """Return what leads all that is meant for AWS itself to the accounts, by TLS."""
    certificate = write_certificate(world.folder / "own.pem", ["*.eu-west-1.amazonaws.com"])
    world.accounts.tunnel = make_context(certificate)
    return {"endpoints": None, "httpsProxy": world.accounts.endpoint, "customCaBundle": str(certificate)}


def test_the_stacks_settings_hold_for_everything(local: World) -> None:
    """Who calls, whose account it is and where: both resources and all look-ups, by what was sent, how and where.

    `tests/aws/test_credentials.py` has every setting.
    """
    local.accounts.web_identity_tokens = {"the-token"}
    identity = {"roleArn": ROLE, "webIdentityTokenFile": local.write("token", "the-token")}
    local.add_tasks(OTHER)
    local.configure(
        *everything(OTHER), assumeRoleWithWebIdentity=identity, allowedAccountIds=[OTHER, STACK], **tunnel(local)
    )
    outcome = local.stack.up()
    assert outcome.ok, outcome.said
    check_everything(local, outcome, OTHER)
    assert {(each.host, each.by_proxy) for each in local.sent} == {("license-manager.eu-west-1.amazonaws.com", True)}
    assert {each.access_key for each in local.accounts.requests_of("AssumeRoleWithWebIdentity")} == {""}
    # The plugin's process and the program's, whose look-ups have a connection of their own.
    assert len(local.accounts.requests_of("GetCallerIdentity")) == 2


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


# -- a resource's own way ----------------------------------------------------------------------------------------------


def test_a_resource_has_its_own_way(local: World) -> None:
    """`profile` and `assume_role` hold for both resources and all look-ups, over the stack's own keys."""
    own = {"profile": "work", "assume_role": {"role_arn": ROLE, "external_id": "ext", "tags": {"team": "licenses"}}}
    local.write_profiles(f"[profile work]\n{KEYS('AKIASTACK')}")
    local.add_tasks(OTHER)
    local.configure(*everything(OTHER, **own))
    outcome = local.stack.up()
    assert outcome.ok, outcome.said
    check_everything(local, outcome, OTHER)
    sent = {"RoleArn": ROLE, "RoleSessionName": "lmconv-resource", "ExternalId": "ext"}
    tags = {"Tags.member.1.Key": "team", "Tags.member.1.Value": "licenses"}
    assumed = local.accounts.requests_of("AssumeRole")
    assert assumed
    assert all((each.account, each.parameters) == (STACK, {**sent, **tags}) for each in assumed)


@pytest.mark.proof
def test_another_way_replaces_nothing_and_is_used_from_then_on(world: World) -> None:
    """Another profile or role is an update; what is asked afterwards, by a refresh too, goes the new way."""
    world.write_profiles(f"[profile work]\n{KEYS('AKIASTACK')}")
    world.configure(conversion(HOME), task())
    world.add_tasks(HOME)
    assert world.stack.up().ok
    before = {name: resource["id"] for name, resource in world.stack.resources().items()}
    task_id = before["conversion"]
    ways: list[tuple[str, dict[str, Any]]] = [
        (STACK, {"profile": "work"}),
        (OTHER, {"profile": "work", "assume_role": {"role_arn": ROLE}}),
        (THIRD, {"assume_role": [{"role_arn": ROLE}, {"role_arn": THIRD_ROLE}]}),
        (HOME, {}),
    ]
    for account, own in ways if isinstance(world.stack, LocalStack) else ways[1:2]:
        world.add_tasks(account)
        world.accounts.add_task(account, REGION, task_id, ResourceArn=arn_of(HOME), StartTime=1700000000)
        world.configure(conversion(HOME, **own), task(**own))
        outcome = world.stack.up()
        assert outcome.changes == {"same": 1, "update": 2}, outcome.said
        assert {name: resource["id"] for name, resource in world.stack.resources().items()} == before
        assert world.stack.up().changes == {"same": 3}
        world.accounts.requests.clear()
        assert world.stack.refresh().ok
        assert {request.account for request in world.sent} == {account}
    assert world.accounts.requests_of("CreateLicenseConversionTaskForResource") == []
    assert world.stack.destroy().ok


@pytest.mark.proof
def test_a_role_that_a_preview_cannot_know(world: World) -> None:
    """A role that another resource makes passes the preview, which asks nobody with other credentials, and is used."""
    world.configure(conversion(HOME), task())
    world.add_tasks(HOME)
    assert world.stack.up().ok
    world.accounts.requests.clear()
    own = {"assume_role": {"role_arn": ROLE, "external_id": "ext"}, "unknown": True}
    new = {"kind": "task", "name": "new", "license_conversion_task_id": "lct-seen"}
    world.configure(conversion(HOME, **own), task(**own), {**new, **own})
    preview = world.stack.preview()
    assert preview.ok, preview.said
    assert preview.changes["update"] == 2
    assert {request.account for request in world.sent} <= {HOME}
    assert {request.parameters["LicenseConversionTaskId"] for request in world.sent} <= {"lct-later"}
    world.accounts.requests.clear()
    world.add_tasks(OTHER)
    task_id = world.stack.resources()["conversion"]["id"]
    world.accounts.add_task(OTHER, REGION, task_id, ResourceArn=arn_of(HOME), StartTime=1700000000)
    outcome = world.stack.up()
    assert outcome.ok, outcome.said
    assert world.stack.resources()["new"]["id"] == "lct-seen"
    asked = {(request.account, request.parameters["LicenseConversionTaskId"]) for request in world.sent}
    assert asked - {(HOME, "lct-later")} == {(OTHER, one) for one in ("lct-seen", "lct-task", task_id)}


# -- refusals ----------------------------------------------------------------------------------------------------------


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "insecure": ({"insecure": True}, "aws:insecure is true"),
    "a misspelt setting": ({"allowedAccountId": ["999999999999"]}, "'aws:allowedAccountId' is not a setting"),
    "no JSON": ({"allowedAccountIds": "[111"}, "aws:allowedAccountIds is not a list of account ids"),
    "no region of AWS": ({"stsRegion": "mars-east-1", "endpoints": None}, "mars-east-1 is not an AWS region"),
}
"""One of each sort, and what its line says; `tests/aws/test_settings.py` has every refusal, to the letter."""


@pytest.mark.parametrize("name", keep(["no JSON"], REFUSED))
def test_a_setting_that_cannot_be_honoured_is_a_line(local: World, name: str) -> None:
    """Under each resource that is managed, in preview and up; a read and a look-up say it too. Nothing is sent."""
    config, told = REFUSED[name]
    for row in everything(HOME):
        local.configure(row, **config)
        is_managed = row["kind"] in ("conversion", "task")
        if row["kind"] == "get" and name == "no region of AWS":  # which a preview does not ask
            continue
        for run in (local.stack.preview, local.stack.up)[: 2 if is_managed else 1]:
            outcome = run()
            assert not outcome.ok
            assert told in "\n".join(texts(outcome))
            if is_managed:
                (line,) = outcome.errors(row["name"])
                assert f"has a problem: {CONNECTING}: {told}" in line
    assert local.accounts.requests == []


def problems(outcome: Outcome, name: str) -> list[str]:
    """Return the reasons of a resource's check failures."""
    assert not outcome.ok
    return [re.sub(r"^.*resource '[a-z]*' has a problem: ", "", line) for line in outcome.errors(name)]


# -- what the environment says -----------------------------------------------------------------------------------------


def stale_profile(world: World) -> dict[str, Any]:
    world.patch.setenv("AWS_PROFILE", "nobody")
    world.write_profiles(f"[profile work]\n{KEYS('AKIASTACK')}")
    return {"profile": "work"}


def newer_settings(world: World) -> dict[str, Any]:
    services = ("licensemanager", "sts", "ec2", "mainframe")
    return {"newestMode": "on", "endpoints": dict.fromkeys(services, world.accounts.endpoint)}


def without_keys(world: World) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        world.patch.delenv(name)


def broken_keys(world: World) -> dict[str, Any]:
    world.patch.setenv("AWS_SHARED_CREDENTIALS_FILE", world.write("keys", "[default]\nsecret-of-mine\n"))
    return {"profile": "work"}


def untrusted(world: World) -> dict[str, Any]:
    return {**tunnel(world), "customCaBundle": None}


ENVIRONMENT: dict[str, tuple[Callable[[World], dict[str, Any] | None], str]] = {
    "an empty AWS_PROFILE": (lambda world: world.patch.setenv("AWS_PROFILE", ""), ""),
    "an AWS_PROFILE that is not there, beside the stack's": (stale_profile, ""),
    "an AWS_PROFILE that is not there": (
        lambda world: world.patch.setenv("AWS_PROFILE", "nobody"),
        "The config profile (nobody) could not be found. Check the resource's profile, aws:profile",
    ),
    "a file that is none": (broken_keys, "keys can't be read: line 2 is not KEY = VALUE. Correct the file"),
    "settings of a later pulumi-aws": (newer_settings, ""),
    "no credentials": (without_keys, "Unable to locate credentials. Set credentials with"),
    "a certificate of nobody": (untrusted, "`pulumi config set aws:customCaBundle FILE`"),
}
"""What a shell or a file says beside the settings that count, and what the line under the resource has of it."""


@pytest.mark.parametrize("name", keep(["an empty AWS_PROFILE", "a file that is none", "no credentials"], ENVIRONMENT))
def test_what_the_environment_says_is_a_line_and_no_traceback(world: World, name: str) -> None:
    """Both end well where it does not count, and else with the same line; a bad certificate is met by a call."""
    make, told = ENVIRONMENT[name]
    settings = make(world) or {}
    world.add_tasks(STACK if settings.get("profile") and not told else HOME)
    world.configure(task(), **settings)
    preview, up = world.stack.preview(), world.stack.up()
    assert [preview.ok, up.ok] == [not told or name == "a certificate of nobody", not told], (preview.said, up.said)
    for outcome in (preview, up):
        # The real engine interrupts a program whose resource has failed, and Pulumi's own SDK says where that was.
        ours = [line for line in outcome.said if line[1] not in ("debug", "info#err")]
        assert "Traceback" not in json.dumps([ours, outcome.shown])
        assert not any("/lmconv_resource/" in text for _, severity, text in outcome.said if severity == "info#err")
        assert "secret-of-mine" not in json.dumps([outcome.said, outcome.shown])
        assert outcome.ok or told in "\n".join(outcome.errors("task"))
    if "newestMode" in settings:
        assert any("'aws:newestMode' is not known" in text for _, severity, text in up.said if severity == "info")


# -- whose account -----------------------------------------------------------------------------------------------------


def test_credentials_of_an_account_that_is_not_allowed(world: World) -> None:
    """The preview says so; only sts:GetCallerIdentity is sent, once a connection, and the line names both accounts."""
    config = {"allowedAccountIds": [STACK, OTHER]}
    line = f"{CONNECTING} in eu-west-1: the credentials belong to account {HOME} (AWS_ACCESS_KEY_ID), and aws:allowed"
    world.add_tasks(HOME)
    # The real engine takes its time: there a resource and a look-up stand for all.
    is_local = isinstance(world.stack, LocalStack)
    for row in (conversion(HOME, preflight=True), task(), everything(HOME)[2])[: 3 if is_local else 1]:
        for run in (world.stack.preview, world.stack.up):
            world.accounts.requests.clear()
            world.configure(row, **config)
            (problem,) = problems(run(), row["name"])
            assert problem.startswith(line)
            assert [request.operation for request in world.accounts.requests] == ["GetCallerIdentity"]
    world.accounts.requests.clear()
    for row in everything(HOME)[3 : None if is_local else 4]:
        world.configure(row, **config)
        outcome = world.stack.up()
        assert not outcome.ok
        assert line in "\n".join(texts(outcome))
    # LocalEngine runs all programs in this process, whose look-ups share a connection.
    assert [request.operation for request in world.accounts.requests] == ["GetCallerIdentity"]


def test_a_start_needs_credentials_of_the_instances_account(world: World) -> None:
    """The caller's account is compared with the ARN's, in the preview too, and nothing is started."""
    line = (
        f"Starting the license conversion of {arn_of(OTHER)} in eu-west-1: the credentials belong to account {HOME} "
        f"(AWS_ACCESS_KEY_ID), the instance to {OTHER}. Use credentials of the instance's account: set `profile` or "
        "`assume_role`, or the stack's own."
    )
    world.configure(conversion(OTHER))
    for run in (world.stack.preview, world.stack.up):
        assert problems(run(), "conversion") == [line]
    read = {"GetCallerIdentity", "ListLicenseConversionTasks", "DescribeInstances", "DescribeTags"}
    assert {request.operation for request in world.accounts.requests} <= read


def test_a_start_does_not_guess_where_sts_has_a_fault(local: World) -> None:
    """An STS that answers is asked again, and nothing is started before it has said whose the credentials are."""
    left = iter(range(3))

    def fail(request: Request) -> None:
        local.accounts.break_next = request.operation == "GetCallerIdentity" and next(left, None) is not None

    local.accounts.on_request = fail
    local.configure(conversion(HOME), maxRetries=1)
    assert local.stack.up().ok
    asked = [request.operation for request in local.accounts.requests]
    start = asked.index("CreateLicenseConversionTaskForResource")
    assert asked[:start].count("GetCallerIdentity") == 4


def test_the_region_of_an_arn_that_no_preview_knows_is_unknown_too(world: World) -> None:
    """Neither missing nor a shell's: the ARN says it in the update. Wrong settings are said already."""
    world.patch.setenv("AWS_REGION", "us-east-1")
    world.accounts.add_task(HOME, REGION, "lct-later", ResourceArn=arn_of(HOME), Status="SUCCEEDED")
    world.configure(conversion(HOME, unknown="resource_arn"), insecure=True, region=None)
    assert not world.stack.preview().ok
    world.configure(conversion(HOME, unknown="resource_arn"), region=None)
    assert world.stack.preview().ok
    assert world.stack.up().ok
    assert world.stack.resources()["conversion"]["outputs"]["region"] == REGION


def test_a_start_goes_on_where_sts_cannot_be_reached(world: World) -> None:
    """In a closed network the account is not checked, which one line says."""
    endpoints = {"licensemanager": world.accounts.endpoint, "ec2": world.accounts.endpoint, "sts": "http://127.0.0.1:1"}
    world.configure(conversion(HOME), endpoints=endpoints)
    outcome = world.stack.up()
    assert outcome.ok, outcome.said
    assert (
        'The account of the credentials was not checked: Could not connect to the endpoint URL: "http://127.0.0.1:1/".'
    ) in outcome.lines("conversion", "info")


# -- where -------------------------------------------------------------------------------------------------------------


@pytest.mark.proof
def test_a_shells_region_replaces_nothing(world: World) -> None:
    """A region that neither program nor stack names is the one recorded, whatever AWS_REGION says next time."""
    world.add_tasks(HOME)
    world.patch.setenv("AWS_REGION", REGION)
    world.configure(task(), conversion(HOME), region=None)
    assert world.stack.up().ok
    before = world.stack.resources()
    world.patch.setenv("AWS_REGION", "us-east-1")
    assert world.stack.preview().changes == {"same": 3}
    assert world.stack.up().changes == {"same": 3}
    assert world.stack.refresh().ok
    after = world.stack.resources()
    assert {name: after[name]["outputs"].get("region") for name in after} == {
        name: before[name]["outputs"].get("region") for name in before
    }
    assert {request.region for request in world.sent} == {REGION}


def test_a_list_is_asked_in_the_region_of_the_arns(local: World) -> None:
    """The ARNs of a list say where; those of several regions are an error, because one list would hide the others."""
    arn = arn_of(HOME, "us-east-1")
    local.accounts.add_task(HOME, "us-east-1", "lct-far", ResourceArn=arn)
    row = {"kind": "list", "name": "listed", "resource_arns": [arn]}
    local.configure(row)
    assert local.stack.up().outputs == {"listed": ["lct-far"]}
    for wrong in ({**row, "region": REGION}, {**row, "resource_arns": [arn_of(HOME), arn]}):
        local.configure(wrong)
        (line,) = texts(local.stack.up())
        assert f"{CONNECTING}: region eu-west-1 is not that of all resource_arns: one is in us-east-1. Ask for" in line


# -- credentials that change -------------------------------------------------------------------------------------------


def test_a_refresh_tells_how_to_take_another_profile_of_the_resource(local: World) -> None:
    """What the record holds of the resource's own way is replaced by an update only."""
    local.add_tasks(STACK)
    local.write_profiles(f"[profile work]\n{KEYS('AKIASTACK')}")
    local.configure(task(profile="work"))
    assert local.stack.up().ok
    local.write_profiles("")
    (line,) = local.stack.refresh().errors("task")
    assert line.endswith(
        " A refresh and a destroy use the settings of the last `pulumi up`: run `pulumi refresh --run-program` to use "
        "the present ones, and `pulumi up` after a change of the resource's profile or assume_role."
    )


# -- what stays secret -------------------------------------------------------------------------------------------------


def without_secrets(value: Any) -> Any:
    """Return a state with all that is marked as secret left out."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return None
        return {name: without_secrets(each) for name, each in value.items()}
    return [without_secrets(each) for each in value] if isinstance(value, list) else value


def stored(world: World) -> str:
    """Return all that a stack's state has in clear."""
    file = world.folder.parent / "stack" / "state.json"
    if isinstance(world.stack, RealStack):
        resources = json.loads(world.stack.exported()).get("resources") or []
    else:
        resources = json.loads(file.read_text())["resources"] if file.exists() else []
    # Pulumi's own record of the stack's settings has what was not set as a secret, the program of this test among it.
    return json.dumps(without_secrets([one for one in resources if not one["type"].startswith("pulumi:providers:")]))


@pytest.mark.proof
def test_a_secret_stays_secret_everywhere(world: World) -> None:
    """A secret ARN, context, profile and external id stand nowhere in clear: in no record and in no line.

    Nor does what EC2 says of the instance afterwards.
    """
    world.patch.setenv("LMCONV_LOG", "DEBUG")
    world.accounts.is_quick = True
    names = ["resource_arn", "source_license_context", "destination_license_context", "profile", "assume_role"]
    world.write_profiles(f"[profile work-of-mine]\n{KEYS('AKIASTACK')}")
    own = {"profile": "work-of-mine", "assume_role": {"role_arn": ROLE, "external_id": "keep-this-quiet"}}
    row = conversion(OTHER, wait_for_completion=True, **own)
    hidden = ["i-0333", "RunInstances:0800", "RunInstances:0002", "Windows", "work-of-mine", "keep-this-quiet"]

    def check(outcome: Outcome, *, ok: bool = True) -> Outcome:
        ours = [line for line in outcome.said if not line[2].startswith(("registering resource", "preparing resource"))]
        assert outcome.ok is ok, outcome.said
        text = json.dumps([ours, outcome.shown, stored(world)])
        assert [one for one in hidden if one in text] == []
        return outcome

    world.configure({**row, "secret": names})
    check(world.stack.preview())
    check(world.stack.up())
    assert world.stack.resources()["conversion"]["outputs"]["status"] == "SUCCEEDED"
    world.accounts.usage_operations[arn_of(OTHER)] = "RunInstances:0800"  # which a refresh warns of
    check(world.stack.refresh())
    assert check(world.stack.up()).changes == {"same": 2}
    world.write_profiles("")
    check(world.stack.refresh(), ok=False)
    check(world.stack.destroy())
    # The engine shows the value of a property that a check failure names.
    for wrong in (
        {"resource_arn": "arn:aws:ec2:eu-west-1:333333333333:volume/i-0333"},
        {"assume_role": {"role_arn": ROLE, "duration": "1s", "external_id": "keep-this-quiet"}},
        {"destination_license_context": {"usage_operation": ""}},
    ):
        world.configure({**row, **wrong, "secret": names})
        check(world.stack.preview(), ok=False)
    world.write_profiles(f"[profile work-of-mine]\n{KEYS('AKIASTACK')}")
    world.configure({**row, "name": "in-clear"})
    assert world.stack.up().ok
    assert all(one in json.dumps(world.stack.resources()["in-clear"]) for one in hidden if one != "Windows")


def test_what_ec2_has_not_said_is_none_in_secret_too(local: World) -> None:
    """The mark that makes it a secret is no value: a preview knows none, and without EC2's word there is none."""
    row = conversion(HOME, secret=["destination_license_context"], is_shown=True)
    local.configure(row)
    preview = local.stack.preview()
    assert preview.ok
    assert preview.outputs.get("is-none") is not True
    assert local.stack.up().outputs == {"is-none": True}


def test_what_an_older_version_recorded_in_clear_is_hidden_by_the_next_update(local: World) -> None:
    """The record of what was asked for stood in clear; without secrets nothing is rewritten."""
    local.accounts.is_quick = True
    for secret, changes in ((["resource_arn"], {"update": 1, "same": 1}), ([], {"same": 2})):
        local.configure({**conversion(HOME), "secret": secret})
        assert local.stack.up().ok
        file = local.folder.parent / "stack" / "state.json"
        state = json.loads(file.read_text())
        (resource,) = [one for one in state["resources"] if one["urn"].endswith("::conversion")]
        for bag in (resource["inputs"], resource["outputs"]):
            bag.pop("__secrets", None)
        resource["inputs"].pop("__request")
        resource["outputs"]["__request"] = {"resource_arn": arn_of(HOME)}
        file.write_text(json.dumps(state))
        assert local.stack.up().changes == changes
        assert (arn_of(HOME) in stored(local)) is (not secret)
        assert local.stack.destroy().ok


# -- an explicit provider ----------------------------------------------------------------------------------------------

WITH_PROVIDER = """
import pulumi
import lmconv_resource as lm

class Aws(pulumi.ProviderResource):
    def __init__(self):
        super().__init__("aws", "of-mine", {})

class Group(pulumi.ComponentResource):
    def __init__(self, **opts):
        super().__init__("test:index:Group", "group", opts=pulumi.ResourceOptions(**opts))

aws = Aws()
how, way = pulumi.Config().require("how"), pulumi.Config().get_object("way") or {}
makes = {
    "provider": lambda: {"provider": aws},
    "providers": lambda: {"providers": [aws]},
    "by name": lambda: {"providers": {"aws": aws}},
    "parent": lambda: {"parent": Group(providers=[aws])},
    "grandparent": lambda: {"parent": Group(parent=Group(providers={"aws": aws}))},
}
if pulumi.Config().get("look_up"):
    opts = pulumi.InvokeOptions(**makes[how]())
    lm.get_license_conversion_task_output("lct-1", opts=opts, **way)
else:
    opts = pulumi.ResourceOptions(**makes[how]())
    lm.LicenseConversionTask("task", license_conversion_task_id="lct-1", opts=opts, **way)
"""


def run_with_provider(tmp_path: Path, how: str, **config: str) -> Outcome:
    """Return the preview of a program that gives an aws.Provider."""
    stack = LocalStack(tmp_path / "stack", WITH_PROVIDER)
    nowhere = {"aws:endpoints": json.dumps({"licensemanager": "http://127.0.0.1:1"}), "aws:maxRetries": "0"}
    own = {f"followed:{key}": value for key, value in {"how": how, **config}.items()}
    stack.config = {"aws:region": REGION, **nowhere, **own}
    return stack.preview()


NOT_HANDED_ON = (
    r"task: opts\.provider and opts\.providers do not reach this resource\. Pass region, profile or assume_role to it, "
    r"or set the stack's aws: settings\."
)
OF_THE_PARENT = (
    r"(task|A look-up): the aws\.Provider of its parent does not reach this (resource|look-up)\. Pass profile or "
    r"assume_role to it, or assume_role=\[\] where the stack's aws: settings are meant\."
)


@pytest.mark.parametrize(
    ("how", "config", "told"),
    [
        *((how, {}, NOT_HANDED_ON) for how in ("provider", "providers", "by name")),
        *((how, config, OF_THE_PARENT) for how in ("parent", "grandparent") for config in ({}, {"look_up": "yes"})),
    ],
)
def test_an_explicit_provider_is_refused(
    tmp_path: Path, accounts: AwsAccounts, how: str, config: dict[str, str], told: str
) -> None:
    """A provider that Pulumi would not hand on is an error that says what to pass instead, and with that it is none."""
    outcome = run_with_provider(tmp_path, how, **config)
    assert not outcome.ok
    assert re.search(told, "\n".join(texts(outcome)))
    ways: list[dict[str, Any]] = [{"assume_role": []}, {"profile": "work"}]
    for way in ways if told == OF_THE_PARENT else ():
        outcome = run_with_provider(tmp_path, how, way=json.dumps(way), **config)
        assert "aws.Provider" not in "\n".join(texts(outcome))
