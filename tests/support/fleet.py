"""A fleet on moto's EC2 and the emulated License Manager: what the engine does with the resource, in this process."""

from __future__ import annotations

from typing import Any

from lmconv_resource.lifecycle.fleet import FleetController
from lmconv_resource.lifecycle.fleet.report import FleetState, Result
from lmconv_resource.lifecycle.operation import Checked, Diff
from support.job import WINDOWS, Job

URN = "urn:pulumi:dev::fleet::pulumi-python:lmconv:ConversionFleet::sql"


class Fleet:
    """A stack with one fleet, recorded as both hosts do: what failed halfway too."""

    def __init__(self, job: Job, **inputs: Any) -> None:
        self.job = job
        self.controller = FleetController()
        self.rows: list[dict[str, Any]] = []
        self.inputs = {"destination_license_context": {"usage_operation": WINDOWS}, **inputs}
        self.recorded: dict[str, Any] | None = None
        self.asked: dict[str, Any] | None = None

    def add(self, name: str, arn: str, **more: Any) -> str:
        """Add a row to the table, and return the ARN."""
        self.rows.append({"name": name, "resource_arn": arn, **more})
        return arn

    def check(self, *, is_preview: bool = False) -> Checked:
        """Check the program's inputs."""
        with self.job.session.operation(URN, is_preview=is_preview) as op:
            return self.controller.check(op, self.asked, self._given())

    def preview(self) -> str:
        """Return the plan that a preview leaves; nothing where there is nothing to do."""
        known = len(self.job.session.lines)
        checked = self.check(is_preview=True)
        assert not checked.failures, checked.failures
        if self.recorded is not None:
            self.diff(is_preview=True)
        return "\n".join(text for _, text in self.job.session.lines[known:])

    def diff(self, *, is_preview: bool = False) -> Diff:
        """Return what differs from the record."""
        checked = self.check()
        inputs = self.controller.inputs.parse({**self._given(), **checked.defaults})
        with self.job.session.operation(URN, is_preview=is_preview) as op:
            return self.controller.diff(op, "sql", self.state, inputs)

    def up(self, timeout: float | None = None) -> str:
        """Run an `up`, and return the error that the resource ends with; empty where there is none."""
        checked = self.check()
        assert not checked.failures, checked.failures
        given = {**self._given(), **checked.defaults}
        if self.recorded is not None and not self.diff().has_changes:
            return ""
        with self.job.session.operation(URN, timeout, is_preview=False) as op:
            inputs = self.controller.parse_certain(given)
            if self.recorded is None:
                done: Any = self.controller.create(op, inputs)
            else:
                done = self.controller.update(op, "sql", self.state, inputs)
        self.recorded, self.asked = done.state.to_outputs(), given
        return str(done.error or "")

    def refresh(self) -> None:
        """Read the fleet into the record."""
        with self.job.session.operation(URN) as op:
            read = self.controller.read(op, "sql", self.state, self.controller.inputs.parse({}))
        self.recorded = read.state.to_outputs()

    def destroy(self) -> None:
        """Delete the fleet."""
        with self.job.session.operation(URN) as op:
            self.controller.delete(op, "sql", self.state, self.controller.inputs.parse({}))
        self.recorded = None

    @property
    def state(self) -> FleetState:
        """What is recorded."""
        return self.controller.state.from_outputs(self.recorded or {})

    def result(self, name: str) -> Result:
        """Return what became of a row."""
        return self.state.results[name]

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each row, by its name."""
        return {name: each.outcome.value for name, each in self.state.results.items()}

    def _given(self) -> dict[str, Any]:
        return {"instances": self.rows, **self.inputs}
