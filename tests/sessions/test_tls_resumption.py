"""TLS sessions are taken up again: with the same server only, and never instead of verifying."""

from __future__ import annotations

import ssl
import threading

import pytest

from smtp_connection import Reactor, SMTPConnection, SMTPPool
from tests.support.mail_server import Recorder, context_of, mail_server


@pytest.fixture
def certificate(authority):
    return authority.issue_cert("127.0.0.1", "mx.example.com")


@pytest.fixture
def ca(authority):
    return authority.cert_pem.bytes()


@pytest.fixture
def server(certificate):
    with mail_server(tls=context_of(certificate)) as server:
        yield server


def seen(server, reactor, **options):
    """Connect and quit; return ``connection.tls``, or the error."""
    got = []
    options = {"host": server.host, "port": server.port, **options}
    connection = SMTPConnection(options, reactor=reactor)
    connection.on("error", got.append)

    def connected():
        got.append(connection.tls)
        connection.quit()

    connection.connect(connected)
    reactor.run()
    return got[0]


@pytest.fixture
def secure(server, reactor):
    """Connect with TLS from the first byte and some options of it."""
    return lambda **tls: seen(server, reactor, secure=True, tls=tls)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("implicit", [True, False])
def test_the_second_connection_takes_up_the_session(
    certificate, ca, reactor, implicit, version, trusted
):
    tls = {"maxVersion": version} | ({"ca": ca} if trusted else {"rejectUnauthorized": False})
    how = {"tls": context_of(certificate)}
    if not implicit:
        how = {"tls_context": context_of(certificate), "require_starttls": True}
    with mail_server(**how) as server:
        first, *later = (seen(server, reactor, secure=implicit, tls=tls) for _ in range(3))

    assert (first.version, first.resumed) == (version, False)
    for info in later:
        assert (info.version, info.resumed) == (version, True)
        assert info.certificate == first.certificate
        assert info.chain == first.chain != []


def test_nothing_is_taken_up_for_another_name(secure, ca):
    assert secure(ca=ca).resumed is False
    assert secure(ca=ca, servername="mx.example.com").resumed is False
    err = secure(ca=ca, servername="other.example.com")
    assert err.code == "ETLS"
    assert "the server's certificate is for another name" in str(err)
    assert secure(ca=ca).resumed
    assert secure(ca=ca, servername="mx.example.com").resumed


def test_what_was_not_verified_is_verified_by_those_who_want_it(secure):
    for resumed in (False, True):
        assert secure(rejectUnauthorized=False).resumed is resumed
        err = secure()
        assert err.code == "ETLS"
        assert "unknown authority" in str(err)


def test_other_options_of_tls_have_sessions_of_their_own(secure, ca):
    assert secure(ca=ca).resumed is False
    assert secure(ca=ca, maxVersion="TLSv1.2").resumed is False
    assert secure(ca=ca).resumed


def test_a_context_of_the_callers_is_resumed_as_well(secure, authority, ca):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert [secure(context=context).resumed for _ in range(2)] == [False, True]
    assert secure(ca=ca).resumed is False


def test_a_context_that_begins_to_verify_does_so(secure):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert [secure(context=context).resumed for _ in range(2)] == [False, True]
    context.verify_mode = ssl.CERT_REQUIRED
    assert secure(context=context).code == "ETLS"


def test_it_can_be_switched_off(secure, ca):
    assert [secure(ca=ca, session=False).resumed for _ in range(2)] == [False, False]
    context = ssl.create_default_context(cadata=ca.decode())
    off = [secure(context=context, session=False).resumed for _ in range(2)]
    assert off == [False, False]


def _opening(peer):
    peer.greet("PIPELINING")
    peer.take_quit()


def test_a_server_that_has_forgotten_makes_a_full_handshake(serve, reactor, certificate, ca):
    """It was restarted, say, or it is another one of many behind one address."""
    contexts = [context_of(certificate)] * 2 + [context_of(certificate)] * 2

    def script(peer):
        peer.start_tls(contexts.pop(0))
        _opening(peer)

    server = serve(*[script] * 4)
    infos = [seen(server, reactor, secure=True, tls={"ca": ca}) for _ in range(4)]
    assert [info.resumed for info in infos] == [False, True, False, True]
    assert not any(info.certificate != infos[0].certificate for info in infos)


def test_a_server_that_fails_with_a_session_gets_none(serve, reactor, server_context, ca):
    def open_session(peer):
        peer.start_tls(server_context)
        _opening(peer)

    def fail(peer):
        peer.sock.recv(1)
        peer.reset()

    server = serve(open_session, open_session, fail, open_session, open_session)
    told = [seen(server, reactor, secure=True, tls={"ca": ca}) for _ in range(5)]
    assert [info.resumed for info in told[:2]] == [False, True]
    assert told[2].code == "ECONNECTION"
    assert "(an earlier TLS session was offered; the next time it is not)" in str(told[2])
    assert [info.resumed for info in told[3:]] == [False, False]


def test_no_hint_where_no_session_was_offered(serve, reactor):
    server = serve(lambda peer: (peer.sock.recv(1), peer.reset()))
    assert "session" not in str(seen(server, reactor, secure=True))


class _Counting(Recorder):
    """Notes of each message whether its TLS session was taken up."""

    def __init__(self):
        super().__init__()
        self.resumed = []

    async def handle_DATA(self, server, session, envelope):
        self.resumed.append(server.transport.get_extra_info("ssl_object").session_reused)
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture
def counting(certificate):
    with mail_server(tls=context_of(certificate), mailbox=_Counting()) as server:
        yield server


ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}


def send_over_pool(server, count, reactor, ca):
    """Send ``count`` messages, each over a connection of its own; return their errors."""
    options = {"host": server.host, "port": server.port, "secure": True, "tls": {"ca": ca}}
    pool = SMTPPool({**options, "maxConnections": 1, "maxMessages": 1}, reactor=reactor)
    errors = []

    def sent(err, info):
        errors.append(err)
        if len(errors) == count:
            pool.close()

    for _ in range(count):
        pool.send(ENVELOPE, "Subject: hi\r\n\r\nhi", sent)
    reactor.run()
    return errors


def test_the_connections_of_a_pool_take_up_each_others(counting, reactor, ca):
    assert send_over_pool(counting, 3, reactor, ca) == [None] * 3
    assert counting.mailbox.resumed == [False, True, True]


def test_a_pool_tries_again_where_a_server_fails_with_a_session(serve, reactor, server_context, ca):
    def take(peer):
        peer.start_tls(server_context)
        peer.greet()
        peer.take_message()
        peer.take_quit()

    def fail(peer):
        peer.sock.recv(1)
        peer.reset()

    server = serve(take, fail, take)
    assert send_over_pool(server, 2, reactor, ca) == [None, None]


def test_reactors_and_threads_take_up_each_others(server, ca):
    resumed = []

    def connect():
        with Reactor() as reactor:
            resumed.append(seen(server, reactor, secure=True, tls={"ca": ca}).resumed)

    for _ in range(2):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    assert resumed == [False, True]


def test_a_client_certificate_is_still_known(certificate, authority, ca, reactor):
    """A session belongs to the context, and so to the certificate that was shown."""
    asking = context_of(certificate)
    asking.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(asking)
    mine = [
        {"cert": each.cert_chain_pems[0].bytes(), "key": each.private_key_pem.bytes()}
        for each in (
            authority.issue_cert("one@example.com"),
            authority.issue_cert("two@example.com"),
        )
    ]
    with mail_server(tls=asking, mailbox=_Counting()) as server:
        for tls in (*mine, *mine):
            connection = SMTPConnection(
                {
                    "host": server.host,
                    "port": server.port,
                    "secure": True,
                    "tls": {"ca": ca, **tls},
                },
                reactor=reactor,
            )
            connection.connect()
            connection.send(ENVELOPE, "Subject: hi\r\n\r\nhi")
            connection.quit()
            reactor.run()
    assert server.mailbox.resumed == [False, False, True, True]
    names = [each["subjectAltName"][0][1] for each in server.mailbox.certificates]
    assert names == ["one@example.com", "two@example.com"] * 2
