"""What a pool does after an error: one table, and nothing else decides.

The table is :data:`TABLE`.  Its rows are tried in order, and the first that fits counts.  It looks
at three things alone: how far the connection had come (:class:`Stage`), what the error says, and
whether the message could be read once more.

A message that is *settled* is over: its callback gets the error.  One that goes *again* was not
accepted by anybody, which is certain: either the server has refused it for now, or it had not got
the last byte of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import SMTPError

__all__ = ["TABLE", "Row", "Stage", "Verdict", "again_after", "verdict_on"]


class Stage:
    """How far a connection had come when it failed."""

    OPENING = "opening"  # from the name look-up to the end of the greeting, EHLO and STARTTLS
    LOGIN = "login"
    MESSAGE = "message"


class Verdict(NamedTuple):
    """What follows from an error.

    - ``again`` (bool): the message is sent again, on another connection; otherwise it is settled
      with the error.  Without a message: the pool tries to connect again, after a while
    - ``all_fail`` (bool): so is all that is queued: each other message would fail the same way
    - ``leave`` (bool): the connection says QUIT, if it is still there; otherwise it stays, after
      RSET
    - ``lower`` (bool): the server has too many connections: the ceiling is halved
    - ``pause`` (bool): the server gets too many messages: the limiter lets nobody begin for a while
    """

    again: bool = False
    all_fail: bool = False
    leave: bool = True
    lower: bool = False
    pause: bool = False


class Row(NamedTuple):
    """One line of the table: when it applies, and what follows."""

    what: str
    stage: str
    applies: Callable[[SMTPError], bool]
    verdict: Verdict


def _has_code(*codes: int) -> Callable[[SMTPError], bool]:
    return lambda error: error.responseCode in codes


def _in_doubt(error: SMTPError) -> bool:
    return error.inDoubt


def _refused(error: SMTPError) -> bool:
    """The server has said no, or this side has before it asked."""
    return error.permanent or 400 <= (error.responseCode or 0) < 600


def _aborted(error: SMTPError) -> bool:
    return error.code == "EABORT"


def _source_failed(error: SMTPError) -> bool:
    return error.code == "ESTREAM"


def _refused_at_the_greeting(error: SMTPError) -> bool:
    return error.command == "CONN" and 400 <= (error.responseCode or 0) < 600


def _never_opens(error: SMTPError) -> bool:
    """A certificate that cannot be verified, STARTTLS that is missing, EHLO refused for good."""
    return error.permanent or (error.code == "ETLS" and error.responseCode is None)


def _refused_for_good(error: SMTPError) -> bool:
    """The server has said 5xx to AUTH, or nothing was sent, because there is no way to log in."""
    return error.permanent or (error.code, error.command) == ("EAUTH", "API")


def _always(error: SMTPError) -> bool:
    return True


_SETTLED = Verdict()
_KEEPS_CONNECTION = Verdict(leave=False)
_AGAIN = Verdict(again=True)
_FEWER_CONNECTIONS = Verdict(again=True, lower=True)
_SLOWER = Verdict(again=True, leave=False, pause=True)
_HOPELESS = Verdict(all_fail=True)

# 432 is what Exchange says to one connection too many, at any command.
_TOO_MANY = _has_code(421, 432)
_THROTTLED = _has_code(454)

TABLE = (
    # 421 stands first: a server that has too many connections may say so at any time.
    Row("too many connections", Stage.OPENING, _TOO_MANY, _FEWER_CONNECTIONS),
    Row("refused at the greeting", Stage.OPENING, _refused_at_the_greeting, _FEWER_CONNECTIONS),
    Row("cannot be opened", Stage.OPENING, _never_opens, _HOPELESS),
    Row("not opened", Stage.OPENING, _always, _AGAIN),
    Row("too many connections", Stage.LOGIN, _TOO_MANY, _FEWER_CONNECTIONS),
    Row("login refused", Stage.LOGIN, _refused_for_good, _HOPELESS),
    Row("login refused for now", Stage.LOGIN, _always, _AGAIN),
    # A message in doubt is never sent again, whatever else is true.
    Row("in doubt", Stage.MESSAGE, _in_doubt, _SETTLED),
    Row("aborted", Stage.MESSAGE, _aborted, _KEEPS_CONNECTION),
    Row("too many connections", Stage.MESSAGE, _TOO_MANY, _FEWER_CONNECTIONS),
    Row("throttled", Stage.MESSAGE, _THROTTLED, _SLOWER),
    Row("refused", Stage.MESSAGE, _refused, _KEEPS_CONNECTION),
    Row("source failed", Stage.MESSAGE, _source_failed, _KEEPS_CONNECTION),
    Row("dropped", Stage.MESSAGE, _always, _AGAIN),
)
"""What a pool does after which error."""


def row_for(error: SMTPError, stage: str) -> Row:
    """Return the row of the table that ``error`` falls under."""
    return next(row for row in TABLE if row.stage == stage and row.applies(error))


def verdict_on(error: SMTPError, stage: str, replayable: bool = True) -> Verdict:
    """Return what to do after ``error``; ``replayable``: the message can be read once more."""
    verdict = row_for(error, stage).verdict
    return verdict if replayable else verdict._replace(again=False)


# Seconds: after the first failure, and at most.
_SHORTEST = 0.05
_LONGEST = 2.0


def again_after(attempts: int, most: int) -> float | None:
    """Return after how many seconds to try again what has been tried again ``attempts`` times;
    ``None`` if that was often enough, which is ``most`` times (-1: never)."""
    if 0 <= most <= attempts:
        return None
    return float(min(_SHORTEST * 2 ** min(attempts, 10), _LONGEST))
