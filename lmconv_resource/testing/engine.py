"""LocalEngine: the Pulumi engine's part, in this process."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime

from .deployment import STACK_TYPE, Deployment, plain_outputs
from .events import EventLog, Message, OperationResult, Step, UpdateFailedError
from .monitor import DeploymentMonitor, EngineService, NoMocks
from .plugin import DynamicPlugin
from .program import Program, ProgramRun, to_config
from .properties import contains_secret, find_secrets, make_secret
from .provider import MocksProvider, Provider, StashProvider
from .state import ResourceState, StackState


class LocalEngine:
    """Plays the Pulumi engine's part for a Python program with dynamic resources.

    The program runs in this process, through Pulumi's own `set_mocks`; its dynamic resources are managed by Pulumi's
    real plugin process, which gets the engine's calls over gRPC. `pulumi.Stash` is built in; every other type goes to
    `mocks`. State is kept in `state_file`, or in memory without one.

    It is not the engine. It has no stacks to choose from, no backends, history or locks, no encryption (secrets in
    the state file are marked but in clear), no provider plugins but the dynamic one, no remote components, aliases,
    imports, transforms, hooks, policies, stack references, `protect`, `retain_on_delete`, `replace_on_changes`,
    `deleted_with`, targets or `--continue-on-error`. A delete-before-replace does not take dependents with it,
    `ignore_changes` knows top-level names only, and Pulumi.STACK.yaml is not read. What the program prints goes to
    stdout, not among the messages.

    Args:
        program: A folder with Pulumi.yaml and `__main__.py`, or a function that declares resources. The provider of
            a function's resources must be in a module that a Python process in the current folder can import.
        stack: The stack's name.
        project: The project's name; by default Pulumi.yaml's.
        config: Configuration by key; keys without a namespace get the project's. Values that are no strings are
            stored as JSON, as the engine does.
        secret_config: The keys of `config` that are secrets.
        state_file: Where the state is kept.
        parallel: How many steps run at once; by default 4 for each core, the engine's own.
        mocks: Answers for all other types of resources, and for functions.
        on_message: Is called with each message as it comes, from any thread, one at a time.
        on_step: Likewise with each step, when it begins and when it ends.
    """

    def __init__(
        self,
        program: str | os.PathLike[str] | Callable[[], object],
        *,
        stack: str = "dev",
        project: str | None = None,
        config: Mapping[str, Any] | None = None,
        secret_config: Iterable[str] = (),
        state_file: str | os.PathLike[str] | None = None,
        parallel: int | None = None,
        mocks: pulumi.runtime.Mocks | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self._program = Program.load(program, project, config or {})
        self._stack = stack
        self._secret_keys = list(to_config(dict.fromkeys(secret_config, ""), self._program.project))
        self._state = StackState(Path(state_file).resolve() if state_file else None)
        self._parallel = parallel or 4 * (os.cpu_count() or 1)
        self._mocks = mocks or NoMocks()
        self._listeners = (on_message, on_step)
        self._operation: _Operation | None = None
        self._starting = threading.Lock()

    def up(self) -> OperationResult:
        """Run the program and bring every resource to what it declares.

        Raises:
            UpdateFailedError: A resource or the program failed, or the operation was cancelled or killed.
        """
        return self._run("update", lambda operation: operation.run_program())

    def preview(self) -> OperationResult:
        """Run the program and tell what `up` would do; nothing is created and no state written.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("preview", lambda operation: operation.run_program())

    def refresh(self) -> OperationResult:
        """Read every resource in the state and record what is found; the program doesn't run.

        As with the engine, the provider gets the configuration of the last `up`, which the state keeps.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("refresh", lambda operation: operation.deployment.refresh())

    def destroy(self) -> OperationResult:
        """Delete every resource in the state; the program doesn't run, and the configuration is as for `refresh`.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("destroy", lambda operation: operation.deployment.destroy())

    def cancel(self) -> None:
        """Do what the first ^C does to `pulumi up`.

        No step begins any more, the program is interrupted, the plugin gets `Cancel`, and the operation ends when its
        running steps have. For another thread, during an operation; returns at once. Does nothing without one.
        """
        if self._operation is not None:
            self._operation.cancel()

    def kill(self) -> None:
        """Look to the plugin like a killed engine: its address is gone, its calls are broken off.

        The operation fails at once and writes no more state. The plugin's process is left to itself, as a real one
        would be, until `close()`.
        """
        if self._operation is not None:
            self._operation.kill()

    @property
    def plugin(self) -> subprocess.Popen[bytes] | None:
        """The plugin's process of the current or the last operation, in a process group of its own."""
        return self._operation.plugin.process if self._operation else None

    @property
    def resources(self) -> list[ResourceState]:
        """The stack's state."""
        return self._state.resources

    def close(self) -> None:
        """Kill the plugin if `kill()` has left it running."""
        if self._operation is not None:
            self._operation.plugin.stop()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, name: str, work: Callable[[_Operation], None]) -> OperationResult:
        with self._starting:
            self.close()
            operation = _Operation(self, name)
            self._operation = operation
        try:
            # A context of its own: Pulumi's settings end with the operation.
            contextvars.copy_context().run(work, operation)
        finally:
            operation.end()
        result = operation.result()
        if result.errors:
            raise UpdateFailedError(name, result)
        return result


class _Operation:
    """An operation from its start to its end, with all it has opened."""

    def __init__(self, engine: LocalEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        program, stack = engine._program, engine._stack
        stack_urn = f"urn:pulumi:{stack}::{program.project}::{STACK_TYPE}::{program.project}-{stack}"
        given = {
            key: make_secret(value) if key in engine._secret_keys else value for key, value in program.config.items()
        }
        # Only a run of the program gives the provider its configuration anew; the state keeps it for the others.
        recorded = engine._state.config
        self._config = given if recorded is None or name in ("update", "preview") else recorded
        secrets = [*find_secrets(given), *find_secrets(self._config)]
        self.events = EventLog(stack_urn, secrets, *engine._listeners)
        self.service = EngineService(self.events)
        self.plugin = DynamicPlugin(
            program.folder,
            self.service.address,
            config=self._config,
            environment={"PULUMI_PROJECT": program.project, "PULUMI_CONFIG": "{}", **program.options},
            on_line=self._on_plugin_line,
        )
        self._stash, self._others = StashProvider(), MocksProvider(engine._mocks)
        self.deployment = Deployment(
            engine._state, self.events, self._find_provider, preview=name == "preview", parallel=engine._parallel
        )
        monitor = DeploymentMonitor(self.deployment, engine._mocks, stack, program.project)
        self._run = ProgramRun(program, monitor, self.service)

    def run_program(self) -> None:
        """Run the program; when it ends well, delete what it doesn't declare."""
        try:
            self._run.run(
                stack=self._engine._stack,
                preview=self.deployment.preview,
                parallel=self._engine._parallel,
                secret_keys=self._engine._secret_keys,
            )
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever a program may raise
            # After a failed step or a cancel, whatever ends the program is their consequence.
            if not self.deployment.stopping:
                self.events.fail(_program_failure(error, self._engine._program.folder))
        if not self.deployment.stopping:
            self.deployment.delete_unregistered()

    def cancel(self) -> None:
        self.deployment.cancelled = True
        self._run.interrupt()
        self.plugin.cancel()

    def kill(self) -> None:
        self.deployment.killed = True
        self._run.interrupt()
        self.service.stop()
        self.plugin.disconnect()

    def end(self) -> None:
        if self.deployment.killed:
            self.events.fail("the engine was killed")
            return
        if self.deployment.cancelled:
            self.events.fail("update canceled")
        self.plugin.stop()
        self.service.stop()

    def result(self) -> OperationResult:
        resources = self._engine._state.resources
        stack = self._engine._state.find(self.events.stack_urn)
        outputs = self.deployment.outputs or (stack.outputs if stack else {})
        return OperationResult(
            changes=self.deployment.changes,
            outputs=plain_outputs(outputs),
            secret_outputs=frozenset(key for key, value in outputs.items() if contains_secret(value)),
            messages=self.events.messages,
            steps=self.events.steps,
            resources=resources,
            errors=self.events.errors,
        )

    def _find_provider(self, type_: str) -> Provider:
        if type_.startswith("pulumi-python:dynamic"):
            if self._name == "update":
                self._engine._state.record_config(self._config)
            return self.plugin
        return self._stash if type_ == "pulumi:index:Stash" else self._others

    def _on_plugin_line(self, line: str) -> None:
        if line:
            self.events.say(line)


def _program_failure(error: BaseException, folder: Path) -> str:
    if isinstance(error, pulumi.RunError):
        return str(error)
    trace = traceback.TracebackException.from_exception(error)
    # The user's own frames; those before are this engine's and Pulumi's.
    own = [index for index, frame in enumerate(trace.stack) if Path(frame.filename).is_relative_to(folder)]
    if own:
        trace.stack = traceback.StackSummary.from_list(trace.stack[own[0] :])
    return "Program failed with an unhandled exception:\n" + "".join(trace.format()).rstrip()
