"""The one SMTP and LMTP server that behaves well, configured for what a test needs.

A :class:`Session` is the server's part of the conversation, without I/O: bytes in, replies out.  A
:class:`Line` carries it over a socket, on a reactor.

- a server that takes all mail, on a thread of its own: :class:`BackgroundServer`
- a server that kills connections, in a process of its own: ``killing_server``
- a server that is cut after a number of bytes, and speaks TLS: ``cut_server``
- a server that the test turns by hand: ``peer.feed(session.take(peer.heard()))``

Where the server misbehaves in what it says, the test says it itself: see ``scripted_server``.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence

from smtp_connection import Reactor

_REPLIES = {
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "RSET": "250 ok",
    "DATA": "354 go",
    "QUIT": "221 bye",
}


class Session:
    """The server's part of one session.

    - ``recipients``: those of the message under way that have been accepted
    - ``messages``: what has been taken, as it was on the wire, up to the line break before the
      final dot
    - ``over``: the server hangs up once it has said what it has to say, with ``rudely`` by RST
    """

    def __init__(
        self,
        *extensions: str,
        lmtp: bool = False,
        replies: Mapping[str, str] | None = None,
        logins: Mapping[str, Sequence[str]] | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Announce ``extensions``.

        - ``replies``: by the first four letters of the command; a reply may have several lines
        - ``logins``: by mechanism, the replies to AUTH and to each line that follows it
        - ``refused``: by recipient, the reply to RCPT
        """
        self.extensions = list(extensions)
        self.recipients: list[str] = []
        self.messages: list[bytes] = []
        self.over = self.rudely = False
        self._lmtp = lmtp
        self._replies = {**_REPLIES, **(replies or {})}
        self._logins = logins or {}
        self._refused = refused or {}
        self._login: list[str] = []  # the replies that a login under way still gets
        self._in_message = False
        self._unread = b""
        self._said: list[bytes] = []

    # -- what comes in, and what goes out -------------------------------------------------------

    def greet(self) -> bytes:
        """Return the greeting."""
        self.say(b"220 mx ready\r\n")
        return self._take_said()

    def take(self, data: bytes) -> bytes:
        """Take what the client has said, and return the replies to it."""
        self._unread += data
        while not self.over:
            end = b"\r\n.\r\n" if self._in_message else b"\r\n"
            line, found, rest = self._unread.partition(end)
            if not found:
                break
            self._unread = rest
            if self._in_message:
                self._in_message = False
                # Without the line break that stands for the one behind DATA.
                self.store((line + b"\r\n")[2:])
            else:
                self.obey(line.decode())
        return self._take_said()

    @property
    def pending(self) -> bytes:
        """What the client has said so far of a line or message that is not complete."""
        return self._unread

    def say(self, reply: bytes) -> None:
        """Say ``reply``, which ends with a line break."""
        self._said.append(reply)

    def _take_said(self) -> bytes:
        said = b"".join(self._said)
        self._said.clear()
        return said

    # -- what it does ---------------------------------------------------------------------------

    def obey(self, line: str) -> None:
        """Carry out a command, or take the next line of a login."""
        self.say(f"{self._login.pop(0) if self._login else self._reply_to(line)}\r\n".encode())

    def _reply_to(self, line: str) -> str:
        verb = line[:4].upper()
        if verb in ("EHLO", "LHLO"):
            assert (verb == "LHLO") is self._lmtp, f"{line!r} to a server that is none for it"
            lines = ["mx", *self.extensions]
            return "".join(f"250-{each}\r\n" for each in lines[:-1]) + f"250 {lines[-1]}"
        if verb == "AUTH":
            self._login = list(self._logins[line.split()[1]])
            return self._login.pop(0)
        if verb == "MAIL":
            self.recipients = []
        elif verb == "RCPT":
            recipient = line.partition("<")[2].partition(">")[0]
            if recipient in self._refused:
                return self._refused[recipient]
            self.recipients.append(recipient)
        assert verb in self._replies, f"the server does not understand {line!r}"
        reply = self._replies[verb]
        if verb == "DATA" and reply.startswith("354"):
            self._in_message = True
            self._unread = b"\r\n" + self._unread  # so that an empty message ends like any other
        return reply

    def store(self, content: bytes) -> None:
        """Take a message, and say so: once, or over LMTP for each recipient."""
        self.messages.append(content)
        for _ in self.recipients if self._lmtp else [None]:
            self.say(b"250 2.0.0 stored\r\n")


class Line:
    """The server's end of a connection, on a reactor.

    - ``hung_up``: the client has closed its side, or cannot be heard or reached any more
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        take: Callable[[bytes], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Call ``take(data)`` for what the client says, and ``on_end()`` when it hangs up: by
        default, :meth:`close`."""
        self.hung_up = False
        self._reactor = reactor
        self._sock = sock
        self._take = take
        self._on_end = on_end or self.close
        self._unsent = b""
        self._more: Callable[[], None] | None = None
        sock.setblocking(False)
        reactor.add_reader(sock, self.read)

    def read(self) -> bool:
        """Take one piece of what the client has said; return whether there was one."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._take(data)
            return not self.hung_up
        self.hung_up = True
        self._reactor.remove_reader(self._sock)
        self._reactor.remove_writer(self._sock)
        self._on_end()
        return False

    def send(self, data: bytes) -> None:
        """Send ``data``, at once as far as it goes."""
        self._unsent += data
        if self._unsent and not self.hung_up:
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._reactor.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        if self._unsent:
            self._flush()
        elif self._more is not None:
            self._more()
        else:
            self._reactor.remove_writer(self._sock)

    def keep_sending(self, more: Callable[[], None] | None) -> None:
        """Call ``more()``, which sends something, whenever there is room; ``None``: no more."""
        self._more = more
        self._reactor.add_writer(self._sock, self._writable)

    def shut_write(self) -> None:
        """Close our half only (FIN)."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self, rudely: bool = False) -> None:
        """Hang up, with ``rudely`` by RST."""
        self.hung_up = True
        if self._sock.fileno() < 0:
            return
        self._reactor.remove_reader(self._sock)
        self._reactor.remove_writer(self._sock)
        if rudely:
            reset(self._sock)
        else:
            self._sock.close()


def reset(sock: socket.socket) -> None:
    """Hang up rudely (RST)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hold(reactor: Reactor, sock: socket.socket, session: Session) -> Line:
    """Hold ``session`` over ``sock``; the replies to what comes in one piece leave in one."""

    def take(data: bytes) -> None:
        line.send(session.take(data))
        if session.over:
            line.close(session.rudely)

    line = Line(reactor, sock, take)
    line.send(session.greet())
    return line


class Listener:
    """Listens on a free loopback port, on a reactor."""

    def __init__(
        self,
        reactor: Reactor,
        accept: Callable[[socket.socket], None],
        clients: int | None = None,
    ) -> None:
        """Call ``accept(sock)`` for each client, or for the first ``clients`` of them."""
        self._reactor = reactor
        self._accept = accept
        self._clients = clients
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._sock.getsockname()[1]
        reactor.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        sock, _ = self._sock.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._clients is not None:
            self._clients -= 1
            if self._clients == 0:
                self.close()
        self._accept(sock)

    def close(self) -> None:
        """Listen no more."""
        if self._sock.fileno() >= 0:
            self._reactor.remove_reader(self._sock)
            self._sock.close()


class BackgroundServer:
    """Takes all mail of any number of clients, on a thread of its own.

    - ``sessions``: everybody who has connected, in that order
    """

    def __init__(self, *extensions: str) -> None:
        """Announce ``extensions`` to everybody."""
        self.host = "127.0.0.1"
        self.sessions: list[Session] = []
        self._extensions = extensions
        self._lines: list[Line] = []
        self._error: BaseException | None = None
        self._reactor = Reactor()
        self._listener = Listener(self._reactor, self._accept)
        self.port = self._listener.port
        self._thread = threading.Thread(target=self._serve, name="SMTP server")
        self._thread.start()

    def _accept(self, sock: socket.socket) -> None:
        self.sessions.append(Session(*self._extensions))
        self._lines.append(hold(self._reactor, sock, self.sessions[-1]))

    def _serve(self) -> None:
        try:
            self._reactor.run()
        except BaseException as exc:
            self._error = exc
            self._close()  # so that no client waits for the server

    def _close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.close()

    def __enter__(self) -> BackgroundServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Hang up, and raise what a session has raised."""
        self._reactor.call_soon_threadsafe(self._close)
        self._thread.join()
        self._reactor.close()
        if self._error is not None:
            raise self._error
