"""Hints for the texts of errors: what is probably wrong if a session does not begin as expected."""

from __future__ import annotations

import re

from .replies import Reply

__all__ = [
    "about_banner",
    "about_black_hole",
    "about_clear_login",
    "about_lhlo",
    "about_lmtp",
    "about_silence",
    "about_tls",
]

_TRY_TLS = "if it expects TLS from the first byte, as on port 465, try secure: True"
_TRY_CLEAR = (
    "it speaks in clear text here: try secure: False, which uses STARTTLS where that is offered"
)

# The first words of servers of other protocols.
_OTHERS = {
    "HTTP/": "an HTTP",
    "<": "an HTTP",
    "SSH-": "an SSH",
    "* OK": "an IMAP",
    "* PREAUTH": "an IMAP",
    "* BYE": "an IMAP",
    "+OK": "a POP3",
    "-ERR": "a POP3",
}

_UNKNOWN_COMMAND = (500, 502)  # RFC 5321 section 4.2.4

_ALERT, _HANDSHAKE = "\x15\x03", "\x16\x03"  # TLS records (RFC 8446 section 5.1)


def about_banner(text: str) -> str:
    """Return a hint about what came in place of the greeting, or ``''`` for unknown text."""
    if text.startswith((_ALERT, _HANDSHAKE)):
        return "the server speaks TLS from the first byte here: try secure: True"
    for start, kind in _OTHERS.items():
        if text.upper().startswith(start):
            return f"this looks like {kind} server: check host and port"
    return ""


def about_silence(port: int, over_tls: bool) -> str:
    """Return a hint about a greeting that did not come; ``over_tls`` is whether TLS was on."""
    if not over_tls:
        return _TRY_TLS
    return f"check that there is an SMTP server behind port {port}"


def about_black_hole(port: int) -> str:
    """Return a hint about a host that does not answer the attempt to connect to ``port``."""
    if port == 25:
        return "many providers block port 25 to the outside: try port 587 or 465"
    return f"a firewall may block port {port}; providers block port 25, less often 465 and 587"


def about_lhlo(code: int) -> str:
    """Return a hint about a server that refuses LHLO with ``code``, or ``''``."""
    if code in _UNKNOWN_COMMAND:
        return "it does not know LHLO, so it seems to speak SMTP: try lmtp: False"
    return ""


def about_lmtp(greeting: str, ehlo: Reply, helo: Reply) -> str:
    """Return a hint about a server that refuses EHLO and HELO with these replies, or ``''``."""
    unknown = ehlo.code in _UNKNOWN_COMMAND and helo.code in _UNKNOWN_COMMAND
    if unknown or re.search(r"\b(?:LMTP|LHLO)\b", f"{greeting} {ehlo.text} {helo.text}", re.I):
        return "it knows neither EHLO nor HELO, so it may speak LMTP: try lmtp: True"
    return ""


def about_clear_login(*, ignores_tls: bool) -> str:
    """Return a hint about a server that announces no mechanism in clear text, although STARTTLS is
    there or was not asked for (``ignores_tls``)."""
    text = "this connection is in clear text, and many servers take logins only after STARTTLS"
    return f"{text}: try without ignoreTLS" if ignores_tls else text


def about_tls(first_bytes: bytes) -> str:
    """Return a hint about the first bytes of a server that should have spoken TLS and did not.

    ``first_bytes`` may be empty: the TLS layer may have read them first.
    """
    text = first_bytes.decode("latin-1")
    # Some refuse the client's first TLS record before they have greeted, as no SMTP command.
    if not text or re.match(r"[2-5][0-9]{2}[ -]", text):
        return _TRY_CLEAR
    return about_banner(text)
