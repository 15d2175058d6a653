"""The recording of the README: how it is made, and that the one in the repository is whole."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import recording
from support.stacks import needs_pulumi

PROJECT = Path(__file__).parents[2]
TOOL = PROJECT / "tools" / "recording.py"

WRITTEN = [
    (0.5, b"Updating\r\n"),
    (1.0, b"\x1b[32m+\x1b[0m creating (0s)\r\n"),
    (4.0, b"\x1b[1A\x1b[2K\x1b[32m+\x1b[0m creating (3s)\r\n"),
    (4.2, b"\x1b[1A\x1b[2K\x1b[32m+\x1b[0m created <3>\r\n"),
]
"""What a command writes that moves the cursor back up, as Pulumi does."""


def read_screens(svg: str) -> list[str]:
    """Return the text of each screen of a picture."""
    name = "{http://www.w3.org/2000/svg}"
    screens = [g for g in ElementTree.fromstring(svg).iter(f"{name}g") if g.get("class") == "screen"]  # noqa: S314
    return ["".join(text.text or "" for text in g.iter(f"{name}text")).replace("\xa0", " ") for g in screens]


def test_a_terminal_becomes_one_picture() -> None:
    """Each screen that stood for a while is a frame, and the last one is what the terminal shows at the end."""
    screens = recording.to_screens(WRITTEN)
    shown = read_screens(recording.to_svg(screens, "A title"))
    assert [screen.seconds for screen in screens] == [0.0, 0.5, 4.0]
    assert [re.sub(r"\s+", " ", text) for text in shown] == [
        "$ pulumi up --yes --skip-preview ",
        "$ pulumi up --yes --skip-preview Updating + creating (0s) ",
        "$ pulumi up --yes --skip-preview Updating + created <3> ",
    ]


def test_the_picture_in_the_repository_is_of_a_conversion_that_ended() -> None:
    """docs/recording.svg follows the README's resource from IN_PROGRESS to created, and asks nobody for a font."""
    svg = (PROJECT / "docs" / "recording.svg").read_text(encoding="utf-8")
    *before, last = read_screens(svg)
    assert any("10s IN_PROGRESS" in text for text in before)
    assert re.search(r"sql-server-01 +created", last)
    assert 'usage_operation: "RunInstances:0002"' in last
    assert "sql-server-01" in recording.read_program()
    assert "url(http" not in svg
    assert len(svg) < 200_000


def test_without_pulumi_it_says_what_it_needs(tmp_path: Path) -> None:
    output = tmp_path / "recording.svg"
    done = subprocess.run(
        [sys.executable, TOOL, output],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "`make recording` needs the `pulumi` command on PATH.\n"
    assert not output.exists()


@pytest.mark.proof
@needs_pulumi
def test_a_real_run_is_recorded(tmp_path: Path) -> None:
    output = tmp_path / "recording.svg"
    subprocess.run([sys.executable, TOOL, output], check=True, capture_output=True)
    assert 'usage_operation: "RunInstances:0002"' in read_screens(output.read_text(encoding="utf-8"))[-1]
