"""``createTransport``: mails on their way through composition, plugins and a pool or a connection.

Everything happens in virtual time, against a server that the test decides about.
"""

from __future__ import annotations

import threading
from email.message import EmailMessage

import pytest

from smtp_connection import (
    AbortController,
    AbortSignal,
    SMTPConnection,
    SMTPError,
    SMTPPool,
    createTransport,
)
from smtp_connection.transports.smtp import SMTPTransport
from tests.support.helpers import garbage_of
from tests.support.site import DROP, SILENCE

MAIL = {"from": "A <a@x.org>", "to": "b@x.org", "subject": "Hi", "text": "hello"}


def deliver(site, transport, *mails, **more):
    """Send ``mails``, and return the pairs of error and info, in the order of the calls."""
    results = [None] * len(mails)

    def note(number):
        def callback(err, info):
            assert results[number] is None
            results[number] = (err, info)

        return callback

    for number, mail in enumerate(mails):
        transport.sendMail(mail, note(number), **more)
    assert results == [None] * len(mails)
    transport.close({"drain": True})
    site.run()
    return results


@pytest.fixture(params=[False, True], ids=["single", "pool"])
def pooled(request):
    return request.param


# -- sending ---------------------------------------------------------------------------------------


def test_a_mail_is_composed_and_sent(site, pooled):
    transport = site.transport(pool=pooled)
    ((err, info),) = deliver(site, transport, MAIL)
    assert err is None
    assert site.commands("MAIL")[0].startswith("MAIL FROM:<a@x.org>")
    assert site.commands("RCPT") == ["RCPT TO:<b@x.org>"]
    (message,) = site.messages
    assert "From: A <a@x.org>\r\n" in message
    assert message.endswith("\r\n\r\nhello")
    assert info.envelope == {"from": "a@x.org", "to": ["b@x.org"]}
    assert f"Message-ID: {info.messageId}\r\n" in message
    assert info.accepted == ["b@x.org"]
    assert info["response"] == "250 queued"
    assert info.toJSON()["messageId"] == info.messageId
    assert set(info) > {"accepted", "rejected", "response", "envelope", "messageId"}
    with pytest.raises(AttributeError):
        info.nothing  # noqa: B018


def test_without_a_pool_each_mail_has_a_connection_of_its_own(slow_site):
    site = slow_site
    results = deliver(site, site.transport(), MAIL, MAIL, MAIL)
    assert [err for err, _ in results] == [None] * 3
    assert [session.commands[-1] for session in site.sessions] == ["QUIT"] * 3
    assert len({session.since for session in site.sessions}) == 1


def test_with_a_pool_connections_are_shared(site):
    transport = site.transport(pool=True, maxConnections=1)
    assert isinstance(transport.transporter, SMTPPool)
    results = deliver(site, transport, MAIL, MAIL, MAIL)
    assert [err for err, _ in results] == [None] * 3
    assert len(site.sessions) == 1
    assert transport.transporter.stats().sent == 3


def test_without_a_pool_a_mail_is_tried_once(site):
    site.answer("MAIL", DROP, times=1)
    ((err, _),) = deliver(site, site.transport(), MAIL)
    assert err.code == "ECONNECTION"
    assert len(site.sessions) == 1


def test_the_envelope_may_be_in_the_mail(site, pooled):
    envelope = {"from": "bounces@x.org", "to": ["c@x.org", "d@x.org"]}
    ((err, info),) = deliver(site, site.transport(pool=pooled), {**MAIL, "envelope": envelope})
    assert err is None
    assert info.envelope == envelope
    assert site.commands("RCPT") == ["RCPT TO:<c@x.org>", "RCPT TO:<d@x.org>"]
    assert "To: b@x.org\r\n" in site.messages[0]


def test_what_is_about_the_envelope_gets_there(site):
    site.answer("EHLO", "250-site\r\n250 DSN")
    mail = {**MAIL, "dsn": {"ret": "HDRS", "envid": "7", "notify": "never"}}
    ((err, _),) = deliver(site, site.transport(), mail)
    assert err is None
    assert site.commands("MAIL")[0].endswith("RET=HDRS ENVID=7")
    assert site.commands("RCPT") == ["RCPT TO:<b@x.org> NOTIFY=NEVER"]


def test_requiretls_gets_there(site):
    ((err, _),) = deliver(site, site.transport(), {**MAIL, "requireTLSExtensionEnabled": True})
    assert err.code == "EREQUIRETLS"


def test_a_message_that_is_finished(site, pooled):
    raw = "From: a@x.org\r\nMessage-ID: <own@x.org>\r\n\r\nas it is"
    mail = {"envelope": {"from": "a@x.org", "to": "b@x.org"}, "raw": raw}
    ((err, info),) = deliver(site, site.transport(pool=pooled), mail)
    assert (err, info.messageId) == (None, "<own@x.org>")
    assert site.messages == [raw]


@pytest.mark.parametrize(
    ("raw", "message_id"),
    [
        (b"message-id:<a@b>\n\nx", "<a@b>"),
        (b"X: y\r\nMessage-Id:\r\n <a@b>\r\n\r\nx", "<a@b>"),
        (b"X: y\r\n\r\nMessage-ID: <a@b>", None),
        ("Message-ID: nothing\n\nx", None),
        (iter([b"Message-ID: <a@b>\r\n\r\nx"]), None),
    ],
)
def test_the_message_id_of_a_finished_message(site, raw, message_id):
    mail = {"from": "a@x.org", "to": "b@x.org", "raw": raw}
    ((err, info),) = deliver(site, site.transport(), mail)
    assert (err, info.messageId) == (None, message_id)


def test_an_email_message(site, pooled):
    email = EmailMessage()
    email["From"], email["To"], email["Message-ID"] = "a@x.org", "b@x.org", "<e@x.org>"
    email.set_content("hello")
    ((err, info),) = deliver(site, site.transport(pool=pooled), email)
    assert (err, info.messageId, info.envelope["to"]) == (None, "<e@x.org>", ["b@x.org"])


def test_a_message_id_of_ones_own(site):
    ((err, info),) = deliver(site, site.transport(), {**MAIL, "messageId": "mine@x.org"})
    assert (err, info.messageId) == (None, "<mine@x.org>")
    assert "Message-ID: <mine@x.org>\r\n" in site.messages[0]


def test_what_is_sent_again_is_the_same_message(site):
    site.answer(".", "421 not now", times=1)
    ((err, info),) = deliver(site, site.transport(pool=True), MAIL)
    assert err is None
    first, second = site.messages
    assert first == second
    assert info.messageId in first


def test_a_mail_may_be_changed_afterwards(site, pooled):
    transport = site.transport(pool=pooled)
    mail = dict(MAIL)
    transport.sendMail(mail)
    mail["to"] = "c@x.org"
    transport.sendMail(mail)
    deliver(site, transport)
    assert sorted(site.commands("RCPT")) == ["RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>"]


def test_defaults(site):
    defaults = {"from": "d@x.org", "subject": "Usual", "headers": {"X-One": "1", "X-Two": "2"}}
    transport = site.transport(defaults)
    deliver(site, transport, {"to": "b@x.org", "text": "hi", "headers": {"x-one": "own"}})
    (message,) = site.messages
    assert "From: d@x.org\r\n" in message
    assert "Subject: Usual\r\n" in message
    assert "x-one: own\r\n" in message
    assert "X-Two: 2\r\n" in message
    assert "X-One: 1" not in message


@pytest.mark.parametrize(
    ("mail", "code"),
    [
        ({**MAIL, "to": []}, "EENVELOPE"),
        ({**MAIL, "subject": "a\nb"}, "EMESSAGE"),
        ({**MAIL, "sbject": "x"}, "EMESSAGE"),
        ({**MAIL, "envelope": {"from": "a@x.org"}}, "EENVELOPE"),
        ({**MAIL, "envelope": "b@x.org"}, "EENVELOPE"),
        ({**MAIL, "raw": "x"}, "EMESSAGE"),
        ("text", "EENVELOPE"),
        ({}, "EENVELOPE"),
    ],
)
def test_what_cannot_be_sent(site, pooled, mail, code):
    ((err, _),) = deliver(site, site.transport(pool=pooled), mail)
    assert err.code == code
    assert site.sessions == []


def test_a_refusal(site, pooled):
    site.answer("RCPT", "550 5.1.1 nobody", times=1)
    (first, second) = deliver(site, site.transport(pool=pooled, maxConnections=1), MAIL, MAIL)
    assert (first[0].responseCode, second[0]) == (550, None)


def test_a_mail_has_so_many_recipients_and_no_more(site, pooled):
    many = {**MAIL, "to": ["b@x.org", "c@x.org"], "cc": "d@x.org"}
    transport = site.transport(pool=pooled, maxRecipients=2)
    results = deliver(
        site, transport, many, {**many, "cc": "c@x.org"}, {**many, "max_recipients": 3}
    )
    codes = [err.code if err else None for err, _ in results]
    assert codes == ["EMAXRECIPIENTS", None, "EMAXRECIPIENTS"]
    assert "has 3 recipients, and may have 2" in str(results[0][0])
    # Without the option, a mail may say so itself.
    mails = [{**many, "max_recipients": most} for most in (2, 3, 0, "all")]
    results = deliver(site, site.transport(pool=pooled), *mails)
    codes = [err.code if err else None for err, _ in results]
    assert codes == ["EMAXRECIPIENTS", None, None, "EMESSAGE"]
    assert "takes a number of recipients" in str(results[3][0])


def test_what_the_defaults_forbid_no_mail_allows(site, pooled, tmp_path):
    file = {**MAIL, "text": {"path": str(tmp_path / "secret")}, "disableFileAccess": False}
    for where in ("defaults", "options"):
        rule = {"disable_file_access": True}
        transport = (
            site.transport(rule, pool=pooled)
            if where == "defaults"
            else site.transport(pool=pooled, **rule)
        )
        ((err, _),) = deliver(site, transport, file)
        assert err.code == "EFILEACCESS"
    transport = site.transport({"disableUrlAccess": True}, pool=pooled)
    ((err, _),) = deliver(site, transport, {**MAIL, "text": {"href": "https://x.org"}})
    assert err.code == "EURLACCESS"


def test_a_message_that_is_sent_shows_no_blind_copies(site, pooled):
    ((err, _),) = deliver(site, site.transport(pool=pooled), {**MAIL, "keepBcc": True})
    assert (err.code, "'keepBcc' is for compose()" in str(err)) == ("EMESSAGE", True)


def test_logging_in(site, pooled):
    transport = site.transport(pool=pooled, auth={"user": "me", "pass": "pw"})
    ((err, _),) = deliver(site, transport, MAIL)
    assert (err, site.sessions[0].login) == (None, ["me", "pw"])


def test_a_mail_may_say_who_sends_it(site):
    transport = site.transport(auth={"user": "me", "pass": "pw"})
    other = {"user": "other", "pass": "secret", "accessUrl": "https://evil.example"}
    deliver(site, transport, {**MAIL, "auth": other}, MAIL)
    assert [session.login for session in site.sessions] == [["other", "secret"], ["me", "pw"]]


def test_a_refused_login(site, pooled):
    site.answer("AUTH", "535 no")
    transport = site.transport(pool=pooled, auth={"user": "me", "pass": "pw"})
    results = deliver(site, transport, MAIL, MAIL)
    assert [err.code for err, _ in results] == ["EAUTH", "EAUTH"]
    assert site.messages == []


def test_tokens_of_a_function(site, pooled):
    site.answer("EHLO", "250-site\r\n250 AUTH XOAUTH2")
    transport = site.transport(pool=pooled, auth={"type": "OAuth2", "user": "me@x.org"})
    asked, tokens = [], []

    def provision(user, renew, callback):
        asked.append(user)
        callback(None, "token")

    transport.set("oauth2_provision_cb", provision)
    transport.on("token", lambda token: tokens.append(token.accessToken))
    results = deliver(site, transport, MAIL, MAIL)
    assert [err for err, _ in results] == [None, None]
    assert (asked, tokens) == (["me@x.org"], ["token"])
    assert transport.get("oauth2_provision_cb") is provision
    assert transport.get("nothing") is None


# -- callbacks and events --------------------------------------------------------------------------


def test_callbacks_take_what_they_declare(site):
    got = []
    transport = site.transport()
    transport.sendMail(MAIL, lambda: got.append(()))
    transport.sendMail(MAIL, lambda err: got.append(err))
    deliver(site, transport)
    assert got == [(), None]
    with pytest.raises(TypeError, match="a callback is a callable or None"):
        transport.sendMail(MAIL, "callback")


def test_a_failure_without_a_callback_is_an_error_event(site, pooled):
    transport = site.transport(pool=pooled)
    transport.sendMail({**MAIL, "to": []})
    deliver(site, transport)
    ((name, err),) = site.outcomes
    assert (name, err.code) == ("error", "EENVELOPE")


def test_an_error_that_nobody_hears_is_raised(site, pooled):
    transport = site.transport(pool=pooled)
    transport.removeAllListeners("error")
    site.answer("MAIL", "550 no")
    transport.sendMail(MAIL)
    transport.close({"drain": True})
    with pytest.raises(SMTPError, match="550 no"):
        site.run()
    site.run()


def test_the_log_has_the_id_of_each_connection(site, pooled):
    transport = site.transport(pool=pooled, debug=True)
    log = []
    transport.on("log", log.append)
    deliver(site, transport, MAIL, MAIL)
    assert len({entry.sid for entry in log}) == 2
    assert "QUIT" in [entry.message for entry in log]


def test_idle_and_clear(slow_site):
    site = slow_site
    transport = site.transport(pool=True, maxConnections=2)
    told = []
    transport.on("idle", lambda: told.append("idle"))
    transport.on("clear", lambda: told.append("clear"))
    results = []
    left = iter(range(20))

    def feed():
        while transport.isIdle():
            if next(left, None) is None:
                transport.close({"drain": True})
                return
            transport.sendMail(MAIL, results.append)

    transport.on("idle", feed)
    site.run()
    assert results == [None] * 20
    assert told[-1] == "clear"
    assert told.count("idle") > 5


@pytest.mark.parametrize("slow", [False, True])
def test_feeding_while_there_is_room_goes_on_with_plugins(slow_site, slow):
    """What plugins have counts as queued, and room is told of when they are done."""
    site = slow_site
    transport = site.transport(pool=True, maxConnections=3)
    pause = 0.5 if slow else 0
    transport.use("compile", lambda mail, callback: site.reactor.call_later(pause, callback))
    results, most = [], []
    left = iter(range(20))

    def feed():
        while transport.isIdle():
            if next(left, None) is None:
                transport.close({"drain": True})
                return
            transport.sendMail(MAIL, results.append)
        most.append(len(transport._with_plugins) + transport.transporter.queued)

    transport.on("idle", feed)
    site.run()
    assert results == [None] * 20
    assert max(most) <= 3


def test_room_that_is_made_while_another_thread_looks_is_told_of(site):
    class Sender:
        def __init__(self):
            self.answers = [False, True, True]

        def send(self, mail, callback):
            callback(None, {"messageId": "1"})

        def isIdle(self):
            return self.answers.pop(0)

    told = []
    transport = createTransport(Sender(), reactor=site.reactor)
    transport.on("idle", lambda: told.append("idle"))
    transport.sendMail(MAIL)
    site.run()
    assert told == ["idle"]


def test_a_transport_without_a_pool_always_has_room(site):
    transport = site.transport()
    for _ in range(100):
        transport.sendMail(MAIL)
    assert transport.isIdle()
    deliver(site, transport)


# -- plugins ---------------------------------------------------------------------------------------


def test_plugins_of_the_step_compile_change_the_fields(site, pooled):
    transport = site.transport(pool=pooled)
    order = []

    def first(mail, callback):
        order.append(mail.data["subject"])
        mail.data["subject"] = "first"
        assert mail.message is None
        assert mail.mailer is transport
        callback()

    def second(mail, callback):
        order.append(mail.data["subject"])
        mail.data["to"] = "c@x.org"
        site.reactor.call_later(1, callback)

    assert transport.use("compile", first).use("compile", second) is transport
    ((err, info),) = deliver(site, transport, MAIL)
    assert (err, order) == (None, ["Hi", "first"])
    assert info.envelope["to"] == ["c@x.org"]
    assert "Subject: first\r\n" in site.messages[0]


def test_plugins_of_the_step_stream_change_the_message(site, pooled):
    transport = site.transport(pool=pooled)

    def shout(mail, callback):
        message = mail.message
        assert message.getEnvelope()["from"] == "a@x.org"
        assert message.messageId().endswith("@x.org>")
        message.processFunc(lambda pieces: (piece.replace(b"hello", b"HELLO") for piece in pieces))
        message.transform(lambda pieces: [*pieces, b"!"])
        message.setEnvelope({"from": "other@x.org", "to": ["c@x.org"]})
        assert b"".join(message.createReadStream()).endswith(b"HELLO!")
        callback()

    transport.use("stream", shout)
    ((err, info),) = deliver(site, transport, MAIL)
    assert err is None
    assert info.envelope == {"from": "other@x.org", "to": ["c@x.org"]}
    assert site.messages[0].endswith("HELLO!")
    assert site.commands("RCPT") == ["RCPT TO:<c@x.org>"]


def test_a_message_that_a_plugin_has_changed_can_be_sent_again(site):
    site.answer(".", "421 later", times=1)
    transport = site.transport(pool=True)
    transport.use(
        "stream",
        lambda mail, callback: (mail.message.transform(lambda it: [*it, b"!"]), callback()),
    )
    ((err, _),) = deliver(site, transport, MAIL)
    assert err is None
    assert len(set(site.messages)) == 1
    assert len(site.messages) == 2


def test_plugins_may_call_back_from_another_thread(site):
    transport = site.transport()

    def elsewhere(mail, callback):
        thread = threading.Thread(target=callback)
        thread.start()
        thread.join()

    transport.use("compile", elsewhere)
    ((err, _),) = deliver(site, transport, MAIL)
    assert err is None


@pytest.mark.parametrize("step", ["compile", "stream"])
@pytest.mark.parametrize(
    "failure", [SMTPError("no", code="EAUTH"), LookupError("no"), "no"], ids=["own", "other", "str"]
)
@pytest.mark.parametrize("raised", [False, True])
def test_a_plugin_that_fails_is_the_failure_of_the_mail(site, step, failure, raised):
    if raised and isinstance(failure, str):
        failure = ValueError("no")
    transport = site.transport()

    def fail(mail, callback):
        if raised:
            raise failure
        callback(failure)
        callback()  # too late

    transport.use(step, fail)
    ((err, _),) = deliver(site, transport, MAIL)
    assert (err.code, str(err)) == (getattr(failure, "code", "EMESSAGE"), "no")
    assert err is failure or err.__cause__ is failure or isinstance(failure, str)
    assert site.sessions == []


def test_a_plugin_that_calls_back_twice(site):
    transport = site.transport()
    transport.use("compile", lambda mail, callback: (callback(), callback()))
    ((err, _),) = deliver(site, transport, MAIL)
    assert err is None
    assert len(site.messages) == 1


def test_what_is_no_plugin(site):
    transport = site.transport()
    with pytest.raises(ValueError, match="a step is 'compile' or 'stream'; got 'sream'"):
        transport.use("sream", lambda mail, callback: None)
    with pytest.raises(TypeError):
        transport.use("stream", "plugin")


# -- signals ---------------------------------------------------------------------------------------


def test_a_signal_aborts_a_mail(slow_site, pooled):
    site = slow_site
    site.answer("DATA", SILENCE)
    transport = site.transport(pool=pooled)
    controller = AbortController()
    results = []
    transport.sendMail(MAIL, results.append, signal=controller.signal)
    site.run_until(lambda: site.commands("DATA"))
    controller.abort()
    transport.close()
    site.run()
    assert [err.code for err in results] == ["EABORT"]


def test_a_signal_in_the_mail_aborts_it_before_it_is_connected(slow_site, pooled):
    site = slow_site
    transport = site.transport(pool=pooled)
    controller = AbortController()
    results = []
    transport.sendMail({**MAIL, "signal": controller.signal}, results.append)
    site.run_for(0.03)
    controller.abort()
    transport.close({"drain": True})
    site.run()
    assert [err.code for err in results] == ["EABORT"]
    assert site.messages == []


def test_a_signal_aborts_what_a_plugin_has(site):
    transport = site.transport()
    transport.use("compile", lambda mail, callback: None)  # for ever
    controller = AbortController()
    results = []
    transport.sendMail(MAIL, results.append, signal=controller.signal)
    site.run()
    controller.abort()
    site.run()
    assert [err.code for err in results] == ["EABORT"]
    assert not transport._with_plugins
    deliver(site, transport)


def test_signals_that_are_none_or_aborted(site):
    transport = site.transport()
    with pytest.raises(TypeError, match="signal takes an AbortSignal; got str"):
        transport.sendMail(MAIL, signal="signal")
    results = deliver(site, transport, MAIL, signal=AbortSignal.abort())
    assert [err.code for err, _ in results] == ["EABORT"]
    assert site.sessions == []


# -- the end ---------------------------------------------------------------------------------------


def test_close_finishes_what_is_being_sent(slow_site):
    site = slow_site
    transport = site.transport()
    results, closed = [], []
    transport.sendMail(MAIL, results.append)
    site.run_for(0.01)
    transport.close(lambda: closed.append(site.open_sessions))
    transport.sendMail(MAIL, results.append)
    site.run()
    assert closed == [0]
    assert sorted(err is None for err in results) == [False, True]
    assert [err.code for err in results if err] == ["ECONNECTION"]
    assert len(site.messages) == 1


def test_close_with_force_cuts_it_off(slow_site):
    site = slow_site
    site.answer(".", SILENCE)
    transport = site.transport()
    results = []
    transport.sendMail(MAIL, results.append)
    site.run_until(lambda: site.messages)
    transport.sendMail(MAIL, results.append)
    transport.close({"force": True})
    site.run()
    assert sorted((err.code, err.inDoubt) for err in results) == [
        ("ECONNECTION", False),
        ("ECONNECTION", True),
    ]


def test_close_with_drain_waits_for_plugins(site, pooled):
    transport = site.transport(pool=pooled)
    transport.use("compile", lambda mail, callback: site.reactor.call_later(5, callback))
    ((err, _),) = deliver(site, transport, MAIL)
    assert err is None


def test_close_without_drain_does_not(site, pooled):
    transport = site.transport(pool=pooled)
    transport.use("compile", lambda mail, callback: site.reactor.call_later(5, callback))
    results = []
    transport.sendMail(MAIL, results.append)
    transport.close()
    site.run()
    assert [err.code for err in results] == ["ECONNECTION"]


def test_verify(site, pooled):
    told = []
    transport = site.transport(pool=pooled, auth={"user": "me", "pass": "pw"})
    transport.verify(lambda err, ok: told.append((err, ok)))
    site.run()
    assert told == [(None, True)]
    site.answer("AUTH", "535 no")
    transport.verify(lambda err: told.append(err.code))
    transport.close()
    site.run()
    assert told[1] == "EAUTH"
    assert site.messages == []


# -- transporters of the caller's ------------------------------------------------------------------


class Recorder:
    """A transporter in nodemailer's manner."""

    name, version = "recorder", "1"

    def __init__(self, error=None):
        self.mails = []
        self.closed = False
        self.error = error

    def send(self, mail, callback):
        self.mails.append((mail.data["subject"], mail.message.getEnvelope()))
        if isinstance(self.error, Exception):
            raise self.error
        callback(self.error, {"stored": b"".join(mail.message.createReadStream())})

    def close(self):
        self.closed = True


def test_a_transporter_of_ones_own(site):
    recorder = Recorder()
    transport = createTransport(recorder, {"subject": "usual"}, reactor=site.reactor)
    assert (transport.transporter, transport.options) == (recorder, None)
    ((err, info),) = deliver(site, transport, {"from": "a@x.org", "to": "b@x.org", "text": "hello"})
    assert err is None
    assert info["stored"].endswith(b"hello")
    assert recorder.mails == [("usual", {"from": "a@x.org", "to": ["b@x.org"]})]
    assert recorder.closed
    assert transport.isIdle()


@pytest.mark.parametrize("error", ["no", LookupError("no"), SMTPError("no", code="EAUTH")])
def test_a_transporter_of_ones_own_that_fails(site, error):
    transport = createTransport(Recorder(error), reactor=site.reactor)
    ((err, _),) = deliver(site, transport, MAIL)
    assert (err.code, str(err)) == (getattr(error, "code", "EMESSAGE"), "no")


def test_a_pool_that_is_there(site):
    pool = site.pool()
    transport = createTransport(pool)
    assert transport.reactor is site.reactor
    ((err, _),) = deliver(site, transport, MAIL)
    assert (err, pool.stats().sent) == (None, 1)


def test_what_is_no_transport(site):
    with pytest.raises(TypeError, match="unknown option 'hots'"):
        createTransport({"hots": "x"}, reactor=site.reactor)
    with pytest.raises(TypeError, match="opens its connections itself: give it their options"):
        createTransport(SMTPConnection(reactor=site.reactor), reactor=site.reactor)
    with pytest.raises(TypeError, match="defaults are a dict of fields; got str"):
        createTransport({}, "x", reactor=site.reactor)
    with pytest.raises(TypeError, match="a transporter of your own has its own options"):
        createTransport(Recorder(), host="mx")
    with pytest.raises(ValueError, match="'pool' and 'jsonTransport' exclude each other"):
        createTransport(pool=True, jsonTransport=True)


def test_options_by_keyword_and_as_a_url(site):
    made = createTransport(service="Gmail", pool=True, reactor=site.reactor)
    assert made.options.host == made.transporter.options.host == "smtp.gmail.com"
    made = createTransport("smtps://me:pw@mx.example.com", reactor=site.reactor)
    assert isinstance(made.transporter, SMTPTransport)
    assert (made.options.port, made.options.auth["user"]) == (465, "me")
    made = createTransport("smtp://mx/?pool=true&maxConnections=3", reactor=site.reactor)
    assert made.transporter.options.maxConnections == 3
    site.run()


@pytest.mark.parametrize("data", [MAIL, {}])
def test_a_mail_and_its_connection_leave_no_garbage(site, pooled, data):
    transport = site.transport(pool=pooled)

    def send():
        transport.sendMail(data, lambda err: None)
        site.run()
        assert site.open_sessions == 0

    assert garbage_of(send) == []
