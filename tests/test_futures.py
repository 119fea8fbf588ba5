"""Futures of operations: results, errors, and what cancel() means for mail."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

from smtp_connection import AbortSignal, SMTPConnection, SMTPError, future
from smtp_connection.hosting import attach
from smtp_connection.xoauth2 import createXOAuth2Generator
from tests.support.sessions import ENVELOPE, PASSWORD


@pytest.fixture
def started(reactor):
    """A reactor on a thread of its own."""
    reactor.start()
    yield reactor
    reactor.stop()
    reactor.run()  # until the servers have hung up


@pytest.fixture
def connect(serve, started):
    """Open a session with a server that then plays ``script``: ``connection = connect(script)``."""

    def make(script, *extensions, **options):
        def whole(peer):
            peer.greet(*extensions)
            script(peer)

        server = serve(whole)
        place = {"host": server.host, "port": server.port, **options}
        connection = SMTPConnection(place, reactor=started)
        assert future(connection.connect).result(10) is None
        return connection

    return make


# -- results and errors ----------------------------------------------------------------------------


def test_each_operation_has_a_future(connect):
    def script(peer):
        peer.play("C: AUTH PLAIN\nS: 235 in")
        peer.take_message()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 550 no\nC: RSET\nS: 250")
        peer.play("C: RSET\nS: 250\nC: NOOP\nS: 250\nC: HELP\nS: 214 help yourself")
        peer.expect_end()

    connection = connect(script, "AUTH PLAIN")
    done = [
        future(connection.login, PASSWORD),
        future(connection.send, ENVELOPE, "hi"),
        future(connection.probe, ENVELOPE),
        future(connection.reset),
        future(connection.noop),
        future(connection.command, "HELP"),
    ]
    concurrent.futures.wait(done, 10)
    login, sent, probed, reset, noop, said = (each.result(0) for each in done)
    assert (login, reset, noop) == (True, True, True)
    assert sent.accepted == ["b@example.com"]
    assert probed.rejected == ["b@example.com"]
    assert said.text == "help yourself"
    connection.close()


def test_login_without_auth_uses_the_option(connect):
    def script(peer):
        peer.play("C: AUTH PLAIN\nS: 235 in")
        peer.expect_end()

    connection = connect(script, "AUTH PLAIN", auth=PASSWORD)
    assert future(connection.login).result(10) is True
    connection.close()


def test_the_error_is_that_of_the_operation(connect):
    def script(peer):
        peer.play("C: MAIL\nS: 550 5.7.1 not you")
        peer.expect_end()

    connection = connect(script)
    sent = future(connection.send, ENVELOPE, "hi")
    with pytest.raises(SMTPError, match="not you") as caught:
        sent.result(10)
    assert (caught.value.code, caught.value.responseCode) == ("EENVELOPE", 550)
    assert sent.exception() is caught.value
    connection.close()


def test_what_is_done_afterwards_is_done_by_the_reactor(connect):
    added, called = threading.Event(), threading.Event()

    def script(peer):
        assert added.wait(10)
        peer.take_message()
        peer.expect_end()

    connection = connect(script)
    threads = []

    def note(done):
        threads.append(threading.current_thread().name)
        assert done.result().accepted == ["b@example.com"]
        called.set()

    future(connection.send, ENVELOPE, "hi").add_done_callback(note)
    added.set()
    assert called.wait(10)
    assert threads == ["smtp_connection reactor"]
    connection.close()


def test_asyncio_waits_for_one(connect):
    def script(peer):
        peer.take_message()
        peer.expect_end()

    connection = connect(script)

    async def main():
        return await asyncio.wait_for(
            asyncio.wrap_future(future(connection.send, ENVELOPE, "hi")), 10
        )

    assert asyncio.run(main()).accepted == ["b@example.com"]
    connection.close()


def test_the_reactor_does_not_wait_for_itself(connect, started):
    connection = connect(lambda peer: peer.expect_end())
    errors = []
    tried = threading.Event()

    def wait():
        noop = future(connection.noop)
        for method in (noop.result, noop.exception):
            try:
                method(10)
            except RuntimeError as exc:
                errors.append(str(exc))
        tried.set()

    started.call_soon(wait)
    assert tried.wait(10)
    assert len(errors) == 2
    assert "would wait for that reactor itself" in errors[0]
    connection.close()


@pytest.mark.parametrize("method", ["quit", "close", "on"])
def test_what_takes_no_callback_has_no_future(reactor, method):
    connection = SMTPConnection(reactor=reactor)
    with pytest.raises(TypeError, match=f"takes a callback.*{method}"):
        future(getattr(connection, method))


def test_a_token_generator_has_futures_as_well(started):
    generator = createXOAuth2Generator({"user": "me", "accessToken": "t0k3n"}, reactor=started)
    token = future(generator.getToken).result(10)
    assert "t0k3n" not in token  # it is base64
    assert not future(generator.getToken).cancel()


# -- cancel() --------------------------------------------------------------------------------------


def test_what_has_not_begun_is_taken_back(connect):
    asked, going_on = threading.Event(), threading.Event()

    def script(peer):
        peer.expect("NOOP")
        asked.set()
        assert going_on.wait(10)
        peer.send("250 ok\r\n")
        peer.play("C: RSET\nS: 250")
        peer.expect_end()

    connection = connect(script)
    noop, sent, reset = (
        future(connection.noop),
        future(connection.send, ENVELOPE, "hi"),
        future(connection.reset),
    )
    assert asked.wait(10)
    assert sent.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        sent.result(10)
    assert sent.cancelled()
    assert not sent.cancel()
    going_on.set()
    assert noop.result(10) is True
    assert reset.result(10) is True
    connection.close()


def test_what_is_under_way_is_cut_off_with_the_connection(connect):
    asked = threading.Event()

    def script(peer):
        peer.play("C: MAIL\nS: 250")
        peer.expect("RCPT")
        asked.set()
        assert peer.expect_end() == b""

    connection = connect(script)
    sent, behind = future(connection.send, ENVELOPE, "hi"), future(connection.noop)
    assert asked.wait(10)
    assert sent.cancel()
    done, _ = concurrent.futures.wait([sent, behind], 10)
    assert done == {sent, behind}
    assert sent.cancelled()
    assert behind.exception().code == "ECONNECTION"
    assert not behind.cancel()


@pytest.mark.parametrize("verdict", ["accepted", "none"])
def test_a_message_that_may_have_been_accepted_is_not_cancelled(connect, verdict):
    taken, cancelled = threading.Event(), threading.Event()

    def script(peer):
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.read_message()
        taken.set()
        assert cancelled.wait(10)
        if verdict == "accepted":
            peer.send("250 2.0.0 queued\r\n")
        peer.expect_end()

    patience = 10_000 if verdict == "accepted" else 1
    connection = connect(script, socketCloseTimeout=patience)
    sent = future(connection.send, ENVELOPE, "hi")
    assert taken.wait(10)
    assert sent.cancel()
    cancelled.set()
    if verdict == "accepted":
        assert sent.result(10).response == "250 2.0.0 queued"
    else:
        assert sent.exception(10).inDoubt
    assert not sent.cancelled()
    connection.close()


def test_a_signal_of_the_callers_is_no_cancellation(connect):
    connection = connect(lambda peer: peer.expect_end())
    noop = future(connection.noop, signal=AbortSignal.abort())
    assert noop.exception(10).code == "EABORT"
    assert not noop.cancelled()
    connection.close()


def test_asyncio_cancels_one(connect):
    asked = threading.Event()

    def script(peer):
        peer.expect("NOOP")
        asked.set()
        peer.expect_end()

    connection = connect(script)
    noop = future(connection.noop)
    assert asked.wait(10)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(noop), 0.01)

    asyncio.run(main())
    concurrent.futures.wait([noop], 10)
    assert noop.cancelled()


def test_a_loop_that_hosts_the_reactor_does_not_wait_for_itself(reactor, smtp_server):
    async def main():
        with attach(reactor):
            connection = SMTPConnection(
                host=smtp_server.host, port=smtp_server.port, reactor=reactor
            )
            opened = future(connection.connect)
            with pytest.raises(RuntimeError, match="would wait for itself"):
                opened.result()
            await asyncio.wrap_future(opened)
            info = await asyncio.wrap_future(future(connection.send, ENVELOPE, "Subject: hi"))
            connection.quit()
            while reactor.has_work:
                await asyncio.sleep(0)
            return info

    assert asyncio.run(main()).accepted
    assert len(smtp_server.messages) == 1
