"""The options of TLS: Node's names, checked once; :mod:`smtp_connection.net.tls` uses them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..text import control_in, has_surrogate
from .checks import PEM_BEGIN, WrongType, WrongValue, flag, is_instance, line, many, one_of
from .table import Option, Settings

if TYPE_CHECKING:
    import ssl

__all__ = ["DEFAULT_MINIMUM", "VERSIONS", "TLSOptions", "as_pem", "is_path"]

VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
"""The versions of TLS, from the oldest to the newest."""
DEFAULT_MINIMUM = "TLSv1.2"

# A key that lost its BEGIN line would pass for the name of a file, which error texts show.
_BASE64 = "[0-9A-Za-z_+=-][0-9A-Za-z_+/=-]{63,}"

_BY_CONTEXT = "configure an ssl.SSLContext and pass it as 'context'"
_ONLY_BY_CONTEXT = """
    ALPNCallback allowPartialTrustChain certificateCompression ciphersuites clientCertEngine crl
    dhparam ecdhCurve enableTrace highWaterMark honorCipherOrder minDHSize privateKeyEngine
    privateKeyIdentifier pskCallback requestCert requestOCSP secureOptions
    sessionIdContext sessionTimeout sigalgs SNICallback ticketKeys
"""
_INSTEAD = {
    **dict.fromkeys(_ONLY_BY_CONTEXT.split(), _BY_CONTEXT),
    **dict.fromkeys(("host", "port", "socket"), "give it to SMTPConnection, beside 'tls'"),
    "pfx": "convert it to PEM with 'openssl pkcs12' and use 'cert' and 'key'",
    "secureProtocol": "use 'minVersion' and 'maxVersion'",
    "secureContext": "pass an ssl.SSLContext as 'context'",
    "checkServerIdentity": (
        f"use 'servername' to expect another name; for anything else {_BY_CONTEXT}"
    ),
}


def is_path(source: str | bytes) -> bool:
    """Whether ``source``, one of ``ca``, ``cert`` or ``key``, names a file."""
    return isinstance(source, str) and PEM_BEGIN not in source


def as_pem(content: bytes) -> str | bytes:
    """Return ``content`` as text if it is PEM, and as it is if not."""
    # The ssl module wants PEM in ASCII; bundles have names in comments, or start with a BOM.
    return content.decode("ascii", "ignore") if PEM_BEGIN.encode() in content else content


def _source(value: object, says: str) -> str | bytes:
    """Return PEM text or the name of a file (str), or what is not PEM (bytes)."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (bytes, bytearray)):
        return as_pem(bytes(value))
    if not isinstance(value, str):
        raise WrongType(says, value)
    if PEM_BEGIN in value:
        return as_pem(value.encode("utf-8", "replace"))
    if not value or control_in(value, surrogates=False) or re.fullmatch(_BASE64, value):
        raise WrongValue(says, value)
    return value


def _authority(value: object) -> str | bytes:
    return _source(value, "takes PEM (with its BEGIN line), DER or the path of a file")


def _pem(value: object) -> str:
    says = "takes PEM (with its BEGIN line) or the path of a PEM file"
    source = _source(value, says)
    if isinstance(source, bytes):
        raise WrongValue(says, value)
    return source


def _passphrase(value: object) -> bytes:
    says = "takes bytes, or text that UTF-8 can express"
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if not isinstance(value, str):
        raise WrongType(says, value)
    if has_surrogate(value):
        raise WrongValue(says, value)
    return value.encode()


def _protocol(value: object) -> str:
    says = "takes names of 1 to 255 ASCII characters"
    if not isinstance(value, str):
        raise WrongType(says, value)
    if not (value.isascii() and 0 < len(value) < 256):
        raise WrongValue(says, value)
    return value


def _context(value: ssl.SSLContext) -> ssl.SSLContext:
    says = "takes an ssl.SSLContext for clients"
    if not is_instance(value, "ssl", "SSLContext"):
        raise WrongType(says, value)
    if value.protocol.name == "PROTOCOL_TLS_SERVER":
        raise WrongValue(says, value)
    return value


def _session(value: object) -> bool:
    # Node takes a session to offer, as bytes, which hold a secret: they are not shown.
    if not isinstance(value, bool):
        raise WrongType("takes True or False; sessions are kept by themselves")
    return value


_line = line("text without control characters", empty=False)
_version = one_of(VERSIONS)


# Strict, because with an empty 'ca', read from an empty file say, anybody would be trusted whom the
# system trusts.
class TLSOptions(Settings, noun="tls option", instead=_INSTEAD, strict=True):
    """Checked TLS options under Node's names; hashable, never changed.

    - ``rejectUnauthorized`` (bool): check the server's certificate and name
    - ``ca`` (tuple): whom to trust in place of the system's CAs; each is PEM text or the name of a
      file (str), or DER (bytes)
    - ``cert``, ``key`` (str or None): the client's certificate, with its chain, and private key,
      each PEM text or the name of a PEM file; ``cert`` may hold both
    - ``passphrase`` (bytes or None): what the key is encrypted with
    - ``ciphers`` (str or None): OpenSSL's cipher list, for TLS 1.2 and below; Python leaves no
      choice among the suites of TLS 1.3
    - ``minVersion``, ``maxVersion`` (str or None): ``'TLSv1'`` to ``'TLSv1.3'``
    - ``servername`` (str or None): the name to ask for (SNI) and to find in the certificate
    - ``ALPNProtocols`` (tuple of str): protocols to offer
    - ``session`` (bool): take up again TLS sessions that this process had with the same server
    - ``context`` (ssl.SSLContext or None): used as it is, in place of all but ``servername`` and
      ``session``

    ``repr`` leaves out certificates, key and passphrase.
    """

    rejectUnauthorized: Option[bool] = Option(flag, True)
    ca: Option[tuple[str | bytes, ...]] = Option(many(_authority), (), secret=True)
    cert: Option[str | None] = Option(_pem, None, secret=True)
    key: Option[str | None] = Option(_pem, None, secret=True)
    passphrase: Option[bytes | None] = Option(_passphrase, None, secret=True)
    ciphers: Option[str | None] = Option(_line, None)
    minVersion: Option[str | None] = Option(_version, None)
    maxVersion: Option[str | None] = Option(_version, None)
    servername: Option[str | None] = Option(_line, None)
    ALPNProtocols: Option[tuple[str, ...]] = Option(many(_protocol), ())
    session: Option[bool] = Option(_session, True)
    context: Option[ssl.SSLContext | None] = Option(_context, None)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(getattr(self, name) for name in self.defaults))

    @classmethod
    def parse(cls, given: object, more: Mapping[str, Any] = {}) -> TLSOptions:
        """Check what a caller gave as ``tls``: a mapping, an ``ssl.SSLContext``, or ``None``.

        Names match in any case, with or without underscores; an option that is ``None`` is not
        given.  ``ca``, ``cert`` and ``key`` are PEM as str or bytes, or a str or path object that
        names a file; ``ca`` and ``ALPNProtocols`` are one or a list.  No file is read yet.

        Raises ``TypeError`` for an unknown name, a value of the wrong type, and ``context`` beside
        an option that belongs on it; ``ValueError`` for a value that cannot be meant.
        """
        if is_instance(given, "ssl", "SSLContext"):
            given = {"context": given}
        if given is not None and not isinstance(given, Mapping):
            got = type(given).__name__
            raise TypeError(f"option 'tls' takes a dict or an ssl.SSLContext; got {got}")
        return super().parse(given, more)

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        beside = ("context", "servername", "session")
        others = ", ".join(repr(name) for name in values if name not in beside)
        if "context" in values and others:
            raise TypeError(f"tls option 'context' excludes {others}: configure the context itself")
        lowest = values.get("minVersion", DEFAULT_MINIMUM)
        highest = values.get("maxVersion", VERSIONS[-1])
        if VERSIONS.index(highest) < VERSIONS.index(lowest):
            raise ValueError(
                f"tls option 'maxVersion' {highest!r} is below 'minVersion' {lowest!r}"
                f" (by default {DEFAULT_MINIMUM!r})"
            )
        if "key" in values and "cert" not in values:
            raise ValueError("tls option 'key' needs 'cert', the certificate that it belongs to")
