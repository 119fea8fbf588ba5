"""A server that does exactly what a test says, byte by byte.

A script is a function that talks to one client over a blocking socket, on a thread of its own::

    def script(peer):
        peer.send("220 ready\r\n")
        peer.expect("EHLO")
        peer.close()

What a script raises is raised again in the test, when the server is closed.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

from smtp_connection import Reactor

from .helpers import has_events
from .smtp_server import reset

_PATIENCE = 20.0
"""Seconds after which a peer that does not do its part fails the test."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(_PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received = b""
        """Everything that the client has said so far (after ``start_tls``: inside TLS)."""
        self._unread = b""

    def send(self, data: str | bytes) -> None:
        """Send ``data`` in one piece."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def send_split(self, data: str | bytes) -> None:
        """Send ``data`` byte by byte, each in a segment of its own (as far as TCP lets one)."""
        for byte in data.encode() if isinstance(data, str) else data:
            self.sock.sendall(bytes([byte]))

    def read_line(self) -> str:
        """Return the client's next line without its line break; ``EOFError`` if it hangs up."""
        while b"\r\n" not in self._unread:
            self._more()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line.decode()

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"the client hung up after {self.received!r}")
        self.received += data
        self._unread += data

    def expect(self, *starts: str) -> list[str]:
        """Read a line for each of ``starts``, and check that it begins so; return the lines."""
        lines = []
        for start in starts:
            line = self.read_line()
            assert line.startswith(start), f"expected {start!r}, got {line!r}"
            lines.append(line)
        return lines

    def play(self, transcript: str) -> None:
        """Act out ``transcript``: lines ``S: text`` are sent, those in a row in one piece; for
        each line ``C: start`` a line of the client is read, and checked to begin so, for
        ``C= text`` to be that text."""
        waiting = ""
        for line in transcript.strip().splitlines():
            who, _, text = line.strip().partition(" ")
            assert who in ("S:", "C:", "C="), f"nobody speaks in {line!r}"
            if who == "S:":
                waiting += f"{text}\r\n"
                continue
            self.send(waiting)
            waiting = ""
            (said,) = self.expect(text)
            assert who == "C:" or said == text, f"expected {text!r}, got {said!r}"
        self.send(waiting)

    def read_message(self) -> bytes:
        """Return the message as it is on the wire, without the final dot line."""
        while not (b"\r\n" + self._unread).endswith(b"\r\n.\r\n") and b"\r\n.\r\n" not in (
            b"\r\n" + self._unread
        ):
            self._more()
        content, _, self._unread = (b"\r\n" + self._unread).partition(b"\r\n.\r\n")
        return (content + b"\r\n")[2:]

    def expect_end(self) -> bytes:
        """Read until the client hangs up; return what it said until then."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            rest, self._unread = self._unread, b""
            return rest

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of the handshake."""
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self._unread = b""

    def close(self) -> None:
        """Hang up (FIN)."""
        self.sock.close()

    def shut_write(self) -> None:
        """Close our half only."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Hang up rudely (RST)."""
        reset(self.sock)

    # -- the usual openings ---------------------------------------------------------------------

    def greet(self, *extensions: str, verb: str = "EHLO") -> None:
        """Greet, and answer EHLO (or LHLO) with ``extensions``."""
        self.send("220 scripted ready\r\n")
        self.expect(verb)
        self.answer_ehlo(*extensions)

    def answer_ehlo(self, *extensions: str) -> None:
        """Reply to EHLO with ``extensions``."""
        lines = ["scripted", *extensions]
        self.send("".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n")

    def take_message(self, recipients: int = 1, final: str = "250 2.0.0 queued") -> bytes:
        """Accept one message for ``recipients``, command by command, and return its content."""
        self.expect("MAIL FROM:")
        self.send("250 2.1.0 ok\r\n")
        for _ in range(recipients):
            self.expect("RCPT TO:")
            self.send("250 2.1.5 ok\r\n")
        self.expect("DATA")
        self.send("354 go ahead\r\n")
        content = self.read_message()
        self.send(f"{final}\r\n")
        return content

    def play_envelope(self, *turns: tuple[str, str], pipelining: bool) -> None:
        """For each ``(start, reply)`` read a command and reply to it; with ``pipelining`` all the
        commands are read before the first reply."""
        if pipelining:
            self.expect(*[start for start, _ in turns])
            self.send("".join(f"{reply}\r\n" for _, reply in turns))
            return
        for start, reply in turns:
            self.expect(start)
            self.send(f"{reply}\r\n")

    def take_quit(self) -> None:
        """Answer QUIT and hang up."""
        self.expect("QUIT")
        self.send("221 bye\r\n")
        self.close()


Script = Callable[[Peer], None]


class HandFedPeer:
    """The server's end of a connection that the test itself turns, piece by piece.

    What is fed in one piece is read in one piece, and all that follows from it has happened when
    ``feed`` returns: no thread, no waiting.
    """

    def __init__(self, reactor: Reactor, kind: int = socket.SOCK_STREAM) -> None:
        """With ``SOCK_SEQPACKET`` as ``kind``, ``heard`` returns what the client said in one
        write."""
        self.client_end, self.sock = socket.socketpair(socket.AF_UNIX, kind)
        self.sock.setblocking(False)
        self._reactor = reactor

    def feed(self, data: str | bytes) -> None:
        """Send ``data`` in one piece, and let the client do all that follows."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)
        self.settle()

    def settle(self) -> None:
        """Let the client do all that can be done now."""
        reactor = self._reactor
        while reactor.next_timeout() == 0 or has_events(reactor):
            reactor.run_once(0)

    def heard(self) -> bytes:
        """Return what the client has said since the last time, ``b""`` if nothing."""
        try:
            return self.sock.recv(1 << 20)
        except BlockingIOError:
            return b""

    def hang_up(self) -> None:
        """Close our end."""
        self.sock.close()
        self.settle()


class ScriptedServer:
    """Listens on a free loopback port; the n-th client gets the n-th script, the last one all
    that come after."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1") -> None:
        self._scripts = scripts
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="scripted server")
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(script, peer), name="script")
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script, peer: Peer) -> None:
        try:
            script(peer)
        except BaseException as exc:
            self._errors.append(exc)
        finally:
            peer.sock.close()

    def wait(self) -> None:
        """Wait for the scripts to end."""
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a script did not come to its end"

    def close(self) -> None:
        """Wait for the scripts to end, and raise what one of them raised."""
        # shutdown() wakes the thread up that waits in accept(), close() alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.wait()
        if self._errors:
            raise self._errors[0]
