"""Connections whose methods wait: for scripts, and for the threads of other programs.

The facts
---------

**An interrupt hits whatever the main thread does.**  If that turned the reactor, Ctrl-C could come
between any two lines of a session.

**A connection has a life of its own.**  The server may end it at any time, and so may a time-out,
also while no method waits.

**Any number of threads may wait**, for one connection or for many.

The strategy
------------

- One thread carries out all blocking connections of the process, by one reactor.  It is there only
  as long as one of them is open.
- The methods ask for an operation, see to it that the thread is there, and wait.  So an interrupt
  hits a caller that waits, and never the session; that is then closed, because nobody could know
  what the server's next words are about.
- Listeners run on that thread.  They cannot wait for it, and are told so.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..connection import SMTPConnection as CallbackConnection
from ..errors import SMTPError
from ..message.whole import envelope_and_message
from ..protocol.commands import CommandReply, ProbeInfo
from ..protocol.envelope import Envelope
from ..reactor.default import current_reactor
from ..reactor.loop import Reactor
from ..records import SendInfo
from ..wrapped import Wrapped
from .thread import Outcome, home, wait_for

if TYPE_CHECKING:
    from email.message import Message

    from .. import types
    from ..abort import AbortSignal
    from ..types import Loaded

__all__ = ["SMTPConnection", "sendMail"]


class SMTPConnection(Wrapped):
    """A connection to an SMTP or LMTP server whose methods wait until they are done.

    Options, attributes and events are those of :class:`smtp_connection.SMTPConnection`.  A method
    returns what the callback would get, or raises the :class:`SMTPError`.  Any number of threads
    may call methods at the same time: what they ask for is carried out in the order of the calls.

    ``with`` connects, and at its end says QUIT, or closes at once if an exception is the end.

    If an exception ends a wait, Ctrl-C for example, the connection is closed; a message that was
    under way may have been accepted.  Listeners run on another thread, on which the methods of
    blocking connections raise ``RuntimeError``, all but ``close``.
    """

    def __init__(
        self,
        options: types.ConnectionOptions | Loaded | str | None = None,
        **more: Any,
    ) -> None:
        self._home = here = home()
        super().__init__(CallbackConnection(options, reactor=here.reactor, **more))
        self._started = False
        self._over = threading.Event()
        self._connection.once("end", self._over.set)
        self._awaited: set[Outcome] = set()

    def connect(self, *, signal: AbortSignal | None = None) -> None:
        """Open the session: connect, take the greeting, EHLO, STARTTLS where it applies."""
        if not self._started:
            self._started = True
            forgotten = weakref.finalize(self, _forgotten, self._connection, self._home.reactor)
            forgotten.atexit = False
        self._call(self._connection.connect, signal)

    def login(
        self, auth: types.Auth | Loaded | None = None, *, signal: AbortSignal | None = None
    ) -> bool:
        """Authenticate, with the option ``auth`` if none is given; the value is ``True``.

        Raises :class:`SMTPError` (``EAUTH``); the connection stays usable after that.
        """
        value: bool = self._call(partial(self._connection.login, auth), signal)
        return value

    def send(
        self,
        envelope: types.Envelope | Loaded | None,
        message: types.AnyMessage,
        *,
        signal: AbortSignal | None = None,
    ) -> SendInfo:
        """Send one message, and return what became of it.

        Raises :class:`SMTPError`: ``EENVELOPE``, ``EMESSAGE``, ``ESTREAM``, or that of the
        connection.
        """
        info: SendInfo = self._call(partial(self._connection.send, envelope, message), signal)
        return info

    def reset(self, *, signal: AbortSignal | None = None) -> bool:
        """Send RSET; the value is ``True``."""
        value: bool = self._call(self._connection.reset, signal)
        return value

    def noop(self, *, signal: AbortSignal | None = None) -> bool:
        """Send NOOP; the value is ``True``."""
        value: bool = self._call(self._connection.noop, signal)
        return value

    def command(self, line: str, *, signal: AbortSignal | None = None) -> CommandReply:
        """Send one line, and return the reply, also one of 4xx or 5xx."""
        reply: CommandReply = self._call(partial(self._connection.command, line), signal)
        return reply

    def probe(
        self, envelope: types.Envelope | Loaded, *, signal: AbortSignal | None = None
    ) -> ProbeInfo:
        """Ask the server whom it would take a message for, and send none."""
        info: ProbeInfo = self._call(partial(self._connection.probe, envelope), signal)
        return info

    def quit(self) -> None:
        """Say QUIT after what other threads have asked for, and return when the connection is over.

        The reply to QUIT is waited for as long as the server's end is: ``socketCloseTimeout``.
        """
        if not self._started:
            text = "Cannot quit: call connect() first"
            raise SMTPError(text, code="ECONNECTION", command="API")
        self._check_place()
        before = list(self._awaited)
        try:
            self._connection.quit()
            self._home.thread.start()
            for outcome in before:
                wait_for(outcome.known)
            self._over.wait(self.options.socketCloseTimeout / 1000)
        finally:
            self.close()

    def close(self) -> None:
        """Close at once; whoever waits for an operation gets ``ECONNECTION``."""
        if self.reactor.is_parents:
            return  # the connection goes on, in the parent
        self._connection.close()
        if current_reactor() is not self.reactor:
            self._home.thread.start()
            wait_for(self._over)

    def __enter__(self) -> SMTPConnection:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and not self.reactor.is_parents:
            self.quit()
        else:
            self.close()

    # -- waiting ----------------------------------------------------------------------------------

    def _call(self, method: Callable[..., object], signal: AbortSignal | None) -> Any:
        """Call ``method(callback=..., signal=...)``; return or raise what its callback gets."""
        self._check_place()
        outcome = Outcome()
        self._awaited.add(outcome)
        asked = False
        try:
            method(callback=outcome.tell, signal=signal)
            asked = True
            # Asked first, looked second: the thread may be about to end.
            self._home.thread.start()
            wait_for(outcome.known)
            if outcome.error is not None and self.destroyed:
                wait_for(self._over)  # whoever hears of it finds the connection closed
        except BaseException as exc:
            # A TypeError of the method itself is about its arguments.
            if asked or not isinstance(exc, TypeError):
                self._connection.close()
            raise
        finally:
            self._awaited.discard(outcome)
        if outcome.error is None:
            return outcome.value
        try:
            raise outcome.error
        finally:
            del outcome  # the error knows this frame

    def _check_place(self) -> None:
        if self.reactor.is_parents:
            raise RuntimeError(
                "the connection belongs to the parent process: make one after fork()"
            )
        if current_reactor() is self.reactor:
            raise RuntimeError(
                "a listener would wait for the thread on which it runs: use the methods of"
                " smtp_connection.SMTPConnection, which do not wait, or another thread"
            )


def sendMail(
    options: types.ConnectionOptions | Loaded | str | None,
    message: types.Mail | Message | Loaded,
) -> SendInfo:
    """Connect, log in if there is an ``auth`` in ``options``, send ``message`` and quit.

    ``options`` is a dict of the options of a connection, or a URL.  ``message`` is a dict as
    nodemailer's ``sendMail`` takes it: fields to be composed, or the finished message as ``raw``,
    and an ``envelope`` unless the addresses in the fields make it; or an ``EmailMessage``.

    Returns what became of the message, with the recipients that were refused; raises
    :class:`SMTPError` if it was not sent, or if nobody can know.
    """
    envelope, content = envelope_and_message(message)
    Envelope.parse(envelope)  # what is wrong with it is told before anything is done
    with SMTPConnection(options) as connection:
        if connection.options.auth is not None:
            connection.login()
        return connection.send(envelope, content)


def _forgotten(connection: CallbackConnection, reactor: Reactor) -> None:
    """Nobody has a connection any more: close it."""
    # No lock is taken: this may run in the middle of anything.
    if not (connection.destroyed or reactor.is_parents):
        text = f"unclosed connection to {connection.host}:{connection.port}"
        warnings.warn(text, ResourceWarning, stacklevel=2, source=connection)
        connection.close()
