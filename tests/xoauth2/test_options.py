"""The options of a generator."""

from __future__ import annotations

import traceback
from functools import partial

import pytest

from smtp_connection.xoauth2 import (
    XOAuth2Generator,
    create_xoauth2_generator,
    createXOAuth2Generator,
)

from .samples import OLD, SECRETS, USER


def test_the_names_of_options_are_matched_as_everywhere():
    generator = createXOAuth2Generator({"USER": USER, "access_token": OLD}, request_timeout=7)
    assert isinstance(generator, XOAuth2Generator)
    assert (generator.options.user, generator.options.requestTimeout) == (USER, 7)
    assert generator.options.accessUrl == "https://oauth2.googleapis.com/token"
    assert createXOAuth2Generator(requestTimeout=0, accessUrl="", scope="").options.scope
    with pytest.raises(TypeError, match="unknown option 'refreshTokn'; did you mean 'refreshTok"):
        createXOAuth2Generator(refreshTokn="CANARY")
    with pytest.raises(TypeError, match="'service' and 'serviceClient' are one option"):
        createXOAuth2Generator(service="a", serviceClient="b")
    with pytest.raises(TypeError, match="options are a dict; got str"):
        createXOAuth2Generator("CANARY")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"user": 7}, "option 'user' takes a string without control characters; got 7"),
        ({"user": "a\nb"}, "'user' takes a string without control characters; got 'a\\nb'"),
        ({"clientSecret": 7}, "takes a string without control characters; got int"),
        ({"refreshToken": "CANARY\n"}, "takes a string without control characters; got str"),
        ({"refreshToken": b"CANARY"}, "takes a string without control characters; got bytes"),
        ({"accessToken": b"CANARY"}, "option 'accessToken' takes a string; got bytes"),
        ({"accessUrl": 7}, "option 'accessUrl' takes a string without"),
        ({"accessUrl": "CANARY"}, "takes an https:// URL (or http:// to this very machine)"),
        ({"accessUrl": "http://example.com/CANARY"}, "takes an https:// URL"),
        ({"accessUrl": "http://192.0.2.1/CANARY"}, "takes an https:// URL"),
        ({"accessUrl": "https://example.com:CANARY/"}, "takes an https:// URL"),
        ({"accessUrl": "https://[CANARY/"}, "takes an https:// URL"),
        ({"timeout": "60"}, "option 'timeout' takes a number, 0 or more; got '60'"),
        ({"timeout": -1}, "option 'timeout' takes a number, 0 or more; got -1"),
        ({"timeout": True}, "option 'timeout' takes a number, 0 or more; got True"),
        ({"expires": float("nan")}, "option 'expires' takes a number, 0 or more; got nan"),
        ({"requestTimeout": 10**400}, "option 'requestTimeout' takes a number, 0 or more"),
        ({"customHeaders": "CANARY"}, "takes a dict of HTTP headers: printable ASCII, or numbers"),
        (
            {"customHeaders": {"X": "CANARY\r\nY: 1"}},
            "printable ASCII, or numbers; got str for 'X'",
        ),
        ({"customHeaders": {"X:": "CANARY"}}, "printable ASCII, or numbers; got str for 'X:'"),
        ({"customHeaders": {"X": "CANARY\xe9"}}, "printable ASCII, or numbers; got str for 'X'"),
        ({"customHeaders": {"X": " CANARY"}}, "printable ASCII, or numbers; got str for 'X'"),
        ({"customParams": {"x": b"CANARY"}}, "a dict of strings or numbers; got bytes for 'x'"),
        ({"customParams": {"x": True}}, "a dict of strings or numbers; got bool for 'x'"),
        ({"customParams": {7: "CANARY"}}, "a dict of strings or numbers; got str for 7"),
        ({"customParams": {"x": "CANARY\ud800"}}, "dict of strings or numbers; got str for 'x'"),
        ({"privateKey": "CANARY"}, "takes a private key in PEM, as text, with its BEGIN line"),
        ({"privateKey": b"-----BEGIN CANARY\xff"}, "takes a private key in PEM, as text"),
        ({"privateKey": 7}, "takes a private key in PEM, as text, with its BEGIN line; got int"),
        ({"service": "bot", "user": USER}, "'service' needs the options 'privateKey' and 'user'"),
        ({"provisionCallback": "CANARY"}, "option 'provisionCallback' takes a callable; got str"),
        ({"provisionCallback": lambda *, cb: None}, "needs the keyword argument 'cb'"),
        ({"tls": {"rejectUnauthorised": 1}}, "unknown tls option 'rejectUnauthorised'"),
    ],
)
def test_options_that_are_wrong(options, problem):
    with pytest.raises((TypeError, ValueError)) as caught:
        create_xoauth2_generator(options)
    assert problem in str(caught.value)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/token",
        "http://localhost:8080/",
        "http://127.0.0.2/",
        "http://[::1]:80/",
    ],
)
def test_urls_that_may_be_asked(url):
    assert create_xoauth2_generator(accessUrl=url).options.accessUrl == url


def test_no_repr_shows_a_secret(service_key):
    options = {
        **SECRETS,
        "user": USER,
        "accessToken": OLD,
        "customHeaders": {"X": "CANARY"},
        "customParams": {"x": "CANARY"},
        "accessUrl": "https://who:CANARY@example.com/CANARY",
        "privateKey": "-----BEGIN CANARY",
        "service": "bot",
        "provisionCallback": partial(print, "CANARY"),
        "tls": {"passphrase": "CANARY"},
    }
    given = {**options}
    generator = create_xoauth2_generator(options)
    assert options == given
    assert USER in repr(generator.options)
    assert "CANARY" not in repr(generator) + repr(generator.options) + str(generator.options)
