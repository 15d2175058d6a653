"""A fleet's operation: survey, begin rows as slots get free, and say what became of each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lmconv_resource.errors import FLEET_ACTION, CancelledError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.fleet.gather import Gathering
from lmconv_resource.lifecycle.fleet.report import Action, FleetState, Outcome, Result, to_counts, to_notes
from lmconv_resource.lifecycle.fleet.row import Ended, NotBegunError, Planned, plan_row, run_row
from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.survey import end_rows, find_marked, survey
from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row
from lmconv_resource.lifecycle.in_process import Progress
from lmconv_resource.lifecycle.operation import Operation
from lmconv_resource.text import to_one_line

log = logging.getLogger(__name__)

_MOST_REASONS = 20
"""Of rows in one error; the record has all."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table, by what there is to do with them."""

    kept: Mapping[str, Result]
    """What is recorded of rows that there is nothing to do with, by name."""
    pending: tuple[Row, ...]
    held_ids: Mapping[str, str]
    """The tasks that are recorded of the pending rows, by the instance's ARN."""
    failed: tuple[Row, ...] = ()
    """Those of the kept rows that have failed: an operation that was killed may have left a mark on one."""


def sort_rows(rows: Iterable[Row], state: FleetState) -> Rows:
    """Return which rows there is something to do with; a row is known again by its ARN, whatever its name and place."""
    recorded = {result.resource_arn: (name, result) for name, result in state.results.items()}
    kept: dict[str, Result] = {}
    pending: list[Row] = []
    failed: list[Row] = []
    held: dict[str, str] = {}
    for row in rows:
        arn = row.arn
        name, result = recorded.get(arn, ("", None))
        is_same = result is not None and row.is_same(state.table.get(name, {}))
        if result is not None and is_same and is_final(result, row):
            kept[row.name] = replace(result, number=row.number)
            failed += [row] if result.has_failed else []
            continue
        pending.append(row)
        if result is not None and is_same and result.outcome is Outcome.IN_PROGRESS:
            held |= {arn: result.license_conversion_task_id} if result.license_conversion_task_id else {}
    return Rows(kept, tuple(pending), held, tuple(failed))


def is_final(result: Result, row: Row) -> bool:
    """Return whether a row needs nothing more, as long as its table asks for the same."""
    if result.has_succeeded:
        return True
    return result.has_failed and result.was_begun and row.asked.get("retry_failed") is not True


class Run:
    """One operation on a fleet, with what is recorded of it. Used once."""

    def __init__(self, op: Operation, inputs: FleetInputs, state: FleetState) -> None:
        self._op = op
        self._inputs = inputs
        rows = inputs.rows or ()
        self._sorted = sort_rows(rows, state)
        self._table = {row.name: row.asked for row in rows}
        runtime = op.host.runtime
        self._changed = runtime.condition()
        self._began = runtime.now()
        self._told: list[tuple[Row, str, Ended | None]] = []
        """What rows have told: `starting`, `running` and `ended`, and what they come to where that is known."""
        self._slots: dict[str, str | None] = {}
        """The rows that have had a slot, and of those that were to have none, why."""
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
        if marked:
            left = end_rows(self._op, marked, {row.arn: None for row in marked})
            self._down += [row.name for row in left]
            for row in marked:
                if row not in left:
                    result = self._results[row.name] = replace(self._results[row.name], instance_state="running")
                    self._op.log(f"{row.name}: its instance runs again, and it stays {result.outcome.value}")

    def _convert(self, found: Sequence[Planned]) -> None:
        begun, waiting = [], []
        for planned in found:
            if planned.line.action is Action.REFUSED:
                self._record(planned.row, _to_refused(planned))
            elif planned.line.action is Action.DONE:
                self._record(planned.row, run_row(self._op, planned))
            elif planned.line.action is Action.GO_ON:
                begun.append(planned)
            else:
                waiting.append(planned)
        waiting = self._confirm_canaries(waiting)
        for note in to_notes(planned.line for planned in waiting):
            self._op.log(note, "WARNING")
        arns: dict[Gathering | None, list[str]] = {}
        for planned in (*begun, *waiting):
            arns.setdefault(planned.gathering, []).append(planned.row.arn)
        for gathering, those in arns.items():
            if gathering is not None:
                gathering.expect(those)
        schedule = Schedule([each.row for each in begun], [each.row for each in waiting], self._inputs)
        self._drive(schedule, {each.row.name: each for each in (*begun, *waiting)})
        self._record_waiting(schedule, {each.row.name: each for each in waiting})

    def _confirm_canaries(self, waiting: list[Planned]) -> list[Planned]:
        """Return the rows to be begun without those, up to the last canary, that have stop protection."""
        kept: list[Planned] = []
        for planned in waiting:
            gathering = planned.gathering
            found = planned
            if len(kept) < self._inputs.canaries and gathering is not None and not gathering.asks_protection:
                gathering.asks_protection = True
                found = plan_row(self._op, planned.row, gathering, None)
                gathering.asks_protection = False
            if found.line.action is Action.REFUSED:
                self._record(found.row, _to_refused(found))
            else:
                kept.append(found)
        return kept

    def _drive(self, schedule: Schedule, planned: Mapping[str, Planned]) -> None:
        """Begin rows and wait for their ends, until nothing is under way and nothing is to be begun."""
        runtime, cancellation = self._op.host.runtime, self._op.cancellation
        unsubscribe = cancellation.subscribe(self._wake)
        prepared: list[Row] = []
        try:
            while True:
                with self._changed:
                    told, self._told = self._told, []
                if cancellation.is_set:  # which is why a canary has not SUCCEEDED
                    schedule.stop(cancellation.reason or "its deadline had passed")
                for row, word, come_to in told:
                    failed = come_to is not None and come_to.counts
                    if word == "ended" and come_to is not None:
                        succeeded = come_to.result.has_succeeded
                        schedule.end(row, succeeded=succeeded, failed=failed, is_begun=come_to.is_begun)
                        self._record(row, come_to)
                        continue
                    (schedule.leave_slot if word == "starting" else schedule.free_slot)(row, failed=failed)
                    if word == "running" and come_to is not None:
                        self._say(row, come_to)
                for row in schedule.next_rows(runtime.now() - self._began):
                    self._begin(planned[row.name])
                    prepared.append(row)
                prepared = [row for row in prepared if not self._settle(planned[row.name], schedule)]
                if schedule.is_over:
                    return
                self._progress.report(running=schedule.running)
                with self._changed:
                    if not self._told:
                        pause = self._progress.pause_seconds
                        self._changed.wait(pause if cancellation.is_set else max(0.01, cancellation.remaining(pause)))
        finally:
            unsubscribe()

    def _settle(self, planned: Planned, schedule: Schedule) -> bool:
        """Tell a row that it has its slot, or that it is to have none; return whether that is so by now."""
        row, is_withdrawn = planned.row, schedule.stopped is not None and not self._op.cancellation.is_set
        if not (is_withdrawn or schedule.has_slot(row)):
            return False
        self._slots[row.name] = None if schedule.has_slot(row) else schedule.stopped
        if planned.gathering is not None:
            planned.gathering.crew.wake()
        return True

    def _has_slot(self, row: Row) -> bool:
        reason = self._slots.get(row.name)
        if reason is not None:
            raise NotBegunError(Subject(FLEET_ACTION), reason)
        return row.name in self._slots

    def _begin(self, planned: Planned) -> None:
        row = planned.row

        def tell(word: str, come_to: Ended | None) -> None:
            if word != "ended":
                self._progress.report(f"{row.name} {word}")
            if word in ("starting", "running", "ended"):
                with self._changed:
                    self._told.append((row, word, come_to))
                    self._changed.notify_all()

        def run() -> None:
            try:
                ended = run_row(self._op, planned, tell, lambda: self._has_slot(row))
            except Exception as bug:  # a row never stops another, and each must come to its end
                log.exception("a row ended in a bug")
                ended = _to_bug(planned, bug)
            tell("ended", ended)

        self._op.host.runtime.spawn(run, f"lmconv-row-{row.number}")

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

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
        self._op.log(_to_line(row.name, result), "WARNING" if is_bad else "INFO")

    def _record_waiting(self, schedule: Schedule, planned: Mapping[str, Planned]) -> None:
        """Record the rows that were not begun, with one line for them all."""
        rows = schedule.take_waiting()
        for row in rows:
            outcome = Outcome.IN_PROGRESS if planned[row.name].is_marked else Outcome.NOT_BEGUN
            self._results[row.name] = planned[row.name].to_result(outcome, schedule.stopped)
        if rows:
            self._op.log(f"{len(rows)} not begun: {schedule.stopped}.", "WARNING")

    def _to_error(self) -> LicenseConversionError | None:
        """Return the error that the operation ends with, which says how many are not converted and why."""
        results = self._results
        cancellation = self._op.cancellation
        bad = {name: each for name, each in results.items() if not each.has_succeeded}
        is_interrupted = cancellation.is_set and any(
            each.outcome in (Outcome.IN_PROGRESS, Outcome.NOT_BEGUN) for each in bad.values()
        )
        if not (self._down or is_interrupted or (self._inputs.fail_on_error and bad)):
            return None
        subject = Subject(FLEET_ACTION, resource_arn=to_counts(results.values()).partition(":")[0])
        reasons = [to_counts(results.values()).partition(": ")[2]]
        if self._down:
            reasons.append(f"not running as before: {', '.join(self._down)}")
        if is_interrupted:
            reasons.insert(0, cancellation.reason or "its deadline had passed")
        said = [item for item in bad.items() if item[1].outcome is not Outcome.NOT_BEGUN]  # which is one reason for all
        named = sorted(said, key=lambda item: (item[0] not in self._down, item[1].number))
        for name, each in named[:_MOST_REASONS]:
            # What to do about it is in the row's own line, and in the report; about one that is down, here too.
            reason = (each.reason or "") if name in self._down else (each.reason or "").partition(". ")[0]
            reasons.append(f"{name} {each.outcome.value}, {reason}".rstrip(". "))
        reasons += [f"and {len(named) - _MOST_REASONS} more"] if len(named) > _MOST_REASONS else []
        remedy = "All of it is recorded, and the next `pulumi up` continues from there"
        kind = CancelledError if is_interrupted and not self._down else LicenseConversionError
        return kind(subject, "; ".join(reasons), remedy)


def _to_refused(planned: Planned) -> Ended:
    error = planned.error
    reason = error.explanation if error else planned.line.text
    # A mark that is left says that it ran, and is still to be started.
    outcome = Outcome.IN_PROGRESS if planned.is_marked else Outcome.REFUSED
    return Ended(planned.to_result(outcome, reason), is_down=planned.is_marked)


def _to_bug(planned: Planned, bug: Exception) -> Ended:
    reason = f"{type(bug).__name__}: {bug}. This is a bug of lmconv-resource: report it with LMCONV_LOG=DEBUG's lines."
    return Ended(planned.to_result(Outcome.IN_PROGRESS, to_one_line(reason)), True, planned.ran)


def _to_line(name: str, result: Result) -> str:
    took = f" after {result.took}" if result.took else ""
    return f"{name}: {result.outcome.value}{took}" + (f": {result.reason}" if result.reason else "")
