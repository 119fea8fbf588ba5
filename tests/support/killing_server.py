"""A mail server in a process of its own that counts what it takes, and kills some connections.

As a program it prints its port.  For every line on its standard input it answers with one byte for
each message, how many times it has taken that one, and begins anew.  It ends with its input.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from smtp_connection import Reactor

from .smtp_server import Listener, Session, hold

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


class _DoomedSession(Session):
    """A session that tells its messages to ``store(content)``, and ends when its time has come."""

    def __init__(self, store: Callable[[bytes], None], doom: Doom | None) -> None:
        super().__init__("PIPELINING")
        self._store = store
        self._doom = doom
        self._begun = -1  # the message of this connection, counted from 0

    def obey(self, line: str) -> None:
        verb = line[:4]
        self._begun += verb == "MAIL"
        super().obey(line)
        if verb == "MAIL":
            self._end_at("envelope")
        elif verb == "DATA":
            self._end_at("go-ahead")

    def store(self, content: bytes) -> None:
        if self._end_at("dropped"):
            return
        self._store(content)
        if self._end_at("stored"):
            return
        self.say(_STORED[:7] if self._end_at("half told") else _STORED)
        self._end_at("told")

    def _end_at(self, moment: str) -> bool:
        """End the session if ``moment`` is its time; return whether it is."""
        doom = self._doom
        if doom is None or doom.message != self._begun or doom.moment != moment:
            return False
        self.over, self.rudely = True, doom.rudely
        return True


class KillingServer:
    """The server itself; see :class:`Server` for its process."""

    def __init__(self, connections: int, messages: int, killed: int, seed: int) -> None:
        self._connections = connections
        self._messages = messages
        self._killed = killed
        self._random = random.Random(seed)
        self._reactor = Reactor()
        self._port = Listener(self._reactor, self._accept).port
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
        self._reactor.add_reader(sys.stdin, self._read_order)
        print(self._port, flush=True)
        self._reactor.run()

    def _read_order(self) -> None:
        if os.read(sys.stdin.fileno(), 1):
            sys.stdout.buffer.write(self._count)
            sys.stdout.buffer.flush()
            self._begin()
        else:
            self._reactor.stop()

    def _accept(self, sock: socket.socket) -> None:
        doom = self._dooms.get(self._accepted)
        self._accepted += 1
        hold(self._reactor, sock, _DoomedSession(self._store, doom))

    def _store(self, content: bytes) -> None:
        number = int(content[9 : content.index(b"\r\n")])
        if content != content_of(number):
            raise ValueError(f"{content!r} is not what message {number} is")
        self._count[number] += 1


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
