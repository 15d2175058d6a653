"""Play seeds: `python -m simulation --seeds 0-3000 -n 2`, from tests/."""

import argparse
import gc
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor

from lmconv_resource.lifecycle.job import RULES
from simulation.checks import INVARIANTS, UNPREVENTABLE
from simulation.guards import DECIDES, GUARDS
from simulation.history import Result, play

sys.setrecursionlimit(3000)

_MOST = 150
"""Histories in which a guard is looked for."""


def _collect_less() -> None:
    """Look less often, and not through what is loaded by now, for what can be freed: a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def _play_range(seeds: range, guard: str | None) -> list[Result]:
    _collect_less()
    results = []
    for seed in seeds:
        result = play(seed, guard)
        result.notes = []
        results.append(result)
    return results


def main() -> int:
    """Play the seeds that the command names, and print what they broke."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", default="0-300", help="from and, after a dash, to: 0-3000; or one, with its log")
    parser.add_argument("-n", type=int, default=2, help="processes side by side")
    parser.add_argument("--lines", type=int, default=0, help="show only the last lines of the log")
    parser.add_argument(
        "--guards", action="store_true", help="take each guard out, and look for the first seed that finds it"
    )
    parser.add_argument("--without", choices=GUARDS, metavar="GUARD", help="take this guard out")
    parser.add_argument("--first", type=int, default=3, help="seeds named for each invariant")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    if not last:
        return _show(play(int(first), given.without), given.lines)
    if given.guards:
        return _try_guards(range(int(first), int(last)), given.n)
    began = time.monotonic()
    seeds = range(int(first), int(last))
    chunks = [seeds[at : at + 50] for at in range(0, len(seeds), 50)]
    results: list[Result] = []
    with ProcessPoolExecutor(given.n) as pool:
        for found in pool.map(_play_range, chunks, [given.without] * len(chunks)):
            results += found
            for result in found:
                if result.violations:
                    print(f"seed {result.seed}: {result.violations[0].text}"[:200], file=sys.stderr, flush=True)
    _summarize(results, time.monotonic() - began, given.first)
    return 1 if any(result.violations for result in results) else 0


def _try_guards(seeds: range, processes: int) -> int:
    print("| taken out | seeds | first that finds it | as |\n|---|---|---|---|")
    missed = 0
    chunks = [seeds[at : at + 50] for at in range(0, len(seeds), 50)]
    with ProcessPoolExecutor(processes) as pool:
        whole = [result for found in pool.map(_play_range, chunks, [None] * len(chunks)) for result in found]
        played = [each for each in whole if not each.violations]
        good = {
            guard: [each.seed for each in played if each.rules.intersection(DECIDES.get(guard, each.rules))][:_MOST]
            for guard in GUARDS
        }
        for guard, row in zip(GUARDS, pool.map(_find_first, good.values(), GUARDS), strict=True):
            missed += row is None
            text = f"{row.seed} | {row.violations[0].text[:90]}" if row else "none | "
            print(f"| {guard} | {len(good[guard])} | {text} |", flush=True)
    return 1 if missed else 0


def _find_first(seeds: list[int], guard: str) -> Result | None:
    """Return the first history that finds that a guard is missing; None where none does."""
    for seed in seeds:
        result = play(seed, guard)
        if result.violations:
            result.notes = []
            return result
    return None


def _show(result: Result, lines: int) -> int:
    print(result.title)
    print(*result.lines[-lines:], sep="\n")
    print(f"{result.steps} hand-overs, {result.calls} calls, {result.hours:.1f} h")
    for violation in result.violations:
        print(f"broken: {violation.invariant} ({INVARIANTS[violation.invariant]}): {violation.text}")
    return 1 if result.violations else 0


def _summarize(results: list[Result], seconds: float, first: int) -> None:
    broken = [result for result in results if result.violations]
    calls, steps = sum(result.calls for result in results), sum(result.steps for result in results)
    speed = len(results) / seconds
    print(f"{len(results)} histories in {seconds:.0f} s ({speed:.1f}/s), {calls} calls, {steps} hand-overs")
    print(f"{len(broken)} broke an invariant")
    seeds: dict[int, list[int]] = defaultdict(list)
    examples: dict[int, str] = {}
    for result in broken:
        for invariant in sorted({violation.invariant for violation in result.violations}):
            seeds[invariant].append(result.seed)
            examples.setdefault(invariant, next(v.text for v in result.violations if v.invariant == invariant))
    for invariant, found in sorted(seeds.items()):
        print(f"{invariant:2} {len(found):6}  {INVARIANTS[invariant]}")
        print(f"            {' '.join(map(str, found[:first]))}: {examples[invariant][:150]}")
    if broken:
        print(f"Play one again: python -m simulation --seeds {broken[0].seed} --lines 60")
    unused = [rule.name for rule in RULES if not any(rule.name in result.rules for result in results)]
    print(f"rules that decide nothing: {', '.join(unused) or 'none'}")
    forgiven: Counter[str] = Counter()
    for result in results:
        forgiven.update(dict.fromkeys(result.unpreventable, 1))
    for name, count in sorted(forgiven.items()):
        print(f"   {count:6}  {name}: {UNPREVENTABLE[name]}")


if __name__ == "__main__":
    sys.exit(main())
