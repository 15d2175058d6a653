"""The documentation's site is made from the files as they are, and the tests that it shows pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.stacks import needs_pulumi

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parents[2]
TESTING = (PROJECT / "docs" / "testing.md").read_text(encoding="utf-8")
PROGRAM = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[2]
MOCKS, ENGINE, FAULTS = re.findall(r"```python\n(.*?)```", TESTING, re.DOTALL)


def build(*more: str) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does. With `--quiet` mkdocs would not count warnings, and nothing be strict."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", *more],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.proof
def test_the_site_is_made_without_a_warning(tmp_path: Path) -> None:
    """No link is broken, no page is in no menu, and each public name has its docstring on a page.

    The search works without a server and without the internet: the index is a script, which a page that was opened as a
    file may load, and no script is from elsewhere.
    """
    done = build("--site-dir", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("index.html", "api/resources.html")}
    assert "What EC2 bills the instance as after the end" in pages["api/resources.html"]
    assert 'href="contributing.html"' in pages["index.html"]
    assert (tmp_path / "recording.svg").exists()
    assert (tmp_path / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = ")
    for page, text in pages.items():
        scripts = re.findall(r'<script src="([^"]+)"', text)
        assert [name for name in scripts if "://" in name] == []
        shim = next(name for name in scripts if name.endswith("js/iframe-worker.js"))
        assert (tmp_path / page).parent.joinpath(shim).resolve() == tmp_path / "js" / "iframe-worker.js"


@pytest.mark.proof
def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    """The site is not made where a page links to one that is not there."""
    shutil.copytree(PROJECT / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "design.md").write_text("[nowhere](nowhere.md)")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, tmp_path)
    config = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in ("tools/site_links.py", "paths: [.]"):
        config = config.replace(name, name.replace("tools", f"{PROJECT}/tools").replace("[.]", f"[{PROJECT}]"))
    (tmp_path / "mkdocs.yml").write_text(config)

    done = build("--config-file", str(tmp_path / "mkdocs.yml"), "--site-dir", str(tmp_path / "site"))

    assert done.returncode == 1
    assert "nowhere.md" in done.stderr


@pytest.fixture
def program(pytester: pytest.Pytester) -> Path:
    """The README's program where the tests that the page shows look for it."""
    folder = pytester.mkdir("path") / "to" / "program"
    folder.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: licenses\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    return folder


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    "test",
    [
        pytest.param(MOCKS, id="mocks", marks=pytest.mark.proof),
        pytest.param(FAULTS, id="faults", marks=pytest.mark.proof),
        pytest.param(ENGINE, id="engine", marks=needs_pulumi),
    ],
)
def test_the_tests_that_the_page_shows_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, test: str
) -> None:
    """What docs/testing.md shows is a test as it stands."""
    monkeypatch.setenv("PULUMI_HOME", str(pytester.path / "home"))
    pytester.makepyfile(test)
    done = pytester.runpytest_subprocess("-p", "lmconv_resource_pytest", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=test.count("def test_"))
