"""Build sdist and wheel into dist/, and try each as a stranger would: `make release`.

The wheel is installed into an empty virtual environment outside the checkout, and what it brings is run there; then the
sdist in its place, whose dependencies are the same. Nothing is uploaded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

PROGRAM = """
import sys
from importlib import metadata, resources

import lmconv_resource

assert metadata.version("lmconv-resource") == sys.argv[1], metadata.version("lmconv-resource")
assert "site-packages" in lmconv_resource.__file__, lmconv_resource.__file__
assert resources.files(lmconv_resource).joinpath("py.typed").is_file(), "py.typed is missing"
assert all(hasattr(lmconv_resource, name) for name in lmconv_resource.__all__)
assert "boto3" not in sys.modules, "importing the package imports boto3"
import lmconv_resource.provider, lmconv_resource.conversion_provider, lmconv_resource_pytest
"""
"""What is run with an installed package, whose version is its argument; pytest is there by then."""

PLUGIN = "pulumi-resource-lmconv"
"""The console script by which Pulumi's engine finds the package's plugin. It prints its port, and serves."""


class ReleaseError(Exception):
    """This can't be released: one line that says why."""


def read_version(project: Path) -> str:
    """Return the version in pyproject.toml."""
    found = re.search(r'^version = "(.+)"$', (project / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ReleaseError("pyproject.toml has no version.")
    return found[1]


def check_tree(project: Path) -> None:
    """Raise where the checkout is not what is committed."""
    changed = run(["git", "status", "--porcelain"], project).splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise ReleaseError(f"The tree is dirty: {changed[0].strip()}{more}. Commit or remove what has changed.")


def check_changelog(project: Path, version: str) -> None:
    """Raise where the changelog has no heading with the version and its day."""
    text = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", text, re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md has no heading `## {version} (YYYY-MM-DD)`.")


def write_states(project: Path, version: str) -> None:
    """Write the states that later versions must understand, and raise, as they are to be committed; once a version."""
    states = [project / "tests" / "states" / f"{version}-{engine}.json" for engine in ("local", "pulumi")]
    missing = [state.name for state in states if not state.exists()]
    if not missing:
        return
    if not shutil.which("pulumi"):
        raise ReleaseError(f"tests/states has no {missing[0]}, which needs the `pulumi` command on PATH to be written.")
    run([sys.executable, "-m", "reliability.write_states"], project, {"PYTHONPATH": f"{project}:{project / 'tests'}"})
    raise ReleaseError(f"The states of {version} have been written into tests/states. Commit them and run this again.")


def build(project: Path) -> list[Path]:
    """Build and return the wheel and the sdist that it is built from."""
    dist = project / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run([sys.executable, "-m", "build", "--outdir", str(dist)], project)
    files = [file for suffix in (".whl", ".tar.gz") for file in dist.glob(f"*{suffix}")]
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], project)
    return files


def try_out(files: Sequence[Path], version: str, folder: Path) -> None:
    """Install the packages into a virtual environment in `folder`, one after another, and run what each brings."""
    venv.create(folder / "venv", with_pip=True)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    first, *others = files
    run([*pip, str(first)], folder)
    run([python, "-c", "import lmconv_resource"], folder)
    run([*pip, f"lmconv-resource[testing] @ {first.as_uri()}"], folder)
    for file in (first, *others):
        if file in others:
            run([*pip, "--force-reinstall", "--no-deps", str(file)], folder)
        run([python, "-c", PROGRAM, version], folder)
        run([python, "-m", "lmconv_resource.emulator", "--help"], folder)
        try_plugin(scripts / PLUGIN, folder)


def try_plugin(script: Path, folder: Path) -> None:
    """Start the plugin as Pulumi's engine does, and end it again."""
    with subprocess.Popen([script], cwd=folder, env=make_environment(), stdout=subprocess.PIPE, text=True) as plugin:  # noqa: S603
        line = plugin.stdout.readline() if plugin.stdout else ""
        plugin.terminate()
    if not line.strip().isdigit():
        raise ReleaseError(f"{script.name} printed {line.strip()!r} where a port was to come.")


def make_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what leads Python to the checkout or to the user's packages."""
    return {**{name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}, **(more or {})}


def run(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it wrote.

    Raises:
        ReleaseError: it failed.
    """
    done = subprocess.run(  # noqa: S603 -- the commands above
        command, cwd=folder, env=make_environment(more), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        shown = " ".join(word if "\n" not in word else "PROGRAM" for word in command)
        raise ReleaseError(f"`{shown}` ended with status {done.returncode}.")
    return done.stdout


def release(project: Path, say: Callable[[str], object]) -> None:
    """Build and try what could be uploaded.

    Raises:
        ReleaseError: it can't be.
    """
    version = read_version(project)
    check_tree(project)
    check_changelog(project, version)
    write_states(project, version)
    say(f"Building {version} with build {metadata.version('build')}")
    files = build(project)
    say(f"Trying {' and '.join(file.name for file in files)} one after the other in a new virtual environment")
    with tempfile.TemporaryDirectory() as folder:
        try_out(files, version, Path(folder))
    say("dist/ is ready to be uploaded: python -m twine upload dist/*")


def main() -> int:
    """Make a release, and return the exit status."""
    try:
        release(PROJECT, lambda text: print(text, flush=True))
    except ReleaseError as error:
        sys.stderr.write(f"make release: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
