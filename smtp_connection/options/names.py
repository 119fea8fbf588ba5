"""Names of options, matched as Node programmers and Python programmers spell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["NameTable", "folded"]


def folded(name: str) -> str:
    """Return ``name`` without what does not count: case and underscores."""
    return name.replace("_", "").lower()


class NameTable:
    """The names that a dict may hold, in Node's spelling.

    Case and underscores do not count: ``ignoreTLS``, ``ignore_tls`` and ``ignoretls`` are one name.
    """

    def __init__(
        self,
        what: str,
        names: Iterable[str],
        instead: Mapping[str, str] = {},
        advice: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        """``what`` is what error texts call a name, such as ``'option'``.

        ``instead`` has the names that exist in Node but not in Python, each with the advice that
        its error gives; ``advice`` is asked about the other unknown names, and may have none.
        """
        self._what = what
        self._names = {folded(name): name for name in names}
        self._exact = frozenset(self._names.values())
        self._instead = instead
        self._advice = advice

    def canonical(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of ``given`` under Node's spelling of their names; that is ``given``
        itself if it has no other spellings.

        Raises ``TypeError`` for a name that is unknown, or given twice in two spellings.
        """
        if self._exact.issuperset(given):
            return given
        result: dict[str, Any] = {}
        for name, value in given.items():
            if not isinstance(name, str):
                raise TypeError(f"{self._what} names are strings; got {name!r}")
            known = self._names.get(folded(name))
            if known is None:
                raise TypeError(self._unknown(name))
            if known in result:
                raise TypeError(f"{self._what} {known!r} is given twice, in two spellings")
            result[known] = value
        return result

    def _unknown(self, name: str) -> str:
        for node_name, advice in self._instead.items():
            if folded(node_name) == folded(name):
                return f"{self._what} {node_name!r} does not exist in Python: {advice}"
        text = f"unknown {self._what} {name!r}"
        foreign = self._advice(name)
        if foreign:
            return f"{text}: {foreign}"
        import difflib  # only for this text

        near = difflib.get_close_matches(folded(name), self._names, n=1)
        if near:
            return f"{text}; did you mean {self._names[near[0]]!r}?"
        return f"{text}; known are {', '.join(sorted(self._exact, key=str.lower))}"
