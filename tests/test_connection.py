"""The public class shows the API of the Node module, that of pyee, and nothing else."""

from __future__ import annotations

import pydoc
import re

import pytest
from pyee import EventEmitter

from smtp_connection import Reactor, SMTPConnection

METHODS = {
    "connect",
    "login",
    "send",
    "reset",
    "noop",
    "command",
    "probe",
    "quit",
    "close",
}
LISTENERS = {
    "addListener",
    "prependListener",
    "prependOnceListener",
    "removeListener",
    "off",
    "removeAllListeners",
    "listenerCount",
    "eventNames",
    "setMaxListeners",
}
ATTRIBUTES = {
    "options",
    "reactor",
    "host",
    "port",
    "name",
    "id",
    "version",
    "stage",
    "secure",
    "tls",
    "authenticated",
    "destroyed",
    "lastServerResponse",
    "capabilities",
}


def public(names):
    return {name for name in names if not name.startswith("_")}


def test_its_public_names_are_those_of_node_and_of_pyee():
    with Reactor() as reactor:
        names = public(dir(SMTPConnection(reactor=reactor)))
    assert names == METHODS | LISTENERS | ATTRIBUTES | public(dir(EventEmitter()))


def test_its_help_tells_of_each_of_them():
    text = pydoc.render_doc(SMTPConnection, renderer=pydoc.plaintext)
    for name in METHODS | LISTENERS:
        # From Python 3.13 on, long signatures take several lines.
        assert re.search(rf" {name}\([\s|]*self\b", text)
        assert getattr(SMTPConnection, name).__doc__
    for name in ATTRIBUTES:
        found = getattr(SMTPConnection, name, None)
        assert found.__doc__ if found is not None else f"``{name}``" in text, name


@pytest.mark.parametrize(
    "method", ["connect", "login", "send", "reset", "noop", "command", "probe"]
)
def test_an_async_callback_is_refused_and_nothing_is_queued(reactor, method):
    async def callback(err):
        pass

    connection = SMTPConnection(reactor=reactor)
    arguments = {"login": [{}], "send": [{"to": "a@example.com"}, "hi"]}.get(method, [])
    arguments = {"command": ["HELP"], "probe": [{"to": "a@example.com"}]}.get(method, arguments)
    with pytest.raises(TypeError, match=r"smtp_connection\.aio"):
        getattr(connection, method)(*arguments, callback)
    assert reactor.next_timeout() is None
