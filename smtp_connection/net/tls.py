"""Node's TLS options made into an ``ssl.SSLContext``.

Nothing here has a socket: the transport wraps its own with the context.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import SMTPError
from ..options.names import NameTable
from ..records import Settings
from ..text import has_surrogate
from .errors import reason_of

__all__ = ["TLSOptions", "context_for"]

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_DEFAULT_MINIMUM = "TLSv1.2"

_BEGIN = "-----BEGIN"
# A key that lost its BEGIN line would pass for the name of a file, which error texts show.
_BASE64 = "[0-9A-Za-z_+=-][0-9A-Za-z_+/=-]{63,}"


def _is_name(text: str) -> bool:
    # Surrogates are welcome: in the name of a file they stand for bytes that are not UTF-8.
    return bool(text) and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)


class _Rule:
    """What an option takes, how a value of the right type is tested, and how it is then kept."""

    def __init__(
        self,
        types: type | tuple[type, ...],
        takes: str,
        test: Callable[[Any], bool] = lambda value: True,
        keep: Callable[[Any], object] = lambda value: value,
        many: bool = False,
    ) -> None:
        self.types = types
        self.takes = takes
        self.test = test
        self.keep = keep
        self.many = many

    def checked(self, name: str, value: object) -> object:
        if not self.many:
            return self._one(name, value)
        values = value if isinstance(value, (list, tuple)) else (value,)
        if not values:  # an empty 'ca' would trust nobody, or everybody whom the system trusts
            raise ValueError(f"tls option {name!r} is an empty list; leave it out instead")
        return tuple(self._one(name, each) for each in values)

    def _one(self, name: str, value: object) -> object:
        fits = isinstance(value, self.types)
        if fits and self.test(value):
            return self.keep(value)
        # Of whatever holds a key, if only by mistake, only the type is shown.
        plain = name not in _SECRET and isinstance(value, (str, int, float))
        got = repr(value) if plain else type(value).__name__
        text = f"tls option {name!r} takes {self.takes}; got {got}"
        raise ValueError(text) if fits else TypeError(text)


def _is_source(value: str | bytes | os.PathLike[str]) -> bool:
    if not isinstance(value, str) or _BEGIN in value:
        return True
    return _is_name(value) and not re.fullmatch(_BASE64, value)


def _source(value: str | bytes | os.PathLike[str]) -> str | bytes:
    """Return PEM text or the name of a file (str), or what is not PEM (bytes)."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, str):
        return _ascii(value.encode("utf-8", "replace")) if _BEGIN in value else value
    return _ascii(bytes(value))


def _ascii(content: bytes) -> str | bytes:
    # The ssl module wants PEM in ASCII; bundles have names in comments, or start with a BOM.
    return content.decode("ascii", "ignore") if _BEGIN.encode() in content else content


_SECRET = {"ca", "cert", "key", "passphrase"}
_SOURCES = (str, bytes, bytearray, os.PathLike)
_PEM_RULE = _Rule(
    _SOURCES,
    "PEM (with its BEGIN line) or the path of a PEM file",
    lambda value: _is_source(value) and isinstance(_source(value), str),
    _source,
)
_NAME_RULE = _Rule(
    str,
    "text without control characters",
    lambda text: _is_name(text) and not has_surrogate(text),
)
_VERSION_RULE = _Rule(str, "one of " + ", ".join(map(repr, _VERSIONS)), _VERSIONS.__contains__)
_RULES = {
    "rejectUnauthorized": _Rule(bool, "True or False"),
    "ca": _Rule(
        _SOURCES, "PEM (with its BEGIN line), DER or the path of a file", _is_source, _source, True
    ),
    "cert": _PEM_RULE,
    "key": _PEM_RULE,
    "passphrase": _Rule(
        (str, bytes, bytearray),
        "bytes, or text that UTF-8 can express",
        lambda value: not (isinstance(value, str) and has_surrogate(value)),
        lambda value: value.encode() if isinstance(value, str) else bytes(value),
    ),
    "ciphers": _NAME_RULE,
    "minVersion": _VERSION_RULE,
    "maxVersion": _VERSION_RULE,
    "servername": _NAME_RULE,
    "ALPNProtocols": _Rule(
        str,
        "names of 1 to 255 ASCII characters",
        lambda name: name.isascii() and 0 < len(name) < 256,
        many=True,
    ),
    "context": _Rule(
        ssl.SSLContext,
        "an ssl.SSLContext for clients",
        lambda context: context.protocol != ssl.PROTOCOL_TLS_SERVER,
    ),
}

_BY_CONTEXT = "configure an ssl.SSLContext and pass it as 'context'"
_ONLY_BY_CONTEXT = """
    ALPNCallback allowPartialTrustChain certificateCompression ciphersuites clientCertEngine crl
    dhparam ecdhCurve enableTrace highWaterMark honorCipherOrder minDHSize privateKeyEngine
    privateKeyIdentifier pskCallback requestCert requestOCSP secureOptions session
    sessionIdContext sessionTimeout sigalgs SNICallback ticketKeys
"""
_NAMES = NameTable(
    "tls option",
    _RULES,
    {
        **dict.fromkeys(_ONLY_BY_CONTEXT.split(), _BY_CONTEXT),
        **dict.fromkeys(("host", "port", "socket"), "give it to SMTPConnection, beside 'tls'"),
        "pfx": "convert it to PEM with 'openssl pkcs12' and use 'cert' and 'key'",
        "secureProtocol": "use 'minVersion' and 'maxVersion'",
        "secureContext": "pass an ssl.SSLContext as 'context'",
        "checkServerIdentity": (
            f"use 'servername' to expect another name; for anything else {_BY_CONTEXT}"
        ),
    },
)


_DEFAULTS: dict[str, Any] = {
    "rejectUnauthorized": True,
    "ca": (),
    "cert": None,
    "key": None,
    "passphrase": None,
    "ciphers": None,
    "minVersion": None,
    "maxVersion": None,
    "servername": None,
    "ALPNProtocols": (),
    "context": None,
}


class TLSOptions(Settings):
    """Checked TLS options under Node's names; made by :meth:`parse`, hashable, never changed.

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
    - ``context`` (ssl.SSLContext or None): used as it is, in place of all but ``servername``

    ``repr`` leaves out certificates, key and passphrase.
    """

    __slots__ = tuple(_DEFAULTS)
    defaults = _DEFAULTS
    hidden = frozenset(_SECRET)

    rejectUnauthorized: bool
    ca: tuple[str | bytes, ...]
    cert: str | None
    key: str | None
    passphrase: bytes | None
    ciphers: str | None
    minVersion: str | None
    maxVersion: str | None
    servername: str | None
    ALPNProtocols: tuple[str, ...]
    context: ssl.SSLContext | None

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(getattr(self, name) for name in _DEFAULTS))

    @classmethod
    def parse(cls, given: object) -> TLSOptions:
        """Check what a caller gave as ``tls``: a mapping, an ``ssl.SSLContext``, or ``None``.

        Names match in any case, with or without underscores; an option that is ``None`` is not
        given.  ``ca``, ``cert`` and ``key`` are PEM as str or bytes, or a str or path object that
        names a file; ``ca`` and ``ALPNProtocols`` are one or a list.  No file is read yet.

        Raises ``TypeError`` for an unknown name, a value of the wrong type, and ``context`` beside
        an option that belongs on it; ``ValueError`` for a value that cannot be meant.
        """
        if given is None:
            return cls()
        if isinstance(given, ssl.SSLContext):
            given = {"context": given}
        if not isinstance(given, Mapping):
            got = type(given).__name__
            raise TypeError(f"option 'tls' takes a dict or an ssl.SSLContext; got {got}")
        values: dict[str, Any] = {
            name: _RULES[name].checked(name, value)
            for name, value in _NAMES.canonical(given).items()
            if value is not None
        }
        others = ", ".join(repr(name) for name in values if name not in ("context", "servername"))
        if "context" in values and others:
            raise TypeError(f"tls option 'context' excludes {others}: configure the context itself")
        options = cls(**values)
        lowest = options.minVersion or _DEFAULT_MINIMUM
        if options.maxVersion and _VERSIONS[options.maxVersion] < _VERSIONS[lowest]:
            text = f"tls option 'maxVersion' {options.maxVersion!r} is below 'minVersion'"
            raise ValueError(f"{text} {lowest!r} (by default {_DEFAULT_MINIMUM!r})")
        if options.key and not options.cert:
            raise ValueError("tls option 'key' needs 'cert', the certificate that it belongs to")
        return options


def context_for(options: TLSOptions) -> ssl.SSLContext:
    """Return the context to wrap a socket with; it is shared, so it is not to be changed.

    Unless told otherwise it trusts the system's CAs, checks the host name, and takes TLS 1.2 or
    later.  Contexts are kept by options, and made anew when a file that they were read from
    changes, as renewed certificates do.  May be called from any thread.

    Raises :class:`SMTPError` (``ETLS``) that names the option, and the file, that cannot be used.
    """
    if options.context is not None:
        return options.context
    named = [("ca", each) for each in options.ca] + [("cert", options.cert), ("key", options.key)]
    files = [_fingerprint(name, each) for name, each in named if each and _is_file(each)]
    system = ssl.get_default_verify_paths().cafile
    if system and not options.ca:
        files.append(_fingerprint("ca", system))
    return _built(TLSOptions(**{**dict(options), "servername": None}), tuple(files))


@functools.lru_cache(maxsize=32)
def _built(options: TLSOptions, files: tuple[object, ...]) -> ssl.SSLContext:
    """Make a context; ``files`` makes the cache miss when one of them has changed."""
    if options.ca:
        # Not create_default_context: from Python 3.13 on it also refuses CAs that lack some
        # extensions, as home-made ones do. Whoever is listed here is trusted, a root or not.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for each in options.ca:
            with _reported(_shown("ca", each)):
                context.load_verify_locations(cadata=_ascii(_content(each)))
    else:
        with _reported("the system's store of CAs"):
            context = ssl.create_default_context()
    if not options.rejectUnauthorized:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # The system's policy may ask for more than the default here.
    default = max(context.minimum_version, _VERSIONS[_DEFAULT_MINIMUM])
    context.minimum_version = _VERSIONS.get(options.minVersion or "", default)
    if options.maxVersion:
        context.maximum_version = _VERSIONS[options.maxVersion]
    if options.ciphers:
        with _reported(f"tls option 'ciphers' {options.ciphers!r}"):
            context.set_ciphers(options.ciphers)
    if options.ALPNProtocols:
        context.set_alpn_protocols(list(options.ALPNProtocols))
    if options.cert:
        _load_client_certificate(context, options.cert, options.key, options.passphrase)
    return context


def _load_client_certificate(
    context: ssl.SSLContext, cert: str, key: str | None, passphrase: bytes | None
) -> None:
    holder = ("key", key) if key else ("cert", cert)
    for (name, source), kind in ((("cert", cert), "CERTIFICATE"), (holder, "PRIVATE KEY")):
        with _reported(_shown(name, source)):
            if f"{kind}-----".encode() not in _content(source):
                raise ValueError(f"it holds no {kind} in PEM")
    asked = False

    # Without a callback, OpenSSL asks for the passphrase on the terminal.
    def answer() -> bytes:
        nonlocal asked
        asked = True
        return passphrase or b""

    try:
        with _as_file(cert) as certfile, _as_file(holder[1]) as keyfile:
            context.load_cert_chain(certfile, keyfile, answer)
    except (OSError, ValueError) as exc:
        what = f"{_shown('cert', cert)} with {_shown('key', key)}" if key else _shown("cert", cert)
        why = None
        if getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH":
            why = "the key belongs to another certificate"
        elif asked and passphrase is None:
            why = "the key is encrypted, and there is no 'passphrase'"
        elif asked:
            why = "the key is encrypted, and not with this 'passphrase'"
        raise _unusable(what, exc, why) from exc


def _is_file(source: str | bytes) -> bool:
    return isinstance(source, str) and _BEGIN not in source


def _shown(name: str, source: str | bytes) -> str:
    return f"tls option {name!r}" + (f" (file {source!r})" if _is_file(source) else "")


def _content(source: str | bytes) -> bytes:
    if _is_file(source):
        with open(source, "rb") as file:
            return file.read()
    return source.encode() if isinstance(source, str) else source


def _fingerprint(name: str, path: str | bytes) -> tuple[object, ...]:
    with _reported(_shown(name, path)):
        found = os.stat(path)
    return path, found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _as_file(source: str) -> Iterator[str]:
    """Lend PEM text a file: load_cert_chain reads nothing else."""
    if _is_file(source):
        yield source
        return
    import tempfile  # 3 ms, for few

    descriptor, path = tempfile.mkstemp(suffix=".pem")  # 0600, whatever the umask
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(source)
        yield path
    finally:
        os.unlink(path)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise _unusable(what, exc) from exc


def _unusable(what: str, exc: Exception, why: str | None = None) -> SMTPError:
    reason = f"{why} ({reason_of(exc)})" if why else reason_of(exc)
    return SMTPError(f"{what} cannot be used: {reason}", code="ETLS", command="CONN")
