"""One operation's steps: what the engine does with each resource, in which order, and what it records."""

from __future__ import annotations

import graphlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pulumi

from .events import EventLog, Step
from .properties import UNKNOWN, PropertyMap, make_secret, to_plain
from .provider import Diff, InitFailedError, Provider, inputs_differ
from .state import ResourceState, StackState

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Goal:
    """A resource as the program wants it."""

    urn: str
    type: str
    custom: bool
    inputs: PropertyMap
    parent: str = ""
    dependencies: list[str] = field(default_factory=list)
    id: str = ""
    """The id to read, for a resource that is only read."""
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    secret_outputs: list[str] = field(default_factory=list)

    def to_state(self, inputs: PropertyMap, id_: str, outputs: PropertyMap) -> ResourceState:
        """Return the state of the resource once its step is done."""
        marked = {key: make_secret(value) if key in self.secret_outputs else value for key, value in outputs.items()}
        return ResourceState(
            urn=self.urn,
            type=self.type,
            custom=self.custom,
            id=id_,
            inputs=inputs,
            outputs=marked,
            parent=self.parent,
            dependencies=self.dependencies,
            external=bool(self.id),
        )


@dataclass(frozen=True)
class _Plan:
    op: str
    inputs: PropertyMap
    old: ResourceState | None
    delete_first: bool = False


class Deployment:
    """Takes the stack from its state to the program's goals, or looks how it is, or takes it down.

    Any thread may register a resource; the call returns when its step is done. After a failure, a cancel or a kill no
    step begins any more; those that run are waited for.
    """

    def __init__(
        self,
        state: StackState,
        events: EventLog,
        provider_of: Callable[[str], Provider],
        *,
        preview: bool,
        parallel: int,
    ) -> None:
        self.preview = preview
        self.changes: Counter[str] = Counter()
        self.outputs: PropertyMap = {}
        self.cancelled = False
        self.killed = False
        self.registered: set[str] = set()
        self._state = state
        self._events = events
        self._provider_of = provider_of
        self._parallel = parallel
        self._workers = threading.BoundedSemaphore(parallel)
        # The engine plans one resource at a time: Check and Diff never run beside each other.
        self._planning = threading.Lock()
        self._counting = threading.Lock()

    @property
    def stopping(self) -> bool:
        """Whether no further step may begin."""
        return self.cancelled or self.killed or bool(self._events.errors)

    def register(self, goal: Goal) -> ResourceState:
        """Create the resource, update it, replace it or leave it, and return its new state."""
        with self._planning, self._reported(goal.urn):
            self._refuse_when_stopping()
            provider = self._provider_of(goal.type) if goal.custom else None
            self.registered.add(goal.urn)
            plan = self._plan(goal, provider)
        if provider is None or plan.op == "same":
            self._events.step(Step(plan.op, goal.urn, seconds=0.0))
            # The engine stores the new inputs of an unchanged resource, and keeps its outputs.
            outputs = plan.old.outputs if provider and plan.old else {}
            return self._store(goal.to_state(plan.inputs, plan.old.id if plan.old else "", outputs), plan.op, plan.old)
        with self._step(plan.op, goal.urn):
            old = None if plan.op == "replace" else plan.old
            failed: InitFailedError | None = None
            try:
                new = self._apply(goal, plan, provider)
            except InitFailedError as error:
                failed = error
                # The engine keeps the id and the inputs from before an update that failed.
                id_, inputs = (old.id, old.inputs) if old else (error.id, plan.inputs)
                new = replace(goal.to_state(inputs, id_, error.outputs), init_errors=error.reasons)
            if plan.old and plan.op == "replace" and not plan.delete_first and not self.preview:
                self._mark_for_deletion(plan.old)
            self._store(new, plan.op, old)
            if failed:
                raise failed
            return new

    def read(self, goal: Goal) -> ResourceState:
        """Look up a resource that the stack doesn't manage; also in a preview, when its id is known."""
        with self._step("read", goal.urn):
            looked_up = goal.to_state(goal.inputs, goal.id, goal.inputs)
            id_, outputs = goal.id, PropertyMap()
            if goal.id != UNKNOWN:
                # The inputs stand for the outputs too: that is what the engine has always sent.
                read_id, outputs, _ = self._provider_of(goal.type).read(looked_up)
                id_ = read_id or id_
            self.registered.add(goal.urn)
            old = self._state.find(goal.urn)
            if old and not old.external and old.id != goal.id and not self.preview:
                self._mark_for_deletion(old)
                old = None
            return self._store(goal.to_state(goal.inputs, id_, outputs), "read", old)

    def set_outputs(self, urn: str, outputs: PropertyMap) -> None:
        """Record the outputs of the stack or of a component."""
        if urn == self._events.stack_urn:
            self.outputs = outputs
        state = self._state.find(urn)
        if state and not self.preview and not self.killed:
            state.outputs = outputs
            self._state.save()

    def delete_unregistered(self) -> None:
        """Delete what the program doesn't declare any more, and what has been replaced."""
        self._delete([each for each in self._state.resources if each.delete or each.urn not in self.registered])

    def destroy(self) -> None:
        """Delete everything."""
        self._delete(self._state.resources)

    def refresh(self) -> None:
        """Read every resource and record what is found."""
        self._in_parallel(self._refresh, [each for each in self._state.resources if not each.delete])

    def _plan(self, goal: Goal, provider: Provider | None) -> _Plan:
        old = self._state.find(goal.urn)
        if provider is None:
            changed = old is not None and inputs_differ(old.inputs, goal.inputs)
            return _Plan("create" if old is None else "update" if changed else "same", goal.inputs, old)
        news = dict(goal.inputs)
        if old is None or old.external:
            return _Plan("create", self._check(goal, provider, {}, news), old)
        for name in goal.ignore_changes:
            if name in news and name in old.inputs:
                news[name] = old.inputs[name]
        inputs = self._check(goal, provider, old.inputs, news)
        diff = provider.diff(old, inputs, goal.ignore_changes)
        if not _has_changes(diff, old.inputs, inputs):
            return _Plan("update" if old.init_errors else "same", inputs, old)
        if not diff.replaces:
            return _Plan("update", inputs, old)
        delete_first = diff.delete_before_replace
        if goal.delete_before_replace is not None:
            delete_first = goal.delete_before_replace
        # What the first check carried over from the old resource is not for its replacement.
        return _Plan("replace", self._check(goal, provider, {}, news), old, delete_first)

    def _check(self, goal: Goal, provider: Provider, olds: PropertyMap, news: PropertyMap) -> PropertyMap:
        inputs, failures = provider.check(goal.urn, olds, news)
        name = goal.urn.split("::", 3)[3]
        for property_, reason in failures:
            about = f"property {property_} value {{{inputs.get(property_)}}} has" if property_ else "has"
            separator = ":" if property_ else ""
            self._events.fail(f"{goal.type} resource '{name}'{separator} {about} a problem: {reason}", urn=goal.urn)
        if failures:
            raise _ReportedError
        return inputs

    def _apply(self, goal: Goal, plan: _Plan, provider: Provider) -> ResourceState:
        old = plan.old
        if plan.op == "update" and old:
            if self.preview:
                return goal.to_state(plan.inputs, old.id, plan.inputs)
            outputs = provider.update(old, plan.inputs, goal.ignore_changes)
            return goal.to_state(plan.inputs, old.id, outputs)
        if self.preview:
            return goal.to_state(plan.inputs, "", plan.inputs)
        if old and plan.delete_first:
            provider.delete(old)
            self._state.remove(old)
        id_, outputs = provider.create(goal.urn, plan.inputs)
        if not id_:
            raise RuntimeError(f"plugin for package {goal.type.split(':')[0]!r} returned empty resource.ID from create")
        return goal.to_state(plan.inputs, id_, outputs)

    def _refresh(self, old: ResourceState) -> None:
        if not old.custom:
            self._count("same")
            return
        with self._step("refresh", old.urn):
            provider = self._provider_of(old.type)
            id_, outputs, inputs = provider.read(old)
            if not id_:
                self._count("delete")
                self._state.remove(old)
                return
            new = replace(old, id=id_, outputs=outputs, inputs=old.inputs if inputs is None else inputs, init_errors=[])
            if old.external:
                changed = inputs_differ(old.outputs, outputs)
            else:
                # What would the next update change? The found resource is the old one, the wanted one is new.
                diff = provider.diff(new, old.inputs, [])
                changed = _has_changes(diff, new.inputs, old.inputs)
            self._store(new, "update" if changed else "same", old)

    def _delete(self, resources: list[ResourceState]) -> None:
        """Delete them in reverse order of their dependencies, those that are independent at the same time."""
        graph: graphlib.TopologicalSorter[ResourceState] = graphlib.TopologicalSorter()
        for each in resources:
            graph.add(each)
            for needed in resources:
                if needed is not each and needed.urn in (*each.dependencies, each.parent):
                    graph.add(needed, each)
        graph.prepare()
        while graph.is_active() and not self.stopping:
            ready = graph.get_ready()
            self._in_parallel(self._delete_one, ready)
            graph.done(*ready)

    def _delete_one(self, old: ResourceState) -> None:
        if old.external:
            if not self.preview:
                self._state.remove(old)
            return
        with self._step("delete", old.urn):
            if not self.preview:
                if old.custom:
                    self._provider_of(old.type).delete(old)
                if not self.killed:
                    self._state.remove(old)
            if not old.delete:
                self._count("delete")

    def _store(self, new: ResourceState, op: str, old: ResourceState | None) -> ResourceState:
        if self.killed:
            raise _ReportedError  # an engine that is gone writes nothing
        if not self.preview:
            self._state.put(new, old)
        if not new.init_errors:
            self._count(op)
        return new

    def _mark_for_deletion(self, old: ResourceState) -> None:
        old.delete = True
        self._state.save()

    def _count(self, op: str) -> None:
        with self._counting:
            self.changes[op] += 1

    def _in_parallel(self, function: Callable[[ResourceState], None], resources: Iterable[ResourceState]) -> None:
        def run(state: ResourceState) -> None:
            try:
                function(state)
            except pulumi.RunError:
                return  # reported where it happened

        with ThreadPoolExecutor(self._parallel) as pool:
            list(pool.map(run, resources))

    def _refuse_when_stopping(self) -> None:
        if self.stopping:
            raise _ReportedError

    @contextmanager
    def _step(self, op: str, urn: str) -> Iterator[None]:
        with self._workers:
            with self._reported(urn):
                self._refuse_when_stopping()
            self._events.step(Step(op, urn))
            began = time.monotonic()
            failed = True
            try:
                with self._reported(urn):
                    yield
                failed = False
            finally:
                self._events.step(Step(op, urn, time.monotonic() - began, failed))

    @contextmanager
    def _reported(self, urn: str) -> Iterator[None]:
        """Report any error under the resource, and stop this thread's part of the program."""
        try:
            yield
        except _ReportedError:
            raise pulumi.RunError("Resource monitor has terminated, shutting down") from None
        except Exception as error:
            if not self.killed:
                self._events.fail(_text_of(error), urn=urn)
            raise pulumi.RunError("Resource monitor has terminated, shutting down") from error


class _ReportedError(Exception):
    """The user has been told already, or there is nothing to tell."""


def _has_changes(diff: Diff, old_inputs: PropertyMap, new_inputs: PropertyMap) -> bool:
    return inputs_differ(old_inputs, new_inputs) if diff.changes is None else diff.changes


def _text_of(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        details: Any = error.details()
        return str(details)
    return str(error) or repr(error)


def plain_outputs(outputs: PropertyMap) -> dict[str, Any]:
    """Return the stack's outputs without marks."""
    plain: dict[str, Any] = to_plain(outputs)
    return plain
