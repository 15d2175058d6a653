"""What must not get out: credentials into state and errors."""

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from local_engine.deployment import Deployment
from moto.sts.models import sts_backends
from pulumi import automation
from support.proofs import keep
from support.stacks import ON_BOTH_ENGINES, LocalStack, Outcome, RealStack

from lmconv_resource.emulator import ErrorAnswer, Fault, RawAnswer, licensemanager_backends, serve
from lmconv_resource.emulator.effects import Effect

ACCOUNT = "123456789012"
ACCESS_KEY = "AKIAKEEPTHISQUIET000"
SECRET_KEY = "keep/this+quiet/too/0123456789abcdefghij"
TOKEN = "FwoGZXIvYXdzEKEEPTHETOKENQUIET//////////wEaDA"
EXTERNAL_ID, WEB_TOKEN = "keep-the-external-id-quiet", "keep-the-web-token-quiet"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tracker"

SIGNATURE_TEXT = (
    "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this "
    f"request should have been\n'POST\n/\n\nx-amz-security-token:{TOKEN}\n'"
)
"""AWS repeats the request as it was signed."""

PLACES: dict[str, Effect | None] = {
    "eu-west-1": None,
    "eu-west-2": ErrorAnswer("SignatureDoesNotMatch", SIGNATURE_TEXT, 403),
    "eu-west-3": ErrorAnswer("AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/x is not allowed"),
    "us-east-1": RawAnswer(503, "<html>"),
    "us-east-2": ErrorAnswer("ExpiredTokenException", "The security token included in the request is expired"),
}

PROGRAM = """
import json
import pulumi
from lmconv_resource import LicenseConversionTask

for region in json.loads(pulumi.Config().require("regions")):
    LicenseConversionTask(
        f"in-{region}",
        license_conversion_task_id="lct-1",
        region=region,
        wait_for_completion=pulumi.Config().get_bool("wait"),
        opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1s", update="1s")),
    )
"""


def put_tasks(places: Mapping[str, Effect | None]) -> None:
    """Put a task into each region, in place of what was there, and have all its calls go wrong in the region's way."""
    for region, effect in places.items():
        backend = licensemanager_backends[ACCOUNT][region]
        backend.tasks.clear()
        backend.faults.clear()
        backend.add_task(
            task_id="lct-1",
            resource_arn=f"arn:aws:ec2:{region}:{ACCOUNT}:instance/i-1",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            status="IN_PROGRESS",
        )
        if effect:
            backend.faults.add(Fault(effect))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A License Manager, and an STS, on loopback."""
    with serve() as emulator:
        yield emulator.endpoint


@pytest.fixture(params=ON_BOTH_ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path: Path, endpoint: str) -> Any:
    """A stack of the program above, whose License Manager goes wrong in most regions."""
    put_tasks(PLACES)
    return LocalSecrets(tmp_path / "stack") if request.param == "local" else RealSecrets(tmp_path)


class LocalSecrets(LocalStack):
    """LocalEngine, which goes on after errors. Nothing is marked as a secret, so nothing is masked by the engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PROGRAM)

    def _run(self, operation: str) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:  # as `--continue-on-error`
            patch.setattr(Deployment, "stopping", property(lambda each: each.cancelled or each.killed))
            return super()._run(operation)

    def read_state(self) -> str:
        """Return the state without the settings of the last `up`, which the real engine keeps in it as well."""
        state = json.loads(self.state_file.read_text())
        del state["config"]
        return json.dumps(state)


class RealSecrets(RealStack):
    """The real engine. It keeps a stack's settings in the state as the inputs of `pulumi:providers:pulumi-python`.

    That is Pulumi's own doing, for every dynamic provider: encrypted what was set with `--secret`, and else in clear.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PROGRAM)

    def configure(self) -> None:
        super().configure()
        for key in {"aws:accessKey", "aws:secretKey", "aws:token", "aws:assumeRoles"} & set(self.config):
            self.stack.set_config(key, automation.ConfigValue(self.config[key], secret=True))

    def read_state(self) -> str:
        """Return all that the backend keeps, as it is stored: state, history and backups."""
        return "".join(file.read_text() for file in (self.folder.parent / "backend").rglob("*.json*"))


KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": TOKEN}
FILES = {
    "token": WEB_TOKEN,
    "credentials": f"[tracker]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    f"aws_session_token = {TOKEN}\n",
}
ENDPOINTS = '[{"sts": "<ENDPOINT>", "licensemanager": "<ENDPOINT>"}]'
IDENTITY = json.dumps({"roleArn": ROLE, "webIdentityTokenFile": "<FOLDER>/token"})
GIVEN: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # With the environment's credentials, so that it shows what the others show.
    "role": (
        KEYS,
        {
            "aws:assumeRoles": json.dumps([{"roleArn": ROLE, "externalId": EXTERNAL_ID}]),
            "aws:endpoints": ENDPOINTS,
        },
    ),
    "environment": (KEYS, {}),
    "config": ({}, {"aws:accessKey": ACCESS_KEY, "aws:secretKey": SECRET_KEY, "aws:token": TOKEN}),
    "profile": ({"AWS_SHARED_CREDENTIALS_FILE": "<FOLDER>/credentials"}, {"aws:profile": "tracker"}),
    "web identity": ({}, {"aws:assumeRoleWithWebIdentity": IDENTITY, "aws:endpoints": ENDPOINTS}),
}
"""How credentials can be given: variables of the environment, and settings of the stack."""


@pytest.mark.parametrize("given", keep(["role"], GIVEN))
def test_credentials_stay_where_they_are(
    given: str, stack: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str
) -> None:
    """Whichever way credentials are given, none is in the state, in a message, in the debug log or in an error."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    variables, settings = (
        {name: text.replace("<FOLDER>", str(tmp_path)).replace("<ENDPOINT>", endpoint) for name, text in each.items()}
        for each in GIVEN[given]
    )
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    for name, text in {"AWS_ENDPOINT_URL_LICENSE_MANAGER": endpoint, "LMCONV_LOG": "DEBUG", **variables}.items():
        monkeypatch.setenv(name, text)
    stack.config |= {"aws:maxRetries": "0", "followed:regions": json.dumps(["eu-west-1"]), **settings}

    outcomes: list[Outcome] = [stack.up()]
    assert outcomes[0].ok, outcomes[0].said
    stack.config["followed:regions"] = json.dumps(list(PLACES))
    outcomes.append(stack.up())
    assert not outcomes[1].ok
    stack.config |= {"followed:regions": json.dumps(["eu-west-1"]), "followed:wait": "true"}
    outcomes += [stack.up(), stack.refresh()]

    assert "in-eu-west-1" in stack.resources()
    secrets = {ACCESS_KEY, SECRET_KEY, TOKEN, EXTERNAL_ID, WEB_TOKEN}
    roles = [
        role for account in sts_backends.values() for backend in account.values() for role in backend.assumed_roles
    ]
    assert roles or given not in ("role", "web identity")
    secrets |= {text for role in roles for text in (role.access_key_id, role.secret_access_key, role.session_token)}
    text = stack.read_state() + "".join(
        line for outcome in outcomes for _, _, line in [*outcome.said, *((a, "", b) for a, b in outcome.shown)]
    )
    found = {secret: text[max(0, text.find(secret) - 200) :][:300] for secret in secrets if secret in text}
    assert not found, found


def test_the_emulator_listens_on_loopback_only(endpoint: str) -> None:
    """Unless told otherwise nobody on the network reaches the emulator."""
    host, port = re.fullmatch(r"http://(.+):(\d+)", endpoint).groups()  # type: ignore[union-attr]
    assert ip_address(host).is_loopback
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = {words[1] for words in listening if words[3] == "0A" and words[1].endswith(f":{int(port):04X}")}
    assert found == {f"0100007F:{int(port):04X}"}
