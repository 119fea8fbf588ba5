"""``createTransport`` with coroutines, on top of the one with callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ..abort import AbortSignal
from ..callbacks import Arguments, arguments_awaited, is_async
from ..emitter import NodeEmitter
from ..errors import SMTPError
from ..hosting import attach
from ..reactor.loop import Reactor
from ..transports.create import createTransport as callback_transport
from ..transports.mailer import Mailer
from ..transports.records import MailInfo
from .answers import Answer
from .listeners import ListenerTasks
from .reactors import LoopReactor, reactor_here

if TYPE_CHECKING:
    from email.message import Message

    from .. import types
    from ..types import Loaded, Transporter

__all__ = ["Transport", "createTransport"]


class Transport(NodeEmitter):
    """Composes mails and sends them; made by :func:`createTransport`.

    Options and events are those of the transport with callbacks.  A method returns what the
    callback would get, or raises the :class:`SMTPError`.  Any number of tasks may send mails at the
    same time.

    ``async with`` closes it at the end, after all mails have been sent; or, if an exception is the
    end, after those that are being sent.

    Listeners and plugins may be coroutine functions.

    If a task is cancelled, its mail is taken back if it is in the queue.  If it is being sent, that
    is cut off, and the connection closed; a mail that has been sent to its end is treated as
    :class:`~smtp_connection.aio.SMTPConnection` does.
    """

    _arguments: ClassVar[Mapping[str, int]] = Mailer._arguments

    def __init__(self, mailer: Mailer) -> None:
        super().__init__()
        self._mailer = mailer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks = ListenerTasks()
        self._relayed: set[str] = set()

    @property
    def transporter(self) -> Any:
        """What sends: an :class:`SMTPPool` with the option ``pool``."""
        return self._mailer.transporter

    @property
    def reactor(self) -> Reactor:
        """The reactor that carries everything out."""
        return self._mailer.reactor

    async def sendMail(
        self,
        data: types.TransportMail | Message | Loaded,
        *,
        signal: AbortSignal | None = None,
    ) -> MailInfo:
        """Compose a mail and send it, and return what became of it.

        Raises :class:`SMTPError`.  ``data`` is what ``sendMail`` with callbacks takes.
        """
        info: MailInfo = await self._call(partial(self._mailer.sendMail, data), signal)
        return info

    async def verify(self, *, signal: AbortSignal | None = None) -> bool:
        """Find out whether the server can be reached and takes the login; the value is ``True``."""
        value: bool = await self._call(self._mailer.verify, signal)
        return value

    async def close(self, options: Mapping[str, Any] | None = None) -> None:
        """End the transport, and return when its last connection is over; ``options`` are ``drain``
        and ``force``."""
        await self._call(partial(self._close, options), None)
        if isinstance(self.reactor, LoopReactor):
            await self.reactor.wait_quiet()

    def _close(
        self,
        options: Mapping[str, Any] | None,
        callback: Callable[..., object],
        signal: AbortSignal,
    ) -> None:
        self._mailer.close(options, callback)

    def isIdle(self) -> bool:
        """Whether there is room in the queue of the pool; without a pool, always."""
        return self._mailer.isIdle()

    def use(self, step: str, plugin: Callable[..., Any]) -> Transport:
        """Call ``plugin(mail, callback)`` for each mail, in the step ``'compile'`` or ``'stream'``;
        of a coroutine function, which gets the mail alone, the end is waited for."""
        if is_async(plugin):
            plugin = partial(self._run_plugin, plugin, arguments_awaited(plugin))
        self._mailer.use(step, plugin)
        return self

    def _run_plugin(
        self,
        plugin: Callable[..., Any],
        taken: Arguments,
        mail: Any,
        callback: Callable[..., object],
    ) -> None:
        task = asyncio.get_running_loop().create_task(plugin(*taken.fit(mail)))
        task.add_done_callback(partial(_plugin_ended, callback))

    def set(self, key: str, value: Any) -> Transport:
        """Keep ``value`` under the name ``key``, and return the transport."""
        self._mailer.set(key, value)
        return self

    def get(self, key: str) -> Any:
        """Return what is kept under the name ``key``, ``None`` if nothing is."""
        return self._mailer.get(key)

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close({"drain": kind is None})

    # -- what stands behind it --------------------------------------------------------------------

    async def _call(self, call: Callable[..., object], signal: AbortSignal | None) -> Any:
        """Call ``call(callback, signal=...)``; return or raise what its callback gets."""
        self._attach()
        answer = Answer(signal)
        reactor = self.reactor

        def told(error: SMTPError | None = None, value: Any = None) -> None:
            answer.give(error, value)
            if isinstance(reactor, LoopReactor):
                reactor.end()

        if isinstance(reactor, LoopReactor):
            reactor.begin()
        try:
            call(told, signal=answer.signal)
        except BaseException:
            if isinstance(reactor, LoopReactor):
                reactor.end()
            raise
        return await answer.outcome(_wait_on)

    def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop or self.reactor.hosting is None:
            attach(self.reactor)
            self._loop = loop

    def _fitting(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> Any:
        if event in self._arguments and event not in self._relayed:
            self._relayed.add(event)
            self._mailer.on(event, partial(self.emit, event))
        if callable(k) and is_async(k):
            return self._tasks.starter(v, arguments_awaited(k))
        return super()._fitting(event, k, v)


def _wait_on() -> None:
    """A second cancellation: the connection is nobody's but the pool's, which has an end to its
    patience (``socketCloseTimeout``)."""


def _plugin_ended(callback: Callable[..., object], task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        callback("the plugin was cancelled")
    else:
        callback(task.exception())


def createTransport(
    transporter: types.TransportOptions | Loaded | Transporter | str | None = None,
    defaults: types.TransportMail | Loaded | None = None,
    *,
    reactor: Reactor | None = None,
    **more: Any,
) -> Transport:
    """Return a transport whose methods are coroutines; for the arguments see
    :func:`smtp_connection.createTransport`.

    A ``reactor`` of the caller's own is attached to the loop, and stays so.
    """
    reactor = reactor or reactor_here()
    return Transport(callback_transport(transporter, defaults, reactor=reactor, **more))
