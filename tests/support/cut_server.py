"""A mail server that stops doing its part after a given number of bytes.

It has no thread: it lives on a reactor, and TLS is done in memory, so that every byte that it sends
passes one gate, which counts and cuts.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

from smtp_connection import Reactor

from .smtp_server import Line, Listener, Session

# What a server does instead of going on.  Garbage is said once, endless data until nobody listens.
HONEST = ("fin", "rst", "silence")
GARBAGE = {
    "garbage:zeros": bytes(2000),
    "garbage:lines": b"nothing with a code\r\n" * 20,
    "garbage:codes": b"999 x\r\n" * 20,
}
ENDLESS = {
    "endless:line": b"x" * 4096,
    "endless:lines": b"250-more\r\n" * 400,
    "endless:replies": b"250 ok\r\n" * 500,
}
ENDINGS = (*HONEST, *GARBAGE, *ENDLESS)

# The messages, their recipients, and whom the server does not know.
MESSAGES = {
    1: ("alice@example.com", "bob@example.com", "carol@example.com"),
    2: ("dave@example.com", "erin@example.com"),
    3: ("frank@example.com", "grace@example.com"),
}
UNKNOWN = "bob@example.com"

_ENVELOPE = ("MAIL", "RCPT", "DATA")

_MOST_FLOOD = 256 << 10
"""Endless data that a client may let come, bytes."""

_SMTP = {
    1: b"250 2.0.0 one\r\n",
    2: b"554 5.7.1 no\r\n",
    3: b"250-2.0.0 three\r\n250 2.0.0 stored\r\n",
}
_LMTP = {
    "alice@example.com": b"250 2.1.5 ok\r\n",
    "carol@example.com": b"250 2.1.5 ok\r\n",
    "dave@example.com": b"550 5.2.0 no\r\n",
    "erin@example.com": b"452 4.2.2 full\r\n",
    "frank@example.com": b"250-2.1.5 fine\r\n250 2.1.5 ok\r\n",
    "grace@example.com": b"550 5.2.2 full\r\n",
}


def content_of(number: int) -> bytes:
    """Return message ``number`` as it is stored."""
    return b"Subject: message %d\r\n\r\n.one line\r\n" % number


class Talk(NamedTuple):
    """What the two speak, and at which level the bytes are counted.

    - ``inside``: what is said inside TLS counts, and not the records on the wire
    - ``early``: what the server does with commands that ride behind a message: it ``'takes'`` them;
      it says 503 to them because it has yet to judge that message (``'haraka'``); or it has kept
      the transaction of that message, which it has refused, and refuses another one (``'keeps'``),
      or ``'waits'`` for its content
    """

    lmtp: bool = False
    tls: bool = False
    inside: bool = False
    early: str = "takes"


class Cut(NamedTuple):
    """After ``at`` bytes comes ``ending``; with ``lazy``, instead of the ``at``-th piece, when what
    that replies to has been read."""

    ending: str
    at: int
    lazy: bool = False


class Verdict(NamedTuple):
    """The final reply about one recipient of a message whose final dot has arrived.

    - ``accepted``: the server has stored the message
    - ``reply``: what it says to that
    - ``legible``: how much of this the client could read, bytes
    """

    accepted: bool
    reply: bytes
    legible: int


class _Session(Session):
    """The conversation that is cut; it notes what it has decided, and what no client may do."""

    def __init__(
        self,
        talk: Talk,
        pipelining: bool,
        out: Callable[[bytes], int],
        start_tls: Callable[[], None],
    ) -> None:
        """``out`` says something, and returns how much of it the client can read."""
        extensions = ["AUTH PLAIN"]
        if pipelining:
            extensions.insert(0, "PIPELINING")
        if talk.tls:
            extensions.insert(0, "STARTTLS")
        super().__init__(
            *extensions,
            lmtp=talk.lmtp,
            # Garbage makes a client turn to HELO.
            replies={"STAR": "220 go", "HELO": "500 what?"},
            logins={"PLAIN": ["235 ok"]},
            refused={UNKNOWN: "550 no"},
        )
        self.verdicts: dict[tuple[int, str], Verdict] = {}
        self.deviations: list[str] = []
        self.begun = 0
        self._too_early = 0  # bytes of commands that it does not take yet
        self._kept = False  # the transaction of a message that it has refused
        self._talk = talk
        self._out = out
        self._start_tls = start_tls

    def say(self, reply: bytes) -> None:
        self._out(reply)

    def obey(self, line: str) -> None:
        self.begun += line.startswith("MAIL")
        too_early, self._too_early = self._too_early > 0, self._too_early - len(line) - 2
        if line == "RSET":
            self._kept = False
        elif too_early and line != "QUIT":
            self.say(b"503 5.5.1 wait\r\n")
            return
        elif self._kept and line.startswith("MAIL" if self._talk.early == "waits" else _ENVELOPE):
            self.say(b"503 5.5.1 nested\r\n")
            return
        super().obey(line)
        if line == "STARTTLS":
            self.extensions.remove("STARTTLS")
            self._start_tls()

    def store(self, content: bytes) -> None:
        if self._talk.early == "haraka":
            self._too_early = len(self.pending)
        found = re.match(rb"Subject: message (\d)\r\n", content)
        number = int(found[1]) if found else 0
        if not found or content.replace(b"\r\n..", b"\r\n.") != content_of(number):
            self.deviations.append(f"it sent {content!r} as a message")
            return
        if self._talk.lmtp:
            for recipient in self.recipients:
                self._decide(number, [recipient], _LMTP[recipient])
        else:
            self._decide(number, self.recipients, _SMTP[number])
            self._kept = self._talk.early in ("keeps", "waits") and _SMTP[number][:1] != b"2"

    def _decide(self, number: int, recipients: list[str], reply: bytes) -> None:
        accepted = reply.startswith(b"2")
        legible = self._out(reply)
        for recipient in recipients:
            if (number, recipient) in self.verdicts:
                self.deviations.append(f"it sent message {number} twice to {recipient}")
            self.verdicts[number, recipient] = Verdict(accepted, reply, legible)


class CutServer:
    """Takes one client on a port of its own.

    - ``verdicts``: by number of the message and recipient
    - ``deviations``: what the client has done that no client may do
    - ``pieces``: the length of each piece that has passed the gate
    - ``flood``: how much endless data it has sent
    """

    def __init__(
        self,
        reactor: Reactor,
        talk: Talk,
        pipelining: bool,
        cut: Cut | None,
        context: ssl.SSLContext,
    ) -> None:
        self._reactor = reactor
        self._talk = talk
        self._cut = cut
        self._context = context
        self._session = _Session(talk, pipelining, self._say, self._start_tls)
        self._listener = Listener(reactor, self._accept, clients=1)
        self.port = self._listener.port
        self._line: Line | None = None  # until there is a client
        self._tls: ssl.SSLObject | None = None
        self._secure = False
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._passed = 0
        self._is_cut = False
        self._last_passed = 0
        self._client_is_done = False
        self.verdicts = self._session.verdicts
        self.deviations = self._session.deviations
        self.pieces: list[int] = []
        self.flood = 0

    @property
    def begun(self) -> int:
        """How many times it has got MAIL."""
        return self._session.begun

    @property
    def hung_up(self) -> bool:
        """Whether the client has closed its side, or cannot be heard or reached any more."""
        return self._line is not None and self._line.hung_up

    # -- the way out: everything passes the gate ------------------------------------------------

    def _say(self, text: bytes) -> int:
        """Say ``text``; return how much of it the client can read."""
        self._last_passed = 0
        if self._tls is None:
            if self._talk.inside:
                self._send(text)
            else:
                self._gate(text, self._send)
            return self._last_passed
        if self._talk.inside:
            self._gate(text, self._encrypt)
            return self._last_passed
        self._tls.write(text)
        record = self._leaving.read()
        self._gate(record, self._send)
        return len(text) if self._last_passed == len(record) else 0

    def _gate(self, data: bytes, onward: Callable[[bytes], None]) -> None:
        if self._is_cut or not data:
            return
        cut, missing = self._cut, b""
        if cut is None or cut.lazy:
            if cut is not None and len(self.pieces) == cut.at:
                self._end(cut.ending, onward, data)
                return
        else:
            missing = data[cut.at - self._passed :]
            data = data[: cut.at - self._passed]
        self._passed += len(data)
        self._last_passed = len(data)
        self.pieces.append(len(data))
        onward(data)
        if cut and not cut.lazy and self._passed == cut.at and not self.hung_up:
            self._end(cut.ending, onward, missing)

    def _send_records(self) -> None:
        if self._talk.inside:
            self._send(self._leaving.read())
        else:
            self._gate(self._leaving.read(), self._send)

    def _encrypt(self, text: bytes) -> None:
        assert self._tls is not None
        if text:
            self._tls.write(text)
            self._send(self._leaving.read())

    def _send(self, data: bytes) -> None:
        assert self._line is not None
        self._line.send(data)
        self._session.over = self.hung_up

    def _end(self, ending: str, onward: Callable[[bytes], None], missing: bytes) -> None:
        assert self._line is not None
        self._is_cut = True
        filler = {**GARBAGE, **ENDLESS}.get(ending, b"")
        on_the_wire = self._tls is not None and not self._talk.inside
        if on_the_wire and filler and filler[:1] == missing[:1]:
            # One in 256 bytes that are the last of a record would be just the right one.
            onward(bytes([missing[0] ^ 0xFF]))
        if ending == "fin":
            if onward == self._encrypt:
                self._say_goodbye()
            self._line.shut_write()
        elif ending == "rst":
            self._line.close(rudely=True)
            self._session.over = True
        elif ending in GARBAGE:
            onward(GARBAGE[ending])
        elif ending in ENDLESS:
            self._line.keep_sending(lambda: self._go_on(ENDLESS[ending], onward))

    def _say_goodbye(self) -> None:
        assert self._tls is not None
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the client's own goodbye is not there yet
        self._send(self._leaving.read())

    def _go_on(self, data: bytes, onward: Callable[[bytes], None]) -> None:
        assert self._line is not None
        self.flood += len(data)
        onward(data)
        if self.flood > _MOST_FLOOD and not self.hung_up:
            self.deviations.append(f"it listened to {self.flood} bytes without an end")
            self._line.keep_sending(None)

    # -- the way in -----------------------------------------------------------------------------

    def _accept(self, sock: socket.socket) -> None:
        self._line = Line(self._reactor, sock, self._take, self._client_hung_up)
        self._session.greet()

    def client_is_done(self) -> None:
        """Take what is still on the way; the client has emitted ``'end'``."""
        while self._line is not None and not self._line.hung_up and self._line.read():
            pass
        self._client_is_done = True

    def _take(self, data: bytes) -> None:
        if self._client_is_done:
            self.deviations.append(f"it wrote {data!r} after 'end'")
        elif self._tls is None:
            self._session.take(data)
        else:
            self._arrived.write(data)
            try:
                self._take_records()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                pass  # the client breaks off, because of what it has got
            self._send_records()

    def _start_tls(self) -> None:
        self._tls = self._context.wrap_bio(self._arrived, self._leaving, server_side=True)

    def _take_records(self) -> None:
        assert self._tls is not None
        if not self._secure:
            self._tls.do_handshake()
            self._secure = True
            self._send_records()
        while text := self._tls.read(65536):
            self._session.take(text)

    # -- the end --------------------------------------------------------------------------------

    def _client_hung_up(self) -> None:
        # Where silence was asked for, the client waits for our side as well, and has to give up.
        if not self._is_cut or (self._cut and self._cut.ending == "fin"):
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._listener.close()
        if self._line is not None:
            self._line.close()
