"""Sessions that are interrupted, as by Ctrl-C, at every line of the package that they run.

``python -m tests.promises.interrupts`` tries every line; the suite takes every few.

An interrupt is an exception that a trace function raises when a line of the package is about to
run, just as the handler of a signal raises one between two instructions.  A program that is
interrupted calls ``close()`` and ``run()`` again, as programs do in a ``finally`` clause.  Then all
has to be over: no callback is missing, none is called twice, ``'end'`` comes once, and nothing is
left open or waited for.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.net import resolver
from tests.support.helpers import open_files

from .pool_interrupts import POOL_PROGRAMS, problems_of_pool
from .tracing import Interrupt, Trace, on_a_thread

ENVELOPE = {"from": "a@x.org", "to": "b@x.org"}
REPLIES = {
    b"EHLO": b"250-mx.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n",
    b"AUTH": b"235 in\r\n",
    b"MAIL": b"250 from\r\n",
    b"RCPT": b"250 to\r\n",
    b"DATA": b"354 go\r\n",
    b".": b"250 taken\r\n",
    b"QUIT": b"221 bye\r\n",
}


class Server:
    """The other end of a socket pair, served from the reactor's own thread between turns."""

    def __init__(self) -> None:
        client_end, self._sock = socket.socketpair()
        self.options: dict[str, Any] = {"connection": client_end}
        self._greet()

    def _say(self, text: bytes) -> None:
        try:
            self._sock.send(text)
        except OSError:
            pass  # it has hung up

    def _greet(self) -> None:
        self._sock.setblocking(False)
        self._say(b"220 mx.test\r\n")
        self._buffer = b""
        self._in_data = False

    def serve(self) -> None:
        """Answer what has arrived."""
        try:
            data = self._sock.recv(65536)
        except OSError:
            return
        if not data:
            self._sock.close()
            return
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\r\n", 1)
            if self._in_data and line != b".":
                continue
            verb = line.split(b" ")[0].upper()
            self._in_data = verb == b"DATA"
            self._say(REPLIES.get(verb, b"500 what?\r\n"))

    def close(self) -> None:
        self._sock.close()
        for sock in self.options.values():
            if isinstance(sock, socket.socket):
                sock.close()


class Named(Server):
    """Listens on the second address of a name, the first of which refuses."""

    def __init__(self) -> None:
        self._refusing, self._listener = socket.socket(), socket.create_server(("127.0.0.1", 0))
        self._refusing.bind(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.options = {"host": "mx.test"}
        self._sock = socket.socket()
        self._accepted = False

    def look_up(self, host: str, *args: Any, **more: Any) -> list[Any]:
        """Take the place of ``getaddrinfo``."""
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", sock.getsockname())
            for sock in (self._refusing, self._listener)
        ]

    def serve(self) -> None:
        if self._accepted:
            super().serve()
            return
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._sock.close()
        self._sock = accepted
        self._accepted = True
        self._greet()

    def close(self) -> None:
        super().close()
        self._listener.close()
        self._refusing.close()


class Own(Named):
    """Is connected to with a socket of the caller's."""

    def __init__(self) -> None:
        super().__init__()
        self.options["socket"] = socket.socket()


class Proxied(Named):
    """Is behind a proxy that has the name."""

    def __init__(self) -> None:
        super().__init__()
        self.options = {"host": "127.0.0.1", "proxy": "http://me:secret@mx.test:8080"}

    def _greet(self) -> None:
        self._sock.setblocking(False)
        self._buffer = b""
        self._asked = False

    def serve(self) -> None:
        if not self._accepted or self._asked:
            super().serve()
            return
        try:
            self._buffer += self._sock.recv(65536)
        except OSError:
            return
        if self._buffer.endswith(b"\r\n\r\n"):
            self._say(b"HTTP/1.1 200 OK\r\n\r\n")
            super()._greet()
            self._asked = True


class AtOnce:
    """Workers whose threads have done their task as soon as it is submitted."""

    def submit(self, task: Callable[[], None]) -> None:
        thread = threading.Thread(target=task)
        thread.start()
        thread.join()

    def withdraw(self, task: Callable[[], None]) -> None:
        """Do nothing: every task has begun."""


class Session:
    """One session, with everything that happens in it."""

    def __init__(self, kind: type[Server]) -> None:
        self.events: list[str] = []
        self.late = 0.0
        self.server = kind()
        self.reactor = Reactor(clock=lambda: self.late)
        options = {**self.server.options, "name": "me", "debug": True}
        limits = {"connectionTimeout": 1e6, "greetingTimeout": 1e6, "socketTimeout": 1e6}
        self.connection = SMTPConnection({**options, **limits}, reactor=self.reactor)
        self.connection.on("end", lambda: self.events.append("end"))
        self.connection.on("error", lambda err: self.events.append("error"))
        self.expected: list[str] = []

    def call(self, name: str, method: Callable[..., object], *args: Any) -> None:
        """Call ``method(*args, callback)``; its callback is due as soon as it has returned."""
        method(*args, lambda err, result=None: self.events.append(name))
        self.expected.append(name)

    def turns(self) -> None:
        """Run the reactor, and serve, until nothing is left; fail if that takes a time-out.

        The ``socketCloseTimeout`` is none: it passes as soon as nothing else happens.
        """
        for turn in range(200):
            self.server.serve()
            # The loopback interface may need a moment.
            if not self.reactor.run_once(0 if type(self.server) is Server else 0.001):
                return
            self.late += 0.1 if turn > 100 else 0
        raise AssertionError("it goes on, or waits for a time-out")


def _whole(session: Session) -> None:
    connection = session.connection
    session.call("connect", connection.connect)
    session.call("login", connection.login, {"user": "u", "pass": "p"})
    for number in range(2):
        session.call(f"send {number}", connection.send, ENVELOPE, f"number {number}")
    connection.quit()
    session.turns()


def _closing(session: Session) -> None:
    connection = session.connection
    session.call("connect", connection.connect)
    session.call("send", connection.send, ENVELOPE, iter(["a", "b"]))
    session.call("reset", connection.reset)
    for _ in range(3):
        session.server.serve()
        session.reactor.run_once(0)
    connection.close()
    session.turns()


def _short(session: Session) -> None:
    session.call("connect", session.connection.connect)
    session.call("reset", session.connection.reset)
    session.connection.quit()
    session.turns()


def _closing_early(session: Session) -> None:
    session.call("connect", session.connection.connect)
    for _ in range(5):
        session.server.serve()
        session.reactor.run_once(0)
    session.connection.close()
    session.turns()


PROGRAMS: dict[str, tuple[type[Server], Callable[[Session], None]]] = {
    "whole": (Server, _whole),
    "closing": (Server, _closing),
    "by name": (Named, _short),
    "by name, closing": (Named, _closing_early),
    "a socket": (Own, _short),
    "a proxy": (Proxied, _short),
    "a proxy, closing": (Proxied, _closing_early),
}
"""What is interrupted: the server, and the calls."""


def problems_of(program: str, at: int | None) -> tuple[list[str], Trace]:
    """Run ``program`` with an interrupt ``at`` that line; return what is wrong afterwards."""
    return on_a_thread(lambda: _problems_of(program, at))


def _problems_of(program: str, at: int | None) -> tuple[list[str], Trace]:
    kind, calls = PROGRAMS[program]
    files = len(open_files())
    session = Session(kind)
    with ExitStack() as patches:
        if isinstance(session.server, Named):
            patches.enter_context(mock.patch.object(resolver, "_workers", AtOnce()))
            patches.enter_context(mock.patch("socket.getaddrinfo", session.server.look_up))
        problems, trace = _interrupted(session, calls, at)
    if len(open_files()) > files:
        problems.append("a descriptor is left")
    return problems, trace


def _interrupted(
    session: Session, calls: Callable[[Session], None], at: int | None
) -> tuple[list[str], Trace]:
    problems: list[str] = []
    threads = threading.active_count()
    trace = Trace(at)
    try:
        with trace:
            calls(session)
    except Interrupt:
        pass
    trace.place = trace.place or "nowhere"
    try:
        for _ in range(2):
            session.connection.close()
            session.turns()
    except BaseException as exc:
        problems.append(f"{type(exc).__name__}: {exc}")
    called = [name for name in session.events if name not in ("end", "error")]
    if len(set(called)) != len(called):
        problems.append(f"called twice: {called}")
    started = "connect" in session.expected or "end" in session.events
    missing = [name for name in session.expected if name not in called]
    if started and missing:
        problems.append(f"never called: {missing}")
    if session.events.count("end") != (1 if started else 0):
        problems.append(f"'end' came {session.events.count('end')} times")
    if "end" in session.events and session.events[-1] != "end":
        problems.append(f"after 'end' came {session.events[-1]}")
    if session.reactor._handles or session.reactor._timers.live:
        problems.append("something is still watched or timed")
    if threading.active_count() != threads:
        problems.append("a thread is left")
    session.server.close()
    try:
        session.reactor.close()
    except RuntimeError as exc:
        problems.append(str(exc))
    return problems, trace


# An interrupt at the very line that calls a callback, or the listeners of 'end', takes its place.
_CALLS = ("(tell)", "(call_on_success)", "(emit_last)")


def took_its_place(problems: list[str], trace: Trace) -> bool:
    """Whether the interrupt only took the place of the one callback that was to be called next."""
    return (
        trace.place.endswith(_CALLS)
        and len(problems) == 1
        and problems[0].startswith(("never called: ['", "never told: 1", "'end' came 0 times"))
        and "," not in problems[0]
    )


def lines_of(program: str) -> int:
    """Return how many lines of the package ``program`` runs."""
    problems, trace = problems_of(program, None)
    assert not problems, problems
    return trace.count


Attempt = Callable[[int | None], tuple[list[str], Trace]]


def pool_attempts() -> dict[str, Attempt]:
    """Return the programs with a pool by name: what runs each with an interrupt at some line."""
    return {
        f"a pool, {name}, then close({'drain' if drain else ''})": partial(
            problems_of_pool, name, drain=drain
        )
        for name in POOL_PROGRAMS
        for drain in (False, True)
    }


def main() -> int:
    """Interrupt every program at every line; print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.interrupts")
    parser.add_argument("--stride", type=int, default=1)
    stride = parser.parse_args().stride
    bad = replaced = lines = 0
    attempts: dict[str, Attempt] = {name: partial(problems_of, name) for name in PROGRAMS}
    for program, attempt in (attempts | pool_attempts()).items():
        count = attempt(None)[1].count
        places: dict[str, list[str]] = {}
        for at in range(0, count, stride):
            problems, trace = attempt(at)
            lines += 1
            if took_its_place(problems, trace):
                replaced += 1
            elif problems:
                bad += 1
                places.setdefault(trace.place, problems)
        print(f"{program}: {count} lines, interrupted at each {stride}.", flush=True)
        for place, problems in places.items():
            print(f"    {place}: {'; '.join(problems)}")
    print(f"{lines} interrupts: {replaced} took the place of the callback at whose line they came.")
    print(f"{bad} sessions with problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
