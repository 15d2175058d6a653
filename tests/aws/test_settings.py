"""What a stack, a resource and the environment say about AWS: what wins over what, and each refusal as its line."""

import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.aws import REGION, to_settings
from support.lifecycle import RecordingEngine

from lmconv_resource.aws.access.kinds import AssumedRole, parse_roles
from lmconv_resource.aws.access.settings import (
    SETTINGS,
    Settings,
    environment_key,
    resolve_region,
    unknown_setting_names,
)
from lmconv_resource.errors import SettingsError
from lmconv_resource.hosts.session import Session
from lmconv_resource.text import Wording, using

SUBJECT = "Connecting to AWS License Manager for license conversion tasks: "
ROLE = "arn:aws:iam::123456789012:role/tracker"

NUMBER = ", but a number: write it in quotes"


def refusal_of(**config: Any) -> str:
    """Return the line that a configuration ends in, without its subject."""
    with pytest.raises(SettingsError) as error:
        to_settings(**config)
    line = str(error.value)
    assert line.startswith(SUBJECT)
    return line.removeprefix(SUBJECT)


def read_pulumi_aws(file: str) -> str:
    """Return a module of pulumi-aws, whose import would take half a minute, as text."""
    spec = importlib.util.find_spec("pulumi_aws")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / file).read_text()


def test_every_setting_of_pulumi_aws_is_in_the_table() -> None:
    """A key that pulumi-aws reads or its provider takes, and the one of version 6, has its row; no other has."""
    read = set(re.findall(r"__config__\.get(?:_bool|_int)?\('(\w+)'\)", read_pulumi_aws("config/vars.py")))
    provider = read_pulumi_aws("provider.py").partition("@pulumi.type_token")[0]
    taken = set(re.findall(r"    def (\w+)\(self\) -> (?:Optional\[)?pulumi\.Input", provider))
    assert len(read) > 30
    newer = set() if "userAgents" in read else {"userAgents", "tagPolicyCompliance"}  # than 7.0
    assert sorted(setting.key for setting in SETTINGS) == sorted({*read, *newer, "assumeRole"})
    special = {"s3UsEast1RegionalEndpoint": "s3_us_east1_regional_endpoint"}
    snake = {special.get(key, re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key)) for key in read}
    assert taken - {"__init__"} == snake


def test_every_service_of_pulumi_aws_may_have_an_endpoint() -> None:
    """None of the installed version's is taken for a misspelt one of those that are called, and no newer one is."""
    text = read_pulumi_aws("config/outputs.py")
    members = text.partition("class Endpoints(")[2].partition("= None):")[0]
    known = {name.rstrip("_") for name in re.findall(r"\n +(\w+): Optional\[_?builtins\.str\]", members)}
    assert len(known) > 290
    for name in (*known, "mainframe"):
        to_settings(endpoints=[{name: "https://h"}])


@pytest.mark.parametrize("value", [[222222222222, 111111111111.0], "[222222222222, 111111111111]"])
def test_account_ids_may_be_numbers(value: Any) -> None:
    """YAML and `pulumi config set --path` make numbers of them. In any order they are the same setting."""
    assert to_settings(allowedAccountIds=value).allowed_account_ids == ("111111111111", "222222222222")


def test_the_settings_that_are_read_are_those_of_the_table() -> None:
    """What the table calls honoured or refused is asked for, and what has no effect is not."""
    asked: set[str] = set()
    Settings.from_config(asked.add, REGION)
    resolve_region(asked.add)
    of_concern = {setting.key for setting in SETTINGS if setting.treatment != "no effect"}
    assert {key.removeprefix("aws:") for key in asked} == of_concern


@pytest.mark.parametrize(
    ("name", "prefix", "remedy"),
    [
        ("aws:asumeRoles", "aws:", "Write aws:assumeRoles, or remove it"),
        ("aws:allowedAccountID", "aws:", "Write aws:allowedAccountIds, or remove it"),
        ("lmconv:wait", "lmconv:", "Remove it"),  # nobody else has settings in that namespace
    ],
)
def test_a_misspelt_setting_is_refused(name: str, prefix: str, remedy: str) -> None:
    """It might say who calls, or where: so it is not passed over, and what it might mean is named."""
    with pytest.raises(SettingsError) as error:
        unknown_setting_names(["aws:region", "lmconv:region", name, "aws:zone"], lambda _: None, prefix=prefix)
    assert str(error.value) == f"{SUBJECT}'{name}' is not a setting. {remedy} with `pulumi config rm '{name}'`."


def test_settings_that_are_known_or_not_ours_pass() -> None:
    """Those of the table, the engine's own and other namespaces'."""
    assert unknown_setting_names([f"aws:{setting.key}" for setting in SETTINGS], lambda _: None) == []
    theirs = ["aws:version", "aws:pluginDownloadURL", "project:asumeRoles", "aws-native:asumeRoles", "own:more"]
    assert unknown_setting_names([*theirs, "aws:computeOptimizerMode"], lambda _: None) == ["aws:computeOptimizerMode"]


def test_a_setting_that_is_not_known_is_said_once() -> None:
    """A newer pulumi-aws may have it, as it may a service: the update goes on."""
    engine = RecordingEngine()
    session = Session({"aws:endpoints": '[{"braket2": "https://b", "ec2": "https://e"}]'}.get, engine)
    session.setting_names = lambda: ["aws:newestMode", "aws:endpoints"]
    for _ in range(2):
        session.check_setting_names()
    no_effect = "is not used by this version of lmconv-resource and has no effect."
    assert engine.said == [("INFO", f"'{name}' {no_effect}") for name in ("aws:endpoints (braket2)", "aws:newestMode")]


def test_the_region_is_found_least_surprising_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_config: Callable[[str], None]
) -> None:
    """The resource's own, the stack's, AWS_REGION, AWS_DEFAULT_REGION, the profile's; without the first the next.

    Nowhere a region, or an empty one everywhere, gives None, for the check to name.
    """
    write_config("[default]\nregion = eu-north-1\n[profile work]\nregion = eu-south-1\n[profile own]\nregion = me-1\n")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    config: dict[str, Any] = {"aws:region": "sa-east-1", "aws:profile": "work"}
    assert resolve_region(config.get, "ap-east-1") == "ap-east-1"
    assert resolve_region(config.get) == "sa-east-1"
    config["aws:region"] = ""
    assert resolve_region(config.get, recorded="ap-south-1") == "ap-south-1"
    assert resolve_region(config.get, "") == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "")
    assert resolve_region(config.get) == "us-east-2"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert resolve_region(config.get) == "eu-south-1"
    assert resolve_region(config.get, profile="own") == "me-1"
    config["aws:profile"] = ""
    assert resolve_region(config.get) == "eu-north-1"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert resolve_region(config.get) == "eu-south-1"
    for region in ("eu-south-2", "eu-central-2"):  # the stack's files, of which the last one wins
        (tmp_path / region).write_text(f"[profile work]\nregion = {region}\n")
        config["aws:sharedConfigFiles"] = [*config.get("aws:sharedConfigFiles", ()), str(tmp_path / region)]
        assert resolve_region(config.get) == region
    write_config("")
    monkeypatch.setenv("AWS_PROFILE", "")
    assert resolve_region({"aws:region": None}.get) is None


@pytest.mark.parametrize(
    ("config", "profile", "told"),
    [
        ("[default]\n", "nobody", "The config profile (nobody) could not be found"),
        ("[default\nregion", None, "{path} can't be read: line 1 stands under no [section]"),
        ("[default]\nsecret-of-mine\n", None, "{path} can't be read: line 2 is not KEY = VALUE"),
        ("[a]\nregion = x\nregion = y\n", None, "{path} can't be read: line 3 sets a key for the second time"),
        ("[a]\n[a]\n", None, "{path} can't be read: line 2 begins a section for the second time"),
        ("[a]\nregion = \udcff\n", None, "{path} can't be read: it is not UTF-8 text"),
        ("[a]\ns3 =\n  region\n", None, "{path} can't be read: it is not in the form of AWS's files"),
    ],
    ids=["unknown profile", "no section", "no value", "key twice", "section twice", "no text", "no nested value"],
)
def test_a_shared_config_that_cannot_be_read(
    write_config: Callable[[str], None], config: str, profile: str | None, told: str
) -> None:
    """While the region is looked for, a profile that is not there or a broken file is one line."""
    write_config(config)
    with pytest.raises(SettingsError) as error, using(Wording(prefix="lmconv:")):
        resolve_region({"lmconv:profile": profile}.get)
    assert str(error.value) == (
        f"{SUBJECT}{told.format(path=os.environ['AWS_CONFIG_FILE'])}. "
        f"Check lmconv:profile (`pulumi config`), AWS_PROFILE and the AWS config file."
    )


def test_empty_settings_are_those_of_none() -> None:
    """Settings that are set to nothing leave everything to the environment."""
    empty = {f"aws:{setting.key}": "" for setting in SETTINGS}
    assert Settings.from_config(empty.get, REGION) == to_settings() == Settings(REGION)


def test_paths_are_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path may begin with ~ or a variable, as in botocore's own files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.pem").touch()
    for path in ("~/own.pem", "$HOME/own.pem"):
        assert to_settings(customCaBundle=path).custom_ca_bundle == str(tmp_path / "own.pem")


def test_a_resource_has_its_own_on_top() -> None:
    """A resource's profile replaces the stack's ways to credentials, and its roles come after the stack's."""
    config: dict[str, Any] = {
        "aws:accessKey": "ak",
        "aws:secretKey": "sk",
        "aws:token": "tok",
        "aws:profile": "stack",
        "aws:assumeRoles": [{"roleArn": ROLE}],
        "aws:maxRetries": 1,
    }
    own = AssumedRole(f"{ROLE}2")
    settings = Settings.from_config(config.get, REGION, profile="own", assume_roles=(own,))
    assert settings == Settings(REGION, profile="own", assume_roles=(AssumedRole(ROLE), own), max_retries=1)
    identity = {"aws:assumeRoleWithWebIdentity": {"roleArn": ROLE, "webIdentityToken": "token"}}
    assert Settings.from_config(identity.get, REGION, profile="own") == Settings(REGION, profile="own")
    assert Settings.from_config(config.get, REGION, assume_roles=(own,)).access_key == "ak"


def test_a_resources_roles_are_read() -> None:
    """A resource gives no role, one, or a chain, with its members in the spelling of Python."""
    members = {"role_arn": ROLE, "external_id": "ext", "session_name": "me", "duration": "1h", "tags": {"a": "1"}}
    role = AssumedRole(ROLE, "me", 3600, external_id="ext", tags=(("a", "1"),))
    assert parse_roles(None) == parse_roles([]) == ()
    assert parse_roles(members) == (role,)
    assert parse_roles([members, {"role_arn": f"{ROLE}2"}]) == (role, AssumedRole(f"{ROLE}2"))


def test_the_environment_has_a_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes with each variable that botocore reads, with no other, and shows no value."""
    before = environment_key()
    assert environment_key() == before
    monkeypatch.setenv("TERM_PROGRAM", "other")
    assert environment_key() == before
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "recognisable")
        after = environment_key()
        assert after != before
        assert "recognisable" not in after
        before = after
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert environment_key() != before


def test_secrets_are_not_shown() -> None:
    role = {"roleArn": ROLE, "externalId": "ext-recognisable", "policy": '{"Id": "recognisable"}'}
    identity = {"roleArn": ROLE, "webIdentityToken": "tok-recognisable"}
    settings = to_settings(httpProxy="http://me:recognisable@p", assumeRoles=[role], assumeRoleWithWebIdentity=identity)
    parts = (settings, *settings.assume_roles, settings.assume_role_with_web_identity)
    assert "recognisable" not in "".join(map(repr, parts))


ENDPOINTS_FORM = 'a list of services and URLs ([{"licensemanager": "https://HOST"}])'
ROLES_FORM = 'a list of roles ([{"roleArn": "arn:aws:iam::ACCOUNT:role/NAME"}])'
WEB_FORM = 'an object ({"roleArn": "arn:aws:iam::ACCOUNT:role/NAME", "webIdentityTokenFile": "PATH"})'
ACCOUNTS_FORM = 'a list of account ids (["123456789012"])'
COUNT_FORM = "a whole number of at least 0"
URL_FORM = "a URL (https://HOST)"


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("endpoints", "https://recognisable@lm", ENDPOINTS_FORM),
        ("endpoints", '["recognisable"]', ENDPOINTS_FORM),
        ("assumeRoles", ROLE + "recognisable", ROLES_FORM),
        ("assumeRole", "7", ROLES_FORM),
        ("assumeRoleWithWebIdentity", "recognisable", WEB_FORM),
        ("assumeRoleWithWebIdentity", [{}, {}], WEB_FORM),
        ("maxRetries", "recognisable", COUNT_FORM),
        ("maxRetries", "-1", COUNT_FORM),
        ("maxRetries", True, COUNT_FORM),
        ("maxRetries", "9" * 5000, COUNT_FORM),
        ("allowedAccountIds", "123456789012", ACCOUNTS_FORM),
        ("allowedAccountIds", [11111111111], ACCOUNTS_FORM),  # one that has lost a leading zero
        ("forbiddenAccountIds", '["recognisable"]', ACCOUNTS_FORM),
        ("sharedCredentialsFiles", "[7]", 'a list of paths (["~/.aws/config"])'),
        ("useFipsEndpoint", "yes", "true or false"),
        ("skipMetadataApiCheck", "1", "true or false"),
        ("httpsProxy", "socks5://recognisable", URL_FORM),
        ("ec2MetadataServiceEndpoint", "http://", URL_FORM),
        ("ec2MetadataServiceEndpointMode", "IPv5", "IPv4 or IPv6"),
        ("userAgents", "recognisable", 'a list of products (["NAME/VERSION"])'),
        ("userAgents", ["a\r\nHost: recognisable"], 'a list of products (["NAME/VERSION"])'),
        ("noProxy", ["recognisable"], 'a string ("HOST,DOMAIN")'),
        ("profile", {"recognisable": 1}, "a string"),
        ("stsRegion", 7, "an AWS region (eu-west-1)"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(name: str, value: Any, form: str) -> None:
    """A setting of another form is one line with its key and the form, without its value, which may be a secret."""
    assert refusal_of(**{name: value}) == (f"aws:{name} is not {form}. Check it with `pulumi config get aws:{name}`.")


WEB = {"roleArn": ROLE, "webIdentityToken": "recognisable"}
DURATION_FORM = "a duration between 15m and 12h"
ROLE_KEYS = "roleArn, sessionName, duration, policy, policyArns, externalId, tags, transitiveTagKeys, sourceIdentity"
WEB_KEYS = "roleArn, sessionName, duration, policy, policyArns, webIdentityToken, webIdentityTokenFile"


@pytest.mark.parametrize(
    ("member", "value", "form"),
    [
        ("roleArn", None, "the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)"),
        ("roleArn", "arn:aws:iam::1:user/recognisable", "the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)"),
        *(("duration", wrong, DURATION_FORM) for wrong in ("recognisable", "14m59s", "12h1s", "3600")),
        ("duration", 3600, f"{DURATION_FORM}{NUMBER}"),
        ("policy", "recognisable", "a policy as JSON text"),
        ("policyArns", "recognisable", "a list of strings"),
        ("tags", ["recognisable"], "an object of strings"),
        ("externalId", "recognisable one", "2 to 1224 letters, digits and _+=,.@:/-"),
        ("sessionName", "recognisable one", "2 to 64 letters, digits and _+=,.@-"),
    ],
)
def test_a_wrong_member_of_a_role_is_named_with_its_entry(member: str, value: Any, form: str) -> None:
    """It is one line with entry, member and form, without the value."""
    role = {"roleArn": ROLE, member: value}
    for setting, roles, entry in (("assumeRole", role, ""), ("assumeRoles", [{"roleArn": ROLE}, role], "entry 2 of ")):
        assert refusal_of(**{setting: json.dumps(roles)}) == (
            f"{member} of {entry}aws:{setting} is not {form}. Check it with `pulumi config get aws:{setting}`."
        )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "assumeRoles",
            [{"roleArn": ROLE, "polcyArns": ["recognisable"]}],
            f"entry 1 of {{}} has 'polcyArns', which is not one of {ROLE_KEYS}",
        ),
        (
            "assumeRoleWithWebIdentity",
            {**WEB, "externalId": "recognisable"},
            f"{{}} has 'externalId', which is not one of {WEB_KEYS}",
        ),
        ("assumeRoleWithWebIdentity", {"roleArn": ROLE}, "{} needs one of webIdentityToken and webIdentityTokenFile"),
        (
            "assumeRoleWithWebIdentity",
            {**WEB, "webIdentityTokenFile": "/recognisable"},
            "{} has both webIdentityToken and webIdentityTokenFile: leave one of them out",
        ),
        ("endpoints", [{"ec2": "lm.recognisable"}], "ec2 of entry 1 of {} is not a URL (https://HOST)"),
        ("endpoints", [{"stss": "https://h"}], "entry 1 of {} has 'stss', which pulumi-aws writes sts"),
        ("endpoints", {"license-manager": "u"}, "{} has 'license-manager', which pulumi-aws writes licensemanager"),
        ("endpoints", {"EC2": "https://x"}, "{} has 'EC2', which pulumi-aws writes ec2"),
        ("customCaBundle", "/a\0b", r"{} names '/a\x00b', which is not a file"),
        ("sharedConfigFiles", ["/no/such/file"], "{} names '/no/such/file', which is not a file"),
    ],
)
def test_a_wrong_member_is_named_with_its_entry(name: str, value: Any, told: str) -> None:
    """An unknown member, one too many or too few, or a file that is not there is one line with the key."""
    line = f"{told.format(f'aws:{name}')}. Check it with `pulumi config get aws:{name}`."
    assert refusal_of(**{name: json.dumps(value) if isinstance(value, (list, dict)) else value}) == line


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"insecure": "true"},
            "aws:insecure is true, and TLS certificates are always verified here. Remove it, and name your own "
            "certificates with `pulumi config set aws:customCaBundle FILE`.",
        ),
        (
            {"assumeRoles": [{"roleArn": ROLE}], "assumeRole": {"roleArn": ROLE}},
            "aws:assumeRoles and aws:assumeRole are both set, and they are two names of one setting. Keep the roles in "
            "aws:assumeRoles only.",
        ),
        (
            {"accessKey": "ak", "secretKey": "sk", "assumeRoleWithWebIdentity": WEB},
            "aws:accessKey and aws:assumeRoleWithWebIdentity are both set, and only one can supply the credentials. "
            "Remove one of them with `pulumi config rm`.",
        ),
        *(
            (
                half,
                "of the stack's aws:accessKey and aws:secretKey only one is set, or aws:token without them. Set both "
                "with `pulumi config set --secret`, or neither.",
            )
            for half in ({"accessKey": "a"}, {"secretKey": "sk-recognisable"}, {"token": "tok-recognisable"})
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(config: dict[str, Any], told: str) -> None:
    """A well-formed setting that can't be honoured is refused by its name."""
    assert refusal_of(**config) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("recognisable", "assume_role is neither a role nor a list of roles"),
        (
            {"role_arn": ROLE, "roleArn": ROLE},
            "assume_role has 'roleArn', which is not one of role_arn, session_name, "
            "duration, policy, policy_arns, external_id, tags, transitive_tag_keys, source_identity",
        ),
        (
            [{"role_arn": ROLE}, {"role_arn": 7}],
            f"role_arn of entry 2 of assume_role is not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME){NUMBER}",
        ),
    ],
)
def test_a_resources_wrong_role_is_named(value: Any, told: str) -> None:
    """What is wrong in the program is one line with the entry and the key, as the program writes them."""
    with pytest.raises(SettingsError) as error:
        parse_roles(value)
    assert str(error.value) == f"{SUBJECT}{told}. Correct it in the program."


KEYS = "licensemanager sts roleArn duration policy externalId tags webIdentityToken policyArns"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(ROLE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=6,
)
OF_CONCERN = [s.key for s in SETTINGS if s.treatment != "no effect" and s.key not in ("region", "token")]


@given(st.sampled_from(OF_CONCERN), JSON, st.booleans())
def test_any_setting_is_usable_or_one_line(name: str, value: Any, as_text: bool) -> None:
    """Whatever a setting holds, it becomes settings that a connection can be found by, or one line with its key."""
    try:
        settings = to_settings(**{name: json.dumps(value) if as_text else value})
    except SettingsError as error:
        (line,) = str(error).splitlines()
    else:
        line = f"aws:{name} gives settings with the hash {hash(settings)}"
    assert f"aws:{name}" in line
