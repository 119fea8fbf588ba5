"""A server that takes all mail of any number of clients, as fast as one thread can."""

from __future__ import annotations

import selectors
import socket
import threading

_REPLIES = {
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"DATA": b"354 go\r\n",
    b"QUIT": b"221 bye\r\n",
}


class _Client:
    def __init__(self, sink: MailSink, sock: socket.socket) -> None:
        self._sink = sink
        self.sock = sock
        self._unread = b""
        self._in_message = False
        self.messages: list[bytes] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"220 ready\r\n")

    def readable(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            self._sink.forget(self.sock)
            return
        self._unread += data
        replies = []
        while True:
            line, found, rest = self._unread.partition(
                b"\r\n.\r\n" if self._in_message else b"\r\n"
            )
            if not found:
                break
            self._unread = rest
            replies.append(self._take(line))
        self.sock.sendall(b"".join(replies))

    def _take(self, line: bytes) -> bytes:
        if self._in_message:
            self._in_message = False
            self.messages.append(line)
            return b"250 queued\r\n"
        verb = line[:4]
        self._in_message = verb == b"DATA"
        return self._sink.ehlo if verb == b"EHLO" else _REPLIES[verb]


class MailSink:
    """Listens on a free loopback port from the start.

    - ``clients``: everybody who has connected, in that order; their ``messages`` likewise
    """

    def __init__(self, *extensions: str) -> None:
        self.ehlo = "".join(f"250-{line}\r\n" for line in extensions).encode() + b"250 sink\r\n"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.host = "127.0.0.1"
        self.port: int = self._listener.getsockname()[1]
        self.clients: list[_Client] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="mail sink")
        self._thread.start()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()

    def _accept(self) -> None:
        client = _Client(self, self._listener.accept()[0])
        self.clients.append(client)
        self._selector.register(client.sock, selectors.EVENT_READ, client.readable)

    def forget(self, sock: socket.socket) -> None:
        """Hang up."""
        self._selector.unregister(sock)
        sock.close()

    def __enter__(self) -> MailSink:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.close()
        self._thread.join()
        self._selector.close()
        for sock in (self._listener, self._stopped, *[client.sock for client in self.clients]):
            sock.close()
