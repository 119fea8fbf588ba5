"""Connections whose methods wait, and ``sendMail``."""

from __future__ import annotations

import contextlib
import email
import gc
import signal
import subprocess
import sys
import threading
import traceback
from email.message import EmailMessage

import pytest

from smtp_connection import AbortSignal, SMTPError
from smtp_connection.blocking import SMTPConnection, sendMail, thread
from tests.blocking.conftest import content_with, interrupt
from tests.support.helpers import handling, in_child, in_thread, wait_until
from tests.support.mail_server import LOGIN, Recorder, context_of, mail_server
from tests.support.sessions import ENVELOPE, PASSWORD

MAIL = {"from": "a@example.com", "to": "b@example.com", "subject": "hi", "text": "hello"}


# -- methods ---------------------------------------------------------------------------------------


def test_a_session(place):
    said = []

    def script(peer):
        peer.greet("AUTH PLAIN")
        peer.play("C: AUTH PLAIN\nS: 235 in")
        said.append(peer.take_message())
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 550 no\nC: RSET\nS: 250")
        peer.play("C: RSET\nS: 250\nC: NOOP\nS: 250\nC: HELP\nS: 214 help yourself")
        peer.take_quit()

    with SMTPConnection(place(script)) as connection:
        assert connection.stage == "connected"
        assert not connection.authenticated
        assert connection.login(PASSWORD) is True
        assert connection.authenticated
        assert connection.send(ENVELOPE, "hi").accepted == ["b@example.com"]
        assert connection.probe(ENVELOPE).rejected == ["b@example.com"]
        assert connection.reset() is True
        assert connection.noop() is True
        assert connection.command("HELP").text == "help yourself"
        assert connection.lastServerResponse == "214 help yourself"
        assert connection.capabilities.auth == ("PLAIN",)
        assert (connection.name, connection.host) == ("me", connection.options.host)
        assert not connection.destroyed
    assert connection.destroyed
    assert said == [b"hi\r\n"]


def test_without_a_block(place):
    connection = SMTPConnection(place(content_with))
    assert connection.connect() is None
    connection.send(ENVELOPE, "hi")
    connection.quit()
    connection.quit()
    connection.close()
    with pytest.raises(SMTPError, match="the connection is closed"):
        connection.noop()


@pytest.mark.parametrize("how", ["dict", "keywords", "URL"])
def test_options_are_those_of_the_connection_with_callbacks(place, how):
    options = place(content_with, auth=LOGIN)
    host, port = options["host"], options["port"]
    if how == "dict":
        connection = SMTPConnection(options)
    elif how == "keywords":
        connection = SMTPConnection(**options)
    else:
        connection = SMTPConnection(f"smtp://someone:pa%20ss@{host}:{port}/?name=me")
    with connection:
        assert connection.options.auth["user"] == "someone"
        assert "pa" not in repr(connection) + repr(connection.options.auth["user"])
        assert "pa ss" not in repr(vars(connection)) + repr(connection.options)
        connection.send(ENVELOPE, "hi")


@pytest.mark.parametrize("take", [SMTPConnection, lambda given: sendMail(given, MAIL)])
@pytest.mark.parametrize(
    "given", [{"prot": 25}, "smtp://me:geheim@localhost/?prot=25", "http://me:geheim@localhost"]
)
def test_unknown_options_are_refused_and_no_password_is_shown(take, given):
    with pytest.raises((TypeError, ValueError)) as caught:
        take(given)
    assert "geheim" not in "".join(traceback.format_exception(caught.value)).replace("geheim@l", "")


def test_before_connect_there_is_nothing_to_do():
    connection = SMTPConnection()
    for method in (connection.noop, connection.quit):
        with pytest.raises(SMTPError, match=r"call connect\(\) first"):
            method()
    connection.close()
    with pytest.raises(SMTPError, match="it is closed"):
        connection.connect()


# -- errors ----------------------------------------------------------------------------------------


def test_a_refusal_is_raised_where_it_is_waited_for(place):
    def script(peer):
        peer.greet()
        for _ in range(2):
            peer.play("C: MAIL\nS: 550 5.7.1 not you")
        peer.take_quit()

    with SMTPConnection(place(script)) as connection:
        errors = []
        for _ in range(2):
            with pytest.raises(SMTPError, match="not you") as caught:
                connection.send(ENVELOPE, "hi")
            errors.append(caught.value)
    assert (errors[0].code, errors[0].responseCode) == ("EENVELOPE", 550)
    assert errors[0] is not errors[1]
    frames = traceback.extract_tb(errors[0].__traceback__)
    assert frames[0].line == 'connection.send(ENVELOPE, "hi")'
    assert frames[0].name == "test_a_refusal_is_raised_where_it_is_waited_for"
    assert len(frames) <= 4


def test_whoever_hears_that_the_connection_failed_finds_it_closed(place):
    def script(peer):
        peer.greet()
        peer.expect("NOOP")
        peer.reset()

    ended = []
    connection = SMTPConnection(place(script))
    connection.on("end", lambda: ended.append("end"))
    connection.connect()
    with pytest.raises(SMTPError) as caught:
        connection.noop()
    assert caught.value.code == "ECONNRESET"
    assert connection.destroyed
    assert ended == ["end"]


def test_a_time_out_of_the_options_is_an_error(place):
    with pytest.raises(SMTPError) as caught:
        SMTPConnection(place(lambda peer: peer.expect_end(), greetingTimeout=1)).connect()
    assert caught.value.code == "ETIMEDOUT"


def test_a_call_has_a_time_limit_of_its_own(place):
    def script(peer):
        peer.greet()
        peer.expect_end()

    connection = SMTPConnection(place(script))
    connection.connect()
    with pytest.raises(SMTPError, match="1 ms have passed") as caught:
        connection.noop(signal=AbortSignal.timeout(1))
    assert caught.value.code == "EABORT"
    connection.close()


def test_a_mistake_in_a_call_leaves_the_connection_as_it_is(place):
    with SMTPConnection(place(content_with)) as connection:
        with pytest.raises(TypeError, match="AbortSignal"):
            connection.noop(signal="soon")
        with pytest.raises(TypeError, match="callable"):
            connection.on("end", 7)
        connection.send(ENVELOPE, "hi")


def test_an_exception_in_the_block_closes_at_once(place):
    said = []

    def script(peer):
        peer.greet()
        said.append(peer.expect_end())

    with pytest.raises(LookupError), SMTPConnection(place(script)) as connection:
        raise LookupError
    assert connection.destroyed
    connection._home.thread.join(10)
    assert said == [b""]


def test_the_server_ends_an_idle_session_and_everybody_can_see_it(place):
    ended = threading.Event()
    idle = threading.Event()

    def script(peer):
        peer.greet()
        assert idle.wait(10)
        peer.close()

    connection = SMTPConnection(place(script))
    connection.on("end", ended.set).connect()
    idle.set()
    assert ended.wait(10)
    assert connection.destroyed
    with pytest.raises(SMTPError, match="the connection is closed"):
        connection.send(ENVELOPE, "hi")


def test_quit_does_not_wait_for_a_goodbye_for_ever(place):
    def script(peer):
        peer.greet()
        peer.expect("QUIT")
        peer.expect_end()

    with SMTPConnection(place(script, socketCloseTimeout=1)):
        pass


# -- Ctrl-C ----------------------------------------------------------------------------------------


WAITS = {
    "connect": ("", lambda connection: connection.connect()),
    "the greeting's answer": ("S: 220 hi\nC: EHLO", lambda connection: connection.connect()),
    "login": ("C: AUTH PLAIN", lambda connection: connection.login(PASSWORD)),
    "envelope": ("C: MAIL", lambda connection: connection.send(ENVELOPE, "hi")),
    "message": (
        "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC: .",
        lambda connection: connection.send(ENVELOPE, "hi"),
    ),
    "reset": ("C: RSET", lambda connection: connection.reset()),
    "noop": ("C: NOOP", lambda connection: connection.noop()),
    "command": ("C: HELP", lambda connection: connection.command("HELP")),
    "probe": ("C: MAIL", lambda connection: connection.probe(ENVELOPE)),
    "quit": ("C: QUIT", lambda connection: connection.quit()),
}


@pytest.mark.parametrize(("transcript", "call"), WAITS.values(), ids=WAITS)
def test_an_interrupt_ends_the_wait_and_the_connection(place, transcript, call):
    opening = transcript == "" or transcript.startswith("S: 220")

    def script(peer):
        if not opening:
            peer.greet("AUTH PLAIN")
        peer.play(transcript)
        interrupt()
        assert peer.expect_end() == b""

    connection = SMTPConnection(place(script))
    if not opening:
        connection.connect()
    with (
        handling(signal.SIGINT, signal.default_int_handler),
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        call(connection)
    assert caught.traceback[-1].path != __file__
    assert connection.destroyed
    # The thread ends, and with it all that the connection had: see the fixture.


def test_an_interrupt_in_a_block(place):
    def script(peer):
        peer.greet()
        peer.expect("NOOP")
        interrupt()
        assert peer.expect_end() == b""

    with (
        handling(signal.SIGINT, signal.default_int_handler),
        pytest.raises(KeyboardInterrupt),
        SMTPConnection(place(script)) as connection,
    ):
        connection.noop()
    assert connection.destroyed


def test_an_interrupt_while_others_wait_ends_their_waits(place):
    asked = threading.Event()

    def script(peer):
        peer.greet()
        peer.expect("NOOP")
        asked.set()
        wait_until(lambda: len(connection._awaited) == 2)
        interrupt()
        assert peer.expect_end() == b""

    def noop():
        try:
            connection.noop()
        except SMTPError as exc:
            errors.append(exc)

    errors = []
    connection = SMTPConnection(place(script))
    connection.connect()
    other = in_thread(noop)
    assert asked.wait(10)
    with (
        handling(signal.SIGINT, signal.default_int_handler),
        pytest.raises(KeyboardInterrupt),
    ):
        connection.reset()
    other.join(10)
    assert [each.code for each in errors] == ["ECONNECTION"]


def test_whatever_a_signal_handler_raises_ends_the_wait(place):
    def script(peer):
        peer.greet()
        peer.expect("NOOP")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        peer.expect_end()

    def give_up(signum, frame):
        raise TimeoutError("for good")

    connection = SMTPConnection(place(script))
    connection.connect()
    with (
        handling(signal.SIGUSR1, give_up),
        pytest.raises(TimeoutError, match="for good"),
    ):
        connection.noop()
    assert connection.destroyed


def test_where_waits_cannot_be_interrupted_they_are_short(place, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(thread, "_LOOK_UP_EVERY", 0.001)
    with SMTPConnection(place(content_with)) as connection:
        connection.send(ENVELOPE, "hi")


# -- threads ---------------------------------------------------------------------------------------


def test_many_threads_share_a_connection():
    infos = []

    def work(name):
        for number in range(20):
            infos.append(connection.send(ENVELOPE, f"{name}/{number}"))

    with mail_server() as server, SMTPConnection(f"smtp://127.0.0.1:{server.port}") as connection:
        for thread in [in_thread(work, name) for name in range(8)]:
            thread.join(30)
    assert len(infos) == 160
    contents = {envelope.content for envelope in server.mailbox.envelopes}
    assert contents == {b"%d/%d\r\n" % (w, n) for w in range(8) for n in range(20)}


def test_many_threads_have_connections_of_their_own():
    def work(name):
        for number in range(5):
            mail = {**MAIL, "text": f"{name}/{number}"}
            infos.append(sendMail(f"smtp://{server.host}:{server.port}", mail))

    infos = []
    with mail_server() as server:
        for thread in [in_thread(work, name) for name in range(8)]:
            thread.join(30)
    assert len(infos) == len(server.mailbox.envelopes) == 40


def test_quit_waits_for_what_other_threads_have_asked_for(place):
    asked, going_on = threading.Event(), threading.Event()

    def script(peer):
        peer.greet()
        peer.expect("MAIL")
        asked.set()
        assert going_on.wait(10)
        peer.send("250 ok\r\n")
        peer.play("C: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC: .\nS: 250 queued")
        peer.take_quit()

    infos = []
    with SMTPConnection(place(script, socketCloseTimeout=1)) as connection:
        thread = in_thread(lambda: infos.append(connection.send(ENVELOPE, "hi")))
        assert asked.wait(10)
        connection.on("log", print)
        connection._home.reactor.call_later(0.05, going_on.set)
    thread.join(10)
    assert infos[0].response == "250 queued"


def test_events(place):
    def script(peer):
        peer.greet()
        peer.take_message()
        peer.take_quit()

    entries, heard = [], []
    connection = SMTPConnection(place(script, debug=True))

    @connection.on("end")
    def ended():
        heard.append(threading.current_thread().name)

    chained = connection.on("log", entries.append).once("connect", lambda: heard.append("connect"))
    assert chained is connection
    with connection:
        connection.send(ENVELOPE, "hi")
    assert heard == ["connect", "smtp_connection reactor"]
    assert [entry.message for entry in entries if entry.type == "client"][-1] == "QUIT"


def test_a_listener_does_not_wait_for_itself(place):
    def script(peer):
        peer.greet()
        peer.expect_end()

    def listen():
        for method in (connection.noop, connection.quit, other.connect):
            with pytest.raises(RuntimeError, match="would wait for the thread on which it runs"):
                method()
        connection.close()
        refused.set()

    refused = threading.Event()
    other = SMTPConnection()
    connection = SMTPConnection(place(script))
    connection.on("connect", listen)
    with contextlib.suppress(SMTPError):
        connection.connect()
    assert refused.wait(10)
    other.close()


# -- what is left ----------------------------------------------------------------------------------


def test_threads_and_sockets_are_gone_when_the_last_session_is_over():
    with mail_server() as server:
        for _ in range(50):
            with SMTPConnection(host=server.host, port=server.port) as connection:
                connection.send(ENVELOPE, "hi")
        reactor, thread = connection._home
        thread.join(10)
        assert not thread.is_alive
        assert not reactor.has_work
        assert not [
            each for each in threading.enumerate() if each.name == "smtp_connection reactor"
        ]
    assert len(server.mailbox.envelopes) == 50


def test_a_connection_that_is_forgotten_is_closed(place):
    said = []

    def script(peer):
        peer.greet()
        said.append(peer.expect_end())

    connection = SMTPConnection(place(script))
    connection.on("log", print).connect()
    thread = connection._home.thread
    connections = [connection]
    del connection
    with pytest.warns(ResourceWarning, match="unclosed connection to 127.0.0.1"):
        connections.clear()
    thread.join(10)
    assert said == [b""]


def test_one_that_was_never_opened_is_not_missed():
    SMTPConnection()
    gc.collect()


def test_without_a_thread_to_be_had_nothing_is_left(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    connection = SMTPConnection()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            connection.connect()
    assert connection.destroyed
    connection.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_has_connections_of_its_own(place):
    forked = threading.Event()

    def script(peer):
        peer.greet()
        assert forked.wait(20)
        peer.take_message()
        peer.take_quit()

    def child():
        for method in (connection.noop, connection.quit):
            with pytest.raises(RuntimeError, match="parent"):
                method()
        connection.close()
        options = {"host": server.host, "port": server.port}
        with SMTPConnection(options) as own:
            own.send(ENVELOPE, "from the child")
        assert sendMail(options, MAIL).accepted

    with mail_server() as server, SMTPConnection(place(script)) as connection:
        with thread._lock, connection._home.thread._lock:
            assert in_child(child)
        forked.set()
        connection.send(ENVELOPE, "hi")
    assert len(server.mailbox.envelopes) == 2


PROGRAMS = {
    "an open connection": """
connection = SMTPConnection(options)
connection.connect()
""",
    "a thread that waits": """
connection = SMTPConnection(options)
connection.connect()
connection.on("log", lambda entry: None)
threading.Thread(target=lambda: connection.command("HELP"), daemon=True).start()
while not connection._awaited:
    pass
""",
    "it is closed at exit": """
connection = SMTPConnection(options)
connection.connect()
atexit.register(connection.quit)
""",
    "a block that sys.exit() leaves": """
with SMTPConnection(options):
    sys.exit(0)
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_program_ends_without_a_word(serve, program):
    def script(peer):
        with contextlib.suppress(OSError, EOFError):
            peer.greet()
            peer.expect_end()

    server = serve(script)
    program = f"""
import atexit, sys, threading
from smtp_connection.blocking import SMTPConnection
options = {{"host": "{server.host}", "port": {server.port}, "socketCloseTimeout": 100}}
{program}
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- sendMail --------------------------------------------------------------------------------------


def url_of(server, **parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"smtp://someone:pa%20ss%C3%A9@{server.host}:{server.port}/?{query}"


def test_send_mail_connects_logs_in_sends_and_quits(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = context_of(authority.issue_cert("127.0.0.1"))
    with mail_server(tls_context=context, require_starttls=True, auth_required=True) as server:
        url = url_of(server, requireTLS="true", **{"tls.ca": tmp_path / "ca.pem"})
        info = sendMail(url, MAIL)
    assert info.accepted == ["b@example.com"]
    assert server.mailbox.logins == [("PLAIN", b"someone", LOGIN["pass"].encode())]
    (envelope,) = server.mailbox.envelopes
    assert envelope.mail_from == "a@example.com"
    message = email.message_from_bytes(envelope.content)
    assert (message["Subject"], message.get_payload()) == ("hi", "hello\r\n")


def test_send_mail_without_a_login():
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Bcc"] = "a@x.org", "b@x.org", "carol@x.org"
    letter.set_content("hello")
    finished = {"envelope": ENVELOPE, "raw": b"Subject: raw\n\nhello"}
    with mail_server() as server:
        options = {"host": server.host, "port": server.port}
        sendMail(options, letter)
        sendMail(options, finished)
    sent = [(each.rcpt_tos, each.content) for each in server.mailbox.envelopes]
    assert sent[0][0] == ["b@x.org", "carol@x.org"]
    assert b"Bcc" not in sent[0][1]
    assert sent[1] == (["b@example.com"], b"Subject: raw\r\n\r\nhello\r\n")


def test_send_mail_over_lmtp(serve):
    def script(peer):
        peer.greet(verb="LHLO")
        peer.take_message()
        peer.take_quit()

    server = serve(script)
    info = sendMail(f"lmtp://{server.host}:{server.port}", MAIL)
    assert info.accepted == ["b@example.com"]


def test_send_mail_tells_of_those_who_were_refused():
    mailbox = Recorder()
    mailbox.refused = {"b@example.com"}
    with mail_server(mailbox=mailbox) as server:
        options = {"host": server.host, "port": server.port}
        info = sendMail(options, {**MAIL, "cc": "c@example.com"})
        assert (info.accepted, info.rejected) == (["c@example.com"], ["b@example.com"])
        with pytest.raises(SMTPError) as caught:
            sendMail(options, MAIL)
    assert (caught.value.code, caught.value.rejected) == ("EENVELOPE", ["b@example.com"])


def test_send_mail_with_a_wrong_password():
    mailbox = Recorder()
    mailbox.login = {"user": "someone", "pass": "another"}
    with (
        mail_server(mailbox=mailbox, auth_require_tls=False) as server,
        pytest.raises(SMTPError) as caught,
    ):
        sendMail(url_of(server), MAIL)
    assert caught.value.code == "EAUTH"
    assert mailbox.envelopes == []
    assert "pa ss" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("mail", ["Subject: hi", {"form": "a@x.org"}, {"from": "a@x.org"}, None])
def test_send_mail_does_not_connect_for_what_is_no_mail(mail):
    with pytest.raises(SMTPError) as caught:
        sendMail({"host": "127.0.0.1", "port": 1}, mail)
    assert caught.value.code in ("EMESSAGE", "EENVELOPE")


def test_send_mail_returns_although_the_server_says_no_goodbye(place):
    def script(peer):
        peer.greet()
        peer.take_message(final="250 2.0.0 queued")
        peer.expect("QUIT")
        peer.expect_end()

    assert sendMail(place(script, socketCloseTimeout=1), MAIL).response == "250 2.0.0 queued"


@pytest.mark.parametrize("sent_before", [0, 1])
def test_send_mail_as_the_program_ends(sent_before):
    program = """
import atexit, sys
from smtp_connection.blocking import sendMail
mail = {"from": "a@x.org", "to": "b@x.org", "text": "It is over."}
options = {"host": "127.0.0.1", "port": sys.argv[1]}
atexit.register(sendMail, options, mail)
"""
    with mail_server() as server:
        program += "sendMail(options, mail)\n" * sent_before
        # The server may not have closed its end by then.
        flags = ["-W", "error", "-W", "ignore::ResourceWarning"]
        command = [sys.executable, *flags, "-c", program, str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    sent = len(server.mailbox.envelopes)
    if sys.version_info[:2] == (3, 12) and done.stderr:  # which starts no threads by then
        assert "RuntimeError: can't create new thread at interpreter shutdown" in done.stderr
        assert sent == sent_before
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert sent == sent_before + 1
