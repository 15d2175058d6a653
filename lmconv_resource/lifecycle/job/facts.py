"""What is known of one conversion: what AWS shows now, and what the job has sent so far. Nothing is decided here.

No other module asks EC2 or License Manager for what a decision needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lmconv_resource import errors
from lmconv_resource.errors import LicenseConversionError, TransientError
from lmconv_resource.lifecycle.job.checks import Problem, Wish, other_account_error, run_checks
from lmconv_resource.marks import TAGS, Mark, Refusals, read_marks, to_places
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus, to_id

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.aws.ec2 import Instance, Tag
    from lmconv_resource.lifecycle.operation import Operation

log = logging.getLogger(__name__)

INSTANCE, TAGS_PART, TASKS, PROBLEMS = "instance", "tags", "tasks", "problems"
EVERYTHING = frozenset({INSTANCE, TAGS_PART, TASKS})
"""What is read again before an act. The checks are made once, before the stop."""


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


class Sent(NamedTuple):
    """How often an act was sent, and what AWS has said of it; times are seconds of the operation's clock."""

    accepted: int = 0
    tries: int = 0
    """How often it was sent; where that was not accepted, AWS refused it or had a fault."""
    first_at: float | None = None
    last_at: float | None = None
    """When it was first accepted, and last."""
    again_at: float = 0.0
    """When it may be sent again."""
    error: LicenseConversionError | None = None
    """Why it was not accepted the last time."""
    is_given_up: bool = False
    """Whether that won't change: it is not sent again."""


class Memory(NamedTuple):
    """What a job has sent and been told; times are seconds of the operation's clock. State alone can't tell it."""

    began: float
    held_id: str | None = None
    is_adopted: bool = False
    held_since: float = 0.0
    is_answered: bool = False
    """Whether AWS has answered a call of this process: a wrong endpoint or no network is no fault that passes."""
    failing_since: float | None = None
    list_failing_since: float | None = None
    last_seen: Instance | None = None
    hidden_since: float | None = None
    """Since when EC2 does not show the instance."""
    known_ids: frozenset[str] = frozenset()
    """The tasks that there were when a conversion was asked for."""
    sent: Mapping[Act, Sent] = MappingProxyType(dict.fromkeys(Act, Sent()))
    """How it went with each act."""
    refusal: LicenseConversionError | None = None
    """Why AWS has refused the conversion."""
    create_lost_at: float | None = None
    in_progress_at: float | None = None
    """When AWS refused the conversion because one is in progress."""
    ended_ids: frozenset[str] = frozenset()
    """The tasks that had ended by then: it was none of these."""
    invalid_state_at: float | None = None
    is_instance_only: bool = False
    """Whether the network interface may not be tagged."""
    is_marked: bool = False
    """Whether AWS has shown the mark of this job."""
    is_released: bool = False
    """Whether the mark was removed, or can't be."""
    own_marks: frozenset[str] = frozenset()
    """The values of the marks that were written or shown: of two places, one may not be shown any more."""
    was_pending: bool = False
    """Whether the instance was seen on its way up since the start."""
    last_fault: str | None = None
    """The last fault that passed, or has not yet."""
    ended_at: float | None = None
    """When the held task's end was seen first."""


class Facts(NamedTuple):
    """What is known at one moment; what has not been read yet is None."""

    now: float
    wall: datetime
    memory: Memory
    instance: Instance | None = None
    instance_error: LicenseConversionError | None = None
    instance_at: float = 0.0
    """When EC2 was asked for the instance last: what else is read can take minutes."""
    tags: tuple[Tag, ...] = ()
    tasks: tuple[ConversionTask, ...] = ()
    list_error: LicenseConversionError | None = None
    hidden_ids: tuple[str, ...] = ()
    """Tasks that were started here and that AWS shows nowhere."""
    account_error: LicenseConversionError | None = None
    problems: tuple[Problem, ...] | None = None
    is_stop_checked: bool = False
    """Whether the instance ran as the checks were made, so that they are about its stop, too."""
    fault: LicenseConversionError | None = None
    """Why the account, or the checks, could not be asked for."""
    error: LicenseConversionError | None = None
    """Why AWS could not be asked, in a way that does not pass."""
    region: str = ""
    resource_arn: str = ""
    deadline: float = 0.0
    """When the job is over, in seconds of `now`."""
    is_forced_by_command: bool | None = False
    """Whether `--replace` asks for a new conversion; None where that is not known."""

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The marks on the instance and its network interface."""
        return read_marks(self.tags, self.instance)

    @property
    def refusals(self) -> Refusals:
        """How often AWS has refused the conversion lately."""
        return Refusals.parse(self.tags, self.places[0], self.wall)

    @property
    def present(self) -> LicenseContext:
        """What EC2 bills the instance as; an empty context where that is not known."""
        return self.instance.license_context if self.instance else LicenseContext()

    @property
    def held(self) -> ConversionTask | None:
        """The task that the job holds, where AWS shows it."""
        return next((task for task in self.tasks if task.task_id == self.memory.held_id), None)

    @property
    def places(self) -> tuple[str, ...]:
        """The ids of what carries the mark."""
        seen = self.instance or self.memory.last_seen
        if seen is None:
            return (to_id(self.resource_arn),)
        return to_places(seen)[:1] if self.memory.is_instance_only else to_places(seen)


class Reader:
    """Reads the facts of one job."""

    def __init__(self, op: Operation, aws: Connection, wish: Wish) -> None:
        self._op = op
        self._aws = aws
        self._wish = wish
        self._arn = wish.request.resource_arn
        self._is_told_of_tags = False
        self._is_account_known = False

    def read(self, facts: Facts, parts: Iterable[str]) -> Facts:
        """Return the facts with these parts read again; `error` is why AWS could not be asked for the rest."""
        runtime = self._op.host.runtime
        facts = facts._replace(fault=None)
        try:
            if INSTANCE in parts:
                facts = self._read_instance(facts)
            if TAGS_PART in parts:
                facts = self._read_tags(facts)
            if TASKS in parts:
                facts = self._read_tasks(facts)
            # What runs already is adopted or refused: nothing is begun beside it, whoever asks.
            may_begin = self._wish.converts and not any(task.is_unfinished for task in facts.tasks)
            if TASKS in parts and may_begin and not self._is_account_known and not facts.memory.held_id:
                facts = facts._replace(account_error=other_account_error(self._op, self._aws, self._arn))
                self._is_account_known = True
            if PROBLEMS in parts and facts.instance is not None:
                found = run_checks(self._op, self._aws, self._wish, facts.instance, facts.places)
                is_up = facts.instance.state in ("running", "pending")
                facts = facts._replace(problems=found, is_stop_checked=is_up)
        except LicenseConversionError as error:
            passes = isinstance(error, TransientError) and not isinstance(error, errors.ClockSkewError)
            facts = facts._replace(fault=error) if passes else facts._replace(error=error)
        return self._note(facts._replace(now=runtime.now(), wall=runtime.wall()))

    def _read_instance(self, facts: Facts) -> Facts:
        facts = facts._replace(instance_at=self._op.host.runtime.now())
        try:
            instance = self._aws.ec2.get_instance(self._arn)
        except (TransientError, errors.AccessDeniedError, errors.RequestRefusedError) as error:
            if isinstance(error, errors.ClockSkewError):
                raise
            return facts._replace(instance=None, instance_error=error)
        return facts._replace(instance=instance, instance_error=None)

    def _read_tags(self, facts: Facts) -> Facts:
        own = [tag for tag in facts.instance.tags if tag.key in TAGS] if facts.instance else []
        try:
            tags = self._aws.ec2.list_tags(TAGS, facts.places, self._arn)
        except TransientError as error:
            return facts._replace(instance_error=facts.instance_error or error)
        except (errors.AccessDeniedError, errors.RequestRefusedError) as error:  # the latter by what stands in for EC2
            if not self._is_told_of_tags and self._wish.stop_and_restart:
                self._is_told_of_tags = True
                self._op.log(f"Only the instance's own tags are read. {error}")
            tags = []
        removed = self._op.host.started_here.removed_marks
        shown = [tag for tag in dict.fromkeys((*tags, *own)) if (tag.resource_id, tag.value) not in removed]
        return facts._replace(tags=tuple(shown))

    def _read_tasks(self, facts: Facts) -> Facts:
        manager, held_id = self._aws.license_manager, facts.memory.held_id
        list_error: LicenseConversionError | None = None
        tasks: list[ConversionTask] = []
        try:
            listed = manager.list_tasks(self._arn, keeps_unreadable=True)
            tasks = [task for task in listed if task.resource_arn in (None, self._arn)]
        except LicenseConversionError as error:
            if held_id is None and not isinstance(error, TransientError):
                raise
            list_error = error
        readable = {task.task_id for task in tasks if not task.is_unfinished or task.status is not None}
        hidden = []
        ended = self._op.host.started_here.ended  # an end is final, and a list can be a minute late
        # What the last list, or one of the waits, has shown in progress is asked for separately where this one fails.
        shown = [self._aws.running.get(self._arn), *(task.task_id for task in facts.tasks if task.is_unfinished)]
        started = self._op.host.started_here.tasks.get(self._arn, ())
        for task_id in dict.fromkeys((held_id, *started, *(shown if list_error else ()))):
            if task_id is None or task_id in readable:
                continue
            try:
                task = ended.get(task_id) or manager.get_task(task_id)
            except (errors.TaskNotFoundError, TransientError) as error:
                log.info("%s is not shown: %s", task_id, error)
                hidden.append(task_id)
                continue
            tasks = [*(each for each in tasks if each.task_id != task_id), task]
        ended.update((task.task_id, task) for task in tasks if not task.is_unfinished)
        tasks = [ended.get(task.task_id, task) for task in tasks]
        return facts._replace(tasks=tuple(tasks), hidden_ids=tuple(hidden), list_error=list_error)

    def _note(self, facts: Facts) -> Facts:
        """Return the facts with what they say for later decisions remembered."""
        memory, now, instance = facts.memory, facts.now, facts.instance
        faults = (facts.fault, facts.instance_error, facts.list_error)
        fault = next((error for error in faults if isinstance(error, TransientError)), None)
        marks = facts.marks
        own = [mark for mark in marks if mark.is_owned_by(self._wish.urn)]
        is_own = {mark in own for mark in marks if mark.is_for(facts.places[0])}
        started_here = self._op.host.started_here
        # AWS has answered, be it that it throttles or has a fault of its own.
        answers = (errors.ThrottledError, errors.ServiceFaultError)
        started_here.is_answered = started_here.is_answered or any(
            isinstance(error, answers) or not isinstance(error, TransientError) for error in faults[1:]
        )
        held = facts.held
        is_ended = held is not None and not held.is_unfinished
        memory = memory._replace(
            is_answered=started_here.is_answered,
            failing_since=(memory.failing_since or now) if fault else None,
            list_failing_since=(memory.list_failing_since or now) if facts.list_error else None,
            last_fault=fault.reason if fault else memory.last_fault,
            last_seen=instance or memory.last_seen,
            hidden_since=None if instance or facts.instance_error else memory.hidden_since or facts.instance_at,
            is_marked=True in is_own or (memory.is_marked and False not in is_own),
            own_marks=memory.own_marks.union(mark.value for mark in own),
            was_pending=memory.sent[Act.START].accepted > 0
            and (memory.was_pending or (instance and instance.state) == "pending"),
            ended_at=(now if memory.ended_at is None else memory.ended_at) if is_ended else None,
        )
        new = [task for task in facts.tasks if task.task_id not in memory.ended_ids]
        # A call that was refused because one is in progress can be recorded, too: as one that FAILED at once.
        is_listed = any(task.status is TaskStatus.SUCCEEDED or (task.duration_seconds or 0.0) > 1.0 for task in new)
        if is_listed or any(task.is_unfinished for task in facts.tasks):
            memory = memory._replace(in_progress_at=None)
        return facts._replace(memory=memory)
