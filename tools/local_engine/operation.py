"""One operation of `LocalEngine`, from its start to its end, with all it opens."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi.runtime

from .deployment import STACK_TYPE, Deployment, plain_outputs
from .events import EventLog, Message, OperationResult, Step
from .monitor import DeploymentMonitor, EngineService
from .plugin import DynamicPlugin
from .program import Program, ProgramRun
from .properties import contains_secret, make_secret, secret_values
from .provider import MocksProvider, Provider, StashProvider
from .state import StackState
from .worker import Worker

_GRACE_SECONDS = 1.0
"""For the program to end after it was told to."""


@dataclass(frozen=True)
class Setup:
    """What all operations of an engine have in common."""

    program: Program
    stack: str
    state: StackState
    secret_keys: list[str]
    parallel: int
    timeout: float | None
    mocks: pulumi.runtime.Mocks
    on_message: Callable[[Message], None] | None
    on_step: Callable[[Step], None] | None

    @property
    def config(self) -> dict[str, object]:
        """The configuration given, secrets marked."""
        return {
            key: make_secret(value) if key in self.secret_keys else value for key, value in self.program.config.items()
        }


class Operation:
    """An `update`, a `preview`, a `refresh` or a `destroy`."""

    def __init__(self, setup: Setup, name: str) -> None:
        self._setup = setup
        self._name = name
        self._runs_program = name in ("update", "preview")
        program, stack = setup.program, setup.stack
        # Only a run of the program gives the provider its configuration anew; the state keeps it for the others.
        recorded = setup.state.config
        self._config = setup.config if recorded is None or self._runs_program else recorded
        self.events = EventLog(
            f"urn:pulumi:{stack}::{program.project}::{STACK_TYPE}::{program.project}-{stack}",
            [*secret_values(setup.config), *secret_values(self._config)],
            setup.on_message,
            setup.on_step,
        )
        self.service = EngineService(self.events)
        self.plugin = DynamicPlugin(
            program.folder,
            self.service.address,
            config=self._config,
            environment={"PULUMI_PROJECT": program.project, "PULUMI_CONFIG": "{}", **program.options},
            on_line=self._on_plugin_line,
        )
        self._stash, self._others = StashProvider(), MocksProvider(setup.mocks)
        self._deployment = Deployment(
            setup.state, self.events, self._provider_of, preview=name == "preview", parallel=setup.parallel
        )
        monitor = DeploymentMonitor(self._deployment, setup.mocks, stack, program.project)
        self._program_run = ProgramRun(program, monitor, self.service)
        works = {"refresh": self._deployment.refresh, "destroy": self._deployment.destroy}
        self._worker = Worker(works.get(name, self._run_program))
        self._abandoned = False

    def run(self) -> None:
        """Do it, in a thread that can be left behind: for longer than its timeout nobody waits."""
        try:
            with self._environment():
                self._worker.start()
                if not self._worker.wait(self._setup.timeout):
                    self.events.fail(self._describe_timeout())
                    self._abandon()
                elif self._deployment.killed:
                    self._worker.join(_GRACE_SECONDS)
        except BaseException:
            # ^C, above all: whatever the caller's thread is interrupted with, nothing goes on without it.
            self._abandon()
            raise
        finally:
            self._end()

    def cancel(self) -> None:
        """Begin no step any more, interrupt the program, and tell the plugin."""
        self._deployment.cancelled = True
        self._program_run.interrupt()
        self.plugin.cancel()

    def kill(self) -> None:
        """Break off all calls and end at once, but leave the plugin's process running."""
        self._deployment.killed = True
        self._program_run.interrupt()
        self.service.stop()
        self.plugin.disconnect()
        self._worker.leave()

    def result(self) -> OperationResult:
        """Return what it did."""
        state = self._setup.state
        stack = state.find(self.events.stack_urn)
        outputs = self._deployment.outputs or (stack.outputs if stack else {})
        return OperationResult(
            changes=self._deployment.changes,
            outputs=plain_outputs(outputs),
            secret_outputs=frozenset(key for key, value in outputs.items() if contains_secret(value)),
            messages=self.events.messages,
            steps=self.events.steps,
            resources=state.resources,
            errors=self.events.errors,
        )

    def _environment(self) -> AbstractContextManager[None]:
        return self._setup.program.environment() if self._runs_program else nullcontext()

    def _run_program(self) -> None:
        """Run the program; when it ends well, delete what it doesn't declare."""
        try:
            self._program_run.run(
                stack=self._setup.stack,
                preview=self._deployment.preview,
                parallel=self._setup.parallel,
                secret_keys=self._setup.secret_keys,
            )
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever a program may raise
            # After a failed step or a cancel, whatever ends the program is their consequence.
            if not self._deployment.stopping:
                self._report(error)
        if not self._deployment.stopping:
            self._deployment.delete_unregistered()

    def _report(self, error: BaseException) -> None:
        """Report what ended the program as the engine does, which runs it in a process of its own."""
        if isinstance(error, SystemExit):
            self._report_exit(error.code)
        elif isinstance(error, pulumi.RunError):
            self.events.fail(str(error))
        else:
            self.events.fail(_program_failure(error, self._setup.program.folder))

    def _report_exit(self, code: object) -> None:
        """Report the end of a process by `sys.exit`; with status 0 it is a good end, and there is nothing to say."""
        if code is not None and not isinstance(code, int):
            self.events.say(str(code))  # Python writes it to stderr
            code = 1
        status = (code or 0) & 0xFF
        if status:
            self.events.fail(f"an unhandled error occurred: program exited with non-zero exit code: {status}")

    def _abandon(self) -> None:
        """End everything now; a program that is stuck in its own code is left behind."""
        self._abandoned = True
        self._deployment.killed = True
        self._program_run.interrupt()
        self.plugin.stop()
        self.service.stop()
        self._worker.join(_GRACE_SECONDS)

    def _end(self) -> None:
        if self._abandoned:
            return
        if self._deployment.killed:
            self.events.fail("the engine was killed")
            return
        if self._deployment.cancelled:
            self.events.fail("update canceled")
        self.plugin.stop()
        self.service.stop()

    def _describe_timeout(self) -> str:
        running = [f"\n  {step} {urn}: {said or ''}" for step, urn, said in self.events.running()]
        return f"it took longer than {self._setup.timeout:g} s, LocalEngine's timeout, and was ended{''.join(running)}"

    def _provider_of(self, type_: str) -> Provider:
        if type_.startswith("pulumi-python:dynamic"):
            if self._name == "update":
                self._setup.state.record_config(self._config)
            return self.plugin
        return self._stash if type_ == "pulumi:index:Stash" else self._others

    def _on_plugin_line(self, line: str) -> None:
        if line:
            self.events.say(line)


def _program_failure(error: BaseException, folder: Path) -> str:
    trace = traceback.TracebackException.from_exception(error)
    # From its first own frame on: those before are this engine's and Pulumi's.
    own = [i for i, frame in enumerate(trace.stack) if Path(frame.filename).is_relative_to(folder)]
    trace.stack = traceback.StackSummary.from_list(trace.stack[own[0] if own else 0 :])
    return "Program failed with an unhandled exception:\n" + "".join(trace.format()).rstrip()
