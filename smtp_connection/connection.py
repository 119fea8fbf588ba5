"""``SMTPConnection``: what users see of it all."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from pyee import EventEmitter

from ._version import __version__
from .auth.login import login
from .driver.exchange import Exchange
from .driver.queue import Operation, Quit
from .driver.timeouts import TimeOuts
from .driver.trace import Trace
from .errors import SMTPError
from .hosts import is_loopback, warn_of_login
from .message.message import Message, own_envelope
from .net.connector import Connector, prepare
from .net.tls import context_for
from .net.transport import Transport, socket_error
from .options.smtp import Options
from .protocol.capabilities import Capabilities
from .protocol.envelope import Envelope
from .protocol.hints import about_banner, about_silence, about_tls
from .protocol.opening import open_session
from .protocol.session import Session
from .protocol.steps import Dialogue
from .protocol.transaction import quit_session, reset, transaction
from .reactor.loop import Reactor, current_reactor, get_reactor

if TYPE_CHECKING:
    from .net.proxy import ProxyConnector

__all__ = ["SMTPConnection"]


_NOT_ITS_TURN = "Connection closed before it was this operation's turn"


class _State(Enum):
    NEW = "connect() has not been called"
    CONNECTING = "between connect() and the 'connect' event"
    READY = "operations are carried out"
    CLOSING = "close() was called; the reactor has still to do it"
    CLOSED = "over"


_OPEN = (_State.READY, _State.CONNECTING)


class SMTPConnection(EventEmitter):
    """A connection to an SMTP or LMTP server, in the manner of Node's smtp-connection.

    ``options`` is a dict of the options that the README lists, ``more`` are options by keyword;
    names are Node's, case and underscores do not count.  Events, all from the reactor:

    - ``'connect'``: the session is open; ``login`` and ``send`` are carried out from here on
    - ``'error'`` (SMTPError): the connection failed, and closes itself
    - ``'end'``: it is over; always last
    - ``'log'`` (LogEntry): with the option ``debug``, everything that is said

    ``login``, ``send``, ``reset`` and ``quit`` may be called at any time after ``connect``, many at
    once and from any thread: they are carried out one after another.  A callback gets ``(err,
    result)``, or as many of these as it declares, and is called exactly once.  An operation without
    a callback that fails emits ``'error'``; an error that nobody hears is raised by
    ``reactor.run()``.

    Raises ``TypeError`` or ``ValueError`` for options that are unknown or wrong.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
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
        self.stage = "init"
        """``'init'``, and ``'connected'`` once the stream to the server is there."""
        self._session = Session(
            settings.name,
            host=settings.host,
            lmtp=settings.lmtp,
            ignore_tls=settings.ignoreTLS,
            require_tls=settings.requireTLS,
            opportunistic_tls=settings.opportunisticTLS,
            auth_method=settings.authMethod,
            custom_auth=settings.customAuth,
        )
        self._state = _State.NEW
        self._queue: deque[Operation] = deque()
        self._current: Operation | None = None
        self._connecting: Operation | None = None  # who waits for the 'connect' event
        self._connector: Connector | ProxyConnector | None = None
        self._transport: Transport | None = None
        self._time_outs = TimeOuts(self.reactor, self.connection_failed)
        self._warned = False
        self._trace = self._make_trace()
        self._exchange = Exchange(
            self.reactor,
            self,
            settings.maxResponseSize,
            self._trace if self._trace is not None and self._trace.traffic else None,
        )

    def _make_trace(self) -> Trace | None:
        settings = self.options
        traffic = settings.debug or settings.transactionLog
        if not traffic and settings.logger is None:
            return None
        return Trace(
            self.reactor,
            self.emit,
            lambda: bool(self.listeners("log")),
            traffic=traffic,
            content=settings.debug and not settings.transactionLog,
            logger=settings.logger,
            sid=self.id,
        )

    # -- what may be read at any time -----------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Whether TLS is on right now."""
        return self._transport is not None and self._transport.secure

    @property
    def authenticated(self) -> bool:
        """Whether a login has succeeded."""
        return self._session.authenticated

    @property
    def destroyed(self) -> bool:
        """Whether the connection is over."""
        return self._state in (_State.CLOSING, _State.CLOSED)

    @property
    def lastServerResponse(self) -> str | None:
        """The text of the server's last reply."""
        return self._exchange.last_response

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced in its reply to EHLO or LHLO."""
        return self._session.capabilities

    # -- the methods of the Node module -----------------------------------------------------------

    def connect(self, callback: Callable[..., object] | None = None) -> None:
        """Open the session: connect, take the greeting, EHLO, STARTTLS where it applies.

        ``callback`` becomes a one-time listener of ``'connect'``.  If it declares a parameter, it
        is also called, with the error, if connecting fails.
        """
        operation = Operation(callback)
        # Without a parameter for the error, a callback runs only on success.
        takes_error = operation.takes is not None and operation.takes.most != 0
        if self._state is not _State.NEW:
            text = "connect() was called before" if not self.destroyed else "it is closed"
            self._refuse(operation if takes_error else Operation(None), f"Cannot connect: {text}")
            return
        self._state = _State.CONNECTING
        if callback is not None and operation.takes is not None:
            arguments = operation.takes.fit(None)
            self.once("connect", lambda: callback(*arguments))
            if takes_error:
                self._connecting = operation
        self.reactor.call_soon(self._begin)

    def login(
        self, auth: Mapping[str, Any] | None, callback: Callable[..., object] | None = None
    ) -> None:
        """Authenticate; ``callback(err, True)``.

        ``auth`` is ``{'user': ..., 'pass': ...}`` or ``{'user': ..., 'xoauth2': ...}``, a token or
        a generator object.  A refusal has the code ``EAUTH`` and leaves the connection usable.
        """
        operation = Operation(callback)
        if self._accepts(operation, "log in"):
            self._enqueue(operation, login(auth, self._session))

    def send(
        self,
        envelope: Mapping[str, Any] | None,
        message: Any,
        callback: Callable[..., object] | None = None,
    ) -> None:
        """Send one message; ``callback(err, info)``, see :class:`SendInfo`.

        ``envelope`` is ``{'from': ..., 'to': ...}``, or ``None`` to take it from the message's own
        headers.  ``message`` is a str, bytes, a file or other object with ``read()``, an iterable,
        an emitter of ``'data'`` and ``'end'``, an ``EmailMessage``, or a dict to be composed.
        Errors: ``EENVELOPE``, ``EMESSAGE``, ``ESTREAM``, and those of the connection.
        """
        operation = Operation(callback)
        if not self._accepts(operation, "send a message"):
            return
        try:
            parsed = Envelope.parse(own_envelope(message) if envelope is None else envelope)
            operation.message = Message(message, self.reactor)
        except SMTPError as error:
            self._settle(operation, error)
            return
        dialogue = transaction(parsed, operation.message, self._session, self.reactor)
        self._enqueue(operation, dialogue)

    def reset(self, callback: Callable[..., object] | None = None) -> None:
        """Send RSET; ``callback(err, True)``.  A refusal has the code ``EPROTOCOL``."""
        operation = Operation(callback)
        if self._accepts(operation, "reset"):
            self._enqueue(operation, reset(self._session))

    def quit(self) -> None:
        """Say QUIT after what is queued, wait for the reply, and close."""
        if self.destroyed:
            return
        operation = Quit(None)
        if self._accepts(operation, "quit"):
            self._enqueue(operation, quit_session())

    def close(self) -> None:
        """Close at once.  Callbacks that are still due get ``ECONNECTION``; then ``'end'``."""
        if self.destroyed:
            return
        self._state = _State.CLOSING
        self._exchange.closing = True
        if not self.reactor.on_thread():
            self.reactor.call_soon(self._close)
        elif current_reactor() is self.reactor and not self._exchange.calls_out:
            # The caller may be a signal handler, which has interrupted whatever was going on.
            self.reactor.call_last(self._close)
        else:
            self._close()

    # -- operations -------------------------------------------------------------------------------

    def _accepts(self, operation: Operation, doing: str) -> bool:
        if self._state in _OPEN:
            return True
        why = "call connect() first" if self._state is _State.NEW else "the connection is closed"
        self._refuse(operation, f"Cannot {doing}: {why}")
        return False

    def _refuse(self, operation: Operation, text: str) -> None:
        if isinstance(operation, Quit) and self.destroyed:
            return  # it has what it wants
        self._settle(operation, _closed(text))

    def _settle(self, operation: Operation, error: SMTPError | None, value: Any = None) -> None:
        """Let the callback of ``operation`` know, or else who listens to ``'error'``."""
        if not operation.settle(self.reactor, error, value) and error is not None:
            self.reactor.call_soon(self._report, error)

    def _report(self, error: SMTPError) -> None:
        """Emit ``'error'``; pyee raises it if nobody listens."""
        self.emit("error", error)

    def _enqueue(self, operation: Operation, dialogue: Dialogue[Any]) -> None:
        operation.dialogue = dialogue
        self._queue.append(operation)
        self.reactor.call_soon(self._look_at_queue)

    def _look_at_queue(self) -> None:
        if self._state is not _State.CLOSED:
            self.next_dialogue()
            return
        # Another thread was calling a method when the connection came to its end.
        for operation in self._dequeue():
            self._refuse(operation, _NOT_ITS_TURN)

    def _dequeue(self) -> list[Operation]:
        # One by one: another thread may be adding to the queue.
        operations = []
        while self._queue:
            operations.append(self._queue.popleft())
        return operations

    def next_dialogue(self) -> None:
        """(ExchangeOwner)"""
        while self._queue and self._current is None and self._state is _State.READY:
            self._current = operation = self._queue.popleft()
            assert operation.dialogue is not None
            self._exchange.start(operation.dialogue)

    def dialogue_ended(self, value: Any, error: SMTPError | None) -> None:
        """(ExchangeOwner)"""
        operation, self._current = self._current, None
        if operation is None:
            self._opened(error)
        elif isinstance(operation, Quit):
            self._finish()
        else:
            self._settle(operation, error, value)

    # -- connecting -------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.destroyed:
            return
        settings = self.options
        self._time_outs.start_phase(settings.connectionTimeout, self._not_connected)
        if settings.connection is not None:
            self._connected(settings.connection, None)
            return
        own = settings.socket
        if own is not None and _is_connected(own):
            self._connected(own, None)
            return
        if not 1 <= self.port <= 65535:
            text = f"Cannot connect to port {self.port}: a port is a number from 1 to 65535"
            self.connection_failed(SMTPError(text, code="ECONNECTION", command="CONN"))
            return
        if settings.proxy is None:
            self._connector = Connector(
                self.reactor, self._connected, local_address=settings.localAddress, sock=own
            )
        else:
            from .net.proxy import ProxyConnector

            proxy = settings.proxy
            self._tell(lambda: f"Connecting through the proxy {proxy.place}")
            self._connector = ProxyConnector(
                self.reactor,
                self._connected,
                settings.proxy,
                settings.connectionTimeout / 1000,
                local_address=settings.localAddress,
            )
        self._connector.start(self.host, self.port, settings.dnsTimeout / 1000)

    def _connected(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        handed_over, self._connector = self._connector is None, None
        if sock is None:
            assert error is not None
            self.connection_failed(error)
            return
        try:
            if handed_over:
                prepare(sock)
            self._transport = Transport(self.reactor, sock, self._exchange)
        except (OSError, ValueError) as exc:
            cause = exc if isinstance(exc, OSError) else OSError(str(exc))
            self.connection_failed(socket_error(cause, "Cannot use the socket"))
            return
        self._exchange.transport = self._transport
        if self.options.secure and not self._transport.secure:
            self._start_tls(self._established)
        else:
            self._established()

    def _start_tls(self, done: Callable[[], None]) -> None:
        assert self._transport is not None
        try:
            context = context_for(self.options.tls)
        except SMTPError as error:
            self.connection_failed(error)
            return
        self._transport.start_tls(context, self.options.servername, done, about_tls)

    def _established(self) -> None:
        transport = self._transport
        assert transport is not None
        self.stage = "connected"
        self._session.secure = transport.secure
        self._tell(lambda: f"Connected to {transport.describe()}")
        self._time_outs.start_phase(self.options.greetingTimeout, self._not_greeted)
        self._time_outs.watch_silence(
            self.options.socketTimeout,
            lambda: max(self._exchange.last_sign_of_life, transport.last_sent),
            self._silent,
        )
        self._exchange.start(open_session(self._session))

    def greeted(self) -> None:
        """(ExchangeOwner)"""
        self._time_outs.end_phase()

    def credentials_revealed(self, mechanism: str) -> None:
        """(ExchangeOwner)"""
        if not (self._warned or self.secure or self._is_local()):
            self._warned = True
            warn_of_login(self.host, self.port, mechanism, self.id)

    def _is_local(self) -> bool:
        """Whether what is said to the server stays on this machine."""
        assert self._transport is not None
        settings, peer = self.options, self._transport.peer_address
        if peer is None:
            return True
        if settings.proxy is None and not is_loopback(peer):
            return False
        # The peer may be one end of a tunnel, also where the socket was handed over.
        tunnel = settings.proxy or settings.connection or settings.socket
        return tunnel is None or is_loopback(self.host)

    def upgrade(self, done: Callable[[], None]) -> None:
        """(ExchangeOwner)"""

        def upgraded() -> None:
            self._time_outs.end_phase()
            transport = self._transport
            if transport is not None:
                self._tell(lambda: f"Connection upgraded: {transport.describe()}")
            done()

        self._time_outs.start_phase(self.options.greetingTimeout, self._not_upgraded)
        self._start_tls(upgraded)

    def _opened(self, error: SMTPError | None) -> None:
        if error is not None:
            self.connection_failed(error)
            return
        if self.destroyed:
            return  # close() was called on another thread, and will be carried out next
        self._state = _State.READY
        self._connecting = None
        self.reactor.call_soon(self.emit, "connect")

    # -- what is said when a time-out passes ------------------------------------------------------

    def _not_connected(self) -> str:
        where = f"{self.host}:{self.port} in {self.options.connectionTimeout:g} ms"
        waiting = self._connector.waiting_for if self._connector is not None else ""
        detail = f", waiting for {waiting}" if waiting else ""
        return f"Connection timeout: no connection to {where}{detail}"

    def _not_greeted(self) -> str:
        hint = about_silence(self.port, self.options.secure)
        return f"Greeting never received in {self.options.greetingTimeout:g} ms ({hint})"

    def _not_upgraded(self) -> str:
        return f"TLS handshake not finished in {self.options.greetingTimeout:g} ms"

    def _silent(self) -> str:
        waiting = f", waiting for {self._exchange.waiting_for}" if self._is_pending() else ""
        return f"Timeout: silence for {self.options.socketTimeout:g} ms{waiting}"

    # -- the end ----------------------------------------------------------------------------------

    def _is_pending(self) -> bool:
        """Whether anybody would notice if the connection ended now."""
        if self._state is _State.CONNECTING:
            return True
        unfinished = (self._current, *self._queue)
        return any(one is not None and not isinstance(one, Quit) for one in unfinished)

    def hung_up(self, response: str | None, error: SMTPError | None) -> None:
        """(ExchangeOwner)"""
        if self._state is _State.CLOSING:
            self._close(response)
            return
        if self.destroyed:
            return
        handshaking = error is not None and error.code == "ETLS"
        if not self._is_pending() and not handshaking:
            why = f": {response}" if response else ""
            self._tell(lambda: f"The server closed the connection{why}")
            self._finish()
        elif error is not None and response is None:
            self.connection_failed(error)
        else:
            text = f"Connection closed unexpectedly, waiting for {self._exchange.waiting_for}"
            if self._exchange.awaits_greeting:
                hint = about_banner(self.lastServerResponse or "")
                text += f" ({hint or about_silence(self.port, self.options.secure)})"
            failure = SMTPError(text, code="ECONNECTION", command="CONN", response=response)
            failure.__cause__ = error
            self.connection_failed(failure)

    def connection_failed(self, error: SMTPError, *, own: bool = False) -> None:
        """(ExchangeOwner)"""
        if self.destroyed:
            return
        if self._trace is not None:
            self._trace.failure(error)
        others = error
        if own:
            # It is the failure of one message; the others did not fail, they were not sent.
            others = SMTPError(
                f"Connection closed, because the message before failed: {error}",
                code="ECONNECTION",
                command="CONN",
            )
            others.__cause__ = error
        current, opening = self._current, self._state is _State.CONNECTING
        unsent = error.copy()
        operations = self._take_pending()
        concerned = operations[:1] if own else operations
        value, first = self._exchange.stop(error)
        heard = any(
            operation.callback is not None
            for operation in concerned
            if operation is not current or first is not None  # it may have succeeded
        )
        self.reactor.call_soon(self._emit_failure, error, heard)
        if not own and (error.inDoubt or (error.permanent and not opening)):
            # Only the operation under way is in doubt, or refused.
            others = unsent
            others.response = others.responseCode = None
            others.__cause__ = error
        for operation in operations:
            if operation.callback is None:
                self._settle(operation, None)  # 'error' has told of it
            elif operation is current:
                self._settle(operation, first, value)
            else:
                self._settle(operation, others)
        self._tear_down(linger=0)
        self.reactor.call_soon(self.emit, "end")

    def _emit_failure(self, error: SMTPError, heard: bool) -> None:
        if self.listeners("error"):
            self.emit("error", error)
        elif not heard:
            # After 'end', which would else be left for the next run().
            self.reactor.call_soon(self._report, error)

    def _finish(self) -> None:
        """Close in an orderly way: QUIT was answered, or the server ended an idle session."""
        self._end_with(_NOT_ITS_TURN)

    def _close(self, response: str | None = None) -> None:
        """Do what close() has announced; ``response``: what the server said before it was done."""
        if self._state is _State.CLOSED:
            return
        self._tell(lambda: "Closing connection to the server")
        self._end_with("Connection closed by close()", response)

    def _end_with(self, text: str, response: str | None = None) -> None:
        operations = self._take_pending()
        value, first = self._exchange.stop(_closed(text, response))
        for operation in operations:
            if operation is operations[0] and not isinstance(operation, Quit):
                self._settle(operation, first, value)
            else:
                self._refuse(operation, text)
        self._tear_down(linger=self.options.socketCloseTimeout / 1000)
        self.reactor.call_soon(self.emit, "end")

    def _take_pending(self) -> list[Operation]:
        """End the session; return the operations whose callbacks are still due, in order."""
        self._state = _State.CLOSED
        pending = [self._connecting, self._current, *self._dequeue()]
        self._connecting = self._current = None
        return [operation for operation in pending if operation is not None]

    def _tear_down(self, linger: float) -> None:
        self._time_outs.stop()
        if self._connector is not None:
            self._connector.cancel()
        if self._transport is not None:
            self._transport.close(linger if self.stage == "connected" else 0)
        else:
            for handed_over in (self.options.connection, self.options.socket):
                if handed_over is not None:
                    handed_over.close()

    def _tell(self, describe: Callable[[], str]) -> None:
        if self._trace is not None:
            self._trace.socket(describe)


def _closed(text: str, response: str | None = None) -> SMTPError:
    return SMTPError(text, code="ECONNECTION", command="API", response=response)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
