"""Interrupts between any two lines of a call that waits: all that it had is gone afterwards.

That an interrupt ends the wait itself is in ``tests/blocking``.
"""

from __future__ import annotations

import gc
import linecache
import warnings
from itertools import count

import pytest

from smtp_connection import blocking
from smtp_connection.blocking import connection as blocking_connection
from smtp_connection.blocking import thread as blocking_thread
from tests.support.helpers import in_thread, wait_until
from tests.support.sessions import ENVELOPE
from tests.support.smtp_server import BackgroundServer

from .interrupts import Interrupt, Trace

STRIDE = 7


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(blocking_thread, "_shared", None)
    gc.freeze()  # what other tests have left would make each collection slow
    with BackgroundServer("PIPELINING") as server:
        yield server
    gc.unfreeze()
    reactor, thread = blocking_thread._shared
    assert not thread.is_alive
    reactor.close()


class LockAware(Trace):
    """Interrupts no line that begins with ``with``: at the end of the block, Python reports it
    again, before the lock is released, and looks for signals only after that."""

    def _line(self, frame, event, arg):
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if text.lstrip().startswith("with "):
            return self._line
        return super()._line(frame, event, arg)


def hold_session(server, at):
    """Hold a session that is interrupted at line ``at`` of those of the package that this thread
    runs, and return the trace."""
    place = {"host": server.host, "port": server.port, "socketCloseTimeout": 1}
    trace = LockAware(at)
    try:
        with trace, blocking.SMTPConnection(place) as connection:
            connection.send(ENVELOPE, "hi")
            connection.reset()
    except Interrupt:
        pass
    return trace


def everything_is_over(server):
    """Whether no thread is left, and every client has hung up."""
    home = blocking_thread._shared
    return (home is None or not (home.thread.is_alive or home.reactor.has_work)) and all(
        line.hung_up for line in server._lines
    )


def test_an_interrupt_leaves_nothing_behind_at_any_line(server):
    hold_session(server, None)  # imports what is imported on use
    traces = []
    for at in count(0, STRIDE):
        with warnings.catch_warnings():
            # An interrupt as 'with' begins leaves a connection that nobody has.
            warnings.simplefilter("ignore", ResourceWarning)
            in_thread(lambda at=at: traces.append(hold_session(server, at))).join()
            gc.collect()
        # The next session is as good as the first; its thread does what is left of this one.
        hold_session(server, None)
        wait_until(lambda: everything_is_over(server))
        if not traces[-1].place:
            break  # the session has fewer lines
    assert at > 400
    messages = [len(session.messages) for session in server.sessions]
    assert messages.count(1) > len(traces)


def test_it_notices_what_an_interrupt_has_left(server, monkeypatch):
    lines = hold_session(server, None).count
    with monkeypatch.context() as patched:
        patched.setattr(blocking.SMTPConnection, "close", lambda self: None)
        patched.setattr(blocking_connection, "_forgotten", lambda connection, reactor: None)
        for at in range(0, lines, lines // 20):
            in_thread(hold_session, server, at).join(10)
    hold_session(server, None)
    assert not everything_is_over(server)
    for line in server._lines:
        server._reactor.call_soon_threadsafe(line.close)
    wait_until(lambda: everything_is_over(server))
