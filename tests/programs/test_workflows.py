"""What CI runs exists, over the versions that the package claims."""

import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
COMMANDS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def test_each_command_is_there() -> None:
    """Each target is in the Makefile, and each script can be run."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert {".ci/run", "make test-oldest", "make docs", "make release"} == set(COMMANDS)
    for command in COMMANDS:
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command
        else:
            assert (PROJECT / command).stat().st_mode & 0o100


def test_the_oldest_python_is_tried() -> None:
    """The matrix begins with the oldest version in pyproject.toml, and leaves none out."""
    versions = WORKFLOW["jobs"]["all"]["strategy"]["matrix"]["python"]
    minors = [int(version.split(".")[1]) for version in versions]
    assert f'requires-python = ">={versions[0]}"' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_the_issue_forms_can_be_read() -> None:
    """Each form has what its kind needs."""
    for path in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            assert all({"type", "attributes"} <= part.keys() for part in form["body"])
