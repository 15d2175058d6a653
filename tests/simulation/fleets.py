"""What has to hold of a fleet's operation, told by what it has sent and recorded."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simulation.aws import Aws, Instance, Task
from simulation.clients import Caller
from simulation.engine import Stack, Wish

_WORDS = frozenset(["SUCCEEDED", "ALREADY_DONE", "FAILED", "REFUSED", "NOT_BEGUN", "IN_PROGRESS"])


class FleetWatch:
    """Watches one operation on a fleet.

    Args:
        aws: the world.
        wish: the fleet.
        stack: whose it is.
        caller: the process.
    """

    def __init__(self, aws: Aws, wish: Wish, stack: Stack, caller: Caller) -> None:
        self._aws, self._wish, self._caller = aws, wish, caller
        self._began = aws.kernel.now
        self._ids = list(wish.rows)
        self._ended: dict[str, float] = {}
        record, urn = stack.records.get(wish.name), stack.urn(wish.name)
        outputs: Any = record.outputs if record else {"instances": {}}
        self.before: dict[str, Any] = outputs["instances"]
        """What is recorded of each row."""
        self.record = record
        """The record before it."""
        self._going_on = {
            id
            for id in self._ids
            if aws.unfinished(self._get(id)) or self._is_left(self._get(id), urn) or self._has_task(self.before.get(id))
        }

    @staticmethod
    def _is_left(instance: Instance, urn: str) -> bool:
        """Return whether an earlier operation has left a row on its way; one that is only marked is begun anew."""
        return instance.state.value != "running" and any(mark.by == urn for mark in instance.marks())

    @staticmethod
    def _has_task(result: Mapping[str, Any] | None) -> bool:
        """Return whether an earlier operation has begun a row's conversion, and not seen its end."""
        return result is not None and result["outcome"] == "IN_PROGRESS" and bool(result["license_conversion_task_id"])

    def _get(self, id: str) -> Instance:
        return self._aws.instances[id]

    def on_line(self, text: str) -> None:
        name, _, rest = text.partition(": ")
        if name in self._ids and rest.split(" ")[0].rstrip(":") in _WORDS:
            self._ended.setdefault(name, self._aws.kernel.now)

    def violations(self, outputs: Mapping[str, Any] | None, *, is_whole: bool, is_ours: bool) -> Iterator[str]:
        """Return what did not hold.

        Args:
            outputs: what the operation has recorded, None where it could not.
            is_whole: whether nothing has interrupted it.
            is_ours: whether nobody else was at the instances, so that order and canaries can be told.
        """
        acts: dict[str, list[float]] = {}
        for at, what, id in self._caller.acts:
            if id in self._ids and what != "mark":  # which a row may be before it has a slot
                acts.setdefault(id, []).append(at)
        first = {id: times[0] for id, times in acts.items() if id not in self._going_on}
        if is_ours:
            yield from self._check_order(first)
            yield from self._check_canaries(first)
        yield from self._check_limit(acts)
        if outputs is not None:
            yield from self._check_outcomes(outputs, acts, is_whole=is_whole)

    def _beside(self, id: str, others: Iterable[str]) -> list[str]:
        """Return the others that share their account's limit with an instance."""
        return [each for each in others if each != id and self._get(each).account == self._get(id).account]

    def _check_order(self, first: Mapping[str, float]) -> Iterator[str]:
        most = self._wish.inputs["max_concurrent"]
        for at, id in enumerate(self._ids):
            before = [each for each in self._beside(id, self._ids[:at]) if first.get(each, -1.0) > first.get(id, 1e9)]
            if len(before) >= most:
                yield f"{id} is begun before {', '.join(before)}, and {most} at once"

    def _check_canaries(self, first: Mapping[str, float]) -> Iterator[str]:
        count = self._wish.inputs["canaries"]
        begun = [id for id in self._ids if id in first]
        for canary in begun[:count]:
            for id in begun[count:]:
                if not any(
                    task.ended is not None and task.ended <= first[id] and task.status.value == "SUCCEEDED"
                    for task in self._tasks(canary)
                ):
                    yield f"{id} is begun before the canary {canary} SUCCEEDED"

    def _tasks(self, id: str) -> list[Task]:
        tasks = [task for task in self._aws.tasks if task.instance.id == id]
        return [task for task in tasks if task.destination == self._wish.destination(id)]

    def _check_limit(self, acts: Mapping[str, list[float]]) -> Iterator[str]:
        most = self._wish.inputs["max_concurrent"]
        for id, times in acts.items():
            if id in self._going_on:
                continue
            busy = [each for each in self._beside(id, acts) if self._is_busy(each, times[0], acts[each][0])]
            if len(busy) >= most:
                yield f"{id} is begun beside {', '.join(busy)}, and {most} at once"

    def _is_busy(self, id: str, moment: float, since: float) -> bool:
        """Return whether an instance was down, or being converted, by this operation at a moment."""
        instance = self._get(id)
        if moment <= since or self._ended.get(id, moment + 1.0) <= moment or instance.touched >= self._began:
            return False
        is_down = instance.wanted == "running" and instance.state.at(moment) in ("stopping", "stopped")
        tasks = (task for task in self._tasks(id) if task.process is self._caller.process and task.began <= moment)
        return is_down or any(task.ended is None or task.ended > moment for task in tasks)

    def _check_outcomes(
        self, outputs: Mapping[str, Any], acts: Mapping[str, list[float]], *, is_whole: bool
    ) -> Iterator[str]:
        results, inputs = outputs["instances"], self._wish.inputs
        if list(results) != self._ids:
            yield f"the table has {self._ids}, and the record {list(results)}"
        may_stop = not is_whole or inputs["canaries"] or inputs.get("stop_after_failures") or inputs.get("begin_within")
        for id, result in results.items():
            outcome, instance = result["outcome"], self._get(id)
            task = next((each for each in self._aws.tasks if each.id == result["license_conversion_task_id"]), None)
            status = task.status.value if task else None
            if outcome in ("SUCCEEDED", "FAILED") and status != outcome:
                yield f"{id} is {outcome}, and its task is {status}"
            if outcome == "SUCCEEDED" and task and task.destination != self._wish.destination(id):
                yield f"{id} is SUCCEEDED, and its task led to {task.destination}"
            if outcome == "ALREADY_DONE" and not instance.billed.was(self._wish.destination(id), -1e9):
                yield f"{id} is ALREADY_DONE, and was never {self._wish.destination(id)}"
            if outcome == "NOT_BEGUN" and (id in acts or not may_stop):
                yield f"{id} is NOT_BEGUN, {'and was acted on' if id in acts else 'and nothing has stopped the fleet'}"
