"""What has to hold, checked after each event. A violation is noted, and the history goes on."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmconv_resource.lifecycle.fleet.crew import WINDOW_SECONDS
from lmconv_resource.text import parse_rfc3339

if TYPE_CHECKING:
    from simulation.aws import Aws, Instance, Tag, Task
    from simulation.clients import Caller

INVARIANTS = {
    0: "no error but the package's own",
    1: "nobody starts or stops an instance under a conversion",
    2: "what ran runs in the end, what was stopped stays stopped, no mark stays, or it was said",
    3: "a green `up` means: licensed as declared, recorded as it is, in the state it was found in, or warned",
    4: "one conversion for each wish",
    5: "nobody acts on another's young mark, and no preview acts",
    6: "calls and time are bounded, nothing waits at the end",
    7: "an `up` that met only faults that pass is green",
    8: "no stop and start for nothing",
    9: "no control or bidirectional character in any line",
    10: "no stop erases data unasked",
    11: "AWS is asked to convert only what was last seen stopped",
    12: "a fleet begins its rows in order, canaries first, never too many at once, and its outcomes are true",
}

UNPREVENTABLE = {
    "two marked at once": "EC2's tags have no compare-and-set",
    "listed late": "a conversion of somebody's that AWS had not listed at the job's last read",
    "stopped as it was marked": "somebody stops it between the job's last read and its mark",
    "list unreadable": "a conversion that somebody began while AWS's list could not be read, for a minute or more",
    "no right to look": "an `up` that may see neither instances nor tags",
    "no right to verify": "a SUCCEEDED task after which EC2 bills as before, and may not be asked",
    "no record": "a `destroy` where Pulumi has no record calls nobody",
}

_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_YOUNG_SECONDS = 12 * 3600.0
_WINDOW_SECONDS = 60.0
_UNREADABLE_SECONDS = 60.0
_ACT_SECONDS = 15.0
_FRESH_CALLS = 5
"""Of the resource's own calls: what was read further back is stale when it acts."""
_CHANGES = re.compile(r"stopped|start|marked|its mark|lmconv:restart|runs again|terminated")


@dataclass
class Violation:
    invariant: int
    text: str


@dataclass
class Outage:
    urn: str | None
    is_converted: bool = False
    excuses: set[str] = field(default_factory=set)


class Checks:
    """Holds a world to its invariants.

    Args:
        aws: the world.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.violations: list[Violation] = []
        self.unpreventable: Counter[str] = Counter()
        self._outages: dict[str, Outage] = {}
        self._excused: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.said_at: dict[str, float] = {}
        """When a line has last told how an instance is."""
        self.changed_at: dict[str, float] = {}
        self._changed_by: dict[str, str | None] = {}
        self._done: dict[tuple[str | None, str], Task] = {}

    def violate(self, invariant: int, text: str) -> None:
        self._aws.log(f"!! {invariant}: {text}")
        self.violations.append(Violation(invariant, text))

    def forgive(self, name: str) -> None:
        self._aws.log(f"?? {name}")
        self.unpreventable[name] += 1

    # -- before an act -------------------------------------------------------------------------------------------------

    def before_start(self, caller: Caller, urn: str | None, instance: Instance) -> None:
        self._before_act("start", caller, urn, instance)
        self._check_unfinished("started", caller, urn, instance)
        if instance.state.value == "stopped" and instance.wanted == "stopped":
            if any(0 <= tag.written - instance.touched < _WINDOW_SECONDS for tag in instance.marks()):
                self.forgive("stopped as it was marked")
                instance.wanted = None
            else:
                self.violate(2, f"{instance.id} was stopped before, and is started")

    def before_stop(self, caller: Caller, urn: str | None, instance: Instance) -> None:
        self._before_act("stop", caller, urn, instance)
        if instance.state.value in ("running", "pending"):
            self._check_unfinished("stopped", caller, urn, instance)
            if instance.has_store:
                self.violate(10, f"{instance.id} has instance store volumes, and is stopped")

    def before_create(self, caller: Caller, urn: str | None, instance: Instance) -> None:
        self._before_act("convert", caller, urn, instance)
        moment, seen = caller.state_seen.get(instance.id, (0.0, "stopped"))
        # An act may rest on a read that is a few seconds old, though a call of another row has shown more since.
        if seen != "stopped" and self._aws.kernel.now - moment > _ACT_SECONDS:
            self.violate(11, f"{instance.id} is to be converted and was last seen {seen}")

    def before_tag(self, caller: Caller, urn: str | None, instance: Instance, key: str) -> None:
        if key == "lmconv:restart":
            self._before_act("mark", caller, urn, instance)

    def before_untag(self, caller: Caller, urn: str | None, instance: Instance, tag: Tag, key: str) -> None:
        if key == "lmconv:restart" and tag.by != urn and self._is_young(tag):
            self._blame_for_mark("untag", caller, urn, instance, tag)

    def _before_act(self, act: str, caller: Caller, urn: str | None, instance: Instance) -> None:
        caller.acts.append((self._aws.kernel.now, act, instance.id))
        if caller.is_preview:
            self.violate(5, f"a preview would {act} {instance.id}")
        foreign = [tag for tag in instance.marks() if tag.by != urn and tag.by is not None and self._is_young(tag)]
        owned = any(tag.by == urn for tag in instance.marks())
        if foreign and not owned:
            self._blame_for_mark(act, caller, urn, instance, foreign[0])

    def _blame_for_mark(self, act: str, caller: Caller, urn: str | None, instance: Instance, tag: Tag) -> None:
        keys = [f"{instance.id} {place}" for place in ("instance", "interface")]
        # A fleet's calls wait that long for others, while a call of another row may show more.
        together = WINDOW_SECONDS if urn and ":ConversionFleet:" in urn else 0.0
        since_shown = [caller.marks_seen.get(key, {}).get(tag.value, float("inf")) for key in keys]
        was_shown = min(since_shown) <= self._aws.kernel.now - together
        since = caller.calls_of[urn, instance.id] - max(
            caller.marks_at.get(f"{urn} {key}", -_FRESH_CALLS) for key in keys
        )
        owner = (tag.by or "").rpartition("::")[2]
        if self.is_blind(instance):
            self.forgive("no right to look")
        elif was_shown or since > _FRESH_CALLS:
            self.violate(5, f"{act} {instance.id} on the mark of {tag.stack} {owner}")
        else:
            self.forgive("two marked at once")

    def is_blind(self, instance: Instance) -> bool:
        """Return whether nobody may look at an instance of its account, nor at its tags."""
        looks = ("DescribeInstances", "DescribeTags")
        return all(self._aws.has_lost_right(call, instance.account) for call in looks)

    def _is_young(self, tag: Tag) -> bool:
        try:
            until = parse_rfc3339(tag.value.split(" ")[1])
        except (ValueError, IndexError):
            return self._aws.kernel.now - tag.written < _YOUNG_SECONDS
        return self._aws.kernel.wall() < until + timedelta(minutes=10)

    def _check_unfinished(self, act: str, caller: Caller, urn: str | None, instance: Instance) -> None:
        for task in self._aws.unfinished(instance):
            seen = caller.tasks_seen.get(task.id)
            listed_at, call = caller.listed_at.get(instance.id, (float("-inf"), -_FRESH_CALLS))
            is_known = seen is not None and seen not in ("SUCCEEDED", "FAILED")
            is_stale = listed_at < task.began and caller.calls_of[urn, instance.id] - call > _FRESH_CALLS
            unreadable = self._aws.kernel.now - caller.unreadable_since.get(instance.id, float("inf"))
            if task.process is caller.process or is_known or (is_stale and unreadable < _UNREADABLE_SECONDS):
                self.violate(1, f"{instance.id} is {act} under {task.id}")
            elif is_stale:
                self.forgive("list unreadable")
            else:
                self.forgive("listed late")

    # -- after an act --------------------------------------------------------------------------------------------------

    def on_stopped(self, caller: Caller, urn: str | None, instance: Instance) -> None:
        self.on_changed(urn, instance)
        if instance.state.value == "stopping":
            outage = self._outages.setdefault(instance.id, Outage(urn))
            outage.excuses |= caller.excuses  # a call that was on its way as its process was interrupted

    def on_created(self, caller: Caller, task: Task) -> None:
        """Note that AWS has accepted a conversion, and check that it is the only one for its wish."""
        outage = self._outages.get(task.instance.id)
        if outage is not None:
            outage.is_converted = True
        key = (task.urn, task.destination)
        before = self._done.get(key)
        was_billed = before is not None and task.instance.billed.was(before.destination, before.began)
        if before is not None and before.status.value == "SUCCEEDED" and was_billed:
            since = [each for each in self._aws.tasks if each.instance is task.instance and each.began > before.began]
            if all(each is task or each.status.value == "FAILED" for each in since):
                self.violate(4, f"{task.id} does what {before.id} has done")
        self._done[key] = task

    def on_started(self, caller: Caller, urn: str | None, instance: Instance) -> None:
        """Note that one of ours has started an instance, and check that its outage was for something."""
        self.on_changed(urn, instance)
        outage = self._outages.pop(instance.id, None)
        if outage is None or outage.is_converted or instance.touched > self._aws.kernel.now - 86400:
            return
        if self._aws.kernel.now >= caller.deadlines.get(urn or "", float("inf")) - 5.0:
            outage.excuses.add("deadline")
        refused = any(each is instance for _, each, _ in self._aws.refused)
        kind = "interrupted" if outage.excuses else "refused" if refused else ""
        moments = self._excused[instance.id, kind]
        moments.append(self._aws.kernel.now)
        within_a_day = [moment for moment in moments if self._aws.kernel.now - moment < 86400]
        if len(within_a_day) > {"interrupted": 9, "refused": 3, "": 0}[kind]:
            self.violate(8, f"{instance.id} was stopped and is started, {kind or 'without a conversion'}")

    def on_interrupted(self, caller: Caller) -> None:
        """Note that a process was interrupted: what it has stopped was stopped for nothing."""
        self.excuse_outages(caller.stack, "interrupted")

    def excuse_outages(self, stack: str, why: str) -> None:
        """Note why a stack's instances may be started again without a conversion."""
        for outage in self._outages.values():
            if outage.urn and f":{stack}::" in outage.urn:
                outage.excuses.add(why)

    def on_changed(self, urn: str | None, instance: Instance) -> None:
        self._changed_by[instance.id] = urn
        self.changed_at[instance.id] = self._aws.kernel.now

    def on_line(self, severity: str, text: str, caller: Caller) -> None:
        """Check a line that the user sees, and note of which instance it tells how it is."""
        # A fleet's plan is a table of several lines.
        plain = text.replace("\n", " ") if severity == "INFO" else text
        if _UNSHOWN.search(plain):
            self.violate(9, f"a line has {text!r}")
        if severity in ("WARNING", "ERROR") and _CHANGES.search(text):
            for name in re.findall(r"i-0[0-9a-f]+", text):
                self.said_at[name] = self._aws.kernel.now

    def is_said(self, instance: Instance) -> bool:
        """Return whether a line has told how an instance is since ours last did something to it."""
        return self.said_at.get(instance.id, float("-inf")) >= self.changed_at.get(instance.id, 0.0)

    # -- at the end ----------------------------------------------------------------------------------------------------

    def at_end(self, known: set[tuple[str, str]]) -> None:
        """Check what a history leaves behind.

        Args:
            known: the resources of all programs and records, present and past, each with its instances.
        """
        for instance in self._aws.instances.values():
            if instance.is_gone:
                continue
            marked = [tag for tag in instance.marks() if tag.by is not None]
            is_off = instance.wanted is not None and instance.state.value != instance.wanted
            if not (marked or is_off) or self.is_said(instance) or instance.id not in self.changed_at:
                continue
            state = f"{instance.state.value}{' and marked' if marked else ''}"
            text = f"{instance.id} is {state}, and was {instance.wanted}"
            if (self._changed_by[instance.id], instance.id) in known:
                self.violate(2, text)
            else:
                self.forgive("no record")
