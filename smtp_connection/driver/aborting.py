"""What becomes of an operation when its signal is aborted, or when it takes too long.

- As long as the server waits for a command, the operation is taken back: it has not begun, or it
  waits for the source of its message or for a token.  The connection goes on.
- A message that has been sent to its end may have been accepted.  The verdict is waited for as long
  as a connection that is closed is (``socketCloseTimeout``), and counts.  If there is none by then,
  the connection is dropped, and the message is in doubt.
- Anything else under way is cut off: the connection is dropped, because nobody could tell what the
  server's next words are about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..abort import AbortSignal, Following, abort_error
from ..errors import SMTPError
from ..protocol.steps import Dialogue
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..reactor.timers import Timer
from .queue import Operation

__all__ = ["Aborting", "AbortingOwner", "Deadline"]


class AbortingOwner(Protocol):
    """Who carries the operation out; all but ``broke`` is called on the reactor's thread."""

    def take_back(self, operation: Operation, error: SMTPError) -> bool:
        """Let ``operation`` end with ``error`` if the server need not be told; return whether that
        is so."""

    @property
    def in_doubt(self) -> bool:
        """Whether a message has been sent to its end, and the verdict is still to come."""

    def cut_off(self, error: SMTPError) -> None:
        """End the connection, because what is under way is given up with ``error``."""

    def broke(self, exc: BaseException) -> None:
        """``exc``, which nobody has foreseen, was raised on the way."""


class _GivingUp:
    """One operation that may have to end before its time."""

    __slots__ = ("_grace", "_operation", "_owner", "_patience", "_reactor")

    def __init__(
        self, operation: Operation | None, reactor: Reactor, owner: AbortingOwner, patience: float
    ) -> None:
        """``patience`` is how long a verdict is waited for, seconds."""
        self._operation = operation
        self._reactor = reactor
        self._owner = owner
        self._patience = patience
        self._grace: Timer | None = None  # for the verdict

    def cancel(self) -> None:
        """The operation has ended: nothing concerns it any more."""
        self._operation = None
        if self._grace is not None:
            self._grace.cancel()

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised on the way."""
        self._owner.broke(exc)

    def _give_up(self, error: SMTPError) -> None:
        operation = self._operation
        if operation is None or self._owner.take_back(operation, error):
            return
        if self._owner.in_doubt:
            self._grace = self._reactor.timer(self._cut_off, error)
            self._grace.start(self._patience)
        else:
            self._owner.cut_off(error)

    @guarded
    def _cut_off(self, error: SMTPError) -> None:
        self._owner.cut_off(error)


class Aborting(_GivingUp):
    """One operation, and the signal that may abort it, until the operation has ended."""

    __slots__ = ("_following", "_signal")

    def __init__(
        self,
        signal: object,
        operation: Operation,
        reactor: Reactor,
        owner: AbortingOwner,
        patience: float,
    ) -> None:
        """Raises ``TypeError`` if ``signal`` is no :class:`AbortSignal`."""
        if not isinstance(signal, AbortSignal):
            instead = "; give its signal" if hasattr(signal, "signal") else ""
            raise TypeError(f"signal takes an AbortSignal; got {type(signal).__name__}{instead}")
        super().__init__(operation, reactor, owner, patience)
        self._signal = signal
        self._following: Following | None = None

    @property
    def error(self) -> SMTPError | None:
        """The error of the operation if the signal is aborted."""
        return abort_error(self._signal.reason) if self._signal.aborted else None

    def begin(self) -> None:
        """Abort the operation, on a later turn, when the signal is aborted, or if it is."""
        operation = self._operation
        assert operation is not None
        operation.aborting = self
        self._following = self._signal.follow(self._noticed, self._reactor)
        if operation.settled:
            self.cancel()  # by the reactor, on another thread

    def cancel(self) -> None:
        """The operation has ended: the signal does not concern it any more."""
        super().cancel()
        if self._following is not None:
            self._following.cancel()

    def _noticed(self) -> None:
        # On any thread, or in a signal handler.
        operation, error = self._operation, self.error
        if operation is not None and error is not None:
            # It may be its turn before that of the call below.  This is of no use if it has begun.
            operation.dialogue = _aborted(error)
        self._reactor.call_soon(self._abort)

    @guarded
    def _abort(self) -> None:
        error = self.error
        if error is not None:
            self._give_up(error)


class Deadline(_GivingUp):
    """``sendTimeout``: how long each message of a connection may take, one after the other."""

    __slots__ = ("_milliseconds", "_timer", "_waiting_for")

    def __init__(
        self,
        milliseconds: float,
        reactor: Reactor,
        owner: AbortingOwner,
        patience: float,
        waiting_for: Callable[[], str],
    ) -> None:
        """``waiting_for()`` is what the error then says was missing."""
        super().__init__(None, reactor, owner, patience)
        self._milliseconds = milliseconds
        self._waiting_for = waiting_for
        self._timer = reactor.timer(self._expired)

    def begin(self, operation: Operation) -> None:
        """It is the turn of ``operation``, a ``send``."""
        self._operation = operation
        self._timer.start(self._milliseconds / 1000)

    def cancel(self) -> None:
        """The message has its outcome."""
        super().cancel()
        self._timer.cancel()

    @guarded
    def _expired(self) -> None:
        text = f"Timeout: the message was not sent in {self._milliseconds:g} ms"
        text += f", waiting for {self._waiting_for()}"
        self._give_up(SMTPError(text, code="ETIMEDOUT", command="CONN"))


def _aborted(error: SMTPError) -> Dialogue[None]:
    """Say nothing, and fail with ``error``."""
    yield from ()
    raise error
