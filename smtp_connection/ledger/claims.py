"""One claim: a message, and those of its recipients that it may be sent to now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import SMTPError
from ..records import SendInfo
from .entries import IN_DOUBT, SENDING, Change, Entry, outcome

__all__ = ["Claim", "Written"]


Written = Callable[[list[bool], Exception | None], object]
Write = Callable[[Sequence[Sequence[Change]], Written], None]


class Claim:
    """What :meth:`Ledger.claim` has found.

    - ``message`` (str): as it was claimed
    - ``recipients`` (list of str): those to send it to now
    - ``attempts`` (dict): how often each of them has been claimed, this time included
    - ``settled`` (list of :class:`Entry`): those that were sent it, or refused it, before
    - ``in_doubt`` (list of :class:`Entry`): those of whom nobody knows, until somebody decides

    Whoever claims the same message again takes it over: before its final dot, this claim fails.
    """

    __slots__ = ("_write", "attempts", "in_doubt", "message", "recipients", "settled")

    def __init__(self, write: Write, message: str, entries: Sequence[Entry]) -> None:
        self._write = write
        self.attempts = {each.recipient: each.attempt for each in entries if each.state == SENDING}
        self.message = message
        self.recipients = list(self.attempts)
        self.settled = [each for each in entries if each.state not in (SENDING, IN_DOUBT)]
        self.in_doubt = [each for each in entries if each.state == IN_DOUBT]

    def before_commit(
        self, envelope: Mapping[str, Any], callback: Callable[[Exception | None], object]
    ) -> None:
        """Write durably that the final dot may have been sent, then call ``callback(None)``.

        It is what ``beforeCommit`` expects.  ``envelope['to']`` has the recipients that the server
        has accepted.  ``callback`` is called on the ledger's thread; it gets :class:`SMTPError`
        (``EABORT``) if the message was claimed anew in the meantime, and the store's own exception
        if it cannot be written.
        """
        # In doubt already: it has been here before, and its connection broke before the dot.
        changes = [self._change(each, (SENDING, IN_DOUBT), IN_DOUBT, "") for each in envelope["to"]]

        def written(made: list[bool], error: Exception | None) -> None:
            if error is None and not all(made):
                error = SMTPError(
                    f"The message {self.message!r} was claimed again: whoever did so sends it",
                    code="EABORT",
                    command="DATA",
                )
            callback(error)

        self._write([changes], written)

    def settle(
        self,
        err: SMTPError | None,
        info: SendInfo | None,
        callback: Callable[[Exception | None], object] | None = None,
    ) -> None:
        """Write what came of the message: ``err`` and ``info`` are what the callback of ``send()``
        got.

        ``callback(None)`` is called when that lasts, ``callback(error)`` with the store's exception
        if it could not be written: then the entry remains as it was, in doubt perhaps.  Either way
        on the ledger's thread.
        """
        groups = [
            [self._change(recipient, (SENDING, IN_DOUBT), state, words)]
            for recipient, (state, words) in outcome(self.recipients, err, info).items()
        ]

        def written(made: list[bool], error: Exception | None) -> None:
            # What was not made concerns whoever has claimed it since.
            if callback is not None:
                callback(error)

        self._write(groups, written)

    def _change(self, recipient: str, before: tuple[str, ...], after: str, response: str) -> Change:
        try:
            attempt = self.attempts[recipient]
        except KeyError:
            raise ValueError(
                f"{recipient!r} is no recipient of this claim, which has {self.recipients}"
            ) from None
        return Change(self.message, recipient, attempt, before, after, response)
