"""A client program out of a seed: what it calls, and what it does from within its callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from smtp_connection import SMTPConnection

from .chance import Chance
from .interrupts import Interrupts
from .judge import BrokenInvariant, Judge, Operation
from .logins import LOGINS, TokenSource, Wallet
from .messages import Mail, SourceWorld
from .network import Network, VirtualReactor
from .outcomes import judge_by_server, judge_by_wire
from .server import Server
from .streams import Stream

UNKNOWN: Any = object()
"""Stands for what a callback does not take."""

MISCHIEF = (
    *["raise"] * 4,
    *["send"] * 3,
    *["close"] * 2,
    "quit",
    "login",
    "reset",
    "connect",
    "close the socket",
    "close elsewhere",
    "send elsewhere",
)
_ELSEWHERE = ("send", "send", "close", "quit", "login", "reset")


class Session(Protocol):
    """What a server is to its client: only a ``Server`` knows more than what was said."""

    stream: Stream


class Program:
    """What a client does.

    - ``script`` (list of str): the methods that it calls, in order
    - ``chained`` (bool): each from within the callback before it, and not all at once
    - ``early`` (bool): it calls the first one before ``connect()``
    - ``mischief`` (float): how often a callback does what it need not do
    - ``intrusions`` (float): how often another thread calls something
    """

    __slots__ = ("chained", "early", "intrusions", "mischief", "script")

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.chained = self.early = False
        self.mischief = self.intrusions = 0.0

    @classmethod
    def by_chance(cls, chance: Chance) -> Program:
        actions = ("send", "send", "send", "send", "login", "reset")
        script = [chance.pick(actions) for _ in range(5)][chance.below(5) :]
        many = chance.happens(0.3)
        if many:
            script = ["send"] * (3 + chance.below(4))  # so many that the envelopes ride
        last = chance.pick(("quit", "quit", "quit", "close", ""))
        if last:
            script.append(last)
        program = cls(script)
        program.chained = not many and chance.happens(0.5)
        program.early = chance.happens(0.03)
        program.mischief = chance.pick((0.0, 0.0, 0.1, 0.3))
        program.intrusions = chance.pick((0.0, 0.0, 0.0, 0.02))
        return program


class LevelledLogger:
    """A logger in the style of the module ``logging``, whose levels are looked up somewhere."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.debug = self.info = self.warning = self.error = client.debug

    def isEnabledFor(self, level: int) -> bool:
        self._client.strike("isEnabledFor")
        return level > 10 or self._client.chance.happens(0.5)


class Client:
    """Uses one connection.

    - ``mails``: all messages that were given to it, by number
    - ``started``: whether ``connect()`` was called in time
    - ``interrupts``: those of the schedule, if there are any
    """

    def __init__(
        self,
        chance: Chance,
        judge: Judge,
        network: Network,
        reactor: VirtualReactor,
        session: Callable[[], Session | None],
        program: Program,
    ) -> None:
        self.chance = chance
        self.mails: dict[int, Mail] = {}
        self.started = False
        self.interrupts: Interrupts | None = None
        self._judge = judge
        self._network = network
        self._reactor = reactor
        self._session = session  # that with the server, once there is one
        self._handed_over: Any = None  # the socket that the connection got, if it got one
        self._sources = SourceWorld(self._source_asked, self.soon, network.strike)
        self._connection: SMTPConnection
        self._program = program
        self._script = program.script
        self._tricks = 6  # that are still to come, at most

    def start(self, options: dict[str, Any], *, listen: bool) -> None:
        """Make the connection, and begin with the script; ``listen`` to ``'error'``."""
        self._handed_over = options.get("connection") or options.get("socket")
        self._connection = connection = SMTPConnection(options, reactor=self._reactor)
        self._judge.connection = connection
        connection.on("connect", self._on_connect)
        connection.on("end", self._on_end)
        if listen:
            connection.on("error", self._on_error)
        if options.get("debug") or options.get("transactionLog"):
            connection.on("log", self._on_log)
        if self._program.early:
            self.call(self._script.pop(0))
        self.call("connect")
        if not self._program.chained:
            while self._script:
                self._call_in_time(self._script.pop(0))

    def _call_in_time(self, action: str) -> None:
        """Call it at once; ``close()`` some time, or nothing would ever happen."""
        if action == "close":
            self._network.later(
                self.chance.delay() + self.chance.below(100) / 1024,
                self._reactor.call_soon_threadsafe,
                self.call,
                action,
            )
        else:
            self.call(action)

    def recover(self) -> None:
        """End everything, as programs do in a ``finally`` clause after an interrupt.  Some go on
        for a while before."""
        turns = self.chance.below(12) if self.chance.happens(0.3) else 0
        self.chance.slow = True  # what was interrupted may be lost
        for _ in range(turns):
            try:
                if not self._reactor.run_once(None) or self._judge.stalled:
                    break
            except BrokenInvariant:
                raise
            except BaseException as exc:
                self._judge.surfaced(exc)
        while True:
            try:
                self.call("close")
                break
            except BrokenInvariant:
                raise
            except BaseException as exc:
                self._judge.surfaced(exc)
        self._judge.recovered()

    # -- what it is called from -------------------------------------------------------------------

    def _on_connect(self) -> None:
        self._judge.event("connect")
        try:
            self.hook("'connect'")
        except BaseException:
            # pyee does not get to the listeners behind, and connect()'s callback is one of them.
            self._judge.comes_later("connect")
            raise

    def _on_end(self) -> None:
        self._judge.event("end")
        self.hook("'end'")

    def _on_error(self, error: Any) -> None:
        self._judge.event("error", error)
        self.hook("'error'")

    def _on_log(self, entry: Any) -> None:
        self._judge.event("log")
        self.hook("'log'", rarely=True)

    def _write_log(self, text: str, *args: object, extra: object) -> None:
        self._network.strike("logger")
        self.hook("the logger", rarely=True)

    debug = info = warning = error = _write_log  # as a logger has them

    def strike(self, place: str) -> None:
        """(logins.Host)"""
        self._network.strike(place)

    def _source_asked(self) -> None:
        self.hook("a message source", may_raise=False)

    def called_within(self, name: str, times: int = 1) -> None:
        """(logins.Host)"""
        self._judge.called_within(name, times)
        self.hook(name, may_raise=False)

    def elsewhere(self) -> None:
        """Another thread may do something now; called whenever the reactor waits."""
        intrusions = self._program.intrusions
        if intrusions and self._tricks and self.chance.happens(intrusions):
            self._tricks -= 1
            self._act_elsewhere("another thread", self.chance.pick(_ELSEWHERE))

    def _act_elsewhere(self, hook: str, action: str) -> None:
        self._judge.tally[hook, action] += 1
        self._reactor.from_elsewhere(self.call, action)

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function(*args)`` on a later turn, or from another thread."""
        if self.chance.happens(0.5):
            self._reactor.call_soon(function, *args)
        else:
            self._network.later(self.chance.delay(), self._reactor.from_elsewhere, function, *args)

    def hook(self, name: str, *, rarely: bool = False, may_raise: bool = True) -> None:
        """The client is called: it may go on with its script, and do something else."""
        if self._script and name in _GOES_ON_FROM:
            self.call(self._script.pop(0))
        mischief = self._program.mischief
        if not mischief or not self._tricks:
            return
        if not self.chance.happens(mischief / 8 if rarely else mischief):
            return
        self._tricks -= 1
        action = self.chance.pick(MISCHIEF)
        if action == "raise":
            if may_raise:
                self._judge.tally[name, action] += 1
                self._judge.plant()
        elif action == "close the socket":
            if self._handed_over is not None and self._handed_over.fileno() >= 0:
                self._judge.tally[name, action] += 1
                self._judge.note("-> the owner closes the socket")
                self._judge.noticed_by = self._judge.clock() + 1.1  # it is looked at each second
                self._handed_over.close_as_owner()
        elif action.endswith(" elsewhere"):
            self._act_elsewhere(name, action.removesuffix(" elsewhere"))
        else:
            self._judge.tally[name, action] += 1
            self.call(action)

    # -- what it calls ----------------------------------------------------------------------------

    def call(self, action: str) -> None:
        """Call the method of that name."""
        _CALLS[action](self)

    def _operation(self, kind: str, mail: Mail | None = None) -> Operation:
        number = len(self._judge.operations)
        has_callback = kind != "quit" and not self.chance.happens(0.08)
        return Operation(kind, f"{kind} {number}", has_callback, mail)

    def _callback(self, operation: Operation) -> Callable[..., None] | None:
        if operation.has_callback:
            operation.callback = self._listener(operation)
        callback: Callable[..., None] | None = operation.callback
        return callback

    def _listener(self, operation: Operation) -> Callable[..., None]:
        roll = self.chance.random()
        if roll < 0.8:
            return lambda error, result: self._done(operation, error, result)
        if roll < 0.9:
            return lambda *both: self._done(operation, *both)
        return lambda error: self._done(operation, error, UNKNOWN)

    def _done(self, operation: Operation, error: Any, result: Any = UNKNOWN) -> None:
        judge = self._judge
        judge.called_back(operation, error)
        if not self.chance.slow and getattr(error, "code", None) == "ETIMEDOUT":
            judge.fail(f"{operation.name} has timed out, and everybody was quick: {error!r}")
        kind = operation.kind
        judge.tally[f"outcome: {kind} {'succeeded' if error is None else 'failed'}"] += 1
        if kind == "send":
            if operation.late or operation.at_once:
                judge.require(error is not None, f"{operation.name} succeeds, and cannot")
            else:
                self._check_message(operation, error, result)
        elif error is None:
            self._check_granted(kind)
        self.hook(f"{kind} callback")

    def _check_message(self, operation: Operation, error: Any, result: Any) -> None:
        mail, server = operation.mail, self._session()
        assert mail is not None
        if error is None:
            self._judge.require(not mail.doomed, f"{operation.name} succeeds without a source")
        judge_by_wire(self._judge, mail, server.stream if server else None, error)
        if isinstance(server, Server) and server.honest:
            info = None if result is UNKNOWN else result
            judge_by_server(self._judge, mail, server, error, info)

    def _check_granted(self, kind: str) -> None:
        """Every success was granted by a reply that the client has read."""
        server = self._session()
        if server is None:
            self._judge.fail(f"{kind} succeeds without a server")
        if not isinstance(server, Server) or not server.honest:
            return
        heard = sum(end <= server.stream.read_total for end in server.granted[kind])
        operations = self._judge.operations
        succeeded = sum(
            one.kind == kind and one.calls == 1 and one.error is None for one in operations
        )
        if heard < succeeded:
            self._judge.fail(f"{kind} succeeds for the {succeeded}. time, granted were {heard}")

    def _make(self, operation: Operation, method: Callable[..., None], *args: Any) -> None:
        """Call ``method``, whose callback belongs to ``operation``."""
        judge = self._judge
        judge.called(operation)
        interrupts = self.interrupts
        cut_short = True
        try:
            if interrupts is not None:
                moments = ("close()", "the end") if operation.kind == "close" else ("a call",)
                interrupts.reached(*moments)
            method(*args)
            cut_short = False
            if operation.mail is not None and operation.mail.unusable:
                operation.at_once = True
        finally:
            if interrupts is not None:
                interrupts.left()
            judge.returned(operation, cut_short=cut_short)

    def _connect(self) -> None:
        operation = self._operation("connect")
        again = operation.at_once = self.started or self._connection.destroyed
        if not again:
            self.started = True
            self._judge.begin()
        self._make(operation, self._connection.connect, self._callback(operation))

    def _log_in(self) -> None:
        operation = self._operation("login")
        operation.at_once = not self.started
        auth = self.chance.pick(LOGINS)
        if self.chance.happens(0.2):
            auth = {"user": "me", "xoauth2": TokenSource(self)}
        elif auth is not None and self._network.surprises is not None:
            auth = Wallet(self, auth)
        self._make(operation, self._connection.login, auth, self._callback(operation))

    def _send(self) -> None:
        chance = self.chance
        number = len(self.mails) + 1
        recipients = [f"r{which}.m{number}@c.test" for which in range(1 + chance.below(3))]
        mail = self.mails[number] = Mail(number, recipients)
        mail.fill(chance, self._sources)
        operation = self._operation("send", mail)
        operation.at_once = not self.started
        envelope: dict[str, Any] = {"from": f"m{number}@c.test", "to": recipients}
        if chance.happens(0.05):
            envelope["size"] = chance.pick((10, 9001))
        if chance.happens(0.02):
            envelope["to"] = []
        if not envelope["to"] or mail.source is None or mail.source == b"":
            operation.at_once = True
        self._judge.tally["message source: " + mail.guise] += 1
        self._make(
            operation, self._connection.send, envelope, mail.source, self._callback(operation)
        )

    def _reset(self) -> None:
        operation = self._operation("reset")
        operation.at_once = not self.started
        self._make(operation, self._connection.reset, self._callback(operation))

    def _quit(self) -> None:
        operation = self._operation("quit")
        self._make(operation, self._connection.quit)

    def _close(self) -> None:
        judge = self._judge
        operation = Operation("close", "close", False, None)
        self._make(operation, self._connection.close)
        judge.require(self._connection.destroyed, "it is not destroyed after close()")


_GOES_ON_FROM = ("'connect'", "login callback", "send callback", "reset callback")
_CALLS: dict[str, Callable[[Client], None]] = {
    "connect": Client._connect,
    "login": Client._log_in,
    "send": Client._send,
    "reset": Client._reset,
    "quit": Client._quit,
    "close": Client._close,
}
