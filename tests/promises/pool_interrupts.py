"""Pools that are interrupted, as by Ctrl-C, at every line of the package that they run.

``python -m tests.promises.interrupts`` tries these as well as single sessions.  The pool is the
real one, in the simulated world.  After the interrupt the program calls ``close()`` and ``run()``
twice, the first time perhaps with ``drain``.  Then every message has been told how it ended, once;
none was sent twice; none that was sent fails without a doubt; and nothing is left open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from smtp_connection import SMTPPool
from smtp_connection.abort import AbortController
from tests.support.site import DROP, Session, Site, site

from .tracing import Interrupt, Trace, on_a_thread

__all__ = ["POOL_PROGRAMS", "problems_of_pool"]

_TURNS = 3000

Program = Callable[[Site, SMTPPool], None]


def _first(answer: str) -> Callable[[Session], str | None]:
    """Return what says ``answer`` on the first connection alone."""
    return lambda session: answer if session.number == 0 else None


def _dropped(where: Site, pool: SMTPPool) -> None:
    """A login, and several messages over two connections, one of which is dropped."""
    where.answer("MAIL", _first(DROP), times=1)
    where.send(pool, 5)
    pool.close({"drain": True})
    where.run()


def _in_doubt(where: Site, pool: SMTPPool) -> None:
    """A connection is dropped instead of the verdict."""
    where.answer(".", _first(DROP))
    where.send(pool, 3)
    where.run_for(1.0)


def _limited(where: Site, pool: SMTPPool) -> None:
    """Messages that wait for the limiter, one that is refused, and ``close()`` before the last."""
    where.answer("RCPT", "550 no", times=1)
    where.send(pool, 3)
    where.run_for(0.7)
    pool.close()
    where.run()


def _throttled(where: Site, pool: SMTPPool) -> None:
    """The server has enough of connections, and then of messages."""
    where.answer("CONNECT", lambda session: "421 too many" if session.number == 1 else None)
    where.answer("RCPT", "454 slowly", times=1)
    where.send(pool, 4)
    pool.close({"drain": True})
    where.run()


def _refused_login(where: Site, pool: SMTPPool) -> None:
    where.answer("AUTH", "535 no", times=1)
    where.send(pool, 2)
    where.run_for(1.0)
    where.send(pool, 1)
    where.run_for(1.0)


def _aborted(where: Site, pool: SMTPPool) -> None:
    """One message is taken back, and all connections are closed at once in the middle."""
    controller = AbortController()
    where.send(pool, 2)
    where.send(pool, 1, signal=controller.signal)
    controller.abort()
    while not where.commands("DATA"):
        where.reactor.run_once(None)
    pool.close({"force": True})
    where.run()


def _worn(where: Site, pool: SMTPPool) -> None:
    """Connections that end after a message, or because they are idle."""
    where.send(pool, 2)
    where.run_for(2.0)
    where.send(pool, 1)
    where.run_for(2.0)


def _riding(where: Site, pool: SMTPPool) -> None:
    """Envelopes ride behind the messages before, one of which is refused, and one in doubt."""
    where.answer("RCPT", lambda session: "550 no" if len(session.messages) == 2 else None, times=3)
    where.answer(".", lambda session: DROP if len(where.messages) == 6 else None)
    where.send(pool, 8)
    pool.close({"drain": True})
    where.run()


POOL_PROGRAMS: dict[str, tuple[Program, dict[str, Any]]] = {
    "dropped": (_dropped, {"maxConnections": 2, "auth": {"user": "u", "pass": "p"}}),
    "in doubt": (_in_doubt, {"maxConnections": 1}),
    "limited": (_limited, {"maxConnections": 1, "rateLimit": 1, "rateDelta": 250}),
    "throttled": (_throttled, {"maxConnections": 2}),
    "refused login": (_refused_login, {"maxConnections": 2, "auth": {"user": "u", "pass": "p"}}),
    "aborted": (_aborted, {"maxConnections": 2}),
    "riding": (_riding, {"maxConnections": 1}),
    "worn": (_worn, {"maxConnections": 2, "maxMessages": 1, "idleTimeout": 500}),
}


def problems_of_pool(name: str, at: int | None, drain: bool = False) -> tuple[list[str], Trace]:
    """Run a program with an interrupt ``at`` that line; return what is wrong afterwards."""
    return on_a_thread(lambda: _problems_of(name, at, drain))


def _problems_of(name: str, at: int | None, drain: bool) -> tuple[list[str], Trace]:
    program, options = POOL_PROGRAMS[name]
    problems: list[str] = []
    trace = Trace(at)
    try:
        with site() as where:
            pool = where.pool(**options)
            try:
                with trace:
                    program(where, pool)
            except Interrupt:
                pass
            closed: list[None] = []
            for ending in ({"drain": True} if drain else None, None):
                pool.close(ending, lambda: closed.append(None))
                _run(where, problems)
            problems += _judge(where, pool)
            if len(closed) != 2:
                problems.append(f"close() has called back {len(closed)} times of 2")
    except AssertionError as exc:
        problems.append(str(exc))
    return problems, trace


def _run(where: Site, problems: list[str]) -> None:
    for _ in range(_TURNS):
        try:
            if not where.reactor.run_once(None):
                return
        except AssertionError as exc:
            problems.append(f"it hangs: {exc}")
            return
        except Exception as exc:
            problems.append(f"run_once() raises {exc!r}")
    problems.append("it goes on and on")


def _judge(where: Site, pool: SMTPPool) -> list[str]:
    told = [number for number, _ in where.outcomes if number != "error"]
    taken = Counter(message.split()[1] for message in where.messages)
    problems = []
    if len(set(told)) != len(told):
        problems.append(f"told twice: {told}")
    if max(taken.values(), default=0) > 1:
        problems.append(f"sent twice: {taken}")
    for number, error in where.outcomes:
        certain = error is not None and not error.inDoubt
        if number != "error" and certain and taken[str(number)]:
            problems.append(f"message {number} was sent, and fails without doubt: {error!r}")
    missing = set(where.queued) - set(told)
    if missing:
        problems.append(f"never told: {len(missing)}")
    if pool.pendingCount() or any(pool.stats().connections.values()):
        problems.append(f"something is left: {pool.stats()}")
    return problems
