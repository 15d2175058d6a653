"""Pulumi's part: what its engine asks of a provider in an `up`, a refresh and a destroy, and what it records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.session import OpenSession, Session
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.fleet.controller import FleetController
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.operation import Operation
from lmconv_resource.polling.policy import PollingPolicy
from simulation.aws import REGION
from simulation.clients import Caller
from simulation.kernel import Kernel, KilledError, Thread

LONGEST_SECONDS = 12 * 3600.0
FLEET = "fleet"
"""The name of each fleet."""


@dataclass
class Record:
    """What a stack stores of a resource."""

    id: str
    inputs: dict[str, object]
    outputs: Mapping[str, object]
    has_failed: bool = False
    """Whether its create or update ended in an error: the next `up` updates it, whatever its diff says."""


@dataclass
class Wish:
    """A resource of a program: a conversion, or a fleet where its inputs are a table."""

    name: str
    inputs: dict[str, Any]
    depends_on: str | None = None
    timeout: float | None = None

    @property
    def is_fleet(self) -> bool:
        return "instances" in self.inputs

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """What is asked for of each instance, by its id, in the table's order."""
        rows = self.inputs["instances"] if self.is_fleet else [self.inputs]
        return {row["resource_arn"].rpartition("/")[2]: row for row in rows}

    def destination(self, instance_id: str) -> str:
        """Return the license that an instance is to have."""
        return str(self.rows[instance_id]["destination_license_context"]["usage_operation"])


@dataclass(eq=False)
class Stack:
    """A stack: its program, and what is stored of it."""

    name: str
    is_native: bool
    program: dict[str, Wish]
    records: dict[str, Record] = field(default_factory=dict)
    replaced: list[tuple[str, Record]] = field(default_factory=list)
    recorded: set[tuple[str, str]] = field(default_factory=set)
    """The instances that it has had a record of."""
    claimed: set[str] = field(default_factory=set)
    """The instances that its program has had at a command."""
    is_destroyed: bool = False
    ups: int = 0

    @property
    def rows(self) -> set[str]:
        return {id for wish in self.program.values() for id in wish.rows}

    @property
    def resources(self) -> set[tuple[str, str]]:
        """The resources of its program, each with its instances."""
        return {(self.urn(wish.name), id) for wish in self.program.values() for id in wish.rows}

    def urn(self, name: str) -> str:
        kind = "ConversionFleet" if name == FLEET else "LicenseConversion"
        kind = f"lmconv:index:{kind}" if self.is_native else f"pulumi-python:dynamic/lmconv:{kind}"
        return f"urn:pulumi:{self.name}::fleet::{kind}::{name}"


class SimulatedSession(Session):
    """A session whose lines go to the history."""

    _regions_of_aws: ClassVar[list[Any]] = []
    """AWS's regions, which take a while to load."""

    def __init__(self, kernel: Kernel, caller: Caller, open_session: OpenSession, on_line: Callable[..., None]) -> None:
        super().__init__(
            {"aws:region": REGION}.get,
            policy=PollingPolicy(longest_sleep_seconds=5.0),  # else most hand-overs are sleeps
            open_session=open_session,
            runtime=kernel.runtime(caller.process),
        )
        self._kernel, self._on_line, self._caller = kernel, on_line, caller

    def log(self, severity: Severity, urn: str | None, message: str) -> None:
        if not self._caller.process.is_dead:
            self._on_line(severity, urn, message)

    def log_status(self, urn: str | None, message: str) -> None:
        if not self._caller.process.is_dead:
            self._on_line("status", urn, message)

    def is_replaced_by_command(self, urn: str | None) -> bool | None:
        return None

    def regions(self) -> Any:
        if not self._regions_of_aws:
            self._regions_of_aws.append(super().regions())
        return self._regions_of_aws[0]


class Run:
    """One `pulumi` command on one stack.

    Args:
        kernel: runs it.
        stack: the stack.
        caller: the provider's process.
        open_session: returns where its clients come from.
        on_line: told each line.
    """

    def __init__(
        self,
        kernel: Kernel,
        stack: Stack,
        caller: Caller,
        open_session: OpenSession,
        on_line: Callable[[str, str | None, str], None],
    ) -> None:
        self.kernel, self.stack, self.caller = kernel, stack, caller
        self._controllers: tuple[Controller[Any, Any], ...] = (ConversionController(), FleetController())
        self.session = SimulatedSession(kernel, caller, open_session, on_line)
        caller.cancel = lambda: self.session.cancellation.set("the update was cancelled")
        self._on_line = on_line
        self.program = dict(stack.program)
        """As it is when the command begins."""
        stack.claimed |= stack.rows
        self.errors: list[tuple[str, str]] = []
        """Names of resources, and why they failed."""
        self.bugs: list[BaseException] = []
        self.done: dict[str, bool] = {}
        """The resources whose turn has come, and whether they are good."""
        self.acted: set[str] = set()
        """Those that were created or updated."""
        self.longest: list[tuple[str, float, float]] = []
        self._left = 0
        self._waiting: Thread | None = None

    # -- the commands --------------------------------------------------------------------------------------------------

    def up(self, *, refreshes: bool = False, previews: bool = False) -> None:
        if refreshes:
            self.refresh()
        started: list[str] = []
        for name, wish in list(self.program.items()):
            self._await(wish.depends_on)
            if self._is_cancelled or (wish.depends_on and not self.done.get(wish.depends_on)):
                break
            if self.errors and not started:
                break
            step = self._plan(name, wish, previews=previews)
            started.append(name)
            if step is None or previews:
                self.done[name] = step is not None or not self.errors
                continue
            self._left += 1
            self.kernel.spawn(lambda name=name, step=step: self._carry_out(name, step), name)  # type: ignore[misc]
        self._wait_while(lambda: self._left > 0)
        if not self.errors and not self._is_cancelled and not previews:
            self._delete_left_over()

    def refresh(self) -> None:
        for name, record in list(self.stack.records.items()):

            def read(op: Operation, record: Record = record) -> None:
                controller, state, inputs = self._parse(record)
                found = controller.read(op, record.id, state, inputs)
                record.outputs = found.state.to_outputs()

            self._call(name, read)

    def destroy(self) -> None:
        for name in reversed(list(self.stack.records)):
            if not self._is_cancelled and self._delete(name, self.stack.records[name]):
                del self.stack.records[name]
        self._delete_replaced()
        self.stack.is_destroyed = not self.stack.records

    def _of(self, inputs: Mapping[str, object]) -> Controller[Any, Any]:
        """Return what a resource with these inputs is served by."""
        return self._controllers["instances" in inputs]

    def _parse(self, record: Record) -> tuple[Controller[Any, Any], Any, Any]:
        controller = self._of(record.inputs)
        return controller, controller.state.from_outputs(record.outputs), controller.inputs.parse(record.inputs)

    # -- steps ---------------------------------------------------------------------------------------------------------

    @property
    def _is_cancelled(self) -> bool:
        return self.session.cancellation.is_set

    def _await(self, name: str | None) -> None:
        self._wait_while(lambda: name is not None and name not in self.done and self._left > 0)

    def _wait_while(self, holds: Callable[[], bool]) -> None:
        while holds():
            self._waiting = self.kernel.current
            self.kernel.block()

    def _plan(self, name: str, wish: Wish, *, previews: bool) -> Callable[[], None] | None:
        """Return the step that the engine takes, after its check and its diff; None after a failure."""
        record, controller = self.stack.records.get(name), self._of(wish.inputs)
        checked = self._call(name, lambda op: controller.check(op, record.inputs if record else None, wish.inputs))
        if checked is None:
            return None
        for failure in checked.failures:
            self._fail(name, failure.reason)
        if checked.failures:
            return None
        inputs = {**wish.inputs, **checked.defaults}
        if record is None:
            return lambda: self._create(name, wish, inputs)
        diff = self._call(
            name, lambda op: controller.diff(op, record.id, self._parse(record)[1], controller.inputs.parse(inputs))
        )
        if diff is None:
            return None
        if diff.replaces:
            return lambda: self._replace(name, wish, inputs, record)
        if diff.has_changes or record.has_failed:
            return lambda: self._update(name, wish, inputs, record)
        return lambda: None

    def _carry_out(self, name: str, step: Callable[[], None]) -> None:
        failed = len(self.errors)
        try:
            step()
        finally:
            self.done[name] = len(self.errors) == failed
            self._left -= 1
            if self._waiting is not None:
                self.kernel.wake(self._waiting)
                self._waiting = None

    def _create(self, name: str, wish: Wish, inputs: dict[str, object]) -> None:
        self.acted.add(name)
        controller = self._of(inputs)
        parsed = controller.inputs.parse(inputs)
        created = self._call(name, lambda op: controller.create(op, parsed), wish.timeout)
        if created is None:
            return
        if created.error is not None:
            self._fail(name, str(created.error))
        self._record(name, wish, Record(created.id, inputs, created.state.to_outputs(), created.error is not None))

    def _replace(self, name: str, wish: Wish, inputs: dict[str, object], record: Record) -> None:
        before = self.stack.records[name]
        self._create(name, wish, inputs)
        if self.stack.records[name] is not before:
            self.stack.replaced.append((name, record))

    def _update(self, name: str, wish: Wish, inputs: dict[str, object], record: Record) -> None:
        self.acted.add(name)
        controller, state, _ = self._parse(record)
        parsed = controller.inputs.parse(inputs)
        updated = self._call(name, lambda op: controller.update(op, record.id, state, parsed), wish.timeout)
        if updated is None:
            return
        if updated.error is not None:
            self._fail(name, str(updated.error))
        self._record(name, wish, Record(record.id, inputs, updated.state.to_outputs(), updated.error is not None))

    def _record(self, name: str, wish: Wish, record: Record) -> None:
        self.stack.records[name] = record
        self.stack.recorded.update((self.stack.urn(wish.name), id) for id in wish.rows)

    def _delete_left_over(self) -> None:
        for name in [name for name in self.stack.records if name not in self.stack.program]:
            if self._delete(name, self.stack.records[name]):
                del self.stack.records[name]
        self._delete_replaced()

    def _delete_replaced(self) -> None:
        self.stack.replaced = [entry for entry in self.stack.replaced if not self._delete(*entry)]

    def _delete(self, name: str, record: Record) -> bool:
        def delete(op: Operation) -> bool:
            controller, state, inputs = self._parse(record)
            controller.delete(op, record.id, state, inputs)
            return True

        return bool(self._call(name, delete))

    def _call(self, name: str, ask: Callable[[Operation], Any], timeout: float | None = None) -> Any:
        """Return what a provider answers; None after an error, which is kept."""
        thread, urn, began = self.kernel.current, self.stack.urn(name), self.kernel.now
        assert thread is not None, "only threads call"
        before, thread.urn = thread.urn, urn
        try:
            if timeout is not None:
                self.caller.deadlines[urn] = began + timeout
            with self.session.operation(urn, timeout, is_preview=self.caller.is_preview) as op:
                return ask(op)
        except LicenseConversionError as error:
            self._fail(name, str(error))
        except KilledError:
            raise
        except Exception as bug:  # noqa: BLE001 -- an invariant
            self.bugs.append(bug)
            self._fail(name, f"bug: {type(bug).__name__}: {bug}")
        finally:
            thread.urn = before
            seconds = self.kernel.now - began
            self.longest.append((name, seconds, timeout or LONGEST_SECONDS * max(1, len(self.stack.claimed))))
            if timeout is not None and seconds >= timeout - 5.0:
                self.caller.excused.add((urn, ""))
        return None

    def _fail(self, name: str, text: str) -> None:
        if not self.caller.process.is_dead:
            self.errors.append((name, text))
            self._on_line("ERROR", self.stack.urn(name), text)
