"""Servers and proxies that quote a password in another form than they got it in, in part, or where
no reply is expected."""

from __future__ import annotations

import base64
import json
import logging
import socket
import traceback
from urllib.parse import quote

import pytest

from smtp_connection import SMTPError
from tests.support.proxy_servers import read_request
from tests.support.scripted_server import Peer

ENVELOPE = {"from": "a@example.com", "to": ["b@example.com", "c@example.com"]}

# Of every kind of characters: base64 alone, what repr() shows in another way, and not ASCII.
PASSWORDS = ["CANARY+s3cr3t/passw0rd", 'canary \\ "it\'s" s3cr3t!', "kanarienvögel-s3cr3t-ß"]

with_each_password = pytest.mark.parametrize("password", PASSWORDS, ids=["base64", "repr", "utf8"])

# So much of it may be the server's own words.
HARMLESS = 4


def pieces_of(password: str) -> list[str]:
    """The pieces of ``password`` that nobody may see."""
    size = HARMLESS + 4
    return [password[at : at + size] for at in range(len(password) - size + 1)]


@pytest.fixture
def check_hidden(diary, caplog):
    """Check that nobody can read ``password``, nor any longer piece of it."""
    caplog.set_level(logging.DEBUG)

    def check(password: str, connection: object, *more: object) -> None:
        errors = [entry[1] for entry in diary.entries if len(entry) > 1 and entry[1]]
        shown = [*map(str, diary.log), str(connection.lastServerResponse), *map(str, more)]
        shown += [record.getMessage() for record in caplog.records]
        for error in errors:
            assert isinstance(error, SMTPError)
            shown += [str(error), str(error.response), str(error.args), repr(vars(error))]
            shown += traceback.format_exception(error)
            shown += [str(each) for each in error.rejectedErrors or []]
        everything = "\n".join(shown)
        assert [piece for piece in pieces_of(password) if piece in everything] == []

    return check


def logged_in(by_hand, diary, password: str):
    connection, peer = by_hand(logger=True)
    connection.connect()
    connection.login({"user": "me", "pass": password, "method": "PLAIN"}, diary.callback("login"))
    for reply in ("220 hi", "250-me\r\n250 AUTH PLAIN", "235 welcome"):
        peer.feed(f"{reply}\r\n")
    peer.heard()
    return connection, peer


# -- replies to what the caller says ---------------------------------------------------------------


@with_each_password
def test_the_reply_to_a_command_of_the_caller_s(by_hand, diary, check_hidden, password):
    connection, peer = logged_in(by_hand, diary, password)
    connection.command("VRFY me", diary.callback("command"))
    peer.settle()
    peer.feed(f"252-2.0.0 your password is {password}\r\n252 2.0.0 {password} it is\r\n")
    ((err, reply),) = diary.of("command")
    assert err is None
    assert reply.status == 252
    check_hidden(password, connection, reply, dict(reply), repr(reply))
    connection.close()
    peer.settle()


@with_each_password
def test_the_replies_to_a_probe(by_hand, diary, check_hidden, password):
    connection, peer = logged_in(by_hand, diary, password)
    connection.probe(ENVELOPE, diary.callback("probe"))
    peer.settle()
    for reply in ("250 ok", f"550 5.1.1 {password}", f"250 {password}", "250 ok"):
        peer.feed(f"{reply}\r\n")
    ((err, info),) = diary.of("probe")
    assert err is None
    check_hidden(password, connection, info, dict(info), *map(str, info.rejectedErrors))
    connection.close()
    peer.settle()


# -- in another form -------------------------------------------------------------------------------


@with_each_password
@pytest.mark.parametrize("shift", range(3))
def test_a_document_in_base64(by_hand, diary, check_hidden, password, shift):
    """As the one with which XOAUTH2 explains a refusal."""
    connection, peer = by_hand(logger=True)
    connection.connect()
    connection.login({"user": "me", "xoauth2": "t0k3n-" + "x" * 40}, diary.callback("login"))
    connection.login({"user": "me", "pass": password, "method": "PLAIN"}, diary.callback("plain"))
    for reply in ("220 hi", "250-me\r\n250 AUTH PLAIN XOAUTH2", "535 no", "235 welcome"):
        peer.feed(f"{reply}\r\n")
    connection.login({"user": "me", "xoauth2": "t0k3n-" + "x" * 40}, diary.callback("again"))
    peer.settle()
    document = json.dumps({"status": "4" * (shift + 1), "was": password}, ensure_ascii=False)
    encoded = base64.b64encode(document.encode()).decode()
    peer.feed(f"334 {encoded}\r\n")
    peer.feed("535 no\r\n")
    assert diary.error("again").code == "EAUTH"
    check_hidden(password, connection)
    assert encoded not in str(diary.log)
    connection.close()
    peer.settle()


# -- where no reply is expected --------------------------------------------------------------------


@with_each_password
@pytest.mark.parametrize("cut", [4, 10, 16])
def test_a_line_that_the_end_cuts_off(by_hand, diary, check_hidden, password, cut):
    connection, peer = logged_in(by_hand, diary, password)
    connection.reset(diary.callback("reset"))
    peer.settle()
    peer.feed(f"451 you, with {password}".encode()[: 14 + cut])
    peer.hang_up()
    assert diary.error("reset").code == "ECONNECTION"
    check_hidden(password, connection)


@with_each_password
@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("before", ["", "554 5.5.1 you said: "])
def test_clear_text_below_tls(
    serve,
    connect_to,
    reactor,
    diary,
    server_context,
    authority,
    check_hidden,
    password,
    pending,
    before,
):
    """A server whose TLS has come to its end may go on below it."""

    def script(peer):
        peer.start_tls(server_context)
        peer.greet("AUTH PLAIN")
        peer.expect("AUTH PLAIN")
        peer.send("235 welcome\r\n")
        if pending:
            peer.expect("RSET")
        socket.socket.sendall(peer.sock, f"{before}{password}\r\n".encode())
        try:
            while socket.socket.recv(peer.sock, 65536):
                pass
        except ConnectionError:
            pass

    connection = connect_to(
        serve(script), secure=True, logger=True, tls={"ca": authority.cert_pem.bytes()}
    )
    connection.connect()
    connection.login({"user": "me", "pass": password, "method": "PLAIN"}, diary.callback("login"))
    if pending:
        connection.reset(diary.callback("reset"))
    reactor.run()
    assert diary.names()[-1] == "end"
    if pending:
        assert "in clear text" in str(diary.error("reset"))
    check_hidden(password, connection)


# -- proxies ---------------------------------------------------------------------------------------


@with_each_password
@pytest.mark.parametrize("before", [0, 170, 180, 190])
@pytest.mark.parametrize("form", ["password", "login"])
def test_what_a_proxy_quotes(
    serve, connect_to, reactor, diary, check_hidden, password, before, form
):
    """Long answers are cut off in the text of the error."""
    login = base64.b64encode(f"someone:{password}".encode()).decode()
    words = "x" * before + (login if form == "login" else password)

    def script(peer: Peer) -> None:
        read_request(peer)
        peer.send(f"HTTP/1.1 407 {words}\r\n\r\n".encode())
        peer.expect_end()

    proxy = serve(script)
    connection = connect_to(
        proxy,
        host="mx.example.com",
        proxy=f"http://someone:{quote(password, safe='')}@127.0.0.1:{proxy.port}",
        logger=True,
    )
    connection.connect(diary.callback("connected"))
    reactor.run()
    assert "no tunnel" in str(diary.error("connected"))
    check_hidden(password, connection)
    assert login[:8] not in str(diary.error("connected"))
