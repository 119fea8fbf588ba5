"""The option ``dkim``."""

from __future__ import annotations

import sys
import traceback

import pytest

from smtp_connection.dkim.signer import DEFAULT_FIELDS
from smtp_connection.options.dkim import DKIMOptions
from smtp_connection.options.smtp import Options
from smtp_connection.options.transport import PoolOptions, TransportOptions
from tests.support.signatures import BOTH, ED25519, ED25519_KEY, RSA, RSA_PEM, is_verified, tags

MESSAGE = b"From: a@x.org\r\nTo: b@y.org\r\nSubject: s\r\nX-Own: x\r\n\r\nhello\r\n"


def signed(given):
    spool = DKIMOptions.parse(given).spool()
    spool.write(MESSAGE)
    spool.sign()
    message = spool.read(10_000)
    spool.close()
    return message


def said(given, place=0):
    return {name: value.replace("\r\n ", "") for name, value in tags(signed(given), place).items()}


def error(given, kind=ValueError):
    with pytest.raises(kind) as caught:
        DKIMOptions.parse(given)
    shown = "".join(traceback.format_exception(caught.value))
    assert "MIICXw" not in shown
    assert caught.value.__context__ is None
    return str(caught.value)


# -- what it takes --------------------------------------------------------------------------------


def test_one_key():
    message = signed(RSA)
    assert is_verified(message)
    assert (said(RSA)["d"], said(RSA)["s"]) == ("x.org", "rsa")


@pytest.mark.parametrize("keys", [[RSA, ED25519], (RSA, ED25519)])
def test_several_keys(keys):
    assert is_verified(signed({"keys": keys}), 2)
    assert said({"keys": keys}, 1)["s"] == "ed"


def test_keys_may_be_one():
    assert is_verified(signed({"keys": ED25519}))


def test_a_key_object():
    assert is_verified(signed({**ED25519, "privateKey": ED25519_KEY}))


def test_a_key_with_a_passphrase():
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    locked = ED25519_KEY.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption("geheim ü".encode())
    )
    for passphrase in ("geheim ü", "geheim ü".encode()):
        given = {**ED25519, "privateKey": {"key": locked, "passphrase": passphrase}}
        assert is_verified(signed(given))
    assert "passphrase" in error({**ED25519, "privateKey": {"key": locked, "passphrase": 17}})
    assert "'key': PEM" in error({**ED25519, "privateKey": {"pem": locked}})


@pytest.mark.parametrize("names", ["Subject:X-Own", "subject : x-own:", ["Subject", "X-OWN"]])
def test_names_of_fields(names):
    assert said({**RSA, "headerFieldNames": names})["h"] == "from:from:subject:x-own"
    assert said({**RSA, "skipFields": names})["h"] == "from:from:to"


@pytest.mark.parametrize("empty", [None, "", [], ":", False])
def test_no_names(empty):
    given = {**RSA, "headerFieldNames": empty, "skipFields": empty}
    assert said(given)["h"] == "from:from:subject:to"


def test_the_fields_that_are_signed_by_default_are_those_of_nodemailer():
    """Facts of nodemailer 10.6."""
    assert ":".join(DEFAULT_FIELDS) == (
        "from:sender:reply-to:subject:date:message-id:to:cc:mime-version:content-type:"
        "content-transfer-encoding:content-id:content-description:resent-date:resent-from:"
        "resent-sender:resent-to:resent-cc:resent-message-id:in-reply-to:references:list-id:"
        "list-help:list-unsubscribe:list-unsubscribe-post:list-subscribe:list-post:list-owner:"
        "list-archive:otp-token"
    )


def test_names_in_other_spellings():
    given = {"domain_name": "x.org", "KEYSELECTOR": "rsa", "private_key": RSA_PEM}
    assert is_verified(signed(given))


def test_an_international_domain():
    assert said({**RSA, "domainName": " bücher.example "})["d"] == "xn--bcher-kva.example"


def test_without_the_package_for_those(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    assert "the extra 'idna'" in error({**RSA, "domainName": "bücher.example"})


def test_the_hash_algorithm():
    assert said({**RSA, "hashAlgo": "SHA256"})["a"] == "rsa-sha256"


def test_it_is_the_same_when_it_has_been_parsed():
    parsed = DKIMOptions.parse(RSA)
    assert DKIMOptions.parse(parsed) is parsed


# -- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["domainName", "keySelector", "privateKey"])
def test_what_is_missing(name):
    for empty in (None, "", False):
        assert error({**RSA, name: empty}) == (
            "dkim options 'domainName', 'keySelector' and 'privateKey' belong together;"
            f" {name!r} is missing"
        )
    rest = {key: value for key, value in RSA.items() if key != name}
    assert error({"keys": [ED25519, rest]}).startswith("dkim option 'keys', at [1]: dkim options")


def test_nothing_at_all():
    assert "'domainName' is missing" in error({})
    assert error("x.org", TypeError) == "dkim options are a dict; got str"


@pytest.mark.parametrize(
    ("name", "value", "kind", "says"),
    [
        ("domainName", 17, TypeError, "takes a string; got 17"),
        ("domainName", "x org", ValueError, "takes a domain"),
        ("domainName", "x.org; s=evil", ValueError, "takes a domain"),
        ("domainName", "x..org", ValueError, "takes a domain"),
        ("domainName", "x.org\n", ValueError, r"without '\n'; got 'x.org\n'"),
        ("domainName", "-ü.org", ValueError, "takes a domain, such as 'example.com'; got"),
        ("keySelector", "a;b=c", ValueError, "takes the name of a key in DNS"),
        ("keySelector", "schlüssel", ValueError, "takes the name of a key in DNS"),
        ("keySelector", ["a"], TypeError, "takes a string"),
        ("privateKey", "/etc/dkim.pem", ValueError, "has no '-----BEGIN' line"),
        ("privateKey", 17, ValueError, "got int"),
        ("headerFieldNames", 17, TypeError, "takes names of header fields"),
        ("headerFieldNames", "a b", ValueError, "takes names of header fields"),
        ("headerFieldNames", ["a;b"], ValueError, "takes names of header fields"),
        ("headerFieldNames", [17], TypeError, "takes names of header fields"),
        ("skipFields", "subject:From", ValueError, "cannot name From: From has to be signed"),
        ("hashAlgo", "sha1", ValueError, "takes 'sha256', which is the only one (RFC 8301)"),
        ("hashAlgo", 256, TypeError, "takes 'sha256'"),
        ("cacheDir", 17, TypeError, "takes the path of a folder"),
        ("cacheDir", "a\0b", ValueError, "takes the path of a folder"),
        ("cacheTreshold", -1, ValueError, "takes a number of bytes"),
        ("cacheTreshold", "1", TypeError, "takes a number of bytes"),
        ("cacheTreshold", True, TypeError, "takes a number of bytes"),
        ("keys", "rsa", TypeError, "dkim options are a dict"),
        ("keys", [[]], TypeError, "at [0]: dkim options are a dict"),
    ],
)
def test_a_wrong_value(name, value, kind, says):
    given = {name: value} if name == "keys" else {**RSA, name: value}
    text = error(given, kind)
    assert f"dkim option {name!r}" in text
    assert says in text


def test_an_unknown_name():
    assert error({**RSA, "headerFields": "to"}, TypeError) == (
        "unknown dkim option 'headerFields'; did you mean 'headerFieldNames'?"
    )


def test_one_key_beside_several():
    assert "'keys' and 'keySelector' exclude each other" in error({**BOTH, "keySelector": "s"})


# -- in the options of others ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Options, PoolOptions, TransportOptions])
def test_it_is_a_secret(kind):
    options = kind.parse({"dkim": BOTH})
    assert isinstance(options.dkim, DKIMOptions)
    assert "dkim" not in repr(options)
    assert repr(options.dkim) == "<DKIMOptions of rsa._domainkey.x.org, ed._domainkey.x.org>"
    for given in (RSA_PEM, {**RSA, "domainName": "?"}, {"keys": [{"privateKey": RSA_PEM}]}):
        with pytest.raises((TypeError, ValueError)) as caught:
            kind.parse({"dkim": given})
        assert "MIIC" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("nothing", [None, False, ""])
def test_it_need_not_be_there(nothing):
    assert Options.parse({"dkim": nothing}).dkim is None


def test_each_connection_of_a_pool_has_it():
    options = PoolOptions.parse({"dkim": RSA})
    assert options.for_connection().dkim is options.dkim
