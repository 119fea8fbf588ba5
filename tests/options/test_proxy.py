"""The option ``proxy``: which URLs are accepted, and that no text shows user or password."""

from __future__ import annotations

import socket
import traceback

import pytest

from smtp_connection.options.proxy import ProxyURL, parse_proxy
from smtp_connection.options.smtp import Options

SECRET = "geheim"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy", ProxyURL("http", "proxy", 80)),
        ("http://proxy:3128/", ProxyURL("http", "proxy", 3128)),
        (" Socks5://10.0.0.1 ", ProxyURL("socks5", "10.0.0.1", 1080)),
        ("socks5h://[::1]:1081", ProxyURL("socks5h", "::1", 1081)),
        ("socks4://me@proxy", ProxyURL("socks4", "proxy", 1080, "me")),
        ("socks4a://proxy:65535", ProxyURL("socks4a", "proxy", 65535)),
        ("http://a:b@proxy", ProxyURL("http", "proxy", 80, "a", "b")),
        ("http://a:b:c@proxy", ProxyURL("http", "proxy", 80, "a", "b:c")),
        ("http://:@proxy", ProxyURL("http", "proxy", 80)),
        ("http://a%:b@proxy", ProxyURL("http", "proxy", 80, "a%", "b")),
    ],
)
def test_urls_that_are_accepted(url, expected):
    assert parse_proxy(url) == expected
    assert parse_proxy(expected) is expected


@pytest.mark.parametrize(
    ("url", "shown", "objection"),
    [
        (f"https://a:{SECRET}@p:1", "https://***@p:1", "TLS to the proxy itself is not supported"),
        (f"ftp://a:{SECRET}@p:1", "ftp://***@p:1", "the scheme 'ftp' is unknown"),
        (f"a:{SECRET}@p:1", "***@p:1", "that is not such a URL"),
        (f"http://a:{SECRET}", "http://a***", "that is not such a URL"),
        (f"http://p:80:a:{SECRET}", "http://p***", "that is not such a URL"),
        (f"http://a:{SECRET}@p:1/x", "http://***@p***", "that is not such a URL"),
        (f"http://a:{SECRET}@p?{SECRET}", "http://***@p***", "that is not such a URL"),
        (f"http://a:{SECRET}://b@p q", "http://***@p q", "that is not such a URL"),
        (f"http://a:{SECRET}@[::1:80", "http://***@[***", "that is not such a URL"),
        (f"http://a:{SECRET}@[p]:80", "http://***@[p]:80", "only an IPv6 address may stand"),
        (f"http://a:{SECRET}@", "http://***@", "that is not such a URL"),
        ("http://", "http://", "that is not such a URL"),
        ("proxy", "proxy", "that is not such a URL"),
        ("proxy:3128", "proxy:3128", "that is not such a URL"),
        (f"http://a:{SECRET}@p:0", "http://***@p:0", "a port is a number from 1 to 65535"),
        (f"http://a:{SECRET}@p:65536", "http://***@p:65536", "a port is a number from 1 to"),
        (f"http://a:{SECRET}@p:x", "http://***@p***", "that is not such a URL"),
        (f"http://a%0D%0Ab:{SECRET}@p", "http://***@p", "a control character"),
        (f"http://a:{SECRET}%00@p", "http://***@p", "a control character"),
        (f"http://a:{SECRET}\r\n@p", "http://***@p", "a control character"),
        (f"http://a:{SECRET}%C2%85@p", "http://***@p", "a control character"),
        (f"http://a:{SECRET}%FF@p", "http://***@p", "or bytes that are not UTF-8"),
        (f"http://a:{SECRET}\udc80@p", "http://***@p", "or bytes that are not UTF-8"),
        (f"http://:{SECRET}@p", "http://***@p", "the password has no user"),
        (f"http://a%3Ab:{SECRET}@p", "http://***@p", "the user has a colon in it"),
        (f"socks5://a:{SECRET}ä@p", "socks5://***@p", "of a SOCKS proxy are ASCII"),
        (f"socks5://a:{SECRET * 50}@p", "socks5://***@p", "at most 255 characters each"),
        (f"socks4://{SECRET * 50}@p", "socks4://***@p", "at most 255 characters each"),
        (f"socks5h://{SECRET}@p", "socks5h://***@p", "a SOCKS5 user needs a password"),
        (f"socks4a://a:{SECRET}@p", "socks4a://***@p", "SOCKS4 knows a user, but no password"),
    ],
)
def test_urls_that_are_refused_without_a_word_of_the_password(url, shown, objection):
    with pytest.raises(ValueError, match="option 'proxy' takes a URL such as") as caught:
        Options.parse({"proxy": url}, {})

    text = str(caught.value)
    assert f"socks4a://); got {shown!r}: " in text
    assert objection in text
    everything = traceback.format_exception(caught.value)
    assert SECRET not in "".join(line for line in everything if not line.startswith("  File"))


@pytest.mark.parametrize("value", [5, True, SECRET.encode(), {"host": SECRET}])
def test_values_that_are_refused(value):
    with pytest.raises(TypeError, match=f"option 'proxy' takes .*; got {type(value).__name__}$"):
        Options.parse({"proxy": value}, {})


@pytest.mark.parametrize("value", [None, ""])
def test_no_proxy(value):
    assert Options.parse({"proxy": value}, {}).proxy is None


@pytest.mark.parametrize("name", ["socket", "connection"])
def test_a_proxy_and_a_socket_exclude_each_other(name):
    with socket.socket() as sock, pytest.raises(ValueError, match="exclude each other"):
        Options.parse({name: sock, "proxy": "http://proxy:3128"}, {})


def test_the_options_show_neither_user_nor_password():
    options = Options.parse({"proxy": f"http://{SECRET}:{SECRET}@[::1]:3128"}, {})

    assert options.proxy.user == options.proxy.password == SECRET
    assert str(options.proxy) == "http://***@[::1]:3128"
    assert SECRET not in repr(options) + repr(dict(options)) + f"{options.proxy} {options.proxy!r}"
    assert "ProxyURL('http://***@[::1]:3128')" in repr(options)


# -- what the handshake says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "spelling"),
    [
        ("mx.example.org", "mx.example.org"),
        ("mx-ß.example", "mx-ss.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_form_in_which_a_host_is_asked_for(host, spelling):
    assert ProxyURL("http", "proxy", 80).spelling(host) == spelling


@pytest.mark.parametrize(
    ("scheme", "host", "objection"),
    [
        ("http", "mx.example\r\nX: y", "neither a host name nor an IP address"),
        ("http", "mx example", "neither a host name nor an IP address"),
        ("http", "", "neither a host name nor an IP address"),
        ("http", "a..b", "neither a host name nor an IP address"),
        ("socks5h", "fe80::1%a\r\nb", "an address with a zone"),
        ("socks4", "2001:db8::1", "SOCKS4 has no IPv6"),
        ("socks4a", "2001:db8::1", "SOCKS4 has no IPv6"),
    ],
)
def test_a_host_that_cannot_be_asked_for(scheme, host, objection):
    with pytest.raises(ValueError, match=objection):
        ProxyURL(scheme, "proxy", 80).spelling(host)
