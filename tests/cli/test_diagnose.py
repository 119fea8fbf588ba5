"""``smtp-connection diagnose``: the facts, and the verdict about the usual mistakes."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509

from smtp_connection.cli.diagnosis import command, targets
from smtp_connection.errors import SMTPError
from tests.support.mail_server import LOGIN, Recorder, context_of, mail_server
from tests.support.tls_pairs import make_certificate, serving_made

DAY = timedelta(days=1)
NOW = datetime.now(timezone.utc)


@pytest.fixture
def trusted(authority, tmp_path):
    """The option that trusts ``authority``."""
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    return ("--ca", str(tmp_path / "ca.pem"))


@pytest.fixture
def self_signed(tmp_path):
    """For a server whose certificate nobody else has signed."""
    return serving_made(make_certificate(names=[x509.DNSName("localhost")]), tmp_path / "own.pem")


@pytest.fixture
def look(smtp):
    """Diagnose a server and return the exit status, the one service, and its first attempt."""

    def run(server, *arguments, host="127.0.0.1"):
        port = server if isinstance(server, int) else server.port
        done = smtp("diagnose", f"{host}:{port}", "--json", "--timeout", "5", *arguments)
        assert done.err == ""
        (service,) = json.loads(done.out)
        return done.status, service, service["attempts"][0] if service["attempts"] else None

    return run


def _kinds(service):
    return [finding["kind"] for finding in service["verdict"]]


def _only_finding(service):
    (finding,) = service["verdict"]
    return finding


# -- the facts ------------------------------------------------------------------------------------


def test_a_good_server_with_everything_that_is_found_out(look, authority, trusted, monkeypatch):
    monkeypatch.setenv("THE_PASSWORD", LOGIN["pass"])
    leaf = authority.issue_cert("127.0.0.1", not_after=NOW + 40 * DAY)
    with mail_server(tls_context=context_of(leaf)) as server:
        status, service, attempt = look(
            *(server, *trusted, "-u", LOGIN["user"], "--password-env", "THE_PASSWORD"),
            *("--from", "a@example.com", "--to", "b@example.com", "--size", "1000"),
        )

    assert (status, _kinds(service)) == (0, ["works"])
    names = [phase["name"] for phase in attempt["phases"]]
    opening = ["look-up", "TCP", "greeting", "EHLO", "STARTTLS", "TLS", "EHLO"]
    assert names == [*opening, "AUTH", "probe"]
    begins = [phase["begin"] for phase in attempt["phases"]]
    assert begins == sorted(begins)
    assert not any(phase["failed"] for phase in attempt["phases"])
    assert attempt["address"] == "127.0.0.1"
    assert attempt["greeting"].startswith("220 mail.test")
    assert "STARTTLS" in attempt["before_tls"]
    assert "AUTH LOGIN PLAIN" in attempt["after_tls"]
    assert (attempt["mechanisms"], attempt["mechanism"]) == (["LOGIN", "PLAIN"], "PLAIN")
    assert attempt["size"] == 33554432
    assert attempt["tls"]["version"].startswith("TLSv1.")
    assert attempt["tls"]["cipher"]
    certificate = attempt["certificates"][0]
    assert certificate["names"] == ["127.0.0.1"]
    assert certificate["days_left"] in (39, 40)
    assert attempt["logged_in"] is True
    assert attempt["accepted"] == ["b@example.com"]
    assert not server.mailbox.envelopes


def test_tls_from_the_first_byte_is_a_phase_of_its_own(look, authority, trusted):
    with mail_server(tls=context_of(authority.issue_cert("127.0.0.1"))) as server:
        status, service, attempt = look(server, *trusted, "--tls", "implicit")

    assert (status, _kinds(service)) == (0, ["works"])
    names = [phase["name"] for phase in attempt["phases"]]
    assert names == ["look-up", "TCP", "TLS", "greeting", "EHLO"]
    assert (attempt["before_tls"], attempt["secure"]) == (None, True)
    assert attempt["after_tls"]


def test_every_address_is_tried(look, monkeypatch):
    with mail_server() as server, socket.create_server(("127.0.0.2", 0)) as other:
        other.close()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port))
            for address in ("127.0.0.1", "127.0.0.2")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
        status, service, _ = look(server, host="mail.example.com")

    assert [attempt["address"] for attempt in service["attempts"]] == ["127.0.0.1", "127.0.0.2"]
    assert service["attempts"][0]["error"] is None
    assert service["attempts"][1]["error"]["code"] == "ECONNREFUSED"
    assert _kinds(service) == ["refused", "some-addresses-fail", "works"]
    assert status == 0  # programs get through, by the other address


def test_without_a_port_the_three_usual_ones_stand_side_by_side(smtp):
    done = smtp("diagnose", "127.0.0.9", "--timeout", "5")
    lines = done.out.splitlines()
    (head,) = [line for line in lines if line.split()[:1] == ["port"]]
    assert head.split() == ["port", "25", "465", "587"]
    (verdict,) = [line for line in lines if line.split()[:1] == ["verdict"]]
    assert verdict.split() == ["verdict", "refused", "refused", "refused"]


# -- the ten usual mistakes -----------------------------------------------------------------------


def test_tls_from_the_first_byte_where_the_server_begins_in_clear_text(look):
    with mail_server() as server:
        status, service, _ = look(server, "--tls", "implicit")
    assert status == 76
    finding = _only_finding(service)
    assert finding["kind"] == "wrong-mode"
    assert "secure: False" in finding["advice"]


def test_clear_text_where_the_server_begins_with_tls(look, authority):
    with mail_server(tls=context_of(authority.issue_cert("127.0.0.1"))) as server:
        _, service, _ = look(server, "--timeout", "0.5")
    finding = _only_finding(service)
    assert finding["kind"] == "wrong-mode"
    assert "secure: True" in finding["advice"]


def test_a_self_signed_certificate(look, self_signed):
    with mail_server(tls_context=self_signed) as server:
        status, service, attempt = look(server)
    assert status == 69
    assert _kinds(service) == ["self-signed"]
    assert attempt["distrust"]["reason"] == "DEPTH_ZERO_SELF_SIGNED_CERT"
    assert attempt["after_tls"]  # what lies behind it is looked at all the same


@pytest.mark.parametrize(
    ("name", "dates", "kind"),
    [
        ("mx.example.org", {}, "wrong-name"),
        ("127.0.0.1", {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, "expired"),
        ("127.0.0.1", {"not_before": NOW + DAY, "not_after": NOW + 9 * DAY}, "not-yet-valid"),
    ],
)
def test_a_certificate_that_is_not_good(look, authority, trusted, name, dates, kind):
    with mail_server(tls_context=context_of(authority.issue_cert(name, **dates))) as server:
        status, service, attempt = look(server, *trusted)
    assert (status, _kinds(service)) == (69, [kind])
    assert attempt["certificates"][0]["names"] == [name]


def test_a_certificate_of_an_unknown_authority(look, authority):
    with mail_server(tls_context=context_of(authority.issue_cert("127.0.0.1"))) as server:
        _, service, _ = look(server)
    assert _kinds(service) == ["unknown-authority"]


def test_a_certificate_that_is_about_to_expire_is_a_warning(look, authority, trusted):
    leaf = authority.issue_cert("127.0.0.1", not_after=NOW + 3 * DAY)
    with mail_server(tls_context=context_of(leaf)) as server:
        status, service, _ = look(server, *trusted)
    assert (status, _kinds(service)) == (0, ["expires-soon", "works"])


def test_no_login_without_tls(look, authority, monkeypatch):
    monkeypatch.setenv("THE_PASSWORD", LOGIN["pass"])
    with mail_server(tls_context=context_of(authority.issue_cert("127.0.0.1"))) as server:
        status, service, _ = look(
            server, "--tls", "none", "-u", LOGIN["user"], "--password-env", "THE_PASSWORD"
        )
    assert status == 77
    assert "auth-needs-tls" in _kinds(service)


def test_a_wrong_password(look, authority, trusted, monkeypatch):
    monkeypatch.setenv("THE_PASSWORD", "wrong")
    with mail_server(tls_context=context_of(authority.issue_cert("127.0.0.1"))) as server:
        status, service, attempt = look(
            server, *trusted, "-u", LOGIN["user"], "--password-env", "THE_PASSWORD"
        )
    assert (status, _kinds(service)) == (77, ["wrong-password"])
    assert attempt["logged_in"] is False
    assert "wrong" not in json.dumps(attempt)


def test_a_certificate_that_is_not_good_gets_no_password(look, authority, monkeypatch):
    monkeypatch.setenv("THE_PASSWORD", LOGIN["pass"])
    with mail_server(tls_context=context_of(authority.issue_cert("127.0.0.1"))) as server:
        _, service, attempt = look(server, "-u", LOGIN["user"], "--password-env", "THE_PASSWORD")
    assert attempt["logged_in"] is None
    assert not server.mailbox.logins
    assert _kinds(service) == ["unknown-authority"]


def test_a_black_hole(look, full_port):
    status, service, _ = look(full_port, "--timeout", "0.3")
    finding = _only_finding(service)
    assert (status, finding["kind"]) == (75, "black-hole")
    assert "firewall" in finding["advice"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(socket.EAI_NONAME, 68), (socket.EAI_AGAIN, 75)],
)
def test_a_name_that_cannot_be_looked_up(look, monkeypatch, error, status):
    def fail(*args, **options):
        raise socket.gaierror(error, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    found, service, _ = look(587, host="mail.example.com")
    assert (found, _kinds(service)) == (status, ["dns"])


def test_greylisting(look):
    class Grey(Recorder):
        async def handle_RCPT(self, server, session, envelope, address, options):
            return "450 4.7.1 try again in five minutes"

    with mail_server(mailbox=Grey()) as server:
        status, service, _ = look(server, "--from", "a@example.com", "--to", "b@example.com")
    assert status == 0  # it works, later
    assert _kinds(service) == ["greylisting", "works"]


def test_a_message_that_is_too_large(look):
    with mail_server(data_size_limit=1000) as server:
        status, service, _ = look(server, "--size", "2000")
    finding = _only_finding(service)
    assert (status, finding["kind"]) == (65, "too-large")
    assert "2000" in finding["text"]
    assert "1000" in finding["text"]


# -- others ---------------------------------------------------------------------------------------


def test_another_protocol(look, serve):
    _, service, _ = look(serve(lambda peer: peer.send("* OK IMAP4rev1 ready\r\n")))
    assert _kinds(service) == ["not-smtp"]


def test_a_recipient_that_is_refused_for_good(look):
    mailbox = Recorder()
    mailbox.refused = {"b@example.com"}
    with mail_server(mailbox=mailbox) as server:
        status, service, _ = look(server, "--from", "a@example.com", "--to", "b@example.com")
    assert (status, _kinds(service)) == (65, ["recipient-refused"])


def test_a_server_that_is_busy(look, serve):
    status, service, _ = look(serve(lambda peer: peer.send("421 4.3.2 too many connections\r\n")))
    assert (status, _kinds(service)) == (75, ["busy"])


# -- what is looked at ----------------------------------------------------------------------------


def test_a_url_says_where_and_how(smtp, authority, trusted):
    with mail_server(tls=context_of(authority.issue_cert("127.0.0.1"))) as server:
        done = smtp("diagnose", f"smtps://127.0.0.1:{server.port}", *trusted)
    assert done.status == 0
    assert f"127.0.0.1:{server.port} works: TLSv1." in done.out


def test_a_mail_address_stands_for_its_mail_servers(smtp, monkeypatch):
    asked = []

    def servers(domain):
        asked.append(domain)
        return ["127.0.0.1"]

    monkeypatch.setattr(command, "mail_servers", servers)
    with mail_server() as server:
        monkeypatch.setattr(
            command, "places_at", lambda host, port, secure: targets.places_at(host, server.port)
        )
        done = smtp("diagnose", "b@example.com", "--from", "a@example.com", "--json")

    (service,) = json.loads(done.out)
    assert (done.status, asked) == (0, ["example.com"])
    assert service["attempts"][0]["accepted"] == ["b@example.com"]


def test_a_domain_without_mail_is_no_host(smtp, monkeypatch):
    def servers(domain):
        raise SMTPError(f"{domain} takes no mail", code="ENOTFOUND", command="CONN")

    monkeypatch.setattr(command, "mail_servers", servers)
    done = smtp("diagnose", "b@example.com")
    assert done == (68, "", "smtp_connection: example.com takes no mail\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a b"], "diagnose takes HOST, HOST:PORT, a URL"),
        (["host:99999"], "a port is a number from 1 to 65535"),
        (["host", "--to", "b@example.com"], "--to needs --from"),
        (["host", "--from", "a@example.com"], "--from needs --to"),
        (["smtp://me:secret@host"], "a password on the command line"),
        (["host", "--timeout", "-1"], "invalid number of seconds"),
    ],
)
def test_wrong_arguments_are_named(smtp, arguments, says):
    done = smtp("diagnose", *arguments)
    assert (done.status, done.out) == (64, "")
    assert says in done.err
    assert "secret" not in done.err


def test_the_report_in_words(smtp, authority, trusted):
    with mail_server(tls_context=context_of(authority.issue_cert("127.0.0.1"))) as server:
        done = smtp("diagnose", f"127.0.0.1:{server.port}", *trusted)

    assert done.status == 0
    labels = [line[4:16].strip() for line in done.out.splitlines() if line[:4] == "    "]
    assert [label for label in labels if label] == [
        *("look-up", "TCP", "greeting", "EHLO", "STARTTLS", "TLS", "EHLO"),
        *("greeting", "before TLS", "over TLS", "TLS", "certificate", "logins", "SIZE"),
    ]
    assert max(map(len, done.out.splitlines())) <= 100
