"""The entries of a ledger, how they change, and what the outcome of a message makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..errors import SMTPError
from ..records import SendInfo
from ..text import printable

__all__ = [
    "IN_DOUBT",
    "REFUSED",
    "SENDING",
    "SENT",
    "STATES",
    "Change",
    "Entry",
    "Store",
    "outcome",
]

SENDING = "sending"  # not delivered; whoever claims it may send it
IN_DOUBT = "in doubt"  # its final dot may have been sent
SENT = "sent"
REFUSED = "refused"  # for good
STATES = (SENDING, IN_DOUBT, SENT, REFUSED)

# A failure with one of these codes says something about the message.  A wrong password, say, is
# permanent as well, but not the recipient's.
_ABOUT_THE_MESSAGE = {"EENVELOPE", "EMESSAGE", "EREQUIRETLS", "EFILEACCESS", "EURLACCESS"}


class Entry(NamedTuple):
    """What is known about one recipient of one message.

    - ``message``, ``recipient`` (str): as they were claimed
    - ``state`` (str): ``'sending'``, ``'in doubt'``, ``'sent'`` or ``'refused'``
    - ``attempt`` (int): how often it has been claimed
    - ``updated`` (float): when it was written last, in seconds since the epoch
    - ``response`` (str): what the server, or the error, said last; may be empty
    """

    message: str
    recipient: str
    state: str
    attempt: int
    updated: float
    response: str


class Change(NamedTuple):
    """Puts one entry into the state ``after``, if it is in one of ``before`` and nobody has claimed
    it since ``attempt``."""

    message: str
    recipient: str
    attempt: int
    before: tuple[str, ...]
    after: str
    response: str


class Store(Protocol):
    """Where a ledger is kept.  Its methods may be called on any thread, and block.

    They raise the exceptions of whatever library reaches the place.
    """

    def claim(self, wanted: Sequence[tuple[str, Sequence[str]]], now: float) -> list[list[Entry]]:
        """Count an attempt for each (message, recipient) that is new or ``'sending'``; return all
        entries, as they are then."""

    def apply(self, groups: Sequence[Sequence[Change]], now: float) -> list[bool]:
        """Make all changes of a group, or none of them where one is not possible; return for each
        group whether they were made.  They last, whatever happens, when this returns."""

    def decide(self, message: str, recipient: str, state: str, now: float) -> bool:
        """Put an entry that is in doubt into ``state``, as one claimed anew; return whether it was
        in doubt."""

    def entries(self, state: str | None, message: str | None) -> Iterator[Entry]:
        """Yield the entries in that state and of that message; ``None`` means any."""

    def counts(self) -> Mapping[str, int]:
        """Return how many entries there are in each state that occurs."""

    def close(self) -> None:
        """Let go of the place."""


def outcome(
    recipients: Iterable[str], err: SMTPError | None, info: SendInfo | None
) -> dict[str, tuple[str, str]]:
    """Return the state, and the words for it, that ``send()`` has led to for each recipient.

    ``err`` and ``info`` are what its callback got.
    """
    if err is not None:
        told = {each.recipient: _failed(each) for each in err.rejectedErrors or []}
        otherwise = _failed(err)
    elif info is not None:
        told = {each.recipient: _failed(each) for each in info.rejectedErrors}
        told.update((each, (SENT, info.response)) for each in info.accepted)
        otherwise = (IN_DOUBT, "it is not among the recipients that the message was sent to")
    else:
        raise TypeError("the outcome of a message is an error or an info; got None for both")
    return {recipient: told.get(recipient, otherwise) for recipient in recipients}


def _failed(error: SMTPError) -> tuple[str, str]:
    words = printable(error.message)
    if error.inDoubt:
        return IN_DOUBT, words
    refused = error.permanent and error.code in _ABOUT_THE_MESSAGE
    return (REFUSED if refused else SENDING), words
