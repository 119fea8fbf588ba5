"""A mail server in a process of its own that counts what it takes, and kills some connections.

As a program it prints its port.  For every line on its standard input it answers with one byte for
each message, how many times it has taken that one, and begins anew.  It ends with its input.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
from typing import NamedTuple

_REPLIES = {
    b"EHLO": b"250-sink\r\n250 PIPELINING\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"DATA": b"354 go\r\n",
    b"QUIT": b"221 bye\r\n",
}
_STORED = b"250 2.0.0 stored\r\n"

MOMENTS = {
    "envelope": "after the reply to MAIL",
    "go-ahead": "after the reply to DATA",
    "dropped": "after the message, which is thrown away",
    "stored": "after the message, which is kept",
    "half told": "in the reply that says so",
    "told": "after that reply",
}


def content_of(number: int) -> bytes:
    """Return message ``number`` as it is sent."""
    return b"Subject: %d\r\n" % number + _REST


_REST = b"\r\n" + b"This is a line of a message, and there are some like it.\r\n" * 16


class Doom(NamedTuple):
    """When a connection is killed, and whether rudely (RST)."""

    message: int
    moment: str
    rudely: bool


class _Client:
    def __init__(self, server: KillingServer, sock: socket.socket, doom: Doom | None) -> None:
        self._server = server
        self._sock = sock
        self._doom = doom
        self._begun = -1  # the message of this connection, counted from 0
        self._in_message = False
        self._unread = b""
        self._replies: list[bytes] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"220 ready\r\n")

    def read(self) -> None:
        data = self._sock.recv(65536)
        if not data:
            self._server.forget(self._sock)
            return
        self._unread += data
        while True:
            end = b"\r\n.\r\n" if self._in_message else b"\r\n"
            line, found, rest = self._unread.partition(end)
            if not found:
                break
            self._unread = rest
            if self._take(line):
                self._kill()
                return
        self._flush()

    def _take(self, line: bytes) -> bool:
        """Take a command or a message; return whether this is the end."""
        if self._in_message:
            return self._store(line)
        verb = line[:4]
        self._begun += verb == b"MAIL"
        self._in_message = verb == b"DATA"
        self._replies.append(_REPLIES[verb])
        return (verb == b"MAIL" and self._is_time_for("envelope")) or (
            verb == b"DATA" and self._is_time_for("go-ahead")
        )

    def _store(self, content: bytes) -> bool:
        self._in_message = False
        if self._is_time_for("dropped"):
            return True
        self._server.store(content + b"\r\n")
        told = _STORED[:7] if self._is_time_for("half told") else _STORED
        if not self._is_time_for("stored"):
            self._replies.append(told)
        return any(map(self._is_time_for, ("stored", "half told", "told")))

    def _is_time_for(self, moment: str) -> bool:
        doom = self._doom
        return doom is not None and doom.message == self._begun and doom.moment == moment

    def _flush(self) -> None:
        self._sock.sendall(b"".join(self._replies))
        self._replies.clear()

    def _kill(self) -> None:
        assert self._doom is not None
        self._flush()
        if self._doom.rudely:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._server.forget(self._sock)


class KillingServer:
    """The server itself; see :class:`Server` for its process."""

    def __init__(self, connections: int, messages: int, killed: int, seed: int) -> None:
        self._connections = connections
        self._messages = messages
        self._killed = killed
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._begin()

    def _begin(self) -> None:
        self._count = bytearray(self._connections * self._messages)
        self._accepted = 0
        self._dooms = {
            connection: Doom(
                self._random.randrange(self._messages),
                self._random.choice(list(MOMENTS)),
                self._random.random() < 0.5,
            )
            for connection in self._random.sample(range(self._connections), self._killed)
        }

    def run(self) -> None:
        """Serve until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        print(self.port, flush=True)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    key.data()
                elif os.read(sys.stdin.fileno(), 1):
                    self._report()
                else:
                    return

    def _report(self) -> None:
        sys.stdout.buffer.write(self._count)
        sys.stdout.buffer.flush()
        self._begin()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        client = _Client(self, sock, self._dooms.get(self._accepted))
        self._accepted += 1
        self._selector.register(sock, selectors.EVENT_READ, client.read)

    def store(self, content: bytes) -> None:
        """Count a message."""
        number = int(content[9 : content.index(b"\r\n")])
        if content != content_of(number):
            raise ValueError(f"{content!r} is not what message {number} is")
        self._count[number] += 1

    def forget(self, sock: socket.socket) -> None:
        """Hang up."""
        self._selector.unregister(sock)
        sock.close()


class Server:
    """The process of a :class:`KillingServer`."""

    def __init__(self, connections: int, messages: int, killed: int, seed: int) -> None:
        self._size = connections * messages
        numbers = (connections, messages, killed, seed)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, numbers)],
            env={name: os.environ[name] for name in os.environ if "MALLOC" not in name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def count(self) -> bytes:
        """Return how many times each message was taken since the last time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        count = self._process.stdout.read(self._size)
        assert len(count) == self._size, "the server has died"
        return count

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0, "the server has failed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("connections", "messages", "killed", "seed"):
        parser.add_argument(name, type=int)
    KillingServer(**vars(parser.parse_args())).run()
