"""A user's program is checked by mypy and by pyright at their strictest, and runs as its types say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from local_engine import LocalEngine

from lmconv_resource.emulator import LicenseManagerBackend

pytest_plugins = ["lmconv_resource_pytest"]

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
MISTAKES = [
    number
    for number, line in enumerate((HERE / "mistakes.py").read_text(encoding="utf-8").splitlines(), 1)
    if line.endswith("# mistake")
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a user's, with settings of its own."""
    shutil.copy(HERE / "program.py", tmp_path / "__main__.py")
    shutil.copy(HERE / "mistakes.py", tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: typed\nruntime: python\n")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(PROJECT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    return tmp_path


def check(project: Path, *command: str) -> list[int]:
    """Run a type checker on a file and return the lines with errors."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "MYPYPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = {int(line) for line in re.findall(r"\.py:(\d+)(?::\d+)?(?: -)?:? error", done.stdout)}
    assert bool(found) == bool(done.returncode), done.stdout
    return sorted(found)


CHECKERS = {
    "mypy": ("mypy", "--strict", "--no-error-summary"),
    # basedpyright is pyright with a Node of its own; `strict` is pyright's.
    "pyright": ("basedpyright", "--pythonpath", sys.executable),
}


@pytest.mark.proof
@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_are_found(project: Path, checker: str) -> None:
    """A wrong type, a wrong name and a missing one are errors, in nested dicts too, and nothing else is.

    Resources, arguments as objects and as dicts, outputs and what is inside of them, and look-ups are typed.
    """
    assert check(project, *CHECKERS[checker], "__main__.py") == []
    assert check(project, *CHECKERS[checker], "mistakes.py") == MISTAKES


def test_the_program_runs(project: Path, license_manager: LicenseManagerBackend) -> None:
    """What the types say is so: the same program runs."""
    license_manager.add_task(
        task_id="lct-1",
        resource_arn="arn:aws:ec2:us-east-1:123456789012:instance/i-0fedcba9876543210",
        source="RunInstances:0800",
        destination="RunInstances:0002",
    )
    license_manager.conversion_seconds = 0
    with LocalEngine(project) as engine:
        outputs = engine.up().outputs
    assert outputs["usage_operation"] == "RunInstances:0002"
    assert outputs["later"] == "SUCCEEDED"
    assert outputs["failed"] == []
