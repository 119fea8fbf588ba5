"""The rules of the event loop."""

from __future__ import annotations

import asyncio
import gc
import select
import selectors
import signal
import socket
import threading
import warnings

import pytest

from smtp_connection import Reactor, get_reactor, run
from smtp_connection.reactor import loop as reactor_module
from smtp_connection.reactor.loop import current_reactor
from tests.support.helpers import Clock, handling, in_child


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timed(clock):
    """A reactor on the hand-moved clock."""
    with Reactor(clock=clock) as reactor:
        yield reactor


@pytest.fixture
def ends():
    """Two ends of a stream; both are readable and writable at once."""
    left, right = socket.socketpair()
    with left, right:
        for end in (left, right):
            end.setblocking(False)
            end.send(b"x")
        yield left, right


@pytest.fixture
def default(monkeypatch):
    """No default reactor yet; the one that the test makes is closed."""
    monkeypatch.setattr(reactor_module, "_default", None)
    yield
    if reactor_module._default is not None:
        reactor_module._default.close()


class OnSelect(selectors.DefaultSelector):
    """Calls ``before()`` once, at the last moment before the reactor waits."""

    before = None

    def select(self, timeout=None):
        before, self.before = self.before, None
        if before is not None:
            before()
        return super().select(timeout)


@pytest.fixture
def on_select():
    return OnSelect()


@pytest.fixture
def interruptible(on_select):
    """A reactor whose select() can be interfered with, which waits for something far away."""
    with Reactor(selector=on_select) as reactor:
        reactor.call_later(3600, pytest.fail)
        reactor.run_once()
        yield reactor


def fail_with(text):
    raise LookupError(text)


def in_thread(function):
    """Start ``function`` on a thread, and return the thread."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


# -- callbacks -------------------------------------------------------------------------------------


def test_callbacks_run_in_the_order_of_the_calls_and_never_at_once(reactor):
    calls = []
    for number in range(5):
        reactor.call_soon(calls.append, number)
    assert calls == []
    reactor.run()
    assert calls == [0, 1, 2, 3, 4]


def test_arguments_are_handed_on(reactor):
    calls = []
    reactor.call_soon(lambda *args: calls.append(args), 1, None, "three")
    reactor.call_later(0, lambda *args: calls.append(args), 4)
    reactor.run()
    assert calls == [(1, None, "three"), (4,)]


def test_within_a_turn_nobody_has_to_be_woken(reactor, monkeypatch):
    """It would cost a system call for each callback."""

    def schedule():
        with monkeypatch.context() as patch:
            patch.setattr(reactor, "_wake", pytest.fail)
            reactor.call_soon(lambda: None)
            reactor.call_later(0, lambda: None)

    reactor.call_soon(schedule)
    reactor.run()


def test_what_a_callback_schedules_runs_on_the_next_turn(reactor):
    calls = []

    def again(rest):
        calls.append(rest)
        if rest:
            reactor.call_soon(again, rest - 1)

    reactor.call_soon(again, 2)
    assert reactor.run_once()
    assert calls == [2]
    assert reactor.run_once()
    assert calls == [2, 1]
    assert not reactor.run_once()
    assert calls == [2, 1, 0]


def test_callbacks_without_end_do_not_starve_a_descriptor(reactor, ends):
    def again():
        if read:
            return
        reactor.call_soon(again)

    def readable():
        read.append(ends[0].recv(1))
        reactor.remove_reader(ends[0])

    read = []
    reactor.add_reader(ends[0], readable)
    again()
    reactor.run()
    assert read == [b"x"]


def test_a_raising_callback_loses_none_of_its_siblings(reactor):
    calls = []
    reactor.call_soon(calls.append, "before")
    reactor.call_soon(fail_with, "first")
    reactor.call_soon(calls.append, "between")
    reactor.call_soon(fail_with, "second")
    reactor.call_later(0, calls.append, "timer")

    with pytest.raises(LookupError, match="first"):
        reactor.run()
    assert calls == ["before"]
    with pytest.raises(LookupError, match="second"):
        reactor.run()
    reactor.run()
    assert sorted(calls) == ["before", "between", "timer"]


def test_a_raising_reader_loses_no_timer_and_no_descriptor(reactor, ends):
    left, right = ends
    calls = []

    def read(end, *, then):
        calls.append(end.recv(1))
        reactor.remove_reader(end)
        then()

    reactor.add_reader(left, lambda: read(left, then=lambda: fail_with("left")))
    reactor.add_reader(right, lambda: read(right, then=lambda: fail_with("right")))
    reactor.call_later(0, calls.append, "timer")
    reactor.call_soon(calls.append, "soon")

    for _ in range(2):
        with pytest.raises(LookupError, match=r"left|right"):
            reactor.run()
    reactor.run()
    assert calls == [b"x", b"x", "soon", "timer"]


def test_what_is_called_last_comes_at_the_end_of_the_turn(reactor):
    calls = []
    reactor.call_soon(reactor.call_last, lambda: calls.append("last"))
    reactor.call_soon(reactor.call_soon, calls.append, "next turn")
    reactor.call_soon(calls.append, "this turn")
    reactor.run()
    assert calls == ["this turn", "last", "next turn"]


@pytest.mark.parametrize("ending", ["stop", "error"])
def test_what_is_called_last_is_called_whatever_ends_the_turn(reactor, ending):
    calls = []
    reactor.call_soon(reactor.call_last, lambda: calls.append("last"))
    if ending == "stop":
        reactor.call_soon(reactor.stop)
        reactor.run()
    else:
        reactor.call_soon(fail_with, "error")
        with pytest.raises(LookupError):
            reactor.run()
    assert calls == ["last"]


# -- timers ----------------------------------------------------------------------------------------


def test_timers_run_by_deadline_and_those_of_one_deadline_in_sequence(timed, clock):
    calls = []
    for seconds, name in [(2, "c"), (1, "a"), (3, "e"), (1, "b"), (2, "d"), (4, "late")]:
        timed.call_later(seconds, calls.append, name)
    clock.now += 3
    timed.run_once()
    assert calls == ["a", "b", "c", "d", "e"]
    assert timed.next_timeout() == 1


def test_a_timer_is_not_early(timed, clock):
    calls = []
    timed.call_later(10, calls.append, "due")
    clock.now += 9.999
    timed.run_once()
    assert calls == []
    clock.now += 0.001
    assert not timed.run_once()
    assert calls == ["due"]


def test_callbacks_come_before_the_timers_of_the_same_turn(timed):
    calls = []
    timed.call_later(0, calls.append, "timer")
    timed.call_soon(calls.append, "soon")
    timed.run_once()
    assert calls == ["soon", "timer"]


def test_ready_timers_are_detached_before_any_of_them_runs(timed):
    """Otherwise a timer that starts itself anew without a delay would never let go."""
    calls = []

    def again():
        calls.append("again")
        timed.call_later(0, again)

    timed.call_later(0, again)
    timed.call_later(0, calls.append, "sibling")
    timed.run_once()
    assert calls == ["again", "sibling"]


def test_a_timer_that_an_earlier_one_of_its_turn_cancels_does_not_run(timed):
    timed.call_later(0, lambda: later.cancel())
    later = timed.call_later(0, pytest.fail)
    assert later.active
    assert not timed.run_once()
    assert not later.active


def test_a_timer_is_cancelled_once_and_not_after_it_has_run(timed):
    timer = timed.call_later(0, lambda: None)
    other = timed.call_later(100, pytest.fail)
    assert timed.run_once()
    assert not timer.active
    timer.cancel()
    assert timed.run_once(), "the other timer is still to come"
    other.cancel()
    other.cancel()
    assert not timed.run_once()


def test_a_raising_timer_is_over(timed):
    timed.call_later(0, fail_with, "timer")
    with pytest.raises(LookupError):
        timed.run_once()
    assert not timed.run_once()


def test_cancelled_timers_do_not_pile_up(timed):
    """A long time-out on each of many short operations."""
    kept = [timed.call_later(100 + number, pytest.fail) for number in range(3)]
    for _ in range(10_000):
        timed.call_later(50, pytest.fail).cancel()
        assert len(timed._timers) <= 100
    assert [entry[2] for entry in sorted(timed._timers) if entry[2].active] == kept
    for timer in kept:
        timer.cancel()
    assert not timed.run_once()


def test_the_order_of_timers_outlives_the_clearing_of_cancelled_ones(timed, clock):
    calls = []
    deadlines = [number * 37 % 101 for number in range(101)]
    for seconds in deadlines:
        timed.call_later(seconds, calls.append, seconds)
    for timer in [timed.call_later(50, pytest.fail) for _ in range(1000)]:
        timer.cancel()
    clock.now += 100
    timed.run_once()
    assert calls == sorted(deadlines)


def test_now_is_the_time_at_which_the_turn_began(timed, clock):
    seen = []

    def note():
        clock.now += 5
        seen.append(timed.now)

    timed.call_soon(note)
    timed.call_soon(note)
    clock.now = 2000.0
    timed.run_once()
    assert seen == [2000, 2000]


def test_a_deadline_beyond_what_the_system_can_wait_for_is_waited_for(interruptible):
    """epoll takes 24 days at most."""
    interruptible.call_later(1e15, pytest.fail)
    interruptible._timers = interruptible._timers[-1:]
    thread = in_thread(interruptible.stop)
    interruptible.run_once(None)
    thread.join()


# -- descriptors -----------------------------------------------------------------------------------


def test_readers_and_writers_are_called_while_they_are_watched(reactor, ends):
    left, _ = ends
    calls = []
    reactor.add_reader(left, lambda: calls.append("read"))
    reactor.add_writer(left.fileno(), lambda: calls.append("write"))
    reactor.run_once()
    assert calls == ["read", "write"]
    reactor.remove_reader(left.fileno())
    reactor.run_once()
    assert calls == ["read", "write", "write"]
    reactor.remove_writer(left)
    assert not reactor.run_once()
    assert len(calls) == 3


def test_a_reader_is_replaced_by_the_next_one(reactor, ends):
    calls = []
    reactor.add_reader(ends[0], pytest.fail)
    reactor.add_reader(ends[0], lambda: calls.append("second"))
    reactor.run_once()
    assert calls == ["second"]
    reactor.remove_reader(ends[0])


def test_what_is_not_watched_can_be_removed(reactor, ends):
    reactor.remove_reader(ends[0])
    reactor.remove_writer(ends[0])
    reactor.add_writer(ends[0], lambda: None)
    reactor.remove_reader(ends[0])
    assert reactor.run_once()
    reactor.remove_writer(ends[0])


def test_a_removed_descriptor_is_not_dispatched_in_the_same_turn(reactor, ends):
    """It may be closed by then, or belong to somebody else."""
    calls = []

    def first(name):
        calls.append(name)
        for end in ends:
            reactor.remove_reader(end)
            reactor.remove_writer(end)

    for end in ends:
        reactor.add_reader(end, lambda: first("reader"))
        reactor.add_writer(end, lambda: first("writer"))
    reactor.run()
    assert calls == ["reader"]


def test_a_new_owner_of_a_descriptor_does_not_get_the_old_one_s_event(reactor, ends):
    calls = []

    def first(end, other):
        calls.append("old")
        reactor.remove_reader(end)
        reactor.remove_reader(other)
        reactor.add_reader(other, lambda: calls.append("new"))

    reactor.add_reader(ends[0], lambda: first(*ends))
    reactor.add_reader(ends[1], lambda: first(*reversed(ends)))
    reactor.run_once()
    assert calls == ["old"]
    reactor.run_once()
    assert calls == ["old", "new"]
    for end in ends:
        reactor.remove_reader(end)


@pytest.mark.parametrize("watch", ["add_reader", "add_writer"])
def test_what_cannot_be_watched_leaves_nothing_behind(reactor, tmp_path, watch):
    with open(tmp_path / "file", "w+b") as file, pytest.raises(PermissionError):
        getattr(reactor, watch)(file, pytest.fail)
    with pytest.raises(ValueError, match="closed"):
        getattr(reactor, watch)(-1, pytest.fail)
    assert not reactor.run_once()


class Forgetful(selectors.DefaultSelector):
    """Fails as selectors do where somebody has closed the descriptor."""

    def modify(self, fileobj, events, data=None):
        self.unregister(fileobj)
        raise OSError("that is no descriptor")


def test_a_descriptor_that_cannot_be_watched_any_more_is_let_go_of(ends):
    with Reactor(selector=Forgetful()) as reactor:
        reactor.add_reader(ends[0], pytest.fail)
        with pytest.raises(OSError, match="no descriptor"):
            reactor.add_writer(ends[0], pytest.fail)
        reactor.remove_reader(ends[0])
        reactor.remove_writer(ends[0])
        assert not reactor.run_once()


# -- running ---------------------------------------------------------------------------------------


def test_run_returns_when_nothing_can_happen_any_more(reactor):
    calls = []
    reactor.run()
    reactor.call_later(0, lambda: reactor.call_soon(calls.append, "last"))
    reactor.run()
    assert calls == ["last"]


def test_run_returns_when_all_that_is_left_is_taken_back(reactor, ends):
    timer = reactor.call_later(3600, pytest.fail)

    def readable():
        timer.cancel()
        reactor.remove_reader(ends[0])

    reactor.add_reader(ends[0], readable)
    reactor.run()
    assert not timer.active


def test_run_cannot_be_entered_twice(reactor):
    seen = []

    def enter(method):
        with pytest.raises(RuntimeError, match="running already"):
            method()
        seen.append(method)

    reactor.call_soon(enter, reactor.run)
    reactor.call_soon(enter, reactor.run_once)
    reactor.run()
    assert len(seen) == 2


def test_run_once_runs_one_turn_and_tells_whether_more_is_to_come(reactor):
    assert not reactor.run_once()
    assert not reactor.run_once(None)
    reactor.call_soon(reactor.call_soon, lambda: None)
    assert reactor.run_once()
    assert not reactor.run_once()


def test_run_once_waits_no_longer_than_it_is_told(interruptible, on_select, monkeypatch):
    waited = []
    monkeypatch.setattr(
        selectors.DefaultSelector, "select", lambda self, timeout: waited.append(timeout) or []
    )
    interruptible._timers.clear()
    interruptible.call_later(100, pytest.fail)
    for timeout in (0, 7, 200, None):
        interruptible.run_once(timeout)
    assert waited[:2] == [0, 7]
    assert all(99 < wait <= 100 for wait in waited[2:])


def test_stop_ends_the_run_after_the_turn(reactor):
    calls = []
    reactor.call_soon(reactor.stop)
    reactor.call_soon(calls.append, "same turn")
    reactor.call_soon(reactor.call_soon, calls.append, "next run")
    reactor.run()
    assert calls == ["same turn"]
    reactor.run()
    assert calls == ["same turn", "next run"]


@pytest.mark.parametrize("moment", ["about to wait", "waiting"])
def test_another_thread_stops_it(interruptible, on_select, moment):
    threads = []

    def stop():
        threads.append(in_thread(interruptible.stop))
        if moment == "about to wait":
            threads[0].join()

    on_select.before = stop
    interruptible.run()
    threads[0].join()


def test_another_thread_wakes_it(interruptible, on_select):
    calls = []

    def call():
        for number in range(3):
            interruptible.call_soon_threadsafe(calls.append, number)
        interruptible.call_soon_threadsafe(interruptible.stop)

    threads = []
    on_select.before = lambda: threads.append(in_thread(call))
    interruptible.run()
    threads[0].join()
    interruptible.run_once(0)
    assert calls == [0, 1, 2]


def test_it_can_be_woken_again_and_again(interruptible, on_select):
    """A wake-up call that was not taken off the pipe would stand for all that follow, or for
    none."""
    for _ in range(3):
        calls = []
        on_select.before = lambda calls=calls: interruptible.call_soon(calls.append, "woken")
        assert interruptible.run_once(None)
        assert calls == ["woken"]
        assert interruptible.run_once(0)


def test_no_call_of_many_threads_is_lost(reactor):
    calls = []
    timer = reactor.call_later(3600, pytest.fail)

    def call(name):
        for number in range(500):
            reactor.call_soon_threadsafe(note, (name, number))

    def note(entry):
        calls.append(entry)
        if len(calls) == 2000:
            timer.cancel()

    threads = [in_thread(lambda name=name: call(name)) for name in range(4)]
    reactor.run()
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [number for who, number in calls if who == name] == list(range(500))


@pytest.mark.parametrize("method", ["stop", "call_soon", "call_last"])
def test_a_signal_handler_wakes_it(interruptible, on_select, method):
    """The signal arrives at the worst moment: all is looked at, and the wait is about to begin."""

    def handler(signum, frame):
        if method == "stop":
            interruptible.stop()
        else:
            getattr(interruptible, method)(interruptible.stop)

    on_select.before = lambda: signal.raise_signal(signal.SIGUSR1)
    with handling(signal.SIGUSR1, handler):
        interruptible.run()


def test_a_keyboard_interrupt_leaves_run_and_nothing_else(interruptible, on_select):
    calls = []
    on_select.before = lambda: signal.raise_signal(signal.SIGINT)
    with handling(signal.SIGINT, signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        interruptible.run()
    interruptible.call_soon(calls.append, "afterwards")
    interruptible.call_soon(interruptible.stop)
    interruptible.run()
    assert calls == ["afterwards"]


def test_its_thread_is_the_one_that_made_it_and_then_the_one_that_runs_it(reactor):
    seen = []
    assert reactor.on_thread()
    reactor.call_soon(lambda: seen.append(reactor.on_thread()))
    in_thread(reactor.run).join()
    assert seen == [True]
    assert not reactor.on_thread()
    reactor.run_once()
    assert reactor.on_thread()


def test_the_running_reactor_can_be_asked_for(reactor):
    """Also where one reactor runs another."""

    def note(name):
        seen.append((name, current_reactor()))

    def run_inner():
        with Reactor() as inner:
            inner.call_soon(note, inner)
            inner.call_soon(fail_with, "inner")
            with pytest.raises(LookupError):
                inner.run_once()
        note(reactor)

    seen = []
    reactor.call_soon(run_inner)
    reactor.call_soon(lambda: in_thread(lambda: note(None)).join())
    reactor.run()
    note(None)
    assert len(seen) == 4
    assert all(expected is found for expected, found in seen)


# -- threads ---------------------------------------------------------------------------------------


def test_the_result_of_a_job_comes_back_to_the_reactor_s_thread(reactor):
    def arrived(*outcome):
        calls.append((outcome, threading.get_ident()))

    calls = []
    reactor.run_in_thread(threading.get_ident, arrived)
    reactor.run()
    (((result, error), thread),) = calls
    assert error is None
    assert thread == threading.get_ident() != result


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
def test_the_error_of_a_job_comes_back(reactor, kind):
    def fail():
        raise kind("no")

    calls = []
    reactor.run_in_thread(fail, lambda *outcome: calls.append(outcome))
    reactor.run()
    ((result, error),) = calls
    assert result is None
    assert isinstance(error, kind)


def test_a_cancelled_job_is_not_waited_for(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.wait, pytest.fail)
    assert reactor.run_once(0)
    job.cancel()
    job.cancel()
    reactor.run()
    gate.set()


def test_a_job_that_is_cancelled_after_it_has_ended_is_not_reported(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.set, pytest.fail)
    gate.wait()
    job.cancel()
    for thread in threading.enumerate():
        if thread.name == "smtp_connection worker":
            thread.join()
    reactor.run()


def test_a_thread_that_cannot_be_started_fails_the_job(reactor, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    calls = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    reactor.run_in_thread(pytest.fail, lambda *outcome: calls.append(outcome))
    assert calls == []
    reactor.run()
    ((result, error),) = calls
    assert result is None
    assert str(error) == "can't start new thread"


# -- the default reactor, and fork -----------------------------------------------------------------


@pytest.mark.usefixtures("default")
def test_the_default_reactor_is_made_on_first_use():
    calls = []
    reactor = get_reactor()
    assert get_reactor() is reactor
    reactor.call_soon(calls.append, "run")
    run()
    assert calls == ["run"]


@pytest.mark.usefixtures("default")
def test_threads_share_one_default_reactor():
    barrier = threading.Barrier(4)
    seen = set()

    def use():
        barrier.wait()
        seen.add(get_reactor())

    threads = [in_thread(use) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert len(seen) == 1


@pytest.mark.usefixtures("default")
def test_a_forked_child_gets_a_reactor_of_its_own():
    parent = get_reactor()
    parent.call_soon(lambda: None)

    def child():
        assert get_reactor() is not parent
        calls = []
        get_reactor().call_soon(calls.append, "child")
        run()
        assert calls == ["child"]

    assert in_child(child)
    assert get_reactor() is parent
    parent.run()


@pytest.mark.usefixtures("default")
def test_a_child_that_is_forked_while_the_lock_is_held_is_not_locked_out():
    with reactor_module._default_lock:
        assert in_child(get_reactor)


def test_no_reactor_runs_in_a_child_that_is_forked_from_a_callback(reactor):
    def child():
        assert current_reactor() is None

    forked = []
    reactor.call_soon(lambda: forked.append(in_child(child)))
    reactor.run()
    assert forked == [True]


def test_what_a_forked_child_stops_watching_is_watched_by_the_parent(reactor, ends):
    near, far = ends
    told = []

    def readable():
        told.append(near.recv(1))
        reactor.remove_reader(near)

    reactor.add_reader(near, readable)
    assert in_child(lambda: reactor.remove_reader(near))
    far.send(b"x")
    reactor.run()
    assert told == [b"x"]


def test_a_forked_child_cannot_run_the_parent_s_reactor(reactor, ends):
    """It would steal the parent's events."""

    def child():
        for method in (reactor.run, reactor.run_once):
            with pytest.raises(RuntimeError, match="parent process"):
                method()

    calls = []
    reactor.add_reader(ends[0], lambda: calls.append("readable"))
    assert in_child(child)
    reactor.run_once()
    assert calls == ["readable"]
    reactor.remove_reader(ends[0])


# -- inside another event loop ---------------------------------------------------------------------


class Host:
    """An asyncio loop that hosts a reactor, exactly as the reactor's docstring says."""

    def __init__(self, reactor):
        self.reactor = reactor
        self.loop = asyncio.get_running_loop()
        self.timer = None
        self.idle = asyncio.Event()
        self.loop.add_reader(reactor.fileno(), self.turn)

    def turn(self):
        if self.timer is not None:
            self.timer.cancel()
        if not self.reactor.run_once(0):
            self.idle.set()
        wait = self.reactor.next_timeout()
        self.timer = None if wait is None else self.loop.call_later(wait, self.turn)


def host(reactor, begin):
    """Let ``begin()`` cause something, and host ``reactor`` until nothing is left."""

    async def main():
        hosting = Host(reactor)
        begin()
        await hosting.idle.wait()
        hosting.loop.remove_reader(reactor.fileno())

    asyncio.run(main())


def test_it_is_hosted_by_another_loop(reactor, ends):
    calls = []

    def readable():
        calls.append(ends[0].recv(1))
        reactor.remove_reader(ends[0])
        reactor.call_soon(calls.append, "soon")
        reactor.call_later(0.001, from_timer)

    def from_timer():
        calls.append("timer")
        reactor.run_in_thread(lambda: "thread", lambda result, error: calls.append(result))

    host(reactor, lambda: reactor.add_reader(ends[0], readable))
    assert calls == [b"x", "soon", "timer", "thread"]


@pytest.mark.parametrize("seconds", [None, 0, 0.001], ids=["soon", "timer", "later"])
def test_the_host_notices_what_was_caused_outside_of_a_turn(reactor, seconds):
    calls = []

    def begin():
        if seconds is None:
            reactor.call_soon(calls.append, "called")
        else:
            reactor.call_later(seconds, calls.append, "called")

    host(reactor, begin)
    assert calls == ["called"]


def test_the_host_notices_what_another_thread_causes(reactor):
    calls = []
    threads = []
    timer = reactor.call_later(3600, pytest.fail)

    def called():
        calls.append("called")
        timer.cancel()

    def begin():
        loop = asyncio.get_running_loop()
        # After the turn that the timer has caused, if there is one.
        loop.call_later(
            0, lambda: threads.append(in_thread(lambda: reactor.call_soon_threadsafe(called)))
        )

    host(reactor, begin)
    threads[0].join()
    assert calls == ["called"]


@pytest.mark.parametrize("cause", ["stop", "cancelled timer"])
def test_the_host_is_not_woken_for_nothing_for_ever(reactor, cause):
    """A wake-up call that nobody takes off the pipe would keep the host's processor busy."""
    if cause == "stop":
        reactor.stop()
    else:
        reactor.call_later(1, pytest.fail).cancel()
    assert select.select([reactor], [], [], 0)[0]
    reactor.run_once()
    assert not select.select([reactor], [], [], 0)[0]


def test_next_timeout_tells_how_long_the_host_may_sleep(timed, clock):
    assert timed.next_timeout() is None
    first = timed.call_later(3, pytest.fail)
    timed.call_later(5, lambda: None)
    assert timed.next_timeout() == 3
    first.cancel()
    assert timed.next_timeout() == 5
    timed.call_soon(lambda: None)
    assert timed.next_timeout() == 0
    timed.run_once()
    clock.now += 9
    assert timed.next_timeout() == 0
    timed.run_once()
    assert timed.next_timeout() is None


def test_a_selector_without_a_descriptor_cannot_be_hosted():
    with Reactor(selector=selectors.SelectSelector()) as reactor:
        with pytest.raises(RuntimeError, match="SelectSelector"):
            reactor.fileno()
        calls = []
        reactor.call_soon(calls.append, "runs")
        reactor.run()
        assert calls == ["runs"]


# -- the end ---------------------------------------------------------------------------------------


def test_a_closed_reactor_does_not_run():
    reactor = Reactor()
    reactor.close()
    reactor.close()
    reactor.call_soon(pytest.fail)
    for method in (reactor.run, reactor.run_once):
        with pytest.raises(RuntimeError, match="closed"):
            method()


def test_calls_and_stops_after_the_end_are_harmless():
    reactor = Reactor()
    reactor.close()
    for _ in range(2):
        reactor.call_soon(pytest.fail)
        reactor.stop()


def test_a_running_reactor_is_not_closed(reactor):
    def close():
        with pytest.raises(RuntimeError, match="stop"):
            reactor.close()

    reactor.call_soon(close)
    reactor.run()


def test_a_forgotten_reactor_closes_itself_without_a_word():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reactor = Reactor()
        reactor.call_later(100, reactor.stop)
        wake_receiver = reactor._wake_receiver
        del reactor
        gc.collect()
    assert wake_receiver.fileno() == -1
    assert caught == []
