"""A transport whose peer is at hand, and an owner that notes what it is told."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from smtp_connection import Reactor
from smtp_connection.net.transport import Transport
from tests.support.helpers import turn_until
from tests.support.scripted_server import Peer

NAME = "mx.example.com"
MORE_THAN_FITS = bytes(range(256)) * 8192


class Owner:
    """Notes what it is told; ``then`` is called with each new entry."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.then: Callable[[tuple[Any, ...]], object] = lambda entry: None

    def _note(self, *entry: Any) -> None:
        self.entries.append(entry)
        self.then(entry)

    def data_received(self, data: bytes) -> None:
        assert data
        self._note("data", data)

    def drained(self) -> None:
        self._note("drained")

    def discreet(self, text: str) -> str:
        return text

    def connection_lost(self, error: Any) -> None:
        self._note("lost", error)

    def broke(self, exc: BaseException) -> None:
        self._note("broke", exc)

    def done(self) -> None:
        """To be handed to ``start_tls``."""
        self._note("secured")

    @property
    def names(self) -> list[str]:
        return [entry[0] for entry in self.entries]

    @property
    def data(self) -> bytes:
        return b"".join(entry[1] for entry in self.entries if entry[0] == "data")

    @property
    def error(self) -> Any:
        """The error of the one ``connection_lost``."""
        assert self.names.count("lost") == 1
        assert self.names[-1] == "lost"
        return self.entries[-1][1]


class End:
    """One end of a stream, with a transport on it, and the other end as a blocking socket."""

    def __init__(self, reactor: Reactor, sock: socket.socket, peer: Any = None) -> None:
        sock.setblocking(False)
        self.reactor = reactor
        self.sock = sock
        self.peer = peer
        self.owner = Owner()
        self.transport = Transport(reactor, sock, self.owner)
        self.transport.start()

    def until(self, name: str) -> None:
        """Turn the reactor until the owner is told ``name``."""
        turn_until(self.reactor, lambda: name in self.owner.names)

    def settle(self) -> None:
        """Turn the reactor a few times, so that whatever wants to happen does."""
        for _ in range(4):
            self.reactor.run_once()

    def is_idle(self) -> bool:
        """Whether the reactor comes to wait for the peer, and does not turn round and round."""
        for _ in range(100):  # the peer may have sent something: a session ticket of TLS 1.3, say
            self.reactor.run_once()
            if not select.select([self.reactor], [], [], 0)[0]:
                return True
        return False

    def peer_reads(self, size: int) -> bytes:
        """Turn the reactor while the peer reads ``size`` bytes; return them."""
        self.peer.setblocking(False)
        received = bytearray()
        while len(received) < size:
            try:
                received += self.peer.recv(65536)
            except BlockingIOError:
                self.reactor.run_once(5)
        return bytes(received)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        left = socket.create_connection(listener.getsockname())
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return left, listener.accept()[0]


def quiet(peer: Peer) -> None:
    """Say nothing until the client hangs up."""
    peer.expect_end()
