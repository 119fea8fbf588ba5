"""What the system, the resolver and the TLS library raise, made into :class:`SMTPError`.

The code is the system's own name for the failure, or ``ETLS``.  The text says in words what failed,
why, and what there is to do about it.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from ..errors import SMTPError
from ..text import printable

__all__ = [
    "lookup_error",
    "reason_of",
    "sent_chain",
    "socket_error",
    "speaks_no_tls",
    "tls_error",
    "tls_session_error",
]

_LOOKUP_CODES = {getattr(socket, name): name for name in ("EAI_AGAIN", "EAI_FAIL", "EAI_MEMORY")}

_QUOTED = 512  # bytes of clear text, at most; a line of a reply is not longer

_CLOSED = "the server closed the connection"
_NO_TLS = "the server does not speak TLS here"
_REASONS = {
    reason: text
    for text, reasons in {
        _CLOSED: "UNEXPECTED_EOF_WHILE_READING",
        _NO_TLS: (
            "WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL HTTP_REQUEST HTTPS_PROXY_REQUEST "
            "PACKET_LENGTH_TOO_LONG RECORD_LAYER_FAILURE"
        ),
        "no TLS version suits both the server and this side (see 'minVersion', 'maxVersion')": (
            "TLSV1_ALERT_PROTOCOL_VERSION UNSUPPORTED_PROTOCOL WRONG_SSL_VERSION "
            "NO_PROTOCOLS_AVAILABLE"
        ),
        "no cipher suits both the server and this side (see 'ciphers')": (
            "TLSV1_ALERT_INSUFFICIENT_SECURITY NO_CIPHERS_AVAILABLE WRONG_CIPHER_RETURNED"
        ),
        "no cipher suits both the server and this side, or the server wants a client certificate "
        "(see 'ciphers', 'cert' and 'key')": "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "the server wants a client certificate (see 'cert' and 'key')": (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED SSLV3_ALERT_NO_CERTIFICATE"
        ),
        "the server refused this side's certificate (see 'cert' and 'key')": (
            "SSLV3_ALERT_BAD_CERTIFICATE SSLV3_ALERT_UNSUPPORTED_CERTIFICATE "
            "SSLV3_ALERT_CERTIFICATE_REVOKED SSLV3_ALERT_CERTIFICATE_EXPIRED "
            "SSLV3_ALERT_CERTIFICATE_UNKNOWN TLSV1_ALERT_UNKNOWN_CA TLSV1_ALERT_ACCESS_DENIED"
        ),
        "the server does not go by this name (see 'servername')": "TLSV1_UNRECOGNIZED_NAME",
    }.items()
    for reason in reasons.split()
}

# What Node calls OpenSSL's verdicts on a certificate, from X509_V_ERR 2 on without a gap. That the
# name is another one, Node finds out by itself.
_NODE_VERDICTS = """
    UNABLE_TO_GET_ISSUER_CERT UNABLE_TO_GET_CRL UNABLE_TO_DECRYPT_CERT_SIGNATURE
    UNABLE_TO_DECRYPT_CRL_SIGNATURE UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY CERT_SIGNATURE_FAILURE
    CRL_SIGNATURE_FAILURE CERT_NOT_YET_VALID CERT_HAS_EXPIRED CRL_NOT_YET_VALID CRL_HAS_EXPIRED
    ERROR_IN_CERT_NOT_BEFORE_FIELD ERROR_IN_CERT_NOT_AFTER_FIELD ERROR_IN_CRL_LAST_UPDATE_FIELD
    ERROR_IN_CRL_NEXT_UPDATE_FIELD OUT_OF_MEM DEPTH_ZERO_SELF_SIGNED_CERT
    SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_GET_ISSUER_CERT_LOCALLY UNABLE_TO_VERIFY_LEAF_SIGNATURE
    CERT_CHAIN_TOO_LONG CERT_REVOKED INVALID_CA PATH_LENGTH_EXCEEDED INVALID_PURPOSE CERT_UNTRUSTED
    CERT_REJECTED
"""
_OTHER_NAME = (62, 64)  # another host name, another IP address
_NO_ISSUER = 20


def socket_error(exc: OSError, doing: str) -> SMTPError:
    """Return the error that says that ``doing`` failed because of ``exc``, its ``__cause__``.

    Its code is the system's name for the error, ``ESOCKET`` if it has none.
    """
    return _named(exc, doing, errno.errorcode.get(exc.errno or 0, "ESOCKET"))


def lookup_error(exc: BaseException, host: str) -> SMTPError:
    """Return the error that says that ``host`` was not resolved because of ``exc``, its
    ``__cause__``: whatever ``getaddrinfo()`` may raise.

    Its code is the resolver's: ``EAI_AGAIN``, ``EAI_FAIL``, ``EAI_MEMORY`` or a name of the
    system's, and for anything else ``ENOTFOUND``, as in Node.
    """
    if isinstance(exc, OSError) and not isinstance(exc, socket.gaierror):
        code = errno.errorcode.get(exc.errno or 0, "ENOTFOUND")  # EAI_SYSTEM: see errno
    else:
        code = _LOOKUP_CODES.get(getattr(exc, "errno", 0), "ENOTFOUND")
    return _named(exc, f"Cannot resolve {host}", code)


def _named(exc: BaseException, doing: str, code: str) -> SMTPError:
    reason = getattr(exc, "strerror", None) or exc
    error = SMTPError(f"{doing}: {reason} ({code})", code=code, command="CONN")
    error.__cause__ = exc.with_traceback(None)  # its frames make circles
    return error


def tls_error(
    exc: Exception, sock: ssl.SSLSocket | ssl.SSLObject | None, servername: str
) -> SMTPError:
    """Return the error (``ETLS``) that says in words why TLS with ``servername`` failed.

    ``exc`` is what the handshake raised: an ``ssl.SSLError`` of any kind, or the ``OSError`` or
    ``EOFError`` of a broken connection; it becomes the ``__cause__``.
    ``sock`` is the wrapped socket, which knows the server's certificate and must not be closed
    yet; ``None`` if there is none.  The text ends with the TLS library's own reason in parentheses,
    and ``reason`` is the code that Node has for it.
    """
    text = f"TLS with {servername} failed" if servername else "TLS failed"
    explained = _explained(exc, sock)
    if explained:
        text += f": {explained}"
    text += f" ({reason_of(exc)})"
    # Names in certificates are the server's choice: no line breaks in a log, no terminal escapes.
    error = SMTPError(printable(text), code="ETLS", command="CONN")
    error.reason = _node_code(exc, sock)
    error.__cause__ = exc.with_traceback(None)  # its frames make circles
    return error


def tls_session_error(
    exc: ssl.SSLError, sock: ssl.SSLSocket, servername: str, discreet: Callable[[str], str]
) -> SMTPError:
    """Return the error for ``exc``, its ``__cause__``, which a read or write on ``sock`` raised
    after the handshake with ``servername``.  ``discreet(text)`` is what may be shown of the
    server's words, of which something may be cut off at both ends.

    The code is ``ECONNECTION``, unless the server refuses what the handshake was about: over TLS
    1.3 (RFC 8446 section 4.4.2.4) the client hears of that, most often of its own certificate, only
    afterwards.
    """
    if _REASONS.get(getattr(exc, "reason", None) or "", _CLOSED) not in (_CLOSED, _NO_TLS):
        return tls_error(exc, sock, servername)
    text = "Connection closed unexpectedly"
    if speaks_no_tls(exc):
        said = discreet(_clear_text_on(sock))
        text = f"The server went on in clear text{said and f', ending with {said!r}'}"
    error = SMTPError(f"{text} ({reason_of(exc)})", code="ECONNECTION", command="CONN")
    error.__cause__ = exc.with_traceback(None)  # its frames make circles
    return error


def _clear_text_on(sock: ssl.SSLSocket) -> str:
    """Return what is left to read on ``sock`` below TLS, which has read the first bytes."""
    try:
        said = socket.socket.recv(sock, _QUOTED)
    except OSError:
        return ""
    return said.decode("latin-1").strip()


def speaks_no_tls(exc: Exception) -> bool:
    """Whether the handshake that raised ``exc`` met a peer that does not speak TLS."""
    return _REASONS.get(getattr(exc, "reason", None) or "") == _NO_TLS


def reason_of(exc: Exception) -> str:
    """Return the reason that the system or the TLS library gives, without its own labels."""
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    if isinstance(exc, ssl.SSLError) and len(exc.args) == 1:  # str() makes a tuple of it
        text = str(exc.args[0])
    return re.sub(r"^\[[^]]*\] | ?\(_ssl\.c:\d+\)$", "", text)


def _explained(exc: Exception, sock: ssl.SSLSocket | ssl.SSLObject | None) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _distrusted(getattr(exc, "verify_code", 0), sent_chain(sock))
    if isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, EOFError)):
        text = _CLOSED
    else:
        text = _REASONS.get(getattr(exc, "reason", None) or "", "")
    if text == _CLOSED and not (sock and sock.cipher()):  # once there is a cipher it may be over
        text += " during the handshake"
    return text


def _node_code(exc: Exception, sock: ssl.SSLSocket | ssl.SSLObject | None) -> str | None:
    """Return the code that Node's ``tls`` gives the failure ``exc``, ``None`` if it has none."""
    if not isinstance(exc, ssl.SSLCertVerificationError):
        reason = getattr(exc, "reason", None)
        return "ERR_SSL_%s" % reason if reason else None  # noqa: UP031 - it is no code of ours
    code = getattr(exc, "verify_code", 0)
    if code in _OTHER_NAME:
        return "ERR_TLS_CERT_ALTNAME_INVALID"
    if code == _NO_ISSUER and len(sent_chain(sock)) == 1:
        # Node lets OpenSSL go on, to the signature of a certificate that came alone.
        return "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
    return dict(enumerate(_NODE_VERDICTS.split(), 2)).get(code, "UNSPECIFIED")


def _distrusted(code: int, chain: list[dict[str, Any]]) -> str:
    """Say what is wrong with the server's certificate; ``code`` is one of OpenSSL's X509_V_ERR."""
    if code == 9:
        whose, date = _culprit(chain, "notBefore", passed=False)
        since = f", only from{date} on" if date else ""
        return f"{whose} is not yet valid{since}; is this machine's clock right?"
    if code == 10:
        whose, date = _culprit(chain, "notAfter", passed=True)
        return f"{whose} expired{' on' + date if date else ''}"
    if code == 18:
        return "the server's certificate is self-signed; if it is yours, use tls: {'ca': ...}"
    if code in (2, 19, 20, 21):  # the four ways of not finding an issuer
        issuer = _common_name(chain[0].get("issuer", ())) if chain else ""
        return (
            f"the server's certificate is issued by an unknown authority{issuer and ', ' + issuer}"
            "; for a private CA, use tls: {'ca': ...}"
        )
    if code == 23:
        return "the server's certificate is revoked"
    if code in _OTHER_NAME:
        names = f": {_names(chain[0])}" if chain else ""
        return f"the server's certificate is for another name{names}"
    return "the server's certificate did not pass verification"


def sent_chain(sock: ssl.SSLSocket | ssl.SSLObject | None) -> list[dict[str, Any]]:
    """Return what the server's certificates say, its own first, or nothing; each in the form of
    ``getpeercert()``."""
    return told(sent_certificates(sock))


# getpeercert() refuses after a failed handshake, and says nothing of what was not verified; these
# are private, hence any exception.
def sent_certificates(sock: ssl.SSLSocket | ssl.SSLObject | None) -> list[Any]:
    """Return the server's certificates, its own first, or nothing; for :func:`told`."""
    try:
        return list(sock._sslobj.get_unverified_chain())  # type: ignore[union-attr]
    except Exception:
        return []


def told(certificates: list[Any]) -> list[dict[str, Any]]:
    """Return what ``certificates`` say, each in the form of ``getpeercert()``."""
    try:
        return [each.get_info() for each in certificates]
    except Exception:
        return []


def _culprit(chain: list[dict[str, Any]], limit: str, passed: bool) -> tuple[str, str]:
    """Say whose certificate has ``limit`` on the wrong side of now, and what the limit is."""
    for position, info in enumerate(chain):
        try:
            seconds = ssl.cert_time_to_seconds(info[limit])
        except (KeyError, ValueError):  # the server wrote that date
            continue
        if (seconds < time.time()) is passed:
            whose = (
                "an issuer's certificate, sent by the server,"
                if position
                else "the server's certificate"
            )
            return whose, f" {info[limit]}"
    return "a certificate in the server's chain", ""


def _names(info: dict[str, Any]) -> str:
    alternatives = info.get("subjectAltName", ())
    names = [value for kind, value in alternatives if kind in ("DNS", "IP Address")]
    names = names or [_common_name(info.get("subject", ())) or "none"]
    more = ", ..." if len(names) > 10 else ""
    return ", ".join(name[:253] for name in names[:10]) + more


def _common_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    parts = dict(part for parts in name for part in parts)
    return (parts.get("commonName") or parts.get("organizationName") or "")[:253]
