"""The life of a connection, from ``connect()`` to ``'end'``.

The facts
---------

**Anything may be interrupted.**  Python runs the handler of a signal between two instructions of
the main thread, whatever these belong to, and the handler may raise (Ctrl-C does) or call
``close()``.  Sources of messages, loggers and handlers of mechanisms are code of the caller's that
runs in the middle of a step, and may do the same.

**Nobody may ever run the reactor again.**  ``run()`` may have been left by an exception, its thread
may have ended, the reactor may be closed.  Then a socket that waits for the reactor stays open.

**Other threads call at any time**, also while the connection ends.

The strategy
------------

There is one state, and one way from ``ENDING`` to ``CLOSED``: :meth:`Lifecycle._end`.  Whoever
wants the connection to end says why (``ending.py``; the first reason counts) and then has ``_end``
called: a failure at once, because it is found on the reactor's thread, between two steps;
``close()`` at the end of the turn, because its caller may have interrupted anything.  Nothing is
said to the server once the state is ``ENDING``.

- ``_end`` *can be interrupted and called again*: it is a list of things to do of which each may be
  done twice.  So a second ``close()`` finishes what the first could not.  An operation keeps its
  first outcome, and a callback or an event that is due twice is called once (``queue.py``,
  ``_tell_failure``, ``_tell_end``).
- ``_end`` *runs no code of the caller's*: it has callbacks, listeners, sources and loggers called
  on later turns, in this order: sources are closed, ``'error'`` is emitted, the callbacks are
  called in the order of the operations, ``'end'`` is emitted.
- *Without a running reactor* ``close()`` lets go of the socket directly.  The rest is due when the
  reactor runs again, if ever.
- *An exception that nobody has foreseen is a reason to end* (``guard.py``): the callbacks get an
  error that names it, and ``run()`` raises it.

Who may call what
-----------------

``connect``, ``accepts``, ``refuse``, ``enqueue`` and ``close`` are for any thread and any signal
handler.  All else is called by the exchange, the dialing and the reactor, on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import SMTPError
from ..message.message import Message
from ..options.smtp import Options
from ..protocol.addressing import envelope_ahead, has_room
from ..protocol.hints import about_banner, about_silence
from ..protocol.opening import open_session
from ..protocol.session import Session
from ..protocol.steps import Dialogue
from ..protocol.transaction import quit_ahead, quit_session
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..records import TLSInfo
from .ending import CLOSED_HERE, OVER, Ending
from .events import Emitter, Events
from .exchange import Exchange
from .queue import NOT_ITS_TURN, Connect, Operation, Operations, Quit, connection_error
from .timeouts import TimeOuts
from .trace import trace_for, warn_of_login

if TYPE_CHECKING:
    from ..abort import AbortSignal
    from ..net.transport import Transport
    from .aborting import Aborting, Deadline

__all__ = ["Lifecycle"]


class _State:
    NEW = "connect() has not been called"
    CONNECTING = "between connect() and the 'connect' event"
    READY = "operations are carried out"
    ENDING = "there is a reason to end; it has still to be done"
    CLOSED = "all that is due has been scheduled"


_OPEN = (_State.READY, _State.CONNECTING)


class Lifecycle:
    """What one connection is going through.

    - ``refill`` (function or None): is called when a message is about to end, an envelope may ride
      behind it, and nothing is queued; it may queue a message that is there
    - ``session`` (Session): what is known of the server
    - ``stage`` (str): ``'init'``, and ``'connected'`` once the stream to the server is there
    """

    def __init__(self, emitter: Emitter, reactor: Reactor, settings: Options, sid: str) -> None:
        self._events = events = Events(emitter)
        self._reactor = reactor
        self._settings = settings
        self._sid = sid
        self._state: str = _State.NEW
        self._ending: Ending | None = None
        self._opening: Operation | None = None  # the connect() that a signal may abort
        self._host, self._port = settings.host, settings.port
        self.refill: Callable[[], object] | None = None
        self.stage = "init"
        self.session = Session(
            settings.name,
            host=settings.host,
            port=settings.port,
            lmtp=settings.lmtp,
            ignore_tls=settings.ignoreTLS,
            require_tls=settings.requireTLS,
            opportunistic_tls=settings.opportunisticTLS,
            auth_method=settings.authMethod,
            custom_auth=settings.customAuth,
            ehlo_after_auth=settings.ehloAfterAuth,
            before_commit=settings.beforeCommit,
            pipeline_messages=settings.pipelineMessages,
        )
        self._operations = Operations(reactor, events.report)
        self._time_outs = TimeOuts(reactor, settings, self._give_up, self.broke)
        self._warned = False
        self._leaving: str | None = None  # why QUIT is said although nobody has asked for it
        self._trace = trace = trace_for(settings, reactor, events, sid)
        traffic = trace if trace is not None and trace.traffic else None
        self._exchange = Exchange(reactor, self, settings.maxResponseSize, traffic)
        # Not when the package is imported: what dials is much, and waits for connections anyway.
        from .dialing import Dialing

        self._deadline = self._make_deadline() if settings.sendTimeout else None
        self._dialing = Dialing(reactor, settings, self, self._exchange)

    # -- what may be read at any time -------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Whether TLS is on right now."""
        transport = self._dialing.transport
        return transport is not None and transport.secure

    @property
    def tls(self) -> TLSInfo | None:
        """What the TLS handshake has agreed on; ``None`` while there is no TLS."""
        transport = self._dialing.transport
        return None if transport is None else transport.tls_info()

    @property
    def destroyed(self) -> bool:
        """Whether the connection is over, or about to be."""
        return self._ending is not None

    @property
    def waits_for_run(self) -> bool:
        """Whether it waits for a reactor of this process that has never run."""
        reactor = self._reactor
        return self._state is _State.CONNECTING and not (reactor.has_run or reactor.is_parents)

    @property
    def last_response(self) -> str | None:
        """The text of the server's last reply."""
        return self._exchange.last_response

    # -- what the caller asks for, from any thread ------------------------------------------------

    def connect(
        self, operation: Connect, host: str, port: int, signal: AbortSignal | None = None
    ) -> None:
        """Open the session with the server at ``host`` and ``port``.

        The callback becomes a one-time listener of ``'connect'``, and hears of a failure if it has
        a parameter for the error.  Raises ``TypeError`` for a ``signal`` that is none.
        """
        aborting = None if signal is None else self._aborting(signal, operation)
        if self._state is not _State.NEW:
            why = "it is closed" if self.destroyed else "connect() was called before"
            # A callback without a parameter is called only on success.
            refused = operation if operation.hears_errors else Connect(None)
            self._operations.refuse(refused, f"Cannot connect: {why}")
            return
        self._host, self._port = host, port
        self.session.host, self.session.port = host, port
        self._events.keep()
        self._state = _State.CONNECTING
        if self._ending is not None:
            self._state = _State.ENDING  # close() came between, in a handler or on another thread
        if operation.has_callback:
            self._events.once("connect", operation.call_on_success)
            self._operations.connecting = operation
        if aborting is not None:
            self._opening = operation
            aborting.begin()  # first of all: it may be aborted already
        self._reactor.call_soon(self._dial)
        if not self._reactor.has_run:
            from .unstarted import watch  # for the connections that come before the first run()

            watch(self)

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

    def enqueue(
        self, operation: Operation, dialogue: Dialogue[Any], signal: AbortSignal | None = None
    ) -> None:
        """Carry out ``dialogue`` when its turn comes, unless ``signal`` is aborted.

        Raises ``TypeError`` for a ``signal`` that is none.
        """
        operation.dialogue = dialogue
        if signal is not None:
            aborting = self._aborting(signal, operation)
            error = aborting.error
            if error is not None:
                self._settle(operation, error)
                return
            self._operations.add(operation)
            aborting.begin()
        else:
            self._operations.add(operation)
        # Add first, look second: when what is under way has ended, the queue is looked at anyway.
        if self._operations.current is None or self._state is not _State.READY:
            self._reactor.call_soon(self._look_at_queue)

    def close(self) -> None:
        """End the session at once."""
        if self._state is _State.CLOSED:
            # What was scheduled may have been interrupted.
            self._reactor.call_soon(self._let_go)
            self._reactor.call_soon(self._tell_end)
            return
        self._decide(Ending(connection_error(CLOSED_HERE), text=CLOSED_HERE))
        # Not at once: the caller may be a signal handler, which has interrupted anything.
        self._reactor.call_last(self._close)
        if not self._reactor.will_turn:
            self._dialing.hang_up()

    # -- what is aborted --------------------------------------------------------------------------

    def _aborting(self, signal: AbortSignal, operation: Operation) -> Aborting:
        from .aborting import Aborting  # for those who use signals

        patience = self._settings.socketCloseTimeout / 1000
        return Aborting(signal, operation, self._reactor, self, patience)

    def _make_deadline(self) -> Deadline:
        from .aborting import Deadline  # for those who set one

        settings = self._settings
        patience = settings.socketCloseTimeout / 1000
        return Deadline(
            settings.sendTimeout, self._reactor, self, patience, lambda: self._exchange.waiting_for
        )

    def take_back(self, operation: Operation, error: SMTPError) -> bool:
        """Let ``operation`` end with ``error`` if the server need not be told, because it waits for
        a command anyway; return whether that is so."""
        operations = self._operations
        if operations.current is operation and self._exchange.withdraw():
            operations.current = None
            if self._deadline is not None:
                self._deadline.cancel()
        elif not operations.take_out(operation):
            return False
        self._settle(operation, error)
        self.next_dialogue()
        return True

    @property
    def in_doubt(self) -> bool:
        """Whether a message has been sent to its end, and the verdict is still to come."""
        return self._exchange.in_doubt

    def cut_off(self, error: SMTPError) -> None:
        """End the connection, because what is under way is given up with ``error``, its own."""
        self._give_up(error, own=True)

    # -- operations -------------------------------------------------------------------------------

    def _look_at_queue(self) -> None:
        try:
            if self._state is not _State.CLOSED:
                self.next_dialogue()
                return
            # Another thread was calling a method when the connection came to its end.
            for operation in self._operations.queued:
                self._refuse_late(operation)
            self._operations.forget()
        except BaseException as exc:
            self.broke(exc)
            raise

    def _refuse_late(self, operation: Operation) -> None:
        if isinstance(operation, Quit):
            operation.settle_silently()  # it has what it wants
        else:
            self._operations.refuse(operation, NOT_ITS_TURN)

    def next_dialogue(self) -> None:
        """Begin with the next operation, if nothing is going on."""
        operations = self._operations
        while operations.current is None and self._state is _State.READY:
            if self.session.is_full:
                self._leave()
                return
            dialogue = operations.start_next()
            if dialogue is None:
                return
            if self._deadline is not None:
                self._begin_deadline(self._deadline)
            self._exchange.start(dialogue)

    def dialogue_ended(self, value: Any, error: SMTPError | None) -> None:
        """Settle the operation whose dialogue has ended with ``value`` or ``error``."""
        operations = self._operations
        operation = operations.current
        if operation is None:
            self._opened(error)
        elif isinstance(operation, Quit) and error is None:
            self._finish()
        else:
            if self._deadline is not None:
                self._deadline.cancel()
            self._settle(operation, error, value)
            operations.current = None

    def _begin_deadline(self, deadline: Deadline) -> None:
        operation = self._operations.current
        if operation is not None and operation.message is not None:
            deadline.begin(operation)

    def _settle(self, operation: Operation, error: SMTPError | None, value: Any = None) -> None:
        if isinstance(operation, Quit):
            operation.settle_silently()  # it was aborted; it has no callback, and is no failure
        else:
            self._operations.settle(operation, error, value)

    # -- connecting -------------------------------------------------------------------------------

    @guarded
    def _dial(self) -> None:
        if not self.destroyed:
            self._time_outs.watch_connecting(
                self._host, self._port, lambda: self._dialing.waiting_for
            )
            self._dialing.start(self._host, self._port)

    def connected(self, transport: Transport) -> None:
        """Begin the session: the stream to the server is there."""
        if self.destroyed:
            return
        self.stage = "connected"
        self.session.secure = transport.secure
        self.session.stays_here = self._dialing.stays_here
        self.tell(lambda: f"Connected to {transport.describe()}")
        exchange = self._exchange
        exchange.use(transport)
        self._time_outs.watch_greeting(self._port)
        self._time_outs.watch_silence(
            lambda: max(exchange.last_sign_of_life, transport.last_taken()),
            lambda: exchange.waiting_for if self._is_awaited() else "",
            lambda: exchange.time_out,
        )
        exchange.start(open_session(self.session))

    def greeted(self) -> None:
        """The server has said its first word in time."""
        self._time_outs.end_phase()

    def credentials_revealed(self, mechanism: str) -> None:
        """Warn, once, if others can read the credentials that ``mechanism`` is about to send."""
        if not (self._warned or self.session.private):
            self._warned = True
            warn_of_login(self._host, self._port, mechanism, self._sid)

    def upgrade(self, done: Callable[[], None]) -> None:
        """Upgrade the stream to TLS, then call ``done()``."""

        def upgraded() -> None:
            self._time_outs.end_phase()
            transport = self._dialing.transport
            if transport is not None:
                self.tell(lambda: f"Connection upgraded: {transport.describe()}")
            done()

        self._time_outs.watch_upgrade()
        self._dialing.start_tls(upgraded)

    def next_lines(self) -> list[str]:
        """Return the commands of the next operation, if they may ride behind the message that is
        about to end: those of a message, or QUIT.

        An operation with a signal does not ride: it could no longer be taken back.
        """
        session, operation = self.session, self._operations.next_queued
        if self._state is not _State.READY:
            return []
        if operation is None and self.refill is not None and self._may_refill():
            self.refill()
            operation = self._operations.next_queued
        if operation is None or operation.aborting is not None:
            return []
        if operation.envelope is not None and operation.message is not None:
            session.ahead = envelope_ahead(operation.envelope, operation.message, session)
        elif isinstance(operation, Quit):
            session.ahead = quit_ahead(session)
        return session.ahead

    def _may_refill(self) -> bool:
        """Whether the next message may be handed over now: its envelope will ride, and what the
        server has said of the one before is no reason to have second thoughts."""
        return has_room(self.session) and self._operations.latest_error is None

    def follow(self, message: Message) -> Callable[[int], None] | None:
        """Return what to call with the bytes of ``message`` that have been sent, if anybody
        listens to ``'progress'``."""
        events = self._events
        if not events.listened_to("progress"):
            return None
        from .progress import follower  # for those who look on

        return follower(
            message, lambda progress: self._reactor.call_soon(events.emit, "progress", progress)
        )

    def _opened(self, error: SMTPError | None) -> None:
        if error is not None:
            self.connection_failed(error)
        elif not self.destroyed:  # close() on another thread comes before the 'connect' event
            connecting = self._operations.connecting
            if connecting is not None:
                connecting.succeed()
            self._heed_no_more()
            self._state = _State.READY
            if self._dialing.transport is not None:
                self._dialing.transport.keep_session()
            self._reactor.call_soon(self._tell_connected)

    def _tell_connected(self) -> None:
        try:
            self._events.emit("connect")
        finally:
            self._operations.tell_connected()

    def _heed_no_more(self) -> None:
        """The session is open, or will never be."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.heed_no_more()

    # -- why it ends ------------------------------------------------------------------------------

    def _is_awaited(self) -> bool:
        """Whether anybody would notice if the connection ended now."""
        return self._state is _State.CONNECTING or self._operations.awaited

    def hung_up(self, response: str | None, error: SMTPError | None) -> None:
        """End the session, because the server does (``response``) or because the stream failed
        (``error``)."""
        if self._ending is not None:
            if not self._ending.failed and response is not None:
                self._ending.error = connection_error(str(self._ending.text), response)
            self._end()
            return
        if self._leaving is not None or not self._is_awaited():
            why = response or error
            self.tell(lambda: f"The server closed the connection{(why and f': {why}') or ''}")
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

    def _give_up(self, error: SMTPError, *, own: bool = False) -> None:
        if isinstance(self._operations.current, Quit):
            # The server owed nothing but a goodbye.
            self.tell(lambda: f"The server did not reply to QUIT: {error}")
            self._finish()
        else:
            self.connection_failed(error, own=own)

    def connection_failed(self, error: SMTPError, *, own: bool = False) -> None:
        """End the connection with ``error``; with ``own`` it is that of the operation under way
        alone."""
        if not self.destroyed:
            self._decide(Ending(error, own=own))
            self._end()

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised in the middle of a step.

        If it has a reason to end already, it may be the end that was interrupted.
        """
        if not self.destroyed:
            what = type(exc).__name__
            text = f"Connection closed, because {what} was raised in the middle of a step"
            error = SMTPError(text, code="ECONNECTION", command="CONN")
            error.__cause__ = exc
            self._decide(Ending(error, heard=True))
        self._end()

    def _leave(self) -> None:
        """Say QUIT of our own accord: the server takes no more messages in this session, and may
        hang up on who tries."""
        self._leaving = self.session.full_error().message
        self._operations.current = Quit(None)
        self._exchange.start(quit_session(self.session))

    def _finish(self) -> None:
        """End in an orderly way: QUIT was answered, or the server ended an idle session."""
        text = self._leaving or NOT_ITS_TURN
        self._decide(Ending(connection_error(text), text=text))
        self._end()

    def _decide(self, ending: Ending) -> None:
        """Take ``ending`` for the reason, unless there is one already."""
        if self._ending is None:
            ending.opening = self._state is _State.CONNECTING
            self._ending = ending
            self._state = _State.ENDING
        self._exchange.halt()  # in any case: an interrupt may have kept it from that

    # -- the end ----------------------------------------------------------------------------------

    @guarded
    def _close(self) -> None:
        try:
            if self._exchange.in_doubt and self._dialing.transport is not None:
                # The verdict may be there, and only not have been read.
                self._dialing.transport.read_now()
        finally:
            self._end()

    def _end(self) -> None:
        """Do all that is due at the end; may be called again after an interrupt, at any time."""
        ending = self._ending
        if ending is None or self._state is _State.CLOSED:
            return
        self._log_end(ending)
        self._time_outs.stop()
        if self._deadline is not None:
            self._deadline.cancel()
        self._heed_no_more()
        operations = self._operations
        value, error = self._exchange.stop(ending.error)
        operations.close_sources()
        if ending.failed:
            ending.note_who_hears(operations, error)
            self._reactor.call_soon(self._tell_failure)
        ending.settle(operations, value, error)
        try:
            self._let_go()
        except BaseException:
            self._reactor.call_soon(self._let_go)  # it may have been interrupted
            raise
        finally:
            self._reactor.call_soon(self._tell_end)
            operations.forget()
            self._state = _State.CLOSED

    def _let_go(self) -> None:
        ending = self._ending
        orderly = ending is not None and not ending.failed and self.stage == "connected"
        self._dialing.close(self._settings.socketCloseTimeout / 1000 if orderly else 0)

    def _log_end(self, ending: Ending) -> None:
        if ending.logged or self._trace is None:
            return
        ending.logged = True
        try:
            if ending.failed:
                self._trace.failure(ending.error)
            elif ending.text == CLOSED_HERE:
                self.tell(lambda: "Closing connection to the server")
        except BaseException as exc:  # a logger's; it must not keep the connection from ending
            self._reactor.call_soon(_raise, exc)

    def _tell_failure(self) -> None:
        ending = self._ending
        if ending is None or ending.told:
            return
        ending.told = True
        if self._events.listened_to("error"):
            self._events.emit("error", ending.error)
        elif not ending.heard:
            # After 'end', which would else be left for the next run().
            self._reactor.call_soon(self._events.report, ending.error)

    def _tell_end(self) -> None:
        if self._operations.tell_again():
            self._reactor.call_soon(self._tell_end)
            return
        try:
            self._events.emit_last("end")
        finally:
            # These know this object, and this object knows them: circles cost a garbage collection.
            self._ending = OVER
            self._operations.dissolve()
            self._deadline = self.refill = None
            self._time_outs.dissolve()
            self._dialing.dissolve()
            self._exchange.dissolve()

    def tell(self, describe: Callable[[], str]) -> None:
        """Tell the log of something that happened to the stream."""
        if self._trace is not None:
            self._trace.socket(describe)


def _raise(exc: BaseException) -> None:
    raise exc
