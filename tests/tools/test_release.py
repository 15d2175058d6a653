"""`make release` refuses what is not ready, and builds what a stranger can install."""

import subprocess
import zipfile
from pathlib import Path

import pytest
import release
from support.checkout import PROJECT, copy_checkout

WRITER = """
from pathlib import Path

for engine in ("local", "pulumi"):
    Path(f"tests/states/1.2.3-{engine}.json").write_text("{}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "tests" / "states").mkdir(parents=True)
    (folder / "tests" / "reliability").mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "small"\nversion = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-01-02)\n\n- Small.\n")
    (folder / "tests" / "reliability" / "__init__.py").touch()
    (folder / "tests" / "reliability" / "write_states.py").write_text(WRITER)
    for engine in ("local", "pulumi"):
        (folder / "tests" / "states" / f"1.2.3-{engine}.json").write_text("{}")
    git(folder, "init", "-q")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")


def refuse(project: Path) -> str:
    """Return why a project is refused; nothing is built."""
    with pytest.raises(release.ReleaseError) as caught:
        release.release(project, print)
    assert not (project / "dist").exists()
    return str(caught.value)


@pytest.mark.parametrize("name", ["new.py", "CHANGELOG.md"])
def test_a_dirty_tree_is_refused(project: Path, name: str) -> None:
    """A file that is changed, and one that is not in git, name themselves."""
    with (project / name).open("a") as file:
        file.write("\n")
    assert refuse(project).startswith("The tree is dirty: ")
    assert name in refuse(project)


@pytest.mark.parametrize("heading", ["## 1.2.3 (unreleased)", "## 1.2.30 (2026-01-02)", "## Unreleased"])
def test_a_changelog_without_the_version_is_refused(project: Path, heading: str) -> None:
    (project / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    commit(project)
    assert refuse(project) == "CHANGELOG.md has no heading `## 1.2.3 (YYYY-MM-DD)`."


def test_the_states_of_a_version_are_written_once(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they are missing they are written, and are to be committed; without pulumi it says what it needs."""
    for state in (project / "tests" / "states").iterdir():
        state.unlink()
    commit(project)
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.parent.mkdir()
    git_folder = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    (pulumi.parent / "git").symlink_to(git_folder)
    monkeypatch.setenv("PATH", str(pulumi.parent))
    assert "needs the `pulumi` command" in refuse(project)
    pulumi.touch(mode=0o755)
    assert refuse(project) == "The states of 1.2.3 have been written into tests/states. Commit them and run this again."
    assert refuse(project).startswith("The tree is dirty: ")


@pytest.mark.proof
def test_a_command_that_fails_ends_it(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A project that can't be built is no release, and what the command wrote is shown."""
    (project / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    commit(project)
    with pytest.raises(release.ReleaseError, match=r"-m build .* ended with status 1"):
        release.release(project, print)
    assert "name" in capfd.readouterr().err


def test_the_changelog_of_this_project_has_its_version() -> None:
    release.check_changelog(PROJECT, release.read_version(PROJECT))


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_this_project_can_be_released(tmp_path: Path) -> None:
    """A clone of it builds, and both packages work where nothing else is installed."""
    copy = tmp_path / "copy"
    copy_checkout(copy)
    git(copy, "init", "-q")
    commit(copy)

    release.release(copy, print)

    (wheel,) = (copy / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "lmconv_resource/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "docs/", "examples/"))]
