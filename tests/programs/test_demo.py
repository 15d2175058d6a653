"""`make demo`, as a newcomer runs it: with and without the pulumi command, to its end and interrupted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TASK_ID = "lct-0123456789abcdef0"

sys.path.insert(0, str(PROJECT / "examples" / "demo"))

import demo  # noqa: E402 -- the demo's folder is no package
import pulumi_command  # noqa: E402


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the demo needs of the project, as a clone has it."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(PROJECT / name, copy)
    shutil.copytree(PROJECT / "examples" / "demo", copy / "examples" / "demo")
    (tmp_path / "home").mkdir()
    return copy


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The URL of a proxy that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def make_env(checkout: Path, *path: Path) -> dict[str, str]:
    """Return the environment of somebody with no way to the internet, an AWS account and a pulumi login of his own."""
    tools = [str(folder) for folder in path] + ["/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(tools),
        "HOME": str(checkout.parent / "home"),
        "https_proxy": "http://127.0.0.1:1",
        "AWS_PROFILE": "production",
        "AWS_REGION": "us-gov-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "PULUMI_ACCESS_TOKEN": "pul-0",
        "PULUMI_STACK": "production",
    }


def shorten(checkout: Path) -> None:
    """Let the demo's task end after 2 s."""
    scenario = checkout / "examples" / "demo" / "scenario.json"
    text = scenario.read_text()
    assert '"seconds": 10' in text
    scenario.write_text(text.replace('"seconds": 10', '"seconds": 2'))


def start(checkout: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    script = checkout / "examples" / "demo" / "demo.py"
    command = [sys.executable, "-B", str(script)]
    return subprocess.Popen(command, cwd=checkout, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def find_survivors(checkout: Path) -> list[str]:
    """Return the command lines of the processes that have their files in the checkout."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={checkout}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            pass
    return found


def check_clean(checkout: Path) -> None:
    assert find_survivors(checkout) == []
    assert not (checkout / ".demo").exists()
    assert sorted(path.name for path in checkout.iterdir()) == ["Pulumi.yaml", "__main__.py", "examples"]
    assert list((checkout.parent / "home").iterdir()) == []


@pytest.mark.proof
def test_without_a_way_to_pulumi_the_program_runs_on_the_local_engine(checkout: Path) -> None:
    shorten(checkout)
    process = start(checkout, make_env(checkout))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    first = output.splitlines()[0]
    assert first.startswith("pulumi is not on PATH and can't be installed (")
    assert first.endswith("): the same program runs on LocalEngine, which stands in for it.")
    assert re.search(rf"SUCCEEDED after \d+s · {TASK_ID}", output)
    assert "3 unchanged" in output
    assert "3 deleted" in output
    check_clean(checkout)


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="the pulumi command is not on PATH")
def test_with_pulumi_the_program_runs_on_the_real_engine(checkout: Path) -> None:
    pulumi = shutil.which("pulumi")
    assert pulumi is not None
    shorten(checkout)
    process = start(checkout, make_env(checkout, Path(pulumi).parent))
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert output.startswith("Using pulumi ")
    assert re.search(rf"SUCCEEDED after \d+s · {TASK_ID}", output)
    assert "3 unchanged" in output
    assert "3 deleted" in output
    check_clean(checkout)


@pytest.mark.proof
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.proof)], ids=lambda number: number.name
)
def test_an_interrupted_demo_leaves_nothing_behind(checkout: Path, number: signal.Signals) -> None:
    process = start(checkout, make_env(checkout))
    assert process.stdout is not None
    for line in process.stdout:
        if "IN_PROGRESS" in line:
            break
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
    check_clean(checkout)


@pytest.mark.proof
def test_a_demo_with_nothing_to_write_to_cleans_up(checkout: Path) -> None:
    process = start(checkout, make_env(checkout))
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 1
    check_clean(checkout)


@pytest.mark.proof
def test_the_search_ends_when_nothing_comes(tmp_path: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_command, "PATIENCE_SECONDS", 4.0)
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "https_proxy": nowhere, "HOME": str(tmp_path)}
    found = pulumi_command.find(env, tmp_path / "pulumi")
    assert found.path is None
    assert found.note == "pulumi is not on PATH and can't be installed (nothing came within 4 s)"
    assert list(tmp_path.iterdir()) == []


def test_the_patience_is_15_seconds() -> None:
    assert pulumi_command.PATIENCE_SECONDS == 15


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "does not work: `pulumi version` ended with status 3"),
        ("echo v3.99.1", "is 3.99.1, older than 3.260"),
        ("echo hello", "does not tell its version"),
    ],
)
def test_a_pulumi_that_cannot_be_used_is_named(tmp_path: Path, script: str, problem: str) -> None:
    command = tmp_path / "pulumi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path), "https_proxy": "http://127.0.0.1:1"}
    found = pulumi_command.find(env, tmp_path / "installed")
    assert found.path is None
    assert found.note.startswith(f"the pulumi command on PATH {problem} and can't be installed (")
    assert "\n" not in found.note


def test_a_pulumi_installed_before_is_used_again(tmp_path: Path) -> None:
    command = tmp_path / "installed" / "bin" / "pulumi"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\necho v3.272.0\n")
    command.chmod(0o755)
    found = pulumi_command.find({"PATH": "/usr/bin:/bin"}, tmp_path / "installed")
    assert found.path == command
    assert found.note.startswith("pulumi 3.272.0, installed in ")


def test_nothing_of_the_users_settings_reaches_the_commands(tmp_path: Path) -> None:
    outside = {"PATH": "/bin", "AWS_PROFILE": "production", "PULUMI_ACCESS_TOKEN": "x", "no_proxy": "example.com"}
    env = demo.make_environment(outside, tmp_path)
    assert "AWS_PROFILE" not in env
    assert "PULUMI_ACCESS_TOKEN" not in env
    assert env["no_proxy"] == env["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_outputs_that_are_not_the_scenarios_fail_the_demo(tmp_path: Path) -> None:
    task = {"id": TASK_ID, "resource_arn": "arn", "status": "SUCCEEDED", "message": "", "seconds": 10}
    with pytest.raises(demo.DemoFailedError, match="the output region is 'us-east-1', not 'eu-west-1'"):
        demo.check(
            {"license_conversion_task_id": TASK_ID, "region": "us-east-1"},
            {**task, "source": {}, "destination": {}},
            "eu-west-1",
        )
