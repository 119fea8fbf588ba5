"""TLS options: which are accepted, how they are kept, and what is never shown."""

from __future__ import annotations

import base64
import ssl
import traceback
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trustme
from hypothesis import strategies as st

from smtp_connection.options.tls import TLSOptions

HOST = "mx.example.org"


@pytest.fixture(scope="module")
def certificate() -> trustme.LeafCert:
    return trustme.CA().issue_cert("client@example.org")


@pytest.fixture(scope="module")
def cert(certificate: trustme.LeafCert) -> str:
    return certificate.cert_chain_pems[0].bytes().decode()


@pytest.fixture(scope="module")
def key(certificate: trustme.LeafCert) -> str:
    return certificate.private_key_pem.bytes().decode()


# --- options --------------------------------------------------------------------------------------


def test_defaults() -> None:
    options = TLSOptions.parse(None)
    assert options == TLSOptions.parse({}) == TLSOptions.parse({"ca": None, "context": None})
    assert options.rejectUnauthorized is True
    assert (options.ca, options.ALPNProtocols) == ((), ())
    others = "cert", "key", "passphrase", "ciphers", "minVersion", "maxVersion", "servername"
    assert [getattr(options, name) for name in others] == [None] * 7
    assert options.session is True
    assert options.context is None


def test_values_are_kept_in_one_form(cert: str, key: str) -> None:
    given = {
        "reject_unauthorized": False,
        "CA": ["/etc/ca.pem", Path("/etc/more.pem"), b"DER", cert.encode()],
        "cert": bytearray(cert.encode()),
        "key": key,
        "passphrase": "geheim",
        "ciphers": "HIGH",
        "min_version": "TLSv1.2",
        "maxVersion": "TLSv1.3",
        "serverName": HOST,
        "alpn_protocols": "smtp",
    }
    before = dict(given)
    options = TLSOptions.parse(given)
    assert given == before
    assert options == TLSOptions(
        rejectUnauthorized=False,
        ca=("/etc/ca.pem", "/etc/more.pem", b"DER", cert),
        cert=cert,
        key=key,
        passphrase=b"geheim",
        ciphers="HIGH",
        minVersion="TLSv1.2",
        maxVersion="TLSv1.3",
        servername=HOST,
        ALPNProtocols=("smtp",),
    )
    assert hash(options) == hash(TLSOptions.parse(given))
    with pytest.raises(AttributeError):
        options.ciphers = "ALL"  # type: ignore[misc]


def test_one_is_as_good_as_a_list() -> None:
    one = TLSOptions.parse({"ca": "/etc/ca.pem", "ALPNProtocols": "smtp"})
    assert one == TLSOptions.parse({"ca": ["/etc/ca.pem"], "ALPNProtocols": ("smtp",)})


def test_a_context_in_place_of_the_options() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = TLSOptions.parse(context)
    assert options == TLSOptions.parse({"context": context})
    assert options.context is context
    named = TLSOptions.parse({"context": context, "servername": HOST})
    assert (named.context, named.servername) == (context, HOST)


def test_a_context_excludes_what_belongs_on_it() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    given = {"context": context, "servername": HOST, "ca": "/ca.pem", "rejectUnauthorized": True}
    with pytest.raises(TypeError) as caught:
        TLSOptions.parse(given)
    assert str(caught.value) == (
        "tls option 'context' excludes 'ca', 'rejectUnauthorized': configure the context itself"
    )


def test_what_is_no_mapping() -> None:
    for given in (True, "TLSv1.2", [("ca", "x")]):
        with pytest.raises(
            TypeError, match=r"option 'tls' takes a dict or an ssl\.SSLContext; got"
        ):
            TLSOptions.parse(given)


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match="unknown tls option 'rejectUnauthorised'; did you mean"):
        TLSOptions.parse({"rejectUnauthorised": False})


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        ("pfx", "convert it to PEM with 'openssl pkcs12' and use 'cert' and 'key'"),
        ("secureProtocol", "use 'minVersion' and 'maxVersion'"),
        ("secureContext", "pass an ssl.SSLContext as 'context'"),
        ("checkServerIdentity", "use 'servername' to expect another name"),
        ("host port socket", "give it to SMTPConnection, beside 'tls'"),
        (
            (
                "secureOptions ecdhCurve dhparam crl honorCipherOrder sigalgs ciphersuites "
                "sessionIdContext clientCertEngine privateKeyEngine privateKeyIdentifier minDHSize "
                "requestCert enableTrace pskCallback ticketKeys SNICallback highWaterMark"
            ),
            "configure an ssl.SSLContext and pass it as 'context'",
        ),
    ],
)
def test_what_only_node_has_names_its_replacement(names: str, advice: str) -> None:
    for name in names.split():
        with pytest.raises(TypeError) as caught:
            TLSOptions.parse({name: "x"})
        text = f"tls option {name!r} does not exist in Python: {advice}"
        assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        ("rejectUnauthorized", "false", TypeError, "takes True or False; got 'false'"),
        ("rejectUnauthorized", 0, TypeError, "takes True or False; got 0"),
        ("ca", 5, TypeError, "or the path of a file; got int"),
        ("ca", ["/ca.pem", {}], TypeError, "or the path of a file; got dict"),
        ("ca", [], ValueError, "is an empty list; leave it out instead"),
        ("ca", "", ValueError, "or the path of a file; got str"),
        ("cert", ["/cert.pem"], TypeError, "or the path of a PEM file; got list"),
        ("cert", b"DER", ValueError, "or the path of a PEM file; got bytes"),
        ("key", {"pem": "x"}, TypeError, "or the path of a PEM file; got dict"),
        ("key", b"DER", ValueError, "or the path of a PEM file; got bytes"),
        ("passphrase", 1234, TypeError, "takes bytes, or text that UTF-8 can express; got int"),
        ("passphrase", "\udc80", ValueError, "or text that UTF-8 can express; got str"),
        ("ciphers", ["HIGH"], TypeError, "takes text without control characters; got list"),
        ("ciphers", "", ValueError, "takes text without control characters; got ''"),
        ("minVersion", 1.2, TypeError, "takes one of 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'"),
        ("minVersion", "TLS1.2", ValueError, "'TLSv1.3'; got 'TLS1.2'"),
        ("maxVersion", "SSLv3", ValueError, "'TLSv1.3'; got 'SSLv3'"),
        ("servername", b"mx", TypeError, "takes text without control characters; got bytes"),
        ("servername", "mx\r\nx", ValueError, "control characters; got 'mx\\r\\nx'"),
        ("servername", "mx\x00", ValueError, "control characters; got 'mx\\x00'"),
        ("servername", "mx\x85", ValueError, "control characters; got 'mx\\x85'"),
        ("servername", "mx\u2028", ValueError, "control characters; got 'mx\\u2028'"),
        ("ALPNProtocols", b"\x04smtp", TypeError, "of 1 to 255 ASCII characters; got bytes"),
        ("ALPNProtocols", ["smtp", 1], TypeError, "of 1 to 255 ASCII characters; got 1"),
        ("ALPNProtocols", ["smtp", ""], ValueError, "of 1 to 255 ASCII characters; got ''"),
        ("ALPNProtocols", ["é"], ValueError, "of 1 to 255 ASCII characters; got 'é'"),
        ("ALPNProtocols", ["x" * 256], ValueError, "of 1 to 255 ASCII characters; got 'xxx"),
        ("ALPNProtocols", [], ValueError, "is an empty list"),
        ("context", True, TypeError, "takes an ssl.SSLContext for clients; got True"),
        (
            "context",
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            ValueError,
            "takes an ssl.SSLContext for clients; got SSLContext",
        ),
    ],
)
def test_a_value_of_the_wrong_kind(
    name: str, value: object, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        TLSOptions.parse({name: value})
    assert str(caught.value).startswith(f"tls option {name!r} ")
    assert text in str(caught.value)


def test_versions_have_an_order() -> None:
    with pytest.raises(ValueError, match=r"'maxVersion' 'TLSv1.2' is below 'minVersion' 'TLSv1.3'"):
        TLSOptions.parse({"minVersion": "TLSv1.3", "maxVersion": "TLSv1.2"})
    with pytest.raises(ValueError, match=r"'TLSv1.1' is below 'minVersion' 'TLSv1.2' \(by default"):
        TLSOptions.parse({"maxVersion": "TLSv1.1"})
    assert TLSOptions.parse({"maxVersion": "TLSv1.1", "minVersion": "TLSv1"}).minVersion == "TLSv1"


def test_a_key_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="tls option 'key' needs 'cert'"):
        TLSOptions.parse({"key": "/key.pem"})


# --- secrets --------------------------------------------------------------------------------------


def test_repr_keeps_secrets(cert: str, key: str) -> None:
    options = TLSOptions.parse({"cert": cert + key, "key": key, "passphrase": "geheim", "ca": key})
    for text in (repr(options), str(options), f"{options}"):
        assert "geheim" not in text
        assert "PRIVATE" not in text
        assert "rejectUnauthorized=True" in text


def test_a_key_that_lost_its_first_line_is_not_taken_for_a_file(key: str) -> None:
    body = key.splitlines()[1:-1]
    whole = base64.b64encode(key.encode()).decode()
    for lost in ("\n".join(body), "".join(body), whole, f" {body[0]}\n"):
        with pytest.raises(ValueError, match="with its BEGIN line") as caught:
            TLSOptions.parse({"cert": "/cert.pem", "key": lost})
        shown = "".join(traceback.format_exception(caught.value))
        assert body[0].strip() not in shown
        assert whole not in shown


@hypothesis.given(
    name=st.sampled_from(["ca", "cert", "key", "passphrase"]),
    value=st.sampled_from([["S3CR3T"], {"S3CR3T": 1}, "S3CR3T\n", "S3CR3T\udfff", b"S3CR3T"]),
)
def test_no_refused_value_shows_a_secret(name: str, value: Any) -> None:
    try:
        shown = repr(TLSOptions.parse({"cert": "/cert.pem", name: value}))
    except (TypeError, ValueError) as exc:
        shown = "".join(traceback.format_exception(exc))
    assert "S3CR3T" not in shown


def test_a_session_as_node_has_it_is_refused_and_not_shown() -> None:
    with pytest.raises(TypeError) as caught:
        TLSOptions.parse({"session": b"S3CR3T"})
    text = "tls option 'session' takes True or False; sessions are kept by themselves"
    assert str(caught.value) == text


texts = st.text("ab/.-=M \n\0é\udc80", max_size=70)


@hypothesis.given(
    st.dictionaries(
        st.sampled_from(list(TLSOptions.defaults)),
        st.one_of(st.none(), st.booleans(), st.integers(), texts, st.binary(), st.lists(texts)),
    )
)
def test_any_dict_is_parsed_or_refused_by_name(options: dict[str, Any]) -> None:
    try:
        parsed = TLSOptions.parse(options)
    except (TypeError, ValueError) as exc:
        refusal = str(exc)
    else:
        assert TLSOptions.parse(options) == parsed
        return
    assert refusal.startswith("tls option '")
