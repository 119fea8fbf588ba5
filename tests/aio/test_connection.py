"""``smtp_connection.aio``: the same connection, with coroutines, on each kind of loop."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from smtp_connection import AbortController, AbortSignal, Reactor, SMTPError
from smtp_connection import SMTPConnection as CallbackConnection
from smtp_connection.aio import SMTPConnection
from tests.support.helpers import garbage_of
from tests.support.sessions import ENVELOPE, PASSWORD

MESSAGE = "Subject: hi\n\nhello"


@pytest.fixture
def place(smtp_server):
    return {"host": smtp_server.host, "port": smtp_server.port}


# -- sessions --------------------------------------------------------------------------------------


def test_a_session_with_all_there_is(run, smtp_server, place):
    smtp_server.auth("me", "s3cr3t")
    smtp_server.reject("c@example.com", "550 5.1.1 unknown")

    async def main():
        connection = SMTPConnection(place)
        await connection.connect()
        assert (connection.stage, connection.authenticated) == ("connected", False)
        assert await connection.login(PASSWORD) is True
        assert connection.authenticated
        info = await connection.send(ENVELOPE, MESSAGE)
        assert info.accepted == ["b@example.com"]
        assert await connection.reset() is True
        assert await connection.noop() is True
        assert (await connection.command("VRFY b")).status == 252
        probed = await connection.probe({"from": "", "to": ["b@example.com", "c@example.com"]})
        assert probed.rejected == ["c@example.com"]
        await connection.quit()
        assert connection.destroyed
        assert connection.reactor.hosting is None

    run(main())
    (message,) = smtp_server.messages
    assert message.content == b"Subject: hi\r\n\r\nhello\r\n"


def test_a_with_block_connects_and_quits(run, smtp_server, place):
    async def main():
        async with SMTPConnection(place) as connection:
            await connection.send(ENVELOPE, MESSAGE)
        assert connection.destroyed

    run(main())
    run(main())
    assert len(smtp_server.messages) == 2
    assert [session.commands[-1] for session in smtp_server.sessions] == ["QUIT"] * 2


def test_a_with_block_that_an_exception_leaves_closes_at_once(run, smtp_server, place):
    async def main():
        async with SMTPConnection(place) as connection:
            seen.append(connection)
            raise LookupError

    seen = []
    with pytest.raises(LookupError):
        run(main())
    assert seen[0].destroyed
    assert "QUIT" not in smtp_server.sessions[0].commands


def test_a_with_block_ends_where_the_server_has_hung_up(run, serve):
    async def main():
        async with SMTPConnection(host=server.host, port=server.port) as connection:
            ended = asyncio.Event()
            connection.on("end", ended.set)
            await ended.wait()
            assert connection.destroyed

    server = serve(lambda peer: peer.greet())
    run(main())


def test_many_tasks_send_in_the_order_of_their_calls(run, smtp_server, place):
    async def main():
        async with SMTPConnection(place) as connection:
            sends = (connection.send(ENVELOPE, f"Subject: {number}\n\n") for number in range(20))
            infos = await asyncio.gather(*sends)
            assert [info.accepted for info in infos] == [["b@example.com"]] * 20

    run(main())
    subjects = [received.message["Subject"] for received in smtp_server.messages]
    assert subjects == [str(number) for number in range(20)]


def test_many_connections_share_the_reactor_of_the_loop(run, smtp_server, place):
    async def main():
        async def session():
            async with SMTPConnection(place) as connection:
                reactors.add(connection.reactor)
                await connection.send(ENVELOPE, MESSAGE)

        await asyncio.gather(*(session() for _ in range(10)))

    reactors = set()
    run(main())
    assert len(smtp_server.messages) == 10
    assert len(reactors) == 1


def test_loops_of_several_threads(smtp_server, place):
    async def main():
        async with SMTPConnection(place) as connection:
            for _ in range(5):
                await connection.send(ENVELOPE, MESSAGE)
                barrier.wait(10)

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(smtp_server.messages) == 15


def test_a_connection_that_is_made_before_the_loop_runs(run, smtp_server, place):
    async def main():
        await connection.connect()
        await connection.send(ENVELOPE, MESSAGE)
        await connection.quit()

    connection = SMTPConnection(place)
    run(main())
    assert len(smtp_server.messages) == 1


def test_a_session_may_go_on_in_the_next_loop(smtp_server, place):
    async def first():
        await connection.connect()

    async def second():
        await connection.send(ENVELOPE, MESSAGE)
        await connection.quit()

    connection = SMTPConnection(place)
    asyncio.run(first())
    asyncio.run(second())
    assert len(smtp_server.messages) == 1


def test_another_thread_is_told_that_the_loop_is_not_its_own(run_here, place):
    async def main():
        async with SMTPConnection(place) as connection:
            with pytest.raises(RuntimeError, match="another thread"):
                await asyncio.to_thread(asyncio.run, connection.noop())
            await connection.noop()

    run_here(main())


def test_a_reactor_of_the_callers_own_stays_attached(run, reactor, place):
    async def main():
        async with SMTPConnection(place, reactor=reactor) as connection:
            assert connection.reactor is reactor
            await connection.noop()
        assert reactor.hosting is not None
        while reactor.has_work:
            await asyncio.sleep(0)
        reactor.hosting.detach()

    run(main())


def test_quit_returns_when_the_socket_is_closed(run, serve):
    def script(peer):
        peer.greet()
        peer.play("C: QUIT\nS: 221 bye")
        peer.expect_end()

    async def main():
        async with SMTPConnection(host=server.host, port=server.port) as connection:
            await connection.quit()
            assert not connection.reactor._handles

    server = serve(script)
    run(main())


# -- failures --------------------------------------------------------------------------------------


def test_failures_are_raised_and_the_connection_goes_on(run, smtp_server, place):
    smtp_server.auth("me", "s3cr3t")
    smtp_server.reject("b@example.com", "550 5.1.1 unknown")

    async def main():
        async with SMTPConnection(place) as connection:
            with pytest.raises(SMTPError) as caught:
                await connection.login({"user": "me", "pass": "wrong"})
            assert caught.value.code == "EAUTH"
            await connection.login(PASSWORD)
            with pytest.raises(SMTPError, match="All recipients were refused: 550"):
                await connection.send(ENVELOPE, MESSAGE)
            with pytest.raises(SMTPError) as caught:
                await connection.send({"from": "a@x.org", "to": "b\n@x.org"}, MESSAGE)
            assert caught.value.code == "EENVELOPE"
            with pytest.raises(TypeError, match="signal takes an AbortSignal; got int"):
                await connection.noop(signal=5)
            assert await connection.noop()

    run(main())


def test_a_connect_that_fails_leaves_nothing_behind(run, place):
    async def main():
        connection = SMTPConnection(host="127.0.0.1", port=1)
        connection.on("error", errors.append)
        with pytest.raises(SMTPError) as caught:
            await connection.connect()
        assert caught.value.code == "ECONNREFUSED"
        assert connection.destroyed
        assert errors == [caught.value]
        await connection.wait_closed()
        await connection.quit()

    errors = []
    run(main())


def test_whoever_hears_of_the_end_finds_the_connection_closed(run, serve):
    def script(peer):
        peer.greet()
        peer.expect("NOOP")
        peer.close()

    async def main():
        connection = SMTPConnection(host=server.host, port=server.port)
        connection.on("end", lambda: ends.append("end"))
        await connection.connect()
        waiting = [connection.noop(), connection.reset()]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [error.code for error in results] == ["ECONNECTION"] * 2
        assert ends == ["end"]
        assert connection.reactor.hosting is None
        with pytest.raises(SMTPError) as caught:
            await connection.noop()
        assert caught.value.code == "ECONNECTION"

    ends = []
    server = serve(script)
    run(main())


def test_before_connect_and_twice(run, place):
    async def main():
        connection = SMTPConnection(place)
        for call in (connection.noop, connection.quit):
            with pytest.raises(SMTPError, match="call connect"):
                await call()
        await connection.wait_closed()
        await connection.connect()
        with pytest.raises(SMTPError, match="connect\\(\\) was called before"):
            await connection.connect()
        assert await connection.noop()
        await connection.quit()
        await connection.quit()

    run(main())


def test_a_connection_that_is_closed_before_it_connects(run, place):
    async def main():
        connection = SMTPConnection(place)
        connection.close()
        with pytest.raises(SMTPError, match="it is closed"):
            await connection.connect()
        await connection.wait_closed()

    run(main())


def test_close_ends_what_others_wait_for(run, serve):
    def script(peer):
        peer.greet()
        peer.expect_end()

    async def main():
        connection = SMTPConnection(host=server.host, port=server.port)
        await connection.connect()
        waiting = asyncio.ensure_future(connection.noop())
        await asyncio.sleep(0)
        connection.close()
        with pytest.raises(SMTPError) as caught:
            await waiting
        assert caught.value.code == "ECONNECTION"
        await connection.wait_closed()
        assert connection.reactor.hosting is None

    server = serve(script)
    run(main())


def test_a_signal_aborts(run_here, at_desk):
    async def main():
        desk = at_desk()
        await desk.open()
        first = asyncio.ensure_future(desk.connection.noop())
        controller = AbortController()
        second = asyncio.ensure_future(desk.connection.noop(signal=controller.signal))
        await desk.feed()
        controller.abort("why")
        with pytest.raises(SMTPError, match="The operation was aborted: why"):
            await second
        await desk.feed("250 ok")
        assert await first
        with pytest.raises(SMTPError) as caught:
            await desk.connection.noop(signal=AbortSignal.timeout(0))
        assert caught.value.code == "EABORT"

    run_here(main())


# -- events and attributes -------------------------------------------------------------------------


def test_events_are_as_before(run, place):
    async def main():
        connection = SMTPConnection(place, debug=True)
        events = []
        connection.on("connect", lambda: events.append("connect")).once(
            "end", lambda: events.append("end")
        )
        connection.on("log", lambda entry: events.append(entry.type))
        connection.on("log", events.append).off("log", events.append)
        async with connection:
            await connection.noop()
        assert events[0] == "socket"
        assert events.count("connect") == events.count("end") == 1
        assert events.index("connect") < events.index("client", events.index("connect"))
        assert set(events) == {"socket", "server", "client", "connect", "end"}
        assert connection.listenerCount("log") == 1

    run(main())


def test_nobody_is_listened_to_in_vain(run, place):
    async def main():
        connection = SMTPConnection(place, debug=True)
        assert not connection._connection.listeners("log")
        connection.on("log", print)
        assert len(connection._connection.listeners("log")) == 1

    run(main())


def test_an_error_that_nobody_hears_goes_to_the_handler(run_here, serve):
    def script(peer):
        peer.greet()
        peer.send("250 nobody has asked\r\n")
        peer.expect_end()

    async def main():
        connection = SMTPConnection(host=server.host, port=server.port)
        await connection.connect()
        await connection.wait_closed()

    server = serve(script)
    run_here(main())
    (context,) = run_here.errors
    assert context["exception"].code == "EPROTOCOL"
    run_here.errors.clear()


def test_what_a_listener_raises_goes_to_the_handler(run_here, place):
    async def main():
        connection = SMTPConnection(place)
        connection.on("connect", lambda: [][0])
        connection.on("end", lambda: [][0])
        async with connection:
            await connection.noop()

    run_here(main())
    assert [type(each["exception"]) for each in run_here.errors] == [IndexError] * 2
    run_here.errors.clear()


def test_it_has_the_attributes_of_the_one_with_callbacks(reactor):
    def attributes(connection):
        names = {name for name in dir(connection) if not name.startswith("_")}
        return {name for name in names if not callable(getattr(connection, name))}

    options = {"host": "mx.example.com", "port": 2525, "name": "me"}
    ours = SMTPConnection(options, reactor=reactor)
    theirs = CallbackConnection(options, reactor=reactor)
    assert attributes(ours) == attributes(theirs)
    for name in attributes(ours) - {"id", "options", "capabilities"}:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.options) == dict(theirs.options)
    assert dict(ours.capabilities) == dict(theirs.capabilities)


def test_it_has_the_methods_of_the_one_with_callbacks():
    for name, method in inspect.getmembers(CallbackConnection, inspect.isfunction):
        if name.startswith("_") or name == "close":
            continue
        ours = getattr(SMTPConnection, name)
        if method.__module__ == CallbackConnection.__module__:
            assert inspect.iscoroutinefunction(ours), name
            assert ours.__doc__
            theirs = set(inspect.signature(method).parameters) - {"callback"}
            expected = theirs - ({"signal"} if name == "quit" else set())
            assert set(inspect.signature(ours).parameters) == expected, name
        else:
            assert ours is method, name


def test_wrong_options_are_refused_at_once():
    with pytest.raises(TypeError, match="did you mean"):
        SMTPConnection(prot=25)


# -- what is left ----------------------------------------------------------------------------------


async def succeed(connection):
    await connection.noop()


async def fail(connection):
    with pytest.raises(SMTPError):
        await connection.send({"from": "", "to": ""}, "hi")
    with pytest.raises(SMTPError):
        await connection.command("QUIT")


async def lose(connection):
    with pytest.raises(SMTPError):
        await connection.reset()


async def give_up(connection):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(connection.command("WAIT"), 0.01)


@pytest.mark.parametrize("what", [succeed, fail, lose, give_up])
def test_no_garbage_is_left(serve, what):
    def script(peer):
        peer.greet()
        while (line := peer.read_line()) not in ("QUIT", "RSET"):
            if line == "WAIT":
                peer.expect_end()
                return
            peer.send("250 ok\r\n")

    async def main():
        async with SMTPConnection(host=server.host, port=server.port) as connection:
            connection.on("end", lambda: None).on("error", lambda: None)
            await what(connection)

    server = serve(script)
    loop = asyncio.new_event_loop()
    try:
        assert garbage_of(lambda: loop.run_until_complete(main())) == []
    finally:
        loop.close()


def test_a_connection_that_never_connects_needs_no_end():
    SMTPConnection()

    async def main():
        SMTPConnection()

    asyncio.run(main())


def test_a_reactor_is_gone_with_the_last_connection(place):
    async def main():
        async with SMTPConnection(place) as connection:
            reactor = connection.reactor
        again = SMTPConnection(place)
        assert again.reactor is reactor
        del connection, again
        return reactor

    reactor = asyncio.run(main())
    assert isinstance(reactor, Reactor)
    assert reactor.hosting is None
