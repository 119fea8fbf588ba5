"""Options of TLS made into an ``ssl.SSLContext``.

Nothing here has a socket: the transport wraps its own with the context.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SMTPError
from ..options.tls import DEFAULT_MINIMUM, TLSOptions, as_pem, is_path
from .errors import reason_of

__all__ = ["context_for"]


def context_for(options: TLSOptions) -> ssl.SSLContext:
    """Return the context to wrap a socket with; it is shared, so it is not to be changed.

    Unless the options say otherwise it trusts the system's CAs, checks the host name, and accepts
    TLS 1.2 or later.  Contexts are kept by options, and made anew when a file that they were read
    from changes, as it does when a certificate is renewed.  May be called from any thread.

    Raises :class:`SMTPError` (``ETLS``) that names the option, and the file, that cannot be used.
    """
    if options.context is not None:
        return options.context
    named = [("ca", each) for each in options.ca] + [("cert", options.cert), ("key", options.key)]
    files = [_fingerprint(name, each) for name, each in named if each and is_path(each)]
    system = ssl.get_default_verify_paths().cafile
    if system and not options.ca:
        files.append(_fingerprint("ca", system))
    return _built(
        TLSOptions(**{**dict(options), "servername": None, "session": True}), tuple(files)
    )


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
                context.load_verify_locations(cadata=as_pem(_content(each)))
    else:
        with _reported("the system's store of CAs"):
            context = ssl.create_default_context()
    if not options.rejectUnauthorized:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # The system's policy may ask for more than the default here.
    default = max(context.minimum_version, _version(DEFAULT_MINIMUM))
    context.minimum_version = _version(options.minVersion) if options.minVersion else default
    if options.maxVersion:
        context.maximum_version = _version(options.maxVersion)
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


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


def _shown(name: str, source: str | bytes) -> str:
    return f"tls option {name!r}" + (f" (file {source!r})" if is_path(source) else "")


def _content(source: str | bytes) -> bytes:
    if is_path(source):
        with open(source, "rb") as file:
            return file.read()
    return source.encode() if isinstance(source, str) else source


def _fingerprint(name: str, path: str | bytes) -> tuple[object, ...]:
    with _reported(_shown(name, path)):
        found = os.stat(path)
    return path, found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _as_file(source: str) -> Iterator[str]:
    """Yield the name of a file that holds ``source``: load_cert_chain() reads only files."""
    if is_path(source):
        yield source
        return
    import tempfile  # slow to import, and needed by few

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
