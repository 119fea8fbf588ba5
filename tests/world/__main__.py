"""Run many schedules: ``python -m tests.world --schedules 100000``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .judge import BrokenInvariant
from .schedule import run_schedule, virtual_world


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 if an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--seed", type=int, default=0, help="that of the first (0)")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.seed, arguments.seed + arguments.schedules)
    tally: Counter[Any] = Counter()
    started, cpu = time.monotonic(), time.process_time()
    with virtual_world():
        for seed in seeds:
            try:
                run_schedule(seed, tally)
            except BrokenInvariant as broken:
                tell(seed, broken)
                return 1
    elapsed, cpu = time.monotonic() - started, time.process_time() - cpu
    print(f"{len(seeds)} schedules, seeds {seeds[0]} to {seeds[-1]}: no invariant is broken")
    print(f"{elapsed:.1f} s, {cpu:.1f} s of CPU, {cpu / len(seeds) * 1000:.2f} ms for each\n")
    show(tally)
    return 0


def tell(seed: int, broken: BrokenInvariant) -> None:
    """Run the schedule of ``seed`` again, and print what happens in it."""
    history: list[str] = []
    again: BrokenInvariant | None = None
    try:
        run_schedule(seed, history=history)
    except BrokenInvariant as exc:
        again = exc
    print("\n".join(history))
    print(f"\nSeed {seed} breaks an invariant: {broken}")
    if str(again) != str(broken):
        print(f"The second time it is another one, so the world is not deterministic: {again}")
    print(f"To see it again: python -m tests.world --seed {seed} --schedules 1")


def show(tally: Counter[Any]) -> None:
    """Print how often what has happened."""
    tricks = {key: count for key, count in tally.items() if isinstance(key, tuple)}
    actions = sorted({action for _, action in tricks})
    print(f"{'done from within':20}" + "".join(f"{action:>10}" for action in actions))
    for hook in sorted({hook for hook, _ in tricks}):
        counts = "".join(f"{tricks.get((hook, action), 0):10}" for action in actions)
        print(f"{hook:20}{counts}")
    print()
    for key in sorted(key for key in tally if isinstance(key, str)):
        print(f"{tally[key]:8}  {key}")


if __name__ == "__main__":
    sys.exit(main())
