"""One table of cases for both hosts: what check, diff, create, read, update and delete come to.

Each case is written in Python's names. The native host is told and answers in its own, and says the same sentences in
its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.dynamic import CreateResult, ReadResult
from support.hurry import HURRIED
from support.native_host import CONVERSION, FAST, TASK, Plugin, plugin, to_init_error, to_struct, to_text

from lmconv_resource.conversion_provider import LicenseConversionProvider
from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.hosts.native.properties import read, write
from lmconv_resource.hosts.session import Session
from lmconv_resource.provider import LicenseConversionTaskProvider
from lmconv_resource.text import Wording, fill, to_snake, using

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
BYOL, INCLUDED = {"usage_operation": "RunInstances:0800"}, {"usage_operation": "RunInstances:0002"}

TRACK: dict[str, Any] = {"license_conversion_task_id": "lct-1", "region": "eu-west-1"}
CONVERT: dict[str, Any] = {
    "resource_arn": ARN,
    "source_license_context": BYOL,
    "destination_license_context": INCLUDED,
    "region": "eu-west-1",
    "wait_for_completion": True,
}


def add(
    aws: LicenseManagerBackend, status: str = "SUCCEEDED", task_id: str = "lct-1", message: str | None = None
) -> None:
    """Add a task of the resource, which leads to the same."""
    aws.add_task(
        task_id=task_id,
        resource_arn=ARN,
        source="RunInstances:0800",
        destination="RunInstances:0002",
        status=status,
        message=message,
    )


def wired(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as the native host takes them."""
    named: dict[str, Any] = MessageToDict(write(properties))
    return named


@dataclass
class Outcome:
    """What an operation came to, in Python's names."""

    id: str | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    changes: bool | None = None
    replaces: list[str] = field(default_factory=list)
    error: str | None = None


class Dynamic:
    """Pulumi's Python dynamic providers."""

    def __init__(self) -> None:
        self._session = Session({"aws:region": "eu-west-1"}.get, policy=FAST, runtime=HURRIED)

    def configure(self, **settings: Any) -> None:
        self._session.get_config = {
            f"aws:{name}": value for name, value in {"region": "eu-west-1", **settings}.items()
        }.get

    def _provider(self, kind: str) -> DynamicProvider:
        provider = LicenseConversionTaskProvider() if kind == TASK else LicenseConversionProvider()
        provider.session = self._session
        return provider

    def words(self, text: str) -> str:
        return fill(text)

    def check(self, kind: str, news: dict[str, Any]) -> Outcome:
        result = self._provider(kind).check({}, news)
        return Outcome(inputs=result.inputs, failures=[(f.property, f.reason) for f in result.failures or ()])

    def diff(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        result = self._provider(kind).diff(id, dict(olds), news)
        return Outcome(changes=result.changes, replaces=list(result.replaces or ()))

    def create(self, kind: str, inputs: dict[str, Any]) -> Outcome:
        return self._ask(lambda: self._provider(kind).create(inputs))

    def read(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        return self._ask(lambda: self._provider(kind).read(id, dict(record)))

    def update(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        return self._ask(lambda: CreateResult(id, self._provider(kind).update(id, dict(olds), news).outs))

    def _ask(self, call: Callable[[], CreateResult | ReadResult]) -> Outcome:
        try:
            result = call()
        except LicenseConversionError as error:
            return Outcome(error=str(error))
        except InitFailedError as error:
            recorded = to_init_error(error.to_status())
            assert recorded is not None
            return Outcome(recorded.id, recorded.properties, error=str(error))
        return Outcome(result.id, result.outs or {})

    def delete(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        self._provider(kind).delete(id, dict(record))
        return Outcome(id)


def unwired(properties: Mapping[str, Any]) -> dict[str, Any]:
    return read(to_struct(properties)).values


NATIVE = Wording(is_python=False, prefix="lmconv:")


class Native:
    """The plugin of our own."""

    def __init__(self, driven: Plugin) -> None:
        self._plugin = driven

    def configure(self, **settings: Any) -> None:
        self._plugin.configure(region="eu-west-1", **settings)

    def words(self, text: str) -> str:
        with using(NATIVE):
            return fill(text)

    def check(self, kind: str, news: dict[str, Any]) -> Outcome:
        inputs, failures = self._plugin.check(kind, wired(news))
        return Outcome(inputs=unwired(inputs), failures=[(to_snake(name), reason) for name, reason in failures])

    def diff(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        diff = self._plugin.diff(kind, id, wired(olds), wired(news))
        return Outcome(changes=diff.changes == diff.DIFF_SOME, replaces=[to_snake(name) for name in diff.replaces])

    def _ask(self, call: Callable[[], tuple[str, Mapping[str, Any]]]) -> Outcome:
        try:
            id_, outputs = call()
        except grpc.RpcError as error:
            recorded = to_init_error(error)
            if recorded is None:
                return Outcome(error=to_text(error))
            return Outcome(recorded.id, unwired(recorded.properties), error=to_text(error))
        return Outcome(id_, unwired(outputs))

    def create(self, kind: str, inputs: dict[str, Any]) -> Outcome:
        return self._ask(lambda: self._plugin.create(kind, wired(inputs)))

    def read(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        def call() -> tuple[str, Mapping[str, Any]]:
            inputs = {name: value for name, value in record.items() if name == "assume_role"}
            answer = self._plugin.read(kind, id, wired(record), wired(inputs))
            return answer.id, MessageToDict(answer.properties)

        return self._ask(call)

    def update(self, kind: str, id: str, olds: Mapping[str, Any], news: dict[str, Any]) -> Outcome:
        return self._ask(lambda: (id, self._plugin.update(kind, id, wired(olds), wired(news))))

    def delete(self, kind: str, id: str, record: Mapping[str, Any]) -> Outcome:
        self._plugin.delete(kind, id, wired(record))
        return Outcome(id)


@pytest.fixture(params=["dynamic", "native"])
def host(request: pytest.FixtureRequest, aws: LicenseManagerBackend) -> Iterator[Dynamic | Native]:
    """Each host in turn, on the emulated License Manager."""
    if request.param == "dynamic":
        yield Dynamic()
        return
    with plugin() as driven:
        yield Native(driven)


@pytest.mark.parametrize(
    ("kind", "inputs", "failures"),
    [
        (TASK, {"license_conversion_task_id": "lct-1"}, []),
        (CONVERSION, {**CONVERT}, []),
        (
            TASK,
            {},
            [
                (
                    "license_conversion_task_id",
                    "{license_conversion_task_id} is missing: set it to the id that AWS License Manager shows for the "
                    "conversion (lct-…), or the {resource_arn} of what is converted",
                )
            ],
        ),
        (
            TASK,
            {**TRACK, "wait_for_completion": "yes"},
            [("wait_for_completion", "{wait_for_completion} 'yes' is not a boolean: use {True} or {False}")],
        ),
    ],
)
def test_check(host: Dynamic | Native, kind: str, inputs: dict[str, Any], failures: list[tuple[str, str]]) -> None:
    """Defaults are filled in, and what is wrong is named."""
    outcome = host.check(kind, inputs)
    assert outcome.failures == [(name, host.words(reason)) for name, reason in failures]
    if not failures:
        given = {name: value for name, value in inputs.items() if value is not None}
        assert {**outcome.inputs, **given} == outcome.inputs
        assert outcome.inputs["region"] == "eu-west-1"
        assert outcome.inputs["wait_for_completion"] is (kind == CONVERSION)
        assert outcome.inputs["ignore_failure"] is False


@pytest.mark.parametrize(
    ("environment", "settings", "told"),
    [
        ({"AWS_PROFILE": ""}, {}, ""),
        (
            {"AWS_PROFILE": "nobody"},
            {"accessKey": "a", "secretKey": "s"},
            "profile, {aws:}profile (`pulumi config`) and",
        ),
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
    failures = host.check(TASK, {"license_conversion_task_id": "lct-1"}).failures
    assert [host.words(told) in line for _, line in failures] == [True] * bool(told)


def test_a_refresh_tells_whose_settings_it_uses(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """Pulumi hands over those of the last update; a `get` has none. The resource's own are replaced by an update."""
    add(aws)
    record = host.read(TASK, "lct-1", {"region": "eu-west-1"}).outputs
    host.configure(maxRetries="many")
    told = "`pulumi refresh --run-program` to use the present ones"
    assert told not in str(host.read(TASK, "lct-1", {"region": "eu-west-1"}).error)
    assert str(host.read(TASK, "lct-1", record).error).endswith(f"{told}.")
    role = {"assume_role": [{"role_arn": "arn:aws:iam::123456789012:role/r"}]}
    own = host.words(", and `pulumi up` after a change of the resource's profile or {assume_role}.")
    assert str(host.read(TASK, "lct-1", {**record, **role}).error).endswith(told + own)


@pytest.mark.parametrize(
    ("kind", "status", "inputs", "expected"),
    [
        (TASK, "SUCCEEDED", TRACK, (False, [])),
        (TASK, "IN_PROGRESS", {**TRACK, "wait_for_completion": True}, (True, [])),
        (TASK, "SUCCEEDED", {**TRACK, "license_conversion_task_id": "lct-2"}, (True, ["license_conversion_task_id"])),
        (CONVERSION, "FAILED", CONVERT, (True, ["status"])),
    ],
)
def test_diff(  # noqa: PLR0917 -- a row of the table
    host: Dynamic | Native,
    aws: LicenseManagerBackend,
    kind: str,
    status: str,
    inputs: dict[str, Any],
    expected: tuple[bool, list[str]],
) -> None:
    """What the record of a task with this status needs for what the program says: a change, and what it replaces."""
    add(aws, status)
    record = host.read(kind, "lct-1", {"region": "eu-west-1"}).outputs
    outcome = host.diff(kind, "lct-1", record, inputs)
    assert (outcome.changes, outcome.replaces) == expected


def test_create_tracks_a_task(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """As it is; by the newest of a resource as well."""
    add(aws, "FAILED", "lct-old")
    add(aws, "IN_PROGRESS")
    for inputs in (TRACK, {"resource_arn": ARN, "region": "eu-west-1"}):
        outcome = host.create(TASK, inputs)
        assert (outcome.id, outcome.outputs["status"], outcome.error) == ("lct-1", "IN_PROGRESS", None)


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
    diff = host.diff(kind, outcome.id, outcome.outputs, inputs)
    assert (diff.changes, diff.replaces) == (True, ["status"] if kind == CONVERSION else [])
    assert aws.calls["CreateLicenseConversionTaskForResource"] == (1 if kind == CONVERSION else 0)


def test_a_newer_conversion_replaces_one_that_failed(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """Also without `follow_newest`: a record that FAILED while it was waited for is left by another conversion only."""
    add(aws, "FAILED")
    inputs = {"resource_arn": ARN, "region": "eu-west-1", "wait_for_completion": True}
    failed = host.create(TASK, inputs)
    assert failed.id == "lct-1"
    assert host.diff(TASK, "lct-1", failed.outputs, inputs).replaces == []
    add(aws, task_id="lct-2")
    assert host.diff(TASK, "lct-1", failed.outputs, inputs).replaces == ["license_conversion_task_id"]
    assert host.create(TASK, inputs).outputs["status"] == "SUCCEEDED"


def test_create_starts_one(host: Dynamic | Native, aws: LicenseManagerBackend) -> None:
    """And what is recorded is no change."""
    aws.conversion_seconds = 0.0
    outcome = host.create(CONVERSION, CONVERT)
    assert (outcome.outputs["status"], outcome.outputs["adopted"]) == ("SUCCEEDED", False)
    assert aws.calls["CreateLicenseConversionTaskForResource"] == 1
    assert host.diff(CONVERSION, outcome.id or "", outcome.outputs, CONVERT).changes is False


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
