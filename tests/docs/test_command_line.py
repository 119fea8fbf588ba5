"""What the page about the command line shows is what the commands print."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
import trustme

from smtp_connection.cli import exits
from smtp_connection.cli.main import main
from tests.support.mail_server import Recorder, context_of, mail_server
from tests.support.manual import ROOT

PAGE = (ROOT / "docs" / "command_line.rst").read_text()
NOW = datetime.now(timezone.utc)


def _shown(name: str) -> str:
    """Return the block of the page that follows the comment ``name``."""
    found = re.search(rf"\.\. {name}\n\n\.\. code-block:: text\n\n((?:   .*\n|\n)+)", PAGE)
    assert found is not None, name
    return "".join(line[3:] or "\n" for line in found[1].splitlines(keepends=True)).strip()


def _masked(text: str) -> list[str]:
    """Return the lines of ``text`` without what differs from run to run."""
    # Where lines are broken depends on what is masked.
    parts = [" ".join(part.split()) for part in re.split(r"\n(?=    ?\S)", text)]
    text = "\n".join(parts)
    text = re.sub(r" [\d.]+ ms \|[ =]*\|", " .. ms |..|", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)
    text = re.sub(r"\b\d+ days", "N days", text)
    text = re.sub(r"[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4} GMT", "THEN", text)
    text = re.sub(r"127\.0\.0\.1|192\.0\.2\.1", "ADDRESS", text)
    text = re.sub(r"example\.com:\d+", "example.com:PORT", text)
    text = re.sub(r"Python SMTP [\d.]+", "Python SMTP VERSION", text)
    return text.splitlines()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_unit_name="Example CA")


@pytest.fixture
def diagnosed(capfd, monkeypatch) -> Callable[..., str]:
    """Diagnose ``smtp.example.com``, which is the server, and return what is printed."""

    def run(server, *arguments: str) -> str:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
        main(["diagnose", f"smtp.example.com:{server.port}", *arguments])
        out, err = capfd.readouterr()
        assert err == ""
        return out.strip()

    return run


@pytest.fixture
def ca(authority, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return ("--ca", str(path))


def test_a_good_server(diagnosed, authority, ca, monkeypatch):
    monkeypatch.setenv("PASSWORD", "pa ss\u00e9")
    leaf = authority.issue_cert("smtp.example.com", not_after=NOW + timedelta(days=60))
    with mail_server(tls_context=context_of(leaf)) as server:
        shown = diagnosed(server, *ca, "--user", "someone", "--password-env", "PASSWORD")
    assert _masked(shown) == _masked(_shown("good server"))


def test_an_expired_certificate(diagnosed, authority, ca):
    dates = {"not_before": NOW - timedelta(days=90), "not_after": NOW - timedelta(days=1)}
    leaf = authority.issue_cert("smtp.example.com", **dates)
    with mail_server(tls=context_of(leaf)) as server:
        shown = diagnosed(server, *ca, "--tls", "implicit")
    assert _masked(shown) == _masked(_shown("expired certificate"))


def test_greylisting(diagnosed):
    class Grey(Recorder):
        async def handle_RCPT(self, server, session, envelope, address, options):
            return "450 4.7.1 Greylisted, please try again in 5 minutes"

    with mail_server(mailbox=Grey()) as server:
        shown = diagnosed(server, "--from", "me@example.org", "--to", "you@example.com")
    assert _masked(shown) == _masked(_shown("greylisting"))


def test_the_table_of_exit_statuses_is_complete():
    statuses = {value for value in vars(exits).values() if type(value) is int}
    told = {int(number) for number in re.findall(r"^``(\d+)``", PAGE, re.M)}
    assert told == statuses | {1}
