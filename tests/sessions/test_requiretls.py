"""REQUIRETLS (RFC 8689): asked for, or not sent at all."""

from __future__ import annotations

import pytest

ENVELOPE = {"from": "a@x.org", "to": "b@x.org", "requireTLSExtensionEnabled": True}


def send(connection, reactor, diary):
    connection.connect()
    connection.send(ENVELOPE, "hello", diary.callback("sent"))
    connection.quit()
    reactor.run()


def test_without_tls_nothing_is_sent(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet("REQUIRETLS")
        peer.take_quit()

    send(connect_to(serve(script)), reactor, diary)
    error = diary.error("sent")
    assert (error.code, error.command) == ("EREQUIRETLS", "MAIL FROM")
    assert "not over TLS" in str(error)
    assert diary.names() == ["connect", "sent", "end"]


@pytest.mark.parametrize("announced", [True, False])
def test_over_tls_it_depends_on_the_server(
    serve, connect_to, reactor, diary, authority, server_context, announced
):
    def script(peer):
        peer.start_tls(server_context)
        peer.greet(*["REQUIRETLS"] * announced)
        if announced:
            peer.take_message()
        peer.take_quit()

    connection = connect_to(serve(script), secure=True, tls={"ca": authority.cert_pem.bytes()})
    send(connection, reactor, diary)
    if announced:
        assert diary.of("sent")[0][0] is None
        assert "MAIL FROM:<a@x.org> REQUIRETLS" in diary.commands()
    else:
        error = diary.error("sent")
        assert error.code == "EREQUIRETLS"
        assert "does not announce" in str(error)
