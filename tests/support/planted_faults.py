"""Faults for the package, so that the load, the fault matrix and the world can show that they would
notice them: ``plant(monkeypatch, "a callback is called twice")``."""

from __future__ import annotations

import socket
import threading
from typing import Any, NamedTuple

import pytest

from smtp_connection import Reactor, SMTPConnection, SMTPError
from smtp_connection.driver.exchange import Exchange
from smtp_connection.driver.lifecycle import Lifecycle
from smtp_connection.driver.queue import Operation, Operations
from smtp_connection.message import message
from smtp_connection.message.sources import IterableSource
from smtp_connection.net import transport
from smtp_connection.net.errors import tls_error
from smtp_connection.net.transport import Transport
from smtp_connection.protocol import addressing, recipients, transaction
from smtp_connection.protocol.replies import Reply
from smtp_connection.protocol.steps import Pipeline
from smtp_connection.reactor.handles import Handle
from smtp_connection.reactor.timers import Timer

left_open: list[socket.socket] = []
"""The sockets that "sockets stay open" has not closed."""

let_jobs_end = threading.Event()
"""What the job of "a job goes on" waits for."""

_settle = Operations.settle
_tell = Operation.tell
_emit = SMTPConnection.emit
_let_go = Lifecycle._let_go
_close = Lifecycle.close
_data_received = Exchange.data_received
_broke = Lifecycle.broke


# -- callbacks and what they are told --------------------------------------------------------------


class _Everybody:
    def __contains__(self, recipient: object) -> bool:
        return True


class _Success:
    accepted = _Everybody()


def _call_back_twice(self: Any, report: Any) -> None:
    callback = self._callback
    _tell(self, report)
    self._callback, self.told = callback, False
    _tell(self, report)


def _call_back_at_once(self: Any, operation: Any, error: Any, value: Any = None) -> None:
    callback, operation._callback = operation._callback, None
    if callback is not None:
        callback(*operation.arguments.fit(error, value))
    _settle(self, operation, None)


def _forget_resets(self: Any, operation: Any, error: Any, value: Any = None) -> None:
    if operation.message is not None:
        _settle(self, operation, error, value)


def _hide_doubt(self: Any, operation: Any, error: Any, value: Any = None) -> None:
    if error is not None and error.inDoubt:
        error, value = None, _Success()
    _settle(self, operation, error, value)


def _always_doubt(self: Any, operation: Any, error: Any, value: Any = None) -> None:
    if error is not None:
        error.inDoubt = True
    _settle(self, operation, error, value)


def _succeed_always(self: Any, operation: Any, error: Any, value: Any = None) -> None:
    _settle(self, operation, None, value)


def _add_in_front(self: Any, operation: Any) -> None:
    self._queue.insert(0, operation)


# -- what rides behind a message -------------------------------------------------------------------


def _ride_blindly(lines: Any, envelope: Any, told: Any, session: Any) -> Any:
    yield Pipeline(lines, said=True)
    told.judge([Reply(250, "250 ok")] * len(envelope.recipients))


def _always_in_step(*args: Any) -> bool:
    return True


# -- events ----------------------------------------------------------------------------------------


def _end_twice(self: Any, event: str, *args: Any) -> object:
    _emit(self, event, *args)
    return _emit(self, event, *args) if event == "end" else None


def _never_end(self: Any, event: str, *args: Any) -> object:
    return event == "end" or _emit(self, event, *args)


def _connect_after_the_end(self: Any, event: str, *args: Any) -> object:
    return _emit(self, event, *args) and event == "end" and _emit(self, "connect")


def _report_twice(self: Any, event: str, *args: Any) -> object:
    if event == "error" and self.listeners("error"):
        _emit(self, event, *args)
    return _emit(self, event, *args)


def _swallow_exceptions(self: Any, event: str, *args: Any) -> object:
    try:
        return _emit(self, event, *args)
    except (AssertionError, SMTPError):
        raise  # a test's own, or the 'error' that nobody listens to
    except Exception:
        return True


# -- the connection, and what is left of it --------------------------------------------------------


def _drop_with_a_last_word(self: Any) -> None:
    """Hang up later, and not without a word."""

    def say_more() -> None:
        self._sock.send(b"NOOP\r\n")
        self._sock.close()

    if not self._closed:
        self._closed = True
        self._handle.close()
        self._reactor.call_later(1, say_more)


def _drop_without_closing(self: Any) -> None:
    self._closed = True
    if self._linger_timer is not None:
        self._linger_timer.cancel()
    self._handle.close()
    left_open.append(self._sock)


def _leave_a_timer(self: Any) -> None:
    _let_go(self)
    self._reactor.call_later(30, int)


def _leave_a_job(self: Any) -> None:
    _let_go(self)
    self._reactor.run_in_thread(let_jobs_end.wait, lambda *_: None)


def _never(self: Any, seconds: float) -> None:
    self.entry = -1


def _double_line_breaks(data: bytes) -> tuple[bytes, int]:
    return data.replace(b"\n", b"\r\n") + b"\r\n.\r\n", len(data)


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


# -- after an interrupt ----------------------------------------------------------------------------


def _close_once(self: Any) -> None:
    if not self.destroyed:
        _close(self)


def _swallow_interrupts(self: Any, data: bytes) -> None:
    try:
        _data_received(self, data)
    except Exception:
        raise
    except BaseException:
        pass


# -- after what nobody has foreseen ----------------------------------------------------------------


def _go_on(self: Any, exc: BaseException) -> None:
    if self.destroyed:
        self._end()


def _swallow_all(self: Any, data: bytes) -> None:
    try:
        _data_received(self, data)
    except AssertionError:
        raise
    except BaseException:
        pass


def _raise_twice(self: Any, exc: BaseException) -> None:
    def raise_again() -> None:
        raise exc

    _broke(self, exc)
    self._reactor.call_soon(raise_again)


# -- all of them -----------------------------------------------------------------------------------


class Fault(NamedTuple):
    """What takes the place of ``owner.name``."""

    owner: Any
    name: str
    replacement: Any


FAULTS = {
    "a callback is called twice": Fault(Operation, "tell", _call_back_twice),
    "a callback is called at once": Fault(Operations, "settle", _call_back_at_once),
    "a callback is forgotten": Fault(Operations, "settle", _forget_resets),
    "all callbacks are forgotten": Fault(Operations, "settle", _nothing),
    "success without a verdict": Fault(Operations, "settle", _hide_doubt),
    "success whatever is said": Fault(Operations, "settle", _succeed_always),
    "no doubt": Fault(recipients, "_put_in_doubt", _nothing),
    "doubt without a reason": Fault(Operations, "settle", _always_doubt),
    "the queue has no order": Fault(Operations, "add", _add_in_front),
    "an early refusal is believed": Fault(addressing, "_in_step", _always_in_step),
    "a message rides blindly": Fault(transaction, "envelope_that_rode", _ride_blindly),
    "'end' is emitted twice": Fault(SMTPConnection, "emit", _end_twice),
    "'end' is not emitted": Fault(SMTPConnection, "emit", _never_end),
    "'end' is not the last": Fault(SMTPConnection, "emit", _connect_after_the_end),
    "an error is reported twice": Fault(SMTPConnection, "emit", _report_twice),
    "an exception is swallowed": Fault(SMTPConnection, "emit", _swallow_exceptions),
    "something is written after 'end'": Fault(Transport, "_drop", _drop_with_a_last_word),
    "sockets stay open": Fault(Transport, "_drop", _drop_without_closing),
    "a descriptor is closed while it is watched": Fault(Handle, "close", _nothing),
    "the reactor turns for nothing": Fault(Transport, "_writable", _nothing),
    "timers stay alive": Fault(Timer, "cancel", _nothing),
    "timers never fire": Fault(Timer, "start", _never),
    "a timer is left": Fault(Lifecycle, "_let_go", _leave_a_timer),
    "a job goes on": Fault(Lifecycle, "_let_go", _leave_a_job),
    "sources are not let go of": Fault(IterableSource, "close", _nothing),
    "run() stays under way": Fault(Reactor, "is_running", property(lambda self: self._runner)),
    "close() is tried once": Fault(Lifecycle, "close", _close_once),
    "an interrupt is swallowed": Fault(Exchange, "data_received", _swallow_interrupts),
    "what an interrupt has lost stays lost": Fault(Operations, "tell_again", _nothing),
    "what nobody has foreseen ends nothing": Fault(Lifecycle, "broke", _go_on),
    "what nobody has foreseen is swallowed": Fault(Exchange, "data_received", _swallow_all),
    "what nobody has foreseen comes twice": Fault(Lifecycle, "broke", _raise_twice),
    "TLS that is cut is a failed handshake": Fault(
        transport,
        "tls_session_error",
        lambda exc, tls, servername, _: tls_error(exc, tls, servername),
    ),
    "a message is changed": Fault(message, "encode_whole", _double_line_breaks),
}


def plant(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Plant the one of :data:`FAULTS` that is called ``fault``."""
    left_open.clear()
    let_jobs_end.clear()
    monkeypatch.setattr(*FAULTS[fault])
