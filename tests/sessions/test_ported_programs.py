"""Programs in the way of those that use the Node module, ported line by line.

What stands in them is what such programs have: chains, Node's names of events and listeners,
loggers of other styles, options that are false, credentials among the options, JSON.
"""

from __future__ import annotations

import json

import pytest
import trustme

from smtp_connection import SMTPConnection
from tests.support.mail_server import LOGIN, Recorder, context_of, mail_server
from tests.support.tls_pairs import DAY, NOW, make_certificate, serving_made

MAIL = {"from": "a@example.com", "to": ["b@example.com", "c@example.com"]}


@pytest.fixture
def plain():
    with mail_server(auth_require_tls=False) as server:
        yield server


def test_a_checker_of_credentials(plain, reactor):
    """Credentials among the options, a chain, listeners without parameters."""
    results = []

    def check(user, password, callback):
        connection = SMTPConnection(
            {
                "host": plain.host,
                "port": plain.port,
                "secure": False,
                "auth": {"user": user, "pass": password},
            },
            reactor=reactor,
        )

        def done(err, valid):
            connection.removeAllListeners("error").on("error", lambda: None)
            connection.quit()
            callback(err, valid)

        connection.once("error", lambda err: done(err, False)).on(
            "end", lambda: results.append("end")
        ).connect(lambda: connection.login(lambda err: done(err, not err)))

    check(LOGIN["user"], LOGIN["pass"], lambda err, valid: results.append((err, valid)))
    reactor.run()
    check(LOGIN["user"], "wrong", lambda err, valid: results.append((err.code, valid)))
    reactor.run()
    assert results == [(None, True), "end", ("EAUTH", False), "end"]


def test_a_mailer_that_adds_and_removes_listeners(plain, reactor):
    """Each message has a listener of 'error' of its own while it is under way."""
    connection = SMTPConnection(host=plain.host, port=plain.port, reactor=reactor)
    connection.setMaxListeners(0).on("end", lambda: counts.append("end"))
    counts = []
    waiting = ["one", "two", "three"]

    def next_message():
        if not waiting:
            connection.quit()
            return
        text = waiting.pop(0)

        def failed(err):
            raise AssertionError(err)

        def sent(err, info):
            connection.removeListener("error", failed).off("error", failed)
            counts.append((connection.listenerCount("error"), len(info.accepted)))
            next_message()

        connection.addListener("error", failed)
        connection.send(MAIL, text, sent)

    connection.connect(next_message)
    reactor.run()
    assert counts == [(0, 2)] * 3 + ["end"]
    contents = [envelope.content for envelope in plain.mailbox.envelopes]
    assert contents == [b"one\r\n", b"two\r\n", b"three\r\n"]


def test_a_configuration_with_values_that_are_false(plain, reactor):
    """What a form or the environment leaves empty is not given."""
    config = {
        "host": plain.host,
        "port": str(plain.port),
        "secure": 0,
        "ignoreTLS": "",
        "requireTLS": None,
        "name": False,
        "localAddress": "",
        "authMethod": "",
        "auth": False,
        "tls": False,
        "logger": 0,
        "debug": 0,
        "proxy": "",
        "connectionTimeout": 0,
        "socketTimeout": None,
        "greetingTimeout": "",
    }
    before = dict(config)
    events = []
    connection = SMTPConnection(config, reactor=reactor)
    connection.on("error", events.append).on("end", lambda: events.append("end"))
    connection.connect(lambda err: connection.send(MAIL, "hi", lambda err: connection.quit()))
    reactor.run()
    assert events == ["end"]
    assert len(plain.mailbox.envelopes) == 1
    assert config == before


def test_a_service_that_logs_in_json(plain, reactor):
    """A logger in bunyan's style, and JSON of the info."""
    plain.mailbox.refused.add("c@example.com")
    lines = []

    class Log:
        def __init__(self, **fields):
            self.fields = fields

        def write(self, level, entry, message, *args):
            record = {**self.fields, **entry, "level": level, "msg": message % args}
            lines.append(json.dumps(record, default=lambda value: value.toJSON()))

        def debug(self, entry, message, *args):
            self.write(20, entry, message, *args)

        def info(self, entry, message, *args):
            self.write(30, entry, message, *args)

        def warn(self, entry, message, *args):
            self.write(40, entry, message, *args)

        def error(self, entry, message, *args):
            self.write(50, entry, message, *args)

    log = Log(name="mailer")
    connection = SMTPConnection(
        {"host": plain.host, "port": plain.port, "logger": log, "transactionLog": True},
        reactor=reactor,
    )

    def sent(err, info):
        log.info({"info": info.toJSON()}, "sent")
        connection.quit()

    connection.connect(lambda err: connection.send(MAIL, "hi", sent))
    reactor.run()

    records = [json.loads(line) for line in lines]
    assert {record["name"] for record in records} == {"mailer"}
    assert {record.get("sid", connection.id) for record in records} == {connection.id}
    said = [record["msg"] for record in records if record.get("tnx") == "client"]
    assert "MAIL FROM:<a@example.com>" in "\n".join(said)
    assert said[-1] == "QUIT"
    (info,) = (record["info"] for record in records if record["msg"] == "sent")
    assert (info["accepted"], info["rejected"]) == (["b@example.com"], ["c@example.com"])
    (refusal,) = info["rejectedErrors"]
    assert refusal == {
        "message": refusal["message"],
        "code": "EENVELOPE",
        "command": "RCPT TO",
        "response": "550 5.1.1 no such user",
        "responseCode": 550,
    }


def test_a_url_from_the_configuration(authority, reactor, tmp_path):
    """The URL of a configuration says everything, as with nodemailer."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mailbox = Recorder()
    mailbox.login = {"user": "me@example.com", "pass": "p@ss/word?#%"}
    results = []
    context = context_of(authority.issue_cert("127.0.0.1"))
    # It does not see that there is TLS, except after STARTTLS.
    with mail_server(mailbox=mailbox, tls=context, auth_require_tls=False) as server:
        connection = SMTPConnection(
            f"smtps://me%40example.com:p%40ss%2Fword%3F%23%25@127.0.0.1:{server.port}/"
            f"?tls.ca={tmp_path / 'ca.pem'}&connectionTimeout=10000&name=client.example.com",
            reactor=reactor,
        )
        connection.on("error", results.append)

        def logged_in(err):
            results.append(err)
            connection.send(MAIL, "hi", lambda err, info: connection.quit())

        connection.connect(lambda err: err or connection.login(logged_in))
        reactor.run()
    assert results == [None]
    assert mailbox.logins[0][1:] == (b"me@example.com", b"p@ss/word?#%")
    assert mailbox.sessions[0].host_name == "client.example.com"


def explain(err):
    match err.reason:
        case "DEPTH_ZERO_SELF_SIGNED_CERT" | "SELF_SIGNED_CERT_IN_CHAIN":
            return "self-signed"
        case "UNABLE_TO_VERIFY_LEAF_SIGNATURE" | "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
            return "unknown authority"
        case "CERT_HAS_EXPIRED":
            return "expired"
        case "ERR_TLS_CERT_ALTNAME_INVALID":
            return "other name"
    return json.dumps(err.toJSON())


def server_contexts(authority, tmp_path):
    return {
        "self-signed": serving_made(make_certificate(), tmp_path / "own.pem"),
        "unknown authority": context_of(trustme.CA().issue_cert("127.0.0.1")),
        "expired": context_of(
            authority.issue_cert("127.0.0.1", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
        ),
        "other name": context_of(authority.issue_cert("mail.example.com")),
    }


def test_a_monitor_of_certificates(authority, reactor, tmp_path):
    """Node's codes of TLS tell what is wrong with a certificate."""
    ca = authority.cert_pem.bytes()
    verdicts = []
    contexts = server_contexts(authority, tmp_path)
    for context in contexts.values():
        with mail_server(tls_context=context) as server:
            connection = SMTPConnection(
                {"host": server.host, "port": server.port, "requireTLS": True, "tls": {"ca": ca}},
                reactor=reactor,
            )
            connection.once("error", lambda err: verdicts.append((err.code, explain(err))))
            connection.connect()
            reactor.run()
    assert verdicts == [("ETLS", expected) for expected in contexts]
