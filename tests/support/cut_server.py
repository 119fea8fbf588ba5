"""A mail server that stops doing its part after a given number of bytes.

It has no thread: it lives on a reactor, and TLS is done in memory, so that every byte that it sends
passes one gate, which counts and cuts.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Callable
from typing import NamedTuple

from smtp_connection import Reactor

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
_REPLIES = {
    b"AUTH": b"235 ok\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"DATA": b"354 go\r\n",
    b"QUIT": b"221 bye\r\n",
}


def content_of(number: int) -> bytes:
    """Return message ``number`` as it is stored."""
    return b"Subject: message %d\r\n\r\n.one line\r\n" % number


class Talk(NamedTuple):
    """What the two speak, and at which level the bytes are counted.

    - ``inside``: what is said inside TLS counts, and not the records on the wire
    """

    lmtp: bool = False
    tls: bool = False
    inside: bool = False


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


class CutServer:
    """Takes one client on a port of its own.

    - ``verdicts``: by number of the message and recipient
    - ``deviations``: what the client has done that no client may do
    - ``begun``: how many times it has got MAIL
    - ``pieces``: the length of each piece that has passed the gate
    - ``flood``: how much endless data it has sent
    - ``hung_up``: the client has closed its side, or cannot be heard any more
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
        self._pipelining = pipelining
        self._cut = cut
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port: int = self._listener.getsockname()[1]
        self._sock = self._listener  # until there is a client
        self._tls: ssl.SSLObject | None = None
        self._secure = False
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unread = b""
        self._in_message = False
        self._recipients: list[str] = []
        self._unsent = b""
        self._passed = 0
        self.is_cut = False
        self._last_passed = 0
        self._client_is_done = False
        self.verdicts: dict[tuple[int, str], Verdict] = {}
        self.deviations: list[str] = []
        self.begun = 0
        self.pieces: list[int] = []
        self.flood = 0
        self.hung_up = False
        reactor.add_reader(self._listener, self._accept)

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
        if self.is_cut or not data:
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
        self._unsent += data
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:  # the client is gone
            self._stop()
            return
        self._unsent = self._unsent[sent:]

    def _end(self, ending: str, onward: Callable[[bytes], None], missing: bytes) -> None:
        self.is_cut = True
        filler = {**GARBAGE, **ENDLESS}.get(ending, b"")
        on_the_wire = self._tls is not None and not self._talk.inside
        if on_the_wire and filler and filler[:1] == missing[:1]:
            # One in 256 bytes that are the last of a record would be just the right one.
            onward(bytes([missing[0] ^ 0xFF]))
        if ending == "fin":
            if onward == self._encrypt:
                self._say_goodbye()
            self._sock.shutdown(socket.SHUT_WR)
        elif ending == "rst":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._stop()
        elif ending in GARBAGE:
            onward(GARBAGE[ending])
        elif ending in ENDLESS:
            self._reactor.add_writer(self._sock, lambda: self._go_on(ENDLESS[ending], onward))

    def _say_goodbye(self) -> None:
        assert self._tls is not None
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the client's own goodbye is not there yet
        self._send(self._leaving.read())

    def _go_on(self, data: bytes, onward: Callable[[bytes], None]) -> None:
        if self._unsent:
            self._send(b"")
            return
        self.flood += len(data)
        onward(data)
        if self.flood > _MOST_FLOOD and not self.hung_up:
            self.deviations.append(f"it listened to {self.flood} bytes without an end")
            self._reactor.remove_writer(self._sock)

    # -- the way in -----------------------------------------------------------------------------

    def _accept(self) -> None:
        self._sock, _ = self._listener.accept()
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reactor.remove_reader(self._listener)
        self._listener.close()
        self._reactor.add_reader(self._sock, self.read)
        self._say(b"220 mx ready\r\n")

    def read(self) -> None:
        """Take what the client has said."""
        while not self.hung_up:
            try:
                data = self._sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._client_hung_up()
            elif self._client_is_done:
                self.deviations.append(f"it wrote {data!r} after 'end'")
            else:
                self._take(data)

    def client_is_done(self) -> None:
        """Take what is still on the way; the client has emitted ``'end'``."""
        if self._sock is not self._listener:
            self.read()
        self._client_is_done = True

    def _take(self, data: bytes) -> None:
        if self._tls is None:
            self._unread += data
            self._answer()
        else:
            self._arrived.write(data)
            try:
                self._take_records()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                pass  # the client breaks off, because of what it has got
            self._send_records()

    def _take_records(self) -> None:
        assert self._tls is not None
        if not self._secure:
            self._tls.do_handshake()
            self._secure = True
            self._send_records()
        while text := self._tls.read(65536):
            self._unread += text
            self._answer()

    def _answer(self) -> None:
        while not self.hung_up:
            end = b"\r\n.\r\n" if self._in_message else b"\r\n"
            line, found, rest = self._unread.partition(end)
            if not found:
                return
            self._unread = rest
            if self._in_message:
                self._in_message = False
                self._store(line + b"\r\n")
            else:
                self._obey(line)

    def _obey(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb in (b"EHLO", b"LHLO"):
            self._say(self._extensions())
        elif verb == b"STAR":
            self._say(b"220 go\r\n")
            self._tls = self._context.wrap_bio(self._arrived, self._leaving, server_side=True)
        elif verb == b"RCPT":
            self._judge(line.decode().partition("<")[2].partition(">")[0])
        elif verb in _REPLIES:
            if verb == b"MAIL":
                self.begun += 1
                self._recipients = []
            self._in_message = verb == b"DATA"
            self._say(_REPLIES[verb])
        else:
            self._say(b"500 what?\r\n")

    def _extensions(self) -> bytes:
        lines = [b"250-mx", b"250 AUTH PLAIN"]
        if self._pipelining:
            lines.insert(1, b"250-PIPELINING")
        if self._talk.tls and self._tls is None:
            lines.insert(1, b"250-STARTTLS")
        return b"".join(line + b"\r\n" for line in lines)

    def _judge(self, recipient: str) -> None:
        if recipient == UNKNOWN:
            self._say(b"550 no\r\n")
        else:
            self._recipients.append(recipient)
            self._say(_REPLIES[b"RCPT"])

    def _store(self, content: bytes) -> None:
        found = re.match(rb"Subject: message (\d)\r\n", content)
        number = int(found[1]) if found else 0
        if not found or content.replace(b"\r\n..", b"\r\n.") != content_of(number):
            self.deviations.append(f"it sent {content!r} as a message")
            return
        if self._talk.lmtp:
            for recipient in self._recipients:
                self._decide(number, [recipient], _LMTP[recipient])
        else:
            self._decide(number, self._recipients, _SMTP[number])

    def _decide(self, number: int, recipients: list[str], reply: bytes) -> None:
        accepted = reply.startswith(b"2")
        legible = self._say(reply)
        for recipient in recipients:
            if (number, recipient) in self.verdicts:
                self.deviations.append(f"it sent message {number} twice to {recipient}")
            self.verdicts[number, recipient] = Verdict(accepted, reply, legible)

    # -- the end --------------------------------------------------------------------------------

    def _client_hung_up(self) -> None:
        self.hung_up = True
        self._reactor.remove_reader(self._sock)
        self._reactor.remove_writer(self._sock)
        # Where silence was asked for, the client waits for our side as well, and has to give up.
        if not self.is_cut or (self._cut and self._cut.ending == "fin"):
            self._stop()

    def _stop(self) -> None:
        self.hung_up = True
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        for sock in (self._listener, self._sock):
            if sock.fileno() >= 0:
                self._reactor.remove_reader(sock)
                self._reactor.remove_writer(sock)
                sock.close()
