"""What a person sees while conversions are waited for: the real `pulumi` command in terminals of three widths."""

import functools
import os
import re
from pathlib import Path

import pytest
from support.stacks import RealStack, needs_pulumi
from support.terminal import Terminal
from support.wire import add_running

from lmconv_resource.emulator import LicenseManagerBackend

pytestmark = [needs_pulumi, pytest.mark.proof, pytest.mark.timeout(240)]

PROGRAM = """
import pulumi
from lmconv_resource import LicenseConversionTask

for number in range(pulumi.Config().require_int("waits")):
    LicenseConversionTask(f"task-{number:02}", license_conversion_task_id=f"lct-{number:04}", wait_for_completion=True)
"""

ROWS = {
    80: re.compile(r"LicenseConversionTask +(?P<name>task-\d\d)$"),
    120: re.compile(r"LicenseConversionTask +(?P<name>task-\d\d) .* \d+s IN_PROGRESS · "),
    200: re.compile(r"LicenseConversionTask +(?P<name>task-\d\d) .* \d+s IN_PROGRESS · lct-\d{4}$"),
}
"""A task's row by the terminal's width. At 80 columns Pulumi's own table leaves no room for any text."""

SHOWN = {80: 0, 120: len("12 of 12 done"), 200: 200}
"""How much of the stack's row is certainly seen."""


@pytest.fixture(autouse=True)
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "TF_BUILD", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("waits", [1, 12])
def test_what_matters_is_on_the_row(waits: int, tmp_path: Path, aws: LicenseManagerBackend) -> None:
    """Each row says time and status, and the stack's row how far all are; at the end nothing of it is left."""
    add_running(aws, waits)
    stack = RealStack(tmp_path, PROGRAM)
    stack.config |= {"aws:region": "eu-west-1", "followed:waits": str(waits)}
    stack.configure()
    command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", stack.stack.name, "--parallel", "100"]
    terminal = Terminal(command, stack.folder, {**os.environ, **stack.environment}, columns=120)
    on_stack = f"0 of {waits} done, {waits} running" if waits > 1 else "s IN_PROGRESS · lct-0000"

    def shows_all(columns: int, lines: list[str]) -> bool:
        # A narrower terminal leaves a part of what stood there before.
        rows = {match["name"] for line in lines if (match := ROWS[columns].search(line))}
        return len(rows) == waits and any(
            "pulumi:pulumi:Stack" in line and on_stack[: SHOWN[columns]] in line for line in lines
        )

    try:
        for columns in (200, 80, 120):
            terminal.resize(columns)
            terminal.read_until(functools.partial(shows_all, columns), 60)
        for task_id in list(aws.tasks):
            aws.finish_task(task_id)
        lines = terminal.read_until(lambda _: False, 120)
        assert terminal.process.wait(10) == 0
        rows = [line for line in lines if "LicenseConversionTask" in line or "pulumi:pulumi:Stack" in line]
        assert len(rows) > waits
        assert not [line for line in rows if "IN_PROGRESS" in line or " done" in line]
    finally:
        terminal.close()
