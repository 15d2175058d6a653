"""One way to run a program, on two engines: the real one where `pulumi` is on PATH, and `LocalEngine` everywhere.

A test that takes a fixture with the parameters `ON_BOTH_ENGINES` runs on both and asserts the same of both.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from local_engine import LocalEngine, OperationResult, UpdateFailedError
from pulumi import automation
from pulumi.automation import events

from support.native_host import SIGNATURE

ROOT = Path(__file__).parents[2]

RECORDED = "1 error occurred:\n\t* "
"""How Pulumi begins the error of a resource that is recorded nevertheless."""


@dataclass
class Outcome:
    """What an operation did, in the words that both engines share."""

    ok: bool
    changes: dict[str, int]
    outputs: dict[str, Any]
    said: list[tuple[str, str, str]] = field(default_factory=list)
    """What stays in the diagnostics: the resource's name, severity and text."""
    shown: list[tuple[str, str]] = field(default_factory=list)
    """What was shown live only: the resource's name and the text."""

    def errors(self, name: str) -> list[str]:
        return [text for resource, severity, text in self.said if (resource, severity) == (name, "error")]

    def lines(self, name: str, severity: str) -> list[str]:
        return [text for resource, kind, text in self.said if (resource, kind) == (name, severity)]


class Stack:
    """A stack of a program."""

    folder: Path
    config: dict[str, Any]

    def up(self) -> Outcome:
        return self._run("up")

    def preview(self) -> Outcome:
        return self._run("preview")

    def refresh(self) -> Outcome:
        return self._run("refresh")

    def destroy(self) -> Outcome:
        return self._run("destroy")

    def _run(self, operation: str) -> Outcome:
        raise NotImplementedError

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what the state holds, by name: urn, id, inputs and outputs."""
        raise NotImplementedError

    def start(self, operation: str = "up", *arguments: str) -> subprocess.Popen[str]:
        """Begin an operation as a process of its own; SIGINT cancels it."""
        raise NotImplementedError

    def records(self) -> dict[str, Any]:
        """Return the outputs of our resources in the state, by name."""
        resources = self.resources()
        return {name: each["outputs"] for name, each in resources.items() if "LicenseConversion" in each["urn"]}

    def recover(self) -> None:
        """Do what a user does after a killed engine."""

    def pending(self) -> list[Any]:
        """Return the operations that the state has as begun and not ended."""
        return []  # LocalEngine notes none

    def clear_pending(self) -> None:
        """Do what Pulumi tells its users to do about these: a refresh that forgets creates nobody knows the end of."""


def make_backend(folder: Path) -> dict[str, str]:
    """Make a backend for `pulumi` in a folder, and return the environment that leads there."""
    (folder / "backend").mkdir(parents=True)
    return {
        "PULUMI_BACKEND_URL": (folder / "backend").as_uri(),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "passphrase",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def start_process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command in a session of its own, all of whose lines are read from one pipe."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


_LOCAL = f"""
import json, signal, sys, threading
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tools")!r}]
from local_engine import LocalEngine, UpdateFailedError
_, operation, folder, config, state_file = sys.argv
with LocalEngine(folder, config=json.loads(config), state_file=state_file, timeout=None) as engine:
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=engine.cancel).start())
    try:
        print(*(each.text for each in getattr(engine, operation)().messages if not each.ephemeral), sep="\\n")
    except UpdateFailedError as error:
        sys.exit("\\n".join(each.urn + "\\nerror: " + each.text for each in error.errors))
"""


def write_program(folder: Path, program: str | Path) -> Path:
    """Write a program into a new folder; a path is the folder of a program that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(program, Path):
        for file in (program / "Pulumi.yaml", *program.glob("*.py"), *program.glob("*.csv")):
            shutil.copy(file, folder)
        (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)  # as examples have it
        return folder
    (folder / "Pulumi.yaml").write_text("name: followed\nruntime:\n  name: python\n")
    (folder / "__main__.py").write_text(program)
    return folder


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


class LocalStack(Stack):
    def __init__(self, folder: Path, program: str | Path) -> None:
        self.folder = write_program(folder, program)
        self.config = {}
        self.state_file = folder / "state.json"

    def engine(self, **settings: Any) -> LocalEngine:
        """Return an engine on this stack's state."""
        config = {key: getattr(value, "value", value) for key, value in self.config.items()}
        secret = [key for key, value in self.config.items() if getattr(value, "secret", False)]
        # Hundreds of resources take a minute where tests are measured; pytest's own timeout is the limit.
        given = {"config": config, "secret_config": secret, "state_file": self.state_file, "timeout": 600.0}
        return LocalEngine(self.folder, **{**given, **settings})

    def _run(self, operation: str) -> Outcome:
        with self.engine() as engine:
            try:
                result: OperationResult = getattr(engine, operation)()
            except UpdateFailedError as error:
                return self._outcome(error.result, ok=False)
        return self._outcome(result, ok=True)

    def start(self, operation: str = "up", *arguments: str) -> subprocess.Popen[str]:
        config = json.dumps(self.config)
        command = [sys.executable, "-c", _LOCAL, operation, str(self.folder), config, str(self.state_file), *arguments]
        return start_process(command, self.folder)

    def _outcome(self, result: OperationResult, *, ok: bool) -> Outcome:
        kept = {(m.urn, m.severity, m.text): m for m in [*result.messages, *result.errors]}.values()
        return Outcome(
            ok,
            dict(result.changes),
            result.outputs,
            [(_name(m.urn), m.severity, m.text.strip()) for m in kept if not m.ephemeral],
            [(_name(m.urn), m.text) for m in kept if m.ephemeral],
        )

    def resources(self) -> dict[str, dict[str, Any]]:
        with self.engine() as engine:
            return {
                r.name: {"urn": r.urn, "id": r.id, "inputs": r.inputs, "outputs": r.outputs} for r in engine.resources
            }


class RealStack(Stack):
    """A stack on the real engine, in a file backend of its own."""

    def __init__(self, folder: Path, program: str | Path) -> None:
        self.folder = write_program(folder / "program", program)
        self.config = {}
        self.environment = {**make_backend(folder), "PULUMI_PYTHON_CMD": sys.executable}
        self.stack = automation.create_stack(
            f"s{uuid.uuid4().hex[:8]}",
            work_dir=str(self.folder),
            opts=automation.LocalWorkspaceOptions(env_vars=self.environment),
        )
        self._set: set[str] = set()

    def configure(self) -> None:
        config = {path: value for key, given in self.config.items() for path, value in _to_paths(key, given)}
        for key in self._set - set(config):
            self.stack.remove_config(key, path="[" in key)
        for key, value in config.items():
            self.stack.set_config(key, value, path="[" in key)
        self._set = set(config)

    def _run(self, operation: str) -> Outcome:
        self.configure()
        heard: list[events.EngineEvent] = []
        ok = True
        try:
            getattr(self.stack, operation)(on_event=heard.append)
        except automation.CommandError:
            ok = False
        diagnostics = [e.diagnostic_event for e in heard if e.diagnostic_event]
        summary = next((e.summary_event for e in heard if e.summary_event), None)
        outputs = {} if operation == "destroy" else {k: v.value for k, v in self.stack.outputs().items()}
        changes = (
            {} if summary is None else {str(getattr(k, "value", k)): v for k, v in summary.resource_changes.items()}
        )
        return Outcome(
            ok,
            changes,
            outputs,
            [(_name(d.urn or ""), d.severity, _plain(d.message)) for d in diagnostics if not d.ephemeral],
            [(_name(d.urn or ""), _plain(d.message)) for d in diagnostics if d.ephemeral],
        )

    def resources(self) -> dict[str, dict[str, Any]]:
        deployment: Mapping[str, Any] = self.stack.export_stack().deployment or {}
        return {
            _name(r["urn"]): {
                "urn": r["urn"],
                "id": r.get("id", ""),
                "inputs": r.get("inputs", {}),
                "outputs": r.get("outputs", {}),
            }
            for r in deployment.get("resources", [])
        }

    def command(
        self, *words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        environment = {**self.environment, **(environment or {})}
        return start_process(["pulumi", *words, "--non-interactive"], folder or self.folder, environment)

    def start(self, operation: str = "up", *arguments: str) -> subprocess.Popen[str]:
        self.configure()
        return self.command(operation, *arguments, "--yes", "--skip-preview", "--stack", self.stack.name)

    def recover(self) -> None:
        """Take the killed engine's lock away."""
        self.stack.cancel()

    def pending(self) -> list[Any]:
        return (self.stack.export_stack().deployment or {}).get("pending_operations") or []

    def clear_pending(self) -> None:
        self.stack.refresh(clear_pending_creates=True)

    def exported(self) -> str:
        return json.dumps(self.stack.export_stack().deployment)


def _to_paths(key: str, value: Any) -> Iterator[tuple[str, automation.ConfigValue]]:
    """Give a setting as Pulumi's command takes it: each value inside of a list or a map by its path."""
    if isinstance(value, (list, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inside in items:
            yield from _to_paths(f"{key}.{name}" if isinstance(value, dict) else f"{key}[{name}]", inside)
    elif isinstance(value, automation.ConfigValue):
        yield key, value
    else:
        yield key, automation.ConfigValue(json.dumps(value) if isinstance(value, bool) else str(value))


def make_stack(engine: str, folder: Path, program: str | Path) -> Stack:
    """Return a stack on an engine by its name in `ON_BOTH_ENGINES`."""
    return LocalStack(folder / "stack", program) if engine == "local" else RealStack(folder, program)


def without_secrets(value: Any) -> Any:
    """Return a state with all that is marked as secret left out."""
    if isinstance(value, dict):
        return None if SIGNATURE in value else {name: without_secrets(each) for name, each in value.items()}
    return [without_secrets(each) for each in value] if isinstance(value, list) else value


def _plain(message: str) -> str:
    return message.replace("<{%reset%}>", "").replace("error: ", "", 1).replace("warning: ", "", 1).strip()


def has_pulumi() -> bool:
    return shutil.which("pulumi") is not None


needs_pulumi = pytest.mark.skipif(not has_pulumi(), reason="the pulumi command is not on PATH")
"""For what only the real engine can show."""

ON_BOTH_ENGINES = ["local", pytest.param("real", marks=[needs_pulumi, pytest.mark.proof])]
"""The parameters of a fixture that makes a stack on each engine."""
