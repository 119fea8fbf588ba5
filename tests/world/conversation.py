"""A client against bytes of the caller's choice: for fuzzing, and for properties."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .chance import Calm
from .client import Client, Program
from .judge import Operation
from .network import Network
from .plan import CLOSE_TIMEOUT, CONNECTION_TIMEOUT, GREETING_TIMEOUT, MAX_RESPONSE, SOCKET_TIMEOUT
from .schedule import Bounds, World, virtual_world
from .sockets import VirtualSocket
from .streams import Stream

# Between the pieces: time for the client to do all that it can do, and too little for time-outs.
_PAUSE = 1 / 65536


class Conversation(NamedTuple):
    """What came of it.

    - ``sent`` (bytes): all that the client has said
    - ``operations``: what it called, with the ``error`` that each callback got (``None``: success)
    - ``history`` (list of str): what happened, in words
    """

    sent: bytes
    operations: list[Operation]
    history: list[str]


class _Tape:
    """Plays bytes, whatever the client says."""

    def __init__(self, network: Network, data: bytes, cuts: Iterable[int], ending: str) -> None:
        self.stream = Stream(network, self, split=0, short=0)
        self._network = network
        self._time = 0.0
        position = 0
        for length in cuts:
            if position >= len(data):
                break
            self._play(data[position : position + max(1, length)])
            position += max(1, length)
        if position < len(data):
            self._play(data[position:])
        if ending == "close":
            self._at_next(self.stream.finish)
        elif ending == "reset":
            self._at_next(self.stream.reset, errno.ECONNRESET)
        elif ending != "silence":
            raise ValueError(f"{ending!r} is no ending")

    def _at_next(self, function: Any, *args: Any) -> None:
        self._time += _PAUSE
        self._network.at(self._time, function, *args)

    def _play(self, data: bytes) -> None:
        self._at_next(self.stream.deliver, data)

    def feed(self, data: bytes) -> None:
        """(streams.Server)"""

    def client_closed(self) -> None:
        """(streams.Server)"""
        if not self.stream.server_gone:
            self.stream.finish()


def converse(
    server_bytes: bytes,
    cuts: Iterable[int] = (),
    *,
    ending: str = "close",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Conversation:
    """Let a client connect, log in, send two messages, reset and quit, with ``server_bytes`` as all
    that the server says, and check what must hold whatever a server says.

    The bytes arrive in pieces of as many bytes as ``cuts`` says, one after the other, the rest in
    one piece; each of them when the client has done all that followed from the one before.  Then
    the server closes its side (``ending='close'``), resets the connection (``'reset'``), or says no
    more (``'silence'``).  ``options`` are options of ``SMTPConnection``, beside the usual ones;
    ``seed`` chooses the credentials, the recipients and the messages.

    Raises :class:`BrokenInvariant`.
    """
    history: list[str] = []
    with virtual_world():
        bounds = Bounds(CONNECTION_TIMEOUT, SOCKET_TIMEOUT, CLOSE_TIMEOUT)
        chance = Calm(seed)
        chance.slow = ending == "silence"
        world = World(chance, Counter(), history, bounds)
        network, judge = world.network, world.judge
        tape = _Tape(network, server_bytes, cuts, ending)
        program = Program(["login", "send", "send", "reset", "quit"])
        client = Client(chance, judge, network, world.reactor, lambda: tape, program)
        settings = {
            "name": "c.test",
            "connectionTimeout": CONNECTION_TIMEOUT * 1000,
            "greetingTimeout": GREETING_TIMEOUT * 1000,
            "socketTimeout": SOCKET_TIMEOUT * 1000,
            "socketCloseTimeout": CLOSE_TIMEOUT * 1000,
            "maxResponseSize": MAX_RESPONSE,
            **(options or {}),
            "connection": VirtualSocket(network, tape.stream),
        }
        try:
            client.start(settings, listen=True)
            world.run(judge.after_step)
            judge.finish(client.started, tape.stream.server_gone)
        finally:
            world.close()
    return Conversation(b"".join(tape.stream.sent), judge.operations, history)
