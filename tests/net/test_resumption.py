"""Which TLS sessions are kept, for whom, and for how long."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import pytest

from smtp_connection.net.resumption import SessionStore

HOUR = 3600


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return SessionStore(clock)


@pytest.fixture
def context():
    return ssl.create_default_context()


def session(has_ticket=True, id=b"", ticket_lifetime_hint=7200, timeout=300):
    return SimpleNamespace(
        has_ticket=has_ticket, id=id, ticket_lifetime_hint=ticket_lifetime_hint, timeout=timeout
    )


class Sock:
    """A socket after its handshake, which counts how often its session is read."""

    def __init__(self, session=None, reused=False):
        self.session_reused = reused
        self.reads = 0
        self._session = session

    @property
    def session(self):
        self.reads += 1
        return self._session


@pytest.fixture
def at(store, context):
    """Begin a handshake."""

    def begin(name="mx.example.com", host="mx.example.com", port=25, by=context):
        return store.resumption(by, name, host, port)

    return begin


@pytest.fixture
def kept(at):
    """A session that is kept."""
    found = session()
    at().opened(Sock(found))
    assert at().offered is found
    return found


def test_nothing_is_offered_to_somebody_unknown(at):
    assert at().offered is None


def test_a_session_is_offered_to_nobody_else(at, kept):
    assert at(name="other.example.com").offered is None
    assert at(host="192.0.2.1").offered is None
    assert at(port=465).offered is None
    assert at(by=ssl.create_default_context()).offered is None
    assert at().offered is kept


@pytest.mark.parametrize(
    "change",
    [
        lambda context: setattr(context, "check_hostname", False),
        lambda context: setattr(context, "verify_flags", ssl.VERIFY_CRL_CHECK_LEAF),
    ],
)
def test_a_context_that_verifies_in_another_way_offers_nothing(at, context, kept, change):
    change(context)
    assert at().offered is None


def test_a_context_that_may_verify_by_itself_takes_no_part(at):
    class Context(ssl.SSLContext):
        pass

    assert at(by=Context(ssl.PROTOCOL_TLS_CLIENT)) is None


def test_a_session_is_read_once(at, kept):
    for reused in (True, True):
        resumption, sock = at(), Sock(session(), reused)
        resumption.opened(sock)
        assert sock.reads == 0
    assert at().offered is kept


def test_of_many_that_open_at_once_the_first_one_reads(at):
    resumptions = [at() for _ in range(5)]
    socks = [Sock(session()) for _ in resumptions]
    for resumption, sock in zip(resumptions, socks, strict=True):
        resumption.opened(sock)
    assert [sock.reads for sock in socks] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (session(ticket_lifetime_hint=600), 600),
        (session(ticket_lifetime_hint=7 * 24 * HOUR), HOUR),
        (session(ticket_lifetime_hint=0, timeout=300), 300),
        (session(has_ticket=False, id=b"id", ticket_lifetime_hint=0, timeout=400), 400),
    ],
)
def test_it_is_kept_for_as_long_as_the_server_says_and_an_hour_at_most(at, clock, found, seconds):
    at().opened(Sock(found))
    clock.now += seconds - 1
    assert at().offered is found
    clock.now += 1
    assert at().offered is None


def test_one_that_is_too_old_is_replaced(at, clock, kept):
    clock.now += HOUR
    fresh = session()
    at().opened(Sock(fresh))
    assert at().offered is fresh


def test_a_refused_one_is_replaced(at, kept):
    fresh = session()
    at().opened(Sock(fresh))
    assert at().offered is fresh


def test_a_server_that_refuses_again_and_again_is_left_alone_for_an_hour(at, clock, kept):
    for _ in range(2):
        at().opened(Sock(session()))
        assert at().offered is not None
    socks = [Sock(session()) for _ in range(3)]
    for sock in socks:
        at().opened(sock)
        assert at().offered is None
    assert [sock.reads for sock in socks] == [0, 0, 0]
    clock.now += HOUR
    at().opened(Sock(kept))
    assert at().offered is kept


def test_a_session_that_is_taken_up_clears_the_count(at, kept):
    for _ in range(5):
        for _ in range(2):
            at().opened(Sock(session()))
        at().opened(Sock(reused=True))
        assert at().offered is not None


@pytest.mark.parametrize("found", [None, session(has_ticket=False)])
def test_a_server_that_gives_none_is_asked_once_an_hour(at, clock, found):
    socks = [Sock(found) for _ in range(3)]
    for sock in socks:
        at().opened(sock)
        assert at().offered is None
    assert [sock.reads for sock in socks] == [1, 0, 0]
    clock.now += HOUR
    at().opened(socks[2])
    assert socks[2].reads == 1


def test_a_server_that_fails_with_one_gets_none_for_an_hour(at, clock, kept):
    at().failed()
    assert at().offered is None
    at().opened(Sock(session()))
    assert at().offered is None
    clock.now += HOUR
    at().opened(Sock(kept))
    assert at().offered is kept


def test_a_handshake_that_fails_without_one_changes_nothing(at):
    at().failed()
    found = session()
    at().opened(Sock(found))
    assert at().offered is found


def test_few_contexts_are_kept_alive(at, context, kept, store):
    for _ in range(15):
        at(by=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).opened(Sock(session()))
        assert at().offered is kept, "it is in use"
    for _ in range(16):
        at(by=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).opened(Sock(session()))
    assert len(store._contexts) == 16
    assert at().offered is None


def test_few_sessions_are_kept_for_a_context(at, context, kept, store):
    for number in range(63):
        at(f"{number}.example").opened(Sock(session()))
    assert at().offered is kept
    for number in range(64):
        at(f"{number}.example.com").opened(Sock(session()))
    assert at().offered is None
    assert len(store._contexts[context]) == 64
