"""``signal``: what is aborted is taken back, waited for or cut off, and nobody gets out of step."""

from __future__ import annotations

import signal as signals
import subprocess
import sys
from functools import partial

import pytest
from pyee import EventEmitter

from smtp_connection import AbortController, AbortSignal
from tests.support.helpers import garbage_of, handling, in_thread, turn_until
from tests.support.sessions import ENVELOPE, PASSWORD, POINTS, TO_TWO, at_every_point

TO_THE_VERDICT = ["220 ready", "250 scripted", "250 ok", "250 ok", "354 go"]
SENT = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go on\nC: hi\nC= .\nS: 250 taken"

CALLS = {
    "login": (PASSWORD,),
    "send": (ENVELOPE, "hi"),
    "reset": (),
    "noop": (),
    "command": ("VRFY a",),
    "probe": (ENVELOPE,),
}
AT_THE_END = [POINTS["the end of the message"], POINTS["LMTP, the second recipient's reply"]]
at_every_call = pytest.mark.parametrize("name", CALLS)


@pytest.fixture
def controller():
    """A controller that nobody follows any more when the test is over."""
    controller = AbortController()
    yield controller
    assert not controller.signal._followers


class Signalled:
    """A connection whose operations all get one signal."""

    def __init__(self, connection, signal):
        self._connection = connection
        self._signal = signal

    def __getattr__(self, name):
        return partial(getattr(self._connection, name), signal=self._signal)


@pytest.fixture
def session(serve, connect_to, reactor, diary):
    """Run ``calls(connection)`` against ``transcript``, up to the end of the session."""

    def run(transcript, calls, *extensions, **options):
        def script(peer):
            peer.greet(*extensions)
            peer.play(transcript)
            peer.take_quit()

        connection = connect_to(serve(script), **options)
        connection.connect()
        calls(connection)
        connection.quit()
        reactor.run()
        assert diary.names()[-1] == "end"
        return connection

    return run


@pytest.fixture
def at(by_hand, diary):
    """A connection that has heard ``replies`` after it was told to carry ``calls`` out."""

    def make(replies, calls, **options):
        connection, peer = by_hand(**options)
        connection.connect()
        calls(connection)
        for reply in replies:
            peer.feed(f"{reply}\r\n")
        peer.heard()
        return connection, peer

    return make


def aborted(err, *, in_doubt=False):
    assert (err.code, err.command, err.inDoubt) == ("EABORT", "API", in_doubt)
    assert err.message.startswith("The operation was aborted")
    assert not err.permanent


# -- what is under way -----------------------------------------------------------------------------


@at_every_point
@pytest.mark.parametrize("thread", ["the reactor's", "another"])
def test_abort_at_every_point(
    serve, connect_to, reactor, diary, point, thread, controller, let_pass
):
    def script(peer):
        point.approach(peer)
        if thread == "another":
            controller.abort()
        else:
            reactor.call_soon_threadsafe(controller.abort)
        if at_the_end:
            let_pass(6)
        peer.expect_end()

    at_the_end = point in AT_THE_END
    connection = connect_to(serve(script), **point.options)
    if point.connected:
        connection.connect(diary.callback("connected"))
        point.call(Signalled(connection, controller.signal), diary.callback("operation"))
    else:
        connection.connect(diary.callback("connected"), signal=controller.signal)
        point.call(connection, diary.callback("operation"))
    connection.reset(diary.callback("later"))
    connection.quit()
    reactor.run()

    pending = ["operation", "later"] if point.connected else ["connected", "operation", "later"]
    before = ["connect", "connected"] if point.connected else []
    assert diary.names() == [*before, "error", *pending, "end"]
    under_way, *others = pending
    aborted(diary.error(under_way), in_doubt=at_the_end)
    assert diary.error() is diary.error(under_way)
    for name in others:
        err = diary.error(name)
        text = "Connection closed, because the operation before was aborted"
        assert (err.code, err.message, err.inDoubt) == ("ECONNECTION", text, False)
        assert err.__cause__ is diary.error()
    assert connection.destroyed


def test_a_message_that_is_cut_off_has_no_end(serve, connect_to, reactor, diary, controller):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.expect("xxx")
        controller.abort()
        assert b"\r\n.\r\n" not in peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    content = (b"x" * 70 + b"\r\n") * 200_000
    connection.send(ENVELOPE, content, diary.callback("sent"), signal=controller.signal)
    reactor.run()
    aborted(diary.error("sent"))
    assert diary.names() == ["connect", "error", "sent", "end"]


def test_a_signal_handler_may_abort(at, reactor, diary, controller):
    _, peer = at(
        TO_THE_VERDICT[:3],
        lambda connection: connection.send(
            ENVELOPE, "hi", diary.callback("sent"), signal=controller.signal
        ),
    )
    with handling(signals.SIGINT, lambda *_: controller.abort()):
        signals.raise_signal(signals.SIGINT)
        peer.settle()
    aborted(diary.error("sent"))


def test_the_error_names_the_reason(at, diary, controller):
    reason = LookupError("the page was left")
    _, peer = at(
        TO_THE_VERDICT[:2],
        lambda connection: connection.noop(diary.callback("noop"), signal=controller.signal),
    )
    controller.abort(reason)
    peer.settle()
    err = diary.error("noop")
    assert err.message == "The operation was aborted: the page was left"
    assert err.__cause__ is reason


def test_without_a_callback_an_abort_is_an_error_event(at, diary, controller):
    _, peer = at(
        TO_THE_VERDICT[:3],
        lambda connection: connection.send(ENVELOPE, "hi", signal=controller.signal),
    )
    controller.abort()
    peer.settle()
    aborted(diary.error())
    assert diary.names() == ["connect", "error", "end"]


# -- what is queued --------------------------------------------------------------------------------


@at_every_call
def test_what_is_aborted_already_is_not_begun(session, diary, name):
    def calls(connection):
        call = getattr(connection, name)
        call(*CALLS[name], diary.callback("aborted"), signal=AbortSignal.abort())
        connection.noop(diary.callback("noop"))

    session("C= NOOP\nS: 250 ok", calls, "AUTH PLAIN")
    aborted(diary.error("aborted"))
    assert diary.of("noop") == [(None, True)]


@at_every_call
def test_what_is_queued_is_taken_back_and_the_connection_goes_on(at, diary, name, controller):
    def calls(connection):
        connection.send(ENVELOPE, "hi", diary.callback("before"))
        call = getattr(connection, name)
        call(*CALLS[name], diary.callback("aborted"), signal=controller.signal)
        connection.send(ENVELOPE, "ho", diary.callback("behind"))

    _, peer = at(TO_THE_VERDICT[:3], calls)
    controller.abort()
    peer.settle()
    aborted(diary.error("aborted"))

    for reply in (*TO_THE_VERDICT[3:], "250 taken"):
        peer.feed(f"{reply}\r\n")
    if name == "login":
        assert diary.error("behind").code == "EAUTH"
        assert diary.error("behind").__cause__ is diary.error("aborted")
        assert peer.heard().endswith(b"hi\r\n.\r\n")
    else:
        assert peer.heard().endswith(b"hi\r\n.\r\nMAIL FROM:<a@example.com>\r\n")
        for reply in (*TO_THE_VERDICT[2:], "250 taken"):
            peer.feed(f"{reply}\r\n")
        assert diary.of("behind")[0][0] is None
    assert diary.of("before")[0][0] is None
    assert "error" not in diary.names()


def test_one_signal_takes_back_all_that_it_was_given_to(at, diary, controller):
    def calls(connection):
        for number in range(5):
            connection.send(ENVELOPE, "hi", diary.callback(f"sent {number}"))
            call = diary.callback(f"aborted {number}")
            connection.send(ENVELOPE, "no", call, signal=controller.signal)

    _, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    for number in range(5):
        for reply in (*TO_THE_VERDICT[2:], "250 taken"):
            peer.feed(f"{reply}\r\n")
        assert diary.of(f"sent {number}")[0][0] is None
        aborted(diary.error(f"aborted {number}"))
        assert peer.heard().count(b"hi\r\n.\r\n") == 1


@pytest.mark.parametrize("name", [*CALLS, "quit"])
def test_what_is_aborted_does_not_begin_in_the_same_turn(at, diary, name, controller):
    """The reply that makes it its turn is read before the abort is carried out."""

    def calls(connection):
        connection.noop()
        callback = [] if name == "quit" else [diary.callback("aborted")]
        getattr(connection, name)(*CALLS.get(name, ()), *callback, signal=controller.signal)
        connection.noop(diary.callback("behind"))

    _, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    peer.feed("250 ok\r\n")
    if name != "quit":
        aborted(diary.error("aborted"))
    assert peer.heard() == b"NOOP\r\n"
    peer.feed("250 ok\r\n")
    assert diary.of("behind") == [(None, True)]


def test_a_queued_message_that_is_aborted_lets_go_of_its_source(at, diary, controller):
    stream = EventEmitter()

    def calls(connection):
        connection.noop()
        connection.send(ENVELOPE, stream, diary.callback("aborted"), signal=controller.signal)
        assert stream.listeners("data")

    _, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    peer.settle()
    aborted(diary.error("aborted"))
    assert not stream.listeners("data")


# -- what waits for something on this side ---------------------------------------------------------


def test_a_message_whose_source_is_waited_for_is_taken_back(at, diary, controller):
    def calls(connection):
        stream = EventEmitter()
        connection.send(ENVELOPE, stream, diary.callback("aborted"), signal=controller.signal)
        connection.send(ENVELOPE, "hi", diary.callback("behind"))

    _, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    peer.settle()
    aborted(diary.error("aborted"))
    assert peer.heard() == b"MAIL FROM:<a@example.com>\r\n"
    for reply in (*TO_THE_VERDICT[2:], "250 taken"):
        peer.feed(f"{reply}\r\n")
    assert diary.of("behind")[0][0] is None


def test_a_message_that_has_been_announced_is_not_taken_back(at, diary, controller):
    """A generator runs when MAIL and RCPT, with PIPELINING also DATA, have been said."""

    def abort():
        controller.abort()
        yield b"too late"

    def calls(connection):
        connection.send(ENVELOPE, abort(), diary.callback("aborted"), signal=controller.signal)

    _, peer = at([*TO_THE_VERDICT[:1], "250-scripted\r\n250 PIPELINING"], calls)
    peer.feed("250 ok\r\n250 ok\r\n354 go\r\n")
    aborted(diary.error("aborted"), in_doubt=b"\r\n.\r\n" in peer.heard())
    assert diary.names() == ["connect", "error", "aborted", "end"]


class Generator:
    """Gives no token, and takes note of who does not want one any more."""

    def __init__(self):
        self.asked = []
        self.forgotten = []

    def getToken(self, callback):
        self.asked.append(callback)

    generateToken = getToken

    def forget_callback(self, callback):
        self.forgotten.append(callback)


def test_a_login_that_waits_for_a_token_is_taken_back(at, diary, controller):
    generator = Generator()

    def calls(connection):
        auth = {"user": "me", "xoauth2": generator, "method": "XOAUTH2"}
        connection.login(auth, diary.callback("aborted"), signal=controller.signal)
        connection.noop(diary.callback("noop"))

    _, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    peer.settle()
    aborted(diary.error("aborted"))
    assert generator.forgotten == generator.asked

    generator.asked[0](None, "dG9rZW4=")  # too late
    peer.settle()
    assert peer.heard() == b"NOOP\r\n"
    peer.feed("250 ok\r\n")
    assert diary.of("noop") == [(None, True)]


def test_a_handler_that_may_have_said_something_is_not_taken_back(at, diary, controller):
    def handler(context):
        context.sendCommand("AUTH X", lambda err, reply: None)

    def calls(connection):
        auth = {"user": "me", "method": "X"}
        connection.login(auth, diary.callback("aborted"), signal=controller.signal)

    _, peer = at([*TO_THE_VERDICT[:2], "334 "], calls, customAuth={"X": handler})
    controller.abort()
    peer.settle()
    aborted(diary.error("aborted"))
    assert diary.names() == ["connect", "error", "aborted", "end"]


# -- what may have been accepted -------------------------------------------------------------------


@pytest.fixture
def at_the_verdict(at, diary, controller):
    """A connection whose server owes the verdict on a message that has been aborted."""

    def make(**options):
        def calls(connection):
            connection.send(ENVELOPE, "hi", diary.callback("sent"), signal=controller.signal)
            connection.noop(diary.callback("behind"))

        connection, peer = at(TO_THE_VERDICT, calls, **options)
        controller.abort()
        peer.settle()
        return connection, peer

    return make


@pytest.mark.parametrize("verdict", ["250 taken", "550 no"])
def test_a_verdict_that_comes_in_time_counts(at_the_verdict, diary, verdict, movable_clock):
    _, peer = at_the_verdict()
    movable_clock.ahead += 4
    peer.settle()
    assert not diary.of("sent")

    peer.feed(f"{verdict}\r\n")
    ((err, info),) = diary.of("sent")
    if verdict == "250 taken":
        assert (err, info.response) == (None, verdict)
    else:
        assert (err.code, err.response, err.inDoubt) == ("EMESSAGE", verdict, False)
    movable_clock.ahead += 4
    peer.feed("250 ok\r\n")
    assert diary.of("behind") == [(None, True)]


@pytest.mark.parametrize(("milliseconds", "seconds"), [(5000, 5.1), (100, 0.2), (0, 0)])
def test_a_verdict_is_waited_for_as_long_as_a_close(
    at_the_verdict, diary, movable_clock, milliseconds, seconds
):
    connection, peer = at_the_verdict(socketCloseTimeout=milliseconds)
    movable_clock.ahead += seconds
    peer.settle()
    err = diary.error("sent")
    aborted(err, in_doubt=True)
    assert err.message.endswith(
        "(the message had been sent to its end, so it may have been accepted)"
    )
    assert not diary.error("behind").inDoubt
    assert connection.destroyed


def test_close_does_not_wait_for_the_verdict(at_the_verdict, diary):
    connection, peer = at_the_verdict()
    connection.close()
    peer.settle()
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("ECONNECTION", True)


def test_a_verdict_of_lmtp_that_comes_in_part(at, diary, controller, movable_clock):
    def calls(connection):
        connection.send(TO_TWO, "hi", diary.callback("sent"), signal=controller.signal)

    replies = [*TO_THE_VERDICT[:3], "250 ok", "250 ok", "354 go", "250 stored"]
    _, peer = at(replies, calls, lmtp=True)
    controller.abort()
    peer.settle()
    movable_clock.ahead += 6
    peer.settle()
    ((err, info),) = diary.of("sent")
    assert err is None
    assert (info.accepted, info.rejected) == (["b@example.com"], ["c@example.com"])
    assert (info.rejectedErrors[0].code, info.rejectedErrors[0].inDoubt) == ("EABORT", True)


# -- connect ---------------------------------------------------------------------------------------


def test_a_connect_that_is_aborted_already_does_not_connect(by_hand, diary):
    connection, peer = by_hand()
    sent = diary.callback("sent")
    connection.connect(diary.callback("connected"), signal=AbortSignal.abort("no"))
    connection.send(ENVELOPE, "hi", sent)
    peer.settle()
    assert diary.names() == ["error", "connected", "sent", "end"]
    aborted(diary.error("connected"))
    assert diary.error("sent").code == "ECONNECTION"
    assert connection.destroyed


def test_nobody_gets_the_error_of_a_connect_without_a_callback(by_hand, diary, controller):
    connection, peer = by_hand()
    connection.connect(signal=controller.signal)
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.settle()
    controller.abort()
    peer.settle()
    assert diary.names() == ["error", "sent", "end"]
    aborted(diary.error())
    assert diary.error("sent").code == "ECONNECTION"


def test_a_callback_for_success_alone_is_not_called(by_hand, diary, controller):
    connection, peer = by_hand()
    connection.connect(lambda: pytest.fail("it has not succeeded"), signal=controller.signal)
    controller.abort()
    peer.settle()
    aborted(diary.error())


def test_the_signal_of_connect_does_not_concern_the_session(by_hand, diary, controller):
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"), signal=controller.signal)
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    assert not controller.signal._followers
    controller.abort()
    connection.noop(diary.callback("noop"))
    peer.settle()
    peer.feed("250 ok\r\n")
    assert diary.of("noop") == [(None, True)]


def test_a_connect_that_fails_or_is_closed_lets_go_of_its_signal(by_hand, controller):
    for end in ("554 no\r\n", None):
        connection, peer = by_hand()
        connection.connect(signal=controller.signal)
        peer.settle()
        if end is None:
            connection.close()
            peer.settle()
        else:
            peer.feed(end)
        assert connection.destroyed
        assert not controller.signal._followers


def test_a_second_connect_is_refused_and_its_signal_ignored(by_hand, diary, controller):
    connection, peer = by_hand()
    connection.connect()
    connection.connect(diary.callback("second"), signal=controller.signal)
    controller.abort()
    peer.settle()
    assert diary.error("second").code == "ECONNECTION"
    assert not connection.destroyed


# -- quit ------------------------------------------------------------------------------------------


def test_a_quit_that_is_queued_is_taken_back(at, diary, controller):
    def calls(connection):
        connection.noop()
        connection.quit(signal=controller.signal)

    connection, peer = at(TO_THE_VERDICT[:2], calls)
    controller.abort()
    peer.settle()
    peer.feed("250 ok\r\n")
    connection.quit(signal=AbortSignal.abort())
    connection.noop(diary.callback("noop"))
    peer.settle()
    peer.feed("250 ok\r\n")
    assert diary.names() == ["connect", "noop"]
    assert diary.of("noop") == [(None, True)]


def test_a_quit_that_is_said_is_not_waited_for(at, diary, controller):
    _, peer = at(TO_THE_VERDICT[:2], lambda connection: connection.quit(signal=controller.signal))
    controller.abort()
    peer.settle()
    assert diary.names() == ["connect", "end"]


# -- what has ended --------------------------------------------------------------------------------


def test_an_abort_after_the_end_changes_nothing(session, diary, controller):
    def calls(connection):
        for name in CALLS:
            call = getattr(connection, name)
            call(*CALLS[name], diary.callback(name), signal=controller.signal)
        connection.noop(lambda: controller.abort())
        connection.noop(diary.callback("behind"))

    probe = "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: RSET\nS: 250"
    login = "C: AUTH PLAIN\nS: 235 ok"
    others = "C: RSET\nS: 250\nC: NOOP\nS: 250\nC: VRFY\nS: 250"
    noops = "C: NOOP\nS: 250\nC: NOOP\nS: 250"
    session(f"{login}\n{SENT}\n{others}\n{probe}\n{noops}", calls, "AUTH PLAIN")
    assert diary.names() == ["connect", *CALLS, "behind", "end"]
    assert all(err is None for _, err, _ in diary.entries[1:-1])


def test_operations_that_another_thread_asks_for_let_go_of_their_signal(
    at, diary, reactor, controller
):
    connection, peer = at(TO_THE_VERDICT[:2], lambda connection: None)
    for _ in range(20):
        asked = in_thread(
            partial(connection.noop, diary.callback("noop"), signal=controller.signal)
        )
        turn_until(reactor, lambda: peer.heard())
        peer.feed("250 ok\r\n")
        asked.join()
        assert not controller.signal._followers
    assert diary.of("noop") == [(None, True)] * 20


# -- time-outs, and what is left -------------------------------------------------------------------


def test_a_time_out_aborts(at, diary, movable_clock, reactor):
    def calls(connection):
        connection.send(ENVELOPE, "hi", diary.callback("sent"), signal=AbortSignal.timeout(60_000))

    _, peer = at(TO_THE_VERDICT[:3], calls)
    movable_clock.ahead += 61
    peer.settle()
    err = diary.error("sent")
    assert err.message == "The operation was aborted: 60000 ms have passed"
    assert isinstance(err.__cause__, TimeoutError)
    assert err.code == "EABORT"


def test_no_time_out_keeps_the_program_running(session, diary, reactor):
    def calls(connection):
        signal = AbortSignal.timeout(3_600_000)
        connection.send(ENVELOPE, "hi", diary.callback("sent"), signal=signal)

    session(SENT, calls)
    assert diary.of("sent")[0][0] is None
    assert not reactor._timers.live


def test_no_garbage_is_left(session, diary, controller):
    def calls(connection):
        signal = AbortSignal.any([controller.signal, AbortSignal.timeout(3_600_000)])
        for _ in range(3):
            connection.send(ENVELOPE, "hi", diary.callback("sent"), signal=signal)
        connection.noop(diary.callback("noop"), signal=AbortSignal.abort())

    def run_session():
        session(f"{SENT}\n{SENT}\n{SENT}", calls)
        diary.entries.clear()

    assert garbage_of(run_session) == []


@pytest.mark.parametrize("name", ["connect", *CALLS, "quit"])
def test_a_signal_is_an_abort_signal(by_hand, diary, name):
    connection, peer = by_hand()
    if name != "connect":
        connection.connect()
    with pytest.raises(
        TypeError, match="signal takes an AbortSignal; got AbortController; give its signal"
    ):
        getattr(connection, name)(*CALLS.get(name, ()), signal=AbortController())
    with pytest.raises(TypeError, match="signal takes an AbortSignal; got int"):
        getattr(connection, name)(*CALLS.get(name, ()), signal=5)
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    connection.close()
    peer.settle()
    assert diary.names() == (["connect", "end"] if name != "connect" else ["end"])


def test_those_who_use_no_signal_do_not_import_them():
    program = (
        "import sys, smtp_connection as s; c = s.SMTPConnection(); c.connect(); c.send({}, 'hi',"
        " print); assert not {'smtp_connection.abort', 'smtp_connection.driver.aborting'}"
        " & set(sys.modules); c.close()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
