"""Record `pulumi up` following a conversion, as an SVG of a terminal: `make recording`.

The README's own program runs with the real `pulumi` command in a terminal, on a License Manager that runs here. What it
writes goes through pyte, a terminal emulator, and rich draws each screen. Nothing of the picture is drawn by hand.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "examples" / "demo"))

import demo  # noqa: E402 -- the demo's folder is no package

COLUMNS, ROWS = 136, 15
COMMAND = ("pulumi", "up", "--yes", "--skip-preview")
TASK_SECONDS = 24
"""Of the conversion that is followed: long enough to show how a wait goes on."""

SPEED = 2.5
"""How much faster than it happened the recording plays."""

LAST_SECONDS = 6.0
"""How long the last screen stays before the recording begins again."""

FRAME_SECONDS = 1.9
"""A screen stays at least so long; what the terminal showed for less is left out. Pulumi draws each second."""

FRAME = """<g class="screen" id="{unique_id}">
<style>{styles}</style>
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</g>"""

CHROME = "{width} {height}\n{chrome}"

PICTURE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>{title}</title>
<!-- Written by `make recording` from a real run. -->
<style>
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 20px;
  white-space: pre; }}
.screen {{ visibility: hidden; }}
{timing}
@media (prefers-reduced-motion: reduce) {{
  .screen {{ animation: none !important; }}
  .screen:last-of-type {{ visibility: visible; }}
}}
</style>
{chrome}
{frames}
</svg>
"""


class RecordingError(Exception):
    """The run could not be recorded: one line that says what to do."""


@dataclass(frozen=True)
class Screen:
    """What a terminal shows at a moment."""

    seconds: float
    """Since the command began."""

    lines: tuple[Text, ...]


def read_program() -> str:
    """Return the program of the README that follows a task."""
    (*_, program) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(program)


def run_program(folder: Path) -> list[tuple[float, bytes]]:
    """Run the README's program in a terminal and return what it writes, with the seconds since its start.

    Raises:
        RecordingError: there is no `pulumi` command, or it failed.
    """
    if not shutil.which("pulumi"):
        raise RecordingError("`make recording` needs the `pulumi` command on PATH.")
    from lmconv_resource.emulator import serve

    program = folder / "licenses"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("name: licenses\nruntime: {name: python, options: {virtualenv: .venv}}\n")
    (program / "__main__.py").write_text(read_program())
    (program / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    env = {**demo.make_environment(os.environ, folder), "TERM": "xterm-256color", "PYTHONPATH": str(PROJECT)}
    for command in ("stack init dev", f"config set aws:region {demo.REGION}"):
        subprocess.run(["pulumi", *command.split()], env=env, cwd=program, check=True, capture_output=True)  # noqa: S603, S607
    with serve() as emulator:
        emulator.backend(demo.REGION).add_task(**demo.TASK, seconds=TASK_SECONDS)
        return list(run_in_terminal(COMMAND, {**env, **emulator.environment}, program))


def run_in_terminal(command: Sequence[str], env: dict[str, str], folder: Path) -> Iterator[tuple[float, bytes]]:
    """Run a command in a terminal of its own; yield what it writes, with the seconds since its start.

    Raises:
        RecordingError: it failed.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(  # noqa: S603 -- the command above
        command, env=env, cwd=folder, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    began = time.monotonic()
    while True:
        try:
            written = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not written:
            break
        yield time.monotonic() - began, written
    os.close(ours)
    if process.wait():
        raise RecordingError(f"`{' '.join(command)}` ended with status {process.returncode}.")


def to_screens(written: Sequence[tuple[float, bytes]]) -> list[Screen]:
    """Return the screens that differ from the one before, without those that stood for a moment only."""
    terminal = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(terminal)
    prompt = Text.assemble(("$ ", "bold green"), " ".join(COMMAND))
    screens = [Screen(0.0, (prompt,))]
    for seconds, data in written:
        stream.feed(data)
        lines = (prompt, *(to_text(terminal, row) for row in range(ROWS)))
        if seconds - screens[-1].seconds < FRAME_SECONDS and len(screens) > 1:
            screens[-1] = Screen(screens[-1].seconds, lines)
        elif lines != screens[-1].lines:
            screens.append(Screen(seconds, lines))
    return screens


def to_text(terminal: pyte.Screen, row: int) -> Text:
    """Return a row of the terminal with its colours."""
    text = Text(no_wrap=True)
    chars = [terminal.buffer[row][column] for column in range(terminal.columns)]
    for (fg, bg, bold), run in itertools.groupby(chars, key=lambda char: (char.fg, char.bg, char.bold)):
        style = Style(color=to_color(fg), bgcolor=to_color(bg), bold=bold or None)
        text.append("".join(char.data for char in run), style)
    text.rstrip()
    return text


def to_color(name: str) -> str | None:
    """Return rich's name for a colour of pyte's."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("brown", "yellow").replace("bright", "bright_")


def draw(screen: Screen, number: int, code_format: str) -> str:
    """Return rich's drawing of a screen, by a template of rich's `export_svg`."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), color_system="truecolor")  # noqa: SIM115
    with console.file:
        for line in (*screen.lines, *[Text()] * (ROWS + 1 - len(screen.lines))):
            console.print(line, highlight=False, overflow="crop")
    svg = console.export_svg(title="", theme=DIMMED_MONOKAI, code_format=code_format, unique_id=f"s{number}")
    return re.sub(r' clip-path="[^"]*"', "", svg)  # one for each line of each screen, and no line is too long


def to_svg(screens: Sequence[Screen], title: str) -> str:
    """Return one picture that shows the screens one after the other."""
    moments = [screen.seconds / SPEED for screen in screens]
    total = moments[-1] + LAST_SECONDS
    timing = []
    for number, (begin, end) in enumerate(zip(moments, [*moments[1:], total], strict=True)):
        steps = (
            f"{100 * begin / total:.2f}% {{ visibility: visible; }} {100 * end / total:.2f}% {{ visibility: hidden; }}"
        )
        timing.append(f"@keyframes k{number} {{ 0% {{ visibility: hidden; }} {steps} }}")
        timing.append(f"#s{number} {{ animation: k{number} {total:.1f}s step-end infinite; }}")
    size, chrome = draw(screens[0], 0, CHROME).split("\n", 1)
    width, height = size.split()
    return PICTURE.format(
        width=width,
        height=height,
        title=title,
        timing="\n".join(timing),
        chrome=chrome,
        frames="\n".join(draw(screen, number, FRAME) for number, screen in enumerate(screens)),
    )


def main() -> int:
    """Record, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=PROJECT / "docs" / "recording.svg")
    output = parser.parse_args().output
    try:
        with tempfile.TemporaryDirectory() as folder:
            screens = to_screens(run_program(Path(folder)))
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    output.write_text(to_svg(screens, "pulumi up follows a license conversion to its end"), encoding="utf-8")
    sys.stdout.write(f"{output}: {len(screens)} screens of {screens[-1].seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
