"""`make demo`, as a newcomer runs it: with and without the pulumi command, to its end and interrupted."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.stacks import needs_pulumi

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


def start(checkout: Path, *path: Path) -> subprocess.Popen[str]:
    """Start the demo for somebody with no way to the internet, an AWS account and a pulumi login of his own."""
    env = {
        "PATH": os.pathsep.join([*map(str, path), "/usr/bin", "/bin"]),
        "HOME": str(checkout.parent / "home"),
        "AWS_PROFILE": "production",
        "AWS_REGION": "us-gov-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "PULUMI_ACCESS_TOKEN": "pul-0",
        "PULUMI_STACK": "production",
    }
    command = [sys.executable, "-B", str(checkout / "examples" / "demo" / "demo.py")]
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
@pytest.mark.parametrize("engine", ["local", pytest.param("real", marks=needs_pulumi)])
def test_the_program_is_followed_to_its_end(checkout: Path, engine: str) -> None:
    """By `pulumi`, or where there is none by the local engine; the task ends after 2 s."""
    script = checkout / "examples" / "demo" / "demo.py"
    text = script.read_text()
    assert "SECONDS = 10\n" in text
    script.write_text(text.replace("SECONDS = 10\n", "SECONDS = 2\n"))
    pulumi = [Path(shutil.which("pulumi") or "").parent] if engine == "real" else []
    process = start(checkout, *pulumi)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert output.startswith(
        "Using pulumi " if pulumi else "pulumi is not on PATH: the same program runs on LocalEngine"
    )
    assert re.search(rf"SUCCEEDED after \d+s · {TASK_ID}", output)
    assert "3 unchanged" in output
    assert "3 deleted" in output
    check_clean(checkout)


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, None])
def test_an_interrupted_demo_leaves_nothing_behind(checkout: Path, number: signal.Signals | None) -> None:
    """So does one with nothing to write to any more."""
    process = start(checkout)
    assert process.stdout is not None
    if number is None:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 1
    else:
        assert any("IN_PROGRESS" in line for line in process.stdout)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 128 + number, output
        assert "Traceback" not in output
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
