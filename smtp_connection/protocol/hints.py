"""Hints for the texts of errors: what is probably wrong if a server does not greet as expected."""

from __future__ import annotations

__all__ = ["about_banner", "about_silence", "about_tls"]

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


def about_tls(first_bytes: bytes) -> str:
    """Return a hint about the first bytes of a server that should have spoken TLS and did not.

    ``first_bytes`` may be empty: the TLS layer may have read them first.
    """
    text = first_bytes.decode("latin-1")
    if not text or text.startswith("220"):
        return _TRY_CLEAR
    if text[:1].isdigit():
        return "the server answered in clear text, but not as SMTP servers greet: check the port"
    return about_banner(text)
