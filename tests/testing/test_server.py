"""The server for tests, with each of the clients that it is for."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from smtp_connection.testing import SMTPServer
from tests.support.clients import CLIENTS, FROM, TO, Client, message, with_smtplib
from tests.support.helpers import wait_until

LOGIN = ("me@x.org", "p:w/@ %")
CONTENT = b"From: a@x.org\r\nTo: b@x.org\r\nSubject: hi\r\n"


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """One client after the other."""
    found: Client = request.param
    return found


@pytest.fixture(params=["off", "starttls", "implicit"])
def mode(request: pytest.FixtureRequest, smtp_server: SMTPServer) -> str:
    """How the server speaks TLS."""
    getattr(smtp_server.tls, request.param)()
    return str(request.param)


# -- what it gets ----------------------------------------------------------------------------------


def test_a_message(smtp_server, client, mode):
    assert client(smtp_server) == "sent"

    (got,) = smtp_server.messages
    assert (got.mail_from, got.rcpt_tos) == (FROM, [TO])
    assert got.content.startswith(CONTENT)
    assert got.content.endswith(b"\r\n\r\nhello\r\n.\r\n")
    assert got.message["Subject"] == "hi"
    assert got.message.get_content() == message().get_content()
    assert smtp_server.sessions == [got.session]
    assert got.session.tls is (mode != "off")
    assert got.session.user is None
    assert got.session.commands[-1].upper() == "QUIT"
    assert got.session.transcript[-1] == "S: 221 Bye"


def test_a_login(smtp_server, client, mode):
    smtp_server.auth(*LOGIN)
    smtp_server.auth("other", "secret")

    assert client(smtp_server, LOGIN) == "sent"
    assert client(smtp_server, ("other", "secret")) == "sent"
    assert [got.session.user for got in smtp_server.messages] == [LOGIN[0], "other"]


@pytest.mark.parametrize("login", [("other", LOGIN[1]), (LOGIN[0], "wrong")], ids=["user", "pass"])
def test_a_wrong_login(smtp_server, client, login):
    smtp_server.auth(*LOGIN)

    assert client(smtp_server, login) == "535"
    assert smtp_server.messages == []
    assert smtp_server.sessions[0].user is None


def test_no_mail_without_the_login(smtp_server, client, mode):
    smtp_server.auth(*LOGIN)

    assert client(smtp_server) == "530"
    assert smtp_server.messages == []


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_both_mechanisms(smtp_server, mechanism):
    smtp_server.auth("user", "secret")
    with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=10) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"]
        client.user, client.password = "user", "secret"
        code, _ = client.auth(mechanism[5:].upper(), getattr(client, mechanism))
        assert code == 235


def test_without_users_there_is_no_login(smtp_server, mode):
    if mode == "implicit":
        context = smtp_server.tls.context
        client = smtplib.SMTP_SSL(smtp_server.host, smtp_server.port, context=context, timeout=10)
    else:
        client = smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=10)
    with client:
        if mode == "starttls":
            client.starttls(context=smtp_server.tls.context)
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH", "PLAIN AHUAcA==")[0] in (503, 538)


def test_a_rejected_recipient(smtp_server, client):
    smtp_server.reject("No@x.org", "451 4.7.1 later")

    assert client(smtp_server, to=["no@x.org", TO]) == "sent"
    assert smtp_server.messages[0].rcpt_tos == [TO]
    assert client(smtp_server, to=["no@X.org"]) == "451"
    assert len(smtp_server.messages) == 1
    smtp_server.reset()
    assert client(smtp_server, to=["no@x.org"]) == "sent"


def test_the_null_sender(smtp_server):
    with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=10) as client:
        client.sendmail("", [TO], "Subject: bounce\n\nhello")
    assert smtp_server.messages[0].mail_from == ""


def test_the_url(smtp_server):
    assert smtp_server.url == f"smtp://127.0.0.1:{smtp_server.port}"
    smtp_server.auth(*LOGIN)
    smtp_server.tls.implicit()
    parts = urlsplit(smtp_server.url)
    assert (parts.scheme, parts.hostname, parts.port) == ("smtps", "127.0.0.1", smtp_server.port)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == LOGIN
    smtp_server.tls.off()
    assert smtp_server.url.startswith("smtp://me%40x.org:p%3Aw%2F%40%20%25@")


def test_nobody_else_trusts_the_certificate(smtp_server, client, caplog):
    with SMTPServer() as other:
        other.tls.starttls()
        smtp_server.tls.starttls()
        smtp_server.tls.__dict__["_ca_file"] = other.tls.ca
        assert client(smtp_server) == "lost"
    assert smtp_server.messages == []
    smtp_server.stop()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_client_that_hangs_up_behind_its_message(smtp_server):
    """What is complete is taken, also if nobody waits for the reply."""
    with socket.create_connection((smtp_server.host, smtp_server.port), timeout=10) as sock:
        sock.sendall(
            b"EHLO me\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\nhello\r\n.\r\nQU"
        )
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert said.endswith(b"250 2.0.0 Message stored\r\n")
    assert [got.content for got in smtp_server.messages.wait_for(1)] == [b"hello\r\n"]


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "mail", "RCPT", "DATA", "."])
def test_drop_after(smtp_server, client, command, mode):
    smtp_server.drop_after(command, times=1)

    assert client(smtp_server) == "lost"
    assert smtp_server.messages == []
    assert client(smtp_server) == "sent"
    assert len(smtp_server.sessions) == 2


def test_drop_after_starttls(smtp_server, client):
    smtp_server.tls.starttls()
    smtp_server.drop_after("STARTTLS", times=1)

    assert client(smtp_server) == "lost"
    assert client(smtp_server) == "sent"


def test_drop_after_auth(smtp_server, client):
    smtp_server.auth(*LOGIN)
    smtp_server.drop_after("AUTH", times=1)

    assert client(smtp_server, LOGIN) == "lost"
    assert smtp_server.sessions[0].user is None
    assert client(smtp_server, LOGIN) == "sent"


@pytest.mark.parametrize("byte", [1, 10, 40, 100, 150])
def test_drop_at(smtp_server, client, byte, mode):
    smtp_server.drop_at(byte, times=1)

    assert client(smtp_server) == "lost"
    assert smtp_server.messages == []
    assert client(smtp_server) == "sent"


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA", "."])
def test_reply(smtp_server, client, command):
    smtp_server.reply("HELO", "502 no")
    smtp_server.reply(command, "451 4.7.1 later", times=1)
    smtp_server.reply(command, "554 never", times=1)

    # smtplib and aiosmtplib turn to HELO when EHLO is refused, and report that.
    helo = command == "EHLO"
    assert client(smtp_server) in (("502", "451") if helo else ("451",))
    assert client(smtp_server) in (("502", "554") if helo else ("554",))
    assert smtp_server.messages == []
    assert client(smtp_server) == "sent"
    assert smtp_server.messages[0].rcpt_tos == [TO]


def test_a_reply_of_several_lines(smtp_server, client):
    smtp_server.reply("MAIL", "451-one\n451 two\n", times=1)

    assert client(smtp_server) == "451"
    assert "S: 451-one" in smtp_server.sessions[0].transcript
    assert client(smtp_server) == "sent"


def test_a_greeting_that_turns_away(smtp_server, client):
    smtp_server.reply("CONNECT", "554 no service here")

    assert client(smtp_server) == "554"


def test_a_good_reply_in_other_words(smtp_server, client):
    smtp_server.auth(*LOGIN)
    smtp_server.reply("CONNECT", "220-mx\n220 ready")
    smtp_server.reply("EHLO", "250-mx\n250-X-OTHER\n250 AUTH LOGIN PLAIN")
    smtp_server.reply("AUTH", "235 welcome")
    smtp_server.reply("DATA", "354 on you go")
    smtp_server.reply(".", "250 queued as 1")

    assert client(smtp_server, LOGIN) == "sent"
    (got,) = smtp_server.messages
    assert got.content.startswith(CONTENT)
    said = [line for line in got.session.transcript if line.startswith("S: ")]
    assert said[:2] == ["S: 220-mx", "S: 220 ready"]
    assert said[2:5] == ["S: 250-mx", "S: 250-X-OTHER", "S: 250 AUTH LOGIN PLAIN"]
    assert "S: 235 welcome" in said
    assert "S: 250 queued as 1" in said


@pytest.mark.parametrize("command", ["CONNECT", "MAIL", "."])
def test_421_closes(smtp_server, command, mode):
    smtp_server.reply(command, "421 4.3.2 bye", times=1)

    for client in CLIENTS.values():
        outcome = client(smtp_server)
        assert outcome in ("421", "sent")
        session = smtp_server.sessions[-1]
        if outcome == "421":
            wait_until(lambda session=session: session.transcript[-1] == "S: 421 4.3.2 bye")
    assert len(smtp_server.messages) == len(CLIENTS) - 1


def test_421_is_followed_by_the_end(smtp_server):
    smtp_server.reply("MAIL", "421 bye")
    with socket.create_connection((smtp_server.host, smtp_server.port), timeout=10) as sock:
        sock.sendall(b"EHLO me\r\nMAIL FROM:<a@x.org>\r\n")
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert said.endswith(b"\r\n421 bye\r\n")


def test_silent(smtp_server, client, mode):
    smtp_server.silent(times=1)

    assert client(smtp_server, timeout=0.3) == "timeout"
    assert smtp_server.sessions[0].transcript == []
    assert client(smtp_server) == "sent"


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "DATA", "."])
def test_silent_later(smtp_server, client, command):
    smtp_server.silent(command, times=1)

    assert client(smtp_server, timeout=0.3) == "timeout"
    assert smtp_server.messages == []
    assert client(smtp_server) == "sent"


def test_delay(smtp_server, client, mode):
    smtp_server.delay(0.05)
    started = time.monotonic()
    assert client(smtp_server) == "sent"
    replies = len([line for line in smtp_server.sessions[0].transcript if line[6:7] == " "])
    assert time.monotonic() - started >= 0.05 * min(replies, 6)


def test_a_delay_that_is_too_long(smtp_server, client):
    smtp_server.delay(60, "DATA", times=1)

    assert client(smtp_server, timeout=0.3) == "timeout"
    assert client(smtp_server) == "sent"


def test_faults_on_pipelined_commands(smtp_server):
    """A fault happens when its command is reached, though all of them came at once."""
    smtp_server.reply("RCPT", "450 later", times=1)
    smtp_server.drop_after("DATA")
    with socket.create_connection((smtp_server.host, smtp_server.port), timeout=10) as sock:
        sock.sendall(
            b"EHLO me\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRCPT TO:<c@x.org>\r\nDATA\r\n"
        )
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert [line[:4] for line in said.splitlines()[-3:]] == [b"250 ", b"450 ", b"250 "]


def test_what_is_complete_at_the_byte_is_answered(smtp_server):
    begin = b"EHLO me\r\nMAIL FROM:<a@x.org>\r\n"
    smtp_server.drop_at(len(begin) + 3)
    with socket.create_connection((smtp_server.host, smtp_server.port), timeout=10) as sock:
        sock.sendall(begin + b"RCPT TO:<b@x.org>\r\n")
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert said.endswith(b"250 2.1.0 Sender OK\r\n")
    assert smtp_server.sessions[0].commands == ["EHLO me", "MAIL FROM:<a@x.org>"]


def test_reset_clears_all_faults(smtp_server, client):
    for fault in (smtp_server.drop_after, smtp_server.silent):
        fault("MAIL")
    smtp_server.drop_at(3)
    smtp_server.delay(60)
    smtp_server.reply("DATA", "451 no")
    smtp_server.reset()

    assert client(smtp_server) == "sent"


# -- start and stop --------------------------------------------------------------------------------


def test_without_pytest():
    with SMTPServer() as server:
        server.tls.starttls()
        path = Path(server.tls.ca)
        assert path.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert with_smtplib(server) == "sent"
    assert not path.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))
    assert [got.message["Subject"] for got in server.messages] == ["hi"]


def test_it_can_be_started_again(smtp_server):
    with pytest.raises(RuntimeError, match="started already"):
        smtp_server.start()
    smtp_server.tls.starttls()
    for _ in range(2):
        assert with_smtplib(smtp_server) == "sent"
        smtp_server.stop()
        smtp_server.stop()
        smtp_server.start()
    assert len(smtp_server.messages) == 2


@pytest.mark.parametrize("fault", ["", "silent", "silent later", "delay", "handshake"])
def test_it_stops_at_once_whatever_clients_do(smtp_server, fault):
    if fault == "silent":
        smtp_server.silent()
    elif fault == "silent later":
        smtp_server.silent("NOOP")
    elif fault == "delay":
        smtp_server.delay(600, "NOOP")
    elif fault == "handshake":
        smtp_server.tls.implicit()
    clients = [
        socket.create_connection((smtp_server.host, smtp_server.port), timeout=10)
        for _ in range(20)
    ]
    if fault not in ("silent", "handshake"):
        for client in clients:
            client.sendall(b"NOOP\r\n")
        wait_until(lambda: all(session.commands for session in smtp_server.sessions))
    started = time.monotonic()
    smtp_server.stop()
    assert time.monotonic() - started < 5
    for client in clients:
        client.close()
    assert not [each for each in threading.enumerate() if each.name == "loopback server"]


def test_many_clients_at_once(smtp_server):
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(with_smtplib(smtp_server)))
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["sent"] * 30
    assert len(smtp_server.messages.wait_for(30)) == 30


def test_wrong_arguments(smtp_server):
    with pytest.raises(TypeError, match="user and password are strings, not None"):
        smtp_server.auth("user", None)
    with pytest.raises(ValueError, match="rejects nobody: such a reply is 4xx or 5xx"):
        smtp_server.reject("b@x.org", "250 ok")
