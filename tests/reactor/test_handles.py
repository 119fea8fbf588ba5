"""Descriptors whose files are closed by somebody else, and strangers that get their numbers."""

from __future__ import annotations

import errno
import os
import selectors
import socket

import pytest

from smtp_connection import Reactor
from smtp_connection.reactor.timers import Timer
from tests.support.helpers import SELECTORS


@pytest.fixture
def stranger():
    """Make a readable socket that gets a given number: ``stranger(number)``."""
    opened = []

    def take(number):
        near, far = socket.socketpair()
        opened.append(far)
        if near.fileno() != number:
            os.dup2(near.fileno(), number)
            near.close()
            near = socket.socket(fileno=number)
        opened.append(near)
        near.setblocking(False)
        far.send(b"s")
        return near

    yield take
    for sock in opened:
        sock.close()


def test_a_closed_handle_watches_nothing_and_can_do_no_more(reactor, ends):
    handle = reactor.handle(ends[0])
    handle.set_reader(pytest.fail)
    handle.set_writer(pytest.fail)
    for _ in range(2):
        handle.close()
    handle.set_reader(pytest.fail)
    handle.set_writer(pytest.fail)
    assert not reactor.run_once()


def test_a_handle_is_let_go_of_after_its_file_was_closed(reactor, ends):
    handle = reactor.handle(ends[0])
    handle.set_reader(pytest.fail)
    ends[0].close()
    handle.close()
    assert not reactor.run_once()


def test_a_reader_can_be_removed_after_its_file_was_closed(reactor, ends):
    reactor.add_reader(ends[0], pytest.fail)
    reactor.add_writer(ends[0], pytest.fail)
    ends[0].close()
    reactor.remove_reader(ends[0])
    reactor.remove_writer(ends[0])
    assert not reactor.run_once()


def test_there_is_no_handle_for_a_closed_file(reactor, tmp_path):
    file = open(tmp_path / "file", "wb")  # noqa: SIM115
    file.close()
    with pytest.raises(ValueError, match="closed"):
        reactor.handle(file)


@pytest.mark.parametrize("way", ["handle", "add_reader"])
def test_a_stranger_with_the_number_takes_over(reactor, ends, stranger, way):
    lost, read = [], []
    old = reactor.handle(ends[0], lambda: lost.append(True))
    old.set_reader(pytest.fail)
    number = ends[0].fileno()
    ends[0].close()
    new = stranger(number)
    if way == "handle":
        reactor.handle(new).set_reader(lambda: read.append(new.recv(1)))
    else:
        reactor.add_reader(new, lambda: read.append(new.recv(1)))
    old.set_writer(pytest.fail)
    old.close()
    reactor.run_once()
    assert (lost, read) == ([True], [b"s"])
    reactor.remove_reader(new)
    assert not reactor.run_once()


def test_a_file_that_is_closed_does_not_take_the_number_from_a_stranger(reactor, ends, stranger):
    lost, read = [], []
    late = reactor.handle(ends[0], lambda: lost.append(True))
    number = ends[0].fileno()
    ends[0].close()
    new = stranger(number)
    reactor.add_reader(new, lambda: read.append(new.recv(1)))
    late.set_reader(pytest.fail)
    reactor.run_once()
    assert (lost, read) == ([True], [b"s"])
    reactor.remove_reader(new)


def test_a_number_that_the_system_has_forgotten_is_registered_again(reactor, ends, stranger):
    """Nobody but the user of a bare number knows whom it belongs to."""
    calls = []
    number = ends[0].fileno()
    reactor.add_reader(number, pytest.fail)
    ends[0].close()
    new = stranger(number)
    reactor.add_reader(number, lambda: calls.append(new.recv(1)))
    reactor.run_once()
    assert calls == [b"s"]
    reactor.add_writer(number, lambda: calls.append("write"))
    reactor.run_once()
    assert calls == [b"s", "write"]
    reactor.remove_reader(number)
    reactor.remove_writer(number)


def test_a_number_that_the_selector_holds_by_mistake_is_registered_again(reactor, ends):
    calls = []
    reactor._selector.register(ends[0], selectors.EVENT_WRITE, None)
    reactor.add_reader(ends[0], lambda: calls.append("read"))
    reactor.run_once()
    assert calls == ["read"]
    reactor.remove_reader(ends[0])


def test_the_owner_of_a_file_that_is_closed_is_told_now_and_then(timed, clock, ends):
    lost = []
    handle = timed.handle(ends[0], lambda: lost.append("first"))
    other = timed.handle(ends[1], lambda: lost.append("second"))
    handle.set_reader(lambda: None)
    other.set_reader(lambda: None)
    ends[0].close()
    for _ in range(3):
        clock.now += 1
        timed.run_once()
    assert lost == ["first"]
    ends[1].close()
    for _ in range(3):
        clock.now += 1
        more = timed.run_once()
    assert lost == ["first", "second"]
    assert not more
    assert not timed._timers.live


def test_nobody_looks_for_closed_files_where_none_is_watched(reactor, ends):
    handle = reactor.handle(ends[0], pytest.fail)
    assert reactor.next_timeout() is None
    handle.set_reader(pytest.fail)
    assert 0 < reactor.next_timeout() <= 1
    handle.set_reader(None)
    assert reactor.next_timeout() is None


class Gone(selectors.DefaultSelector):
    """Says that descriptors are closed."""

    def register(self, fileobj, events, data=None):
        if data is not None:
            raise OSError(errno.EBADF, "that is no descriptor")
        return super().register(fileobj, events, data)


def test_a_file_that_is_found_closed_when_it_is_to_be_watched_is_lost(ends):
    lost = []
    with Reactor(selector=Gone()) as reactor:
        reactor.handle(ends[0], lambda: lost.append(True)).set_reader(pytest.fail)
        with pytest.raises(OSError, match="no descriptor"):
            reactor.handle(ends[0]).set_reader(pytest.fail)
        assert not reactor.run_once()
    assert lost == [True]


@pytest.mark.parametrize("kind", SELECTORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", ["close", "os.close"])
def test_a_closed_descriptor_harms_no_other(ends, kind, way):
    read = []
    near, far = socket.socketpair()
    with far, Reactor(selector=kind()) as reactor:
        reactor.handle(near).set_reader(lambda: None)  # poll() says that it is readable
        if way == "close":
            near.close()
        else:
            os.close(near.detach())
        reactor.add_reader(ends[0], lambda: read.append(ends[0].recv(1)))
        reactor.call_soon(read.append, b"soon")
        reactor.run_once()
        reactor.run_once()
        assert sorted(read) == [b"soon", b"x"]


def test_a_number_that_is_closed_is_forgotten_by_select(ends):
    """Nobody else but select() would find that out."""
    near, far = socket.socketpair()
    with far, Reactor(selector=selectors.SelectSelector()) as reactor:
        number = near.fileno()
        reactor.add_reader(number, pytest.fail)
        near.close()
        assert not reactor.run_once()


def test_select_finds_out_what_is_closed(ends):
    """It fails for all descriptors because of one."""
    lost = []
    with Reactor(selector=selectors.SelectSelector()) as reactor:
        reactor.handle(ends[0], lambda: lost.append("handle")).set_reader(lambda: None)
        near, far = socket.socketpair()
        reactor.add_reader(near, pytest.fail)
        ends[0].close()
        near.close()
        far.close()
        assert not reactor.run_once()
        assert lost == ["handle"]


class Failing(selectors.SelectSelector):
    def select(self, timeout=None):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_a_selector_that_fails_for_another_reason_is_heard(ends):
    with Reactor(selector=Failing()) as reactor:
        reactor.add_reader(ends[0], pytest.fail)
        with pytest.raises(OSError, match="memory"):
            reactor.run_once()
        reactor.remove_reader(ends[0])


def test_a_handle_that_a_signal_closes_while_it_is_closed(reactor, ends, monkeypatch):
    handle = reactor.handle(ends[0])
    handle.set_reader(pytest.fail)
    unregister = reactor._selector.unregister

    def interrupted(number):
        monkeypatch.undo()
        handle.close()
        unregister(number)

    monkeypatch.setattr(reactor._selector, "unregister", interrupted)
    handle.close()
    assert not reactor._handles


def test_an_interrupt_leaves_no_timer_that_looks_for_closed_files(reactor, ends, monkeypatch):
    start = Timer.start

    def interrupted(timer, seconds):
        monkeypatch.undo()
        start(timer, seconds)
        raise KeyboardInterrupt

    handle = reactor.handle(ends[0], pytest.fail)
    monkeypatch.setattr(Timer, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        handle.set_reader(pytest.fail)
    handle.close()
    assert not reactor._timers.live


@pytest.mark.parametrize("which", ["reader", "writer"])
def test_what_an_interrupt_leaves_in_the_selector_is_taken_out(reactor, ends, monkeypatch, which):
    def interrupted(number):
        monkeypatch.undo()
        raise KeyboardInterrupt

    handle = reactor.handle(ends[0])
    watch = handle.set_reader if which == "reader" else handle.set_writer
    watch(pytest.fail)
    monkeypatch.setattr(reactor._selector, "unregister", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watch(None)
    assert not reactor.run_once(None)  # nobody waits for it
    ends[1].send(b"there is something to read")
    reactor.call_soon(lambda: None)
    reactor.run_once()
    assert handle.number not in reactor._selector.get_map()
