"""One connection of a pool, from the opening to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..callbacks import arguments_taken
from ..connection import SMTPConnection
from ..driver.queue import Operation
from ..errors import SMTPError, message_error
from ..options.smtp import Options
from ..options.transport import PoolOptions
from ..reactor.loop import Reactor
from ..reactor.timers import Timer
from ..records import LogEntry, SendInfo
from .verdicts import Stage

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Slot", "SlotOwner", "State"]

_PATIENCE = 10.0
"""Seconds that a server may take to answer QUIT."""

_TURNS = 20
"""Turns after which everything has been told that is to be told of a connection that is over."""


class State:
    """What a connection of a pool does."""

    OPENING = "opening"
    IDLE = "idle"
    SENDING = "sending"
    CLOSING = "closing"
    GONE = "gone"


class SlotOwner(Protocol):
    """Who decides what a connection does next.  All is called on the reactor's thread."""

    def opened(self, slot: Slot) -> None:
        """It is open, and has logged in."""

    def failed(self, slot: Slot, stage: str, error: SMTPError) -> None:
        """It has not come so far."""

    def sent(
        self, slot: Slot, entry: Entry, error: SMTPError | None, info: SendInfo | None
    ) -> None:
        """This is what became of the message."""

    def refill(self, slot: Slot) -> None:
        """The message that it has is about to end, and the envelope of another one may ride behind
        it (``send()``)."""

    def rested(self, slot: Slot) -> None:
        """It is as good as before the message that was refused."""

    def ended(self, slot: Slot) -> None:
        """It is over."""

    def logged(self, entry: LogEntry, sid: str) -> None:
        """Something was said on the connection with the id ``sid``."""


class _Attempt(Operation):
    """To send one message, of whose outcome its slot hears."""

    __slots__ = ("_entry", "_slot")

    def __init__(self, slot: Slot, entry: Entry) -> None:
        super().__init__(None)
        self._slot = slot
        self._entry = entry

    @property
    def has_callback(self) -> bool:
        return True

    def tell(self, report: Callable[[SMTPError], object]) -> None:
        if self._outcome is not None and not self.told:
            self.told = True
            error, info = self._outcome
            self._slot.sent(self._entry, error, info)


class _Connection(SMTPConnection):
    """A connection that asks for the next message when that may ride behind the one before."""

    def __init__(
        self, options: Options, reactor: Reactor, refill: Callable[[], object] | None
    ) -> None:
        super().__init__(options, reactor=reactor)
        self._lifecycle.refill = refill

    def attempt(self, attempt: _Attempt, entry: Entry) -> None:
        """Send the message of ``entry``, as :meth:`send` does it."""
        self._send(attempt, entry.envelope, entry.message, entry.signal)


class Slot:
    """A place for one connection, and that connection.

    - ``state`` (str): see :class:`State`
    - ``began``, ``idle_since`` (float): on the reactor's clock, seconds
    - ``messages`` (int): how many messages it has had
    - ``entries`` (list of Entry): those that it has, in order: one whose outcome has still to be
      told, the one that is being sent, the one whose envelope rides behind that
    - ``connection`` (SMTPConnection or None): once it is being opened
    """

    __slots__ = (
        "_login",
        "_options",
        "_owner",
        "_reactor",
        "_said_quit",
        "_timer",
        "began",
        "connection",
        "entries",
        "idle_since",
        "messages",
        "state",
    )

    def __init__(
        self,
        owner: SlotOwner,
        reactor: Reactor,
        options: PoolOptions,
        login: Mapping[str, Any] | None,
    ) -> None:
        self._owner = owner
        self._reactor = reactor
        self._options = options
        self._login = login
        self._timer: Timer | None = None
        self.began = self.idle_since = reactor.time()
        self.connection: _Connection | None = None
        self.entries: list[Entry] = []
        self.messages = 0
        self._said_quit = False
        self.state = State.OPENING

    @property
    def destroyed(self) -> bool:
        """Whether its connection is over, or about to be."""
        return self.connection is None or self.connection.destroyed

    # -- opening ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and log in; the owner hears of it."""
        get_socket = self._options.getSocket
        if get_socket is None:
            self._connect(None)
            return
        self._give(self._options.connectionTimeout / 1000)
        try:
            options = dict(self._options.for_connection())
            answer = (options, self._answer_from_anywhere)
            get_socket(*arguments_taken(get_socket).fit(*answer))
        except Exception as exc:
            self._got_socket(exc, None)

    def _answer_from_anywhere(self, error: object = None, given: Any = None, *_: object) -> None:
        self._reactor.call_soon_threadsafe(self._got_socket, error, given)

    def _got_socket(self, error: object, given: Any) -> None:
        if self.connection is not None or self.state != State.OPENING:
            # It comes too late, or twice: nobody else knows of the socket.
            sock = given.get("connection") if isinstance(given, Mapping) else None
            if sock is not None and (self.connection is None or sock is not self._handed_over()):
                sock.close()
            return
        self._stop_timer()
        if not error:
            self._connect(given or None)
            return
        failure = error
        if not isinstance(error, SMTPError):
            failure = SMTPError(f"No socket: {error}", code="ECONNECTION", command="CONN")
            failure.__cause__ = error if isinstance(error, BaseException) else None
        self._give_up(failure)

    def _handed_over(self) -> Any:
        connection = self.connection
        return None if connection is None else connection.options.connection

    def _give(self, seconds: float) -> None:
        """Let something take ``seconds`` at most."""
        self._stop_timer()
        self._timer = self._reactor.timer(self._timed_out)
        self._timer.start(seconds)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _timed_out(self) -> None:
        """The answer of ``getSocket``, or that to QUIT, takes too long."""
        if self.connection is not None:
            self.connection.close()
            return
        milliseconds = self._options.connectionTimeout
        text = f"getSocket has given no socket within {milliseconds:g} ms"
        self._give_up(SMTPError(text, code="ETIMEDOUT", command="CONN"))

    def _give_up(self, error: Any) -> None:
        """There is not even a connection."""
        self._owner.failed(self, Stage.OPENING, error)
        self._end()

    def _connect(self, more: Mapping[str, Any] | None) -> None:
        try:
            options = self._options.for_connection(more)
        except (TypeError, ValueError) as exc:
            error = SMTPError(f"No socket: {exc}", code="ECONNECTION", command="CONN")
            error.__cause__ = exc
            self._give_up(error)
            return
        # A message that is to be signed is not there as a whole, and would not ride.
        refill = self._refill if options.dkim is None else None
        connection = _Connection(options, self._reactor, refill)
        connection.on("error", _heard)
        connection.on("end", self._end)
        if options.debug or options.transactionLog:
            sid = connection.id
            connection.on("log", lambda entry: self._owner.logged(entry, sid))
        self.connection = connection
        connection.connect(self._connected)

    def _connected(self, error: SMTPError | None) -> None:
        connection = self.connection
        if self.state != State.OPENING or connection is None:
            return
        if error is not None:
            self._owner.failed(self, Stage.OPENING, error)
        elif self._login is None or not (connection.capabilities.auth or self._options.forceAuth):
            self._open()
        else:
            connection.login(self._login, self._logged_in)

    def _logged_in(self, error: SMTPError | None) -> None:
        if self.state != State.OPENING:
            return
        if error is not None:
            self._owner.failed(self, Stage.LOGIN, error)
        else:
            self._open()

    def _open(self) -> None:
        self.state = State.IDLE
        self._owner.opened(self)

    # -- messages ---------------------------------------------------------------------------------

    def send(self, entry: Entry) -> None:
        """Send the message of ``entry``; the owner hears of it."""
        connection = self.connection
        assert connection is not None
        self.state = State.SENDING
        self.entries.append(entry)
        entry.handed_over = True
        try:
            if not entry.is_plain:
                entry.before_sending()
            connection.attempt(_Attempt(self, entry), entry)
        except Exception as exc:
            # What a message of the caller's raises when it is looked at.
            error = message_error(f"The message cannot be read: {exc or type(exc).__name__}")
            error.__cause__ = exc
            self._reactor.call_soon(self.sent, entry, error, None)

    def sent(self, entry: Entry, error: SMTPError | None, info: SendInfo | None) -> None:
        """Take note of what has become of the message of ``entry``; the owner hears of it."""
        entries = self.entries
        if entry in entries:
            self.messages += 1
            entries.remove(entry)
            if self._said_quit and not entries:
                self.leave()
            self._owner.sent(self, entry, error, info)

    def _refill(self) -> None:
        if self.state == State.SENDING and not self._said_quit:
            self._owner.refill(self)

    def reset(self) -> None:
        """Say RSET; the owner hears when the next message can begin."""
        assert self.connection is not None
        self.connection.reset(self._reset)

    def _reset(self, error: SMTPError | None) -> None:
        if error is not None:
            self.leave()
        elif self.state == State.SENDING:
            self._owner.rested(self)

    # -- the end ----------------------------------------------------------------------------------

    def leave(self) -> None:
        """Say QUIT, after what is being sent; or do nothing if the connection is over anyway."""
        if self.state in (State.CLOSING, State.GONE):
            return
        is_sending = bool(self.entries)
        if not is_sending:
            self.state = State.CLOSING
        if self.destroyed or self.connection is None:
            return
        if not is_sending:
            self._give(_PATIENCE)
        if not self._said_quit:
            # At once, whether or not the message is still under way: the connection knows, and an
            # interrupt may have kept it from telling.
            self._said_quit = True
            self.connection.quit()

    def drop(self) -> None:
        """Close the connection at once.  May be called from any thread."""
        if self.state == State.OPENING:
            self.state = State.CLOSING
            if self.connection is None:
                self._reactor.call_soon(self._end)
        connection = self.connection
        if connection is not None:
            connection.close()
            self._reactor.call_soon(self._bury, _TURNS)

    def _bury(self, turns: int) -> None:
        """Some turns from now, take a connection that is over for one whose ``'end'`` was lost in
        an interrupt, or that had not even begun."""
        if turns and self.state != State.GONE:
            self._reactor.call_soon(self._bury, turns - 1)
        elif self.destroyed:
            self._end()

    def _end(self) -> None:
        if self.state != State.GONE:
            self.state = State.GONE
            self._stop_timer()
            self._owner.ended(self)
            self.connection = None  # which knows this method: what is over is freed at once


def _heard(error: SMTPError) -> None:
    """Whoever the failure of a connection concerns hears of it in another way."""
