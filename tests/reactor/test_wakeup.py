"""What wakes a reactor that waits, and wakes it once."""

from __future__ import annotations

import select
import signal

import pytest

from smtp_connection.reactor.wakeup import WakeUp
from tests.support.helpers import handling, in_thread


def test_within_a_turn_nobody_has_to_be_woken(reactor, monkeypatch):
    """It would cost a system call for each callback."""

    def schedule():
        with monkeypatch.context() as patch:
            patch.setattr(WakeUp, "send", pytest.fail)
            reactor.call_soon(lambda: None)
            reactor.call_later(0, lambda: None)

    reactor.call_soon(schedule)
    reactor.run()


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


@pytest.mark.parametrize("raised", [KeyboardInterrupt, TimeoutError])
def test_what_a_signal_handler_raises_meanwhile_is_raised(raised):
    """A handler may well raise a TimeoutError, which is an OSError."""

    class Interrupted:
        def send(self, data):
            raise raised

    wake_up = WakeUp()
    sender, wake_up.sender = wake_up.sender, Interrupted()
    with pytest.raises(raised):
        wake_up.send()
    wake_up.sender = sender
    wake_up.send()  # it has not been sent yet
    assert wake_up.receiver.recv(10) == b"\0"
    wake_up.close()


def test_a_keyboard_interrupt_leaves_run_and_nothing_else(interruptible, on_select):
    calls = []
    on_select.before = lambda: signal.raise_signal(signal.SIGINT)
    with handling(signal.SIGINT, signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        interruptible.run()
    interruptible.call_soon(calls.append, "afterwards")
    interruptible.call_soon(interruptible.stop)
    interruptible.run()
    assert calls == ["afterwards"]


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
