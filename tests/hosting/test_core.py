"""What all hosts have in common, shown with one that is moved by hand."""

from __future__ import annotations

import queue
import select
import selectors
import threading
from collections.abc import Callable

import pytest

from smtp_connection import Reactor
from smtp_connection.hosting import Hosting, core
from smtp_connection.hosting.core import host
from smtp_connection.reactor import default
from tests.support.helpers import fail_with, in_child, in_thread


class ByHand:
    """A loop that does what it is told to do.

    - ``watched``: who is told that a descriptor is readable
    - ``timers``: the seconds that were asked for, and who is called then
    - ``reported``: the errors
    """

    def __init__(self) -> None:
        self.loop = self
        self.watched: dict[int, Callable[[], object]] = {}
        self.timers: dict[object, tuple[float, Callable[[], object]]] = {}
        self.reported: list[Exception] = []

    def watch(self, descriptor, readable):
        self.watched[descriptor] = readable
        return lambda: self.watched.pop(descriptor)

    def call_later(self, seconds, callback):
        key = object()
        self.timers[key] = seconds, callback
        return lambda: self.timers.pop(key)

    def report(self, error):
        self.reported.append(error)

    def go_on(self) -> bool:
        """Do what is to be done at once; return whether there was anything."""
        readable = select.select(list(self.watched), [], [], 0)[0]
        due = [key for key, (seconds, _) in self.timers.items() if not seconds]
        for each in readable:
            self.watched[each]()
        for key in due:
            if key in self.timers:
                self.timers.pop(key)[1]()
        return bool(readable or due)

    def until_idle(self) -> None:
        for _ in range(20):
            if not self.go_on():
                return
        pytest.fail("it does not come to rest")


def as_it_is(loop: ByHand) -> ByHand:
    """Make a host of a loop that is one."""
    return loop


class WithoutDescriptors(ByHand):
    """A loop that only takes calls, from other threads as well."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def watch(self, descriptor, readable):
        raise NotImplementedError

    def call_soon_threadsafe(self, callback):
        self.calls.put(callback)


@pytest.fixture
def loop():
    return ByHand()


@pytest.fixture
def hosting(loop, timed):
    with Hosting(loop, timed) as hosting:
        yield hosting


@pytest.fixture
def timed(clock):
    with Reactor(clock=clock) as reactor:
        yield reactor


# -- turns -----------------------------------------------------------------------------------------


def test_it_turns_the_reactor_until_nothing_is_left(hosting, loop, timed):
    calls = []

    def first():
        calls.append("first")
        timed.call_soon(calls.append, "second")

    timed.call_soon(first)
    loop.until_idle()
    assert calls == ["first", "second"]


def test_what_was_left_by_the_last_run_is_done_first(loop, timed):
    calls = []

    def leave():
        timed.call_soon(calls.append, "left")
        timed.stop()

    timed.call_soon(leave)
    timed.run()
    assert calls == []
    with Hosting(loop, timed):
        loop.until_idle()
    assert calls == ["left"]


def test_an_idle_reactor_costs_nothing(hosting, loop, timed):
    timed.call_soon(lambda: None)
    loop.until_idle()
    assert loop.timers == {}
    assert not loop.go_on()
    assert list(loop.watched) == [timed.fileno()]


def test_a_timer_of_the_loop_stands_for_those_of_the_reactor(hosting, loop, timed, clock):
    calls = []
    timed.call_later(30, calls.append, "late")
    timed.call_later(10, calls.append, "early")
    loop.until_idle()
    ((key, (seconds, fire)),) = loop.timers.items()
    assert seconds == 10
    clock.now += 10
    loop.timers.pop(key)
    fire()
    loop.until_idle()
    assert calls == ["early"]
    assert [seconds for seconds, _ in loop.timers.values()] == [20]
    clock.now += 20
    loop.timers.popitem()[1][1]()
    loop.until_idle()
    assert calls == ["early", "late"]
    assert loop.timers == {}


def test_the_timer_of_the_loop_is_left_alone_when_one_is_moved_on(hosting, loop, timed, clock):
    timer = timed.call_later(10, pytest.fail)
    loop.until_idle()
    before = dict(loop.timers)
    for _ in range(100):
        clock.now += 0.05
        timer.start(10)
        loop.until_idle()
    assert loop.timers == before
    clock.now += 5
    loop.timers.popitem()[1][1]()  # in vain, once
    assert [seconds for seconds, _ in loop.timers.values()] == [pytest.approx(5)]
    timer.cancel()


def test_an_earlier_timer_moves_that_of_the_loop(hosting, loop, timed):
    late = timed.call_later(10, pytest.fail)
    loop.until_idle()
    early = timed.call_later(3, pytest.fail)
    loop.until_idle()
    assert [seconds for seconds, _ in loop.timers.values()] == [3]
    late.cancel()
    early.cancel()


def test_the_loop_is_never_asked_to_wait_for_a_month(hosting, loop, timed):
    timer = timed.call_later(40 * 24 * 3600, pytest.fail)
    loop.until_idle()
    assert [seconds for seconds, _ in loop.timers.values()] == [24 * 3600]
    timer.cancel()


def test_a_callback_that_raises_is_reported_and_stops_nobody_else(hosting, loop, timed):
    calls = []
    timed.call_soon(fail_with, "one")
    timed.call_soon(fail_with, "two")
    timed.call_soon(calls.append, "three")
    loop.until_idle()
    assert [str(each) for each in loop.reported] == ["one", "two"]
    assert calls == ["three"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_programs_passes_and_the_reactor_stays_attached(hosting, loop, timed, error):
    def end():
        raise error

    calls = []
    timed.call_soon(end)
    timed.call_soon(calls.append, "later")
    with pytest.raises(error):
        loop.until_idle()
    loop.until_idle()
    assert calls == ["later"]
    assert loop.reported == []


def test_a_report_that_raises_does_not_detach(hosting, loop, timed):
    def report(error):
        raise error

    loop.report = report
    calls = []
    timed.call_soon(fail_with, "one")
    timed.call_soon(calls.append, "two")
    with pytest.raises(LookupError):
        loop.until_idle()
    loop.until_idle()
    assert calls == ["two"]


def test_the_reactor_rests_while_a_callback_runs_the_loop(hosting, loop, timed):
    calls = []

    def dialog():
        timed.call_soon(calls.append, "soon")
        timed.call_later(0, calls.append, "timer")
        # Another thread, too, may have news meanwhile.
        in_thread(timed.stop).join()
        loop.until_idle()
        assert calls == []
        calls.append("closed")

    timed.call_soon(dialog)
    loop.until_idle()
    assert calls == ["closed", "soon", "timer"]
    assert loop.reported == []
    assert list(loop.watched) == [timed.fileno()]


# -- beginning and end -----------------------------------------------------------------------------


def test_detached_it_is_left_alone_and_its_own_run_does_the_rest(loop, timed):
    hosting = Hosting(loop, timed)
    calls = []
    timed.call_soon(calls.append, "called")
    timed.call_later(10, calls.append, "timer").cancel()
    hosting.detach()
    hosting.detach()
    assert not loop.watched
    assert not loop.timers
    assert not loop.go_on()
    assert not timed.will_turn
    timed.run()
    assert calls == ["called"]


def test_a_callback_may_detach(loop, timed):
    def detach():
        hosting.detach()
        timed.call_soon(calls.append, "not yet")

    calls = []
    hosting = Hosting(loop, timed)
    timed.call_soon(detach)
    loop.until_idle()
    assert not loop.watched
    assert not loop.timers
    assert calls == []
    timed.run()
    assert calls == ["not yet"]


def test_a_call_that_comes_after_all_does_nothing(loop, timed):
    hosting = Hosting(loop, timed)
    hosting.detach()
    calls = []
    timed.call_soon(calls.append, "not yet")
    hosting.turn()
    assert calls == []


def test_somebody_turns_it_as_soon_as_it_is_attached(loop, timed):
    assert not timed.will_turn
    with Hosting(loop, timed):
        assert timed.will_turn
    assert not timed.will_turn


def test_the_same_loop_gives_the_same_hosting(loop, timed):
    with host(loop, as_it_is, timed) as hosting:
        assert host(loop, pytest.fail, timed) is hosting
        loop.until_idle()
        assert not loop.timers


def test_another_loop_of_the_thread_takes_over(loop, timed):
    hosting = host(loop, as_it_is, timed)
    other = ByHand()
    with host(other, as_it_is, timed):
        assert not loop.watched
        calls = []
        timed.call_soon(calls.append, "called")
        other.until_idle()
        assert calls == ["called"]
        hosting.detach()  # which is not that one
        assert timed.hosting is not None
    assert timed.hosting is None


def test_without_a_reactor_it_is_the_default_one(loop, timed, monkeypatch):
    monkeypatch.setattr(default, "_default", timed)
    with host(loop, as_it_is, None) as hosting:
        assert hosting.reactor is timed


def test_a_hosted_reactor_does_not_run(hosting, timed):
    with pytest.raises(RuntimeError, match="attached to another event loop: call detach"):
        timed.run()
    with pytest.raises(RuntimeError, match="attached to another event loop: call detach"):
        timed.start()


def test_a_closed_reactor_is_detached(loop):
    reactor = Reactor()
    host(loop, as_it_is, reactor)
    reactor.close()
    assert not loop.watched
    assert not loop.timers
    with pytest.raises(RuntimeError, match="closed"):
        host(loop, as_it_is, reactor)


def test_a_running_reactor_cannot_be_attached(loop, timed):
    def attach():
        with pytest.raises(RuntimeError, match="running"):
            host(loop, as_it_is, timed)
        calls.append("tried")

    calls = []
    timed.call_soon(attach)
    timed.run()
    assert calls == ["tried"]


def test_a_reactor_that_another_thread_turns_cannot_be_attached(hosting, timed):
    def attach():
        with pytest.raises(RuntimeError, match="on another thread"):
            host(ByHand(), as_it_is, timed)
        tried.append(True)

    tried = []
    in_thread(attach).join()
    assert tried == [True]


def test_a_thread_that_has_ended_hosts_nothing(loop, timed):
    in_thread(host, ByHand(), as_it_is, timed).join()
    with host(loop, as_it_is, timed):
        calls = []
        timed.call_soon(calls.append, "called")
        loop.until_idle()
        assert calls == ["called"]


def test_a_child_leaves_the_loop_of_its_parent_alone(hosting, loop, timed):
    def child():
        watched = dict(loop.watched)
        hosting.detach()
        assert loop.watched == watched  # whose selector it shares
        with pytest.raises(RuntimeError, match="parent"):
            host(loop, as_it_is, timed)

    def child_that_turns():
        timed.call_soon(pytest.fail)
        hosting.turn()
        assert [type(each) for each in loop.reported] == [RuntimeError]
        loop.timers.clear()
        hosting.turn()
        assert not loop.timers

    assert in_child(child)
    assert in_child(child_that_turns)


def test_a_loop_that_fails_to_watch_leaves_the_reactor_free(timed):
    class Broken(ByHand):
        def watch(self, descriptor, readable):
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        host(Broken(), as_it_is, timed)
    assert timed.hosting is None
    timed.run()


# -- by way of a thread ----------------------------------------------------------------------------


@pytest.fixture(params=["loop", "selector"])
def waited_for(request):
    """A hosting for which a thread waits, for either of the two reasons."""
    selector = selectors.SelectSelector() if request.param == "selector" else None
    with Reactor(selector=selector) as reactor, Hosting(WithoutDescriptors(), reactor) as hosting:
        yield hosting


def test_a_thread_waits_where_no_descriptor_can_be_watched(waited_for):
    reactor, loop = waited_for.reactor, waited_for.host
    calls = []
    reactor.call_soon(calls.append, "soon")
    reactor.call_later(0.001, calls.append, "timer")
    reactor.run_in_thread(lambda: "thread", lambda result, error: calls.append(result))
    while len(calls) < 3:
        loop.calls.get(timeout=10)()
    assert sorted(calls) == ["soon", "thread", "timer"]
    assert loop.timers == {}


def test_the_thread_waits_only_between_turns(waited_for):
    reactor, loop = waited_for.reactor, waited_for.host
    turn = loop.calls.get(timeout=10)
    reactor.call_soon(lambda: None)
    with pytest.raises(queue.Empty):
        loop.calls.get_nowait()
    turn()
    reactor.call_soon(lambda: None)
    loop.calls.get(timeout=10)()


def test_an_idle_reactor_leaves_the_loop_alone(waited_for):
    reactor, loop = waited_for.reactor, waited_for.host
    loop.calls.get(timeout=10)()
    waiter = waited_for._waiter
    while not waiter._waits.locked():
        pass
    assert loop.calls.empty()
    reactor.call_soon(lambda: None)
    loop.calls.get(timeout=10)()


def test_errors_do_not_end_the_thread(waited_for):
    reactor, loop = waited_for.reactor, waited_for.host
    calls = []
    reactor.call_soon(fail_with, "one")
    reactor.call_soon(calls.append, "two")
    while not calls:
        loop.calls.get(timeout=10)()
    assert [str(each) for each in loop.reported] == ["one"]


def test_the_thread_ends_when_the_loop_is_gone(waited_for):
    def gone(callback):
        raise RuntimeError("the loop is closed")

    loop = waited_for.host
    turn = loop.calls.get(timeout=10)
    loop.call_soon_threadsafe = gone
    turn()
    waited_for.reactor.call_soon(lambda: None)


def test_a_callback_may_end_the_thread(waited_for):
    reactor, loop = waited_for.reactor, waited_for.host
    reactor.call_soon(waited_for.detach)
    while waited_for.attached:
        loop.calls.get(timeout=10)()
    assert reactor.hosting is None


def test_a_selector_that_fails_is_reported():
    class Failing(selectors.SelectSelector):
        fails = False

        def select(self, timeout=None):
            if self.fails:
                raise OSError("what it watches was closed")
            return super().select(timeout)

    selector = Failing()
    loop = WithoutDescriptors()
    with Reactor(selector=selector) as reactor, Hosting(loop, reactor):
        turn = loop.calls.get(timeout=10)
        selector.fails = True
        turn()
        turn = loop.calls.get(timeout=10)
        turn()
        selector.fails = False
        calls = []
        reactor.call_soon(calls.append, "called")
        while not calls:
            loop.calls.get(timeout=10)()
    assert [str(each) for each in loop.reported] == ["what it watches was closed"] * 2


def test_the_waiting_thread_ends_with_a_loop_that_has_gone(reactor, monkeypatch):
    monkeypatch.setattr(core, "_LOOK_EVERY", 0.01)
    told = threading.Event()

    def tell(call):
        told.set()
        raise RuntimeError("Event loop is closed")

    core._Waiter(reactor, tell, int).wait(None)
    assert told.wait(10)


def test_the_waiting_thread_ends_with_a_loop_that_goes_before_it_turns(reactor, monkeypatch):
    monkeypatch.setattr(core, "_LOOK_EVERY", 0.01)
    asked = threading.Event()
    told = []

    def tell(call):
        if call is not int:
            asked.set()
            raise RuntimeError("Event loop is closed")
        told.append(call)

    core._Waiter(reactor, tell, int).wait(None)
    assert asked.wait(10)
    assert told == [int]
