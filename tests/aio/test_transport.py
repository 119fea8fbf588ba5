"""``smtp_connection.aio.createTransport``: mails, plugins and listeners in coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect

import pytest

from smtp_connection import AbortController, AbortSignal, SMTPError
from smtp_connection.aio import Transport, createTransport
from smtp_connection.transports.mailer import Mailer
from tests.aio.conftest import turns

MAIL = {"from": "a@example.com", "to": "b@example.com", "subject": "hi", "text": "hello"}


@pytest.fixture
def place(smtp_server):
    return {"host": smtp_server.host, "port": smtp_server.port, "name": "me"}


@pytest.fixture
def stalled(serve):
    """Return options of a server that gives no verdict."""

    def script(peer):
        with contextlib.suppress(EOFError, OSError):
            peer.greet()
            while peer.read_line() != "DATA":
                peer.send("250 ok\r\n")
            peer.send("354 go\r\n")
            peer.expect_end()

    server = serve(script)
    return {"host": server.host, "port": server.port, "name": "me", "maxConnections": 1}


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


# -- mails -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", [False, True])
def test_mails_are_sent(run, smtp_server, place, pool):
    smtp_server.auth("me", "s3cr3t")

    async def main():
        login = {"user": "me", "pass": "s3cr3t"}
        transport = createTransport({**place, "pool": pool, "auth": login}, {"subject": "default"})
        async with transport:
            assert await transport.verify() is True
            info = await transport.sendMail(MAIL)
            assert info.accepted == ["b@example.com"]
            assert info.envelope == {"from": "a@example.com", "to": ["b@example.com"]}
            assert info.messageId in smtp_server.messages[-1].content.decode()
        assert transport.reactor.hosting is None

    run(main())
    run(main())
    assert len(smtp_server.messages) == 2


def test_many_tasks_share_a_pool(run, smtp_server, place):
    async def main():
        async with createTransport(place, pool=True, maxConnections=3) as transport:
            mails = ({**MAIL, "subject": str(number)} for number in range(30))
            infos = await asyncio.gather(*(transport.sendMail(mail) for mail in mails))
            assert [info.accepted for info in infos] == [["b@example.com"]] * 30

    run(main())
    assert len(smtp_server.messages) == 30
    subjects = {received.message["Subject"] for received in smtp_server.messages}
    assert subjects == {str(number) for number in range(30)}
    assert len(smtp_server.sessions) <= 3


def test_a_failure_is_raised(run, smtp_server, place):
    smtp_server.reject("b@example.com", "550 5.1.1 unknown")

    async def main():
        async with createTransport(place, pool=True) as transport:
            with pytest.raises(SMTPError) as caught:
                await transport.sendMail(MAIL)
            assert caught.value.rejected == ["b@example.com"]
            with pytest.raises(TypeError, match="signal takes an AbortSignal"):
                await transport.sendMail(MAIL, signal=True)
            smtp_server.reset()
            await transport.sendMail(MAIL)

    run(main())


def test_a_server_that_is_not_there(run, place):
    async def main():
        async with createTransport(host="127.0.0.1", port=1, pool=True) as transport:
            for call in (transport.verify(), transport.sendMail(MAIL)):
                with pytest.raises(SMTPError) as caught:
                    await call
                assert caught.value.code == "ECONNREFUSED"
        assert transport.reactor.hosting is None

    run(main())


def test_leaving_the_block_with_an_exception_takes_the_queue_back(run, stalled):
    async def leave():
        async with createTransport(stalled, pool=True) as transport:
            waiting.extend(asyncio.ensure_future(transport.sendMail(MAIL)) for _ in range(3))
            transport.on("log", lambda entry: said.append(entry.message))
            await until(lambda: "DATA" in said)
            raise LookupError

    async def main():
        with pytest.raises(LookupError):
            await leave()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        told = [(each.code, each.inDoubt) for each in outcomes]
        assert told == [("ETIMEDOUT", True), ("ECONNECTION", False), ("ECONNECTION", False)]

    said, waiting = [], []
    stalled.update(debug=True, socketTimeout=500)

    run(main())


def test_a_loop_of_its_own_each_time(place, smtp_server):
    transport = createTransport(place, pool=True)

    async def main():
        await transport.sendMail(MAIL)

    asyncio.run(main())
    asyncio.run(main())
    asyncio.run(transport.close())
    assert len(smtp_server.messages) == 2


def test_a_reactor_of_the_callers_own_stays_attached(run, reactor, place):
    async def main():
        async with createTransport(place, reactor=reactor) as transport:
            assert transport.reactor is reactor
            await transport.sendMail(MAIL)
        assert reactor.hosting is not None
        while reactor.has_work:
            await asyncio.sleep(0)
        reactor.hosting.detach()

    run(main())


# -- who no longer wants it ------------------------------------------------------------------------


def test_a_task_that_is_cancelled_takes_its_mail_back(run, stalled):
    async def main():
        transport = createTransport(stalled, pool=True)
        sent = asyncio.ensure_future(transport.sendMail(MAIL))
        await turns()
        waiting = asyncio.ensure_future(transport.sendMail(MAIL))
        await turns()
        assert transport.transporter.pendingCount() == 2
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert transport.transporter.pendingCount() == 1
        await transport.close({"force": True})
        with pytest.raises(SMTPError):
            await sent

    run(main())


def test_a_task_that_is_cancelled_hears_of_a_mail_in_doubt(run, stalled):
    """As with a connection: what may have been accepted is told, not lost."""

    async def main():
        transport = createTransport(stalled, pool=True, debug=True, socketCloseTimeout=10)
        said = []
        transport.on("log", lambda entry: said.append(entry.message))
        sent = asyncio.ensure_future(transport.sendMail(MAIL))
        await until(lambda: any(text.endswith("\r\n.") for text in said))
        sent.cancel()
        with pytest.raises(SMTPError) as caught:
            await sent
        assert caught.value.inDoubt
        await transport.close()

    run(main())


def test_a_signal_aborts(run, stalled):
    async def main():
        transport = createTransport(stalled, pool=True)
        first = asyncio.ensure_future(transport.sendMail(MAIL))
        await turns()
        controller = AbortController()
        call = transport.sendMail(MAIL, signal=controller.signal)
        waiting = asyncio.ensure_future(call)
        await turns()
        controller.abort()
        for call in (waiting, transport.verify(signal=AbortSignal.abort())):
            with pytest.raises(SMTPError) as caught:
                await call
            assert caught.value.code == "EABORT"
        await transport.close({"force": True})
        with pytest.raises(SMTPError):
            await first

    run(main())


def test_a_verification_that_takes_too_long(run, serve):
    server = serve(lambda peer: peer.expect_end())

    async def main():
        async with createTransport(host=server.host, port=server.port) as transport:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(transport.verify(), 0.01)

    run(main())


# -- plugins and listeners -------------------------------------------------------------------------


def test_plugins_may_be_coroutine_functions(run, smtp_server, place):
    async def compile_plugin(mail):
        await asyncio.sleep(0)
        mail.data["subject"] = "changed"

    async def stream_plugin():
        ran.append("stream")

    def with_callback(mail, callback):
        ran.append("callback")
        callback()

    ran = []

    async def main():
        async with createTransport(place) as transport:
            assert transport.use("compile", compile_plugin) is transport
            transport.use("stream", stream_plugin).use("stream", with_callback)
            await transport.sendMail(MAIL)

    run(main())
    assert smtp_server.messages[0].message["Subject"] == "changed"
    assert ran == ["stream", "callback"]


def test_a_plugin_that_raises_fails_its_mail(run, smtp_server, place):
    async def fail(mail):
        raise LookupError("no such template")

    async def leave(mail):
        raise asyncio.CancelledError

    async def main():
        for plugin, text in ((fail, "no such template"), (leave, "the plugin was cancelled")):
            async with createTransport(place) as transport:
                transport.use("compile", plugin)
                with pytest.raises(SMTPError, match=text) as caught:
                    await transport.sendMail(MAIL)
                assert caught.value.code == "EMESSAGE"

    run(main())
    assert smtp_server.messages == []


def test_listeners_may_be_coroutine_functions(run, place):
    async def hear(entry):
        await asyncio.sleep(0)
        heard.append(entry.type)

    heard, idle = [], []

    async def main():
        async with createTransport(place, pool=True, maxConnections=1, debug=True) as transport:
            transport.on("log", hear).on("idle", lambda: idle.append(transport.isIdle()))
            await transport.sendMail(MAIL)
        await turns()

    run(main())
    assert {"socket", "client", "server"} <= set(heard)
    assert idle == [True]


def test_names_are_kept(run_here, place):
    async def main():
        async with createTransport(place) as transport:
            assert transport.set("key", 1).get("key") == 1
            assert transport.get("other") is None
            assert transport.isIdle()

    run_here(main())


def test_it_has_the_methods_of_the_one_with_callbacks():
    for name, method in inspect.getmembers(Mailer, inspect.isfunction):
        if name.startswith("_") or method.__module__ != Mailer.__module__:
            continue
        if name in ("plugins_of", "prepared", "hand_over", "report"):
            continue
        ours = getattr(Transport, name)
        assert ours.__doc__
        waits = "callback" in inspect.signature(method).parameters
        assert inspect.iscoroutinefunction(ours) == waits, name
        theirs = set(inspect.signature(method).parameters) - {"callback"}
        assert set(inspect.signature(ours).parameters) == theirs, name


# -- what is left ----------------------------------------------------------------------------------


def test_a_mail_leaves_no_garbage(serve):
    def script(peer):
        peer.greet()
        for _ in range(4):
            peer.take_message()
        peer.take_quit()

    async def send(transport):
        await transport.sendMail(MAIL)
        with contextlib.suppress(SMTPError):
            await transport.sendMail({})

    async def main():
        async with createTransport(host=server.host, port=server.port, pool=True) as transport:
            await send(transport)
            gc.collect()
            gc.disable()
            for _ in range(3):
                await send(transport)
            left.append(gc.collect())

    left = []
    server = serve(script)
    try:
        asyncio.run(main())
    finally:
        gc.enable()
    assert left == [0]
