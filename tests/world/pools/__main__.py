"""Run many schedules: ``python -m tests.world.pools --schedules 100000``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..judge import BrokenInvariant
from ..schedule import virtual_world
from .schedule import run_pool_schedule


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 if an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.world.pools", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--seed", type=int, default=0, help="that of the first (0)")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.seed, arguments.seed + arguments.schedules)
    tally: Counter[Any] = Counter()
    cpu = time.process_time()
    with virtual_world():
        for seed in seeds:
            try:
                run_pool_schedule(seed, tally)
            except BrokenInvariant as broken:
                tell(seed, broken)
                return 1
    cpu = time.process_time() - cpu
    print(f"{len(seeds)} schedules, seeds {seeds[0]} to {seeds[-1]}: no invariant is broken")
    print(f"{cpu:.1f} s of CPU, {cpu / len(seeds) * 1000:.2f} ms for each\n")
    for key in sorted(tally):
        print(f"{tally[key]:8}  {key}")
    return 0


def tell(seed: int, broken: BrokenInvariant) -> None:
    """Run the schedule of ``seed`` again, and print what happens in it."""
    history: list[str] = []
    again: BrokenInvariant | None = None
    try:
        run_pool_schedule(seed, history=history)
    except BrokenInvariant as exc:
        again = exc
    print("\n".join(history))
    print(f"\nSeed {seed} breaks an invariant: {broken}")
    if str(again) != str(broken):
        print(f"The second time it is another one, so the world is not deterministic: {again}")
    print(f"To see it again: python -m tests.world.pools --seed {seed} --schedules 1")


if __name__ == "__main__":
    sys.exit(main())
