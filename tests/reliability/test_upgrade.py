"""States that were written once: this version refreshes and ups them without a change, and waits for nothing again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation
from support.stacks import LocalStack, RealStack, needs_pulumi

from lmconv_resource.emulator import LicenseManagerBackend, serve
from reliability.write_states import PROGRAM, REGION, STATES, TASKS, put_tasks, to_local

WRITTEN = sorted(STATES.glob("*.json"))
HARMLESS = {"same", "read"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """The License Manager that the states were written against."""
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        yield put_tasks()


def assert_nothing_changes(stack: Any, aws: LicenseManagerBackend) -> None:
    """`up`, `refresh` and `up` leave every record as it is, and look only at what may have changed."""
    stack.config["aws:region"] = REGION
    before = stack.resources()
    assert {"running", "succeeded", "failed", "waited", "ignored", "seen"} <= set(before)

    first = stack.up()
    assert first.ok, first.said
    assert set(first.changes) <= HARMLESS, first.changes
    assert aws.calls == {"GetLicenseConversionTask": 2}, "the running one, and the one that is only read"

    refreshed = stack.refresh()
    assert refreshed.ok, refreshed.said
    assert set(refreshed.changes) <= HARMLESS, refreshed.changes
    second = stack.up()
    assert set(second.changes) <= HARMLESS, second.changes

    after = stack.resources()
    assert set(after) == set(before)
    for name, record in before.items():
        assert after[name]["id"] == record["id"]
        assert known(after[name]["outputs"]) == known(record["outputs"])
    for outcome in (first, refreshed, second):
        assert not [text for _, severity, text in outcome.said if severity == "warning"]


def known(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if value is not None}


@pytest.mark.parametrize("written", WRITTEN, ids=[file.stem for file in WRITTEN])
def test_a_written_state_stays_as_it_is(written: Path, tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Each kept state, whichever engine wrote it, is taken over on LocalEngine."""
    stack = LocalStack(tmp_path / "stack", PROGRAM)
    stack.state_file.write_text(json.dumps(to_local(json.loads(written.read_text()))))

    assert_nothing_changes(stack, aws)


@needs_pulumi
@pytest.mark.proof
@pytest.mark.parametrize(
    "written", [pytest.param(file, id=file.stem) for file in WRITTEN if file.stem.endswith("-pulumi")]
)
def test_a_written_state_stays_as_it_is_on_the_real_engine(
    written: Path, tmp_path: Path, aws: LicenseManagerBackend
) -> None:
    stack = RealStack(tmp_path, PROGRAM)
    text = written.read_text()
    name = json.loads(text)["deployment"]["resources"][0]["urn"].split(":")[2]
    state = json.loads(text.replace(name, stack.stack.name))
    stack.stack.import_stack(automation.Deployment(**state))

    assert_nothing_changes(stack, aws)


def test_the_kept_states_are_whole() -> None:
    """The states of this version are there, of both engines, and hold every kind of record."""
    from importlib import metadata

    version = metadata.version("lmconv-resource")
    assert {f"{version}-local", f"{version}-pulumi"} <= {file.stem for file in WRITTEN}
    for file in WRITTEN:
        ids = {each.get("id") for each in to_local(json.loads(file.read_text()))["resources"]}
        assert set(TASKS) <= ids
