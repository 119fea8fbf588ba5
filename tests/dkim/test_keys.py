"""Private keys: what can be one, what is said of what cannot, and that nobody sees them."""

from __future__ import annotations

import sys
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from smtp_connection.dkim import keys
from smtp_connection.dkim.keys import UnusableKey, signing_key
from tests.support.signatures import ED25519_KEY, ED25519_PEM, RSA_PEM

RSA_KEY = load_pem_private_key(RSA_PEM.encode(), None)
PKCS8 = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
LOCKED = ED25519_KEY.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame")
)
PUBLIC = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CURVE = ec.generate_private_key(ec.SECP256R1())
CURVE_PEM = CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "given",
    [RSA_PEM, RSA_PEM.encode(), bytearray(PKCS8), memoryview(PKCS8), RSA_KEY, f"\n{RSA_PEM}\n"],
    ids=["text", "bytes", "PKCS #8", "memoryview", "object", "blank lines"],
)
def test_rsa(given):
    key = signing_key(given)
    assert key.algorithm == "rsa-sha256"
    assert key.sign(b"data") == signing_key(RSA_PEM).sign(b"data")


@pytest.mark.parametrize("given", [ED25519_PEM, ED25519_KEY], ids=["PEM", "object"])
def test_ed25519(given):
    key = signing_key(given)
    assert key.algorithm == "ed25519-sha256"
    assert len(key.sign(b"data")) == 64


def test_a_passphrase():
    assert signing_key(LOCKED, b"sesame").sign(b"x") == signing_key(ED25519_PEM).sign(b"x")


@pytest.mark.parametrize(
    ("given", "passphrase", "says"),
    [
        ("/etc/dkim/private.pem", None, "has no '-----BEGIN' line"),
        (b"", None, "has no '-----BEGIN' line"),
        (PUBLIC, None, "cannot be read as one"),
        (RSA_PEM[:200], None, "cannot be read as one"),
        (RSA_PEM.replace("MIICXw", "MIICXx"), None, "cannot be read as one"),
        ("-----BEGIN\udfff", None, "cannot be read as one"),
        (LOCKED, None, "is encrypted: give {'key': ..., 'passphrase': ...}"),
        (LOCKED, b"open", "cannot be read as one with this passphrase"),
        (RSA_PEM, b"sesame", "is not encrypted, and needs no passphrase"),
        (RSA_KEY.public_key(), None, "got RSAPublicKey"),
        (CURVE, None, "got "),
        (CURVE_PEM, None, "got "),
        (None, None, "got NoneType"),
        (17, None, "got int"),
    ],
    ids=lambda value: "" if value is None or isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_key_is_refused_and_not_shown(given, passphrase, says):
    with pytest.raises(UnusableKey) as caught:
        signing_key(given, passphrase)
    text = str(caught.value)
    assert text.startswith("takes a private key, RSA or Ed25519, in PEM")
    assert says in text
    assert caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value))
    for secret in ("MIIC", "sesame", "/etc/dkim"):
        assert secret not in shown


def test_a_key_that_receivers_refuse():
    """RFC 8301 section 3.2."""
    small = rsa.generate_private_key(65537, 1024)
    signing_key(small)

    class Smaller(rsa.RSAPrivateKey):  # such keys are no longer made
        key_size = 512
        __abstractmethods__ = frozenset()

    Smaller.__abstractmethods__ = frozenset()
    with pytest.raises(UnusableKey, match="this one has 512"):
        signing_key(Smaller())


def test_a_key_is_not_shown():
    assert repr(signing_key(RSA_PEM)) == "<SigningKey rsa-sha256>"


def test_what_was_looked_at_is_known_and_not_kept_for_ever(monkeypatch):
    assert signing_key(PKCS8) is signing_key(bytearray(PKCS8))
    monkeypatch.setattr(keys, "_MOST_LOADED", 2)
    for extra in range(5):
        signing_key(f"{RSA_PEM}{' ' * extra}")
    assert len(keys._LOADED) == 2


def test_the_passphrase_counts():
    signing_key(LOCKED, b"sesame")
    with pytest.raises(UnusableKey):
        signing_key(LOCKED)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ModuleNotFoundError, match=r"DKIM needs the extra 'dkim'"):
        signing_key(RSA_PEM)
