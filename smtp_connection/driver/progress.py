"""How much of a large message the system has taken, for the listeners of ``'progress'``."""

from __future__ import annotations

from collections.abc import Callable

from ..message.message import Message
from ..records import Record

__all__ = ["LARGE", "Progress", "follower"]

LARGE = 256 * 1024
"""Messages of no more bytes than that on the wire are over before anybody could look."""


class Progress(Record):
    """How far a message has come: the argument of the ``'progress'`` event.

    - ``sent`` (int): bytes of it on the wire that the system has taken
    - ``total`` (int or None): bytes that it takes on the wire, the final dot included, if all of it
      was there at the beginning
    """

    __slots__ = ("sent", "total")

    def __init__(self, sent: int, total: int | None) -> None:
        self.sent = sent
        self.total = total


def follower(message: Message, emit: Callable[[Progress], object]) -> Callable[[int], None] | None:
    """Return what to call with the bytes of ``message`` that have been sent, whenever there are
    more; ``None`` if it is known to take no more than :data:`LARGE`.

    It calls ``emit``; where the size is not known, only beyond :data:`LARGE`.
    """
    total = message.wire_size()
    if total is not None and total <= LARGE:
        return None
    told = LARGE if total is None else 0

    def sent_so_far(sent: int) -> None:
        nonlocal told
        if sent > told:
            told = sent
            emit(Progress(sent, total))

    return sent_so_far
