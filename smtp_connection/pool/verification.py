"""Whether a server can be reached, and takes the login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..abort import AbortSignal, Following, abort_error
from ..callbacks import arguments_taken
from ..errors import SMTPError
from ..options.transport import PoolOptions
from ..reactor.loop import Reactor
from ..records import LogEntry, SendInfo
from .slot import Slot

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Verification"]


class Verification:
    """Connects, logs in, and says QUIT; tells ``callback`` how far it came, once."""

    def __init__(
        self,
        reactor: Reactor,
        options: PoolOptions,
        login: Mapping[str, Any] | None,
        callback: Callable[..., object],
        signal: AbortSignal | None,
        logged: Callable[[LogEntry, str], object],
    ) -> None:
        if signal is not None and not isinstance(signal, AbortSignal):
            raise TypeError(f"signal takes an AbortSignal; got {type(signal).__name__}")
        self._reactor = reactor
        self._callback: Callable[..., object] | None = callback
        self._arguments = arguments_taken(callback)
        self._logged = logged
        self._following: Following | None = None
        if signal is not None and signal.aborted:
            self._tell(abort_error(signal.reason))
            return
        slot = Slot(self, reactor, options, login)
        if signal is not None:
            abort = partial(reactor.call_soon, self._abort, slot, signal)
            self._following = signal.follow(abort, reactor)
        reactor.call_soon(self._open, slot)

    def _open(self, slot: Slot) -> None:
        if self._callback is not None:
            slot.open()

    def _abort(self, slot: Slot, signal: AbortSignal) -> None:
        self._tell(abort_error(signal.reason))
        slot.drop()

    def opened(self, slot: Slot) -> None:
        """(SlotOwner)"""
        self._tell(None, True)
        slot.leave()

    def failed(self, slot: Slot, stage: str, error: SMTPError) -> None:
        """(SlotOwner)"""
        self._tell(error)
        slot.leave()

    def ended(self, slot: Slot) -> None:
        """(SlotOwner)"""
        self._tell(SMTPError("The connection was closed", code="ECONNECTION", command="CONN"))

    def logged(self, entry: LogEntry, sid: str) -> None:
        """(SlotOwner)"""
        self._logged(entry, sid)

    def sent(
        self, slot: Slot, entry: Entry, error: SMTPError | None, info: SendInfo | None
    ) -> None:
        """(SlotOwner) It has no messages."""

    def rested(self, slot: Slot) -> None:
        """(SlotOwner)"""

    def refill(self, slot: Slot) -> None:
        """(SlotOwner) There is no other message."""

    def _tell(self, error: SMTPError | None, value: Any = None) -> None:
        callback, self._callback = self._callback, None
        if self._following is not None:
            self._following.cancel()
        if callback is not None:
            self._reactor.call_soon(callback, *self._arguments.fit_outcome(error, value))
