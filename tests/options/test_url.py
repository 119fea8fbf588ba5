"""Options in a URL: typed as the table says, and no text shows the password."""

from __future__ import annotations

import traceback

import pytest

from smtp_connection import SMTPConnection
from smtp_connection.options.smtp import Options

PASSWORD = "geheim"


def parse(url, **more):
    """Return the options that differ from the defaults."""
    options, plain = Options.parse(url, more), Options.parse({})
    return {name: value for name, value in options.items() if value != plain[name]}


def error(kind, url, **more):
    with pytest.raises(kind) as caught:
        Options.parse(url, more)
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD[:3] not in shown.replace("geheim.py", "")
    assert PASSWORD[3:] not in shown
    return str(caught.value)


def server(host, **more):
    return {"host": host, "servername": host, **more}


# -- what is taken ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("smtp://mx.example.com", server("mx.example.com")),
        ("SMTP://mx.example.com/", server("mx.example.com")),
        (" smtp://mx.example.com:587\n", server("mx.example.com", port=587)),
        ("smtp://mx.example.com:", server("mx.example.com")),
        ("smtp://mx.example.com:465", server("mx.example.com", port=465, secure=True)),
        ("smtps://mx.example.com", server("mx.example.com", port=465, secure=True)),
        ("smtps://mx.example.com:2465", server("mx.example.com", port=2465, secure=True)),
        ("lmtp://mx.example.com:24", server("mx.example.com", port=24, lmtp=True)),
        ("smtp://192.0.2.1", server("192.0.2.1")),
        ("smtp://[2001:db8::1]:587", server("2001:db8::1", port=587)),
        ("smtp://[::1]", server("::1")),
        ("smtp://[fe80::1%25eth0]:25/", server("fe80::1%eth0")),
        ("smtp://mx%2eexample.com", server("mx.example.com")),
        ("smtp://mx.example.com?requireTLS=true", server("mx.example.com", requireTLS=True)),
        (
            "smtp://mx.example.com/?require_tls=1&debug=FALSE",
            server("mx.example.com", requireTLS=True),
        ),
        ("smtp://mx.example.com/?", server("mx.example.com")),
        (
            "smtp://mx.example.com/?socketTimeout=5000&name=me.example",
            server("mx.example.com", socketTimeout=5000, name="me.example"),
        ),
        ("smtp://mx.example.com/?authMethod=plain", server("mx.example.com", authMethod="PLAIN")),
        (
            "smtp://mx.example.com/?localAddress=%3A%3A1",
            server("mx.example.com", localAddress="::1"),
        ),
        ("smtp://mx.example.com/?logger=true", server("mx.example.com", logger=True)),
        ("smtp://mx.example.com:465/?secure=false", server("mx.example.com", port=465)),
    ],
)
def test_what_a_url_says(url, options):
    assert parse(url) == options


@pytest.mark.parametrize(
    ("login", "auth"),
    [
        ("user:p%40ss", {"user": "user", "pass": "p@ss"}),
        ("user:p@ss", {"user": "user", "pass": "p@ss"}),
        ("a%40b.example:1:2", {"user": "a@b.example", "pass": "1:2"}),
        ("%C3%BC:%2F%3F%23%25+", {"user": "\xfc", "pass": "/?#%+"}),
        ("user:", {"user": "user", "pass": ""}),
        ("user", {"user": "user"}),
    ],
)
def test_user_and_password_become_auth(login, auth):
    assert parse(f"smtps://{login}@mx.example.com:465/?requireTLS=true") == server(
        "mx.example.com", port=465, secure=True, requireTLS=True, auth=auth
    )


def test_tls_options():
    options = Options.parse(
        "smtp://mx.example.com/?tls.rejectUnauthorized=false&tls.min_version=TLSv1.3"
        "&TLS.ca=%2Fetc%2Fca.pem&tls.servername=mail.example.com"
    )
    assert options.tls.rejectUnauthorized is False
    assert (options.tls.minVersion, options.tls.ca) == ("TLSv1.3", ("/etc/ca.pem",))
    assert options.servername == "mail.example.com"


def test_keywords_win():
    options = parse("smtp://me:geheim@mx.example.com:25", port=587, auth={"user": "you"})
    assert options == server("mx.example.com", port=587, auth={"user": "you"})


def test_a_connection_takes_one(reactor):
    connection = SMTPConnection(
        f"smtps://me:{PASSWORD}@mx.example.com:465/?requireTLS=true", reactor=reactor, debug=True
    )
    options = connection.options
    assert (connection.host, connection.port, options.secure) == ("mx.example.com", 465, True)
    assert (options.requireTLS, options.debug) == (True, True)
    assert options.auth == {"user": "me", "pass": PASSWORD}
    for shown in (repr(options), str(options), repr(connection), repr(vars(connection))):
        assert PASSWORD not in shown


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["mx.example.com", "mx.example.com:587", "//mx.example.com", ""])
def test_what_is_no_url(url):
    assert error(TypeError, url) == (
        "options are a dict, or a URL such as"
        " 'smtp://user:password@host:587/?requireTLS=true'; got a string that is no URL"
    )


def test_other_schemes():
    text = "a URL of options begins with smtp://, smtps:// or lmtp://; got http://"
    assert error(ValueError, f"http://me:{PASSWORD}@mx.example.com") == text


@pytest.mark.parametrize(
    ("url", "objection"),
    [
        ("smtp://", "there is no host"),
        ("smtp:///path", "there is a path"),
        ("smtp://:25", "there is no host"),
        ("smtp://mx.example.com:smtp", "a port that is no number"),
        ("smtp://mx.example.com:25:25", "a port that is no number"),
        ("smtp://[::1", "there is no host"),
        ("smtp://[192.0.2.1]", "only an IPv6 address may stand in brackets"),
        ("smtp://mx.example.com/inbox", "there is a path behind the host"),
        ("smtp://mx.example.com/#top", "there is a # in it"),
        ("smtp://me:geh%eim@mx.example.com", "write it as %25"),
        ("smtp://me:geheim%@mx.example.com", "write it as %25"),
        ("smtp://me:geh/eim@mx.example.com", "there is an @ behind the host"),
        ("smtp://me:geh?eim@mx.example.com", "there is an @ behind the host"),
        ("smtp://me:geh#eim@mx.example.com", "there is an @ behind the host"),
        ("smtp://me@example.com:geh/eim@mx.example.com", "elsewhere than before the host"),
        ("smtp://:geheim@mx.example.com", "there is no user"),
        ("smtp://@mx.example.com", "there is no user"),
        ("smtp://me:geh%FFeim@mx.example.com", "its user or password is not UTF-8"),
        ("smtp://mx.example.com?requireTLS=", "the parameter 'requireTLS' has no value"),
        ("smtp://mx.example.com?requireTLS", "the parameter 'requireTLS' has no value"),
    ],
)
def test_malformed_urls(url, objection):
    assert objection in error(ValueError, url)


@pytest.mark.parametrize(
    ("query", "kind", "text"),
    [
        ("requireTSL=true", TypeError, "unknown option 'requireTSL'; did you mean 'requireTLS'?"),
        ("pool=true", TypeError, "unknown option 'pool': it goes to createTransport()"),
        ("a.b=1", TypeError, "unknown option 'a.b'"),
        ("tls.frob=1", TypeError, "unknown tls option 'frob'"),
        ("requireTLS=yes", TypeError, "option 'requireTLS' takes True or False; got 'yes'"),
        ("socketTimeout=5s", TypeError, "option 'socketTimeout' takes a number of milli"),
        ("debug=1&debug=0", TypeError, "the parameter 'debug' of the URL is given twice"),
        ("tls.ca=a&tls.ca=b", TypeError, "the parameter 'tls.ca' of the URL is given twice"),
        ("ignore_tls=1&ignoreTLS=0", TypeError, "'ignoreTLS' is given twice, in two spellings"),
        ("host=other.example", TypeError, "option 'host' is given twice"),
        ("port=25", TypeError, "option 'port' is given twice"),
        ("secure=false", TypeError, "option 'secure' is given twice"),
        ("auth=geheim", TypeError, "option 'auth' is given twice"),
        ("tls=1", TypeError, "option 'tls' takes a dict or an ssl.SSLContext; got str"),
        ("socket=1", TypeError, "option 'socket' takes a socket.socket"),
        ("customAuth=geheim", TypeError, "option 'customAuth' takes a dict"),
        ("name=a%0D%0Ab", None, ""),
        ("authMethod=a%0Ab", ValueError, "option 'authMethod' takes a string without"),
        ("proxy=http%3A%2F%2Fme:geheim%40p:p", ValueError, "option 'proxy' takes a URL"),
        ("tls.key=%FF", ValueError, "needs 'cert'"),
    ],
)
def test_parameters_are_checked_like_options(query, kind, text):
    url = f"smtps://me:{PASSWORD}@mx.example.com:465/?{query}"
    if kind is None:
        assert Options.parse(url).name == "ab"
    else:
        assert text in error(kind, url)


def test_without_a_login_auth_is_refused_and_not_shown():
    text = error(TypeError, f"smtp://mx.example.com/?auth={PASSWORD}")
    assert text == "option 'auth' takes a dict with 'user' and 'pass'; got str"


@pytest.mark.parametrize(
    "host", ["mx%0d%0aexample.com", "mx%2Fexample.com", "%FF.example", "a%3A25"]
)
def test_a_host_is_checked_like_the_option(host):
    assert "option 'host' takes" in error(ValueError, f"smtp://me:{PASSWORD}@{host}")
