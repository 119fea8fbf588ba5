"""Where ``diagnose`` looks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import dns.exception
import dns.resolver
import pytest

from smtp_connection import SMTPError
from smtp_connection.cli.diagnosis.facts import Place
from smtp_connection.cli.diagnosis.targets import Wrong, mail_servers, places_at, read_target


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mx.example.com", "mx.example.com", None),
        ("mx.example.com:587", "mx.example.com", 587),
        ("192.0.2.1:25", "192.0.2.1", 25),
        ("[2001:db8::1]:25", "2001:db8::1", 25),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
    ],
)
def test_host_and_port(text, host, port):
    assert read_target(text) == (host, port)


@pytest.mark.parametrize("text", ["", "a b", "host:", "host:0", "host:65536", "host/x", "[::1"])
def test_what_is_neither(text):
    with pytest.raises(Wrong):
        read_target(text)


def test_port_465_alone_is_tls_from_the_first_byte():
    modes = [(place.port, place.secure) for place in places_at("mx.example.com", None)]
    assert modes == [(25, False), (465, True), (587, False)]
    assert places_at("mx.example.com", 587, secure=True) == [Place("mx.example.com", 587, True)]
    assert str(Place("2001:db8::1", 25, False)) == "[2001:db8::1]:25"


def _answering(monkeypatch, answer):
    def resolve(domain, kind):
        assert (domain, kind) == ("example.com", "MX")
        if isinstance(answer, type):
            raise answer
        return [SimpleNamespace(preference=number, exchange=host) for number, host in answer]

    monkeypatch.setattr(dns.resolver, "resolve", resolve)


def test_mail_servers_are_in_the_order_of_preference(monkeypatch):
    _answering(monkeypatch, [(20, "b.example.com."), (10, "a.example.com.")])
    assert mail_servers("example.com") == ["a.example.com", "b.example.com"]


def test_without_mx_records_it_is_the_domain_itself(monkeypatch):
    _answering(monkeypatch, dns.resolver.NoAnswer)
    assert mail_servers("example.com") == ["example.com"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (dns.resolver.NXDOMAIN, "ENOTFOUND"),
        (dns.resolver.NoNameservers, "EAI_AGAIN"),
        (dns.exception.Timeout, "EAI_AGAIN"),
        ([(0, ".")], "ENOTFOUND"),  # RFC 7505
    ],
)
def test_domains_that_take_no_mail(monkeypatch, answer, code):
    _answering(monkeypatch, answer)
    with pytest.raises(SMTPError, match=r"example\.com") as caught:
        mail_servers("example.com")
    assert caught.value.code == code


def test_without_dnspython_it_says_what_to_install(monkeypatch):
    for name in ("dns", "dns.exception", "dns.resolver"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match="the extra 'cli'"):
        mail_servers("example.com")
