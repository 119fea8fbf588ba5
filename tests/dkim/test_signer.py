"""Signatures: those that the RFCs publish, and what ours say."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from smtp_connection.dkim.keys import signing_key
from smtp_connection.dkim.relaxed import RelaxedBody, fields_of
from smtp_connection.dkim.signer import DEFAULT_FIELDS, DomainKey, Signer, signed_data
from tests.support.signatures import ED25519_PEM, RSA_PEM, is_verified, tags

# -- RFC 8463 appendix A --------------------------------------------------------------------------

MESSAGE = b"""\
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
HEADERS, _, BODY = MESSAGE.partition(b"\r\n\r\n")
HEADERS += b"\r\n"

BODY_HASH = "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
ED25519_FIELD = b"""\
 v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b="""
RSA_FIELD = b"""\
 v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b="""
ED25519_SIGNATURE = (
    "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
)
RSA_SIGNATURE = (
    "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3"
    "DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz"
    "dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8="
)
RSA_PUBLIC_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id"
    "Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ"
    "/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2Ee"
    "C3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)


def published(field):
    """What is signed, as the field that the RFC shows says it."""
    unsigned = field.replace(b"\n", b"\r\n")
    names = re.search(rb"h=([^;]*)", unsigned)[1]
    signed = [name.strip() for name in names.split(b":")]
    return signed_data(fields_of(HEADERS), signed, unsigned)


def test_the_body_hash_of_rfc_8463():
    body = RelaxedBody()
    body.update(BODY)
    assert base64.b64encode(body.digest()).decode() == BODY_HASH


def test_the_signature_of_rfc_8463_with_ed25519():
    key = signing_key(ED25519_PEM)
    assert base64.b64encode(key.sign(published(ED25519_FIELD))).decode() == ED25519_SIGNATURE


def test_the_signature_of_rfc_8463_with_rsa():
    """The RFC's key signs what we say is to be signed."""
    key = load_der_public_key(base64.b64decode(RSA_PUBLIC_KEY))
    key.verify(base64.b64decode(RSA_SIGNATURE), published(RSA_FIELD), PKCS1v15(), SHA256())


# -- RFC 6376 appendix A.2, with errata 3192 and 4926 ----------------------------------------------


def test_the_signature_of_rfc_6376():
    """Its form is the simple one; the key and the hash are the same."""
    received = b"""\
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
"""
    field = b"""\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=;"""
    data = (received + HEADERS.replace(b"\r\n", b"\n") + field).replace(b"\n", b"\r\n")
    assert base64.b64encode(signing_key(RSA_PEM).sign(data)).decode() == (
        "AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB"
        "4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut"
        "KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV"
        "4bmp/YzhwvcubU4="
    )
    body = BODY.replace(b"  ", b" ")
    assert base64.b64encode(hashlib.sha256(body).digest()).decode() == BODY_HASH


# -- ours -----------------------------------------------------------------------------------------

NOW = 1_528_637_909.75


def signed(headers, *names, keys=("rsa",), domain="x.org"):
    """A message with ``headers`` and its signatures."""
    pem = {"rsa": RSA_PEM, "ed": ED25519_PEM}
    body = RelaxedBody()
    body.update(b"body\r\n")
    signer = Signer(
        [DomainKey(domain, name, signing_key(pem[name])) for name in keys],
        names or DEFAULT_FIELDS,
        lambda: NOW,
    )
    return signer.signatures(headers, body.digest()) + headers + b"\r\nbody\r\n"


def test_what_a_signature_says():
    message = signed(b"From: a@x.org\r\nTo: b@y.org\r\nX-Other: y\r\n")
    assert is_verified(message)
    said = tags(message)
    said.pop("b")
    assert {name: re.sub(r"\s", "", value) for name, value in said.items()} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": "x.org",
        "q": "dns/txt",
        "s": "rsa",
        "t": "1528637909",
        "bh": base64.b64encode(hashlib.sha256(b"body\r\n").digest()).decode(),
        "h": "from:from:to",
    }


def test_each_key_signs():
    message = signed(b"From: a@x.org\r\n", keys=("rsa", "ed"))
    assert is_verified(message, 2)
    assert [tags(message, place)["a"] for place in (0, 1)] == ["rsa-sha256", "ed25519-sha256"]


def test_its_lines_are_short():
    headers = b"".join(b"%b: x\r\n" % name.encode() for name in DEFAULT_FIELDS)
    domain = ".".join(["a" * 40] * 3)
    for message in (signed(headers, keys=("rsa", "ed")), signed(headers, domain=domain)):
        lines = message.partition(b"from: x")[0].splitlines()
        assert all(len(line) <= 76 or domain.encode() in line for line in lines)
        assert all(line[:1] == b" " for line in lines if not line.startswith(b"DKIM-Signature: v"))
        assert not [line for line in lines if line.strip() in (b"", b";")]


def test_every_field_with_a_name_is_signed_and_from_once_more():
    headers = b"To: 1\r\nFrom: a@x.org\r\nTo: 2\r\nto: 3\r\n"
    message = signed(headers, "to", "from", "cc")
    assert tags(message)["h"].replace("\r\n ", "") == "to:to:to:from:from"
    assert is_verified(message)
    assert not is_verified(message.replace(b"To: 1", b"To: 0"))
    assert not is_verified(message.replace(b"To: 1", b"From: evil@y.org\r\nTo: 1"))
    assert is_verified(message.replace(b"To: 1", b"Cc: not signed\r\nTo: 1"))


def test_from_is_always_signed():
    assert tags(signed(b"From: a@x.org\r\nTo: b\r\n", "to"))["h"] == "from:from:to"
    message = signed(b"To: b@y.org\r\n")
    assert tags(message)["h"] == "from:to"
    assert not is_verified(b"From: evil@y.org\r\n" + message)


def test_bytes_that_are_not_ascii():
    message = signed("From: Jörg <a@x.org>\r\nSubject: Grüße\r\n".encode() + b"To: \xff\xa0 b\r\n")
    assert is_verified(message)


def test_what_servers_may_change_makes_no_difference():
    message = signed(b"From: a@x.org\r\nSubject: one\r\n two\r\n")
    assert is_verified(message.replace(b"one\r\n two", b"one   two"))
    assert is_verified(message.replace(b"body\r\n", b"body \t\r\n\r\n\r\n"))
    assert not is_verified(message.replace(b"body\r\n", b"bo dy\r\n"))


def test_a_signature_of_somebody_else_can_be_signed():
    once = signed(b"From: a@x.org\r\n")
    headers = once.partition(b"\r\n\r\n")[0] + b"\r\n"
    twice = signed(headers, "from", "dkim-signature", keys=("ed",))
    assert is_verified(twice, 2)
    assert tags(twice)["h"].replace("\r\n ", "") == "from:from:dkim-signature"


def test_headers_that_are_none():
    with pytest.raises(ValueError, match="line 1 is 'hello'"):
        signed(b"hello\r\n")
