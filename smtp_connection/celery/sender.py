"""What one worker process sends with: a reactor on a thread of its own, a pool and a ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from ..errors import SMTPError
from ..ledger import Claim, Ledger
from ..ledger.entries import REFUSED, SENDING, Change
from ..pool.pool import SMTPPool
from ..reactor.loop import Reactor
from ..records import SendInfo
from .outcomes import Outcome, outcome_of

__all__ = ["Sender", "checked"]

_PATIENCE = 30.0  # seconds, for the last QUITs


def checked(messages: object) -> list[dict[str, Any]]:
    """Return the argument of the task: a list of messages, or one of them.

    Raises ``TypeError`` that names what is wrong.
    """
    given = [messages] if isinstance(messages, Mapping) else messages
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise TypeError(f"the task takes a message or a list of messages; got {messages!r}")
    for each in given:
        if not isinstance(each, Mapping) or set(each) != {"name", "envelope", "message"}:
            raise TypeError(
                "a message of the task is a dict with 'name', 'envelope' and 'message';"
                f" got {each!r}"
            )
        if not isinstance(each["envelope"], Mapping) or not each["envelope"].get("to"):
            raise TypeError(
                f"the envelope of {each['name']!r} takes a dict with 'from' and 'to';"
                f" got {each['envelope']!r}"
            )
    return [dict(each) for each in given]


class Sender:
    """Sends the messages of tasks.  Belongs to the process that has made it."""

    def __init__(
        self,
        url: str | Mapping[str, Any],
        options: Mapping[str, Any],
        open_ledger: Callable[[], Ledger],
        limiter: Any,
    ) -> None:
        self._reactor = Reactor()
        self._ledger = open_ledger()
        more = dict(options)
        if limiter is not None:
            more["rateLimiter"] = limiter
        self._pool = SMTPPool(url, reactor=self._reactor, **more)
        self._reactor.start()

    def send(self, messages: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Send ``messages`` to whoever has not got them; return what has become of each.

        Blocks until that is written in the ledger.  Raises the exceptions of the ledger's store
        before anything is sent.
        """
        claims = self._ledger.claim_all(
            (each["name"], _recipients(each["envelope"])) for each in messages
        )
        ends = [self._begin(claim, each) for claim, each in zip(claims, messages, strict=True)]
        return [end.result() for end in ends]

    def says_first(self, error: SMTPError) -> bool:
        """Write in the ledger that the login was refused with ``error``; return whether no worker
        that shares it has done so in this hour."""
        hour = time.strftime("%Y-%m-%d %H:00 UTC", time.gmtime())
        claim = self._ledger.claim(f"login at {self._pool.options.host}", [hour])
        if claim.attempts != {hour: 1}:
            return False
        # Refused, or it would count as a message that is still to be sent.
        said = Change(claim.message, hour, 1, (SENDING,), REFUSED, error.message)
        self._ledger.write([[said]], lambda made, failure: None)
        return True

    def _begin(self, claim: Claim, message: Mapping[str, Any]) -> Future[Outcome]:
        end: Future[Outcome] = Future()
        if not claim.recipients:
            end.set_result(outcome_of(claim, None, None))
            return end
        envelope = {
            **message["envelope"],
            "to": claim.recipients,
            "beforeCommit": claim.before_commit,
        }
        self._pool.send(envelope, message["message"], partial(self._sent, claim, end))
        return end

    def _sent(
        self,
        claim: Claim,
        end: Future[Outcome],
        err: SMTPError | None,
        info: SendInfo | None,
    ) -> None:
        def written(error: Exception | None) -> None:
            if error is None:
                end.set_result(outcome_of(claim, err, info))
            else:
                end.set_exception(error)

        claim.settle(err, info, written)

    def close(self) -> None:
        """Send what is queued, end the connections, and close the ledger."""
        over = threading.Event()
        self._pool.close({"drain": True}, over.set)
        over.wait(_PATIENCE)
        self._reactor.stop()
        self._reactor.run()  # what is left: the server's side of connections that are over
        self._reactor.close()
        self._ledger.close()


def _recipients(envelope: Mapping[str, Any]) -> list[str]:
    to = envelope["to"]
    given = [to] if isinstance(to, (str, Mapping)) else list(to)
    return [each["address"] if isinstance(each, Mapping) else each for each in given]
