"""AWS as it is, behind what it shows: instances, tags, conversion tasks, and somebody else who uses them too."""

import bisect
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from simulation.kernel import Kernel, Process

REGION, ACCOUNT, OTHER_ACCOUNT = "eu-west-1", "123456789012", "210987654321"
BYOL, WINDOWS, SQL_STANDARD, SQL_WEB = (
    "RunInstances:0800",
    "RunInstances:0002",
    "RunInstances:0006",
    "RunInstances:0202",
)
NASTY = "\x1b[2J\x9b31m\u202egnp.exe\u200f"
"""Control and bidirectional characters, which no line may show."""

Value = TypeVar("Value")


class Shown(Generic[Value]):
    """A value with its past, for reads that lag."""

    def __init__(self, now: float, value: Value) -> None:
        self._moments, self._values = [now], [value]

    @property
    def value(self) -> Value:
        return self._values[-1]

    @property
    def since(self) -> float:
        return self._moments[-1]

    def set(self, now: float, value: Value) -> None:
        self._moments.append(now)
        self._values.append(value)

    def was(self, value: Value, since: float) -> bool:
        """Return whether it became that after a moment."""
        return any(each == value and at > since for at, each in zip(self._moments, self._values, strict=True))

    def at(self, moment: float) -> Value:
        return self._values[max(0, bisect.bisect_right(self._moments, moment) - 1)]


@dataclass
class Faults:
    """How often what goes wrong, and by how much; all 0 is a day without a cloud."""

    drop: float = 0.0
    """Of all calls: no answer, before or after the effect."""
    throttle: float = 0.0
    fault: float = 0.0
    burst: float = 0.0
    """Of the calls of EC2 and of Create: throttles them for minutes from now on."""
    broken_list: float = 0.0
    """Of the histories' minutes: lists of tasks fail while single tasks can be got."""
    ec2_lag: float = 0.0
    """Seconds by which EC2's answers are late, at most."""
    task_lag: float = 0.0
    """Seconds by which lists and gets of tasks are late, at most."""
    hidden_task: float = 0.0
    """Of the new tasks: shown nowhere for up to 2 minutes, or 10."""
    unknown_word: float = 0.0
    """Of the tasks: a status that AWS has not published, for a while."""
    unreadable_row: float = 0.0
    """Of the lists of all tasks: a row of somebody else's that can't be read."""
    failing: float = 0.0
    """Of the tasks: end FAILED."""
    refusal: float = 0.0
    """Of the instances: every conversion is refused."""
    refused_as_failed: float = 0.0
    """Of the Creates refused because one is in progress: recorded as a FAILED task."""
    follower: float = 0.0
    """Of the ends of tasks: somebody's program asks for another conversion at once, and for one more a moment later.

    Of every second of these: no list of tasks answers for a minute or two.
    """
    bill_late: float = 0.0
    """Seconds after a task's end at which EC2 bills otherwise, at most."""
    bill_wrong: float = 0.0
    """Of the successes: EC2 does not bill otherwise."""
    capacity: float = 0.0
    """Of the starts: no capacity for minutes."""
    ghost: float = 0.0
    """Of the starts: accepted and not carried out, once or for good."""
    undone_stop: float = 0.0
    """Of the stops: somebody starts it again at once."""
    slow_stop: float = 0.0
    """Of the stops: take half an hour."""
    no_interface_tags: bool = False
    nasty: bool = False


@dataclass
class Tag:
    """A tag: its value, and who wrote it when."""

    value: str
    written: float
    by: str | None = None
    """The URN, None for somebody else."""
    stack: str | None = None
    process: Process | None = None


@dataclass(eq=False)
class Instance:
    id: str
    interface: str
    state: Shown[str]
    billed: Shown[str]
    type: str = "m5.large"
    account: str = ACCOUNT
    tags: Shown[dict[str, Tag]] = field(default_factory=lambda: Shown(0.0, {}))
    interface_tags: Shown[dict[str, Tag]] = field(default_factory=lambda: Shown(0.0, {}))
    reason: str = ""
    transition: str = ""
    launched: float = -1e6
    shown_from: float = -1e6
    group: str | None = None
    is_protected: bool = False
    refuses: bool = False
    hates_starts: bool = False
    """No start is ever carried out, whatever EC2 answers."""
    no_capacity_until: float = -1.0
    wanted: str | None = "running"
    """How its owner wants it; None where somebody else was at it in the middle of a job, so that nobody can say."""
    copy_of: str | None = None
    touched: float = -1e6
    """When somebody else was last at it."""

    @property
    def arn(self) -> str:
        return f"arn:aws:ec2:{REGION}:{self.account}:instance/{self.id}"

    @property
    def has_store(self) -> bool:
        """Whether a stop erases data."""
        return self.type.startswith("m5d")

    @property
    def is_gone(self) -> bool:
        return self.state.value in ("shutting-down", "terminated")

    def marks(self, key: str = "lmconv:restart") -> list[Tag]:
        """Return its marks, of both places."""
        places = (self.tags.value, self.interface_tags.value)
        return [tags[key] for tags in places if key in tags]


@dataclass(eq=False)
class Task:
    id: str
    instance: Instance
    source: str
    destination: str
    began: float
    status: Shown[str]
    process: Process | None
    """Whose call has started it; None for somebody else's."""
    urn: str | None
    listed_from: float
    got_from: float
    message: str | None = None
    ended: float | None = None
    is_spoilt: bool = False
    """Whether its instance was started in the middle."""

    @property
    def is_unfinished(self) -> bool:
        return self.status.value not in ("SUCCEEDED", "FAILED")

    def has_ended(self, moment: float) -> bool:
        return self.ended is not None and self.ended <= moment


class Aws:
    """One region, and in it an account or two.

    Args:
        kernel: the clock.
        rng: what is drawn.
        faults: what goes wrong.
        log: told what happens.
    """

    def __init__(self, kernel: Kernel, rng: random.Random, faults: Faults, log: Callable[[str], None]) -> None:
        self.kernel, self.rng, self.faults, self.log = kernel, rng, faults, log
        self.instances: dict[str, Instance] = {}
        self.tasks: list[Task] = []
        self.is_calm = False
        """Whether nothing goes wrong any more: a history comes to its end."""
        self.lost_rights: dict[str, tuple[float, float]] = {}
        """The calls that no account may make, from when to when."""
        self.lost_account = 0.0, 0.0
        """From when to when the other account may make none."""
        self.refused: list[tuple[float, Instance, str | None]] = []
        self.lists_fail_until = -1.0

    def chance(self, share: float) -> bool:
        """Draw whether something happens that happens in this share of all cases."""
        return not self.is_calm and share > 0 and self.rng.random() < share

    def has_lost_right(self, call: str, account: str, *, since: float | None = None) -> bool:
        """Return whether an account may not make a call at present, or some time since a moment."""
        now = self.kernel.now
        windows = [self.lost_rights.get(call, (0.0, 0.0))]
        windows += [self.lost_account] if account == OTHER_ACCOUNT else []
        return any(begin <= now and end > (now if since is None else since) for begin, end in windows)

    def lag(self, most: float) -> float:
        """Draw by how much an answer is late."""
        return 0.0 if self.is_calm or most <= 0 else most * self.rng.random() ** 2

    def time(self, moment: float) -> datetime:
        """Return a moment by the clock on the wall."""
        return self.kernel.wall() + timedelta(seconds=moment - self.kernel.now)

    # -- instances -----------------------------------------------------------------------------------------------------

    def launch(self, state: str, billed: str, **more: Any) -> Instance:
        number, now = len(self.instances) + 1, self.kernel.now
        instance = Instance(f"i-0{number:x}aa", f"eni-0{number:x}aa", Shown(now, state), Shown(now, billed), **more)
        instance.wanted = state
        self.instances[instance.id] = instance
        self.log(f"{instance.id} is {state}, {billed}, {instance.type}")
        return instance

    def to_state(self, instance: Instance, state: str, reason: str = "", by_call: bool = True) -> None:
        instance.state.set(self.kernel.now, state)
        instance.reason = reason
        if state in ("stopping", "stopped", "shutting-down"):
            stamp = self.kernel.wall().strftime("%Y-%m-%d %H:%M:%S")
            instance.transition = f"User initiated ({stamp} GMT)" if by_call else instance.transition
        elif state == "running":
            instance.transition = ""
        self.log(f"    {instance.id} {state}{f' ({reason!r})' if reason else ''}")

    def stop(self, instance: Instance, *, force: bool = False) -> None:
        if instance.state.value in ("stopping", "stopped") and not force:
            return
        self.to_state(instance, "stopping", "Client.UserInitiatedShutdown: User initiated shutdown")
        seconds = 1800.0 if self.chance(self.faults.slow_stop) and not force else 5 + self.rng.random() * 60
        self._later(instance, seconds, "stopping", "stopped")
        if self.chance(self.faults.undone_stop):
            self.kernel.after(seconds + 10 * self.rng.random(), lambda: self.by_somebody("start", instance))

    def start(self, instance: Instance) -> None:
        if instance.state.value != "stopped":
            return
        for task in self.tasks:
            if task.instance is instance and task.is_unfinished:
                task.is_spoilt = True
        is_ghost = instance.hates_starts or self.chance(self.faults.ghost)
        if is_ghost and self.rng.random() < 0.5:
            instance.reason = self._reason("Client.InvalidKMSKey.InvalidState: The KMS key is disabled")
            self.log(f"    {instance.id} stays stopped")
            return
        self.to_state(instance, "pending")
        seconds = 3 + self.rng.random() * 40
        if is_ghost:
            reason = self._reason("Server.InternalError: Internal error on launch")
            self._later(instance, seconds, "pending", "stopped", reason)
        else:
            self._later(instance, seconds, "pending", "running")

    def _reason(self, text: str) -> str:
        return text + NASTY if self.faults.nasty else text

    def _later(self, instance: Instance, seconds: float, state: str, then: str, reason: str = "") -> None:
        def change() -> None:
            if instance.state.value == state:
                self.to_state(instance, then, reason or instance.reason, by_call=not reason)

        self.kernel.after(seconds, change)

    def by_somebody(self, what: str, instance: Instance) -> None:
        if instance.is_gone or self.is_calm:
            return
        is_busy = bool(instance.marks()) or any(task.instance is instance and task.is_unfinished for task in self.tasks)
        self.log(f"  somebody: {what} {instance.id}")
        instance.touched = self.kernel.now
        if what == "stop":
            is_down = instance.wanted == "running" and instance.state.value in ("stopping", "stopped")  # a job's doing
            instance.wanted = None if is_busy or is_down else "stopped"
            self.stop(instance)
        elif what == "start":
            if instance.state.value == "stopped":
                is_sure = not (instance.hates_starts or self.faults.ghost or (is_busy and instance.wanted != "running"))
                instance.wanted = "running" if is_sure else None
            self.start(instance)
        elif what == "terminate":
            self.to_state(instance, "shutting-down")
            self._later(instance, 30, "shutting-down", "terminated")
        elif what == "untag":
            writers = [mark.process for mark in instance.marks()]
            instance.tags.set(self.kernel.now, {})
            is_down = instance.state.value in ("stopping", "stopped")
            if is_down and writers and not instance.marks() and all(each is None or each.is_dead for each in writers):
                instance.wanted = None  # nothing is left that tells whether it ran
        elif what == "convert":
            code = self.rng.choice((BYOL, WINDOWS, SQL_WEB))
            if self.unfinished(instance):
                if self.chance(self.faults.refused_as_failed):
                    self.add_failed(instance, instance.billed.value, code, None)
            elif instance.state.value == "stopped":
                self.convert(instance, instance.billed.value, code, None, None)
        elif what == "copy":
            copy = self.launch("stopped", instance.billed.value, copy_of=instance.id, account=instance.account)
            copy.tags.set(
                self.kernel.now, {key: Tag(tag.value, tag.written) for key, tag in instance.tags.value.items()}
            )

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def convert(
        self, instance: Instance, source: str, destination: str, process: Process | None, urn: str | None
    ) -> Task:
        now, rng = self.kernel.now, self.rng
        hidden = 10 + rng.random() * rng.choice((110, 110, 600)) if self.chance(self.faults.hidden_task) else 0.0
        task = Task(
            f"lct-{len(self.tasks) + 1:04d}",
            instance,
            source,
            destination,
            now,
            Shown(now, "PENDING" if self.chance(self.faults.unknown_word) else "IN_PROGRESS"),
            process,
            urn,
            listed_from=now + max(hidden, self.lag(self.faults.task_lag)),
            got_from=now + (hidden or self.lag(min(5.0, self.faults.task_lag))),
        )
        self.tasks.append(task)
        seconds = 30.0 * (4.0 if self.is_calm else 40.0) ** rng.random()
        if not self.is_calm and rng.random() < 0.03:
            seconds = 7200.0
        self.log(f"    {task.id} converts {instance.id} to {destination} for {seconds:.0f} s")
        self.kernel.after(seconds, lambda: self.end_task(task))
        return task

    def add_failed(self, instance: Instance, source: str, destination: str, urn: str | None) -> None:
        """Record a conversion that was refused as one that FAILED."""
        now = self.kernel.now
        failed = Shown(now, "FAILED")
        task = Task(f"lct-{len(self.tasks) + 1:04d}", instance, source, destination, now, failed, None, urn, now, now)
        task.message, task.ended = "Another license conversion is in progress", now
        self.tasks.append(task)
        self.log(f"    {task.id} is recorded as FAILED")

    def end_task(self, task: Task) -> None:
        if not task.is_unfinished:
            return
        now = self.kernel.now
        is_failed = task.is_spoilt or task.instance.is_gone or self.chance(self.faults.failing)
        task.ended = now
        task.status.set(now, "FAILED" if is_failed else "SUCCEEDED")
        task.message = self._reason("Step 3 of 5 failed") if is_failed else None
        self.log(f"    {task.id} {task.status.value}")
        if task.urn is not None and self.chance(self.faults.follower):
            if self.rng.random() < 0.5:
                self.lists_fail_until = now + 40 + 120 * self.rng.random()
            self.kernel.after(0.0, lambda: self.by_somebody("convert", task.instance))
            self.kernel.after(1.0, lambda: self.by_somebody("convert", task.instance))
        if not is_failed and not self.chance(self.faults.bill_wrong):
            self.kernel.after(self.lag(self.faults.bill_late), lambda: self._bill(task.instance, task.destination))

    def _bill(self, instance: Instance, code: str) -> None:
        instance.billed.set(self.kernel.now, code)
        self.log(f"    {instance.id} is billed as {code}")

    def unfinished(self, instance: Instance) -> list[Task]:
        return [task for task in self.tasks if task.instance is instance and task.is_unfinished]
