"""A mail server in virtual time, whose replies a test decides, for many connections at once.

It stands on the simulated world, with nothing left to chance: minutes pass in milliseconds, and
what happens is the same each time::

    site.answer("RCPT", "451 later", times=2)
    pool = site.pool(maxConnections=3)
    ...
    site.run()
"""

from __future__ import annotations

import base64
import errno
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from smtp_connection import SMTPPool, createTransport
from smtp_connection.transports.mailer import Mailer
from tests.world.chance import Calm
from tests.world.network import Network, VirtualReactor
from tests.world.schedule import _SOCKET_MODULE, virtual_world
from tests.world.streams import Stream

DROP, RESET, SILENCE = "drop", "reset", "silence"
"""What a server does instead of replying: it closes its side, breaks the connection, or waits."""

_USUAL = {
    "CONNECT": "220 ready",
    "EHLO": "250-site\r\n250-PIPELINING\r\n250 AUTH PLAIN",
    "LHLO": "250-site\r\n250 PIPELINING",
    "AUTH": "235 welcome",
    "MAIL": "250 sender ok",
    "RCPT": "250 recipient ok",
    "DATA": "354 go on",
    "BODY": "",
    ".": "250 queued",
    "RSET": "250 reset",
    "QUIT": "221 bye",
}


class _Delayed(Calm):
    """Whole pieces, each of which takes the same time."""

    latency = 0.0

    def delay(self) -> float:
        return self.latency


class _Judge:
    """What the world wants to tell, and nobody needs to know here."""

    over = close_called = interrupted = False
    history = None

    def __init__(self) -> None:
        self.tally: Counter[Any] = Counter()
        self.open: set[Any] = set()

    def fail(self, text: str) -> NoReturn:
        raise AssertionError(text)

    def opened(self, sock: Any) -> None:
        self.open.add(sock)

    def closed(self, sock: Any, number: int) -> None:
        self.open.discard(sock)

    def progress(self) -> None:
        """(Judge)"""

    def note(self, text: str) -> None:
        """(Judge)"""


class Session:
    """One connection, as the server sees it.

    - ``number`` (int): from 0
    - ``commands`` (list of str): what the client has said, without the content of messages
    - ``messages`` (list of str): what it has sent
    - ``login`` (list of str): user and password
    """

    def __init__(self, site: Site) -> None:
        self.number = len(site.sessions)
        self.commands: list[str] = []
        self.messages: list[str] = []
        self.login: list[str] = []
        self.since = site.now
        self.until: float | None = None
        self._site = site
        self._buffer = b""
        self._in_data = self._has_sender = self._silent = False
        self._recipients = 0
        self.stream = Stream(site.network, self, split=0, short=0)

    def feed(self, data: bytes) -> None:
        """(streams.Server)"""
        self._buffer += data
        while not (self.stream.server_gone or self._silent):
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            text, found, rest = self._buffer.partition(end)
            if not found:
                if self._in_data and self._buffer:
                    self.say("BODY")
                return
            self._buffer = rest
            if self._in_data:
                self._take_message(text.decode())
            else:
                self._take_command(text.decode())

    def _take_command(self, line: str) -> None:
        self.commands.append(line)
        verb = line[:4]
        if verb == "MAIL":
            self._site.begun.append(self._site.now)
        elif verb == "AUTH":
            self.login = base64.b64decode(line.split()[-1]).decode().split("\0")[1:]
        needs = {"RCPT": self._has_sender, "DATA": self._recipients}
        if not needs.get(verb, True):
            self._deliver("503 not now")
            return
        good = self.say(verb).startswith(("2", "3"))
        if verb in ("MAIL", "RSET"):
            self._has_sender, self._recipients = good and verb == "MAIL", 0
        self._recipients += verb == "RCPT" and good
        self._in_data = verb == "DATA" and good
        if verb == "QUIT" and good:
            self._finish()

    def _take_message(self, content: str) -> None:
        self._in_data = False
        self.messages.append(content)
        for _ in range(self._recipients if self.commands[0].startswith("LHLO") else 1):
            self.say(".")

    def say(self, verb: str) -> str:
        """Reply to ``verb``."""
        reply = self._site.reply_to(verb, self)
        if reply == DROP:
            self._finish()
        elif reply == RESET:
            self.until = self._site.now
            self.stream.reset(errno.ECONNRESET)
        elif reply == SILENCE:
            self._silent = True
        elif reply:
            self._deliver(reply)
            if reply.startswith("421") or (verb == "CONNECT" and not reply.startswith("220")):
                self._finish()
        return reply

    def _deliver(self, reply: str) -> None:
        self.stream.deliver(reply.encode() + b"\r\n")

    def _finish(self) -> None:
        if self.until is None:
            self.until = self._site.now
            self.stream.finish()

    def client_closed(self) -> None:
        """(streams.Server)"""
        self._finish()

    def hang_up(self) -> None:
        """Close the server's side."""
        self._finish()


Answer = str | Callable[[Session], str | None]


class Site:
    """The server, the network and the reactor.

    - ``sessions`` (list of Session): everybody who has connected
    - ``begun`` (list of float): when each MAIL has arrived
    - ``accept`` (bool): whether anybody listens
    - ``queued`` (list of int), ``outcomes`` (list of pairs): the messages that ``send`` has given
      to the pool, and the error of each that has an outcome
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        chance = _Delayed(0)
        chance.latency = latency
        self.judge = _Judge()
        self.network = network = Network(chance, self.judge)  # type: ignore[arg-type]
        _SOCKET_MODULE.network = network
        network.dial = lambda: (0 if self.accept else errno.ECONNREFUSED, latency)
        network.accept = self._accept
        self.reactor = VirtualReactor(network)
        self.sessions: list[Session] = []
        self.begun: list[float] = []
        self.accept = True
        self.outcomes: list[tuple[Any, Any]] = []
        self.queued: list[int] = []
        self._answers: dict[str, list[tuple[Answer, int | None]]] = {}

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.network.now

    def _accept(self) -> Session:
        session = Session(self)
        self.sessions.append(session)
        session.say("CONNECT")
        return session

    def answer(self, verb: str, reply: Answer, times: int | None = None) -> None:
        """Say ``reply`` to ``verb`` from now on, or ``times`` times.

        ``CONNECT`` is the greeting, ``.`` the end of a message, and ``BODY`` a part of it.  A
        function is called with the session, and may return ``None`` to have the usual said.
        """
        self._answers.setdefault(verb, []).append((reply, times))

    def reply_to(self, verb: str, session: Session) -> str:
        waiting = self._answers.get(verb, [])
        if waiting:
            reply, times = waiting[0]
            if times == 1:
                waiting.pop(0)
            elif times is not None:
                waiting[0] = reply, times - 1
            found = reply if isinstance(reply, str) else reply(session)
            if found is not None:
                return found
        return _USUAL.get(verb, "500 what?")

    @property
    def open_sessions(self) -> int:
        """How many connections there are."""
        return sum(each.until is None for each in self.sessions)

    @property
    def messages(self) -> list[str]:
        """All messages that came to their end, accepted or not."""
        return [message for session in self.sessions for message in session.messages]

    def commands(self, verb: str) -> list[str]:
        """All commands that begin with ``verb``."""
        return [
            line for session in self.sessions for line in session.commands if line.startswith(verb)
        ]

    # -- the client -------------------------------------------------------------------------------

    def pool(self, **options: Any) -> SMTPPool:
        """Return a pool whose server this is; ``'error'`` is heard."""
        pool = SMTPPool(
            {"host": "127.0.0.1", "name": "c.test", **options},
            reactor=self.reactor,
        )
        pool.on("error", lambda err: self.outcomes.append(("error", err)))
        return pool

    def transport(self, *defaults: Any, **options: Any) -> Mailer:
        """Return a transport whose server this is; ``'error'`` is heard."""
        server = {"host": "127.0.0.1", "name": "c.test"}
        mailer = createTransport({**server, **options}, *defaults, reactor=self.reactor)
        mailer.on("error", lambda err: self.outcomes.append(("error", err)))
        return mailer

    def send(self, pool: SMTPPool, count: int = 1, message: Any = None, **more: Any) -> list[int]:
        """Send ``count`` messages, numbered on; their outcomes go to ``outcomes``."""
        numbers = []
        for _ in range(count):
            number = self._numbered
            self._numbered += 1
            numbers.append(number)
            pool.send(
                {"from": "a@x.org", "to": "b@x.org"},
                f"message {number}" if message is None else message,
                lambda err, info, number=number: self.outcomes.append((number, err)),
                **more,
            )
            self.queued.append(number)
        return numbers

    _numbered = 0

    def errors(self) -> dict[Any, Any]:
        """Return the error of each message that has an outcome, ``None`` for those that were sent;
        each has one outcome."""
        assert len(dict(self.outcomes)) == len(self.outcomes)
        return dict(self.outcomes)

    def run(self) -> None:
        """Let everything happen that can still happen."""
        while self.reactor.run_once(None):
            pass

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        over: list[bool] = []
        self.reactor.call_later(seconds, over.append, True)
        self.run_until(lambda: over)

    def run_until(self, condition: Callable[[], object]) -> None:
        """Run until ``condition()`` holds."""
        while not condition():
            assert self.reactor.run_once(None) or condition(), "it never comes about"


def finish(site: Site, pool: SMTPPool) -> dict[Any, Any]:
    """Let all that is queued be sent, and return the error of each message."""
    pool.close({"drain": True})
    site.run()
    return site.errors()


@contextmanager
def site(**options: Any) -> Iterator[Site]:
    """Return a :class:`Site`, and check at the end that nothing of its client is left."""
    with virtual_world():
        site = Site(**options)
        try:
            yield site
            assert not site.reactor._timers.live, "a timer is still due"
            assert not site.judge.open, "sockets are left open"
            assert not site.reactor._ready, "a callback is still due"
        finally:
            site.reactor.close()
