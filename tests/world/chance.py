"""All that is left to chance in a schedule, out of one seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Decides: the same seed decides the same."""

    __slots__ = ("random", "slow")

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random
        self.slow = False
        """Whether something takes so long, or for ever, that a time-out may be due."""

    def happens(self, probability: float) -> bool:
        return self.random() < probability

    def below(self, limit: int) -> int:
        """Return a number from 0 to ``limit - 1``."""
        return int(self.random() * limit)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.random() * len(choices))]

    def delay(self) -> float:
        """Return seconds: mostly none, often a few milliseconds, seldom up to two seconds.

        They are multiples of 1/1024, which floats hold exactly, as are the time-outs of the world:
        so it happens that two things are due at the very same moment.
        """
        roll = self.random()
        if roll < 0.6:
            return 0.0
        if roll < 0.98:
            return int(roll * 4096) % 16 / 1024
        self.slow = True
        return int(roll * 65536) % 2048 / 1024


class Calm(Chance):
    """Lets nothing happen: whole pieces, no delays.  It only picks."""

    __slots__ = ()

    def happens(self, probability: float) -> bool:
        return False

    def delay(self) -> float:
        return 0.0
