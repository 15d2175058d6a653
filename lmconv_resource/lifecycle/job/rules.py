"""What to do next about one conversion: pure, without any call, and the only place that decides it.

`decide` says in words what the facts are (`WORDS`), and returns the first of the `RULES` all of whose words hold. The
order is the meaning: what forbids comes before what does, and the end of a job before its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from lmconv_resource.aws.ec2 import START_ACTION, STOP_ACTION
from lmconv_resource.aws.remedies import to_failed_error
from lmconv_resource.errors import (
    CREATE_ACTION,
    WAIT_ACTION,
    EndpointUnreachableError,
    LicenseConversionError,
    OtherConversionError,
    Subject,
    TaskNotFoundError,
    TransientError,
)
from lmconv_resource.history import MOST_FAILURES, Done, completed_task, newest_task_to, repeated_failures
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.job.checks import Wish
from lmconv_resource.lifecycle.job.facts import Facts
from lmconv_resource.marks import RESTART_TAG
from lmconv_resource.models import ConversionRequest, ConversionTask, TaskStatus, select_newest
from lmconv_resource.text import fill, parse_duration, setting, to_duration_text, to_failure_reason, written
from lmconv_resource.usage_operations import describe_license, unlisted_reason


class Act(Enum):
    """What a step does."""

    WAIT = "wait, then read again"
    FOLLOW = "follow the task to its end"
    CHECK = "make the checks"
    ADOPT = "adopt the task in progress"
    MARK = "mark the instance"
    STOP = "stop the instance"
    FORCE = "stop it by force"
    CREATE = "start the conversion"
    NOTE = "note the refusal"
    START = "start the instance again"
    UNMARK = "remove the mark"
    DONE = "done"
    REFUSE = "an error; nothing is left to restore"
    LEAVE = "an error; the instance is left as it is, marked"


IRREVERSIBLE = frozenset({Act.MARK, Act.STOP, Act.FORCE, Act.CREATE, Act.NOTE, Act.START, Act.UNMARK})
"""Acts right before which everything they rest on is read again."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        name: what it is called, in the log and by tests.
        when: the words that have to hold; with `-` in front, not to hold.
        then: what is done.
        text: shown on the row, or the reason of an error; filled in from the situation.
        remedy: what to do about an error.
        error: the error that is raised as it is, by its name in the situation.
        severity: of a line that stays; None where the text is only shown while it lasts.
    """

    name: str
    when: str
    then: Act
    text: str = ""
    remedy: str = ""
    error: str = ""
    severity: Severity | None = None


_COMMAND = "when it has ended, start it with `aws ec2 start-instances --instance-ids {id}`"
_NEXT_UP = "run `pulumi up` again, or"

RULES = (
    # -- what is under way already -------------------------------------------------------------------------------------
    Rule("follow-held", "held-unfinished waits", Act.FOLLOW, "following {held}"),
    Rule(
        "leave-unfinished",
        "held-unfinished mine",
        Act.LEAVE,
        "{held} is in progress, and {id} stays {state} and marked",
        f"Run `pulumi up` again, or {_COMMAND}",
    ),
    Rule("hold-unfinished", "held-unfinished", Act.DONE, "{held} is in progress"),
    Rule("follow-hidden", "held-hidden waits held-lately", Act.FOLLOW, "AWS does not show {held} yet"),
    Rule("await-hidden", "held-hidden held-just-now", Act.WAIT, "AWS does not show {held} yet"),
    Rule("leave-hidden", "held-hidden", Act.LEAVE, error="hidden"),
    Rule("await-aws", "unreadable patient", Act.WAIT, "{fault}"),
    Rule("leave-unreadable", "unreadable", Act.LEAVE, error="fault"),
    # -- another resource's mark ---------------------------------------------------------------------------------------
    Rule(
        "foreign-mark",
        "foreign foreign-in-force converts -held -done",
        Act.REFUSE,
        "{id} is being converted for {owner}, {age}",
        "Wait for its end; if that is over, remove the tag: {untag}",
    ),
    # -- in progress ---------------------------------------------------------------------------------------------------
    Rule("adopt-running", "matching-unfinished converts -held", Act.ADOPT, "{matching} is already doing it"),
    Rule(
        "leave-other",
        "other-unfinished mine",
        Act.LEAVE,
        "{other} converts {id} to {other_destination} and is in progress",
        f"{{id}} stays {{state}} and marked; {_COMMAND}",
    ),
    Rule("refuse-other", "other-unfinished converts -held", Act.REFUSE, error="other"),
    Rule("await-listed", "in-progress-said lately", Act.WAIT, "AWS says one is in progress and does not list it yet"),
    Rule("await-created", "create-lost", Act.WAIT, "checking whether an unanswered call has started one"),
    # -- who and where -------------------------------------------------------------------------------------------------
    Rule("other-account", "wrong-account converts -held", Act.REFUSE, error="account"),
    Rule("await-shown", "hidden looked-for", Act.WAIT, "EC2 does not show {id} yet"),
    Rule(
        "never-shown",
        "hidden needed -held converts -seen",
        Act.REFUSE,
        "EC2 shows no such instance",
        "Check the ARN, the region and the account of the credentials",
    ),
    Rule(
        "not-shown-any-more",
        "hidden mine",
        Act.LEAVE,
        "EC2 no longer shows {id}",
        f"If it is still there, {_NEXT_UP} start it with `aws ec2 start-instances --instance-ids {{id}}`",
    ),
    Rule("may-not-look", "denied needed -held converts", Act.REFUSE, error="denied"),
    Rule(
        "terminated",
        "gone converts -held -done",
        Act.REFUSE,
        "the instance is {state}",
        "Check the ARN and the region",
    ),
    # -- the end of a job, which has stopped its instance and has no conversion left to do -----------------------------
    Rule("unmark-again", "mine settled ran-again -gone", Act.UNMARK, "removing the mark of {id}"),
    Rule("await-certainty", "mine settled doubt doubt-young -gone", Act.WAIT, "not started yet: {doubt}"),
    Rule(
        "leave-in-doubt",
        "mine settled doubt -gone",
        Act.LEAVE,
        "{id} is left {state} and marked: {doubt}",
        f"{_NEXT_UP} {_COMMAND}",
    ),
    Rule("note-refusal", "mine settled refused -noted -gone", Act.NOTE),
    Rule("await-stopped-end", "mine settled stopping", Act.WAIT, "{id} is stopping"),
    Rule("await-running-end", "mine settled pending", Act.WAIT, "{id} is starting"),
    Rule("await-start", "mine settled stopped start-waits", Act.WAIT, "{start_fault}"),
    Rule("start-bounced", "mine settled stopped bounced -started-twice", Act.START, "starting {id} once more"),
    Rule(
        "leave-unstarted",
        "mine settled stopped start-in-vain",
        Act.LEAVE,
        "{id} does not start: {state_reason}",
        "Fix the cause; it stays marked, and the next `pulumi up` starts it, or start it with "
        "`aws ec2 start-instances --instance-ids {id}`",
    ),
    Rule("leave-start-refused", "mine settled stopped start-refused", Act.LEAVE, error="start"),
    Rule("start", "mine settled stopped", Act.START, "starting {id} again"),
    Rule("unmark", "mine settled running", Act.UNMARK, "{ended}runs again · {id}"),
    Rule("await-known-state", "mine settled shown -gone", Act.WAIT, "{id} is {state}"),
    Rule("leave-unseen", "mine settled denied", Act.LEAVE, error="denied"),
    # -- the answer ----------------------------------------------------------------------------------------------------
    Rule("await-billing", "billing-late", Act.WAIT, "EC2 still shows the old license"),
    Rule("refused", "refused", Act.REFUSE, error="refusal"),
    Rule("failed", "held-failed -ignores-failure", Act.REFUSE, error="failed"),
    Rule("blocked", "blocked", Act.REFUSE, error="block"),
    Rule("held-ended", "held", Act.DONE, "{held} has ended"),
    Rule("nothing-to-end", "-converts", Act.DONE),
    Rule("done-already", "done", Act.DONE, "done already: {done}"),
    # -- to be converted -----------------------------------------------------------------------------------------------
    Rule("check", "unchecked", Act.CHECK, "checking {id}"),
    Rule(
        "not-stopped",
        "shown -stops -stopped",
        Act.REFUSE,
        "the instance is {state} and must be stopped",
        "Stop it with `aws ec2 stop-instances --instance-ids {id}`, or set {stop_and_restart=True}",
    ),
    Rule("await-mark", "mark-sent -mine stops", Act.WAIT, "marking {id}"),
    Rule("take-over", "stops foreign -mine", Act.MARK, "takes over the mark of {owner}, {age}", severity="WARNING"),
    Rule("renew-mark", "stops mine mark-old", Act.MARK, "marking {id}"),
    Rule("mark-running", "stops running -mine", Act.MARK, "marking {id}"),
    Rule("mark-pending", "stops pending -mine", Act.MARK, "marking {id}"),
    Rule("await-running", "stops pending", Act.WAIT, "{id} is starting"),
    Rule(
        "force",
        "stops stopping mine force-due",
        Act.FORCE,
        "{id} has not stopped in time and is stopped by force",
        severity="WARNING",
    ),
    Rule("await-stopped", "stops stopping", Act.WAIT, "{id} is stopping"),
    Rule(
        "await-lost", "stops running create-unanswered", Act.WAIT, "checking whether an unanswered call has started one"
    ),
    Rule("await-stopping", "stops running stop-waits", Act.WAIT, "stopping {id}"),
    Rule(
        "stop-again",
        "stops running stopped-once",
        Act.STOP,
        "{id} was started from outside and is stopped again",
        severity="WARNING",
    ),
    Rule("stop", "stops running", Act.STOP, "stopping {id}"),
    Rule("await-create", "create-waits", Act.WAIT, "{fault}"),
    Rule("create", "stopped", Act.CREATE, "starting the conversion"),
    Rule("create-unseen", "-shown", Act.CREATE, "starting the conversion"),
    Rule("await-state", "", Act.WAIT, "{id} is {state}"),
)
"""Every decision, in order. The tables of the documents are written from this."""

WORDS: Mapping[str, str] = {
    "held-unfinished": "the task that the job holds is in progress",
    "held-hidden": "AWS does not show the task that the job holds",
    "held-lately": "for less than 15 minutes",
    "held-just-now": "for less than 31 seconds",
    "held": "the job holds a task",
    "held-failed": "the task that the job holds FAILED",
    "waits": "its end is waited for",
    "converts": "a conversion is wanted",
    "stops": "`{stop_and_restart}` is set",
    "ignores-failure": "`{ignore_failure}` is set",
    "unreadable": "something that has to be known can't be read from AWS",
    "patient": "the fault may pass, and AWS has answered a call of this process, or it is younger than 10 minutes",
    "mine": "the instance has this resource's mark",
    "foreign": "the instance has the mark of another resource",
    "foreign-in-force": "that mark is young, or a task is in progress, or nothing is to be stopped",
    "mark-old": "the mark's time is over, or ends before the job's",
    "ran-again": "it ran again, and the call to remove the mark was not answered",
    "mark-sent": "the mark was written and is not shown yet",
    "matching-unfinished": "a task to the destination is in progress",
    "other-unfinished": "another task of the instance is in progress",
    "in-progress-said": "AWS has refused the conversion because one is in progress",
    "lately": "that was less than 90 seconds ago",
    "create-lost": "the call to start a conversion was not answered, less than 7 seconds ago",
    "create-unanswered": "the call to start a conversion was not answered, less than 90 seconds ago",
    "create-waits": "the next try to start the conversion is not due",
    "wrong-account": "the credentials belong to another account",
    "hidden": "EC2 does not show the instance",
    "looked-for": "for less than 30 seconds, or 60 where it was shown before",
    "seen": "EC2 has shown it before",
    "denied": "the caller may not see the instance",
    "needed": "the job can't go on without it",
    "shown": "EC2 shows the instance",
    "gone": "the instance is terminated, or shutting down",
    "running": "it runs",
    "pending": "it is starting",
    "stopping": "it is stopping",
    "stopped": "it is stopped",
    "settled": "the task has ended, or the conversion is done, refused, blocked or not wanted",
    "doubt": "whether a task is in progress is not certain",
    "doubt-young": "for less than 10 minutes",
    "refused": "AWS has refused the conversion",
    "noted": "which is noted on the instance, or can't be",
    "blocked": "something stands in the way of the conversion",
    "done": "it is licensed as declared, or a task has done it and no later one has converted it back",
    "start-waits": "a start was accepted a moment ago, or the next try is not due",
    "bounced": "it was starting and has stopped again",
    "started-twice": "it was started twice",
    "start-in-vain": "starting it has failed twice",
    "start-refused": "EC2 has refused the start",
    "billing-late": "the task SUCCEEDED a moment ago, and EC2 shows the old license",
    "unchecked": "the checks that are to be made have not been",
    "stop-waits": "the stop was sent less than 20 seconds ago",
    "stopped-once": "the stop was sent before",
    "force-due": "`{force_stop_after}` is over",
}
"""What each word means, for `fill`."""

_HIDDEN_SECONDS = 900.0
_NEW_TASK_SECONDS = 31.0
_SHOWN_SECONDS = 30.0
_SHOWN_AGAIN_SECONDS = 60.0
_DOUBT_SECONDS = 600.0
_LISTED_SECONDS = 90.0
_SETTLING_SECONDS = 7.0
_LIST_SECONDS = 60.0
"""For how long a list that can't be read keeps a conversion from counting as ended, whose end another call shows."""
_STOP_SECONDS = 20.0
_START_IN_VAIN_SECONDS = 75.0
_MARK_SECONDS = 5.0
_BILLING_SECONDS = 30.0
_BILLING_LATE = timedelta(minutes=2)
_UNANSWERED_SECONDS = 600.0
"""How long a fault is carried where AWS has answered no call of this process: an endpoint or the network is wrong."""
_CLOSED_SECONDS = 30.0
"""How long a wish that can do without EC2 waits for an EC2 that cannot be reached."""


@dataclass(frozen=True)
class Step:
    """What is to be done next.

    Args:
        rule: the rule that says so.
        text: what is shown on the row, or left in the log where the rule has a severity.
        request: the conversion with its source known.
        error: the error that it ends in.
        more: further errors of the same kind, a line each.
        task: the task that is adopted, or that is followed or has led to the end.
        is_adopted: whether that was there already.
        notes: lines that stay in the log, before it is done.
    """

    rule: Rule
    text: str
    request: ConversionRequest
    error: LicenseConversionError | None = None
    more: tuple[LicenseConversionError, ...] = ()
    task: ConversionTask | None = None
    is_adopted: bool = False
    notes: tuple[tuple[Severity, str], ...] = ()


def decide(facts: Facts, wish: Wish, rules: Iterable[Rule] = RULES) -> Step:
    """Return what to do next: the first rule that holds says it."""
    case = _Case(facts, wish)
    rule = next(
        rule
        for rule in rules
        if all((word[1:] not in case.words) if word[0] == "-" else (word in case.words) for word in rule.when.split())
    )
    errors = case.errors.get(rule.error, ())
    text = fill(rule.text, case.values) if not errors else errors[0].reason
    if rule.then in (Act.REFUSE, Act.LEAVE) and not errors:
        remedy = fill(rule.remedy, case.values)
        action = {Act.REFUSE: CREATE_ACTION, Act.LEAVE: START_ACTION}[rule.then]
        errors = (LicenseConversionError(case.subject(action), text, remedy),)
    task = facts.held or (case.done.task if case.done else None)
    if rule.then is Act.ADOPT:
        task = case.matching
    # A call without an answer may have started it.
    is_new = task is not None and facts.memory.create_tries > 0 and task.task_id not in facts.memory.known_ids
    is_adopted = facts.memory.is_adopted or (facts.memory.held_id is None and not is_new)
    notes = tuple(case.notes(rule.then, task, is_adopted=is_adopted))
    error, more = next(iter(errors), None), tuple(errors[1:])
    return Step(rule, text, case.request, error, more, task, is_adopted, notes)


class _Case:
    """The facts in words, and what the texts name."""

    def __init__(self, facts: Facts, wish: Wish) -> None:
        self.facts, self.wish, self.memory = facts, wish, facts.memory
        self.words: set[str] = set()
        self.errors: dict[str, tuple[LicenseConversionError, ...]] = {}
        self.arn = wish.request.resource_arn
        seen = facts.instance or self.memory.last_seen
        self.id = seen.instance_id if seen else self.arn.rpartition("/")[2]
        self.values: dict[str, Any] = {"id": self.id, "state": seen.state if seen else "unknown"}
        self.done: Done | None = None
        self.request = wish.request
        self._say(
            {
                "converts": wish.converts,
                "waits": wish.wait_for_completion,
                "stops": wish.stop_and_restart,
                "ignores-failure": wish.ignore_failure,
            }
        )
        self._instance_words()
        self._mark_words()
        self._task_words()
        self._license_words()
        self._act_words()

    def _say(self, words: Mapping[str, object]) -> None:
        self.words |= {word for word, holds in words.items() if holds}

    def subject(self, action: str = CREATE_ACTION, task_id: str | None = None) -> Subject:
        arn = None if action == WAIT_ACTION else self.arn
        return Subject(action, task_id, self.facts.region, arn)

    def _since(self, moment: float | None, *, as_seen: bool = False) -> float:
        """Return how long ago a moment is, or was when EC2 was asked for the instance last."""
        return float("inf") if moment is None else (self.facts.instance_at if as_seen else self.facts.now) - moment

    def _instance_words(self) -> None:
        facts, memory, instance = self.facts, self.memory, self.facts.instance
        is_denied = facts.instance_error is not None and not isinstance(facts.instance_error, TransientError)
        limit = _SHOWN_AGAIN_SECONDS if memory.last_seen else _SHOWN_SECONDS
        needed = self.wish.stop_and_restart or (self.wish.request.source.is_empty and not memory.held_id)
        self._say(
            {
                "hidden": instance is None and facts.instance_error is None and needed,
                "seen": memory.last_seen,
                "needed": needed and self.wish.converts,
                "denied": is_denied,
                "shown": instance,
                "gone": instance and instance.is_gone,
                "looked-for": self._since(memory.hidden_since, as_seen=True) < limit,
            }
        )
        if instance and instance.state in ("running", "pending", "stopping", "stopped"):
            self.words.add(instance.state)
        if is_denied and facts.instance_error is not None:
            error = facts.instance_error
            can_do_without = self.wish.request.source.is_empty and not self.wish.stop_and_restart
            hint = f"; or set {written('source_license_context')}" if can_do_without else ""
            self.errors["denied"] = (type(error)(error.subject, error.reason, f"{error.remedy}{hint}"),)
        if facts.account_error is not None:
            self.words.add("wrong-account")
            self.errors["account"] = (facts.account_error,)

    def _mark_words(self) -> None:
        facts, memory = self.facts, self.memory
        marks = [mark for mark in facts.marks if mark.is_for(self.id)]
        # The last one who wrote it owns it; of two at the same moment, the other one.
        self.mark = max(
            marks,
            key=lambda mark: (mark.since is not None, mark.since or facts.wall, not mark.is_owned_by(self.wish.urn)),
            default=None,
        )
        owned = bool(self.mark and self.mark.is_owned_by(self.wish.urn))
        mine = (owned or (self.mark is None and memory.is_marked)) and not memory.is_released
        foreign = self.mark is not None and not owned
        left = timedelta(seconds=facts.deadline - facts.now)
        is_short = (
            owned
            and self.mark
            and (
                self.mark.until is None
                or self.mark.until < facts.wall + min(left, timedelta(hours=12)) - timedelta(minutes=10)
            )
        )
        self._say(
            {
                "mine": mine,
                "foreign": foreign,
                "mark-old": is_short and self._since(memory.marked_at) > _MARK_SECONDS and memory.marks_sent < 3,
                "mark-sent": self._since(memory.marked_at) < _MARK_SECONDS,
                "ran-again": memory.unmark_tries > 0,
            }
        )
        if self.mark:
            places = " ".join(self.mark.places)
            self.values |= {
                "owner": self.mark.urn,
                "age": self.mark.age_text,
                "untag": f"`aws ec2 delete-tags --resources {places} --tags Key={RESTART_TAG}`",
            }

    def _task_words(self) -> None:
        facts, memory, wish = self.facts, self.memory, self.wish
        held = facts.held
        is_hidden = memory.held_id is not None and memory.held_id in facts.hidden_ids
        unfinished = [task for task in facts.tasks if task.is_unfinished]
        matching = [task for task in unfinished if wish.request.matches(task)]
        may_adopt = wish.converts and not memory.held_id
        others = [t for t in unfinished if t.task_id != memory.held_id and not (may_adopt and t in matching)]
        self.matching = select_newest(matching)
        self.values |= {"held": memory.held_id or "", "matching": self.matching.task_id if self.matching else ""}
        held_for = self._since(memory.held_since) if memory.held_id else float("inf")
        list_fault = facts.list_error is not None and memory.held_id is None
        # Without a route to EC2, an instance that the user has stopped can still be converted, or followed.
        can_do_without = not (
            wish.stop_and_restart or memory.last_seen or self.words & {"needed", "mine"} or memory.is_marked
        )
        is_closed = isinstance(facts.instance_error, EndpointUnreachableError) and (
            memory.held_id is not None
            or (may_adopt and self.matching is not None)
            or self._since(memory.failing_since) >= _CLOSED_SECONDS
        )
        instance_fault = isinstance(facts.instance_error, TransientError) and not (can_do_without and is_closed)
        fault = (
            facts.fault
            or (facts.list_error if list_fault else None)
            or (facts.instance_error if instance_fault else None)
        )
        hidden_others = [task_id for task_id in facts.hidden_ids if task_id != memory.held_id]
        self._say(
            {
                "held": memory.held_id,
                "unreadable": fault,
                "patient": isinstance(fault, TransientError)
                and (memory.is_answered or self._since(memory.failing_since) < _UNANSWERED_SECONDS),
                "held-unfinished": held and held.is_unfinished,
                "held-failed": held and held.status is TaskStatus.FAILED,
                "held-hidden": is_hidden,
                "held-lately": held_for < _HIDDEN_SECONDS,
                "held-just-now": held_for < _NEW_TASK_SECONDS,
                "matching-unfinished": self.matching,
                "other-unfinished": others,
                "in-progress-said": memory.in_progress_at is not None,
                "lately": self._since(memory.in_progress_at) < _LISTED_SECONDS,
                "create-lost": self._since(memory.create_lost_at) < _SETTLING_SECONDS,
                "create-unanswered": self._since(memory.create_lost_at) < _LISTED_SECONDS,
                "create-waits": facts.now < memory.create_again_at,
                "foreign-in-force": self.mark is not None
                and (self.mark.is_young(facts.wall) or unfinished or hidden_others or not wish.stop_and_restart),
            }
        )
        if fault is not None:
            self.errors["fault"] = (fault,)
            since = to_duration_text(self._since(memory.failing_since))
            self.values["fault"] = f"failing {since}: {fault.reason}"
        self.values.setdefault("fault", memory.refusal.reason if memory.refusal else "AWS asks to slow down")
        self.errors["hidden"] = (
            TaskNotFoundError(Subject(task_id=memory.held_id, region=facts.region), "AWS does not know this task"),
        )
        other = select_newest(others)
        if other is not None:
            self.values |= {
                "other": other.task_id,
                "other_destination": describe_license(other.destination_license_context),
            }
            self.errors["other"] = (to_other_error(wish.request, other.task_id, facts.region),)
        self.doubt: str | None = None
        if is_hidden or hidden_others:
            task_id = memory.held_id if is_hidden else hidden_others[0]
            self.doubt = f"AWS does not show {task_id}, which may be in progress"
        elif memory.in_progress_at is not None:
            self.doubt = "AWS has said that a conversion is in progress, and lists none"
        elif facts.list_error is not None and self._since(memory.list_failing_since) < _LIST_SECONDS:
            self.doubt = f"whether a conversion is in progress is not known: {facts.list_error.reason}"
        self.values["doubt"] = self.doubt or ""
        self._say(
            {
                "doubt": self.doubt,
                "doubt-young": self._since(max(memory.ended_at or memory.began, memory.in_progress_at or 0.0))
                < _DOUBT_SECONDS,
            }
        )

    def _license_words(self) -> None:
        facts, memory, wish = self.facts, self.memory, self.wish
        held, present = facts.held, facts.present
        if wish.converts and not memory.held_id:
            self.done = done_already(wish, facts.tasks, present)
        if self.done is not None:
            self.values["done"] = self.done.to_text(present)
        succeeded = held is not None and held.status is TaskStatus.SUCCEEDED
        is_new = bool(held and held.end_time and facts.wall - held.end_time < _BILLING_LATE) or not (
            held and held.end_time
        )
        is_other = not present.is_empty and not wish.request.destination.is_satisfied_by(present)
        block = () if self.done or memory.held_id or not wish.converts else self._what_blocks()
        if held is not None and held.status is TaskStatus.FAILED:
            self.errors["failed"] = (to_failed_error(held),)
        is_said = "in-progress-said" in self.words and "lately" not in self.words
        refusal = memory.refusal or (memory.in_progress_refusal if is_said else None)
        if refusal is not None:
            self.errors["refusal"] = (refusal,)
        if block:
            self.errors["block"] = block
        ended = memory.held_id is not None and held is not None and not held.is_unfinished
        self.values["ended"] = f"{held.status_text}, " if ended and held else ""
        if (
            "mine" in self.words
            and self.done
            and self.done.task is None
            and not self.doubt
            and self._since(memory.began) < 2 * _SHOWN_AGAIN_SECONDS
        ):
            self.doubt = "AWS does not list the task yet that led to the instance's license"
            self.values["doubt"] = self.doubt
            self.words.add("doubt")
        self._say(
            {
                "done": self.done,
                "blocked": block,
                "refused": refusal,
                "noted": memory.is_refusal_noted,
                "settled": ended or refusal or block or self.done or not wish.converts,
                "billing-late": succeeded
                and is_other
                and is_new
                and self._since(memory.ended_at, as_seen=True) < _BILLING_SECONDS,
            }
        )
        self.values["present"] = describe_license(present) if not present.is_empty else "what EC2 does not say"
        self.values["wanted"] = describe_license(wish.request.destination)

    def _what_blocks(self) -> tuple[LicenseConversionError, ...]:
        """Return what stands in the way of the conversion, and set the request with its source."""
        facts, memory, wish, request = self.facts, self.memory, self.wish, self.wish.request
        if "gone" in self.words or facts.instance_error is not None:
            return ()
        present = facts.present
        operation, source = present.usage_operation, written("source_license_context")
        if memory.stop_refusal is not None:
            return (memory.stop_refusal,)
        is_up_since = self._since(memory.stopped_at, as_seen=True) >= _STOP_SECONDS and "running" in self.words
        if memory.stops >= 2 and is_up_since:
            return self._block(
                "it was started from outside twice",
                "Find out who or what starts it, then run `pulumi up` again",
                STOP_ACTION,
            )
        if request.source.is_empty or (wish.correct_drift and not present.is_empty):
            if present.is_empty:
                return (
                    ()
                    if facts.instance is None
                    else self._block(
                        "EC2 does not show what it is billed as",
                        f"Check the ARN and the region, or set {source}",
                    )
                )
            self.request = ConversionRequest(request.resource_arn, present, request.destination)
        elif request.is_noop:
            shown = (
                f"EC2 bills it as {describe_license(present)}"
                if not present.is_empty
                else "EC2 does not say what it is"
            )
            return self._block(
                f"{source} is the same as the destination, and {shown}",
                f"Leave {source} out, so that it is read from the instance",
            )
        elif (wish.stop_and_restart or wish.checks) and operation and not request.source.is_satisfied_by(present):
            return self._block(
                _source_problem(request, present),
                f"Set {source} to what it is now, or leave it out",
            )
        unlisted = None if wish.allow_unlisted_pair else unlisted_reason(self.request.source, request.destination)
        if unlisted:
            return self._block(
                unlisted.rstrip("."),
                fill("Convert to one that is listed, or set {allow_unlisted_pair=True} to have AWS decide"),
            )
        failures = repeated_failures(request.destination, facts.tasks, facts.wall)
        refusals = facts.refusals
        is_guarded = not wish.retry_failed and not facts.is_forced_by_command
        by_force = "" if facts.is_forced_by_command is None else f" or run `pulumi up --replace '{wish.urn}'`"
        remedy = wish.retry_remedy or f"Fix the cause, then set {setting('retry_failed', True)}{by_force} to start one"
        if is_guarded and failures:
            reasons = ", ".join(
                f"{task.task_id}: {to_failure_reason(task.status_message).rstrip('.')}" for task in failures
            )
            return self._block(
                f"the last {len(failures)} conversions FAILED within 24 hours, so that none is started unattended "
                f"({reasons})",
                remedy,
            )
        if is_guarded and len(refusals.times) >= MOST_FAILURES:
            return self._block(
                f"AWS has refused the conversion {len(refusals.times)} times within 24 hours after a stop "
                f"({refusals.code}), so that the instance is not stopped unattended",
                remedy,
            )
        return tuple(
            LicenseConversionError(self.subject(each.action), each.reason, each.remedy)
            for each in facts.problems or ()
            if not each.is_warning
        )

    def _block(self, reason: str, remedy: str, action: str = CREATE_ACTION) -> tuple[LicenseConversionError, ...]:
        return (LicenseConversionError(self.subject(action), reason, remedy),)

    def _act_words(self) -> None:
        facts, memory, wish = self.facts, self.memory, self.wish
        bounced = memory.starts > 0 and memory.was_pending and "stopped" in self.words
        since_start = self._since(memory.first_start_at, as_seen=True)
        in_vain = memory.starts >= 2 and (bounced or since_start > _START_IN_VAIN_SECONDS)
        will_stop = wish.stop_and_restart and self.words & {"running", "pending"}
        force_after = parse_duration(wish.force_stop_after) if wish.force_stop_after else None
        reason = facts.instance.state_reason if facts.instance else None
        self._say(
            {
                "bounced": bounced,
                "unchecked": facts.instance
                and "mine" not in self.words
                and ((will_stop and not facts.is_stop_checked) or (wish.checks and facts.problems is None)),
                "started-twice": memory.starts >= 2,
                "start-waits": facts.now < memory.start_again_at and not bounced,
                "start-in-vain": in_vain,
                "start-refused": memory.start_error is not None and not isinstance(memory.start_error, TransientError),
                "stop-waits": memory.stops and self._since(memory.stopped_at, as_seen=True) < _STOP_SECONDS,
                "stopped-once": memory.stops,
                "force-due": force_after
                and memory.stops
                and not memory.is_forced
                and facts.now >= memory.stopped_at + force_after,
            }
        )
        if memory.start_error is not None:
            self.errors["start"] = (memory.start_error,)
        self.values["start_fault"] = memory.start_error.reason if memory.start_error else f"starting {self.id} again"
        self.values["state_reason"] = reason or "EC2 gives no reason"

    def notes(self, act: Act, task: ConversionTask | None, *, is_adopted: bool) -> Iterator[tuple[Severity, str]]:
        """Yield what is said before anything is done, of a task that is adopted, and at the end."""
        facts, memory, wish, done, present = self.facts, self.memory, self.wish, self.done, self.facts.present
        if act in (Act.MARK, Act.CREATE) and not memory.is_told:
            newest = select_newest(facts.tasks)
            if newest is not None and newest.status is TaskStatus.FAILED:
                why = to_failure_reason(newest.status_message).rstrip(".")
                yield "INFO", f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started."
            yield from (
                ("WARNING", f"{each.reason}. {each.remedy}.") for each in facts.problems or () if each.is_warning
            )
        if act is Act.ADOPT and task and is_adopted:
            yield "INFO", f"{task.task_id} is already doing it and is adopted; no conversion is started."
        if act is not Act.DONE:
            return
        for mark in facts.marks:
            if not mark.is_for(self.id):
                yield (
                    "WARNING",
                    f"{self.id} has a mark that was written for another instance and copied: it is ignored. Remove the "
                    f"tag {RESTART_TAG}.",
                )
        if done is not None:
            done_text = done.to_text(present)
            said = f"{done_text} and is adopted" if done.task else f"{self.arn}: {done_text} already"
            yield "INFO", f"{said}; no conversion is started."
        if done is not None and done.continued_by is not None and wish.request.source.is_empty:
            yield (
                "WARNING",
                f"A later conversion of {self.id} continued from the declared destination. If no resource of this "
                f"program did that, set {setting('correct_drift', True)} to have it converted back.",
            )
        is_success = task is not None and task.status is TaskStatus.SUCCEEDED
        is_other = not present.is_empty and not wish.request.destination.is_satisfied_by(present)
        if is_success and is_other and not (done and done.continued_by):
            yield (
                "WARNING",
                f"EC2 still bills {self.arn} as {describe_license(present)}, not as "
                f"{describe_license(wish.request.destination)}; set {setting('correct_drift', True)} to have it "
                "converted again.",
            )
        is_unmarked = not facts.marks or memory.is_released
        if wish.stop_and_restart and task and is_adopted and self.words & {"stopped", "stopping"} and is_unmarked:
            yield (
                "WARNING",
                f"{self.id} is {self.values['state']} and has no mark that it is to be started again. If it ran before "
                f"its conversion, start it with `aws ec2 start-instances --instance-ids {self.id}`.",
            )


def done_already(wish: Wish, tasks: Iterable[ConversionTask], present: Any) -> Done | None:
    """Return what has already done it, by EC2's word or by the history of the tasks; None if nothing has."""
    request = wish.request
    if request.is_done(present):
        return Done(newest_task_to(request.destination, tasks))
    if wish.correct_drift and not present.is_empty:
        return None
    return completed_task(request, tasks, None if present.is_empty else present)


def _source_problem(request: ConversionRequest, present: Any) -> str:
    declared, operation = request.source.usage_operation, present.usage_operation
    if declared and declared != operation:
        return f"the instance is billed as {describe_license(present)}, not as {describe_license(request.source)}"
    shown = ", ".join(code.product_code_id or "" for code in present.product_codes) or "no product codes"
    return f"the instance has {shown}, not all that {written('source_license_context')} names"


def to_other_error(request: ConversionRequest, task_id: str, region: str | None) -> OtherConversionError:
    """Return the error about a conversion in progress that is not the one asked for."""
    return OtherConversionError(
        Subject(CREATE_ACTION, None, region, request.resource_arn),
        f"license conversion task {task_id} is already converting it with other license contexts",
    )
