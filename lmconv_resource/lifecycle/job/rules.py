"""What to do next about one conversion: pure, without any call, and the only place that decides it.

`decide` says in words what the facts are (`WORDS`), and returns the first of the `RULES` all of whose words hold. The
order is the meaning: what forbids comes before what does, and the end of a job before its beginning.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from lmconv_resource import errors
from lmconv_resource.aws.ec2 import START_ACTION, STOP_ACTION
from lmconv_resource.aws.remedies import to_failed_error
from lmconv_resource.errors import CREATE_ACTION, LicenseConversionError, Subject, TransientError
from lmconv_resource.history import MOST_FAILURES, find_done, repeated_failures
from lmconv_resource.lifecycle.in_process import Severity
from lmconv_resource.lifecycle.job.checks import Wish
from lmconv_resource.lifecycle.job.facts import Act, Facts
from lmconv_resource.marks import RESTART_TAG
from lmconv_resource.models import ConversionRequest, ConversionTask, LicenseContext, TaskStatus, select_newest
from lmconv_resource.text import fill, parse_duration, setting, to_duration_text, to_failure_reason, written
from lmconv_resource.usage_operations import describe_license, unlisted_reason

IRREVERSIBLE = frozenset({Act.MARK, Act.STOP, Act.FORCE, Act.CREATE, Act.NOTE, Act.START, Act.UNMARK})
"""Acts right before which everything they rest on is read again."""


@dataclass(frozen=True)
class Rule:
    """One rule. Text and remedy are filled in from the situation."""

    name: str
    when: str
    """The words that have to hold; with `-` in front, not to hold."""
    then: Act
    text: str = ""
    """Shown on the row, or the reason of an error."""
    remedy: str = ""
    error: str = ""
    """The word whose error is raised as it is."""
    severity: Severity | None = None
    """Of a line that stays; None where the text is only shown while it lasts."""

    @cached_property
    def words(self) -> frozenset[str]:
        """Those of `when`, as a case has them."""
        return frozenset(self.when.split())


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
    Rule("leave-hidden", "held-hidden", Act.LEAVE, error="held-hidden"),
    Rule("await-aws", "unreadable patient", Act.WAIT, "{fault}"),
    Rule("leave-unreadable", "unreadable", Act.LEAVE, error="unreadable"),
    # -- another resource's mark ---------------------------------------------------------------------------------------
    Rule(
        "foreign-mark",
        "foreign foreign-in-force converts -held -done",
        Act.REFUSE,
        "{id} is being converted for {owner}, {age}",
        "Wait for its end; if that is over, remove the tag: {untag}",
    ),
    # -- in progress ---------------------------------------------------------------------------------------------------
    Rule("adopt-running", "matching-unfinished converts -held", Act.ADOPT, "{matching} is already in progress"),
    Rule(
        "leave-other",
        "other-unfinished mine",
        Act.LEAVE,
        "{other} converts {id} to {other_destination} and is in progress",
        f"{{id}} stays {{state}} and marked; {_COMMAND}",
    ),
    Rule("refuse-other", "other-unfinished converts -held", Act.REFUSE, error="other-unfinished"),
    Rule("await-listed", "in-progress-said lately", Act.WAIT, "AWS says one is in progress and does not list it yet"),
    Rule("await-created", "create-lost", Act.WAIT, "checking whether an unanswered call has started one"),
    # -- who and where -------------------------------------------------------------------------------------------------
    Rule("other-account", "wrong-account converts -held", Act.REFUSE, error="wrong-account"),
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
        "terminated", "gone converts -held -done", Act.REFUSE, "the instance is {state}", "Check the ARN and the region"
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
    Rule("await-start", "mine settled stopped start-waits", Act.WAIT, "{start_fault}"),
    Rule(
        "leave-unstarted",
        "mine settled stopped start-in-vain",
        Act.LEAVE,
        "{id} does not start: {state_reason}",
        "Fix the cause; it stays marked, and the next `pulumi up` starts it, or start it with "
        "`aws ec2 start-instances --instance-ids {id}`",
    ),
    Rule("leave-start-refused", "mine settled stopped start-refused", Act.LEAVE, error="start-refused"),
    Rule("start", "mine settled stopped", Act.START, "starting {id} again"),
    Rule("unmark", "mine settled running", Act.UNMARK, "{ended}runs again · {id}"),
    Rule("await-state-end", "mine settled shown -gone", Act.WAIT, "{id} {state_text}"),
    Rule("leave-unseen", "mine settled denied", Act.LEAVE, error="denied"),
    # -- the answer ----------------------------------------------------------------------------------------------------
    Rule("await-billing", "billing-late", Act.WAIT, "EC2 still shows the old license"),
    Rule("refused", "refused", Act.REFUSE, error="refused"),
    Rule("failed", "held-failed -ignores-failure", Act.REFUSE, error="held-failed"),
    Rule("blocked", "blocked", Act.REFUSE, error="blocked"),
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
    Rule(
        "force",
        "stops stopping mine force-due",
        Act.FORCE,
        "{id} has not stopped in time and is stopped by force",
        severity="WARNING",
    ),
    Rule("await-state", "stops shown -running -stopped", Act.WAIT, "{id} {state_text}"),
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
    "create-unanswered": "the call to start a conversion was not answered, less than 3 minutes ago",
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
    "start-in-vain": "starting it has failed twice",
    "start-refused": "EC2 has refused the start",
    "billing-late": "the task SUCCEEDED a moment ago, and EC2 shows the old license",
    "unchecked": "the checks that are to be made have not been",
    "stop-waits": "the stop was sent less than 20 seconds ago",
    "stopped-once": "the stop was sent before",
    "force-due": "`{force_stop_after}` is over",
}
"""What each word means, for `fill`."""

_SHOWN_SECONDS = 30.0
_SHOWN_AGAIN_SECONDS = 60.0
_LISTED_SECONDS, _LOST_SECONDS = 90.0, 180.0
"""How long a task may be missing in AWS's list that AWS has spoken of, and one of a call without an answer."""
_LIST_SECONDS = 60.0
"""For how long a list that can't be read keeps a conversion from counting as ended, whose end another call shows."""
_STOP_SECONDS = 20.0
_MARK_SECONDS = 5.0
_UNANSWERED_SECONDS = 600.0
"""How long a fault is carried where AWS has answered no call of this process: an endpoint or the network is wrong."""
_CLOSED_SECONDS = 30.0
"""How long a wish that can do without EC2 waits for an EC2 that cannot be reached."""


@dataclass(frozen=True)
class Step:
    """What is to be done next."""

    rule: Rule
    text: str
    """Shown on the row, or left in the log where the rule has a severity."""
    request: ConversionRequest
    """The conversion with its source known."""
    errors: tuple[LicenseConversionError, ...] = ()
    """What it ends in, a line each."""
    task: ConversionTask | None = None
    """The one that is adopted, or that is followed or has led to the end; None where EC2's word alone has."""
    is_adopted: bool = False
    notes: tuple[tuple[Severity, str], ...] = ()
    """Lines that stay in the log, before it is done."""
    fault: LicenseConversionError | None = None
    """Why what has to be known first can't be read, where that is tried again."""
    verified: LicenseContext | None = None
    """What EC2 bills the instance as, None where it does not say."""


def decide(facts: Facts, wish: Wish, rules: Iterable[Rule] = RULES) -> Step:
    """Return what to do next: the first rule that holds says it."""
    case = _Case(facts, wish)
    rule = next(rule for rule in rules if rule.words <= case.words)
    if rule.error:
        ends_in = case.block if rule.error == "blocked" else (case.errors[rule.error],)
        text = ends_in[0].reason
    else:
        values = case.values() if rule.text else {}
        text, ends_in = fill(rule.text, values), ()
        if rule.then in (Act.REFUSE, Act.LEAVE):
            action = CREATE_ACTION if rule.then is Act.REFUSE else START_ACTION
            ends_in = (case.error(text, fill(rule.remedy, values), action),)
    task = facts.held or (case.done.task if case.done else None)
    if rule.then is Act.ADOPT:
        task = case.matching
    # A call without an answer may have started it.
    is_new = task is not None and facts.memory.sent[Act.CREATE].tries > 0 and task.task_id not in facts.memory.known_ids
    is_adopted = facts.memory.is_adopted or (facts.memory.held_id is None and not is_new)
    others: list[tuple[Severity, str]] = [("ERROR", str(each)) for each in ends_in[1:]]
    notes = (*others, *case.notes(rule.then, task, is_adopted=is_adopted))
    fault, verified = case.fault if rule.then is Act.WAIT else None, None if facts.present.is_empty else facts.present
    return Step(rule, text, case.request, ends_in, task, is_adopted, notes, fault, verified)


class _Case:
    """The facts in words, and, for the rule that holds, what texts and errors name."""

    def __init__(self, facts: Facts, wish: Wish) -> None:
        self.facts, self.wish, self.memory = facts, wish, facts.memory
        self.id = facts.places[0]
        self.request = wish.request
        self.words: set[str] = set()
        self.errors: dict[str, LicenseConversionError] = {}
        """Those that are the reason for a word, by the word."""
        parts = (self._instance_words, self._mark_words, self._task_words, self._license_words, self._act_words)
        for find_words in parts:
            found = find_words()
            self.words |= {word if holds else f"-{word}" for word, holds in found.items()}
            self.errors |= {word: why for word, why in found.items() if isinstance(why, LicenseConversionError)}

    def _since(self, moment: float | None, *, as_seen: bool = False) -> float:
        """Return how long ago a moment is, or was when EC2 was asked for the instance last."""
        return float("inf") if moment is None else (self.facts.instance_at if as_seen else self.facts.now) - moment

    def _instance_words(self) -> dict[str, object]:
        memory, wish, instance, error = self.memory, self.wish, self.facts.instance, self.facts.instance_error
        needed = wish.stop_and_restart or (wish.request.source.is_empty and not memory.held_id)
        limit = _SHOWN_AGAIN_SECONDS if memory.last_seen else _SHOWN_SECONDS
        state = instance.state if instance else None
        denied = None if isinstance(error, TransientError) else error
        if denied and wish.request.source.is_empty and not wish.stop_and_restart:
            denied = copy.copy(denied).adding(f"or set {written('source_license_context')}")
        return {
            "converts": wish.converts,
            "waits": wish.wait_for_completion,
            "stops": wish.stop_and_restart,
            "ignores-failure": wish.ignore_failure,
            "hidden": instance is None and error is None and needed,
            "seen": memory.last_seen,
            "needed": needed and wish.converts,
            "denied": denied,
            "shown": instance,
            "gone": instance and instance.is_gone,
            "looked-for": self._since(memory.hidden_since, as_seen=True) < limit,
            "wrong-account": self.facts.account_error,
            **{name: name == state for name in ("running", "pending", "stopping", "stopped")},
        }

    def _mark_words(self) -> dict[str, object]:
        facts, memory, wish = self.facts, self.memory, self.wish
        # The last one who wrote it owns it; of two at the same moment, the other one.
        self.mark = mark = max(
            (mark for mark in facts.marks if mark.is_for(self.id)),
            key=lambda mark: (mark.since is not None, mark.since or facts.wall, not mark.is_owned_by(wish.urn)),
            default=None,
        )
        owned = mark is not None and mark.is_owned_by(wish.urn)
        left = min(timedelta(seconds=facts.deadline - facts.now), timedelta(hours=12))
        is_short = mark and (mark.until is None or mark.until < facts.wall + left - timedelta(minutes=10))
        since_sent = self._since(memory.sent[Act.MARK].last_at)
        may_renew = since_sent > _MARK_SECONDS and memory.sent[Act.MARK].accepted < 3
        return {
            "mine": (owned or (mark is None and memory.is_marked)) and not memory.is_released,
            "foreign": mark is not None and not owned,
            "mark-old": owned and is_short and may_renew,
            "mark-sent": since_sent < _MARK_SECONDS,
            "ran-again": memory.sent[Act.UNMARK].tries > memory.sent[Act.UNMARK].accepted,
        }

    def _task_words(self) -> dict[str, object]:
        facts, memory, wish, held_id = self.facts, self.memory, self.wish, self.memory.held_id
        held, unfinished = facts.held, [task for task in facts.tasks if task.is_unfinished]
        matching = [task for task in unfinished if wish.request.matches(task)]
        may_adopt = wish.converts and not held_id
        others = [task for task in unfinished if task.task_id != held_id and not (may_adopt and task in matching)]
        self.matching, self.other = select_newest(matching), select_newest(others)
        self.fault, self.doubt = self._find_fault(), self._find_doubt()
        doubted_at = max(memory.ended_at or memory.began, memory.in_progress_at or 0.0)
        held_for = self._since(memory.held_since if held_id else None)
        is_unsettled = unfinished or set(facts.hidden_ids) - {held_id}
        hidden = errors.TaskNotFoundError(Subject(task_id=held_id, region=facts.region), "AWS does not know this task")
        other = self.other and errors.OtherConversionError(
            self._subject(CREATE_ACTION),
            f"license conversion task {self.other.task_id} is already converting it with other license contexts",
        )
        is_answered = memory.is_answered or self._since(memory.failing_since) < _UNANSWERED_SECONDS
        return {
            "held": held_id,
            "held-unfinished": held and held.is_unfinished,
            "held-failed": held and held.status is TaskStatus.FAILED and to_failed_error(held),
            "held-hidden": held_id in facts.hidden_ids and hidden,
            "held-lately": held_for < 900.0,
            "held-just-now": held_for < 31.0,
            "unreadable": self.fault,
            "patient": isinstance(self.fault, TransientError) and is_answered,
            "matching-unfinished": self.matching,
            "other-unfinished": other,
            "in-progress-said": memory.in_progress_at is not None,
            "lately": self._since(memory.in_progress_at) < _LISTED_SECONDS,
            "create-lost": self._since(memory.create_lost_at) < 7.0,
            "create-unanswered": self._since(memory.create_lost_at) < _LOST_SECONDS,
            "create-waits": facts.now < memory.sent[Act.CREATE].again_at,
            "foreign-in-force": self.mark
            and (self.mark.is_young(facts.wall) or is_unsettled or not wish.stop_and_restart),
            "doubt-young": self._since(doubted_at) < 600.0,
        }

    def _find_fault(self) -> LicenseConversionError | None:
        """Return why something that has to be known can't be read."""
        facts, memory, error = self.facts, self.memory, self.facts.instance_error
        if facts.fault is not None or (facts.list_error is not None and memory.held_id is None):
            return facts.fault or facts.list_error
        # Without a route to EC2, an instance that the user has stopped can still be converted, or followed.
        is_needed = (
            self.wish.stop_and_restart or memory.last_seen or memory.is_marked or self.words & {"needed", "mine"}
        )
        is_followed = memory.held_id is not None or (self.wish.converts and self.matching is not None)
        is_closed = isinstance(error, errors.EndpointUnreachableError) and (
            is_followed or self._since(memory.failing_since) >= _CLOSED_SECONDS
        )
        return error if isinstance(error, TransientError) and (is_needed or not is_closed) else None

    def _find_doubt(self) -> str | None:
        """Return why it is not certain whether a task is in progress."""
        facts, memory = self.facts, self.memory
        if facts.hidden_ids:
            return f"AWS does not show {facts.hidden_ids[0]}, which may be in progress"
        if memory.in_progress_at is not None:
            return "AWS has said that a conversion is in progress, and lists none"
        if facts.list_error is not None and self._since(memory.list_failing_since) < _LIST_SECONDS:
            return f"whether a conversion is in progress is not known: {facts.list_error.reason}"
        return None

    def _license_words(self) -> dict[str, object]:
        facts, memory, wish = self.facts, self.memory, self.wish
        held, present = facts.held, facts.present
        may_convert = wish.converts and not memory.held_id
        self.done = done = (
            find_done(wish.request, facts.tasks, present, corrects_drift=wish.correct_drift) if may_convert else None
        )
        self.block = self._what_blocks() if may_convert and not done else ()
        is_said = "in-progress-said" in self.words and "lately" not in self.words
        self.refusal = memory.refusal or (memory.sent[Act.CREATE].error if is_said else None)
        is_young = self._since(memory.began) < 2 * _SHOWN_AGAIN_SECONDS
        if "mine" in self.words and done and done.task is None and not self.doubt and is_young:
            self.doubt = "AWS does not list the task yet that led to the instance's license"
        self.is_other = not present.is_empty and not wish.request.destination.is_satisfied_by(present)
        self.has_ended = held is not None and not held.is_unfinished
        succeeded = held is not None and held.status is TaskStatus.SUCCEEDED
        is_late = held is None or held.end_time is None or facts.wall - held.end_time < timedelta(minutes=2)
        is_seen_lately = self._since(memory.ended_at, as_seen=True) < 30.0
        return {
            "done": done,
            "blocked": self.block,
            "refused": self.refusal,
            "noted": memory.sent[Act.NOTE].accepted or memory.sent[Act.NOTE].is_given_up,
            "doubt": self.doubt,
            "settled": self.has_ended or self.refusal or self.block or done or not wish.converts,
            "billing-late": succeeded and self.is_other and is_late and is_seen_lately,
        }

    def _what_blocks(self) -> tuple[LicenseConversionError, ...]:
        """Return what stands in the way of the conversion, and set the request with its source."""
        facts, memory, wish, request = self.facts, self.memory, self.wish, self.wish.request
        if "gone" in self.words or facts.instance_error is not None:
            return ()
        stop = memory.sent[Act.STOP]
        if stop.error is not None and stop.is_given_up:
            return (stop.error,)
        present, source = facts.present, written("source_license_context")
        is_up_since = self._since(stop.last_at, as_seen=True) >= _STOP_SECONDS and "running" in self.words
        if stop.accepted >= 2 and is_up_since:
            remedy = "Find out who or what starts it, then run `pulumi up` again"
            return (self.error("it was started from outside twice", remedy, STOP_ACTION),)
        if request.source.is_empty or (wish.correct_drift and not present.is_empty):
            if present.is_empty:
                remedy = f"Check the ARN and the region, or set {source}"
                return (self.error("EC2 does not show what it is billed as", remedy),) if facts.instance else ()
            self.request = ConversionRequest(request.resource_arn, present, request.destination)
        elif request.is_noop:
            bills = (
                "EC2 does not say what it is" if present.is_empty else f"EC2 bills it as {describe_license(present)}"
            )
            reason = f"{source} is the same as the destination, and {bills}"
            return (self.error(reason, f"Leave {source} out, so that it is read from the instance"),)
        elif (
            present.usage_operation
            and not request.source.is_satisfied_by(present)
            and (wish.stop_and_restart or wish.checks)
        ):
            remedy = f"Set {source} to what it is now, or leave it out"
            return (self.error(_source_problem(request, present), remedy),)
        unlisted = None if wish.allow_unlisted_pair else unlisted_reason(self.request.source, request.destination)
        if unlisted:
            remedy = fill("Convert to one that is listed, or set {allow_unlisted_pair=True} to have AWS decide")
            return (self.error(unlisted.rstrip("."), remedy),)
        failures = None if wish.retry_failed or facts.is_forced_by_command else self._why_not_again()
        if failures:
            by_force = "" if facts.is_forced_by_command is None else f" or run `pulumi up --replace '{wish.urn}'`"
            remedy = f"Fix the cause, then set {setting('retry_failed', True)}{by_force} to start one"
            return (self.error(failures, wish.retry_remedy or remedy),)
        return tuple(
            self.error(each.reason, each.remedy, each.action) for each in facts.problems or () if not each.is_warning
        )

    def _why_not_again(self) -> str | None:
        """Return what speaks against another try that nobody attends."""
        failures = repeated_failures(self.wish.request.destination, self.facts.tasks, self.facts.wall)
        if failures:
            reasons = (f"{task.task_id}: {to_failure_reason(task.status_message).rstrip('.')}" for task in failures)
            return (
                f"the last {len(failures)} conversions FAILED within 24 hours, so that none is started unattended "
                f"({', '.join(reasons)})"
            )
        refusals = self.facts.refusals
        if len(refusals.times) < MOST_FAILURES:
            return None
        return (
            f"AWS has refused the conversion {len(refusals.times)} times within 24 hours after a stop "
            f"({refusals.code}), so that the instance is not stopped unattended"
        )

    def _act_words(self) -> dict[str, object]:
        facts, memory, wish = self.facts, self.memory, self.wish
        stop, start = memory.sent[Act.STOP], memory.sent[Act.START]
        bounced = start.accepted > 0 and memory.was_pending and "stopped" in self.words
        since_start = self._since(start.first_at, as_seen=True)
        is_unchecked = wish.stop_and_restart and self.words & {"running", "pending"} and not facts.is_stop_checked
        force_after = parse_duration(wish.force_stop_after) if wish.force_stop_after else None
        is_due = force_after is not None and self._since(stop.last_at) >= force_after
        return {
            "bounced": bounced,
            "unchecked": facts.instance
            and "mine" not in self.words
            and (is_unchecked or (wish.checks and facts.problems is None)),
            "start-waits": facts.now < start.again_at and not bounced,
            "start-in-vain": start.accepted >= 2 and (bounced or since_start > 75.0),
            "start-refused": start.is_given_up and start.error,
            "stop-waits": stop.accepted and self._since(stop.last_at, as_seen=True) < _STOP_SECONDS,
            "stopped-once": stop.accepted,
            "force-due": stop.accepted and not memory.sent[Act.FORCE].tries and is_due,
        }

    def values(self) -> dict[str, object]:
        """Return what the texts of rules name; None for what the case does not have."""
        facts, memory, mark, other, fault = self.facts, self.memory, self.mark, self.other, self.fault
        seen, start_error = facts.instance or memory.last_seen, memory.sent[Act.START].error
        failing = memory.refusal.reason if memory.refusal else "AWS throttles the calls"
        if fault:
            failing = f"failing {to_duration_text(self._since(memory.failing_since))}: {fault.reason}"
        return {
            "id": self.id,
            "state": seen.state if seen else "unknown",
            "state_text": seen and to_state_text(seen.state),
            "owner": mark and mark.urn,
            "age": mark and mark.age_text,
            "untag": mark and f"`aws ec2 delete-tags --resources {' '.join(mark.places)} --tags Key={RESTART_TAG}`",
            "held": memory.held_id,
            "matching": self.matching and self.matching.task_id,
            "other": other and other.task_id,
            "other_destination": other and describe_license(other.destination_license_context),
            "fault": failing,
            "doubt": self.doubt,
            "done": self.done and self.done.to_text(facts.present),
            "ended": f"{facts.held.status_text}, " if facts.held and self.has_ended else "",
            "start_fault": start_error.reason if start_error else f"starting {self.id} again",
            "state_reason": (facts.instance and facts.instance.state_reason) or "EC2 gives no reason",
        }

    def error(self, reason: str, remedy: str, action: str = CREATE_ACTION) -> LicenseConversionError:
        return LicenseConversionError(self._subject(action), reason, remedy)

    def _subject(self, action: str) -> Subject:
        return Subject(action, None, self.facts.region, self.facts.resource_arn)

    def notes(self, act: Act, task: ConversionTask | None, *, is_adopted: bool) -> Iterator[tuple[Severity, str]]:
        """Yield what is said before anything is done, of a task that is adopted, and at the end."""
        facts, memory, wish, done, arn = self.facts, self.memory, self.wish, self.done, self.facts.resource_arn
        is_told = memory.sent[Act.MARK].tries or memory.sent[Act.CREATE].tries
        if act in (Act.MARK, Act.CREATE) and not is_told:
            newest = select_newest(facts.tasks)
            if newest is not None and newest.status is TaskStatus.FAILED:
                why = to_failure_reason(newest.status_message).rstrip(".")
                yield "INFO", f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started."
            yield from (("WARNING", f"{each}.") for each in facts.problems or () if each.is_warning)
        if act is Act.ADOPT and task and is_adopted:
            yield "INFO", f"{task.task_id} is already in progress and is adopted; no conversion is started."
        if act is not Act.DONE:
            return
        if task is not None and task.status is TaskStatus.FAILED:  # which is ignored
            yield "WARNING", f"{task.task_id} FAILED: {to_failure_reason(task.status_message)}"
        for mark in facts.marks:
            if not mark.is_for(self.id):
                yield (
                    "WARNING",
                    f"{self.id} has a mark that was written for another instance and copied: it is ignored. Remove the "
                    f"tag {RESTART_TAG}.",
                )
        if done is not None:
            done_text = done.to_text(facts.present)
            said = f"{done_text} and is adopted" if done.task else f"{arn}: {done_text} already"
            yield "INFO", f"{said}; no conversion is started."
        if done is not None and done.continued_by is not None and wish.request.source.is_empty:
            yield (
                "WARNING",
                f"A later conversion of {self.id} continued from the declared destination. If no resource of this "
                f"program did that, set {setting('correct_drift', True)} to have it converted back.",
            )
        is_success = task is not None and task.status is TaskStatus.SUCCEEDED
        if is_success and self.is_other and not (done and done.continued_by):
            yield (
                "WARNING",
                f"EC2 still bills {arn} as {describe_license(facts.present)}, not as "
                f"{describe_license(wish.request.destination)}; set {setting('correct_drift', True)} to have it "
                "converted again.",
            )
        state = facts.instance.state if facts.instance else ""
        is_unmarked = not facts.marks or memory.is_released
        if wish.stop_and_restart and task and is_adopted and state in ("stopped", "stopping") and is_unmarked:
            yield (
                "WARNING",
                f"{self.id} is {state} and has no mark that it is to be started again. If it ran before "
                f"its conversion, start it with `aws ec2 start-instances --instance-ids {self.id}`.",
            )


def to_state_text(state: str) -> str:
    """Return what an instance in a state does, in words that follow its id."""
    return {"running": "runs", "pending": "is starting"}.get(state, f"is {state}")


def _source_problem(request: ConversionRequest, present: LicenseContext) -> str:
    declared, operation = request.source.usage_operation, present.usage_operation
    if declared and declared != operation:
        return f"the instance is billed as {describe_license(present)}, not as {describe_license(request.source)}"
    shown = ", ".join(code.product_code_id or "" for code in present.product_codes) or "no product codes"
    return f"the instance has {shown}, not all that {written('source_license_context')} names"
