"""What a connection is asked to do: one dialogue after another, and who waits for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..callbacks import Arguments, arguments_taken
from ..errors import SMTPError
from ..message.message import Message
from ..protocol.steps import Dialogue
from ..reactor.loop import Reactor

__all__ = ["Operation", "Quit"]


class Operation:
    """A dialogue in the queue, and who wants to know how it ends."""

    __slots__ = ("callback", "dialogue", "message", "takes")

    def __init__(self, callback: Callable[..., object] | None) -> None:
        """Raises ``TypeError`` for a ``callback`` that cannot be called."""
        self.callback = callback
        self.takes: Arguments | None = None if callback is None else arguments_taken(callback)
        self.dialogue: Dialogue[Any] | None = None
        self.message: Message | None = None

    def settle(self, reactor: Reactor, error: SMTPError | None, value: Any = None) -> bool:
        """Let the callback know, on a later turn; return whether there is one."""
        if self.message is not None and not self.message.whole:
            # Not at once: it may be the source itself, a generator say, that calls close().
            reactor.call_soon(self.message.close)
        if self.callback is None or self.takes is None:
            return False
        reactor.call_soon(self.callback, *self.takes.fit(error, value))
        return True


class Quit(Operation):
    """The last one: it has no callback, and what comes after it is not carried out."""

    __slots__ = ()
