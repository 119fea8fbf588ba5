"""NTLM, against the acceptor of the library that the extra brings."""

from __future__ import annotations

import base64
import sys

import pytest
import spnego

AUTH = {"user": "me", "pass": "s3cr3t pässword", "domain": "CORP"}


@pytest.fixture
def accounts(tmp_path, monkeypatch):
    file = tmp_path / "accounts"
    file.write_text("CORP:me:s3cr3t pässword\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))


def accept(peer):
    """Play the server's side; return whether the client proved who it is."""
    acceptor = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    (line,) = peer.expect("AUTH NTLM ")
    challenge = acceptor.step(base64.b64decode(line.removeprefix("AUTH NTLM ")))
    peer.send(f"334 {base64.b64encode(challenge).decode()}\r\n")
    try:
        acceptor.step(base64.b64decode(peer.read_line()))
    except spnego.exceptions.SpnegoError:
        return None
    return acceptor.client_principal


def run(connection, reactor, diary, auth=AUTH):
    connection.connect()
    connection.login(auth, diary.callback("login"))
    connection.quit()
    reactor.run()
    assert diary.names() == ["connect", "login", "end"]


@pytest.mark.parametrize("announced", ["AUTH NTLM LOGIN", "AUTH LOGIN NTLM"])
def test_a_domain_chooses_it(serve, connect_to, reactor, diary, accounts, announced):
    def script(peer):
        peer.greet(announced)
        assert accept(peer) == "CORP\\me"
        peer.send("235 2.7.0 welcome\r\n")
        peer.take_quit()

    connection = connect_to(serve(script))
    run(connection, reactor, diary)
    assert diary.of("login") == [(None, True)]
    assert connection.authenticated
    assert diary.commands()[1:-1] == ["AUTH NTLM /* secret */", "/* secret */"]


def test_a_wrong_password_is_eauth(serve, connect_to, reactor, diary, accounts):
    def script(peer):
        peer.greet("AUTH NTLM")
        assert accept(peer) is None
        peer.send("535 5.7.8 no\r\n")
        peer.take_quit()

    run(connect_to(serve(script)), reactor, diary, {**AUTH, "pass": "guess"})
    error = diary.error("login")
    assert (error.code, error.command, error.responseCode) == ("EAUTH", "AUTH NTLM", 535)


@pytest.mark.parametrize("challenge", ["???", "", base64.b64encode(b"NTLMSSP\0junk").decode()])
def test_a_bad_challenge_is_cancelled(serve, connect_to, reactor, diary, challenge):
    def script(peer):
        peer.greet("AUTH NTLM")
        peer.expect("AUTH NTLM ")
        peer.send(f"334 {challenge}\r\n")
        assert peer.read_line() == "*"
        peer.send("501 cancelled\r\n")
        peer.take_quit()

    run(connect_to(serve(script)), reactor, diary)
    assert "Invalid challenge" in str(diary.error("login"))


def test_a_refusal_at_once_is_eauth(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet("AUTH NTLM")
        peer.expect("AUTH NTLM ")
        peer.send("504 5.5.4 unrecognized\r\n")
        peer.take_quit()

    run(connect_to(serve(script)), reactor, diary)
    assert diary.error("login").responseCode == 504


def test_without_the_extra_the_error_names_it(serve, connect_to, reactor, diary, monkeypatch):
    monkeypatch.setitem(sys.modules, "spnego", None)

    def script(peer):
        peer.greet("AUTH NTLM")
        peer.take_quit()

    run(connect_to(serve(script)), reactor, diary)
    assert "NTLM needs the extra 'ntlm'" in str(diary.error("login"))
    assert "pip install '.[ntlm]'" in str(diary.error("login"))
    assert diary.error("login").code == "EAUTH"
