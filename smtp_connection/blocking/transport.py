"""``createTransport`` with methods that wait, on top of the one with callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ..abort import AbortController, AbortSignal
from ..emitter import NodeEmitter
from ..reactor.default import current_reactor
from ..transports.create import createTransport as callback_transport
from ..transports.mailer import Mailer
from ..transports.records import MailInfo
from .thread import Home, Outcome, home, wait_for

if TYPE_CHECKING:
    from email.message import Message

    from .. import types
    from ..types import Loaded, Transporter

__all__ = ["Transport", "createTransport"]


class Transport(NodeEmitter):
    """Composes mails and sends them; made by :func:`createTransport`.

    Options and events are those of the transport with callbacks.  A method waits, and returns what
    the callback would get, or raises the :class:`SMTPError`.  Any number of threads may send mails
    at the same time.

    ``with`` closes it at the end, after all mails have been sent; or, if an exception is the end,
    after those that are being sent.

    If an exception ends a wait, Ctrl-C for example, the mail is taken back if it is in the queue;
    one that is being sent may be accepted all the same.  Listeners and plugins run on another
    thread, on which the methods that wait raise ``RuntimeError``.
    """

    _arguments: ClassVar[Mapping[str, int]] = Mailer._arguments

    def __init__(self, mailer: Mailer, home: Home) -> None:
        super().__init__()
        self._mailer = mailer
        self._home = home
        self._relayed: set[str] = set()

    @property
    def transporter(self) -> Any:
        """What sends: an :class:`SMTPPool` with the option ``pool``."""
        return self._mailer.transporter

    def sendMail(
        self,
        data: types.TransportMail | Message | Loaded,
        *,
        signal: AbortSignal | None = None,
    ) -> MailInfo:
        """Compose a mail and send it, and return what became of it.

        Raises :class:`SMTPError`.  ``data`` is what ``sendMail`` with callbacks takes.
        """
        info: MailInfo = self._call_aborting(partial(self._mailer.sendMail, data), signal)
        return info

    def verify(self, *, signal: AbortSignal | None = None) -> bool:
        """Find out whether the server can be reached and takes the login; the value is ``True``."""
        value: bool = self._call_aborting(self._mailer.verify, signal)
        return value

    def close(self, options: Mapping[str, Any] | None = None) -> None:
        """End the transport, and return when its last connection is over; ``options`` are ``drain``
        and ``force``.

        If an exception ends the wait, what is in the queue is given up.
        """
        if not self._home.reactor.is_parents:
            self._call(partial(self._mailer.close, options), self._mailer.close)

    def isIdle(self) -> bool:
        """Whether there is room in the queue of the pool; without a pool, always."""
        return self._mailer.isIdle()

    def use(self, step: str, plugin: Callable[..., object]) -> Transport:
        """Call ``plugin(mail, callback)`` for each mail, see
        :meth:`smtp_connection.transports.Mailer.use`."""
        self._mailer.use(step, plugin)
        return self

    def set(self, key: str, value: Any) -> Transport:
        """Keep ``value`` under the name ``key``, and return the transport."""
        self._mailer.set(key, value)
        return self

    def get(self, key: str) -> Any:
        """Return what is kept under the name ``key``, ``None`` if nothing is."""
        return self._mailer.get(key)

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close({"drain": kind is None})

    def _call_aborting(self, call: Callable[..., object], signal: object) -> Any:
        """Call ``call(callback=..., signal=...)``, and abort it if an exception ends the wait."""
        controller = AbortController()
        both: Any = controller.signal
        if isinstance(signal, AbortSignal):
            both = AbortSignal.any((both, signal))
        elif signal is not None:
            both = signal  # which is refused
        return self._call(partial(call, signal=both), controller.abort)

    def _call(
        self, call: Callable[..., object], give_up: Callable[[], object] = lambda: None
    ) -> Any:
        """Call ``call(callback=...)``; return or raise what its callback gets.  If an exception
        ends the wait, call ``give_up()``."""
        reactor = self._home.reactor
        if reactor.is_parents:
            text = "the transport belongs to the parent process: make one after fork()"
            raise RuntimeError(text)
        if current_reactor() is reactor:
            raise RuntimeError(
                "a listener or a plugin would wait for the thread on which it runs: use"
                " smtp_connection.createTransport, whose methods do not wait, or another thread"
            )
        outcome = Outcome()
        try:
            call(callback=outcome.tell)
            # Asked first, looked second: the thread may be about to end.
            self._home.thread.start()
            wait_for(outcome.known)
        except BaseException:
            give_up()
            raise
        if outcome.error is None:
            return outcome.value
        try:
            raise outcome.error
        finally:
            del outcome  # the error knows this frame

    def _fitting(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> Any:
        if event in self._arguments and event not in self._relayed:
            self._relayed.add(event)
            self._mailer.on(event, partial(self.emit, event))
        return super()._fitting(event, k, v)


def createTransport(
    transporter: types.TransportOptions | Loaded | Transporter | str | None = None,
    defaults: types.TransportMail | Loaded | None = None,
    **more: Any,
) -> Transport:
    """Return a transport whose methods wait; for the arguments see
    :func:`smtp_connection.createTransport`."""
    here = home()
    return Transport(callback_transport(transporter, defaults, reactor=here.reactor, **more), here)
