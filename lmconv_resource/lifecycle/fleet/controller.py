"""The lifecycle of a ConversionFleet: what check, diff, create, read, update and delete come to."""

import json
import logging
from dataclasses import replace

from lmconv_resource.aws.ec2 import Instance
from lmconv_resource.errors import FLEET_ACTION, SettingsError, Subject
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.fleet.report import Action, FleetState, Outcome, PlanLine, Result, to_plan_text
from lmconv_resource.lifecycle.fleet.run import Run, sort_rows
from lmconv_resource.lifecycle.fleet.survey import divide, end_rows, find_marked, look_at, survey
from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row, check_fleet
from lmconv_resource.lifecycle.operation import ByName, Checked, CheckFailure, Diff, Operation, Properties, Stored
from lmconv_resource.text import written
from lmconv_resource.usage_operations import describe

log = logging.getLogger(__name__)

ROWS = "rows"
"""The rows by name, each in a line: an input that check adds, so that a diff shows which rows come, go and change."""


class FleetController(Controller[FleetInputs, FleetState]):
    """Converts the licenses of many instances, and says what became of each."""

    inputs = FleetInputs
    state = FleetState

    def check(self, op: Operation, olds: Properties | None, news: Properties) -> Checked:
        """Return the values of what the program left out, and all that is wrong with the table as one failure."""
        defaults = self._defaults(news)
        try:
            op.host.check_setting_names()
        except SettingsError as error:
            return Checked(defaults, (CheckFailure("", str(error)),))
        checked = {**news, **defaults}
        failures = self._validate(checked)
        if failures:
            return Checked(defaults, tuple(failures))
        inputs = self.inputs.parse(checked)
        if op.is_preview and not olds:
            self.preview(op, None, inputs)
        if inputs.rows is None:
            return Checked(defaults)
        return Checked({**defaults, ROWS: ByName((row.name, row.summary) for row in inputs.rows if row.is_known)})

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        problem = check_fleet(checked)
        return [CheckFailure("", problem)] if problem else []

    def diff(self, op: Operation, task_id: str, state: FleetState, inputs: FleetInputs) -> Diff:
        """Return the rows that come, go or change, and whether there is something to do with the others.

        Asks AWS only of rows that could not be converted: one that still can't be, for the same reason, is no change.
        """
        diff = self._diff(op, state, inputs)
        if op.is_preview and diff.has_changes:
            self.preview(op, state, inputs)
        return diff

    def _diff(self, op: Operation, state: FleetState, inputs: FleetInputs) -> Diff:
        if inputs.rows is None:
            return Diff(("instances",))
        asked = {row.name: row.asked for row in inputs.rows}
        names = dict.fromkeys((*state.table, *asked))
        changed = [f"{ROWS}[{json.dumps(name)}]" for name in names if asked.get(name) != state.table.get(name)]
        if changed:
            return Diff(tuple(changed))
        rows, results = sort_rows(inputs.rows, state), state.results
        refused = [row for row in rows.pending if row.name in results and results[row.name].was_refused]
        if len(refused) < len(rows.pending) or find_marked(op, rows.failed):
            return Diff((ROWS,))
        found = survey(op, refused, {})
        is_same = all(
            each.error and (results[each.row.name].reason or "").startswith(each.error.reason) for each in found
        )
        return Diff() if is_same else Diff((ROWS,))

    def preview(self, op: Operation, state: FleetState | None, inputs: FleetInputs) -> None:
        """Leave the plan, one readable table, in the preview."""
        if inputs.rows is None:
            op.log("The table of instances is not known yet: the update plans it.")
            return
        lines = [
            PlanLine(row.number, row.name, None, None, Action.UNKNOWN, "not known yet")
            for row in inputs.rows
            if not row.is_known
        ]
        rows = sort_rows((row for row in inputs.rows if row.is_known), state or FleetState({}, {}))
        marked = {row.name for row in find_marked(op, rows.failed)}
        lines += [_to_kept_line(name, result, is_marked=name in marked) for name, result in rows.kept.items()]
        lines += survey(op, rows.pending, rows.held_ids)
        op.log(to_plan_text(lines))

    def create(self, op: Operation, inputs: FleetInputs) -> Stored[FleetState]:
        """Bring all rows to their end."""
        state, error = Run(op, inputs, FleetState({}, {})).carry_out()
        return Stored(state, error, (op.urn or "fleet").rpartition("::")[2])

    def update(self, op: Operation, task_id: str, state: FleetState, inputs: FleetInputs) -> Stored[FleetState]:
        """Bring all rows to their end that have not come to it; those that have left the table are forgotten."""
        names = {row.asked.get("resource_arn") for row in inputs.rows or ()}
        gone = {name: each for name, each in state.results.items() if each.resource_arn not in names}
        self.delete(op, task_id, FleetState(gone, state.table), inputs)
        new, error = Run(op, inputs, state).carry_out()
        return Stored(new, error)

    def read(self, op: Operation, task_id: str, state: FleetState | None, inputs: FleetInputs) -> Stored[FleetState]:
        """Return the fleet with what EC2 bills each instance as now, and its state."""
        if state is None:
            subject = Subject(FLEET_ACTION, resource_arn=task_id)
            raise SettingsError(subject, "a fleet can't be read by its id", "Declare it with its instances")
        groups, refused = divide(op, _to_rows(state))
        for _, error in refused:
            raise error
        results = dict(state.results)
        for row, found, is_marked in look_at(op, groups):
            if found.answer is not None:
                result = results[row.name]
                results[row.name] = self._refresh_row(op, row.name, result, found.answer, is_marked=is_marked)
        return Stored(replace(state, results=results))

    def _refresh_row(self, op: Operation, name: str, result: Result, instance: Instance, *, is_marked: bool) -> Result:
        """Return a row with what EC2 bills its instance as, and a warning where that has changed."""
        billed, recorded = instance.license_context.usage_operation, result.verified_usage_operation
        if not result.has_succeeded:
            return replace(result, instance_state=instance.state)
        if billed and billed != (recorded or billed):
            text = f"{name}: EC2 now bills it as {describe(billed)}, and no longer as {describe(recorded or '')}."
            op.log(text, "WARNING")
        if is_marked:
            # Of a table that was changed, and changed back since: nothing else tells of that `up`.
            reason = f"A killed operation has tagged it, and it is {instance.state}: `pulumi up` continues."
            op.log(f"{name}: {instance.instance_id}: {reason}", "WARNING")
            return replace(result, outcome=Outcome.IN_PROGRESS, reason=reason, instance_state=instance.state)
        return replace(result, instance_state=instance.state, verified_usage_operation=billed)

    def delete(self, op: Operation, task_id: str, state: FleetState, inputs: FleetInputs) -> None:
        """Forget rows: the licenses stay as they are. An instance that still has our mark is started first.

        It never fails for it. A row that is recorded as done may have been begun again by an `up` that was killed: its
        mark tells.
        """
        rows, results = _to_rows(state), state.results.items()
        over = {name for name, each in results if each.has_succeeded or each.outcome is Outcome.NOT_BEGUN}
        marked = find_marked(op, [row for row in rows if row.name in over])
        left = [*(row for row in rows if row.name not in over), *marked]
        end_rows(op, left, {each.resource_arn: each.license_conversion_task_id for each in state.results.values()})


def _to_rows(state: FleetState) -> tuple[Row, ...]:
    """Return the rows that are recorded, with their names."""
    table = [{**asked, "name": name} for name, asked in state.table.items() if name in state.results]
    return FleetInputs.parse({"instances": table, "stop_and_restart": True}).rows or ()


def _to_kept_line(name: str, result: Result, *, is_marked: bool) -> PlanLine:
    to = result.destination_usage_operation
    if result.has_succeeded:
        present = result.verified_usage_operation or to
        return PlanLine(result.number, name, present, to, Action.DONE, "done already")
    text = f"{result.outcome.value} before, and stays as it is: set {written('retry_failed')} on its row"
    if is_marked:
        text = f"{result.outcome.value} before, and is still marked: will be started again, and stays as it is"
    return PlanLine(result.number, name, result.source_usage_operation, to, Action.KEPT, text)
