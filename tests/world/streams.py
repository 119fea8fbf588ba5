"""The bytes between the client and the server: both directions, and what goes wrong with them."""

from __future__ import annotations

import errno
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from selectors import EVENT_READ, EVENT_WRITE
from typing import Protocol

from .network import Network


class Server(Protocol):
    """Who is at the other end of a stream."""

    def feed(self, data: bytes) -> None:
        """``data`` has arrived from the client."""

    def client_closed(self) -> None:
        """The client has closed its side."""


class Stream:
    """A connection, as the client's system sees it.

    - ``sent``, ``read``: the pieces that the system has taken from the client, and that the client
      has read, inside TLS; what arrives after the client has shut its side down does not count
    - ``sent_total``, ``read_total``: their bytes
    """

    def __init__(self, network: Network, server: Server, *, split: float, short: float) -> None:
        """``split`` and ``short`` say how often what the server sends arrives in pieces, and how
        often the client's system takes only a part of what it is given."""
        self._network = network
        self._chance = network.chance
        self._server = server
        self._split = split
        self._short = short
        self.arrived = bytearray()  # and not read yet
        self.sealed = 0  # how many of those bytes are whole TLS records
        self.fin = False
        self.below = False  # something for the TLS layer alone has arrived
        self.broken: int | None = None  # the error that every call gets
        self.blocked = self._cut_short = False
        self.shut = False
        self.server_gone = False
        self.sent: list[bytes] = []
        self.sent_total = 0
        self.read: list[bytes] = []
        self.read_total = 0
        self._marks: list[tuple[int, int]] = []
        self._last_arrival = 0.0
        self._last_departure = 0.0

    # -- the server's side ----------------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        """Let ``data`` arrive at the client, some time, in some pieces."""
        if len(data) > 1 and self._chance.happens(self._split):
            pieces = self._pieces(data)
            for piece in pieces[:-1]:
                # A record may be cut anywhere, and its last piece always comes.
                self._schedule(self._arrive, piece, self._chance.happens(0.5))
            data = pieces[-1]
        self._schedule(self._arrive, data, True)

    def _pieces(self, data: bytes) -> Sequence[bytes]:
        chance = self._chance
        if len(data) < 80 and chance.happens(0.1):
            return [data[at : at + 1] for at in range(len(data))]
        cuts = sorted(1 + chance.below(len(data) - 1) for _ in range(1 + chance.below(4)))
        bounds = [0, *cuts, len(data)]
        return [data[a:b] for a, b in pairwise(bounds) if a < b]

    def hold(self, seconds: float) -> None:
        """Let what is delivered from now on arrive so much later."""
        self._last_arrival = max(self._last_arrival, self._network.now) + seconds

    def finish(self) -> None:
        """Let the server close its side, after what it has said."""
        self.server_gone = True
        self._schedule(self._arrive_fin)

    def reset(self, error: int = errno.ECONNRESET, *, at_once: bool = False) -> None:
        """Let the connection break, perhaps before what was said last has arrived."""
        self.server_gone = True
        if at_once:
            self._network.later(self._chance.delay(), self._break, error)
        else:
            self._schedule(self._break, error)

    def _schedule(self, function: Callable[..., None], *args: object) -> None:
        network = self._network
        time = network.now + self._chance.delay()
        self._last_arrival = time = max(time, self._last_arrival)
        network.at(time, function, *args)

    def _note(self, text: str) -> None:
        if self._network.judge.history is not None:
            self._network.judge.note("   " + text)

    def _arrive(self, data: bytes, sealed: bool) -> None:
        if self.broken is not None:
            return
        self._note(f"at the client: {_short(data)}")
        self.arrived += data
        if sealed:
            self.sealed = len(self.arrived)

    def _arrive_fin(self) -> None:
        self._note("at the client: the server has closed its side")
        self.fin = True

    def _break(self, error: int) -> None:
        if self.broken is None:
            self._note(f"the connection breaks ({errno.errorcode[error]})")
            self.broken = error
            if self._chance.happens(0.5):  # some systems throw away what was not read
                self.arrived.clear()
                self.sealed = 0

    # -- the client's side ----------------------------------------------------------------------

    def readiness(self) -> int:
        writable = 0 if self.blocked and self.broken is None else EVENT_WRITE
        if self.arrived or self.fin or self.below or self.broken is not None:
            return writable | EVENT_READ
        return writable

    def take(self, size: int, *, peek: bool = False) -> bytes:
        """Read at most ``size`` bytes; ``b""`` at the end."""
        self.below = False
        if not self.arrived:
            if self.broken is not None:
                raise OSError(self.broken, "the stream broke")
            if self.fin:
                return b""
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        data = bytes(self.arrived[:size])
        if not peek:
            del self.arrived[:size]
            self.sealed = max(0, self.sealed - len(data))
        return data

    def note_read(self, data: bytes) -> None:
        """``data`` has reached the client."""
        if not self.shut:
            self.read.append(data)
            self.read_total += len(data)
            if b"\n" in data:
                self._network.judge.progress()

    def put(self, data: bytes, *, said: bool = True) -> int:
        """Take bytes from the client; return how many.  ``said``: they are no handshake."""
        judge = self._network.judge
        if self.shut:
            judge.fail("the client writes after it has closed its side")
        if judge.over:
            judge.fail("bytes are written after 'end'")
        if judge.close_called and said and not self._cut_short:
            judge.fail("something is said to the server after close() was called")
        if self.broken is not None:
            raise OSError(self.broken, "the stream broke")
        if self.blocked:
            self.put_off()
            raise BlockingIOError(errno.EAGAIN, "full")
        taken = len(data)
        if self._chance.happens(self._short):
            taken = self._chance.below(taken + 1)
            self._block()
            self._cut_short = True
            if not taken:
                raise BlockingIOError(errno.EAGAIN, "full")
        else:
            self._cut_short = False
        piece = bytes(data[:taken])
        self._note(f"from the client: {_short(piece)}")
        self._depart(self._server.feed, piece)
        judge.progress()
        return taken

    def put_off(self) -> None:
        """The client has said something that is not taken yet; it will try again."""
        self._cut_short = True

    def speak_below(self) -> None:
        """Let the server send what only the TLS layer of the client wants to know."""

        def arrive() -> None:
            self.below = True

        self._network.later(self._chance.delay(), arrive)

    def note_sent(self, data: bytes) -> None:
        """``data``, what was taken, is that inside of TLS."""
        self.sent.append(data)
        self.sent_total += len(data)
        self._marks.append((self.sent_total, self.read_total))

    def _block(self) -> None:
        self._note("the client's system takes no more")
        self.blocked = True
        if self._chance.happens(0.04):
            self._chance.slow = True  # it is for ever
        else:
            self._network.later(self._chance.delay(), self._unblock)

    def _unblock(self) -> None:
        self.blocked = False
        # The peer has taken something, if only a part of a record of TLS.
        self._network.judge.progress()

    def _depart(self, function: Callable[..., None], *args: object) -> None:
        network = self._network
        if self.server_gone:
            # What reaches a closed socket is answered with RST.
            network.later(self._chance.delay(), self._break, errno.ECONNRESET)
            return
        time = network.now + self._chance.delay()
        self._last_departure = time = max(time, self._last_departure)
        network.at(time, function, *args)

    def shut_down(self) -> None:
        """The client closes its side."""
        if self.broken is not None:
            raise OSError(errno.ENOTCONN, "not connected")
        if not self.shut:
            self.shut = True
            if not self.server_gone:
                self._depart(self._server.client_closed)

    # -- the record -----------------------------------------------------------------------------

    def read_when_sent(self, position: int) -> int:
        """Return how much the client had read when the first ``position`` bytes were taken."""
        return self._marks[bisect_left(self._marks, (position, 0))][1]


def _short(data: bytes) -> str:
    return repr(data) if len(data) <= 80 else f"{data[:60]!r} ... ({len(data)} bytes)"
