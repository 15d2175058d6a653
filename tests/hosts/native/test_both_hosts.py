"""One table of cases for both hosts: what check, diff, create, read, update and delete come to.

Each case is written in Python's names. The native host is told and answers in its own, and says the same sentences in
its own words.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from support.hurry import HURRIED
from support.native_host import CONVERSION, FAST, TASK, UNKNOWN, Plugin, plugin, to_init_error, to_struct, to_text

from lmconv_resource.conversion_provider import LicenseConversionProvider
from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.hosts.native.wire import read, write
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.operation import Unknown
from lmconv_resource.provider import LicenseConversionTaskProvider
from lmconv_resource.text import Wording, fill, to_snake, using

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"

TRACK: dict[str, Any] = {"license_conversion_task_id": "lct-1", "region": "eu-west-1"}
CONVERT: dict[str, Any] = {
    "resource_arn": ARN,
    "source_license_context": {"usage_operation": "RunInstances:0800"},
    "destination_license_context": {"usage_operation": "RunInstances:0002"},
    "region": "eu-west-1",
    "wait_for_completion": True,
}


def add(aws: LicenseManagerBackend, status: str = "SUCCEEDED", task_id: str = "lct-1", **more: Any) -> None:
    """Add a task of the resource, which leads to the same."""
    license: dict[str, Any] = {"source": "RunInstances:0800", "destination": "RunInstances:0002"}
    aws.add_task(task_id=task_id, resource_arn=ARN, status=status, **license, **more)


def wired(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as the native host takes them."""
    named: dict[str, Any] = MessageToDict(write(properties))
    return named


class Outcome(NamedTuple):
    """What an operation came to, in Python's names."""

    id: str | None
    outputs: Mapping[str, Any]
    error: str | None = None


def ask(call: Callable[[], tuple[str, Mapping[str, Any] | None]]) -> Outcome:
    """Return what a call of either host came to."""
    try:
        id_, outputs = call()
        return Outcome(id_, unwired(outputs or {}))
    except LicenseConversionError as error:
        return Outcome(None, {}, str(error))
    except (InitFailedError, grpc.RpcError) as error:
        recorded = to_init_error(error)
        text = str(error) if isinstance(error, InitFailedError) else to_text(error)
        return Outcome(recorded.id, unwired(recorded.properties), text) if recorded else Outcome(None, {}, text)


class Dynamic:
    """Pulumi's Python dynamic providers."""

    words = staticmethod(fill)

    def __init__(self) -> None:
        self._session = Session(lambda _: None, policy=FAST, runtime=HURRIED)
        self.configure()

    def configure(self, **settings: Any) -> None:
        config = {"region": "eu-west-1", **settings}
        self._session.get_config = {f"aws:{name}": value for name, value in config.items()}.get

    def _provider(self, kind: str) -> DynamicProvider:
        provider = LicenseConversionTaskProvider() if kind == TASK else LicenseConversionProvider()
        provider.session = self._session
        return provider

    def check(self, kind: str, news: dict[str, Any]) -> tuple[Mapping[str, Any], list[tuple[str, str]]]:
        result = self._provider(kind).check({}, news)
        return result.inputs, [(failure.property, failure.reason) for failure in result.failures or ()]

    def diff(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> tuple[bool | None, list[str]]:
        result = self._provider(kind).diff(id, dict(olds), news)
        return result.changes, list(result.replaces or ())

    def create(self, kind: str, inputs: dict[str, Any]) -> Outcome:
        return ask(lambda: attrgetter("id", "outs")(self._provider(kind).create(inputs)))

    def read(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        return ask(lambda: (id, self._provider(kind).read(id, dict(record)).outs))

    def update(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        return ask(lambda: (id, self._provider(kind).update(id, dict(olds), news).outs))

    def delete(self, kind: str, id: str, record: Mapping[str, Any]) -> None:
        self._provider(kind).delete(id, dict(record))


def unwired(properties: Mapping[str, Any]) -> dict[str, Any]:
    return read(to_struct(properties), {}).values


class Native:
    """The plugin of our own."""

    def __init__(self, driven: Plugin) -> None:
        self._plugin = driven

    def configure(self, **settings: Any) -> None:
        self._plugin.configure(**{"region": "eu-west-1", **settings})

    def words(self, text: str) -> str:
        with using(Wording(is_python=False, prefix="lmconv:")):
            return fill(text)

    def check(self, kind: str, news: dict[str, Any]) -> tuple[Mapping[str, Any], list[tuple[str, str]]]:
        inputs, failures = self._plugin.check(kind, wired(news))
        return unwired(inputs), [(to_snake(name), reason) for name, reason in failures]

    def diff(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> tuple[bool | None, list[str]]:
        diff = self._plugin.diff(kind, id, wired(olds), wired(news))
        return diff.changes == diff.DIFF_SOME, [to_snake(name) for name in diff.replaces]

    def create(self, kind: str, inputs: dict[str, Any]) -> Outcome:
        return ask(lambda: self._plugin.create(kind, wired(inputs)))

    def read(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        inputs = {name: value for name, value in record.items() if name == "assume_role"}
        return ask(lambda: (id, MessageToDict(self._plugin.read(kind, id, wired(record), wired(inputs)).properties)))

    def update(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        return ask(lambda: (id, self._plugin.update(kind, id, wired(olds), wired(news))))

    def delete(self, kind: str, id: str, record: Mapping[str, Any]) -> None:
        self._plugin.delete(kind, id, wired(record))


@pytest.fixture(params=["dynamic", "native"])
def host(request: pytest.FixtureRequest, aws: LicenseManagerBackend) -> Iterator[Dynamic | Native]:
    """Each host in turn, on the emulated License Manager."""
    if request.param == "dynamic":
        yield Dynamic()
        return
    with plugin() as driven:
        yield Native(driven)


ARN_OR_ID = (
    "{license_conversion_task_id} is missing: set it to the id that AWS License Manager shows for the conversion "
    "(lct-…), or the {resource_arn} of what is converted"
)


@pytest.mark.parametrize(
    ("kind", "inputs", "name", "reason"),
    [
        (TASK, {"license_conversion_task_id": "lct-1"}, None, ""),
        (CONVERSION, {**CONVERT}, None, ""),
        (TASK, {}, "license_conversion_task_id", ARN_OR_ID),
        (
            TASK,
            {**TRACK, "wait_for_completion": "yes"},
            *("wait_for_completion", "{wait_for_completion} 'yes' is not a boolean: use {True} or {False}"),
        ),
    ],
)
def test_check(host: Dynamic | Native, kind: str, inputs: dict[str, Any], name: str | None, reason: str) -> None:
    """Defaults are filled in, and what is wrong is named."""
    checked, failures = host.check(kind, inputs)
    assert failures == ([] if name is None else [(name, host.words(reason))])
    if name is None:
        assert {**checked, **inputs} == checked
        assert checked["region"] == "eu-west-1"
        assert checked["wait_for_completion"] is (kind == CONVERSION)
        assert checked["ignore_failure"] is False


@pytest.mark.parametrize(
    ("environment", "settings", "told"),
    [
        ({"AWS_PROFILE": ""}, {}, ""),
        ({"AWS_PROFILE": "nobody"}, {"accessKey": "a", "secretKey": "s"}, "profile, {aws:}profile (`pulumi config`)"),
        ({"AWS_ACCESS_KEY_ID": ""}, {}, "Unable to locate credentials. Set credentials {with profile NAME}"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "pyproject.toml"}, {"profile": "x"}, "pyproject.toml can't be read: line "),
        ({}, {"endpoints": [{"mainframe": "https://h"}]}, ""),
    ],
)
def test_what_the_environment_says_is_a_line(
    host: Dynamic | Native, monkeypatch: pytest.MonkeyPatch, environment: Any, settings: Any, told: str
) -> None:
    """A check says it, in its host's names; what does not count passes."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    host.configure(**settings)
    _, failures = host.check(TASK, {"license_conversion_task_id": "lct-1"})
    assert [host.words(told) in line for _, line in failures] == [True] * bool(told)


def test_a_refresh_tells_whose_settings_it_uses(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """Pulumi hands over those of the last update; a `get` has none. The resource's own are replaced by an update."""
    add(aws)
    record = host.read(TASK, "lct-1", {"region": "eu-west-1"}).outputs
    host.configure(maxRetries="many")
    told = "`pulumi refresh --run-program` to use the current ones"
    assert told not in str(host.read(TASK, "lct-1", {"region": "eu-west-1"}).error)
    assert str(host.read(TASK, "lct-1", record).error).endswith(f"{told}.")
    role = {"assume_role": [{"role_arn": "arn:aws:iam::123456789012:role/r"}]}
    own = host.words(", and `pulumi up` after a change of the resource's profile or {assume_role}.")
    assert str(host.read(TASK, "lct-1", {**record, **role}).error).endswith(told + own)
    elsewhere = str(host.read(TASK, "lct-1", {**record, "region": "nowhere"}).error)
    assert "use one such as eu-west-1. A refresh and a destroy" in elsewhere


@pytest.mark.parametrize("status", ["IN_PROGRESS", "SUCCEEDED"])
def test_a_role_that_a_preview_cannot_know(host: Dynamic | Native, aws: LicenseManagerBackend, status: str) -> None:
    """It is a change, and passes the check, which looks for no credentials; nobody is asked with them."""
    add(aws, status)
    record = host.read(TASK, "lct-1", {"region": "eu-west-1"}).outputs
    aws.calls.clear()
    inputs = {**TRACK, "profile": "nobody", "assume_role": [{"role_arn": UNKNOWN, "external_id": "ext"}]}
    assert host.check(TASK, inputs)[1] == []
    assert host.diff(TASK, "lct-1", record, inputs)[0]
    assert not aws.calls


def test_the_region_of_an_arn_that_no_preview_knows_is_unknown_too(host: Dynamic | Native) -> None:
    """It is the ARN's, and neither missing nor the stack's. Wrong settings are said already."""
    inputs = {name: value for name, value in CONVERT.items() if name != "region"}
    host.configure(region="us-east-1")
    for arn, regions in ((ARN, ("eu-west-1",)), (UNKNOWN, (UNKNOWN, Unknown.UNKNOWN))):
        checked, failures = host.check(CONVERSION, {**inputs, "resource_arn": arn})
        assert failures == []
        assert checked["region"] in regions
    host.configure(insecure=True)
    assert len(host.check(CONVERSION, {**inputs, "resource_arn": UNKNOWN})[1]) == 1


@pytest.mark.parametrize("kind", [TASK, CONVERSION])
def test_create_of_one_that_fails(host: Dynamic | Native, aws: LicenseManagerBackend, kind: str) -> None:
    """An error that is recorded, with the id; the record is what the next `up` goes on from."""
    aws.conversion_seconds, aws.conversion_status, aws.conversion_message = 0.0, "FAILED", "not managed"
    add(aws, "FAILED", message="not managed")
    inputs = CONVERT if kind == CONVERSION else {**TRACK, "wait_for_completion": True}
    outcome = host.create(kind, inputs)
    assert outcome.id in aws.tasks
    assert outcome.error is not None
    assert "it FAILED: not managed" in outcome.error
    assert outcome.outputs["status"] == "FAILED"
    replaces = ["status"] if kind == CONVERSION else []
    assert host.diff(kind, outcome.id or "", outcome.outputs, inputs) == (True, replaces)
    assert aws.calls["CreateLicenseConversionTaskForResource"] == (1 if kind == CONVERSION else 0)


def test_create_starts_one(
    host: Dynamic | Native, aws: LicenseManagerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """And what is recorded is no change. Where STS can't be reached, the account is not checked, which a line says."""
    caplog.set_level(logging.INFO)
    aws.conversion_seconds = 0.0
    outcome = host.create(CONVERSION, CONVERT)
    assert (outcome.outputs["status"], outcome.outputs["adopted"]) == ("SUCCEEDED", False)
    assert aws.calls["CreateLicenseConversionTaskForResource"] == 1
    assert host.diff(CONVERSION, outcome.id or "", outcome.outputs, CONVERT) == (False, [])
    assert 'The account of the credentials was not checked: Could not connect to the endpoint URL: "' in caplog.text


@pytest.mark.parametrize("kind", [TASK, CONVERSION])
def test_read(host: Dynamic | Native, aws: LicenseManagerBackend, kind: str) -> None:
    """The record follows AWS, and that of an ended task outlives AWS's."""
    add(aws, "IN_PROGRESS")
    record = host.read(kind, "lct-1", {"region": "eu-west-1"}).outputs
    aws.finish_task("lct-1")
    ended = host.read(kind, "lct-1", record).outputs
    assert (record["status"], ended["status"]) == ("IN_PROGRESS", "SUCCEEDED")
    del aws.tasks["lct-1"]
    assert host.read(kind, "lct-1", ended).outputs["end_time"] == ended["end_time"]
    gone = host.read(kind, "lct-9", {**record, "license_conversion_task_id": "lct-9"})
    assert host.words("(set `region` or {run region REGION})") in (gone.error or "")


@pytest.mark.parametrize("kind", [TASK, CONVERSION])
def test_update_waits(host: Dynamic | Native, aws: LicenseManagerBackend, kind: str) -> None:
    """With the same id, and nothing is started. A delete asks AWS nothing: no call cancels or undoes a conversion."""
    inputs = CONVERT if kind == CONVERSION else {**TRACK, "wait_for_completion": True}
    add(aws, "IN_PROGRESS")
    record = host.read(kind, "lct-1", {"region": "eu-west-1"}).outputs
    aws.finish_task("lct-1")
    outcome = host.update(kind, "lct-1", record, inputs)
    assert (outcome.outputs["status"], outcome.error) == ("SUCCEEDED", None)
    assert aws.calls["CreateLicenseConversionTaskForResource"] == 0
    asked = dict(aws.calls)
    host.delete(kind, "lct-1", outcome.outputs)
    assert dict(aws.calls) == asked
