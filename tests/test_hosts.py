"""What a host is, and what this one is called; ``is_loopback`` is tested with the warning that
asks it (``sessions/test_clear_text.py``)."""

from __future__ import annotations

import socket
import sys

import pytest

from smtp_connection.hosts import a_labels, is_ip, own_name, path_of


@pytest.mark.parametrize("text", ["192.0.2.1", "::1", "2001:db8::1", "fe80::1%lo"])
def test_ip_addresses(text):
    assert is_ip(text)


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "192.0.2.1:25", "[::1]", " ::1", "1"])
def test_what_is_no_ip_address(text):
    assert not is_ip(text)


def test_the_name_of_this_machine():
    assert own_name() == socket.gethostname()


# -- international names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("b\xfccher.example", "xn--bcher-kva.example"),
        ("B\xdcCHER.My_Net.example", "xn--bcher-kva.My_Net.example"),
        ("stra\xdfe.de", "xn--strae-oqa.de"),
        ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("x\u3002\xfc.org", "x.xn--tda.org"),
        ("x.org", "x.org"),
    ],
)
def test_a_labels(domain, ascii_form):
    assert a_labels(domain) == ascii_form
    assert path_of(f"a@{domain}") == f"a@{ascii_form}"


@pytest.mark.parametrize("domain", ["\xfc_x.org", "\u2100.org", "\xfc" * 70, "-\xfc", "\u200d.org"])
def test_what_has_no_a_labels(domain):
    with pytest.raises(ValueError, match=r"[a-z]"):
        a_labels(domain)
    assert path_of(f"a@{domain}") == f"a@{domain}"


@pytest.mark.parametrize(
    "address",
    ["\xfc@b\xfccher.example", "\xfc@x.org", "\xfc", "a", "a@[192.0.2.1]", "", '"\xfc@x"@x.org'],
)
def test_other_addresses_stay_as_they_are(address):
    assert path_of(address) == address


def test_without_the_package_idna_a_domain_stays_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    assert path_of("a@\xfc.org") == "a@\xfc.org"
    with pytest.raises(ImportError):
        a_labels("\xfc.org")
