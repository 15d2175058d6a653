"""A fleet's operation: survey, begin rows as slots get free, and say what became of each."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lmconv_resource.errors import FLEET_ACTION, CancelledError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.fleet.crew import Crew
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.report import Action, FleetState, Outcome, Result, to_counts, to_notes
from lmconv_resource.lifecycle.fleet.row import Ended, Planned, RowJob, plan_row, to_ended, to_known_end
from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.survey import end_rows, find_marked, survey
from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row
from lmconv_resource.lifecycle.in_process import Progress
from lmconv_resource.lifecycle.operation import Operation

log = logging.getLogger(__name__)

_MOST_REASONS = 20
"""Of rows in one error; the record has all."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table, by what there is to do with them."""

    kept: dict[str, Result]
    """What is recorded of rows that there is nothing to do with, by name."""
    pending: list[Row]
    held_ids: dict[str, str]
    """The tasks that are recorded of the pending rows, by the instance's ARN."""
    failed: list[Row]
    """Those of the kept rows that have failed: an operation that was killed may have left a mark on one."""


def sort_rows(rows: Iterable[Row], state: FleetState) -> Rows:
    """Return which rows there is something to do with; a row is known again by its ARN, whatever its name and place."""
    recorded = {result.resource_arn: (name, result) for name, result in state.results.items()}
    found = Rows({}, [], {}, [])
    for row in rows:
        name, result = recorded.get(row.arn, ("", None))
        if result is None or not row.is_same(state.table.get(name, {})):
            found.pending.append(row)
            continue
        has_failed = result.has_failed and result.was_begun and row.asked.get("retry_failed") is not True
        if result.has_succeeded or has_failed:
            found.kept[row.name] = replace(result, number=row.number)
            found.failed.extend([row] if has_failed else [])
            continue
        found.pending.append(row)
        if result.outcome is Outcome.IN_PROGRESS and result.license_conversion_task_id:
            found.held_ids[row.arn] = result.license_conversion_task_id
    return found


class Run:
    """One operation on a fleet, with what is recorded of it. Used once."""

    def __init__(self, op: Operation, inputs: FleetInputs, state: FleetState) -> None:
        self._op, self._inputs = op, inputs
        rows = inputs.rows or ()
        self._sorted = sort_rows(rows, state)
        self._table = {row.name: row.asked for row in rows}
        runtime = op.host.runtime
        self._changed = runtime.condition()
        self._began = runtime.now()
        self._schedule: Schedule
        self._planned: dict[str, Planned]
        """Those that are begun or wait for it, by name."""
        self._crews: dict[Gathering | None, Crew] = {}
        self._sharing: dict[tuple[str, str], set[Crew]] = {}
        """The crews of an account and region, which share its slots."""
        self._over = runtime.event()
        self._left = 0
        """How many crews have not come to their end; `_changed` guards it and the schedule."""
        self._down: list[str] = []
        self._said: dict[str, Outcome] = {}
        self._results: dict[str, Result] = dict(self._sorted.kept)
        self._progress = Progress(
            len(rows),
            op.log_status,
            moves=op.host.report_seconds is not None,
            terminal_columns=op.host.terminal_columns,
            runtime=runtime,
        )

    def carry_out(self) -> tuple[FleetState, LicenseConversionError | None]:
        """Bring all rows to their end, and return what is to be recorded, with the error that the operation ends with.

        Raises:
            SettingsError, CredentialsError: AWS can't be reached for any row; nothing was done.
        """
        for result in self._results.values():
            self._progress.end(done=result.has_succeeded, failed=result.has_failed)
        self._end_failed()
        if self._sorted.pending:
            self._convert(survey(self._op, self._sorted.pending, self._sorted.held_ids, begins=True))
        state = FleetState(self._results, self._table)
        return state, self._to_error()

    def _end_failed(self) -> None:
        """Start what an operation that was killed has left down of rows that stay as they are recorded."""
        marked = find_marked(self._op, self._sorted.failed)
        left = end_rows(self._op, marked, {})
        self._down += [row.name for row in left]
        for row in marked:
            if row not in left:
                result = self._results[row.name] = replace(self._results[row.name], instance_state="running")
                self._op.log(f"{row.name}: its instance runs again, and it stays {result.outcome.value}")

    def _convert(self, found: Sequence[Planned]) -> None:
        begun: list[Planned] = []
        waiting: list[Planned] = []
        for each in found:
            is_canary = len(waiting) < self._inputs.canaries and each.action in (Action.RESTART, Action.UNKNOWN)
            planned = self._plan_canary(each) if is_canary else each
            if planned.error is not None:
                self._refuse(planned, planned.error)
            elif planned.action is Action.DONE:
                self._record(planned.row, self._confirm(planned))
            elif planned.action is Action.GO_ON:
                begun.append(planned)
            else:
                waiting.append(planned)
        for note in to_notes(waiting):
            self._op.log(note, "WARNING")
        self._planned = {each.row.name: each for each in (*begun, *waiting)}
        self._schedule = Schedule([each.row for each in begun], [each.row for each in waiting], self._inputs)
        self._drive()
        left, reason = self._schedule.waiting, self._schedule.stopped
        for row in left:
            outcome = Outcome.IN_PROGRESS if self._planned[row.name].is_marked else Outcome.NOT_BEGUN
            self._results[row.name] = self._planned[row.name].to_result(outcome, reason)
        if left:
            self._op.log(f"{len(left)} not begun: {reason}.", "WARNING")

    def _confirm(self, planned: Planned) -> Ended:
        """Return the outcome of a row that is done, by what was read for its plan."""
        job = planned.begin(self._op)
        crew = Crew(job.gathering)
        crew.add(job)
        (row,) = crew.run()
        return to_ended(planned, row)

    def _plan_canary(self, planned: Planned) -> Planned:
        """Return the plan of a row that is to be a canary, which one with stop protection can't be."""
        gathering, found = planned.gathering, planned
        if gathering is not None and not gathering.asks_protection:
            gathering.asks_protection = True
            found = plan_row(self._op, planned.row, gathering, None)
            gathering.asks_protection = False
        return found

    def _drive(self) -> None:
        """Begin rows and wait for their ends, until nothing is under way and nothing is to be begun."""
        cancellation = self._op.cancellation
        for planned in self._planned.values():
            gathering = planned.gathering
            if gathering is not None:
                gathering.expect(planned.row.arn)
                crew = self._crews.setdefault(gathering, Crew(gathering, self._schedule, self._on))
                self._sharing.setdefault(planned.row.account_and_region, set()).add(crew)
        self._left = len(self._crews)
        unsubscribe = cancellation.subscribe(self._wake)
        try:
            with self._op.host.runtime.pool(self._left or 1, "lmconv-rows") as pool:
                ends = [pool.submit(self._carry_out, crew) for crew in self._crews.values()]
                while self._left:
                    self._hand_out()
                    self._progress.report(running=self._schedule.running)
                    pause = self._progress.pause_seconds
                    self._over.wait(pause if cancellation.is_set else max(0.01, cancellation.remaining(pause)))
                for each in ends:
                    each.result()
        finally:
            unsubscribe()

    def _carry_out(self, crew: Crew) -> None:
        def is_over() -> bool:
            self._hand_out()
            return self._schedule.stopped is not None or not crew.gathering.waiting

        try:
            for row in crew.run(is_over):
                self._on_end(row)
        finally:
            with self._changed:
                self._left -= 1
                if not self._left:
                    self._over.set()

    def _hand_out(self, row: Row | None = None, change: Callable[[], None] = lambda: None) -> None:
        """Change the schedule, and begin the rows whose turn it is."""
        runtime, cancellation = self._op.host.runtime, self._op.cancellation
        with self._changed:
            schedule, was_stopped = self._schedule, self._schedule.stopped
            if cancellation.is_set:  # which is why a canary has not SUCCEEDED
                schedule.stop(cancellation.reason or "its deadline had passed")
            change()
            for begun in schedule.next_rows(runtime.now() - self._began):
                planned = self._planned[begun.name]
                self._crews[planned.gathering].add(planned.begin(self._op))
            if was_stopped != schedule.stopped:
                self._wake()
            sharing = self._sharing[row.account_and_region] if row else set()
            for crew in sharing if len(sharing) > 1 else ():  # one of which has a slot now, it may be
                crew.woken.set()

    def _on(self, row: RowJob, word: str) -> None:
        """Take note that a row is about to do something, or that its instance runs again."""
        self._progress.report(f"{row.row.name} {word}")
        if word not in ("starting", "running"):
            return
        come_to = to_known_end(self._planned[row.row.name], row)
        failed = come_to is not None and come_to.counts
        leave = self._schedule.leave_slot if word == "starting" else self._schedule.free_slot
        self._hand_out(row.row, lambda: leave(row.row, failed=failed))
        if word == "running" and come_to is not None:
            self._say(row.row, come_to)

    def _on_end(self, row: RowJob) -> None:
        ended = to_ended(self._planned[row.row.name], row, is_over=self._op.cancellation.is_set)
        how = {"succeeded": ended.result.has_succeeded, "failed": ended.counts, "is_begun": ended.is_begun}
        self._hand_out(row.row, lambda: self._schedule.end(row.row, **how))
        self._record(row.row, ended)

    def _wake(self) -> None:
        for crew in self._crews.values():
            crew.woken.set()

    def _refuse(self, planned: Planned, error: LicenseConversionError) -> None:
        # A mark that is left says that it ran, and is still to be started.
        outcome = Outcome.IN_PROGRESS if planned.is_marked else Outcome.REFUSED
        self._record(planned.row, Ended(planned.to_result(outcome, error.explanation), is_down=planned.is_marked))

    def _record(self, row: Row, ended: Ended) -> None:
        self._results[row.name] = ended.result
        if ended.is_down:
            self._down.append(row.name)
        self._say(row, ended)

    def _say(self, row: Row, ended: Ended) -> None:
        """Count a row that has come to its end, and leave a line for it: once."""
        result, before = ended.result, self._said.get(row.name)
        self._said[row.name] = result.outcome
        if before is result.outcome:
            return
        self._progress.end(done=result.has_succeeded, failed=result.has_failed)
        is_bad = ended.is_down or result.has_failed
        took, why = f" after {result.took}" if result.took else "", f": {result.reason}" if result.reason else ""
        self._op.log(f"{row.name}: {result.outcome.value}{took}{why}", "WARNING" if is_bad else "INFO")

    def _to_error(self) -> LicenseConversionError | None:
        """Return the error that the operation ends with, which says how many are not converted and why."""
        results, cancellation = self._results, self._op.cancellation
        bad = {name: each for name, each in results.items() if not each.has_succeeded}
        is_interrupted = cancellation.is_set and any(
            each.outcome in (Outcome.IN_PROGRESS, Outcome.NOT_BEGUN) for each in bad.values()
        )
        if not (self._down or is_interrupted or (self._inputs.fail_on_error and bad)):
            return None
        whole, _, counts = to_counts(Outcome, [each.outcome for each in results.values()]).partition(": ")
        reasons = [cancellation.reason or "its deadline had passed", counts] if is_interrupted else [counts]
        if self._down:
            reasons.append(f"not running as before: {', '.join(self._down)}")
        said = [item for item in bad.items() if item[1].outcome is not Outcome.NOT_BEGUN]  # which is one reason for all
        named = sorted(said, key=lambda item: (item[0] not in self._down, item[1].number))
        for place, (name, each) in enumerate(named[:_MOST_REASONS]):
            # What to do about it is in the row's own line, and in the report; about the first that is down, here too.
            is_told = place > 0 or name not in self._down
            reason = (each.reason or "").partition(". ")[0] if is_told else each.reason or ""
            reasons.append(f"{name} {each.outcome.value}, {reason}".rstrip(". "))
        reasons += [f"and {len(named) - _MOST_REASONS} more"] if len(named) > _MOST_REASONS else []
        remedy = "All of it is recorded, and the next `pulumi up` continues from there"
        kind = CancelledError if is_interrupted and not self._down else LicenseConversionError
        return kind(Subject(FLEET_ACTION, resource_arn=whole), "; ".join(reasons), remedy)
