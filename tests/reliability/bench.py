"""Runs the cells of the matrix: each fault has its own region, so that one `up` tries an operation against all."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol

import botocore
import pytest
from local_engine import LocalEngine
from local_engine.deployment import Deployment
from pulumi import automation
from support.stacks import LocalStack, Outcome, RealStack, Stack

from lmconv_resource.emulator import (
    ChangedAnswer,
    Fault,
    LicenseContext,
    LicenseManagerBackend,
    ProductCode,
    SlowAnswer,
    licensemanager_backends,
)
from reliability.cases import FAULTS, FRESH, TOLD_AS, WAITING, FaultRow

ACCOUNT = "123456789012"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
"""By every backend's clock: all that is recorded can be written down."""

RETRIES = 1
"""`aws:maxRetries`, so that a cell whose fault does not pass ends soon."""

WAIT_FAULT_CALLS = 2
"""How long a fault lasts in a wait, which would carry one that may pass for five minutes."""

PROGRAM = """
import json
import pulumi
from lmconv_resource import LicenseConversionTask

config = pulumi.Config()
wait = config.get_bool("wait") or False
for cell in json.loads(config.require("cells")):
    if config.get_bool("get"):
        LicenseConversionTask.get(cell["name"], cell["id"], region=cell["region"])
        continue
    LicenseConversionTask(
        cell["name"],
        license_conversion_task_id=cell["id"],
        region=cell["region"],
        wait_for_completion=wait,
        poll_interval_seconds=1 if wait else None,
    )
"""


LAST_SETTINGS = (
    "A refresh and a destroy use the settings of the last `pulumi up`: "
    "run `pulumi refresh --run-program` to use the present ones."
)
"""What is added to what is wrong with credentials on a refresh."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A fault's place: its resource, its region and its task there."""

    row: FaultRow
    name: str
    region: str
    task_id: str

    @property
    def backend(self) -> LicenseManagerBackend:
        """The License Manager of its region."""
        return licensemanager_backends[ACCOUNT][self.region]

    @property
    def arn(self) -> str:
        """What its task converts."""
        return f"arn:aws:ec2:{self.region}:{ACCOUNT}:instance/i-{self.name}"

    def outputs(self, status: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a state holds of its task, `members` changed."""
        ended = status != "IN_PROGRESS"
        outputs = {
            "license_conversion_task_id": self.task_id,
            "region": self.region,
            "resource_arn": self.arn,
            "source_license_context": {"usage_operation": "RunInstances:0800", "product_codes": []},
            "destination_license_context": {
                "usage_operation": "RunInstances:0002",
                "product_codes": [{"product_code_id": "abc", "product_code_type": "marketplace"}],
            },
            "status": status,
            "status_message": TOLD_AS[status],
            "start_time": "2026-01-02T02:04:05Z",
            "license_conversion_time": "2026-01-02T03:04:05Z" if ended else None,
            "end_time": "2026-01-02T03:04:05Z" if ended else None,
            "is_complete": ended,
            "duration_seconds": 3600.0 if ended else None,
        }
        return {**outputs, **(members or {})}


def make_cells() -> list[Cell]:
    """Return a cell for each fault."""
    regions = licensemanager_backends[ACCOUNT].regions
    assert len(FAULTS) <= len(regions)
    return [
        Cell(row, f"f{n:02}", region, f"lct-{n:04}")
        for n, (row, region) in enumerate(zip(FAULTS, regions, strict=False))
    ]


CELLS = make_cells()


def put_tasks(status: str, *, looks: int | None = None) -> None:
    """Put each cell's task into its region, in place of what was there, with nothing that goes wrong."""
    for cell in CELLS:
        backend = cell.backend
        backend.faults.clear()
        backend.calls.clear()
        backend.tasks.clear()
        backend.faults.injected.clear()
        backend.clock = NOW.timestamp
        backend.add_task(
            task_id=cell.task_id,
            resource_arn=cell.arn,
            source="RunInstances:0800",
            destination=LicenseContext("RunInstances:0002", (ProductCode("abc", "marketplace"),)),
            started=NOW - timedelta(hours=1),
            status=status,
            looks=looks,
            seconds=0 if looks is None and status != "IN_PROGRESS" else None,
            message=TOLD_AS[status],
        )


def add_faults(cells: Sequence[Cell], *, in_wait: bool, delay_seconds: float = 0.0) -> None:
    """Let each region go wrong in its way from now on; what was called until now is forgotten.

    With a delay every call takes so long, so that all steps have begun before the first one fails.
    """
    for cell in cells:
        cell.backend.calls.clear()
        calls = cell.row.calls
        if in_wait and cell.row.passes and calls is None:
            calls = WAIT_FAULT_CALLS
        if delay_seconds:
            cell.backend.faults.add(Fault(SlowAnswer(delay_seconds)))
        if cell.row.good_calls:
            cell.backend.faults.add(Fault(ChangedAnswer({"Progress": 50}), calls=cell.row.good_calls))
        for effect in cell.row.effects:
            cell.backend.faults.add(Fault(effect, calls=calls))


class Bench(Stack, Protocol):
    """A stack whose state can be set."""

    def read_state(self) -> str: ...
    def write_state(self, text: str) -> None: ...


class LocalBench(LocalStack):
    """A stack on LocalEngine, which goes on after errors as `pulumi up --continue-on-error` does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PROGRAM)

    def engine(self, **settings: Any) -> LocalEngine:
        return super().engine(parallel=2 * len(CELLS), **settings)

    def _run(self, operation: str) -> Outcome:
        with continuing_on_error():
            return super()._run(operation)

    def read_state(self) -> str:
        """Return the state as text."""
        return self.state_file.read_text() if self.state_file.exists() else '{"version": 1, "resources": []}'

    def write_state(self, text: str) -> None:
        """Take over a state."""
        self.state_file.write_text(text)


class RealBench(RealStack):
    """A stack on the real engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PROGRAM)
        self.stack.workspace.env_vars = {**self.environment, "PULUMI_PARALLEL": str(2 * len(CELLS))}

    def read_state(self) -> str:
        """Return the state as text."""
        exported = self.stack.export_stack()
        return json.dumps({"version": exported.version, "deployment": exported.deployment})

    def write_state(self, text: str) -> None:
        """Take over a state."""
        self.stack.import_stack(automation.Deployment(**json.loads(text)))


@contextmanager
def continuing_on_error() -> Iterator[None]:
    """Let LocalEngine begin steps after one has failed, as `--continue-on-error` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deployment, "stopping", property(lambda each: each.cancelled or each.killed))
        yield


@dataclasses.dataclass
class Play:
    """An operation that was run against the faults of some cells."""

    operation: str
    cells: Sequence[Cell]
    before: dict[str, dict[str, Any]]
    after: dict[str, dict[str, Any]]
    outcome: Outcome
    endpoint: str

    def find_problems(self) -> list[str]:
        """Return, of each cell, what is not as the table says."""
        return [
            f"{self.operation} under {cell.row.name}: {problem}" for cell in self.cells for problem in self._judge(cell)
        ]

    def _judge(self, cell: Cell) -> Iterator[str]:
        word = cell.row.cells[self.operation]
        calls, injected = cell.backend.calls.total(), cell.backend.faults.injected.total()
        counts = {
            "-": calls == 0,
            "error": calls == (2 if "ExpiredToken" in cell.row.name else 1),  # what has expired is read anew once
            "gives up": calls == RETRIES + 1,
            "retried": injected == 1 and calls > 1,
            "carried": injected > 0 and calls > injected,
        }
        if not counts.get(word, calls > 0):
            yield f"{word!r} does not go with {calls} calls, {injected} of them hit"
        before, after = self.before.get(cell.name), self.after.get(cell.name)
        found = None if after is None else _outputs(after)
        expected = self._expect(cell, word, before)
        if found != expected:
            yield f"the state holds {found}, and not {expected}"
        if self.operation.startswith("refresh") and before and after and before["inputs"] != after["inputs"]:
            yield "the inputs have changed"
        fails = word in ("error", "gives up")
        start = "Looking up license conversion task <ID> in <REGION>: "
        rests = [cell.row.line, cell.row.or_line if botocore.__version__.startswith("1.43.") else ""]
        if self.operation.startswith("refresh") and "ExpiredToken" in cell.row.name:
            rests = [f"{rest} {LAST_SETTINGS}" for rest in rests if rest]
        lines = [start + rest for rest in rests if rest] if fails else []
        yield from self._compare(cell, "error", lines)
        yield from self._compare(cell, "warning", [cell.row.warning] if word == "kept" else [])
        shown = any(
            name == cell.name and (text.startswith("failing") or "slow down" in text)
            for name, text in self.outcome.shown
        )
        if shown is not (word == "carried"):
            yield f"the row has {'' if shown else 'not '}shown a fault"

    def _expect(self, cell: Cell, word: str, before: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the outputs that the state is to hold, None for no record."""
        if self.operation in ("check", "delete"):
            return None
        if word in ("-", "kept", "error", "gives up"):
            return None if before is None else _outputs(before)
        changed = cell.row.shown if word == "as answered" else {}
        return {name: value for name, value in cell.outputs("SUCCEEDED", changed).items() if value is not None}

    def _compare(self, cell: Cell, severity: str, expected: list[str]) -> Iterator[str]:
        """Expect one of the lines, or none where none is given."""
        places = {"<ID>": cell.task_id, "<REGION>": cell.region, "<ENDPOINT>": self.endpoint}
        expected = [re.sub("|".join(places), lambda match: places[match[0]], line) for line in expected]
        said = list(dict.fromkeys(self.outcome.lines(cell.name, severity)))
        if said not in ([[line] for line in expected] or [[]]):
            yield f"the {severity}s are {said}, and not {expected}"


def _outputs(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state holds of a task; an engine may drop what is None."""
    return {name: value for name, value in resource["outputs"].items() if value is not None and name[:2] != "__"}


def play(bench: Bench, operation: str, cells: Sequence[Cell], endpoint: str, *, delay_seconds: float = 0.0) -> Play:
    """Run an operation against the faults of these cells, each in its own region, from the state that it begins with.

    Args:
        bench: the stack.
        operation: a column of the matrix.
        cells: its rows.
        endpoint: the emulator's.
        delay_seconds: what each call takes longer.
    """
    bench.config.clear()
    bench.config["aws:maxRetries"] = str(RETRIES)
    bench.config["followed:cells"] = json.dumps(
        [{"name": cell.name, "id": cell.task_id, "region": cell.region} for cell in cells]
    )
    if operation not in FRESH:
        _record(bench, cells, "SUCCEEDED" if operation in ("diff finished", "refresh finished", "delete") else None)
    put_tasks("SUCCEEDED", looks=2 if operation in WAITING else None)
    before = {} if operation in FRESH else bench.resources()
    add_faults(cells, in_wait=operation in WAITING, delay_seconds=delay_seconds)
    if operation in WAITING:
        bench.config["followed:wait"] = "true"
    if operation == "get":
        bench.config["followed:get"] = "true"
    verb = {"check": "preview", "delete": "destroy"}.get(operation, operation.split(maxsplit=1)[0])
    outcome: Outcome = getattr(bench, verb if verb in ("preview", "destroy", "refresh") else "up")()
    return Play(operation, cells, before, bench.resources(), outcome, endpoint)


_recorded: dict[tuple[str, ...], str] = {}
"""What LocalEngine recorded of some cells, the first time; the real engine's stacks have a name each."""


def _record(bench: Bench, cells: Sequence[Cell], status: str | None) -> None:
    """Have the stack track each cell's task; with a status, as if it had been recorded with that."""
    names = tuple(cell.name for cell in cells)
    if isinstance(bench, LocalBench) and names in _recorded:
        bench.write_state(_recorded[names])
    else:
        put_tasks("IN_PROGRESS")
        outcome = bench.up()
        assert outcome.ok, outcome.said
        if isinstance(bench, LocalBench):
            _recorded[names] = bench.read_state()
    if status is None:
        return
    by_name = {cell.name: cell for cell in cells}
    state = json.loads(bench.read_state())
    for resource in state.get("deployment", state)["resources"]:
        cell = by_name.get(resource["urn"].rsplit("::", 1)[-1])
        if cell is not None:
            resource["outputs"].update(cell.outputs(status))
    bench.write_state(json.dumps(state))
