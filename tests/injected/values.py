"""What is injected, and into what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .world import World

C0 = [chr(code) for code in range(0x20)]
C1 = [chr(code) for code in range(0x80, 0xA0)]
CHARACTERS = [*C0, "\x7f", *C1, "\u2028", "\u2029", "\ud800", "\udfff"]
INJECTED = [*CHARACTERS, "\r\nRSET", "\r\n.\r\n"]
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def injections(sample: str) -> Iterator[tuple[str, str]]:
    """Yield what is injected, and ``sample`` with it at the start, in the middle and at the end."""
    middle = len(sample) // 2
    for what in INJECTED:
        for at in (0, middle, len(sample)):
            yield what, sample[:at] + what + sample[at:]


Put = Callable[["World", str], str]
Essence = Callable[[str], str]


def unchanged(text: str) -> str:
    return text


def nothing(_: str) -> str:
    """(The essence of what is not sent, or only chooses among things that are known.)"""
    return ""


class Value(NamedTuple):
    """One value that can reach a wire.

    - ``key``: where it is given; what stands in parentheses behind that tells its forms apart
    - ``sample``: an example, into which things are injected
    - ``put``: hands it in, and returns what arrives; raises what the caller gets
    - ``called``: how errors call it
    - ``essence``: what of it counts, where blanks, say, do not
    - ``hidden``: errors do not show it, because it may be a secret
    """

    key: str
    sample: str
    put: Put
    called: str
    essence: Essence = unchanged
    hidden: bool = False


def hidden(key: str, sample: str, put: Put, called: str, essence: Essence = unchanged) -> Value:
    """A row for what may be a secret."""
    return Value(key, sample, put, called, essence, hidden=True)
