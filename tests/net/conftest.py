"""Transports whose peer is the test, or a script."""

from __future__ import annotations

import socket
import ssl

import pytest
import trustme

from tests.support.transports import NAME, End, tcp_pair


@pytest.fixture(params=[socket.socketpair, tcp_pair], ids=["socketpair", "tcp"])
def end(request, reactor):
    """A transport in clear text."""
    end = End(reactor, *request.param())
    yield end
    end.peer.close()
    end.transport.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority whose name the texts of errors may show."""
    return trustme.CA(organization_name="Our Own CA")


@pytest.fixture(scope="session")
def stranger() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA(organization_name="Their CA")


@pytest.fixture
def ca(authority: trustme.CA) -> str:
    """The certificate of ``authority``, for the option of that name."""
    return authority.cert_pem.bytes().decode()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    return context


@pytest.fixture
def client_context(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def connected(reactor, serve):
    """Make a transport that is connected to a script: ``connected(script)``."""
    ends = []

    def make(script):
        server = serve(script)
        ends.append(End(reactor, socket.create_connection((server.host, server.port))))
        return ends[-1]

    yield make
    for end in ends:
        end.transport.close()


@pytest.fixture
def over_tls(connected, server_context, client_context):
    """Make a transport that is connected to a script, and over TLS: ``over_tls(script)``."""

    def make(script, then=lambda end, entry: None):
        def tls_script(peer):
            peer.start_tls(server_context)
            script(peer)

        end = connected(tls_script)
        end.owner.then = lambda entry: then(end, entry)
        end.transport.start_tls(client_context, NAME, end.owner.done)
        end.until("secured")
        return end

    return make
