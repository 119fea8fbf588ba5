"""Callbacks take what they declare and run once, later, in order; operations wait their turn."""

from __future__ import annotations

import functools
import inspect
import threading

import pytest

from smtp_connection import SMTPConnection, SMTPError
from tests.support.sessions import ENVELOPE, PASSWORD
from tests.support.smtp_server import BackgroundServer

# -- callbacks take what they declare --------------------------------------------------------------


class Listener:
    def __init__(self, seen):
        self.seen = seen

    def method(self, err, value):
        self.seen.append((err, value))

    def __call__(self, err):
        self.seen.append((err,))

    @classmethod
    def shared(cls, seen, err):
        seen.append((err,))


def wrapping(function):
    @functools.wraps(function)
    def wrapper(*args):
        function(*args)

    return wrapper


def first(count):
    """The callback gets ``count`` arguments, whatever is offered."""
    return lambda *offered: (offered + (None,) * count)[:count]


def two_defaults(*offered):
    """The callback gets two arguments at most, and has defaults for both."""
    return (*offered, "mine")[:2]


# How a callback is declared, given a list to write down what it gets; and what that is.
SHAPES = {
    "none": (lambda seen: lambda: seen.append(()), first(0)),
    "one": (lambda seen: lambda err: seen.append((err,)), first(1)),
    "two": (lambda seen: lambda err, value: seen.append((err, value)), first(2)),
    "three": (lambda seen: lambda err, value, more: seen.append((err, value, more)), first(3)),
    "any": (lambda seen: lambda *args: seen.append(args), lambda *offered: offered),
    "one and any": (
        lambda seen: lambda err, *args: seen.append((err, *args)),
        lambda *offered: offered,
    ),
    "a default": (lambda seen: lambda err="mine": seen.append((err,)), first(1)),
    "two defaults": (
        lambda seen: lambda err="mine", value="mine": seen.append((err, value)),
        two_defaults,
    ),
    "keywords": (lambda seen: lambda err, *, quiet=True: seen.append((err,)), first(1)),
    "a method": (lambda seen: Listener(seen).method, first(2)),
    "a class method": (lambda seen: functools.partial(Listener.shared, seen), first(1)),
    "an object": (lambda seen: Listener(seen), first(1)),
    "partial": (
        lambda seen: functools.partial(lambda log, err: log.append((err,)), seen),
        first(1),
    ),
    "partial, by keyword": (
        lambda seen: functools.partial(lambda err, value: seen.append((err, value)), value="mine"),
        lambda *offered: (offered[0], "mine"),
    ),
    "wrapped, none": (lambda seen: wrapping(lambda: seen.append(())), first(0)),
    "wrapped, two": (lambda seen: wrapping(lambda err, value: seen.append((err, value))), first(2)),
    "list.append": (lambda seen: Appending(seen).append, first(1)),
}


def failing(cut, err):
    """Return what the callback gets with ``err``: a default that it has for the value stands."""
    return (err, "mine") if cut is two_defaults else cut(err, None)


class Appending(list):
    """Its ``append`` is the one of ``list``, a builtin; what it gets is written down as a tuple."""

    def __init__(self, seen):
        super().__init__()
        seen.source = self


class Seen(list):
    """What a callback got, call by call."""

    source = None

    @property
    def calls(self):
        return list(self) if self.source is None else [(one,) for one in self.source]


each_shape = pytest.mark.parametrize(("make", "cut"), SHAPES.values(), ids=SHAPES)


def call_all(connection, make):
    """Call every method with a callback; return what each of them gets."""
    seen = [Seen() for _ in range(4)]
    connection.connect(make(seen[0]))
    # Behind a login that fails, nothing would be sent.
    connection.send(ENVELOPE, "hi", make(seen[2]))
    connection.login(PASSWORD, make(seen[1]))
    connection.reset(make(seen[3]))
    return seen


@each_shape
def test_a_callback_gets_as_many_arguments_as_it_declares(by_hand, make, cut):
    connection, peer = by_hand()
    seen = call_all(connection, make)
    for reply in ("220 ready", "250-scripted\r\n250 AUTH PLAIN", "250", "250", "354"):
        peer.feed(f"{reply}\r\n")
    for reply in ("250 queued", "235 welcome", "250 ok"):
        peer.feed(f"{reply}\r\n")

    connected, login, sent, reset = (one.calls for one in seen)
    assert connected == [cut(None)]
    assert login == [cut(None, True)]
    assert reset == [cut(None, True)]
    (arguments,) = sent
    info = arguments[1] if len(arguments) > 1 else None
    assert arguments == cut(None, info)
    assert info in (None, "mine") or info.response == "250 queued"
    connection.close()


@each_shape
def test_a_callback_gets_the_error_if_it_declares_a_parameter(by_hand, make, cut):
    connection, peer = by_hand()
    seen = call_all(connection, make)
    for reply in ("220 ready", "250-scripted\r\n250 AUTH PLAIN", "550 no", "535 no", "502 no"):
        peer.feed(f"{reply}\r\n")

    assert seen[0].calls == [cut(None)]
    for calls, code in zip(
        [one.calls for one in seen[1:]], ["EAUTH", "EENVELOPE", "EPROTOCOL"], strict=True
    ):
        (arguments,) = calls
        err = arguments[0] if arguments else None
        assert arguments == failing(cut, err)
        assert err is None or err.code == code
    connection.close()


@each_shape
def test_a_connection_that_fails_is_told_to_every_callback(by_hand, diary, make, cut):
    connection, peer = by_hand()
    seen = call_all(connection, make)
    peer.feed("554 no\r\n")

    # A connect callback without a parameter for the error runs only on success.
    takes_error = bool(cut(None))
    assert [call[:1] for call in seen[0].calls] == [(diary.error(),)] * takes_error
    for one in seen[1:]:
        (arguments,) = one.calls
        assert arguments == failing(cut, arguments[0] if arguments else None)
        for err in arguments[:1]:
            assert (err.message, err.code) == (diary.error().message, "EPROTOCOL")


def test_a_builtin_that_does_not_tell_what_it_takes_gets_everything(by_hand):
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(max)
    connection, peer = by_hand()
    connection.connect()
    connection.reset(max)
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    with pytest.raises(TypeError, match="'bool' and 'NoneType'"):  # max(None, True)
        peer.feed("250 ok\r\n")
    connection.close()


@pytest.mark.parametrize("method", ["connect", "login", "send", "reset"])
@pytest.mark.parametrize(
    "callback", [7, "name", lambda *, needed: None], ids=["number", "text", "needs a keyword"]
)
def test_what_cannot_be_called_is_refused_at_once(by_hand, diary, method, callback):
    connection, peer = by_hand()
    arguments = {"login": [PASSWORD], "send": [ENVELOPE, "hi"]}.get(method, [])
    with pytest.raises(TypeError, match="callback"):
        getattr(connection, method)(*arguments, callback)
    peer.settle()
    assert diary.names() == []


# -- callbacks that are missing --------------------------------------------------------------------


@pytest.mark.parametrize("errors", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize(
    ("call", "refusal", "code"),
    [
        (lambda connection: connection.login(PASSWORD), "535 no", "EAUTH"),
        (lambda connection: connection.send(ENVELOPE, "hi"), "550 no", "EENVELOPE"),
        (lambda connection: connection.reset(), "502 no", "EPROTOCOL"),
    ],
    ids=["login", "send", "reset"],
)
def test_a_failure_without_a_callback_is_an_error_event(
    by_hand, diary, call, refusal, code, errors
):
    connection, peer = by_hand(errors=errors)
    connection.connect()
    call(connection)
    connection.reset(diary.callback("later"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    if errors:
        peer.feed(f"{refusal}\r\n")
        err = diary.error()
    else:
        with pytest.raises(SMTPError) as caught:
            peer.feed(f"{refusal}\r\n")
        err = caught.value
    assert (err.code, err.response) == (code, refusal)

    peer.feed("250 ok\r\n")  # the connection is as usable as before
    assert diary.of("later") == [(None, True)]
    connection.close()


@pytest.mark.parametrize("errors", [True, False], ids=["heard", "unheard"])
def test_a_call_that_is_wrong_is_an_error_event_too(by_hand, diary, errors):
    connection, peer = by_hand(errors=errors)
    connection.connect()
    connection.send({}, "hi")
    if errors:
        peer.settle()
        assert diary.error().code == "EENVELOPE"
    else:
        with pytest.raises(SMTPError, match="recipients"):
            peer.settle()
    connection.close()


# -- callbacks that raise --------------------------------------------------------------------------


class Boom(Exception):
    pass


class Bomb:
    """A callback that raises when it is called first."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls == 1:
            raise Boom


LISTENERS = {
    f"{event} listener": lambda connection, bomb, event=event: connection.on(event, bomb)
    for event in ("connect", "log", "end", "error")
}
CALLS = {
    "connect": lambda connection, callback: connection.connect(callback),
    "send": lambda connection, callback: connection.send(ENVELOPE, "hi", callback),
    "login": lambda connection, callback: connection.login(PASSWORD, callback),
    "reset": lambda connection, callback: connection.reset(callback),
}
OPENED = "S: 220\nC: EHLO\nS: 250-me\nS: 250 AUTH PLAIN\n"
GOOD = f"{OPENED}C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC: .\nS: 250\n"
GOOD += "C: AUTH\nS: 235\nC: RSET\nS: 250\nC: QUIT\nS: 221"
REFUSING = f"{OPENED}C: MAIL\nS: 550\nC: AUTH\nS: 535\nC: RSET\nS: 502\nC: QUIT\nS: 221"
BROKEN = "S: 554 no"

RAISING = [
    *[(GOOD, name) for name in ("connect listener", "log listener", "end listener", *CALLS)],
    *[(REFUSING, name) for name in ("login", "send", "reset")],
    *[(BROKEN, name) for name in ("error listener", "end listener", *CALLS)],
]


@pytest.mark.parametrize(("transcript", "place"), RAISING)
def test_what_a_callback_raises_leaves_run_once_and_nothing_is_lost(
    serve, connect_to, reactor, diary, transcript, place
):
    server = serve(
        lambda peer: (peer.play(transcript), peer.expect_end()),
        lambda peer: (peer.greet(), peer.take_message(), peer.take_quit()),
    )
    bomb = Bomb()
    connection = connect_to(server)
    if place in LISTENERS:
        LISTENERS[place](connection, bomb)
    for name, call in CALLS.items():
        call(connection, bomb if name == place else diary.callback(f"{name}()"))
    connection.quit()
    with pytest.raises(Boom):
        reactor.run()
    reactor.run()

    assert bomb.calls == 1 or place == "log listener"
    called = [name for name in diary.names() if name.endswith("()")]
    assert called == [f"{name}()" for name in CALLS if name != place]
    assert diary.names().count("end") == 1

    diary.entries.clear()
    another = connect_to(server)
    another.connect()
    another.send(ENVELOPE, "hi", diary.callback("sent"))
    another.quit()
    reactor.run()
    assert diary.names() == ["connect", "sent", "end"]
    assert diary.of("sent")[0][0] is None


# -- nothing runs inside the call ------------------------------------------------------------------

EVERYTHING_WRONG = [
    lambda connection, callback: connection.login(None, callback),
    lambda connection, callback: connection.login({"user": "me"}, callback),
    lambda connection, callback: connection.login("me", callback),
    lambda connection, callback: connection.send(None, None, callback),
    lambda connection, callback: connection.send({}, "hi", callback),
    lambda connection, callback: connection.send("a@example.com", "hi", callback),
    lambda connection, callback: connection.send({**ENVELOPE, "tp": "b@b"}, "hi", callback),
    lambda connection, callback: connection.send(ENVELOPE, None, callback),
    lambda connection, callback: connection.send(ENVELOPE, "", callback),
    lambda connection, callback: connection.send(ENVELOPE, object(), callback),
    lambda connection, callback: connection.connect(callback),
]


def never_connected(connection, peer):
    pass


def connecting(connection, peer):
    connection.connect()


def ready(connection, peer):
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")


def over(connection, peer):
    ready(connection, peer)
    peer.hang_up()


@pytest.mark.parametrize("state", [connecting, ready, over])
def test_nothing_runs_inside_a_call_however_wrong_it_is(by_hand, diary, state):
    connection, peer = by_hand()
    state(connection, peer)
    diary.entries.clear()
    for number, call in enumerate(EVERYTHING_WRONG):
        call(connection, diary.callback(number))
    connection.quit()
    connection.close()
    connection.close()
    assert diary.entries == []

    peer.hang_up()
    numbers = [name for name in diary.names() if name != "end"]
    assert sorted(numbers) == list(range(len(EVERYTHING_WRONG)))
    assert all(err.code.startswith("E") and not rest for _, err, rest in diary.entries[:-1])
    assert diary.names().count("end") == (state is not over)


@pytest.mark.parametrize("name", ["login", "send", "reset", "quit"])
def test_connect_comes_first(by_hand, diary, name):
    connection, peer = by_hand()
    if name == "quit":
        connection.quit()
    else:
        CALLS[name](connection, diary.callback("error"))
    assert diary.entries == []
    peer.settle()

    assert diary.names() == ["error"]
    err = diary.entries[0][1]
    assert (err.code, err.command) == ("ECONNECTION", "API")
    assert "call connect() first" in err.message
    ready(connection, peer)  # no harm was done
    assert diary.names() == ["error", "connect"]
    connection.close()


@pytest.mark.parametrize("name", CALLS)
def test_after_the_end_every_method_fails(by_hand, diary, name):
    connection, peer = by_hand()
    over(connection, peer)
    CALLS[name](connection, diary.callback("late"))
    assert diary.names() == ["connect", "end"]
    peer.settle()

    assert diary.names() == ["connect", "end", "late"]
    assert (diary.error("late").code, diary.error("late").command) == ("ECONNECTION", "API")
    assert "closed" in diary.error("late").message


def test_connecting_twice_leaves_the_first_attempt_alone(by_hand, diary):
    connection, peer = by_hand()
    connection.connect(diary.callback("first"))
    connection.connect(diary.callback("second"))
    connection.connect(lambda: diary.entries.append(("no success",)))
    connection.connect()
    peer.settle()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")

    assert diary.names() == ["second", "error", "error", "connect", "first"]
    assert {err.code for err, *_ in diary.of("second") + diary.of("error")} == {"ECONNECTION"}
    assert diary.of("first") == [(None, None)]
    connection.close()


def test_connect_callbacks_are_listeners_of_the_event(by_hand, diary):
    connection, peer = by_hand()
    connection.on("connect", lambda: diary.entries.append(("before",)))
    connection.connect(lambda: diary.entries.append(("callback",)))
    connection.on("connect", lambda: diary.entries.append(("after",)))
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    assert diary.names() == ["connect", "before", "callback", "after"]
    connection.emit("connect")
    assert diary.names()[4:] == ["connect", "before", "after"]
    connection.close()


# -- the queue -------------------------------------------------------------------------------------


def test_operations_are_carried_out_in_order_however_early_they_are_asked_for(
    serve, connect_to, reactor, diary
):
    def script(peer):
        peer.play(GOOD.removesuffix("C: QUIT\nS: 221"))
        peer.play("C: MAIL\nS: 550\nC: RSET\nS: 250\nC: QUIT\nS: 221")

    connection = connect_to(serve(script))
    for call in (*CALLS.values(), CALLS["send"], CALLS["reset"]):
        call(connection, diary.callback("done"))
    connection.quit()
    connection.send(ENVELOPE, "hi", diary.callback("too late"))
    reactor.run()

    assert diary.names() == ["connect", *["done"] * 6, "too late", "end"]
    assert [err is None for err, _ in diary.of("done")] == [True] * 4 + [False, True]
    assert diary.error("too late").code == "ECONNECTION"
    assert "this operation's turn" in diary.error("too late").message


def test_callbacks_may_ask_for_more(by_hand, diary):
    connection, peer = by_hand()
    note = diary.callback("reset")

    def once_more(err, result):
        note(err, result)
        if len(diary.of("reset")) < 5:
            connection.reset(once_more)
        else:
            connection.quit()

    connection.connect(lambda: connection.reset(once_more))
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    for _ in range(5):
        assert peer.heard().endswith(b"RSET\r\n")
        peer.feed("250 ok\r\n")
    assert peer.heard() == b"QUIT\r\n"
    peer.hang_up()

    assert diary.names() == ["connect", *["reset"] * 5, "end"]


@pytest.mark.parametrize("extensions", [[], ["PIPELINING"]], ids=["step by step", "pipelined"])
def test_a_thousand_messages_at_once_arrive_in_order(reactor, extensions):
    sent = []
    with BackgroundServer(*extensions) as server:
        connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
        connection.connect()
        for number in range(1000):
            connection.send(
                ENVELOPE,
                f"message {number}",
                lambda err, info, number=number: sent.append((number, err)),
            )
        connection.quit()
        reactor.run()
        (session,) = server.sessions

    assert sent == [(number, None) for number in range(1000)]
    assert session.messages == [b"message %d\r\n" % number for number in range(1000)]


def test_many_connections_on_one_reactor(reactor):
    connections, messages = 200, 50
    outcomes = []
    ends = []
    with BackgroundServer("PIPELINING") as server:
        for number in range(connections):
            connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
            connection.on("end", lambda number=number: ends.append(number))
            connection.connect()
            for count in range(messages):
                connection.send(ENVELOPE, f"{number}/{count}", lambda err: outcomes.append(err))
            connection.quit()
        reactor.run()

    assert outcomes == [None] * (connections * messages)
    assert sorted(ends) == list(range(connections))
    for session in server.sessions:
        number = session.messages[0].partition(b"/")[0]
        assert session.messages == [b"%s/%d\r\n" % (number, count) for count in range(messages)]
    assert len({session.messages[0] for session in server.sessions}) == connections


def test_a_queue_of_failures_is_as_deep_as_it_likes(by_hand):
    """No stack overflows, whether the operations fail on their own or all at once."""
    connection, peer = by_hand()
    codes = []
    connection.connect()
    for _ in range(5000):
        connection.login({}, lambda err: codes.append(err.code))
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    assert codes == ["EAUTH"] * 5000
    for _ in range(5000):
        connection.reset(lambda err: codes.append(err.code))
    peer.hang_up()
    assert codes[5000:] in (["ECONNECTION"] * 5000, ["ECONNRESET"] * 5000)


# -- other threads ---------------------------------------------------------------------------------


def test_methods_may_be_called_from_any_thread(serve, connect_to, reactor, diary):
    threads = set()

    def note(name):
        inner = diary.callback(name)

        def callback(err, value):
            threads.add(threading.current_thread())
            inner(err, value)

        return callback

    connection = connect_to(serve(lambda peer: peer.play(GOOD)))

    def work():
        for name, call in CALLS.items():
            call(connection, note(name))
        connection.quit()

    keep_alive = reactor.call_later(20, int)
    connection.on("end", lambda: (threads.add(threading.current_thread()), keep_alive.cancel()))
    worker = threading.Thread(target=work)
    worker.start()
    reactor.run()
    worker.join()

    assert diary.names() == ["connect", *CALLS, "end"]
    assert threads == {threading.main_thread()}


def test_many_threads_may_send_at_once(reactor):
    workers, messages = 8, 50
    outcomes = []
    with BackgroundServer("PIPELINING") as server:
        connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)

        def done(err):
            outcomes.append(err)
            if len(outcomes) == workers * messages:
                connection.quit()

        def work(worker):
            for count in range(messages):
                connection.send(ENVELOPE, f"{worker}/{count}", done)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
        connection.connect(lambda: [thread.start() for thread in threads])
        reactor.run()
        for thread in threads:
            thread.join()
        (session,) = server.sessions

    assert outcomes == [None] * (workers * messages)
    expected = [
        b"%d/%d\r\n" % (worker, count) for worker in range(workers) for count in range(messages)
    ]
    assert sorted(session.messages) == sorted(expected)
