"""Keys to sign with, and somebody else who verifies what is signed: dkimpy."""

from __future__ import annotations

import base64
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

# RFC 6376 appendix C
RSA_PEM = """-----BEGIN RSA PRIVATE KEY-----
MIICXwIBAAKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFC
jxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gb
to/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB
AoGBALmn+XwWk7akvkUlqb+dOxyLB9i5VBVfje89Teolwc9YJT36BGN/l4e0l6QX
/1//6DWUTB3KI6wFcm7TWJcxbS0tcKZX7FsJvUz1SbQnkS54DJck1EZO/BLa5ckJ
gAYIaqlA9C0ZwM6i58lLlPadX/rtHb7pWzeNcZHjKrjM461ZAkEA+itss2nRlmyO
n1/5yDyCluST4dQfO8kAB3toSEVc7DeFeDhnC1mZdjASZNvdHS4gbLIA1hUGEF9m
3hKsGUMMPwJBAPW5v/U+AWTADFCS22t72NUurgzeAbzb1HWMqO4y4+9Hpjk5wvL/
eVYizyuce3/fGke7aRYw/ADKygMJdW8H/OcCQQDz5OQb4j2QDpPZc0Nc4QlbvMsj
7p7otWRO5xRa6SzXqqV3+F0VpqvDmshEBkoCydaYwc2o6WQ5EBmExeV8124XAkEA
qZzGsIxVP+sEVRWZmW6KNFSdVUpk3qzK0Tz/WjQMe5z0UunY9Ax9/4PVhp/j61bf
eAYXunajbBSOLlx4D+TunwJBANkPI5S9iylsbLs6NkaMHV6k5ioHBBmgCak95JGX
GMot/L2x0IYyMLAz6oLWh2hm7zwtb0CgOrPo1ke44hFYnfc=
-----END RSA PRIVATE KEY-----
"""

# RFC 8463 appendix A.2
ED25519_KEY = Ed25519PrivateKey.from_private_bytes(
    base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
)
ED25519_PEM = ED25519_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

RSA = {"domainName": "x.org", "keySelector": "rsa", "privateKey": RSA_PEM}
ED25519 = {"domainName": "x.org", "keySelector": "ed", "privateKey": ED25519_PEM}
BOTH = {"keys": [RSA, ED25519]}


def _public(key: Any, encoding: Encoding, form: PublicFormat) -> bytes:
    return base64.b64encode(key.public_key().public_bytes(encoding, form))


RECORDS = {
    b"rsa": b"v=DKIM1; k=rsa; p="
    + _public(
        load_pem_private_key(RSA_PEM.encode(), None),
        Encoding.DER,
        PublicFormat.SubjectPublicKeyInfo,
    ),
    b"ed": b"v=DKIM1; k=ed25519; p=" + _public(ED25519_KEY, Encoding.Raw, PublicFormat.Raw),
}
"""What DNS says of each selector."""


def record(name: bytes, timeout: float = 5) -> bytes:
    """Return the record of a key, as dkimpy asks DNS for it."""
    selector, _, domain = name.partition(b"._domainkey.")
    assert domain == b"x.org."
    return RECORDS[selector]


def is_verified(message: bytes, signatures: int = 1) -> bool:
    """Whether each of the first ``signatures`` of ``message`` is there, and is right."""
    verifier = dkim.DKIM(message)
    try:
        return all(verifier.verify(place, dnsfunc=record) for place in range(signatures))
    except dkim.ValidationError:
        return False


def tags(message: bytes, place: int = 0) -> dict[str, str]:
    """Return the tags of a signature, as dkimpy reads them."""
    found = [value for name, value in dkim.DKIM(message).headers if name == b"DKIM-Signature"]
    given: dict[bytes, bytes] = dkim.util.parse_tag_value(found[place])
    return {name.decode(): value.decode() for name, value in given.items()}
