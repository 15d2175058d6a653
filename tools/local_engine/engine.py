"""LocalEngine: the Pulumi engine's part, in this process."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime

from .events import Message, OperationResult, Step, UpdateFailedError
from .monitor import NoMocks
from .operation import Operation, Setup
from .program import Program, to_config
from .state import ResourceState, StackState


class LocalEngine:
    """Plays the Pulumi engine's part for a Python program with dynamic resources.

    The program runs in this process, in a thread of its own, through Pulumi's own `set_mocks`; its dynamic resources
    are managed by Pulumi's real plugin process, which gets the engine's calls over gRPC. `pulumi.Stash` is built in;
    every other type goes to `mocks`. State is kept in `state_file`, or in memory without one.

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
        timeout: The most seconds that an operation may take, or None for as long as it takes. The error of one that
            takes longer says what it was waiting for; its plugin is killed, and a program that is stuck in its own
            code is left behind.
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
        timeout: float | None = 60,
        mocks: pulumi.runtime.Mocks | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        loaded = Program.load(program, project, config or {})
        self._setup = Setup(
            program=loaded,
            stack=stack,
            state=StackState(Path(state_file).resolve() if state_file else None),
            secret_keys=list(to_config(dict.fromkeys(secret_config, ""), loaded.project)),
            parallel=parallel or 4 * (os.cpu_count() or 1),
            timeout=timeout,
            mocks=mocks or NoMocks(),
            on_message=on_message,
            on_step=on_step,
        )
        self._operation: Operation | None = None
        self._starting = threading.Lock()

    def up(self) -> OperationResult:
        """Run the program and bring every resource to what it declares.

        Raises:
            UpdateFailedError: A resource or the program failed, or the operation was cancelled, killed, or took longer
                than its timeout.
        """
        return self._run("update")

    def preview(self) -> OperationResult:
        """Run the program and tell what `up` would do; nothing is created and no state written.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("preview")

    def refresh(self) -> OperationResult:
        """Read every resource in the state and record what is found; the program doesn't run.

        As with the engine, the provider gets the configuration of the last `up`, which the state keeps.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("refresh")

    def destroy(self) -> OperationResult:
        """Delete every resource in the state; the program doesn't run, and the configuration is as for `refresh`.

        Raises:
            UpdateFailedError: As for `up`.
        """
        return self._run("destroy")

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
        return self._setup.state.resources

    def close(self) -> None:
        """Kill the plugin if `kill()` has left it running."""
        if self._operation is not None:
            self._operation.plugin.stop()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, name: str) -> OperationResult:
        with self._starting:
            self.close()
            operation = Operation(self._setup, name)
            self._operation = operation
        operation.run()
        result = operation.result()
        if result.errors:
            raise UpdateFailedError(name, result)
        return result
