"""``auth`` is read at the call of ``login``, and what was sent behind a login shares its fate."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

PASSWORD = {"user": "me", "pass": "s3cr3t"}
ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}
PLAIN = f"AUTH PLAIN {base64.b64encode(bytes('|me|s3cr3t'.replace('|', chr(0)), 'ascii')).decode()}"

GRANTED = f"C= {PLAIN}\nS: 235 welcome"
REFUSED = f"C= {PLAIN}\nS: 535 5.7.8 no"
SENT = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go on\nC: hi\nC= .\nS: 250 taken"
RESET = "C: RSET\nS: 250 ok"


@pytest.fixture
def session(serve, connect_to, reactor, diary):
    """Run ``calls(connection)`` against ``transcript``, up to the end of the session; everything
    is called before ``connect()`` has come to anything."""

    def run(transcript, calls, **options):
        def script(peer):
            peer.greet("AUTH PLAIN")
            peer.play(transcript)
            peer.take_quit()

        connection = connect_to(serve(script), **options)
        connection.connect()
        calls(connection)
        reactor.run()
        assert diary.names()[-1] == "end"
        return connection

    return run


def check_unsent(err, failed):
    assert (err.code, err.command, err.response) == ("EAUTH", "API", None)
    assert str(err) == f"Not sent, because the login before it failed: {failed}"
    assert err.__cause__ is failed
    assert not err.permanent
    assert not err.inDoubt


# -- what is queued behind a login -----------------------------------------------------------------


def test_messages_behind_a_login_that_fails_are_not_sent(session, diary):
    def calls(connection):
        connection.login(PASSWORD, diary.callback("login"))
        connection.send(ENVELOPE, "hi", diary.callback("first"))
        connection.reset(diary.callback("reset"))
        connection.send(ENVELOPE, "hi", diary.callback("second"))
        connection.quit()

    session(f"{REFUSED}\n{RESET}", calls)
    assert diary.names() == ["connect", "login", "first", "reset", "second", "end"]
    failed = diary.error("login")
    check_unsent(diary.error("first"), failed)
    check_unsent(diary.error("second"), failed)
    assert diary.error("first") is not diary.error("second")
    assert diary.of("reset") == [(None, True)]


def test_messages_behind_a_login_that_succeeds_are_sent(session, diary):
    def calls(connection):
        connection.login(PASSWORD, diary.callback("login"))
        for _ in range(2):
            connection.send(ENVELOPE, "hi", diary.callback("send"))
        connection.quit()

    session(f"{GRANTED}\n{SENT}\n{SENT}", calls)
    assert diary.names() == ["connect", "login", "send", "send", "end"]
    assert [err for err, _ in diary.of("send")] == [None, None]


def test_a_message_before_the_login_is_sent(session, diary):
    def calls(connection):
        connection.send(ENVELOPE, "hi", diary.callback("before"))
        connection.login(PASSWORD, diary.callback("login"))
        connection.send(ENVELOPE, "hi", diary.callback("behind"))
        connection.quit()

    session(f"{SENT}\n{REFUSED}", calls)
    assert diary.names() == ["connect", "before", "login", "behind", "end"]
    assert diary.of("before")[0][0] is None
    check_unsent(diary.error("behind"), diary.error("login"))


def test_what_is_called_from_the_callback_of_the_login_is_carried_out(session, diary):
    def calls(connection):
        def refused(err):
            diary.entries.append(("login", err))
            connection.send(ENVELOPE, "hi", diary.callback("from the callback"))
            connection.quit()

        connection.login(PASSWORD, refused)
        connection.send(ENVELOPE, "hi", diary.callback("behind"))

    session(f"{REFUSED}\n{SENT}", calls)
    assert diary.names() == ["connect", "login", "behind", "from the callback", "end"]
    check_unsent(diary.error("behind"), diary.error("login"))
    assert diary.of("from the callback")[0][0] is None


def test_what_is_called_between_the_refusal_and_the_callback_is_not_sent(by_hand, reactor, diary):
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250-mx\r\n250 AUTH PLAIN\r\n")
    connection.login(PASSWORD, diary.callback("login"))
    ended = connection._lifecycle.dialogue_ended

    def dialogue_ended(value, error):
        # Another thread may call it at this very moment, while the caller knows nothing yet.
        connection._lifecycle.dialogue_ended = ended
        ended(value, error)
        connection.send(ENVELOPE, "hi", diary.callback("send"))

    connection._lifecycle.dialogue_ended = dialogue_ended
    peer.settle()
    peer.feed("535 no\r\n")
    connection.close()
    reactor.run()
    assert diary.names() == ["connect", "login", "send", "end"]
    check_unsent(diary.error("send"), diary.error("login"))


@pytest.mark.parametrize("second", [GRANTED, REFUSED])
def test_each_message_belongs_to_the_login_before_it(session, diary, second):
    def calls(connection):
        connection.login({**PASSWORD, "method": "GSSAPI"}, diary.callback("first login"))
        connection.send(ENVELOPE, "hi", diary.callback("first"))
        connection.login(PASSWORD, diary.callback("second login"))
        connection.send(ENVELOPE, "hi", diary.callback("second"))
        connection.quit()

    session(f"{second}\n{SENT}" if second == GRANTED else second, calls)
    assert diary.names() == ["connect", "first login", "first", "second login", "second", "end"]
    check_unsent(diary.error("first"), diary.error("first login"))
    if second == GRANTED:
        assert diary.of("second login") == [(None, True)]
        assert diary.of("second")[0][0] is None
    else:
        check_unsent(diary.error("second"), diary.error("second login"))


def test_without_callbacks_each_failure_is_an_error_event(session, diary):
    def calls(connection):
        connection.login(PASSWORD)
        connection.send(ENVELOPE, "hi")
        connection.send(ENVELOPE, "hi")
        connection.reset(diary.callback("reset"))
        connection.quit()

    session(f"{REFUSED}\n{RESET}", calls)
    assert diary.names() == ["connect", "error", "error", "error", "reset", "end"]
    (failed,), (first,), (second,) = diary.of("error")
    check_unsent(first, failed)
    check_unsent(second, failed)


def test_a_login_without_a_callback_that_succeeds_holds_nothing_up(session, diary):
    def calls(connection):
        def sent(err, info):
            diary.entries.append(("first", err))
            connection.send(ENVELOPE, "hi", diary.callback("second"))
            connection.quit()

        connection.login(PASSWORD)
        connection.send(ENVELOPE, "hi", sent)

    session(f"{GRANTED}\n{SENT}\n{SENT}", calls)
    assert diary.names() == ["connect", "first", "second", "end"]


def test_the_source_of_a_message_that_is_not_sent_is_closed(session, diary):
    closed = []

    def pieces():
        try:
            yield b"hi"
        finally:
            closed.append(True)

    source = pieces()
    next(source)

    def calls(connection):
        connection.login(PASSWORD, diary.callback("login"))
        connection.send(ENVELOPE, source, diary.callback("send"))
        connection.quit()

    session(REFUSED, calls)
    check_unsent(diary.error("send"), diary.error("login"))
    assert closed


def test_thousands_of_messages_behind_a_login_that_fails(session, diary):
    def calls(connection):
        connection.login({}, diary.callback("login"))
        for _ in range(3000):
            connection.send(ENVELOPE, "hi", diary.callback("send"))
        connection.quit()

    session("", calls)
    assert diary.names() == ["connect", "login", *["send"] * 3000, "end"]
    assert len({id(err) for err, _ in diary.of("send")}) == 3000


# -- auth is read at the call ----------------------------------------------------------------------


@pytest.mark.parametrize("within", [False, True])
def test_what_happens_to_auth_after_the_call_changes_nothing(session, diary, within):
    auth = {"credentials": dict(PASSWORD)} if within else dict(PASSWORD)

    def calls(connection):
        connection.login(auth, diary.callback("login"))
        (auth["credentials"] if within else auth)["pass"] = "another"
        auth.clear()
        connection.quit()

    session(GRANTED, calls)
    assert diary.of("login") == [(None, True)]


def test_a_handler_of_the_callers_own_gets_a_copy_of_auth(session, diary):
    auth = {**PASSWORD, "extra": object()}
    given = dict(auth)
    seen = []

    def handler(context):
        seen.append(context.auth)
        context.resolve()

    def calls(connection):
        connection.login(auth, diary.callback("login"))
        auth.clear()
        connection.quit()

    session("", calls, customAuth={"X-OWN": handler}, authMethod="X-OWN")
    assert seen == [given]
    assert diary.of("login") == [(None, True)]


def test_an_auth_that_cannot_be_used_fails_in_its_turn(session, diary):
    def calls(connection):
        connection.reset(diary.callback("reset"))
        connection.login({"user": "me", "pass": 5}, diary.callback("login"))
        connection.reset(diary.callback("reset"))
        connection.quit()
        assert diary.entries == []

    session(f"{RESET}\n{RESET}", calls)
    assert diary.names() == ["connect", "reset", "login", "reset", "end"]
    assert str(diary.error("login")) == "auth 'pass' is a string; got int"


class Vault(Mapping):
    """Raises what it is told to, as one does that asks a server for each value."""

    def __init__(self, exc):
        self.exc = exc

    def __getitem__(self, key):
        raise self.exc

    def __iter__(self):
        return iter(["user", "pass"])

    def __len__(self):
        return 2


@pytest.mark.parametrize("kind", [LookupError, OSError, TypeError, RecursionError])
def test_an_auth_that_raises_fails_the_login_and_shows_nothing(session, diary, kind):
    def calls(connection):
        connection.login(Vault(kind("cannot read s3cr3t")), diary.callback("login"))
        connection.send(ENVELOPE, "hi", diary.callback("send"))
        connection.quit()

    session("", calls)
    err = diary.error("login")
    assert (err.code, err.command) == ("EAUTH", "API")
    assert str(err) == f"auth cannot be read: it raises {kind.__name__}"
    assert err.__cause__ is err.__context__ is None
    check_unsent(diary.error("send"), err)


def test_an_interrupt_while_auth_is_read_is_the_callers(session, diary):
    def calls(connection):
        with pytest.raises(KeyboardInterrupt):
            connection.login(Vault(KeyboardInterrupt()), diary.callback("login"))
        connection.quit()

    session("", calls)
    assert diary.names() == ["connect", "end"]
