"""Shows the project's own program at work, on a License Manager that runs here: `make demo`.

Everything happens in a folder of its own under `.demo`, which is removed at the end, however it ends. The `pulumi`
command is taken from PATH; where there is none, `LocalEngine` stands in for it. Nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
sys.path.insert(0, str(PROJECT / "tools"))

import processes  # noqa: E402 -- beside this file, which is no package

if TYPE_CHECKING:
    from local_engine import Message, Step


STACK = "demo"
REGION = "eu-west-1"
SECONDS = 10
"""What the conversion takes."""

TASK: dict[str, Any] = {
    "task_id": "lct-0123456789abcdef0",
    "resource_arn": f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0",
    "source": "RunInstances:0800",
    "destination": "RunInstances:0002",
    "message": "The usage operation was updated",
}


MINIMUM_VERSION = (3, 260)
"""The oldest `pulumi` that the demo uses, the floor of the SDK in pyproject.toml."""

_VERSION_SECONDS = 15.0
"""For `pulumi version`."""


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
        self.env = make_environment(os.environ, folder)
        # For the emulator in this process too: moto's boto3 fails at an AWS_PROFILE that the empty settings don't have.
        os.environ.clear()
        os.environ.update(self.env)
        self._stopped = stopped

    def run(self) -> None:
        """Run the demo.

        Raises:
            DemoFailedError: a command failed, or the outputs are not the task's.
            InterruptedBySignalError: it was told to end.
        """
        copy_program(self.program)
        version, problem = find_pulumi(self.env)
        self._go_on()
        # Late, so that moto is not waited for where the demo is stopped; and the task's seconds count from here.
        from lmconv_resource.emulator import serve

        if problem:
            say(f"{problem}: the same program runs on LocalEngine, which stands in for it.")
            show = self._show_local_engine
        else:
            say(f"Using pulumi {version} from PATH.")
            self._pulumi("stack", "init", STACK)
            self._pulumi("config", "set", "licenseConversionTaskId", TASK["task_id"])
            self._pulumi("config", "set", "aws:region", REGION)
            show = self._show_pulumi
        with serve() as emulator:
            emulator.backend(REGION).add_task(**TASK, seconds=SECONDS)
            say(f"A License Manager runs at {emulator.endpoint}. {TASK['task_id']} takes {SECONDS} s there.")
            outputs = show(emulator.endpoint)
        check(outputs)
        say(
            f"The demo went well: {outputs['note']['from']} became {outputs['note']['to']}. No AWS account was touched."
        )

    def _show_pulumi(self, endpoint: str) -> dict[str, Any]:
        self.env["AWS_ENDPOINT_URL_LICENSE_MANAGER"] = endpoint
        self._pulumi("up", "--yes", "--skip-preview", "--parallel", "100", "--suppress-outputs")
        say("\nOnce more: the task has ended, so there is nothing to do.")
        self._pulumi("up", "--yes", "--skip-preview", "--parallel", "100", "--suppress-outputs", "--expect-no-changes")
        self._pulumi("stack", "output")
        outputs = json.loads(self._read("pulumi", "stack", "output", "--json", "--stack", STACK))
        self._pulumi("destroy", "--yes", "--skip-preview")
        self._pulumi("stack", "rm", "--yes")
        return dict(outputs)

    def _show_local_engine(self, endpoint: str) -> dict[str, Any]:
        os.environ["AWS_ENDPOINT_URL_LICENSE_MANAGER"] = endpoint
        self._local_engine("up")
        say("\nOnce more: the task has ended, so there is nothing to do.")
        before = self.state.read_bytes()
        outputs = self._local_engine("up")
        if json.loads(before) != json.loads(self.state.read_bytes()):
            raise DemoFailedError("the second `up` changed something")
        self._local_engine("destroy")
        return outputs

    def _pulumi(self, *arguments: str) -> None:
        self._call(["pulumi", *arguments, *(() if arguments[:2] == ("stack", "init") else ("--stack", STACK))])

    def _local_engine(self, operation: str) -> dict[str, Any]:
        """Run an operation on LocalEngine, show it, and return the stack's outputs."""
        from local_engine import LocalEngine, UpdateFailedError

        say(f"\nLocalEngine: {operation}")
        engine = LocalEngine(
            self.program,
            stack=STACK,
            config={"licenseConversionTaskId": TASK["task_id"], "aws:region": REGION},
            state_file=self.state,
            timeout=None,
            on_message=show_message,
            on_step=show_step,
        )

        def cancel() -> None:
            self._stopped.wait()
            engine.cancel()

        threading.Thread(target=cancel, daemon=True).start()
        try:
            with engine:
                result = getattr(engine, operation)()
        except UpdateFailedError as error:
            self._go_on()
            raise DemoFailedError(str(error)) from error
        self._go_on()
        say("".join(f"    {name}: {value}\n" for name, value in sorted(result.outputs.items())))
        say("    " + ", ".join(f"{count} {ENDED[op]}" for op, count in sorted(result.changes.items())))
        return dict(result.outputs)

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


ENDED = {"create": "created", "same": "unchanged", "delete": "deleted", "read": "read", "update": "updated"}


def show_message(message: Message) -> None:
    """Print the first line of a message, under the resource it is about."""
    say(f"    {to_title(message.urn)} {message.text.strip().splitlines()[0]}")


def show_step(step: Step) -> None:
    """Print how a step ended."""
    if step.seconds is not None and step.op != "same":
        say(f"    {to_title(step.urn)} {'**failed**' if step.failed else ENDED[step.op]} ({step.seconds:.1f} s)")


def to_title(urn: str) -> str:
    """Return the type and the name of a resource, without its package."""
    type_, name = urn.split("::", 3)[2:]
    return f"{type_.rsplit(':', 1)[-1]} {name}"


def find_pulumi(env: Mapping[str, str]) -> tuple[str, str]:
    """Return the version of the `pulumi` on PATH, or why it can't be used."""
    command = shutil.which("pulumi", path=env.get("PATH", os.defpath))
    if not command:
        return "", "pulumi is not on PATH"
    try:
        done = subprocess.run(  # noqa: S603 -- the one that the demo's commands would start
            [command, "version"], env=dict(env), capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"the pulumi command on PATH does not work: {error}"
    match = re.search(r"v?((\d+)\.(\d+)\.\d+\S*)", done.stdout)
    if done.returncode or not match:
        return "", f"the pulumi command on PATH does not work: `pulumi version` ended with status {done.returncode}"
    if (int(match[2]), int(match[3])) < MINIMUM_VERSION:
        return "", "the pulumi command on PATH is {}, older than {}.{}".format(match[1], *MINIMUM_VERSION)
    return match[1], ""


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
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",  # Pulumi asks pip what is installed
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


def check(outputs: Mapping[str, Any]) -> None:
    """Compare the program's outputs with the task.

    Raises:
        DemoFailedError: they differ.
    """
    expected = {
        "license_conversion_task_id": TASK["task_id"],
        "region": REGION,
        "resource_arn": TASK["resource_arn"],
        "status": "SUCCEEDED",
        "status_message": TASK["message"],
        "is_complete": True,
        "duration_seconds": SECONDS,
        "source_license_context": {"product_codes": [], "usage_operation": TASK["source"]},
        "destination_license_context": {"product_codes": [], "usage_operation": TASK["destination"]},
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
