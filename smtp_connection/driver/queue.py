"""What a connection is asked to do, in turn, and who is told how each of it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..callbacks import Arguments, arguments_taken
from ..errors import SMTPError
from ..message.message import Message
from ..protocol.steps import Dialogue
from ..reactor.loop import Reactor

__all__ = ["Operation", "Operations", "Quit", "connection_error"]

NOT_ITS_TURN = "Connection closed before it was this operation's turn"


def connection_error(text: str, response: str | None = None) -> SMTPError:
    """Return the error of an operation that the end of the connection has prevented."""
    return SMTPError(text, code="ECONNECTION", command="API", response=response)


class Operation:
    """A call of ``connect``, ``login``, ``send`` or ``reset``: the callback, and what to do.

    - ``arguments`` (Arguments or None): how many arguments the callback takes
    - ``dialogue`` (Dialogue or None): what to say to the server
    - ``message`` (Message or None): the message of a ``send``
    """

    __slots__ = ("arguments", "callback", "dialogue", "message")

    def __init__(self, callback: Callable[..., object] | None) -> None:
        """Raises ``TypeError`` for a ``callback`` that cannot be called."""
        self.callback = callback
        self.arguments: Arguments | None = None if callback is None else arguments_taken(callback)
        self.dialogue: Dialogue[Any] | None = None
        self.message: Message | None = None

    @property
    def hears_errors(self) -> bool:
        """Whether the callback has a parameter for the error."""
        return self.arguments is not None and self.arguments.most != 0


class Quit(Operation):
    """``quit``: it has no callback, and what comes after it is not carried out."""

    __slots__ = ()


class Operations:
    """The operations of one connection that have not ended yet.

    - ``connecting`` (Operation or None): the ``connect`` whose callback waits for the outcome
    - ``current`` (Operation or None): the one whose dialogue is under way
    """

    __slots__ = ("_queue", "_reactor", "_report", "connecting", "current")

    def __init__(self, reactor: Reactor, report: Callable[[SMTPError], object]) -> None:
        """``report(error)`` is called, on a later turn, for a failure that no callback hears."""
        self._reactor = reactor
        self._report = report
        self._queue: deque[Operation] = deque()
        self.connecting: Operation | None = None
        self.current: Operation | None = None

    def add(self, operation: Operation) -> None:
        """Queue ``operation``; may be called from any thread."""
        self._queue.append(operation)

    def start_next(self) -> Dialogue[Any] | None:
        """Make the first operation of the queue the current one and return its dialogue, ``None``
        if the queue is empty."""
        if not self._queue:
            return None
        self.current = operation = self._queue.popleft()
        return operation.dialogue

    def settle(self, operation: Operation, error: SMTPError | None, value: Any = None) -> None:
        """Call the callback of ``operation`` on a later turn; without one, report ``error``."""
        message = operation.message
        if message is not None and not message.whole:
            # Not at once: it may be the source itself, a generator say, that calls close().
            self._reactor.call_soon(message.close)
        if operation.callback is not None and operation.arguments is not None:
            arguments = operation.arguments.fit(error, value)
            self._reactor.call_soon(operation.callback, *arguments)
        elif error is not None:
            self._reactor.call_soon(self._report, error)

    def refuse(self, operation: Operation, text: str) -> None:
        """Settle ``operation``, which is not carried out, with ``ECONNECTION``."""
        self.settle(operation, connection_error(text))

    @property
    def awaited(self) -> bool:
        """Whether anybody would notice if the connection ended now."""
        unfinished = (self.current, *self._queue)
        return any(one is not None and not isinstance(one, Quit) for one in unfinished)

    def take_all(self) -> list[Operation]:
        """Return the operations whose callbacks are still due, in order, and forget them."""
        first = [one for one in (self.connecting, self.current) if one is not None]
        self.connecting = self.current = None
        return first + self.take_queued()

    def take_queued(self) -> list[Operation]:
        """Return the operations that have not begun, and forget them."""
        # One by one: another thread may be adding to the queue.
        operations = []
        while self._queue:
            operations.append(self._queue.popleft())
        return operations
