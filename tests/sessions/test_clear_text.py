"""The warning about a login that others can read: when there is one, and what it says."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest

from smtp_connection.hosts import is_loopback
from smtp_connection.net.transport import Transport
from tests.support.proxy_servers import Tunnels

PASSWORD = {"user": "me", "pass": "s3cr3t"}
TOKEN = {"user": "me", "xoauth2": "t0k3n"}
FAR = "mx.example.com"
NEAR = "127.0.0.1"


@pytest.fixture
def warnings(caplog):
    """What has been logged at the level WARNING or above."""
    caplog.set_level(logging.DEBUG)
    return lambda: [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def peer_is(monkeypatch):
    """Let every peer have that address."""

    def pretend(address):
        monkeypatch.setattr(Transport, "peer_address", property(lambda transport: address))

    return pretend


@pytest.fixture
def log_in(by_hand, diary):
    """Begin to log in by ``mechanism``; the peer has said ``replies`` by then."""

    def run(mechanism, auth, *replies, **options):
        connection, peer = by_hand(**{"host": FAR, "port": 2525, **options})
        connection.connect()
        connection.login({**auth, "method": mechanism}, diary.callback("login"))
        peer.feed("220 ready\r\n")
        peer.feed(f"250-scripted\r\n250 AUTH {mechanism}\r\n")
        for reply in replies:
            peer.feed(f"{reply}\r\n")
        return connection, peer

    return run


# -- what it says ----------------------------------------------------------------------------------


def test_it_names_server_and_mechanism_and_says_what_to_do(log_in, peer_is, warnings):
    peer_is("203.0.113.5")
    connection, _ = log_in("PLAIN", PASSWORD)

    (record,) = warnings()
    assert (record.name, record.levelno) == ("smtp_connection", logging.WARNING)
    assert record.sid == connection.id
    assert record.getMessage() == (
        "Login at mx.example.com:2525 with PLAIN is not over TLS: user name and password (or access"
        " token) can be read by anybody on the way; use the option secure or requireTLS"
    )
    assert "s3cr3t" not in repr(vars(record))


@pytest.mark.parametrize("closes", [False, True])
def test_nothing_has_been_sent_by_then(by_hand, peer_is, closes):
    """A handler that takes offence is in time."""

    class Witness(logging.Handler):
        def emit(self, record):
            heard.append(peer.heard())
            if closes:
                connection.close()

    heard = []
    witness = Witness()
    logging.getLogger("smtp_connection").addHandler(witness)
    peer_is("203.0.113.5")
    connection, peer = by_hand(host=FAR)
    connection.connect()
    connection.login({**PASSWORD, "method": "LOGIN"}, lambda err: None)
    for text in ("220 ready", "250 AUTH LOGIN", "334 user"):
        peer.feed(f"{text}\r\n")
    logging.getLogger("smtp_connection").removeHandler(witness)

    assert heard == [b"EHLO me\r\nAUTH LOGIN\r\n"]
    assert peer.heard() == (b"" if closes else b"bWU=\r\n")
    connection.close()


def test_a_login_by_command(by_hand, peer_is, warnings):
    peer_is("203.0.113.5")
    connection, peer = by_hand(host=FAR)
    connection.connect()
    connection.command("AUTH PLAIN", print)
    connection.command("AUTH PLAIN AG1lAHMzY3IzdA==", print)
    for text in ("220 ready", "250 AUTH PLAIN", "334", "501 cancelled"):
        assert warnings() == []
        peer.feed(f"{text}\r\n")
    (record,) = warnings()
    assert "Login at mx.example.com:25 with PLAIN is not over TLS" in record.getMessage()
    connection.close()


def test_one_is_enough_for_a_connection(log_in, peer_is, warnings, diary):
    peer_is("203.0.113.5")
    connection, peer = log_in("LOGIN", PASSWORD, "334", "334", "535 no")
    connection.login({**PASSWORD, "method": "LOGIN"}, diary.callback("login"))
    peer.settle()
    for reply in ("334", "334", "235 welcome"):
        peer.feed(f"{reply}\r\n")

    assert connection.authenticated
    assert len(warnings()) == 1
    log_in("LOGIN", PASSWORD, "334")
    assert len(warnings()) == 2


# -- by which mechanisms ---------------------------------------------------------------------------


def own_handler(context):
    context.sendCommand("AUTH X-OWN", lambda: context.sendCommand("s3cr3t"))


@pytest.mark.parametrize(
    ("mechanism", "auth", "replies", "warned"),
    [
        ("PLAIN", PASSWORD, [], True),
        ("LOGIN", PASSWORD, [], False),
        ("LOGIN", PASSWORD, ["334"], True),
        ("XOAUTH2", TOKEN, [], True),
        ("X-OWN", PASSWORD, [], False),
        ("X-OWN", PASSWORD, ["334"], True),
        ("CRAM-MD5", PASSWORD, ["334 PDFAeD4="], False),
        ("NTLM", PASSWORD, [], False),
        ("PLAIN", {"user": "me"}, [], False),
        ("XOAUTH2", {"user": "me", "xoauth2": "a\nb"}, [], False),
    ],
)
def test_only_of_credentials_that_are_sent_as_they_are(
    log_in, peer_is, warnings, mechanism, auth, replies, warned
):
    peer_is("203.0.113.5")
    log_in(mechanism, auth, *replies, customAuth={"X-OWN": own_handler})
    assert [record.args[2] for record in warnings()] == [mechanism] * warned


# -- to which servers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("::2", False),
        ("fe80::1%lo", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        (FAR, False),
        ("", False),
    ],
)
def test_what_is_this_machine(host, here):
    assert is_loopback(host) == here


def answer_login(peer):
    peer.greet("AUTH PLAIN")
    peer.play("C: AUTH PLAIN\nS: 235 welcome")
    peer.take_quit()


@pytest.fixture
def log_in_at(serve, connect_to, reactor, diary):
    """Log in at a server on the loopback interface, under whatever name."""

    def run(*, listening_on=NEAR, script=answer_login, make=lambda server: {}, **options):
        server = serve(script, host=listening_on)
        connection = connect_to(server, **{**options, **make(server)})
        connection.connect()
        connection.login({**PASSWORD, "method": "PLAIN"}, diary.callback("login"))
        connection.quit()
        reactor.run()
        assert diary.of("login") == [(None, True)]

    return run


@pytest.mark.parametrize("address", [NEAR, "127.0.0.2"])
def test_not_of_a_server_on_this_machine(log_in_at, warnings, address):
    log_in_at(listening_on=address)
    assert warnings() == []


def test_not_of_a_server_on_this_machine_over_ipv6(log_in_at, warnings, ipv6):
    log_in_at(listening_on=ipv6)
    assert warnings() == []


@pytest.mark.parametrize("host", [NEAR, "localhost"])
def test_an_address_counts_for_more_than_a_name(log_in_at, warnings, peer_is, host):
    """The name may be looked up in a strange place, and a tunnel's end be far away."""
    peer_is("203.0.113.5")
    log_in_at(host=host)
    assert len(warnings()) == 1


def test_not_of_a_socket_in_the_file_system(log_in, warnings):
    log_in("PLAIN", PASSWORD)
    assert warnings() == []


def test_not_over_tls(log_in, peer_is, warnings, monkeypatch):
    peer_is("203.0.113.5")
    monkeypatch.setattr(Transport, "secure", True)
    log_in("PLAIN", PASSWORD)
    assert warnings() == []


def handed_over(server):
    return {"connection": socket.create_connection((server.host, server.port))}


@pytest.mark.parametrize(("host", "warned"), [("localhost", False), (NEAR, False), (FAR, True)])
def test_a_connection_that_was_handed_over_may_be_a_tunnel(log_in_at, warnings, host, warned):
    log_in_at(make=handed_over, host=host)
    assert len(warnings()) == warned


@pytest.mark.parametrize(("host", "warned"), [("localhost", False), (NEAR, False), (FAR, True)])
def test_behind_a_proxy_it_is_the_server_that_counts(
    log_in_at, serve, warnings, peer_is, host, warned
):
    proxy = serve(Tunnels(names={FAR: NEAR, "localhost": NEAR}).http)
    if not warned:
        peer_is("203.0.113.5")
    log_in_at(host=host, proxy=f"http://{proxy.host}:{proxy.port}")
    assert len(warnings()) == warned


# -- without being told to -------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "shown"), [("203.0.113.5", False), (NEAR, True)])
def test_a_password_is_shown_to_others_only_if_the_mechanism_is_named(
    by_hand, peer_is, diary, warnings, address, shown
):
    peer_is(address)
    connection, peer = by_hand(host=NEAR)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN LOGIN\r\n")
    assert (b"AUTH PLAIN" in peer.heard()) is shown
    if not shown:
        error = diary.error("login")
        assert error.code == "EAUTH"
        assert error.message.startswith("No login in clear text: PLAIN and LOGIN would show the")
    assert warnings() == []
    connection.close()


# -- the module logging ----------------------------------------------------------------------------

PROGRAM = """
import socket, sys
from smtp_connection import SMTPConnection, run
from smtp_connection.net.transport import Transport

ours, theirs = socket.socketpair()
theirs.sendall(b"220 ready\\r\\n")
{peer}
connection = SMTPConnection(host="mx.example.com", connection=ours)
connection.on("end", lambda: None)
connection.connect()
connection.login({{"user": "me", "pass": "s3cr3t", "method": "PLAIN"}}, lambda err: None)

def answer():
    if b"AUTH" in theirs.recv(1000):
        connection.reactor.remove_reader(theirs)
        theirs.close()
    else:
        theirs.sendall(b"250 AUTH PLAIN\\r\\n")

connection.reactor.add_reader(theirs, answer)
run()
print("logging" in sys.modules)
"""
FAR_PEER = 'Transport.peer_address = "203.0.113.5"'


@pytest.mark.parametrize(("peer", "warned"), [("", False), (FAR_PEER, True)])
def test_only_who_is_warned_pays_for_logging(peer, warned):
    """And who has configured no handler is told on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(peer=peer)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == f"{warned}\n"
    assert len(done.stderr.splitlines()) == warned
    assert ("can be read by anybody" in done.stderr) == warned
