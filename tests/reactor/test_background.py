"""A reactor on a thread of its own: how it begins, how it ends, and who hears of exceptions."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from smtp_connection import Reactor
from smtp_connection.reactor.background import Background
from tests.support.helpers import fail_with, handling, in_child, in_thread, wait_until


@pytest.fixture
def reported(monkeypatch):
    """What has gone to ``threading.excepthook``."""
    found = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def done_on(reactor, function=threading.current_thread):
    """Call ``function`` on the reactor; wait for what it returns, and return that."""
    done = threading.Event()
    results = []

    def call():
        results.append(function())
        done.set()

    reactor.call_soon(call)
    assert done.wait(10)
    return results[0]


# -- beginning and end -----------------------------------------------------------------------------


def test_it_runs_on_a_daemon_thread_until_it_is_stopped(reactor):
    reactor.start()
    thread = done_on(reactor)
    assert reactor.is_running
    assert thread is not threading.current_thread()
    assert (thread.name, thread.daemon) == ("smtp_connection reactor", True)
    assert done_on(reactor) is thread  # with nothing to do in between
    reactor.stop()
    assert not thread.is_alive()
    assert not reactor.is_running


def test_it_is_started_and_stopped_again_and_again(reactor):
    for _ in range(3):
        reactor.start()
        assert done_on(reactor).is_alive()
        reactor.stop()
        reactor.stop()
    calls = []
    reactor.call_soon(calls.append, "run")
    reactor.run()
    assert calls == ["run"]


def test_what_is_called_after_the_end_is_done_by_the_next_run(reactor):
    calls = []
    reactor.start()
    reactor.stop()
    reactor.call_soon(calls.append, "late")
    assert calls == []
    reactor.start()
    done_on(reactor)
    assert calls == ["late"]
    reactor.stop()


def test_a_callback_stops_it_without_waiting_for_itself(reactor):
    reactor.start()
    thread = done_on(reactor, lambda: (reactor.stop(), threading.current_thread())[1])
    thread.join(10)
    assert not thread.is_alive()


def test_it_is_started_anew_while_the_thread_before_ends(reactor):
    going_on = threading.Event()

    def stop_slowly():
        reactor.stop()
        stopping.set()
        going_on.wait(10)

    stopping = threading.Event()
    reactor.start()
    reactor.call_soon(stop_slowly)
    assert stopping.wait(10)
    starting = in_thread(reactor.start)
    going_on.set()
    starting.join(10)
    assert done_on(reactor).is_alive()
    reactor.stop()


def test_it_is_not_waited_for_longer_than_its_caller_wants_to(reactor):
    going_on = threading.Event()
    reactor.start()
    thread = done_on(reactor)
    reactor.call_soon(going_on.wait, 10)
    reactor.stop(timeout=0)
    assert thread.is_alive()
    going_on.set()
    reactor.stop()
    assert not thread.is_alive()


def test_a_signal_handler_stops_it(reactor):
    reactor.start()
    thread = done_on(reactor)
    with handling(signal.SIGUSR1, lambda signum, frame: reactor.stop(0)):
        signal.raise_signal(signal.SIGUSR1)
    thread.join(10)
    assert not thread.is_alive()


def test_leaving_the_block_ends_it():
    with Reactor() as reactor:
        reactor.start()
        thread = done_on(reactor)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.start()


def test_run_forever_goes_on_with_nothing_to_do(reactor):
    thread = in_thread(reactor.run_forever)
    wait_until(lambda: reactor.is_running)
    assert done_on(reactor) is thread
    assert done_on(reactor) is thread
    reactor.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_run_forever_raises_what_a_callback_raises(reactor):
    reactor.call_soon(fail_with, "in a callback")
    with pytest.raises(LookupError, match="in a callback"):
        reactor.run_forever()


# -- who may start it, and when --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["start", "run", "run_forever", "run_once"])
def test_it_runs_once_at_a_time(reactor, method):
    reactor.start()
    with pytest.raises(RuntimeError, match="running already, on another thread"):
        getattr(reactor, method)()
    assert done_on(reactor).is_alive()
    reactor.stop()


def test_it_is_not_started_from_a_callback(reactor):
    def start():
        with pytest.raises(RuntimeError, match="outside callbacks"):
            reactor.start()
        calls.append("refused")

    calls = []
    reactor.call_soon(start)
    reactor.run()
    reactor.start()
    done_on(reactor, start)
    reactor.stop()
    assert calls == ["refused", "refused"]


def test_threads_that_start_it_at_once_start_it_once(reactor):
    def start():
        barrier.wait(10)
        try:
            reactor.start()
            outcomes.append("started")
        except RuntimeError:
            outcomes.append("refused")

    barrier = threading.Barrier(4)
    outcomes = []
    for thread in [in_thread(start) for _ in range(4)]:
        thread.join(10)
    assert sorted(outcomes) == ["refused"] * 3 + ["started"]
    reactor.stop()


def test_whoever_starts_it_hears_that_it_cannot_run(reactor, monkeypatch):
    def refuse(frame, *, hosted):
        raise RuntimeError("cannot run")

    monkeypatch.setattr(reactor, "_enter", refuse)
    with pytest.raises(RuntimeError, match="cannot run"):
        reactor.start()
    monkeypatch.undo()
    reactor.start()
    assert done_on(reactor).is_alive()
    reactor.stop()


def test_without_a_thread_to_be_had_it_is_as_before(reactor, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            reactor.start()
    assert not reactor.is_running
    reactor.start()
    assert done_on(reactor).is_alive()
    reactor.stop()


def test_a_child_neither_starts_nor_stops_its_parents(reactor):
    def child():
        for method in (reactor.start, reactor.run_forever):
            with pytest.raises(RuntimeError, match="parent"):
                method()
        reactor.stop()
        own = Reactor()
        own.start()
        assert done_on(own).is_alive()
        own.stop()

    reactor.start()
    with reactor._starting:
        assert in_child(child)
    assert done_on(reactor).is_alive()
    reactor.stop()


# -- exceptions ------------------------------------------------------------------------------------


def test_what_callbacks_raise_goes_to_the_hook_for_threads(reactor, reported):
    reactor.start()
    thread = done_on(reactor)
    reactor.call_soon(fail_with, "first")
    reactor.call_soon(sys.exit, 3)
    reactor.call_later(0, fail_with, "second")
    wait_until(lambda: len(reported) == 3)
    assert done_on(reactor) is thread
    reactor.stop()
    assert [args.exc_type for args in reported] == [LookupError, SystemExit, LookupError]
    assert str(reported[0].exc_value) == "first"
    assert reported[0].exc_traceback is reported[0].exc_value.__traceback__
    assert {args.thread for args in reported} == {thread}


def test_a_stop_in_a_callback_that_raises_is_a_stop(reactor, reported):
    def stop():
        reactor.stop()
        raise LookupError("after stop()")

    reactor.start()
    thread = done_on(reactor)
    reactor.call_soon(stop)
    thread.join(10)
    assert not thread.is_alive()
    assert [str(args.exc_value) for args in reported] == ["after stop()"]


def test_what_is_raised_as_it_ends_goes_there_as_well(reactor, reported):
    def stop():
        reactor.stop()
        reactor.call_last(lambda: fail_with("at the end"))
        raise LookupError("in the last turn")

    reactor.start()
    thread = done_on(reactor)
    reactor.call_soon(stop)
    thread.join(10)
    assert not thread.is_alive()
    assert [str(args.exc_value) for args in reported] == ["in the last turn", "at the end"]


def test_a_hook_that_fails_ends_nothing(reactor, monkeypatch):
    found = []
    monkeypatch.setattr(threading, "excepthook", lambda args: fail_with("in the hook"))
    monkeypatch.setattr(sys, "excepthook", lambda *args: found.append(args))
    reactor.start()
    reactor.call_soon(fail_with, "in a callback")
    wait_until(lambda: found)
    assert done_on(reactor).is_alive()
    reactor.stop()
    assert [str(args[1]) for args in found] == ["in the hook"]


# -- as long as there is something to do -----------------------------------------------------------


def test_a_thread_that_is_not_for_ever_ends_with_the_work(reactor):
    background = Background(reactor, forever=False)
    for _ in range(2):
        threads = []
        reactor.call_soon(lambda threads=threads: threads.append(threading.current_thread()))
        background.start()
        background.join(10)
        assert not threads[0].is_alive()
        assert not background.is_alive


def test_whoever_has_work_finds_a_thread_for_it(reactor):
    """The thread is about to end each time that there is more to do."""
    background = Background(reactor, forever=False)
    for _ in range(300):
        done = threading.Event()
        reactor.call_soon(done.set)
        background.start()
        assert done.wait(10)
    background.join(10)
    assert not background.is_alive


def test_it_is_ended_whatever_is_left_to_do(reactor):
    background = Background(reactor, forever=False)
    for _ in range(2):
        timer = reactor.call_later(3600, pytest.fail)
        background.start()
        assert background.is_alive
        background.end(10)
        assert not background.is_alive
        timer.cancel()


def test_a_start_that_is_interrupted_is_no_start(reactor, monkeypatch):
    def interrupt(thread):
        raise KeyboardInterrupt

    background = Background(reactor, forever=False)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            background.start()
    called = threading.Event()
    reactor.call_soon(called.set)
    background.start()
    assert called.wait(10)
    background.join(10)


def test_a_second_thread_leaves_the_work_to_the_first(reactor):
    """Where an interrupt has kept a caller from noting that there is one."""
    background = Background(reactor, forever=False)
    timer = reactor.call_later(3600, pytest.fail)
    background.start()
    begun = threading.Event()
    second = in_thread(background._main, begun, [])
    second.join(10)
    assert begun.is_set()
    assert background.is_alive
    reactor.call_soon(timer.cancel)
    background.join(10)


# -- the end of the program ------------------------------------------------------------------------


BUSY = {
    "waiting": "begun.set()",
    "printing": "begun.set(); print('.' * 50); reactor.call_soon(call)",
    "blocked": "begun.set(); threading.Event().wait()",
    "raising": "begun.set(); reactor.call_soon(call); raise LookupError",
}


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_the_program_ends_without_a_word_while_it_runs(busy):
    program = f"""
import threading
from smtp_connection import Reactor

def call():
    {busy}

threading.excepthook = lambda args: None
begun = threading.Event()
reactor = Reactor()
reactor.start()
reactor.call_soon(call)
assert begun.wait(10)
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
