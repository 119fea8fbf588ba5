"""``AbortController`` and ``AbortSignal``: JavaScript's, from any thread, without leftovers."""

from __future__ import annotations

import gc
import signal

import pytest

from smtp_connection import AbortController, AbortSignal, SMTPError
from smtp_connection.abort import AbortEvent, abort_error
from tests.support.helpers import fail_with, garbage_of, handling, in_thread, turn_until


@pytest.fixture
def calls():
    return []


# -- a controller ----------------------------------------------------------------------------------


def test_a_controller_aborts_its_signal_once():
    controller = AbortController()
    sig = controller.signal
    assert (sig.aborted, sig.reason) == (False, None)
    sig.throwIfAborted()

    controller.abort("the user has left")
    controller.abort("again")
    assert (sig.aborted, sig.reason) == (True, "the user has left")


def test_the_usual_reason_is_an_error():
    controller = AbortController()
    controller.abort()
    assert controller.signal.reason.code == "EABORT"
    with pytest.raises(SMTPError) as caught:
        controller.signal.throwIfAborted()
    assert caught.value is controller.signal.reason


@pytest.mark.parametrize("reason", ["", 0, False])
def test_a_reason_may_be_false(reason):
    sig = AbortSignal.abort(reason)
    assert sig.aborted
    assert sig.reason is reason
    with pytest.raises(SMTPError, match="The operation was aborted"):
        sig.throwIfAborted()


def test_a_reason_that_is_an_exception_is_raised_as_it_is():
    reason = LookupError("gone")
    with pytest.raises(LookupError) as caught:
        AbortSignal.abort(reason).throwIfAborted()
    assert caught.value is reason


# -- listeners -------------------------------------------------------------------------------------


def test_listeners_are_called_once_in_order_with_what_they_declare(calls):
    controller = AbortController()
    sig = controller.signal
    sig.addEventListener("abort", calls.append, {"once": True})
    assert sig.on("abort", lambda: calls.append("second")) is sig
    sig.once("abort", lambda event: calls.append(event.target.reason))
    controller.abort("why")
    controller.abort()
    assert calls == [AbortEvent("abort", sig), "second", "why"]


def test_a_listener_that_is_added_twice_is_called_once(calls):
    controller = AbortController()
    controller.signal.on("abort", calls.append).on("abort", calls.append)
    controller.abort()
    assert len(calls) == 1


def test_a_listener_that_is_removed_or_late_is_not_called(calls):
    controller = AbortController()
    controller.signal.on("abort", calls.append).off("abort", calls.append)
    controller.signal.removeEventListener("abort", print)
    controller.abort()
    controller.signal.on("abort", calls.append)
    assert calls == []


def test_the_other_listeners_are_called_although_one_raises(calls):
    controller = AbortController()
    controller.signal.on("abort", lambda: fail_with("first")).on("abort", calls.append)
    controller.signal.on("abort", lambda: fail_with("second"))
    with pytest.raises(LookupError, match="first"):
        controller.abort()
    assert len(calls) == 1


def test_wrong_listeners_and_events_are_refused():
    async def listener(): ...

    sig = AbortController().signal
    with pytest.raises(ValueError, match="the event 'abort' and no other; got 'abrot'"):
        sig.on("abrot", print)
    with pytest.raises(ValueError, match="got 'end'"):
        sig.off("end", print)
    with pytest.raises(TypeError, match="async def"):
        sig.on("abort", listener)
    with pytest.raises(TypeError, match="callable"):
        sig.on("abort", "print")


# -- those who follow ------------------------------------------------------------------------------


def test_followers_are_told_once(calls, reactor):
    controller = AbortController()
    controller.signal.follow(lambda: calls.append("first"), reactor)
    controller.signal.follow(lambda: calls.append("cancelled"), reactor).cancel()
    controller.abort()
    late = controller.signal.follow(lambda: calls.append("late"), reactor)
    late.cancel()
    late.fire()
    assert calls == ["first", "late"]


def test_another_thread_may_abort(calls, reactor):
    controller = AbortController()
    controller.signal.follow(lambda: reactor.call_soon(calls.append, "told"), reactor)
    in_thread(controller.abort).join()
    turn_until(reactor, lambda: calls)


def test_a_signal_handler_may_interrupt_abort_and_abort(calls, reactor):
    controller = AbortController()
    for number in range(3):
        controller.signal.follow(lambda number=number: calls.append(number), reactor)
    controller.signal.on("abort", lambda: calls.append("listener"))

    def interrupted():
        if calls == [0]:
            signal.raise_signal(signal.SIGINT)

    controller.signal._followers[2] = interrupted
    with handling(signal.SIGINT, lambda *_: controller.abort()):
        controller.abort()
    assert sorted(map(str, calls)) == ["0", "1", "2", "listener"]


def test_an_interrupt_loses_nobody_who_is_told_when_abort_is_called_again(calls, reactor):
    def interrupt():
        raise KeyboardInterrupt

    controller = AbortController()
    controller.signal.follow(interrupt, reactor)
    controller.signal.follow(lambda: calls.append("told"), reactor)
    with pytest.raises(KeyboardInterrupt):
        controller.abort("first")
    controller.abort("second")
    assert calls == ["told"]
    assert controller.signal.reason == "first"


# -- time-outs -------------------------------------------------------------------------------------


def test_a_time_out_comes_without_a_timer():
    sig = AbortSignal.timeout(0)
    assert sig.aborted
    with pytest.raises(TimeoutError, match="0 ms have passed"):
        sig.throwIfAborted()
    assert not AbortSignal.timeout(60_000).aborted


def test_a_time_out_tells_who_follows_it_on_the_reactor(calls, reactor, movable_clock):
    sig = AbortSignal.timeout(60_000)
    sig.follow(lambda: calls.append("told"), reactor)
    reactor.run()
    assert calls == []
    movable_clock.ahead += 61
    reactor.run_once()
    assert calls == ["told"]
    assert isinstance(sig.reason, TimeoutError)


def test_one_who_does_not_follow_any_more_leaves_no_timer(reactor):
    following = AbortSignal.timeout(60_000).follow(fail_with, reactor)
    assert reactor._timers.live
    following.cancel()
    assert not reactor._timers.live


def test_a_time_out_is_followed_from_another_thread(calls, reactor, movable_clock):
    followings = []

    def follow():
        sig = AbortSignal.timeout(60_000)
        followings.append(sig.follow(lambda: calls.append("told"), reactor))
        followings.append(sig.follow(lambda: calls.append("cancelled"), reactor))
        followings[1].cancel()
        followings.append(sig.follow(lambda: calls.append("cancelled later"), reactor))

    in_thread(follow).join()
    reactor.run()
    in_thread(followings[2].cancel).join()
    movable_clock.ahead += 61
    reactor.run()
    assert calls == ["told"]


def test_listeners_of_a_time_out_are_called_by_the_reactor_that_runs(reactor, movable_clock):
    calls = []
    reactor.call_soon(lambda: AbortSignal.timeout(60_000).on("abort", calls.append))
    reactor.run()
    gc.collect()
    movable_clock.ahead += 61
    reactor.run_once()
    assert [type(event.target.reason) for event in calls] == [TimeoutError]


def test_a_listener_that_is_removed_leaves_no_timer(reactor):
    sig = AbortSignal.timeout(60_000)

    def add_and_remove():
        sig.on("abort", print).on("abort", fail_with)
        assert reactor._timers.live == 1
        sig.off("abort", print)
        assert reactor._timers.live == 1
        sig.off("abort", fail_with)
        assert not reactor._timers.live

    reactor.call_soon(add_and_remove)
    reactor.run()


@pytest.mark.parametrize("ms", ["1000", True, None])
def test_a_time_out_takes_a_number(ms):
    with pytest.raises(TypeError, match=r"AbortSignal.timeout\(\) takes a number of milliseconds"):
        AbortSignal.timeout(ms)


@pytest.mark.parametrize("ms", [-1, float("nan"), float("inf")])
def test_a_time_out_takes_a_number_of_milliseconds(ms):
    with pytest.raises(ValueError, match=r"AbortSignal.timeout\(\) takes a number of milliseconds"):
        AbortSignal.timeout(ms)


# -- any -------------------------------------------------------------------------------------------


def test_any_is_aborted_with_the_first(calls, reactor):
    first, second = AbortController(), AbortController()
    both = AbortSignal.any([first.signal, AbortSignal.any([second.signal])])
    both.follow(lambda: calls.append("follower"), reactor)
    both.on("abort", lambda event: calls.append(event.target))
    assert not both.aborted

    second.abort("second")
    first.abort("first")
    assert (both.aborted, both.reason) == (True, "second")
    assert calls == ["follower", both]


def test_any_looks_also_when_nobody_follows():
    controller = AbortController()
    combined = AbortSignal.any([controller.signal, AbortSignal.timeout(60_000)])
    assert not combined.aborted
    controller.abort("why")
    assert combined.reason == "why"
    assert not AbortSignal.any([]).aborted
    assert AbortSignal.any([AbortController().signal, AbortSignal.timeout(0)]).aborted


def test_a_long_lived_signal_keeps_nothing_of_what_it_was_combined_with(reactor):
    controller = AbortController()
    combined = AbortSignal.any([controller.signal, AbortSignal.timeout(60_000)])
    following = combined.follow(fail_with, reactor)
    reactor.call_soon(lambda: combined.on("abort", fail_with).off("abort", fail_with))
    reactor.run()
    assert controller.signal._followers
    following.cancel()
    assert not controller.signal._followers
    assert not reactor._timers.live


def test_any_of_signals_of_which_one_is_aborted_keeps_nothing(calls, reactor):
    controller = AbortController()
    combined = AbortSignal.any([AbortSignal.abort(), controller.signal])
    combined.follow(lambda: calls.append("told"), reactor)
    assert calls == ["told"]
    assert not controller.signal._followers


def test_any_takes_signals():
    with pytest.raises(TypeError, match=r"any\(\) takes AbortSignals; got <smtp_connection"):
        AbortSignal.any([AbortController()])


# -- what is left ----------------------------------------------------------------------------------


def test_no_garbage_is_left(reactor):
    def use():
        controller = AbortController()
        controller.signal.on("abort", lambda: None)
        controller.signal.follow(fail_with, reactor)
        AbortSignal.timeout(60_000).follow(fail_with, reactor).cancel()
        combined = AbortSignal.any([controller.signal, AbortSignal.timeout(60_000)])
        combined.follow(fail_with, reactor).cancel()
        aborted = AbortController()
        AbortSignal.any([AbortSignal.timeout(60_000), aborted.signal]).follow(int, reactor)
        aborted.abort()

    assert garbage_of(use) == []


def test_a_signal_shows_whether_it_is_aborted():
    assert repr(AbortController().signal) == "<AbortSignal>"
    assert repr(AbortSignal.abort("why")) == "<AbortSignal, aborted: why>"


# -- the error -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, "The operation was aborted"),
        (abort_error(), "The operation was aborted"),
        ("the user has left", "The operation was aborted: the user has left"),
        (TimeoutError("5 ms have passed"), "The operation was aborted: 5 ms have passed"),
        (LookupError(), "The operation was aborted: LookupError"),
    ],
)
def test_the_error_tells_why(reason, text):
    error = abort_error(reason)
    assert (error.code, error.command, str(error)) == ("EABORT", "API", text)
    assert not error.permanent
    expected = reason if isinstance(reason, Exception) and ":" in text else None
    assert error.__cause__ is expected
