"""The rules of the event loop."""

from __future__ import annotations

import asyncio
import gc
import selectors
import warnings

import pytest

from smtp_connection import Reactor
from tests.support.helpers import fail_with, in_child, in_thread


def cancel_timers(reactor):
    for _, _, timer in list(reactor._timers.heap):
        timer.cancel()


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


def test_of_two_turns_with_callbacks_one_looks_at_the_descriptors(on_select):
    looks = []

    def again(left):
        looks.append(on_select.count)
        if left:
            reactor.call_soon(again, left - 1)

    with Reactor(selector=on_select) as reactor:
        reactor.call_soon(again, 5)
        reactor.run()
    assert looks == [1, 1, 2, 2, 3, 3]


def test_a_host_looks_at_the_descriptors_on_each_turn(reactor, ends):
    read = []

    def readable():
        read.append(ends[0].recv(1))
        reactor.remove_reader(ends[0])

    reactor.call_soon(reactor.call_soon, read.append, "soon")
    reactor.run_once(0)
    reactor.add_reader(ends[0], readable)
    reactor.run_once(0)
    assert read == [b"x", "soon"]


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


# -- time ------------------------------------------------------------------------------------------


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
    cancel_timers(interruptible)
    interruptible.call_later(1e15, pytest.fail)
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


def test_run_on_another_thread_says_so_and_what_may_be_called_there(reactor):
    seen = []

    def enter():
        for method in (reactor.run, reactor.run_once):
            with pytest.raises(RuntimeError) as caught:
                method()
            seen.append(str(caught.value))

    reactor.call_soon(lambda: in_thread(enter).join())
    reactor.run()
    text = (
        "the reactor is running already, on another thread; the methods of connections may be"
        " called from this one"
    )
    assert seen == [text, text]


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
    cancel_timers(interruptible)
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


def test_its_thread_is_the_one_that_made_it_and_then_the_one_that_runs_it(reactor):
    seen = []
    assert reactor.on_thread()
    reactor.call_soon(lambda: seen.append(reactor.on_thread()))
    in_thread(reactor.run).join()
    assert seen == [True]
    assert not reactor.on_thread()
    reactor.run_once()
    assert reactor.on_thread()


# -- fork ------------------------------------------------------------------------------------------


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


def test_a_thread_of_the_host_can_wait_for_work(reactor):
    reactor.run_once()
    reactor.wait(0)
    thread = in_thread(reactor.wait)
    reactor.call_soon(lambda: None)
    thread.join()
    reactor.wait()  # not at all: the work is still to be done
    assert not reactor.run_once()


def test_a_selector_without_a_descriptor_cannot_be_watched():
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
        watched = reactor._wake_up.receiver
        del reactor
        gc.collect()
    assert watched.fileno() == -1
    assert caught == []
