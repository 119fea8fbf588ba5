"""Checks for the kinds of values that several sets of options share.

A check gets a value, never ``None``, and returns it in the form in which it is kept; it returns
``None`` where the value stands for the option's default.  Of a value that it does not accept it
raises :class:`WrongType` or :class:`WrongValue`; which option it was, :mod:`.table` adds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from ..text import control_in

__all__ = [
    "PEM_BEGIN",
    "Refusal",
    "WrongType",
    "WrongValue",
    "flag",
    "is_instance",
    "line",
    "many",
    "number",
    "one_of",
    "or_default",
    "text",
]

T = TypeVar("T")

PEM_BEGIN = "-----BEGIN"
"""What every block of PEM starts with (RFC 7468 section 2)."""

_UNSAID = object()


class Refusal(Exception):
    """Why a check does not accept a value: the end of a sentence whose subject is the option.

    - ``says``: such as ``"takes a string"``
    - ``culprit``: the value, or the part of it, that is wrong; left out where ``says`` tells enough
    - ``note``: what follows the culprit in the text
    """

    error: type[Exception]
    """What the caller of the package gets instead."""

    def __init__(self, says: str, culprit: object = _UNSAID, note: str = "") -> None:
        super().__init__(says)
        self.says = says
        self.culprit = culprit
        self.note = note

    def text(self, subject: str, show: Callable[[object], str]) -> str:
        """Return the sentence about ``subject``; ``show`` makes text of the culprit."""
        if self.culprit is _UNSAID:
            return f"{subject} {self.says}"
        return f"{subject} {self.says}; got {show(self.culprit)}{self.note}"


class WrongType(Refusal):
    """The value has a type that cannot be meant."""

    error = TypeError


class WrongValue(Refusal):
    """The type is right, but the value cannot be meant."""

    error = ValueError


def flag(value: object) -> bool:
    """Accept ``True`` and ``False``, and nothing that is merely true or false."""
    # Not bool(value): 'false' and 'no' would be true.
    if not isinstance(value, bool):
        raise WrongType("takes True or False", value)
    return value


def text(value: object) -> str | None:
    """Accept a string without control characters; surrounding blanks are dropped, and a string of
    nothing else stands for the default."""
    if not isinstance(value, str):
        raise WrongType("takes a string", value)
    control = control_in(value)
    if control:
        raise WrongValue(f"takes a string without {control!r}", value)
    return value.strip() or None


def line(
    takes: str = "a string without control characters", *, empty: bool = True
) -> Callable[[object], str]:
    """Return a check for a string without control characters that is kept as it is; ``takes``
    names it in error texts, and ``empty`` tells whether it may be empty."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise WrongType(f"takes {takes}", value)
        if control_in(value) or not (value or empty):
            raise WrongValue(f"takes {takes}", value)
        return value

    return check


def one_of(names: Collection[str]) -> Callable[[object], str]:
    """Return a check for one of ``names``, in exactly that spelling."""
    says = "takes one of " + ", ".join(map(repr, names))

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise WrongType(says, value)
        if value not in names:
            raise WrongValue(says, value)
        return value

    return check


def number(takes: str, most: float = sys.float_info.max) -> Callable[[object], float]:
    """Return a check for a number from 0 to ``most``; ``takes`` names it in error texts."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise WrongType(f"takes {takes}", value)
        if not 0 <= value <= most:  # as with NaN
            raise WrongValue(f"takes {takes}", value)
        return value

    return check


def or_default(check: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Return ``check``, but 0 and an empty string stand for the default, as they do in Node."""
    return lambda value: check(value) or None


def many(check: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """Return a check for one value or a list of values, each of which ``check`` accepts."""

    def check_each(value: object) -> tuple[T, ...]:
        values = value if isinstance(value, (list, tuple)) else (value,)
        if not values:
            raise WrongValue("is an empty list; leave it out instead")
        return tuple(check(each) for each in values)

    return check_each


def is_instance(value: object, module: str, name: str) -> bool:
    """Whether ``value`` is an instance of the class ``name`` of ``module``, which is not imported
    for it: a class that nobody has imported has no instances."""
    found = getattr(sys.modules.get(module), name, None)
    return found is not None and isinstance(value, found)
