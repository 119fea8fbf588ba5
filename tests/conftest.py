"""What all tests share: a reactor that must end up empty, servers that play scripts, a diary of
events."""

from __future__ import annotations

import gc
import os
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.reactor.threads import release_workers
from tests.support.diary import Diary
from tests.support.helpers import MovableClock, has_events, open_files
from tests.support.scripted_server import HandFedPeer, Script, ScriptedServer

# Where the package is installed, its entry point has loaded it under the same name.
pytest_plugins = ["smtp_connection.pytest_plugin"]

settings.register_profile("no deadline", deadline=None)  # a busy machine fails no test
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that differ from run to run: the workers of pytest-xdist have to agree."""
    for item in items:
        if re.search(r" at 0x[0-9a-f]", item.name):
            raise pytest.UsageError(f"{item.nodeid} is named after an address in memory: use ids")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a thread or a descriptor behind."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    files, threads = open_files(), set(threading.enumerate())
    yield
    release_workers()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive(), f"{thread} is left over"
    left = open_files() - files
    if left:
        gc.collect()  # warns of what nobody has closed
        left = open_files() - files
    assert not left, f"descriptors are left over: {left}"


@pytest.fixture
def movable_clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def let_pass(movable_clock: MovableClock, reactor: Reactor) -> Callable[[float], None]:
    """Let seconds pass for the reactor, as soon as it has nothing to do but to wait, without
    waiting oneself: ``let_pass(30)``.  For scripts: it returns when that has happened."""

    def jump(seconds: float) -> None:
        done = threading.Event()

        def jump_when_idle() -> None:
            if reactor.next_timeout() == 0 or has_events(reactor):
                reactor.call_soon(jump_when_idle)
            else:
                movable_clock.ahead += seconds
                done.set()

        reactor.call_soon_threadsafe(jump_when_idle)
        assert done.wait(10), "the reactor is not running, or never idle"

    return jump


@pytest.fixture
def reactor(movable_clock: MovableClock) -> Iterator[Reactor]:
    """A reactor of the test's own; nothing may be left on it when the test is over."""
    with Reactor(clock=movable_clock) as reactor:
        yield reactor
        assert not reactor._handles, f"still watched: {reactor._handles}"
        assert not reactor._timers.live, f"still due: {reactor._timers.heap}"
        assert not len(reactor._jobs.unfinished), "a worker thread is still waited for"


@pytest.fixture(scope="session")
def ipv6() -> str:
    """The loopback address of IPv6; where there is none, the test is skipped."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError as exc:
        pytest.skip(f"this machine has no IPv6 on its loopback interface: {exc}")
    return "::1"


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers: ``server = serve(script, ...)``."""
    servers: list[ScriptedServer] = []

    def start(*scripts: Script, host: str = "127.0.0.1") -> ScriptedServer:
        servers.append(ScriptedServer(*scripts, host=host))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def connect_to(reactor: Reactor, diary: Diary) -> Callable[..., SMTPConnection]:
    """Make a connection to a scripted server that keeps the diary: ``connect_to(server, ...)``."""

    def make(server: ScriptedServer, *, errors: bool = True, **options: Any) -> SMTPConnection:
        connection = SMTPConnection(
            {"host": server.host, "port": server.port, "debug": True, **options}, reactor=reactor
        )
        diary.listen(connection, errors)
        return connection

    return make


@pytest.fixture
def by_hand(reactor: Reactor, diary: Diary) -> Iterator[Callable[..., Any]]:
    """Make a connection whose server is the test: ``connection, peer = by_hand(...)``."""
    peers: list[HandFedPeer] = []

    def make(
        *, kind: int = socket.SOCK_STREAM, errors: bool = True, **options: Any
    ) -> tuple[SMTPConnection, HandFedPeer]:
        peer = HandFedPeer(reactor, kind)
        peers.append(peer)
        options = {"connection": peer.client_end, "debug": True, "name": "me", **options}
        connection = SMTPConnection(options, reactor=reactor)
        diary.listen(connection, errors)
        return connection, peer

    yield make
    for peer in peers:
        peer.hang_up()
        peer.client_end.close()


@pytest.fixture(scope="session")
def authority() -> Any:
    """A certificate authority."""
    import trustme

    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(authority: Any) -> ssl.SSLContext:
    """The context of a server at 127.0.0.1, with a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port on which nobody accepts, and whose queue of connections is full."""
    if not sys.platform.startswith("linux"):
        pytest.skip("elsewhere a full queue refuses connections")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()
