"""SMTP, with a connection of its own for each mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .._version import __version__
from ..abort import AbortSignal
from ..emitter import NodeEmitter
from ..errors import SMTPError
from ..options.transport import PoolOptions
from ..pool.entry import Entry
from ..pool.failures import lost, never_sent
from ..pool.login import login_for
from ..pool.records import PoolLogEntry
from ..pool.slot import Slot
from ..pool.verification import Verification
from ..reactor.loop import Reactor
from ..records import LogEntry, SendInfo

__all__ = ["SMTPTransport"]

# What a mail may say of who sends it.  The rest of 'auth' is about the application, or says where
# its secrets are sent to.
_OF_THE_MAIL = ("type", "user", "pass", "accessToken", "refreshToken", "expires")


class SMTPTransport(NodeEmitter):
    """Connects, logs in, sends one message and says QUIT, for each message anew.

    A message is tried once.  Events are those of :class:`SMTPPool`, without ``'idle'`` and
    ``'clear'``.
    """

    _arguments: ClassVar[Mapping[str, int]] = {"error": 1, "token": 1, "log": 1}

    name = "SMTP"
    version = __version__
    runs_no_code_of_others = True

    def __init__(self, options: PoolOptions, reactor: Reactor) -> None:
        super().__init__()
        self.options = options
        self.reactor = reactor
        self._provision: Callable[..., object] | None = None
        self._login = self._login_of(options.auth)
        self._under_way: dict[_Delivery, None] = {}
        self._closed = False
        self._close_callbacks: list[Callable[[], object]] = []

    def _login_of(self, auth: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return login_for(auth, self.reactor, self._new_token, self._provision)

    def _new_token(self, token: object) -> None:
        self.emit("token", token)

    def provide_tokens(self, provision: Callable[..., object]) -> None:
        """Have access tokens fetched by ``provision``, see :meth:`SMTPPool.provide_tokens`."""
        self._provision = provision
        self._login = self._login_of(self.options.auth)

    def send(
        self,
        envelope: Mapping[str, Any] | None,
        message: Any,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
        auth: Mapping[str, Any] | None = None,
    ) -> None:
        """Send one message; ``callback(err, info)``.  ``auth`` may name another user."""
        entry = Entry(envelope, message, callback, self.reactor, signal)
        if self._closed:
            entry.settle(never_sent())
            self.reactor.call_soon(entry.tell, self.report)
            return
        login = self._login
        if auth:
            own = {name: auth[name] for name in _OF_THE_MAIL if name in auth}
            login = self._login_of({**(self.options.auth or {}), **own})
        delivery = _Delivery(self, entry)
        self._under_way[delivery] = None
        self.reactor.call_soon(delivery.begin, login)

    def report(self, error: SMTPError) -> None:
        """Tell of the failure of a message that has no callback."""
        self.emit("error", error)  # pyee raises it if nobody listens

    def verify(self, callback: Callable[..., object], *, signal: AbortSignal | None = None) -> None:
        """Find out whether the server takes the login: ``callback(err, True)``."""
        Verification(self.reactor, self.options, self._login, callback, signal, self.logged)

    def logged(self, entry: LogEntry, sid: str) -> None:
        """Something was said on the connection with the id ``sid``."""
        self.emit("log", PoolLogEntry(entry.type, entry.message, sid))

    def close(self, *, force: bool, callback: Callable[[], object] | None) -> None:
        """Send nothing more; ``callback()`` is called when all that is being sent is over.  With
        ``force`` it is cut off."""
        self._closed = True
        if callback is not None:
            self._close_callbacks.append(callback)
        if force:
            self.reactor.call_soon(self._drop_all)
        self.reactor.call_soon(self._look_whether_all_is_over)

    def _drop_all(self) -> None:
        for delivery in list(self._under_way):
            delivery.drop()

    def over(self, delivery: _Delivery) -> None:
        """The connection of a message is over."""
        self._under_way.pop(delivery, None)
        self._look_whether_all_is_over()

    def _look_whether_all_is_over(self) -> None:
        if self._closed and not self._under_way:
            while self._close_callbacks:
                self.reactor.call_soon(self._close_callbacks.pop(0))


class _Delivery:
    """One message, and its connection."""

    def __init__(self, transport: SMTPTransport, entry: Entry) -> None:
        self._transport = transport
        self._entry = entry
        self._slot: Slot | None = None
        if entry.signal is not None:
            reactor = transport.reactor
            entry.follow(lambda: reactor.call_soon(self._aborted), reactor)

    def begin(self, login: Mapping[str, Any] | None) -> None:
        """Connect."""
        if self._entry.settled:
            self._transport.over(self)
            return
        transport = self._transport
        self._slot = Slot(self, transport.reactor, transport.options, login)
        self._slot.open()

    def drop(self) -> None:
        """Close the connection at once."""
        self._settle(never_sent() if not self._entry.handed_over else None)
        if self._slot is not None:
            self._slot.drop()

    def _aborted(self) -> None:
        entry = self._entry
        if entry.settled or entry.handed_over or entry.signal is None:
            return  # it is for the connection to abort, or over
        from ..abort import abort_error

        self._settle(abort_error(entry.signal.reason))
        if self._slot is not None:
            self._slot.drop()

    def opened(self, slot: Slot) -> None:
        """(SlotOwner)"""
        if self._entry.settled:
            slot.leave()
        else:
            slot.send(self._entry)

    def failed(self, slot: Slot, stage: str, error: SMTPError) -> None:
        """(SlotOwner)"""
        self._settle(error)
        slot.leave()

    def sent(
        self, slot: Slot, entry: Entry, error: SMTPError | None, info: SendInfo | None
    ) -> None:
        """(SlotOwner)"""
        entry.settle(error, info)
        self._transport.reactor.call_soon(entry.tell, self._transport.report)
        slot.leave()

    def rested(self, slot: Slot) -> None:
        """(SlotOwner)"""

    def refill(self, slot: Slot) -> None:
        """(SlotOwner) There is no other message."""

    def ended(self, slot: Slot) -> None:
        """(SlotOwner)"""
        if not self._entry.settled:
            self._settle(lost() if self._entry.handed_over else never_sent())
        self._slot = None
        self._transport.over(self)

    def logged(self, entry: LogEntry, sid: str) -> None:
        """(SlotOwner)"""
        self._transport.logged(entry, sid)

    def _settle(self, error: SMTPError | None) -> None:
        if error is not None:
            self._entry.settle(error)
            self._transport.reactor.call_soon(self._entry.tell, self._transport.report)
