"""Guards that can be taken out by name: every rule, and what the facts make of what AWS says."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lmconv_resource.lifecycle.fleet import run
from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.table import FleetInputs, Row
from lmconv_resource.lifecycle.job import RULES, Act, act, rules
from lmconv_resource.lifecycle.job.checks import Wish
from lmconv_resource.lifecycle.job.facts import Facts
from lmconv_resource.marks import REFUSED_TAG, RESTART_TAG, make_value
from lmconv_resource.models import select_newest

Change = Callable[[Facts, Wish], Facts]


def _see_only_the_newest(facts: Facts, _: Wish) -> Facts:
    newest = select_newest(facts.tasks)
    return facts._replace(tasks=() if newest is None else (newest,))


def _take_unknown_words_for_ends(facts: Facts, _: Wish) -> Facts:
    return facts._replace(tasks=tuple(task for task in facts.tasks if task.unknown_status is None))


def _take_every_mark_for_ours(facts: Facts, wish: Wish) -> Facts:
    value = make_value(wish.urn, facts.places[0], facts.wall, facts.wall)
    return facts._replace(tags=tuple(replace(t, value=value) if t.key == RESTART_TAG else t for t in facts.tags))


def _take_copies_for_marks(facts: Facts, _: Wish) -> Facts:
    def rewrite(value: str) -> str:
        parts = value.split(" ")
        return " ".join([*parts[:2], facts.places[0], *parts[3:]]) if len(parts) > 4 else value

    return facts._replace(tags=tuple(replace(tag, value=rewrite(tag.value)) for tag in facts.tags))


def _forget_refusals(facts: Facts, _: Wish) -> Facts:
    return facts._replace(tags=tuple(tag for tag in facts.tags if tag.key != REFUSED_TAG))


def _erase_volumes(facts: Facts, _: Wish) -> Facts:
    kept = facts.problems and tuple(problem for problem in facts.problems if "instance store" not in problem.reason)
    return facts._replace(problems=kept)


def _ignore_hidden_tasks(facts: Facts, _: Wish) -> Facts:
    return facts._replace(hidden_ids=())


def _trust_an_unreadable_list(facts: Facts, _: Wish) -> Facts:
    return facts._replace(list_error=None)


def _take_in_progress_for_a_refusal(facts: Facts, _: Wish) -> Facts:
    error = facts.memory.sent[Act.CREATE].error
    refusal = facts.memory.refusal or (error if "in progress" in str(error).lower() else None)
    return facts._replace(memory=facts.memory._replace(in_progress_at=None, refusal=refusal))


CHANGES: dict[str, Change] = {
    "every task, not the newest alone": _see_only_the_newest,
    "an unknown word is unfinished": _take_unknown_words_for_ends,
    "a mark has an owner": _take_every_mark_for_ours,
    "a mark names its instance": _take_copies_for_marks,
    "refusals are remembered": _forget_refusals,
    "instance store volumes": _erase_volumes,
    "a hidden task may be in progress": _ignore_hidden_tasks,
    "a list that can't be read says nothing": _trust_an_unreadable_list,
    "AWS says that one is in progress": _take_in_progress_for_a_refusal,
}
"""Guards in the facts, and what the facts are without them."""


class _WithoutCanaries(Schedule):
    def __init__(self, going_on: Iterable[Row], waiting: Iterable[Row], limits: FleetInputs) -> None:
        super().__init__(going_on, waiting, replace(limits, canaries=0))


class _WithoutLimit(Schedule):
    def __init__(self, going_on: Iterable[Row], waiting: Iterable[Row], limits: FleetInputs) -> None:
        super().__init__(going_on, waiting, replace(limits, max_concurrent=1000))


class _Reversed(Schedule):
    def __init__(self, going_on: Iterable[Row], waiting: Iterable[Row], limits: FleetInputs) -> None:
        super().__init__(going_on, reversed(list(waiting)), limits)


FLEETS: dict[str, dict[str, Any]] = {
    "a fleet's canaries": {"Schedule": _WithoutCanaries},
    "a fleet's limit": {"Schedule": _WithoutLimit},
    "a fleet's order": {"Schedule": _Reversed},
}
"""Guards of a fleet, and what its operation has instead."""

GROUPS = {"doubt": ("await-certainty", "leave-in-doubt")}
"""Rules that are one guard together."""

DECIDES = {
    **{rule.name: (rule.name,) for rule in RULES},
    **GROUPS,
    "AWS says that one is in progress": ("await-listed",),
    "a list that can't be read says nothing": ("await-aws", "leave-unreadable", *GROUPS["doubt"]),
}
"""Guards, and the rules of which one decides in each history that is another without them."""

READ_ANEW = "the facts are read anew before an act"

GUARDS = (READ_ANEW, *CHANGES, *FLEETS, *GROUPS, *(rule.name for rule in RULES))


@contextmanager
def without(guard: str | None) -> Iterator[set[str]]:
    """Return a context in which the job does without a guard, and in it, the names of the rules that have decided."""
    used: set[str] = set()
    dropped = GROUPS.get(guard or "", (guard,))
    kept = tuple(rule for rule in RULES if rule.name not in dropped)
    change: Change = CHANGES.get(guard or "", lambda facts, _: facts)

    def decide(facts: Facts, wish: Wish) -> rules.Step:
        step = rules.decide(change(facts, wish), wish, kept)
        used.add(step.rule.name)
        return step

    patches: list[tuple[Any, str, Any]] = [
        (act, "decide", decide),
        *((run, name, value) for name, value in FLEETS.get(guard or "", {}).items()),
    ]
    if guard == READ_ANEW:
        patches.append((act, "IRREVERSIBLE", frozenset()))
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    try:
        for module, name, value in patches:
            setattr(module, name, value)
        yield used
    finally:
        for module, name, value in before:
            setattr(module, name, value)
