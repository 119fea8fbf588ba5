"""The life of a connection, from ``connect()`` to ``'end'``."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from ..errors import SMTPError
from ..net.transport import Transport
from ..options.smtp import Options
from ..protocol.hints import about_banner, about_silence
from ..protocol.opening import open_session
from ..protocol.session import Session
from ..protocol.steps import Dialogue
from ..reactor.default import current_reactor
from ..reactor.loop import Reactor
from .dialing import Dialing
from .exchange import Exchange
from .queue import NOT_ITS_TURN, Operation, Operations, Quit, connection_error
from .timeouts import TimeOuts
from .trace import trace_for, warn_of_login

__all__ = ["Emitter", "Lifecycle"]


class Emitter(Protocol):
    """Who emits the events: ``SMTPConnection``."""

    def emit(self, event: str, *args: Any) -> bool:
        """Call the listeners of ``event``."""

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Return the listeners of ``event``."""

    def once(self, event: str, f: Callable[..., Any]) -> Any:
        """Add a listener of ``event`` that is called once."""


class _State(Enum):
    NEW = "connect() has not been called"
    CONNECTING = "between connect() and the 'connect' event"
    READY = "operations are carried out"
    CLOSING = "close() was called; the reactor has still to do it"
    CLOSED = "over"


_OPEN = (_State.READY, _State.CONNECTING)


class Lifecycle:
    """What one connection is going through.

    - ``session`` (Session): what is known of the server
    - ``stage`` (str): ``'init'``, and ``'connected'`` once the stream to the server is there
    """

    def __init__(self, emitter: Emitter, reactor: Reactor, settings: Options, sid: str) -> None:
        self._emitter = emitter
        self._reactor = reactor
        self._settings = settings
        self._sid = sid
        self._state = _State.NEW
        self._host, self._port = settings.host, settings.port
        self.stage = "init"
        self.session = Session(
            settings.name,
            host=settings.host,
            lmtp=settings.lmtp,
            ignore_tls=settings.ignoreTLS,
            require_tls=settings.requireTLS,
            opportunistic_tls=settings.opportunisticTLS,
            auth_method=settings.authMethod,
            custom_auth=settings.customAuth,
        )
        self._operations = Operations(reactor, self._report)
        self._time_outs = TimeOuts(reactor, settings, self.connection_failed)
        self._warned = False
        self._trace = trace = trace_for(settings, reactor, emitter, sid)
        traffic = trace if trace is not None and trace.traffic else None
        self._exchange = Exchange(reactor, self, settings.maxResponseSize, traffic)
        self._dialing = Dialing(reactor, settings, self, self._exchange)

    # -- what may be read at any time -------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Whether TLS is on right now."""
        transport = self._dialing.transport
        return transport is not None and transport.secure

    @property
    def destroyed(self) -> bool:
        """Whether the connection is over, or about to be."""
        return self._state in (_State.CLOSING, _State.CLOSED)

    @property
    def last_response(self) -> str | None:
        """The text of the server's last reply."""
        return self._exchange.last_response

    # -- what the caller asks for, from any thread ------------------------------------------------

    def connect(self, operation: Operation, host: str, port: int) -> None:
        """Open the session with the server at ``host`` and ``port``.

        The callback becomes a one-time listener of ``'connect'``, and hears of a failure if it has
        a parameter for the error.
        """
        if self._state is not _State.NEW:
            why = "it is closed" if self.destroyed else "connect() was called before"
            # A callback without a parameter is called only on success.
            refused = operation if operation.hears_errors else Operation(None)
            self._operations.refuse(refused, f"Cannot connect: {why}")
            return
        self._state = _State.CONNECTING
        self._host, self._port = host, port
        callback = operation.callback
        if callback is not None and operation.arguments is not None:
            arguments = operation.arguments.fit(None)
            self._emitter.once("connect", lambda: callback(*arguments))
            if operation.hears_errors:
                self._operations.connecting = operation
        self._reactor.call_soon(self._dial)

    def accepts(self, operation: Operation, doing: str) -> bool:
        """Return whether ``operation`` can be queued; if it cannot, it fails on a later turn, with
        a text that names what the caller was ``doing``."""
        if self._state in _OPEN:
            return True
        if self._state is _State.NEW:
            self._operations.refuse(operation, f"Cannot {doing}: call connect() first")
        elif not isinstance(operation, Quit):  # which has what it wants
            self._operations.refuse(operation, f"Cannot {doing}: the connection is closed")
        return False

    def refuse(self, operation: Operation, error: SMTPError) -> None:
        """Let ``operation`` fail on a later turn, without saying anything to the server."""
        self._operations.settle(operation, error)

    def enqueue(self, operation: Operation, dialogue: Dialogue[Any]) -> None:
        """Carry out ``dialogue`` when its turn comes."""
        operation.dialogue = dialogue
        self._operations.add(operation)
        self._reactor.call_soon(self._look_at_queue)

    def close(self) -> None:
        """End the session at once."""
        if self.destroyed:
            return
        self._state = _State.CLOSING
        self._exchange.halt()
        if not self._reactor.on_thread():
            self._reactor.call_soon(self._close)
        elif current_reactor() is self._reactor and not self._exchange.calls_out:
            # The caller may be a signal handler, which has interrupted whatever was going on.
            self._reactor.call_last(self._close)
        else:
            self._close()

    # -- operations -------------------------------------------------------------------------------

    def _look_at_queue(self) -> None:
        if self._state is not _State.CLOSED:
            self.next_dialogue()
            return
        # Another thread was calling a method when the connection came to its end.
        for operation in self._operations.take_queued():
            if not isinstance(operation, Quit):
                self._operations.refuse(operation, NOT_ITS_TURN)

    def next_dialogue(self) -> None:
        """(ExchangeOwner)"""
        operations = self._operations
        while operations.current is None and self._state is _State.READY:
            dialogue = operations.start_next()
            if dialogue is None:
                return
            self._exchange.start(dialogue)

    def dialogue_ended(self, value: Any, error: SMTPError | None) -> None:
        """(ExchangeOwner)"""
        operations = self._operations
        operation, operations.current = operations.current, None
        if operation is None:
            self._opened(error)
        elif isinstance(operation, Quit):
            self._finish()
        else:
            operations.settle(operation, error, value)

    def _report(self, error: SMTPError) -> None:
        """Emit ``'error'``; pyee raises it if nobody listens."""
        self._emitter.emit("error", error)

    # -- connecting -------------------------------------------------------------------------------

    def _dial(self) -> None:
        if not self.destroyed:
            self._time_outs.watch_connecting(
                self._host, self._port, lambda: self._dialing.waiting_for
            )
            self._dialing.start(self._host, self._port)

    def connected(self, transport: Transport) -> None:
        """(DialingOwner)"""
        self.stage = "connected"
        self.session.secure = transport.secure
        self.tell(lambda: f"Connected to {transport.describe()}")
        exchange = self._exchange
        exchange.use(transport)
        self._time_outs.watch_greeting(self._port)
        self._time_outs.watch_silence(
            lambda: max(exchange.last_sign_of_life, transport.last_sent),
            lambda: exchange.waiting_for if self._is_awaited() else "",
        )
        exchange.start(open_session(self.session))

    def greeted(self) -> None:
        """(ExchangeOwner)"""
        self._time_outs.end_phase()

    def credentials_revealed(self, mechanism: str) -> None:
        """(ExchangeOwner)"""
        if not (self._warned or self.secure or self._dialing.stays_here(self._host)):
            self._warned = True
            warn_of_login(self._host, self._port, mechanism, self._sid)

    def upgrade(self, done: Callable[[], None]) -> None:
        """(ExchangeOwner)"""

        def upgraded() -> None:
            self._time_outs.end_phase()
            transport = self._dialing.transport
            if transport is not None:
                self.tell(lambda: f"Connection upgraded: {transport.describe()}")
            done()

        self._time_outs.watch_upgrade()
        self._dialing.start_tls(upgraded)

    def _opened(self, error: SMTPError | None) -> None:
        if error is not None:
            self.connection_failed(error)
        elif not self.destroyed:  # close() on another thread comes before the 'connect' event
            self._state = _State.READY
            self._operations.connecting = None
            self._reactor.call_soon(self._emitter.emit, "connect")

    # -- the end ----------------------------------------------------------------------------------

    def _is_awaited(self) -> bool:
        """Whether anybody would notice if the connection ended now."""
        return self._state is _State.CONNECTING or self._operations.awaited

    def hung_up(self, response: str | None, error: SMTPError | None) -> None:
        """(ExchangeOwner)"""
        if self._state is _State.CLOSING:
            self._close(response)
            return
        if self.destroyed:
            return
        handshaking = error is not None and error.code == "ETLS"
        if not self._is_awaited() and not handshaking:
            why = f": {response}" if response else ""
            self.tell(lambda: f"The server closed the connection{why}")
            self._finish()
        elif error is not None and response is None:
            self.connection_failed(error)
        else:
            text = f"Connection closed unexpectedly, waiting for {self._exchange.waiting_for}"
            if self._exchange.awaits_greeting:
                hint = about_banner(self.last_response or "")
                text += f" ({hint or about_silence(self._port, self._settings.secure)})"
            failure = SMTPError(text, code="ECONNECTION", command="CONN", response=response)
            failure.__cause__ = error
            self.connection_failed(failure)

    def connection_failed(self, error: SMTPError, *, own: bool = False) -> None:
        """(ExchangeOwner, DialingOwner)"""
        if self.destroyed:
            return
        if self._trace is not None:
            self._trace.failure(error)
        current, opening = self._operations.current, self._state is _State.CONNECTING
        unsent = error.copy()
        operations = self._take_pending()
        concerned = operations[:1] if own else operations
        value, first = self._exchange.stop(error)
        heard = any(
            operation.callback is not None
            for operation in concerned
            if operation is not current or first is not None  # it may have succeeded
        )
        self._reactor.call_soon(self._emit_failure, error, heard)
        others = error
        if own:
            # It is the failure of one message; the others did not fail, they were not sent.
            text = f"Connection closed, because the message before failed: {error}"
            others = SMTPError(text, code="ECONNECTION", command="CONN")
            others.__cause__ = error
        elif error.inDoubt or (error.permanent and not opening):
            # Only the operation under way is in doubt, or refused.
            others = unsent
            others.response = others.responseCode = None
            others.__cause__ = error
        for operation in operations:
            if operation.callback is None:
                self._operations.settle(operation, None)  # 'error' has told of it
            elif operation is current:
                self._operations.settle(operation, first, value)
            else:
                self._operations.settle(operation, others)
        self._tear_down(linger=0)
        self._reactor.call_soon(self._emitter.emit, "end")

    def _emit_failure(self, error: SMTPError, heard: bool) -> None:
        if self._emitter.listeners("error"):
            self._emitter.emit("error", error)
        elif not heard:
            # After 'end', which would else be left for the next run().
            self._reactor.call_soon(self._report, error)

    def _finish(self) -> None:
        """Close in an orderly way: QUIT was answered, or the server ended an idle session."""
        self._end_with(NOT_ITS_TURN)

    def _close(self, response: str | None = None) -> None:
        """Do what close() has announced; ``response``: what the server said before it was done."""
        if self._state is _State.CLOSED:
            return
        self.tell(lambda: "Closing connection to the server")
        self._end_with("Connection closed by close()", response)

    def _end_with(self, text: str, response: str | None = None) -> None:
        operations = self._take_pending()
        value, first = self._exchange.stop(connection_error(text, response))
        for operation in operations:
            if isinstance(operation, Quit):
                continue  # it has what it wants
            if operation is operations[0]:
                self._operations.settle(operation, first, value)
            else:
                self._operations.refuse(operation, text)
        self._tear_down(linger=self._settings.socketCloseTimeout / 1000)
        self._reactor.call_soon(self._emitter.emit, "end")

    def _take_pending(self) -> list[Operation]:
        """End the session; return the operations whose callbacks are still due, in order."""
        self._state = _State.CLOSED
        return self._operations.take_all()

    def _tear_down(self, linger: float) -> None:
        self._time_outs.stop()
        self._dialing.close(linger if self.stage == "connected" else 0)

    def tell(self, describe: Callable[[], str]) -> None:
        """(DialingOwner)"""
        if self._trace is not None:
            self._trace.socket(describe)
