"""Options: Node's names and defaults, checked when the connection is made."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from functools import partial
from types import SimpleNamespace

import pytest

from smtp_connection.options import foreign
from smtp_connection.options import smtp as options_module
from smtp_connection.options.command_timeouts import CommandTimeouts
from smtp_connection.options.names import folded
from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions
from smtp_connection.options.transport import PoolOptions, TransportOptions

DEFAULTS = {
    "host": "localhost",
    "port": 25,
    "secure": False,
    "ignoreTLS": False,
    "requireTLS": False,
    "opportunisticTLS": False,
    "name": "client.example.com",
    "localAddress": None,
    "connectionTimeout": 120_000,
    "greetingTimeout": 30_000,
    "socketTimeout": 600_000,
    "commandTimeouts": CommandTimeouts(),
    "sendTimeout": 0,
    "debug": False,
    "logger": None,
    "transactionLog": False,
    "lmtp": False,
    "auth": None,
    "authMethod": None,
    "ehloAfterAuth": False,
    "tls": TLSOptions(),
    "servername": "localhost",
    "socket": None,
    "connection": None,
    "secured": False,
    "pipelineMessages": True,
    "maxResponseSize": 1024 * 1024,
    "socketCloseTimeout": 5_000,
    "dnsTimeout": 30_000,
    "customAuth": {},
    "proxy": None,
    "disableFileAccess": False,
    "disableUrlAccess": False,
    "attachDataUrls": False,
    "dkim": None,
    "beforeCommit": None,
}

FLAGS = ["secure", "ignoreTLS", "requireTLS", "opportunisticTLS", "debug", "transactionLog"]
FLAGS += ["lmtp", "ehloAfterAuth", "pipelineMessages"]
TIMEOUTS = ["connectionTimeout", "greetingTimeout", "socketTimeout", "dnsTimeout"]
TEXTS = ["host", "name", "servername", "authMethod"]

A_DURATION = "a number of milliseconds, 0 or more"
A_SIZE = "a number of bytes, 0 or more"
A_PORT = "a number or a numeric string"


@pytest.fixture(autouse=True)
def own_name(monkeypatch):
    """Set the name of this machine: ``own_name('host')``."""

    def set_name(name):
        monkeypatch.setattr(options_module, "own_name", lambda: name)

    set_name("client.example.com")
    return set_name


def parse(given=None, **more):
    return Options.parse(given, more)


def error(kind, given=None, **more):
    """Return the text of the error that the options lead to."""
    with pytest.raises(kind) as caught:
        parse(given, **more)
    return str(caught.value)


# -- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, {}, dict.fromkeys(DEFAULTS)])
def test_the_defaults(given):
    assert dict(parse(given)) == DEFAULTS


def test_they_are_read_as_attributes_and_as_a_dict():
    options = parse(port=587)
    assert options.port == options["port"] == options.get("port") == 587
    assert "port" in options
    assert list(options) == list(options.keys()) == list(DEFAULTS)
    assert "prot" not in options
    assert options.get("prot", "default") == "default"
    with pytest.raises(KeyError):
        options["prot"]
    with pytest.raises(AttributeError):
        options.port = 25


@pytest.mark.parametrize(
    "name", ["ignoreTLS", "ignore_tls", "ignoretls", "IGNORE_TLS", "ignoreTls", "IgnoreTLS"]
)
def test_case_and_underscores_do_not_count(name):
    for options in (parse({name: True}), parse(**{name: True})):
        assert options.ignoreTLS is True


@pytest.mark.parametrize("name", DEFAULTS)
def test_each_option_has_a_python_spelling(name):
    python_name = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    assert dict(parse({python_name: None})) == DEFAULTS


def test_keywords_win_in_any_spelling():
    options = parse({"ignoreTLS": True, "port": 25}, ignore_tls=False, port=587)
    assert (options.ignoreTLS, options.port) == (False, 587)


def test_the_caller_s_dict_is_not_changed():
    given = {"host": " mx.example.com ", "require_tls": True, "ignoreTLS": True, "tls": {}}
    before = dict(given)
    parse(given, port="25")
    assert given == before


def test_a_misspelt_option_is_an_error():
    assert error(TypeError, requireTSL=True) == (
        "unknown option 'requireTSL'; did you mean 'requireTLS'?"
    )
    assert error(TypeError, frobnicate=True).startswith(
        "unknown option 'frobnicate'; known are attachDataUrls, auth, authMethod, "
    )
    assert error(TypeError, {"ignoreTLS": True, "ignore_tls": True}) == (
        "option 'ignoreTLS' is given twice, in two spellings"
    )


@pytest.mark.parametrize("given", [["host"], 25, True])
def test_options_are_a_dict(given):
    assert error(TypeError, given) == f"options are a dict; got {type(given).__name__}"


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("value", [None, False, 0, 0.0, ""], ids=repr)
def test_what_is_false_in_javascript_is_not_given(name, value):
    meaningful = {"port": [0], "socketCloseTimeout": [0, 0.0], "pipelineMessages": [False]}
    if any(value == each and type(value) is type(each) for each in meaningful.get(name, [])):
        assert parse({name: value})[name] == value
    else:
        assert dict(parse({name: value})) == DEFAULTS


def test_what_is_not_given_leaves_the_choice_to_the_port():
    assert parse(port=465, secure=0).secure is True
    assert parse(port=465, secure=False).secure is False


@pytest.mark.parametrize("name", ["ca", "cert", "key", "minVersion", "ciphers", "servername"])
@pytest.mark.parametrize("value", ["", 0, False])
def test_an_empty_tls_option_is_an_error(name, value):
    """An empty ``ca``, say, must not stand for everybody whom the system trusts."""
    assert f"tls option '{name}' takes" in error((TypeError, ValueError), tls={name: value})


def test_nor_is_one_that_would_turn_verification_off_in_no_other_way():
    assert "takes True or False; got 0" in error(TypeError, tls={"rejectUnauthorized": 0})


# -- names from elsewhere --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("service", "createTransport({'service': 'Gmail', ...}), or to SMTPPool"),
        ("url", "SMTPConnection('smtps://...')"),
        ("maxConnections", "it goes to SMTPPool, or to createTransport() with 'pool'"),
        ("pool", "createTransport({'pool': True, ...})"),
        ("streamTransport", "it goes to createTransport()"),
        ("sendmail", "the server at 'host'"),
        ("hostname", "use 'host'"),
        ("username", "use 'auth', as in auth: {'user': ..., 'pass': ...}"),
        ("user", "use 'auth'"),
        ("password", "use 'auth'"),
        ("xoauth2", "put it into 'auth'"),
        ("timeout", "'connectionTimeout', 'greetingTimeout' and 'socketTimeout', in milliseconds"),
        ("secureConnection", "use 'secure'"),
        ("secure_connection", "use 'secure'"),
        ("use_tls", "use 'secure'"),
        ("ssl", "use 'secure'"),
        ("start_tls", "use 'requireTLS'"),
        ("local_hostname", "use 'name'"),
        ("source_address", "use 'localAddress'"),
        ("validate_certs", "as in tls: {'rejectUnauthorized': ...}"),
        ("rejectUnauthorized", "as in tls: {'rejectUnauthorized': ...}"),
        ("ca", "as in tls: {'ca': ...}"),
        ("secureProtocol", "as in tls: {'secureProtocol': ...}"),
        ("context", "give the ssl.SSLContext as 'tls'"),
        ("from", "send()"),
        ("debuglevel", "use 'debug'"),
    ],
)
def test_a_name_from_elsewhere_leads_to_the_one_here(name, advice):
    text = error(TypeError, {name: "geheim"})
    assert text.startswith(f"unknown option {name!r}: ")
    assert advice in text
    assert "did you mean" not in text
    assert "geheim" not in text


def test_what_goes_elsewhere_is_taken_there():
    for table, name in ((TransportOptions, "createTransport"), (PoolOptions, "SMTPPool")):
        there = {option for option, text in foreign._ADVICE.items() if name in text}
        assert len(there) > 10
        assert there <= set(table.defaults)


def test_advice_names_options_that_exist():
    advice = {name: text for name, text in foreign._ADVICE.items() if text.startswith("use '")}
    assert len(advice) > 20
    for name, text in advice.items():
        assert text.split("'")[1] in DEFAULTS, name
    assert not {folded(name) for name in foreign._ADVICE} & {folded(name) for name in DEFAULTS}


# -- who logs in -----------------------------------------------------------------------------------


def test_credentials_are_kept_as_they_were():
    given = {"user": "me", "pass": "geheim"}
    options = parse(auth=given)
    given["pass"] = "another"
    assert options.auth == {"user": "me", "pass": "geheim"}
    assert "geheim" not in repr(options)
    assert parse(auth={}).auth == {}


@pytest.mark.parametrize("value", ["geheim", ["me", "geheim"], 5])
def test_credentials_are_a_dict_and_shown_to_nobody(value):
    assert error(TypeError, auth=value) == (
        f"option 'auth' takes a dict with 'user' and 'pass'; got {type(value).__name__}"
    )


# -- one by one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_true_or_false(name):
    assert parse({name: True})[name] is True
    assert parse({name: False})[name] is False
    for value in ("false", "no", 1, []):
        assert (
            error(TypeError, {name: value}) == f"option {name!r} takes True or False; got {value!r}"
        )


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name):
    expected = "PLAIN" if name == "authMethod" else "plain"
    assert parse({name: " plain\t"[:-1]})[name] == expected
    assert parse({name: " "})[name] == DEFAULTS[name]
    for value in (5, b"plain", {"plain"}):
        assert error(TypeError, {name: value}) == f"option {name!r} takes a string; got {value!r}"
    for char in "\x00\t\x1b\x7f\x85\u2028\ud800":
        value = f"pl{char}ain"
        assert error(ValueError, {name: value}) == (
            f"option {name!r} takes a string without {char!r}; got {value!r}"
        )


def test_several_mechanisms():
    """These and no others, in this order."""
    assert parse({"authMethod": [" scram-sha-256 ", "Plain"]})["authMethod"] == (
        "SCRAM-SHA-256",
        "PLAIN",
    )
    assert parse({"authMethod": ("login",)})["authMethod"] == ("LOGIN",)
    assert parse({"authMethod": []})["authMethod"] is None
    for value in (["PLAIN", 5], ["PLAIN", " "], [b"PLAIN"], ["PLAIN", None]):
        assert error(TypeError, {"authMethod": value}) == (
            f"option 'authMethod' takes the name of a mechanism, or a list of names; got {value!r}"
        )
    value = ["PLAIN\r\nQUIT"]
    assert "without '\\r'" in error(ValueError, {"authMethod": value})


@pytest.mark.parametrize("name", ["host", "servername", "authMethod"])
def test_line_breaks_are_refused(name):
    """They would begin another command."""
    assert "without '\\r'" in error(ValueError, {name: "mx.example.com\r\nQUIT"})


@pytest.mark.parametrize(
    "host",
    [
        "mx.example.com",
        "mx.example.com.",
        "192.0.2.1",
        "::1",
        "2001:db8::25",
        "1::",
        "fe80::1%eth0",
    ],
)
def test_a_host_is_a_name_or_an_address(host):
    assert parse(host=host).host == host


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("smtp://mx.example.com", "; give host 'mx.example.com'"),
        ("mx.example.com:587", "; give host 'mx.example.com' and port 587"),
        ("mx.example.com:", "; give host 'mx.example.com'"),
        ("mx.example.com/", "; give host 'mx.example.com'"),
        ("smtps://mx.example.com:465/", "; give host 'mx.example.com' and port 465"),
        ("[2001:db8::1]:25", "; give host '2001:db8::1' and port 25"),
        ("[::1]", "; give host '::1'"),
        ("smtp://me:geheim@mx.example.com", "; give host 'mx.example.com'"),
        ("/run/lmtp", ""),
    ],
)
def test_a_host_is_not_a_url(given, instead):
    takes = "takes a name or an IP address, without a scheme, a port, a path or brackets"
    assert error(ValueError, host=given) == f"option 'host' {takes}{instead}"


@pytest.mark.parametrize("value", [587, "587", " 587 ", "0587"])
def test_the_port(value):
    assert parse(port=value).port == 587


@pytest.mark.parametrize("value", [0, -1, 65536, 10**6, "0", "65536"])
def test_a_port_that_does_not_exist_is_reported_when_connecting(value):
    assert parse(port=value).port == int(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("abc", ValueError),
        ("5 87", ValueError),
        ("+587", ValueError),
        ("0x1", ValueError),
        ("\u0665", ValueError),
        ("1" * 5000, ValueError),
        (587.0, TypeError),
        (True, TypeError),
        (b"587", TypeError),
    ],
)
def test_what_is_no_port(value, kind):
    assert error(kind, port=value) == f"option 'port' takes {A_PORT}; got {value!r}"


@pytest.mark.parametrize("name", TIMEOUTS)
def test_time_outs(name):
    assert parse({name: 1500})[name] == 1500
    assert parse({name: 0.5})[name] == 0.5
    assert parse({name: 0})[name] == DEFAULTS[name], "0 stands for the default"


@pytest.mark.parametrize("name", [*TIMEOUTS, "socketCloseTimeout"])
def test_what_is_no_duration(name):
    for value in ("1500", True, [1500]):
        assert (
            error(TypeError, {name: value}) == f"option {name!r} takes {A_DURATION}; got {value!r}"
        )
    for value in (-1, -0.1, float("inf"), float("nan"), 10**400):
        assert (
            error(ValueError, {name: value}) == f"option {name!r} takes {A_DURATION}; got {value!r}"
        )
    assert parse({name: sys.maxsize})[name] == sys.maxsize


def test_not_to_wait_for_the_peer_s_end():
    assert parse(socketCloseTimeout=0).socketCloseTimeout == 0


def test_the_size_of_replies():
    assert parse(maxResponseSize=100).maxResponseSize == 100
    assert parse(maxResponseSize=0).maxResponseSize == DEFAULTS["maxResponseSize"]
    for value in ("100", 1.5, True):
        assert error(TypeError, maxResponseSize=value) == (
            f"option 'maxResponseSize' takes {A_SIZE}; got {value!r}"
        )
    assert error(ValueError, maxResponseSize=-1) == (
        f"option 'maxResponseSize' takes {A_SIZE}; got -1"
    )


@pytest.mark.parametrize("value", ["127.0.0.1", "::1", "fe80::1%eth0"])
def test_the_local_address(value):
    assert parse(localAddress=value).localAddress == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [("eth0", ValueError), ("127.0.0.1:25", ValueError), (5, TypeError)],
)
def test_what_is_no_local_address(value, kind):
    assert error(kind, localAddress=value) == (
        f"option 'localAddress' takes an IP address; got {value!r}"
    )


# -- secure and port, and TLS ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "secure", "port"),
    [
        ({}, False, 25),
        ({"secure": True}, True, 465),
        ({"secure": False}, False, 25),
        ({"port": 465}, True, 465),
        ({"port": "465"}, True, 465),
        ({"port": 465, "secure": False}, False, 465),
        ({"port": 465, "secure": None}, True, 465),
        ({"port": 587}, False, 587),
        ({"port": 587, "secure": True}, True, 587),
    ],
)
def test_secure_and_port_go_together(given, secure, port):
    options = parse(given)
    assert (options.secure, options.port) == (secure, port)


def test_to_require_tls_wins():
    """Contradictory options must not quietly end in clear text."""
    options = parse(requireTLS=True, ignoreTLS=True, opportunisticTLS=True)
    assert (options.requireTLS, options.ignoreTLS, options.opportunisticTLS) == (True, False, False)
    options = parse(requireTLS=False, ignoreTLS=True, opportunisticTLS=True)
    assert (options.requireTLS, options.ignoreTLS, options.opportunisticTLS) == (False, True, True)


@pytest.mark.parametrize(
    ("given", "servername"),
    [
        ({}, "localhost"),
        ({"host": "mx.example.com"}, "mx.example.com"),
        ({"host": "192.0.2.1"}, "192.0.2.1"),
        ({"host": "192.0.2.1", "servername": "mx.example.com"}, "mx.example.com"),
        ({"host": "a.example.com", "tls": {"servername": "b.example.com"}}, "b.example.com"),
        ({"servername": "a.example.com", "tls": {"servername": "b.example.com"}}, "b.example.com"),
    ],
)
def test_the_name_that_the_certificate_is_for(given, servername):
    assert parse(given).servername == servername


def test_tls_options_are_read_by_their_own_module():
    context = ssl.create_default_context()
    assert parse(tls={"reject_unauthorized": False}).tls.rejectUnauthorized is False
    assert parse(tls=context).tls.context is context
    assert "secureProtocol" in error(TypeError, tls={"secureProtocol": "TLSv1_method"})


# -- the client's name ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("client.example.com", "client.example.com"),
        ("client", "[127.0.0.1]"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("", "[127.0.0.1]"),
        ("odd.name\r\nQUIT", "[127.0.0.1]"),
        ("odd name.example.com", "[127.0.0.1]"),
        ("b\xfccher.example", "[127.0.0.1]"),
        ("::ffff:192.0.2.1", "[IPv6:::ffff:192.0.2.1]"),
    ],
)
def test_the_name_is_that_of_the_machine_if_it_is_fit(own_name, machine, name):
    own_name(machine)
    assert parse().name == name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("mx.example.com", "mx.example.com"),
        ("localhost", "localhost"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("mx.example.com\r\n", "mx.example.com"),
        ("\r\nmx.\r\nexample.com", "mx.example.com"),
        ("\r\n", "client.example.com"),
        ("", "client.example.com"),
    ],
)
def test_the_name_that_is_given_loses_its_line_breaks(given, name):
    assert parse(name=given).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("me", "MX-1.example.com", "a.b", "1.example", "192.0.2.1", "_my_machine.local"),
        *("a" * 63 + ".example", "xn--bcher-kva.example", ".".join(["a" * 62] * 4)),
        *("[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]"),
    ],
)
def test_domains_and_address_literals_are_names(name):
    assert parse(name=name).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("my machine", "me SIZE=1", "a..b", ".a", "a.", "-a.example", "a-.example", "a.-", "-"),
        *("_", "a" * 64, ".".join(["a" * 63] * 4) + ".a", "a@b", "<a>", "mx.example.com:25"),
        *("2001:db8::1", "[2001:db8::1]", "[192.0.2.256]", "[mx.example.com]", "[]", "["),
        *("[IPv6:192.0.2.1]", "[IPv6:fe80::1%eth0]", "[X-OWN:1]", "[192.0.2.1", "192.0.2.1]"),
        *("b\xfcch er.example", "b\xfccher..example", "\xfc" * 80 + ".example", "\u263a \u263a"),
    ],
)
def test_what_is_no_domain_and_no_address_literal_is_no_name(name):
    assert error(ValueError, name=name) == (
        "option 'name' takes a domain, or an address literal such as [192.0.2.1] or"
        f" [IPv6:2001:db8::1]; got {name!r}"
    )


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("b\xfccher.example", "xn--bcher-kva.example"),
        ("B\xdcCHER.my_net.example", "xn--bcher-kva.my_net.example"),
        ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_labels_that_are_not_ascii_become_a_labels(monkeypatch, installed, given, name):
    if not installed:
        monkeypatch.setitem(sys.modules, "idna", None)
    assert parse(name=given).name == name


@pytest.mark.parametrize(("installed", "name"), [(True, "xn--strae-oqa"), (False, "strasse")])
def test_the_package_idna_knows_idna_2008(monkeypatch, installed, name):
    if installed:
        pytest.importorskip("idna")
    else:
        monkeypatch.setitem(sys.modules, "idna", None)
    assert parse(name="stra\xdfe").name == name


# -- objects --------------------------------------------------------------------------------------


@pytest.fixture
def sockets():
    with socket.socket() as plain, socket.socket() as other:
        tls = ssl.create_default_context().wrap_socket(
            socket.socket(), server_hostname="mx.example.com", do_handshake_on_connect=False
        )
        with tls:
            yield plain, other, tls


@pytest.mark.parametrize("name", ["socket", "connection"])
def test_a_socket_can_be_handed_over(sockets, name):
    plain, other, tls = sockets
    assert parse({name: plain})[name] is plain
    assert parse({name: tls, "secured": True})[name] is tls
    for value in ("socket", 5, plain.fileno()):
        assert error(TypeError, {name: value}) == (
            f"option {name!r} takes a socket.socket; got {value!r}"
        )
    assert error(TypeError, {name: tls}) == (
        "an ssl.SSLSocket as option 'connection' or 'socket' needs secured=True"
    )
    assert error(TypeError, {name: plain, "secured": True}) == (
        "option 'secured' takes an ssl.SSLSocket as option 'connection' or 'socket'; got socket"
    )
    assert error(ValueError, socket=plain, connection=other) == (
        "options 'socket' and 'connection' exclude each other; give one of them"
    )
    assert "exclude each other" in error(ValueError, {name: plain}, proxy="http://localhost")


def test_secured_needs_a_socket():
    assert error(TypeError, secured=True) == (
        "option 'secured' takes an ssl.SSLSocket as option 'connection' or 'socket'; got NoneType"
    )
    assert error(TypeError, secured="yes") == "option 'secured' takes True or False; got 'yes'"


def test_a_logger():
    class Silent:
        def debug(self, *args, **more):
            pass

        info = warning = debug

    assert parse(logger=True).logger is True
    assert parse(logger=False).logger is None
    logger = logging.getLogger("own")
    assert parse(logger=logger).logger is logger
    bunyan = SimpleNamespace(debug=print, info=print, warn=print, error=print)
    npmlog = SimpleNamespace(verbose=print, info=print, warn=print, error=print)
    assert parse(logger=bunyan).logger is bunyan
    assert parse(logger=npmlog).logger is npmlog
    with pytest.raises(TypeError, match="which has no warning"):
        parse(logger=SimpleNamespace(debug=print, info=print, error=print))
    silent = Silent()
    assert error(TypeError, logger=silent) == (
        "option 'logger' takes True, False or an object with debug, info, warning (or warn) and"
        f" error; got {silent!r}, which has no error()"
    )
    assert "which has no debug()" in error(TypeError, logger="stderr")


def test_mechanisms_of_the_caller_s():
    def handler(context):
        pass

    given = {"x-own": handler, " X-OTHER ": handler}
    assert parse(customAuth=given).customAuth == {"X-OWN": handler, "X-OTHER": handler}
    takes = "option 'customAuth' takes a dict of mechanism names and handlers"
    assert error(TypeError, customAuth=[handler]) == f"{takes}; got list"
    assert error(TypeError, customAuth={"X-OWN": 5}) == f"{takes}; got int for 'X-OWN'"

    async def never_awaited(context):
        pass

    for handler in (never_awaited, partial(never_awaited, "more")):
        assert error(TypeError, customAuth={"X-OWN": handler}) == (
            f"{takes} that call resolve() or reject(err) of their context, or return a"
            f" concurrent.futures.Future; got {type(handler).__name__} for 'X-OWN', an 'async def'"
            " function, which nobody would await"
        )
    for name in ("X OWN", "X-OWN\r\nQUIT", "", 5):
        assert error(ValueError, customAuth={name: handler}) == (
            f"{takes}; {name!r} is no mechanism name"
        )


def test_only_what_is_fit_to_be_shown_is_shown():
    def handler(password, context):
        pass

    options = parse(customAuth={"X-OWN": partial(handler, "geheim")}, host="mx.example.com")
    assert "host='mx.example.com'" in repr(options)
    assert "customAuth" not in repr(options)
    assert "geheim" not in repr(options)


def test_a_proxy_is_read_by_its_own_module():
    assert parse(proxy="http://proxy.example.com:3128").proxy.host == "proxy.example.com"
    assert parse(proxy="").proxy is None
    with pytest.raises((TypeError, ValueError)):
        parse(proxy="proxy.example.com")
