"""The errors that a pool itself gives to messages."""

from __future__ import annotations

from ..errors import SMTPError

__all__ = ["lost", "never_sent", "own_copy", "queue_full"]


def own_copy(error: SMTPError) -> SMTPError:
    """Return the error of one of several messages that ``error`` concerns."""
    own = error.copy()
    own.__cause__ = error
    return own


def never_sent(before: SMTPError | None = None) -> SMTPError:
    """Return the error of a message that ``close()`` has kept from being sent; ``before`` is that
    of the last attempt."""
    error = SMTPError("The pool is closed", code="ECONNECTION", command="API")
    error.__cause__ = before
    return error


def queue_full(most: int) -> SMTPError:
    """Return the error of a message for which there is no room."""
    text = f"The queue is full: {most} messages (maxQueued) wait in it"
    return SMTPError(text, code="EMAXLIMIT", command="API")


def lost() -> SMTPError:
    """Return the error of a message of which a connection knew what became of it, and nobody else
    does."""
    text = "The connection ended, and what became of the message was lost in an interrupt"
    error = SMTPError(text, code="ECONNECTION", command="CONN")
    error.inDoubt = True
    return error
