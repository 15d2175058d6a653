"""The matrix: every operation under every fault, as the table in cases.py says, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.proofs import keep
from support.stacks import needs_pulumi

from lmconv_resource.emulator import serve
from reliability.bench import CELLS, Cell, LocalBench, RealBench, play
from reliability.cases import OPERATIONS, WORDS

FAILS = ("error", "gives up")
SAMPLE = ("`AccessDeniedException`", "`ServerInternalException`", "HTTP 200 with a web page")
"""The real engine plans one resource at a time and stops at the first that fails: each of these takes a run."""

FEW = ("none", *SAMPLE, "`ThrottlingException`, once", "missing status")
"""What a run without the long proofs tries."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A License Manager on loopback, for the whole module."""
    with serve() as emulator:
        yield emulator.endpoint


@pytest.fixture(autouse=True)
def _to_emulator(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", endpoint)


@pytest.mark.parametrize("operation", keep(["refresh finished"], ["wait", "refresh finished"]))
def test_some_operations_under_some_faults(operation: str, tmp_path: Path, endpoint: str) -> None:
    """A few cells of the matrix, between which every word of it but `as answered` and `-` stands."""
    cells = [cell for cell in CELLS if cell.row.name in FEW]
    problems = play(LocalBench(tmp_path / "stack"), operation, cells, endpoint).find_problems()
    assert not problems, "\n".join(problems)


@pytest.mark.proof
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_under_every_fault(operation: str, tmp_path: Path, endpoint: str) -> None:
    """Each cell of the matrix: how often AWS is asked, the whole error or warning, and what the state holds after."""
    problems = play(LocalBench(tmp_path / "stack"), operation, CELLS, endpoint).find_problems()
    assert not problems, "\n".join(problems)


@needs_pulumi
@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("check", "delete")])
def test_every_operation_under_every_fault_on_the_real_engine(operation: str, tmp_path: Path, endpoint: str) -> None:
    """The same cells on the real engine: those that end well in one run, those that fail in another."""
    failing = [cell for cell in CELLS if cell.row.cells[operation] in FAILS]
    runs: list[tuple[list[Cell], float]] = [([cell for cell in CELLS if cell not in failing], 0.0)]
    if operation == "diff running":
        runs += [([cell], 0.0) for cell in failing if cell.row.name in SAMPLE]
    elif failing:
        runs.append((failing, 7.0))  # all steps have begun by then
    problems = []
    for number, (cells, delay_seconds) in enumerate(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        problems += play(RealBench(folder), operation, cells, endpoint, delay_seconds=delay_seconds).find_problems()
    assert not problems, "\n".join(problems)


def test_the_matrix_is_whole() -> None:
    """Every cell holds a word that is explained, and every word is used."""
    assert {word for cell in CELLS for word in cell.row.cells.values()} == set(WORDS)
