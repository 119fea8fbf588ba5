"""Where to look: from the argument of ``diagnose`` to places."""

from __future__ import annotations

import re
from typing import Any

from ...errors import SMTPError, needs_extra
from .facts import Place

__all__ = ["USUAL_PORTS", "Wrong", "mail_servers", "places_at", "read_target"]

USUAL_PORTS = (25, 465, 587)
"""Port 25 is for mail between servers, 465 and 587 are for programs that log in (RFC 8314)."""

_TLS_PORT = 465

_HOST = re.compile(r"(?:\[(?P<ip>[^\[\]]+)\]|(?P<name>[^\s:/@\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


class Wrong(ValueError):
    """The target is neither a host, nor a URL, nor an address."""


def read_target(text: str) -> tuple[str, int | None]:
    """Return the host and the port, ``None`` if there is none, of ``HOST[:PORT]``.

    An IPv6 address stands in brackets if a port follows.  Raises :class:`Wrong`.
    """
    if text.count(":") > 1 and "[" not in text:
        return text, None  # an IPv6 address without brackets
    found = _HOST.fullmatch(text)
    if found is None:
        raise Wrong(
            "diagnose takes HOST, HOST:PORT, a URL such as smtp://user@host:587, or a mail address;"
            f" got {text!r}"
        )
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise Wrong(f"a port is a number from 1 to 65535; got {port}")
    return found["ip"] or found["name"], port


def places_at(host: str, port: int | None, secure: bool | None = None) -> list[Place]:
    """Return the places to look at; ``secure`` is ``None`` where the port decides."""
    ports = USUAL_PORTS if port is None else (port,)
    return [Place(host, each, (each == _TLS_PORT) if secure is None else secure) for each in ports]


def mail_servers(domain: str) -> list[str]:
    """Return the hosts that take mail for ``domain``, the preferred one first (RFC 5321 section
    5.1).

    Raises :class:`SMTPError`: ``ENOTFOUND`` if there is no such domain or it takes no mail (RFC
    7505), ``EAI_AGAIN`` if the look-up fails.  Raises ``ModuleNotFoundError``, whose text names the
    extra, where dnspython is missing.
    """
    try:
        import dns.exception
        import dns.resolver
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(needs_extra("the look-up of MX records", "cli")) from exc
    try:
        answer: Any = dns.resolver.resolve(domain, "MX")
    except dns.resolver.NoAnswer:
        return [domain]  # without an MX record, mail goes to the address of the domain
    except dns.resolver.NXDOMAIN as exc:
        raise _lookup_failed(f"There is no domain {domain}", "ENOTFOUND") from exc
    except dns.exception.DNSException as exc:
        text = f"The MX records of {domain} cannot be looked up: {exc}"
        raise _lookup_failed(text, "EAI_AGAIN") from exc
    records = sorted((record.preference, str(record.exchange).rstrip(".")) for record in answer)
    hosts = [host for _, host in records if host]
    if not hosts:
        raise _lookup_failed(f"{domain} takes no mail: its MX record names no host", "ENOTFOUND")
    return hosts


def _lookup_failed(text: str, code: str) -> SMTPError:
    return SMTPError(text, code=code, command="CONN")
