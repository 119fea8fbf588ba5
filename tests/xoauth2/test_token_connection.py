"""How a token endpoint is reached, and when it is given up: TLS, time-outs, broken connections."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import pytest
import requests
import trustme

from smtp_connection import SMTPError
from smtp_connection.xoauth2.token_request import TokenRequest, _system_error
from tests.support.scripted_server import Peer

from .samples import ISSUED, NEW, check_discreet, closed_port, response

# -- endpoints that cannot be reached, or do not answer --------------------------------------------


def test_an_endpoint_that_is_down(generator_for, error_of):
    error = error_of(generator_for(f"https://localhost:{closed_port()}/").getToken)
    assert str(error) == "The token endpoint localhost cannot be reached: Connection refused"
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_an_endpoint_whose_name_is_unknown(generator_for, error_of):
    error = error_of(generator_for("https://token.invalid/").getToken)
    assert str(error).startswith("The token endpoint token.invalid cannot be reached: ")
    assert isinstance(error.__cause__, socket.gaierror)


@pytest.mark.parametrize("host", ["a..b", "*.example"])
def test_an_endpoint_whose_name_is_none(generator_for, error_of, host):
    error = error_of(generator_for(f"https://{host}/").getToken)
    text = f"The token endpoint {host} cannot be asked; check option 'accessUrl'"
    assert str(error) == text


def test_an_endpoint_that_never_answers(generator_for, endpoint, error_of, silence):
    asked = endpoint(silence(30.1))
    error = error_of(generator_for(asked).getToken)
    assert str(error) == "The token endpoint localhost has not answered in 30000 ms"
    assert len(asked.requests) == 1


def test_an_endpoint_that_never_answers_in_real_time(generator_for, endpoint, error_of, silence):
    asked = endpoint(silence(0))
    error = error_of(generator_for(asked, requestTimeout=50).getToken)
    assert str(error) == "The token endpoint localhost has not answered in 50 ms"


def test_an_endpoint_that_trickles_is_left_in_time(
    generator_for, serve, error_of, context, let_pass
):
    # Each byte is a new start for the time-out of a read; the thread must end all the same.
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        peer.send("HTTP/1.1 200 OK\r\nX: ")
        for _ in range(3):
            peer.send("x")
            let_pass(10.1)
        peer.expect_end()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert str(error) == "The token endpoint localhost has not answered in 30000 ms"


def test_an_endpoint_that_does_not_finish_the_handshake(generator_for, serve, error_of, let_pass):
    def script(peer: Peer) -> None:
        peer.sock.recv(1)
        let_pass(31)
        peer.expect_end()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert "has not answered in 30000 ms" in str(error)


def test_all_who_wait_hear_of_the_time_out_and_the_next_may_try_again(
    generator_for, endpoint, reactor, silence
):
    asked = endpoint(silence(30.1), ISSUED)
    generator = generator_for(asked)
    got: list[Any] = []
    for _ in range(3):
        generator.getToken(lambda err, token: got.append(err and err.code))
    reactor.run()
    assert got == ["EAUTH"] * 3
    generator.getToken(lambda err, token: got.append(token))
    reactor.run()
    assert got[3:] == [response(NEW)]


def test_a_time_out_before_the_request_has_begun(
    generator_for, serve, error_of, let_pass, monkeypatch
):
    heard = threading.Event()
    make = TokenRequest.__init__

    def make_late(request: TokenRequest, options: Any) -> None:
        let_pass(30.1)
        assert heard.wait(10)
        make(request, options)

    monkeypatch.setattr(TokenRequest, "__init__", make_late)
    connected = threading.Event()

    def script(peer: Peer) -> None:
        connected.set()
        peer.expect_end()

    generator = generator_for(f"https://localhost:{serve(script).port}/")
    generator.getToken(heard.set)
    assert "has not answered in 30000 ms" in str(error_of(generator.getToken))
    assert connected.wait(10)


def test_what_the_system_said_comes_without_what_led_to_it():
    said = ConnectionResetError("reset")
    said.__context__ = ValueError("CANARY")
    outer = requests.ConnectionError("CANARY")
    outer.__cause__ = said
    assert _system_error(outer) is said
    check_discreet(said)


def test_a_request_that_is_given_up_before_it_has_a_socket(generator_for, serve):
    options = generator_for(f"https://localhost:{serve(Peer.expect_end).port}/").options
    request = TokenRequest(options)
    request.abort()
    with pytest.raises(SMTPError) as caught:
        request.run()
    check_discreet(caught.value)
    request.abort()


# -- TLS -------------------------------------------------------------------------------------------


def test_a_certificate_of_a_stranger(generator_for, endpoint, error_of):
    asked = endpoint(ISSUED)
    error = error_of(generator_for(asked, tls={"ca": trustme.CA().cert_pem.bytes()}).getToken)
    assert "cannot be reached: TLS with localhost failed: the server's certificate" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert asked.requests == []


def test_without_tls_options_the_systems_authorities_are_trusted(generator_for, endpoint, error_of):
    assert "TLS with localhost failed" in str(
        error_of(generator_for(endpoint(ISSUED), tls=None).getToken)
    )


def test_a_certificate_for_another_name(generator_for, authority, endpoint, error_of):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    error = error_of(generator_for(endpoint(ISSUED, context=context)).getToken)
    assert "TLS with localhost failed: the server's certificate is for another name" in str(error)


def test_a_certificate_for_the_name_that_is_expected(
    generator_for, authority, endpoint, outcome_of, trust
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    tls = {**trust, "servername": "other.example"}
    generator = generator_for(endpoint(ISSUED, context=context), tls=tls)
    assert outcome_of(generator.getToken)[2] == NEW


def test_no_verification_if_it_is_not_wanted(generator_for, endpoint, outcome_of):
    generator = generator_for(endpoint(ISSUED), tls={"rejectUnauthorized": False})
    assert outcome_of(generator.getToken)[2] == NEW


def test_a_context_of_the_callers_own_is_left_as_it_is(
    generator_for, authority, context, endpoint, outcome_of, error_of
):
    own = ssl.create_default_context()
    untouched = (own.verify_mode, own.check_hostname, own.cert_store_stats())
    asked = endpoint(ISSUED)
    assert "TLS with" in str(error_of(generator_for(asked, tls={"context": own}).getToken))
    # Had requests its way, the context would now trust its CAs, too.
    assert (own.verify_mode, own.check_hostname, own.cert_store_stats()) == untouched
    authority.configure_trust(own)
    offered: list[Any] = []
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(asking)
    asking.set_alpn_protocols(["http/1.1"])

    def note_protocol(handler: Any) -> Any:
        offered.append(handler.request.selected_alpn_protocol())
        return ISSUED

    asked = endpoint(note_protocol, context=asking)
    assert outcome_of(generator_for(asked, tls={"context": own}).getToken)[2] == NEW
    # Nor would urllib3's ALPN be offered to mail servers.
    assert offered == [None]


def test_tls_options_that_cannot_be_used(generator_for, endpoint, error_of):
    asked = endpoint(ISSUED)
    error = error_of(generator_for(asked, tls={"ca": "/no/such/file"}).getToken)
    assert "cannot be reached: tls option 'ca' (file '/no/such/file') cannot be used" in str(error)


def test_an_endpoint_that_hangs_up_during_the_handshake(generator_for, serve, error_of):
    def script(peer: Peer) -> None:
        peer.sock.recv(65536)

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert "TLS with localhost failed: the server closed the connection" in str(error)


def test_an_endpoint_that_hangs_up_before_the_handshake(
    generator_for, serve, error_of, monkeypatch
):
    there, gone = threading.Event(), threading.Event()
    connected = TokenRequest.connected

    def reset(peer: Peer) -> None:
        assert there.wait(10)
        peer.reset()
        gone.set()

    def wait(request: TokenRequest, sock: socket.socket) -> None:
        there.set()
        assert gone.wait(10)
        connected(request, sock)

    monkeypatch.setattr(TokenRequest, "connected", wait)
    error = error_of(generator_for(f"https://localhost:{serve(reset).port}/").getToken)
    text = "The token endpoint localhost cannot be reached: TLS with localhost failed"
    assert str(error).startswith(text)


def test_a_server_name_that_is_none(generator_for, endpoint, error_of, trust):
    generator = generator_for(endpoint(ISSUED), tls={**trust, "servername": "."})
    text = "The token endpoint localhost cannot be reached: TLS with . failed"
    assert str(error_of(generator.getToken)).startswith(text)
