"""What the tests of blocking connections and transports share: a thread of each test's own."""

from __future__ import annotations

import signal
import threading

import pytest

from smtp_connection.blocking import thread


@pytest.fixture(autouse=True)
def home(monkeypatch):
    """What blocks has a reactor of the test's own, and its thread has ended when the test is
    over."""
    monkeypatch.setattr(thread, "_shared", None)
    yield
    if thread._shared is not None:
        reactor, background = thread._shared
        background.join(20)
        assert not background.is_alive
        reactor.close()


@pytest.fixture
def place(serve):
    """Return the options of a connection to a server that plays ``script``."""

    def make(script, **options):
        server = serve(script)
        return {"host": server.host, "port": server.port, "name": "me", **options}

    return make


def content_with(peer):
    """Take a message, and answer QUIT."""
    peer.greet()
    peer.take_message()
    peer.take_quit()


def interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
