"""One of several processes that want to send the same messages; run by ``test_stores``.

Prints the number of each message for which it has passed the gate.
"""

from __future__ import annotations

import sys
import time

from smtp_connection.ledger.entries import IN_DOUBT, SENDING, Change
from smtp_connection.ledger.ledger import open_store

__all__ = ["MESSAGES", "REFUSED"]

MESSAGES = 60
REFUSED = range(0, MESSAGES, 3)
"""The server refuses these for now, so that they are sent again."""


def _race(place: str, name: str) -> None:
    store = open_store(place)
    for number in range(MESSAGES):
        message = f"{name} {number}"
        ((entry,),) = store.claim([(message, ["a"])], time.time())
        if entry.state != SENDING:
            continue
        gate = Change(message, "a", entry.attempt, (SENDING,), IN_DOUBT, "")
        if store.apply([[gate]], time.time()) == [True]:
            print(number)
            if number in REFUSED:
                back = Change(message, "a", entry.attempt, (IN_DOUBT,), SENDING, "")
                assert store.apply([[back]], time.time()) == [True]
    store.close()


if __name__ == "__main__":
    _race(*sys.argv[1:])
