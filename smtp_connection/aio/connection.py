"""``SMTPConnection`` with coroutines, on top of the one with callbacks."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..abort import AbortSignal
from ..callbacks import arguments_awaited, is_async
from ..connection import SMTPConnection as CallbackConnection
from ..errors import SMTPError
from ..hosting import attach
from ..protocol.commands import CommandReply, ProbeInfo
from ..reactor.loop import Reactor
from ..records import SendInfo
from ..wrapped import Wrapped
from .answers import Answer
from .listeners import ListenerTasks
from .reactors import LoopReactor, reactor_here

if TYPE_CHECKING:
    from .. import types
    from ..types import Loaded

__all__ = ["SMTPConnection"]


class _End:
    """Tells a connection of its end.  It is kept until then from the moment on when it connects:
    before that, and after it, it goes when its owner lets go of it."""

    def __init__(self, connection: SMTPConnection) -> None:
        self._connection = weakref.ref(connection)
        self._kept: SMTPConnection | None = None

    def keep(self, connection: SMTPConnection) -> None:
        self._kept = connection

    def heard(self) -> None:
        connection, self._kept = self._connection(), None
        if connection is not None:
            connection.ended()


class SMTPConnection(Wrapped):
    """A connection to an SMTP or LMTP server whose methods are coroutines.

    Options, attributes and events are those of :class:`smtp_connection.SMTPConnection`.  A method
    returns what the callback would get, or raises the :class:`SMTPError`.  Many tasks may call
    methods at the same time: what they ask for is carried out in the order of the calls.

    ``async with`` connects, and at its end says QUIT, or closes at once if an exception is the end.

    Listeners may be coroutine functions.  They run in tasks of their own; what they raise goes to
    the loop's exception handler.

    If a task is cancelled, by ``asyncio.timeout`` or ``wait_for`` say, its operation is taken back
    if it has not begun, and the connection goes on; if it has begun, the connection is closed.  The
    verdict on a message that has been sent to its end is waited for, for ``socketCloseTimeout``, or
    until the task is cancelled once more.  If it is there by then, ``send`` returns it, else it
    raises the error with ``inDoubt``; and the task is cancelled where it waits next, unless it was
    a time-out that has cancelled it and is over by then.

    A ``reactor`` of the caller's own is attached to the loop, and stays so.
    """

    def __init__(
        self,
        options: types.ConnectionOptions | Loaded | str | None = None,
        *,
        reactor: Reactor | None = None,
        **more: Any,
    ) -> None:
        reactor = reactor or reactor_here()
        super().__init__(CallbackConnection(options, reactor=reactor, **more))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = False
        self._over = asyncio.Event()
        self._late: list[Callable[[], None]] = []
        self._tasks = ListenerTasks()
        # First of all listeners: none of the others can keep it from hearing of the end.
        self._end = _End(self)
        self._connection.once("end", self._end.heard)

    async def connect(self, *, signal: AbortSignal | None = None) -> None:
        """Open the session: connect, take the greeting, EHLO, STARTTLS where it applies."""
        answer = self._ask(self._connection.connect, signal)
        if not self._started:
            self._started = True
            self._end.keep(self)
            if isinstance(self.reactor, LoopReactor):
                self.reactor.begin()
        try:
            await self._outcome(answer)
        except asyncio.CancelledError:
            self.close()  # it may have been connected in the last moment
            raise

    async def login(
        self,
        auth: types.Auth | Loaded | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> bool:
        """Authenticate, with the option ``auth`` if none is given; the value is ``True``.

        Raises :class:`SMTPError` (``EAUTH``); the connection stays usable after that.
        """
        value: bool = await self._call(partial(self._connection.login, auth), signal)
        return value

    async def send(
        self,
        envelope: types.Envelope | Loaded | None,
        message: types.AnyMessage | Loaded,
        *,
        signal: AbortSignal | None = None,
    ) -> SendInfo:
        """Send one message, and return what became of it.

        Raises :class:`SMTPError`: ``EENVELOPE``, ``EMESSAGE``, ``ESTREAM``, or that of the
        connection.
        """
        call = partial(self._connection.send, envelope, message)
        info: SendInfo = await self._call(call, signal)
        return info

    async def reset(self, *, signal: AbortSignal | None = None) -> bool:
        """Send RSET; the value is ``True``."""
        value: bool = await self._call(self._connection.reset, signal)
        return value

    async def noop(self, *, signal: AbortSignal | None = None) -> bool:
        """Send NOOP; the value is ``True``."""
        value: bool = await self._call(self._connection.noop, signal)
        return value

    async def command(self, line: str, *, signal: AbortSignal | None = None) -> CommandReply:
        """Send one line, and return the reply, also one of 4xx or 5xx."""
        reply: CommandReply = await self._call(partial(self._connection.command, line), signal)
        return reply

    async def probe(
        self, envelope: types.Envelope | Loaded, *, signal: AbortSignal | None = None
    ) -> ProbeInfo:
        """Ask the server whom it would take a message for, and send none."""
        info: ProbeInfo = await self._call(partial(self._connection.probe, envelope), signal)
        return info

    async def quit(self) -> None:
        """Say QUIT after what is queued, and return when the connection is closed."""
        if not self._started:
            text = "Cannot quit: call connect() first"
            raise SMTPError(text, code="ECONNECTION", command="API")
        self._attach()
        answer = Answer()
        self._connection.quit(signal=answer.signal)
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            answer.abort()
            raise

    def close(self) -> None:
        """Close at once; whoever waits for an operation gets ``ECONNECTION``."""
        if not self._over.is_set():
            self._connection.close()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, by whomever."""
        if self._started:
            if not self._over.is_set():
                self._attach()
                await self._over.wait()
            if isinstance(self.reactor, LoopReactor):
                await self.reactor.wait_quiet()

    async def __aenter__(self) -> SMTPConnection:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self.quit()
        finally:
            self.close()
            await self._over.wait()
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            await self.wait_closed()

    # -- what stands behind it --------------------------------------------------------------------

    async def _call(self, call: Callable[..., None], signal: AbortSignal | None) -> Any:
        return await self._outcome(self._ask(call, signal))

    def _ask(self, call: Callable[..., None], signal: AbortSignal | None) -> Answer:
        """Ask for an operation; ``call`` takes a callback and a signal."""
        self._attach()
        answer = Answer(signal)

        def told(error: SMTPError | None, value: Any) -> None:
            if error is not None and self._ends:
                # Whoever hears of it finds the connection closed.
                self._late.append(partial(answer.give, error, value))
            else:
                answer.give(error, value)

        call(told, signal=answer.signal)
        return answer

    async def _outcome(self, answer: Answer) -> Any:
        return await answer.outcome(self.close)

    @property
    def _ends(self) -> bool:
        return self._started and self.destroyed and not self._over.is_set()

    def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop or self.reactor.hosting is None:
            attach(self.reactor)
            self._loop = loop

    def ended(self) -> None:
        """The connection with callbacks has emitted ``'end'``."""
        self._over.set()
        late, self._late = self._late, []
        for give in late:
            give()
        if isinstance(self.reactor, LoopReactor):
            self.reactor.end()

    def _fitting(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> Any:
        if callable(k) and is_async(k):
            return self._tasks.starter(v, arguments_awaited(k))
        return super()._fitting(event, k, v)
