"""One seed, one history: which instances, programs and faults there are, what happens, and whether it held."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.history import MOST_FAILURES
from lmconv_resource.marks import Mark
from lmconv_resource.models import LicenseContext
from lmconv_resource.usage_operations import unlisted_reason
from simulation.aws import ACCOUNT, BYOL, OTHER_ACCOUNT, SQL_STANDARD, WINDOWS, Aws, Faults, Instance
from simulation.checks import Checks, Violation
from simulation.clients import JOB_CALLS, Caller, Doom, Source
from simulation.engine import FLEET, Run, Stack, Wish
from simulation.fleets import FleetWatch
from simulation.guards import without
from simulation.kernel import EndlessError, Kernel, Process, Thread

_CODES = {BYOL: (WINDOWS, SQL_STANDARD), WINDOWS: (BYOL, SQL_STANDARD)}
_ROUNDS = 4
"""Calm `up`s at the end, at most."""


@dataclass
class Result:
    seed: int
    violations: list[Violation]
    unpreventable: Counter[str]
    steps: int
    calls: int
    hours: float
    notes: list[tuple[float, str]] = field(repr=False, default_factory=list)
    """What happened, and after how many seconds."""
    title: str = ""
    rules: frozenset[str] = frozenset()
    """The names of the rules that have decided something in it."""

    @property
    def lines(self) -> list[str]:
        return [f"{int(at // 3600):3}:{int(at // 60 % 60):02}:{at % 60:04.1f}  {text}" for at, text in self.notes]


class History:
    """Plays one seed.

    Args:
        seed: the seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = random.Random(f"{seed} history")
        self._notes: list[tuple[float, str]] = []
        self._kernel = Kernel(seed, 60_000)
        self._aws = Aws(self._kernel, random.Random(f"{seed} aws"), self._draw_faults(), self._log)
        self._checks = Checks(self._aws)
        self._calls = 0
        self._stacks: list[Stack] = []
        self._open = 0
        self._has_fleets = self._rng.random() < 1 / 6

    def play(self) -> Result:
        self._make_world()
        title = self._to_title()
        try:
            self._kernel.run(self._kernel.spawn(self._live, "history"))
        except EndlessError as endless:
            self._checks.violate(6, f"it does not end: {endless}")
        for bug in self._kernel.bugs:
            self._checks.violate(0, f"{type(bug).__name__}: {bug}")
        violations, unpreventable, hours = self._checks.violations, self._checks.unpreventable, self._kernel.now / 3600
        return Result(self._seed, violations, unpreventable, self._kernel.steps, self._calls, hours, self._notes, title)

    # -- what there is -------------------------------------------------------------------------------------------------

    def _draw_faults(self) -> Faults:
        rng = self._rng

        def draw(share: float, least: float, most: float) -> float:
            return least + (most - least) * rng.random() if rng.random() < share else 0.0

        return Faults(
            drop=draw(0.35, 0.01, 0.2),
            throttle=draw(0.3, 0.02, 0.3),
            fault=draw(0.25, 0.01, 0.15),
            burst=draw(0.15, 0.005, 0.04),
            broken_list=draw(0.15, 0.02, 0.2),
            ec2_lag=draw(0.4, 0.5, 6.0),
            task_lag=draw(0.4, 2.0, 60.0),
            hidden_task=draw(0.2, 0.2, 0.8),
            unknown_word=draw(0.15, 0.3, 1.0),
            unreadable_row=draw(0.1, 1.0, 1.0),
            failing=draw(0.25, 0.1, 0.5),
            refusal=draw(0.12, 0.3, 1.0),
            refused_as_failed=draw(0.5, 0.5, 1.0),
            follower=draw(0.1, 0.3, 1.0),
            bill_late=draw(0.4, 3.0, 25.0),
            bill_wrong=draw(0.08, 0.3, 1.0),
            capacity=draw(0.15, 0.2, 0.6),
            ghost=draw(0.12, 0.1, 0.4),
            undone_stop=draw(0.08, 0.2, 1.0),
            slow_stop=draw(0.08, 0.2, 1.0),
            no_interface_tags=rng.random() < 0.05,
            nasty=rng.random() < 0.15,
        )

    def _make_world(self) -> None:
        rng = self._rng
        count = rng.choice((6, 6, 7, 9)) if self._has_fleets else rng.choice((1, 1, 1, 2, 2, 3, 3, 6))
        for _ in range(count):
            instance = self._aws.launch(
                "running" if rng.random() < 0.75 else "stopped",
                rng.choice((BYOL, WINDOWS)),
                type="m5d.large" if rng.random() < 0.06 else "m5.large",
            )
            instance.refuses = self._aws.chance(self._aws.faults.refusal)
            instance.hates_starts = rng.random() < 0.02
            instance.is_protected = rng.random() < 0.02
            if rng.random() < 0.02:
                instance.group = "asg\u202e" if self._aws.faults.nasty else "asg"
            if rng.random() < 0.05:
                instance.shown_from = self._kernel.now + 3 + 20 * rng.random()
        if self._has_fleets:
            self._share_accounts(random.Random(f"{self._seed} accounts"))
        for name in "ABC"[: rng.choice((1, 1, 1, 2, 2, 3))]:
            self._stacks.append(self._draw_fleet(name) if self._has_fleets else self._draw_stack(name))
        for call in ("DeleteTags", "ListLicenseConversionTasks"):
            if rng.random() < 0.03:
                self._aws.lost_rights[call] = 0.0, float("inf")
        if rng.random() < 0.15:
            for call in rng.sample(JOB_CALLS, rng.choice((1, 1, 2, len(JOB_CALLS)))):
                begin = 1200.0 * rng.random()
                self._aws.lost_rights[call] = begin, begin + 60.0 * 60.0 ** rng.random()

    def _share_accounts(self, rng: random.Random) -> None:
        """Let some instances of a fleet be in another account, which may lose its rights for a while."""
        if rng.random() < 0.5:
            for instance in self._aws.instances.values():
                instance.account = rng.choice((ACCOUNT, OTHER_ACCOUNT))
            if rng.random() < 0.5:
                begin = 1200.0 * rng.random()
                self._aws.lost_account = begin, begin + 60.0 * 60.0 ** rng.random()

    def _draw_stack(self, name: str) -> Stack:
        rng = self._rng
        stack = Stack(name, rng.random() < 0.5, {})
        stops, corrects = rng.random() < 0.9, rng.random() < 0.1
        preflights = rng.random() < 0.3
        timeout = rng.choice((20, 40, 90)) * 60.0 if rng.random() < 0.12 else None
        if rng.random() < 0.02:
            timeout = 45.0
        for instance in self._aws.instances.values():
            if len(self._aws.instances) > 1 and rng.random() < 0.15:
                continue
            choices = _CODES[instance.billed.value]
            has_two = rng.random() < 0.2 and choices[0] == WINDOWS
            steps = (choices[0], SQL_STANDARD) if has_two else (rng.choice(choices),)
            before = None
            for number, code in enumerate(steps, 1):
                resource = f"r{instance.id[3:4]}" + (f"-{number}" if len(steps) > 1 else "")
                options = {"stops": stops, "corrects": corrects and len(steps) == 1, "preflights": preflights}
                wish = Wish(resource, self._draw_inputs(instance, code, **options), before, timeout)
                stack.program[wish.name] = wish
                before = wish.name
        return stack

    def _draw_fleet(self, name: str) -> Stack:
        rng = self._rng
        drawn = [each for each in self._aws.instances.values() if rng.random() < 0.85]
        instances = drawn or [self._aws.instances["i-01aa"]]
        rng.shuffle(instances)
        inputs: dict[str, Any] = {
            "instances": [self._draw_row(each) for each in instances],
            "destination_license_context": {"usage_operation": WINDOWS},
            "stop_and_restart": rng.random() < 0.9,
            "max_concurrent": rng.choice((1, 2, 3, 20)),
            "canaries": rng.choice((0, 0, 1, 2)),
            "fail_on_error": rng.random() < 0.3,
        }
        if rng.random() < 0.2:
            inputs["stop_after_failures"] = rng.choice((1, 2))
        if rng.random() < 0.1:
            inputs["begin_within"] = "20m"
        timeout = rng.choice((40, 90)) * 60.0 if rng.random() < 0.1 else None
        return Stack(name, rng.random() < 0.5, {FLEET: Wish(FLEET, inputs, timeout=timeout)})

    def _draw_row(self, instance: Instance) -> dict[str, Any]:
        code = self._rng.choice(_CODES[instance.billed.value])
        row: dict[str, Any] = {
            "resource_arn": instance.arn,
            "name": instance.id,
            "destination_license_context": {"usage_operation": code},
        }
        if instance.account != ACCOUNT:
            row["assume_role"] = {"role_arn": f"arn:aws:iam::{instance.account}:role/convert"}
        return {**row, "retry_failed": True} if self._rng.random() < 0.1 else row

    def _draw_inputs(self, instance: Instance, code: str, **options: bool) -> dict[str, object]:
        rng = self._rng
        inputs: dict[str, object] = {
            "resource_arn": instance.arn,
            "destination_license_context": {"usage_operation": code},
            "stop_and_restart": options["stops"],
        }
        if rng.random() < 0.2:
            inputs["source_license_context"] = {"usage_operation": instance.billed.value}
        if options["corrects"]:
            inputs["correct_drift"] = True
        if options["preflights"]:
            inputs["preflight"] = True
        if rng.random() < 0.1:
            inputs["ignore_failure"] = True
        if options["stops"] and rng.random() < 0.1:
            inputs["force_stop_after"] = "8m"
        return inputs

    def _to_title(self) -> str:
        faults = [
            f"{each.name} {value:.2f}".replace(" True", "").rstrip("0").rstrip(".")
            for each in fields(Faults)
            if (value := getattr(self._aws.faults, each.name))
        ]
        begin, end = self._aws.lost_account
        faults += [f"nothing in {OTHER_ACCOUNT} from {begin:.0f} to {end:.0f} s"] if end else []
        faults += [f"no {call} from {begin:.0f} to {end:.0f} s" for call, (begin, end) in self._aws.lost_rights.items()]
        stacks = [f"{stack.name} {'native' if stack.is_native else 'dynamic'}" for stack in self._stacks]
        return f"seed {self._seed}: {', '.join(stacks)}; {', '.join(faults) or 'no faults'}"

    # -- what happens --------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        """Let all stacks and somebody else live, then calm down, and check what is left."""
        for stack in self._stacks:
            self._spawn(lambda stack=stack: self._use(stack), stack.name)  # type: ignore[misc]
        if self._rng.random() < 0.35:
            self._spawn(self._meddle, "somebody")
        me = self._kernel.current
        self._waiting = me
        while self._open:
            self._kernel.block()
        self._finish()

    _waiting: Thread | None = None

    def _spawn(self, run: Callable[[], None], name: str) -> None:
        self._open += 1

        def live() -> None:
            try:
                run()
            finally:
                self._open -= 1
                if self._open == 0 and self._waiting is not None:
                    self._kernel.wake(self._waiting)

        self._kernel.spawn(live, name)

    def _meddle(self) -> None:
        rng = self._rng
        for _ in range(rng.choice((1, 2, 4))):
            self._kernel.pause(30.0 * 200.0 ** rng.random())
            what = rng.choice(("stop", "start", "start", "untag", "untag", "convert", "convert", "terminate", "copy"))
            if what == "terminate" and rng.random() < 0.5:
                what = "start"
            marked = [each for each in self._aws.instances.values() if each.marks()]
            among = marked if what == "copy" and marked else list(self._aws.instances.values())
            self._aws.by_somebody(what, rng.choice(among))
            if what == "copy":
                self._adopt(list(self._aws.instances.values())[-1])

    def _adopt(self, copy: Instance) -> None:
        """Take an instance that somebody has launched into a program, beside the one that it is a copy of or for it."""
        stack = self._rng.choice(self._stacks)
        if copy.billed.value not in _CODES:
            return
        name, is_instead = f"r{copy.id[3:4]}", self._rng.random() < 0.5
        owners = [wish for wish in stack.program.values() if copy.copy_of in wish.rows]
        if self._has_fleets:
            self._change_table(stack, lambda table: table.append(self._draw_row(copy)))
            if is_instead:
                self._change_table(stack, lambda table: _drop(table, str(copy.copy_of)))
        elif is_instead:
            for wish in owners:
                stack.program[wish.name] = replace(wish, inputs={**wish.inputs, "resource_arn": copy.arn})
        elif name not in stack.program:
            code = self._rng.choice(_CODES[copy.billed.value])
            inputs = self._draw_inputs(copy, code, stops=True, corrects=False, preflights=False)
            stack.program[name] = Wish(name, inputs)

    @staticmethod
    def _change_table(stack: Stack, change: Callable[[list[dict[str, Any]]], object]) -> None:
        wish = stack.program[FLEET]
        table = [dict(row) for row in wish.inputs["instances"]]
        change(table)
        if table and len({row["name"] for row in table}) == len(table):
            stack.program[FLEET] = replace(wish, inputs={**wish.inputs, "instances": table})

    def _use(self, stack: Stack) -> None:
        rng = self._rng
        self._kernel.pause(rng.random() * (600.0 if len(self._stacks) > 1 else 5.0))
        for number in range(rng.choice((1, 2, 2, 3, 4))):
            if number:
                pause = 13 * 3600.0 if rng.random() < 0.1 else 600.0 * rng.random()
                self._kernel.pause(pause)
                self._change_program(stack)
            command = "up"
            if number and rng.random() < 0.12:
                command = "destroy"
            elif rng.random() < 0.12:
                command = "preview"
            elif number and rng.random() < 0.15:
                command = "refresh"
            self._run(stack, command, self._draw_doom())
            if stack.is_destroyed:
                break

    def _change_program(self, stack: Stack) -> None:
        rng = self._rng
        if rng.random() > 0.15 or not stack.program:
            return
        name = rng.choice(list(stack.program))
        wish = stack.program[name]
        self._log(f"  {stack.name}'s program changes at {name}")
        if wish.is_fleet:
            at, code = rng.randrange(len(wish.rows)), rng.choice((BYOL, WINDOWS, SQL_STANDARD))
            to = {"destination_license_context": {"usage_operation": code}}
            what = rng.choice(("drop", "retry", "change"))
            changes: dict[str, Callable[[list[dict[str, Any]]], object]] = {
                "drop": lambda table: table.pop(at),
                "retry": lambda table: [row.update(retry_failed=True) for row in table],
                "change": lambda table: table[at].update(to),
            }
            self._change_table(stack, changes[what])
            return
        if rng.random() < 0.4:
            for other in [each.name for each in stack.program.values() if each.depends_on == name]:
                del stack.program[other]
            del stack.program[name]
        else:
            code = rng.choice((BYOL, WINDOWS, SQL_STANDARD))
            inputs = {key: value for key, value in wish.inputs.items() if key != "source_license_context"}
            inputs["destination_license_context"] = {"usage_operation": code}
            stack.program[name] = replace(wish, inputs=inputs)

    def _draw_doom(self) -> Doom | None:
        rng = self._rng
        if rng.random() > 0.35:
            return None
        kind = rng.choice(("kill", "kill", "kill", "^C", "^C", "credentials"))
        return Doom(kind, int(2.0 ** (1 + 6.5 * rng.random())), rng.random() < 0.5)

    def _run(self, stack: Stack, command: str, doom: Doom | None = None) -> Run:
        kernel, me = self._kernel, self._kernel.current
        assert me is not None, "only threads run commands"
        stack.ups += 1
        name = f"{stack.name}#{stack.ups}"
        process = Process(name, random.Random(f"{self._seed} {name}"))
        caller = Caller(process, stack.name, doom, is_preview=command == "preview")

        wish = stack.program.get(FLEET)
        watch = FleetWatch(self._aws, wish, stack, caller) if wish and command == "up" else None

        def on_line(severity: str, urn: str | None, text: str) -> None:
            if watch:
                watch.on_line(text)
            self._log(f"{name} {(urn or '').rpartition('::')[2]:8} {severity}: {text}")
            self._checks.on_line(severity, text, caller)

        def open_session(settings: Settings) -> Source:
            return Source(settings, self._aws, self._checks, caller)

        run = Run(kernel, stack, caller, open_session, on_line)
        commands: dict[str, Callable[[], None]] = {
            "up": run.up,
            "preview": lambda: run.up(previews=True),
            "refresh": lambda: run.up(refreshes=True),
            "destroy": run.destroy,
        }
        self._log(f"{name}          `pulumi {command}`")
        touched = {each.id for each in self._aws.instances.values() if each.touched > kernel.now - 1800}
        began, is_over = kernel.now, [False]

        def work() -> None:
            try:
                commands[command]()
            finally:
                is_over[0] = True
                kernel.wake(me)

        kernel.spawn(work, name, process)
        while not is_over[0]:
            kernel.block()
        was_killed = process.is_dead
        kernel.pause(2.0)
        waiting = [] if was_killed else kernel.end(process)
        self._calls += caller.calls
        if was_killed:
            self._log(f"{name}          killed")
        else:
            self._log(f"{name}          {'red' if run.errors else 'green'} after {kernel.now - began:.0f} s")
            self._judge(run, command, waiting, touched, began)
        if watch and wish:
            self._judge_fleet(run, watch, wish, began, was_killed=was_killed)
        if command == "destroy" and not was_killed:
            stack.is_destroyed = True
        return run

    # -- whether it held -----------------------------------------------------------------------------------------------

    def _judge(self, run: Run, command: str, waiting: list[str], touched: set[str], began: float) -> None:
        checks, stack = self._checks, run.stack
        for bug in run.bugs:
            checks.violate(0, f"{type(bug).__name__}: {bug}")
        if waiting:
            checks.violate(6, f"{', '.join(waiting)} still waits")
        for name, seconds, limit in run.longest:
            wish = stack.program.get(name)
            if limit - 5 <= seconds and wish is not None and wish.timeout:
                checks.excuse_outages(stack.name, "deadline")
            if seconds > limit + 900:
                checks.violate(6, f"{name} took {seconds:.0f} s of {limit:.0f}")
        if run.errors:
            self._blame(run, touched, began)
            return
        if command in ("preview", "destroy"):
            return
        for name, wish in stack.program.items():
            is_last = not any(each.depends_on == name for each in stack.program.values())
            if is_last and run.program.get(name) is wish:  # which nobody has changed meanwhile
                for instance in self._instances(wish):
                    self._judge_green(run, wish, instance, began)

    def _judge_green(self, run: Run, wish: Wish, instance: Instance, began: float) -> None:
        checks, caller, stack = self._checks, run.caller, run.stack
        is_hers = self._is_alone(stack, instance) and instance.touched < began
        if instance.is_gone or checks.is_said(instance) or not is_hers:
            return
        state = "stopped" if instance.state.value == "stopping" else instance.state.value  # told by somebody, before
        if state == "pending" and instance.touched > began - 120:
            state = "running"
        if instance.wanted not in (None, state):
            if checks.is_blind(instance):
                checks.forgive("no right to look")
            else:
                checks.violate(3, f"green, and {instance.id} is {instance.state.value}")
        if wish.name not in run.acted or caller.excuses or not self._was_only_ours(instance):
            return
        result: Any = {"outcome": "SUCCEEDED"}
        if wish.is_fleet:
            result = cast("Any", stack.records[wish.name].outputs["instances"])[instance.id]
        if result["outcome"] in ("SUCCEEDED", "ALREADY_DONE") and not self._is_licensed(instance, wish):
            is_blind = self._aws.has_lost_right("DescribeInstances", instance.account, since=0.0)
            if is_blind and not result.get("verified_usage_operation", "recorded"):
                checks.forgive("no right to verify")
            else:
                checks.violate(3, f"green, and {instance.id} is billed as {instance.billed.value}")

    def _instances(self, wish: Wish) -> list[Instance]:
        return [self._aws.instances[id] for id in wish.rows]

    def _is_alone(self, stack: Stack, instance: Instance) -> bool:
        """Return whether no other stack has the instance in its program."""
        others = [other for other in self._stacks if other is not stack]
        return not any(instance.id in {*each.claimed, *each.rows} for each in others)

    def _judge_fleet(self, run: Run, watch: FleetWatch, wish: Wish, began: float, *, was_killed: bool) -> None:
        """Check a fleet's operation: order, limits and outcomes; a row that met only what passes has succeeded."""
        checks, caller, stack = self._checks, run.caller, run.stack
        record = stack.records.get(wish.name)
        outputs: Any = record.outputs if record and record is not watch.record and not was_killed else None
        is_ours = all(self._is_alone(stack, each) and each.touched < began - 1800 for each in self._instances(wish))
        is_whole = not caller.excuses and not any(each == "" for _, each in caller.excused)
        for text in watch.violations(outputs, is_whole=is_whole, is_ours=is_ours):
            checks.violate(12, text)
        for instance in self._instances(wish) if outputs and is_whole else ():
            result = outputs["instances"].get(instance.id, {"outcome": "SUCCEEDED"})
            is_new = result != watch.before.get(instance.id)
            # Not begun, and its early mark could not be removed.
            is_begun = any(act != "mark" and id == instance.id for _, act, id in caller.acts)
            is_marked = result["outcome"] == "IN_PROGRESS" and not is_begun and instance.wanted == instance.state.value
            if is_new and not is_marked and result["outcome"] not in ("SUCCEEDED", "ALREADY_DONE", "NOT_BEGUN"):
                touched = {each.id for each in self._aws.instances.values() if each.touched > began - 1800}
                if not self._excuse(run, wish, instance, touched, began):
                    checks.violate(7, f"{instance.id} met only faults that pass: {result}")
            is_down = instance.wanted == "running" and instance.state.value in ("stopping", "stopped")
            is_acted = any(id == instance.id for _, _, id in caller.acts)
            if is_down and is_acted and not run.errors and instance.touched < began and self._is_alone(stack, instance):
                checks.violate(3, f"a fleet is green, and {instance.id} ran and is down")

    def _blame(self, run: Run, touched: set[str], began: float) -> None:
        for name, text in run.errors:
            wish = run.program.get(name)
            if wish is None or wish.inputs.get("begin_within"):
                continue
            if not any(self._excuse(run, wish, each, touched, began) for each in self._instances(wish)):
                self._checks.violate(7, f"red, and met only faults that pass: {text}")

    def _is_licensed(self, instance: Instance, wish: Wish) -> bool:
        is_ignored = bool(wish.inputs.get("ignore_failure"))
        return is_ignored or instance.billed.value == wish.destination(instance.id) or self._was_warned(instance)

    def _was_warned(self, instance: Instance) -> bool:
        return any("WARNING" in line and instance.id in line for _, line in self._notes)

    def _was_only_ours(self, instance: Instance) -> bool:
        return not any(task.instance is instance and task.process is None for task in self._aws.tasks)

    def _last_urn(self, instance: Instance) -> str | None:
        """Return which resource has converted an instance last: a step that has left the program may have led on."""
        ended = [task for task in self._aws.tasks if task.instance is instance and task.status.value == "SUCCEEDED"]
        return max(ended, key=lambda task: task.began).urn if ended else None

    def _excuse(self, run: Run, wish: Wish, instance: Instance, touched: set[str], began: float) -> str | None:
        """Return why a conversion may have failed, None where it met only what passes."""
        if run.caller.excuses:
            return next(iter(run.caller.excuses))
        stack, excused = run.stack, run.caller.excused
        chain = [stack.urn(each.name) for each in stack.program.values() if instance.id in each.rows]
        if any((urn, id) in excused for urn in chain for id in (instance.id, "")):
            return "refused, or too late"
        if instance.id in touched or instance.touched >= began - 86400:
            return "somebody else"
        if instance.has_store or instance.is_protected or instance.group or instance.refuses or instance.is_gone:
            return "can't be converted"
        if sum(each is instance and at > began - 86400 for at, each, _ in self._aws.refused) >= MOST_FAILURES:
            return "refused each time, for want of a right"
        if instance.hates_starts or not wish.inputs["stop_and_restart"]:
            return "can't be stopped and started"
        if any(task.instance is instance and task.status.value == "FAILED" for task in self._aws.tasks):
            return "FAILED"
        if any(
            tag.by not in (None, stack.urn(wish.name)) and Mark.parse(tag.value, (), None).is_for(instance.id)
            for tag in instance.marks()
        ):
            return "a mark"
        if not self._is_alone(stack, instance):
            return "another stack"
        source: Any = wish.inputs.get("source_license_context")
        if source and source["usage_operation"] != instance.billed.value:
            return "another source"
        pair = LicenseContext(instance.billed.value), LicenseContext(wish.destination(instance.id))
        if unlisted_reason(*pair):
            return "a pair that is not listed"
        before = [task for task in self._aws.tasks if task.instance is instance and task.urn == stack.urn(wish.name)]
        if any(task.destination != wish.destination(instance.id) and not task.has_ended(began) for task in before):
            return "its own to another license"
        faults = self._aws.faults
        return "no way round" if faults.ghost or faults.undone_stop else None

    def _finish(self) -> None:
        """Calm down, run `up` until nothing is left to do, and check what there is then."""
        self._log("  all is calm")
        self._aws.is_calm = True
        self._kernel.pause(30 * 60.0)
        for _ in range(_ROUNDS):
            did = False
            for stack in self._stacks:
                if stack.is_destroyed and not stack.records:
                    continue
                before = dict(self._checks.changed_at)
                self._run(stack, "destroy" if stack.is_destroyed else "up")
                did = did or before != self._checks.changed_at
                self._kernel.pause(120.0)
            if not did:
                break
        known = (stack.recorded | (set() if stack.is_destroyed else stack.resources) for stack in self._stacks)
        self._checks.at_end(set().union(*known))
        self._check_records()

    def _check_records(self) -> None:
        """Check that what is recorded of an instance's license is what it is."""
        for stack in self._stacks:
            for name, record in stack.records.items():
                wish = stack.program.get(name)
                if wish is None or any(each.depends_on == name for each in stack.program.values()):
                    continue
                recorded = Wish(name, dict(record.inputs))  # the program may have another instance by now
                whole = dict.fromkeys(recorded.rows, record.outputs)
                outputs: Any = record.outputs["instances"] if wish.is_fleet else whole
                for instance in self._instances(wish):
                    verified = outputs.get(instance.id, {}).get("verified_usage_operation")
                    is_last = self._last_urn(instance) in (None, stack.urn(name))
                    if verified is None or not (is_last and self._is_alone(stack, instance)):
                        continue
                    if not self._was_only_ours(instance):
                        continue
                    if verified != instance.billed.value and not self._was_warned(instance):
                        text = f"{verified} is recorded of {instance.id}, which is {instance.billed.value}"
                        self._checks.violate(3, text)

    def _log(self, text: str) -> None:
        self._notes.append((self._kernel.now, text))


def _drop(table: list[dict[str, Any]], name: str) -> None:
    table[:] = [row for row in table if row["name"] != name]


def play(seed: int, guard: str | None = None) -> Result:
    """Play one seed, without a guard where one is named, and return what became of it."""
    with without(guard) as rules:
        result = History(seed).play()
    result.rules = frozenset(rules)
    return result
