"""Private keys, and how they sign: RSA (RFC 6376 section 3.3.1) and Ed25519 (RFC 8463)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ..errors import needs_extra

__all__ = ["SigningKey", "UnusableKey", "signing_key"]

_FEWEST_BITS = 1024  # RFC 8301 section 3.2

_TAKES = "takes a private key, RSA or Ed25519, in PEM, or as cryptography has it"


class UnusableKey(Exception):
    """What was given is no private key that can sign; the text says why, and shows nothing."""


class SigningKey:
    """A private key; neither ``repr`` nor anything else shows it.

    - ``algorithm`` (str): as in a signature, ``'rsa-sha256'`` or ``'ed25519-sha256'``
    """

    __slots__ = ("_sign", "algorithm")

    def __init__(self, algorithm: str, sign: Callable[[bytes], bytes]) -> None:
        self.algorithm = algorithm
        self._sign = sign

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``."""
        return self._sign(data)

    def __repr__(self) -> str:
        return f"<SigningKey {self.algorithm}>"


# OpenSSL takes 27 ms to see that an RSA key is sound; a mail may bring its own with it each time.
_LOADED: dict[bytes, SigningKey] = {}
_MOST_LOADED = 100


def signing_key(given: object, passphrase: bytes | None = None) -> SigningKey:
    """Return the key that ``given`` is, PEM (text or bytes, which ``passphrase`` may open) or a
    private key object of the package cryptography.

    Raises :class:`UnusableKey`, and ``ModuleNotFoundError`` without that package, an extra.
    """
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError(needs_extra("DKIM", "dkim"), name="cryptography") from None
    if isinstance(given, str):
        given = given.encode("utf-8", "replace")
    if not isinstance(given, (bytes, bytearray, memoryview)):
        return _of_object(given)
    pem = bytes(given)
    place = hashlib.sha256(b"%d:%b%b" % (len(pem), pem, passphrase or b"")).digest()
    key = _LOADED.get(place)
    if key is None:
        key = _of_object(_object_in(pem, passphrase))
        while len(_LOADED) >= _MOST_LOADED:
            _LOADED.pop(next(iter(tuple(_LOADED))), None)  # the oldest; other threads may be here
        _LOADED[place] = key
    return key


def _object_in(pem: bytes, passphrase: bytes | None) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"-----BEGIN" not in pem:
        raise UnusableKey(f"{_TAKES}; what was given has no '-----BEGIN' line")
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, UnsupportedAlgorithm):
        found = "what was given cannot be read as one"
        if passphrase is not None:
            found += " with this passphrase"
    except TypeError:
        if passphrase is None:
            found = "what was given is encrypted: give {'key': ..., 'passphrase': ...}"
        else:
            found = "what was given is not encrypted, and needs no passphrase"
    # Not inside of the handlers: nobody is to find the key in a context.
    raise UnusableKey(f"{_TAKES}; {found}")


def _of_object(given: Any) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(given, Ed25519PrivateKey):
        # What is signed is the hash (RFC 8463 section 3).
        return SigningKey("ed25519-sha256", lambda data: given.sign(hashlib.sha256(data).digest()))
    if isinstance(given, RSAPrivateKey):
        if given.key_size < _FEWEST_BITS:
            text = f"takes an RSA key of {_FEWEST_BITS} bits or more (RFC 8301)"
            raise UnusableKey(f"{text}; this one has {given.key_size}")
        padding, algorithm = PKCS1v15(), SHA256()
        return SigningKey("rsa-sha256", lambda data: given.sign(data, padding, algorithm))
    raise UnusableKey(f"{_TAKES}; got {type(given).__name__}")
