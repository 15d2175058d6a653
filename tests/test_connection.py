"""From settings to one shared client: what wins over what, and what a user is told of settings that can't be used."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import ACCESS_KEY, Wire
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from lmconv_resource.aws import client as connection
from lmconv_resource.aws.client import Connection, connect
from lmconv_resource.aws.settings import AssumedRole, Settings, find_region
from lmconv_resource.emulator import Emulator, serve
from lmconv_resource.errors import SettingsError

REGION = "eu-west-1"
TASK = {"LicenseConversionTaskId": "lct-1", "Status": "IN_PROGRESS"}
ROLE = "arn:aws:iam::123456789012:role/tracker"
SECRETS = ("sk-recognisable", "tok-recognisable", "ext-recognisable", "password-recognisable")


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_connections", {})


@pytest.fixture
def write_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Give what fills the shared config file."""

    def write(text: str) -> None:
        (tmp_path / "config").write_text(text)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    return write


def to_settings(region: str = REGION, **config: Any) -> Settings:
    """Give the settings of a stack whose configuration is `config`, in the `aws` namespace."""
    return Settings.from_config({f"aws:{name}": value for name, value in config.items()}.get, region)


def send(found: Connection) -> Any:
    """Let the client make one call, and give the request as it would have been sent."""
    wire = Wire(found.client, (200, TASK))
    found.client.get_license_conversion_task(LicenseConversionTaskId="lct-1")
    return wire.requests[0]


def access_key_of(request: Any) -> str:
    match = re.search(rb"Credential=([^/]+)/", bytes(request.headers["Authorization"]))
    assert match
    return match[1].decode()


# -- the region --------------------------------------------------------------------------------------------------------


def test_the_region_is_found_least_surprising_first(
    monkeypatch: pytest.MonkeyPatch, write_config: Callable[[str], None]
) -> None:
    """The resource's own, the stack's, AWS_REGION, AWS_DEFAULT_REGION, the profile's; without the first the next."""
    write_config("[default]\nregion = eu-north-1\n[profile work]\nregion = eu-south-1\n")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    config = {"aws:region": "sa-east-1", "aws:profile": "work"}
    assert find_region(config.get, "ap-east-1") == "ap-east-1"
    assert find_region(config.get) == "sa-east-1"
    del config["aws:region"]
    assert find_region(config.get) == "us-east-1"
    monkeypatch.delenv("AWS_REGION")
    assert find_region(config.get) == "us-east-2"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert find_region(config.get) == "eu-south-1"
    del config["aws:profile"]
    assert find_region(config.get) == "eu-north-1"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert find_region(config.get) == "eu-south-1"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_region_is_none(monkeypatch: pytest.MonkeyPatch, empty: str | None) -> None:
    """Nowhere a region, or an empty one everywhere, gives None, for the check to name."""
    monkeypatch.setenv("AWS_REGION", "")
    assert find_region({"aws:region": empty, "aws:profile": empty}.get, empty) is None


@pytest.mark.parametrize(
    ("config", "profile", "told"),
    [
        ("[default]\n", "nobody", "The config profile (nobody) could not be found"),
        ("[default\nregion", None, "Unable to parse config file: {path}"),
    ],
    ids=["unknown profile", "broken file"],
)
def test_a_shared_config_that_cannot_be_read(
    write_config: Callable[[str], None], config: str, profile: str | None, told: str
) -> None:
    """While the region is looked for, a profile that is not there or a broken file is one line."""
    write_config(config)
    with pytest.raises(SettingsError) as error:
        find_region({"aws:profile": profile}.get)
    assert str(error.value) == (
        f"Connecting to AWS License Manager for license conversion tasks: "
        f"{told.format(path=os.environ['AWS_CONFIG_FILE'])}. "
        f"Check aws:profile (`pulumi config`), AWS_PROFILE and the AWS config file."
    )


# -- what reaches the client -------------------------------------------------------------------------------------------


def test_without_settings_boto3_reads_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack without aws: settings calls AWS's own endpoint with the environment's credentials."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-environment")
    request = send(connect(to_settings()))
    assert request.url == "https://license-manager.eu-west-1.amazonaws.com/"
    assert access_key_of(request) == ACCESS_KEY
    assert request.headers["X-Amz-Security-Token"] == b"of-the-environment"


def test_keys_and_token_reach_the_client() -> None:
    """aws:accessKey, aws:secretKey and aws:token win over the environment's credentials."""
    request = send(connect(to_settings(accessKey="AKIASTACK", secretKey="sk", token="tok")))
    assert access_key_of(request) == "AKIASTACK"
    assert request.headers["X-Amz-Security-Token"] == b"tok"


def test_the_profile_reaches_the_client(monkeypatch: pytest.MonkeyPatch, write_config: Callable[[str], None]) -> None:
    """aws:profile gives the credentials, over those of the environment and of AWS_PROFILE."""
    write_config(
        "[profile work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = sk\n"
        "[profile home]\naws_access_key_id = AKIAHOME\naws_secret_access_key = sk\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "home")
    assert access_key_of(send(connect(to_settings(profile="work")))) == "AKIAWORK"


@pytest.mark.parametrize(
    "endpoints",
    [
        '[{"licensemanager": "http://127.0.0.1:4566"}]',
        '{"licensemanager": "http://127.0.0.1:4566"}',
        '[{"ec2": "http://127.0.0.1:1"}, {"licensemanager": "http://127.0.0.1:4566"}]',
        [{"licensemanager": "http://127.0.0.1:4566"}],
    ],
)
def test_the_endpoint_reaches_the_client(monkeypatch: pytest.MonkeyPatch, endpoints: Any) -> None:
    """aws:endpoints, the JSON text that Pulumi hands on or a value, wins over the environment's endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", "http://127.0.0.1:2")
    assert send(connect(to_settings(endpoints=endpoints))).url == "http://127.0.0.1:4566/"


def test_the_environments_endpoints_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_ENDPOINT_URL reaches the client, and AWS_ENDPOINT_URL_LICENSE_MANAGER wins over it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert send(connect(to_settings("eu-west-1"))).url == "http://127.0.0.1:1/"
    monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", "http://127.0.0.1:2")
    assert send(connect(to_settings("eu-west-2"))).url == "http://127.0.0.1:2/"


def test_all_settings_are_read() -> None:
    """Every aws: setting that the README names is in the settings."""
    settings = to_settings(
        profile="work",
        accessKey="ak",
        secretKey="sk",
        token="tok",
        maxRetries="3",
        endpoints='[{"licensemanager": "https://lm", "sts": "https://sts"}]',
        assumeRoles=json.dumps(
            [
                {
                    "roleArn": ROLE,
                    "sessionName": "me",
                    "externalId": "ext",
                    "duration": "1h30m",
                    "policy": "{}",
                    "sourceIdentity": "alice",
                },
                {"roleArn": f"{ROLE}2"},
            ]
        ),
    )
    assert settings == Settings(
        region=REGION,
        profile="work",
        access_key="ak",
        secret_key="sk",
        token="tok",
        assumed_roles=(
            AssumedRole(ROLE, "me", "ext", duration_seconds=5400, policy="{}", source_identity="alice"),
            AssumedRole(f"{ROLE}2", "lmconv-resource"),
        ),
        endpoint_url="https://lm",
        sts_endpoint_url="https://sts",
        max_retries=3,
    )


@pytest.mark.parametrize(("value", "retries"), [(None, 7), ("", 7), ("0", 0), ("25", 25), (2, 2)])
def test_the_retries_are_the_stacks(value: Any, retries: int) -> None:
    """aws:maxRetries says how often a look-up is tried again; without it seven times."""
    assert to_settings(maxRetries=value).max_retries == retries


def test_the_client_is_made_to_be_told_when_to_stop() -> None:
    """The client gives up connecting and reading after 10 s, tries once, and says who it is."""
    found = connect(to_settings())
    config: Any = found.client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (10, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert re.search(r" lmconv-resource/[\w.]+$", send(found).headers["User-Agent"].decode())
    assert found.region == REGION


# -- roles -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with serve() as emulator:
        yield emulator


def find_sts_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], Any]]:
    """Give a list that fills with what is asked of STS: the caller's key, the members and the client's config."""
    from botocore.client import BaseClient

    calls: list[tuple[str, dict[str, Any], Any]] = []
    really: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def note(self: Any, operation: str, members: Any) -> Any:
        if operation == "AssumeRole":
            calls.append((self._request_signer._credentials.access_key, dict(members), self.meta.config))
        return really(self, operation, members)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    return calls


def test_a_role_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is signed as the role of aws:assumeRoles, which was assumed with all that the setting says."""
    calls = find_sts_calls(monkeypatch)
    role = {"roleArn": ROLE, "externalId": "ext", "duration": "1h", "policy": "{}", "sourceIdentity": "alice"}
    with mock_aws(config={"core": {"mock_credentials": False}}):
        found = connect(to_settings(assumeRoles=json.dumps([role])))
        assert calls == []  # until the first call of its own
        keys = {access_key_of(send(found)) for _ in range(3)}
    ((caller, members, config),) = calls
    assert caller == ACCESS_KEY
    assert members == {
        "RoleArn": ROLE,
        "RoleSessionName": "lmconv-resource",
        "ExternalId": "ext",
        "DurationSeconds": 3600,
        "Policy": "{}",
        "SourceIdentity": "alice",
    }
    assert (config.connect_timeout, config.read_timeout, config.region_name) == (10, 10, REGION)
    assert len(keys) == 1
    assert keys.pop().startswith("ASIA")


def test_a_chain_of_roles_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each role is assumed with the credentials of the one before it."""
    calls = find_sts_calls(monkeypatch)
    roles = [{"roleArn": f"{ROLE}{number}"} for number in range(3)]
    with mock_aws(config={"core": {"mock_credentials": False}}):
        last = access_key_of(send(connect(to_settings(assumeRoles=json.dumps(roles)))))
    assert [members["RoleArn"] for _, members, _ in calls] == [f"{ROLE}0", f"{ROLE}1", f"{ROLE}2"]
    callers = [caller for caller, _, _ in calls]
    assert callers[0] == ACCESS_KEY
    assert len({*callers, last}) == 4


def test_a_roles_credentials_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials near their end (here 15 minutes, AWS's shortest) are renewed, so that a wait outlasts them."""
    calls = find_sts_calls(monkeypatch)
    with mock_aws(config={"core": {"mock_credentials": False}}):
        found = connect(to_settings(assumeRoles=json.dumps([{"roleArn": ROLE, "duration": "15m"}])))
        keys = [access_key_of(send(found)) for _ in range(2)]
    assert keys[0] != keys[1]
    assert len(calls) >= 2


def test_sts_is_asked_at_its_endpoint(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """aws:endpoints names STS too; over HTTP a role is assumed and a call is made as it."""
    calls = find_sts_calls(monkeypatch)
    endpoints = json.dumps([{"sts": emulator.endpoint, "licensemanager": emulator.endpoint}])
    found = connect(to_settings(endpoints=endpoints, assumeRoles=json.dumps([{"roleArn": ROLE}])))
    assert found.client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
    assert len(calls) == 1


def test_a_role_needs_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role with nothing to assume it with is said at once, by its name."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(SettingsError) as error:
        connect(to_settings(assumeRoles=json.dumps([{"roleArn": ROLE}])))
    assert str(error.value) == (
        "Connecting to AWS License Manager for license conversion tasks in eu-west-1: no credentials were found to "
        "assume arn:aws:iam::123456789012:role/tracker with. Give them by `pulumi config set aws:profile NAME`, or in "
        "any way that the AWS CLI knows."
    )


# -- what can't be used ------------------------------------------------------------------------------------------------


def test_secrets_are_not_shown() -> None:
    """Neither settings nor a connection show a secret when they are printed."""
    settings = to_settings(
        accessKey="ak-recognisable",
        secretKey="sk-recognisable",
        token="tok-recognisable",
        assumeRoles=json.dumps([{"roleArn": ROLE, "externalId": "ext-recognisable"}]),
    )
    assert "recognisable" not in repr(settings) + str(settings)
    assert "recognisable" not in repr(connect(Settings(REGION, secret_key="sk-recognisable", access_key="ak")))


ENDPOINTS_FORM = 'a list of services and URLs ([{"licensemanager": "https://…"}])'
ROLES_FORM = 'a list of roles ([{"roleArn": "arn:aws:iam::…"}])'


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("endpoints", "https://password-recognisable@lm", ENDPOINTS_FORM),
        ("endpoints", '["password-recognisable"]', ENDPOINTS_FORM),
        ("endpoints", '[{"licensemanager": ["password-recognisable"]}]', ENDPOINTS_FORM),
        ("assumeRoles", ROLE + "password-recognisable", ROLES_FORM),
        ("assumeRoles", '[{"externalId": "ext-recognisable"}]', ROLES_FORM),
        ("assumeRoles", '[{"roleArn": "a", "duration": "ext-recognisable"}]', ROLES_FORM),
        ("assumeRoles", '[{"roleArn": "a", "duration": 3600}]', ROLES_FORM),
        ("assumeRoles", '[{"roleArn": "a", "duration": "13h"}]', ROLES_FORM),
        ("assumeRoles", '[{"roleArn": "a", "policy": {"Id": "ext-recognisable"}}]', ROLES_FORM),
        ("assumeRoles", '[{"roleArn": "a", "externalId": ["ext-recognisable"]}]', ROLES_FORM),
        ("maxRetries", "password-recognisable", "a whole number"),
        ("maxRetries", "1.5", "a whole number"),
        ("maxRetries", "-1", "a whole number of at least 0"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(name: str, value: str, form: str) -> None:
    """A setting of another form is one line with its key and the form, without its value, which may be a secret."""
    with pytest.raises(SettingsError) as error:
        to_settings(**{name: value})
    assert str(error.value) == (
        f"Connecting to AWS License Manager for license conversion tasks: the stack's aws:{name} is not {form}. "
        f"Look at it with `pulumi config get aws:{name}`."
    )


@pytest.mark.parametrize("given", [{"accessKey": "a"}, {"secretKey": "sk-recognisable"}, {"token": "tok-recognisable"}])
def test_half_of_a_key_is_refused(given: dict[str, str]) -> None:
    """One of aws:accessKey and aws:secretKey without the other, or a token alone, is said before any call."""
    with pytest.raises(SettingsError) as error:
        to_settings(**given)
    assert str(error.value) == (
        "Connecting to AWS License Manager for license conversion tasks in eu-west-1: of the stack's aws:accessKey and "
        "aws:secretKey only one is set, or aws:token without them. Set both with `pulumi config set --secret`, or "
        "neither."
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["licensemanager", "sts", "roleArn", "duration", "policy", "externalId", "sessionName"]),
            inner,
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from(["endpoints", "assumeRoles", "maxRetries"]), JSON, st.booleans())
def test_any_setting_is_usable_or_one_line(name: str, value: Any, as_text: bool) -> None:
    """Whatever a setting holds, it becomes settings that a connection can be found by, or one line with its key."""
    try:
        settings = to_settings(**{name: json.dumps(value) if as_text else value})
    except SettingsError as error:
        (line,) = str(error).splitlines()
    else:
        line = f"aws:{name} gives settings with the hash {hash(settings)}"
    assert f"aws:{name}" in line


@pytest.mark.parametrize(
    ("config", "environment", "told"),
    [
        ({"profile": "nobody"}, {}, "The config profile (nobody) could not be found"),
        ({}, {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ({"endpoints": '[{"licensemanager": "lm.example"}]'}, {}, "Invalid endpoint: lm.example"),
        ({}, {"AWS_ENDPOINT_URL": "lm.example"}, "Invalid endpoint: lm.example"),
        ({}, {"AWS_ENDPOINT_URL": "user:p@ssword@lm.example"}, "Invalid endpoint: lm.example"),
        ({}, {"AWS_ENDPOINT_URL": "http://user:p@ssword@lm example"}, "Invalid endpoint: lm example"),
        ({}, {"AWS_ENDPOINT_URL": "user:pass w@rd@lm.example"}, "Invalid endpoint: lm.example"),
    ],
)
def test_settings_that_make_no_client(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, str], environment: dict[str, str], told: str
) -> None:
    """An unknown profile or an endpoint that is no URL is one line with what to look at."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        connect(to_settings(**config))
    assert str(error.value) == (
        f"Connecting to AWS License Manager for license conversion tasks in eu-west-1: {told}. Check the stack's aws: "
        f"settings (`pulumi config`), AWS_PROFILE and AWS_ENDPOINT_URL."
    )
    assert error.value.region == REGION


def test_a_copied_folder_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is not installed but copied beside a program, AWS is told the name without a version."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert send(connect(to_settings())).headers["User-Agent"].decode().endswith(" lmconv-resource/unknown")
