"""The lifecycle in this process: what the engine does with one resource, with neither an engine nor a program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.engine import Engine
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.operation import Checked, Diff, Stored
from lmconv_resource.polling.policy import PollingPolicy
from support.aws import REGION, made_by, shared_client
from support.hurry import HURRIED

ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"

QUICK = PollingPolicy(
    fastest_gap_seconds=0.0,
    answer_seconds=0.0,
    least_lateness_seconds=0.02,
    shortest_interval_seconds=0.01,
    hidden_seconds=60.0,
    first_answer_seconds=0.1,
)
"""The policy with all that makes a test wait taken out: a wait that has begun just now polls every 20 ms."""


class RecordingEngine(Engine):
    def __init__(self) -> None:
        super().__init__("127.0.0.1:0")
        self.said: list[tuple[str, str]] = []
        """What stays in the diagnostics: severity and text."""
        self.shown: list[str] = []
        """What was shown live only."""

    def log(self, severity: str, urn: str | None, message: str, *, ephemeral: bool = False) -> None:
        self.said.append((severity, message))

    def log_status(self, urn: str | None, message: str) -> None:
        self.shown.append(message)

    def is_alive(self) -> bool:
        return True


def make_session(config: Mapping[str, str] | None = None, engine: Engine | None = None, **parts: Any) -> Session:
    """Return a session of a stack that has set its region, inside moto's mock, quick where the real one is patient."""
    values = {"aws:region": REGION} if config is None else config
    open_session = made_by(parts.pop("make_client", shared_client))
    ours = {"policy": QUICK, "runtime": HURRIED, "open_session": open_session}
    return Session(values.get, engine, **{**ours, **parts})


OpenSession = Callable[[RecordingEngine], Session]


@dataclass
class Outcome:
    step: str
    """`create`, `update`, `replace`, `same`, `refresh` or `delete`."""
    said: list[tuple[str, str]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    diff: Diff = field(default_factory=Diff)
    error: LicenseConversionError | None = None

    def lines(self, severity: str) -> list[str]:
        return [text for kind, text in self.said if kind == severity]

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.said)

    @property
    def why(self) -> str:
        """The error; empty where there is none."""
        return str(self.error or "")


class OneResource:
    """A stack with one resource, on a controller, as the engine and both hosts play it; half-made ones are recorded.

    Args:
        controller: the resource's lifecycle.
        inputs: what the program gives; tests change it between operations.
        open_session: returns the session of an operation, each of which has a process of its own.
    """

    urn = "urn:pulumi:dev::project::pulumi-python:lmconv:LicenseConversion::web-1"

    def __init__(
        self,
        controller: Controller[Any, Any],
        inputs: Mapping[str, Any],
        open_session: OpenSession = lambda engine: make_session(engine=engine),
    ) -> None:
        self.controller = controller
        self.inputs = dict(inputs)
        self.id: str | None = None
        self.outputs: dict[str, Any] = {}
        """What the state holds, its nulls lost as on the way through the engine."""
        self.session = open_session(RecordingEngine())
        """That of the last operation."""
        self._open_session = open_session
        self._recorded_inputs: dict[str, Any] = {}
        self._has_failed = False
        self._engine = RecordingEngine()

    @property
    def state(self) -> Any:
        return self.controller.state.from_outputs(self.outputs)

    def check(self) -> Checked:
        self._begin()
        with self.session.operation(self.urn) as op:
            return self.controller.check(op, self._recorded_inputs, self._given())

    def preview(self) -> Outcome:
        return self._run(dry=True)

    def up(self, timeout_seconds: float | None = None) -> Outcome:
        return self._run(dry=False, timeout_seconds=timeout_seconds)

    def refresh(self) -> Outcome:
        self._begin()
        with self.session.operation(self.urn) as op:
            inputs = self.controller.inputs.parse(self.outputs)
            try:
                read = self.controller.read(op, self.id or "", self.state, inputs)
            except LicenseConversionError as error:
                return self._outcome("refresh", error=error)
        self._record(self.id or "", read.state)
        return self._outcome("refresh")

    def get(self, id: str) -> Stored[Any]:
        self._begin()
        with self.session.operation(self.urn) as op:
            return self.controller.read(op, id, None, self.controller.inputs.parse({}))

    def destroy(self) -> Outcome:
        self._begin()
        self._delete(self.id or "", self.outputs)
        self.id, self.outputs = None, {}
        return self._outcome("delete")

    def _begin(self) -> None:
        self._engine = RecordingEngine()
        self.session = self._open_session(self._engine)

    def _given(self) -> dict[str, Any]:
        return self.inputs

    def _outcome(self, step: str, diff: Diff | None = None, error: LicenseConversionError | None = None) -> Outcome:
        return Outcome(step, self._engine.said, self._engine.shown, diff or Diff(), error)

    def _run(self, *, dry: bool, timeout_seconds: float | None = None) -> Outcome:
        self._begin()
        given = self._given()
        with self.session.operation(self.urn, timeout_seconds, is_preview=dry) as op:
            checked = self.controller.check(op, self._recorded_inputs, given)
            assert not checked.failures, checked.failures
            given = {**given, **checked.defaults}
            inputs, state = self.controller.inputs.parse(given), self.state
            diff = self.controller.diff(op, self.id, state, inputs) if self.id else Diff()
            step = "create" if not self.id else "replace" if diff.replaces else "update" if diff.changed else "same"
            if step == "same" and self._has_failed:
                step = "update"
            if step == "replace":  # what is replaced is checked as if it were new, too
                assert not self.controller.check(op, {}, given).failures
            if dry or step == "same":
                return self._outcome(step, diff)
            try:
                if step == "update":
                    done: Any = self.controller.update(op, self.id or "", state, inputs)
                else:
                    done = self.controller.create(op, inputs)
            except LicenseConversionError as error:
                return self._outcome(step, diff, error)
        old_id, old_outputs = self.id, self.outputs
        self._record(self.id or "" if step == "update" else done.id, done.state)
        self._recorded_inputs, self._has_failed = given, done.error is not None
        if step == "replace" and not done.error:
            self._delete(old_id or "", old_outputs)
        return self._outcome(step, diff, done.error)

    def _delete(self, task_id: str, outputs: Mapping[str, Any]) -> None:
        with self.session.operation(self.urn) as op:
            inputs = self.controller.inputs.parse(outputs)
            self.controller.delete(op, task_id, self.controller.state.from_outputs(outputs), inputs)

    def _record(self, task_id: str, state: Any) -> None:
        self.id, self.outputs = task_id, _without_none(state.to_outputs())


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(entry) for name, entry in value.items() if entry is not None}
    return [_without_none(entry) for entry in value] if isinstance(value, list) else value
