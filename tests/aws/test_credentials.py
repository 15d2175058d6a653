"""From settings to clients: what is sent, how it is signed, and where it goes."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, SSLError
from support.aws import Pauses, make_client
from support.aws_accounts import HOME, OTHER, STACK, THIRD, AwsAccounts, Request, serve_accounts
from support.certificates import make_context, write_certificate
from support.waiting import SOON
from support.wire import ACCESS_KEY

from lmconv_resource.aws.access.botocore_session import Regions, SettingsSession, SharedClients
from lmconv_resource.aws.access.kinds import AssumedRole
from lmconv_resource.aws.access.session import AccessSession
from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.errors import CredentialsError, LicenseConversionError, SettingsError, Subject
from lmconv_resource.polling.policy import RateLimiter

REGION = "eu-west-1"
SUBJECT = "Connecting to AWS License Manager for license conversion tasks in eu-west-1: "
ROLE = f"arn:aws:iam::{OTHER}:role/tracker"
KEYS = "aws_access_key_id = {}\naws_secret_access_key = sk\n".format
PROFILES = f"[profile work]\n{KEYS('AKIASTACK')}"


def to_settings(accounts: AwsAccounts | None = None, own: str | None = None, **config: Any) -> Settings:
    """Return the settings of a stack whose endpoints are the accounts', for a resource with a profile of its `own`."""
    if accounts is not None:
        endpoints = dict.fromkeys(("licensemanager", "sts", "ec2", "ssm"), accounts.endpoint)
        config = {"endpoints": json.dumps([endpoints]), **config}
    return Settings.from_config({f"aws:{name}": value for name, value in config.items()}.get, REGION, profile=own)


def list_tasks(session: AccessSession) -> Any:
    return session.client("license-manager").list_license_conversion_tasks()


def send(accounts: AwsAccounts, settings: Settings) -> Request:
    """Let a client of these settings list tasks, and return the request as it came."""
    list_tasks(AccessSession(settings))
    return accounts.requests_of("ListLicenseConversionTasks")[-1]


def endpoint_of(service: str, settings: Settings) -> str:
    endpoint: str = make_client(service, settings).meta.endpoint_url
    return endpoint


def refusal_of(settings: Settings, cls: type[LicenseConversionError] = SettingsError) -> str:
    """Return the line in which making a client ends, without its subject."""
    with pytest.raises(cls) as error:
        make_client("license-manager", settings)
    line = str(error.value)
    assert line.startswith(SUBJECT)
    return line.removeprefix(SUBJECT)


def take_environment(monkeypatch: pytest.MonkeyPatch, config: Mapping[str, Any]) -> Settings:
    """Return a stack's settings, after setting those of `config` that are the environment's."""
    for name in [name for name in config if name.startswith("AWS_")]:
        monkeypatch.setenv(name, config[name])
    return to_settings(**{name: value for name, value in config.items() if not name.startswith("AWS_")})


def test_keys_and_profiles_sign(
    monkeypatch: pytest.MonkeyPatch, accounts: AwsAccounts, write_config: Callable[[str], None]
) -> None:
    """The stack's win over the environment's keys and AWS_PROFILE, stale too; a resource's own profile over all."""
    accounts.add_user(STACK, "AKIAKEY", token="tok")
    accounts.add_user(OTHER, "AKIAHOME")
    write_config(f"{PROFILES}[profile home]\n{KEYS('AKIAHOME')}")
    monkeypatch.setenv("AWS_PROFILE", "home")
    keys = {"accessKey": "AKIAKEY", "secretKey": "sk", "token": "tok"}
    assert send(accounts, to_settings(accounts, **keys)).account == STACK
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert send(accounts, to_settings(accounts, profile="work")).account == STACK
    assert send(accounts, to_settings(accounts, "home", **keys)).account == OTHER


@pytest.mark.parametrize(
    ("config", "credentials", "profile", "signs"),
    [
        ([], ["[default]\n{stack}"], None, STACK),
        (["[default]\n{stack}"], [], None, STACK),
        (["[profile work]\n{stack}"], [], "work", STACK),
        (["[default]\nregion = x\n"], [], None, HOME),
        (["[default]\nregion = x\n"], ["[default]\n{home}", "[default]\n{stack}"], None, STACK),
        (["[default]\n{home}", "[default]\n{stack}"], [], None, STACK),
        (["[default]\n{home}", "[default]\nregion = x\n"], [], None, THIRD),
        (["[default]\n{home}", "[default]\n{home}"], ["[default]\n{stack}"], None, STACK),
        (["[default]\nrole_arn = {role}\nsource_profile = far\n", ""], ["", "[far]\n{stack}"], None, OTHER),
        (["[default]\nsource_profile = far\n", "[default]\nrole_arn = {role}\n"], ["[far]\n{stack}"], None, OTHER),
        ([], ["[default]\n{home}aws_session_token = old\n", "[default]\n{stack}"], None, STACK),
    ],
)
def test_files_of_the_stack_sign(
    accounts: AwsAccounts, tmp_path: Path, *, config: list[str], credentials: list[str], profile: str | None, signs: str
) -> None:
    """aws:sharedConfigFiles and aws:sharedCredentialsFiles replace the default files and, if they have some, its keys.

    Several are put together key by key, the last one first, and credentials before config.
    """
    accounts.add_user(THIRD, "AKIAHOME")

    def write(kind: str, texts: list[str]) -> str:
        paths = [tmp_path / f"{kind} of the stack {number}" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text.format(home=KEYS("AKIAHOME"), stack=KEYS("AKIASTACK"), role=ROLE))
        return json.dumps([str(path) for path in paths])

    files = {"sharedConfigFiles": write("config", config), "sharedCredentialsFiles": write("keys", credentials)}
    assert send(accounts, to_settings(accounts, profile=profile, **files)).account == signs


def test_a_credentials_file_without_the_profile_is_refused(accounts: AwsAccounts, tmp_path: Path) -> None:
    """Nothing is signed with other credentials than the file's."""
    file = tmp_path / "keys"
    file.write_text(f"[work]\n{KEYS('AKIASTACK')}")
    for files, those, have in (([str(file)], "file", "has"), ([str(file)] * 2, "files", "have")):
        assert refusal_of(to_settings(accounts, sharedCredentialsFiles=files)) == (
            f"the {those} of aws:sharedCredentialsFiles {have} no credentials of the profile default. Name another "
            "profile with `pulumi config set aws:profile NAME`, or another file."
        )
    assert accounts.requests == []


@pytest.mark.parametrize(("skip", "account"), [(None, "999999999999"), ("true", None)])
def test_the_metadata_service(
    monkeypatch: pytest.MonkeyPatch, accounts: AwsAccounts, skip: str | None, account: str | None
) -> None:
    """aws:ec2MetadataServiceEndpoint gives an instance's credentials, unless aws:skipMetadataApiCheck forbids it.

    aws:ec2MetadataServiceEndpointMode reaches botocore's session, whatever the environment says.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4")
    where = {"ec2MetadataServiceEndpoint": accounts.endpoint, "ec2MetadataServiceEndpointMode": "IPv6"}
    settings = to_settings(accounts, **where, skipMetadataApiCheck=skip)
    core = SettingsSession(settings, SharedClients())
    assert core.get_config_variable("ec2_metadata_service_endpoint_mode") == "IPv6"
    if account is not None:
        assert send(accounts, settings).account == account
        return
    session = AccessSession(settings)
    for ask in (session.check_credentials, session.account):
        with pytest.raises(CredentialsError, match=r"Unable to locate credentials\. Set credentials with"):
            ask()
    assert accounts.requests == []


FULL_ROLE = {
    "roleArn": ROLE,
    "sessionName": "me",
    "externalId": "ext",
    "duration": "1h30m",
    "policy": '{"Version": "2012-10-17"}',
    "policyArns": ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"],
    "tags": {"team": "licenses", "cost": "42"},
    "transitiveTagKeys": ["team"],
    "sourceIdentity": "alice",
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


@pytest.mark.parametrize("key", ["assumeRoles", "assumeRole"])
def test_a_role_is_assumed_with_every_member(accounts: AwsAccounts, key: str) -> None:
    """All that aws:assumeRoles, or aws:assumeRole, says of a role is sent, and calls are signed as the role."""
    accounts.external_ids[ROLE] = "ext"
    value = json.dumps([FULL_ROLE] if key == "assumeRoles" else FULL_ROLE)
    assert send(accounts, to_settings(accounts, **{key: value})).account == OTHER
    (assumed,) = accounts.requests_of("AssumeRole")
    assert assumed.parameters == SENT_ROLE
    assert (assumed.access_key, assumed.region) == (ACCESS_KEY, REGION)


def test_a_chain_of_the_stack_and_a_resource(accounts: AwsAccounts) -> None:
    """A web identity's token can stand in its setting; then come the stack's roles, and after these a resource's."""
    accounts.web_identity_tokens = {"token"}
    roles = [f"arn:aws:iam::{account}:role/hop" for account in (STACK, HOME)]
    config = {
        "aws:endpoints": [{"licensemanager": accounts.endpoint, "sts": accounts.endpoint}],
        "aws:assumeRoleWithWebIdentity": {"roleArn": roles[0], "webIdentityToken": "token"},
        "aws:assumeRoles": [{"roleArn": roles[1]}],
    }
    assert send(accounts, Settings.from_config(config.get, REGION, assume_roles=(AssumedRole(ROLE),))).account == OTHER
    hops = [(each.account, each.parameters["RoleArn"]) for each in accounts.requests_of("AssumeRole")]
    assert hops == [(STACK, roles[1]), (HOME, ROLE)]


def test_accounts_share_a_client_and_not_their_credentials(accounts: AwsAccounts) -> None:
    """Calls of many accounts at once, on clients that are made once, are each signed as their role, assumed once."""
    shared = SharedClients()
    numbers = [f"{number:012}" for number in range(1, 9)]

    def list_twice(account: str) -> None:
        session = AccessSession(to_settings(accounts, assumeRole={"roleArn": ROLE.replace(OTHER, account)}), shared)
        assert session.account() == account
        list_tasks(session)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(list_twice, numbers))
    assert sorted(str(each.account) for each in accounts.requests_of("ListLicenseConversionTasks")) == numbers
    assert [each.account for each in accounts.requests_of("AssumeRole")] == [HOME] * len(numbers)


def test_a_roles_credentials_are_renewed(accounts: AwsAccounts) -> None:
    """Credentials near their end are renewed, so that a wait outlasts them."""
    session = AccessSession(to_settings(accounts, assumeRoles=[{"roleArn": ROLE, "duration": "15m"}]))
    list_tasks(session)
    list_tasks(session)
    first, second = (request.access_key for request in accounts.requests_of("ListLicenseConversionTasks"))
    assert first != second


def test_a_role_needs_credentials(monkeypatch: pytest.MonkeyPatch, accounts: AwsAccounts) -> None:
    """A role with nothing to assume it with is said at once, by its name."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert refusal_of(to_settings(accounts, assumeRoles=[{"roleArn": ROLE}])) == (
        f"no credentials were found to assume {ROLE} with. Set them with `pulumi config set aws:profile NAME`, or in "
        "any way the AWS CLI supports."
    )


def test_a_web_identity_calls(accounts: AwsAccounts, tmp_path: Path) -> None:
    """aws:assumeRoleWithWebIdentity wins over the environment's keys; its file is read at each renewal."""
    file = tmp_path / "token"
    accounts.web_identity_tokens = {"first", "second"}
    file.write_text("first")
    value = {"roleArn": ROLE, "webIdentityTokenFile": str(file), "sessionName": "ci", "duration": "15m"}
    session = AccessSession(to_settings(accounts, assumeRoleWithWebIdentity=json.dumps(value)))
    list_tasks(session)
    assert accounts.requests[-1].account == OTHER
    file.write_text("second")
    list_tasks(session)
    asked = accounts.requests_of("AssumeRoleWithWebIdentity")
    sent = {"RoleArn": ROLE, "RoleSessionName": "ci", "WebIdentityToken": "first", "DurationSeconds": "900"}
    assert [asked[0].parameters, asked[-1].parameters] == [sent, {**sent, "WebIdentityToken": "second"}]
    assert {request.access_key for request in asked} == {""}


def test_sts_is_called_in_its_region(accounts: AwsAccounts, write_config: Callable[[str], None]) -> None:
    """aws:stsRegion holds for the roles of the stack, for those of a profile and for the account."""
    write_config(f"{PROFILES}[profile role]\nrole_arn = {ROLE}\nsource_profile = work\n")
    settings = to_settings(accounts, stsRegion="us-west-2", profile="role", assumeRoles=[{"roleArn": ROLE}])
    session = AccessSession(settings)
    list_tasks(session)
    session.account()
    assert sorted((request.operation, request.region) for request in accounts.requests) == [
        *[("AssumeRole", "us-west-2")] * 2,
        ("GetCallerIdentity", "us-west-2"),
        ("ListLicenseConversionTasks", REGION),
    ]


def test_a_profiles_own_settings_stay_when_a_role_is_assumed(
    accounts: AwsAccounts, write_config: Callable[[str], None]
) -> None:
    """A profile's endpoints, FIPS and CA bundle hold for the calls as a role, and for STS."""
    write_config(
        f"{PROFILES}services = vpc\nuse_fips_endpoint = true\nca_bundle = /of/the/profile.pem\n"
        f"[services vpc]\nsts =\n  endpoint_url = {accounts.endpoint}\nlicense_manager =\n"
        f"  endpoint_url = {accounts.endpoint}\n"
    )
    settings = to_settings(profile="work", assumeRoles=[{"roleArn": ROLE}])
    assert send(accounts, settings).account == OTHER
    assert len(accounts.requests_of("AssumeRole")) == 1
    ec2 = make_client("ec2", settings)
    assert ec2.meta.endpoint_url == "https://ec2-fips.eu-west-1.amazonaws.com"
    assert SettingsSession(settings, SharedClients()).get_config_variable("ca_bundle") == "/of/the/profile.pem"


@pytest.mark.parametrize(
    ("config", "endpoint"),
    [
        ({"useFipsEndpoint": "true"}, "-fips.eu-west-1.amazonaws.com"),
        ({"useDualstackEndpoint": True}, ".eu-west-1.api.aws"),
        ({"useFipsEndpoint": "false", "AWS_USE_FIPS_ENDPOINT": "true"}, ".eu-west-1.amazonaws.com"),
        ({"useDualstackEndpoint": "false", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, ".eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "-fips.eu-west-1.amazonaws.com"),
    ],
)
def test_fips_and_dualstack(monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], endpoint: str) -> None:
    """aws:useFipsEndpoint and aws:useDualstackEndpoint choose the endpoint, false over the environment too."""
    settings = take_environment(monkeypatch, config)
    assert endpoint_of("license-manager", settings) == f"https://license-manager{endpoint}"


def test_the_endpoint_of_each_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """aws:endpoints names them as pulumi-aws does, in any of its forms, and wins over the environment's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert endpoint_of("license-manager", to_settings()) == "http://127.0.0.1:1"
    services = ("license-manager", "ec2", "ssm", "sts")
    own = {service.replace("-", ""): f"http://127.0.0.1/{service}" for service in services}
    for value in (own, [own], json.dumps([{"s3": "http://127.0.0.1:3"}, own])):
        assert to_settings(endpoints=value).endpoints == to_settings(endpoints=own).endpoints
    session = AccessSession(to_settings(endpoints=own))
    for service in services:
        assert session.client(service).meta.endpoint_url == f"http://127.0.0.1/{service}"


@pytest.fixture
def proxy() -> Iterator[AwsAccounts]:
    with serve_accounts() as proxy:
        proxy.add_user(HOME, ACCESS_KEY)
        yield proxy


NAMED = {"licensemanager": "http://license-manager.test", "sts": "http://sts.test"}


def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch, proxy: AwsAccounts) -> None:
    """aws:httpProxy wins over HTTP_PROXY, for STS too; aws:httpsProxy is for https. Without them botocore's counts."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    settings = to_settings(
        endpoints=[NAMED],
        httpProxy=proxy.endpoint,
        httpsProxy="http://user:password@127.0.0.1:2",
        assumeRoles=[{"roleArn": ROLE}],
    )
    list_tasks(AccessSession(settings))
    monkeypatch.setenv("http_proxy", proxy.endpoint)
    list_tasks(AccessSession(to_settings(endpoints=[NAMED])))
    hosts = ["sts.test", "license-manager.test", "license-manager.test"]
    assert [(request.host, request.by_proxy) for request in proxy.requests] == [(host, True) for host in hosts]
    assert make_client("sts", settings).meta.config.proxies["https"] == "http://user:password@127.0.0.1:2"


def test_what_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, accounts: AwsAccounts, proxy: AwsAccounts) -> None:
    """aws:noProxy holds for the environment's proxy and the stack's, and wins over NO_PROXY."""
    monkeypatch.setenv("no_proxy", "example.test")
    list_tasks(AccessSession(to_settings(accounts, httpProxy=proxy.endpoint, noProxy="127.0.0.1")))
    monkeypatch.setenv("http_proxy", proxy.endpoint)
    list_tasks(AccessSession(to_settings(accounts, noProxy="127.0.0.1")))
    assert [len(proxy.requests), len(accounts.requests)] == [0, 2]
    list_tasks(AccessSession(to_settings(accounts, noProxy="elsewhere.test")))
    assert [len(proxy.requests), len(accounts.requests)] == [1, 2]


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_used"),
    [
        ("127.0.0.1", "10.0.0.1, 127.0.0.0/8", False),
        ("127.0.0.1", "::1,elsewhere.test,27.0.0.1", True),
        ("license-manager.test", "*", False),
        ("license-manager.test", "test", False),
        ("license-manager.test", ".test", False),
        ("license-manager.test", "*.test", False),
        ("license-manager.test", "ense-manager.test", True),
        ("license-manager.test", "test:80", False),
        ("license-manager.test", "license-manager.test:8080", True),
        ("license-manager.test", "[::1]:80", True),
        ("[::1]:8080", "[::1]:8080", False),
        ("[::1]:8080", "::1", False),
        ("[::1]:8080", "[::1]:80", True),
    ],
)
def test_hosts_that_need_no_proxy(host: str, no_proxy: str, is_used: bool) -> None:
    """An entry is a network, or holds for whole labels of a name and what is under it; IPv6 and port have brackets."""
    settings = to_settings(
        endpoints=[{"licensemanager": f"http://{host}"}], httpProxy="http://127.0.0.1:1", noProxy=no_proxy
    )
    assert bool(make_client("license-manager", settings).meta.config.proxies) is is_used


def test_a_ca_bundle_is_trusted(tmp_path: Path) -> None:
    """aws:customCaBundle is what an endpoint's certificate is verified with, for STS too; without it nothing is sent.

    No setting becomes an environment variable, which every other client in the process would see.
    """
    before = dict(os.environ)
    certificate = write_certificate(tmp_path / "own.pem", ["localhost"])
    with serve_accounts(make_context(certificate)) as accounts:
        accounts.add_user(HOME, ACCESS_KEY)
        accounts.endpoint = accounts.endpoint.replace("127.0.0.1", "localhost")
        settings = to_settings(accounts, customCaBundle=str(certificate), assumeRoles=[{"roleArn": ROLE}])
        assert send(accounts, settings).account == OTHER
        known = len(accounts.requests)
        for config in ({}, {"skipCredentialsValidation": "true"}):
            with pytest.raises(SSLError):
                list_tasks(AccessSession(to_settings(accounts, **config)))
        assert len(accounts.requests) == known
    assert dict(os.environ) == before


def test_the_user_agents_are_appended(monkeypatch: pytest.MonkeyPatch, accounts: AwsAccounts) -> None:
    """Each call says who makes it, copied beside a program instead of installed too, and what aws:userAgents adds."""
    request = send(accounts, to_settings(accounts, userAgents=["tool/1.0", "(a comment)"]))
    assert re.search(r" lmconv-resource/[\w.]+ tool/1\.0 \(a comment\)$", request.user_agent)
    monkeypatch.setattr(metadata, "version", Mock(side_effect=metadata.PackageNotFoundError))
    assert send(accounts, to_settings(accounts)).user_agent.endswith(" lmconv-resource/unknown")


def test_the_client_is_made_to_be_told_when_to_stop() -> None:
    """A client gives up connecting and reading after 10 s, tries once, and is not botocore's default."""
    config = make_client("license-manager", to_settings()).meta.config
    assert (config.connect_timeout, config.read_timeout) == (10, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


@pytest.mark.parametrize(
    ("config", "account", "origin"),
    [
        ({}, HOME, "AWS_ACCESS_KEY_ID"),
        ({"profile": "work"}, STACK, "the profile work"),
        ({"accessKey": "AKIASTACK", "secretKey": "sk"}, STACK, "aws:accessKey"),
        (
            {"assumeRoleWithWebIdentity": {"roleArn": ROLE, "webIdentityToken": "tok1"}},
            *(OTHER, "aws:assumeRoleWithWebIdentity"),
        ),
        ({"profile": "work", "assumeRoles": [{"roleArn": ROLE}]}, OTHER, f"the role {ROLE}"),
    ],
)
def test_the_account_is_held_against_the_settings(
    accounts: AwsAccounts, write_config: Callable[[str], None], config: dict[str, Any], account: str, origin: str
) -> None:
    """STS is asked for the account that signs, after all roles; a refusal names it, its origin and the setting."""
    write_config(PROFILES)
    accounts.web_identity_tokens = {"tok1"}
    for name, accounts_named in (("allowedAccountIds", [THIRD, account]), ("forbiddenAccountIds", [THIRD])):
        session = AccessSession(to_settings(accounts, **{**config, name: accounts_named}))
        session.client("ec2")
        assert session.account() == account
    belong = f"the credentials belong to account {account} ({origin}), and aws:"
    assert refusal_of(to_settings(accounts, **config, allowedAccountIds=json.dumps([THIRD]))) == (
        f"{belong}allowedAccountIds allows {THIRD} only. Use credentials of an allowed account, or change "
        "aws:allowedAccountIds."
    )
    assert refusal_of(to_settings(accounts, **config, forbiddenAccountIds=[account])) == (
        f"{belong}forbiddenAccountIds forbids {account}. Use credentials of another account, or change "
        "aws:forbiddenAccountIds."
    )
    assert {each.service for each in accounts.requests} <= {"sts", ""}


@pytest.fixture
def checked(accounts: AwsAccounts, tmp_path: Path) -> AccessSession:
    """The clients of a stack that allows one account only, with the keys of a file."""
    (tmp_path / "keys").write_text(f"[default]\n{KEYS('AKIASTACK')}")
    settings = to_settings(accounts, sharedCredentialsFiles=[str(tmp_path / "keys")], allowedAccountIds=[STACK])
    return AccessSession(settings)


def test_a_passing_fault_of_sts_refuses_nobody(accounts: AwsAccounts, checked: AccessSession) -> None:
    """Who restricts accounts waits for STS as for every other service."""
    faults = iter([1, 1])

    def fail(_: Request) -> None:
        if next(faults, None):
            accounts.break_next = True

    accounts.on_request = fail
    LicenseManager(Calls(checked, {"license-manager": RateLimiter()}, Pauses())).list_tasks()
    asked = [request.operation for request in accounts.requests]
    assert asked == ["GetCallerIdentity"] * 3 + ["ListLicenseConversionTasks"]


def test_the_account_is_asked_for_with_credentials_that_were_rotated(
    accounts: AwsAccounts, checked: AccessSession, tmp_path: Path
) -> None:
    """Credentials that have expired before the account was asked for are read anew, once."""
    accounts.decoded = {"blob": "why"}
    checked.call("sts", "decode_authorization_message", {"EncodedMessage": "blob"}, Subject())
    accounts.remove("AKIASTACK")
    accounts.add_user(STACK, "AKIANEXT")
    (tmp_path / "keys").write_text(f"[default]\n{KEYS('AKIANEXT')}")
    assert checked.account() == STACK
    asked = [request.access_key for request in accounts.requests_of("GetCallerIdentity")]
    assert asked == ["AKIASTACK", "AKIANEXT"]


def test_a_slow_sts_holds_nobody_up(accounts: AwsAccounts) -> None:
    """While one asks whose the credentials are, others that need not know get their clients and renew credentials."""
    session = AccessSession(to_settings(accounts))
    meanwhile: list[object] = []

    def ask_others(request: Request) -> None:
        if request.operation == "GetCallerIdentity" and not meanwhile:
            with ThreadPoolExecutor(1) as others:
                meanwhile.append(others.submit(session.client, "license-manager").result(SOON))
                meanwhile.append(others.submit(session.renew, 0).result(SOON))

    accounts.on_request = ask_others
    assert session.account() == HOME
    assert len(meanwhile) == 2
    assert len(accounts.requests_of("GetCallerIdentity")) == 2  # the second with what was renewed meanwhile


def test_many_that_notice_the_end_ask_for_the_account_once(accounts: AwsAccounts, checked: AccessSession) -> None:
    """Of fifty waits whose credentials have ended, one renews them and one asks STS; the others go on with these.

    Refused again at once, they are not read once more.
    """
    checked.client("license-manager")
    generation = checked.generation
    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(lambda _: checked.renew(generation), range(50)))
        clients = set(pool.map(lambda _: id(checked.client("license-manager")), range(50)))
    assert (len(clients), checked.generation) == (1, generation + 1)
    assert not checked.renew(generation + 1)
    assert len(accounts.requests_of("GetCallerIdentity")) == 2


WITH_MFA = f"{PROFILES}[profile mfa]\nrole_arn = {ROLE}\nsource_profile = work\nmfa_serial = arn:aws:iam::1:mfa/me\n"


@pytest.mark.parametrize(
    ("profile", "named", "more"),
    [
        ("mfa", "mfa", ""),
        ("hop", "mfa", f"[profile hop]\nrole_arn = {ROLE}\nsource_profile = mfa\n"),
        ("hop", "hop", f"[profile hop]\nrole_arn = {ROLE}\ncredential_source = Environment\nmfa_serial = GAHT1\n"),
    ],
)
def test_a_profile_that_asks_for_a_code_ends_at_once(
    accounts: AwsAccounts, write_config: Callable[[str], None], profile: str, named: str, more: str
) -> None:
    """A profile whose role, or a role on the way to it, has mfa_serial is one line, and nothing is sent or asked."""
    write_config(WITH_MFA + more)
    assert refusal_of(to_settings(accounts, profile=profile), CredentialsError) == (
        f"the profile {named} has mfa_serial, and there is no prompt for its code here. Use a profile with temporary "
        "credentials (`aws sts get-session-token`, `aws sso login`) or with a credential_process."
    )
    assert accounts.requests == []


def test_a_profile_with_keys_needs_no_code(accounts: AwsAccounts, write_config: Callable[[str], None]) -> None:
    """An mfa_serial that botocore would not use is no reason to end: the source has keys, or the stack has."""
    write_config(
        f"{WITH_MFA}aws_access_key_id = AKIASTACK\naws_secret_access_key = sk\n[profile hop]\n"
        f"role_arn = {ROLE}\nsource_profile = mfa\n"
    )
    assert send(accounts, to_settings(accounts, profile="hop")).account == OTHER
    assert send(accounts, to_settings(accounts, profile="mfa", accessKey="AKIASTACK", secretKey="sk")).account == STACK


def test_credentials_of_another_account_do_not_take_the_place_of_those_before(
    accounts: AwsAccounts, tmp_path: Path
) -> None:
    """Where the account is known, what is read anew has to belong to it: nothing is sent with the others."""
    (tmp_path / "keys").write_text(f"[default]\n{KEYS('AKIASTACK')}")
    settings = to_settings(accounts, sharedCredentialsFiles=[str(tmp_path / "keys")])
    clients = AccessSession(settings)
    assert clients.account() == STACK
    accounts.add_user(OTHER, "AKIAOTHER")
    (tmp_path / "keys").write_text(f"[default]\n{KEYS('AKIAOTHER')}")
    assert clients.renew(clients.generation)
    reason = f"the reloaded credentials belong to account {OTHER}, the earlier ones to {STACK}. Use credentials of acc"
    with pytest.raises(SettingsError, match=f"{reason}ount {STACK}, then run `pulumi up` again"):
        clients.client("license-manager")


def test_an_encoded_denial_is_decoded_by_sts(accounts: AwsAccounts) -> None:
    """With the credentials that were denied, where they may; it is no error of its own where they may not."""
    accounts.decoded = {"blob": "why"}
    session = AccessSession(to_settings(accounts))
    answer: Any = {"Error": {"Code": "UnauthorizedOperation", "Message": "Encoded authorization failure message: blob"}}
    subject = Subject("ec2:StopInstances", None, REGION, "arn")

    def explain() -> str:
        return str(session.explain(ClientError(answer, "StopInstances"), subject, "ec2"))

    assert "why" in explain()
    accounts.remove(ACCESS_KEY)
    assert "allow sts:DecodeAuthorizationMessage too" in explain()


SSO = "sso_start_url = https://sso.test\nsso_region = eu-west-1\n"
OF_SSO = "sso_account_id = 1\nsso_role_name = r"
HINTS = {
    "sso": (f"sso_session = corp\n{OF_SSO}", "Run `aws sso login --profile sso`"),
    "role": (f"role_arn = {ROLE}\nsource_profile = sso", "Run `aws sso login --profile sso`"),
    "legacy": (f"{SSO}{OF_SSO}", "Run `aws sso login --profile legacy`"),
    "login": ("login_session = arn:aws:iam::1:user/me", "Run `aws login --profile login`"),
    "process": ("credential_process = false", "Have the credential_process of the profile process return new ones"),
    "nothing": ("credential_process = /no/such", "Have the credential_process of the profile nothing return new ones"),
    "web": (
        f"role_arn = {ROLE}\nweb_identity_token_file = /token",
        "Renew the token in web_identity_token_file of the profile web",
    ),
    "source": (
        f"role_arn = {ROLE}\ncredential_source = Environment",
        "Check the credential_source of the profile source",
    ),
    "keys": (KEYS("ak"), "Put new keys into the profile keys"),
}
"""By its name, what stands in a profile, and what gives new credentials."""
WEB_ENVIRONMENT = {"AWS_WEB_IDENTITY_TOKEN_FILE": __file__, "AWS_ROLE_ARN": ROLE, "AWS_ACCESS_KEY_ID": ""}


def write_hinted(write_config: Callable[[str], None]) -> None:
    profiles = "\n".join(f"[profile {name}]\n{content}" for name, (content, _) in HINTS.items())
    write_config(f"[sso-session corp]\n{SSO}{profiles}\n")


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        *(({"profile": name}, hint) for name, (_, hint) in HINTS.items() if name != "nothing"),
        (
            {"accessKey": "ak", "secretKey": "sk"},
            "Set new ones with `pulumi config set --secret` (aws:accessKey, aws:secretKey, aws:token)",
        ),
        (
            {"assumeRoleWithWebIdentity": {"roleArn": ROLE, "webIdentityTokenFile": __file__}},
            "Renew the token in webIdentityTokenFile of aws:assumeRoleWithWebIdentity",
        ),
        ({}, "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again"),
        ({"AWS_ACCESS_KEY_ID": ""}, "Supply credentials in any way the AWS CLI supports"),
        (WEB_ENVIRONMENT, "Renew the web identity's token in the file of AWS_WEB_IDENTITY_TOKEN_FILE"),
    ],
)
def test_each_kind_of_credentials_has_its_own_way_to_new_ones(
    monkeypatch: pytest.MonkeyPatch, write_config: Callable[[str], None], config: dict[str, Any], hint: str
) -> None:
    """What to do about expired credentials fits their source; of a profile, the beginning of its chain of roles."""
    write_hinted(write_config)
    assert AccessSession(take_environment(monkeypatch, config)).sign_in_hint() == hint


def test_a_hint_never_fails(write_config: Callable[[str], None]) -> None:
    """A config file that can't be read is no reason to lose the error that the hint is for."""
    write_config("[default\nregion")
    assert AccessSession(to_settings()).sign_in_hint() == "Supply credentials in any way the AWS CLI supports"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"profile": "nobody"}, "The config profile (nobody) could not be found"),
        ({"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ({"AWS_ENDPOINT_URL": "http://user:p@ssword@lm example"}, "Invalid endpoint: lm example"),
    ],
)
def test_settings_that_make_no_client(monkeypatch: pytest.MonkeyPatch, config: dict[str, str], told: str) -> None:
    """An unknown profile or an endpoint that is no URL is one line with what to look at."""
    places = "the stack's aws: settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL"
    if "profile" in told:
        places = "the resource's profile, aws:profile (`pulumi config`) and AWS_PROFILE"
    assert refusal_of(take_environment(monkeypatch, config)) == f"{told}. Check {places}."


@pytest.mark.parametrize("profile", ["process", "nothing", "login"])
def test_what_gives_no_credentials_is_named(
    accounts: AwsAccounts, write_config: Callable[[str], None], profile: str
) -> None:
    """A credential_process that fails, or nobody being signed in, is no fault of the stack's settings."""
    write_hinted(write_config)
    session = AccessSession(to_settings(accounts, profile=profile))
    for find in (session.check_credentials, lambda: session.client("license-manager")):
        with pytest.raises(CredentialsError) as error:
            find()
        assert str(error.value).endswith(f". {HINTS[profile][1]}.")


def test_a_failure_to_make_a_client_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose client could not be made tries it afresh at the next call."""
    session = AccessSession(to_settings())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(SettingsError):
        session.client("license-manager")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert session.client("license-manager").meta.region_name == REGION


def test_regions_are_known_by_their_pattern() -> None:
    """A region that AWS has, or a new one of the same form, is known; a misspelt one is not."""
    known = {"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eu-west-9": "aws"}
    assert {region: Regions().partition_of(region) for region in known} == known
    assert not any(Regions().partition_of(region) for region in ("eu-wst-1x", "Ireland", "", "eu_west_1"))


def test_a_region_that_is_none_is_refused() -> None:
    """The region, or that of STS, that AWS does not have is named; an endpoint of one's own has its own regions."""
    for settings, places in (
        (Settings("mars-1"), "`region`, aws:region (`pulumi config`) and AWS_REGION"),
        (Settings(REGION, sts_region="mars-1"), "aws:stsRegion (`pulumi config`)"),
        (
            Settings("mars-1", sts_region="local", endpoints=(("sts", "http://127.0.0.1"),)),
            "`region`, aws:region (`pulumi config`) and AWS_REGION",
        ),
    ):
        with pytest.raises(SettingsError) as error:
            AccessSession(settings).check_credentials()
        assert str(error.value) == (
            "Connecting to AWS License Manager for license conversion tasks: mars-1 is not an AWS region. Check "
            f"{places}."
        )
    Regions().check(Settings("mars-1", endpoints=(("license-manager", "http://127.0.0.1"),)))
    Regions().check(Settings(REGION, sts_region="us-east-1"))


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    """It would be said of every call otherwise, after all its tries, and by no name."""
    file = tmp_path / "ca.pem"
    file.write_text("none\n")
    with pytest.raises(SettingsError) as error:
        AccessSession(to_settings(customCaBundle=str(file))).check_credentials()
    assert "which holds no certificates in PEM form. Check it with `pulumi config get aws:customCaBundle`." in str(
        error.value
    )
