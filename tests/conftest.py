"""What all tests share: a reactor that must end up empty, scripted servers, a diary of events."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPConnection

from .scripted_server import Script, ScriptedServer


def _open_files() -> set[tuple[str, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except OSError:
            pass  # the one that listed the folder
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a thread or a descriptor behind."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    files, threads = _open_files(), set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive(), f"{thread} is left over"
    gc.collect()
    left = _open_files() - files
    assert not left, f"descriptors are left over: {left}"


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor of the test's own; nothing may be left on it when the test is over."""
    with Reactor() as reactor:
        yield reactor
        assert not reactor._handles, f"still watched: {reactor._handles}"
        assert not reactor._live_timers, f"still due: {reactor._timers}"
        assert not reactor._live_jobs, "a worker thread is still waited for"


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


class Diary:
    """Writes down what a connection emits and what its callbacks get, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.log: list[tuple[str, str]] = []

    def listen(self, connection: SMTPConnection, errors: bool = True) -> None:
        """Listen to all events of ``connection`` (``'error'`` only with ``errors``)."""
        connection.on("connect", lambda: self.entries.append(("connect",)))
        connection.on("end", lambda: self.entries.append(("end",)))
        connection.on("log", lambda entry: self.log.append((entry.type, entry.message)))
        if errors:
            connection.on("error", lambda err: self.entries.append(("error", err)))

    def callback(self, name: str) -> Callable[..., None]:
        """Return a callback that writes ``(name, err, result)`` down."""

        def note(err: Any, result: Any) -> None:
            self.entries.append((name, err, result))

        return note

    def names(self) -> list[str]:
        """Return what happened, in order, without the details."""
        return [entry[0] for entry in self.entries]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the details of everything called ``name``."""
        return [entry[1:] for entry in self.entries if entry[0] == name]

    def error(self, name: str = "error") -> Any:
        """Return the one error that ``name`` got."""
        (entry,) = self.of(name)
        assert entry[0] is not None
        return entry[0]

    def commands(self) -> list[str]:
        """Return the commands that the log shows (option ``debug``)."""
        return [message for type, message in self.log if type == "client"]


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
