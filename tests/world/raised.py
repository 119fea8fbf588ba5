"""The exceptions that the world raises, and what becomes of them: each surfaces, and only once."""

from __future__ import annotations

from typing import Any

_SLACK = 1e-6  # of deadlines that are sums, seconds
_MOST_TURNS = 12
"""Within these somebody hears of a surprise: other callbacks may raise before, a turn each."""


class Planted(Exception):
    """What a callback of the world raises."""


class Interrupt(BaseException):
    """What the handler of a signal raises, between any two lines of the package."""


class Raised:
    """A list of what was raised and has not surfaced.

    A *surprise* is an exception of a kind that nobody has listed, from the system or from code that
    is part of an operation.  It surfaces, or it is the cause of an error that somebody gets, or
    both; and that at once.
    """

    def __init__(self) -> None:
        self._due: list[BaseException] = []
        self._surprise: BaseException | None = None
        self._surprise_raised = self._surprise_told = False
        self._since = 0.0
        self._last_turn = 0

    def plant(self, exc: BaseException) -> BaseException:
        """Return ``exc``, which is about to be raised, and has to surface."""
        self._due.append(exc)
        return exc

    def surprise(self, exc: BaseException, now: float, turn: int, *, due: bool) -> None:
        """Take note of a surprise; unless it is ``due``, nobody has to hear of it."""
        self._surprise = exc
        self._surprise_told = not due
        self._since, self._last_turn = now, turn + _MOST_TURNS

    @property
    def surprise_was_raised(self) -> bool:
        """Whether the surprise has surfaced, so that the program knows of it."""
        return self._surprise_raised

    def late(self, now: float) -> None:
        """Time has passed in which nothing could happen."""
        self._since = now

    def surfaced(self, exc: BaseException) -> str | None:
        """Return what is wrong with it that ``exc`` surfaces; ``''`` if nothing is, and ``None`` if
        it is not one of these."""
        if exc is self._surprise:
            again, self._surprise_raised = self._surprise_raised, True
            self._taken_place_of(exc.__context__)
            return f"{exc!r} surfaces a second time" if again else ""
        if not isinstance(exc, (Planted, Interrupt)):
            return None
        if exc not in self._due:
            return f"{exc!r} surfaces a second time"
        self._due.remove(exc)
        if isinstance(exc, Interrupt):
            self._taken_place_of(exc.__context__)
        return ""

    def _taken_place_of(self, exc: BaseException | None) -> None:
        """Python keeps only one of two: ``exc`` was on its way."""
        while exc is not None:
            if exc in self._due:
                self._due.remove(exc)
            self._surprise_told = self._surprise_told or exc is self._surprise
            exc = exc.__context__

    def told(self, error: Any) -> None:
        """Somebody gets ``error``."""
        surprise = self._surprise
        if surprise is None or self._surprise_told:
            return
        cause: BaseException | None = error
        while cause is not None and cause is not surprise:
            cause = cause.__cause__
        # The causes of what may quote credentials are not shown, only their names.
        self._surprise_told = cause is surprise or type(surprise).__name__ in str(error)

    def overdue(self, now: float, turn: int) -> str:
        """Return what nobody has heard of at once, in words; ``''`` if there is nothing."""
        if self._surprise is None or self._surprise_told or self._surprise_raised:
            return ""
        if now <= self._since + _SLACK and turn <= self._last_turn:
            return ""
        return f"nobody has heard of {self._surprise!r} at once"

    def never_surfaced(self) -> str:
        """Return what has not surfaced, in words; ``''`` if all has."""
        if self._due:
            return f"{self._due} never surfaced"
        if self._surprise is None or self._surprise_told or self._surprise_raised:
            return ""
        return f"nobody has ever heard of {self._surprise!r}"
