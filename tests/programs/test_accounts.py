"""Who calls, and where: whole programs against an AWS that keeps accounts apart and notes how it was asked."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.aws_accounts import HOME, OTHER, STACK, THIRD, AwsAccounts, Request
from support.certificates import make_context, write_certificate
from support.stacks import ON_BOTH_ENGINES, LocalStack, Outcome, RealStack, Stack, without_secrets

REGION = "eu-west-1"
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


def to_shown(found):
    return [task.license_conversion_task_id for task in found] if isinstance(found, list) else found.status


makes = {"conversion": lm.LicenseConversion, "task": lm.LicenseConversionTask, "get": lm.LicenseConversionTask.get}
looks_up = {
    "look_up": lm.get_license_conversion_task,
    "look_up_output": lm.get_license_conversion_task_output,
    "list": lm.get_license_conversion_tasks,
    "list_output": lm.get_license_conversion_tasks_output,
}


for row in config.require_object("spec"):
    kind, name, given = row.pop("kind"), row.pop("name"), row
    secret, is_shown = given.pop("secret", ()), given.pop("is_shown", False)
    if kind == "conversion":
        given |= {n: {"usage_operation": f"RunInstances:{code}"} for n, code in zip(CONTEXTS, ("0800", "0002"))}
        given |= {n: lm.LicenseContextArgs(**given[n]) for n in CONTEXTS}
    given |= {n: pulumi.Output.secret(given[n]) for n in secret if n != "assume_role"}
    if "assume_role" in secret:
        external_id = pulumi.Output.secret(given["assume_role"]["external_id"])
        given["assume_role"] = given["assume_role"] | {"external_id": external_id}
    if "assume_role" in given:
        given["assume_role"] = to_role(given["assume_role"])
    if kind in makes:
        made = makes[kind](name, **given)
    else:
        found = looks_up[kind](**given)
        pulumi.export(name, found.apply(to_shown) if isinstance(found, pulumi.Output) else to_shown(found))
    if is_shown:
        pulumi.export("is-none", made.verified_usage_operation.apply(lambda operation: operation is None))
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
def local(tmp_path: Path, accounts: AwsAccounts, monkeypatch: pytest.MonkeyPatch) -> World:
    """A stack on LocalEngine."""
    (tmp_path / "files").mkdir()
    return World(LocalStack(tmp_path / "stack", PROGRAM), accounts, tmp_path / "files", monkeypatch)


@pytest.fixture(params=ON_BOTH_ENGINES)
def world(request: pytest.FixtureRequest, tmp_path: Path, local: World) -> World:
    """A stack on each engine."""
    if request.param == "real":
        local.stack = RealStack(tmp_path, PROGRAM)
    return local


def test_the_stacks_settings_hold_for_everything(local: World) -> None:
    """Who calls, whose account it is and where: both resources and all look-ups, by what was sent, how and where.

    `tests/aws/test_credentials.py` has every setting.
    """
    certificate = write_certificate(local.folder / "own.pem", ["*.eu-west-1.amazonaws.com"])
    local.accounts.tunnel = make_context(certificate)
    local.accounts.web_identity_tokens = {"the-token"}
    local.add_tasks(OTHER)
    local.configure(
        *everything(OTHER),
        assumeRoleWithWebIdentity={"roleArn": ROLE, "webIdentityTokenFile": local.write("token", "the-token")},
        allowedAccountIds=[OTHER, STACK],
        endpoints=None,
        httpsProxy=local.accounts.endpoint,
        customCaBundle=str(certificate),
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


def test_another_way_replaces_nothing_and_is_used_from_then_on(local: World) -> None:
    """Another profile or role is an update; what is asked afterwards, by a refresh too, goes the new way."""
    local.write_profiles(f"[profile work]\n{KEYS('AKIASTACK')}")
    local.configure(conversion(HOME), task())
    local.add_tasks(HOME)
    assert local.stack.up().ok
    before = {name: resource["id"] for name, resource in local.stack.resources().items()}
    ways: list[tuple[str, dict[str, Any]]] = [
        (OTHER, {"profile": "work", "assume_role": {"role_arn": ROLE}}),
        (THIRD, {"assume_role": [{"role_arn": ROLE}, {"role_arn": THIRD_ROLE}]}),
        (HOME, {}),
    ]
    for account, own in ways:
        local.add_tasks(account)
        started = before["conversion"]  # which each of the accounts has
        local.accounts.add_task(account, REGION, started, ResourceArn=arn_of(HOME), StartTime=1700000000)
        local.configure(conversion(HOME, **own), task(**own))
        outcome = local.stack.up()
        assert outcome.changes == {"same": 1, "update": 2}, outcome.said
        assert {name: resource["id"] for name, resource in local.stack.resources().items()} == before
        assert local.stack.up().changes == {"same": 3}
        local.accounts.requests.clear()
        assert local.stack.refresh().ok
        assert {request.account for request in local.sent} == {account}
    assert local.accounts.requests_of("CreateLicenseConversionTaskForResource") == []


def problems(outcome: Outcome, name: str) -> list[str]:
    """Return the reasons of a resource's check failures."""
    assert not outcome.ok
    return [re.sub(r"^.*resource '[a-z]*' has a problem: ", "", line) for line in outcome.errors(name)]


@pytest.mark.parametrize(
    ("allowed", "told", "asked"),
    [
        ("[111", ": aws:allowedAccountIds is not a list of account ids", []),
        ([STACK], f" in eu-west-1: the credentials belong to account {HOME}", ["GetCallerIdentity"]),
    ],
)
def test_what_cannot_be_honoured_is_a_line(local: World, allowed: str | list[str], told: str, asked: list[str]) -> None:
    """Under each resource that is managed, in preview and up; a read and a look-up say it too. Nothing else is sent."""
    for row in everything(HOME)[:4]:
        local.configure(row, allowedAccountIds=allowed)
        for run in (local.stack.preview, local.stack.up):
            local.accounts.requests.clear()
            outcome = run()
            assert not outcome.ok
            (line,) = [text for _, severity, text in outcome.said if severity == "error"]
            assert told in line
            if row["kind"] in ("conversion", "task"):
                assert problems(outcome, row["name"])[0].startswith(CONNECTING + told)
            assert {request.operation for request in local.accounts.requests} <= set(asked)


def test_a_start_needs_credentials_of_the_instances_account(local: World) -> None:
    """The caller's account is compared with the ARN's, in the preview too, and nothing is started."""
    line = (
        f"Starting the license conversion of {arn_of(OTHER)} in eu-west-1: the credentials belong to account {HOME} "
        f"(AWS_ACCESS_KEY_ID), the instance to {OTHER}. Use credentials of the instance's account: set `profile` or "
        "`assume_role`, or the stack's own."
    )
    local.configure(conversion(OTHER))
    for run in (local.stack.preview, local.stack.up):
        assert problems(run(), "conversion") == [line]
    read = {"GetCallerIdentity", "ListLicenseConversionTasks", "DescribeInstances", "DescribeTags"}
    assert {request.operation for request in local.accounts.requests} <= read


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


def test_a_shells_region_replaces_nothing(local: World) -> None:
    """A region that neither program nor stack names is the one recorded, whatever AWS_REGION says next time."""
    local.add_tasks(HOME)
    local.patch.setenv("AWS_REGION", REGION)
    local.configure(task(), conversion(HOME), region=None)
    assert local.stack.up().ok
    local.patch.setenv("AWS_REGION", "us-east-1")
    assert local.stack.preview().changes == local.stack.up().changes == {"same": 3}
    assert local.stack.refresh().ok
    assert local.stack.resources()["task"]["outputs"]["region"] == REGION
    assert {request.region for request in local.sent} == {REGION}


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
