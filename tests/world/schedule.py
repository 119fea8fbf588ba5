"""One schedule: a client, a server and a network out of one seed, run to the end."""

from __future__ import annotations

import errno
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from smtp_connection.message import message, sources
from smtp_connection.net import connector, handshake, resolver, transport
from smtp_connection.protocol import replies
from smtp_connection.reactor import wakeup

from . import plan as plans
from .chance import Chance
from .client import Client, LevelledLogger, Program
from .interrupts import Interrupts
from .judge import BrokenInvariant, Judge
from .logins import own_mechanism
from .network import Network, VirtualReactor
from .plan import Plan
from .server import Server
from .sockets import SocketModule, VirtualContext, VirtualSocket
from .surprises import Surprises

INTERRUPTED = 0.2
"""How many schedules are to be interrupted by a signal; some are over before that."""

SURPRISED = 0.2
"""How many are to meet an exception that nobody has foreseen; some do not get to its place."""

_SOCKET_MODULE = SocketModule()
_CONTEXTS: dict[str, VirtualContext] = {}

_REPLACED = (
    (connector, "socket", _SOCKET_MODULE),
    (handshake, "socket", _SOCKET_MODULE),
    (resolver, "socket", _SOCKET_MODULE),
    (transport, "socket", _SOCKET_MODULE),
    (wakeup, "socket", _SOCKET_MODULE),
    (signal, "set_wakeup_fd", _SOCKET_MODULE.set_wakeup_fd),
    # Small enough for messages of some hundred bytes to come in many pieces.
    (sources, "PIECE", 200),
    (message, "PIECE", 200),
    (sources, "_WORTH_SENDING", 48),
)


class Bounds(NamedTuple):
    """The time-outs that bound everything, seconds."""

    connection: float
    socket: float
    close: float


@contextmanager
def virtual_world() -> Iterator[None]:
    """Replace what the package has of the system, for as long as schedules are run."""
    before = [(module, name, getattr(module, name)) for module, name, _ in _REPLACED]
    for module, name, virtual in _REPLACED:
        setattr(module, name, virtual)
    try:
        yield
    finally:
        for module, name, real in before:
            setattr(module, name, real)
        _SOCKET_MODULE.network = None


class World:
    """Everything that one schedule needs, without a client or a server yet."""

    def __init__(
        self,
        chance: Chance,
        tally: Counter[Any],
        history: list[str] | None,
        bounds: Bounds,
    ) -> None:
        self.chance = chance
        self.judge = judge = Judge(tally, history)
        self.network = network = Network(chance, judge)
        _SOCKET_MODULE.network = network
        replies._CODES.clear()  # what it has learnt must not decide which lines are run
        judge.clock = network.clock
        judge.bounds = bounds
        self.reactor = judge.reactor = VirtualReactor(network)
        self.selector = self.reactor.virtual_selector
        self.turn_by_turn = True
        """Whether the program calls ``run_once()`` again and again, and not ``run()``."""

    def run(
        self,
        each_turn: Callable[[], None],
        *,
        interrupts: Interrupts | None = None,
        recover: Callable[[], object] = int,
        start: Callable[[], object] = int,
    ) -> None:
        """Call ``start()``, then run the reactor until nothing is left, whatever is raised on the
        way; ``recover()`` is called after each interrupt."""
        self.selector.each_turn = each_turn
        begun = False
        while True:
            try:
                if not begun:
                    begun = True
                    start()
                if interrupts is not None:
                    interrupts.reached("run()")
                if self._is_done() and not self.reactor._ready:
                    return
            except BrokenInvariant:
                raise
            except BaseException as exc:
                self.judge.surfaced(exc)
                if self.judge.interrupted:
                    recover()

    def _is_done(self) -> bool:
        """Run all of it, or a turn of it; return whether nothing is left."""
        if self.turn_by_turn:
            return not self.reactor.run_once(None)
        self.reactor.run()
        return True

    def close(self) -> None:
        if not self.reactor.is_running:
            self.reactor.close()


class _Schedule:
    """A client and its server, out of a seed."""

    def __init__(self, seed: int, tally: Counter[Any], history: list[str] | None) -> None:
        chance = self._chance = Chance(seed)
        close_timeout = chance.pick((0.0, plans.CLOSE_TIMEOUT))
        self.world = World(
            chance,
            tally,
            history,
            Bounds(plans.CONNECTION_TIMEOUT, plans.SOCKET_TIMEOUT, close_timeout),
        )
        self._network = self.world.network
        self._network.dial = self._dial
        self._network.accept = self._accept
        self._network.resolve = self._resolve
        self._plan = Plan(chance)
        self._sessions: list[Server] = []
        self._reachable = chance.pick((0.5, 1.0, 1.0, 1.0))
        self._client = Client(
            chance,
            self.world.judge,
            self._network,
            self.world.reactor,
            self._session,
            Program.by_chance(chance),
        )
        if chance.happens(0.15):
            self.world.selector.rush = 0.03

    def run(self) -> None:
        world = self.world
        judge, client = world.judge, self._client
        after_step, elsewhere = judge.after_step, client.elsewhere
        interrupts: Interrupts | None = None
        if self._chance.happens(INTERRUPTED):
            interrupts = Interrupts(self._chance, judge, lambda: client.call("close"))
            client.interrupts = interrupts
        if self._chance.happens(SURPRISED):
            self._network.surprises = Surprises(self._chance, judge)
        world.turn_by_turn = self._chance.happens(0.5)

        def each_turn() -> None:
            after_step()
            elsewhere()
            if interrupts is not None:
                interrupts.reached("a turn")

        options, listen = self._options(), self._chance.happens(0.7)
        try:
            world.run(
                each_turn,
                start=lambda: client.start(options, listen=listen),
                interrupts=interrupts,
                recover=client.recover,
            )
            session = self._session()
            judge.finish(client.started, session is not None and session.ended)
        finally:
            if interrupts is not None:
                interrupts.disarm()
            world.close()

    def _options(self) -> dict[str, Any]:
        chance, plan = self._chance, self._plan
        options: dict[str, Any] = {
            "name": "c.test",
            "connectionTimeout": plans.CONNECTION_TIMEOUT * 1000,
            "greetingTimeout": plans.GREETING_TIMEOUT * 1000,
            "socketTimeout": plans.SOCKET_TIMEOUT * 1000,
            "socketCloseTimeout": self.world.judge.bounds.close * 1000,
            "dnsTimeout": plans.DNS_TIMEOUT * 1000,
        }
        if plan.lmtp:
            options["lmtp"] = True
        if not plan.rides:
            options["pipelineMessages"] = False
        if plan.secure:
            options["secure"] = True
        if plan.secure or plan.starttls or chance.happens(0.02):
            options["tls"] = {"context": _context(plan.tls_fault)}
            options["ignoreTLS"] = chance.happens(0.1)
            options["requireTLS"] = chance.happens(0.1)
            options["opportunisticTLS"] = chance.happens(0.2)
        roll = chance.random()
        if roll < 0.2:
            options["debug"] = True
        elif roll < 0.23:
            options["transactionLog"] = True
        elif roll < 0.27:
            options["logger"] = self._client
        surprises = self._network.surprises
        if surprises is not None and surprises.place in ("logger", "isEnabledFor"):
            options.setdefault("logger", LevelledLogger(self._client))
        if chance.happens(0.5):
            options["maxResponseSize"] = plans.MAX_RESPONSE
        options["customAuth"] = {"own": own_mechanism(self._client)}
        self._choose_way(options)
        return options

    def _choose_way(self, options: dict[str, Any]) -> None:
        """Hand a socket over, or let the client connect."""
        roll = self._chance.random()
        if roll < 0.6:
            name = "connection" if roll < 0.55 else "socket"
            options[name] = VirtualSocket(self._network, self._accept().stream)
            return
        options["host"] = self._chance.pick(("127.0.0.1", "::1", "localhost"))
        if roll < 0.65:
            options["socket"] = VirtualSocket(self._network)
        elif roll < 0.68:
            options["localAddress"] = "127.0.0.99"

    # -- the network's part -----------------------------------------------------------------------

    def _resolve(self, host: str, port: int, flags: int) -> list[Any]:
        if flags and host == "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        if not self._chance.happens(self._reachable):
            raise socket.gaierror(self._chance.pick((socket.EAI_NONAME, socket.EAI_AGAIN)), "no")
        count = 1 + self._chance.below(3)
        four = [(socket.AF_INET, 1, 6, "", (f"127.0.0.{n + 1}", port)) for n in range(count)]
        six = [(socket.AF_INET6, 1, 6, "", (f"::{n + 1}", port, 0, 0)) for n in range(count)]
        return self._chance.pick((four, six, four + six))

    def _dial(self) -> tuple[int | None, float]:
        delay = self._chance.delay()
        if self._chance.happens(self._reachable):
            return 0, delay
        if self._chance.happens(0.3):
            self._chance.slow = True
            return None, 1.0
        return self._chance.pick((errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH)), delay

    def _accept(self) -> Server:
        server = Server(self._network, self._plan, self._client.mails)
        self._sessions.append(server)
        return server

    def _session(self) -> Server | None:
        """Return the session that the client uses; those that lost the race it does not."""
        for server in self._sessions:
            if server.stream.sent_total or server.stream.read_total:
                return server
        return None


def _context(failure: str) -> VirtualContext:
    if failure not in _CONTEXTS:
        _CONTEXTS[failure] = VirtualContext()
        _CONTEXTS[failure].failure = failure
    return _CONTEXTS[failure]


def run_schedule(
    seed: int, tally: Counter[Any] | None = None, history: list[str] | None = None
) -> None:
    """Run the schedule of ``seed``; raises :class:`BrokenInvariant`.

    To be called within :func:`virtual_world`.  ``tally`` counts what happens, ``history`` gets it
    in words.
    """
    # The interpreter may go on handling an exception that an interrupt has taken the place of, and
    # make it the context of all that are raised later; at the end of a generator that is over.
    schedule = _Schedule(seed, Counter() if tally is None else tally, history)
    for _ in _run_as_generator(schedule):
        pass


def _run_as_generator(schedule: _Schedule) -> Iterator[None]:
    yield
    schedule.run()
