"""What has become of the messages of one task, and what follows for the task.

============================ =====================================================================
what has become of a message what follows
============================ =====================================================================
accepted                     nothing more: the task is acknowledged
refused for good             ``on_rejected`` is told; the task is acknowledged
in doubt                     ``on_in_doubt`` is told; it is never sent again by itself
refused for now, not sent    the task is sent to the queue again, with the messages that need it
the login was refused        the same, after a longer pause; ``on_login_refused`` is told once
============================ =====================================================================
"""

from __future__ import annotations

import random
from typing import NamedTuple

from ..errors import SMTPError
from ..ledger import Claim
from ..ledger.entries import IN_DOUBT, REFUSED, SENDING, SENT, outcome
from ..records import SendInfo

__all__ = ["Backoff", "Outcome", "outcome_of"]


class Outcome(NamedTuple):
    """What has become of one message.

    - ``name`` (str): the message's
    - ``sent`` (int): how many recipients it is accepted for, now or before
    - ``refused`` (dict): those who are refused for good, and the words for it
    - ``in_doubt`` (list of str): those of whom nobody knows
    - ``again`` (list of str): those to whom it is still to be sent
    - ``error`` (SMTPError or None): why it was not sent to all
    """

    name: str
    sent: int
    refused: dict[str, str]
    in_doubt: list[str]
    again: list[str]
    error: SMTPError | None

    @property
    def login_refused(self) -> bool:
        """Whether the server does not take the password."""
        return bool(self.again) and self.error is not None and self.error.code == "EAUTH"


def outcome_of(claim: Claim, error: SMTPError | None, info: SendInfo | None) -> Outcome:
    """Return what has become of a message; ``error`` and ``info`` are what the callback of
    ``send()`` got, both ``None`` if there was nobody to send it to."""
    found = {each.recipient: (each.state, each.response) for each in claim.settled}
    found.update((each.recipient, (IN_DOUBT, "")) for each in claim.in_doubt)
    if claim.recipients:
        found.update(outcome(claim.recipients, error, info))
    return Outcome(
        claim.message,
        sum(state == SENT for state, _ in found.values()),
        {each: words for each, (state, words) in found.items() if state == REFUSED},
        [each for each, (state, _) in found.items() if state == IN_DOUBT],
        [each for each, (state, _) in found.items() if state == SENDING],
        error,
    )


class Backoff:
    """After how many seconds a task tries again: twice as many each time, with jitter.

    A task that waits is held by a worker, unacknowledged.  Redis hands it to another worker after
    the visibility time-out, so the wait has to be shorter.
    """

    def __init__(self, first: float, most: float, visibility_timeout: float) -> None:
        """``first`` and ``most`` are the shortest and the longest wait."""
        self._first = first
        self._most = min(most, visibility_timeout / 2)

    def wait(self, retries: int, error: SMTPError | None) -> float:
        """Return the seconds to wait after ``retries`` attempts; a server that names a time gets
        it."""
        asked = (error.retryAfter or 0) / 1000 if error is not None else 0
        longest = max(self._first * 2 ** min(retries, 30), asked)
        # Down to three quarters: those that failed together must not come again together.
        return float(min(longest, self._most)) * random.uniform(0.75, 1)
