"""What a program may rely on, whichever loop hosts its reactor."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPConnection
from tests.hosting.loops import KINDS, Kind, Loop
from tests.support.helpers import fail_with, in_thread


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request) -> Iterator[Kind]:
    kind = KINDS[request.param]
    with kind.prepare():
        yield kind


@pytest.fixture
def loop(kind) -> Iterator[Loop]:
    loop = kind.make()
    yield loop
    loop.close()
    assert loop.errors == []


def send(server: Any, reactor: Reactor, callback: Callable[..., object]) -> None:
    connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
    connection.connect()
    connection.send({"from": "a@x.org", "to": "b@x.org"}, "Subject: hi\n\nhello", callback)
    connection.quit()


def test_it_runs_sessions_again_and_again(loop, hosted, smtp_server):
    sent: list[Any] = []
    with loop.attach(hosted):
        for count in (1, 2, 5):
            for _ in range(count):
                send(smtp_server, hosted, sent.append)
            loop.run_until(lambda: not hosted.has_work)
    assert sent == [None] * 8
    assert len(smtp_server.messages) == 8


def test_it_does_not_turn_an_idle_reactor(loop, hosted, monkeypatch):
    turns: list[None] = []
    run_once = hosted.run_once
    with loop.attach(hosted):
        hosted.call_soon(lambda: None)
        loop.run_until(lambda: not hosted.has_work)
        loop.run_for(3)
        monkeypatch.setattr(hosted, "run_once", lambda wait: (turns.append(None), run_once(wait)))
        loop.run_for(20)
        assert turns == []
        hosted.call_soon(loop.stop)
        loop.run()
        assert turns


def test_it_fires_timers(loop, hosted):
    with loop.attach(hosted):
        hosted.call_later(3600, pytest.fail).cancel()
        later = hosted.call_later(3600, pytest.fail)
        hosted.call_later(0.002, loop.stop)
        loop.run()
        later.cancel()


def test_it_watches_what_was_added_between_two_turns(loop, hosted):
    def readable() -> None:
        assert near.recv(1) == b"x"
        hosted.remove_reader(near)
        loop.stop()

    near, far = socket.socketpair()
    with near, far, loop.attach(hosted):
        loop.run_for(3)
        loop.call_later(0, lambda: hosted.add_reader(near, readable))
        loop.run_for(3)
        far.send(b"x")
        loop.run()


def test_it_hears_other_threads(loop, hosted):
    with loop.attach(hosted):
        loop.run_for(3)
        thread = in_thread(hosted.call_soon, loop.stop)
        loop.run()
        thread.join()


def test_it_hands_errors_to_its_handler_and_goes_on(loop, hosted):
    with loop.attach(hosted):
        hosted.call_soon(fail_with, "one")
        hosted.call_soon(fail_with, "two")
        hosted.call_later(0, fail_with, "three")
        hosted.call_later(0.001, loop.stop)
        loop.run()
    assert [str(each) for each in loop.errors] == ["one", "two", "three"]
    assert all(isinstance(each, LookupError) for each in loop.errors)
    loop.errors.clear()


def test_it_hands_errors_that_nobody_hears_to_its_handler(loop, hosted, smtp_server):
    smtp_server.reply("EHLO", "421 not now")
    with loop.attach(hosted):
        SMTPConnection(host=smtp_server.host, port=smtp_server.port, reactor=hosted).connect()
        loop.run_until(lambda: loop.errors and not hosted.has_work)
    assert [each.code for each in loop.errors] == ["ECONNECTION"]
    loop.errors.clear()


def test_it_is_not_starved(loop, hosted):
    """A reactor that always has something to do leaves room for the loop's own callbacks."""

    def again() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            loop.call_later(0.005, end)
        if not ended:
            hosted.call_soon(again)

    def end() -> None:
        ended.append(None)
        loop.stop()

    ended: list[None] = []
    turns = 0
    with loop.attach(hosted):
        hosted.call_soon(again)
        loop.run()
        loop.run_until(lambda: not hosted.has_work)
    assert turns > 1


def test_detached_the_reactor_is_left_alone(loop, hosted):
    calls: list[str] = []
    hosting = loop.attach(hosted)
    hosted.call_soon(calls.append, "while it was attached")
    loop.run_until(lambda: calls)
    hosted.call_soon(hosting.detach)
    loop.run_until(lambda: hosted.hosting is None)
    hosted.call_soon(calls.append, "after that")
    loop.run_for(5)
    assert calls == ["while it was attached"]
    hosted.run()
    with loop.attach(hosted):
        hosted.call_soon(calls.append, "again")
        loop.run_until(lambda: len(calls) == 3)
    assert calls == ["while it was attached", "after that", "again"]


def test_attached_twice_it_is_the_same(loop, hosted):
    with loop.attach(hosted) as hosting:
        assert loop.attach(hosted) is hosting


def test_closed_the_reactor_is_detached(loop):
    reactor = Reactor()
    loop.attach(reactor)
    loop.run_for(2)
    reactor.close()
    loop.run_for(2)


def test_the_end_of_the_loop_does_not_matter(kind, hosted):
    calls: list[str] = []
    for each in ("one", "two"):
        loop = kind.make()
        loop.attach(hosted)
        hosted.call_soon(calls.append, each)
        loop.run_until(lambda each=each: each in calls)
        loop.close()
        assert loop.errors == []
    hosted.hosting.detach()


NESTING = [name for name, kind in KINDS.items() if kind.nests]

if NESTING:

    @pytest.mark.parametrize("kind", NESTING, indirect=True)
    def test_a_reactor_rests_while_a_callback_runs_the_loop(loop, hosted):
        def dialog() -> None:
            hosted.call_soon(calls.append, "soon")
            hosted.call_later(0, calls.append, "timer")
            in_thread(hosted.call_soon, calls.append, "thread").join()
            loop.run_nested()
            calls.append("closed")

        calls: list[str] = []
        with loop.attach(hosted):
            hosted.call_soon(dialog)
            loop.run_until(lambda: len(calls) == 4)
        assert calls[0] == "closed"
        assert sorted(calls[1:]) == ["soon", "thread", "timer"]
