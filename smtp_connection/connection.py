"""``SMTPConnection``: the API of the Node module, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ._version import __version__
from .driver.lifecycle import Lifecycle
from .driver.queue import Connect, Login, Operation, Quit, Spoken
from .emitter import NodeEmitter
from .errors import SMTPError, envelope_error
from .message.message import Message, completed_envelope, own_envelope
from .options.smtp import Options
from .protocol.addressing import reset
from .protocol.capabilities import Capabilities
from .protocol.envelope import Envelope
from .protocol.transaction import quit_session, transaction
from .reactor.default import get_reactor
from .reactor.loop import Reactor
from .records import TLSInfo

if TYPE_CHECKING:
    from . import types
    from .abort import AbortSignal
    from .listeners import ConnectionEmitter
    from .types import Loaded
else:
    ConnectionEmitter = NodeEmitter

__all__ = ["SMTPConnection"]


class SMTPConnection(ConnectionEmitter):
    """A connection to an SMTP or LMTP server, with the API of Node's smtp-connection.

    ``options`` is a dict of the options that the manual lists, or a URL that says them
    (``'smtps://user:password@host:465'``); ``more`` are options by keyword, which win.  Names are
    Node's; case and underscores do not count: ``ignoreTLS``, ``ignore_tls``.  ``reactor`` is the
    :class:`Reactor` that carries everything out, by default the one that :func:`get_reactor`
    returns.  Raises ``TypeError`` or ``ValueError`` for options that are unknown or wrong.

    The methods return at once, and may be called from any thread.  What they ask for is carried
    out by the reactor, in the order of the calls: all but ``close`` may be called at any time after
    ``connect``, many at once, and wait for their turn.

    A callback is called with ``(err, result)``, or with as many of these as it declares, exactly
    once.  An operation that fails and has no callback emits ``'error'``; an error that nobody
    hears is raised by ``reactor.run()``.

    Events, all from the reactor, for the listeners that Node's methods and pyee's add:

    - ``'connect'``: the session is open
    - ``'error'`` (:class:`SMTPError`): the connection failed, and closes itself
    - ``'end'``: the connection is over; always last
    - ``'progress'`` (:class:`Progress`): the system has taken another piece of a large message
    - ``'log'`` (:class:`LogEntry`): with the option ``debug``, everything that is said

    Attributes, beside the properties below:

    - ``options``: all options, with their defaults filled in
    - ``host``, ``name`` (str), ``port`` (int): the options of these names
    - ``id`` (str): a random string that marks log entries
    - ``version`` (str): the version of the package
    - ``reactor`` (:class:`Reactor`): the one that carries everything out
    """

    _arguments: ClassVar[Mapping[str, int]] = {
        "connect": 0,
        "error": 1,
        "end": 0,
        "log": 1,
        "progress": 1,
    }

    def __init__(
        self,
        options: types.ConnectionOptions | Loaded | str | None = None,
        *,
        reactor: Reactor | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self.options = settings = Options.parse(options, more)
        self.reactor = reactor if reactor is not None else get_reactor()
        self.host = settings.host
        self.port = settings.port
        self.name = settings.name
        self.version = __version__
        self.id = os.urandom(6).hex()
        self._rules = settings.mail_rules()
        self._dkim = settings.dkim
        self._lifecycle = Lifecycle(self, self.reactor, settings, self.id)

    @property
    def stage(self) -> str:
        """``'init'``, and ``'connected'`` once the stream to the server is there."""
        return self._lifecycle.stage

    @property
    def secure(self) -> bool:
        """Whether TLS is on right now."""
        return self._lifecycle.secure

    @property
    def tls(self) -> TLSInfo | None:
        """What the TLS handshake has agreed on, a :class:`~smtp_connection.records.TLSInfo`;
        ``None`` while TLS is off."""
        return self._lifecycle.tls

    @property
    def authenticated(self) -> bool:
        """Whether a login has succeeded."""
        return self._lifecycle.session.authenticated

    @property
    def destroyed(self) -> bool:
        """Whether the connection is over."""
        return self._lifecycle.destroyed

    @property
    def lastServerResponse(self) -> str | None:
        """The text of the server's last reply."""
        return self._lifecycle.last_response

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced in its reply to EHLO or LHLO."""
        return self._lifecycle.session.capabilities

    def connect(
        self,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Open the session: connect, take the greeting, EHLO, STARTTLS where it applies.

        ``callback`` becomes a one-time listener of ``'connect'``.  If it declares a parameter, it
        is also called, with the error, if connecting fails.
        """
        self._lifecycle.connect(Connect(callback), self.host, self.port, signal)

    def login(
        self,
        auth: types.Auth | Loaded | Callable[..., object] | None = None,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Authenticate (RFC 4954); ``callback(err, True)``.

        ``auth`` is ``{'user': ..., 'pass': ...}`` or ``{'user': ..., 'xoauth2': ...}``, a token or
        a generator object; it is read at this call.  Without it, also as ``login(callback)``, the
        option ``auth`` is used.  A failure, also for an ``auth`` that cannot be used, has the code
        ``EAUTH`` and leaves the connection usable.  Each ``send`` that was called before that was
        known fails with ``EAUTH`` as well, and sends nothing.  Raises ``TypeError`` for a generator
        object with ``async def`` methods.
        """
        from .auth.login import login  # 1 ms, for those who log in

        if callback is None and callable(auth) and not isinstance(auth, Mapping):
            auth, callback = None, auth
        credentials: Any = self.options.auth if auth is None else auth
        operation = Login(callback)
        if self._lifecycle.accepts(operation, "log in"):
            self._lifecycle.enqueue(operation, login(credentials, self._lifecycle.session), signal)

    def send(
        self,
        envelope: types.Envelope | Loaded | None,
        message: types.AnyMessage,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Send one message (RFC 5321 section 3.3); ``callback(err, info)``, see :class:`SendInfo`.

        ``envelope`` is ``{'from': ..., 'to': ...}``, or ``None`` to take it from the message's own
        headers.  ``message`` is a str, bytes, a file or other object with ``read()``, an iterable,
        an emitter of ``'data'`` and ``'end'``, an ``EmailMessage``, or a dict to be composed.
        Errors: ``EENVELOPE``, ``EMESSAGE``, ``ESTREAM``, and those of the connection.
        """
        self._send(Operation(callback), envelope, message, signal)

    def _send(
        self, operation: Operation, envelope: Any, message: Any, signal: AbortSignal | None
    ) -> None:
        lifecycle = self._lifecycle
        if not lifecycle.accepts(operation, "send a message"):
            return
        try:
            if envelope is None:
                envelope, message = own_envelope(message)
            elif type(message) is not bytes and type(message) is not str:
                envelope, message = completed_envelope(envelope, message)
            operation.envelope = parsed = Envelope.parse(envelope)
            operation.message = Message(message, self.reactor, self._rules, self._dkim)
        except SMTPError as error:
            lifecycle.refuse(operation, error.with_traceback(None))
            return
        dialogue = transaction(parsed, operation.message, lifecycle.session, self.reactor)
        lifecycle.enqueue(operation, dialogue, signal)

    def reset(
        self,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Send RSET; ``callback(err, True)``.  A refusal has the code ``EPROTOCOL``."""
        operation = Operation(callback)
        if self._lifecycle.accepts(operation, "reset"):
            self._lifecycle.enqueue(operation, reset(self._lifecycle.session), signal)

    def noop(
        self,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Send NOOP; ``callback(err, True)``.  A refusal has the code ``EPROTOCOL``."""
        from .protocol.commands import noop  # for those who speak command by command

        operation = Operation(callback)
        if self._lifecycle.accepts(operation, "send NOOP"):
            self._lifecycle.enqueue(operation, noop(self._lifecycle.session), signal)

    def command(
        self,
        line: str,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Send one line; ``callback(err, reply)`` with a :class:`CommandReply`.

        ``line`` is a command without its line break, at most 12288 bytes (RFC 4954 section 4).  A
        reply of 4xx or 5xx is no error: the callback judges.  Errors: ``EPROTOCOL`` for a line that
        would bring the session out of step (a line break in it, DATA, STARTTLS, QUIT and others),
        which is not sent; and those of the connection.  Behind a ``login`` that fails, ``EAUTH``.
        """
        from .protocol.commands import command

        operation = Spoken(callback)
        if self._lifecycle.accepts(operation, "send a command"):
            self._lifecycle.enqueue(operation, command(line, self._lifecycle.session), signal)

    def probe(
        self,
        envelope: types.Envelope | Loaded,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Ask the server whom it would take a message for, and send none: MAIL, RCPT for each
        recipient, RSET; ``callback(err, info)``, see :class:`ProbeInfo`.

        ``envelope`` is that of ``send``.  A recipient that is refused is no error, also if all are.
        Errors: ``EENVELOPE`` if the envelope is malformed or the sender is refused, and those of
        the connection.  Behind a ``login`` that fails, ``EAUTH``.
        """
        from .protocol.commands import probe

        operation = Spoken(callback)
        if not self._lifecycle.accepts(operation, "probe"):
            return
        try:
            if envelope is None:
                raise envelope_error("probe() has no message to take the envelope from")
            parsed = Envelope.parse(envelope)
        except SMTPError as error:
            self._lifecycle.refuse(operation, error.with_traceback(None))
            return
        self._lifecycle.enqueue(operation, probe(parsed, self._lifecycle.session), signal)

    def quit(self, *, signal: AbortSignal | None = None) -> None:
        """Say QUIT after what is queued, wait for the reply, and close."""
        operation = Quit(None)
        if self._lifecycle.accepts(operation, "quit"):
            self._lifecycle.enqueue(operation, quit_session(self._lifecycle.session), signal)

    def close(self) -> None:
        """Close at once.  Callbacks that are still due get ``ECONNECTION``; then ``'end'``."""
        self._lifecycle.close()
