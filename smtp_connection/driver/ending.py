"""Why a connection ends, and who is told what because of it."""

from __future__ import annotations

from typing import Any

from ..errors import SMTPError
from .queue import Operation, Operations, Quit, connection_error

__all__ = ["CLOSED_HERE", "OVER", "Ending"]

CLOSED_HERE = "Connection closed by close()"


class Ending:
    """Why a connection ends, and what that means for the operations that are not finished.

    - ``error`` (SMTPError): for the operation under way
    - ``text`` (str or None): for the others, where the connection did not fail
    - ``own`` (bool): ``error`` is the failure of one operation alone
    - ``heard`` (bool): somebody hears of it without the listeners of ``'error'``: callbacks do, or
      ``run()`` raises the cause
    - ``opening`` (bool): the session had not been opened
    - ``logged``, ``told`` (bool): the log, and the listeners of ``'error'``, have heard of it

    Its methods may be called again, after an interrupt: an operation that is settled stays so.
    """

    __slots__ = ("_unsent", "error", "heard", "logged", "opening", "own", "text", "told")

    def __init__(
        self,
        error: SMTPError,
        *,
        text: str | None = None,
        own: bool = False,
        heard: bool = False,
    ) -> None:
        self.error = error
        self.text = text
        self.own = own
        self.heard = heard
        self.opening = False
        self.logged = self.told = False
        # What the operations that are not under way get, each as a copy: the server's words, which
        # may be a megabyte, are in the text once.
        if own:
            # It is the failure of one message; the others did not fail, they were not sent.
            unsent = f"Connection closed, because the message before failed: {error}"
            if error.code == "EABORT":
                unsent = "Connection closed, because the operation before was aborted"
            self._unsent = SMTPError(unsent, code="ECONNECTION", command="CONN")
        else:
            self._unsent = error.copy()

    @property
    def failed(self) -> bool:
        """Whether the connection failed, rather than being closed in an orderly way."""
        return self.text is None

    def note_who_hears(self, operations: Operations, error: SMTPError | None) -> None:
        """Take note of whether a callback hears of the failure.

        ``error`` is what the dialogue under way has come to; ``None`` if it has succeeded.
        """
        waiting = _waiting(operations)
        concerned = waiting[:1] if self.own else waiting
        current = operations.current
        self.heard = self.heard or any(
            operation.has_callback
            for operation in concerned
            if operation is not current or error is not None
        )

    def settle(self, operations: Operations, value: Any, error: SMTPError | None) -> None:
        """Settle all ``operations``, of which the dialogue under way has come to ``value`` or
        ``error``."""
        current = operations.current
        if current is None:
            # An outcome that is there may be that of the operation before.
            value, error = None, (error if self.opening else None) or self.error
        under_way = self._under_way(operations)
        for operation in operations.unfinished:
            if isinstance(operation, Quit) or (self.failed and not operation.has_callback):
                operation.settle_silently()  # 'end' or 'error' tells of it
            elif operation is under_way:
                operations.settle(operation, error, value)
            else:
                operations.settle(operation, self._for_others())

    def _under_way(self, operations: Operations) -> Operation | None:
        """Return the operation that ``error`` is for."""
        if operations.current is not None:
            return operations.current
        if self.own:
            return operations.connecting
        if self.failed and not self.opening:
            return None
        # The same one, should an interrupt have it done again: not by what is waiting still.
        unfinished = operations.unfinished
        failing = (one for one in unfinished if not one.settled or one.error is not None)
        return next(failing, None)

    def _for_others(self) -> SMTPError:
        """Return the error for one of the operations that are not under way."""
        error = self.error
        if self.text is not None:
            return connection_error(self.text)
        other = self._unsent.copy()
        if error.inDoubt or (error.permanent and not self.opening):
            # Only the operation under way is in doubt, or refused.
            other.response = other.responseCode = None
            other.inDoubt = False
        other.__cause__ = error
        return other


def _waiting(operations: Operations) -> list[Operation]:
    return [operation for operation in operations.unfinished if not operation.settled]


OVER = Ending(connection_error("The connection is over"), text="")
OVER.logged = OVER.told = True
"""Takes the place of every other reason once all has been told."""
