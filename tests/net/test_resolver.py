"""Name look-ups: never on the reactor's thread, always with an end, families in turns."""

from __future__ import annotations

import errno
import gc
import socket
import threading
import weakref
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection import Reactor
from smtp_connection.net.resolver import Address, Lookup, _queries, _workers, interleave
from tests.support.helpers import Clock, end_workers, in_child, wait_until, worker_threads

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6


def entry(host, port=25):
    """Return what getaddrinfo() returns for one address."""
    family, rest = (IPV6, (0, 0)) if ":" in host else (IPV4, ())
    return (family, socket.SOCK_STREAM, 6, "", (host, port, *rest))


@pytest.fixture
def resolver(monkeypatch):
    """The system's resolver, for names: what it is to do is a function, ``resolver.answer``."""

    class Resolver:
        answer = staticmethod(pytest.fail)
        threads = ()

    original = socket.getaddrinfo

    def getaddrinfo(host, port, *, type, flags=0):
        assert type == socket.SOCK_STREAM
        if flags & socket.AI_NUMERICHOST:
            return original(host, port, type=type, flags=flags)
        Resolver.threads += (threading.get_ident(),)
        return Resolver.answer(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return Resolver


@pytest.fixture
def hanging(resolver):
    """The resolver does not answer until the test is over, or calls this."""
    gate = threading.Event()

    def hang(host, port):
        gate.wait()
        return [entry("192.0.2.1")]

    resolver.answer = hang
    yield gate.set
    gate.set()


def look_up(reactor, host, found, port=25, broke=lambda exc: None):
    """Begin to look ``host`` up, for 30 seconds; return the look-up."""
    lookup = Lookup(reactor, found, broke)
    lookup.start(host, port, 30)
    return lookup


def found_by(reactor, host, port=25):
    """Look ``host`` up; return the addresses and the error."""
    calls = []
    look_up(reactor, host, lambda *outcome: calls.append(outcome), port)
    assert calls == [], "not from inside the call"
    reactor.run()
    (outcome,) = calls
    return outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1"])
def test_an_ip_address_needs_no_thread(reactor, resolver, host):
    ((address,), error) = found_by(reactor, host, 2525)
    assert error is None
    assert address.family == (IPV6 if ":" in host else IPV4)
    assert address.sockaddr[:2] == (host, 2525)
    assert resolver.threads == ()


def test_a_name_is_looked_up_on_a_thread_and_the_families_take_turns(reactor, resolver):
    hosts = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
    resolver.answer = lambda host, port: [entry(each, port) for each in hosts]
    addresses, error = found_by(reactor, "mx.example.com", 587)
    assert error is None
    assert [str(address) for address in addresses] == [
        "[2001:db8::1]:587",
        "192.0.2.1:587",
        "[2001:db8::2]:587",
        "192.0.2.2:587",
        "192.0.2.3:587",
    ]
    (thread,) = resolver.threads
    assert thread != threading.get_ident()


addresses = st.lists(
    st.builds(
        lambda family, number: Address(family, (f"host{number}", 25)),
        st.sampled_from([IPV4, IPV6]),
        st.integers(0, 5),
    )
)


@given(addresses)
def test_families_take_turns_for_as_long_as_there_are_several(given):
    result = interleave(given)
    distinct = list(dict.fromkeys(given))
    assert Counter(result) == Counter(distinct)
    for family in (IPV4, IPV6):
        assert [each for each in result if each.family == family] == [
            each for each in distinct if each.family == family
        ]
    counts = Counter(each.family for each in result)
    in_turns = result[: 2 * min(counts[IPV4], counts[IPV6])]
    assert all(a.family != b.family for a, b in pairwise(in_turns))
    assert result[:1] == given[:1]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (socket.EAI_NONAME, "ENOTFOUND"),
        (socket.EAI_NODATA, "ENOTFOUND"),
        (socket.EAI_AGAIN, "EAI_AGAIN"),
        (socket.EAI_FAIL, "EAI_FAIL"),
        (socket.EAI_MEMORY, "EAI_MEMORY"),
        (socket.EAI_SERVICE, "ENOTFOUND"),
    ],
)
def test_the_resolver_s_error_has_its_code_as_node_names_it(reactor, resolver, number, code):
    cause = socket.gaierror(number, "says the resolver")

    def answer(host, port):
        raise cause

    resolver.answer = answer
    addresses, error = found_by(reactor, "mx.example.com")
    assert addresses == []
    assert (error.code, error.command) == (code, "CONN")
    assert str(error) == f"Cannot resolve mx.example.com: says the resolver ({code})"
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "EMFILE"),
        (OSError("odd"), "ENOTFOUND"),
        (RuntimeError("can't start new thread"), "ENOTFOUND"),
    ],
)
def test_other_errors_of_a_look_up_keep_the_system_s_code(reactor, resolver, cause, code):
    def answer(host, port):
        raise cause

    resolver.answer = answer
    _, error = found_by(reactor, "mx.example.com")
    assert str(error) == f"Cannot resolve mx.example.com: {cause.args[-1]} ({code})"
    assert error.code == code
    assert error.__cause__ is cause


@pytest.mark.parametrize("host", ["a" * 64 + ".example.com", "a..example.com"])
def test_what_cannot_be_a_name_is_not_found(reactor, host):
    _, error = found_by(reactor, host)
    assert error.code == "ENOTFOUND"
    assert isinstance(error.__cause__, UnicodeError)


def test_a_look_up_that_hangs_times_out(resolver, hanging):
    clock, calls = Clock(), []
    with Reactor(clock=clock) as reactor:
        look_up(reactor, "mx.example.com", lambda *outcome: calls.append(outcome))
        clock.now += 29.9
        assert reactor.run_once()
        assert calls == []
        clock.now += 0.1
        assert not reactor.run_once(), "nothing waits for the thread"
    ((addresses, error),) = calls
    assert addresses == []
    assert (error.code, error.command) == ("ETIMEDOUT", "CONN")
    assert str(error) == "The look-up of mx.example.com timed out after 30000 ms"


@pytest.mark.parametrize("host", ["mx.example.com", "127.0.0.1"])
def test_a_cancelled_look_up_is_not_waited_for(reactor, hanging, host):
    lookup = look_up(reactor, host, pytest.fail)
    lookup.cancel()
    lookup.cancel()
    reactor.run()


def test_look_ups_that_hang_do_not_use_up_all_threads(reactor, hanging):
    lookups = [look_up(reactor, f"mx{n}.example.com", pytest.fail) for n in range(20)]
    assert len(worker_threads()) == 16
    for lookup in lookups:
        lookup.cancel()
    reactor.run()


def test_an_answer_that_comes_too_late_is_not_reported(resolver, hanging):
    clock, calls = Clock(), []
    with Reactor(clock=clock) as reactor:
        look_up(reactor, "mx.example.com", lambda *outcome: calls.append(outcome))
        clock.now += 30
        reactor.run_once()
        hanging()
        end_workers()
        reactor.run()
    assert [error.code for _, error in calls] == ["ETIMEDOUT"]


def test_a_cancelled_look_up_that_still_waits_for_a_thread_is_not_made(reactor, resolver):
    """Names whose server is dead must not hold up the others when nobody asks for them any more."""
    gate, asked, begun = threading.Event(), [], threading.Semaphore(0)

    def answer(host, port):
        asked.append(host)
        begun.release()
        gate.wait()
        return [entry("192.0.2.1")]

    resolver.answer = answer
    dead = [look_up(reactor, f"dead{n}.example", pytest.fail) for n in range(128)]
    for _ in range(16):
        assert begun.acquire(timeout=10)
    for lookup in dead:
        lookup.cancel()
    gate.set()
    assert found_by(reactor, "localhost")[1] is None
    assert len(asked) == 17
    assert asked[-1] == "localhost"


def test_look_ups_that_time_out_while_they_wait_for_a_thread_are_not_made(resolver, hanging):
    clock, calls = Clock(), []
    with Reactor(clock=clock) as reactor:
        for n in range(20):
            look_up(reactor, f"mx{n}.example.com", lambda *outcome: calls.append(outcome))
        clock.now += 30
        while reactor.run_once():
            pass
    hanging()
    end_workers()
    assert [error.code for _, error in calls] == ["ETIMEDOUT"] * 20
    assert len(resolver.threads) == 16


def test_a_thread_is_kept_for_the_next_look_up(reactor, resolver):
    resolver.answer = lambda host, port: [entry("192.0.2.1", port)]
    for _ in range(3):
        found_by(reactor, "mx.example.com")
        wait_until(lambda: _workers._idle)
    assert len(set(resolver.threads)) == 1


# -- several at a time -----------------------------------------------------------------------------


@pytest.fixture
def gated(resolver):
    """The resolver counts its calls in ``gated.asked``, and answers when ``gated()`` is called."""

    class Gated:
        def __init__(self):
            self.asked = []
            self._gate = threading.Event()

        def __call__(self):
            self._gate.set()

        def answer(self, host, port):
            self.asked.append((host, port))
            self._gate.wait()
            return [entry("192.0.2.1", port)]

    gated = Gated()
    resolver.answer = gated.answer
    yield gated
    gated()


def note(calls, name):
    return lambda *outcome: calls.append((name, *outcome))


def test_look_ups_of_one_name_share_the_call_and_each_gets_its_answer(reactor, gated):
    calls = []
    for name in range(50):
        look_up(reactor, "mx.example.com", note(calls, name))
    gated()
    reactor.run()
    assert gated.asked == [("mx.example.com", 25)]
    assert [name for name, *_ in calls] == list(range(50))
    assert {str(address) for _, (address,), _ in calls} == {"192.0.2.1:25"}


def test_a_shared_failure_is_an_error_of_its_own_for_each(reactor, resolver):
    cause = socket.gaierror(socket.EAI_AGAIN, "not now")
    calls = []

    def answer(host, port):
        raise cause

    resolver.answer = answer
    for name in range(2):
        look_up(reactor, "mx.example.com", note(calls, name))
    reactor.run()
    (_, _, first), (_, _, second) = calls
    assert first is not second
    assert first.__cause__ is second.__cause__ is cause


def test_nothing_is_remembered(reactor, gated):
    gated()
    for _ in range(2):
        found_by(reactor, "mx.example.com")
    assert len(gated.asked) == 2


def test_other_ports_and_other_reactors_ask_for_themselves(reactor, gated):
    calls = []
    with Reactor() as other:
        look_up(reactor, "mx.example.com", note(calls, "this"))
        look_up(reactor, "mx.example.com", note(calls, "port"), 587)
        look_up(other, "mx.example.com", note(calls, "other"))
        gated()
        other.run()
        assert [name for name, *_ in calls] == ["other"]
        reactor.run()
    assert len(gated.asked) == 3
    assert {name for name, *_ in calls} == {"other", "this", "port"}


def test_one_that_is_cancelled_leaves_the_others_their_answer(reactor, gated):
    calls = []
    first = look_up(reactor, "mx.example.com", pytest.fail)
    look_up(reactor, "mx.example.com", note(calls, "second"))
    first.cancel()
    gated()
    reactor.run()
    assert [name for name, *_ in calls] == ["second"]


def test_one_that_is_cancelled_by_the_callback_of_another_hears_nothing(reactor, gated):
    second = None
    look_up(reactor, "mx.example.com", lambda *outcome: second.cancel())
    second = look_up(reactor, "mx.example.com", pytest.fail)
    gated()
    reactor.run()


def test_when_all_are_cancelled_the_next_one_asks_anew(reactor, resolver, gated):
    for lookup in [look_up(reactor, "mx.example.com", pytest.fail) for _ in range(3)]:
        lookup.cancel()
    resolver.answer = lambda host, port: [entry("192.0.2.2", port)]
    ((address,), error) = found_by(reactor, "mx.example.com")
    assert (str(address), error) == ("192.0.2.2:25", None)


def test_each_has_a_time_out_of_its_own(gated):
    clock, calls = Clock(), []
    with Reactor(clock=clock) as reactor:
        look_up(reactor, "mx.example.com", note(calls, "first"))
        clock.now += 20
        look_up(reactor, "mx.example.com", note(calls, "second"))
        clock.now += 10
        assert reactor.run_once(0)
        assert [(name, error.code) for name, _, error in calls] == [("first", "ETIMEDOUT")]
        gated()
        reactor.run()
    assert calls[1][::2] == ("second", None)
    assert len(gated.asked) == 1


# -- what nobody has foreseen ----------------------------------------------------------------------


class Interrupt(BaseException):
    """What the handler of a signal raises."""


def interrupt(*args, **more):
    raise Interrupt


@pytest.mark.parametrize("host", ["mx.example.com", "127.0.0.1"])
def test_what_a_callback_raises_is_handed_on_and_harms_no_other_look_up(reactor, resolver, host):
    resolver.answer = lambda host, port: [entry("192.0.2.1", port)]
    broken, calls = [], []
    look_up(reactor, host, interrupt, broke=broken.append)
    look_up(reactor, host, note(calls, "other"))
    with pytest.raises(Interrupt) as caught:
        reactor.run()
    assert {id(exc) for exc in broken} == {id(caught.value)}
    reactor.run()
    assert [name for name, *_ in calls] == ["other"]


def test_an_interrupt_between_the_answer_and_those_who_wait_is_handed_on_to_all(
    reactor, gated, monkeypatch
):
    broken = []
    lookups = [
        look_up(reactor, "mx.example.com", pytest.fail, broke=broken.append) for _ in range(3)
    ]
    with monkeypatch.context() as patch:
        patch.setattr("smtp_connection.net.resolver._Query._forget", interrupt)
        gated()
        with pytest.raises(Interrupt) as caught:
            reactor.run()
    assert broken == [caught.value] * 3
    for lookup in lookups:
        lookup.cancel()
    reactor.run()


def test_an_interrupt_at_the_time_out_is_handed_on(gated, monkeypatch):
    clock, broken = Clock(), []
    with Reactor(clock=clock) as reactor:
        look_up(reactor, "mx.example.com", pytest.fail, broke=broken.append)
        monkeypatch.setattr("smtp_connection.net.resolver.SMTPError", interrupt)
        clock.now += 30
        with pytest.raises(Interrupt) as caught:
            reactor.run_once(0)
    assert broken == [caught.value]


def test_a_reactor_that_never_runs_again_keeps_no_look_up(gated):
    reactor = Reactor()
    look_up(reactor, "mx.example.com", pytest.fail)
    assert any(key[0] == id(reactor) for key in _queries)
    gone = weakref.ref(reactor)
    reactor.close()
    gated()
    end_workers()
    del reactor
    gc.collect()
    assert gone() is None
    assert not _queries


# -- fork() ----------------------------------------------------------------------------------------


def test_look_ups_of_the_parent_do_not_hold_up_those_of_a_child(reactor, resolver, hanging):
    lookups = [look_up(reactor, f"mx{n}.example.com", pytest.fail) for n in range(20)]

    def look_up_again():
        for lookup in lookups:
            lookup.cancel()
        resolver.answer = lambda host, port: [entry("192.0.2.2", port)]
        with Reactor() as reactor:
            ((address,), error) = found_by(reactor, "mx.example.com")
        assert (str(address), error) == ("192.0.2.2:25", None)
        assert len(resolver.threads) == 17

    assert in_child(look_up_again)
    for lookup in lookups:
        lookup.cancel()
