"""States that were written once: this version refreshes and ups them without a change, and waits for nothing again."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation
from support.stacks import LocalStack, RealStack, make_stack, needs_pulumi

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


def known(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if value is not None}


@pytest.mark.parametrize(
    ("engine", "written"),
    [
        *(pytest.param("local", file, id=file.stem) for file in WRITTEN),
        *(
            pytest.param("real", file, id=f"{file.stem}, there", marks=[needs_pulumi, pytest.mark.proof])
            for file in WRITTEN
            if file.stem.endswith("-pulumi")
        ),
    ],
)
def test_a_written_state_stays_as_it_is(engine: str, written: Path, tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """`up`, `refresh` and `up` leave every record as it is, and look only at what may have changed.

    Each kept state, whichever engine wrote it, is taken over on LocalEngine.
    """
    stack, text = make_stack(engine, tmp_path, PROGRAM), written.read_text()
    if isinstance(stack, RealStack):
        name = json.loads(text)["deployment"]["resources"][0]["urn"].split(":")[2]
        stack.stack.import_stack(automation.Deployment(**json.loads(text.replace(name, stack.stack.name))))
    elif isinstance(stack, LocalStack):
        stack.state_file.write_text(json.dumps(to_local(json.loads(text))))
    stack.config["aws:region"] = REGION
    before = stack.resources()
    assert {"running", "succeeded", "failed", "waited", "ignored", "seen"} <= set(before)

    outcomes = [stack.up()]
    assert aws.calls == {"GetLicenseConversionTask": 2}, "the running one, and the one that is only read"
    outcomes += [stack.refresh(), stack.up()]

    for outcome in outcomes:
        assert outcome.ok, outcome.said
        assert set(outcome.changes) <= HARMLESS, outcome.changes
        assert not [text for _, severity, text in outcome.said if severity == "warning"]
    after = stack.resources()
    assert set(after) == set(before)
    for name, record in before.items():
        assert after[name]["id"] == record["id"]
        assert known(after[name]["outputs"]) == known(record["outputs"])


def test_the_kept_states_are_whole() -> None:
    """The states of this version are there, of both engines, and hold every kind of record."""
    version = metadata.version("lmconv-resource")
    assert {f"{version}-local", f"{version}-pulumi"} <= {file.stem for file in WRITTEN}
    for file in WRITTEN:
        ids = {each.get("id") for each in to_local(json.loads(file.read_text()))["resources"]}
        assert set(TASKS) <= ids
