"""From the source of a message to the transport, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import SMTPError
from ..message.message import Message
from ..message.sources import PIECE
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from .trace import Trace

if TYPE_CHECKING:
    from ..net.transport import Transport

__all__ = ["Pump"]

_FINAL_DOT = b".\r\n"


def _nothing(*args: object) -> None:
    """Take the place of a callback that is no longer wanted."""


class Pump:
    """Moves one message at a time, only as fast as the transport takes it.

    - ``message`` (Message or None): the one that is being sent
    - ``transport`` (Transport): where it goes; set before the first message
    - ``holds`` (bool): the final dot of ``message``, or of the one before, waits for :meth:`commit`
    - ``halted`` (bool): the connection is about to end: no source is read, and nothing is sent
    """

    __slots__ = (
        "_along",
        "_begun",
        "_behind",
        "_broke",
        "_failed",
        "_follow",
        "_followed",
        "_held",
        "_reactor",
        "_starting",
        "_tell_sent",
        "_trace",
        "halted",
        "holds",
        "message",
        "transport",
    )

    transport: Transport

    def __init__(
        self,
        reactor: Reactor,
        trace: Trace | None,
        begun: Callable[[], object],
        held: Callable[[], object],
        along: Callable[[], bytes],
        failed: Callable[[SMTPError], object],
        broke: Callable[[BaseException], object],
        follow: Callable[[Message], Callable[[int], object] | None],
    ) -> None:
        """``begun()`` is called when the first piece of a message is there; ``held()`` when all but
        the final dot of one that is to be held has been sent; ``along()`` is what rides in the
        write that carries a final dot; ``failed(error)`` is called if a source fails, before that
        or after; ``broke(exc)`` for an exception that nobody has foreseen.
        ``follow(message)`` is asked once for each message that takes more than a piece; if it
        returns a function, that is called with the bytes that the system has taken.
        """
        self._reactor = reactor
        self._trace = trace
        self._begun = begun
        self._held = held
        self._along = along
        self._failed = failed
        self._broke = broke
        self._follow = follow
        self._followed: Message | None = None  # the one that "_follow" was asked about last
        self._tell_sent: Callable[[int], object] | None = None
        self._starting: Message | None = None  # whose first piece is waited for
        self.holds = False
        self._behind = -1  # bytes that ride behind "message"; -1 until its end is written
        self.message: Message | None = None
        self.halted = False

    @property
    def is_sent(self) -> bool:
        """Whether the system has taken all of the message, if there is one."""
        return self.message is None or self.transport.unsent <= self._behind

    def begin(self, message: Message) -> None:
        """Open the source of ``message``, and wait for its first piece."""
        self._starting = message
        try:
            message.start(self._reactor, self._source_ready)
        except SMTPError as error:
            self._starting = None
            self._failed(error)
        else:
            self._reactor.call_soon(self._source_ready)

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised while a piece was moved."""
        self._broke(exc)

    @guarded
    def _source_ready(self) -> None:
        starting = self._starting
        if self.halted:
            return
        if self.message is not None:
            self._send_piece()
        elif starting is not None:
            try:
                begun = starting.has_begun()
            except SMTPError as error:
                self._starting = None
                self._failed(error)
            else:
                if begun and self._starting is starting:
                    self._starting = None
                    self._begun()

    def send(self, message: Message, *, hold: bool = False) -> None:
        """Send all of ``message``; ``self.message`` is ``None`` once the system has taken it.

        With ``hold``, its final dot waits for :meth:`commit`, and ``held()`` is called instead.
        """
        self.message = message
        self.holds = hold
        self._behind = -1
        if not self.halted and self.transport.is_drained:
            self._send_next_of(message)

    @guarded
    def _send_piece(self) -> None:
        """Send the next piece; the one after it waits its turn, so that no connection starves."""
        message = self.message
        if message is not None and not self.halted and self.transport.is_drained:
            self._taken(message)
            self._send_next_of(message)
            if self.message is None and message.finished:
                self._taken(message)

    def _taken(self, message: Message) -> None:
        """Tell who follows ``message`` that the system has taken all that was written of it."""
        if message.size < PIECE or self.halted:
            return  # nobody follows what is as small as that, and nobody is to hear of it any more
        if self._followed is not message:
            self._followed, self._tell_sent = message, self._follow(message)
        if self._tell_sent is not None:
            self._tell_sent(message.size)
        if self.message is None:
            self._followed = self._tell_sent = None

    def _send_next_of(self, message: Message) -> None:
        try:
            wire = message.next_wire()
        except SMTPError as error:
            self.message = None
            self._failed(error)
            return
        if self.halted:
            return  # since the source was asked
        if not wire or self.message is None:
            return
        if message.finished:
            self._send_last(message, wire)
            return
        if self._trace is not None:
            self._trace.stream(wire)
        if self.transport.write(wire):
            self._reactor.call_soon(self._send_piece)

    def _send_last(self, message: Message, wire: bytes) -> None:
        if self.holds:
            wire = wire[: -len(_FINAL_DOT)]
        if wire and self._trace is not None:
            self._trace.stream(wire)
        along = b"" if self.holds else self._along()
        self._behind = len(along)
        self.message = None  # first: whatever comes between, the final dot may have been sent
        # One write, so that it is one packet, and one wake-up for the server.
        if not (self.transport.write(wire + along) if wire else self.transport.is_drained):
            self.message = message
        elif self.holds:
            # Not at once: what has been sent must have been told first.
            self._reactor.call_soon(self._all_held)

    def may_have_sent(self, message: Message) -> bool:
        """Whether the system may have taken all of ``message``, which is not held."""
        known = self.message is message and not self.transport.uncertain
        return message.finished and not (known and self.transport.unsent > self._behind)

    def drained(self) -> None:
        """Go on: the transport has taken what had to wait."""
        if self.message is not None:
            if self.message.finished:
                message, self.message = self.message, None
                self._taken(message)
                if self.holds:
                    self._all_held()
            else:
                self._send_piece()

    @guarded
    def _all_held(self) -> None:
        if self.holds and not self.halted:
            self._held()

    def commit(self) -> None:
        """Send the final dot of the message that is held."""
        if self._trace is not None:
            self._trace.stream(_FINAL_DOT)
        if not self.halted:
            self.holds = False  # first: it may have been sent, whatever comes between
            self.transport.write(_FINAL_DOT)

    def dissolve(self) -> None:
        """Let go of all callbacks: nothing is sent any more."""
        self._begun = self._failed = self._broke = self._held = _nothing
        self._along = bytes
        self._follow = _nothing

    def settled(self) -> None:
        """The server has judged the message, which it has got to its end; what rides behind it may
        still wait."""
        message, self.message = self.message, None
        if message is not None:
            self._taken(message)

    def stop(self) -> None:
        """Send no more."""
        self.holds = False
        self._starting = self.message = self._followed = self._tell_sent = None
