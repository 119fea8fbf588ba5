"""``connection.tls``: what the handshake has agreed on."""

from __future__ import annotations

import pytest

from tests.support.mail_server import context_of, mail_server


@pytest.fixture
def seen(connect_to, reactor):
    """Connect, note ``connection.tls`` and the log, quit."""

    def run(server, **options):
        infos, log = [], []
        connection = connect_to(server, debug=True, **options)
        connection.on("log", lambda entry: log.append((entry.type, entry.message)))

        def connected():
            infos.append(connection.tls)
            connection.quit()

        assert connection.tls is None
        connection.connect(connected)
        reactor.run()
        assert connection.tls is None
        return infos[0], log

    return run


def _names(certificate):
    return [value for _, value in certificate["subjectAltName"]]


def test_in_clear_text_there_is_none(seen):
    with mail_server() as server:
        assert seen(server)[0] is None


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("secure", [True, False])
def test_it_tells_version_cipher_and_certificate_also_unverified(seen, authority, secure, trusted):
    context = context_of(authority.issue_cert("127.0.0.1", "mx.example.com"))
    options = {"tls": context} if secure else {"tls_context": context}
    tls = {"ca": authority.cert_pem.bytes()} if trusted else {"rejectUnauthorized": False}
    with mail_server(**options) as server:
        info, _ = seen(server, secure=secure, tls=tls)

    assert info.version.startswith("TLSv1.")
    assert info["cipher"]
    assert sorted(_names(info.certificate)) == ["127.0.0.1", "mx.example.com"]
    assert info.chain[0] == info.certificate
    assert info.resumed is False


def test_the_log_tells_when_tls_begins(seen, authority):
    with mail_server(tls=context_of(authority.issue_cert("127.0.0.1"))) as server:
        _, log = seen(server, secure=True, tls={"rejectUnauthorized": False})

    place = f"127.0.0.1:{server.port}"
    assert log[0] == ("socket", f"Beginning TLS with {place}")
    assert log[1][1].startswith(f"Connected to {place} with TLSv1.")
