"""What access tokens are asked for with, and the tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from smtp_connection.xoauth2 import XOAuth2Generator

from .peers import READERS, token_request
from .values import Put, Value, hidden
from .world import World


def generator(world: World, **options: Any) -> XOAuth2Generator:
    return XOAuth2Generator({"user": "me", **options}, reactor=world.reactor)


def bearer(world: World, generator: Any) -> dict[str, str]:
    return READERS["XOAUTH2"](world.login({"xoauth2": generator, "method": "XOAUTH2"}))


def updated(world: World, text: str) -> str:
    made = generator(world)
    made.updateToken(text)
    return bearer(world, made)["token"]


def provided(world: World, text: str) -> str:
    made = generator(world, provisionCallback=lambda user, renew, give: give(None, text))
    return bearer(world, made)["token"]


def issued(world: World, text: str) -> str:
    answer = json.dumps({"access_token": text})
    heard = token_request(world.monkeypatch, {"refreshToken": "x"}, answer)
    return updated(world, heard["token"])


def finished(world: World, text: str) -> str:
    class Generator:
        def getToken(self, callback: Callable[..., None]) -> None:
            callback(None, text)

        generateToken = getToken

    (line,) = world.login({"xoauth2": Generator(), "method": "XOAUTH2"})
    return line.removeprefix("AUTH XOAUTH2 ")


def in_form(name: str, field: str) -> Put:
    def put(world: World, text: str) -> str:
        options = {"clientId": "me", "clientSecret": "geheim", "refreshToken": "old", name: text}
        form = token_request(world.monkeypatch, options)["form"]
        assert sorted(form) == ["client_id", "client_secret", "grant_type", "refresh_token"]
        return str(form[field])

    return put


def extra(option: str, where: str, *, name: bool) -> Put:
    """A name, or the value, that ``option`` adds to the form or the headers of the request."""

    def put(world: World, text: str) -> str:
        usual = token_request(world.monkeypatch, {"refreshToken": "old"})
        given = {text: "x"} if name else {"X-Own": text}
        heard = token_request(world.monkeypatch, {"refreshToken": "old", option: given})
        for which in {"headers", "form"} - {where}:
            usual[which].pop("Content-Length", None)
            assert usual[which].items() <= heard[which].items()
        changed = heard[where].items() - usual[where].items()
        ((key, value),) = ((key, value) for key, value in changed if key != "Content-Length")
        return str(key if name else value)

    return put


def endpoint(world: World, text: str) -> str:
    heard = token_request(world.monkeypatch, {"refreshToken": "old", "accessUrl": text})
    return f"http://{heard['headers']['Host']}{heard['first'].split(' ')[1]}"


@cache
def key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def claim(name: str, field: str) -> Put:
    def put(world: World, text: str) -> str:
        options = {"service": "bot", "user": "me", "privateKey": key(), name: text}
        if name == "serviceClient":
            del options["service"]
        form = token_request(world.monkeypatch, options)["form"]
        return str(jwt.decode(form["assertion"], options={"verify_signature": False})[field])

    return put


HEADERS, FORM, TOKEN = "'customHeaders'", "'customParams'", "access token"

VALUES = [
    Value(
        "token.user",
        "me",
        lambda w, t: bearer(w, generator(w, user=t, accessToken="t"))["user"],
        "'user'",
    ),
    hidden(
        "token.accessToken",
        "t",
        lambda w, t: bearer(w, generator(w, accessToken=t))["token"],
        TOKEN,
    ),
    hidden("token.updateToken", "t0k3n", updated, TOKEN),
    hidden("token.provisionCallback", "t0k3n", provided, TOKEN),
    hidden("token.accessUrl (answer)", "t0k3n", issued, TOKEN),
    hidden("token.getToken", "YWJj", finished, "generator"),
    Value("token.clientId", "me", in_form("clientId", "client_id"), "'clientId'"),
    hidden("token.clientSecret", "pw", in_form("clientSecret", "client_secret"), "'clientSecret'"),
    hidden("token.refreshToken", "old", in_form("refreshToken", "refresh_token"), "'refreshToken'"),
    hidden("token.accessUrl", "http://localhost/token", endpoint, "'accessUrl'"),
    hidden("token.customParams", "x", extra("customParams", "form", name=False), FORM),
    Value("token.customParams (name)", "x", extra("customParams", "form", name=True), FORM),
    hidden("token.customHeaders", "x", extra("customHeaders", "headers", name=False), HEADERS),
    Value("token.customHeaders (name)", "X", extra("customHeaders", "headers", name=True), HEADERS),
    Value("token.service", "bot", claim("service", "iss"), "'service'"),
    Value("token.serviceClient", "bot", claim("serviceClient", "iss"), "'service'"),
    Value("token.scope", "mail", claim("scope", "scope"), "'scope'"),
    Value("token.user (of a service)", "me", claim("user", "sub"), "'user'"),
]
