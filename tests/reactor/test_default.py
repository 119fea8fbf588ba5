"""The default reactor, the one that is running, and what fork() does to both."""

from __future__ import annotations

import threading

import pytest

from smtp_connection import Reactor, get_reactor, run
from smtp_connection.reactor import default as default_module
from smtp_connection.reactor.default import current_reactor
from tests.support.helpers import fail_with, in_child, in_thread


@pytest.fixture
def default(monkeypatch):
    """No default reactor yet; the one that the test makes is closed."""
    monkeypatch.setattr(default_module, "_default", None)
    yield
    if default_module._default is not None:
        default_module._default.close()


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
    with default_module._lock:
        assert in_child(get_reactor)


def test_no_reactor_runs_in_a_child_that_is_forked_from_a_callback(reactor):
    def child():
        assert current_reactor() is None

    forked = []
    reactor.call_soon(lambda: forked.append(in_child(child)))
    reactor.run()
    assert forked == [True]


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
