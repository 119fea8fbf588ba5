"""``smtp-connection send-all``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from email import message_from_bytes
from email.policy import default

import pytest

from smtp_connection.cli import exits
from smtp_connection.cli.main import main
from smtp_connection.cli.template import Template
from smtp_connection.ledger import Ledger
from tests.support.manual import ROOT
from tests.support.signatures import RSA_PEM, is_verified

TEMPLATE = b"""\
From: News <news@x.org>
To: "$name" <$email>
Subject: News for $name
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear ${name}, this costs 5 $$.
"""


@pytest.fixture
def campaign(tmp_path, smtp_server, capfd, monkeypatch):
    """Send ``TEMPLATE`` to the rows: ``campaign(rows, *arguments)`` returns the exit status, and
    what was printed on both outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMTP_URL", raising=False)
    (tmp_path / "news.eml").write_bytes(TEMPLATE)

    def run(rows, *arguments, server=True):
        heading = "" if rows.startswith("mail,") else "email,name\n"
        (tmp_path / "them.csv").write_text(heading + rows, encoding="utf-8")
        host = ["--host", f"{smtp_server.host}:{smtp_server.port}"] if server else []
        status = main(["send-all", "them.csv", "news.eml", *host, *arguments])
        return (status, *capfd.readouterr())

    return run


def test_everybody_gets_a_message_of_their_own(campaign, smtp_server):
    status, out, err = campaign("a@x.org,Anna\nb@x.org,J\u00f6rg\n")
    assert (status, err) == (exits.OK, "")
    assert out == "sent 2; refused 0; sending 0; in doubt 0; sent before 0\n"
    first, second = sorted(smtp_server.messages, key=lambda each: each.rcpt_tos)
    assert (first.mail_from, first.rcpt_tos) == ("news@x.org", ["a@x.org"])
    assert second.message["Subject"] == "News for J\u00f6rg"
    assert second.message["To"] == "J\u00f6rg <b@x.org>"
    assert second.message.get_content() == "Dear J\u00f6rg, this costs 5 $.\n"
    assert second.message["Date"]
    assert first.message["Message-ID"] != second.message["Message-ID"]


def test_nobody_gets_it_twice(campaign, smtp_server):
    campaign("a@x.org,Anna\n")
    status, out, _ = campaign("A@x.org,Anna\na@x.org,Anna\nb@x.org,B\nB@X.org,B\n", "--json")
    assert status == exits.OK
    # Another spelling is another name in the ledger, but one address in one file.
    assert json.loads(out)["sent"] == 2
    status, out, _ = campaign("a@x.org,Anna\nb@x.org,B\n", "--json")
    assert json.loads(out) == {
        "sent": 0,
        "refused": 0,
        "sending": 0,
        "in doubt": 0,
        "sent before": 2,
    }
    assert len(smtp_server.messages) == 3


def test_who_was_refused_for_now_gets_it_the_next_time(campaign, smtp_server):
    smtp_server.reject("b@x.org", "451 4.7.1 later")
    smtp_server.reject("c@x.org", "550 5.1.1 no such user")
    rows = "a@x.org,A\nb@x.org,B\nc@x.org,C\n"
    status, out, err = campaign(rows)
    assert status == exits.TEMPORARY
    assert out == "sent 1; refused 1; sending 1; in doubt 0; sent before 0\n"
    assert err.endswith("c@x.org was refused: Recipient refused: 550 5.1.1 no such user\n")
    smtp_server.reset()
    status, out, _ = campaign(rows)
    assert status == exits.OK
    assert out == "sent 1; refused 0; sending 0; in doubt 0; sent before 2\n"


def test_what_is_in_doubt_is_left_to_a_person(campaign, smtp_server, tmp_path):
    smtp_server.drop_after(".", times=1)
    status, out, _ = campaign("a@x.org,A\n")
    assert (status, out[:32]) == (exits.IN_DOUBT, "sent 0; refused 0; sending 0; in")
    status, out, _ = campaign("a@x.org,A\n")
    assert status == exits.IN_DOUBT
    with Ledger(tmp_path / "news.db") as ledger:
        assert ledger.counts()["in doubt"] == 1


def test_a_wrong_password_ends_it_at_once(campaign, smtp_server, monkeypatch):
    smtp_server.auth("me", "right")
    monkeypatch.setenv("PASSWORD", "wrong")
    rows = "".join(f"a{n}@x.org,A\n" for n in range(1200))
    login = ("--user", "me", "--password-env", "PASSWORD")
    status, _, err = campaign(rows, *login, "--connections", "1")
    assert status == exits.NO_PERMISSION
    assert "Invalid login" in err
    assert smtp_server.messages == []
    monkeypatch.setenv("PASSWORD", "right")
    status, out, _ = campaign(rows, *login, "--json")
    assert (status, json.loads(out)["sent"]) == (exits.OK, 1200)


def test_a_campaign_that_is_killed_goes_on(tmp_path, smtp_server):
    smtp_server.delay(0.005, ".") if hasattr(smtp_server, "delay") else None
    (tmp_path / "news.eml").write_bytes(TEMPLATE)
    rows = "".join(f"a{n}@x.org,A\n" for n in range(600))
    (tmp_path / "them.csv").write_text(f"email,name\n{rows}")
    command = [sys.executable, "-m", "smtp_connection", "send-all", "them.csv", "news.eml"]
    command += ["--host", f"{smtp_server.host}:{smtp_server.port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for killed_at in (100, 300):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment)
        smtp_server.messages.wait_for(killed_at, timeout=30)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    got = [each.rcpt_tos[0] for each in smtp_server.messages]
    assert len(got) == len(set(got))
    with Ledger(tmp_path / "news.db") as ledger:
        counts = ledger.counts()
        missing = {entry.recipient for entry in ledger.entries("in doubt")} - set(got)
    assert counts["sending"] == counts["refused"] == 0
    assert len(got) + len(missing) == 600
    assert done.returncode == (exits.IN_DOUBT if counts["in doubt"] else exits.OK), done.stderr


@pytest.mark.parametrize(
    ("rows", "arguments", "status", "text"),
    [
        ("mail,name\na@x.org,A\n", (), exits.USAGE, "no column 'email', but 'mail', 'name'"),
        ("mail,size\na@x.org,1\n", ("--column", "mail"), exits.USAGE, "names 'email', 'name'; "),
        ("a@x.org,A\n", ("--url", "smtp://me:secret@x.org"), exits.USAGE, "a password on the"),
        ("a@x.org,A\n", ("--host", "127.0.0.1:1"), exits.TEMPORARY, "ECONNREFUSED|refused"),
    ],
)
def test_what_is_wrong_is_said(campaign, rows, arguments, status, text):
    server = False
    found, out, err = campaign(rows, *arguments, server=server)
    assert found == status
    assert any(each in err for each in text.split("|"))
    assert "secret" not in out + err


def test_rows_that_cannot_be_sent_are_left_out(campaign, smtp_server):
    status, out, err = campaign(',Nobody\na@x.org,"An\nna"\nb@x.org,B\n', "--json")
    assert status == exits.TEMPORARY
    assert json.loads(out)["sent"] == 1
    assert "row 2 has no address, and is left out" in err
    assert "row 3 is left out: the header To would have a control character in it" in err


def test_the_first_message_is_shown(campaign, smtp_server):
    status, out, _ = campaign("a@x.org,Anna\nb@x.org,B\n", "--dry-run", server=False)
    assert status == exits.OK
    assert out.startswith("To: <a@x.org>\n\n")
    assert "Dear Anna, this costs 5 $." in out
    assert smtp_server.messages == []


def test_html_and_attachments():
    template = Template(
        b"From: a@x.org\nSubject: hi\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: multipart/alternative; boundary=c\n\n"
        b"--c\nContent-Type: text/plain\n\nDear $name\n"
        b"--c\nContent-Type: text/html\n\n<b>Dear $name</b>\n--c--\n"
        b"--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=p.txt\n\n"
        b"costs $5\n--b--\n"
    )
    assert template.names == {"name"}
    filled = template.fill({"name": "A & B"}, "b@x.org", "news")
    message = message_from_bytes(filled.as_bytes(), policy=default)
    assert message["To"] == "b@x.org"
    assert message.get_body(("plain",)).get_content().strip() == "Dear A & B"
    assert message.get_body(("html",)).get_content().strip() == "<b>Dear A &amp; B</b>"
    (attachment,) = message.iter_attachments()
    assert attachment.get_content() == "costs $5"
    again = template.fill({"name": "A & B"}, "b@x.org", "news")
    assert again["Message-ID"] == filled["Message-ID"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"Subject: hi\n\nhello\n", "the template has no From header with an address"),
        (b"From: a@x.org\n\ncosts $5 only\n", r"a \$ that is no placeholder is written \$\$; see"),
    ],
)
def test_what_is_no_template(content, text):
    with pytest.raises(ValueError, match=text):
        Template(content)


def test_every_message_is_signed(campaign, smtp_server, tmp_path):
    (tmp_path / "key.pem").write_text(RSA_PEM)
    status, _, err = campaign("a@x.org,Anna\nb@x.org,B\n", "--dkim", "x.org:rsa:key.pem")
    assert (status, err) == (exits.OK, "")
    assert [is_verified(each.content) for each in smtp_server.messages] == [True, True]
