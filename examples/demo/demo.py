"""Shows the project's own program at work, on a License Manager that runs here: `make demo`.

Everything happens in a folder of its own under `.demo`, which is removed at the end, however it ends. The `pulumi`
command is taken from PATH or installed into `.demo/pulumi`; where neither works, `LocalEngine` stands in for it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import processes
import pulumi_command

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SCENARIO = HERE / "scenario.json"

STACK = "demo"


class DemoFailedError(Exception):
    """The demo did not show what it is to show: one line that says what."""


class InterruptedBySignalError(Exception):
    """The demo was told to end."""


class Demo:
    """One run of the demo, in a folder of its own."""

    def __init__(self, folder: Path, stopped: threading.Event) -> None:
        self.folder = folder
        self.program = folder / "program"
        self.state = folder / "state.json"
        self.scenario = json.loads(SCENARIO.read_text(encoding="utf-8"))
        self.task = self.scenario["tasks"][0]
        self.env = make_environment(os.environ, folder)
        # For the emulator in this process too: moto's boto3 fails at an AWS_PROFILE that the empty settings don't have.
        os.environ.clear()
        os.environ.update(self.env)
        self._stopped = stopped

    def run(self) -> None:
        """Run the demo.

        Raises:
            DemoFailedError: a command failed, or the outputs are not the scenario's.
            InterruptedBySignalError: it was told to end.
        """
        copy_program(self.program)
        found = pulumi_command.find(self.env, PROJECT / ".demo" / "pulumi", self._stopped.is_set)
        self._go_on()
        # Late, so that moto is not waited for where the demo is stopped; and the task's seconds count from here.
        from lmconv_resource.emulator import serve

        if found.path is None:
            say(f"{found.note}: the same program runs on LocalEngine, which stands in for it.")
            with serve(SCENARIO) as emulator:
                outputs = self._show_local_engine(emulator.endpoint)
        else:
            say(f"Using {found.note}.")
            self.env["PATH"] = os.pathsep.join([str(found.path.parent), self.env.get("PATH", os.defpath)])
            self._pulumi("stack", "init", STACK)
            self._pulumi("config", "set", "licenseConversionTaskId", self.task["id"])
            self._pulumi("config", "set", "aws:region", self.scenario["region"])
            with serve(SCENARIO) as emulator:
                outputs = self._show_pulumi(emulator.endpoint)
        check(outputs, self.task, self.scenario["region"])
        say(
            f"The demo went well: {outputs['note']['from']} became {outputs['note']['to']}. No AWS account was touched."
        )

    def _show_pulumi(self, endpoint: str) -> dict[str, Any]:
        self.env["AWS_ENDPOINT_URL_LICENSE_MANAGER"] = endpoint
        self._say_task(endpoint)
        self._pulumi("up", "--yes", "--skip-preview", "--parallel", "100", "--suppress-outputs")
        say("\nOnce more: the task has ended, so there is nothing to do.")
        self._pulumi("up", "--yes", "--skip-preview", "--parallel", "100", "--suppress-outputs", "--expect-no-changes")
        self._pulumi("stack", "output")
        outputs = json.loads(self._read("pulumi", "stack", "output", "--json", "--stack", STACK))
        self._pulumi("destroy", "--yes", "--skip-preview")
        self._pulumi("stack", "rm", "--yes")
        return dict(outputs)

    def _show_local_engine(self, endpoint: str) -> dict[str, Any]:
        from lmconv_resource.testing import LocalEngine

        self.env["AWS_ENDPOINT_URL_LICENSE_MANAGER"] = endpoint
        self._say_task(endpoint)
        self._local_engine("up")
        say("\nOnce more: the task has ended, so there is nothing to do.")
        before = self.state.read_bytes()
        self._local_engine("up")
        if json.loads(before) != json.loads(self.state.read_bytes()):
            raise DemoFailedError("the second `up` changed something")
        engine = LocalEngine(self.program, stack=STACK, state_file=self.state)
        outputs = next(each.outputs for each in engine.resources if each.type == "pulumi:pulumi:Stack")
        self._local_engine("destroy")
        return dict(outputs)

    def _say_task(self, endpoint: str) -> None:
        say(f"A License Manager runs at {endpoint}. {self.task['id']} takes {self.task['seconds']} s there.")

    def _pulumi(self, *arguments: str) -> None:
        self._call(["pulumi", *arguments, *(() if arguments[:2] == ("stack", "init") else ("--stack", STACK))])

    def _local_engine(self, operation: str) -> None:
        config = {"licenseConversionTaskId": self.task["id"], "aws:region": self.scenario["region"]}
        options = [word for name, value in config.items() for word in ("--config", f"{name}={value}")]
        options += ["--state", str(self.state)]
        self._call([sys.executable, "-m", "lmconv_resource.testing", operation, "--stack", STACK, *options])

    def _call(self, command: Sequence[str]) -> None:
        """Show a command and run it."""
        self._go_on()
        shown = ["python" if word == sys.executable else word for word in command]
        say(f"\n$ {shlex.join(shown)}".replace(str(self.folder), os.path.relpath(self.folder)))
        status = processes.run(command, self.env, self.program, self._stopped.is_set)
        self._go_on()
        if status != 0:
            raise DemoFailedError(f"`{shlex.join(shown)}` ended with status {status}")

    def _read(self, *command: str) -> str:
        done = subprocess.run(command, env=self.env, cwd=self.program, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise DemoFailedError(f"`{shlex.join(command)}` ended with status {done.returncode}")
        return done.stdout

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise InterruptedBySignalError


def make_environment(outside: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give the environment of the demo's commands: nothing of the user's AWS and Pulumi, all files in `folder`."""
    # Python's settings too: they could put other packages in place of those of the virtual environment.
    env = {name: value for name, value in outside.items() if not name.startswith(("AWS_", "PULUMI_", "PYTHON"))}
    for name in ("pulumi", "tmp"):
        (folder / name).mkdir()
    loopback = ",".join(filter(None, [env.get("no_proxy") or env.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return {
        **env,
        "TMPDIR": str(folder / "tmp"),
        "NO_PROXY": loopback,  # the emulator and the engine are on this machine
        "no_proxy": loopback,
        "PULUMI_HOME": str(folder / "pulumi"),
        "PULUMI_BACKEND_URL": folder.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "demo",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # pulumi-aws may be in the virtual environment, for the examples; this program has no use for its plugin.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def copy_program(folder: Path) -> None:
    """Copy the root program: its stack's settings file would else appear among the project's files."""
    folder.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(PROJECT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)


def check(outputs: Mapping[str, Any], task: Mapping[str, Any], region: str) -> None:
    """Compare the program's outputs with the scenario.

    Raises:
        DemoFailedError: they differ.
    """
    expected = {
        "license_conversion_task_id": task["id"],
        "region": region,
        "resource_arn": task["resource_arn"],
        "status": task["status"],
        "status_message": task["message"],
        "is_complete": True,
        "duration_seconds": task["seconds"],
        "source_license_context": {"product_codes": [], **task["source"]},
        "destination_license_context": {"product_codes": [], **task["destination"]},
    }
    for name, value in expected.items():
        if outputs.get(name) != value:
            raise DemoFailedError(f"the output {name} is {outputs.get(name)!r}, not {value!r}")


def say(text: str) -> None:
    """Print at once: the commands write to the same place."""
    print(text, flush=True)  # noqa: T201


def main() -> int:
    """Run the demo, clean up, and give the exit status."""
    stopped = threading.Event()
    received: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        received.append(number)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    shared = PROJECT / ".demo"
    shared.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=shared))
    try:
        Demo(folder, stopped).run()
    except DemoFailedError as error:
        say(f"The demo failed: {error}.")
        return 1
    except InterruptedBySignalError:
        return 128 + received[0]
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(shared.iterdir()):
            shared.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
