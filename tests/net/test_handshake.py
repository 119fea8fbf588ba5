"""From clear text to TLS on one stream, and all that can go wrong on the way."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

import pytest

from tests.support.helpers import turn_until
from tests.support.smtp_server import reset
from tests.support.transports import MORE_THAN_FITS, NAME, End, quiet, tcp_pair


def test_a_stream_becomes_secure(connected, server_context, client_context):
    def script(peer):
        peer.expect("STARTTLS")
        peer.send("220 go ahead\r\n")
        peer.start_tls(server_context)
        peer.expect("EHLO")
        peer.send("250 ok\r\n")
        peer.expect_end()

    end = connected(script)
    end.transport.write(b"STARTTLS\r\n")
    end.until("data")
    assert not end.transport.secure
    end.transport.start_tls(client_context, NAME, end.owner.done)
    end.until("secured")
    assert end.transport.secure
    end.transport.write(b"EHLO me\r\n")
    turn_until(end.reactor, lambda: end.owner.data.endswith(b"250 ok\r\n"))
    assert end.owner.names == ["data", "secured", "data"]
    end.transport.close()
    assert not end.transport.secure


def test_an_absolute_name_is_asked_for_and_verified_without_its_dot(
    connected, server_context, client_context
):
    asked = []
    server_context.sni_callback = lambda sock, name, context: asked.append(name)

    def script(peer):
        peer.start_tls(server_context)
        peer.expect_end()

    end = connected(script)
    end.transport.start_tls(client_context, f"{NAME}.", end.owner.done)
    end.until("secured")
    end.transport.close()
    assert asked == [NAME]


def test_the_owner_knows_before_it_gets_the_first_word(over_tls):
    """The greeting may be there as soon as the handshake is over."""

    def script(peer):
        peer.send("220 ready\r\n")
        peer.expect_end()

    end = over_tls(script)
    end.until("data")
    assert end.owner.entries == [("secured",), ("data", b"220 ready\r\n")]


def test_a_certificate_that_is_not_trusted_is_an_error(connected, server_context):
    def script(peer):
        with pytest.raises(ssl.SSLError):
            peer.start_tls(server_context)

    end = connected(script)
    end.transport.start_tls(ssl.create_default_context(), NAME, pytest.fail, pytest.fail)
    end.until("lost")
    assert end.owner.error.code == "ETLS"
    assert isinstance(end.owner.error.__cause__, ssl.SSLCertVerificationError)
    assert not end.transport.secure


def test_a_certificate_for_another_name_is_an_error(connected, server_context, client_context):
    def script(peer):
        with pytest.raises(ssl.SSLError):
            peer.start_tls(server_context)

    end = connected(script)
    end.transport.start_tls(client_context, "other.example.com", pytest.fail)
    end.until("lost")
    assert end.owner.error.code == "ETLS"
    assert NAME in str(end.owner.error)


@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
def test_clear_text_where_tls_is_expected_is_explained(connected, client_context, piecewise):
    def script(peer):
        with contextlib.suppress(ConnectionError):  # it need not hear all of it
            (peer.send_split if piecewise else peer.send)("220 clear text\r\n")
        peer.expect_end()

    end = connected(script)
    seen = []

    def explain(first_bytes):
        seen.append(first_bytes)
        return "the reason"

    # What arrives while the TLS layer is reading already is not seen.
    select.select([end.sock], [], [], 20)
    end.transport.start_tls(client_context, NAME, pytest.fail, explain)
    end.until("lost")
    (first_bytes,) = seen
    assert b"220 clear text\r\n".startswith(first_bytes)
    assert first_bytes
    assert end.owner.error.code == "ETLS"
    assert str(end.owner.error).endswith("(the reason)")


@pytest.mark.parametrize("early", [True, False])
def test_a_handshake_that_has_to_wait_is_not_woken_up_by_what_arrives(
    reactor, client_context, early
):
    """The system takes nothing, and so what the peer says cannot be of use yet."""
    sock, peer = socket.socketpair()
    with contextlib.closing(peer):
        sock.setblocking(False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += sock.send(MORE_THAN_FITS)
        end = End(reactor, sock, peer)
        if early:
            peer.sendall(b"220 ready\r\n")
        end.transport.start_tls(client_context, NAME, end.owner.done)
        assert end.is_idle()
        assert not end.owner.names

        assert end.peer_reads(filled + 1)[filled:].startswith(b"\x16")
        if not early:
            assert end.is_idle()
            peer.sendall(b"220 ready\r\n")
        end.until("lost")
        assert end.owner.error.code == "ETLS"


def test_a_peer_that_hangs_up_during_the_handshake_is_an_error(connected, client_context):
    end = connected(lambda peer: peer.close())
    end.transport.start_tls(client_context, NAME, pytest.fail, pytest.fail)
    assert end.owner.entries == [], "not from inside the call"
    end.until("lost")
    assert end.owner.error.code == "ETLS"


def test_a_name_that_is_none_is_an_error(reactor, client_context):
    end = End(reactor, *tcp_pair())
    end.transport.start_tls(client_context, ".example.com", pytest.fail)
    assert end.owner.entries == [], "not from inside the call"
    reactor.run()
    assert end.owner.error.code == "ETLS"
    assert end.peer.recv(1) == b"", "the socket is still open"
    end.peer.close()


def test_without_a_name_none_is_sent(connected, server_context, client_context):
    def script(peer):
        server_context.sni_callback = lambda sock, name, context: names.append(name)
        peer.start_tls(server_context)
        peer.expect_end()

    names = []
    client_context.check_hostname = False
    end = connected(script)
    end.transport.start_tls(client_context, "", end.owner.done)
    end.until("secured")
    assert names == [None]


def test_an_error_that_the_owner_has_closed_over_is_not_told(reactor, client_context):
    end = End(reactor, *tcp_pair())
    end.transport.start_tls(client_context, ".example.com", pytest.fail)
    end.transport.close()
    reactor.run()
    assert end.owner.entries == []
    end.peer.close()


def test_a_handshake_with_a_peer_that_is_gone_is_an_error(reactor, client_context):
    end = End(reactor, *tcp_pair())
    reset(end.peer)
    end.transport.start_tls(client_context, NAME, pytest.fail)
    assert end.owner.entries == [], "not from inside the call"
    reactor.run()
    assert end.owner.error.code == "ETLS"


def test_what_nobody_has_foreseen_leaves_no_socket_behind(reactor, client_context, monkeypatch):
    """The descriptor has gone over to a socket of which nobody else knows."""

    def fail(sock):
        raise MemoryError

    ours, peer = tcp_pair()
    end = End(reactor, ours)
    monkeypatch.setattr(ssl.SSLSocket, "getpeername", fail)
    with pytest.raises(MemoryError) as caught:
        end.transport.start_tls(client_context, NAME, end.owner.done)
    peer.settimeout(10)
    assert peer.recv(1) == b"", f"although somebody still has {caught}"
    end.transport.close()
    peer.close()


def test_an_exception_in_the_middle_of_the_handshake_breaks_the_connection(
    connected, client_context, monkeypatch
):
    def fail(sock):
        raise MemoryError

    end = connected(lambda peer: peer.expect_end())
    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", fail)
    with pytest.raises(MemoryError):
        end.transport.start_tls(client_context, NAME, end.owner.done)
    assert end.owner.names == ["broke"]
    end.transport.close()


def test_a_transport_that_is_closed_during_the_handshake_says_nothing(connected, client_context):
    end = connected(quiet)
    end.transport.start_tls(client_context, NAME, pytest.fail)
    end.settle()
    assert not end.transport.secure
    end.transport.close(linger=5)
    assert end.transport._sock.fileno() == -1
    assert not end.reactor.run_once()
    assert end.owner.entries == []


def test_a_transport_that_is_closed_when_the_handshake_is_over_says_nothing(
    connected, server_context, client_context
):
    def script(peer):
        peer.start_tls(server_context)
        peer.expect_end()

    def close_if_secure():
        if end.transport.secure:
            end.transport.close()
        else:
            end.reactor.call_soon(close_if_secure)

    end = connected(script)
    end.reactor.call_soon(close_if_secure)
    end.transport.start_tls(client_context, NAME, pytest.fail)
    end.reactor.run()
    assert end.owner.entries == []
