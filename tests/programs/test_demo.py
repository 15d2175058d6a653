"""`make demo`, as a newcomer runs it: with and without the pulumi command, to its end and interrupted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TASK_ID = "lct-0123456789abcdef0"

sys.path.insert(0, str(PROJECT / "examples" / "demo"))

import demo  # noqa: E402 -- the demo's folder is no package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the demo needs of the project, as a clone has it."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(PROJECT / name, copy)
    for name in ("examples/demo", "tools/local_engine"):
        shutil.copytree(PROJECT / name, copy / name)
    (tmp_path / "home").mkdir()
    return copy


def make_env(checkout: Path, *path: Path) -> dict[str, str]:
    """Return the environment of somebody with no way to the internet, an AWS account and a pulumi login of his own."""
    tools = [str(folder) for folder in path] + ["/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(tools),
        "HOME": str(checkout.parent / "home"),
        "AWS_PROFILE": "production",
        "AWS_REGION": "us-gov-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "PULUMI_ACCESS_TOKEN": "pul-0",
        "PULUMI_STACK": "production",
    }


def shorten(checkout: Path) -> None:
    """Let the demo's task end after 2 s."""
    script = checkout / "examples" / "demo" / "demo.py"
    text = script.read_text()
    assert "SECONDS = 10\n" in text
    script.write_text(text.replace("SECONDS = 10\n", "SECONDS = 2\n"))


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
    assert sorted(path.name for path in checkout.iterdir()) == ["Pulumi.yaml", "__main__.py", "examples", "tools"]
    assert list((checkout.parent / "home").iterdir()) == []


@pytest.mark.proof
def test_without_a_way_to_pulumi_the_program_runs_on_the_local_engine(checkout: Path) -> None:
    shorten(checkout)
    process = start(checkout, make_env(checkout))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert output.startswith("pulumi is not on PATH: the same program runs on LocalEngine, which stands in for it.\n")
    assert re.search(rf"SUCCEEDED after \d+s · {TASK_ID}", output)
    assert "3 unchanged" in output
    assert "3 deleted" in output
    check_clean(checkout)


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="the pulumi command is not on PATH")
@pytest.mark.proof
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


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\nexit 3", "does not work: `pulumi version` ended with status 3"),
        ("#!/bin/sh\necho v3.99.1", "is 3.99.1, older than 3.260"),
        ("#!/bin/sh\necho hello", "does not work: `pulumi version` ended with status 0"),
        ("", "does not work: [Errno 8] Exec format error"),
    ],
)
def test_a_pulumi_that_cannot_be_used_is_named(tmp_path: Path, script: str, problem: str) -> None:
    command = tmp_path / "pulumi"
    command.write_text(script)
    command.chmod(0o755)
    version, found = demo.find_pulumi({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert version == ""
    assert found.startswith(f"the pulumi command on PATH {problem}")


def test_nothing_of_the_users_settings_reaches_the_commands(tmp_path: Path) -> None:
    outside = {"PATH": "/bin", "AWS_PROFILE": "production", "PULUMI_ACCESS_TOKEN": "x", "no_proxy": "example.com"}
    env = demo.make_environment(outside, tmp_path)
    assert "AWS_PROFILE" not in env
    assert "PULUMI_ACCESS_TOKEN" not in env
    assert env["no_proxy"] == env["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_outputs_that_are_not_the_tasks_fail_the_demo() -> None:
    with pytest.raises(demo.DemoFailedError, match="the output region is 'us-east-1', not 'eu-west-1'"):
        demo.check({"license_conversion_task_id": TASK_ID, "region": "us-east-1"})
