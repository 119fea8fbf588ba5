"""The ledger: claims, durable changes in groups, and what a person wants to see and to decide."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from ..reactor.threads import Workers
from .claims import Claim, Written
from .entries import IN_DOUBT, REFUSED, SENDING, SENT, STATES, Change, Entry, Store

__all__ = ["Ledger", "open_store"]

_POLICIES = {"ask": None, "resend": SENDING, "drop": REFUSED}
_DECISIONS = {"resend": SENDING, "drop": REFUSED, "sent": SENT}


class Ledger:
    """Keeps who was sent what, so that no message is sent twice, whatever happens to the sender.

    - Before a message is sent, :meth:`claim` it under a name of your own; send it to
      ``claim.recipients`` alone.
    - Give ``claim.before_commit`` as ``beforeCommit``: it writes down, durably, that the message is
      in doubt before the final dot is sent.
    - Call ``claim.settle(err, info)`` in the callback of ``send()``.

    Whoever dies in between leaves an entry that is either still to be sent or in doubt.  What is in
    doubt is not sent again until somebody says so (:meth:`decide`), or a policy does.

    All methods may be called from any thread.  A ledger must be made after ``os.fork()``, not
    before.
    """

    def __init__(
        self,
        place: str | os.PathLike[str] | Store,
        *,
        in_doubt: str = "ask",
    ) -> None:
        """Open the ledger at ``place``, and make it if there is none.

        - ``place``: the path of an SQLite file; a URL ``redis://``, ``rediss://`` or ``unix://``
          (a socket of Redis; extra ``redis``) or ``postgresql://`` (extra ``postgresql``); or a
          :class:`Store` of your own
        - ``in_doubt`` (str): what :meth:`claim` does with recipients that are in doubt: ``'ask'``
          leaves them to :meth:`decide`, ``'resend'`` sends to them once more, perhaps a second
          time, ``'drop'`` takes them as refused

        Raises ``ValueError`` for another policy or URL, ``ModuleNotFoundError`` for a missing
        extra, and the exceptions of the place's own library.
        """
        if in_doubt not in _POLICIES:
            raise ValueError(f"in_doubt takes {_listed(_POLICIES)}; got {in_doubt!r}")
        self._policy = _POLICIES[in_doubt]
        self._store = open_store(place) if isinstance(place, (str, os.PathLike)) else place
        # One thread: what arrives while it writes is written together, in one go.
        self._workers = Workers(limit=1)
        self._writing = threading.Lock()  # held while something is written
        self._lock = threading.Lock()  # guards the next one
        self._waiting: list[tuple[Sequence[Sequence[Change]], Written]] = []

    # -- sending ----------------------------------------------------------------------------------

    def claim(self, message: str, recipients: Iterable[str]) -> Claim:
        """Claim ``message`` for those of ``recipients`` that it has not been sent to.

        ``message`` (str) is its name in this ledger: the same for each attempt, another one for
        each other message (``'invoice 4711'``, a Message-ID).  Blocks for a moment.
        """
        return self.claim_all([(message, recipients)])[0]

    def claim_all(self, wanted: Iterable[tuple[str, Iterable[str]]]) -> list[Claim]:
        """Claim many messages, each with its recipients, at the cost of one."""
        asked = [(_checked("message", name), _all_checked(to)) for name, to in wanted]
        self.flush()  # a verdict that waits to be written counts
        now = time.time()
        found = self._store.claim(asked, now)
        if self._policy is not None:
            doubts = [each for entries in found for each in entries if each.state == IN_DOUBT]
            for entry in doubts:
                self._store.decide(entry.message, entry.recipient, self._policy, now)
            if doubts:
                found = self._store.claim(asked, now)
        return [
            Claim(self.write, name, entries)
            for (name, _), entries in zip(asked, found, strict=True)
        ]

    def write(self, groups: Sequence[Sequence[Change]], callback: Written) -> None:
        """Make the changes of each group, all or none; then call ``callback(made, err)``.

        ``made`` has a bool for each group, and they last.  ``err`` is the store's exception, or
        ``None``.  Called on the ledger's own thread.
        """
        with self._lock:
            self._waiting.append((groups, callback))
            if len(self._waiting) > 1:
                return  # whoever takes the first takes this one as well
        self._workers.submit(self.flush)

    def flush(self) -> None:
        """Write what waits to be written, in one go; blocks until it lasts."""
        with self._writing:
            with self._lock:
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            made: Iterator[bool] = iter(())
            error: Exception | None = None
            try:
                changes = [group for groups, _ in batch for group in groups]
                made = iter(self._store.apply(changes, time.time()))
            except Exception as exc:
                error = exc
            for groups, callback in batch:
                try:
                    callback([] if error is not None else [next(made) for _ in groups], error)
                except Exception:
                    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), None)))

    # -- looking and deciding ---------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Return the number of entries in each state."""
        self.flush()
        found = self._store.counts()
        return {state: found.get(state, 0) for state in STATES}

    def entries(self, state: str | None = None, message: str | None = None) -> Iterator[Entry]:
        """Yield the entries in ``state`` and of ``message``, by default all.

        Raises ``ValueError`` for a state that does not exist.
        """
        if state is not None and state not in STATES:
            raise ValueError(f"state takes {_listed(STATES)}; got {state!r}")
        self.flush()
        return self._store.entries(state, message)

    def decide(self, message: str, recipient: str, decision: str) -> bool:
        """Decide what becomes of an entry that is in doubt; return whether it was.

        ``decision`` (str): ``'sent'``, ``'drop'`` (takes it as refused), or ``'resend'``: the next
        claim sends it once more, and the recipient may get it twice.

        Raises ``ValueError`` for another decision.
        """
        if decision not in _DECISIONS:
            raise ValueError(f"decision takes {_listed(_DECISIONS)}; got {decision!r}")
        return self._store.decide(message, recipient, _DECISIONS[decision], time.time())

    def close(self) -> None:
        """Write what still waits to be written, and let go of the place."""
        self.flush()
        self._workers.release()
        self._store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def open_store(place: str | os.PathLike[str]) -> Store:
    """Open what ``place`` names, see :class:`Ledger`."""
    path = os.fspath(place)
    scheme = path.partition("://")[0] if "://" in path else ""
    if not scheme:
        from .sqlite import SQLiteStore

        return SQLiteStore(path)
    if scheme in ("redis", "rediss", "unix"):
        from .redis import RedisStore

        return RedisStore(path)
    if scheme in ("postgresql", "postgres"):
        from .postgresql import PostgreSQLStore

        return PostgreSQLStore(path)
    raise ValueError(
        "a ledger is the path of a file, or a URL redis://, rediss://, unix:// or postgresql://;"
        f" got {scheme}://"
    )


def _checked(what: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"a {what} in a ledger takes a str that is not empty; got {value!r}")
    return value


def _all_checked(recipients: Iterable[str]) -> list[str]:
    if isinstance(recipients, str):
        recipients = [recipients]
    return list(dict.fromkeys(_checked("recipient", each) for each in recipients))


def _listed(words: Iterable[str]) -> str:
    *most, last = [repr(word) for word in words]
    return f"{', '.join(most)} or {last}"
