"""One conversion carried out: read, decide, act once, read again.

Nothing else stops, starts or tags an instance, or starts a conversion; a fleet sends what its rows' jobs have decided
on together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lmconv_resource import errors
from lmconv_resource.aws.ec2 import START_ACTION
from lmconv_resource.errors import CREATE_ACTION, LicenseConversionError, Subject, TransientError
from lmconv_resource.lifecycle.job.checks import CHECKS, Problem, Wish
from lmconv_resource.lifecycle.job.facts import (
    EVERYTHING,
    INSTANCE,
    PROBLEMS,
    TAGS_PART,
    TASKS,
    Act,
    Facts,
    Memory,
    Reader,
    Sent,
)
from lmconv_resource.lifecycle.job.rules import IRREVERSIBLE, Step, decide, to_state_text
from lmconv_resource.marks import REFUSED_TAG, RESTART_TAG, make_value
from lmconv_resource.models import ConversionTask, TaskStatus, to_id
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS
from lmconv_resource.polling.runtime import doubled
from lmconv_resource.text import fill, to_duration_text
from lmconv_resource.usage_operations import describe_license

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.lifecycle.inputs import ConversionInputs
    from lmconv_resource.lifecycle.operation import Operation

log = logging.getLogger(__name__)

_INSTANCE_ONLY, _FOR_MARK = frozenset({INSTANCE}), frozenset({INSTANCE, TAGS_PART})
_ON_ITS_WAY = ("await-stopping", "await-state", "await-state-end")
"""Rules that wait for a state of the instance and read that alone: a fleet would ask for everything each second."""

_FIRST_PAUSE, _LONGEST_PAUSE, _FAULT_PAUSE = 1.0, 5.0, 30.0
_CAPACITY_PAUSES = 5.0, 300.0
_PASSING_CODES = ("Insufficient", "IncorrectInstanceState", "IncorrectState")
_START_SECONDS = 30.0
_TIDY_TRIES = 10
_FRESH_SECONDS, _MARK_FRESH_SECONDS, _MAX_READS = 15.0, 2.5, 5
"""How old the instance may be that an act rests on, that a mark rests on, and how often it is read again for that: AWS
may throttle. Another stack may have marked it since, and a tag can't be written on the condition that there is none."""
_LAST_START_SECONDS, _LAST_PAUSE = 60.0, 2.0
"""How long a start is tried for after the deadline, where no conversion was begun: no outage for a slow shutdown."""


class Job:
    """One conversion with all around it; with `ends`, only what was begun is brought to its end.

    `held_id` is the task that is recorded, `problems` what the checks have found where they were just made, about the
    instance's stop, too, with `is_stop_checked`.
    """

    def __init__(
        self,
        op: Operation,
        aws: Connection,
        inputs: ConversionInputs,
        held_id: str | None = None,
        *,
        ends: bool = False,
        retry_remedy: str | None = None,
        problems: tuple[Problem, ...] | None = None,
        is_stop_checked: bool = False,
        make_mark: Callable[[str | None, str, datetime, datetime], str] = make_value,
    ) -> None:
        self._op = op
        self._aws = aws
        self._wish = wish = Wish(**vars(inputs), urn=op.urn, converts=not ends, retry_remedy=retry_remedy)
        self._arn = wish.request.resource_arn
        self._make_mark = make_mark
        self._waits = 0
        self._refused = ""
        self._last_until: float | None = None
        self._stale = EVERYTHING
        now = op.host.runtime.now()
        self._reader = Reader(op, aws, wish)
        self.facts = Facts(
            now,
            op.host.runtime.wall(),
            Memory(now, held_id, held_id is not None, now),
            problems=problems,
            is_stop_checked=is_stop_checked,
            region=aws.region,
            resource_arn=self._arn,
            deadline=now + op.cancellation.remaining(DEFAULT_DEADLINE_SECONDS),
            is_forced_by_command=op.host.is_replaced_by_command(wish.urn) if wish.converts else False,
        )

    @property
    def held_id(self) -> str | None:
        """The task that the job follows: recorded, started or adopted."""
        return self.facts.memory.held_id

    @property
    def is_marked(self) -> bool:
        """Whether the instance is marked, so that it has to be started again."""
        memory = self.facts.memory
        is_sent = memory.sent[Act.MARK].accepted > 0 and not self.facts.marks  # else that which is shown is another's
        return (memory.is_marked or is_sent) and not memory.is_released

    def of(self, act: Act) -> Sent:
        """Return how it went with an act."""
        return self.facts.memory.sent[act]

    def plan(self, *, awaits_instance: bool = True) -> Step:
        """Return what a run would do first, from facts that are read once; nothing is done.

        Without `awaits_instance`, one that EC2 does not show counts as one that it has not shown for half a minute.

        Raises:
            LicenseConversionError: AWS could not be asked.
        """
        # A run without need of EC2 continues without a route to it after half a minute, which no plan waits for.
        past = self.facts.now - 60.0
        self._remember(failing_since=past, hidden_since=None if awaits_instance else past)
        step = self._decide(EVERYTHING)
        return self._decide(frozenset({PROBLEMS})) if step.rule.then is Act.CHECK else step

    def to_plan_text(self, step: Step) -> str:
        """Return a plan in one line: what will be done, that it is done already, or why it can't be."""
        id, seen = self.facts.places[0], self.facts.memory.last_seen
        if step.rule.then in (Act.REFUSE, Act.LEAVE):
            return f"{id} can't be converted, because {' '.join(each.explanation for each in step.errors)}"
        if step.rule.then in (Act.DONE, Act.FOLLOW, Act.ADOPT):
            return f"{id}: {step.text}"
        name = f"{id} {to_state_text(seen.state)}" if seen else id
        if "settled" in step.rule.words:  # an earlier `up` began it, and it is brought to its end
            return f"{name}: will be started again"
        pair = f"from {describe_license(step.request.source)} to {describe_license(self._wish.request.destination)}"
        if self._wish.stop_and_restart and seen and seen.state in ("running", "pending"):
            return f"{name}: will be stopped, converted {pair}, and started again"
        return f"{name}: will be converted {pair}"

    def run(self) -> Step:
        """Carry the conversion out, and return the step with which it is done.

        Raises:
            LicenseConversionError: refused, failed, cancelled or left as it is; `held_id` is what was begun.
        """
        try:
            while not (isinstance(found := self.next(), Step) and found.rule.then is Act.DONE):
                if isinstance(found, Step):
                    found = self._follow() if found.rule.then is Act.FOLLOW else self.carry_out(found)
                is_last = self._last_until is not None  # after the deadline, when a cancellation waits for nothing
                (self._op.host.runtime.sleep if is_last else self._op.cancellation.wait)(found)
            return found
        finally:
            self.close()

    def close(self) -> None:
        """Let another job be about the instance."""
        busy = self._op.host.started_here.busy
        if busy.get(self._arn) is self:
            del busy[self._arn]

    def next(self) -> Step | float:
        """Read what is stale; return what to send or follow, that it is done, or for how long to wait; or raise."""
        op, runtime = self._op, self._op.host.runtime
        if op.host.started_here.busy.setdefault(self._arn, self) is not self:
            if op.cancellation.is_set:
                raise self.left(self._to_cancelled())
            return self._pause(_LONGEST_PAUSE)
        again = 0
        while True:
            step = self._decide(self._stale)
            act = step.rule.then
            log.debug("%s: %s %s", self._arn, step.rule.name, step.text)
            is_whole = self._stale == EVERYTHING or (again > 0 and act is Act.MARK)
            fresh = _MARK_FRESH_SECONDS if act is Act.MARK else _FRESH_SECONDS
            is_old = self.facts.now - self.facts.instance_at > fresh and again < _MAX_READS
            if act in IRREVERSIBLE and (not is_whole or is_old):
                # A list of tasks that takes a minute must not make old what a mark rests on.
                self._stale = _FOR_MARK if is_whole and act is Act.MARK else EVERYTHING
                again += 1
                continue
            again = 0
            if self._last_until is None and act in (Act.DONE, Act.REFUSE, Act.LEAVE):
                return self._finish(step)
            if op.cancellation.is_set or runtime.now() >= self.facts.deadline:
                return self._to_last_start(step)
            if step.rule.severity:
                op.log(f"{step.text}.", step.rule.severity)
            elif step.text and act is not Act.FOLLOW:
                op.log_status(step.text)
            for severity, text in step.notes:
                op.log(text, severity)
            if act is Act.WAIT:
                unread = self._stale if self.facts.fault else frozenset()
                self._stale = _INSTANCE_ONLY if step.rule.name in _ON_ITS_WAY else EVERYTHING | unread
                return self._pause(_FAULT_PAUSE if "fault" in step.rule.text else _LONGEST_PAUSE)
            self._waits = 0
            self._stale = frozenset({PROBLEMS}) if act is Act.CHECK else EVERYTHING
            if act is Act.ADOPT:
                self._adopt(step)
            elif act is not Act.CHECK:
                self._remember(list_failing_since=None if act is Act.FOLLOW else self.facts.memory.list_failing_since)
                return step

    def _pause(self, longest: float) -> float:
        self._waits += 1
        return doubled(_FIRST_PAUSE, longest, self._waits - 1)

    def _decide(self, stale: Iterable[str]) -> Step:
        """Read what is stale again, and return what to do next."""
        self.facts = self._reader.read(self.facts, stale)
        if self.facts.error is not None:
            error = self.facts.error if self._last_until is None else self._to_cancelled()
            raise self.left(error) from self.facts.error.__cause__
        return decide(self.facts, self._wish)

    def _remember(self, **changes: Any) -> None:
        self.facts = self.facts._replace(memory=self.facts.memory._replace(**changes))

    # -- acts: each once, and what AWS said of it remembered -----------------------------------------------------------

    def carry_out(self, step: Step) -> float:
        """Send a step, and return for how long to wait then."""
        try:
            self.send(step)
        except LicenseConversionError as error:
            return self.sent(step, error)
        return self.sent(step)

    def _follow(self) -> float:
        is_down = self._wish.stop_and_restart or self.facts.memory.is_marked
        try:
            task = self._op.follow(
                self._aws,
                self.facts.memory.held_id or "",
                timeout_seconds=max(0.0, self.facts.deadline - self._op.host.runtime.now()),
                poll_interval_seconds=self._wish.poll_interval_seconds,
            )
        except LicenseConversionError as error:
            self._keep(error.task)
            is_fault = isinstance(error, (errors.WaitError, errors.TaskNotFoundError))
            is_over = self._op.cancellation.is_set or self._op.host.runtime.now() >= self.facts.deadline
            if is_over or not (is_down and is_fault):
                raise self.left(error) from error.__cause__
            log.info("%s", error)  # with an instance down, faults are carried to the deadline
        else:
            self._keep(task)
        self._stale = EVERYTHING if is_down or self.facts.held is None else _INSTANCE_ONLY
        return 0.0

    def _keep(self, task: ConversionTask | None) -> None:
        if task is not None:
            others = tuple(each for each in self.facts.tasks if each.task_id != task.task_id)
            hidden = tuple(each for each in self.facts.hidden_ids if each != task.task_id)
            self.facts = self.facts._replace(tasks=(*others, task), hidden_ids=hidden)
            if not task.is_unfinished:
                self._op.host.started_here.ended[task.task_id] = task

    def _adopt(self, step: Step) -> None:
        task, now = step.task, self._op.host.runtime.now()
        if task is not None:
            self._keep(task)
            held = {"held_id": task.task_id, "held_since": now, "is_adopted": step.is_adopted}
            self._remember(**held, create_lost_at=None, in_progress_at=None)
            self._stale = frozenset() if self._wish.wait_for_completion else frozenset({TASKS})

    def send(self, step: Step, *others: tuple[Job, Step]) -> None:
        """Make a step's call, and the same of other instances' jobs with it; its error is for each one's `sent`."""
        act, ec2, started_here = step.rule.then, self._aws.ec2, self._op.host.started_here
        arns = [self._arn, *(job._arn for job, _ in others)]
        if act in (Act.STOP, Act.FORCE):
            try:
                ec2.stop(*arns, force=act is Act.FORCE)
            except errors.RequestRefusedError as refusal:
                if others or refusal.code != "OperationNotPermitted" or not ec2.has_stop_protection(self._arn):
                    raise
                found = CHECKS["protected"]
                remedy = fill(found.remedy, {"instance": to_id(self._arn)})
                raise errors.RequestRefusedError(refusal.subject, found.reason, remedy, code=refusal.code) from None
        elif act is Act.START:
            ec2.start(*arns)
        elif act is Act.CREATE:
            if self.facts.memory.sent[act].tries == 0:
                self._remember(known_ids=frozenset(task.task_id for task in self.facts.tasks))
            task_id = self._aws.license_manager.create_task(step.request)
            started_here.tasks[self._arn] = (*started_here.tasks.get(self._arn, ()), task_id)
            started = ConversionTask.started(task_id, self._aws.region, step.request)
            self._adopt(replace(step, task=started, is_adopted=False))
        else:
            places: dict[tuple[str, str], list[str]] = {}
            jobs = ((self, step), *others)
            for tag, own in [(tag, job.facts.places) for job, each in jobs for tag in job._to_tags(each)]:
                places.setdefault(tag, []).extend(own)
            send = ec2.delete_tags if act is Act.UNMARK else ec2.set_tags
            for (key, value), ids in places.items():
                if others:
                    send("instances", {key: value}, ids)
                else:
                    self._on_places(send, {key: value})
                if act is Act.UNMARK:
                    started_here.removed_marks |= {(id, value) for id in (ids if others else self.facts.places)}

    def _to_tags(self, step: Step) -> list[tuple[str, str]]:
        """Return the tags that a step sets or removes, at all places of the facts; those of a mark are made anew."""
        act, facts, runtime = step.rule.then, self.facts, self._op.host.runtime
        if act is Act.MARK:
            until = runtime.wall() + timedelta(seconds=max(0.0, self.facts.deadline - runtime.now()))
            value = self._make_mark(self._wish.urn, facts.places[0], runtime.wall(), until)
            self._remember(own_marks=facts.memory.own_marks | {value})
            return [(RESTART_TAG, value)]
        if act is Act.NOTE:
            refusal = facts.memory.sent[Act.CREATE].error
            code = getattr(refusal, "code", "") or type(refusal).__name__
            # A call without an answer may have written it: the next one does not count the refusal once more.
            self._refused = self._refused or facts.refusals.with_one(facts.places[0], code, runtime.wall())
            return [(REFUSED_TAG, self._refused)]
        tags = [(RESTART_TAG, value) for value in sorted(facts.memory.own_marks)]
        if facts.held is not None and facts.held.status is TaskStatus.SUCCEEDED:
            tags += [(tag.key, tag.value) for tag in facts.tags if tag.key == REFUSED_TAG]
        return tags

    def sent(self, step: Step, error: LicenseConversionError | None = None) -> float:
        """Remember what AWS has said of a step; return for how long to wait, or raise the error that ends the job."""
        act, now, name = step.rule.then, self._op.host.runtime.now(), self.facts.places[0]
        before, is_tidying = self.facts.memory.sent[act], act in (Act.NOTE, Act.UNMARK)
        tries, failed = before.tries + 1, before.tries - before.accepted
        if error is None:
            sent = Sent(before.accepted + 1, tries, before.first_at or now, now, now + _START_SECONDS)
        else:
            log.info("%s: %s", step.rule.name, error)
            is_over = is_tidying and (failed >= _TIDY_TRIES or now >= self.facts.deadline)
            passes = isinstance(error, TransientError) or getattr(error, "code", "").startswith(_PASSING_CODES)
            again_at, is_given_up = now + doubled(*_CAPACITY_PAUSES, failed), is_over or not passes
            if act is Act.CREATE:
                again_at, is_given_up = self._on_create_failed(error, tries)
            sent = before._replace(tries=tries, again_at=again_at, error=error, is_given_up=is_given_up)
        memory, is_done = self.facts.memory, sent.accepted > 0 or sent.is_given_up
        self._remember(
            sent={**memory.sent, act: sent},
            refusal=error if act is Act.CREATE and sent.is_given_up else memory.refusal,
            is_released=memory.is_released or (act is Act.UNMARK and is_done),
            was_pending=memory.was_pending and act is not Act.START,
        )
        is_fatal = isinstance(error, (errors.CredentialsError, errors.SettingsError, errors.CancelledError))
        if error and ((is_fatal and not is_tidying) or (act is Act.MARK and sent.is_given_up)):
            raise self.left(error if self._last_until is None else self._to_cancelled()) from error.__cause__
        if error and act is Act.FORCE:
            self._op.log(f"It could not be stopped by force. {error}", "WARNING")
        elif error and act is Act.START and not sent.is_given_up:
            self._op.log_status(f"{name} can't be started yet: {error.reason}")
        elif error and act is Act.UNMARK and sent.is_given_up:
            self._op.log(
                f"{name} runs again, and its mark is still there: remove it with `aws ec2 delete-tags --resources "
                f"{' '.join(self.facts.places)} --tags Key={RESTART_TAG}`. {error}",
                "WARNING",
            )
        if act in (Act.STOP, Act.FORCE, Act.START):
            self._stale = _INSTANCE_ONLY
        elif act is Act.UNMARK and is_done:  # what it rested on was just read
            self._stale = frozenset()
            self._op.log_status(step.text)
        is_slow = act in (Act.MARK, Act.STOP, Act.START) or (error and act is not Act.CREATE and not sent.is_given_up)
        return _FIRST_PAUSE if is_slow else 0.0

    def _on_create_failed(self, error: LicenseConversionError, tries: int) -> tuple[float, bool]:
        """Return when a conversion may be asked for again, and whether it never is."""
        memory, runtime, reason = self.facts.memory, self._op.host.runtime, error.reason.lower()
        now = runtime.now()
        if isinstance(error, errors.ThrottledError):  # this call has started nothing
            self._remember(last_fault=error.reason)
            return now + doubled(_FIRST_PAUSE, _FAULT_PAUSE, tries - 1) * runtime.rng.uniform(0.5, 1.0), False
        if isinstance(error, TransientError):  # this call may have started a task
            self._remember(create_lost_at=now)
            is_down = self._wish.stop_and_restart or memory.is_marked
            return 0.0, tries > self._aws.session.settings.max_retries and not is_down
        if "in progress" in reason or "in_progress" in reason:
            ended = frozenset(task.task_id for task in self.facts.tasks if not task.is_unfinished)
            self._remember(in_progress_at=now, ended_ids=ended)
            return 0.0, False
        if "invalid state" in reason:  # License Manager may not know yet that the instance is stopped
            first = memory.invalid_state_at or now
            self._remember(invalid_state_at=first)
            return now + 5.0, now - first >= 60.0
        return 0.0, True

    def _on_places(self, send: Callable[[str, dict[str, str], Sequence[str]], None], tag: dict[str, str]) -> None:
        """Tag the instance and its network interface, or without the right to that the instance alone."""
        places = self.facts.places
        try:
            send(self._arn, tag, places)
        except errors.AccessDeniedError as denied:
            if len(places) < 2:
                raise
            send(self._arn, tag, places[:1])
            try:
                send(self._arn, tag, places[1:])
            except errors.AccessDeniedError:
                self._remember(is_instance_only=True)
                self._op.log(f"Only the instance is tagged, which a program that manages its tags may undo. {denied}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self, step: Step) -> Step:
        for severity, text in step.notes:
            self._op.log(text, severity)
        if step.errors:
            raise self.left(step.errors[0])
        return step

    def _to_cancelled(self) -> errors.CancelledError:
        cancellation, facts = self._op.cancellation, self.facts
        seen = facts.memory.last_seen
        state = f" while the instance was {seen.state}" if seen else ""
        limit = self._op.timeout_seconds or facts.now - facts.memory.began
        reason = cancellation.reason or f"its deadline had passed ({to_duration_text(limit)})"
        fault = facts.memory.last_fault
        because = "" if cancellation.reason or fault is None else f"; the last fault: {fault}"
        action = CREATE_ACTION if self._wish.converts else START_ACTION
        return errors.CancelledError(Subject(action, None, self._aws.region, self._arn), f"{reason}{state}{because}")

    def left(self, error: LicenseConversionError) -> LicenseConversionError:
        """Return an error that also says how the instance was left, as it was seen last; calls AWS for nothing."""
        seen, name = self.facts.memory.last_seen, self.facts.places[0]
        if self.facts.memory.is_released and seen and seen.state == "running":
            return error.adding(f"{name} runs again")
        if not self.is_marked or "start-instances" in error.remedy:
            return error
        state = f"was last seen {seen.state} and " if seen else ""
        return error.adding(
            f"{name} {state}has the tag {RESTART_TAG}, by which an `up` starts it again at the end; or start it with "
            f"`aws ec2 start-instances --instance-ids {name}` once no conversion is in progress"
        )

    def _to_last_start(self, step: Step) -> Step | float:
        """Start the instance at the deadline, where no conversion was begun: a slow shutdown is no outage."""
        memory, now = self.facts.memory, self._op.host.runtime.now()
        if self._last_until is None:
            is_asked = memory.held_id is not None or memory.sent[Act.CREATE].tries > 0
            if self._op.cancellation.reason is None and memory.is_marked and not (is_asked or memory.is_released):
                log.info("at the deadline, decided on %s", step.rule.name)
                self._last_until = now + _LAST_START_SECONDS
                self.give_up()
                return 0.0
        elif now < self._last_until and step.rule.then in (Act.START, Act.UNMARK, Act.WAIT):
            self._stale = EVERYTHING
            return _LAST_PAUSE if step.rule.then is Act.WAIT else step
        raise self.left(self._to_cancelled())

    def give_up(self) -> None:
        """Only bring to its end from now on what was begun."""
        self._wish, self._stale = replace(self._wish, converts=False), EVERYTHING


def still_stopped_text(resource_arn: str, error: LicenseConversionError) -> str:
    """Return what to do about an instance that is forgotten, and could not be started again."""
    id = to_id(resource_arn)
    return (
        f"{id} may still be stopped: {error.reason}. Once no conversion is in progress, start it with "
        f"`aws ec2 start-instances --instance-ids {id}`."
    )
