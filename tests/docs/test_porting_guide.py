"""The tables of the porting guide have every name there is, on either side."""

from __future__ import annotations

import ast
import re

import pytest

from smtp_connection import CommandReply, LogEntry, SendInfo, SMTPConnection, SMTPError
from smtp_connection.auth.custom import AuthContext
from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions
from smtp_connection.options.transport import TransportOptions
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.transports import Mailer
from smtp_connection.xoauth2 import Token, XOAuth2Generator
from smtp_connection.xoauth2.options import XOAuth2Options
from tests.support.manual import ROOT, grid_rows, named_in, section


def table(title: str) -> list[tuple[str, str]]:
    """Return the rows of the tables under ``title``, a section of the porting guide."""
    return list(grid_rows(section("porting", title)))


def names(title: str, prefix: str = "") -> set[str]:
    """Return all names in the tables under ``title``: those that start with ``prefix``, without
    it, and of ``name(argument)`` only the name."""
    literals = set().union(*(named_in(f"{left} {right}") for left, right in table(title)))
    bare = {literal.partition("(")[0] for literal in literals}
    return {name.removeprefix(prefix) for name in bare if name.startswith(prefix)}


def named_by_node(title: str) -> set[str]:
    """Return the names in the left columns under ``title``."""
    return set().union(*(named_in(left) for left, _ in table(title)))


def public(cls: type) -> set[str]:
    """Return the names of methods and properties that ``cls`` itself has."""
    return {name for name in vars(cls) if not name.startswith("_")}


TITLES = [
    "The language",
    "Names of options",
    "Names of methods and events",
    "Names of attributes",
    "Arguments and results",
    "nodemailer's createTransport",
    "Error codes",
]


@pytest.mark.parametrize("title", TITLES)
def test_every_row_has_two_sides(title):
    rows = table(title)
    assert len(rows) > 5
    for left, right in rows:
        assert left
        assert right
        assert (left + right).count("``") % 2 == 0


@pytest.mark.parametrize("title", ["The language", "Names of attributes", "Error codes"])
def test_no_name_of_node_is_in_two_rows(title):
    seen = [name for left, _ in table(title) for name in named_in(left)]
    assert sorted(seen) == sorted(set(seen))


def test_every_option():
    assert set(Options.defaults) <= names("Names of options")


def test_every_tls_option():
    assert set(TLSOptions.defaults) <= names("Names of options")


def test_every_option_of_a_token_generator():
    assert set(XOAuth2Options.defaults) <= names("Names of options")
    assert "serviceClient" in names("Names of options")


# README of smtp-connection 1.3.8; its successors 2.x and nodemailer.
NODE_OPTIONS = """
    port host secure ignoreTLS requireTLS name localAddress connectionTimeout greetingTimeout
    socketTimeout debug lmtp authMethod tls socket
    logger transactionLog connection secured opportunisticTLS
    servername dnsTimeout maxResponseSize customAuth component allowInternalNetworkInterfaces
"""
NODE_METHODS = """
    connect login send reset quit close getToken generateToken updateToken buildXOAuth2Token
"""
NODE_ATTRIBUTES = """
    options version stage authenticated destroyed secure id port host name logger
    secureConnection alreadySecured servername customAuth lastServerResponse allowsAuth upgrading
"""
NODE_CODES = """
    EAUTH EENVELOPE EMESSAGE ESTREAM EPROTOCOL ETLS ETIMEDOUT ETIMEOUT ECONNECTION EREQUIRETLS
    ESOCKET EDNS EPROXY EOAUTH2 ENOAUTH ECONFIG
"""


@pytest.mark.parametrize(
    ("title", "listed"),
    [
        ("Names of options", NODE_OPTIONS),
        ("Names of attributes", NODE_ATTRIBUTES),
        ("Error codes", NODE_CODES),
    ],
)
def test_every_name_that_node_has(title, listed):
    assert set(listed.split()) <= named_by_node(title)


# README, documentation and sources of nodemailer 10.
NODEMAILERS_OPTIONS = """
    service url pool maxConnections maxMessages maxRequeues rateDelta rateLimit idleTimeout
    getSocket forceAuth streamTransport buffer newline jsonTransport skipEncoding maxRecipients
    sendmail SES direct dkim normalizeHeaderKey
"""
NODEMAILERS_METHODS = "sendMail verify close isIdle use set get getVersionString send"
NODEMAILERS_EVENTS = "idle clear error token"


def test_every_name_of_a_transport_on_either_side():
    title = "nodemailer's createTransport"
    theirs = {name.partition("(")[0] for name in named_by_node(title)}
    assert set(f"{NODEMAILERS_OPTIONS} {NODEMAILERS_METHODS}".split()) <= theirs
    assert set(NODEMAILERS_EVENTS.split()) <= theirs
    ours = set(TransportOptions.defaults) - set(Options.defaults)
    assert ours | public(Mailer) - {"plugins_of", "prepared", "limits", "hand_over", "report"} <= (
        names(title)
    )


def test_every_method_that_node_has():
    found = {name.partition("(")[0] for name in named_by_node("Names of methods and events")}
    assert set(NODE_METHODS.split()) <= found


@pytest.mark.parametrize(
    "text", ["pfx", "secureProtocol", "secureContext", "checkServerIdentity", "host"]
)
def test_every_tls_option_with_advice_of_its_own(text):
    with pytest.raises(TypeError, match="does not exist in Python"):
        TLSOptions.parse({text: "something"})
    assert text in named_by_node("Names of options")


def test_every_method():
    found = names("Names of methods and events")
    attributes = {
        name for name in public(SMTPConnection) if isinstance(vars(SMTPConnection)[name], property)
    }
    assert public(SMTPConnection) - attributes <= found
    camel_case = {name for name in public(XOAuth2Generator) if "_" not in name}
    assert len(camel_case) == 4
    assert camel_case <= found


def test_every_event():
    assert {"connect", "error", "end", "progress", "log", "token"} <= names(
        "Names of methods and events"
    )
    assert set(Token.__slots__) <= names("Names of methods and events")


def test_every_attribute(reactor):
    connection = SMTPConnection(reactor=reactor)
    plain = {name for name in vars(connection) if not name.startswith("_")}
    properties = {
        name for name in public(SMTPConnection) if isinstance(vars(SMTPConnection)[name], property)
    }
    assert {"id", "options"} < plain
    assert {"secure", "stage", "capabilities"} < properties
    assert plain | properties <= names("Names of attributes")


def test_every_key_of_auth():
    keys = {"user", "pass", "xoauth2", "oauth2", "method", "credentials", "domain", "type"}
    assert keys <= names("Arguments and results", "auth.")


def test_every_key_of_an_envelope():
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"unknown": 1})
    known = caught.value.message.rpartition("known are ")[2].split(", ")
    assert "use8BitMime" in known
    assert set(known) <= names("Arguments and results", "envelope.")


def test_every_key_of_dsn():
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"to": "b@x.org", "dsn": {"unknown": 1}})
    known = caught.value.message.rpartition("known are ")[2].split(", ")
    assert "envid" in known
    assert set(known) <= names("Arguments and results")


@pytest.mark.parametrize(
    ("prefix", "fields"),
    [
        ("info.", SendInfo._keys),
        ("entry.", LogEntry.__slots__),
        ("err.", [name for name in vars(SMTPError("text")) if not name.startswith("_")]),
        ("", CommandReply.__slots__),
    ],
    ids=["info", "log entry", "error", "reply"],
)
def test_every_value_of_a_result(prefix, fields):
    assert len(fields) > 1
    assert set(fields) <= names("Arguments and results", prefix)


def test_everything_that_a_handler_has():
    in_code = set(re.findall(r"self\.([a-z]\w+) =", _source_of(AuthContext)))
    assert "maxAllowedSize" in in_code
    camel_case = {name for name in public(AuthContext) if "_" not in name}
    assert in_code | camel_case <= names("Arguments and results")


def _source_of(cls: type) -> str:
    tree = ast.parse((ROOT / "smtp_connection" / "auth" / "custom.py").read_text(encoding="utf-8"))
    (found,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    return ast.unparse(found)


# The table of the contract.
CODES = """
    EAUTH EENVELOPE EMESSAGE ESTREAM EPROTOCOL ETLS ETIMEDOUT ECONNECTION EREQUIRETLS
    ENOTFOUND EAI_AGAIN ECONNREFUSED ECONNRESET EHOSTUNREACH EPIPE
"""


def codes_in_the_sources() -> set[str]:
    """Return every string in the sources that is an error code."""
    found = set()
    for path in (ROOT / "smtp_connection").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch("E[A-Z][A-Z0-9_]+", str(node.value)):
                found.add(node.value)
    return found - {"EHLO", "EXTERNAL"}


def test_every_error_code():
    found = codes_in_the_sources()
    assert {"EAUTH", "EREQUIRETLS", "EAI_FAIL"} < found
    assert set(CODES.split()) | found <= names("Error codes")


@pytest.mark.parametrize(
    "literal",
    [
        "new SMTPConnection(options)",
        "require('xoauth2').createXOAuth2Generator",
        "Buffer",
        "Readable",
        "net.Socket",
        "setImmediate(callback)",
    ],
)
def test_what_every_program_has(literal):
    assert literal in named_by_node("The language")
