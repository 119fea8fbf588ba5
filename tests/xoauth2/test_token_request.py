"""What a token endpoint is asked, and what it may answer."""

from __future__ import annotations

import base64
import json
import socket
import sys
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from smtp_connection.xoauth2 import create_xoauth2_generator
from tests.support.scripted_server import Peer

from .samples import ISSUED, NEW, NOW, OLD, SECRETS, USER, pem, response

# -- the request -----------------------------------------------------------------------------------


def test_what_a_token_endpoint_is_asked(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    assert outcome_of(generator_for(asked).getToken) == (None, response(NEW), NEW)
    (request,) = asked.requests
    assert (request.method, request.path) == ("POST", "/token")
    assert request.form == {
        "client_id": "id",
        "client_secret": SECRETS["clientSecret"],
        "refresh_token": SECRETS["refreshToken"],
        "grant_type": "refresh_token",
    }
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Host"] == asked.host
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers


def test_headers_and_parameters_of_the_callers_own(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    generator = generator_for(
        asked,
        customHeaders={"X-Key": "CANARY-key", "User-Agent": "mine", "X-Number": 7, "X-Not": None},
        customParams={"scope": "a b", "client_secret": None, "n": 1, "client_id": "other"},
    )
    assert outcome_of(generator.getToken)[0] is None
    (request,) = asked.requests
    sent = {name: request.headers.get(name) for name in ("X-Key", "User-Agent", "X-Number")}
    assert sent == {"X-Key": "CANARY-key", "User-Agent": "mine", "X-Number": "7"}
    assert "X-Not" not in request.headers
    assert request.form == {
        "client_id": "other",
        "client_secret": SECRETS["clientSecret"],
        "refresh_token": SECRETS["refreshToken"],
        "grant_type": "refresh_token",
        "scope": "a b",
        "n": "1",
    }


def test_a_grant_of_the_callers_own_and_no_empty_parameter(endpoint, outcome_of, trust, reactor):
    asked = endpoint(ISSUED)
    options = {"user": USER, "accessUrl": asked.url, "tls": trust}
    params = {"grant_type": "client_credentials", "scope": "s"}
    generator = create_xoauth2_generator(options, reactor=reactor, customParams=params)
    assert outcome_of(generator.getToken)[2] == NEW
    assert asked.requests[0].form == params


def test_the_environment_has_no_say(generator_for, endpoint, outcome_of, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login who password CANARY\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:CANARY@127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    asked = endpoint(ISSUED)
    assert outcome_of(generator_for(asked, customHeaders={"Authorization": "mine"}).getToken)[2]
    assert asked.requests[0].headers["Authorization"] == "mine"


def test_a_password_in_the_url_is_sent_and_never_shown(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    generator = generator_for(f"https://who:CANARY@{asked.host}/token?tenant=1")
    assert "CANARY" not in repr(generator.options)
    assert outcome_of(generator.getToken)[2] == NEW
    assert asked.requests[0].path == "/token?tenant=1"
    sent = base64.b64decode(asked.requests[0].headers["Authorization"].split()[1])
    assert sent == b"who:CANARY"


@pytest.mark.parametrize("lifetime", ["3599", 3599, 3599.5])
def test_lifetimes_that_endpoints_send(generator_for, endpoint, outcome_of, at, lifetime):
    at(NOW)
    generator = generator_for(endpoint({"access_token": NEW, "expires_in": lifetime}))
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.expires == NOW + float(lifetime) * 1000


@pytest.mark.parametrize("lifetime", [None, "", "soon", -1, 0, [], "1e999", 10**400])
def test_lifetimes_that_are_none(generator_for, endpoint, outcome_of, lifetime):
    generator = generator_for(endpoint({"access_token": NEW, "expires_in": lifetime}))
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.expires == 0


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_usual_port_is_not_named(
    generator_for, endpoint, outcome_of, monkeypatch, context, scheme
):
    asked = endpoint(ISSUED, context=context if scheme == "https" else None)
    real, usual = int(asked.host.partition(":")[2]), {"https": 443, "http": 80}[scheme]
    look_up = socket.getaddrinfo

    def look_up_there(host: str, port: int, *more: Any) -> Any:
        assert port == usual
        return look_up(host, real, *more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_there)
    assert outcome_of(generator_for(f"{scheme}://localhost/").getToken)[2] == NEW
    assert asked.requests[0].headers["Host"] == "localhost"


def test_a_connection_that_the_endpoint_keeps_is_closed(generator_for, serve, outcome_of, context):
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        while b"grant_type" not in peer.received:
            peer._more()
        body = json.dumps(ISSUED)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert peer.expect_end()

    server = serve(script)
    assert outcome_of(generator_for(f"https://localhost:{server.port}/").getToken)[2] == NEW
    server.wait()


def test_plain_http_to_this_machine(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED, context=None)
    assert asked.url.startswith("http://localhost:")
    assert outcome_of(generator_for(asked).getToken)[2] == NEW


# -- what it may answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((200, "<html>CANARY</html>"), "sent HTML instead of JSON; check option 'accessUrl'"),
        ((200, " \n<!doctype html>"), "sent HTML instead of JSON; check option 'accessUrl'"),
        ((200, "CANARY"), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, b"\xff\xfe\xff CANARY"), "sent something instead of JSON; check"),
        ((200, ""), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, "[" * 100_000), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, ["CANARY"]), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, {}), "sent an answer without access_token"),
        (
            (200, {"access_token": None, "id_token": "CANARY"}),
            "sent an answer without access_token",
        ),
        ((200, {"access_token": ["CANARY"]}), "sent an answer without access_token"),
        ((404, "<html>CANARY"), "failed: HTTP 404"),
        ((503, {"detail": "CANARY"}), "failed: HTTP 503"),
        ((500, {"access_token": NEW}), "failed: HTTP 500"),
    ],
)
def test_answers_that_are_no_token(generator_for, endpoint, error_of, answer, text):
    generator = generator_for(endpoint(answer))
    error = error_of(generator.getToken)
    assert str(error).startswith(f"The token endpoint localhost {text}")
    assert generator.accessToken == ""


def test_a_token_with_a_line_break_is_refused(generator_for, endpoint, error_of):
    generator = generator_for(endpoint({"access_token": "CANARY\r\nQUIT"}))
    assert "control character" in str(error_of(generator.getToken))
    assert generator.accessToken == ""


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": "invalid_grant"}, "invalid_grant"),
        (
            {
                "error": "invalid_grant",
                "error_description": "Token has been expired or revoked.",
                "error_uri": "https://example.com/why",
            },
            "invalid_grant: Token has been expired or revoked. (https://example.com/why)",
        ),
        (
            {"error": "invalid_client", "error_description": "AADSTS1: no\r\nTrace: 1\x1b[2J\x9b"},
            "invalid_client: AADSTS1: no Trace: 1 [2J",
        ),
        ({"error": {"code": 403, "message": "API off", "status": "DENIED"}}, "API off"),
        ({"error": {"code": 403, "status": "DENIED"}}, "DENIED"),
        ({"error": {"code": 403}}, "an error without a message"),
        ({"error": 7, "error_description": ["x"]}, "7: ['x']"),
        ({"error": "x" * 10_000}, "x" * 500 + "..."),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 302])
def test_an_error_document(generator_for, endpoint, error_of, answer, text, status):
    error = error_of(generator_for(endpoint((status, answer))).generateToken)
    assert str(error) == f"The token endpoint localhost refused: {text}"


def test_an_error_document_that_repeats_our_secrets(generator_for, endpoint, error_of):
    parameter, header = "CANARY-param", "Bearer CANARY-of-header"
    secrets = [*SECRETS.values(), OLD, parameter, header, header.split()[1]]
    echo = " ".join(secrets + [quote_plus(secret) for secret in secrets])
    asked = endpoint((400, {"error": "bad", "error_description": echo + " scope one", "a": "b"}))
    generator = generator_for(
        asked,
        accessToken=OLD,
        customHeaders={"X-Key": header},
        customParams={"client_assertion": parameter, "scope": "scope one", "tiny": "bad"},
    )
    error = error_of(generator.generateToken)
    assert str(error).count("/* secret */") == 12
    assert str(error).startswith("The token endpoint localhost refused: bad: /* secret */")
    assert str(error).endswith(" scope one")


def test_a_secret_that_begins_with_another_one(generator_for, endpoint, error_of):
    asked = endpoint({"error": "no CANARY-and-more"})
    generator = generator_for(asked, clientSecret="CANARY", refreshToken="CANARY-and-more")
    assert str(error_of(generator.getToken)).endswith(" refused: no /* secret */")


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://elsewhere.example/token?x=CANARY", " to elsewhere.example"),
        ("https://who:CANARY@elsewhere.example:8443/", " to elsewhere.example"),
        ("/elsewhere/CANARY", ""),
        ("", ""),
        ("https://[CANARY", ""),
        ("https://CANARY\x1b[2J/", ""),
    ],
)
@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_is_not_followed(generator_for, endpoint, error_of, status, location, where):
    asked = endpoint((status, "", {"Location": location}))
    error = error_of(generator_for(asked).getToken)
    text = f"redirects{where}, which is not followed; check option 'accessUrl' (HTTP {status})"
    assert str(error) == f"The token endpoint localhost {text}"
    assert len(asked.requests) == 1


def test_a_redirect_to_this_very_endpoint_is_not_followed(generator_for, endpoint, error_of):
    asked = endpoint(lambda _: (307, "", {"Location": asked.url}))
    assert "redirects to localhost" in str(error_of(generator_for(asked).getToken))
    assert len(asked.requests) == 1


@pytest.mark.parametrize("status", [200, 302])
def test_an_answer_without_end(generator_for, endpoint, error_of, status):
    def flood(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", "https://elsewhere.example/")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b'"' + b"CANARY" * 10_000)
        except OSError:
            pass

    error = error_of(generator_for(endpoint(flood)).getToken)
    assert str(error).endswith("sent an answer of more than 1048576 bytes")


@pytest.mark.parametrize(
    "said", ["", "CANARY\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{CANARY"]
)
def test_an_answer_that_is_not_http(generator_for, serve, error_of, context, said):
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        while b"grant_type" not in peer.received:
            peer._more()
        peer.send(said)
        peer.close()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert str(error).startswith("The token endpoint localhost ")


# -- service accounts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "more", "scope", "lifetime"),
    [
        ("service", str, {}, "https://mail.google.com/", 300),
        ("serviceClient", str.encode, {"scope": "s", "serviceRequestTimeout": 60}, "s", 60),
        ("service_client", str, {"serviceRequestTimeout": 0}, "https://mail.google.com/", 300),
        ("service", str, {"serviceRequestTimeout": 9999}, "https://mail.google.com/", 3600),
    ],
)
def test_a_service_account_signs_for_its_token(
    generator_for, endpoint, outcome_of, service_key, name, kind, more, scope, lifetime
):
    asked = endpoint(ISSUED)
    options = {name: "bot@example.com", "privateKey": kind(pem(service_key)), **more}
    assert outcome_of(generator_for(asked, **options).getToken)[2] == NEW

    form = asked.requests[0].form
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.get_unverified_header(form["assertion"])["alg"] == "RS256"
    claims = jwt.decode(
        form["assertion"], service_key.public_key(), algorithms=["RS256"], audience=asked.url
    )
    assert claims["exp"] - claims["iat"] == lifetime
    assert (claims["iss"], claims["sub"], claims["scope"]) == ("bot@example.com", USER, scope)


def test_an_assertion_that_is_repeated_is_masked(generator_for, endpoint, error_of, service_key):
    def repeat(_: Any) -> Any:
        sent = asked.requests[0].form["assertion"]
        return 400, {"error": "invalid_grant", "error_description": f"bad JWT: {sent}."}

    asked = endpoint(repeat)
    generator = generator_for(asked, service="bot@example.com", privateKey=pem(service_key))
    error = error_of(generator.getToken)
    assert str(error).endswith("refused: invalid_grant: bad JWT: /* secret */.")


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["broken", "elliptic"],
)
def test_a_key_that_cannot_sign(generator_for, error_of, key):
    error = error_of(generator_for(service="bot@example.com", privateKey=key).getToken)
    assert str(error).startswith("option 'privateKey' cannot sign")


def test_without_pyjwt_there_are_no_service_accounts(
    generator_for, error_of, monkeypatch, service_key
):
    monkeypatch.setitem(sys.modules, "jwt", None)
    generator = generator_for(service="bot@example.com", privateKey=pem(service_key))
    assert "pip install '.[oauth2]'" in str(error_of(generator.getToken))


def test_without_cryptography_there_are_none_either(
    generator_for, error_of, monkeypatch, service_key
):
    def encode(*args: Any, **options: Any) -> str:
        raise NotImplementedError("Algorithm 'RS256' could not be found.")

    monkeypatch.setattr(jwt, "encode", encode)
    generator = generator_for(service="bot@example.com", privateKey=pem(service_key))
    assert "pip install '.[oauth2]'" in str(error_of(generator.getToken))
