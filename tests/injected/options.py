"""Options of a connection, and those of TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import trustme

from smtp_connection.net.tls import context_for
from smtp_connection.options.proxy import ProxyURL
from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions

from .peers import client_hello, connect_request
from .values import CONTROL, Put, Value, hidden
from .world import World


def introduced(**options: Any) -> Put:
    def put(world: World, text: str) -> str:
        return world.server(name=text, **options).introduction.partition(" ")[2]

    return put


def option(name: str) -> Put:
    """An option that reaches no wire as it is; but others trust in it."""

    def put(world: World, text: str) -> str:
        kept = str(getattr(Options.parse({name: text}, {}), name))
        assert not CONTROL.search(kept)
        return kept

    return put


def in_url(name: str) -> Put:
    """The same in a URL, percent-encoded."""

    def put(world: World, text: str) -> str:
        encoded = quote(text, safe="", errors="surrogatepass")
        place = encoded if name == "host" else f"mx.org/?{name}={encoded}"
        kept = str(getattr(Options.parse(f"smtp://{place}"), name))
        assert not CONTROL.search(kept)
        return kept

    return put


def preferred(world: World, text: str) -> str:
    (line,) = world.login({"user": "me", "pass": "geheim"}, authMethod=text)
    return line.split(" ")[1]


def own_mechanism(world: World, text: str) -> str:
    (name,) = Options.parse({"customAuth": {text: print}}, {}).customAuth
    assert name.replace("-", "").isalnum()
    return name


TRUST = TLSOptions.parse({"ca": trustme.CA().cert_pem.bytes()})


def server_name(group: str) -> Put:
    def put(world: World, text: str) -> str:
        given = {"servername": text}
        options = Options.parse({"tls": given} if group == "tls" else given, {})
        hello = client_hello(context_for(TRUST), options.servername)
        return text if text.encode() in hello else ""

    return put


def alpn(world: World, text: str) -> str:
    options = TLSOptions.parse({"ca": TRUST.ca, "ALPNProtocols": [text]})
    name = bytes([len(text)]) + text.encode()
    # RFC 7301 section 3.1: the type, the length of the extension, that of the list, the name
    expected = b"\0\x10" + bytes([0, len(name) + 2, 0, len(name)]) + name
    return text if expected in client_hello(context_for(options), "mx.org") else ""


def proxied(url: str, read: Callable[[ProxyURL], str]) -> Put:
    """``url`` has ``{0}`` where the value stands, or ``{1}`` for its percent-encoded form."""

    def put(world: World, text: str) -> str:
        given = url.format(text, quote(text, safe="", errors="surrogatepass"))
        proxy = Options.parse({"proxy": given}, {}).proxy
        assert proxy is not None
        return read(proxy)

    return put


def proxy_login(place: int) -> Callable[[ProxyURL], str]:
    return lambda proxy: connect_request(proxy, "mx.org")[1].split(":")[place]


def proxy_target(world: World, text: str) -> str:
    proxy = Options.parse({"proxy": "http://proxy.org"}, {}).proxy
    assert proxy is not None
    return connect_request(proxy, text)[0].removesuffix(":25")


def without_breaks(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")


VALUES = [
    Value("options.name", "mx.org", introduced(), "'name'", without_breaks),
    Value("options.name (LHLO)", "mx.org", introduced(lmtp=True), "'name'", without_breaks),
    Value("options.host", "mx.org", option("host"), "'host'"),
    hidden("options.host (in a URL)", "mx.org", in_url("host"), "'host'", str.strip),
    hidden("options.servername (in a URL)", "mx.org", in_url("servername"), "'servername'"),
    hidden("options.host (by a proxy)", "mx.org", proxy_target, "host name"),
    Value("options.port", "2525", option("port"), "'port'", str.strip),
    Value("options.localAddress", "192.0.2.1", option("localAddress"), "'localAddress'"),
    Value("options.localAddress (zone)", "fe80::1%lo", option("localAddress"), "'localAddress'"),
    Value("options.authMethod", "PLAIN", preferred, "'authMethod'"),
    Value("options.customAuth", "X-OWN", own_mechanism, "'customAuth'", str.strip),
    Value("options.servername", "mx.org", server_name("options"), "'servername'"),
    hidden("options.proxy", "p.org", proxied("http://{0}", lambda p: p.host), "'proxy'", str.strip),
    hidden("options.proxy (user)", "me", proxied("http://{0}:pw@p", proxy_login(0)), "'proxy'"),
    hidden("options.proxy (password)", "pw", proxied("http://me:{0}@p", proxy_login(1)), "'proxy'"),
    hidden("options.proxy (user, %)", "me", proxied("http://{1}:pw@p", proxy_login(0)), "'proxy'"),
    hidden(
        "options.proxy (password, %)", "pw", proxied("http://me:{1}@p", proxy_login(1)), "'proxy'"
    ),
    Value("tls.servername", "mx.org", server_name("tls"), "'servername'"),
    Value("tls.ALPNProtocols", "smtp", alpn, "'ALPNProtocols'"),
]
