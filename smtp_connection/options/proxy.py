"""The option ``proxy``: a URL, checked once; no text shows its user or its password."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

from ..text import control_in
from .checks import WrongType, WrongValue

__all__ = ["ProxyURL", "parse_proxy"]

# Each scheme, with the port that it has by default.
_SCHEMES = {"http": 80, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}
_SAYS = (
    "takes a URL such as 'http://user:password@host:port'"
    " (or socks5://, socks5h://, socks4://, socks4a://)"
)

# User and password end at the last @. There is no path that could contain another @, so a password
# may contain /, ? and #.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[^:]*)(?::(?P<password>.*))?@)?"
    r"(?P<host>\[[^\[\]]*\]|[^\s:/?#@%\\\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE | re.DOTALL,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PLACE = re.compile(r"(?:\[[^\]]*\]|[^:/?#]*)(?::[0-9]{1,5}/?$)?")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")

# RFC 1929 has one byte for the length of each.
_SOCKS_LIMIT = 255


@dataclass(frozen=True, slots=True)
class ProxyURL:
    """The address of a proxy, and the user and the password for it, both of them decoded."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Return ``host:port``, for texts."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def login(self) -> str:
        """User and password in base64, as HTTP has them (RFC 7617)."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> list[str]:
        """Return what a proxy may have quoted, to be kept out of texts.  A short password, or one
        of letters alone, may be a word of the proxy's own."""
        if not self.user:
            return []
        telling = len(self.password) >= 8 and not self.password.isalpha()
        return [self.login, self.password] if telling else [self.login]

    @property
    def resolves_here(self) -> bool:
        """Whether this side looks up the name of the server; otherwise the proxy does."""
        return self.scheme in ("socks4", "socks5")

    def spelling(self, host: str) -> str:
        """Return ``host``, a name or an IP address, in the form that the handshake needs.

        Raises ``ValueError`` for a host that cannot be asked for, above all for one with line
        breaks or blanks, which would change the request.
        """
        try:
            address = ip_address(host)
        except ValueError:
            return _host_name(host)
        if "%" in host:
            # Python accepts any text as a zone, line breaks included; and the zones of the proxy
            # are not those of this machine.
            raise ValueError("it is an address with a zone")
        if address.version == 6 and self.scheme.startswith("socks4"):
            raise ValueError("SOCKS4 has no IPv6")
        return host

    def __str__(self) -> str:
        return f"{self.scheme}://{'***@' if self.user else ''}{self.place}"

    def __repr__(self) -> str:
        return f"ProxyURL({str(self)!r})"


def parse_proxy(value: object) -> ProxyURL:
    """Read the value of the option ``proxy``: a check, as in :mod:`.checks`.

    What it says of a URL that it refuses shows neither user nor password.
    """
    if isinstance(value, ProxyURL):
        return value
    if not isinstance(value, str):
        # The type alone: bytes or a parsed URL may hold a password as well.
        raise WrongType(f"{_SAYS}; got {type(value).__name__}")
    found = _URL.fullmatch(value.strip())
    if found is None:
        objection = "that is not such a URL"
    else:
        scheme = found["scheme"].lower()
        url = ProxyURL(
            scheme,
            found["host"].strip("[]"),
            int(found["port"] or _SCHEMES.get(scheme, 1)),
            # Bytes that are not UTF-8 become surrogates, and _objection() objects to these.
            unquote(found["user"] or "", errors="surrogateescape"),
            unquote(found["password"] or "", errors="surrogateescape"),
        )
        objection = _objection(url, in_brackets=found["host"].startswith("["))
        if not objection:
            return url
    raise WrongValue(f"{_SAYS}; got {_masked(value)!r}: {objection}")


def _objection(url: ProxyURL, in_brackets: bool) -> str:
    """Return what is wrong with ``url``, or an empty string."""
    if url.scheme == "https":
        return "TLS to the proxy itself is not supported; use the proxy's http:// port"
    if url.scheme not in _SCHEMES:
        return f"the scheme {url.scheme!r} is unknown"
    if in_brackets and not _is_ipv6(url.host):
        return "only an IPv6 address may stand in brackets"
    if not 1 <= url.port <= 65535:
        return "a port is a number from 1 to 65535"
    if control_in(url.host + url.user + url.password):
        return "it contains a control character, or bytes that are not UTF-8"
    if url.password and not url.user:
        return "the password has no user"
    if url.scheme == "http":
        # RFC 7617 section 2: the first colon is where the password begins.
        return "the user has a colon in it" if ":" in url.user else ""
    if not (url.user + url.password).isascii():
        return "user and password of a SOCKS proxy are ASCII"
    if max(len(url.user), len(url.password)) > _SOCKS_LIMIT:
        return f"user and password of a SOCKS proxy have at most {_SOCKS_LIMIT} characters each"
    if url.scheme in ("socks4", "socks4a"):
        return "SOCKS4 knows a user, but no password" if url.password else ""
    return "a SOCKS5 user needs a password" if url.user and not url.password else ""


def _host_name(host: str) -> str:
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise ValueError("it is neither a host name nor an IP address")
    return name


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _masked(value: str) -> str:
    """Return ``value`` without all that may be a user or a password, however malformed it is."""
    value = value.strip()
    scheme = _SCHEME.match(value)
    _, at, place = value[scheme.end() if scheme else 0 :].rpartition("@")
    shown = _PLACE.match(place)
    assert shown is not None
    hidden = "***" if shown.end() < len(place) else ""
    return f"{scheme.group() if scheme else ''}{'***@' if at else ''}{shown.group()}{hidden}"
