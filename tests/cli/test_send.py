"""``smtp-connection send``."""

from __future__ import annotations

import email
import email.policy
import json

import pytest

from tests.support.mail_server import LOGIN, Recorder, context_of, mail_server
from tests.support.signatures import ED25519_PEM, RSA_PEM, is_verified

MESSAGE = b"""\
From: Sender <a@example.com>
To: b@example.com
Bcc: hidden@example.com,
 more@example.com
Subject: hi

hello
.
"""


@pytest.fixture
def server():
    with mail_server() as running:
        yield running


@pytest.fixture
def place(server):
    return f"127.0.0.1:{server.port}"


def _stored(server):
    (envelope,) = server.mailbox.envelopes
    return envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)


# -- as sendmail ----------------------------------------------------------------------------------


def test_it_takes_a_message_as_sendmail_does_and_says_nothing(smtp, server, place):
    done = smtp(
        "send", "--host", place, "-i", "-f", "f@example.com", "c@example.com", stdin=MESSAGE
    )

    assert done == (0, "", "")
    envelope, message = _stored(server)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("f@example.com", ["c@example.com"])
    assert (message["Bcc"], message["To"]) == (None, "b@example.com")
    assert message.get_content() == "hello\r\n.\r\n"


def test_t_takes_sender_and_recipients_of_the_headers_and_those_named_as_well(smtp, server, place):
    assert smtp("send", "--host", place, "-t", "c@example.com", stdin=MESSAGE).status == 0

    envelope, message = _stored(server)
    assert envelope.mail_from == "a@example.com"
    assert envelope.rcpt_tos == [
        "c@example.com",
        "b@example.com",
        "hidden@example.com",
        "more@example.com",
    ]
    assert "hidden" not in str(message)


def test_a_message_without_an_empty_line_is_all_headers(smtp, server, place):
    done = smtp("send", "--host", place, "-t", stdin=b"From: a@example.com\nTo: b@example.com\n")

    assert done == (0, "", "")
    assert _stored(server)[1]["To"] == "b@example.com"


@pytest.mark.parametrize(
    ("arguments", "message", "says"),
    [
        (["c@example.com"], b"Subject: x\n\nx", "there is no sender: use -f"),
        (["-f", "a@example.com"], MESSAGE, "there is no recipient: name one, or use -t"),
        (["-f", "a@example.com", "-t", "--text", "x"], b"", "-t is for a message that is read"),
        (["--text", "x", "--to", "b@example.com"], b"", "there is no sender: use --from"),
        (["--text", "-", "--html", "-"], b"", "only one of --text and --html can be read"),
        (["--url", "smtp://me:pw@example.com", "-t"], MESSAGE, "a password on the command line"),
        (["--ca", "/no/such/file", "-t"], MESSAGE, "tls option 'ca'"),
        (["-u", "me", "--password-env", "NO_SUCH_VARIABLE", "-t"], MESSAGE, "NO_SUCH_VARIABLE"),
        (["--host", "a:b:c/", "--no-such-option"], b"", "unrecognized arguments"),
    ],
)
def test_wrong_arguments_are_named(smtp, arguments, message, says):
    done = smtp("send", *arguments, stdin=message)
    assert (done.status, done.out) == (64, "")
    assert says in done.err
    assert "pw" not in done.err.replace("password", "")


# -- composing ------------------------------------------------------------------------------------


def test_it_composes_a_message_with_text_html_and_attachment(smtp, server, place, tmp_path):
    (tmp_path / "report.txt").write_bytes(b"all is well")
    done = smtp(
        *("send", "--host", place, "--from", "A <a@example.com>", "--to", "b@example.com"),
        *("--cc", "c@example.com", "--bcc", "d@example.com", "--subject", "Gr\u00fc\u00dfe"),
        *("--text", "text", "--html", "<p>html</p>", "--attach", str(tmp_path / "report.txt")),
    )

    assert done == (0, "", "")
    envelope, message = _stored(server)
    assert envelope.mail_from == "a@example.com"
    assert envelope.rcpt_tos == ["b@example.com", "c@example.com", "d@example.com"]
    assert (message["Subject"], message["Bcc"]) == ("Gr\u00fc\u00dfe", None)
    assert message.get_body(("plain",)).get_content().strip() == "text"
    assert message.get_body(("html",)).get_content().strip() == "<p>html</p>"
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("report.txt", "all is well")


def test_without_a_text_the_standard_input_is_the_text(smtp, server, place):
    arguments = ("--from", "a@example.com", "--to", "b@example.com", "--subject", "x")
    assert smtp("send", "--host", place, *arguments, stdin=b"from a pipe").status == 0
    assert _stored(server)[1].get_content().strip() == "from a pipe"


def test_a_missing_attachment_is_no_input(smtp):
    done = smtp("send", "--from", "a@x.org", "--to", "b@x.org", "--text", "", "--attach", "/none")
    assert done.status == 66
    assert "/none" in done.err


def test_a_dry_run_shows_the_message_and_needs_no_server(smtp):
    done = smtp("send", "--dry-run", "-t", stdin=MESSAGE)

    assert done.status == 0
    assert done.out.startswith("From: <a@example.com>\nTo:   <b@example.com>\nTo:   <hidden@")
    assert done.out.endswith(
        "\n\nFrom: Sender <a@example.com>\nTo: b@example.com\nSubject: hi\n\nhello\n.\n"
    )


# -- logins ---------------------------------------------------------------------------------------


def test_it_logs_in_over_tls_with_a_password_of_the_environment(
    smtp, authority, monkeypatch, tmp_path
):
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    monkeypatch.setenv("THE_PASSWORD", LOGIN["pass"])
    options = {"tls_context": context_of(authority.issue_cert("127.0.0.1")), "auth_required": True}
    with mail_server(**options) as server:
        done = smtp(
            *("send", "--url", f"smtp://{LOGIN['user']}@127.0.0.1:{server.port}", "-t"),
            *("--ca", str(tmp_path / "ca.pem"), "--password-env", "THE_PASSWORD"),
            stdin=MESSAGE,
        )
    assert done == (0, "", "")
    assert server.mailbox.logins == [("PLAIN", LOGIN["user"].encode(), LOGIN["pass"].encode())]


def test_the_environment_may_name_the_server_with_its_password(smtp, authority, monkeypatch):
    options = {"tls_context": context_of(authority.issue_cert("127.0.0.1")), "auth_required": True}
    with mail_server(**options) as server:
        monkeypatch.setenv("SMTP_URL", f"smtp://someone:pa%20ss%C3%A9@127.0.0.1:{server.port}")
        assert smtp("send", "--insecure", "-t", stdin=MESSAGE) == (0, "", "")


def test_a_refused_login_sends_nothing(smtp, monkeypatch):
    monkeypatch.setenv("THE_PASSWORD", "wrong")
    with mail_server(auth_require_tls=False) as server:
        done = smtp(
            *("send", "--host", f"127.0.0.1:{server.port}", "-u", "someone", "-t"),
            *("--password-env", "THE_PASSWORD"),
            stdin=MESSAGE,
        )
    assert done.status == 77
    assert "Invalid login: 535" in done.err
    assert not server.mailbox.envelopes


# -- what came of it ------------------------------------------------------------------------------


def test_json_tells_the_outcome(smtp, place):
    done = smtp("send", "--host", place, "-t", "--json", stdin=MESSAGE)
    info = json.loads(done.out)
    assert (done.status, info["rejected"]) == (0, [])
    assert info["accepted"][0] == "b@example.com"
    assert info["response"] == "250 2.0.0 stored"


def test_some_refused_is_told_apart_from_none_sent(smtp, server, place):
    server.mailbox.refused = {"b@example.com"}
    done = smtp("send", "--host", place, "-t", stdin=MESSAGE)
    assert done.status == 67
    assert "not sent to b@example.com" in done.err
    assert _stored(server)[0].rcpt_tos == ["hidden@example.com", "more@example.com"]


@pytest.mark.parametrize(
    ("reply", "status"), [("550 5.1.1 no such user", 69), ("450 4.2.0 later", 75)]
)
def test_a_refusal_says_whether_to_try_again(smtp, reply, status):
    class Refusing(Recorder):
        async def handle_RCPT(self, server, session, envelope, address, options):
            return reply

    with mail_server(mailbox=Refusing()) as server:
        done = smtp("send", "--host", f"127.0.0.1:{server.port}", "-t", "--json", stdin=MESSAGE)
    assert done.status == status
    error = json.loads(done.out)["error"]
    assert (error["code"], error["responseCode"]) == ("EENVELOPE", int(reply[:3]))


def test_a_message_in_doubt_has_a_status_of_its_own(smtp, serve):
    def hangs_up(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250 ok\n" + "C: RCPT\nS: 250 ok\n" * 3 + "C: DATA\nS: 354 go")
        peer.read_message()

    server = serve(hangs_up)
    done = smtp("send", "--host", f"127.0.0.1:{server.port}", "-t", stdin=MESSAGE)
    assert done.status == 79
    assert "to send it again may be to send it twice" in done.err


def test_verbose_shows_the_conversation_on_the_standard_error(smtp, place):
    done = smtp("send", "--host", place, "-t", "-v", stdin=MESSAGE)
    assert (done.status, done.out) == (0, "")
    assert "MAIL FROM:<a@example.com>" in done.err
    assert "250 2.0.0 stored" in done.err


# -- signatures -----------------------------------------------------------------------------------


def test_each_key_signs(smtp, server, place, tmp_path):
    for name, pem in (("rsa", RSA_PEM), ("ed", ED25519_PEM)):
        (tmp_path / f"{name}.pem").write_text(pem)
    keys = [f"--dkim=x.org:{name}:{tmp_path}/{name}.pem" for name in ("rsa", "ed")]
    done = smtp("send", "--host", place, *keys, "-f", "a@x.org", "b@x.org", stdin=MESSAGE)

    assert done == (0, "", "")
    envelope, _ = _stored(server)
    assert is_verified(envelope.content, 2)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("x.org:rsa", "--dkim takes DOMAIN:SELECTOR:FILE; got 'x.org:rsa'"),
        ("x.org:rsa:/nowhere/key.pem", "No such file or directory: '/nowhere/key.pem'"),
        ("x org:rsa:key.pem", "dkim option 'domainName' takes a domain"),
        (
            "x.org:rsa:no.pem",
            "dkim option 'privateKey' takes a private key, RSA or Ed25519",
        ),
    ],
)
def test_a_wrong_key(smtp, server, place, tmp_path, monkeypatch, given, says):
    (tmp_path / "key.pem").write_text(RSA_PEM)
    (tmp_path / "no.pem").write_text("secret")
    monkeypatch.chdir(tmp_path)
    done = smtp("send", "--host", place, "--dkim", given, "-f", "a@x.org", "b@x.org", stdin=MESSAGE)

    assert done.status != 0
    assert says in done.err
    assert "secret" not in done.err
    assert server.mailbox.envelopes == []
