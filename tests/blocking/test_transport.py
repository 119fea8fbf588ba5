"""``smtp_connection.blocking.createTransport``: mails of many threads, and who gives up waiting."""

from __future__ import annotations

import inspect
import signal
import threading

import pytest

from smtp_connection import AbortController, AbortSignal, SMTPError
from smtp_connection.blocking import SMTPConnection, Transport, createTransport
from smtp_connection.transports.mailer import Mailer
from tests.blocking.conftest import content_with, interrupt
from tests.support.helpers import handling, in_child, in_thread, wait_until
from tests.support.mail_server import mail_server
from tests.support.signatures import BOTH, is_verified

MAIL = {"from": "a@example.com", "to": "b@example.com", "subject": "hi", "text": "hello"}


@pytest.mark.parametrize("pool", [False, True])
def test_mails_are_sent(smtp_server, pool):
    smtp_server.auth("me", "s3cr3t")
    options = {"host": smtp_server.host, "port": smtp_server.port, "pool": pool}
    login = {"user": "me", "pass": "s3cr3t"}
    with createTransport(options, {"subject": "default"}, auth=login) as transport:
        assert transport.verify() is True
        info = transport.sendMail({**MAIL, "subject": None})
        assert info.accepted == ["b@example.com"]
        assert info.envelope == {"from": "a@example.com", "to": ["b@example.com"]}
        assert transport.isIdle()
    (message,) = smtp_server.messages
    assert message.message["Message-ID"] == info.messageId


def test_mails_are_signed():
    with mail_server() as server:
        options = {"host": server.host, "port": server.port, "dkim": BOTH}
        with createTransport(options) as transport:
            transport.sendMail({**MAIL, "from": "a@x.org"})
        with SMTPConnection(options) as connection:
            connection.send({"from": "a@x.org", "to": "b@x.org"}, "From: a@x.org\n\nhello")
    messages = [envelope.content for envelope in server.mailbox.envelopes]
    assert [is_verified(message, 2) for message in messages] == [True, True]


def test_many_threads_share_a_pool():
    def work(name):
        for number in range(10):
            mail = {**MAIL, "text": f"{name}/{number}"}
            infos.append(transport.sendMail(mail))

    infos = []
    with mail_server() as server:
        url = f"smtp://{server.host}:{server.port}?pool=true&maxConnections=3"
        with createTransport(url) as transport:
            for one in [in_thread(work, name) for name in range(8)]:
                one.join(30)
    assert len(infos) == len(server.mailbox.envelopes) == 80
    bodies = {envelope.content.splitlines()[-1].decode() for envelope in server.mailbox.envelopes}
    assert bodies == {f"{name}/{number}" for name in range(8) for number in range(10)}
    assert len({id(session) for session in server.mailbox.sessions}) <= 3


def test_failures_are_raised(place):
    def refuse(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 550 no")
        peer.take_quit()

    with createTransport(place(refuse)) as transport:
        with pytest.raises(SMTPError) as caught:
            transport.sendMail(MAIL)
        assert caught.value.responseCode == 550
        with pytest.raises(TypeError, match="signal takes an AbortSignal"):
            transport.sendMail(MAIL, signal=True)
        for call in (transport.verify, lambda signal: transport.sendMail(MAIL, signal=signal)):
            with pytest.raises(SMTPError) as caught:
                call(signal=AbortSignal.abort())
            assert caught.value.code == "EABORT"


def test_wrong_options_are_refused_at_once():
    with pytest.raises(TypeError, match="did you mean"):
        createTransport(prot=25)


def test_the_end_of_a_block_waits_for_what_other_threads_have_asked_for(place):
    asked, going_on = threading.Event(), threading.Event()

    def script(peer):
        peer.greet()
        asked.set()
        assert going_on.wait(10)
        for _ in range(2):
            peer.take_message()
        peer.take_quit()

    infos = []
    with createTransport(place(script), pool=True, maxConnections=1) as transport:
        threads = [in_thread(lambda: infos.append(transport.sendMail(MAIL))) for _ in range(2)]
        assert asked.wait(10)
        wait_until(lambda: transport.transporter.pendingCount() == 2)
        transport._home.reactor.call_later(0.05, going_on.set)
    for one in threads:
        one.join(10)
    assert [info.accepted for info in infos] == [["b@example.com"]] * 2


def test_a_block_that_an_exception_leaves_gives_the_queue_up(place):
    def script(peer):
        peer.greet()
        wait_until(lambda: transport.transporter.pendingCount() == 2)
        leaving.set()
        wait_until(lambda: errors)
        peer.take_message()
        peer.take_quit()

    def send():
        try:
            infos.append(transport.sendMail(MAIL))
        except SMTPError as exc:
            errors.append(exc)

    def leave():
        with transport:
            threads.extend(in_thread(send) for _ in range(2))
            assert leaving.wait(10)
            wait_until(lambda: transport.transporter.stats().sending == 1)
            raise LookupError

    leaving = threading.Event()
    infos, errors, threads = [], [], []
    transport = createTransport(place(script), pool=True, maxConnections=1)
    with pytest.raises(LookupError):
        leave()
    for one in threads:
        one.join(10)
    assert [info.accepted for info in infos] == [["b@example.com"]]
    assert [(exc.code, exc.inDoubt) for exc in errors] == [("ECONNECTION", False)]


# -- Ctrl-C ----------------------------------------------------------------------------------------


def test_an_interrupt_takes_the_mail_back(place):
    def script(peer):
        peer.greet()
        peer.expect("MAIL")  # of the other thread
        wait_until(lambda: transport.transporter.pendingCount() == 2)
        interrupt()
        wait_until(lambda: transport.transporter.pendingCount() == 1)
        peer.send("250 ok\r\n")
        peer.play("C: RCPT\nS: 250\nC: DATA\nS: 354")
        while peer.read_line() != ".":
            pass
        peer.send("250 queued\r\n")
        peer.take_quit()

    infos = []
    with createTransport(place(script), pool=True, maxConnections=1) as transport:
        other = in_thread(lambda: infos.append(transport.sendMail(MAIL)))
        wait_until(lambda: transport.transporter.stats().sending == 1)
        with (
            handling(signal.SIGINT, signal.default_int_handler),
            pytest.raises(KeyboardInterrupt),
        ):
            transport.sendMail({**MAIL, "text": "of this thread"})
        other.join(10)
    assert [info.accepted for info in infos] == [["b@example.com"]]


def test_an_interrupt_of_the_end_gives_the_queue_up(place):
    """What is being sent is finished."""

    def script(peer):
        peer.greet()
        peer.expect("MAIL")
        closing.set()
        wait_until(lambda: transport._mailer._closed)
        interrupt()
        wait_until(lambda: errors)
        peer.send("250 ok\r\n")
        peer.play("C: RCPT\nS: 250\nC: DATA\nS: 354")
        while peer.read_line() != ".":
            pass
        peer.send("250 queued\r\n")
        peer.take_quit()

    def send():
        try:
            infos.append(transport.sendMail(MAIL))
        except SMTPError as exc:
            errors.append(exc)

    closing = threading.Event()
    infos, errors = [], []
    transport = createTransport(place(script), pool=True, maxConnections=1)
    threads = [in_thread(send) for _ in range(2)]
    assert closing.wait(10)
    wait_until(lambda: transport.transporter.pendingCount() == 2)
    with (
        handling(signal.SIGINT, signal.default_int_handler),
        pytest.raises(KeyboardInterrupt),
    ):
        transport.close({"drain": True})
    for one in threads:
        one.join(10)
    assert (len(infos), [exc.inDoubt for exc in errors]) == (1, [False])


def test_a_signal_of_the_callers_own(place):
    def script(peer):
        peer.greet()
        peer.expect("MAIL")
        controller.abort()
        peer.expect_end()

    controller = AbortController()
    with (
        createTransport(place(script)) as transport,
        pytest.raises(SMTPError, match="abort") as caught,
    ):
        transport.sendMail(MAIL, signal=controller.signal)
    assert caught.value.code == "EABORT"


# -- plugins and listeners -------------------------------------------------------------------------


def test_plugins_and_listeners_run_on_the_other_thread(place):
    def plugin(mail, callback):
        names.add(threading.current_thread().name)
        mail.data["subject"] = transport.get("subject")
        callback()

    def hear(entry):
        names.add(threading.current_thread().name)
        said.append(entry.message)

    names, said = set(), []
    with createTransport(place(content_with), debug=True) as transport:
        transport.set("subject", "of the plugin").use("compile", plugin).on("log", hear)
        transport.sendMail(MAIL)
    assert names == {"smtp_connection reactor"}
    assert any("Subject: of the plugin" in text for text in said)


def test_plugins_are_told_not_to_wait(place):
    def plugin(mail, callback):
        with pytest.raises(RuntimeError, match="would wait for the thread on which it runs"):
            transport.verify()
        callback()

    with createTransport(place(content_with)) as transport:
        transport.use("compile", plugin)
        assert transport.sendMail(MAIL).accepted


# -- the life of a process -------------------------------------------------------------------------


def test_after_a_fork_the_child_is_told(place):
    def child():
        for call in (transport.verify, lambda: transport.sendMail(MAIL)):
            with pytest.raises(RuntimeError, match="make one after fork"):
                call()
        transport.close()
        with createTransport(host=server.host, port=server.port) as own:
            assert own.sendMail(MAIL).accepted

    with mail_server() as server, createTransport(place(content_with)) as transport:
        assert in_child(child)
        transport.sendMail(MAIL)
    assert len(server.mailbox.envelopes) == 1


def test_it_has_the_methods_of_the_one_with_callbacks():
    for name, method in inspect.getmembers(Mailer, inspect.isfunction):
        if name.startswith("_") or method.__module__ != Mailer.__module__:
            continue
        if name in ("plugins_of", "prepared", "hand_over", "report"):
            continue
        ours = getattr(Transport, name)
        assert ours.__doc__
        theirs = set(inspect.signature(method).parameters) - {"callback"}
        assert set(inspect.signature(ours).parameters) == theirs, name
